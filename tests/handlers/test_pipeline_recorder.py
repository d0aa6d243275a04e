"""The recorder: the order in which an event is written and told of, and its queue for the background."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from lunaria.blobs.service import BlobKind, NewBlob
from lunaria.events.callbacks_schemas import HttpCallback
from lunaria.events.event import NewEvent
from lunaria.events.schemas import Event
from lunaria.handlers import recorder as recorder_module
from lunaria.handlers.recorder import PreparedEvent, Recorder
from lunaria.http.errors import ApiError
from lunaria.kit.times import SystemClock

NOW = datetime(2026, 1, 2, tzinfo=UTC)
CALLBACK = HttpCallback(url="https://example.com/hook")


class World:
    """Everything round a recorder; `steps` tells what happened, in order."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken = False

    async def write(self, made: Sequence[NewBlob]) -> None:
        await self.gate.wait()
        self.steps.append("bytes")
        if self.broken:
            raise OSError("no room")

    async def make_room(self, times: Collection[datetime]) -> None:
        assert set(times) == {NOW}
        self.steps.append("room")

    @asynccontextmanager
    async def scoped_transaction(self, scope: Any) -> AsyncIterator[str]:
        self.steps.append("begin")
        yield "connection"
        self.steps.append("commit")

    async def publish(self, events: Sequence[NewEvent], request_id: str) -> None:
        self.steps.append(f"told {len(events)} {request_id}")

    def send(self, calls: Sequence[tuple[HttpCallback, NewEvent]], request_id: str) -> None:
        self.steps.append(f"called {len(calls)} {request_id}")

    def recorder(self, *, queue: int = 2, queue_bytes: int = 10_000) -> Recorder:
        world: Any = self
        return Recorder(world, world, world, world, world, SystemClock(), queue=queue, queue_bytes=queue_bytes)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()

    def step(name: str) -> Any:
        async def record(*_: Any) -> None:
            made.steps.append(name)

        return record

    for name in ("add_blobs", "add_events"):
        monkeypatch.setattr(recorder_module, name, step(name))
    return made


def prepared(size: int = 10, owner: UUID | None = None, **options: Any) -> PreparedEvent:
    event = Event(event_id=uuid4(), url=None, create_time=NOW, end_time=NOW)
    blob = NewBlob(BlobKind.FACE_SAMPLE, uuid4(), "image/jpeg", bytes(size))
    return PreparedEvent(NewEvent(owner or UUID(int=7), uuid4(), event), blobs=[blob], **options)


async def test_bytes_then_records_then_messages(world: World) -> None:
    both = [prepared(callbacks=[CALLBACK]), prepared(notify=False)]
    await world.recorder().record(both, wait=True, request_id="r")
    order = ["bytes", "room", "begin", "add_blobs", "add_events", "commit", "told 1 r", "called 1 r"]
    assert world.steps == order


async def test_events_that_are_not_stored_are_told_of(world: World) -> None:
    event = Event(event_id=uuid4(), url=None, create_time=NOW, end_time=NOW)
    unstored = PreparedEvent(NewEvent(UUID(int=7), uuid4(), event), store=False)
    await world.recorder().record([unstored], wait=True, request_id="r")
    assert world.steps == ["told 1 r"]
    await world.recorder().record([], wait=True, request_id="r")
    assert world.steps == ["told 1 r"]


async def test_nobody_is_told_of_what_was_not_saved(world: World) -> None:
    world.broken = True
    with pytest.raises(OSError, match="no room"):
        await world.recorder().record([prepared(callbacks=[CALLBACK])], wait=True, request_id="r")
    assert world.steps == ["bytes"]


async def test_the_background_takes_what_has_room(world: World) -> None:
    """Whatever is taken is written before the recorder stops; what would be too much is refused."""
    recorder = world.recorder(queue=2, queue_bytes=10_000)
    recorder.start()
    world.gate.clear()
    await recorder.record([prepared()], wait=False, request_id="a")
    assert world.steps == []
    await recorder.record([prepared()], wait=False, request_id="b")
    with pytest.raises(ApiError) as refused:
        await recorder.record([prepared()], wait=False, request_id="c")
    assert (refused.value.code, refused.value.headers) == (11, {"Retry-After": "1"})
    world.gate.set()
    await recorder.stop()
    assert sorted(step for step in world.steps if step.startswith("told")) == ["told 1 a", "told 1 b"]


async def test_bytes_that_wait_are_bounded(world: World) -> None:
    """But one request is always taken, so that no size can never be written."""
    recorder = world.recorder(queue=10, queue_bytes=10_000)
    recorder.start()
    world.gate.clear()
    await recorder.record([prepared(50_000)], wait=False, request_id="a")
    with pytest.raises(ApiError):
        await recorder.record([prepared(1)], wait=False, request_id="b")
    world.gate.set()
    await recorder.stop()
    recorder.start()
    await recorder.record([prepared(1)], wait=False, request_id="c")
    await recorder.stop()
    assert [step for step in world.steps if step.startswith("told")] == ["told 1 a", "told 1 c"]


async def test_meta_that_waits_is_bounded(world: World) -> None:
    event = Event(event_id=uuid4(), url=None, create_time=NOW, end_time=NOW, meta={"note": "x" * 50_000})
    large = PreparedEvent(NewEvent(UUID(int=7), uuid4(), event))
    recorder = world.recorder(queue=10, queue_bytes=10_000)
    await recorder.record([large], wait=False, request_id="a")
    with pytest.raises(ApiError):
        await recorder.record([prepared(1)], wait=False, request_id="b")
    recorder.start()
    await recorder.stop()
    assert [step for step in world.steps if step.startswith("told")] == ["told 1 a"]


async def test_a_failure_in_the_background_leaves_the_others_alone(world: World) -> None:
    recorder = world.recorder()
    recorder.start()
    world.broken = True
    await recorder.record([prepared()], wait=False, request_id="lost")
    await recorder.stop()
    world.broken = False
    recorder.start()
    await recorder.record([prepared()], wait=False, request_id="kept")
    await recorder.stop()
    assert [step for step in world.steps if step.startswith("told")] == ["told 1 kept"]
