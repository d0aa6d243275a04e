"""Tables of events by month of `create_time`.

Months near now have partitions of their own, made when the first event of the month comes and, for the next month,
ahead. Events of any other time are in the default partitions, so that strange times cannot make tables without number.
"""

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime

import asyncpg
import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from lunaria.kit.times import Clock
from lunaria.storage.changes import EVENT_CHANGES
from lunaria.storage.database import Database
from lunaria.storage.schema import PARTITIONED_TABLES

log = structlog.get_logger(__name__)

MONTHS_BACK = 36
MONTHS_AHEAD = 1
"""Months before and after the present one that get partitions."""
LOCK_KEY = 7_160_204_602
"""Any constant serves that no other use of advisory locks in this product has."""
PATIENCE_MS = 3000
"""How long to wait for searches to let go of a table before events go to the default partition instead."""
MOVING_MS = 600_000
"""Time limit of a statement that moves events out of the default partition."""

_NAMES = tuple(table.name for table in PARTITIONED_TABLES)


def month_of(time: datetime) -> date:
    """The first day of the month that a time is in."""
    return time.astimezone(UTC).date().replace(day=1)


def next_month(month: date, step: int = 1) -> date:
    """The month `step` after (or, negative, before) a month."""
    count = month.year * 12 + month.month - 1 + step
    return date(count // 12, count % 12 + 1, 1)


class Partitions:
    """Makes and drops months. Several servers may do so at once."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._made: set[date] = set()

    async def make_room(self, times: Collection[datetime]) -> None:
        """Make the missing partitions for events of these times, where they are near enough to get one.

        Without a partition an event goes to the default one, from where a later call moves it: so when a table stays
        locked for too long, that is logged and no failure.
        """
        present = month_of(self._clock.now())
        first, last = next_month(present, -MONTHS_BACK), next_month(present, MONTHS_AHEAD)
        for month in sorted({month_of(time) for time in times} - self._made):
            if first <= month <= last:
                await self._make(month)

    async def make_next(self) -> None:
        """Make the partitions of this month and of the next, before their first events come."""
        present = month_of(self._clock.now())
        for month in (present, next_month(present)):
            if month not in self._made:
                await self._make(month)

    async def drop_month(self, month: date) -> bool:
        """Drop a month that has partitions of its own, with all its events, at little cost. Whether there was one.

        Events of the same month that are in the default partition stay.
        """
        names = [_partition(table, month) for table in _NAMES]
        async with self._database.transaction() as connection:
            await _begin(connection)
            if not await _exists(connection, month):
                return False
            # Always in this order, as those who write: two who wait for each other would never end.
            await connection.execute(text(f"LOCK TABLE {', '.join(_NAMES)} IN ACCESS EXCLUSIVE MODE"))
            await connection.execute(text(f"DROP TABLE {', '.join(names)}"))
            await EVENT_CHANGES.note_everything(connection)
        self._made.discard(month)
        return True

    async def months(self) -> list[date]:
        """The months that have partitions, oldest first."""
        query = text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'events'::regclass")
        async with self._database.read() as connection:
            names = (await connection.execute(query)).scalars().all()
        return _months(names)

    async def _make(self, month: date) -> None:
        try:
            async with self._database.transaction() as connection:
                await _begin(connection)
                if not await _exists(connection, month):
                    await _create(connection, month)
        except DBAPIError as error:
            if not isinstance(error.orig and error.orig.__cause__, asyncpg.LockNotAvailableError):
                raise
            log.warning("a month of events gets no partition yet: the tables are in use", month=str(month))
            return
        self._made.add(month)


def _partition(table: str, month: date) -> str:
    return f"{table}_{month:%Y_%m}"


def _months(names: Iterable[str]) -> list[date]:
    found = (name.removeprefix("events_").split("_") for name in names if not name.endswith("_default"))
    return sorted(date(int(year), int(month), 1) for year, month in found)


async def _begin(connection: AsyncConnection) -> None:
    """One server at a time, and nobody waits long for a lock: whoever comes later would wait behind us."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
    await connection.execute(text(f"SET LOCAL lock_timeout = {PATIENCE_MS}"))
    await connection.execute(text(f"SET LOCAL statement_timeout = {MOVING_MS}"))


async def _exists(connection: AsyncConnection, month: date) -> bool:
    found = await connection.execute(text("SELECT to_regclass(:name)"), {"name": _partition(_NAMES[0], month)})
    return found.scalar_one() is not None


async def _create(connection: AsyncConnection, month: date) -> None:
    """Make a month's partitions, and move there what the default ones have of it."""
    since, until = f"{month}T00:00:00Z", f"{next_month(month)}T00:00:00Z"
    for table in _NAMES:
        name, default = _partition(table, month), f"{table}_default"
        # Nobody may add events of this month to the default partition from here on.
        await connection.execute(text(f"LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE"))
        await connection.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)"))
        await connection.execute(
            text(
                f"""
                WITH moved AS (
                    DELETE FROM {default} WHERE create_time >= '{since}' AND create_time < '{until}' RETURNING *
                )
                INSERT INTO {name} SELECT * FROM moved
                """  # noqa: S608  (names of tables and times made here)
            )
        )
        await connection.execute(
            text(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{since}') TO ('{until}')")
        )
