"""The rules of matching: references to descriptors, candidates to rows, hits to replies."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from lunaria.events.schemas import DescriptorKind
from lunaria.faces.filters import FaceFilter
from lunaria.faces.schemas import Face
from lunaria.faces.store import FacesStore
from lunaria.http.errors import ApiError, ErrorLinks
from lunaria.http.principal import Need, Principal
from lunaria.kit.pool import WorkerPool
from lunaria.kit.times import Clock, parse_time
from lunaria.matching.index import Found, MatchingIndex, RowFilter
from lunaria.matching.schemas import (
    AttributeFilters,
    AttributeReference,
    Candidates,
    CandidatesResult,
    EventFilters,
    EventReferences,
    ExternalIdReference,
    FaceFilters,
    FaceReference,
    GivenDescriptor,
    Match,
    MatchedAttribute,
    MatchFaces,
    MatchRaw,
    RawDescriptor,
    RawMatch,
    RawReferenceResult,
    RawResult,
    Reference,
    ReferenceResult,
    ShownReference,
    XpkFile,
)
from lunaria.matching.store import MatchingStore, StoredDescriptor
from lunaria.storage.scope import Scope
from lunaria.vision.descriptor_coding import DescriptorCoding, DescriptorError
from lunaria.vision.similarity import Similarity

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Limits:
    """Most references after external ids were expanded; most pairs of one raw matching; most matches of one request."""

    expanded_references: int = 1000
    raw_pairs: int = 1_000_000
    matches: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Query:
    """A reference with the descriptor that stands for it, or why there is none."""

    shown: ShownReference
    version: int = 0
    vector: Vectors | None = None
    error: ApiError | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """Unit vectors (float32, of one version and kind) and the candidates that each is to be compared with."""

    candidates: Candidates
    vectors: Sequence[Vectors]
    version: int
    kind: DescriptorKind = "face"


class Similar(NamedTuple):
    """A found face or attribute with its similarity to the reference."""

    key: UUID
    similarity: float


@dataclass(frozen=True, slots=True)
class MatchingService:
    """`version`: the descriptor version that stored references are matched by when they have it."""

    index: MatchingIndex
    store: MatchingStore
    faces: FacesStore
    coding: DescriptorCoding
    similarity: Similarity
    version: int
    pool: WorkerPool
    clock: Clock
    links: ErrorLinks
    limits: Limits = Limits()

    async def match(self, principal: Principal, account_id: UUID | None, wanted: MatchFaces) -> list[ReferenceResult]:
        """Match every reference with every set of candidates.

        Raises 403/11059 (a token without the right), 403/11044 (events), 400/12022 (a descriptor that
        cannot be read), 400/31007. A reference that does not exist, or has no descriptor, is an element with an error.
        """
        _require(principal, wanted)
        scope = principal.reads(account_id)
        queries = await self._queries(scope, wanted.references)
        most = self.limits.matches // max(1, sum(candidates.limit for candidates in wanted.candidates))
        if len(queries) > most:
            raise ApiError(31007, most)
        await self.index.catch_up()
        found = [await self._candidates(scope, candidates, queries) for candidates in wanted.candidates]
        return [
            ReferenceResult(query.shown, error=self.links.body(query.error))
            if query.error is not None
            else ReferenceResult(query.shown, [results[number] for results in found])
            for number, query in enumerate(queries)
        ]

    async def search(self, scope: Scope, searches: Sequence[Search]) -> list[list[list[Match]]]:
        """For every search and each of its vectors the matches, best first; all see at least what is committed now."""
        await self.index.catch_up()
        results: list[list[list[Match]]] = []
        for search in searches:
            queries = [Query(ShownReference("raw_descriptor", ""), search.version, vector) for vector in search.vectors]
            results.append([found.result for found in await self._candidates(scope, search.candidates, queries)])
        return results

    async def match_raw(self, wanted: MatchRaw) -> RawResult:
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
            cosines = _stack(references) @ _stack(candidates).T
            similarities = self.similarity.from_cosine(cosines)
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

    def _refuse_pairs(self, number: int) -> None:
        if number > self.limits.raw_pairs:
            raise ApiError(12022, "candidates", f"more than {self.limits.raw_pairs} pairs in one request")

    # References

    async def _queries(self, scope: Scope, references: Sequence[Reference]) -> list[Query]:
        faces = {one.id for one in references if isinstance(one, FaceReference)}
        attributes = {one.id for one in references if isinstance(one, AttributeReference)}
        named = {one.id for one in references if isinstance(one, ExternalIdReference)}
        by_face = await self.store.face_references(scope, faces) if faces else {}
        by_attribute = await self.store.attribute_references(scope, attributes, self.clock.now()) if attributes else {}
        by_external_id = await self.store.external_references(scope, named) if named else {}
        queries: list[Query] = []
        for number, reference in enumerate(references):
            if isinstance(reference, FaceReference):
                queries.append(self._stored(reference, by_face.get(reference.id), 22002))
            elif isinstance(reference, AttributeReference):
                queries.append(self._stored(reference, by_attribute.get(reference.id), 22011))
            elif isinstance(reference, ExternalIdReference):
                owners = by_external_id.get(reference.id, {})
                queries += [self._stored(reference, found, 22002, face) for face, found in owners.items()]
                if not owners:
                    queries.append(Query(_shown(reference), error=ApiError(11041, reference.id)))
            elif isinstance(reference, GivenDescriptor):
                queries += self._decoded(f"references.{number}", reference)
        if len(queries) > self.limits.expanded_references:
            raise ApiError(31007, self.limits.expanded_references)
        return queries

    def _stored(
        self, reference: Reference, found: list[StoredDescriptor] | None, missing: int, face: UUID | None = None
    ) -> Query:
        """The query of a stored object: by the server's version when it has that, else by its newest."""
        shown = _shown(reference)
        key = face or reference.id
        if found is None:
            return Query(shown, error=ApiError(missing, key))
        if not found:
            error = ApiError(22018, self.version, key) if missing == 22011 else ApiError(11032, key)
            return Query(shown, error=error)
        best = max(found, key=lambda stored: (stored.version == self.version, stored.version))
        return Query(shown, best.version, best.vector)

    def _given(self, path: str, descriptors: Sequence[GivenDescriptor]) -> list[Query]:
        return [query for number, one in enumerate(descriptors) for query in self._decoded(f"{path}.{number}", one)]

    def _decoded(self, path: str, given: GivenDescriptor) -> list[Query]:
        """The descriptors of a reference that carries them. Raises 400/12022 naming the place."""
        try:
            if isinstance(given, XpkFile):
                decoded = self.coding.decode_stream(given.data)
            else:
                version = given.version if isinstance(given, RawDescriptor) else UNSET
                decoded = [self.coding.decode(given.data, None if version is UNSET else version)]
        except DescriptorError as error:
            raise ApiError(12022, f"{path}.data", error.detail) from None
        return [Query(_shown(given), version, vector) for vector, version in decoded]

    # Candidates

    async def _candidates(
        self, scope: Scope, candidates: Candidates, queries: Sequence[Query]
    ) -> list[CandidatesResult]:
        """The result of one set of candidates for every query; empty for those with an error."""
        by_version: dict[int, list[int]] = {}
        for number, query in enumerate(queries):
            if query.vector is not None:
                by_version.setdefault(query.version, []).append(number)
        similar: list[list[Similar]] = [[] for _ in queries]
        for version, numbers in by_version.items():
            vectors = _stack([queries[number] for number in numbers])
            hits = await self._search(scope, candidates, version, vectors)
            for number, own in zip(numbers, hits, strict=True):
                similar[number] = self._similar(own, candidates.threshold)
        show = await self._shower(scope, candidates, {hit.key for own in similar for hit in own})
        echo = msgspec.to_builtins(candidates.filters)
        return [CandidatesResult(echo, candidates.limit, candidates.threshold, list(show(own))) for own in similar]

    async def _search(self, scope: Scope, candidates: Candidates, version: int, vectors: Vectors) -> list[list[Found]]:
        minimum = float(self.similarity.to_cosine(candidates.threshold)) - 1e-6 if candidates.threshold > 0 else -1.0
        filters = candidates.filters
        narrowed = _narrow(scope, filters.account_id if not isinstance(filters, EventFilters) else None)
        if isinstance(filters, FaceFilters):
            return await self._search_faces(narrowed, filters, version, vectors, candidates.limit, minimum)
        assert isinstance(filters, AttributeFilters)
        return await self._search_attributes(narrowed, filters, version, vectors, candidates.limit, minimum)

    async def _search_faces(
        self, scope: Scope, filters: FaceFilters, version: int, vectors: Vectors, limit: int, minimum: float
    ) -> list[list[Found]]:
        face_ids: Sequence[UUID] | None = filters.face_ids
        conditions = _face_filter(filters)
        if conditions != FaceFilter(face_ids=filters.face_ids):
            narrowed = replace(conditions, list_id=filters.list_id)  # fewer rows to fetch
            face_ids = await self.store.filtered_faces(scope, narrowed)
        found = self.index.version(version)
        if found is None or found.gallery.dimension != vectors.shape[1]:
            return [[] for _ in vectors]
        wanted = RowFilter(scope.account_id, filters.list_id, face_ids)
        prepared = self.index.search(version, vectors, limit, wanted, minimum)
        if prepared is None:
            return [[] for _ in vectors]
        with prepared.index.searching():
            return await self.pool.run(prepared.run)

    async def _search_attributes(
        self, scope: Scope, filters: AttributeFilters, version: int, vectors: Vectors, limit: int, minimum: float
    ) -> list[list[Found]]:
        best: list[list[Found]] = [[] for _ in vectors]
        batches = self.store.attribute_candidates(scope, filters.attribute_ids, version, self.clock.now())

        def rank(keys: Sequence[UUID], described: Vectors) -> None:
            for own, row in zip(best, vectors @ described.T, strict=True):
                own += [Found(keys[place], float(row[place])) for place in np.argsort(-row)[:limit]]
                own.sort(key=lambda hit: (-hit.cosine, hit.key))
                del own[limit:]

        async for keys, described in batches:
            # Not on the pool: waiting there would keep a database connection from everybody else.
            await asyncio.to_thread(rank, keys, described)
        return [[hit for hit in own if hit.cosine >= minimum] for own in best]

    def _similar(self, hits: list[Found], threshold: float) -> list[Similar]:
        """The similarity of each hit, those below the threshold left out; equal ones by id."""
        similarities = self.similarity.from_cosine([hit.cosine for hit in hits]).tolist()
        kept = [
            Similar(hit.key, similarity)
            for hit, similarity in zip(hits, similarities, strict=True)
            if similarity >= threshold
        ]
        return sorted(kept, key=lambda hit: (-hit.similarity, hit.key))

    async def _shower(self, scope: Scope, candidates: Candidates, keys: set[UUID]) -> Any:
        """A function from hits to what the client gets of them; objects deleted meanwhile drop out."""
        fields = candidates.shown
        if isinstance(candidates.filters, FaceFilters):
            wanted = FaceFilter(face_ids=list(keys))
            rows = await self.faces.find(scope, wanted, len(keys), 0, with_lists="lists" in fields) if keys else []
            shown = {row["face_id"]: Face(**{name: row[name] for name in fields}) for row in rows}
            return lambda hits: (Match(hit.similarity, face=shown[hit.key]) for hit in hits if hit.key in shown)
        records = await self.store.found_attributes(scope, keys) if keys else {}
        attributes = {
            key: MatchedAttribute(**{name: row[_ATTRIBUTE_COLUMNS.get(name, name)] for name in fields})
            for key, row in records.items()
        }
        return lambda hits: (
            Match(hit.similarity, attribute=attributes[hit.key]) for hit in hits if hit.key in attributes
        )


_ATTRIBUTE_COLUMNS = {"face_descriptor_samples": "descriptor_samples", "basic_attributes_samples": "basic_samples"}


def _require(principal: Principal, wanted: MatchFaces) -> None:
    """Check the token's right for every source that is read, and that no source is missing here."""
    for candidates in wanted.candidates:
        if isinstance(candidates.filters, EventFilters):
            raise ApiError(11044, "Matching with events")
        principal.require(Need("face" if isinstance(candidates.filters, FaceFilters) else "attribute", "matching"))
    for reference in wanted.references:
        if isinstance(reference, EventReferences):
            raise ApiError(11044, "Matching with events")
        if isinstance(reference, FaceReference | ExternalIdReference):
            principal.require(Need("face", "matching"))
        elif isinstance(reference, AttributeReference):
            principal.require(Need("attribute", "matching"))


def _shown(reference: Reference) -> ShownReference:
    return ShownReference(str(reference.__struct_config__.tag), str(reference.id))


def _stack(queries: Sequence[Query]) -> Vectors:
    return np.stack([query.vector for query in queries if query.vector is not None])


def _narrow(scope: Scope, account_id: UUID | None) -> Scope:
    """The scope, further limited to an account named in the filters; a foreign one finds nothing."""
    if account_id is None or account_id == scope.account_id:
        return scope
    return replace(scope, account_id=account_id if scope.account_id is None else UUID(int=0))


def _face_filter(filters: FaceFilters) -> FaceFilter:
    """The conditions except the list, which the index knows."""
    return FaceFilter(
        face_ids=filters.face_ids,
        external_ids=filters.external_ids,
        user_data=filters.user_data,
        created_from=None if filters.create_time__gte is None else parse_time(filters.create_time__gte),
        created_before=None if filters.create_time__lt is None else parse_time(filters.create_time__lt),
        id_from=filters.face_id__gte,
        id_before=filters.face_id__lt,
    )
