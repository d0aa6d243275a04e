"""SQL of the links between faces and lists."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert

from lunaria.faces.failures import MissingListError
from lunaria.faces.locks import lock_lists, touch_lists
from lunaria.storage.arrays import among
from lunaria.storage.schema import list_faces
from lunaria.storage.scope import ScopedConnection


async def add_links(
    connection: ScopedConnection, list_ids: Sequence[UUID], face_ids: Collection[UUID], now: datetime
) -> None:
    """Put faces, which must be locked, into lists; those that are in stay. Raises MissingListError."""
    await _lock(connection, list_ids)
    pairs = select(
        func.unnest(literal([one for one in list_ids for _ in face_ids], ARRAY(Uuid))),
        func.unnest(literal([*face_ids] * len(list_ids), ARRAY(Uuid))),
    )
    statement = insert(list_faces).from_select(["list_id", "face_id"], pairs).on_conflict_do_nothing()
    added = await connection.execute(statement.returning(list_faces.c.list_id))
    await touch_lists(connection, set(added.scalars()), now)


async def remove_links(connection: ScopedConnection, list_id: UUID, face_ids: Collection[UUID], now: datetime) -> None:
    """Take faces out of a list; those that are not in do not matter. Raises MissingListError."""
    await _lock(connection, [list_id])
    statement = connection.scoped(delete(list_faces), list_faces)
    removed = await connection.execute(
        statement.where(list_faces.c.list_id == list_id, among(list_faces.c.face_id, face_ids))
    )
    if removed.rowcount:
        await touch_lists(connection, [list_id], now)


async def lists_of(connection: ScopedConnection, face_ids: Collection[UUID]) -> dict[UUID, list[UUID]]:
    """The lists of each face that is in any, in the order in which it came into them."""
    found: dict[UUID, list[UUID]] = {}
    statement = select(list_faces.c.face_id, list_faces.c.list_id).where(among(list_faces.c.face_id, face_ids))
    ordered = statement.order_by(list_faces.c.link_time, list_faces.c.list_id)
    links: Iterable[Any] = await connection.execute(connection.scoped(ordered, list_faces))
    for face_id, list_id in links:
        found.setdefault(face_id, []).append(list_id)
    return found


async def _lock(connection: ScopedConnection, list_ids: Sequence[UUID]) -> None:
    locked = await lock_lists(connection, list_ids)
    for list_id in list_ids:
        if list_id not in locked:
            raise MissingListError(list_id)
