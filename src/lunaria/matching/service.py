"""Searches for callers inside the server: descriptors against candidates, found objects as the client gets them."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray

from lunaria.events.filters import EventFilter
from lunaria.events.schemas import DescriptorKind
from lunaria.events.store import EventsStore, LargeEventsError
from lunaria.events.stored import stored_event
from lunaria.faces.filters import FaceFilter
from lunaria.faces.schemas import Face
from lunaria.faces.store import FacesStore
from lunaria.http.errors import ApiError
from lunaria.http.principal import NOBODY
from lunaria.kit.concurrency import map_concurrently
from lunaria.kit.pool import WorkerPool
from lunaria.kit.times import Clock
from lunaria.matching.filters import event_filter, face_filter
from lunaria.matching.index import Found, MatchingIndex, RowFilter
from lunaria.matching.schemas import (
    AttributeFilters,
    Candidates,
    EventFilters,
    FaceFilters,
    Match,
    MatchedAttribute,
)
from lunaria.matching.store import MatchingStore, StoredDescriptor
from lunaria.storage.arrays import pack
from lunaria.storage.scope import Scope
from lunaria.vision.similarity import Similarity

Vectors = NDArray[np.float32]
Row = Mapping[str, Any]

SHARING = 1000
"""Most faces that external ids stand for, where nothing else is said."""
PART = 10_000
"""Found objects that are read with one statement."""
PATIENCE = 20.0
"""Seconds that a search waits for descriptors which are being read into memory; clients do not wait much longer."""


@dataclass(frozen=True, slots=True)
class Model:
    """How descriptors of a kind are compared: the installed version, and the similarity of two of any version."""

    version: int
    similarity: Similarity


Models = Mapping[DescriptorKind, Model]


@dataclass(frozen=True, slots=True)
class Indexes:
    """The descriptors in memory. Those of events are loaded when they are first searched."""

    faces: MatchingIndex
    event_faces: MatchingIndex
    event_bodies: MatchingIndex

    async def keep_up(self) -> None:
        """Follow what has changed, in every index that has been needed."""
        for index in (self.faces, self.event_faces, self.event_bodies):
            await index.keep_up()


@dataclass(frozen=True, slots=True)
class Search:
    """Unit vectors (float32, of one version and kind) and the candidates that each is to be compared with."""

    candidates: Candidates
    vectors: Sequence[Vectors]
    version: int
    kind: DescriptorKind = "face"


@dataclass(frozen=True, slots=True)
class Described:
    """An object with the descriptor by which it is compared. `vector`: float32 (D,), unit."""

    origin: Literal["face", "event", "attribute"]
    key: UUID
    version: int
    vector: Vectors


class Similar(NamedTuple):
    """A found object with its similarity to the reference."""

    key: UUID
    similarity: float


class _Group(NamedTuple):
    """Searches that one run of the engine answers: places of the searches, and of their vectors in the run."""

    searches: list[int]
    starts: list[int]


@dataclass(frozen=True, slots=True)
class MatchingService:
    """What matching, handlers and verifiers compare descriptors with. `events`, `faces`, `store`: found objects."""

    indexes: Indexes
    store: MatchingStore
    faces: FacesStore
    events: EventsStore
    models: Models
    pool: WorkerPool
    clock: Clock

    async def search(self, scope: Scope, searches: Sequence[Search]) -> list[list[list[Match]]]:
        """For every search and each of its vectors the matches, best first.

        Everything that was committed before is seen; what is deleted meanwhile drops out. Searches with the same
        filters are one run of the engine. Raises 503/11 while the descriptors are still being read into memory,
        400/12022 for events of which too much is to be shown, and ValueError for bodies among candidates other than
        events.
        """
        await self._catch_up(searches)
        similar: list[list[list[Similar]]] = [[] for _ in searches]
        for group in _grouped(searches):
            own = [searches[number] for number in group.searches]
            found = await self._found(scope, own)
            for number, search, start in zip(group.searches, own, group.starts, strict=True):
                ranked = found[start : start + len(search.vectors)]
                similar[number] = [self._similar(hits, search) for hits in ranked]
        return await self._shown(scope, searches, similar)

    async def descriptors_of(
        self,
        scope: Scope,
        *,
        face_ids: Sequence[UUID] = (),
        external_ids: Sequence[str] = (),
        event_ids: Sequence[UUID] = (),
        attribute_ids: Sequence[UUID] = (),
        version: int | None = None,
        limit: int = SHARING,
    ) -> list[Described]:
        """The face descriptors of these objects, of a version (None: the installed one): faces in the order given,
        the faces of external ids, events, temporary attributes.

        Raises 404/22004, 404/11041, 404/23002, 404/22011 for what is not there, 404/11032 for a face without
        descriptors, 404/22018 for an object that has none of the version, 400/31007 when external ids stand for more
        than `limit` faces.
        """
        wanted = self.models["face"].version if version is None else version
        found: list[Described] = []
        by_face = await self.store.face_references(scope, face_ids) if face_ids else {}
        for face_id in face_ids:
            if face_id not in by_face:
                raise ApiError(22004, face_id)
            found.append(_described("face", face_id, by_face[face_id], wanted))
        by_external_id = await self.store.external_references(scope, external_ids, limit + 1) if external_ids else {}
        if sum(map(len, by_external_id.values())) > limit:
            raise ApiError(31007, limit)
        for external_id in external_ids:
            if external_id not in by_external_id:
                raise ApiError(11041, external_id)
            owners = by_external_id[external_id].items()
            found += [_described("face", face_id, stored, wanted) for face_id, stored in owners]
        by_event = await self.store.event_references(scope, "face", event_ids) if event_ids else {}
        for event_id in event_ids:
            if event_id not in by_event:
                raise ApiError(23002, event_id)
            found.append(_described("event", event_id, by_event[event_id], wanted))
        now = self.clock.now()
        by_attribute = await self.store.attribute_references(scope, attribute_ids, now) if attribute_ids else {}
        for attribute_id in attribute_ids:
            if attribute_id not in by_attribute:
                raise ApiError(22011, attribute_id)
            found.append(_described("attribute", attribute_id, by_attribute[attribute_id], wanted))
        return found

    def compare(self, kind: DescriptorKind, references: Vectors, candidates: Vectors) -> NDArray[np.float64]:
        """Similarities (R, C) of unit vectors (R, D) and (C, D) of one version."""
        return self.models[kind].similarity.from_cosine(references @ candidates.T)

    # Finding

    async def _catch_up(self, searches: Sequence[Search]) -> None:
        """Await what the indexes lack; they go on with it when this gives up. Raises 503/11."""
        needed = {id(index): index for search in searches if (index := self._index(search)) is not None}
        try:
            async with asyncio.timeout(PATIENCE) as patience:
                await map_concurrently(MatchingIndex.catch_up, needed.values(), len(needed))
        except TimeoutError:
            if not patience.expired():
                raise
            told = "descriptors are being read into memory"
            raise ApiError(11, told, headers={"Retry-After": "10"}) from None

    def _index(self, search: Search) -> MatchingIndex | None:
        """The index of the candidates; None for attributes, which are few and short-lived and are read each time."""
        if isinstance(search.candidates.filters, EventFilters):
            return self.indexes.event_faces if search.kind == "face" else self.indexes.event_bodies
        if search.kind != "face":
            raise ValueError(f"{search.candidates.origin} have no body descriptors")
        return self.indexes.faces if isinstance(search.candidates.filters, FaceFilters) else None

    async def _found(self, scope: Scope, searches: Sequence[Search]) -> list[list[Found]]:
        """The best of each vector of all these searches, which have filters, version and kind in common."""
        first = searches[0]
        filters = first.candidates.filters
        vectors = np.stack([vector for search in searches for vector in search.vectors])
        limit = max(search.candidates.limit for search in searches)
        minimum = self._least_cosine(first.kind, min(search.candidates.threshold for search in searches))
        narrowed = _narrow(scope, filters.account_id)
        if isinstance(filters, AttributeFilters):
            return await self._search_attributes(narrowed, filters, first.version, vectors, limit, minimum)
        wanted = await self._rows(narrowed, filters)
        index = self._index(first)
        assert index is not None
        prepared = index.search(first.version, vectors, limit, wanted, minimum)
        if prepared is None:
            return [[] for _ in vectors]
        if prepared.small:
            return prepared.run()
        with prepared.index.searching():
            return await self.pool.run(prepared.run)

    async def _rows(self, scope: Scope, filters: FaceFilters | EventFilters) -> RowFilter:
        """What the index is to search; it knows accounts, lists and ids, the database is asked about the rest."""
        if isinstance(filters, FaceFilters):
            face_ids = None if filters.face_ids is None else pack(filters.face_ids)
            conditions = face_filter(filters)
            if conditions != FaceFilter(face_ids=filters.face_ids):
                narrowed = replace(conditions, list_id=filters.list_id)  # fewer ids to fetch
                face_ids = await self.store.packed_faces(scope, narrowed)
            return RowFilter(scope.account_id, filters.list_id, face_ids)
        event_ids = None if filters.event_ids is None else pack(filters.event_ids)
        wanted = event_filter(filters)
        if wanted != EventFilter(event_ids=filters.event_ids):
            event_ids = await self.events.packed_ids(scope, wanted)
        return RowFilter(scope.account_id, None, event_ids)

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

    def _least_cosine(self, kind: DescriptorKind, threshold: float) -> float:
        """A cosine below which no candidate reaches the threshold, whatever rounding does."""
        return float(self.models[kind].similarity.to_cosine(threshold)) - 1e-6 if threshold > 0 else -1.0

    def _similar(self, hits: Sequence[Found], search: Search) -> list[Similar]:
        """The similarity of the best hits, those below the threshold left out; equal ones by id."""
        kept = hits[: search.candidates.limit]
        similarities = self.models[search.kind].similarity.from_cosine([hit.cosine for hit in kept]).tolist()
        similar = [
            Similar(hit.key, similarity)
            for hit, similarity in zip(kept, similarities, strict=True)
            if similarity >= search.candidates.threshold
        ]
        return sorted(similar, key=lambda hit: (-hit.similarity, hit.key))

    # Showing

    async def _shown(
        self, scope: Scope, searches: Sequence[Search], similar: list[list[list[Similar]]]
    ) -> list[list[list[Match]]]:
        """The found objects with the fields asked for; those deleted meanwhile drop out."""
        keys: dict[str, set[UUID]] = {}
        fields: dict[str, set[str]] = {}
        for search, ranked in zip(searches, similar, strict=True):
            origin = search.candidates.origin
            keys.setdefault(origin, set()).update(hit.key for hits in ranked for hit in hits)
            fields.setdefault(origin, set()).update(search.candidates.shown)
        rows = {origin: await self._records(scope, origin, keys[origin], fields[origin]) for origin in keys}
        shown: list[list[list[Match]]] = []
        for search, ranked in zip(searches, similar, strict=True):
            matches = _Matches(search.candidates, rows[search.candidates.origin])
            shown.append([matches.of(hits) for hits in ranked])
        return shown

    async def _records(self, scope: Scope, origin: str, keys: set[UUID], fields: set[str]) -> Mapping[UUID, Row]:
        """The rows of found objects of one origin, with what these fields are made from. Raises 400/12022."""
        if not keys:
            return {}
        if origin == "events":
            try:
                return await self.events.get(scope, keys, fields)
            except LargeEventsError as error:
                raise ApiError(12022, "targets", error) from None
        ordered = list(keys)
        rows: dict[UUID, Row] = {}
        for start in range(0, len(ordered), PART):
            part = ordered[start : start + PART]
            if origin == "faces":
                found: Sequence[Any] = await self.faces.get(scope, part, with_lists="lists" in fields)
                rows.update((row["face_id"], row) for row in found)
            else:
                living = await self.store.found_attributes(scope, part)
                rows.update((key, dict(row)) for key, row in living.items())
        return rows


_ATTRIBUTE_COLUMNS = {"face_descriptor_samples": "descriptor_samples", "basic_attributes_samples": "basic_samples"}


class _Matches:
    """What the client gets of the hits among one set of candidates; each object is made once."""

    def __init__(self, candidates: Candidates, rows: Mapping[UUID, Row]) -> None:
        self._origin = candidates.origin
        self._fields = candidates.shown
        self._rows = rows
        self._made: dict[UUID, dict[str, Any]] = {}

    def of(self, hits: Iterable[Similar]) -> list[Match]:
        return [self._match(hit) for hit in hits if hit.key in self._rows]

    def _match(self, hit: Similar) -> Match:
        shown = self._made.get(hit.key)
        if shown is None:
            shown = self._made[hit.key] = self._show(self._rows[hit.key])
        return Match(hit.similarity, **shown)

    def _show(self, row: Row) -> dict[str, Any]:
        """The object under the name that a match gives it."""
        if self._origin == "faces":
            return {"face": Face(**{name: row[name] for name in self._fields})}
        if self._origin == "events":
            return {"event": stored_event(row, self._fields)}
        columns = {name: _ATTRIBUTE_COLUMNS.get(name, name) for name in self._fields}
        return {"attribute": MatchedAttribute(**{name: row[column] for name, column in columns.items()})}


def _grouped(searches: Sequence[Search]) -> list[_Group]:
    """Searches that one run of the engine can answer: those of the same filters, version and kind."""
    groups: dict[tuple[bytes, int, str], _Group] = {}
    sizes: dict[tuple[bytes, int, str], int] = {}
    for number, search in enumerate(searches):
        if not search.vectors:
            continue
        key = msgspec.json.encode(search.candidates.filters), search.version, search.kind
        group = groups.setdefault(key, _Group([], []))
        group.searches.append(number)
        group.starts.append(sizes.get(key, 0))
        sizes[key] = group.starts[-1] + len(search.vectors)
    return list(groups.values())


def _described(
    origin: Literal["face", "event", "attribute"], key: UUID, stored: Sequence[StoredDescriptor], version: int
) -> Described:
    """The descriptor of a version that an object has. Raises 404/11032, 404/22018."""
    if origin == "face" and not stored:
        raise ApiError(11032, key)
    for one in stored:
        if one.version == version:
            return Described(origin, key, version, one.vector)
    raise ApiError(22018, version, key)


def _narrow(scope: Scope, account_id: UUID | None) -> Scope:
    """The scope, further limited to an account named in the filters; a foreign one finds nothing."""
    if account_id is None or account_id == scope.account_id:
        return scope
    return replace(scope, account_id=account_id if scope.account_id is None else NOBODY)
