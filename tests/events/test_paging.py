"""Pages of random events against sorting and filtering in Python, with steps so small that all of them are taken."""

import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from lunaria.events import paging
from lunaria.events.columns import row_of
from lunaria.events.event import NewEvent
from lunaria.events.filters import EventFilter, Order
from lunaria.events.partitions import Partitions
from lunaria.events.store import EventsStore, new_events
from lunaria.kit.times import SystemClock
from lunaria.storage.arrays import unpack
from lunaria.storage.database import Database
from lunaria.storage.scope import EVERYTHING, Scope
from tests.events.making import basic, plain_event

COUNT = 300
ACCOUNTS = [uuid4(), uuid4()]
NOW = datetime.now(UTC)
Row = dict[str, Any]


def random_event(chance: random.Random) -> NewEvent:
    """Some events are of the same time, so that their ids decide."""
    common = chance.random() < 0.8
    return plain_event(
        chance.choices(ACCOUNTS, (3, 1))[0],
        event_id=UUID(int=chance.getrandbits(128), version=4),
        create_time=NOW - timedelta(days=chance.randrange(60)),
        source="gate" if common else chance.choice(["door", None]),
        tags=chance.sample(["a", "b", "c"], chance.randrange(3)),
        user_data=chance.choice(["", "red car at gate", "Red car", "car is red", "carpet"]),
        face_attributes=basic(chance.randrange(18, 60), chance.randrange(2)) if common else None,
    )


@pytest.fixture(scope="module")
def made() -> list[NewEvent]:
    chance = random.Random(3)
    return [random_event(chance) for _ in range(COUNT)]


@pytest.fixture
async def store(
    clean_database: Database, made: list[NewEvent], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[EventsStore]:
    monkeypatch.setattr(paging, "NEAR", 40)
    monkeypatch.setattr(paging, "NEAR_PER_EVENT", 2)
    monkeypatch.setattr(paging, "FAR", 100)
    monkeypatch.setattr(paging, "SAMPLED", 30)
    monkeypatch.setattr(paging, "COMMON", 3)
    store = EventsStore(clean_database, Partitions(clean_database, SystemClock()))
    await store.make_room([one.event.create_time for one in made])
    for account in ACCOUNTS:
        await clean_database.add(new_events(Scope(account), [one for one in made if one.account_id == account]))
    yield store


FILTERS: list[tuple[EventFilter, Callable[[Row], bool]]] = [
    (EventFilter(), lambda row: True),
    (EventFilter(sources=["gate"]), lambda row: row["source"] == "gate"),
    (EventFilter(sources=["door"]), lambda row: row["source"] == "door"),
    (EventFilter(sources=["door", None]), lambda row: row["source"] in ("door", None)),
    (EventFilter(sources=["nowhere"]), lambda row: False),
    (EventFilter(tags=["a", "b"]), lambda row: {"a", "b"} <= set(row["tags"])),
    *(
        (EventFilter(user_data=part), lambda row, part=part: part.lower() in row["user_data"].lower())
        for part in ("red CAR", "car red", "gate red", "pet", "lorry", "r", "%car", "car at gate")
    ),
    (EventFilter(age__gte=58), lambda row: row["age"] is not None and row["age"] >= 58),
    (EventFilter(gender=[None]), lambda row: row["gender"] is None),
    (
        EventFilter(create_time__gte=NOW - timedelta(days=30), create_time__lt=NOW - timedelta(days=3), gender=[1]),
        lambda row: NOW - timedelta(days=30) <= row["create_time"] < NOW - timedelta(days=3) and row["gender"] == 1,
    ),
    (EventFilter(event_id__gte=UUID(int=2**126)), lambda row: row["event_id"] >= UUID(int=2**126)),
    (
        EventFilter(event_id__gte=UUID(int=2**124), event_id__lt=UUID(int=15 * 2**124), sources=["door"]),
        lambda row: UUID(int=2**124) <= row["event_id"] < UUID(int=15 * 2**124) and row["source"] == "door",
    ),
    (
        EventFilter(event_id__lt=UUID(int=2**127), create_time__gte=NOW - timedelta(days=10)),
        lambda row: row["event_id"] < UUID(int=2**127) and row["create_time"] >= NOW - timedelta(days=10),
    ),
]
PAGES = [(1, 0), (10, 0), (10, 10), (10, 60), (7, 91), (50, 50), (10, 150), (1000, 0), (10, 500)]


@pytest.mark.parametrize("order", [None, "asc", "desc"])
@pytest.mark.parametrize("scope", [Scope(ACCOUNTS[0]), Scope(ACCOUNTS[1]), EVERYTHING], ids=["large", "small", "all"])
async def test_pages(store: EventsStore, made: list[NewEvent], scope: Scope, order: Order | None) -> None:
    rows = [row_of(one) for one in made if scope.account_id in (None, one.account_id)]
    for wanted, holds in FILTERS:
        by_id = wanted.event_id__gte is not None or wanted.event_id__lt is not None
        names = ("event_id",) if by_id else ("create_time", "event_id")
        descending = (order or ("asc" if by_id else "desc")) == "desc"
        expected = sorted(
            (row for row in rows if holds(row)), key=lambda row: [row[name] for name in names], reverse=descending
        )
        for limit, offset in PAGES:
            found = await store.find(scope, wanted, limit, offset, ["event_id", "source"], order)
            ids = [row["event_id"] for row in expected[offset : offset + limit]]
            assert [row["event_id"] for row in found] == ids, (wanted, limit, offset)
        keys = list(unpack(await store.packed_ids(scope, wanted)))
        assert sorted(keys) == sorted(row["event_id"].bytes for row in expected)


async def test_ids_of_other_accounts_are_not_found(store: EventsStore, made: list[NewEvent]) -> None:
    ids = [one.event.event_id for one in made]
    for account in ACCOUNTS:
        found = await store.get(Scope(account), ids, None)
        assert found.keys() == {one.event.event_id for one in made if one.account_id == account}
    wanted = EventFilter(event_ids=ids)
    assert len(await store.find(Scope(ACCOUNTS[1]), wanted, 1000, 0)) == len(found)
