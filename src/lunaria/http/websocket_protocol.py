"""The connection of a websocket: a handshake that is none gets the error envelope, and no client holds up its end.

uvicorn waits for a client that does not read before it says that it closes, and gives it any time to take what was
written; it tells of its own end as a restart (code 1012).
"""

import logging
from http import HTTPStatus
from typing import Any

import msgspec
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.http11 import Response
from websockets.server import ServerProtocol

from lunaria.http.bodies import JSON
from lunaria.http.errors import ApiError, ErrorLinks
from lunaria.http.request_id import HEADER, request_id

MESSAGE_LIMIT = 64 * 1024
"""Longest message of a client. None is listened to."""
PING_SECONDS = 20.0
"""Between pings, and within which each must be answered."""
CLOSING_SECONDS = 5.0
"""Within which a client must take what was written for it, once its connection is to end."""
SHUTDOWN_SECONDS = 1.0
"""The same when the server ends."""
GOING_AWAY = 1001


def websocket_protocol(links: ErrorLinks) -> type[WebSocketsSansIOProtocol]:
    """uvicorn's protocol with the two things above."""

    class Handshake(ServerProtocol):
        """Answers what is no handshake with the envelope."""

        def reject(self, status: Any, text: str) -> Response:
            error = ApiError(1) if int(status) >= 500 else ApiError(12046, " ".join(text.split()))
            body = msgspec.json.encode(links.body(error))
            headers = Headers(
                {
                    "Content-Type": JSON,
                    "Content-Length": str(len(body)),
                    "Connection": "close",
                    HEADER: request_id(None),
                }
            )
            return Response(error.status, HTTPStatus(error.status).phrase, headers, body)

    class BoundedWebsocket(WebSocketsSansIOProtocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.conn = Handshake(max_size=MESSAGE_LIMIT, logger=logging.getLogger("uvicorn.error"))
            self.close_timeout = CLOSING_SECONDS

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if not self.handshake_initiated:  # the whole head comes at once, so it cannot be read
                refusal = self.conn.reject(400, f"its handshake cannot be read: {self.conn.handshake_exc}")
                self.transport.write(refusal.serialize())
                self.transport.close()

        async def send(self, message: Any) -> None:
            if message["type"] == "websocket.close":
                self.writable.set()  # who does not read is told that it ends, not waited for
                self._end_within(CLOSING_SECONDS)
            await super().send(message)
            if message["type"] == "websocket.http.response.body":
                self.handshake_complete = True  # as complete as it gets; else uvicorn logs an error

        def shutdown(self) -> None:
            self._end_within(SHUTDOWN_SECONDS)
            if self.handshake_complete and not self.close_sent:
                self.stop_keepalive()
                self.close_sent = True
                self.queue.put_nowait({"type": "websocket.disconnect", "code": GOING_AWAY})
                self.conn.send_close(GOING_AWAY, "the server is shutting down")
                self.transport.write(b"".join(self.conn.data_to_send()))
                self.transport.close()
            else:
                super().shutdown()

        def keepalive_timeout(self) -> None:
            self._end_within(CLOSING_SECONDS)
            super().keepalive_timeout()

        def handle_close(self, event: Any) -> None:
            self._end_within(CLOSING_SECONDS)
            super().handle_close(event)

        def handle_parser_exception(self) -> None:
            self._end_within(CLOSING_SECONDS)
            super().handle_parser_exception()

        def _end_within(self, seconds: float) -> None:
            """Drop the connection when it is still there by then, whatever is left to be written."""
            self.loop.call_later(seconds, self.transport.abort)

    return BoundedWebsocket
