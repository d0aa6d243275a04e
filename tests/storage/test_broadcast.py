"""Messages between processes: who follows gets them, nothing is written for nobody, and a lost connection is made anew."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text

from lunaria.storage.broadcast import Broadcast, topic_number
from lunaria.storage.database import Database
from lunaria.storage.schema import broadcasts


class Process:
    """One server process's end, and what it has received."""

    def __init__(self, database: Database, queue: int = 1000) -> None:
        self.received: list[bytes] = []
        self.broadcast = Broadcast(database, self._receive, queue=queue, queue_bytes=1024 * 1024)

    def _receive(self, messages: Sequence[bytes]) -> None:
        self.received.extend(messages)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what must come about; the test's own limit is that nothing here takes as long."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the other side is another process or the database
            await asyncio.sleep(0.01)


@pytest.fixture
async def two(clean_database: Database) -> AsyncIterator[tuple[Process, Process]]:
    first, second = Process(clean_database), Process(clean_database)
    for process in (first, second):
        process.broadcast.start()
    yield first, second
    for process in (first, second):
        await process.broadcast.stop()


async def rows(database: Database) -> int:
    async with database.connect() as connection:
        return int((await connection.execute(select(func.count()).select_from(broadcasts))).scalar_one())


async def kill_listeners(database: Database) -> int:
    """End all connections that wait for notifications, as a restart of the database would."""
    async with database.transaction() as connection:
        ended = await connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
            )
        )
        return len(ended.all())


async def test_followers_of_the_topic_get_the_messages_in_order(two: tuple[Process, Process]) -> None:
    sender, receiver = two
    topic = uuid4()
    await receiver.broadcast.follow(topic)
    await until(lambda: sender.broadcast.is_followed(topic))
    messages = [bytes([number]) * (number * 200) for number in range(50)]
    for message in messages:
        sender.broadcast.send(message)
    await until(lambda: len(receiver.received) == 50)
    assert receiver.received == messages
    assert sender.received == [], "nobody hears itself"


async def test_nobody_follows_until_somebody_does(two: tuple[Process, Process]) -> None:
    sender, receiver = two
    topic, other = uuid4(), uuid4()
    await sender.broadcast.follow(topic)
    assert not sender.broadcast.is_followed(topic), "the own following is none of the others"
    await until(lambda: receiver.broadcast.is_followed(topic))
    assert not receiver.broadcast.is_followed(other)
    sender.broadcast.unfollow(topic)
    await until(lambda: not receiver.broadcast.is_followed(topic))


async def test_topic_is_followed_as_long_as_anybody_in_the_process_does(two: tuple[Process, Process]) -> None:
    sender, receiver = two
    topic = uuid4()
    await receiver.broadcast.follow(topic)
    await receiver.broadcast.follow(topic)
    receiver.broadcast.unfollow(topic)
    await until(lambda: sender.broadcast.is_followed(topic))
    marker = uuid4()
    await receiver.broadcast.follow(marker)
    await until(lambda: sender.broadcast.is_followed(marker))
    assert sender.broadcast.is_followed(topic)


async def test_stopped_process_follows_nothing(two: tuple[Process, Process]) -> None:
    sender, receiver = two
    topic = uuid4()
    await receiver.broadcast.follow(topic)
    await until(lambda: sender.broadcast.is_followed(topic))
    await receiver.broadcast.stop()
    other = Process(sender.broadcast._database)
    other.broadcast.start()
    marker = uuid4()
    await other.broadcast.follow(marker)
    await until(lambda: sender.broadcast.is_followed(marker))
    await until(lambda: not sender.broadcast.is_followed(topic))
    await other.broadcast.stop()


async def test_listening_goes_on_after_the_connection_was_killed(
    two: tuple[Process, Process], database: Database
) -> None:
    sender, receiver = two
    topic = uuid4()
    await receiver.broadcast.follow(topic)
    await until(lambda: sender.broadcast.is_followed(topic))
    assert await kill_listeners(database) >= 1
    later = uuid4()
    await receiver.broadcast.follow(later)
    await until(lambda: sender.broadcast.is_followed(later) and sender.broadcast.is_followed(topic))
    sender.broadcast.send(b"after")
    await until(lambda: receiver.received == [b"after"])


async def test_full_queue_drops_what_comes_last(clean_database: Database) -> None:
    sender, receiver = Process(clean_database, queue=3), Process(clean_database)
    receiver.broadcast.start()
    topic = uuid4()
    await receiver.broadcast.follow(topic)
    for number in range(10):
        sender.broadcast.send(bytes([number]))
    sender.broadcast.start()
    await until(lambda: len(receiver.received) == 3)
    assert receiver.received == [b"\0", b"\1", b"\2"]
    for process in (sender, receiver):
        await process.broadcast.stop()


async def test_old_messages_are_removed(two: tuple[Process, Process], database: Database) -> None:
    sender, receiver = two
    await receiver.broadcast.follow(uuid4())
    sender.broadcast.send(b"kept")
    await until(lambda: receiver.received == [b"kept"])
    await sender.broadcast.prune()
    assert await rows(database) == 1
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE broadcasts SET create_time = now() - interval '1 hour'"))
    await sender.broadcast.prune()
    assert await rows(database) == 0


@pytest.mark.parametrize("first", ["00000000", "7fffffff", "80000000", "ffffffff"])
async def test_every_number_of_a_topic_is_found_again(two: tuple[Process, Process], first: str) -> None:
    sender, receiver = two
    topic = UUID(first + uuid4().hex[8:])
    assert -(2**31) <= topic_number(topic) < 2**31
    await receiver.broadcast.follow(topic)
    await until(lambda: sender.broadcast.is_followed(topic))
