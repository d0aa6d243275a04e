"""The recorder: the order in which an event is written and told of, and its queue for the background."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Table, func, select
from sqlalchemy.exc import IntegrityError
from structlog.testing import capture_logs

from lunaria.attributes.service import NewAttribute, NewTemporaryAttribute
from lunaria.blobs.service import BlobKind, NewBlob
from lunaria.events.callbacks_schemas import HttpCallback
from lunaria.events.event import NewEvent
from lunaria.events.partitions import Partitions
from lunaria.events.schemas import Event
from lunaria.events.store import EventsStore
from lunaria.faces.failures import MissingListError
from lunaria.faces.store import NewFace
from lunaria.handlers import recorder as recorder_module
from lunaria.handlers.recorder import PreparedEvent, Recorder
from lunaria.http.errors import ApiError
from lunaria.kit.times import SystemClock
from lunaria.storage.database import Database, DatabaseUnavailableError
from lunaria.storage.schema import attributes, blobs, events, faces
from lunaria.storage.scope import NewRows, Preface, Scope, ScopedConnection

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ADDED = "add blobs events event_details"
CALLBACK = HttpCallback(url="https://example.com/hook")


class World:
    """Everything round a recorder; `steps` tells what happened, in order."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken = False
        self.at_commit = asyncio.Event()
        self.committing = asyncio.Event()
        self.committing.set()
        self.failures: list[Exception] = []
        """Of the next transactions."""
        self.saved = False

    async def write(self, made: Sequence[NewBlob]) -> None:
        await self.gate.wait()
        self.steps.append("bytes")
        if self.broken:
            raise OSError("no room")

    async def make_room(self, times: Collection[datetime]) -> None:
        assert set(times) == {NOW}
        self.steps.append("room")

    async def add(self, new: Sequence[NewRows], preface: Preface) -> None:
        self.steps.append("add " + " ".join(one.table.name for one in new if one.rows))
        self.at_commit.set()
        await self.committing.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.steps.append("commit")

    @asynccontextmanager
    async def scoped_connect(self, scope: Any) -> AsyncIterator[str]:
        yield "connection"

    async def is_recorded(self, *_: Any, **__: Any) -> bool:
        self.steps.append("look")
        return self.saved

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
    monkeypatch.setattr(recorder_module, "is_recorded", made.is_recorded)
    monkeypatch.setattr(recorder_module, "FIRST_PAUSE", 0.001)
    return made


def prepared(size: int = 10, owner: UUID | None = None, **options: Any) -> PreparedEvent:
    event = Event(event_id=uuid4(), url=None, create_time=NOW, end_time=NOW)
    blob = NewBlob(BlobKind.FACE_SAMPLE, uuid4(), "image/jpeg", bytes(size))
    return PreparedEvent(NewEvent(owner or UUID(int=7), uuid4(), event), blobs=[blob], **options)


async def test_bytes_then_records_then_messages(world: World) -> None:
    both = [prepared(callbacks=[CALLBACK]), prepared(notify=False)]
    await world.recorder().record(both, wait=True, request_id="r")
    order = ["bytes", "room", ADDED, "commit", "told 1 r", "called 1 r"]
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


async def test_an_event_that_is_stored_is_told_of_though_the_request_was_cancelled(world: World) -> None:
    recorder = world.recorder()
    world.committing.clear()
    request = asyncio.create_task(recorder.record([prepared(callbacks=[CALLBACK])], wait=True, request_id="r"))
    await world.at_commit.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    end = asyncio.create_task(recorder.stop())
    await asyncio.sleep(0)
    assert world.steps[-1] == ADDED
    world.committing.set()
    await end
    assert world.steps[-3:] == ["commit", "told 1 r", "called 1 r"]


async def test_the_end_does_not_wait_for_a_commit_without_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "END_SECONDS", 0.05)
    recorder = world.recorder()
    world.committing.clear()
    request = asyncio.create_task(recorder.record([prepared()], wait=True, request_id="r"))
    await world.at_commit.wait()
    await recorder.stop()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert world.steps[-1] == ADDED


AWAY = DatabaseUnavailableError("restarting")
TAKEN = IntegrityError("INSERT", None, Exception("unique"))
ATTEMPT = ["room", ADDED]


async def in_background(world: World) -> list[str]:
    recorder = world.recorder()
    recorder.start()
    await recorder.record([prepared()], wait=False, request_id="r")
    await recorder.stop()
    return world.steps


async def test_the_background_outlives_a_restart_of_the_database(world: World) -> None:
    """The bytes are written once, and those who listen are told once."""
    world.failures = [AWAY, AWAY]
    repeated = ["look", *ATTEMPT]
    assert await in_background(world) == ["bytes", *ATTEMPT, *repeated, *repeated, "commit", "told 1 r"]


async def test_what_a_lost_commit_has_saved_is_not_saved_again(world: World) -> None:
    world.failures, world.saved = [AWAY], True
    assert await in_background(world) == ["bytes", *ATTEMPT, "look", "told 1 r"]


async def test_a_commit_that_happens_after_it_was_looked_for_is_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.failures = [AWAY, TAKEN, TAKEN]

    async def look(*_: Any, **__: Any) -> bool:
        return not world.failures

    monkeypatch.setattr(recorder_module, "is_recorded", look)
    assert (await in_background(world))[-2:] == [ADDED, "told 1 r"]


async def test_ids_that_are_taken_at_first_are_a_failure(world: World) -> None:
    world.failures = [TAKEN]
    assert await in_background(world) == ["bytes", *ATTEMPT]


async def test_a_database_that_stays_away_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "PATIENCE", 0.2)
    world.failures = [AWAY] * 100
    steps = await in_background(world)
    assert 1 < steps.count(ADDED) < 100
    assert "told 1 r" not in steps


@pytest.mark.parametrize("saved", [True, False])
async def test_a_list_that_went_meanwhile_does_not_hide_what_was_saved(
    world: World, monkeypatch: pytest.MonkeyPatch, saved: bool
) -> None:
    """The attempt whose answer was lost ends after it was looked for, then the list is deleted."""

    async def late(*_: Any, **__: Any) -> bool:
        world.steps.append("look")
        return saved and world.steps.count("look") > 1

    monkeypatch.setattr(recorder_module, "is_recorded", late)
    world.failures = [AWAY, MissingListError(uuid4())]
    steps = await in_background(world)
    assert (steps[-1] == "told 1 r") == saved


async def test_who_waits_is_told_of_a_lost_database_at_once(world: World) -> None:
    world.failures = [AWAY]
    with pytest.raises(DatabaseUnavailableError):
        await world.recorder().record([prepared()], wait=True, request_id="r")
    assert world.steps == ["bytes", *ATTEMPT]


async def test_the_end_does_not_wait_for_a_database_that_is_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is being written and what waits behind it is lost, and told as such."""
    monkeypatch.setattr(recorder_module, "END_SECONDS", 0.05)
    monkeypatch.setattr(recorder_module, "FIRST_PAUSE", 30.0)
    jobs = recorder_module.WRITERS + 2
    world.failures = [AWAY] * jobs
    recorder = world.recorder(queue=jobs)
    recorder.start()
    for number in range(jobs):
        await recorder.record([prepared()], wait=False, request_id=str(number))
    with capture_logs() as lines:
        await recorder.stop()
    lost = {line["request_id"] for line in lines if line["event"] == "events were not saved"}
    assert lost == {str(number) for number in range(jobs)}
    assert (recorder._waiting_events, recorder._waiting_bytes) == (0, 0)


# With a database


class Forgetful:
    """A database whose first commit happens, but whose answer is lost."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.transactions = 0

    async def add(self, new: Sequence[NewRows], preface: Preface) -> None:
        self.transactions += 1
        await self._database.add(new, preface)
        if self.transactions == 1:
            raise AWAY

    def scoped_connect(self, scope: Scope) -> AbstractAsyncContextManager[ScopedConnection]:
        return self._database.scoped_connect(scope)


ATTRIBUTE = NewTemporaryAttribute(uuid4(), NewAttribute(), 60)


@pytest.mark.parametrize(
    ("parts", "table"),
    [
        ({"store": True}, events),
        ({"face": True}, faces),
        ({"attribute": ATTRIBUTE}, attributes),
        ({"blobs": [NewBlob(BlobKind.FACE_SAMPLE, uuid4(), "image/jpeg", b"x")]}, blobs),
    ],
)
async def test_records_whose_commit_was_lost_are_found(
    clean_database: Database, monkeypatch: pytest.MonkeyPatch, parts: dict[str, Any], table: Table
) -> None:
    monkeypatch.setattr(recorder_module, "FIRST_PAUSE", 0.001)
    owner, now = uuid4(), SystemClock().now()
    if "face" in parts:
        row = {"face_id": uuid4(), "account_id": owner, "event_id": None, "user_data": "", "create_time": now}
        parts = {"face": NewFace({**row, "external_id": "", "avatar": ""})}
    event = Event(event_id=uuid4(), url=None, create_time=now, end_time=now)
    database: Any = Forgetful(clean_database)
    world: Any = World()
    store = EventsStore(clean_database, Partitions(clean_database, SystemClock()))
    recorder = Recorder(database, world, store, world, world, SystemClock(), queue=2, queue_bytes=10_000)
    recorder.start()
    one = PreparedEvent(NewEvent(owner, uuid4(), event), **{"store": False, **parts})
    await recorder.record([one], wait=False, request_id="r")
    await recorder.stop()
    assert database.transactions == 1
    assert world.steps[-1] == "told 1 r"
    async with clean_database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(table))).scalar_one() == 1
