"""From declared operations to a running ASGI application."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from litestar import Litestar, Request, Response
from litestar.exceptions import (
    ClientException,
    HTTPException,
    InternalServerException,
    MethodNotAllowedException,
    NotFoundException,
)
from litestar.handlers import HTTPRouteHandler, WebsocketRouteHandler

from lunaria.http.bodies import JSON, MSGPACK, decode_body, encode_msgpack, is_msgpack, media_type
from lunaria.http.credentials import Auth
from lunaria.http.edge import Edge, Headers, admit, failure
from lunaria.http.errors import ApiError
from lunaria.http.operation import Call, Content, NoBody, Operation, RawBody, Reply, TypedBody
from lunaria.http.query import parse_query
from lunaria.http.request_id import current_request_id
from lunaria.http.websockets import websocket_route
from lunaria.kit.pool import PoolFullError

AnyRequest = Request[Any, Any, Any]
EMPTY_OBJECT = b"{}"
STRANGER_LIMIT = 1024 * 1024
"""Most bytes of a body that is read before anybody is known to have sent it: strangers must not fill the memory."""


def with_options(operations: Sequence[Operation]) -> list[Operation]:
    """Add the OPTIONS operation of every path: 200, `{}`, `Allow`."""
    methods: dict[str, list[str]] = defaultdict(list)
    for declared in operations:
        methods[declared.path].append(declared.method)
    first = {declared.path: declared for declared in reversed(operations)}
    return [*operations, *(_options(first[path], [*found, "OPTIONS"]) for path, found in methods.items())]


def _options(sibling: Operation, methods: list[str]) -> Operation:
    allow = ",".join(methods)

    async def options(call: Call[Any, Any]) -> Reply:
        return Reply(200, EMPTY_OBJECT, {"Allow": allow}, JSON)

    return Operation(
        "OPTIONS",
        sibling.path,
        sibling.tag,
        f"{sibling.path} options",
        "Get options for the resource.",
        auth=Auth.NONE,
        reading=True,
        replies={
            200: Content(
                schema={"type": "object", "maxProperties": 0},
                description="The allowed methods are in the Allow header",
            )
        },
        deprecated=sibling.deprecated,
        handler=options,
    )


def build_application(operations: Sequence[Operation], edge: Edge, **litestar: Any) -> Litestar:
    """Route every operation and give every failure the error envelope."""
    # OPTIONS first: Litestar adds one of its own to a path that has none yet.
    ordered = sorted(with_options(operations), key=lambda declared: declared.method != "OPTIONS")
    handlers: list[HTTPRouteHandler | WebsocketRouteHandler] = [_route(declared, edge) for declared in ordered]
    handlers += [websocket_route(declared, edge) for declared in ordered if declared.websocket]

    known = re.compile("|".join(_path_pattern(declared.path) for declared in ordered))

    def on_http_exception(request: AnyRequest, error: HTTPException) -> Response[bytes]:
        if isinstance(error, MethodNotAllowedException) and not known.fullmatch(request.url.path.rstrip("/")):
            error = NotFoundException()  # Litestar looks at the method before it reads the segments
        return _error_reply(edge, request, _from_http_exception(request, error))

    def on_exception(request: AnyRequest, error: Exception) -> Response[bytes]:
        return _error_reply(edge, request, failure(error))

    return Litestar(
        handlers,
        exception_handlers={HTTPException: on_http_exception, Exception: on_exception},
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,  # the edge bounds bodies itself, while they arrive
        **litestar,
    )


def _path_pattern(path: str) -> str:
    """A regular expression of the addresses that a path with typed segments means."""
    uuid = "[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}"
    parts = (
        uuid if part.endswith(":uuid}") else "[^/]+" if part.startswith("{") else re.escape(part)
        for part in path.split("/")
    )
    return "/".join(parts)


def _route(declared: Operation, edge: Edge) -> HTTPRouteHandler:
    handler = declared.handler
    assert handler is not None, f"{declared.name} is not bound"

    async def endpoint(request: AnyRequest) -> Response[bytes]:
        body = _Receiver(edge, request)
        try:
            async with asyncio.timeout(edge.processing_timeout):
                reply = await _answer(declared, handler, edge, request, body)
            return _encode(declared, request, reply)
        except ApiError as error:
            return _error_reply(edge, request, error)
        except TimeoutError:
            return _error_reply(edge, request, ApiError(12, edge.processing_timeout))
        finally:
            edge.budget.give_back(body.size)

    endpoint.__name__ = declared.name.replace(" ", "_")
    return HTTPRouteHandler(
        declared.path, http_method=declared.method, status_code=200, name=f"{declared.method} {declared.path}"
    )(endpoint)


async def _answer(
    declared: Operation,
    handler: Callable[[Call[Any, Any]], Awaitable[Reply]],
    edge: Edge,
    request: AnyRequest,
    receiver: "_Receiver",
) -> Reply:
    if isinstance(declared.body, RawBody) and declared.body.analysed and edge.full():
        await edge.refusals.hold()
        raise failure(PoolFullError())
    headers = Headers(request)
    principal = await admit(declared, edge, request, headers)
    _check_accept(declared, headers.get("accept"))
    kind = media_type(headers.get("content-type"))
    _check_content_type(declared, kind)
    query = parse_query(request.scope["query_string"].decode("latin-1"), declared.query)
    body = await _body(declared, edge, receiver, kind)
    if declared.websocket:
        raise ApiError(12046, "this resource is a websocket, to be asked for with 'Upgrade: websocket'")
    call = Call(principal, request.path_params, query, body, headers, current_request_id.get())
    return await handler(call)


def _check_accept(declared: Operation, accept: str | None) -> None:
    """406/12023 when the client takes none of JSON and MessagePack, where the operation offers both."""
    if not declared.msgpack_reply or not accept:
        return
    if not any(_accepts(accept, kind) for kind in (JSON, MSGPACK)):
        raise ApiError(12023, f"{JSON}, {MSGPACK}")


def _accepts(accept: str, kind: str) -> bool:
    names = {media_type(part) for part in accept.split(",")}
    return bool(names & {kind, kind.partition("/")[0] + "/*", "*/*", ""})


def _check_content_type(declared: Operation, kind: str) -> None:
    """400/12017 for a media type that the operation does not take; JSON may come without one."""
    body = declared.body
    if isinstance(body, TypedBody):
        if kind in ("", JSON) or (body.msgpack and is_msgpack(kind)):
            return
        # an absent body with whatever type a client library puts there is still an absent body
        if body.optional and kind in ("application/x-www-form-urlencoded", "text/plain"):
            return
    elif isinstance(body, RawBody):
        if kind and (body.types is None or kind in body.types):
            return
    else:
        return
    raise ApiError(12017, kind, ", ".join(declared.accepts) or "any, but one is required")


async def _body(declared: Operation, edge: Edge, receiver: "_Receiver", kind: str) -> Any:
    body = declared.body
    if isinstance(body, NoBody):
        return None
    stranger = declared.auth in (Auth.NONE, Auth.OPTIONAL)
    data = await receiver.receive(min(edge.body_limit, STRANGER_LIMIT) if stranger else edge.body_limit)
    if isinstance(body, RawBody):
        if not data:
            raise ApiError(12030)
        return data
    if body.optional and not data:
        return decode_body(EMPTY_OBJECT, body.kind)
    if kind not in ("", JSON) and not is_msgpack(kind):
        raise ApiError(12017, kind, ", ".join(declared.accepts))
    return decode_body(data, body.kind, msgpack=is_msgpack(kind))


class _Receiver:
    """Receives a request's body. `size`: the bytes taken from the budget so far."""

    def __init__(self, edge: Edge, request: AnyRequest) -> None:
        self._edge = edge
        self._request = request
        self.size = 0

    async def receive(self, limit: int) -> bytes:
        """The whole body, at most `limit` bytes and within its time."""
        declared_length = self._request.headers.get("content-length", "0")
        if declared_length.isdigit() and int(declared_length) > limit:
            raise ApiError(14, limit)
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(self._edge.body_timeout):
                async for part in self._request.stream():
                    if self.size + len(part) > limit:
                        raise ApiError(14, limit)
                    self._edge.budget.take(len(part))
                    self.size += len(part)
                    parts.append(part)
        except TimeoutError:
            raise ApiError(13, self._edge.body_timeout) from None
        except InternalServerException:  # Litestar's word for a client that left: nobody reads this reply
            raise ApiError(12046, "the connection was closed before the body ended") from None
        return b"".join(parts)


def _encode(declared: Operation, request: AnyRequest, reply: Reply) -> Response[bytes]:
    if reply.media_type is not None:
        data, kind = reply.body or b"", reply.media_type
    elif reply.body is None:
        data, kind = b"", JSON
    elif declared.msgpack_reply and _prefers_msgpack(request.headers.get("accept")):
        data, kind = encode_msgpack(reply.body), MSGPACK
    else:
        data, kind = msgspec.json.encode(reply.body), JSON
    return _response(reply.status, data, kind, dict(reply.headers))


def _prefers_msgpack(accept: str | None) -> bool:
    names = [media_type(part) for part in (accept or "").split(",")]
    return any(is_msgpack(name) for name in names) and JSON not in names and "*/*" not in names


def _response(status: int, data: bytes, kind: str, headers: dict[str, str]) -> Response[bytes]:
    return Response(data, status_code=status, media_type=kind, headers=headers)


def _error_reply(edge: Edge, request: AnyRequest, error: ApiError) -> Response[bytes]:
    data = b"" if request.method == "HEAD" else msgspec.json.encode(edge.links.body(error))
    return _response(error.status, data, JSON, error.headers)


def _from_http_exception(request: AnyRequest, error: HTTPException) -> ApiError:
    if isinstance(error, NotFoundException):
        return ApiError(12013)
    if isinstance(error, MethodNotAllowedException):
        return ApiError(12021, request.method, headers={"Allow": ",".join(_allowed(error))})
    if isinstance(error, ClientException):
        return ApiError(12046, error.detail)
    return failure(error)


def _allowed(error: MethodNotAllowedException) -> list[str]:
    allow = (error.headers or {}).get("allow", "")
    return [name.strip() for name in allow.split(",") if name.strip()]
