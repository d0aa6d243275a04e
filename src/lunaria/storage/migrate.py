"""Brings a database to the schema of this version of Lunaria."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import asyncpg
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from lunaria.storage.changes import discard_foreign_positions
from lunaria.storage.database import DatabaseUnavailableError, plain_url

_MIGRATIONS = Path(__file__).with_name("migrations")
# Any constant serves, as long as every version of Lunaria uses the same one.
LOCK_KEY = 7_160_204_601
_Result = TypeVar("_Result")


class SchemaTooNewError(RuntimeError):
    """The database was upgraded by a newer version of Lunaria; this one must not write to it."""


def released_revisions() -> list[str]:
    """All schema versions, oldest first: the numbers that the files of the migrations begin with."""
    return sorted(file.name.partition("_")[0] for file in (_MIGRATIONS / "versions").glob("[0-9]*_*.py"))


async def upgrade(url: str, revision: str = "head") -> None:
    """Runs the missing migrations in one transaction. Several servers may call it at once: one works, the others wait.

    Raises:
        SchemaTooNewError: the database knows a schema that this version does not.
        DatabaseUnavailableError: the database cannot be reached or refuses us.
    """

    def work(connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
        found, known = _current(connection), released_revisions()
        if found is not None and found not in known:
            raise SchemaTooNewError(f"The database has schema {found}, newest known here is {known[-1]}")
        if found != known[-1]:
            _migrate(connection, revision)
        if revision == "head":  # an older schema may lack some of the logs
            discard_foreign_positions(connection)

    await _run(url, work)


async def current(url: str) -> str | None:
    """The database's schema version; None for an empty database. Raises as `upgrade` does."""
    return await _run(url, _current)


def _current(connection: Connection) -> str | None:
    if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar() is None:
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _migrate(connection: Connection, revision: str) -> None:
    # Alembic takes its time to load; most starts find the newest schema and need nothing of it.
    from alembic import command
    from alembic.config import Config

    config = Config()  # the folder lies in the package, so no file is needed
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


async def _run(url: str, work: Callable[[Connection], _Result]) -> _Result:
    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        # No statement timeout: rebuilding an index of a large table takes its time.
        try:
            return await asyncpg.connect(plain_url(url), timeout=30, server_settings={"timezone": "UTC"})
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise DatabaseUnavailableError(
                f"The database cannot be reached: {str(error) or type(error).__name__}"
            ) from error

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()
