"""SQL of the records of samples, images and objects."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, select

from lunaria.storage.database import Database
from lunaria.storage.schema import blobs
from lunaria.storage.scope import NewRows, Scope


class BlobsStore:
    """Rows of `blobs`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, owner: UUID, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add the rows all or none, each of the account `owner`."""
        await self._database.add([new_blobs(Scope(owner), rows)])

    async def find(self, scope: Scope, kinds: Collection[str], blob_id: UUID) -> RowMapping | None:
        """The record of a blob of one of `kinds`."""
        async with self._database.scoped_connect(scope) as connection:
            statement = connection.select_owned(blobs).where(blobs.c.kind.in_(kinds), blobs.c.blob_id == blob_id)
            found = await connection.execute(statement.limit(1))
        return found.mappings().one_or_none()

    async def existing(self, scope: Scope, kind: str, blob_ids: Collection[UUID]) -> set[UUID]:
        """Those of `blob_ids` that there are."""
        async with self._database.scoped_connect(scope) as connection:
            statement = connection.scoped(select(blobs.c.blob_id), blobs)
            statement = statement.where(blobs.c.kind == kind, blobs.c.blob_id.in_(blob_ids))
            found = await connection.execute(statement)
        return set(found.scalars())

    async def delete(self, scope: Scope, kinds: Collection[str], blob_id: UUID) -> str | None:
        """Delete the record; the kind that it had, or None when there was none."""
        async with self._database.scoped_transaction(scope) as connection:
            statement = connection.scoped(blobs.delete(), blobs)
            statement = statement.where(blobs.c.kind.in_(kinds), blobs.c.blob_id == blob_id)
            deleted = await connection.execute(statement.returning(blobs.c.kind))
        kind: str | None = deleted.scalars().first()
        return kind


def new_blobs(scope: Scope, rows: Sequence[Mapping[str, Any]]) -> NewRows:
    """Records of blobs whose bytes are stored."""
    return NewRows(scope, blobs, rows)
