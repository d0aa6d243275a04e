"""POST /6/sdk: findings and estimates of images, of which nothing is stored."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from lunaria.estimation.aggregation import merge_bodies, merge_faces
from lunaria.estimation.estimates import BodyAttributes, DescriptorEstimate, FaceAttributes
from lunaria.estimation.examination import ExaminedBody, ExaminedFace, ExaminedImage, Examiner, Order, of_one_person
from lunaria.estimation.filters import AngleLimits, WantedStates
from lunaria.estimation.inputs import InputImage
from lunaria.estimation.queries import SdkQuery
from lunaria.estimation.schemas import (
    AggregatedBody,
    AggregatedFace,
    AggregateEstimations,
    DetectedBody,
    DetectedFace,
    FilteredBody,
    FilteredDetections,
    FilteredFace,
    ImageEstimations,
    PeopleCount,
    Person,
    SdkImage,
    SdkResult,
)
from lunaria.http.errors import ApiError
from lunaria.vision.descriptors import Descriptor, aggregate
from lunaria.vision.plan import ImageType, MultifacePolicy, Plan

MERGED_OF_FACES = ("descriptor", "basic_attributes", "mask", "emotions", "liveness", "deepfake")
MERGED_OF_BODIES = ("descriptor", "basic_attributes", "upper_body", "lower_body", "accessories")
"""Estimates that move into the aggregate when there is one."""


class SdkService:
    def __init__(self, examiner: Examiner) -> None:
        self._examiner = examiner

    async def estimate(self, images: Sequence[InputImage], query: SdkQuery) -> SdkResult:
        """Examine the images. Raises 400/11034 when their descriptors cannot be aggregated."""
        examined = await self._examiner.examine(images, sdk_order(query))
        return SdkResult(
            [self._image(image, query) for image in examined],
            self._aggregate(examined, query) if query.aggregate_attributes else UNSET,
        )

    def _image(self, image: ExaminedImage, query: SdkQuery) -> SdkImage:
        count = image.people
        return SdkImage(
            filename=image.filename,
            status=image.status,
            error=self._examiner.error_of(image),
            estimations=[
                Person(
                    None if person.face is None else self._face(person.face, query),
                    None if person.body is None else self._body(person.body, query),
                )
                for person in image.persons
            ],
            filtered_detections=FilteredDetections(
                [FilteredFace(face.detection, face.reasons) for face in image.filtered_faces],
                [FilteredBody(body.detection, body.reasons) for body in image.filtered_bodies],
            ),
            image_estimations=(
                ImageEstimations() if count is None else ImageEstimations(len(count), PeopleCount(len(count), count))
            ),
            exif=image.exif,
        )

    def _face(self, face: ExaminedFace, query: SdkQuery) -> DetectedFace:
        attributes = msgspec.structs.replace(face.detection.attributes, descriptor=self._descriptor(face, query))
        if query.aggregate_attributes:
            attributes = msgspec.structs.replace(attributes, **dict.fromkeys(MERGED_OF_FACES, UNSET))
        warp = UNSET if face.warp is None else face.warp
        return DetectedFace(msgspec.structs.replace(face.detection, attributes=attributes, warp=warp))

    def _body(self, body: ExaminedBody, query: SdkQuery) -> DetectedBody:
        attributes = msgspec.structs.replace(body.detection.attributes, descriptor=self._descriptor(body, query))
        if query.aggregate_attributes:
            attributes = msgspec.structs.replace(attributes, **dict.fromkeys(MERGED_OF_BODIES, UNSET))
        warp = UNSET if body.warp is None else body.warp
        return DetectedBody(msgspec.structs.replace(body.detection, attributes=attributes, warp=warp))

    def _descriptor(
        self, found: ExaminedFace | ExaminedBody, query: SdkQuery
    ) -> DescriptorEstimate | msgspec.UnsetType:
        usable = _usable([found], query)
        return self._examiner.descriptor_estimate(usable[0]) if usable else UNSET

    def _aggregate(self, images: Sequence[ExaminedImage], query: SdkQuery) -> AggregateEstimations:
        faces = [face for image in images for face in image.faces]
        bodies = [body for image in images for body in image.bodies]
        face: FaceAttributes | None = None
        body: BodyAttributes | None = None
        if faces:
            face = msgspec.structs.replace(
                merge_faces([one.detection.attributes for one in faces], self._examiner.decisions),
                descriptor=self._merged(_usable(faces, query), images),
            )
        if bodies:
            body = msgspec.structs.replace(
                merge_bodies([one.detection.attributes for one in bodies]),
                descriptor=self._merged(_usable(bodies, query), images),
            )
        return AggregateEstimations(
            None if face is None else AggregatedFace(face), None if body is None else AggregatedBody(body)
        )

    def _merged(
        self, descriptors: Sequence[Descriptor], images: Sequence[ExaminedImage]
    ) -> DescriptorEstimate | msgspec.UnsetType:
        if not descriptors:
            return UNSET
        try:
            return self._examiner.descriptor_estimate(aggregate(descriptors))
        except ValueError:
            names = ", ".join(image.filename for image in images)
            raise ApiError(11034, "the aggregate of images", names) from None


def _usable(found: Sequence[ExaminedFace | ExaminedBody], query: SdkQuery) -> list[Descriptor]:
    """The descriptors whose score is not too low."""
    descriptors = [one.descriptor for one in found if one.descriptor is not None]
    return [descriptor for descriptor in descriptors if descriptor.score >= query.score_threshold]


def sdk_order(query: SdkQuery) -> Order:
    """What the query asks for."""
    angles = AngleLimits(query.pitch_threshold, query.roll_threshold, query.yaw_threshold)
    policy = MultifacePolicy(query.multiface_policy)
    if query.aggregate_attributes:
        policy = of_one_person(policy, detect_faces=bool(query.detect_face))
    return Order(
        plan=Plan(
            multiface=policy,
            detect_faces=bool(query.detect_face),
            detect_bodies=bool(query.detect_body),
            people_count=bool(query.estimate_people_count),
            landmarks68=bool(query.estimate_landmarks68),
            landmarks5=bool(query.estimate_landmarks5),
            head_pose=bool(query.estimate_head_pose) or angles.active,
            descriptor=bool(query.estimate_face_descriptor),
            warp=bool(query.estimate_face_warp),
            emotions=bool(query.estimate_emotions),
            mask=bool(query.estimate_mask),
            glasses=bool(query.estimate_glasses),
            liveness=bool(query.estimate_liveness),
            deepfake=bool(query.estimate_deepfake),
            quality=bool(query.estimate_quality),
            gaze=bool(query.estimate_gaze),
            eyes=bool(query.estimate_eyes_attributes),
            mouth=bool(query.estimate_mouth_attributes),
            basic_attributes=bool(query.estimate_basic_attributes),
            body_descriptor=bool(query.estimate_body_descriptor),
            body_basic_attributes=bool(query.estimate_body_basic_attributes),
            upper_body=bool(query.estimate_upper_body),
            lower_body=bool(query.estimate_lower_body),
            accessories=bool(query.estimate_accessories),
            body_warp=bool(query.estimate_body_warp),
        ),
        image_type=ImageType(query.image_type),
        show_head_pose=bool(query.estimate_head_pose),
        angles=angles,
        states=WantedStates(query.mask_states, query.liveness_states, query.deepfake_states),
        orient=bool(query.use_exif_info),
        extract_exif=bool(query.extract_exif),
    )
