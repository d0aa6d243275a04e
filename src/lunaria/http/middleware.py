"""What surrounds every request: its id, its line in the log, its metrics."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from prometheus_client import Counter, Histogram

from lunaria.http.request_id import HEADER, current_request_id, request_id

log = structlog.get_logger("lunaria.access")

Scope = Any
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

REQUESTS = Counter("lunaria_requests_total", "Requests answered", ["method", "status"])
DURATION = Histogram("lunaria_request_seconds", "Time to answer a request", ["method"])

WEBSOCKET = "WEBSOCKET"
"""What stands for the method of a websocket in the log and in the metrics."""
_HEADER = HEADER.lower().encode()
_BEGINNINGS = ("http.response.start", "websocket.accept", "websocket.http.response.start")


class RequestContext:
    """Gives each request its Luna-Request-Id, returns it, and logs one structured line."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        method = scope.get("method", WEBSOCKET)
        given = next((value for name, value in scope["headers"] if name == _HEADER), None)
        identifier = request_id(given.decode("latin-1") if given is not None else None)
        status = 0
        started = time.perf_counter()

        async def send_with_id(message: Any) -> None:
            nonlocal status
            if message["type"] in _BEGINNINGS:
                status = message.get("status", 101)
                headers = message.get("headers", ())
                if method == "HEAD":  # the length is that of the body that GET would send, or is left out
                    headers = [header for header in headers if header != (b"content-length", b"0")]
                message["headers"] = [*headers, (HEADER.encode(), identifier.encode())]
            await send(message)

        token = current_request_id.set(identifier)
        with structlog.contextvars.bound_contextvars(request_id=identifier):
            try:
                await self._application(scope, receive, send_with_id)
            finally:
                current_request_id.reset(token)
                seconds = time.perf_counter() - started
                REQUESTS.labels(method, status).inc()
                if status != 101:  # how long a websocket stays open is no time that an answer takes
                    DURATION.labels(method).observe(seconds)
                log.info(
                    "request",
                    method=method,
                    path=scope["path"],
                    status=status,
                    milliseconds=round(seconds * 1000, 2),
                )
