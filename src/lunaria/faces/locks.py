"""The order in which rows are locked, so that no two requests wait for each other for ever.

1. the account's links as a whole, where membership of lists matters (`allow_linking`, `forbid_linking`);
2. faces, by id; 3. their attributes; 4. lists, by id; 5. links.

A link is made or removed only with its list locked, and a face is deleted only with its lists locked. Whoever links a
face holds it so that it cannot be deleted meanwhile; that is why foreign keys are never violated.
"""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import Integer, cast, func, literal, select, update

from lunaria.storage.arrays import among
from lunaria.storage.schema import faces, lists
from lunaria.storage.scope import ScopedConnection

_LINKING = 0x4C49
"""Any constant serves that no other use of two-number advisory locks in this product has."""


async def allow_linking(connection: ScopedConnection, account_id: UUID) -> None:
    """Take part in changing which faces of the account are in which lists, together with others."""
    await connection.execute(select(func.pg_advisory_xact_lock_shared(*_key(account_id))))


async def forbid_linking(connection: ScopedConnection, account_id: UUID) -> None:
    """Keep others from adding faces of the account to lists until the transaction ends."""
    await connection.execute(select(func.pg_advisory_xact_lock(*_key(account_id))))


async def lock_faces(connection: ScopedConnection, face_ids: Collection[UUID], *, exclusively: bool) -> set[UUID]:
    """Those of the faces that exist within the scope; they cannot be deleted by others until the transaction ends.

    `exclusively`: nor changed or linked by others, as for deleting them.
    """
    statement = connection.scoped(select(faces.c.face_id), faces).where(among(faces.c.face_id, face_ids))
    statement = statement.order_by(faces.c.face_id)
    locking = statement.with_for_update(read=not exclusively, key_share=not exclusively)
    return set((await connection.execute(locking)).scalars())


async def lock_lists(
    connection: ScopedConnection, list_ids: Collection[UUID], *, exclusively: bool = False
) -> set[UUID]:
    """Those of the lists that exist within the scope; nobody else changes them until the transaction ends."""
    statement = connection.scoped(select(lists.c.list_id), lists).where(among(lists.c.list_id, list_ids))
    locking = statement.order_by(lists.c.list_id).with_for_update(key_share=not exclusively)
    return set((await connection.execute(locking)).scalars())


async def touch_lists(connection: ScopedConnection, list_ids: Collection[UUID], now: datetime) -> None:
    """Note that locked lists have changed; the time never goes back."""
    if list_ids:
        statement = connection.scoped(update(lists), lists).where(among(lists.c.list_id, list_ids))
        await connection.execute(
            statement.values(last_update_time=func.greatest(lists.c.last_update_time, literal(now)))
        )


def linking_lock(account_id: UUID) -> tuple[int, int]:
    """The numbers of the account's advisory lock."""
    return _LINKING, account_id.int % 2**32 - 2**31


def _key(account_id: UUID) -> tuple[object, object]:
    first, second = linking_lock(account_id)
    return cast(first, Integer), cast(second, Integer)
