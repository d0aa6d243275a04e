"""The user's own fields of an event: what they may hold so that they can be kept, searched and counted."""

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from lunaria.http.errors import ApiError

META_LIMIT = 2 * 1024 * 1024
"""Most bytes of an event's meta as JSON."""
META_DEPTH = 32
"""Most objects and arrays inside each other, the meta itself included."""
META_KEY = r"^(?!.*__)[A-Za-z0-9_]+$(?!\n)"
"""Names of fields. Two underscores separate the name from the operator in filters."""
META_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "propertyNames": {"pattern": r"^(?!.*__)[A-Za-z0-9_]+$"},
    "description": "Your own fields, at most 2 MB. Names are of latin letters, digits and single underscores.",
}

_KEY = re.compile(META_KEY)
_SMALLEST = -(2**63)
_LARGEST = 2**63 - 1


def check_meta(meta: Mapping[str, Any], path: str = "meta") -> None:
    """Raises 400/12022, naming the field below `path` that cannot be kept."""
    waiting: list[tuple[Any, str, int]] = [(meta, path, 1)]
    least = 0  # bytes that what was seen takes at least, so that nothing far beyond the limit is walked through
    while waiting:
        value, place, depth = waiting.pop()
        if isinstance(value, dict | list):
            if depth > META_DEPTH:
                raise ApiError(12022, place, f"nested more than {META_DEPTH} deep")
            least += 2 * len(value)
            if least > META_LIMIT:
                raise _too_large(path)
            if isinstance(value, dict):
                for key in value:
                    if not isinstance(key, str) or not _KEY.match(key):
                        raise ApiError(12022, place, f"{_shown(key)} is no name of latin letters, digits and single _")
                waiting.extend((item, f"{place}.{key}", depth + 1) for key, item in value.items())
            else:
                waiting.extend((item, f"{place}.{number}", depth + 1) for number, item in enumerate(value))
        else:
            _check_scalar(value, place)
    if len(msgspec.json.encode(meta)) > META_LIMIT:
        raise _too_large(path)


def _check_scalar(value: Any, place: str) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            raise ApiError(12022, place, "must not contain NUL")
    elif isinstance(value, bool) or value is None:
        pass
    elif isinstance(value, int):
        if not _SMALLEST <= value <= _LARGEST:
            raise ApiError(12022, place, "integers have at most 64 bits")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ApiError(12022, place, "numbers must be finite")
    else:
        raise ApiError(12022, place, "neither text, number, boolean, null, array nor object")


def _shown(key: Any) -> str:
    return repr(key)[:80]


def _too_large(path: str) -> ApiError:
    return ApiError(12022, path, f"larger than {META_LIMIT} bytes")
