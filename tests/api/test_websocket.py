"""GET /6/ws on a real server: the handshake, the messages, what each subscriber gets, and how connections end."""

import asyncio
import contextlib
import dataclasses
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from lunaria.app import Platform
from lunaria.cli import http_server
from lunaria.events.event import NewEvent
from tests.api.conftest import PASSWORD, Account, AccountFactory
from tests.events.making import basic, full_event, plain_event
from tests.servers import assert_envelope

REQUEST_ID = "1623984298,375c6d96-09c7-4db3-91cc-f13e66288aa9"


@pytest.fixture(scope="module")
async def address(platform: Platform) -> AsyncIterator[str]:
    """Host and port of the platform on a socket of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = http_server(platform)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    await serving


def basic_auth(account: Account) -> dict[str, str]:
    return {"Authorization": httpx.BasicAuth(account.login, PASSWORD)._auth_header}


Subscribe = Callable[..., Any]


@pytest.fixture
def subscribe(address: str) -> Subscribe:
    """`async with subscribe(account, "sources=gate") as socket`."""

    def opened(account: Account, query: str = "", **options: Any) -> Any:
        return connect(f"ws://{address}/6/ws?{query}", additional_headers=basic_auth(account), **options)

    return opened


async def refused(address: str, headers: dict[str, str], query: str = "", origin: str | None = None) -> httpx.Response:
    """The HTTP answer to a handshake that fails."""
    with pytest.raises(InvalidStatus) as failed:
        await connect(f"ws://{address}/6/ws?{query}", additional_headers=headers, origin=origin)  # type: ignore[arg-type]
    answer = failed.value.response
    return httpx.Response(answer.status_code, headers=list(answer.headers.raw_items()), content=bytes(answer.body))


async def told(socket: ClientConnection, number: int) -> list[dict[str, Any]]:
    """The next messages."""
    async with asyncio.timeout(30):
        return [json.loads(await socket.recv()) for _ in range(number)]


async def publish(platform: Platform, *events: NewEvent) -> None:
    await platform.publisher.publish(events, REQUEST_ID)


def ids(messages: list[dict[str, Any]]) -> list[str]:
    return [message["event"]["event_id"] for message in messages]


async def closing(socket: ClientConnection) -> tuple[int, str, list[Any]]:
    """The close code and reason, and the messages before."""
    before = []
    with pytest.raises(ConnectionClosed) as closed:
        async with asyncio.timeout(30):
            while True:
                before.append(json.loads(await socket.recv()))
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason, before


# What is sent


async def test_message_has_the_form_of_the_api(platform: Platform, account: Account, subscribe: Subscribe) -> None:
    async with subscribe(account) as opened:
        new = full_event(account.id)
        await publish(platform, new)
        (message,) = await told(opened, 1)
    assert list(message) == ["event", "handler_id", "event-create-time", "event-end-time", "Luna-Request-id"]
    assert message["handler_id"] == str(new.handler_id)
    assert message["Luna-Request-id"] == REQUEST_ID
    assert message["event-create-time"] == "2026-02-03T04:05:06.789000Z"
    assert message["event-end-time"] == "2026-02-03T04:05:08.789000Z"
    event = message["event"]
    assert event["event_id"] == str(new.event.event_id)
    assert event["url"] == f"/6/events/{new.event.event_id}"
    assert (event["user_data"], event["tags"], event["location"]["city"]) == ("Люди", ["vip", "night"], "Oslo")
    assert event["face_attributes"]["basic_attributes"]["age"] == 27
    assert event["matches"][1]["candidates"][0]["similarity"] == 0.97
    assert event["aggregate_estimations"]["face"]["attributes"]["emotions"]["predominant_emotion"] == "happiness"


async def test_subscriber_gets_exactly_the_events_of_its_filters(
    platform: Platform, account: Account, subscribe: Subscribe
) -> None:
    made = {
        "young": plain_event(account.id, source="gate", tags=["a"], face_attributes=basic(20, 0)),
        "old": plain_event(account.id, source="gate", tags=["a", "b"], face_attributes=basic(60, 1)),
        "elsewhere": plain_event(account.id, source="door", tags=["b"], face_attributes=basic(60, 1)),
        "empty": plain_event(account.id),
    }
    wanted = {
        "": ["young", "old", "elsewhere", "empty"],
        "sources=gate": ["young", "old"],
        "sources=gate,door&age__gte=30": ["old", "elsewhere"],
        "tags=a,b": ["old"],
        "gender=0": ["young"],
        f"handler_ids={made['empty'].handler_id}": ["empty"],
    }
    last = plain_event(account.id, source="gate", tags=["a", "b"], face_attributes=basic(30, 0))
    after = NewEvent(account.id, made["empty"].handler_id, last.event)  # passes every filter
    async with contextlib.AsyncExitStack() as stack:
        sockets = {query: await stack.enter_async_context(subscribe(account, query)) for query in wanted}
        await publish(platform, *made.values())
        await publish(platform, after)
        for query, names in wanted.items():
            expected = [str(made[name].event.event_id) for name in names] + [str(after.event.event_id)]
            assert ids(await told(sockets[query], len(expected))) == expected, query


async def test_nobody_is_told_of_another_accounts_events(
    platform: Platform, account: Account, stranger: Account, new_account: AccountFactory, subscribe: Subscribe
) -> None:
    advanced = await new_account("advanced_user")
    async with subscribe(stranger) as of_stranger, subscribe(advanced) as of_advanced, subscribe(account) as own:
        events = [plain_event(owner.id) for owner in (account, stranger, advanced)]
        await publish(platform, *events)
        for opened, event in ((own, events[0]), (of_stranger, events[1]), (of_advanced, events[2])):
            assert ids(await told(opened, 1)) == [str(event.event.event_id)]


async def test_what_a_client_says_is_ignored(platform: Platform, account: Account, subscribe: Subscribe) -> None:
    async with subscribe(account) as opened:
        await opened.send("hello")
        await opened.send(b"\x00\xff" * 1000)
        await opened.send(["in ", "pieces"])
        event = plain_event(account.id)
        await publish(platform, event)
        assert ids(await told(opened, 1)) == [str(event.event.event_id)]


async def test_ping_is_answered(account: Account, subscribe: Subscribe) -> None:
    async with subscribe(account) as opened:
        async with asyncio.timeout(30):
            await (await opened.ping())


# The handshake


async def test_handshake_tells_its_request_id(account: Account, address: str) -> None:
    headers = {**basic_auth(account), "Luna-Request-Id": REQUEST_ID}
    async with connect(f"ws://{address}/6/ws", additional_headers=headers) as opened:
        assert opened.response is not None
        assert opened.response.headers["Luna-Request-Id"] == REQUEST_ID


async def test_token_needs_the_right_to_view_events(
    platform: Platform, account: Account, address: str, subscribe: Subscribe
) -> None:
    async def token(permissions: dict[str, Any]) -> dict[str, str]:
        reply = await account.client.post("/6/tokens", json={"expiration_time": None, "permissions": permissions})
        return {"Authorization": f"Bearer {reply.json()['token']}"}

    blind = await refused(address, await token({"event": ["creation", "matching"], "face": ["view"]}))
    assert_envelope(blind, 403, 11059)
    async with connect(f"ws://{address}/6/ws", additional_headers=await token({"event": ["view"]})) as opened:
        event = plain_event(account.id)
        await publish(platform, event)
        assert ids(await told(opened, 1)) == [str(event.event.event_id)]


async def test_account_id_is_a_credential_in_local_mode(platform: Platform, account: Account, address: str) -> None:
    headers = {"Luna-Account-Id": str(account.id)}
    async with connect(f"ws://{address}/6/ws", additional_headers=headers) as opened:
        event = plain_event(account.id)
        await publish(platform, event)
        assert ids(await told(opened, 1)) == [str(event.event.event_id)]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, 11065),
        ({"Authorization": "Bearer nonsense"}, 401, 11062),
        ({"Authorization": "Basic nonsense"}, 401, 11065),
        ({"Luna-Account-Id": "nonsense"}, 400, 11037),
        ({"Luna-Account-Id": str(uuid4())}, 401, 11065),
    ],
)
async def test_bad_credentials_are_told_before_the_upgrade(
    address: str, headers: dict[str, str], status: int, code: int
) -> None:
    reply = await refused(address, headers)
    assert_envelope(reply, status, code)
    assert (reply.headers.get("www-authenticate") is not None) is (status == 401)


async def test_bad_filter_is_told_before_the_upgrade(account: Account, address: str) -> None:
    body = assert_envelope(await refused(address, basic_auth(account), "emotions=9"), 400, 12012)
    assert "emotions" in body["detail"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://127.0.0.1:1", "http://localhost", "null", "file://", "http://[", "x"]
)
async def test_pages_of_other_servers_cannot_subscribe(account: Account, address: str, origin: str) -> None:
    body = assert_envelope(await refused(address, basic_auth(account), origin=origin), 400, 12046)
    assert "may not open a websocket" in body["detail"]


async def test_pages_of_this_server_can_subscribe(account: Account, address: str, subscribe: Subscribe) -> None:
    async with subscribe(account, origin=f"http://{address}"):
        pass


async def test_name_that_is_not_this_servers_is_refused(account: Account, address: str) -> None:
    host, _, port = address.partition(":")
    with pytest.raises(InvalidStatus) as failed:
        await connect(
            f"ws://evil.example:{port}/6/ws",
            host=host,
            port=int(port),
            origin=f"http://evil.example:{port}",  # type: ignore[arg-type]
            additional_headers=basic_auth(account),
        )
    assert failed.value.response.status_code == 400
    assert b"not addressed as 'evil.example'" in failed.value.response.body


async def test_ordinary_get_is_told_to_ask_for_the_upgrade(account: Account, address: str) -> None:
    body = assert_envelope(await account.client.get("/6/ws"), 400, 12046)
    assert "Upgrade: websocket" in body["detail"]
    assert_envelope(await account.client.get("/6/ws?gender=5"), 400, 12012)
    async with httpx.AsyncClient() as anonymous:
        assert_envelope(await anonymous.get(f"http://{address}/6/ws"), 401, 11065)


async def test_options(client: httpx.AsyncClient) -> None:
    reply = await client.options("/6/ws")
    assert (reply.status_code, reply.json(), reply.headers["Allow"]) == (200, {}, "GET,OPTIONS")
    assert_envelope(await client.post("/6/ws"), 405, 12021)


async def raw(address: str, *lines: str) -> httpx.Response:
    """The answer to a request that is written by hand."""
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        async with asyncio.timeout(30):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in head[1:-2])]
            length = int({name.lower(): value for name, value in headers}["content-length"])
            return httpx.Response(int(head[0].split()[1]), headers=headers, content=await reader.readexactly(length))
    finally:
        writer.close()


KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
WISH = ("Connection: Upgrade", "Upgrade: websocket")


@pytest.mark.parametrize(
    ("first_line", "lines"),
    [
        ("GET /6/ws HTTP/1.1", ["Sec-WebSocket-Version: 13"]),
        ("GET /6/ws HTTP/1.1", [KEY]),
        ("GET /6/ws HTTP/1.1", [KEY, "Sec-WebSocket-Version: 8"]),
        ("GET /6/ws HTTP/1.1", ["Sec-WebSocket-Key: short", "Sec-WebSocket-Version: 13"]),
        ("GET /6/ws HTTP/1.1", [KEY, KEY, "Sec-WebSocket-Version: 13"]),
        ("GET /6/ws HTTP/1.1", [KEY, "Sec-WebSocket-Version: 13", *(f"X-{number}: 1" for number in range(200))]),
        ("GET /6/ws HTTP/1.1", [KEY, "Sec-WebSocket-Version: 13", f"X-Long: {'x' * 20_000}"]),
    ],
)
async def test_broken_handshake_gets_the_envelope(address: str, first_line: str, lines: list[str]) -> None:
    assert_envelope(await raw(address, first_line, f"Host: {address}", *WISH, *lines), 400, 12046)


async def test_wish_for_a_websocket_is_ignored_elsewhere(address: str) -> None:
    handshake = (f"Host: {address}", *WISH, KEY, "Sec-WebSocket-Version: 13")
    assert (await raw(address, "GET /6/healthcheck HTTP/1.1", *handshake)).status_code == 200
    assert_envelope(await raw(address, "GET /6/faces HTTP/1.1", *handshake), 401, 11065)
    assert_envelope(await raw(address, "GET /6/wss HTTP/1.1", *handshake), 404, 12013)
    assert_envelope(await raw(address, "POST /6/ws HTTP/1.1", *handshake), 405, 12021)
    assert_envelope(await raw(address, "GET /6/ws HTTP/1.0", *handshake), 401, 11065)


# The end


async def test_client_may_close(platform: Platform, new_account: AccountFactory, subscribe: Subscribe) -> None:
    own = await new_account()
    async with subscribe(own) as opened:
        await opened.close(1000)
        assert opened.close_code == 1000
    await gone(platform, own.id)


async def gone(platform: Platform, account_id: UUID) -> None:
    """Wait until nobody reads the account's events any more."""
    async with asyncio.timeout(30):
        while account_id in platform.publisher._readers:  # noqa: ASYNC110 - the server's side of a connection
            await asyncio.sleep(0.01)


async def test_client_that_vanishes_is_forgotten(
    platform: Platform, new_account: AccountFactory, subscribe: Subscribe
) -> None:
    own = await new_account()
    opened = await subscribe(own)
    opened.transport.abort()
    await gone(platform, own.id)


async def test_removed_token_ends_the_connection(
    platform: Platform, account: Account, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(platform, "settings", with_recheck(platform, 0.05))
    server = http_server(platform)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    reply = await account.client.post("/6/tokens", json={"expiration_time": None, "permissions": {"event": ["view"]}})
    headers = {"Authorization": f"Bearer {reply.json()['token']}"}
    async with connect(f"ws://127.0.0.1:{listener.getsockname()[1]}/6/ws", additional_headers=headers) as opened:
        event = plain_event(account.id)
        await publish(platform, event)
        assert ids(await told(opened, 1)) == [str(event.event.event_id)]
        await account.client.delete(f"/6/tokens/{reply.json()['token_id']}")
        code, reason, before = await closing(opened)
    assert (code, before[0]["error_code"]) == (1008, 11062)
    assert "no longer valid" in reason
    server.should_exit = True
    await serving


def with_recheck(platform: Platform, seconds: float) -> Any:
    settings = platform.settings
    notifications = msgspec.structs.replace(settings.notifications, recheck=seconds)
    return msgspec.structs.replace(settings, notifications=notifications)


async def test_shutdown_closes_with_going_away(platform: Platform, account: Account) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    server = http_server(platform)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    url = f"ws://127.0.0.1:{listener.getsockname()[1]}/6/ws"
    async with connect(url, additional_headers=basic_auth(account)) as opened:
        server.should_exit = True
        code, _, before = await closing(opened)
    async with asyncio.timeout(9):  # uvicorn gives up on connections that stay open after 10
        await serving
    assert (code, before) == (1001, [])


async def test_number_of_connections_is_bounded(
    platform: Platform, new_account: AccountFactory, address: str, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = platform.publisher._limits
    monkeypatch.setattr(platform.publisher, "_limits", dataclasses.replace(limits, readers_of_account=2))
    first, second = await new_account(), await new_account()
    async with subscribe(first), subscribe(first):
        reply = await refused(address, basic_auth(first))
        assert_envelope(reply, 503, 11)
        assert "Retry-After" in reply.headers
        async with subscribe(second):
            pass
    await gone(platform, first.id)
    async with subscribe(first):
        pass
