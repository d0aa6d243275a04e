"""The pool: types, transactions, and what a caller sees when the server is slow, gone or back."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import DateTime, exc, insert, literal, select, text

from lunaria.storage import migrate
from lunaria.storage.database import Database, DatabaseUnavailableError, StatementTimeoutError, plain_url
from lunaria.storage.embedded import EmbeddedPostgres
from lunaria.storage.schema import attribute_descriptors, attributes, database_settings

_ID = uuid4()
_LAST_MOMENT = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


async def test_types_go_there_and_back(clean_database: Database) -> None:
    attribute, samples, data = uuid4(), [uuid4(), uuid4()], bytes(range(256)) * 4
    settings = {"nested": [1, None, {"name": "Jürgen 🌙"}]}
    async with clean_database.transaction() as connection:
        row = {"attribute_id": attribute, "account_id": uuid4(), "descriptor_samples": samples}
        times = {"create_time": text("now()"), "expires_at": text("now()")}
        await connection.execute(insert(attributes).values({**row, **times}))
        await connection.execute(
            insert(attribute_descriptors).values(attribute_id=attribute, version=1001, coding=0, data=data, score=0.5)
        )
        await connection.execute(insert(database_settings).values(key="test", value=settings))
    async with clean_database.connect() as connection:
        found = (await connection.execute(select(attributes))).one()
        assert (found.attribute_id, found.descriptor_samples, found.basic_samples) == (attribute, samples, [])
        assert type(found.attribute_id) is UUID
        assert (found.age, found.has_basic) == (None, False)
        assert found.create_time.utcoffset().total_seconds() == 0
        vector = (await connection.execute(select(attribute_descriptors))).one()
        assert (vector.data, vector.score) == (data, 0.5)
        assert (await connection.execute(select(database_settings.c.value))).scalar_one() == settings


@pytest.mark.parametrize("moment", [datetime.min, datetime.max, datetime(2024, 2, 29, 23, 59, 59, 999999)])
async def test_times_go_there_and_back(database: Database, moment: datetime) -> None:
    """The ends of the calendar are times like all others."""
    given = moment.replace(tzinfo=UTC)
    statement = select(literal(given, DateTime(timezone=True)), text("NULL::timestamptz"))
    async with database.connect() as connection:
        assert (await connection.execute(statement)).one() == (given, None)
        shown = "SELECT to_char(CAST(:given AS timestamptz), 'YYYY-MM-DD HH24:MI:SS.US')"
        told = (await connection.execute(text(shown), {"given": given})).scalar_one()
        assert told == given.strftime("%Y-%m-%d %H:%M:%S.%f").zfill(26)


async def test_failed_transaction_leaves_nothing(clean_database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with clean_database.transaction() as connection:
            await connection.execute(insert(database_settings).values(key="a", value=1))
            raise ZeroDivisionError
    async with clean_database.connect() as connection:
        assert (await connection.execute(select(database_settings))).all() == []


async def test_wrong_statement_is_not_unavailable(database: Database) -> None:
    with pytest.raises(exc.ProgrammingError):
        async with database.connect() as connection:
            await connection.execute(text("SELECT * FROM not_there"))
    with pytest.raises(exc.IntegrityError):
        async with database.transaction() as connection:
            await connection.execute(insert(database_settings).values(key=None, value=1))
    with pytest.raises(exc.DBAPIError, match="out of int32 range"):
        async with database.connect() as connection:
            await connection.execute(select(attribute_descriptors).where(attribute_descriptors.c.version == 2**40))


async def test_errors_of_the_body_pass(database: Database) -> None:
    with pytest.raises(FileNotFoundError):
        async with database.transaction():
            raise FileNotFoundError


async def test_slow_statement_is_cancelled(database_url: str) -> None:
    database = Database(database_url, pool_size=1, statement_timeout=0.1)
    with pytest.raises(StatementTimeoutError):
        async with database.connect() as connection:
            await connection.execute(text("SELECT pg_sleep(5)"))
    await database.ping()
    await database.close()


async def test_exhausted_pool_sheds(database_url: str) -> None:
    database = Database(database_url, pool_size=1, pool_timeout=0.1)
    async with database.connect():
        with pytest.raises(DatabaseUnavailableError):
            await database.ping()
    await database.ping()
    await database.close()


async def test_cancelled_request_gives_its_connection_back(database_url: str) -> None:
    database = Database(database_url, pool_size=1, pool_timeout=2)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), database.connect() as connection:
                await connection.execute(text("SELECT pg_sleep(1)"))
    await database.ping()
    await database.close()


async def test_the_driver_alone_fails_alike(database_url: str) -> None:
    """And the one connection serves on, whatever happened to the statement before."""
    database = Database(database_url, pool_size=1, pool_timeout=0.1, statement_timeout=0.5)
    with pytest.raises(StatementTimeoutError):
        await database.fetch("SELECT pg_sleep(5)")
    with pytest.raises(exc.IntegrityError):
        await database.fetch("INSERT INTO database_settings (key) VALUES ($1)", "a")
    with pytest.raises(asyncpg.UndefinedTableError):
        await database.fetch("SELECT * FROM not_there")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await database.fetch("SELECT pg_sleep(0.4)")
    running = asyncio.create_task(database.fetch("SELECT pg_sleep(0.3)"))
    await asyncio.sleep(0)
    with pytest.raises(DatabaseUnavailableError):
        await database.fetch("SELECT 1")
    await running
    with pytest.raises(DatabaseUnavailableError):
        await database.fetch("SELECT pg_terminate_backend(pg_backend_pid())")
    assert [tuple(row) for row in await database.fetch("SELECT $1::int", 7)] == [(7,)]
    given = '{"a": [1, null]}'
    (row,) = await database.fetch("SELECT $1::json, $1::jsonb, $2::uuid, $3::timestamptz", given, _ID, _LAST_MOMENT)
    assert tuple(row) == ({"a": [1, None]}, {"a": [1, None]}, _ID, _LAST_MOMENT)
    await database.close()


async def test_a_cancelled_statement_ends_on_the_server(database_url: str, database: Database) -> None:
    impatient = Database(database_url, pool_size=5)
    for _ in range(6):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await impatient.fetch("SELECT pg_sleep(20) /* cancelled */")
    running = (
        "SELECT FROM pg_stat_activity WHERE query LIKE '%/* cancelled%' AND state = $1 AND pid <> pg_backend_pid()"
    )
    async with asyncio.timeout(5):
        while await database.fetch(running, "active"):
            pass
    await impatient.close()


@pytest.mark.parametrize("address", ["127.0.0.1:1/x", "/x?host=/nowhere"])
async def test_server_not_there(address: str) -> None:
    database = Database(f"postgresql://user:secret@{address}")
    with pytest.raises(DatabaseUnavailableError) as failure:
        await database.ping()
    assert "secret" not in str(failure.value)
    await database.close()


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite:///x"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="postgresql://"):
        Database(url)


def test_driver_in_the_url_is_dropped() -> None:
    assert plain_url("postgresql+asyncpg://u@h/d?x=y") == "postgresql://u@h/d?x=y"


async def _until_answered(ask: Callable[[str], Awaitable[object]]) -> None:
    while True:
        try:
            await ask("SELECT 1")
        except DatabaseUnavailableError:
            await asyncio.sleep(0.001)
        else:
            return


def _in_transaction(database: Database) -> Callable[[str], Awaitable[object]]:
    async def ask(sql: str) -> None:
        async with database.transaction() as connection:
            await connection.execute(text(sql))

    return ask


async def test_server_dies_and_comes_back(open_folder: Path) -> None:
    """Statements in flight get DatabaseUnavailableError; once the server answers, nobody meets a stale connection."""
    server = EmbeddedPostgres(open_folder / f"dies-{uuid4().hex[:8]}")
    url = await asyncio.to_thread(server.start)
    try:
        await migrate.upgrade(url)
        database = Database(url, pool_size=5)
        async with database.connect(), database.connect(), database.connect():
            pass  # three open connections wait in the pool
        await asyncio.gather(database.fetch("SELECT 1"), database.fetch("SELECT 1"))  # and two for single statements
        async with database.transaction() as connection:
            await connection.execute(insert(database_settings).values(key="kept", value=1))
        process = server.process_id
        assert process
        with pytest.raises(DatabaseUnavailableError):
            async with database.transaction() as connection:
                os.kill(process, signal.SIGKILL)
                await connection.execute(text("SELECT pg_sleep(5)"))
        # Whoever asks meanwhile is told the same, whether the server is gone or starting.
        async with asyncio.timeout(10):
            await asyncio.gather(*(_until_answered(way) for way in (database.fetch, _in_transaction(database)) * 3))
            while server.restarts < 1:  # noqa: ASYNC110  (a count, nothing to await)
                await asyncio.sleep(0.01)
        async with database.connect(), database.connect(), database.connect() as connection:
            assert (await connection.execute(select(database_settings.c.key))).scalar_one() == "kept"
        await database.close()
    finally:
        await asyncio.to_thread(server.stop)
