"""Migrations against the schema of the code, and against data of every released version."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Table, text
from sqlalchemy.schema import MetaData

from lunaria.storage import migrate
from lunaria.storage.database import Database
from lunaria.storage.schema import metadata

MIGRATIONS = Path(migrate.__file__).with_name("migrations")
TEST_TIME = datetime(2024, 2, 29, 12, 30, 1, 123456, UTC)
TEST_ID = UUID("7d42606a-fc75-4458-a78e-9f34c6222ed2")
TRANSACTIONS_LOGS = {"face_changes", "event_changes"}  # triggers fill them, and restored ones are discarded

# Values that a column's checks ask for; everything else is made up from the column's type.
CHOSEN: dict[tuple[str, str], object] = {
    ("accounts", "account_type"): "advanced_user",
    ("tokens", "visibility_area"): "account",
    ("blobs", "kind"): "image",
    ("attribute_descriptors", "coding"): 0,
    ("face_descriptors", "coding"): 1,
    ("event_descriptors", "coding"): 1,
    ("event_descriptors", "kind"): "body",
    ("handlers", "handler_type"): 2,
}
BY_TYPE: dict[str, object] = {
    "UUID": TEST_ID,
    "TEXT": "Zoë ~ ' \" %",
    "TIMESTAMP": TEST_TIME,
    "SMALLINT": 3,
    "INTEGER": 1001,
    "BIGINT": 2**40,
    "BOOLEAN": True,
    "ARRAY OF UUID": [TEST_ID],
    "ARRAY OF TEXT": ["Zoë", "'"],
    "JSONB": {"face": ["view"], "n": None},
    "BYTEA": b"\x00\xff" * 512,
    "REAL": 0.5,
    "DOUBLE_PRECISION": 0.1,
}
PARTITIONS = text("SELECT relname FROM pg_class WHERE relispartition")


@pytest.fixture
async def empty_database_url(server_url: str) -> AsyncIterator[str]:
    """A database of its own without any table."""
    name = f"lunaria_{uuid4().hex[:12]}"
    connection = await asyncpg.connect(server_url)
    await connection.execute(f"CREATE DATABASE {name}")
    base, separator, query = server_url.partition("?")
    yield f"{base.rpartition('/')[0]}/{name}{separator}{query}"
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture
async def empty_database(empty_database_url: str) -> AsyncIterator[Database]:
    database = Database(empty_database_url, pool_size=2)
    yield database
    await database.close()


async def catalogue(database: Database) -> set[tuple[str, ...]]:
    """Columns, constraints and indexes as PostgreSQL itself words them; partitions have those of their table."""
    queries = (
        """SELECT table_name, column_name, data_type, udt_name, is_nullable, coalesce(column_default, ''), is_identity
           FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'""",
        """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
           FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conname NOT LIKE 'alembic%'""",
        """SELECT tablename, indexname, indexdef
           FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'""",
    )
    found: set[tuple[str, ...]] = set()
    async with database.connect() as connection:
        partitions = set((await connection.execute(PARTITIONS)).scalars())
        for query in queries:
            found |= {tuple(row) for row in await connection.execute(text(query)) if row[0] not in partitions}
    return found


async def test_migrated_schema_equals_metadata(database: Database, empty_database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        partitions = set(connection.execute(PARTITIONS).scalars())
        options = {
            "compare_type": True,
            "compare_server_default": True,
            "include_name": lambda name, kind, _: kind != "table" or name not in partitions,
        }
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    async with database.connect() as connection:
        assert await connection.run_sync(differences) == []
    async with empty_database.transaction() as connection:
        await connection.execute(text("CREATE EXTENSION pg_trgm"))
        await connection.run_sync(metadata.create_all)
    migrated, declared = await catalogue(database), await catalogue(empty_database)
    assert len(migrated) > 100
    assert migrated == declared


def test_files_are_named_by_their_revisions() -> None:
    scripts = ScriptDirectory(str(MIGRATIONS)).walk_revisions()
    assert [script.revision for script in scripts][::-1] == migrate.released_revisions()


async def test_two_servers_upgrade_at_once(empty_database_url: str) -> None:
    assert await migrate.current(empty_database_url) is None
    await asyncio.gather(*(migrate.upgrade(empty_database_url) for _ in range(4)))
    assert await migrate.current(empty_database_url) == migrate.released_revisions()[-1]


async def test_newer_schema_is_refused(empty_database: Database, empty_database_url: str) -> None:
    await migrate.upgrade(empty_database_url)
    async with empty_database.transaction() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(migrate.SchemaTooNewError):
        await migrate.upgrade(empty_database_url)


async def test_extension_that_may_not_be_created(
    empty_database: Database, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a managed server: the schema comes up without the indexes that need the extension."""
    from alembic import op

    execute = op.execute
    monkeypatch.setattr(
        op, "execute", lambda sql: execute(sql.replace("EXTENSION IF NOT EXISTS pg_trgm", "EXTENSION no"))
    )
    await migrate.upgrade(empty_database_url)
    names = {row[1] for row in await catalogue(empty_database)}
    assert "pk_faces" in names
    assert "faces_user_data_trgm" not in names


def made_up_row(table: Table) -> dict[str, Any]:
    def value(column: Any) -> object:
        kind = type(column.type).__name__.upper()
        if kind == "ARRAY":
            kind = f"ARRAY OF {type(column.type.item_type).__name__.upper()}"
        return CHOSEN.get((table.name, column.name), BY_TYPE.get(kind, BY_TYPE.get(kind.split("(")[0])))

    row = {column.name: value(column) for column in table.columns if column.identity is None}
    assert None not in row.values(), f"no value known for a column of {table.name}: {row}"
    return row


@pytest.mark.parametrize("revision", migrate.released_revisions())
async def test_upgrade_keeps_data(revision: str, empty_database: Database, empty_database_url: str) -> None:
    """A row in every table of an older schema is still there, value by value, in the newest."""
    await migrate.upgrade(empty_database_url, revision)
    then = MetaData()

    def fill(connection: Connection) -> None:
        partitions = set(connection.execute(PARTITIONS).scalars())
        then.reflect(connection, only=lambda name, _: name not in partitions)
        for table in then.sorted_tables:
            if table.name not in {"alembic_version", *TRANSACTIONS_LOGS}:
                connection.execute(table.insert(), made_up_row(table))

    async with empty_database.transaction() as connection:
        await connection.run_sync(fill)
    await migrate.upgrade(empty_database_url)
    filled = [table for table in then.sorted_tables if table.name not in {"alembic_version", *TRANSACTIONS_LOGS}]
    assert filled
    async with empty_database.connect() as connection:
        for table in filled:
            now = metadata.tables[table.name]
            kept = [name for name in made_up_row(table) if name in now.c]
            rows = (await connection.execute(now.select())).mappings().all()
            assert [{name: row[name] for name in kept} for row in rows] == [
                {name: value for name, value in made_up_row(table).items() if name in kept}
            ]
