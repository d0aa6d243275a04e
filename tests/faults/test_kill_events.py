"""The server killed while clients make events: what was acknowledged is kept, and no event is kept by half."""

import asyncio
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from lunaria.storage.embedded import EmbeddedPostgres
from tests.faults.enrolment import JPEG, PHOTO_NAMES
from tests.faults.raw_events import new_dynamic_handler, post_raw_event
from tests.faults.test_kill import KILLS
from tests.servers import PHOTOS, Server

COMPLETE = {
    "events without details": "FROM events LEFT JOIN event_details d USING (event_id) WHERE d.event_id IS NULL",
    "details without event": "FROM event_details LEFT JOIN events e USING (event_id) WHERE e.event_id IS NULL",
    "events without descriptor": "FROM events LEFT JOIN event_descriptors d USING (event_id) WHERE d.event_id IS NULL",
    "descriptors without event": "FROM event_descriptors LEFT JOIN events e USING (event_id) WHERE e.event_id IS NULL",
    "faces without event": "FROM faces f LEFT JOIN events e USING (event_id) WHERE e.event_id IS NULL",
    "events without face": "FROM events e LEFT JOIN faces f USING (face_id) WHERE e.source = 'door' AND f.face_id IS NULL",
    "faces without descriptor": "FROM faces LEFT JOIN face_descriptors d USING (face_id) WHERE d.face_id IS NULL",
    "faces outside the list": "FROM faces LEFT JOIN list_faces l USING (face_id) WHERE l.face_id IS NULL",
}
"""What must not be there, as the part of a query that follows the columns."""


@dataclass
class Books:
    """What the server said yes to, and what it should not have said."""

    events: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    raw: set[UUID] = field(default_factory=set)
    refusals: list[str] = field(default_factory=list)


class Client(threading.Thread):
    """Calls `work` over and over until `stop`, also while the server is away."""

    def __init__(self, server: Server, credentials: tuple[str, str], work: Callable[[httpx.Client, int], None]) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._credentials = credentials
        self._work = work
        self._ended = threading.Event()
        self.failure: Exception | None = None

    def run(self) -> None:
        number = 0
        with self._server.client(self._credentials, timeout=30) as client:
            while not self._ended.is_set():
                number += 1
                try:
                    self._work(client, number)
                except httpx.TransportError:
                    time.sleep(0.05)
                except Exception as error:
                    self.failure = error
                    return

    def stop(self) -> None:
        self._ended.set()
        self.join(60)
        assert not self.is_alive()
        if self.failure is not None:
            raise self.failure


@pytest.fixture(scope="module")
def credentials(server: Server) -> tuple[str, str]:
    return server.new_account()


def test_killed_server_keeps_whole_events(server: Server, credentials: tuple[str, str]) -> None:
    books = Books()
    with server.client(credentials) as client:
        list_id = client.post("/6/lists", json={}).json()["list_id"]
        handler = _storing_handler(client, list_id)
        dynamic = new_dynamic_handler(client)

    def generate(photo: str) -> Callable[[httpx.Client, int], None]:
        data = (PHOTOS / photo).read_bytes()

        def work(client: httpx.Client, number: int) -> None:
            reply = client.post(f"/6/handlers/{handler}/events?source=door", content=data, headers=JPEG)
            if reply.status_code == 201:
                books.events.update({UUID(event["event_id"]): event for event in reply.json()["events"]})
            elif reply.status_code != 503:
                books.refusals.append(f"{reply.status_code} {reply.text[:300]}")

        return work

    def raw(client: httpx.Client, number: int) -> None:
        saved = post_raw_event(client, dynamic, number)
        if saved is not None:
            books.raw.add(saved)

    clients = [Client(server, credentials, work) for work in (*map(generate, PHOTO_NAMES[:2]), raw)]
    for one in clients:
        one.start()
    moments = random.Random(11)
    for _ in range(KILLS):
        _wait_for_new(books)
        time.sleep(moments.uniform(0.0, 0.5))
        server.kill()
        server.start()
    _wait_for_new(books)
    for one in clients:
        one.stop()
    assert not books.refusals, books.refusals[:3]
    assert len(books.events) >= KILLS
    assert len(books.raw) >= KILLS
    with server.client(credentials) as client:
        _assert_kept(client, books, list_id)
    asyncio.run(_assert_complete(server))


def _wait_for_new(books: Books) -> None:
    """Until one more event of each kind was acknowledged."""
    generated, raw, began = len(books.events), len(books.raw), time.monotonic()
    while len(books.events) == generated or len(books.raw) == raw:
        assert time.monotonic() - began < 60
        time.sleep(0.02)


def _storing_handler(client: httpx.Client, list_id: str) -> str:
    """A handler that keeps all that there is to keep of an event."""
    storage = {
        "face_policy": {"store_face": 1, "link_to_lists_policy": [{"list_id": list_id}]},
        "image_origin_policy": {"store_image": 1},
        "attribute_policy": {"store_attribute": 1, "ttl": 3600},
    }
    reply = client.post("/6/handlers", json={"policies": {"storage_policy": storage}})
    assert reply.status_code == 201, reply.text
    return str(reply.json()["handler_id"])


def _assert_kept(client: httpx.Client, books: Books, list_id: str) -> None:
    """Every acknowledged event is there with everything that it names."""
    for event_id in books.raw:
        assert client.get(f"/6/events/{event_id}").status_code == 200
    for event_id, event in books.events.items():
        stored = client.get(f"/6/events/{event_id}").json()
        assert stored["face_id"] == event["face"]["face_id"]
        assert stored["attach_result"] == [list_id]
        assert client.get(event["face"]["url"]).json()["lists"] == [list_id]
        assert client.get(event["face_attributes"]["url"]).json()["face_descriptor"]
        (detection,) = event["detections"]
        for url in (detection["samples"]["face"]["url"], detection["image_origin"]):
            assert client.get(url).status_code == 200


async def _assert_complete(server: Server) -> None:
    """Nothing is stored by half, be it acknowledged or not; and every record of a blob has its bytes."""
    connection = await asyncpg.connect(EmbeddedPostgres(server.folder / "data" / "postgres").running_url())
    try:
        for what, rest in COMPLETE.items():
            assert await connection.fetchval(f"SELECT count(*) {rest}") == 0, what
        blobs = await connection.fetch("SELECT kind, blob_id FROM blobs")
    finally:
        await connection.close()
    files = {path.name for path in (server.folder / "data" / "blobs").rglob("*") if path.is_file()}
    assert {str(blob["blob_id"]) for blob in blobs} <= files, sorted(files)[:3]
