"""The user's own fields of an event: what they may hold so that they can be kept, searched and counted."""

import asyncio
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
_CONTAINERS = (dict, list)
_TOO_LARGE = f"larger than {META_LIMIT} bytes"
_Place = tuple[Any, str | int]
"""Where a value is: the place that it is in (None: nowhere), and its name there; written out only for an error."""


async def require_meta(meta: Mapping[str, Any], path: str = "meta") -> None:
    """`check_meta` beside the event loop: a large meta takes a while."""
    await asyncio.to_thread(check_meta, meta, path)


def check_meta(meta: Mapping[str, Any], path: str = "meta") -> None:
    """Raises 400/12022, naming the field below `path` that cannot be kept."""
    root: _Place = (None, path)
    waiting: list[tuple[Any, _Place, int]] = [(meta, root, 1)]
    least = 0  # bytes that what was seen takes at least, so that nothing far beyond the limit is walked through
    while waiting:
        value, place, depth = waiting.pop()
        if depth > META_DEPTH:
            raise _refused(place, f"nested more than {META_DEPTH} deep")
        least += 2 * len(value)
        if least > META_LIMIT:
            raise _refused(root, _TOO_LARGE)
        named = isinstance(value, dict)
        if named:
            for key in value:
                if not (isinstance(key, str) and _KEY.match(key)):
                    told = repr(key)[:80]
                    raise _refused(place, f"{told} is no name of latin letters, digits and single underscores")
        for key, item in value.items() if named else enumerate(value):
            if isinstance(item, _CONTAINERS):
                waiting.append((item, (place, key), depth + 1))
            elif (problem := _problem(item)) is not None:
                raise _refused((place, key), problem)
    if len(msgspec.json.encode(meta)) > META_LIMIT:
        raise _refused(root, _TOO_LARGE)


def _problem(value: Any) -> str | None:
    """What keeps a single value from being kept."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return "must not contain NUL" if "\x00" in value else None
    if isinstance(value, int):
        return None if _SMALLEST <= value <= _LARGEST else "integers have at most 64 bits"
    if isinstance(value, float):
        return None if math.isfinite(value) else "numbers must be finite"
    return "neither text, number, boolean, null, array nor object"


def _refused(place: "_Place", problem: str) -> ApiError:
    names: list[str] = []
    found: _Place | None = place
    while found is not None:
        found, name = found
        names.append(str(name)[:80])
    return ApiError(12022, ".".join(reversed(names)), problem)
