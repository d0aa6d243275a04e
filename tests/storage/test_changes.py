"""The log of changed faces: no write is missed, whatever the order of commits."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, func, insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from lunaria.storage import migrate
from lunaria.storage.changes import change_position, changes_since, prune_face_changes
from lunaria.storage.database import Database
from lunaria.storage.schema import face_attributes, face_descriptors, faces, list_faces, lists

ACCOUNT = uuid4()


async def add_face(connection: AsyncConnection) -> UUID:
    face = uuid4()
    await connection.execute(insert(faces).values(face_id=face, account_id=ACCOUNT, create_time=func.now()))
    return face


class Follower:
    """What the matching index does: remembers a position, asks what came since."""

    def __init__(self, database: Database, position: int) -> None:
        self.database = database
        self.position = position

    async def read(self) -> set[UUID] | None:
        async with self.database.connect() as connection:
            changes = await changes_since(connection, self.position)
        self.position = changes.position
        return None if changes.face_ids is None else set(changes.face_ids)


@pytest.fixture
async def follower(clean_database: Database) -> AsyncIterator[Follower]:
    async with clean_database.connect() as connection:
        position = await change_position(connection)
    yield Follower(clean_database, position)


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
        assert await prune_face_changes(connection, keep=10) == 0
        assert await prune_face_changes(connection, keep=2) == 2
    async with clean_database.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM face_changes"))).scalar_one() == 3
    assert await follower.read() is None
    assert await follower.read() == set()
    async with clean_database.transaction() as connection:
        face = await add_face(connection)
    assert await follower.read() == {face}


async def test_log_of_another_server_is_discarded(clean_database: Database, database_url: str) -> None:
    async with clean_database.transaction() as connection:
        await add_face(connection)
        await connection.execute(text("UPDATE face_changes SET transaction_id = '9000000000000'"))
    await migrate.upgrade(database_url)
    async with clean_database.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM face_changes"))).scalar_one() == 0
