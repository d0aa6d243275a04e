"""multipart/form-data bodies: their parts, within bounds, and what the API says about bad ones."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
    parse_options_header,
)

from lunaria.http.bodies import JSON, media_type, validation_error
from lunaria.http.errors import ApiError

T = TypeVar("T")

MULTIPART = "multipart/form-data"
PARTS_LIMIT = 1000
HEADER_LIMIT = 4096
HEADERS_LIMIT = 16
"""Most parts of a body, bytes of one header of a part, headers of a part."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part. `content_type` is the bare media type in lower case, "" when the part names none."""

    name: str
    filename: str | None
    content_type: str
    data: bytes


def parse_multipart(content_type: str | None, data: bytes, *, parts_limit: int = PARTS_LIMIT) -> list[Part]:
    """The parts of a body, in order. `content_type` is the request's header with the boundary.

    Raises 400/11049 for what is no such body, or one with too many parts or too long headers.
    """
    if media_type(content_type) != MULTIPART:
        raise ApiError(11049, f"its Content-Type is not {MULTIPART}")
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    parts: list[Part] = []
    try:
        with PushMultipartParser(
            boundary,
            max_header_size=HEADER_LIMIT,
            max_header_count=HEADERS_LIMIT,
            max_segment_count=parts_limit,
        ) as parser:
            segment: MultipartSegment | None = None
            content: list[bytes] = []
            for event in parser.parse(data):
                if isinstance(event, MultipartSegment):
                    segment, content = event, []
                elif event is not None:
                    content.append(event)
                elif segment is not None:
                    parts.append(_part(segment, content))
    except MultipartError as error:
        raise ApiError(11049, error) from None
    return parts


def _part(segment: MultipartSegment, content: Sequence[bytes]) -> Part:
    filename = None if segment.filename is None else _printable(segment.filename)
    data = content[0] if len(content) == 1 else b"".join(content)
    return Part(_printable(segment.name or ""), filename, (segment.content_type or "").lower(), data)


def _printable(text: str) -> str:
    """Without control characters, which neither a header nor the database can hold."""
    return "".join(character for character in text if character.isprintable())


def decode_json_part(part: Part, kind: Any) -> Any:
    """The content of a JSON part as `kind`.

    Raises 400/12041 for another type, 400/12002 for what is no JSON, 400/12022 with the part's name in the path.
    """
    if part.content_type not in ("", JSON):
        raise ApiError(12041, part.name)
    try:
        return msgspec.json.decode(part.data, type=kind)
    except msgspec.ValidationError as error:
        raise validation_error(error, part.name) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(12002, "json", error) from None
    except RecursionError:
        raise ApiError(12002, "json", "nested too deeply") from None


def by_name(parts: Iterable[Part], names: Iterable[str]) -> dict[str, Part]:
    """The parts by name, where each of `names` may occur once.

    Raises 400/12039 for another name and 400/12040 for one that occurs twice.
    """
    known = frozenset(names)
    found: dict[str, Part] = {}
    for part in parts:
        if part.name not in known:
            raise ApiError(12039, part.name)
        if part.name in found:
            raise ApiError(12040, part.name)
        found[part.name] = part
    return found
