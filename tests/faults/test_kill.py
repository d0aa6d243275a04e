"""The server and its database killed while clients enrol: what was acknowledged is kept, and service comes back soon."""

import os
import random
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.faults.enrolment import Enroller, assert_kept
from tests.servers import Server, assert_envelope

KILLS = int(os.environ.get("LUNARIA_TEST_KILLS", "3"))
CLIENTS = 3
BACK_WITHIN = 5.0
SLACK = 3.0 if os.cpu_count() == 1 or os.environ.get("CI") else 2.0
"""The clients and other work share the cores with the starting server."""


def enrol(server: Server, credentials: tuple[str, str], list_id: str) -> list[Enroller]:
    clients = [Enroller(server, credentials, list_id, number) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    return clients


def await_enrolments(clients: list[Enroller]) -> None:
    """Wait until every client has enrolled once more: what was killed serves again."""
    before = [client.books.enrolled for client in clients]
    began = time.monotonic()
    while any(client.books.enrolled <= count for client, count in zip(clients, before, strict=True)):
        assert time.monotonic() - began < 60
        time.sleep(0.05)


@pytest.fixture(scope="module")
def credentials(server: Server) -> tuple[str, str]:
    return server.new_account()


@pytest.fixture
def list_id(server: Server, credentials: tuple[str, str]) -> str:
    with server.client(credentials) as client:
        return str(client.post("/6/lists", json={"user_data": "enrolled"}).json()["list_id"])


def postgres_of(server: Server) -> int:
    """The database's process: the server's child of that name."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name, _, rest = (entry / "stat").read_text().partition(" (")[2].rpartition(")")
            except OSError:
                continue
            if name == "postgres" and int(rest.split()[1]) == server.pid:
                return int(entry.name)
    raise AssertionError("the server has no database process")


def test_killed_server_keeps_what_it_acknowledged(server: Server, credentials: tuple[str, str], list_id: str) -> None:
    moments = random.Random(7)
    clients = enrol(server, credentials, list_id)
    back: list[float] = []
    for _ in range(KILLS):
        time.sleep(moments.uniform(0.5, 3.0))
        server.kill()
        back.append(server.start())
    await_enrolments(clients)
    books = [client.stop() for client in clients]
    with server.client(credentials) as client:
        assert assert_kept(client, books, list_id)
    assert max(back) < BACK_WITHIN * SLACK, back


def test_killed_database_comes_back(server: Server, credentials: tuple[str, str], list_id: str) -> None:
    clients = enrol(server, credentials, list_id)
    with server.client(credentials) as client:
        for _ in range(max(1, KILLS // 2)):
            time.sleep(1.5)
            began = time.monotonic()
            os.kill(postgres_of(server), signal.SIGKILL)
            unavailable = 0
            while True:
                reply = client.get("/6/faces")
                if reply.status_code == 200 and unavailable:
                    break
                if reply.status_code != 200:
                    assert_envelope(reply, 503, 10)
                    assert reply.headers["Retry-After"]
                    unavailable += 1
                assert time.monotonic() - began < 20
                time.sleep(0.01)
            assert time.monotonic() - began < BACK_WITHIN * SLACK
        await_enrolments(clients)
        books = [one.stop() for one in clients]
        assert_kept(client, books, list_id)
    assert server.process is not None
    assert server.process.poll() is None


def test_unavailable_database_shows_in_the_health_check(server: Server) -> None:
    os.kill(postgres_of(server), signal.SIGKILL)
    seen = set()
    began = time.monotonic()
    while time.monotonic() - began < 20:
        status = httpx.get(f"{server.url}/6/healthcheck", timeout=20).status_code
        seen.add(status)
        if status == 200 and 502 in seen:
            break
        time.sleep(0.005)
    assert seen == {200, 502}
