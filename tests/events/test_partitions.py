"""Months of events: made near now, moved out of the default partition, dropped; also by several servers at once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text

from lunaria.events import partitions
from lunaria.events.event import NewEvent
from lunaria.events.filters import EventFilter
from lunaria.events.partitions import MONTHS_BACK, Partitions, month_of, next_month
from lunaria.events.store import EventsStore, new_events
from lunaria.storage.arrays import unpack
from lunaria.storage.changes import EVENT_CHANGES
from lunaria.storage.database import Database
from lunaria.storage.schema import PARTITIONED_TABLES
from lunaria.storage.scope import EVERYTHING, Scope
from tests.events.making import full_event

NOW = datetime(2041, 3, 31, 23, 59, 59, tzinfo=UTC)
MARCH, APRIL, MAY = date(2041, 3, 1), date(2041, 4, 1), date(2041, 5, 1)
ACCOUNT = uuid4()


class FixedClock:
    def __init__(self, moment: datetime = NOW) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
async def months(clean_database: Database, clock: FixedClock) -> AsyncIterator[Partitions]:
    made = Partitions(clean_database, clock)
    before = await made.months()
    yield made
    for month in set(await made.months()) - set(before):
        await made.drop_month(month)


async def add(database: Database, *times: datetime) -> list[NewEvent]:
    new = [full_event(ACCOUNT, create_time=time) for time in times]
    await database.add(new_events(Scope(ACCOUNT), new))
    return new


async def places(database: Database) -> list[set[str]]:
    """The partitions that have rows, for each of the tables, without the table's name."""
    found = []
    async with database.connect() as connection:
        for table in PARTITIONED_TABLES:
            names = await connection.execute(text(f"SELECT DISTINCT tableoid::regclass::text FROM {table.name}"))
            found.append({name.removeprefix(f"{table.name}_") for name in names.scalars()})
    return found


async def count(database: Database) -> list[int]:
    async with database.connect() as connection:
        return [
            (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in PARTITIONED_TABLES
        ]


def test_months() -> None:
    assert month_of(datetime(2041, 4, 1, 1, tzinfo=UTC)) == APRIL
    assert month_of(datetime.fromisoformat("2041-04-01T01:00:00+02:00")) == MARCH
    assert next_month(date(2040, 12, 1)) == date(2041, 1, 1)
    assert next_month(date(2041, 1, 1), -1) == date(2040, 12, 1)
    assert next_month(MARCH, -36) == date(2038, 3, 1)


async def test_near_months_get_partitions(months: Partitions, clean_database: Database) -> None:
    first = next_month(MARCH, -MONTHS_BACK)
    near = [NOW, NOW + timedelta(days=30), datetime(first.year, first.month, 1, tzinfo=UTC)]
    far = [NOW + timedelta(days=40), near[-1] - timedelta(microseconds=1), datetime(1, 1, 1, tzinfo=UTC)]
    await months.make_room([*near, *far, datetime.max.replace(tzinfo=UTC)])
    assert {first, MARCH, APRIL} <= set(await months.months())
    assert MAY not in await months.months()
    await add(clean_database, *near)
    assert await places(clean_database) == [{"2041_03", "2041_04", "2038_03"}] * 3
    await add(clean_database, *far)
    assert await places(clean_database) == [{"2041_03", "2041_04", "2038_03", "default"}] * 3


async def test_borders_of_a_month(months: Partitions, clean_database: Database) -> None:
    await months.make_room([NOW])
    await add(clean_database, datetime(2041, 3, 1, tzinfo=UTC), NOW + timedelta(microseconds=999_999))
    assert await places(clean_database) == [{"2041_03"}] * 3


async def test_the_next_month_is_made_ahead(months: Partitions) -> None:
    await months.make_next()
    assert {MARCH, APRIL} <= set(await months.months())


async def test_events_move_out_of_the_default_partition(
    months: Partitions, clean_database: Database, clock: FixedClock
) -> None:
    may, june = datetime(2041, 5, 10, tzinfo=UTC), datetime(2041, 6, 1, tzinfo=UTC)
    await months.make_room([may, june])
    await add(clean_database, may, may + timedelta(days=3), june)
    assert await places(clean_database) == [{"default"}] * 3
    clock.moment = datetime(2041, 4, 2, tzinfo=UTC)
    await months.make_room([may, june])
    assert await places(clean_database) == [{"2041_05", "default"}] * 3
    assert await count(clean_database) == [3, 3, 3]
    async with clean_database.connect() as connection:
        moved = await connection.execute(text("SELECT count(*) FROM events_2041_05"))
        assert moved.scalar_one() == 2


async def test_servers_make_the_same_months_at_once(
    months: Partitions, clean_database: Database, clock: FixedClock
) -> None:
    late = [NOW - timedelta(days=31 * number) for number in range(4)]
    await add(clean_database, *late)

    async def serve(number: int) -> None:
        server = Partitions(clean_database, clock)
        for _ in range(3):
            await server.make_room(late[::-1] if number % 2 else late)
            await add(clean_database, *late)

    await asyncio.gather(*(serve(number) for number in range(6)))
    assert await places(clean_database) == [{"2041_03", "2041_02", "2041_01", "2040_12"}] * 3
    assert await count(clean_database) == [4 * (1 + 6 * 3)] * 3


async def test_a_month_is_looked_for_once(
    months: Partitions, clean_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await months.make_room([NOW])
    monkeypatch.setattr(clean_database, "transaction", None)
    await months.make_room([NOW, NOW - timedelta(days=2)])


async def test_tables_in_use_are_no_failure(
    months: Partitions, clean_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "PATIENCE_MS", 50)
    async with clean_database.transaction() as connection:
        await connection.execute(text("SELECT 1 FROM events"))
        await months.make_room([NOW])
        assert MARCH not in await months.months()
    await add(clean_database, NOW)
    await months.make_room([NOW])
    assert await places(clean_database) == [{"2041_03"}] * 3


async def test_drop_a_month(months: Partitions, clean_database: Database) -> None:
    await months.make_room([NOW, NOW + timedelta(days=1)])
    await add(clean_database, NOW, NOW, NOW + timedelta(days=1), NOW + timedelta(days=80))
    async with clean_database.connect() as connection:
        before = await EVENT_CHANGES.position(connection)
    assert await months.drop_month(MARCH)
    assert await count(clean_database) == [2, 2, 2]
    changes = await EVENT_CHANGES.since(clean_database, before.position, before.seen)
    assert changes.keys is None, "followers must load anew"
    assert not await months.drop_month(MARCH)
    await months.make_room([NOW])
    await add(clean_database, NOW)
    assert await places(clean_database) == [{"2041_03", "2041_04", "default"}] * 3


async def test_delete_a_part_of_a_month(months: Partitions, clean_database: Database) -> None:
    store = EventsStore(clean_database, months)
    times = [NOW - timedelta(days=number) for number in range(5)]
    await store.make_room(times)
    new = await add(clean_database, *times)
    wanted = EventFilter(create_time__lt=NOW)
    assert await store.delete_some(Scope(uuid4()), wanted, 10) == 0
    assert await store.delete_some(Scope(ACCOUNT), wanted, 3) == 3
    assert await ids(store) == {new[0].event.event_id, new[1].event.event_id}, "the oldest go first"
    assert await store.delete_some(EVERYTHING, wanted, 3) == 1
    assert await store.delete_some(EVERYTHING, wanted, 3) == 0
    assert await count(clean_database) == [1, 1, 1]


async def ids(store: EventsStore) -> set[UUID]:
    return {UUID(bytes=key) for key in unpack(await store.packed_ids(EVERYTHING, EventFilter()))}
