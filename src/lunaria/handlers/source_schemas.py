"""The bodies with which images and descriptors come to handlers and verifiers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from lunaria.blobs.pictures import IMAGE_FORMATS
from lunaria.estimation.inputs import (
    BASE64_TEXT,
    BASE64_TYPES,
    BINARY,
    BODY_BOXES,
    BOXES,
    FACE_BOXES,
    IMAGE_BODY_ERRORS,
    IMAGE_PARTS,
    URL_PATTERN,
    Boxes,
    Url,
)
from lunaria.events.meta import META_SCHEMA
from lunaria.handlers.policies import Policies
from lunaria.http.bodies import JSON
from lunaria.http.multipart import MULTIPART
from lunaria.http.openapi import REFERENCE
from lunaria.http.operation import RawBody
from lunaria.kit.times import settle_times
from lunaria.matching.schemas import RawDescriptor, SdkDescriptor, XpkFile

POLICIES_PART = "policies"
META_PART = "meta"
IMAGE_META_PART = "image_meta"
"""Parts of a form beside images, descriptors and boxes."""

SDK_TYPES = frozenset({"application/x-sdk-descriptor", "application/x-sdk-descriptor-base64"})
XPK_TYPES = frozenset(
    {"application/x-vl-xpk", "application/x-vl-xpk-base64", "applicaition/x-vl-xpk-base64"}  # so written in the API
)
DESCRIPTOR_TYPES = SDK_TYPES | XPK_TYPES

ImageOrigin = Annotated[
    str, Meta(min_length=1, max_length=256, pattern=URL_PATTERN, description="Where the whole image is kept.")
]
DetectTime = Annotated[datetime, Meta(description="When the image was taken; the time of the request by default.")]
DetectTs = Annotated[float, Meta(ge=0, le=1e12, description="Seconds from the beginning of the source.")]
Filename = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[^\x00]*$")]


class ImageMeta(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of an image, with boxes that replace the detection."""

    detect_time: DetectTime | None = None
    detect_ts: DetectTs | None = None
    image_origin: ImageOrigin | None = None
    face_bounding_boxes: Boxes = []
    body_bounding_boxes: Boxes = []

    def __post_init__(self) -> None:
        settle_times(self, "detect_time")


class ImageSource(ImageMeta, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An image by its URL."""

    url: Url
    filename: Filename | None = None


class SdkSource(SdkDescriptor, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="sdk_descriptor"):
    """A descriptor with its header, where a version may be named that must be that of the header."""

    version: Annotated[int, Meta(ge=1, le=2**31 - 1)] | UnsetType = UNSET


ImageSources = Annotated[list[Url | ImageSource], Meta(description="Images by their URLs.")]


class VerifierSources(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Images and descriptors; at least one."""

    images: ImageSources = []
    urls: ImageSources = []
    samples: Annotated[
        list[UUID],
        Meta(description="Stored samples, with image_type 1 or 2: of faces or of bodies."),
    ] = []
    raw_descriptors: list[RawDescriptor | SdkSource | XpkFile] = []


class HandlerSources(VerifierSources, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Images and descriptors, at least one; the policies of a dynamic handler; the meta of the events."""

    policies: Policies | None = None
    meta: Annotated[dict[str, Any], Meta(extra_json_schema=dict(META_SCHEMA))] | None = None


_IMAGE_META: Mapping[str, Any] = {
    "type": "object",
    "description": "What is known of the images, by their file names",
    "additionalProperties": {
        "type": "object",
        "properties": {
            "detect_time": {"type": "string", "format": "date-time"},
            "detect_ts": {"type": "number", "minimum": 0, "maximum": 1e12},
            "image_origin": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": URL_PATTERN},
            FACE_BOXES: BOXES,
            BODY_BOXES: BOXES,
        },
        "additionalProperties": False,
    },
}
_DESCRIPTORS: Mapping[str, Any] = {
    "type": "array",
    "items": BINARY,
    "description": "Descriptors as files or as base64 text, each with its Content-Type; the part's name is free",
}
_VERIFIER_FORM: Mapping[str, Any] = {
    "type": "object",
    "properties": {**IMAGE_PARTS, IMAGE_META_PART: _IMAGE_META, "descriptor": _DESCRIPTORS},
}
_HANDLER_FORM: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        **_VERIFIER_FORM["properties"],
        POLICIES_PART: {"$ref": REFERENCE.format(name="Policies")},
        META_PART: META_SCHEMA,
    },
}
_TYPES = (*IMAGE_FORMATS, *sorted(BASE64_TYPES), MULTIPART, JSON, *sorted(DESCRIPTOR_TYPES))


def _body(form: Mapping[str, Any], kind: Any) -> RawBody:
    files = {name: BASE64_TEXT if name.endswith("-base64") else BINARY for name in _TYPES if name != JSON}
    return RawBody(_TYPES, schemas={**files, MULTIPART: form}, kind=kind, analysed=True)


HANDLER_BODY = _body(_HANDLER_FORM, HandlerSources)
"""The body of an operation that makes events."""
VERIFIER_BODY = _body(_VERIFIER_FORM, VerifierSources)
"""The same without policies and meta."""
SOURCE_ERRORS = (*IMAGE_BODY_ERRORS, 12036, 18001, 100007)
"""What `SourceReader.read` can refuse a whole request with."""
