"""POST /6/sdk: findings and estimates of images, of which nothing is stored."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from lunaria.estimation.estimates import FaceAttributes
from lunaria.estimation.examination import ExaminedFace, ExaminedImage, Examiner, Order
from lunaria.estimation.filters import AngleLimits
from lunaria.estimation.inputs import InputImage
from lunaria.estimation.queries import SdkQuery
from lunaria.estimation.schemas import (
    AggregatedFace,
    AggregateEstimations,
    DetectedFace,
    FilteredDetections,
    FilteredFace,
    Person,
    SdkImage,
    SdkResult,
)
from lunaria.http.errors import ApiError
from lunaria.vision.analysis import ImageType, MultifacePolicy, Plan
from lunaria.vision.descriptors import Descriptor, aggregate


class SdkService:
    def __init__(self, examiner: Examiner) -> None:
        self._examiner = examiner

    async def estimate(self, images: Sequence[InputImage], query: SdkQuery) -> SdkResult:
        """Examine the images. Raises 400/11034 when their descriptors cannot be aggregated."""
        examined = await self._examiner.examine(images, _order(query))
        merged = bool(query.aggregate_attributes)
        return SdkResult(
            [self._image(image, query, merged=merged) for image in examined],
            self._aggregate(examined, query) if merged else UNSET,
        )

    def _image(self, image: ExaminedImage, query: SdkQuery, *, merged: bool) -> SdkImage:
        return SdkImage(
            filename=image.filename,
            status=image.status,
            error=self._examiner.error_of(image),
            estimations=[Person(self._face(face, query, merged=merged)) for face in image.accepted],
            filtered_detections=FilteredDetections(
                [FilteredFace(face.detection, face.reasons) for face in image.filtered]
            ),
            exif=image.exif,
        )

    def _face(self, face: ExaminedFace, query: SdkQuery, *, merged: bool) -> DetectedFace:
        detection = face.detection
        if face.warp is not None:
            detection = msgspec.structs.replace(detection, warp=face.warp)
        descriptor = _usable(face, query)
        if descriptor is not None and not merged:
            estimate = self._examiner.descriptor_estimate(descriptor)
            attributes = msgspec.structs.replace(detection.attributes, descriptor=estimate)
            detection = msgspec.structs.replace(detection, attributes=attributes)
        return DetectedFace(detection)

    def _aggregate(self, images: Sequence[ExaminedImage], query: SdkQuery) -> AggregateEstimations:
        faces = [face for image in images for face in image.accepted]
        if not faces:
            return AggregateEstimations()
        usable = [descriptor for face in faces if (descriptor := _usable(face, query))]
        attributes = FaceAttributes()
        if usable:
            try:
                estimate = self._examiner.descriptor_estimate(aggregate(usable))
            except ValueError:
                names = ", ".join(image.filename for image in images)
                raise ApiError(11034, "the aggregate of images", names) from None
            attributes = FaceAttributes(descriptor=estimate)
        return AggregateEstimations(AggregatedFace(attributes))


def _usable(face: ExaminedFace, query: SdkQuery) -> Descriptor | None:
    """The descriptor unless its score is too low."""
    descriptor = face.descriptor
    return descriptor if descriptor is not None and descriptor.score >= query.score_threshold else None


def _order(query: SdkQuery) -> Order:
    angles = AngleLimits(query.pitch_threshold, query.roll_threshold, query.yaw_threshold)
    policy = MultifacePolicy(query.multiface_policy)
    if query.aggregate_attributes and policy is MultifacePolicy.ALLOWED:
        # merged descriptors of several persons would be nobody's
        policy = MultifacePolicy.NOT_ALLOWED
    return Order(
        plan=Plan(
            multiface=policy,
            landmarks68=bool(query.estimate_landmarks68),
            landmarks5=bool(query.estimate_landmarks5),
            head_pose=bool(query.estimate_head_pose) or angles.active,
            descriptor=bool(query.estimate_face_descriptor),
            warp=bool(query.estimate_face_warp),
        ),
        image_type=ImageType(query.image_type),
        detect=bool(query.detect_face),
        show_head_pose=bool(query.estimate_head_pose),
        angles=angles,
        orient=bool(query.use_exif_info),
        extract_exif=bool(query.extract_exif),
    )
