"""More than the server can do: it refuses what it cannot take, in order, and does what it took; also when it is ended."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers import PHOTOS, Server, assert_envelope, running_server

WORKERS, QUEUE = 1, 4
OFFERED = 10 * (WORKERS + QUEUE)
JPEG = {"Content-Type": "image/jpeg"}


@pytest.fixture(scope="module")
def server(open_folder: Path) -> Iterator[Server]:
    """A server that can take five images at a time."""
    settings = {"LUNARIA_VISION_WORKERS": WORKERS, "LUNARIA_VISION_QUEUE": QUEUE}
    with running_server(open_folder / "overload", **settings) as started:
        yield started


@pytest.fixture(scope="module")
def credentials(server: Server) -> tuple[str, str]:
    login = server.new_account()
    with server.client(login) as client:  # what is slow the first time is done
        assert client.post("/6/sdk?detect_face=1", content=photo(), headers=JPEG).status_code == 200
    return login


def photo() -> bytes:
    return (PHOTOS / "biden.jpg").read_bytes()


@pytest.mark.parametrize("address", ["/6/sdk?detect_face=1", "/6/detector"])
async def test_what_is_too_much_is_refused(address: str, server: Server, credentials: tuple[str, str]) -> None:
    limits = httpx.Limits(max_connections=OFFERED + 1)
    async with httpx.AsyncClient(base_url=server.url, auth=credentials, timeout=60, limits=limits) as client:

        async def ask() -> tuple[httpx.Response, float]:
            began = time.monotonic()
            reply = await client.post(address, content=photo(), headers=JPEG)
            return reply, time.monotonic() - began

        alone = (await ask())[1]
        burst = [asyncio.create_task(ask()) for _ in range(OFFERED)]
        began = time.monotonic()
        bystander = await client.get("/6/account")
        waited = time.monotonic() - began
        answers = await asyncio.gather(*burst)
    statuses = Counter(reply.status_code for reply, _ in answers)
    assert set(statuses) == {200, 503}
    assert statuses[200] >= WORKERS + QUEUE
    assert bystander.status_code == 200
    assert waited < 5
    for reply, _ in answers:
        if reply.status_code == 503:
            assert_envelope(reply, 503, 11)
            assert int(reply.headers["Retry-After"]) >= 1
        else:
            (image,) = reply.json().get("images_estimations") or reply.json()["images"]
            assert image["status"] == 1
    # who was taken waits for those before it in the queue, not for all that was offered
    slowest = max(seconds for reply, seconds in answers if reply.status_code == 200)
    assert slowest < (WORKERS + QUEUE) * max(alone, 0.1) * 4 + 2


async def test_what_is_too_much_is_refused_before_its_body_is_read(
    server: Server, credentials: tuple[str, str]
) -> None:
    """Headers alone are answered while the queue is full: nobody has to send a picture for nothing."""
    limits = httpx.Limits(max_connections=OFFERED)
    async with httpx.AsyncClient(base_url=server.url, auth=credentials, timeout=60, limits=limits) as client:
        refused = asyncio.Event()

        async def ask_on() -> None:
            while not refused.is_set():
                await client.post("/6/sdk?detect_face=1", content=photo(), headers=JPEG)

        burst = [asyncio.create_task(ask_on()) for _ in range(OFFERED)]
        async with asyncio.timeout(60):
            while await _status_without_body(server) != b"503":
                pass  # it came when there was room for a moment
        refused.set()
        await asyncio.gather(*burst)


async def _status_without_body(server: Server) -> bytes:
    """What a request is answered whose body never comes; empty when it is waited for."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = f"POST /6/sdk HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: image/jpeg\r\n"
    writer.write(f"{head}Content-Length: 1000000\r\n\r\n".encode())
    try:
        async with asyncio.timeout(3):
            return (await reader.readline()).split()[1]
    except TimeoutError:
        return b""
    finally:
        writer.close()


async def test_it_serves_on_afterwards(server: Server, credentials: tuple[str, str]) -> None:
    async with httpx.AsyncClient(base_url=server.url, auth=credentials, timeout=60) as client:
        for _ in range(3):
            assert (await client.post("/6/sdk?detect_face=1", content=photo(), headers=JPEG)).status_code == 200


async def test_a_terminated_server_finishes_what_it_took(server: Server, credentials: tuple[str, str]) -> None:
    """The last test of this file: the server is gone then."""
    async with httpx.AsyncClient(base_url=server.url, auth=credentials, timeout=60) as client:
        running = [
            asyncio.create_task(client.post("/6/detector", content=photo(), headers=JPEG))
            for _ in range(WORKERS + QUEUE)
        ]
        await asyncio.sleep(0.2)
        server.terminate()
        replies = await asyncio.gather(*running)
        assert [reply.status_code for reply in replies] == [200] * len(running)
        samples = [reply.json()["images"][0]["detections"]["samples"][0]["face"]["sample_id"] for reply in replies]
    assert server.process is not None
    assert await asyncio.to_thread(server.process.wait, 30) == 0
    await asyncio.to_thread(server.start)
    async with httpx.AsyncClient(base_url=server.url, auth=credentials, timeout=60) as client:
        for sample in samples:
            assert (await client.head(f"/6/samples/faces/{sample}")).status_code == 200
