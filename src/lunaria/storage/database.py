"""The way to PostgreSQL: a bounded pool, transactions, and errors that tell a lost server from a wrong statement."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import event, exc, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from lunaria.kit.concurrency import turn_within
from lunaria.storage.scope import NO_PREFACE, NewRows, Preface, PreparedStatement, Scope, ScopedConnection, addition
from lunaria.storage.statements import DRIVER_ERRORS, Driver, StatementPool

_UNAVAILABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,  # starting up or shutting down
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,  # disk full, out of memory, too many connections
    asyncpg.ReadOnlySQLTransactionError,  # fail-over left us on a replica
)
_SINGLE_SHARE = 0.4
"""Of the connections, for single statements, which are over soon."""
_JSON_DECODER = msgspec.json.Decoder()
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""From where PostgreSQL counts time, in microseconds."""
_MICROSECOND = timedelta(microseconds=1)


class DatabaseUnavailableError(Exception):
    """The database cannot serve now: not reachable, restarting, out of connections or of room.

    The cause is chained. When it arises in a commit, nobody knows whether the transaction happened; a caller that
    repeats must be idempotent.
    """


class StatementTimeoutError(Exception):
    """A statement ran longer than the limit and was cancelled; its transaction is rolled back."""


class Database:
    """The pool of connections to one PostgreSQL database. Make one per process, close it at the end.

    `url` is a PostgreSQL URL as libpq reads it (`postgresql://user:password@host/name?sslmode=...`). At most
    `pool_size` connections (two or more) are open, some of them for single statements only; who finds none free waits
    `pool_timeout` seconds. A statement is cancelled by the server after `statement_timeout` seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 20,
        pool_timeout: float = 10.0,
        statement_timeout: float = 30.0,
        connect_timeout: float = 10.0,
    ) -> None:
        self._url = plain_url(url)
        self._statement_timeout = statement_timeout
        self._connect_timeout = connect_timeout
        single = max(1, int(_SINGLE_SHARE * pool_size))
        self._statements = StatementPool(self._connect_for_statements, size=single, patience=pool_timeout)
        self._pool_timeout = pool_timeout
        self._locking = asyncio.Semaphore(max(1, single // 2))
        self.engine: AsyncEngine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._connect_driver,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=max(1, pool_size - single),
            max_overflow=0,
            pool_timeout=pool_timeout,
            json_serializer=_encode_json,
            json_deserializer=_JSON_DECODER.decode,
        )
        # Each statement by itself, without the two round trips that begin and end a transaction.
        self._reading = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        event.listen(self.engine.sync_engine, "checkout", _refuse_closed_connection)
        event.listen(self.engine.sync_engine, "handle_error", _translate_statement_error)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction: committed at the end, rolled back when the body raises.

        Raises:
            DatabaseUnavailableError, StatementTimeoutError: see there. Everything else passes as it is.
        """
        async with self.connect() as connection, connection.begin():
            yield connection

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading: what it did is rolled back at the end. Raises as `transaction` does."""
        async with self._connected(self.engine) as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for single statements that read, each with a snapshot of its own: the fastest way to read.

        No streams, which need a transaction. Raises as `transaction` does.
        """
        async with self._connected(self._reading) as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        async with contextlib.AsyncExitStack() as stack:
            with _translated_connect_errors():
                connection = await stack.enter_async_context(engine.connect())
            yield connection

    @contextlib.asynccontextmanager
    async def scoped_transaction(self, scope: Scope) -> AsyncIterator[ScopedConnection]:
        """`transaction` that only runs statements which are limited to the scope's account."""
        async with self.transaction() as connection:
            yield ScopedConnection(connection, scope)

    @contextlib.asynccontextmanager
    async def scoped_connect(self, scope: Scope) -> AsyncIterator[ScopedConnection]:
        """`read` that only runs statements which are limited to the scope's account."""
        async with self.read() as connection:
            yield ScopedConnection(connection, scope)

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """The rows of a single statement in the driver's own words ($1, $2), which is by far the fastest way.

        It is a transaction of its own. Nobody sees to it that SQL is limited to an account: `fetch_prepared` does.
        Raises as `transaction` does, and sqlalchemy's IntegrityError.
        """
        try:
            return await self._statements.fetch(sql, *arguments)
        except asyncpg.IntegrityConstraintViolationError as error:
            raise exc.IntegrityError(sql, None, error) from error
        except DRIVER_ERRORS as error:
            told = _told(error, disconnected=isinstance(error, OSError))
            if told is None:
                raise
            raise told from error

    async def fetch_prepared(self, scope: Scope, prepared: PreparedStatement, **given: Any) -> list[dict[str, Any]]:
        """The rows of a prepared statement within the scope. Raises as `transaction` does."""
        rows = await self.fetch(prepared.sql, *prepared.arguments(scope, given))
        return [dict(row) for row in rows]

    async def add(self, new: Iterable[NewRows], preface: Preface = NO_PREFACE) -> None:
        """Adds all these rows or none, in one round trip. Raises as `fetch` does."""
        statement = addition(new, preface)
        if statement is None:
            return
        sql, arguments = statement
        if preface is NO_PREFACE:
            await self.fetch(sql, *arguments)
            return
        # What takes locks may wait for them long. It must leave connections to everybody else's statements.
        try:
            async with turn_within(self._locking, self._pool_timeout):
                await self.fetch(sql, *arguments)
        except TimeoutError as error:
            raise DatabaseUnavailableError("The database is not available: too many wait for locks") from error

    async def dedicated(self) -> Driver:
        """A connection of the caller's own, beside the pool, to listen on. The caller closes it.

        Raises DatabaseUnavailableError.
        """
        with _translated_connect_errors():
            return await self._connect_driver()

    async def ping(self) -> None:
        """One round trip. Raises DatabaseUnavailableError when it fails."""
        async with self.read() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Closes all connections."""
        await self._statements.close()
        await self.engine.dispose()

    async def _connect_for_statements(self) -> Driver:
        # These are few and find rows by their keys, so that one plan serves all values; planning takes longer than
        # they do. Where a plan for the values promises more, PostgreSQL makes it.
        # Whole tables are never read, whatever they seem to hold at the time when a plan is kept.
        connection = await self._connect_driver(plan_cache_mode="auto", enable_seqscan="off")
        for name in ("json", "jsonb"):
            await connection.set_type_codec(
                name, schema="pg_catalog", encoder=str, decoder=_JSON_DECODER.decode, format="text"
            )
        return connection

    async def _connect_driver(self, **settings: str) -> Driver:
        connection: Driver = await asyncpg.connect(
            self._url,
            timeout=self._connect_timeout,
            # The server cancels first; this is for a server that no longer answers at all.
            command_timeout=self._statement_timeout + 5,
            server_settings={
                "application_name": "lunaria",
                "statement_timeout": str(int(self._statement_timeout * 1000)),
                "idle_in_transaction_session_timeout": "60000",
                "timezone": "UTC",
                "jit": "off",
                # PostgreSQL expects disks that turn, and reads whole tables where indexes are many times faster.
                "random_page_cost": "1.1",
                # Which index serves is told by the values of a filter, so plans are made for each of them anew.
                "plan_cache_mode": "force_custom_plan",
                **settings,
            },
        )
        await connection.set_type_codec(
            "uuid", schema="pg_catalog", encoder=_encode_uuid, decoder=_decode_uuid, format="binary"
        )
        # The driver's own codec takes the first and the last moment of the calendar for infinities.
        await connection.set_type_codec(
            "timestamptz", schema="pg_catalog", encoder=_encode_time, decoder=_decode_time, format="tuple"
        )
        return connection


def plain_url(url: str) -> str:
    """Drops a driver that SQLAlchemy's spelling of a URL names (`postgresql+asyncpg://`).

    Raises:
        ValueError: not a PostgreSQL URL. The message does not repeat it, as it may hold a password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.partition("+")[0] not in ("postgresql", "postgres"):
        raise ValueError("The database URL must begin with postgresql://")
    return f"postgresql://{rest}"


def _encode_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _encode_uuid(value: UUID | str) -> bytes:
    return value.bytes if isinstance(value, UUID) else UUID(value).bytes


def _decode_uuid(value: bytes) -> UUID:
    return UUID(bytes=value)


def _encode_time(value: datetime) -> tuple[int]:
    return ((value - _EPOCH) // _MICROSECOND,)


def _decode_time(value: tuple[int]) -> datetime:
    return _EPOCH + timedelta(microseconds=value[0])


def _refuse_closed_connection(connection: Any, record: Any, proxy: Any) -> None:
    """Lets the pool replace connections that the server has closed meanwhile, without a round trip on every use."""
    if connection.driver_connection.is_closed():
        raise exc.DisconnectionError("The server closed this connection")


@contextlib.contextmanager
def _translated_connect_errors() -> Iterator[None]:
    """For getting a connection only: in the body of a transaction an OSError may be anything."""
    try:
        yield
    except (*DRIVER_ERRORS, exc.TimeoutError, exc.DBAPIError) as error:
        raise DatabaseUnavailableError(f"The database is not available: {type(error).__name__}") from error


def _translate_statement_error(context: ExceptionContext) -> Exception | None:
    """Called by SQLAlchemy for whatever a statement, commit or rollback raises; what it returns is raised instead."""
    # SQLAlchemy's own wrapper comes between; the cause is asyncpg's error, which says what happened.
    error = context.original_exception.__cause__ or context.original_exception
    if not isinstance(error, Exception):
        return None  # a cancelled request
    if isinstance(error, OSError | asyncpg.InternalClientError):
        context.is_disconnect = True
    return _told(error, disconnected=context.is_disconnect)


def _told(error: Exception, *, disconnected: bool) -> Exception | None:
    """What callers are told of a failed statement; None: the error as it is."""
    if isinstance(error, asyncpg.QueryCanceledError):
        return StatementTimeoutError("A statement took too long and was cancelled")
    if disconnected or isinstance(error, _UNAVAILABLE):
        return DatabaseUnavailableError(f"The database is not available: {type(error).__name__}")
    return None
