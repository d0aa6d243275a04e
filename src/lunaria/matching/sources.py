"""What the matching indexes follow: descriptors of faces, of events' faces and of events' bodies, over all accounts."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import ARRAY, Select, Uuid, any_, bindparam, func, select

from lunaria.events.schemas import DescriptorKind
from lunaria.storage.changes import EVENT_CHANGES, FACE_CHANGES, ChangeLog, Changes
from lunaria.storage.database import Database
from lunaria.storage.schema import CODING_FLOAT16, event_descriptors, face_descriptors, faces, list_faces
from lunaria.storage.scope import EVERYTHING, PreparedStatement, scoped, scoped_later

log = structlog.get_logger(__name__)

BATCH = 5_000
FEW = 50
"""So many rows are read on the event loop: a thread costs more than they do."""

_KEYS = any_(bindparam("keys", type_=ARRAY(Uuid)))


@dataclass(frozen=True, slots=True)
class IndexedDescriptor:
    """A stored descriptor with what the index filters by. `vector`: float16 (D,), unit.

    `lists`: those that the object is linked to; only faces are.
    """

    key: UUID
    account_id: UUID
    version: int
    vector: NDArray[np.float16]
    lists: tuple[UUID, ...] = ()


class Source(Protocol):
    """Objects with descriptors in the database, and the log of their changes. `name` is for the server's log."""

    name: str

    async def position(self) -> Changes:
        """See `ChangeLog.position`."""

    async def changes(self, position: int, seen: frozenset[int]) -> Changes:
        """See `ChangeLog.since`."""

    def descriptors(self, keys: Sequence[UUID] | None = None) -> AsyncIterator[list[IndexedDescriptor]]:
        """The descriptors of these objects, or of all, in batches."""


class _Logged:
    """The part of a source that reads its log."""

    def __init__(self, database: Database, changes: ChangeLog) -> None:
        self._database = database
        self._log = changes

    async def position(self) -> Changes:
        async with self._database.read() as connection:
            return await self._log.position(connection)

    async def changes(self, position: int, seen: frozenset[int]) -> Changes:
        return await self._log.since(self._database, position, seen)

    async def _read(self, statement: Select[Any]) -> AsyncIterator[list[IndexedDescriptor]]:
        """The rows of a statement: key, account, version, coding, data, lists."""
        async with self._database.connect() as connection, connection.stream(statement) as rows:
            reader = _Reader()
            async for part in rows.partitions(BATCH):
                yield await asyncio.to_thread(reader.read, part)

    async def _read_some(
        self, prepared: PreparedStatement, keys: Sequence[UUID], **given: Any
    ) -> AsyncIterator[list[IndexedDescriptor]]:
        """The same of some objects, which are mostly the few that changed since the last search."""
        reader = _Reader()
        for start in range(0, len(keys), BATCH):
            part = list(keys[start : start + BATCH])
            found = await self._database.fetch_prepared(EVERYTHING, prepared, keys=part, **given)
            rows = [row.values() for row in found]
            yield reader.read(rows) if len(rows) <= FEW else await asyncio.to_thread(reader.read, rows)


class FaceDescriptors(_Logged):
    """The descriptors of faces, with the lists that the faces are linked to."""

    name = "faces"

    def __init__(self, database: Database) -> None:
        super().__init__(database, FACE_CHANGES)

    def descriptors(self, keys: Sequence[UUID] | None = None) -> AsyncIterator[list[IndexedDescriptor]]:
        if keys is not None:
            return self._read_some(_OF_FACES, keys)
        links = select(list_faces.c.face_id, func.array_agg(list_faces.c.list_id).label("lists"))
        grouped = scoped(links, list_faces, EVERYTHING).group_by(list_faces.c.face_id).subquery()
        statement = _FACES.add_columns(grouped.c.lists).outerjoin(grouped, grouped.c.face_id == faces.c.face_id)
        return self._read(scoped(scoped(statement, faces, EVERYTHING), face_descriptors, EVERYTHING))


class EventDescriptors(_Logged):
    """The descriptors of one kind that events have."""

    def __init__(self, database: Database, kind: DescriptorKind) -> None:
        super().__init__(database, EVENT_CHANGES)
        self.name = f"{kind} descriptors of events"
        self._kind = kind

    def descriptors(self, keys: Sequence[UUID] | None = None) -> AsyncIterator[list[IndexedDescriptor]]:
        if keys is not None:
            return self._read_some(_OF_EVENTS, keys, kind=self._kind)
        statement = _EVENTS.where(event_descriptors.c.kind == self._kind)
        return self._read(scoped(statement, event_descriptors, EVERYTHING))


def _columns(key: Any, account_id: Any, own: Any) -> Select[Any]:
    return select(key, account_id, own.version, own.coding, own.data)


_FACES = _columns(faces.c.face_id, faces.c.account_id, face_descriptors.c).join(
    face_descriptors, face_descriptors.c.face_id == faces.c.face_id
)
_links = scoped_later(
    select(func.array_agg(list_faces.c.list_id)).where(list_faces.c.face_id == faces.c.face_id), list_faces
)
_OF_FACES = PreparedStatement(
    scoped_later(
        scoped_later(
            _FACES.add_columns(_links.scalar_subquery().label("lists")).where(faces.c.face_id == _KEYS), faces
        ),
        face_descriptors,
    )
)
_EVENTS = _columns(event_descriptors.c.event_id, event_descriptors.c.account_id, event_descriptors.c)
_OF_EVENTS = PreparedStatement(
    scoped_later(
        _EVENTS.where(event_descriptors.c.kind == bindparam("kind"), event_descriptors.c.event_id == _KEYS),
        event_descriptors,
    )
)


def vector_of(coding: int, data: bytes) -> NDArray[np.float32] | None:
    """The unit vector of stored bytes; None for bytes without a direction."""
    if coding == CODING_FLOAT16:
        vector = np.frombuffer(data, np.float16).astype(np.float32)
    else:
        vector = np.frombuffer(data, np.uint8).astype(np.float32) - 128
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0:
        return None
    return vector if coding == CODING_FLOAT16 else vector / np.float32(length)


class _Reader:
    """Makes descriptors of rows. Equal accounts and sets of lists are one object: they are kept a million times."""

    def __init__(self) -> None:
        self._dimensions: dict[int, int] = {}
        self._accounts: dict[UUID, UUID] = {}
        self._lists: dict[tuple[UUID, ...], tuple[UUID, ...]] = {}

    def read(self, rows: Iterable[Any]) -> list[IndexedDescriptor]:
        """The descriptors of these rows. On a thread: when an index is loaded, the server may be busy meanwhile."""
        return [found for row in rows if (found := self._descriptor(row)) is not None]

    def _descriptor(self, row: Any) -> IndexedDescriptor | None:
        """The row's descriptor; None, with a line in the log, for one that cannot be compared with its version."""
        key, account_id, version, coding, data, *lists = row
        vector = vector_of(coding, data)
        if vector is None or len(vector) != self._dimensions.setdefault(version, len(vector)):
            log.error("stored descriptor left out of matching", object=str(key), version=version, bytes=len(data))
            return None
        owner = self._accounts.setdefault(account_id, account_id)
        linked = tuple(lists[0] or ()) if lists else ()
        linked = self._lists.setdefault(linked, linked)
        return IndexedDescriptor(key, owner, version, vector.astype(np.float16), linked)
