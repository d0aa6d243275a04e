"""What every connection passes, request or websocket: its names, its credentials, and the shape of its failure."""

import asyncio
import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import structlog
from litestar.connection import ASGIConnection

from lunaria.http.credentials import Gate
from lunaria.http.errors import ApiError, ErrorLinks
from lunaria.http.operation import Operation
from lunaria.http.principal import Principal
from lunaria.kit.pool import PoolFullError
from lunaria.storage.blobstore import BlobStoreUnavailableError
from lunaria.storage.database import DatabaseUnavailableError, StatementTimeoutError

log = structlog.get_logger(__name__)

AnyConnection = ASGIConnection[Any, Any, Any, Any]


class BodyBudget:
    """Bytes of bodies that all requests together may hold at one time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    def take(self, size: int) -> None:
        """Raises 503/11 when there is no room."""
        if self._held + size > self._limit:
            raise ApiError(11, "too many bytes of request bodies", headers={"Retry-After": "1"})
        self._held += size

    def give_back(self, size: int) -> None:
        self._held -= size


class Refusals:
    """Holds back for a moment those who are refused for lack of room, as a client that comes again at once costs more.

    At most `most` are held for `seconds` each; further ones, and all after `end`, are let go at once.
    """

    def __init__(self, seconds: float = 1.0, most: int = 256) -> None:
        self._seconds = seconds
        self._most = most
        self._ended = asyncio.Event()
        self.held = 0

    async def hold(self) -> None:
        """Returns when the one who waits here may be refused."""
        if self.held >= self._most or self._ended.is_set():
            return
        self.held += 1
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._ended.wait()
        finally:
            self.held -= 1

    def end(self) -> None:
        """Let everybody go, as the server stops."""
        self._ended.set()


@dataclass(frozen=True, slots=True)
class Edge:
    """What every request passes through.

    `hosts`: names by which the server may be addressed; None: any. An open websocket's credentials are looked at again
    every `recheck` seconds. `full`: whether the analysis takes no more images now; `refusals`: of those who come then.
    """

    gate: Gate
    links: ErrorLinks
    body_limit: int
    body_timeout: float
    processing_timeout: float
    budget: BodyBudget
    hosts: frozenset[str] | None = None
    recheck: float = 60.0
    full: Callable[[], bool] = lambda: False
    refusals: Refusals = field(default_factory=Refusals)


def failure(error: BaseException) -> ApiError:
    """What a failure below the routes looks like from outside; the log keeps the rest."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, PoolFullError):
        return ApiError(11, "too many requests are waiting", headers={"Retry-After": "1"})
    if isinstance(error, DatabaseUnavailableError | BlobStoreUnavailableError):
        log.error("storage unavailable", error=str(error))
        return ApiError(10, "storage is not available", headers={"Retry-After": "1"})
    if isinstance(error, StatementTimeoutError):
        log.error("statement timeout", error=str(error))
        return ApiError(10, "the database did not answer in time", headers={"Retry-After": "1"})
    log.error("unhandled error", exc_info=error)
    return ApiError(1)


class Headers(dict[str, str]):
    """Request headers by lower-case name."""

    def __init__(self, connection: AnyConnection) -> None:
        super().__init__(
            (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in connection.scope["headers"]
        )


async def admit(declared: Operation, edge: Edge, connection: AnyConnection, headers: Headers) -> Principal:
    """Who the caller is, once everything about him is as the operation asks. Raises ApiError."""
    _check_ids(connection)
    _check_host(edge, headers.get("host"))
    principal = await edge.gate.admit(headers, declared.auth, reading=declared.reading)
    for need in declared.needs:
        principal.require(need)
    return principal


def _check_ids(connection: AnyConnection) -> None:
    """404/12013 for a segment that Python reads as a UUID although it is not written as one, `{...}` for example."""
    segments = connection.url.path.lower().split("/")
    for value in connection.path_params.values():
        if isinstance(value, UUID) and str(value) not in segments and value.hex not in segments:
            raise ApiError(12013)


def _check_host(edge: Edge, host: str | None) -> None:
    """400/12046 for a name that is not this server's: a page of that name would reach through a browser."""
    if edge.hosts is None or host is None:
        return
    name = host.rpartition(":")[0] if re.search(r":\d*$", host) else host
    name = name.strip("[]").lower().rstrip(".")
    if name not in edge.hosts and not _is_loopback(name):
        raise ApiError(12046, f"this server is not addressed as '{name[:80]}'")


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
