"""The logs of changes: no write is missed, whatever the order of commits."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, func, insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from lunaria.storage import migrate
from lunaria.storage.changes import EVENT_CHANGES, FACE_CHANGES, ChangeLog
from lunaria.storage.database import Database
from lunaria.storage.schema import event_descriptors, face_attributes, face_descriptors, faces, list_faces, lists

ACCOUNT = uuid4()


async def add_face(connection: AsyncConnection) -> UUID:
    face = uuid4()
    await connection.execute(insert(faces).values(face_id=face, account_id=ACCOUNT, create_time=func.now()))
    return face


async def add_event(connection: AsyncConnection, kinds: Sequence[str] = ("face", "body")) -> UUID:
    event, when = uuid4(), datetime(2020, 5, 1, tzinfo=UTC)
    row = {"event_id": event, "account_id": ACCOUNT, "create_time": when, "version": 1, "coding": 0, "data": b"x"}
    await connection.execute(insert(event_descriptors), [{**row, "kind": kind} for kind in kinds])
    return event


class Follower:
    """What the matching index does: remembers a position, asks what came since."""

    def __init__(self, database: Database, log: ChangeLog) -> None:
        self.database = database
        self.log = log

    async def begin(self) -> None:
        async with self.database.connect() as connection:
            self.changes = await self.log.position(connection)

    async def read(self) -> set[UUID] | None:
        self.changes = await self.log.since(self.database, self.changes.position, self.changes.seen)
        return None if self.changes.keys is None else set(self.changes.keys)


@pytest.fixture
async def follower(clean_database: Database) -> Follower:
    follower = Follower(clean_database, FACE_CHANGES)
    await follower.begin()
    return follower


@pytest.fixture
async def event_follower(clean_database: Database) -> Follower:
    follower = Follower(clean_database, EVENT_CHANGES)
    await follower.begin()
    return follower


async def test_every_kind_of_write_is_noted(clean_database: Database, follower: Follower) -> None:
    async with clean_database.transaction() as connection:
        face = await add_face(connection)
        list_id = uuid4()
        row = {"list_id": list_id, "account_id": ACCOUNT, "create_time": func.now(), "last_update_time": func.now()}
        await connection.execute(insert(lists).values(row))
    assert await follower.read() == {face}
    assert await follower.read() == set()
    vector = {"face_id": face, "version": 1001, "coding": 0, "data": bytes(1024)}
    for statement in (
        update(faces).values(user_data="x"),
        insert(face_attributes).values(face_id=face, create_time=func.now()),
        update(face_attributes).values(age=30),
        insert(face_descriptors).values(vector),
        update(face_descriptors).values(score=0.5),
        delete(face_descriptors),
        delete(face_attributes),
        insert(list_faces).values(list_id=list_id, face_id=face),
        update(list_faces).values(link_time=func.now()),
        delete(list_faces),
        insert(list_faces).values(list_id=list_id, face_id=face),
        delete(lists),  # the links go with it
        delete(faces),
    ):
        async with clean_database.transaction() as connection:
            await connection.execute(statement)
        assert await follower.read() == {face}, str(statement)


async def test_transaction_that_commits_late_is_not_missed(clean_database: Database, follower: Follower) -> None:
    async with clean_database.transaction() as slow:
        first = await add_face(slow)
        async with clean_database.transaction() as fast:
            second = await add_face(fast)
        assert await follower.read() == {second}
    assert first in (await follower.read() or set())


async def test_rolled_back_write_is_not_told(clean_database: Database, follower: Follower) -> None:
    async with clean_database.connect() as connection:
        await add_face(connection)
    assert await follower.read() == set()


async def test_pruning_tells_who_lags_behind(clean_database: Database, follower: Follower) -> None:
    for _ in range(5):
        async with clean_database.transaction() as connection:
            await add_face(connection)
    async with clean_database.transaction() as connection:
        assert await FACE_CHANGES.prune(connection, keep=10) == 0
        assert await FACE_CHANGES.prune(connection, keep=2) == 2
    async with clean_database.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM face_changes"))).scalar_one() == 3
    assert await follower.read() is None
    assert await follower.read() == set()
    async with clean_database.transaction() as connection:
        face = await add_face(connection)
    assert await follower.read() == {face}


@pytest.mark.parametrize("log", ["face_changes", "event_changes"])
async def test_log_of_another_server_is_discarded(clean_database: Database, database_url: str, log: str) -> None:
    async with clean_database.transaction() as connection:
        await add_face(connection)
        await add_event(connection)
        await connection.execute(text(f"UPDATE {log} SET transaction_id = '9000000000000'"))
    await migrate.upgrade(database_url)
    async with clean_database.connect() as connection:
        assert (await connection.execute(text(f"SELECT count(*) FROM {log}"))).scalar_one() == 0


async def test_every_write_of_events_descriptors_is_noted(clean_database: Database, event_follower: Follower) -> None:
    async with clean_database.transaction() as connection:
        event, other = await add_event(connection), await add_event(connection, kinds=("body",))
    assert await event_follower.read() == {event, other}
    own = event_descriptors.c.event_id == event
    for statement in (
        update(event_descriptors).where(own).values(score=0.5),
        update(event_descriptors).where(own).values(create_time=datetime(2019, 1, 1, tzinfo=UTC)),
        delete(event_descriptors).where(own, event_descriptors.c.kind == "face"),
        delete(event_descriptors).where(own),
    ):
        async with clean_database.transaction() as connection:
            await connection.execute(statement)
        assert await event_follower.read() == {event}, str(statement)
    async with clean_database.connect() as connection:
        await add_event(connection)  # rolled back
    assert await event_follower.read() == set()


async def test_what_no_trigger_sees_is_told_once(clean_database: Database, event_follower: Follower) -> None:
    """Also while an older transaction holds the position back: nobody loads everything again and again."""
    async with clean_database.transaction() as slow:
        late = await add_event(slow)
        async with clean_database.transaction() as connection:
            await EVENT_CHANGES.note_everything(connection)
        assert await event_follower.read() is None
        await event_follower.begin()
        assert await event_follower.read() == set()
    assert await event_follower.read() == {late}
