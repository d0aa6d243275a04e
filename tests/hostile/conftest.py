"""A real server with short limits, and somebody who uses it in an ordinary way all the while."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers import Server, running_server

BODY_LIMIT = 24 * 1024 * 1024
BODY_TIMEOUT = 2.0
PATIENCE = 10.0
"""Seconds after which an ordinary request has been harmed, on a busy machine with few cores."""


@pytest.fixture(scope="session")
def server(open_folder: Path) -> Iterator[Server]:
    settings = {"LUNARIA_SERVER_BODY_LIMIT": BODY_LIMIT, "LUNARIA_SERVER_BODY_TIMEOUT": BODY_TIMEOUT}
    with running_server(open_folder / "hostile", **settings) as started:
        yield started


@pytest.fixture(scope="session")
def credentials(server: Server) -> tuple[str, str]:
    return server.new_account()


@pytest.fixture(scope="session")
def client(server: Server, credentials: tuple[str, str]) -> Iterator[httpx.Client]:
    with server.client(credentials) as signed:
        yield signed


@pytest.fixture(autouse=True)
def bystander(server: Server, credentials: tuple[str, str]) -> Iterator[None]:
    """Ordinary requests during every test: all of them are answered, rightly and soon."""
    harm: list[str] = []
    ended = threading.Event()

    def live() -> None:
        with server.client(credentials, timeout=PATIENCE) as ordinary:
            while True:
                began = time.monotonic()
                try:
                    reply = ordinary.get("/6/account")
                    if reply.status_code != 200:
                        harm.append(reply.text[:200])
                except httpx.HTTPError as error:
                    harm.append(f"{error!r} after {time.monotonic() - began:.1f} s")
                if ended.wait(0.05):
                    return

    thread = threading.Thread(target=live)
    thread.start()
    yield
    ended.set()
    thread.join()
    assert not harm
