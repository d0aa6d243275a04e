"""Operations 23-48 but OPTIONS: samples with their deprecated addresses, images, objects."""

import mimetypes
import re
from collections.abc import Mapping
from typing import Any

from lunaria.blobs.pictures import IMAGE_FORMATS, STORED_TYPES
from lunaria.blobs.schemas import ImageCreated, ImageQuery, ObjectCreated, SampleCreated, meta_headers, meta_of
from lunaria.blobs.service import JPEG, BlobKind, BlobRecord, BlobsService
from lunaria.http.bodies import media_type
from lunaria.http.errors import ApiError
from lunaria.http.operation import NO_CONTENT, Call, Content, RawBody, Reply, Routes, created, operation
from lunaria.http.principal import Need
from lunaria.http.query import NoQuery

IMAGE_TYPES = tuple(IMAGE_FORMATS)
BYTES: Mapping[str, Any] = {"type": "string", "format": "binary"}
ANYTHING: Mapping[str, Any] = {"description": "Whatever was saved, with the type that it came with"}
"""An object that was saved as JSON is no string to who reads the document."""

FACES = frozenset({BlobKind.FACE_SAMPLE})
BODIES = frozenset({BlobKind.BODY_SAMPLE})
IMAGES = frozenset({BlobKind.IMAGE})
OBJECTS = frozenset({BlobKind.OBJECT})

_PICTURE = RawBody(IMAGE_TYPES)
_PICTURE_ERRORS = (11028, 11030, 100010, 100011, 100012, 100029)
_SAMPLE = {200: Content(types=(JPEG,), schema=BYTES, description="The picture")}
_EXISTS = {200: Content(description="It exists")}
_DELETED = {204: Content(description="Deleted")}

_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+(\s*;[\x20-\x7e]*)?")
_MEDIA_TYPE_LENGTH = 255
_EXTENSIONS = mimetypes.MimeTypes(filenames=())


class SampleRoutes(Routes):
    """Face and body samples."""

    def __init__(self, blobs: BlobsService) -> None:
        self._blobs = blobs

    @operation(
        "POST",
        "/6/samples/faces",
        "samples",
        "save face sample",
        needs=(Need("face_sample", "creation"),),
        body=_PICTURE,
        replies={201: Content(SampleCreated)},
        errors=_PICTURE_ERRORS,
    )
    async def save_face(self, call: Call[NoQuery, bytes]) -> Reply:
        """Save a face warp of 250x250 pixels; it is kept as JPEG."""
        return await self._save(call, BlobKind.FACE_SAMPLE, "faces")

    @operation(
        "POST",
        "/6/samples/bodies",
        "samples",
        "save body sample",
        needs=(Need("body_sample", "creation"),),
        body=_PICTURE,
        replies={201: Content(SampleCreated)},
        errors=_PICTURE_ERRORS,
    )
    async def save_body(self, call: Call[NoQuery, bytes]) -> Reply:
        """Save a body warp, 128 pixels wide and 256 high; it is kept as JPEG."""
        return await self._save(call, BlobKind.BODY_SAMPLE, "bodies")

    @operation(
        "GET",
        "/6/samples/{sample_id:uuid}",
        "samples",
        "get sample | legacy",
        needs=(Need("face_sample", "view"),),
        replies=_SAMPLE,
        errors=(13003,),
        deprecated=True,
    )
    @operation(
        "GET",
        "/6/samples/faces/{sample_id:uuid}",
        "samples",
        "get face sample",
        needs=(Need("face_sample", "view"),),
        replies=_SAMPLE,
        errors=(13003,),
    )
    async def get_face(self, call: Call[NoQuery, None]) -> Reply:
        """Get the picture of a face sample."""
        return await _get(self._blobs, call, FACES)

    @operation(
        "HEAD",
        "/6/samples/{sample_id:uuid}",
        "samples",
        "check if face sample exists | legacy",
        needs=(Need("face_sample", "view"),),
        replies=_EXISTS,
        errors=(13003,),
        deprecated=True,
    )
    @operation(
        "HEAD",
        "/6/samples/faces/{sample_id:uuid}",
        "samples",
        "check if face sample exists",
        needs=(Need("face_sample", "view"),),
        replies=_EXISTS,
        errors=(13003,),
    )
    async def check_face(self, call: Call[NoQuery, None]) -> Reply:
        """Check whether a face sample exists."""
        return await _check(self._blobs, call, FACES)

    @operation(
        "DELETE",
        "/6/samples/{sample_id:uuid}",
        "samples",
        "remove face sample | legacy",
        needs=(Need("face_sample", "deletion"),),
        replies=_DELETED,
        errors=(13003,),
        deprecated=True,
    )
    @operation(
        "DELETE",
        "/6/samples/faces/{sample_id:uuid}",
        "samples",
        "remove face sample",
        needs=(Need("face_sample", "deletion"),),
        replies=_DELETED,
        errors=(13003,),
    )
    async def delete_face(self, call: Call[NoQuery, None]) -> Reply:
        """Remove a face sample. Faces and attributes that were made from it stay."""
        await self._blobs.delete(call.principal.writes(), FACES, call.id("sample_id"))
        return NO_CONTENT

    @operation(
        "GET",
        "/6/samples/bodies/{sample_id:uuid}",
        "samples",
        "get body sample",
        needs=(Need("body_sample", "view"),),
        replies=_SAMPLE,
        errors=(13003,),
    )
    async def get_body(self, call: Call[NoQuery, None]) -> Reply:
        """Get the picture of a body sample."""
        return await _get(self._blobs, call, BODIES)

    @operation(
        "HEAD",
        "/6/samples/bodies/{sample_id:uuid}",
        "samples",
        "check if body sample exists",
        needs=(Need("body_sample", "view"),),
        replies=_EXISTS,
        errors=(13003,),
    )
    async def check_body(self, call: Call[NoQuery, None]) -> Reply:
        """Check whether a body sample exists."""
        return await _check(self._blobs, call, BODIES)

    @operation(
        "DELETE",
        "/6/samples/bodies/{sample_id:uuid}",
        "samples",
        "remove body sample",
        needs=(Need("body_sample", "deletion"),),
        replies=_DELETED,
        errors=(13003,),
    )
    async def delete_body(self, call: Call[NoQuery, None]) -> Reply:
        """Remove a body sample."""
        await self._blobs.delete(call.principal.writes(), BODIES, call.id("sample_id"))
        return NO_CONTENT

    @operation(
        "GET",
        "/5/samples/{sample_id:uuid}",
        "samples",
        "get sample | previous version",
        needs=(Need("face_sample", "view"),),
        replies=_SAMPLE,
        errors=(13003,),
        deprecated=True,
    )
    async def get_previous(self, call: Call[NoQuery, None]) -> Reply:
        """Get the picture of a face or body sample."""
        return await _get(self._blobs, call, _both(call, "view"))

    @operation(
        "HEAD",
        "/5/samples/{sample_id:uuid}",
        "samples",
        "check if sample exists | previous version",
        needs=(Need("face_sample", "view"),),
        replies=_EXISTS,
        errors=(13003,),
        deprecated=True,
    )
    async def check_previous(self, call: Call[NoQuery, None]) -> Reply:
        """Check whether a face or body sample exists."""
        return await _check(self._blobs, call, _both(call, "view"))

    @operation(
        "DELETE",
        "/5/samples/{sample_id:uuid}",
        "samples",
        "remove sample | previous version",
        needs=(Need("face_sample", "deletion"),),
        replies=_DELETED,
        errors=(13003,),
        deprecated=True,
    )
    async def delete_previous(self, call: Call[NoQuery, None]) -> Reply:
        """Remove a face or body sample."""
        await self._blobs.delete(call.principal.writes(), _both(call, "deletion"), call.id("sample_id"))
        return NO_CONTENT

    async def _save(self, call: Call[NoQuery, bytes], kind: BlobKind, folder: str) -> Reply:
        content_type = media_type(call.headers.get("content-type"))
        sample_id = await self._blobs.save_sample(kind, call.principal.owner, call.body, content_type)
        url = f"/6/samples/{folder}/{sample_id}"
        return created(SampleCreated(sample_id, url), url)


class ImageRoutes(Routes):
    """Source images."""

    def __init__(self, blobs: BlobsService) -> None:
        self._blobs = blobs

    @operation(
        "POST",
        "/6/images",
        "images",
        "create images",
        needs=(Need("image", "creation"),),
        body=_PICTURE,
        replies={201: Content(ImageCreated)},
        errors=(11028, 12046, 100010, 100012),
        headers={"X-Luna-Meta-*": "A key of the user's meta; one header for each key, 8 kB together."},
    )
    async def create(self, call: Call[NoQuery, bytes]) -> Reply:
        """Save an image as it is, with meta of the user's own."""
        content_type = media_type(call.headers.get("content-type"))
        meta = meta_of(call.headers)
        image_id = await self._blobs.save_image(call.principal.owner, call.body, content_type, meta)
        url = f"/6/images/{image_id}"
        return created(ImageCreated(image_id, url), url)

    @operation(
        "GET",
        "/6/images/{image_id:uuid}",
        "images",
        "get image",
        needs=(Need("image", "view"),),
        query=ImageQuery,
        replies={200: Content(types=STORED_TYPES, schema=BYTES, description="The image")},
        errors=(13003,),
    )
    async def get(self, call: Call[ImageQuery, None]) -> Reply:
        """Get an image as it was saved."""
        record, data = await self._blobs.read(call.principal.reads(), IMAGES, call.id("image_id"))
        return _reply(record, data, _image_headers(call.query, record))

    @operation(
        "HEAD",
        "/6/images/{image_id:uuid}",
        "images",
        "check if image exists",
        needs=(Need("image", "view"),),
        query=ImageQuery,
        replies=_EXISTS,
        errors=(13003,),
    )
    async def check(self, call: Call[ImageQuery, None]) -> Reply:
        """Check whether an image exists."""
        record = await self._blobs.find(call.principal.reads(), IMAGES, call.id("image_id"))
        return _reply(record, b"", _image_headers(call.query, record))

    @operation(
        "DELETE",
        "/6/images/{image_id:uuid}",
        "images",
        "delete image",
        needs=(Need("image", "deletion"),),
        replies=_DELETED,
        errors=(13003,),
    )
    async def delete(self, call: Call[NoQuery, None]) -> Reply:
        """Delete an image."""
        await self._blobs.delete(call.principal.writes(), IMAGES, call.id("image_id"))
        return NO_CONTENT


class ObjectRoutes(Routes):
    """Bytes of any type."""

    def __init__(self, blobs: BlobsService) -> None:
        self._blobs = blobs

    @operation(
        "POST",
        "/6/objects",
        "objects",
        "create objects",
        needs=(Need("object", "creation"),),
        body=RawBody(None),
        replies={201: Content(ObjectCreated)},
    )
    async def create(self, call: Call[NoQuery, bytes]) -> Reply:
        """Save bytes as they are, with the Content-Type that they came with."""
        content_type = call.headers.get("content-type", "").strip()
        if len(content_type) > _MEDIA_TYPE_LENGTH or not _MEDIA_TYPE.fullmatch(content_type):
            raise ApiError(12017, content_type[:_MEDIA_TYPE_LENGTH], "any well-formed type")
        object_id = await self._blobs.save(BlobKind.OBJECT, call.principal.owner, call.body, content_type)
        url = f"/6/objects/{object_id}"
        return created(ObjectCreated(object_id, url), url)

    @operation(
        "GET",
        "/6/objects/{object_id:uuid}",
        "objects",
        "get object",
        needs=(Need("object", "view"),),
        replies={200: Content(types=("*/*",), schema=ANYTHING, description="The bytes")},
        errors=(13007,),
    )
    async def get(self, call: Call[NoQuery, None]) -> Reply:
        """Get the bytes of an object."""
        record, data = await self._blobs.read(call.principal.reads(), OBJECTS, call.id("object_id"))
        return _reply(record, data, _disposition(record))

    @operation(
        "HEAD",
        "/6/objects/{object_id:uuid}",
        "objects",
        "check if object exists",
        needs=(Need("object", "view"),),
        replies=_EXISTS,
        errors=(13007,),
    )
    async def check(self, call: Call[NoQuery, None]) -> Reply:
        """Check whether an object exists."""
        record = await self._blobs.find(call.principal.reads(), OBJECTS, call.id("object_id"))
        return _reply(record, b"", _disposition(record))

    @operation(
        "DELETE",
        "/6/objects/{object_id:uuid}",
        "objects",
        "delete object",
        needs=(Need("object", "deletion"),),
        replies=_DELETED,
        errors=(13007,),
    )
    async def delete(self, call: Call[NoQuery, None]) -> Reply:
        """Delete an object."""
        await self._blobs.delete(call.principal.writes(), OBJECTS, call.id("object_id"))
        return NO_CONTENT


async def _get(blobs: BlobsService, call: Call[NoQuery, None], kinds: frozenset[BlobKind]) -> Reply:
    record, data = await blobs.read(call.principal.reads(), kinds, call.id("sample_id"))
    return _reply(record, data, {})


async def _check(blobs: BlobsService, call: Call[NoQuery, None], kinds: frozenset[BlobKind]) -> Reply:
    return _reply(await blobs.find(call.principal.reads(), kinds, call.id("sample_id")), b"", {})


def _both(call: Call[NoQuery, None], verb: Any) -> frozenset[BlobKind]:
    """Face samples, and body samples where the caller has the right to them too."""
    try:
        call.principal.require(Need("body_sample", verb))
    except ApiError:
        return FACES
    return FACES | BODIES


def _reply(record: BlobRecord, data: bytes, headers: Mapping[str, str]) -> Reply:
    """Bytes that a browser must neither take for something else nor run with this server's rights."""
    fixed = {
        # Set here, as the type of text must go out exactly as it came in, and a HEAD must tell the length too.
        "Content-Type": record.content_type,
        "Content-Length": str(record.size),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    return Reply(200, data, {**fixed, **headers}, record.content_type)


def _image_headers(query: ImageQuery, record: BlobRecord) -> dict[str, str]:
    return meta_headers(record.meta) if query.with_meta else {}


def _disposition(record: BlobRecord) -> dict[str, str]:
    extension = _EXTENSIONS.guess_extension(media_type(record.content_type)) or ".bin"
    return {"Content-Disposition": f"attachment; filename={record.id}{extension}"}
