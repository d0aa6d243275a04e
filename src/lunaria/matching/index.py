"""A matching index: a copy of the descriptors of faces, or of events, in memory that follows the database.

PostgreSQL is the truth. The index loads when it is first needed, and a search first reads what was committed when it
arrived (`catch_up`), so what was acknowledged is found and what was deleted is not. It can be lost at any moment.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

import numpy as np
import structlog
from numpy.typing import NDArray
from pyroaring import BitMap

from lunaria.matching import _ids
from lunaria.matching.engine import Gallery
from lunaria.matching.sources import IndexedDescriptor, Source
from lunaria.storage.arrays import ID_BYTES, pack, unpack

log = structlog.get_logger(__name__)

Rows = NDArray[np.int32]

FEW = 5000
"""So many ids are looked up on the event loop; of more it would feel."""
SMALL = 3_000_000
SMALL_QUERIES = 4
SMALL_LIMIT = 100
"""Components to compare, queries, and objects to find by all of them, up to which a search mostly takes about a
millisecond: as much as a thread."""


class RowFilter(NamedTuple):
    """Which objects may be found; None admits all. `keys`: their ids, see `arrays.pack`."""

    account_id: UUID | None = None
    list_id: UUID | None = None
    keys: bytes | None = None

    @property
    def has_many_keys(self) -> bool:
        return self.keys is not None and len(self.keys) > FEW * ID_BYTES


class Found(NamedTuple):
    """An object that was found, with the cosine of its descriptor and the query."""

    key: UUID
    cosine: float


@dataclass(slots=True)
class VersionIndex:
    """The objects that have a descriptor of one version: which stands in which row of the gallery, in which row sets.

    Once searches can see it, it is changed on the event loop only. A freed row is given to another object only after
    every search that could still name it has ended, so a row of an answer always means the object that was compared.
    """

    gallery: Gallery
    row_of: dict[bytes, int] = field(default_factory=dict)
    key_of: list[bytes | None] = field(default_factory=list)
    words_of: _ids.Words = field(default_factory=lambda: np.zeros((1024, 2), np.uint64))
    """The keys as numbers. A row that was freed still has its last one, and its place in the gallery is empty."""
    owner_of: list[UUID | None] = field(default_factory=list)
    lists_of: list[tuple[UUID, ...]] = field(default_factory=list)
    accounts: dict[UUID, BitMap] = field(default_factory=dict)
    lists: dict[UUID, BitMap] = field(default_factory=dict)
    _freed: deque[tuple[int, int]] = field(default_factory=deque)
    _searches: Counter[int] = field(default_factory=Counter)
    _generation: int = 0

    def put(self, described: Sequence[IndexedDescriptor]) -> tuple[Rows, NDArray[np.float16]]:
        """Give every object its row and sets; returns what `gallery.put` is to be called with."""
        rows = np.fromiter((self._place(one) for one in described), np.int32, len(described))
        if len(self.key_of) > len(self.words_of):
            grown = np.zeros((2 * len(self.key_of), 2), np.uint64)
            grown[: len(self.words_of)] = self.words_of
            self.words_of = grown
        self.words_of[rows] = _ids.words(pack(one.key for one in described))
        return rows, np.stack([one.vector for one in described])

    def _place(self, described: IndexedDescriptor) -> int:
        key = described.key.bytes
        row = self.row_of.get(key)
        if row is None:
            row = self._new_row()
            self.row_of[key] = row
            self.key_of[row] = key
        self._leave_sets(row)
        self.owner_of[row] = described.account_id
        self.lists_of[row] = described.lists
        self.accounts.setdefault(described.account_id, BitMap()).add(row)
        for list_id in described.lists:
            self.lists.setdefault(list_id, BitMap()).add(row)
        return row

    def _new_row(self) -> int:
        oldest = min(self._searches, default=self._generation + 1)
        if self._freed and self._freed[0][0] < oldest:
            return self._freed.popleft()[1]
        self.key_of.append(None)
        self.owner_of.append(None)
        self.lists_of.append(())
        return len(self.key_of) - 1

    def _leave_sets(self, row: int) -> None:
        owner = self.owner_of[row]
        if owner is not None:
            _discard(self.accounts, owner, row)
        for list_id in self.lists_of[row]:
            _discard(self.lists, list_id, row)

    def remove(self, keys: Iterable[UUID]) -> Rows:
        """Forget the objects that are here; returns their rows for `gallery.remove`, and then for `free`."""
        removed = []
        for key in keys:
            row = self.row_of.pop(key.bytes, None)
            if row is None:
                continue
            self._leave_sets(row)
            self.key_of[row], self.owner_of[row], self.lists_of[row] = None, None, ()
            removed.append(row)
        return np.array(removed, np.int32)

    def free(self, rows: Rows) -> None:
        """Let other objects have rows which are empty in the gallery, once no search can name them any more."""
        self._freed.extend((self._generation, row) for row in rows.tolist())

    def rows(self, wanted: RowFilter) -> Rows | None:
        """The rows that a filter admits, whatever its keys if these are more than a FEW; None for all."""
        sets: list[BitMap] = []
        if wanted.account_id is not None:
            sets.append(self.accounts.get(wanted.account_id, BitMap()))
        if wanted.list_id is not None:
            sets.append(self.lists.get(wanted.list_id, BitMap()))
        if wanted.keys is not None and not wanted.has_many_keys:
            sets.append(self._rows_of(wanted.keys))
        if not sets:
            return None
        admitted = BitMap.intersection(*sets) if len(sets) > 1 else sets[0]
        if len(admitted) == len(self.row_of):
            return None  # as where one account owns all: the scan need not look which are meant
        return _array(admitted)

    def rows_among(self, rows: Rows | None, keys: bytes) -> Rows:
        """Those of the rows (None: all) whose objects are among these: for many keys, outside the event loop."""
        own = self.words_of if rows is None else self.words_of[rows]
        places = _ids.places_of(_ids.words(keys), own)
        if places is not None:
            return places.astype(np.int32) if rows is None else rows[places]
        found = _array(self._rows_of(keys))
        return found if rows is None else np.intersect1d(found, rows, assume_unique=True)

    def _rows_of(self, keys: bytes) -> BitMap:
        found = (self.row_of.get(key) for key in unpack(keys))
        return BitMap(row for row in found if row is not None)

    @contextmanager
    def searching(self) -> Iterator[None]:
        """While a search runs outside the event loop, no row that it may name gets another object."""
        self._generation += 1
        mine = self._generation
        self._searches[mine] += 1
        try:
            yield
        finally:
            del self._searches[mine]


def _array(rows: BitMap) -> Rows:
    return np.frombuffer(rows.to_array(), np.uint32).astype(np.int32)


def _discard(sets: dict[UUID, BitMap], key: UUID, row: int) -> None:
    rows = sets.get(key)
    if rows is not None:
        rows.discard(row)
        if not rows:
            del sets[key]


class MatchingIndex:
    """One VersionIndex for every descriptor version that the objects of a source have.

    `threads`: of one search (see Gallery).
    """

    def __init__(self, source: Source, *, threads: int = 1) -> None:
        self._source = source
        self._threads = threads
        self._versions: dict[int, VersionIndex] = {}
        self._position = 0
        self._seen: frozenset[int] = frozenset()
        self._following = asyncio.Lock()
        self._arrivals = 0
        self._served = 0
        self._loaded = False

    @property
    def nbytes(self) -> int:
        """Bytes of all galleries."""
        return sum(version.gallery.nbytes for version in self._versions.values())

    def __len__(self) -> int:
        """Descriptors held."""
        return sum(len(version.gallery) for version in self._versions.values())

    def version(self, version: int) -> VersionIndex | None:
        """The index of a version; None when nothing has such a descriptor."""
        return self._versions.get(version)

    async def catch_up(self) -> None:
        """Take in everything that was committed when this was called; concurrent callers share one reading.

        It goes on when the caller is cancelled: given up between the row sets and the gallery, the two would differ,
        and the thread that still changes the gallery would meet the next change.
        """
        self._arrivals += 1
        await asyncio.shield(asyncio.ensure_future(self._catch_up(self._arrivals)))

    async def _catch_up(self, ticket: int) -> None:
        async with self._following:
            if self._served >= ticket:
                return
            served = self._arrivals
            if self._loaded:
                await self._follow()
            else:
                await self._load()
            self._served = served

    async def keep_up(self) -> None:
        """Catch up, unless nobody has needed this index yet."""
        if self._loaded:
            await self.catch_up()

    async def _follow(self) -> None:
        changes = await self._source.changes(self._position, self._seen)
        if changes.keys is None:
            log.warning("matching index cannot follow the log of changes", of=self._source.name, action="loading anew")
            await self._load()
            return
        if changes.keys:
            await self._refresh(changes.keys)
        self._position, self._seen = changes.position, changes.seen

    async def _refresh(self, keys: list[UUID]) -> None:
        """Bring these objects to their present state, whatever happened to them."""
        present = _by_version([one async for batch in self._source.descriptors(keys) for one in batch])
        self._loaded = False  # a failure on the way leaves row sets and galleries apart: then all is read anew
        for number in {*self._versions, *present}:
            described = present.get(number, [])
            there = {one.key for one in described}
            version = _version_for(self._versions, number, described, self._threads)
            gone = version.remove(key for key in keys if key not in there)
            placed = version.put(described) if described else None
            await asyncio.to_thread(_apply, version.gallery, gone, placed)
            version.free(gone)
        self._loaded = True

    async def _load(self) -> None:
        """Read everything; the old state serves until the new one is complete."""
        fresh: dict[int, VersionIndex] = {}
        begin = await self._source.position()
        try:
            async for batch in self._source.descriptors():
                await asyncio.to_thread(_fill, fresh, batch, self._threads)
        except Exception as error:  # those who wait for it may all have given up
            log.error("matching index not loaded", of=self._source.name, error=repr(error))
            raise
        self._versions = fresh
        self._position, self._seen, self._loaded = begin.position, begin.seen, True
        size = round(self.nbytes / 2**20)
        log.info("matching index loaded", of=self._source.name, descriptors=len(self), megabytes=size)

    def search(
        self,
        version: int,
        queries: NDArray[np.float32],
        limit: int,
        wanted: RowFilter,
        minimum: float,
    ) -> "PreparedSearch | None":
        """Prepare a search on the event loop; `run` it on a worker. None when nothing can be compared with these."""
        found = self._versions.get(version)
        if found is None or found.gallery.dimension != queries.shape[1]:
            return None
        many = wanted.keys if wanted.has_many_keys else None
        return PreparedSearch(found, queries, limit, found.rows(wanted), minimum, many)


def _version_for(
    versions: dict[int, VersionIndex], number: int, described: Sequence[IndexedDescriptor], threads: int
) -> VersionIndex:
    if number not in versions:
        versions[number] = VersionIndex(Gallery(len(described[0].vector), threads=threads))
    return versions[number]


def _fill(versions: dict[int, VersionIndex], batch: Sequence[IndexedDescriptor], threads: int) -> None:
    """Put descriptors into an index that nobody else sees yet: on a thread, as the server may be busy meanwhile."""
    for number, described in _by_version(batch).items():
        version = _version_for(versions, number, described, threads)
        version.gallery.put(*version.put(described))


def _by_version(batch: Iterable[IndexedDescriptor]) -> dict[int, list[IndexedDescriptor]]:
    found: dict[int, list[IndexedDescriptor]] = {}
    for one in batch:
        found.setdefault(one.version, []).append(one)
    return found


def _apply(gallery: Gallery, gone: Rows, placed: tuple[Rows, NDArray[np.float16]] | None) -> None:
    gallery.remove(gone)
    if placed is not None:
        gallery.put(*placed)


@dataclass(frozen=True, slots=True)
class PreparedSearch:
    """Queries (Q, D) against fixed rows of one version; with `keys`, only against those whose object is among them."""

    index: VersionIndex
    queries: NDArray[np.float32]
    limit: int
    rows: Rows | None
    minimum: float
    keys: bytes | None = None

    @property
    def small(self) -> bool:
        """Whether it may run on the event loop."""
        queries = len(self.queries)
        scanned = self.index.gallery.scanned if self.rows is None else 2 * len(self.rows)
        return (
            self.keys is None
            and self.queries.size * scanned <= SMALL
            and queries <= SMALL_QUERIES
            and queries * self.limit <= SMALL_LIMIT
        )

    def run(self) -> list[list[Found]]:
        """For each query the objects found, best first. On a worker, unless small, within `index.searching()`."""
        rows = self.rows if self.keys is None else self.index.rows_among(self.rows, self.keys)
        hits = self.index.gallery.search(self.queries, self.limit, rows=rows, minimum=self.minimum)
        key_of = self.index.key_of
        return [
            [
                Found(UUID(bytes=key), float(cosine))
                for row, cosine in zip(found.rows.tolist(), found.cosines.tolist(), strict=True)
                if (key := key_of[row]) is not None
            ]
            for found in hits
        ]
