"""The body of POST /6/attributes: JSON, or a form with descriptors as files."""

from collections.abc import Sequence
from typing import Any

from lunaria.attributes.schemas import AttributeData
from lunaria.http.bodies import JSON, convert_body, decode_body, media_type
from lunaria.http.errors import ApiError
from lunaria.http.multipart import MULTIPART, Part, by_name, decode_json_part, parse_multipart
from lunaria.http.operation import RawBody

DESCRIPTORS_PART = "face_descriptors"
JSON_PARTS = ("face_descriptor_samples", "basic_attributes", "basic_attributes_samples")
FILE_TYPES = ("", "application/octet-stream", "application/x-sdk-descriptor", "application/x-vl-xpk")
BODY_ERRORS = (11049, 12002, 12022, 12039, 12040, 12041)

BODY = RawBody(
    (JSON, MULTIPART),
    schemas={
        MULTIPART: {
            "type": "object",
            "description": "Descriptors with headers as files in parts of one name; the other fields as JSON.",
            "properties": {
                DESCRIPTORS_PART: {"type": "array", "items": {"type": "string", "format": "binary"}},
                **{name: {"type": "string"} for name in JSON_PARTS},
            },
        }
    },
    kind=AttributeData,
)


def read_attribute(content_type: str | None, data: bytes) -> AttributeData:
    """Raises 400/12002, 400/12022 and the codes of forms."""
    if media_type(content_type) != MULTIPART:
        read: AttributeData = decode_body(data, AttributeData)
        return read
    return _from_form(parse_multipart(content_type, data))


def _from_form(parts: Sequence[Part]) -> AttributeData:
    files = [part for part in parts if part.name == DESCRIPTORS_PART]
    values: dict[str, Any] = {
        name: decode_json_part(part, Any)
        for name, part in by_name((part for part in parts if part.name != DESCRIPTORS_PART), JSON_PARTS).items()
    }
    for part in files:
        if part.content_type not in FILE_TYPES:
            raise ApiError(12041, part.name)
    if files:
        values[DESCRIPTORS_PART] = [part.data for part in files]
    return convert_body(values, AttributeData)
