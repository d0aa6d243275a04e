"""SQL of the links between faces and lists."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert

from lunaria.faces.failures import MissingListError
from lunaria.faces.locks import linking_lock, lock_lists, touch_lists
from lunaria.storage.arrays import among
from lunaria.storage.schema import list_faces
from lunaria.storage.scope import Preface, ScopedConnection

# As `add_links` with `allow_linking`, in the same order of locks: each part waits for the one before. A list that is
# not there leaves a link without a list, which no row may be, so that the statement fails as a whole.
_LINKS_OF_NEW = """
    gate AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared($1::int, $2::int)),
    locked AS MATERIALIZED (
        SELECT lists.list_id FROM lists CROSS JOIN gate
        WHERE lists.account_id = $3 AND lists.list_id = ANY ($4::uuid[])
        ORDER BY lists.list_id FOR NO KEY UPDATE OF lists
    ),
    touched AS (
        UPDATE lists SET last_update_time = greatest(lists.last_update_time, $5)
        FROM locked WHERE lists.list_id = locked.list_id
    ),
    linked AS (
        INSERT INTO list_faces (list_id, face_id)
        SELECT locked.list_id, link.face_id FROM unnest($4::uuid[], $6::uuid[]) AS link (list_id, face_id)
        LEFT JOIN locked ON locked.list_id = link.list_id
    )"""


def links_of_new(owner: UUID, links: Collection[tuple[UUID, UUID]], now: datetime) -> Preface:
    """Puts faces into lists of the account: (list, face), in the statement that adds these faces.

    It fails with an IntegrityError for a list that is not there.
    """
    pairs = list(dict.fromkeys(links))
    own = [[pair[place] for pair in pairs] for place in (0, 1)]
    return Preface(_LINKS_OF_NEW, (*linking_lock(owner), owner, own[0], now, own[1]))


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
