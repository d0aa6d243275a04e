"""Two server processes on one database: a subscriber of one is told of the events of the other, whatever breaks."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.api.conftest import fresh_database
from tests.faults.raw_events import new_dynamic_handler, post_raw_event
from tests.servers import Server, running_server

LISTENING = (
    "pg_locks JOIN pg_database ON oid = database WHERE locktype = 'advisory' AND classid = 1280658753 "
    "AND datname = current_database()"
)
"""Those who say that they have subscribers, as the part of a query that follows FROM. The table is of all databases."""


class Pair:
    """Two servers, one account, and a handler to make its events by."""

    def __init__(self, database_url: str, first: Server, second: Server) -> None:
        self.database_url = database_url
        self.first = first
        self.second = second
        self.credentials = first.new_account()
        self.client = first.client(self.credentials)
        self.handler_id = new_dynamic_handler(self.client)
        self._number = 0

    def subscribe(self, server: Server) -> Any:
        headers = {"Authorization": httpx.BasicAuth(*self.credentials)._auth_header}
        return connect(f"ws://127.0.0.1:{server.port}/6/ws", additional_headers=headers)

    async def make_event(self) -> str:
        """Make an event at the first server; its id."""
        self._number += 1
        made = await asyncio.to_thread(post_raw_event, self.client, self.handler_id, self._number)
        assert made is not None
        return str(made)

    async def fetch(self, statement: str) -> Any:
        connection = await asyncpg.connect(self.database_url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()


@pytest.fixture(scope="module")
async def pair(server_url: str, open_folder: Path) -> AsyncIterator[Pair]:
    name = f"lunaria_pair_{uuid4().hex[:8]}"
    url = await fresh_database(server_url, name)
    folder = open_folder / name
    shared = {"LUNARIA_DATABASE_URL": url, "LUNARIA_BLOBS_URL": str(folder / "blobs")}
    with running_server(folder / "first", **shared) as first, running_server(folder / "second", **shared) as second:
        made = await asyncio.to_thread(Pair, url, first, second)
        yield made
        made.client.close()


async def told(opened: ClientConnection, number: int) -> list[str]:
    async with asyncio.timeout(60):
        return [json.loads(await opened.recv())["event"]["event_id"] for _ in range(number)]


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110 - it asks the database
            await asyncio.sleep(0.05)


async def heard(pair: Pair, opened: ClientConnection) -> None:
    """Make an event and wait for it."""
    made = await pair.make_event()
    assert await told(opened, 1) == [made]


async def test_subscriber_is_told_of_the_events_of_both(pair: Pair) -> None:
    async with pair.subscribe(pair.second) as far, pair.subscribe(pair.first) as near:
        events = [await pair.make_event() for _ in range(10)]
        assert await told(far, 10) == events
        assert await told(near, 10) == events


async def test_subscription_outlives_the_connections_to_the_database(pair: Pair) -> None:
    async with pair.subscribe(pair.second) as far:
        await heard(pair, far)
        ended = await pair.fetch(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert ended >= 2
        await until(lambda: pair.fetch(f"SELECT count(*) > 0 FROM {LISTENING}"))
        # What happens before the first server knows of the second again is missed; nothing later is.
        made = []
        async with asyncio.timeout(60):
            receiving = asyncio.create_task(told(far, 1))
            while not receiving.done():
                made.append(await pair.make_event())
        (first,) = await receiving
        later = [await pair.make_event() for _ in range(5)]
        after = made[made.index(first) + 1 :]
        assert await told(far, len(after) + 5) == [*after, *later]


async def test_killed_server_is_no_listener_any_more(pair: Pair) -> None:
    async with pair.subscribe(pair.second) as far:
        await heard(pair, far)
        pair.second.kill()
        with pytest.raises(ConnectionClosed):
            await far.recv()
    await until(lambda: pair.fetch(f"SELECT count(*) = 0 FROM {LISTENING}"))
    async with pair.subscribe(pair.first) as near:
        await heard(pair, near)

    async def nothing_is_written() -> bool:
        """Whether an event leaves no message: the first server looks every 10 s who listens."""
        before = await pair.fetch("SELECT coalesce(max(sequence), 0) FROM broadcasts")
        await pair.make_event()
        await asyncio.sleep(0.5)
        return bool(await pair.fetch(f"SELECT coalesce(max(sequence), 0) = {before} FROM broadcasts"))

    await until(nothing_is_written)
    await asyncio.to_thread(pair.second.start)


async def test_ending_server_says_so(pair: Pair) -> None:
    async with pair.subscribe(pair.second) as far:
        pair.second.terminate()
        with pytest.raises(ConnectionClosed) as closed:
            await far.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
    assert await asyncio.to_thread(pair.second.process.wait, 30) == 0  # type: ignore[union-attr]
