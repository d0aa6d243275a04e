"""Typed JSON and MessagePack bodies, with errors that tell where a value is wrong."""

import re
from typing import Any, TypeVar

import msgspec

from lunaria.http.errors import ApiError

T = TypeVar("T")

JSON = "application/json"
MSGPACK = "application/msgpack"
_MSGPACK_NAMES = (MSGPACK, "application/x-msgpack")

_PATH = re.compile(r" - at `(?:key` in `)?(.*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`$", flags=re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`$", flags=re.DOTALL)


def media_type(header: str | None) -> str:
    """The bare type of a Content-Type header: lower case, without parameters."""
    return (header or "").partition(";")[0].strip().lower()


def is_msgpack(kind: str) -> bool:
    return kind in _MSGPACK_NAMES


def decode_body(data: bytes, kind: Any, *, msgpack: bool = False) -> Any:
    """Decode and validate a body as `kind`.

    Raises 400/12030 for no data, 400/12002 for what is no JSON (MessagePack), 400/12022 for what does not
    fit.
    """
    if not data:
        raise ApiError(12030)
    decoder = msgspec.msgpack.decode if msgpack else msgspec.json.decode
    try:
        return decoder(data, type=kind)
    except msgspec.ValidationError as error:
        raise validation_error(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(12002, "msgpack" if msgpack else "json", error) from None
    except RecursionError:
        raise ApiError(12002, "msgpack" if msgpack else "json", "nested too deeply") from None


def encode_msgpack(body: Any) -> bytes:
    """MessagePack of what JSON would show: times and ids stay text; only bytes gain."""
    return msgspec.msgpack.encode(msgspec.to_builtins(body, builtin_types=(bytes,)))


def convert_body(value: Any, kind: type[T]) -> T:
    """Validate plain data (a JSON part of a multipart body, say) as `kind`. Raises 400/12022."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise validation_error(error) from None


def validation_error(error: Exception, prefix: str = "") -> ApiError:
    """Shape msgspec's message as the API does: a dotted path and a short message."""
    text = str(error)
    match = _PATH.search(text)
    path = _dotted(match.group(1)) if match else ""
    message = text[: match.start()] if match else text
    for pattern, replacement in ((_UNKNOWN, "extra fields not permitted"), (_MISSING, "field required")):
        named = pattern.match(message)
        if named:
            path, message = ".".join(filter(None, (path, named.group(1)))), replacement
    return ApiError(12022, ".".join(filter(None, (prefix, path))), message)


def _dotted(path: str) -> str:
    return re.sub(r"\[(\d+|\.\.\.)\]", r".\1", path.removeprefix("$")).lstrip(".")
