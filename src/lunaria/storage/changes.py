"""The log of changed faces, which the matching index follows.

Triggers write a row for every face whose record, attributes, descriptors or list links a transaction changes. Row
numbers do not come in the order of commits, so a follower goes by transactions: everything below its position has
been seen; all transactions that were running when it read last are at or above it.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

_PRUNED = "face_changes_pruned"

_POSITION = text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")

# One statement, so one snapshot, also in a READ COMMITTED transaction.
_CHANGES = text(
    f"""
    WITH entries AS (
        SELECT face_id, transaction_id::text::bigint AS transaction_id FROM face_changes
        WHERE transaction_id >= CAST(CAST(:position AS text) AS xid8)
          AND transaction_id::text::bigint <> ALL (CAST(:seen AS bigint[]))
    )
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
           coalesce((SELECT (value #>> '{{}}')::bigint FROM database_settings WHERE key = '{_PRUNED}'), 0),
           ARRAY(SELECT DISTINCT face_id FROM entries),
           ARRAY(SELECT DISTINCT transaction_id FROM entries)
    """  # noqa: S608  (only a constant of this module is put in)
)

_PRUNE = text(
    f"""
    WITH cutoff AS (
        SELECT least(transaction_id, pg_snapshot_xmin(pg_current_snapshot())) AS id
        FROM face_changes ORDER BY sequence DESC OFFSET :keep LIMIT 1
    ), noted AS (
        INSERT INTO database_settings (key, value) SELECT '{_PRUNED}', to_jsonb(id::text) FROM cutoff
        ON CONFLICT (key) DO UPDATE SET value = excluded.value
    )
    DELETE FROM face_changes USING cutoff WHERE transaction_id < cutoff.id
    """  # noqa: S608
)


@dataclass(frozen=True)
class FaceChanges:
    """What changed since a position. `face_ids` is None when older entries are gone: load everything anew.

    `seen`: transactions at or above `position` that these changes already include.
    """

    position: int
    face_ids: list[UUID] | None
    seen: frozenset[int] = frozenset()


async def change_position(connection: AsyncConnection) -> int:
    """The position of this statement's snapshot (or REPEATABLE READ transaction): all below it is visible."""
    return int((await connection.execute(_POSITION)).scalar_one())


async def changes_since(connection: AsyncConnection, position: int, seen: frozenset[int] = frozenset()) -> FaceChanges:
    """The faces that transactions at or above `position` touched, except those `seen`, and where to go on next time.

    A transaction's entries become visible all at once, so each is told once: pass the `position` and `seen` of the
    last answer. For the faces' rows read them in the same REPEATABLE READ transaction or later.
    """
    parameters = {"position": str(position), "seen": sorted(seen)}
    new_position, pruned, face_ids, transactions = (await connection.execute(_CHANGES, parameters)).one()
    running = frozenset(entry for entry in (*seen, *transactions) if entry >= new_position)
    return FaceChanges(new_position, None if position < pruned else face_ids, running)


async def prune_face_changes(connection: AsyncConnection, keep: int) -> int:
    """Deletes old entries, keeping the newest `keep`. Returns how many went. A follower that lags behind notices."""
    return (await connection.execute(_PRUNE, {"keep": keep})).rowcount


def discard_foreign_positions(connection: Connection) -> None:
    """Empties the log when its transaction ids are ahead of this server's: it was restored from another server's dump.

    Without this a follower would not see new changes as newer. Nobody follows yet when it runs, at the start.
    """
    ahead = connection.execute(
        text(
            f"""
            SELECT greatest(
                coalesce((SELECT transaction_id FROM face_changes ORDER BY 1 DESC LIMIT 1)::text::bigint, 0),
                coalesce((SELECT (value #>> '{{}}')::bigint FROM database_settings WHERE key = '{_PRUNED}'), 0)
            ) > pg_current_xact_id()::text::bigint
            """  # noqa: S608
        )
    ).scalar_one()
    if ahead:
        connection.execute(text("DELETE FROM face_changes"))
        connection.execute(text("DELETE FROM database_settings WHERE key = :key"), {"key": _PRUNED})
