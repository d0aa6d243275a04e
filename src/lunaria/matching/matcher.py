"""The rules of the matching operations: references to descriptors, candidates to searches, matches to replies."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec
import numpy as np

from lunaria.events.schemas import DescriptorKind
from lunaria.http.errors import ApiError, ErrorLinks
from lunaria.http.principal import Need, Principal
from lunaria.kit.pool import WorkerPool
from lunaria.matching.references import Query, References
from lunaria.matching.schemas import (
    AttributeReference,
    Candidates,
    CandidatesResult,
    EventReferences,
    ExternalIdReference,
    FaceReference,
    GivenDescriptor,
    Match,
    MatchBodies,
    MatchFaces,
    MatchRaw,
    RawMatch,
    RawReferenceResult,
    RawResult,
    Reference,
    ReferenceResult,
)
from lunaria.matching.service import MatchingService, Search, Vectors
from lunaria.storage.scope import Scope


@dataclass(frozen=True, slots=True)
class Limits:
    """Most references after external ids were expanded; most pairs of one raw matching; most matches of one request."""

    expanded_references: int = 1000
    raw_pairs: int = 1_000_000
    matches: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Matcher:
    """What the routes of matching call."""

    matching: MatchingService
    references: References
    pool: WorkerPool
    links: ErrorLinks
    limits: Limits

    async def faces(self, principal: Principal, account_id: UUID | None, wanted: MatchFaces) -> list[ReferenceResult]:
        """Match every reference with every set of candidates by their faces.

        Raises 403/11059 (a token without the right), 400/12022 (a descriptor that cannot be read), 400/31007. A
        reference that does not exist, or has no descriptor, is an element with an error.
        """
        _require(principal, wanted.references, wanted.candidates)
        return await self._match(principal.reads(account_id), "face", wanted.references, wanted.candidates)

    async def bodies(self, principal: Principal, account_id: UUID | None, wanted: MatchBodies) -> list[ReferenceResult]:
        """Match every reference with every set of candidates by their bodies. Raises as `faces` does."""
        _require(principal, wanted.references, wanted.candidates)
        return await self._match(principal.reads(account_id), "body", wanted.references, wanted.candidates)

    async def raw(self, wanted: MatchRaw) -> RawResult:
        """Similarities of all pairs, in the order given. Raises 400/12022."""

        def compare() -> RawResult:
            self._refuse_pairs(len(wanted.references) * len(wanted.candidates))
            references = self._given("references", wanted.references)
            candidates = self._given("candidates", wanted.candidates)
            self._refuse_pairs(len(references) * len(candidates))
            versions = sorted({query.version for query in (*references, *candidates)})
            if len(versions) > 1:
                told = ", ".join(map(str, versions))
                raise ApiError(12022, "candidates", f"descriptors of different versions: {told}")
            kind = self.references.kind_of(versions[0])
            similarities = self.matching.compare(kind, _stack(references), _stack(candidates))
            return RawResult(
                [
                    RawReferenceResult(
                        reference.shown.id,
                        [
                            RawMatch(candidate.shown.id, value)
                            for candidate, value in zip(candidates, row.tolist(), strict=True)
                        ],
                    )
                    for reference, row in zip(references, similarities, strict=True)
                ]
            )

        return await self.pool.run(compare)

    async def _match(
        self, scope: Scope, kind: DescriptorKind, references: Sequence[Reference], candidates: Sequence[Candidates]
    ) -> list[ReferenceResult]:
        queries = await self.references.queries(scope, kind, references)
        most = self.limits.matches // max(1, sum(wanted.limit for wanted in candidates))
        if len(queries) > most:
            raise ApiError(31007, most)
        by_version: dict[int, list[int]] = {}
        for number, query in enumerate(queries):
            if query.vector is not None:
                by_version.setdefault(query.version, []).append(number)
        asked = [(place, numbers) for place in range(len(candidates)) for numbers in by_version.values()]
        searches = [
            Search(candidates[place], [*_vectors(queries, numbers)], queries[numbers[0]].version, kind)
            for place, numbers in asked
        ]
        found: list[list[list[Match]]] = [[[] for _ in queries] for _ in candidates]
        for (place, numbers), results in zip(asked, await self.matching.search(scope, searches), strict=True):
            for number, matches in zip(numbers, results, strict=True):
                found[place][number] = matches
        echoes = [msgspec.to_builtins(wanted.filters) for wanted in candidates]
        return [
            ReferenceResult(query.shown, error=self.links.body(query.error))
            if query.error is not None
            else ReferenceResult(
                query.shown,
                [
                    CandidatesResult(echo, wanted.limit, wanted.threshold, matches[number])
                    for echo, wanted, matches in zip(echoes, candidates, found, strict=True)
                ],
            )
            for number, query in enumerate(queries)
        ]

    def _given(self, path: str, descriptors: Sequence[GivenDescriptor]) -> list[Query]:
        return [
            query for number, one in enumerate(descriptors) for query in self.references.given(f"{path}.{number}", one)
        ]

    def _refuse_pairs(self, number: int) -> None:
        if number > self.limits.raw_pairs:
            raise ApiError(12022, "candidates", f"more than {self.limits.raw_pairs} pairs in one request")


_THINGS = {"faces": "face", "events": "event", "attributes": "attribute"}


def _require(principal: Principal, references: Sequence[Reference], candidates: Sequence[Candidates]) -> None:
    """Check the token's right for everything that is read."""
    for one in candidates:
        principal.require(Need(_THINGS[one.origin], "matching"))
    for reference in references:
        if isinstance(reference, FaceReference | ExternalIdReference):
            principal.require(Need("face", "matching"))
        elif isinstance(reference, EventReferences):
            principal.require(Need("event", "matching"))
        elif isinstance(reference, AttributeReference):
            principal.require(Need("attribute", "matching"))


def _vectors(queries: Sequence[Query], numbers: Sequence[int]) -> list[Vectors]:
    return [vector for number in numbers if (vector := queries[number].vector) is not None]


def _stack(queries: Sequence[Query]) -> Vectors:
    return np.stack(_vectors(queries, range(len(queries))))
