"""The ways to send images to an estimation: a file, base64 text, a form with several files, or URLs.

Whatever is wrong with one image becomes that image's error and leaves the others alone; only a request that cannot be
understood as a whole is refused.
"""

import asyncio
import binascii
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

from msgspec import Meta, Struct

from lunaria.blobs.pictures import IMAGE_FORMATS
from lunaria.blobs.service import BlobKind, BlobsService
from lunaria.http.bodies import JSON, decode_body, media_type
from lunaria.http.errors import ApiError
from lunaria.http.multipart import MULTIPART, Part, by_name, decode_json_part, parse_multipart
from lunaria.http.operation import Call, RawBody
from lunaria.http.principal import Need, Principal
from lunaria.kit.concurrency import map_concurrently
from lunaria.kit.outbound import OutboundClient, OutboundError
from lunaria.vision.plan import Box

RAW_IMAGE = "raw_image"
"""The name of an image that came without one."""
FACE_BOXES = "face_bounding_boxes"
BODY_BOXES = "body_bounding_boxes"

BASE64_TYPES = frozenset(
    {
        "image/x-jpeg-base64",
        "image/x-png-base64",
        "image/x-bmp-base64",
        "image/x-tiff-base64",
        "image/x-portable-pixmap-base64",
    }
)
_UNTOLD_TYPES = frozenset({"", "application/octet-stream"})
"""What a file's part is called by clients that do not look into it."""
_DATA_URI = re.compile(rb"\s*data:[\w.+-]+/[\w.+-]+(;[\w.+-]+=[\w.+-]+)*;base64,")
_WHITESPACE = b" \t\r\n"

_OWN_PATH = re.compile(
    r"/6/(?P<folder>images|samples/faces|samples/bodies|samples|objects)"
    r"/(?P<id>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
)
_OWN_KINDS = {
    "images": BlobKind.IMAGE,
    "samples": BlobKind.FACE_SAMPLE,
    "samples/faces": BlobKind.FACE_SAMPLE,
    "samples/bodies": BlobKind.BODY_SAMPLE,
    "objects": BlobKind.OBJECT,
}

Pixel = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Side = Annotated[int, Meta(ge=1, le=2**31 - 1)]
URL_PATTERN = r"^[^\x00-\x1f\x7f]*$(?!\n)"
"""No control characters; Python's `$` also stands before a line feed at the end, hence what follows it."""
Url = Annotated[str, Meta(min_length=1, max_length=8192, pattern=URL_PATTERN)]


class BoundingBox(Struct, frozen=True, forbid_unknown_fields=True):
    """A rectangle in pixels of the upright image."""

    x: Pixel
    y: Pixel
    width: Side
    height: Side

    def box(self) -> Box:
        return Box(self.x, self.y, self.width, self.height)


BOXES_LIMIT = 100
"""Most boxes of one image: each costs a detection of its own."""
Boxes = Annotated[list[BoundingBox], Meta(max_length=BOXES_LIMIT)]


class UrlSource(Struct, frozen=True, forbid_unknown_fields=True):
    """An image by its URL, with boxes that replace the detection."""

    url: Url
    face_bounding_boxes: Boxes = []
    body_bounding_boxes: Boxes = []


Sources = Annotated[list[Url | UrlSource], Meta(min_length=1)]


class UrlSources(Struct, frozen=True, forbid_unknown_fields=True):
    """The images of a JSON body that is no bare array."""

    urls: Sources


class _FaceBoxes(Struct, frozen=True, forbid_unknown_fields=True):
    """The face boxes of one file of a form."""

    filename: str
    face_bounding_boxes: Boxes

    def boxes(self) -> list[BoundingBox]:
        return self.face_bounding_boxes


class _BodyBoxes(Struct, frozen=True, forbid_unknown_fields=True):
    """The body boxes of one file of a form."""

    filename: str
    body_bounding_boxes: Boxes

    def boxes(self) -> list[BoundingBox]:
        return self.body_bounding_boxes


@dataclass(slots=True)
class InputImage:
    """One image of a request: its bytes, or the error that took their place. Boxes are None when none were given."""

    filename: str
    data: bytes | None = None
    error: ApiError | None = None
    face_boxes: list[Box] | None = None
    body_boxes: list[Box] | None = None


BINARY: Mapping[str, Any] = {"type": "string", "format": "binary"}
BASE64_TEXT: Mapping[str, Any] = {"type": "string", "description": "Base64 of one file"}
_BOX: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "x": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
        "y": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
        "width": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
        "height": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
    },
    "required": ["x", "y", "width", "height"],
    "additionalProperties": False,
}
BOXES: Mapping[str, Any] = {"type": "array", "maxItems": BOXES_LIMIT, "items": _BOX}
_URL: Mapping[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 8192,
    "pattern": URL_PATTERN,
    "description": "http(s) URL, or the address of an image, sample or object of this server: /6/images/{image_id}",
}
_SOURCES: Mapping[str, Any] = {
    "type": "array",
    "minItems": 1,
    "items": {
        "anyOf": [
            _URL,
            {
                "type": "object",
                "properties": {"url": _URL, FACE_BOXES: BOXES, BODY_BOXES: BOXES},
                "required": ["url"],
                "additionalProperties": False,
            },
        ]
    },
}
_JSON_SCHEMA: Mapping[str, Any] = {
    "anyOf": [
        _SOURCES,
        {
            "type": "object",
            "properties": {"urls": _SOURCES},
            "required": ["urls"],
            "additionalProperties": False,
        },
    ]
}


def _boxes_of_files(name: str) -> Mapping[str, Any]:
    return {
        "type": "array",
        "description": "Boxes that replace the detection, by the file name of the image",
        "items": {
            "type": "object",
            "properties": {"filename": {"type": "string"}, name: BOXES},
            "required": ["filename", name],
            "additionalProperties": False,
        },
    }


IMAGE_PARTS: Mapping[str, Any] = {
    "image": {
        "type": "array",
        "minItems": 1,
        "items": BINARY,
        "description": "Images as files or as base64 text, each with its Content-Type and file name",
    },
    FACE_BOXES: _boxes_of_files(FACE_BOXES),
    BODY_BOXES: _boxes_of_files(BODY_BOXES),
}
"""JSON schemas of the parts of a form, by name."""
_FORM_SCHEMA: Mapping[str, Any] = {"type": "object", "properties": IMAGE_PARTS, "required": ["image"]}

IMAGE_BODY = RawBody(
    (*IMAGE_FORMATS, *sorted(BASE64_TYPES), MULTIPART, JSON),
    schemas={**dict.fromkeys(BASE64_TYPES, BASE64_TEXT), MULTIPART: _FORM_SCHEMA, JSON: _JSON_SCHEMA},
    analysed=True,
)
"""The body of an operation that takes images."""
IMAGE_BODY_ERRORS = (11029, 11048, 11049, 12002, 12022, 12039, 12040, 12041)
"""What `ImageInputs.read` can refuse a whole request with."""


class ImageInputs:
    """Reads the images of requests.

    `max_images`: most images of one request; `max_bytes`: largest image; `downloads`: images of one request that are
    fetched at a time; `own_hosts`: hosts (`name:port`) under which this server is reached, beside the one that a
    request itself names.
    """

    def __init__(
        self,
        blobs: BlobsService,
        outbound: OutboundClient,
        *,
        max_images: int,
        max_bytes: int,
        downloads: int = 4,
        own_hosts: Collection[str] = (),
    ) -> None:
        self._blobs = blobs
        self._outbound = outbound
        self._max_images = max_images
        self._max_bytes = max_bytes
        self._downloads = downloads
        self._own_hosts = frozenset(host.lower() for host in own_hosts)

    async def read(self, call: Call[Any, bytes], *, ignored_parts: Collection[str] = ()) -> list[InputImage]:
        """The images of a request with an IMAGE_BODY, in the request's order; at least one.

        `ignored_parts`: names of parts of a form that are accepted and not looked at. Raises 400 with one of
        IMAGE_BODY_ERRORS; what is wrong with a single image (11027, 13003, 13007, 11059, 18001, 100012) is its `error`.
        """
        header = call.headers.get("content-type")
        kind = media_type(header)
        if kind == JSON:
            sources = self._sources(decode_body(call.body, Sources | UrlSources))
            return await self.fetch(sources, call.principal, call.headers.get("host", ""))
        if kind == MULTIPART:
            parts = parse_multipart(header, call.body)
            return await self.from_form([part for part in parts if part.name not in ignored_parts])
        return [self.image(RAW_IMAGE, kind, call.body)]

    async def fetch(self, sources: Sequence[UrlSource], principal: Principal, host: str) -> list[InputImage]:
        """The images that URLs name, in their order, each with its URL as file name.

        Addresses of this server (relative, or with its `host`) are read within what `principal` may read.
        """

        async def one(source: UrlSource) -> InputImage:
            image = InputImage(
                source.url,
                face_boxes=boxes_of(source.face_bounding_boxes),
                body_boxes=boxes_of(source.body_bounding_boxes),
            )
            try:
                image.data = await self._content(source.url, principal, host)
            except ApiError as error:
                image.error = error
            return image

        return await map_concurrently(one, sources, self._downloads)

    def _sources(self, body: list[str | UrlSource] | UrlSources) -> list[UrlSource]:
        given = body.urls if isinstance(body, UrlSources) else body
        self.check_number(len(given), "urls" if isinstance(body, UrlSources) else "")
        return [UrlSource(source) if isinstance(source, str) else source for source in given]

    async def _content(self, url: str, principal: Principal, host: str) -> bytes:
        own = self._own_blob(url, host)
        if own is not None:
            kind, blob_id = own
            principal.require(Need(kind.value, "view"))
            _, data = await self._blobs.read(principal.reads(), {kind}, blob_id)
            if len(data) > self._max_bytes:
                raise _too_large(len(data), self._max_bytes)
            return data
        try:
            return await self._outbound.fetch(url, self._max_bytes)
        except OutboundError as error:
            raise ApiError(11027, url, error.reason) from None

    def _own_blob(self, url: str, host: str) -> tuple[BlobKind, UUID] | None:
        """What a URL of this server names; None for every other."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return None
        if parts.scheme or parts.netloc:
            own = {host.lower(), *self._own_hosts} - {""}
            if parts.scheme not in ("http", "https") or parts.netloc.lower() not in own:
                return None
        match = _OWN_PATH.fullmatch(parts.path)
        return match and (_OWN_KINDS[match["folder"]], UUID(match["id"]))

    async def from_form(self, parts: Sequence[Part], *, least: int = 1) -> list[InputImage]:
        """The images of a form, at least `least`, with their boxes. Raises as `read` does."""
        files = [part for part in parts if _is_image_part(part)]
        others = by_name((part for part in parts if not _is_image_part(part)), (FACE_BOXES, BODY_BOXES))
        self.check_number(len(files), "image", least=least)
        images = []
        for part in files:
            if part.content_type not in (*IMAGE_FORMATS, *BASE64_TYPES, *_UNTOLD_TYPES):
                raise ApiError(11029, f"'{part.content_type}' of '{part.filename or part.name}'")
            images.append(self.image(part.filename or RAW_IMAGE, part.content_type, part.data))
            await asyncio.sleep(0)  # decoding much base64 must not keep the other requests waiting
        faces = _by_filename(images, others.get(FACE_BOXES), list[_FaceBoxes])
        bodies = _by_filename(images, others.get(BODY_BOXES), list[_BodyBoxes])
        for image in images:
            image.face_boxes, image.body_boxes = faces.get(image.filename), bodies.get(image.filename)
        return images

    def image(self, filename: str, kind: str, data: bytes) -> InputImage:
        """An image whose bytes came with the request, as a file or (by its media type `kind`) as base64 text."""
        try:
            return InputImage(filename, self._plain(kind, data))
        except ApiError as error:
            return InputImage(filename, error=error)

    def _plain(self, kind: str, data: bytes) -> bytes:
        """The file's bytes. Raises 400/18001 and 400/100012."""
        if kind in BASE64_TYPES:
            text = data[_data_uri_length(data) :].translate(None, _WHITESPACE)
            if len(text) // 4 * 3 > self._max_bytes + 2:
                raise _too_large(len(text) // 4 * 3, self._max_bytes)
            data = read_base64(text)
        if len(data) > self._max_bytes:
            raise _too_large(len(data), self._max_bytes)
        return data

    def check_number(self, number: int, path: str, *, least: int = 1) -> None:
        """Raises 400/12022 for too few or too many images."""
        if number < least:
            raise ApiError(12022, path, "at least one image is required")
        if number > self._max_images:
            raise ApiError(12022, path, f"at most {self._max_images} images are allowed")


def read_base64(text: bytes) -> bytes:
    """The bytes that base64 text without whitespace stands for. Raises 400/18001."""
    if len(text) % 4:  # the strict mode lets a superfluous "=" pass
        raise ApiError(18001)
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        raise ApiError(18001) from None


def _too_large(size: int, limit: int) -> ApiError:
    return ApiError(100012, f"{size} bytes; at most {limit} are allowed")


def _data_uri_length(data: bytes) -> int:
    match = _DATA_URI.match(data, 0, 256)
    return match.end() if match else 0


def _is_image_part(part: Part) -> bool:
    if part.name in (FACE_BOXES, BODY_BOXES):
        return False
    return part.name == "image" or part.filename is not None or part.content_type.startswith("image/")


def boxes_of(given: Sequence[BoundingBox]) -> list[Box] | None:
    """Boxes that replace the detection; None for none."""
    return [box.box() for box in given] or None


def _by_filename(images: Sequence[InputImage], part: Part | None, kind: Any) -> dict[str, list[Box] | None]:
    """Boxes by file name. Raises 400/11048 for two lists of one file, 400/12022 for an unknown file."""
    found: dict[str, list[Box] | None] = {}
    if part is None:
        return found
    names = {image.filename for image in images}
    listed: list[_FaceBoxes | _BodyBoxes] = decode_json_part(part, kind)
    for number, entry in enumerate(listed):
        if entry.filename in found:
            raise ApiError(11048, entry.filename)
        if entry.filename not in names:
            raise ApiError(12022, f"{part.name}.{number}.filename", f"no image is named '{entry.filename}'")
        found[entry.filename] = boxes_of(entry.boxes())
    return found
