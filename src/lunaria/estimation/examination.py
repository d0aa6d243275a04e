"""The one way from received images to persons: decoded, analysed, filtered and encoded in one call on the pool each."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from lunaria.blobs.pictures import is_plain_jpeg
from lunaria.estimation.decisions import Decisions, WantedChecks
from lunaria.estimation.estimates import BodyDetection, DescriptorEstimate, FaceDetection, FilterReason, Rect
from lunaria.estimation.filters import AngleLimits, WantedStates
from lunaria.estimation.inputs import InputImage
from lunaria.estimation.shapes import body_detection, checks_of, face_detection
from lunaria.http.errors import ApiError, ErrorBody, ErrorLinks
from lunaria.kit.pool import WorkerPool
from lunaria.vision.analysis import Analyzer, MultipleFacesError
from lunaria.vision.descriptor_coding import DescriptorCoding
from lunaria.vision.descriptors import Descriptor
from lunaria.vision.exif import ExifValue
from lunaria.vision.findings import BodyFinding, FaceFinding
from lunaria.vision.geometry import Pixels
from lunaria.vision.images import Decoder, Image, ImageError, encode_jpeg
from lunaria.vision.plan import ImageType, MultifacePolicy, Plan
from lunaria.vision.warps import BODY_WARP_SIZE, WARP_SIDE


@dataclass(frozen=True, slots=True)
class Order:
    """What to do with every image of a request.

    `plan` is what the networks compute. The head pose may be computed for the filters alone, so it is shown only with
    `show_head_pose`. `checks`: what becomes of the checks of the plan. `decisions`: thresholds of liveness and deepfake
    in place of those of the settings.
    """

    plan: Plan
    image_type: ImageType = ImageType.RAW
    show_head_pose: bool = False
    angles: AngleLimits = field(default_factory=AngleLimits)
    states: WantedStates = field(default_factory=WantedStates)
    checks: WantedChecks | None = None
    decisions: Decisions | None = None
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
class ExaminedBody:
    """A body: its `detection` for the wire (without warp and descriptor), and as ExaminedFace.

    It is filtered with its face where bodies without a face are not wanted.
    """

    detection: BodyDetection
    reasons: list[FilterReason] = field(default_factory=list)
    warp: bytes | None = None
    descriptor: Descriptor | None = None


@dataclass(frozen=True, slots=True)
class ExaminedPerson:
    """Face, body, or both, of which nothing is filtered."""

    face: ExaminedFace | None = None
    body: ExaminedBody | None = None


@dataclass(frozen=True, slots=True)
class ExaminedImage:
    """An image with the persons in it, or with the reason why it has none. `people`: heads in it, if counted (N, 2)."""

    filename: str
    persons: list[ExaminedPerson] = field(default_factory=list)
    filtered_faces: list[ExaminedFace] = field(default_factory=list)
    filtered_bodies: list[ExaminedBody] = field(default_factory=list)
    people: list[tuple[int, int]] | None = None
    exif: dict[str, ExifValue] = field(default_factory=dict)
    error: ApiError | None = None

    @property
    def status(self) -> Literal[0, 1]:
        return 1 if self.error is None else 0

    @property
    def faces(self) -> list[ExaminedFace]:
        """The faces that are not filtered."""
        return [person.face for person in self.persons if person.face is not None]

    @property
    def bodies(self) -> list[ExaminedBody]:
        """The bodies that are not filtered."""
        return [person.body for person in self.persons if person.body is not None]


def of_one_person(policy: MultifacePolicy, *, detect_faces: bool) -> MultifacePolicy:
    """The policy for images whose estimates are merged: merged descriptors of several persons would be nobody's.

    Several faces are refused then unless the best is taken. Lone bodies are found where no faces are looked for.
    """
    return MultifacePolicy.NOT_ALLOWED if policy is MultifacePolicy.ALLOWED and detect_faces else policy


class Examiner:
    """Examines images on the pool. `links` shapes the errors of single images."""

    def __init__(
        self,
        analyzer: Analyzer,
        decoder: Decoder,
        coding: DescriptorCoding,
        pool: WorkerPool,
        links: ErrorLinks,
        decisions: Decisions,
    ) -> None:
        self.decisions = decisions
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

    def error_body(self, error: ApiError) -> ErrorBody:
        """An error for the wire."""
        return self._links.body(error)

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
            return ExaminedImage(source.filename, error=_api_error(error, order))
        except MultipleFacesError as error:
            rects = msgspec.json.encode([Rect(*rect) for rect in error.rects]).decode()
            return ExaminedImage(source.filename, error=ApiError(11038, source.filename, rects))

    def _decode_and_analyse(self, source: InputImage, data: bytes, order: Order) -> ExaminedImage:
        raw = order.image_type is ImageType.RAW
        image = self._decoder.decode(data, orient=order.orient and raw, extract_exif=order.extract_exif)
        found = self._analyzer.find(
            image,
            order.plan,
            image_type=order.image_type,
            face_boxes=source.face_boxes if raw else None,
            body_boxes=source.body_boxes if raw else None,
        )
        faces = [self._face(finding, order, image, data) for finding in found.faces]
        bodies = [_body(finding, order, image, data) for finding in found.bodies]
        examined = ExaminedImage(source.filename, exif=image.exif)
        if found.people is not None:
            people = [(x, y) for x, y in found.people.round().astype(int).tolist()]
            examined = ExaminedImage(source.filename, people=people, exif=image.exif)
        for face_index, body_index in found.persons:
            face = None if face_index is None else faces[face_index]
            body = None if body_index is None else bodies[body_index]
            if face is not None and face.reasons:
                examined.filtered_faces.append(face)
                if body is not None and order.plan.multiface is not MultifacePolicy.ALLOWED:
                    examined.filtered_bodies.append(ExaminedBody(body.detection, face.reasons))
                    body = None
                face = None
            if face is not None or body is not None:
                examined.persons.append(ExaminedPerson(face, body))
        return examined

    def _face(self, finding: FaceFinding, order: Order, image: Image, data: bytes) -> ExaminedFace:
        raw = order.image_type is ImageType.RAW
        detection = face_detection(
            finding,
            order.decisions or self.decisions,
            order.plan,
            show_head_pose=order.show_head_pose and raw,
            show_gaze=order.plan.gaze and raw,
        )
        reasons = order.angles.reasons(finding.head_pose) if raw else []
        reasons += order.states.reasons(detection.attributes)
        if order.checks is not None and not reasons:
            checks = checks_of(finding, order.checks, is_warp=not raw)
            detection = msgspec.structs.replace(detection, **{order.checks.report: checks})
            if order.checks.filtering and not checks.status:
                reasons = [FilterReason(order.checks.report, checks.status, 1)]
        if reasons:
            return ExaminedFace(detection, reasons)
        return ExaminedFace(detection, [], _warp_bytes(finding.warp, order, image, data), finding.descriptor)


def _body(finding: BodyFinding, order: Order, image: Image, data: bytes) -> ExaminedBody:
    warp = _warp_bytes(finding.warp, order, image, data)
    return ExaminedBody(body_detection(finding, order.plan), [], warp, finding.descriptor)


def _warp_bytes(warp: Pixels | None, order: Order, image: Image, data: bytes) -> bytes | None:
    """The warp as JPEG. What came as a warp is kept as it is, where every reader understands it alike."""
    if warp is None:
        return None
    keep = order.image_type is not ImageType.RAW and image.format == "JPEG" and is_plain_jpeg(data)
    return data if keep else encode_jpeg(warp)


def _api_error(error: ImageError, order: Order) -> ApiError:
    width, height = (WARP_SIDE, WARP_SIDE) if order.image_type is ImageType.FACE_WARP else BODY_WARP_SIZE
    return ApiError(error.code, f"{width}x{height}" if error.code == 11030 else error.detail)
