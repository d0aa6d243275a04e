"""Websocket operations: admitted like any request before the upgrade, and looked at again while they last.

What is wrong with a handshake is told by an ordinary HTTP reply with the error envelope, never by a close frame.
"""

import asyncio
import contextlib
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec
import structlog
from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect
from litestar.handlers import WebsocketRouteHandler
from litestar.types import Message

from lunaria.http.bodies import JSON
from lunaria.http.edge import Edge, Headers, admit, failure
from lunaria.http.errors import ApiError
from lunaria.http.operation import Call, Closing, Operation, Serve, Upgrade
from lunaria.http.query import parse_query
from lunaria.http.request_id import current_request_id
from lunaria.kit.concurrency import first_of

log = structlog.get_logger(__name__)

AnySocket = WebSocket[Any, Any, Any]

INTERNAL_ERROR = 1011
POLICY_VIOLATION = 1008
REASON_BYTES = 123
"""Most bytes of a close frame's reason (RFC 6455, section 5.5)."""
LAST_WORDS_SECONDS = 1.0
"""Within which a client must take the text that tells why it is closed."""
_DEFAULT_PORTS = {"http": 80, "https": 443}


def websocket_route(declared: Operation, edge: Edge) -> WebsocketRouteHandler:
    """The route of those who ask for the upgrade; the others get to the operation's ordinary one."""

    async def endpoint(socket: AnySocket) -> None:
        headers = Headers(socket)
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(edge.processing_timeout):
                    upgrade = await _handshake(declared, edge, socket, headers)
                    serve = await stack.enter_async_context(upgrade.conversation)
            except TimeoutError:
                await _deny(edge, socket, ApiError(12, edge.processing_timeout))
            except Exception as error:
                await _deny(edge, socket, failure(error))
            else:
                await _converse(declared, edge, socket, headers, serve)

    endpoint.__name__ = declared.name.replace(" ", "_") + "_websocket"
    return WebsocketRouteHandler(declared.path, name=f"WEBSOCKET {declared.path}")(endpoint)


async def _handshake(declared: Operation, edge: Edge, socket: AnySocket, headers: Headers) -> Upgrade:
    handler = declared.handler
    assert handler is not None, f"{declared.name} is not bound"
    principal = await admit(declared, edge, socket, headers)
    _check_origin(headers)
    query = parse_query(socket.scope["query_string"].decode("latin-1"), declared.query)
    reply = await handler(Call(principal, socket.path_params, query, None, headers, current_request_id.get()))
    assert isinstance(reply, Upgrade), f"{declared.name} is no websocket"
    return reply


def _check_origin(headers: Headers) -> None:
    """400/12046 for a web page of another server.

    Browsers let every page open websockets to every server, with the credentials that they remember for it; they tell
    the page's origin, which a page cannot change.
    """
    origin = headers.get("origin")
    if origin is None:
        return
    try:
        page, asked = urlsplit(origin), urlsplit(f"//{headers.get('host', '')}")
        default = _DEFAULT_PORTS.get(page.scheme)
        same = page.hostname is not None and (page.hostname, page.port or default) == (
            asked.hostname,
            asked.port or default,
        )
    except ValueError:
        same = False
    if not same:
        raise ApiError(12046, f"a page of '{origin[:80]}' may not open a websocket here")


async def _deny(edge: Edge, socket: AnySocket, error: ApiError) -> None:
    named = {"content-type": JSON, **error.headers}
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in named.items()]
    start = {"type": "websocket.http.response.start", "status": error.status, "headers": headers}
    body = {"type": "websocket.http.response.body", "body": msgspec.json.encode(edge.links.body(error))}
    with contextlib.suppress(OSError):  # who asked is gone
        for message in (start, body):
            await socket.send(cast(Message, message))


async def _converse(declared: Operation, edge: Edge, socket: AnySocket, headers: Headers, serve: Serve) -> None:
    """Serve until one of the two sides closes, or the client may no longer be served."""
    with contextlib.suppress(OSError, WebSocketDisconnect):  # the client went away without a word
        await socket.accept()
        closing = await first_of(
            _until_gone(socket), _served(socket, serve), _until_barred(declared, edge, socket, headers)
        )
        if closing is not None:
            await _close(edge, socket, closing)


async def _until_gone(socket: AnySocket) -> None:
    """Returns when the client has closed. What it says before is not listened to."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _served(socket: AnySocket, serve: Serve) -> Closing | None:
    try:
        return await serve(socket.send_text)
    except (OSError, WebSocketDisconnect):
        return None
    except Exception as error:
        return Closing(INTERNAL_ERROR, "internal error", failure(error))


async def _until_barred(declared: Operation, edge: Edge, socket: AnySocket, headers: Headers) -> Closing:
    """Returns when the credentials of the handshake no longer admit: a removed token, account or right."""
    while True:
        await asyncio.sleep(edge.recheck)
        try:
            await admit(declared, edge, socket, headers)
        except ApiError as error:
            return Closing(POLICY_VIOLATION, error.detail, error)
        except Exception as error:  # not known for now, the database being away for example
            log.warning("an open websocket could not be rechecked", error=repr(error))


async def _close(edge: Edge, socket: AnySocket, closing: Closing) -> None:
    if closing.error is not None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await socket.send_text(msgspec.json.encode(edge.links.body(closing.error)))
    await socket.close(closing.code, closing.reason.encode()[:REASON_BYTES].decode(errors="ignore"))
