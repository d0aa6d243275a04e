"""Migrations against the schema of the code."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from lunaria.storage import migrate
from lunaria.storage.database import Database
from lunaria.storage.schema import metadata


@pytest.fixture
async def empty_database_url(server_url: str) -> AsyncIterator[str]:
    """A database of its own without any table."""
    name = f"lunaria_{uuid4().hex[:12]}"
    connection = await asyncpg.connect(server_url)
    await connection.execute(f"CREATE DATABASE {name}")
    base, _, query = server_url.partition("?")
    yield f"{base.rpartition('/')[0]}/{name}?{query}"
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


async def test_migrated_schema_equals_metadata(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        options = {"compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    async with database.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_two_servers_upgrade_at_once(empty_database_url: str) -> None:
    assert await migrate.current(empty_database_url) is None
    await asyncio.gather(*(migrate.upgrade(empty_database_url) for _ in range(4)))
    assert await migrate.current(empty_database_url) == migrate.released_revisions()[-1]
