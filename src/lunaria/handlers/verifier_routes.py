"""Operations 167-180: verifiers, and verifying with them."""

from lunaria.handlers.source_schemas import SOURCE_ERRORS, VERIFIER_BODY
from lunaria.handlers.sources import SourceReader
from lunaria.handlers.verification import VerificationService
from lunaria.handlers.verification_schemas import RawVerificationResult, VerificationQuery, VerificationResult
from lunaria.handlers.verifier_schemas import (
    SaveVerifier,
    Verifier,
    VerifierCreated,
    VerifierFilterQuery,
    VerifiersCount,
    VerifiersQuery,
    VerifierVersion,
)
from lunaria.handlers.verifier_service import VerifiersService
from lunaria.http.operation import NO_CONTENT, Call, Content, Reply, Routes, TypedBody, created, operation
from lunaria.http.principal import Need
from lunaria.http.query import NoQuery
from lunaria.matching.schemas import MatchRaw

ALL = "/6/verifiers"
ONE = ALL + "/{verifier_id:uuid}"
CREATION = Need("verifier", "creation")
VIEW = Need("verifier", "view")
MODIFICATION = Need("verifier", "modification")
DELETION = Need("verifier", "deletion")
MISSING = 34004
CANDIDATE_ERRORS = (11032, 11041, 22004, 22011, 22018, 23002, 31007)
TURNED_OFF = 11044


class VerifierRoutes(Routes):
    def __init__(self, verifiers: VerifiersService, verification: VerificationService, sources: SourceReader) -> None:
        self._verifiers = verifiers
        self._verification = verification
        self._sources = sources

    @operation(
        "POST",
        ALL,
        "verifiers",
        "create verifier",
        needs=(CREATION,),
        body=TypedBody(SaveVerifier),
        replies={201: Content(VerifierCreated)},
        errors=(TURNED_OFF,),
    )
    async def create(self, call: Call[NoQuery, SaveVerifier]) -> Reply:
        """Create a verifier: how pictures are looked at, and from which similarity on it is the same person."""
        verifier_id = await self._verifiers.create(call.principal.owner, call.body)
        url = f"{ALL}/{verifier_id}"
        return created(VerifierCreated(verifier_id, url), url)

    @operation(
        "GET",
        ALL,
        "verifiers",
        "get verifiers",
        needs=(VIEW,),
        query=VerifiersQuery,
        replies={200: Content(list[Verifier])},
    )
    async def get_many(self, call: Call[VerifiersQuery, None]) -> Reply:
        """Get a page of the verifiers that fulfil all given conditions, the newest first."""
        scope = call.principal.reads(call.query.account_id)
        return Reply(body=await self._verifiers.get_many(scope, call.query))

    @operation(
        "GET",
        ALL + "/count",
        "verifiers",
        "count verifiers",
        needs=(VIEW,),
        query=VerifierFilterQuery,
        replies={200: Content(VerifiersCount)},
    )
    async def count(self, call: Call[VerifierFilterQuery, None]) -> Reply:
        """Count the verifiers that fulfil all given conditions."""
        scope = call.principal.reads(call.query.account_id)
        return Reply(body=VerifiersCount(await self._verifiers.count(scope, call.query)))

    @operation(
        "GET", ONE, "verifiers", "get verifier", needs=(VIEW,), replies={200: Content(Verifier)}, errors=(MISSING,)
    )
    async def get(self, call: Call[NoQuery, None]) -> Reply:
        """Get one verifier, its policies with all defaults."""
        return Reply(body=await self._verifiers.get(call.principal.reads(), call.id("verifier_id")))

    @operation(
        "HEAD",
        ONE,
        "verifiers",
        "check if verifier exists",
        needs=(VIEW,),
        replies={200: Content()},
        errors=(MISSING,),
    )
    async def check(self, call: Call[NoQuery, None]) -> Reply:
        """Check whether a verifier exists."""
        await self._verifiers.get(call.principal.reads(), call.id("verifier_id"))
        return Reply()

    @operation(
        "PUT",
        ONE,
        "verifiers",
        "replace verifier",
        needs=(MODIFICATION,),
        body=TypedBody(SaveVerifier),
        replies={200: Content(VerifierVersion)},
        errors=(MISSING, TURNED_OFF),
    )
    async def replace(self, call: Call[NoQuery, SaveVerifier]) -> Reply:
        """Replace a verifier as a whole: what is left out gets its default. The version counts up."""
        version = await self._verifiers.replace(call.principal.writes(), call.id("verifier_id"), call.body)
        return Reply(body=VerifierVersion(version))

    @operation(
        "DELETE",
        ONE,
        "verifiers",
        "remove verifier",
        needs=(DELETION,),
        replies={204: Content(description="Done")},
        errors=(MISSING,),
    )
    async def delete(self, call: Call[NoQuery, None]) -> Reply:
        """Delete a verifier."""
        await self._verifiers.delete(call.principal.writes(), call.id("verifier_id"))
        return NO_CONTENT

    @operation(
        "POST",
        ONE + "/raw",
        "verifiers",
        "raw verification",
        needs=(VIEW,),
        body=TypedBody(MatchRaw, msgpack=True),
        replies={200: Content(RawVerificationResult)},
        errors=(MISSING,),
        reading=True,
        msgpack_reply=True,
    )
    async def verify_raw(self, call: Call[NoQuery, MatchRaw]) -> Reply:
        """Compare given descriptors, each reference with each candidate, in the order given; nothing is stored.

        The status is true where the similarity is greater than the verifier's threshold.
        """
        verifier = await self._verifiers.get(call.principal.reads(), call.id("verifier_id"))
        return Reply(body=await self._verification.verify_raw(verifier.policies, call.body))

    @operation(
        "POST",
        ONE + "/verifications",
        "verifiers",
        "perform verification",
        needs=(VIEW,),
        query=VerificationQuery,
        body=VERIFIER_BODY,
        replies={200: Content(VerificationResult)},
        errors=(MISSING, TURNED_OFF, *SOURCE_ERRORS, *CANDIDATE_ERRORS),
    )
    async def verify(self, call: Call[VerificationQuery, bytes]) -> Reply:
        """Compare pictures, or given descriptors, with faces, events and temporary attributes of the own account.

        Every face of every picture is compared with every candidate. The status is true where the similarity is
        greater than the verifier's threshold. Filtered faces are told of and not compared; a picture that cannot be
        used has an error of its own.
        """
        scope = call.principal.writes()
        verifier = await self._verifiers.get(scope, call.id("verifier_id"))
        sources = await self._sources.read(call, policies=False)
        owner = call.principal.owner
        return Reply(body=await self._verification.verify(owner, verifier.policies, sources, call.query))
