"""Publishing: readers of this process and of others, in order, without one holding up another."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text

from lunaria.events.event import NewEvent
from lunaria.events.publishing import EventPublisher, Reader, ReaderLimits
from lunaria.events.subscriptions import Subscription, SubscriptionQuery
from lunaria.http.errors import ApiError
from lunaria.http.query import parse_query
from lunaria.storage.database import Database
from lunaria.storage.schema import broadcasts
from tests.events.making import full_event, plain_event

LIMITS = ReaderLimits(readers=4, readers_of_account=2, messages=50, message_bytes=1024 * 1024)
REQUEST_ID = "1623984298,375c6d96-09c7-4db3-91cc-f13e66288aa9"


@pytest.fixture
async def two(clean_database: Database) -> AsyncIterator[tuple[EventPublisher, EventPublisher]]:
    """The publishers of two server processes."""
    first, second = (EventPublisher(clean_database, LIMITS) for _ in range(2))
    first.start()
    second.start()
    yield first, second
    await first.stop()
    await second.stop()


def wanting(text: str = "") -> Subscription:
    return Subscription(parse_query(text, SubscriptionQuery))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the other side is the database
            await asyncio.sleep(0.01)


async def told(reader: Reader, number: int) -> list[str]:
    """The ids of the next events."""
    async with asyncio.timeout(30):
        return [json.loads(await reader.next())["event"]["event_id"] for _ in range(number)]


def ids(events: list[NewEvent]) -> list[str]:
    return [str(new.event.event_id) for new in events]


async def test_reader_of_another_process_gets_exactly_its_events(two: tuple[EventPublisher, EventPublisher]) -> None:
    here, there = two
    account = uuid4()
    events = [plain_event(account, source=("gate", "door")[number % 2]) for number in range(40)]
    async with AsyncExitStack() as stack:
        everything = await stack.enter_async_context(there.reader(account, wanting()))
        gates = await stack.enter_async_context(there.reader(account, wanting("sources=gate")))
        own = await stack.enter_async_context(here.reader(account, wanting("sources=door")))
        foreign = await stack.enter_async_context(there.reader(uuid4(), wanting()))
        await until(lambda: here._broadcast.is_followed(account))
        await here.publish(events, REQUEST_ID)
        assert await told(everything, 40) == ids(events)
        assert await told(gates, 20) == ids(events[::2])
        assert await told(own, 20) == ids(events[1::2])
        assert not foreign._waiting


async def test_message_is_the_same_in_every_process(two: tuple[EventPublisher, EventPublisher]) -> None:
    here, there = two
    account = uuid4()
    async with here.reader(account, wanting()) as own, there.reader(account, wanting()) as other:
        await until(lambda: here._broadcast.is_followed(account))
        await here.publish([full_event(account)], REQUEST_ID)
        async with asyncio.timeout(30):
            message = await own.next()
            assert await other.next() == message
    assert json.loads(message)["Luna-Request-id"] == REQUEST_ID


async def rows(database: Database) -> int:
    async with database.connect() as connection:
        return int((await connection.execute(select(func.max(broadcasts.c.sequence)))).scalar_one() or 0)


async def test_nothing_is_written_when_nobody_else_listens(
    two: tuple[EventPublisher, EventPublisher], database: Database
) -> None:
    here, there = two
    account = uuid4()
    async with here.reader(account, wanting()) as own, there.reader(uuid4(), wanting()):
        await here.publish([plain_event(account) for _ in range(10)], REQUEST_ID)
        assert len(await told(own, 10)) == 10
    assert await rows(database) == 0


async def test_reading_goes_on_after_the_database_connection_was_killed(
    two: tuple[EventPublisher, EventPublisher], database: Database
) -> None:
    here, there = two
    account = uuid4()
    async with there.reader(account, wanting()) as reader:
        await until(lambda: here._broadcast.is_followed(account))
        async with database.transaction() as connection:
            killed = await connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
            )
            assert killed.all()
        async with there.reader(uuid4(), wanting()):  # returns when its account, and so all, are followed again
            events = [plain_event(account)]
            await until(lambda: here._broadcast.is_followed(account))
            await here.publish(events, REQUEST_ID)
            assert await told(reader, 1) == ids(events)


async def test_slow_reader_is_marked_and_the_others_get_everything(
    two: tuple[EventPublisher, EventPublisher],
) -> None:
    here, _ = two
    account = uuid4()
    async with here.reader(account, wanting()) as slow, here.reader(account, wanting()) as fast:
        for _ in range(4):
            events = [plain_event(account) for _ in range(40)]
            await here.publish(events, REQUEST_ID)
            assert await told(fast, 40) == ids(events)
        assert slow.slow.is_set()
        assert not fast.slow.is_set()
        assert not slow._waiting, "what he will never read is given up"


async def test_bytes_that_wait_for_a_reader_are_bounded(two: tuple[EventPublisher, EventPublisher]) -> None:
    here, _ = two
    account = uuid4()
    large = plain_event(account, meta={"text": "x" * 600_000})
    async with here.reader(account, wanting()) as reader:
        await here.publish([large], REQUEST_ID)
        assert await told(reader, 1) == ids([large])
        await here.publish([large, large], REQUEST_ID)
        async with asyncio.timeout(30):
            await reader.slow.wait()


async def test_one_message_beyond_the_bytes_is_told_all_the_same(two: tuple[EventPublisher, EventPublisher]) -> None:
    here, _ = two
    account = uuid4()
    huge = plain_event(account, meta={"text": "x" * 2_000_000})
    async with here.reader(account, wanting()) as reader:
        await here.publish([huge], REQUEST_ID)
        assert await told(reader, 1) == ids([huge])


async def test_number_of_readers_is_bounded(two: tuple[EventPublisher, EventPublisher]) -> None:
    here, _ = two
    first = uuid4()

    async def refused(account: UUID) -> None:
        with pytest.raises(ApiError) as failed:
            await stack.enter_async_context(here.reader(account, wanting()))
        assert (failed.value.status, failed.value.code) == (503, 11)

    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(here.reader(first, wanting()))
        await refused(first)
        for _ in range(2):
            await stack.enter_async_context(here.reader(uuid4(), wanting()))
        await refused(uuid4())
    async with here.reader(first, wanting()):
        assert here._number == 1


async def test_event_that_cannot_be_told_silences_no_other(two: tuple[EventPublisher, EventPublisher]) -> None:
    here, _ = two
    account = uuid4()
    bad = plain_event(account, meta={"text": "x"})
    bad.event.meta["text"] = object()  # type: ignore[index]
    good = plain_event(account)
    async with here.reader(account, wanting()) as reader:
        await here.publish([bad, good], REQUEST_ID)
        assert await told(reader, 1) == ids([good])


async def test_what_another_version_sent_is_skipped(two: tuple[EventPublisher, EventPublisher]) -> None:
    here, there = two
    account = uuid4()
    async with there.reader(account, wanting()) as reader:
        await until(lambda: here._broadcast.is_followed(account))
        here._broadcast.send(b"\x93\x01\x02\x03")
        events = [plain_event(account)]
        await here.publish(events, REQUEST_ID)
        assert await told(reader, 1) == ids(events)
