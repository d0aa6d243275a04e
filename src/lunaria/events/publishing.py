"""Tells subscribers of new events: those of this process at once, those of other processes through the database.

Delivery is at most once, without replay. Nothing of it happens on the way of a request: an event is queued, and only
when somebody listens to its account.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct, field
from prometheus_client import Counter, Gauge

from lunaria.events.event import NewEvent
from lunaria.events.schemas import Event
from lunaria.events.subscriptions import Facts, Subscription, facts_of
from lunaria.http.errors import ApiError
from lunaria.storage.broadcast import Broadcast
from lunaria.storage.database import Database

log = structlog.get_logger(__name__)

READERS = Gauge("lunaria_event_subscribers", "Open websockets that wait for events")
SENT = Counter("lunaria_event_notifications_total", "Events queued for subscribers")
SLOW = Counter("lunaria_event_subscribers_slow_total", "Subscribers closed because they did not keep up")
MISSED = Counter("lunaria_events_unpublished_total", "Events that no subscriber was told of because too many waited")

BACKLOG = 10_000
"""Most events that wait to be told, and to be written for other processes."""
BROADCAST_BYTES = 64 * 1024 * 1024
"""Most bytes that wait to be written for other processes."""


class EventMessage(Struct, frozen=True):
    """What a subscriber gets for an event, in the spelling of the API."""

    event: Event
    handler_id: UUID
    create_time: datetime = field(name="event-create-time")
    end_time: datetime = field(name="event-end-time")
    request_id: str = field(name="Luna-Request-id")


class _Notification(Struct, frozen=True, array_like=True):
    """An event on its way to another process."""

    account_id: UUID
    facts: Facts
    message: str


@dataclass(frozen=True, slots=True)
class ReaderLimits:
    """Most readers of this process and of one account, and most that may wait for one reader."""

    readers: int
    readers_of_account: int
    messages: int
    message_bytes: int


class Reader:
    """One subscriber, and what waits for him."""

    def __init__(self, subscription: Subscription, limits: ReaderLimits) -> None:
        self.subscription = subscription
        self.slow = asyncio.Event()
        """Set when he did not keep up; from then on he gets nothing."""
        self._limits = limits
        self._waiting: deque[tuple[str, int]] = deque()
        self._bytes = 0
        self._something_waits = asyncio.Event()

    def offer(self, message: str, size: int) -> None:
        """Put a message of `size` bytes behind the others."""
        if self.slow.is_set():
            return
        full = len(self._waiting) >= self._limits.messages or self._bytes + size > self._limits.message_bytes
        if self._waiting and full:
            self._waiting.clear()
            self.slow.set()
            SLOW.inc()
            return
        self._waiting.append((message, size))
        self._bytes += size
        self._something_waits.set()
        SENT.inc()

    async def next(self) -> str:
        """The oldest message that waits, or else the next that comes."""
        while not self._waiting:
            self._something_waits.clear()
            await self._something_waits.wait()
        message, size = self._waiting.popleft()
        self._bytes -= size
        return message


class EventPublisher:
    """Takes new events and tells them to whoever subscribed. Make one per process."""

    def __init__(self, database: Database, limits: ReaderLimits) -> None:
        self._limits = limits
        self._readers: dict[UUID, set[Reader]] = {}
        self._number = 0
        self._backlog: deque[tuple[NewEvent, str]] = deque()
        self._something_waits = asyncio.Event()
        self._telling: asyncio.Task[None] | None = None
        self._broadcast = Broadcast(database, self._on_messages, queue=BACKLOG, queue_bytes=BROADCAST_BYTES)

    def start(self) -> None:
        self._broadcast.start()
        self._telling = asyncio.create_task(self._tell_on(), name="tell of events")

    async def stop(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)
        await self._broadcast.stop()

    async def prune(self) -> None:
        """Remove from the database what other processes have been told."""
        await self._broadcast.prune()

    async def publish(self, events: Sequence[NewEvent], request_id: str) -> None:
        """Tell of events that have happened, in the background."""
        for new in events:
            if new.account_id not in self._readers and not self._broadcast.is_followed(new.account_id):
                continue
            if len(self._backlog) >= BACKLOG:
                MISSED.inc()
                continue
            self._backlog.append((new, request_id))
            self._something_waits.set()

    @contextlib.asynccontextmanager
    async def reader(self, account_id: UUID, subscription: Subscription) -> AsyncIterator[Reader]:
        """A reader of the account's events from now on, wherever they are generated. Raises 503/11."""
        readers = self._readers.get(account_id, ())
        if self._number >= self._limits.readers or len(readers) >= self._limits.readers_of_account:
            raise ApiError(11, "too many websockets are open", headers={"Retry-After": "10"})
        reader = Reader(subscription, self._limits)
        self._readers.setdefault(account_id, set()).add(reader)
        self._count(1)
        try:
            await self._broadcast.follow(account_id)
            yield reader
        finally:
            self._broadcast.unfollow(account_id)
            self._readers[account_id].discard(reader)
            if not self._readers[account_id]:
                del self._readers[account_id]
            self._count(-1)

    def _count(self, difference: int) -> None:
        self._number += difference
        READERS.set(self._number)

    async def _tell_on(self) -> None:
        while True:
            await self._something_waits.wait()
            while self._backlog:
                new, request_id = self._backlog.popleft()
                try:
                    self._tell(new, request_id)
                except Exception as error:  # one event that cannot be told must not silence the others
                    MISSED.inc()
                    log.error("an event was not told", event_id=str(new.event.event_id), error=repr(error))
                await asyncio.sleep(0)  # many readers of many events must not hold up the requests
            self._something_waits.clear()

    def _tell(self, new: NewEvent, request_id: str) -> None:
        facts = facts_of(new)
        readers = self._chosen(new.account_id, facts)
        elsewhere = self._broadcast.is_followed(new.account_id)
        if not readers and not elsewhere:
            return
        event = new.event
        message = EventMessage(event, new.handler_id, event.create_time, event.end_time, request_id)
        data = msgspec.json.encode(message)
        text = data.decode()
        for reader in readers:
            reader.offer(text, len(data))
        if elsewhere:
            self._broadcast.send(msgspec.msgpack.encode(_Notification(new.account_id, facts, text)))

    def _on_messages(self, messages: Sequence[bytes]) -> None:
        """What another process published."""
        for data in messages:
            try:
                told = _NOTIFICATION.decode(data)
            except msgspec.DecodeError as error:  # a process of another version
                MISSED.inc()
                log.error("an event of another server process cannot be read", error=str(error))
                continue
            readers = self._chosen(told.account_id, told.facts)
            size = len(told.message.encode()) if readers else 0
            for reader in readers:
                reader.offer(told.message, size)

    def _chosen(self, account_id: UUID, facts: Facts) -> list[Reader]:
        return [reader for reader in self._readers.get(account_id, ()) if reader.subscription.passes(facts)]


_NOTIFICATION = msgspec.msgpack.Decoder(_Notification)
