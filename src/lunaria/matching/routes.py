"""Operations 92 to 97: matching of faces, of bodies and of given descriptors."""

from lunaria.http.operation import Call, Content, Reply, Routes, TypedBody, operation
from lunaria.http.query import NoQuery, OfAccount
from lunaria.matching.matcher import Matcher
from lunaria.matching.schemas import MatchBodies, MatchFaces, MatchRaw, RawResult, ReferenceResult


class MatchingRoutes(Routes):
    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher

    @operation(
        "POST",
        "/6/matcher/faces",
        "matcher",
        "matching faces",
        query=OfAccount,
        body=TypedBody(MatchFaces, msgpack=True),
        replies={200: Content(list[ReferenceResult])},
        errors=(11059, 31007),
        reading=True,
        msgpack_reply=True,
    )
    async def faces(self, call: Call[OfAccount, MatchFaces]) -> Reply:
        """Find, for every reference, the most similar faces, events or temporary attributes of every set of candidates.

        The search is exact. A reference that does not exist, or has no descriptor, is answered by an element with
        an error; the others are matched.
        """
        return Reply(body=await self._matcher.faces(call.principal, call.query.account_id, call.body))

    @operation(
        "POST",
        "/6/matcher/bodies",
        "matcher",
        "human body matching",
        query=OfAccount,
        body=TypedBody(MatchBodies, msgpack=True),
        replies={200: Content(list[ReferenceResult])},
        errors=(11059, 31007),
        reading=True,
        msgpack_reply=True,
    )
    async def bodies(self, call: Call[OfAccount, MatchBodies]) -> Reply:
        """Find, for every reference, the events with the most similar bodies of every set of candidates.

        A descriptor of a body tells what a person wears and carries, so it finds somebody again within hours. The
        search is exact. A reference that does not exist, or has no descriptor of a body, is answered by an element
        with an error; the others are matched.
        """
        return Reply(body=await self._matcher.bodies(call.principal, call.query.account_id, call.body))

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
        """Similarities between given descriptors of faces or of bodies, candidates in the order given."""
        return Reply(body=await self._matcher.raw(call.body))
