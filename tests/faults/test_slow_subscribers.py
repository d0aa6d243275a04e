"""Subscribers that do not read: they are closed, the others miss nothing, and the server's end does not wait for them."""

import asyncio
import dataclasses
import json
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from lunaria.app import Platform, running
from lunaria.cli import http_server
from lunaria.events.event import NewEvent
from lunaria.settings import load
from tests.api.conftest import PASSWORD, fresh_database, settings_of
from tests.events.making import plain_event

LARGE = {"text": "x" * 200_000}
"""So that few events fill every buffer on the way."""


@dataclasses.dataclass
class Served:
    """A platform behind a real socket, with one account."""

    platform: Platform
    server: uvicorn.Server
    serving: asyncio.Task[None]
    port: int
    account_id: UUID
    auth: httpx.BasicAuth

    def subscribe(self, **options: Any) -> Any:
        headers = {"Authorization": self.auth._auth_header}
        options = {"ping_interval": None, "close_timeout": 1, **options}
        return connect(f"ws://127.0.0.1:{self.port}/6/ws", additional_headers=headers, **options)

    async def publish(self, *events: NewEvent) -> None:
        await self.platform.publisher.publish(events, "")

    def readers(self) -> int:
        return len(self.platform.publisher._readers.get(self.account_id, ()))

    async def overflow(self) -> int:
        """Publish until one of the readers is given up; returns how many events that took."""
        readers, number = self.readers(), 0
        async with asyncio.timeout(120):
            while self.readers() == readers:
                await self.publish(plain_event(self.account_id, meta=LARGE))
                number += 1
                await asyncio.sleep(0.005)
        return number


@pytest.fixture
async def served(server_url: str, open_folder: Path) -> AsyncIterator[Served]:
    url = await fresh_database(server_url, f"lunaria_slow_{uuid4().hex[:8]}")
    environment = {
        **settings_of(open_folder / f"slow-{uuid4().hex[:8]}"),
        "LUNARIA_NOTIFICATIONS_QUEUE": "20",
    }
    async with running(load(environment), url) as platform:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        server = http_server(platform)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        login = "slow@example.org"
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            body = {"login": login, "password": PASSWORD, "account_type": "user"}
            reply = await client.post("/6/accounts", json=body)
            assert reply.status_code == 201, reply.text
        account_id = UUID(reply.json()["account_id"])
        yield Served(platform, server, serving, port, account_id, httpx.BasicAuth(login, PASSWORD))
        server.should_exit = True
        await serving


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the server's side of a connection
            await asyncio.sleep(0.01)


async def collect(opened: ClientConnection, events: list[str]) -> int:
    """Gather the ids of all events until the end; returns the close code."""
    try:
        while True:
            events.append(json.loads(await opened.recv())["event"]["event_id"])
    except ConnectionClosed as closed:
        return 0 if closed.rcvd is None else closed.rcvd.code


async def test_slow_reader_is_closed_and_the_others_miss_nothing(served: Served) -> None:
    of_fast: list[str] = []
    of_slow: list[str] = []
    async with served.subscribe() as fast, served.subscribe(max_queue=1) as slow:
        receiving = asyncio.create_task(collect(fast, of_fast))
        number = await served.overflow()
        assert served.readers() == 1
        code = await collect(slow, of_slow)  # it reads again, a little late
        last = plain_event(served.account_id)
        await served.publish(last)
        await until(lambda: str(last.event.event_id) in of_fast)
        await fast.close()
        await receiving
    assert code == 1013
    assert len(of_fast) == number + 1
    assert 0 < len(of_slow) < number
    assert of_slow == of_fast[: len(of_slow)], "what it got is what everybody got, without gaps"


async def test_requests_are_served_while_a_reader_is_stuck(served: Served) -> None:
    async with served.subscribe() as fast, served.subscribe(max_queue=1):
        receiving = asyncio.create_task(collect(fast, []))
        await served.overflow()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.port}", auth=served.auth) as client:
            assert (await client.get("/6/account", timeout=60)).status_code == 200
        await fast.close()
        await receiving


async def test_connection_of_a_reader_that_never_reads_is_dropped(served: Served) -> None:
    async with served.subscribe(max_queue=1):
        await served.overflow()
        await until(lambda: not served.server.server_state.connections)


async def test_end_of_the_server_does_not_wait_for_a_stuck_reader(served: Served) -> None:
    async with served.subscribe(max_queue=1):
        for _ in range(15):
            await served.publish(plain_event(served.account_id, meta={"text": "x" * 1_000_000}))
        await until(lambda: not served.platform.publisher._backlog)
        served.server.should_exit = True
        async with asyncio.timeout(9):  # uvicorn gives up on what is open after 10
            await served.serving
