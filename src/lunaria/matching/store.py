"""SQL of matching: descriptors for the index and for references, filters that need the database, found objects."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import Column, ColumnElement, RowMapping, Table, func, select

from lunaria.faces.filters import FaceFilter, face_conditions
from lunaria.storage.arrays import among
from lunaria.storage.changes import FaceChanges, change_position, changes_since, prune_face_changes
from lunaria.storage.database import Database
from lunaria.storage.schema import (
    CODING_FLOAT16,
    attribute_descriptors,
    attributes,
    face_descriptors,
    faces,
    list_faces,
)
from lunaria.storage.scope import EVERYTHING, Scope, ScopedConnection, scoped

log = structlog.get_logger(__name__)

BATCH = 5_000


@dataclass(frozen=True, slots=True)
class FaceDescriptor:
    """A stored descriptor with what the index filters by. `vector`: float16 (D,), unit."""

    face_id: UUID
    account_id: UUID
    version: int
    vector: NDArray[np.float16]
    lists: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class StoredDescriptor:
    """A descriptor of the object `key`. `vector`: float32 (D,), unit."""

    key: UUID
    version: int
    vector: NDArray[np.float32]


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


class MatchingStore:
    """Reads; it changes nothing but the length of the change log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # For the index, over all accounts

    async def position(self) -> int:
        async with self._database.read() as connection:
            return await change_position(connection)

    async def changes(self, position: int, seen: frozenset[int]) -> FaceChanges:
        async with self._database.read() as connection:
            return await changes_since(connection, position, seen)

    async def prune(self, keep: int) -> None:
        async with self._database.transaction() as connection:
            await prune_face_changes(connection, keep)

    async def descriptors(self, face_ids: Sequence[UUID] | None = None) -> AsyncIterator[list[FaceDescriptor]]:
        """The descriptors of these faces, or of all, in batches."""
        links = select(list_faces.c.face_id, func.array_agg(list_faces.c.list_id).label("lists"))
        links = scoped(links, list_faces, EVERYTHING).group_by(list_faces.c.face_id)
        if face_ids is not None:
            links = links.where(among(list_faces.c.face_id, face_ids))
        grouped = links.subquery()
        statement: Any = (
            select(
                faces.c.face_id,
                faces.c.account_id,
                face_descriptors.c.version,
                face_descriptors.c.coding,
                face_descriptors.c.data,
                grouped.c.lists,
            )
            .join(face_descriptors, face_descriptors.c.face_id == faces.c.face_id)
            .outerjoin(grouped, grouped.c.face_id == faces.c.face_id)
        )
        statement = scoped(scoped(statement, faces, EVERYTHING), face_descriptors, EVERYTHING)
        if face_ids is not None:
            statement = statement.where(among(faces.c.face_id, face_ids))
        async with self._database.connect() as connection, connection.stream(statement) as rows:
            dimensions: dict[int, int] = {}
            async for part in rows.partitions(BATCH):
                yield [face for row in part if (face := _face_descriptor(row, dimensions)) is not None]

    # For requests, within a scope

    async def filtered_faces(self, scope: Scope, wanted: FaceFilter) -> list[UUID]:
        """The faces that fulfil the filter."""
        statement = select(faces.c.face_id).where(*face_conditions(wanted, scope))
        async with self._database.scoped_connect(scope) as connection:
            return list((await connection.execute(connection.scoped(statement, faces))).scalars())

    async def face_references(self, scope: Scope, face_ids: Collection[UUID]) -> dict[UUID, list[StoredDescriptor]]:
        """Each of these faces that exists, with its descriptors."""
        async with self._database.scoped_connect(scope) as connection:
            return await _described(connection, faces.c.face_id, face_descriptors, among(faces.c.face_id, face_ids))

    async def external_references(
        self, scope: Scope, external_ids: Collection[str]
    ) -> dict[str, dict[UUID, list[StoredDescriptor]]]:
        """For each external id its faces with their descriptors, oldest face first."""
        named = among(faces.c.external_id, external_ids) & (faces.c.external_id != "")
        statement = select(faces.c.external_id, faces.c.face_id).where(named)
        async with self._database.scoped_connect(scope) as connection:
            ordered = connection.scoped(statement, faces).order_by(faces.c.create_time, faces.c.face_id)
            owners: list[Any] = list((await connection.execute(ordered)).all())
            described = await _described(connection, faces.c.face_id, face_descriptors, named)
        found: dict[str, dict[UUID, list[StoredDescriptor]]] = {}
        for external_id, face_id in owners:
            if face_id in described:
                found.setdefault(external_id, {})[face_id] = described[face_id]
        return found

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


async def _described(
    connection: ScopedConnection, key: Column[Any], table: Table, condition: ColumnElement[bool]
) -> dict[UUID, list[StoredDescriptor]]:
    """The objects of `key`'s table that fulfil the condition, each with its descriptors, if any."""
    owner = key.table
    assert isinstance(owner, Table)
    present = connection.scoped(select(key).where(condition), owner)
    found: dict[UUID, list[StoredDescriptor]] = {one: [] for one in (await connection.execute(present)).scalars()}
    if found:
        own_key = table.c[key.name]
        statement = select(own_key, *_coded(table)).where(among(own_key, found))
        for row in await connection.execute(connection.scoped(statement, table)):
            stored = _stored(row)
            if stored is not None:
                found[stored.key].append(stored)
    return found


def _stored(row: Any) -> StoredDescriptor | None:
    key, version, coding, data = row
    vector = vector_of(coding, data)
    if vector is None:
        log.error("stored descriptor without a direction", object=str(key), version=version)
        return None
    return StoredDescriptor(key, version, vector)


def _face_descriptor(row: Any, dimensions: dict[int, int]) -> FaceDescriptor | None:
    """The row's descriptor; None, with a line in the log, for one that cannot be compared with its version."""
    face_id, account_id, version, coding, data, lists = row
    vector = vector_of(coding, data)
    if vector is None or len(vector) != dimensions.setdefault(version, len(vector)):
        log.error("stored descriptor left out of matching", face=str(face_id), version=version, bytes=len(data))
        return None
    return FaceDescriptor(face_id, account_id, version, vector.astype(np.float16), tuple(lists or ()))
