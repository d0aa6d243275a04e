"""Short-lived messages between the server processes of one database.

A message belongs to a topic. Processes that follow a topic say so by an advisory lock of its number, which ends with
the connection that holds it; who sends looks at these locks, and writes nothing when nobody else follows. A message is
a row of `broadcasts` (NOTIFY carries 8000 bytes at most), told by its number and removed soon. Messages come at most
once: who is not connected at that moment misses them.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import structlog
from prometheus_client import Counter
from sqlalchemy import text

from lunaria.storage.database import Database, DatabaseUnavailableError, StatementTimeoutError

log = structlog.get_logger(__name__)

LOST = Counter("lunaria_broadcasts_lost_total", "Messages to other server processes that were dropped", ["cause"])

LOCKS = 1280658753
"""The first number of the advisory locks that tell of followed topics; the second is the topic's."""
CHECK_SECONDS = 10.0
"""Between looks at who follows what, beside those that a change brings about."""
ANSWER_SECONDS = 10.0
"""Within which the database must answer on the listening connection."""
FOLLOW_SECONDS = 2.0
"""How long a new follower waits at most until the others can know."""
RETRY_SECONDS = (0.1, 5.0)
"""First and longest pause before the next attempt to connect."""
KEEP_SECONDS = 60
BATCH_BYTES = 4 * 1024 * 1024
_MESSAGES = "lunaria_broadcasts"
_FOLLOWERS = "lunaria_followers"

_SEND = text(
    "WITH written AS (INSERT INTO broadcasts (data) VALUES (:data) RETURNING sequence) "  # noqa: S608
    f"SELECT pg_notify('{_MESSAGES}', :sender || ' ' || sequence) FROM written"
)
_PRUNE = text(f"DELETE FROM broadcasts WHERE create_time < now() - interval '{KEEP_SECONDS} seconds'")  # noqa: S608
_FOLLOW = "SELECT pg_advisory_lock_shared($1, number) FROM unnest($2::int[]) AS number"
_UNFOLLOW = "SELECT pg_advisory_unlock_shared($1, number) FROM unnest($2::int[]) AS number"
_TELL = f"SELECT pg_notify('{_FOLLOWERS}', $1)"
_FOLLOWED = """
    SELECT DISTINCT objid::bigint AS number FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 2 AND granted AND classid::bigint = $1
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()
"""
_READ = "SELECT data FROM broadcasts WHERE sequence = ANY($1::bigint[]) ORDER BY sequence"

_BATCH = msgspec.msgpack.Decoder(list[bytes])
_CONNECTION_ERRORS = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, DatabaseUnavailableError)


def topic_number(topic: UUID) -> int:
    """The topic in 32 bits, signed. Two topics with one number cost messages that nobody needs, no more."""
    return int.from_bytes(topic.bytes[:4], "big", signed=True)


class Broadcast:
    """Sends to and receives from the other processes; `receive` gets each batch of messages as it was sent.

    At most `queue` messages of `queue_bytes` altogether wait to be written; further ones are dropped and counted.
    """

    def __init__(
        self, database: Database, receive: Callable[[Sequence[bytes]], None], *, queue: int, queue_bytes: int
    ) -> None:
        self._database = database
        self._receive = receive
        self._most_messages = queue
        self._most_bytes = queue_bytes
        self._name = uuid4().hex
        self._topics: dict[int, int] = {}
        """Numbers that this process follows, and how many of its topics have each."""
        self._announced: frozenset[int] = frozenset()
        self._others: frozenset[int] = frozenset()
        self._others_changed = True
        self._attention = asyncio.Event()
        self._in_step = asyncio.Condition()
        self._told: deque[int] = deque(maxlen=queue)
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._something_waits = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._ending = False

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._listen_on(), name="listen to other processes"),
            asyncio.create_task(self._write_on(), name="write to other processes"),
        ]

    async def stop(self) -> None:
        # A driver can lose a cancellation that comes just when it has connected.
        self._ending = True
        self._attention.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def follow(self, topic: UUID) -> None:
        """Receive the topic's messages. Returns when the other processes can know, or cannot be told for now."""
        number = topic_number(topic)
        self._topics[number] = self._topics.get(number, 0) + 1
        self._attention.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FOLLOW_SECONDS), self._in_step:
                await self._in_step.wait_for(lambda: number in self._announced or number not in self._topics)

    def unfollow(self, topic: UUID) -> None:
        """One `follow` less."""
        number = topic_number(topic)
        self._topics[number] -= 1
        if not self._topics[number]:
            del self._topics[number]
        self._attention.set()

    def is_followed(self, topic: UUID) -> bool:
        """Whether another process follows the topic."""
        return topic_number(topic) in self._others

    def send(self, message: bytes) -> None:
        """Write the message soon, in the background."""
        if self._waiting and (
            len(self._waiting) >= self._most_messages or self._waiting_bytes + len(message) > self._most_bytes
        ):
            LOST.labels("queue full").inc()
            return
        self._waiting.append(message)
        self._waiting_bytes += len(message)
        self._something_waits.set()

    async def prune(self) -> None:
        """Remove messages that everybody has read who ever will."""
        async with self._database.transaction() as connection:
            await connection.execute(_PRUNE)

    # Sending

    async def _write_on(self) -> None:
        while True:
            await self._something_waits.wait()
            batch = self._next_batch()
            try:
                async with self._database.transaction() as connection:
                    await connection.execute(_SEND, {"data": msgspec.msgpack.encode(batch), "sender": self._name})
            except (DatabaseUnavailableError, StatementTimeoutError) as error:
                LOST.labels("database").inc(len(batch))
                log.error("messages to other server processes are lost", number=len(batch), error=str(error))
            except Exception as error:  # one bad batch must not end all sending
                LOST.labels("database").inc(len(batch))
                log.error("messages to other server processes are lost", number=len(batch), error=repr(error))

    def _next_batch(self) -> list[bytes]:
        batch: list[bytes] = []
        size = 0
        while self._waiting and (not batch or size + len(self._waiting[0]) <= BATCH_BYTES):
            message = self._waiting.popleft()
            size += len(message)
            batch.append(message)
        self._waiting_bytes -= size
        if not self._waiting:
            self._something_waits.clear()
        return batch

    # Listening

    async def _listen_on(self) -> None:
        """Keep a listening connection; when it breaks, others are made until one holds."""
        pause = RETRY_SECONDS[0]
        while not self._ending:
            try:
                async with self._listening() as connection:
                    pause = RETRY_SECONDS[0]
                    await self._attend(connection)
            except _CONNECTION_ERRORS as error:
                log.warning("not connected to other server processes", error=repr(error))
            except Exception as error:  # whatever it was, a new connection begins anew
                log.error("listening to other server processes failed", error=repr(error))
            await asyncio.sleep(pause)
            pause = min(pause * 2, RETRY_SECONDS[1])

    @contextlib.asynccontextmanager
    async def _listening(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        connection = await self._database.dedicated()
        try:
            connection.add_termination_listener(lambda _: self._attention.set())
            await connection.add_listener(_MESSAGES, self._on_message)
            await connection.add_listener(_FOLLOWERS, self._on_followers)
            self._attention.set()
            yield connection
        finally:
            self._announced = frozenset()
            # Not `close`, which waits for an answer that a dead server never gives.
            connection.terminate()

    def _on_message(self, connection: Any, process: int, channel: str, payload: object) -> None:
        sender, _, sequence = str(payload).partition(" ")
        if sender != self._name:
            if len(self._told) == self._told.maxlen:
                LOST.labels("reader behind").inc()
            self._told.append(int(sequence))
            self._attention.set()

    def _on_followers(self, connection: Any, process: int, channel: str, payload: object) -> None:
        if payload != self._name:
            self._others_changed = True
            self._attention.set()

    async def _attend(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """Do what is to be done on the connection, whenever something happened; ends with its breaking."""
        now = asyncio.get_running_loop().time
        next_look = now()
        while not self._ending:
            self._attention.clear()
            if connection.is_closed():
                raise ConnectionError("the connection was closed")
            await self._announce(connection)
            if self._others_changed or now() >= next_look:
                await self._look_round(connection)
                next_look = now() + CHECK_SECONDS
            if self._told:
                await self._read(connection)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._attention.wait()

    async def _announce(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        wanted = frozenset(self._topics)
        new, gone = wanted - self._announced, self._announced - wanted
        if new:
            await connection.execute(_FOLLOW, LOCKS, sorted(new), timeout=ANSWER_SECONDS)
        if gone:
            await connection.execute(_UNFOLLOW, LOCKS, sorted(gone), timeout=ANSWER_SECONDS)
        if new or gone:
            await connection.execute(_TELL, self._name, timeout=ANSWER_SECONDS)
        self._announced = wanted
        async with self._in_step:
            self._in_step.notify_all()

    async def _look_round(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._others_changed = False
        rows = await connection.fetch(_FOLLOWED, LOCKS, timeout=ANSWER_SECONDS)
        unsigned = (int(row["number"]) for row in rows)
        self._others = frozenset(number - 2**32 if number >= 2**31 else number for number in unsigned)

    async def _read(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        sequences = list(self._told)
        self._told.clear()
        for row in await connection.fetch(_READ, sequences, timeout=ANSWER_SECONDS):
            self._receive(_BATCH.decode(row["data"]))
