"""Connections that run single statements by the driver alone: lending one costs next to nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import asyncpg

from lunaria.kit.concurrency import acquire_within

DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""Whatever the driver raises: the server's errors, its own, and those of the network."""
CLOSE_SECONDS = 2.0
"""For the farewell to a server at the end."""

Driver: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class StatementPool:
    """At most `size` connections, made by `connect` when they are needed; who finds none free waits `patience` seconds.

    The one that was used last is used next, so that few do most of the work and the server's caches stay warm.
    """

    def __init__(self, connect: Callable[[], Awaitable[Driver]], *, size: int, patience: float) -> None:
        self._connect = connect
        self._patience = patience
        self._turns = asyncio.Semaphore(size)
        self._idle: list[Driver] = []
        self._given_up: set[asyncio.Task[None]] = set()
        self._closed = False

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """The rows of a statement, which is a transaction of its own.

        Raises ConnectionError when no connection can be had or it is lost, and the driver's errors.
        """
        try:
            await acquire_within(self._turns, self._patience)
        except TimeoutError as error:
            raise ConnectionError("all connections are busy") from error
        try:
            driver = await self._lend()
        except BaseException:
            self._turns.release()
            raise
        usable = False
        try:
            rows = await driver.fetch(sql, *arguments)
            usable = True
        except DRIVER_ERRORS as error:
            usable = not driver.is_closed() and isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError)
            if not usable:
                raise ConnectionError(type(error).__name__) from error
            raise
        finally:
            self._take_back(driver, usable=usable)
        return rows

    async def close(self) -> None:
        """Closes all connections; those in use when their statement ends."""
        self._closed = True
        idle, self._idle = self._idle, []
        await asyncio.gather(*(_close(driver) for driver in idle), *self._given_up)

    async def _lend(self) -> Driver:
        while self._idle:
            driver = self._idle.pop()
            if not driver.is_closed():
                return driver
        try:
            return await self._connect()
        except DRIVER_ERRORS as error:
            raise ConnectionError(type(error).__name__) from error

    def _take_back(self, driver: Driver, *, usable: bool) -> None:
        if usable and not self._closed:
            self._idle.append(driver)
            self._turns.release()
            return
        # A request was cancelled: the server has to be told, or its statement goes on and may hold locks. Until then
        # the connection counts, so that there are never more than promised.
        ending = asyncio.create_task(_close(driver))
        self._given_up.add(ending)
        ending.add_done_callback(self._end)

    def _end(self, ending: asyncio.Task[None]) -> None:
        self._given_up.discard(ending)
        self._turns.release()


async def _close(driver: Driver) -> None:
    """Ends a connection, and before that the statement that was cancelled on it."""
    try:
        await driver.close(timeout=CLOSE_SECONDS)
    except DRIVER_ERRORS:
        driver.terminate()  # there is nobody to say farewell to
