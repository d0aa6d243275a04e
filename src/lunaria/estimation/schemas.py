"""Replies of the five front ends."""

from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, field

from lunaria.estimation.estimates import (
    BasicAttributes,
    BodyAttributes,
    BodyDetection,
    FaceAttributes,
    FaceDetection,
    FilterReason,
    Point,
    Probability,
)
from lunaria.http.errors import ErrorBody

Status = Annotated[Literal[0, 1], Meta(description="1 - the image was processed, 0 - see the error.")]
Exif = Annotated[dict[str, Any], Meta(description="EXIF tags by name, as they are.")]
SampleIds = Annotated[list[UUID], Meta(min_length=1, max_length=8)]


class FilteredFace(Struct, frozen=True):
    detection: FaceDetection
    filter_reasons: list[FilterReason]


class FilteredBody(Struct, frozen=True):
    detection: BodyDetection
    filter_reasons: list[FilterReason]


class FilteredDetections(Struct, frozen=True):
    face_detections: list[FilteredFace] = field(default_factory=list)
    body_detections: list[FilteredBody] = field(default_factory=list)


class FilteredFaces(Struct, frozen=True):
    face_detections: list[FilteredFace] = field(default_factory=list)


class DetectedFace(Struct, frozen=True):
    detection: FaceDetection


class DetectedBody(Struct, frozen=True):
    detection: BodyDetection


class Person(Struct, frozen=True):
    """One person of an image: face, body, or both."""

    face: DetectedFace | None = None
    body: DetectedBody | None = None


class PeopleCount(Struct, frozen=True):
    """How many people, and where their heads are."""

    count: int
    coordinates: list[Point]


class ImageEstimations(Struct, frozen=True):
    """What was estimated of the image as a whole."""

    people_count: int | UnsetType = UNSET
    people: PeopleCount | UnsetType = UNSET


class SdkImage(Struct, frozen=True):
    filename: str
    status: Status
    error: ErrorBody
    estimations: list[Person] = field(default_factory=list)
    filtered_detections: FilteredDetections = FilteredDetections()
    image_estimations: ImageEstimations = ImageEstimations()
    exif: Exif = field(default_factory=dict)


class AggregatedFace(Struct, frozen=True):
    attributes: FaceAttributes


class AggregatedBody(Struct, frozen=True):
    attributes: BodyAttributes


class AggregateEstimations(Struct, frozen=True):
    """Merged estimates of all images; null where no detection was left."""

    face: AggregatedFace | None = None
    body: AggregatedBody | None = None


class SdkResult(Struct, frozen=True):
    """Images in the order of the request."""

    images_estimations: list[SdkImage]
    aggregate_estimations: AggregateEstimations | UnsetType = UNSET


class CheckedFace(Struct, frozen=True):
    face: DetectedFace


class IsoImage(Struct, frozen=True):
    filename: str
    status: Status
    error: ErrorBody
    estimations: list[CheckedFace] = field(default_factory=list)
    exif: Exif = field(default_factory=dict)


class IsoResult(Struct, frozen=True):
    """Images in the order of the request."""

    images: list[IsoImage]


class FaceSample(Struct, frozen=True):
    """A detected face and the sample that was stored of it."""

    sample_id: UUID
    url: str
    detection: FaceDetection


class SampledPerson(Struct, frozen=True):
    face: FaceSample
    body: None = None


class Detections(Struct, frozen=True):
    samples: list[SampledPerson] = field(default_factory=list)
    filtered_detections: FilteredFaces = FilteredFaces()


class DetectorImage(Struct, frozen=True):
    filename: str
    status: Status
    error: ErrorBody
    detections: Detections = Detections()
    exif: Exif = field(default_factory=dict)


class DetectorResult(Struct, frozen=True):
    """Images in the order of the request."""

    images: list[DetectorImage]


class LivenessProbabilities(Struct, frozen=True):
    probability: Probability
    quality: Probability


class LivenessPrediction(Struct, frozen=True):
    """Prediction 0 - spoof, 1 - real, 2 - unknown."""

    prediction: Literal[0, 1, 2]
    estimations: LivenessProbabilities


class LivenessImage(Struct, frozen=True):
    filename: str
    status: Status
    error: ErrorBody
    liveness: LivenessPrediction | None = None


class AggregatedLiveness(Struct, frozen=True):
    liveness: LivenessPrediction | None = None


class LivenessResult(Struct, frozen=True):
    """Images in the order of the request."""

    images: list[LivenessImage]
    aggregate_estimations: AggregatedLiveness | None = None


class ExtractedAttribute(Struct, frozen=True):
    """A temporary attribute, or (`filtered` 1) the sample whose score is too low for one."""

    samples: list[UUID]
    attribute_id: UUID | UnsetType = UNSET
    url: str | UnsetType = UNSET
    score: Probability | UnsetType = UNSET
    basic_attributes: BasicAttributes | UnsetType = UNSET
    filtered: Literal[1] | UnsetType = UNSET
