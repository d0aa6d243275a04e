"""An operation of the API, declared once: the route, its rights, its inputs, its replies, its errors.

The declaration feeds the router, OPTIONS, the OpenAPI document and the tests that walk over every operation.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID

from msgspec import Struct

from lunaria.http.bodies import JSON, MSGPACK
from lunaria.http.credentials import Auth
from lunaria.http.errors import ApiError
from lunaria.http.principal import Need, Principal
from lunaria.http.query import NoQuery

Q = TypeVar("Q")
B = TypeVar("B")
Function = TypeVar("Function", bound=Callable[..., Awaitable["Reply"]])
Verb = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
"""HTTP methods that the API knows."""


@dataclass(frozen=True, slots=True)
class NoBody:
    """The operation takes no body; one that comes is ignored."""


@dataclass(frozen=True, slots=True)
class TypedBody:
    """A JSON body (or MessagePack, where allowed) of a type; `optional`: an empty body stands for `{}`."""

    kind: Any
    msgpack: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class RawBody:
    """Bytes as they come. `types`: the media types allowed (None: any, but one must be given)."""

    types: tuple[str, ...] | None
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string", "format": "binary"})
    """JSON schema of the body, for the document."""
    schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """JSON schemas of single media types that differ from `schema`."""
    kind: Any = None
    """A type that describes the body for the document, instead of `schema`."""
    analysed: bool = False
    """Whether images in it are analysed: while no more can be, the request is refused before its body is read."""


Body = NoBody | TypedBody | RawBody


@dataclass(frozen=True, slots=True)
class Content:
    """What a successful reply carries: a typed object, or bytes of some media types."""

    kind: Any = None
    types: tuple[str, ...] = (JSON,)
    description: str = ""
    schema: Mapping[str, Any] | None = None
    """JSON schema for the document where no type describes the reply."""


@dataclass(slots=True)
class Call(Generic[Q, B]):
    """One request, parsed and authorized."""

    principal: Principal
    path: Mapping[str, Any]
    query: Q
    body: B
    headers: Mapping[str, str]
    request_id: str

    def id(self, name: str) -> UUID:
        """A path segment that is a UUID."""
        value: UUID = self.path[name]
        return value


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: a typed object to be encoded, or bytes with their media type."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str | None = None
    """Set for bytes; None: the body is encoded as JSON (or MessagePack)."""


@dataclass(frozen=True, slots=True)
class Closing:
    """How the server ends a websocket: a close code of RFC 6455, and what went wrong, if anything."""

    code: int
    reason: str
    error: ApiError | None = None
    """Sent as the last text before the close frame."""


Serve = Callable[[Callable[[str], Awaitable[None]]], Awaitable[Closing]]
"""Gets a function that sends a text; ends when the server shall close, and is cancelled when the client does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade(Reply):
    """The connection becomes a websocket, as long as `conversation` could be entered; it is left when that closed."""

    conversation: AbstractAsyncContextManager[Serve]


NO_CONTENT = Reply(204)


def created(body: Struct, url: str) -> Reply:
    """201 with the new object's address."""
    return Reply(201, body, {"Location": url})


@dataclass(frozen=True, slots=True)
class Operation:
    """The declaration; `handler` is bound by `Routes.operations`."""

    method: Verb
    path: str
    """With typed segments: `/6/faces/{face_id:uuid}`."""
    tag: str
    name: str
    description: str
    auth: Auth = Auth.ANY
    needs: tuple[Need, ...] = ()
    """Rights that a token must hold."""
    reading: bool = False
    """Whether the operation changes nothing."""
    query: Any = NoQuery
    body: Body = NoBody()
    replies: Mapping[int, Content] = field(default_factory=dict)
    errors: tuple[int, ...] = ()
    """Own error codes, beside those that every operation of this kind can give."""
    msgpack_reply: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    """Request headers with a meaning of their own, and that meaning."""
    deprecated: bool = False
    websocket: bool = False
    """Whether it answers with an Upgrade, and only to who asks for one."""
    handler: Callable[[Call[Any, Any]], Awaitable[Reply]] | None = None

    @property
    def accepts(self) -> tuple[str, ...]:
        """Media types of the body."""
        if isinstance(self.body, TypedBody):
            return (JSON, MSGPACK) if self.body.msgpack else (JSON,)
        if isinstance(self.body, RawBody):
            return self.body.types or ()
        return ()


def operation(
    method: Verb, path: str, tag: str, name: str, *, replies: Mapping[int, Content], **declared: Any
) -> Callable[[Function], Function]:
    """Declare a method of a `Routes` class as an operation; its docstring is the operation's description."""
    declared.setdefault("reading", method in ("GET", "HEAD", "OPTIONS"))

    def mark(function: Function) -> Function:
        description = " ".join((function.__doc__ or "").split())
        existing: tuple[Operation, ...] = getattr(function, "__operations__", ())
        made = Operation(method, path, tag, name, description, replies=replies, **declared)
        function.__operations__ = (*existing, made)  # type: ignore[attr-defined]
        return function

    return mark


class Routes:
    """Base of a noun's routes: its marked methods are the operations."""

    def operations(self) -> list[Operation]:
        """The operations with their bound handlers, in order of definition."""
        return [
            replace(declared, handler=getattr(self, name))
            for name, function in vars(type(self)).items()
            for declared in reversed(getattr(function, "__operations__", ()))
        ]
