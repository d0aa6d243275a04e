"""Fixtures that many test folders share."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from lunaria.accounts import passwords
from lunaria.storage import migrate
from lunaria.storage.database import Database
from lunaria.storage.embedded import EmbeddedPostgres
from lunaria.storage.schema import metadata

DATABASE_URL_VARIABLE = "LUNARIA_TEST_DATABASE_URL"


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Hashing is slow by design, and the tests make hundreds of accounts. Servers of their own process hash in full."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "ITERATIONS", 1000)
        yield


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A temporary folder that other accounts may enter (pytest's may not): root's PostgreSQL runs as another."""
    with tempfile.TemporaryDirectory(prefix="lunaria-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="session")
def server_url(open_folder: Path) -> Iterator[str]:
    """A PostgreSQL server: the one of LUNARIA_TEST_DATABASE_URL, whose tables the tests empty, or an embedded one."""
    given = os.environ.get(DATABASE_URL_VARIABLE)
    if given:
        yield given
        return
    server = EmbeddedPostgres(open_folder / "postgres")
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
async def database_url(server_url: str) -> str:
    """The URL of a database with the newest schema."""
    await migrate.upgrade(server_url)
    return server_url


@pytest.fixture(scope="session")
async def database(database_url: str) -> AsyncIterator[Database]:
    """The pool of connections to the test database. Use `clean_database` unless the test leaves nothing behind."""
    database = Database(database_url, pool_size=10)
    yield database
    await database.close()


@pytest.fixture
async def clean_database(database: Database) -> Database:
    """The database with all tables empty."""
    names = ", ".join(table.name for table in metadata.sorted_tables)
    async with database.transaction() as connection:
        await connection.execute(text(f"TRUNCATE {names}"))
    return database
