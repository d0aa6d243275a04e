"""The connection itself: what is no HTTP, or a head without end, gets the error envelope too.

uvicorn bounds neither the length of a request's head (nor of the trailers of a chunked body) nor the time that it
takes, and answers malformed requests in plain text.
"""

import asyncio
from collections.abc import Collection
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from lunaria.http.bodies import JSON
from lunaria.http.errors import ApiError, ErrorLinks
from lunaria.http.request_id import HEADER, request_id

HEAD_LIMIT = 64 * 1024
"""Most bytes of a head; what one read from the socket brings comes on top."""


def bounded_protocol(
    links: ErrorLinks, head_timeout: float, websockets: Collection[str] = ()
) -> type[HttpToolsProtocol]:
    """uvicorn's protocol with bounds; a head must have arrived after `head_timeout` seconds.

    Only at the paths `websockets` a connection becomes a websocket; elsewhere the wish for it is ignored.
    """

    class BoundedProtocol(HttpToolsProtocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._pending = 0  # bytes since the last ones that were a body's
            self._deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._expect_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._have_head()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._pending > HEAD_LIMIT:
                self._refuse(ApiError(12046, f"its head is longer than {HEAD_LIMIT} bytes"))
                return
            self._pending += len(data)
            super().data_received(data)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._expect_head()

        def on_headers_complete(self) -> None:
            self._have_head()
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            self._pending = 0
            super().on_body(body)

        def on_message_complete(self) -> None:
            self._pending = 0
            super().on_message_complete()

        def _should_upgrade(self) -> bool:
            path = self.url.partition(b"?")[0].decode("ascii").rstrip("/")
            wanted = self.scope["method"] == "GET" and self.scope["http_version"] == "1.1" and path in websockets
            return wanted and super()._should_upgrade()

        def _unsupported_upgrade_warning(self) -> None:
            """A client that asks for what is not offered is no matter for the log."""

        def send_400_response(self, msg: str) -> None:
            self._refuse(ApiError(12046, "its first line or one of its headers is malformed"))

        def _expect_head(self) -> None:
            if self._deadline is None:
                self._deadline = self.loop.call_later(head_timeout, self._head_is_late)

        def _have_head(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _head_is_late(self) -> None:
            self._deadline = None
            if self.cycle is not None and not self.cycle.response_complete:
                self._expect_head()  # a pipelined request: the reply to the one before it is being written
            else:
                self._refuse(ApiError(13, head_timeout))

        def _refuse(self, error: ApiError) -> None:
            if self.transport.is_closing():
                return
            body = msgspec.json.encode(links.body(error))
            head = (
                f"content-type: {JSON}\r\ncontent-length: {len(body)}\r\n"
                f"{HEADER}: {request_id(None)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(STATUS_LINE[error.status] + head.encode("ascii") + body)
            self.transport.close()

    return BoundedProtocol
