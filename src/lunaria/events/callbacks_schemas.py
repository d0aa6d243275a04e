"""What a policy says of one receiver of callbacks, apart from the filters that choose the events.

The policies extend `HttpCallback` with those:

    class Callback(HttpCallback, frozen=True, forbid_unknown_fields=True, kw_only=True):
        filters: Filters = Filters()

`enable` 0 and the filters are the caller's to heed: `CallbackSender.send` sends whatever it is given.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from lunaria.http.query import Flag
from lunaria.kit.outbound import OutboundError, check_url

TIMEOUT_LIMIT = 300
HEADERS_LIMIT = 32

RESERVED_HEADERS = frozenset(
    {
        # what this server says of its own message
        "host",
        "content-type",
        "content-length",
        "content-encoding",
        "accept-encoding",
        "expect",
        "luna-request-id",
        # of one connection, not of the message (RFC 9110, section 7.6.1)
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers, in lower case, that a user may not set."""

Url = Annotated[
    str,
    Meta(
        max_length=2048,
        pattern=r"^https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9]([A-Za-z0-9.\-]*[A-Za-z0-9])?)(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-5][0-9]{3}))?([/?#][!-~]*)?$(?!\n)",
        description="Where events are posted to. Private addresses only where the setting outbound.allow names them.",
    ),
]
HeaderName = Annotated[str, Meta(max_length=128, pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z\-]+$(?!\n)")]
HeaderValue = Annotated[str, Meta(max_length=2048, pattern=r"^([!-~]([ -~]*[!-~])?)?$(?!\n)")]


class BasicAuthorization(Struct, frozen=True, forbid_unknown_fields=True):
    """Name and password for the receiver, sent with every callback."""

    login: Annotated[str, Meta(max_length=256, pattern=r"^[^:\x00-\x1f\x7f]*$(?!\n)")]
    password: Annotated[str, Meta(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]
    type: Literal["basic"] = "basic"


class CallbackParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """How a callback is sent."""

    timeout: Annotated[float, Meta(gt=0, le=TIMEOUT_LIMIT, description="Seconds for one attempt.")] = 60.0
    content_type: Literal["application/json", "application/msgpack"] = "application/json"
    headers: Annotated[
        dict[HeaderName, HeaderValue],
        Meta(
            max_length=HEADERS_LIMIT,
            description="Further headers; those of the connection and those that describe the body are refused.",
        ),
    ] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [name.lower() for name in self.headers]
        reserved = next((name for name in names if name in RESERVED_HEADERS), None)
        if reserved is not None:
            raise ValueError(f"header '{reserved}' is set by the server")
        if len(set(names)) < len(names):
            raise ValueError("a header is named twice")


class HttpCallback(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A receiver of events by HTTP."""

    url: Url
    type: Literal["http"] = "http"
    enable: Flag = 1
    authorization: BasicAuthorization | None = None
    params: CallbackParameters = CallbackParameters()

    def __post_init__(self) -> None:
        try:
            check_url(self.url)
        except OutboundError as error:
            raise ValueError(f"url: {error.reason}") from None
        if self.authorization and any(name.lower() == "authorization" for name in self.params.headers):
            raise ValueError("authorization is given twice, as a header too")
