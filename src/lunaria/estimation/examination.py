"""The one way from received images to faces: decoded, analysed, filtered and encoded in one call on the pool each."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from msgspec import UNSET

from lunaria.blobs.pictures import is_plain_jpeg
from lunaria.estimation.estimates import (
    DescriptorEstimate,
    FaceAttributes,
    FaceDetection,
    FilterReason,
    HeadPose,
    Point,
    Rect,
)
from lunaria.estimation.filters import AngleLimits
from lunaria.estimation.inputs import InputImage
from lunaria.http.errors import ApiError, ErrorBody, ErrorLinks
from lunaria.kit.pool import WorkerPool
from lunaria.vision.analysis import Analyzer, FaceFinding, ImageType, MultipleFacesError, Plan
from lunaria.vision.descriptor_coding import DescriptorCoding
from lunaria.vision.descriptors import Descriptor
from lunaria.vision.exif import ExifValue
from lunaria.vision.geometry import Points
from lunaria.vision.images import Decoder, Image, ImageError, encode_jpeg
from lunaria.vision.warps import WARP_SIDE


@dataclass(frozen=True, slots=True)
class Order:
    """What to do with every image of a request.

    `plan` is what the networks compute; without `detect` a raw image is only decoded. The head pose may be computed
    for the filters alone, so it is shown only with `show_head_pose`.
    """

    plan: Plan
    image_type: ImageType = ImageType.RAW
    detect: bool = True
    show_head_pose: bool = False
    angles: AngleLimits = field(default_factory=AngleLimits)
    orient: bool = True
    extract_exif: bool = False


@dataclass(frozen=True, slots=True)
class ExaminedFace:
    """A face: its `detection` for the wire (without warp and descriptor), why it is filtered, what else was wanted."""

    detection: FaceDetection
    reasons: list[FilterReason]
    warp: bytes | None = None
    """JPEG. None for a filtered face."""
    descriptor: Descriptor | None = None


@dataclass(frozen=True, slots=True)
class ExaminedImage:
    """An image with its faces, or with the reason why it has none."""

    filename: str
    faces: list[ExaminedFace] = field(default_factory=list)
    exif: dict[str, ExifValue] = field(default_factory=dict)
    error: ApiError | None = None

    @property
    def status(self) -> Literal[0, 1]:
        return 1 if self.error is None else 0

    @property
    def accepted(self) -> list[ExaminedFace]:
        return [face for face in self.faces if not face.reasons]

    @property
    def filtered(self) -> list[ExaminedFace]:
        return [face for face in self.faces if face.reasons]


class Examiner:
    """Examines images on the pool. `links` shapes the errors of single images."""

    def __init__(
        self,
        analyzer: Analyzer,
        decoder: Decoder,
        coding: DescriptorCoding,
        pool: WorkerPool,
        links: ErrorLinks,
    ) -> None:
        self._analyzer = analyzer
        self._decoder = decoder
        self._coding = coding
        self._pool = pool
        self._links = links

    async def examine(self, images: Sequence[InputImage], order: Order) -> list[ExaminedImage]:
        """Examine all images at the same time; the results in their order.

        An image that cannot be used has its own error. Raises PoolFullError, and then drops what still waits.
        """
        abandoned = threading.Event()
        tasks = [asyncio.ensure_future(self._examine_one(image, order, abandoned)) for image in images]
        try:
            return await asyncio.gather(*tasks)
        finally:
            abandoned.set()
            for task in tasks:
                task.cancel()

    def error_of(self, image: ExaminedImage) -> ErrorBody:
        """The `error` of an image for the wire: code 0 when all went well."""
        return self._links.success() if image.error is None else self._links.body(image.error)

    def descriptor_estimate(self, descriptor: Descriptor) -> DescriptorEstimate:
        """A descriptor for the wire."""
        data = self._coding.encode(descriptor.vector, descriptor.version)
        return DescriptorEstimate(data, descriptor.score, descriptor.version)

    async def _examine_one(self, image: InputImage, order: Order, abandoned: threading.Event) -> ExaminedImage:
        if image.data is None:
            return ExaminedImage(image.filename, error=image.error)
        return await self._pool.run(self._work, image, image.data, order, abandoned)

    def _work(self, source: InputImage, data: bytes, order: Order, abandoned: threading.Event) -> ExaminedImage:
        if abandoned.is_set():  # nobody waits for the answer any more
            return ExaminedImage(source.filename)
        try:
            return self._decode_and_analyse(source, data, order)
        except ImageError as error:
            return ExaminedImage(source.filename, error=_api_error(error))
        except MultipleFacesError as error:
            rects = msgspec.json.encode([Rect(*rect) for rect in error.rects]).decode()
            return ExaminedImage(source.filename, error=ApiError(11038, source.filename, rects))

    def _decode_and_analyse(self, source: InputImage, data: bytes, order: Order) -> ExaminedImage:
        raw = order.image_type is ImageType.RAW
        image = self._decoder.decode(data, orient=order.orient and raw, extract_exif=order.extract_exif)
        if raw and not order.detect:
            return ExaminedImage(source.filename, exif=image.exif)
        findings = self._analyzer.analyze(
            image, order.plan, image_type=order.image_type, boxes=source.face_boxes if raw else None
        )
        faces = [_examined(finding, order, image, data) for finding in findings]
        return ExaminedImage(source.filename, faces, image.exif)


def _examined(finding: FaceFinding, order: Order, image: Image, data: bytes) -> ExaminedFace:
    raw = order.image_type is ImageType.RAW
    attributes = FaceAttributes()
    if raw and order.show_head_pose:
        pose = finding.head_pose
        attributes = FaceAttributes(head_pose=None if pose is None else HeadPose(*pose))
    detection = FaceDetection(
        rect=Rect(*finding.rect),
        landmarks5=UNSET if finding.landmarks5 is None else _whole(finding.landmarks5),
        landmarks68=UNSET if finding.landmarks68 is None else _whole(finding.landmarks68),
        attributes=attributes,
    )
    reasons = order.angles.reasons(finding.head_pose) if raw else []
    if reasons:
        return ExaminedFace(detection, reasons)
    warp = None
    if finding.warp is not None:
        # what came as a warp is kept as it is, where every reader understands it alike
        keep = not raw and image.format == "JPEG" and is_plain_jpeg(data)
        warp = data if keep else encode_jpeg(finding.warp)
    return ExaminedFace(detection, [], warp, finding.descriptor)


def _whole(points: Points) -> list[Point]:
    return [(x, y) for x, y in points.round().astype(int).tolist()]


def _api_error(error: ImageError) -> ApiError:
    detail = f"{WARP_SIDE}x{WARP_SIDE}" if error.code == 11030 else error.detail
    return ApiError(error.code, detail)
