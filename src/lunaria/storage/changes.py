"""Logs of changed objects, which the matching indexes follow: one of faces, one of events' descriptors.

Triggers write a row for every face whose record, attributes, descriptors or list links a transaction changes, and for
every event whose descriptors it changes. Row numbers do not come in the order of commits, so a follower goes by
transactions: everything below its position has been seen; all transactions that were running when it read last are at
or above it.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from lunaria.storage.database import Database
from lunaria.storage.schema import event_changes, face_changes

_EVERYTHING = UUID(int=0)
"""In place of an object: anything may have changed."""


@dataclass(frozen=True)
class Changes:
    """What changed since a position. `keys` is None when nobody can tell: load everything anew.

    `seen`: transactions at or above `position` that these changes already include.
    """

    position: int
    keys: list[UUID] | None
    seen: frozenset[int] = frozenset()


class ChangeLog:
    """The log in `table`, whose column `key` names the objects."""

    def __init__(self, table: Table, key: str) -> None:
        self.table = table.name
        self._pruned = f"{table.name}_pruned"
        # One statement, so one snapshot, also in a READ COMMITTED transaction.
        self._changes = f"""
            WITH entries AS (
                SELECT {key} AS key, transaction_id::text::bigint AS transaction_id FROM {table.name}
                WHERE transaction_id >= $1::text::xid8 AND transaction_id::text::bigint <> ALL ($2::bigint[])
            )
            SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
                   coalesce((SELECT (value #>> '{{}}')::bigint FROM database_settings WHERE key = '{self._pruned}'), 0),
                   ARRAY(SELECT DISTINCT key FROM entries),
                   ARRAY(SELECT DISTINCT transaction_id FROM entries)
            """  # noqa: S608  (only names of tables and columns are put in)
        self._position = text(
            f"""
            SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
                   ARRAY(
                       SELECT DISTINCT transaction_id::text::bigint FROM {table.name}
                       WHERE transaction_id >= pg_snapshot_xmin(pg_current_snapshot())
                   )
            """  # noqa: S608
        )
        self._prune = text(
            f"""
            WITH cutoff AS (
                SELECT least(transaction_id, pg_snapshot_xmin(pg_current_snapshot())) AS id
                FROM {table.name} ORDER BY sequence DESC OFFSET :keep LIMIT 1
            ), noted AS (
                INSERT INTO database_settings (key, value) SELECT '{self._pruned}', to_jsonb(id::text) FROM cutoff
                ON CONFLICT (key) DO UPDATE SET value = excluded.value
            )
            DELETE FROM {table.name} USING cutoff WHERE transaction_id < cutoff.id
            """  # noqa: S608
        )
        self._everything = text(f"INSERT INTO {table.name} ({key}) VALUES (:everything)")  # noqa: S608
        self._newest = text(
            f"""
            SELECT greatest(
                coalesce((SELECT transaction_id FROM {table.name} ORDER BY 1 DESC LIMIT 1)::text::bigint, 0),
                coalesce((SELECT (value #>> '{{}}')::bigint FROM database_settings WHERE key = '{self._pruned}'), 0)
            ) > pg_current_xact_id()::text::bigint
            """  # noqa: S608
        )

    async def position(self, connection: AsyncConnection) -> Changes:
        """Where a follower begins that reads everything afterwards: all that was committed by now counts as seen."""
        position, transactions = (await connection.execute(self._position)).one()
        return Changes(position, [], frozenset(transactions))

    async def since(self, database: Database, position: int, seen: frozenset[int] = frozenset()) -> Changes:
        """The objects that transactions at or above `position` touched, except those `seen`, and where to go on.

        A transaction's entries become visible all at once, so each is told once: pass the `position` and `seen` of
        the last answer. For the objects' rows read them later.
        """
        ((new_position, pruned, keys, transactions),) = await database.fetch(self._changes, str(position), sorted(seen))
        running = frozenset(entry for entry in (*seen, *transactions) if entry >= new_position)
        unknown = position < pruned or _EVERYTHING in keys
        return Changes(new_position, None if unknown else keys, running)

    async def note_everything(self, connection: AsyncConnection) -> None:
        """Lets followers load everything anew: for changes that no trigger sees, as when a partition is dropped."""
        await connection.execute(self._everything, {"everything": _EVERYTHING})

    async def prune(self, connection: AsyncConnection, keep: int) -> int:
        """Deletes old entries, keeping the newest `keep`. Returns how many went. Who lags behind notices."""
        return (await connection.execute(self._prune, {"keep": keep})).rowcount

    def discard_foreign_positions(self, connection: Connection) -> None:
        """Empties the log when its transaction ids are ahead of this server's: it was restored from another's dump.

        Without this a follower would not see new changes as newer. Nobody follows yet when it runs, at the start.
        """
        if connection.execute(self._newest).scalar_one():
            connection.execute(text(f"DELETE FROM {self.table}"))  # noqa: S608
            connection.execute(text("DELETE FROM database_settings WHERE key = :key"), {"key": self._pruned})


FACE_CHANGES = ChangeLog(face_changes, "face_id")
EVENT_CHANGES = ChangeLog(event_changes, "event_id")
CHANGE_LOGS = (FACE_CHANGES, EVENT_CHANGES)


def discard_foreign_positions(connection: Connection) -> None:
    """See `ChangeLog.discard_foreign_positions`; for every log."""
    for changes in CHANGE_LOGS:
        changes.discard_foreign_positions(connection)
