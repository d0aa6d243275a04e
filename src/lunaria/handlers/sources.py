"""What comes to handlers and verifiers: images in every form, stored samples, descriptors, and what belongs to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from lunaria.attributes.descriptors import CodedDescriptor, DescriptorVersions, TooManyDescriptorsError
from lunaria.blobs.service import BlobKind, BlobsService
from lunaria.estimation.inputs import (
    RAW_IMAGE,
    ImageInputs,
    InputImage,
    UrlSource,
    boxes_of,
    read_base64,
)
from lunaria.events.meta import require_meta
from lunaria.events.schemas import DescriptorKind
from lunaria.handlers.event_context import EventContext
from lunaria.handlers.policies import Policies
from lunaria.handlers.source_schemas import (
    DESCRIPTOR_TYPES,
    IMAGE_META_PART,
    META_PART,
    POLICIES_PART,
    XPK_TYPES,
    HandlerSources,
    ImageMeta,
    ImageSource,
    VerifierSources,
)
from lunaria.http.bodies import JSON, decode_body, media_type
from lunaria.http.errors import ApiError
from lunaria.http.multipart import MULTIPART, Part, by_name, decode_json_part, parse_multipart
from lunaria.http.operation import Call
from lunaria.http.principal import Need, Principal
from lunaria.kit.concurrency import map_concurrently
from lunaria.matching.schemas import XpkFile
from lunaria.vision.plan import ImageType

READS = 4
"""Stored samples of one request that are read at a time."""
DESCRIPTOR = "descriptor"
"""The name of a descriptor that came without one."""
_WHITESPACE = b" \t\r\n"


class _TellsImageType(Protocol):
    @property
    def image_type(self) -> int: ...


Q = TypeVar("Q", bound=_TellsImageType)


@dataclass(slots=True)
class SourceImage(InputImage):
    """An image with what the client knows of it.

    `sample_id`: the stored sample that this is, which keeps its id. `external_url`: the URL that the client gave.
    `origin`: bytes of the whole image that a warp was cut from. `context`: what its events have in common, where that
    is not the request's.
    """

    image_type: ImageType = ImageType.RAW
    detect_time: datetime | None = None
    detect_ts: float | None = None
    image_origin: str | None = None
    sample_id: UUID | None = None
    external_url: str | None = None
    origin: bytes | None = None
    context: EventContext | None = None


@dataclass(frozen=True, slots=True)
class SourceDescriptor:
    """A descriptor that stands for a face or body without an image. `filename`: its id, or the name of its file."""

    filename: str
    kind: DescriptorKind
    descriptor: CodedDescriptor


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything of a request's body; at least one image or descriptor."""

    images: list[SourceImage] = field(default_factory=list)
    descriptors: list[SourceDescriptor] = field(default_factory=list)
    policies: Policies | None = None
    meta: dict[str, Any] | None = None


class SourceReader:
    """Reads the bodies of handlers and verifiers.

    `versions`: of faces and bodies. `max_objects`: most images, and most descriptors, of one request.
    """

    def __init__(
        self,
        inputs: ImageInputs,
        blobs: BlobsService,
        versions: DescriptorVersions,
        *,
        max_objects: int,
    ) -> None:
        self._inputs = inputs
        self._blobs = blobs
        self._versions = versions
        self._max_objects = max_objects

    async def read(self, call: Call[Q, bytes], *, policies: bool) -> Sources:
        """Everything of a request with a HANDLER_BODY, or without `policies` a VERIFIER_BODY.

        Raises 400 with one of SOURCE_ERRORS; what is wrong with a single image (11027, 13003, 13007, 11059, 18001,
        100012) is its `error`.
        """
        header = call.headers.get("content-type")
        kind = media_type(header)
        image_type = ImageType(call.query.image_type)
        if kind == JSON:
            body = decode_body(call.body, HandlerSources if policies else VerifierSources)
            # Who sees everybody's images may still have only the own ones processed.
            own = replace(call.principal, sees_all=False)
            return await self._from_json(body, image_type, own, call.headers.get("host", ""))
        if kind == MULTIPART:
            return await self._from_form(parse_multipart(header, call.body), image_type, policies=policies)
        if kind in DESCRIPTOR_TYPES:
            return Sources(descriptors=self._from_file(DESCRIPTOR, kind, call.body))
        return Sources([_source(self._inputs.image(RAW_IMAGE, kind, call.body), image_type)])

    async def _from_json(
        self, body: VerifierSources, image_type: ImageType, principal: Principal, host: str
    ) -> Sources:
        given = [ImageSource(url=one) if isinstance(one, str) else one for one in (*body.images, *body.urls)]
        self._inputs.check_number(len(given) + len(body.samples), "images", least=0)
        if body.samples and image_type is ImageType.RAW:
            raise ApiError(12022, "samples", "stored samples are warps: image_type must be 1 or 2")
        descriptors: list[SourceDescriptor] = []
        for number, one in enumerate(body.raw_descriptors):
            version = None if isinstance(one, XpkFile) else one.version or None
            read = self._read(
                f"raw_descriptors.{number}", one.data, version, descriptors, stream=isinstance(one, XpkFile)
            )
            descriptors += self._described(one.id, read)
        policies, meta = None, None
        if isinstance(body, HandlerSources):
            policies, meta = body.policies, body.meta
        if meta is not None:
            await require_meta(meta, META_PART)
        _refuse_nothing(len(given) + len(body.samples), descriptors)
        images = await self._fetch(given, image_type, principal, host)
        images += await self._samples(body.samples, image_type, principal)
        return Sources(images, descriptors, policies, meta)

    async def _fetch(
        self, given: Sequence[ImageSource], image_type: ImageType, principal: Principal, host: str
    ) -> list[SourceImage]:
        urls = [UrlSource(one.url, one.face_bounding_boxes, one.body_bounding_boxes) for one in given]
        fetched = await self._inputs.fetch(urls, principal, host)
        images = []
        for one, image in zip(given, fetched, strict=True):
            found = _with_meta(_source(image, image_type), one)
            images.append(replace(found, filename=one.filename or image.filename, external_url=one.url))
        return images

    async def _samples(
        self, sample_ids: Sequence[UUID], image_type: ImageType, principal: Principal
    ) -> list[SourceImage]:
        kind = BlobKind.BODY_SAMPLE if image_type is ImageType.BODY_WARP else BlobKind.FACE_SAMPLE

        async def read(sample_id: UUID) -> SourceImage:
            image = SourceImage(str(sample_id), image_type=image_type, sample_id=sample_id)
            try:
                principal.require(Need(kind.value, "view"))
                _, image.data = await self._blobs.read(principal.reads(), {kind}, sample_id)
            except ApiError as error:
                image.error = error
            return image

        return await map_concurrently(read, sample_ids, READS)

    async def _from_form(self, parts: Sequence[Part], image_type: ImageType, *, policies: bool) -> Sources:
        names = (POLICIES_PART, META_PART, IMAGE_META_PART) if policies else (IMAGE_META_PART,)
        told = by_name((part for part in parts if part.name in names), names)
        others = [part for part in parts if part.name not in names]
        descriptors: list[SourceDescriptor] = []
        for part in others:
            if part.content_type in DESCRIPTOR_TYPES:
                name = part.filename or part.name or DESCRIPTOR
                descriptors += self._from_file(name, part.content_type, part.data, descriptors)
        meta: dict[str, Any] | None = None
        if META_PART in told:
            meta = decode_json_part(told[META_PART], dict[str, Any])
            await require_meta(meta, META_PART)
        wanted = decode_json_part(told[POLICIES_PART], Policies) if POLICIES_PART in told else None
        found = await self._inputs.from_form(
            [part for part in others if part.content_type not in DESCRIPTOR_TYPES], least=0
        )
        _refuse_nothing(len(found), descriptors)
        images = [_source(image, image_type) for image in found]
        if IMAGE_META_PART in told:
            images = _told(images, decode_json_part(told[IMAGE_META_PART], dict[str, ImageMeta]))
        return Sources(images, descriptors, wanted, meta)

    def _from_file(
        self, filename: str, kind: str, data: bytes, others: Sequence[SourceDescriptor] = ()
    ) -> list[SourceDescriptor]:
        if kind.endswith("-base64"):
            data = read_base64(data.translate(None, _WHITESPACE))
        return self._described(filename, self._read(filename, data, None, others, stream=kind in XPK_TYPES))

    def _read(
        self, place: str, data: bytes, version: int | None, others: Sequence[SourceDescriptor], *, stream: bool
    ) -> list[CodedDescriptor]:
        """The descriptors in `data`; together with the `others` of the request not too many."""
        left = self._max_objects - len(others)
        if left == 0:
            raise ApiError(12022, place, f"at most {self._max_objects} descriptors are allowed")
        try:
            return self._versions.read_stream(data, left) if stream else [self._versions.read(data, version)]
        except TooManyDescriptorsError:
            raise ApiError(12022, place, f"at most {self._max_objects} descriptors are allowed") from None
        except ApiError as error:
            raise (ApiError(100007, f"{place}: {error.detail}") if error.code == 100007 else error) from None

    def _described(self, filename: str, descriptors: Sequence[CodedDescriptor]) -> list[SourceDescriptor]:
        return [SourceDescriptor(filename, self._versions.kind(one.version), one) for one in descriptors]


def _source(image: InputImage, image_type: ImageType) -> SourceImage:
    return SourceImage(
        image.filename, image.data, image.error, image.face_boxes, image.body_boxes, image_type=image_type
    )


def _with_meta(image: SourceImage, known: ImageMeta) -> SourceImage:
    return replace(image, detect_time=known.detect_time, detect_ts=known.detect_ts, image_origin=known.image_origin)


def _told(images: Sequence[SourceImage], known: Mapping[str, ImageMeta]) -> list[SourceImage]:
    """The images with what is known of them by file name.

    Raises 400/12022 for an unknown file and 400/11048 for boxes that are given twice.
    """
    names = {image.filename for image in images}
    for filename in known:
        if filename not in names:
            raise ApiError(12022, f"{IMAGE_META_PART}.{filename}", f"no image is named '{filename}'")
    found = []
    for image in images:
        told = known.get(image.filename)
        if told is not None:
            image = _with_meta(image, told)
            faces, bodies = boxes_of(told.face_bounding_boxes), boxes_of(told.body_bounding_boxes)
            if (faces and image.face_boxes) or (bodies and image.body_boxes):
                raise ApiError(11048, image.filename)
            image = replace(image, face_boxes=image.face_boxes or faces, body_boxes=image.body_boxes or bodies)
        found.append(image)
    return found


def _refuse_nothing(images: int, descriptors: Sequence[SourceDescriptor]) -> None:
    if not images and not descriptors:
        raise ApiError(12022, "", "at least one image or descriptor is required")
