"""Callbacks: what a receiver gets, what is tried again, and that a dead receiver costs nobody else anything."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from lunaria.events.callbacks import CALLBACKS, CONNECTIONS_OF_ACCOUNT, SENDERS, CallbackLimits, CallbackSender
from lunaria.events.callbacks_schemas import RESERVED_HEADERS, HttpCallback
from lunaria.events.event import NewEvent
from lunaria.kit.outbound import OutboundClient
from tests.events.making import full_event, plain_event

LIMITS = CallbackLimits(
    queue=1000, queue_bytes=8 * 1024 * 1024, receiver_queue=100, connections=64, attempts=3, pause=0.01
)
REQUEST_ID = "1623984298,375c6d96-09c7-4db3-91cc-f13e66288aa9"
ACCOUNT = uuid4()


@dataclass
class Request:
    """What a receiver got."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = [value for given, value in self.headers if given.lower() == name.lower()]
        assert len(values) <= 1, f"{name} was sent {len(values)} times"
        return values[0] if values else None


@dataclass
class Receiver:
    """A server that notes requests and answers with the next of `answers`; the last one stays. None: no answer."""

    port: int = 0
    answers: list[int | None] = field(default_factory=lambda: [200])
    requests: list[Request] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set["asyncio.Task[Any]"] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.hold.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?key=1"

    @property
    def events(self) -> list[str]:
        return [msgspec.json.decode(request.body)["event"]["event_id"] for request in self.requests]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            while True:
                await self._one(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in head[1:-2])]
        length = int({name.lower(): value for name, value in headers}["content-length"])
        self.requests.append(Request(head[0], headers, await reader.readexactly(length)))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.hold.wait()
        finally:
            self.at_once -= 1
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if status is None:
            await asyncio.Event().wait()
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()


@asynccontextmanager
async def receiving(*answers: int | None) -> AsyncIterator[Receiver]:
    receiver = Receiver(answers=list(answers) or [200])
    server = await asyncio.start_server(receiver.handle, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in receiver.tasks:
            task.cancel()


@asynccontextmanager
async def sending(allow: tuple[str, ...] = ("127.0.0.0/8",), **limits: Any) -> AsyncIterator[CallbackSender]:
    changed = replace(LIMITS, **limits)
    sender = CallbackSender(OutboundClient(allow, 5.0, connections=changed.connections), changed)
    yield sender
    await sender.stop()


def callback(url: str, **fields: Any) -> HttpCallback:
    return msgspec.convert({"url": url, **fields}, HttpCallback)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the other side is a server
            await asyncio.sleep(0.01)


def counted(outcome: str) -> float:
    return CALLBACKS.labels(outcome)._value.get()


def send(sender: CallbackSender, receiver: HttpCallback, *events: NewEvent) -> None:
    sender.send([(receiver, new) for new in events], REQUEST_ID)


# What a receiver gets


async def test_event_is_posted_as_json() -> None:
    new = full_event(ACCOUNT)
    async with receiving() as receiver, sending() as sender:
        send(sender, callback(receiver.url), new)
        await until(lambda: len(receiver.requests) == 1)
    request = receiver.requests[0]
    assert request.line == "POST /hook?key=1 HTTP/1.1"
    assert request.header("Content-Type") == "application/json"
    assert request.header("Luna-Request-Id") == REQUEST_ID
    assert request.header("Host") == f"127.0.0.1:{receiver.port}"
    assert request.header("Authorization") is None
    body = msgspec.json.decode(request.body)
    assert list(body) == ["event", "handler_id", "account_id", "event_create_time", "event_end_time"]
    assert body["event"] == msgspec.to_builtins(new.event)
    assert (body["handler_id"], body["account_id"]) == (str(new.handler_id), str(ACCOUNT))
    assert body["event_create_time"] == "2026-02-03T04:05:06.789000Z"
    assert body["event_end_time"] == "2026-02-03T04:05:08.789000Z"


async def test_event_is_posted_as_msgpack_with_texts_for_times_and_ids() -> None:
    new = full_event(ACCOUNT)
    async with receiving() as receiver, sending() as sender:
        params = {"content_type": "application/msgpack"}
        sender.send([(callback(receiver.url, params=params), new), (callback(receiver.url), new)], REQUEST_ID)
        await until(lambda: len(receiver.requests) == 2)
    bodies = {request.header("Content-Type"): request.body for request in receiver.requests}
    assert msgspec.msgpack.decode(bodies["application/msgpack"]) == msgspec.json.decode(bodies["application/json"])


async def test_authorization_and_headers_are_sent() -> None:
    async with receiving() as receiver, sending() as sender:
        given = callback(
            receiver.url,
            authorization={"type": "basic", "login": "Jürgen", "password": "a:b"},
            params={"headers": {"X-Token": "abc", "user-agent": "mine"}},
        )
        send(sender, given, plain_event(ACCOUNT))
        await until(lambda: len(receiver.requests) == 1)
    request = receiver.requests[0]
    scheme, _, value = str(request.header("Authorization")).partition(" ")
    assert (scheme, base64.b64decode(value).decode()) == ("Basic", "Jürgen:a:b")
    assert (request.header("X-Token"), request.header("User-Agent")) == ("abc", "mine")


@pytest.mark.parametrize("name", sorted(RESERVED_HEADERS))
def test_headers_of_the_connection_and_of_the_body_are_refused(name: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="is set by the server"):
        callback("http://example.com", params={"headers": {name.title(): "x"}})


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"X-A": "b\r\nX-C: d"}, "matching regex"),
        ({"X-A": "b\n"}, "matching regex"),
        ({"X-A": "é"}, "matching regex"),
        ({"X A": "b"}, "matching regex"),
        ({"": "b"}, "matching regex"),
        ({"X-A": "b", "x-a": "c"}, "named twice"),
        ({f"X-{number}": "b" for number in range(33)}, "length <= 32"),
    ],
)
def test_headers_that_could_forge_others_are_refused(headers: dict[str, str], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        callback("http://example.com", params={"headers": headers})


def test_authorization_is_given_once() -> None:
    with pytest.raises(msgspec.ValidationError, match="given twice"):
        callback(
            "http://example.com",
            authorization={"login": "a", "password": "b"},
            params={"headers": {"AUTHORIZATION": "Bearer x"}},
        )


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com",
        "example.com",
        "http://",
        "http://user:password@example.com",
        "http://example.com:0",
        "http://example.com:65536",
        "http://example.com/a b",
        "http://example.com/\n",
        "http://300.1.1.1/",
        "http://example.com/" + "a" * 2048,
    ],
)
def test_url_is_checked(url: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        callback(url)


@pytest.mark.parametrize(
    "url", ["http://example.com", "https://[2001:db8::1]:8443/a/?b=c#d", "https://xn--p1ai.example/"]
)
def test_good_url_is_taken(url: str) -> None:
    assert callback(url).url == url


# Failures


@pytest.mark.parametrize("passing", [500, 503, 429, 408])
async def test_passing_failure_is_tried_again(passing: int) -> None:
    delivered = counted("delivered")
    async with receiving(passing, passing, 200) as receiver, sending() as sender:
        send(sender, callback(receiver.url), plain_event(ACCOUNT))
        await until(lambda: counted("delivered") == delivered + 1)
    assert len(receiver.requests) == 3
    assert len(set(receiver.events)) == 1


@pytest.mark.parametrize("final", [400, 401, 404, 302])
async def test_refusal_is_not_tried_again(final: int) -> None:
    failed = counted("failed")
    async with receiving(final) as receiver, sending() as sender:
        send(sender, callback(receiver.url), plain_event(ACCOUNT))
        await until(lambda: counted("failed") == failed + 1)
    assert len(receiver.requests) == 1


async def test_attempts_are_bounded() -> None:
    failed = counted("failed")
    async with receiving(500) as receiver, sending(attempts=4) as sender:
        send(sender, callback(receiver.url), plain_event(ACCOUNT))
        await until(lambda: counted("failed") == failed + 1)
    assert len(receiver.requests) == 4


async def test_private_address_is_refused_at_once() -> None:
    failed = counted("failed")
    async with receiving() as receiver, sending(allow=(), pause=3600.0) as sender:
        send(sender, callback(receiver.url), plain_event(ACCOUNT))
        send(sender, callback("http://169.254.169.254/latest"), plain_event(ACCOUNT))
        await until(lambda: counted("failed") == failed + 2)
        assert receiver.requests == []


async def test_timeout_is_the_callbacks_own() -> None:
    failed = counted("failed")
    async with receiving(None) as receiver, sending(attempts=1) as sender:
        send(sender, callback(receiver.url, params={"timeout": 0.2}), plain_event(ACCOUNT))
        await until(lambda: counted("failed") == failed + 1)
    assert len(receiver.requests) == 1


async def test_events_come_in_order_while_a_receiver_fails() -> None:
    events = [plain_event(ACCOUNT) for _ in range(5)]
    async with receiving(500, 500, 200) as receiver, sending() as sender:
        send(sender, callback(receiver.url), events[0])
        await until(lambda: len(receiver.requests) == 1)
        await until(lambda: _only_lane(sender, ACCOUNT).failing)
        send(sender, callback(receiver.url), *events[1:])
        await until(lambda: len(set(receiver.events)) == 5)
    seen = list(dict.fromkeys(receiver.events))
    assert seen[0] == str(events[0].event.event_id)


def _only_lane(sender: CallbackSender, account: UUID) -> Any:
    (lane,) = sender._accounts[account].lanes.values()
    return lane


# Nobody waits for anybody else's


async def test_dead_receiver_holds_up_no_other() -> None:
    async with receiving(None) as dead, receiving() as alive, sending() as sender:
        dead_one, living_one = callback(dead.url), callback(alive.url)
        for _ in range(50):
            new = plain_event(ACCOUNT)
            sender.send([(dead_one, new), (living_one, new)], REQUEST_ID)
        await until(lambda: len(alive.requests) == 50)
        assert len(set(alive.events)) == 50
        assert len(dead.requests) <= SENDERS


async def test_account_with_many_dead_receivers_holds_up_no_other_account() -> None:
    async with receiving(None) as dead, receiving() as alive, sending(connections=CONNECTIONS_OF_ACCOUNT + 1) as sender:
        for number in range(CONNECTIONS_OF_ACCOUNT):
            dead_one = callback(f"http://127.0.0.{number + 1}:{dead.port}/")
            send(sender, dead_one, *(plain_event(ACCOUNT) for _ in range(3)))
        other = uuid4()
        send(sender, callback(alive.url), *(plain_event(other) for _ in range(20)))
        await until(lambda: len(alive.requests) == 20)


async def test_receiver_gets_few_requests_at_a_time() -> None:
    async with receiving() as receiver, sending() as sender:
        receiver.hold.clear()
        send(sender, callback(receiver.url), *(plain_event(ACCOUNT) for _ in range(30)))
        await until(lambda: receiver.at_once == SENDERS)
        receiver.hold.set()
        await until(lambda: len(receiver.requests) == 30)
    assert receiver.most_at_once == SENDERS


@pytest.mark.parametrize("limits", [{"receiver_queue": 10}, {"queue": 10}, {"queue_bytes": 6000}])
async def test_queues_are_bounded(limits: dict[str, int]) -> None:
    dropped = counted("dropped")
    async with receiving() as receiver, sending(**limits) as sender:
        receiver.hold.clear()
        events = [plain_event(ACCOUNT) for _ in range(200)]
        send(sender, callback(receiver.url), *events)
        assert counted("dropped") - dropped >= 150
        assert sender._load.number == 200 - (counted("dropped") - dropped)
        receiver.hold.set()
        await until(lambda: len(receiver.requests) == 200 - int(counted("dropped") - dropped))
        first = [str(new.event.event_id) for new in events[: len(receiver.requests)]]
        assert sorted(receiver.events) == sorted(first), "the last ones are dropped"


@pytest.mark.parametrize("limits", [{"queue": 10}, {"queue_bytes": 6000}])
async def test_many_receivers_do_not_get_round_the_bounds(limits: dict[str, int]) -> None:
    dropped = counted("dropped")
    async with receiving(None) as receiver, sending(**limits) as sender:
        for _ in range(100):
            send(sender, callback(receiver.url), plain_event(uuid4()))
            await asyncio.sleep(0)  # each receiver's sender takes what is there for it
        assert sender._load.number == 100 - (counted("dropped") - dropped) <= 10


@pytest.mark.parametrize("limits", [{"queue": 40}, {"queue_bytes": 40 * 600}])
async def test_account_cannot_have_the_callbacks_of_others_dropped(limits: dict[str, int]) -> None:
    """One account fills at most a quarter, through however many receivers; what is delivered makes room again."""
    async with receiving() as receiver, sending(**limits) as sender:
        receiver.hold.clear()
        for number in range(40):
            send(sender, callback(f"http://127.0.0.{number + 1}:{receiver.port}/"), plain_event(ACCOUNT))
        first = sender._load.number
        assert 1 < first <= 10
        dropped = counted("dropped")
        send(sender, callback(receiver.url), plain_event(uuid4()), plain_event(uuid4()))
        assert (counted("dropped"), sender._load.number) == (dropped, first + 2)
        receiver.hold.set()
        await until(lambda: not sender._tasks)
        send(sender, callback(receiver.url), plain_event(ACCOUNT))
        assert (counted("dropped"), sender._load.number) == (dropped, 1)


async def test_nothing_is_kept_of_what_was_sent() -> None:
    async with receiving() as receiver, sending(receiver_queue=5) as sender:
        for _ in range(20):
            send(sender, callback(receiver.url), plain_event(uuid4()))
        await until(lambda: len(receiver.requests) == 20)
        await until(lambda: not sender._tasks)
        assert (sender._accounts, sender._load.number, sender._load.size) == ({}, 0, 0)


async def test_end_gives_up_what_waits() -> None:
    dropped = counted("dropped")
    async with receiving(None) as receiver, sending() as sender:
        send(sender, callback(receiver.url), *(plain_event(ACCOUNT) for _ in range(10)))
        await until(lambda: len(receiver.requests) == SENDERS)
    assert counted("dropped") - dropped == 10


async def test_what_can_be_delivered_at_the_end_is() -> None:
    delivered = counted("delivered")
    async with receiving(500, 200) as receiver:
        async with sending() as sender:
            send(sender, callback(receiver.url), *(plain_event(ACCOUNT) for _ in range(20)))
        assert len(set(receiver.events)) == 20
    assert counted("delivered") - delivered == 20


async def test_event_that_cannot_be_written_fails_nobody() -> None:
    dropped = counted("dropped")
    bad = plain_event(ACCOUNT, meta={"text": "x"})
    bad.event.meta["text"] = object()  # type: ignore[index]
    good = plain_event(ACCOUNT)
    async with receiving() as receiver, sending() as sender:
        send(sender, callback(receiver.url), bad, good)
        await until(lambda: len(receiver.requests) == 1)
    assert receiver.events == [str(good.event.event_id)]
    assert counted("dropped") == dropped + 1


async def test_secrets_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    failed = counted("failed")
    async with receiving(404) as receiver, sending() as sender:
        given = callback(
            f"http://127.0.0.1:{receiver.port}/path-secret?key=query-secret",
            authorization={"login": "user", "password": "password-secret"},
            params={"headers": {"X-Token": "header-secret"}},
        )
        send(sender, given, plain_event(ACCOUNT))
        await until(lambda: counted("failed") == failed + 1)
    captured = capsys.readouterr()
    assert "not delivered" in captured.out + captured.err
    assert "secret" not in captured.out + captured.err
