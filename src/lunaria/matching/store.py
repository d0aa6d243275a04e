"""SQL of matching: descriptors of references, filters that need the database, found objects."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import Column, ColumnElement, RowMapping, Table, select

from lunaria.events.schemas import DescriptorKind
from lunaria.faces.filters import FaceFilter, face_conditions
from lunaria.matching.sources import BATCH, vector_of
from lunaria.storage.arrays import among, packed
from lunaria.storage.changes import CHANGE_LOGS
from lunaria.storage.database import Database
from lunaria.storage.schema import (
    attribute_descriptors,
    attributes,
    event_descriptors,
    events,
    face_descriptors,
    faces,
)
from lunaria.storage.scope import Scope, ScopedConnection, scoped

log = structlog.get_logger(__name__)

KEPT_CHANGES = 1_000_000
"""Entries of a log of changes that are kept for other server processes."""


EventName = Literal["external_id", "track_id"]
"""Columns by which several events can be named at once."""


@dataclass(frozen=True, slots=True)
class StoredDescriptor:
    """A descriptor of the object `key`. `vector`: float32 (D,), unit."""

    key: UUID
    version: int
    vector: NDArray[np.float32]


class MatchingStore:
    """Reads; it changes nothing but the length of the change log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def prune(self) -> None:
        """Shorten the logs of changes; a follower that needs what is gone loads anew."""
        for changes in CHANGE_LOGS:
            async with self._database.transaction() as connection:
                await changes.prune(connection, KEPT_CHANGES)

    async def packed_faces(self, scope: Scope, wanted: FaceFilter) -> bytes:
        """The ids of the faces that fulfil the filter; see `arrays.unpack`."""
        statement = select(packed(faces.c.face_id)).where(*face_conditions(wanted, scope))
        async with self._database.scoped_connect(scope) as connection:
            ids: bytes = (await connection.execute(connection.scoped(statement, faces))).scalar_one()
        return ids

    async def face_references(self, scope: Scope, face_ids: Collection[UUID]) -> dict[UUID, list[StoredDescriptor]]:
        """Each of these faces that exists, with its descriptors."""
        async with self._database.scoped_connect(scope) as connection:
            return await _described(connection, faces.c.face_id, face_descriptors, among(faces.c.face_id, face_ids))

    async def external_references(
        self, scope: Scope, external_ids: Collection[str], limit: int
    ) -> dict[str, dict[UUID, list[StoredDescriptor]]]:
        """For each external id its faces with their descriptors, oldest face first; `limit` faces in all."""
        named = among(faces.c.external_id, external_ids) & (faces.c.external_id != "")
        statement = select(faces.c.external_id, faces.c.face_id).where(named)
        async with self._database.scoped_connect(scope) as connection:
            ordered = connection.scoped(statement, faces).order_by(faces.c.create_time, faces.c.face_id)
            owners: list[Any] = list((await connection.execute(ordered.limit(limit))).all())
            wanted = among(faces.c.face_id, [face_id for _, face_id in owners])
            described = await _described(connection, faces.c.face_id, face_descriptors, wanted) if owners else {}
        return _by_name(owners, described)

    async def event_references(
        self, scope: Scope, kind: DescriptorKind, event_ids: Collection[UUID]
    ) -> dict[UUID, list[StoredDescriptor]]:
        """Each of these events that exists, with its descriptors of the kind."""
        async with self._database.scoped_connect(scope) as connection:
            return await _described_events(connection, kind, among(events.c.event_id, event_ids))

    async def named_events(
        self, scope: Scope, kind: DescriptorKind, column: EventName, values: Collection[str], limit: int
    ) -> dict[str, dict[UUID, list[StoredDescriptor]]]:
        """For each external id or track id its events with their descriptors, oldest first; `limit` events in all."""
        named = events.c[column]
        statement = select(named, events.c.event_id).where(among(named, values))
        async with self._database.scoped_connect(scope) as connection:
            ordered = connection.scoped(statement, events).order_by(events.c.create_time, events.c.event_id)
            owners: list[Any] = list((await connection.execute(ordered.limit(limit))).all())
            wanted = among(events.c.event_id, [event_id for _, event_id in owners])
            described = await _described_events(connection, kind, wanted) if owners else {}
        return _by_name(owners, described)

    async def attribute_references(
        self, scope: Scope, attribute_ids: Collection[UUID], now: datetime
    ) -> dict[UUID, list[StoredDescriptor]]:
        """Each of these temporary attributes that lives, with its descriptors."""
        key = attributes.c.attribute_id
        living = among(key, attribute_ids) & (attributes.c.expires_at > now)
        async with self._database.scoped_connect(scope) as connection:
            return await _described(connection, key, attribute_descriptors, living)

    async def attribute_candidates(
        self, scope: Scope, attribute_ids: Sequence[UUID] | None, version: int, now: datetime
    ) -> AsyncIterator[tuple[list[UUID], NDArray[np.float32]]]:
        """Living temporary attributes with a descriptor of the version, in batches: ids and vectors (n, D)."""
        statement = (
            select(attributes.c.attribute_id, *_coded(attribute_descriptors))
            .join(attribute_descriptors)
            .where(attributes.c.expires_at > now, attribute_descriptors.c.version == version)
        )
        if attribute_ids is not None:
            statement = statement.where(among(attributes.c.attribute_id, attribute_ids))
        statement = scoped(scoped(statement, attributes, scope), attribute_descriptors, scope)
        async with self._database.connect() as connection, connection.stream(statement) as rows:
            async for part in rows.partitions(BATCH):
                described = [found for row in part if (found := _stored(row)) is not None]
                if described:
                    yield [found.key for found in described], np.stack([found.vector for found in described])

    async def found_attributes(self, scope: Scope, attribute_ids: Collection[UUID]) -> dict[UUID, RowMapping]:
        """The records of found temporary attributes."""
        async with self._database.scoped_connect(scope) as connection:
            statement = connection.select_owned(attributes).where(among(attributes.c.attribute_id, attribute_ids))
            rows = (await connection.execute(statement)).mappings()
            return {row["attribute_id"]: row for row in rows}


def _coded(table: Table) -> tuple[Column[Any], ...]:
    return table.c.version, table.c.coding, table.c.data


async def _described_events(
    connection: ScopedConnection, kind: DescriptorKind, condition: ColumnElement[bool]
) -> dict[UUID, list[StoredDescriptor]]:
    wanted = event_descriptors.c.kind == kind
    return await _described(connection, events.c.event_id, event_descriptors, condition, wanted)


async def _described(
    connection: ScopedConnection,
    key: Column[Any],
    table: Table,
    condition: ColumnElement[bool],
    of_kind: ColumnElement[bool] | None = None,
) -> dict[UUID, list[StoredDescriptor]]:
    """The objects of `key`'s table that fulfil the condition, each with its descriptors (`of_kind`), if any."""
    owner = key.table
    assert isinstance(owner, Table)
    present = connection.scoped(select(key).where(condition), owner)
    found: dict[UUID, list[StoredDescriptor]] = {one: [] for one in (await connection.execute(present)).scalars()}
    if found:
        own_key = table.c[key.name]
        statement = select(own_key, *_coded(table)).where(among(own_key, found))
        if of_kind is not None:
            statement = statement.where(of_kind)
        for row in await connection.execute(connection.scoped(statement, table)):
            stored = _stored(row)
            if stored is not None:
                found[stored.key].append(stored)
    return found


def _by_name(
    owners: Iterable[tuple[str, UUID]], described: Mapping[UUID, list[StoredDescriptor]]
) -> dict[str, dict[UUID, list[StoredDescriptor]]]:
    """The described objects under the names that they share, in the order given."""
    found: dict[str, dict[UUID, list[StoredDescriptor]]] = {}
    for name, key in owners:
        if key in described:
            found.setdefault(name, {})[key] = described[key]
    return found


def _stored(row: Any) -> StoredDescriptor | None:
    key, version, coding, data = row
    vector = vector_of(coding, data)
    if vector is None:
        log.error("stored descriptor without a direction", object=str(key), version=version)
        return None
    return StoredDescriptor(key, version, vector)
