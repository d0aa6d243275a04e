"""Posts events to the receivers that policies name, in the background.

A receiver is the host that one account posts to. Each has a queue and few senders of its own, so that a slow or dead
one holds up nobody else's events, and no account can take all connections. What cannot be delivered after some attempts
is dropped, logged and counted; nothing survives the end of the process.
"""

import asyncio
import base64
import contextlib
import random
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import httpx
import msgspec
import structlog
from msgspec import Struct
from prometheus_client import Counter

from lunaria.events.callbacks_schemas import HttpCallback
from lunaria.events.event import NewEvent
from lunaria.events.schemas import Event
from lunaria.http.bodies import JSON, encode_msgpack
from lunaria.http.request_id import HEADER
from lunaria.kit.outbound import OutboundClient, OutboundError, RefusedError

log = structlog.get_logger(__name__)

CALLBACKS = Counter("lunaria_callbacks_total", "Callbacks by what became of them", ["outcome"])

SENDERS = 4
"""Most callbacks on their way to one receiver; one while it fails."""
CONNECTIONS_OF_ACCOUNT = 32
"""Most callbacks of one account on their way."""
ACCOUNTS_SHARE = 4
"""One account may fill this part, a quarter, of what may wait altogether."""
ANSWER_BYTES = 64 * 1024
"""Longest answer that is read; what it says does not matter."""
LONGEST_PAUSE = 60.0
WORD_SECONDS = 60.0
"""Between two lines of the log about dropped callbacks."""
END_SECONDS = 2.0
"""For what still waits when the process ends."""
_WORTH_ANOTHER_ATTEMPT = frozenset({408, 425, 429})


class CallbackMessage(Struct, frozen=True):
    """The body of a callback."""

    event: Event
    handler_id: UUID
    account_id: UUID
    event_create_time: datetime
    event_end_time: datetime


@dataclass(frozen=True, slots=True)
class CallbackLimits:
    """`queue` callbacks of `queue_bytes` wait or are on their way altogether, `receiver_queue` wait for one receiver.

    Of both one account may take a quarter, so that it cannot have those of others dropped.

    Each is attempted `attempts` times, the second time after about `pause` seconds, which double with every attempt.
    """

    queue: int
    queue_bytes: int
    receiver_queue: int
    connections: int
    attempts: int
    pause: float


@dataclass(frozen=True, slots=True)
class _Delivery:
    callback: HttpCallback
    event_id: UUID
    body: bytes
    headers: Mapping[str, str]


@dataclass(slots=True)
class _Load:
    """Callbacks that wait or are on their way."""

    number: int = 0
    size: int = 0

    def has_room(self, size: int, most: int, most_bytes: int) -> bool:
        """For one of `size` bytes; there always is for the first."""
        return not self.number or (self.number < most and self.size + size <= most_bytes)

    def add(self, size: int) -> None:
        self.number += 1
        self.size += size

    def remove(self, size: int) -> None:
        self.number -= 1
        self.size -= size


@dataclass(slots=True)
class _Lane:
    """What waits for one receiver, and how many send it; those that are `busy` have taken theirs."""

    waiting: deque[_Delivery] = field(default_factory=deque)
    senders: int = 0
    busy: int = 0
    failing: bool = False


class _Account:
    """The receivers of one account for which something waits, by host and port, and how much that is."""

    def __init__(self) -> None:
        self.lanes: dict[str, _Lane] = {}
        self.room = asyncio.Semaphore(CONNECTIONS_OF_ACCOUNT)
        self.load = _Load()


class CallbackSender:
    """Sends callbacks; make one per process. `client` serves it alone."""

    def __init__(self, client: OutboundClient, limits: CallbackLimits) -> None:
        self._client = client
        self._limits = limits
        self._accounts: dict[UUID, _Account] = {}
        self._room = asyncio.Semaphore(limits.connections)
        self._load = _Load()
        self._tasks: set[asyncio.Task[None]] = set()
        self._dropped = 0
        self._next_word = 0.0

    def send(self, callbacks: Sequence[tuple[HttpCallback, NewEvent]], request_id: str) -> None:
        """Queue a callback for each pair. Never fails: the events have happened already."""
        bodies: dict[tuple[UUID, str], bytes] = {}
        for callback, new in callbacks:
            kind = callback.params.content_type
            try:
                body = bodies.get((new.event.event_id, kind)) or _body(new, kind)
            except Exception as error:
                CALLBACKS.labels("dropped").inc()
                log.error("a callback could not be made", event_id=str(new.event.event_id), error=repr(error))
                continue
            bodies[new.event.event_id, kind] = body
            headers = {**callback.params.headers, **_authorization(callback), "Content-Type": kind, HEADER: request_id}
            self._queue(new.account_id, _Delivery(callback, new.event.event_id, body, headers))

    async def stop(self) -> None:
        """Give what waits and what is on its way a moment, then give it up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        lost = self._load.number
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._accounts.clear()
        if lost:
            CALLBACKS.labels("dropped").inc(lost)
            log.warning("callbacks were given up at the end", number=lost)
        await self._client.close()

    def _queue(self, account_id: UUID, delivery: _Delivery) -> None:
        receiver = _receiver(delivery.callback)
        account = self._accounts.get(account_id) or _Account()
        lane = account.lanes.get(receiver) or _Lane()
        limits, size = self._limits, len(delivery.body)
        if (
            len(lane.waiting) >= limits.receiver_queue
            or not account.load.has_room(size, limits.queue // ACCOUNTS_SHARE, limits.queue_bytes // ACCOUNTS_SHARE)
            or not self._load.has_room(size, limits.queue, limits.queue_bytes)
        ):
            self._drop(receiver)
            return
        self._accounts[account_id] = account
        account.lanes[receiver] = lane
        lane.waiting.append(delivery)
        account.load.add(size)
        self._load.add(size)
        self._employ(account_id, receiver, lane)

    def _drop(self, receiver: str) -> None:
        """Count it, and say so from time to time."""
        CALLBACKS.labels("dropped").inc()
        self._dropped += 1
        now = time.monotonic()
        if now >= self._next_word:
            log.warning("callbacks are dropped: too many wait", number=self._dropped, last_receiver=receiver)
            self._dropped, self._next_word = 0, now + WORD_SECONDS

    def _employ(self, account_id: UUID, receiver: str, lane: _Lane) -> None:
        """As many senders as what waits needs and the receiver bears."""
        while lane.senders < min(1 if lane.failing else SENDERS, lane.busy + len(lane.waiting)):
            lane.senders += 1
            task = asyncio.create_task(self._send_on(account_id, receiver, lane), name=f"callbacks to {receiver}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send_on(self, account_id: UUID, receiver: str, lane: _Lane) -> None:
        account = self._accounts[account_id]
        try:
            while lane.waiting and not (lane.failing and lane.senders > 1):
                delivery = lane.waiting.popleft()
                lane.busy += 1
                try:
                    await self._deliver(account, lane, delivery)
                finally:
                    lane.busy -= 1
                    # Not before: it may have waited for a connection, or for its next attempt.
                    account.load.remove(len(delivery.body))
                    self._load.remove(len(delivery.body))
                self._employ(account_id, receiver, lane)
        finally:
            lane.senders -= 1
            if not lane.senders and not lane.waiting:
                account.lanes.pop(receiver, None)
                if not account.lanes:
                    self._accounts.pop(account_id, None)

    async def _deliver(self, account: _Account, lane: _Lane, delivery: _Delivery) -> None:
        problem = await self._tried(account, lane, delivery)
        CALLBACKS.labels("delivered" if problem is None else "failed").inc()
        if problem is not None:
            log.warning(
                "a callback was not delivered",
                receiver=_receiver(delivery.callback),
                event_id=str(delivery.event_id),
                error=problem.reason,
            )

    async def _tried(self, account: _Account, lane: _Lane, delivery: _Delivery) -> "_Problem | None":
        """What was wrong with the last attempt; None: it was delivered."""
        attempt = 1
        while True:
            async with account.room, self._room:
                problem = await self._attempt(delivery)
            lane.failing = problem is not None and problem.passing
            if problem is None or not problem.passing or attempt == self._limits.attempts:
                return problem
            await asyncio.sleep(self._pause(attempt))
            attempt += 1

    async def _attempt(self, delivery: _Delivery) -> "_Problem | None":
        callback = delivery.callback
        try:
            reply = await self._client.post(
                callback.url,
                delivery.body,
                delivery.headers,
                max_bytes=ANSWER_BYTES,
                timeout=callback.params.timeout,
            )
        except OutboundError as error:
            return _Problem(error.reason, passing=not isinstance(error, RefusedError))
        except Exception as error:  # a sender must not die of one callback
            log.error("a callback failed", error=repr(error))
            return _Problem(type(error).__name__, passing=False)
        if 200 <= reply.status < 300:
            return None
        passing = reply.status >= 500 or reply.status in _WORTH_ANOTHER_ATTEMPT
        return _Problem(f"the receiver answered {reply.status}", passing=passing)

    def _pause(self, attempt: int) -> float:
        """Seconds before the next attempt; not the same for all who fail at one time."""
        pause: float = self._limits.pause * 2 ** (attempt - 1)
        return min(pause, LONGEST_PAUSE) * random.uniform(0.75, 1.25)  # noqa: S311 - no secret


@dataclass(frozen=True, slots=True)
class _Problem:
    """Why an attempt failed. `passing`: the next one may go better."""

    reason: str
    passing: bool


def _receiver(callback: HttpCallback) -> str:
    url = httpx.URL(callback.url)
    return f"{url.host}:{url.port or {'http': 80, 'https': 443}[url.scheme]}"


def _authorization(callback: HttpCallback) -> dict[str, str]:
    given = callback.authorization
    if given is None:
        return {}
    return {"Authorization": "Basic " + base64.b64encode(f"{given.login}:{given.password}".encode()).decode()}


def _body(new: NewEvent, kind: str) -> bytes:
    event = new.event
    message = CallbackMessage(event, new.handler_id, new.account_id, event.create_time, event.end_time)
    return msgspec.json.encode(message) if kind == JSON else encode_msgpack(message)
