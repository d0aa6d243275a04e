"""SQL of lists."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, delete, func, insert, literal, select, update

from lunaria.faces.failures import MissingFaceError, MissingListError
from lunaria.faces.filters import ListFilter, in_order, list_conditions
from lunaria.faces.links import add_links, remove_links
from lunaria.faces.locks import allow_linking, forbid_linking, lock_faces, lock_lists, touch_lists
from lunaria.faces.store import delete_locked, existing_lists, linked_lists
from lunaria.storage.arrays import among
from lunaria.storage.database import Database
from lunaria.storage.schema import list_faces, lists
from lunaria.storage.scope import Scope, ScopedConnection


class ListsStore:
    """Rows of lists, and which faces are in them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, owner: UUID, row: Mapping[str, Any]) -> None:
        async with self._database.scoped_transaction(Scope(owner)) as connection:
            await connection.execute(insert(lists), row)

    async def find(self, scope: Scope, wanted: ListFilter, limit: int, offset: int) -> Sequence[RowMapping]:
        """A page of the lists that fulfil the filter."""
        async with self._database.scoped_connect(scope) as connection:
            statement = connection.select_owned(lists).where(*list_conditions(wanted))
            ordered = in_order(statement, lists, wanted).limit(limit).offset(offset)
            return (await connection.execute(ordered)).mappings().all()

    async def count(self, scope: Scope, wanted: ListFilter) -> int:
        """How many lists fulfil the filter."""
        async with self._database.scoped_connect(scope) as connection:
            statement = connection.scoped(select(func.count()).select_from(lists), lists)
            counted: int = (await connection.execute(statement.where(*list_conditions(wanted)))).scalar_one()
        return counted

    async def existing(self, scope: Scope, list_ids: Collection[UUID]) -> set[UUID]:
        """Those of the lists that there are."""
        return await existing_lists(self._database, scope, list_ids)

    async def change(self, scope: Scope, list_id: UUID, user_data: str, now: datetime) -> bool:
        """Set the user data. Whether the list was there."""
        async with self._database.scoped_transaction(scope) as connection:
            statement = connection.scoped(update(lists), lists).where(lists.c.list_id == list_id)
            moved = func.greatest(lists.c.last_update_time, literal(now))
            changed = await connection.execute(statement.values(user_data=user_data, last_update_time=moved))
        return changed.rowcount > 0

    async def delete(self, owner: UUID, list_ids: Sequence[UUID], now: datetime, *, with_faces: bool) -> None:
        """Delete lists of an account; `with_faces` with the faces that are in them. Raises MissingListError."""
        async with self._database.scoped_transaction(Scope(owner)) as connection:
            members: set[UUID] = set()
            others: set[UUID] = set()
            if with_faces:
                await forbid_linking(connection, owner)
                members = await lock_faces(connection, await _members(connection, list_ids), exclusively=True)
                others = await linked_lists(connection, members) - set(list_ids)
            locked = await lock_lists(connection, [*list_ids, *others], exclusively=True)
            for list_id in list_ids:
                if list_id not in locked:
                    raise MissingListError(list_id)
            await touch_lists(connection, others, now)
            await delete_locked(connection, members)
            await connection.execute(connection.scoped(delete(lists), lists).where(among(lists.c.list_id, list_ids)))

    async def attach(self, owner: UUID, list_id: UUID, face_ids: Collection[UUID], now: datetime) -> None:
        """Put faces of an account into a list of it. Raises MissingListError, MissingFaceError."""
        async with self._database.scoped_transaction(Scope(owner)) as connection:
            await _hold(connection, owner, list_id, face_ids)
            await add_links(connection, [list_id], face_ids, now)

    async def detach(self, owner: UUID, list_id: UUID, face_ids: Collection[UUID], now: datetime) -> None:
        """Take faces of an account out of a list of it. Raises MissingListError, MissingFaceError."""
        async with self._database.scoped_transaction(Scope(owner)) as connection:
            await _hold(connection, owner, list_id, face_ids)
            await remove_links(connection, list_id, face_ids, now)


async def _hold(connection: ScopedConnection, owner: UUID, list_id: UUID, face_ids: Collection[UUID]) -> None:
    await allow_linking(connection, owner)
    # Looked for before the faces are locked, so that a missing list is told of first.
    existing = connection.scoped(select(lists.c.list_id), lists).where(lists.c.list_id == list_id)
    if (await connection.execute(existing)).first() is None:
        raise MissingListError(list_id)
    held = await lock_faces(connection, face_ids, exclusively=False)
    for face_id in face_ids:
        if face_id not in held:
            raise MissingFaceError(face_id)


async def _members(connection: ScopedConnection, list_ids: Collection[UUID]) -> set[UUID]:
    statement = select(list_faces.c.face_id).distinct().where(among(list_faces.c.list_id, list_ids))
    return set((await connection.execute(connection.scoped(statement, list_faces))).scalars())
