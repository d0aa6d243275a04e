"""Operations 92, 93, 96, 97: matching of faces and of given descriptors."""

from lunaria.http.operation import Call, Content, Reply, Routes, TypedBody, operation
from lunaria.http.query import NoQuery, OfAccount
from lunaria.matching.schemas import MatchFaces, MatchRaw, RawResult, ReferenceResult
from lunaria.matching.service import MatchingService


class MatchingRoutes(Routes):
    def __init__(self, matching: MatchingService) -> None:
        self._matching = matching

    @operation(
        "POST",
        "/6/matcher/faces",
        "matcher",
        "matching faces",
        query=OfAccount,
        body=TypedBody(MatchFaces, msgpack=True),
        replies={200: Content(list[ReferenceResult])},
        errors=(11044, 11059, 31007),
        reading=True,
        msgpack_reply=True,
    )
    async def faces(self, call: Call[OfAccount, MatchFaces]) -> Reply:
        """Find, for every reference, the most similar faces or temporary attributes of every set of candidates.

        The search is exact. A reference that does not exist, or has no descriptor, is answered by an element with
        an error; the others are matched.
        """
        return Reply(body=await self._matching.match(call.principal, call.query.account_id, call.body))

    @operation(
        "POST",
        "/6/matcher/raw",
        "matcher",
        "raw matching",
        body=TypedBody(MatchRaw, msgpack=True),
        replies={200: Content(RawResult)},
        reading=True,
        msgpack_reply=True,
    )
    async def raw(self, call: Call[NoQuery, MatchRaw]) -> Reply:
        """Similarities between given descriptors, candidates in the order given."""
        return Reply(body=await self._matching.match_raw(call.body))
