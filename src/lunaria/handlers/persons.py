"""From what was found in the images of a request to its persons: one event is made of each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from lunaria.attributes.descriptors import CodedDescriptor, coded
from lunaria.estimation.aggregation import merge_basic_attributes, merge_bodies, merge_faces
from lunaria.estimation.decisions import Decisions
from lunaria.estimation.estimates import (
    DEEPFAKE_NUMBERS,
    EMOTION_NUMBERS,
    ETHNICITY_NUMBERS,
    LIVENESS_NUMBERS,
    MASK_NUMBERS,
    BasicAttributes,
    BodyAttributes,
    FaceAttributes,
    FilterReason,
)
from lunaria.estimation.examination import ExaminedBody, ExaminedFace, ExaminedImage
from lunaria.events.schemas import DescriptorKind
from lunaria.handlers.event_context import EventContext
from lunaria.handlers.filters import Subject
from lunaria.handlers.sources import SourceDescriptor, SourceImage
from lunaria.http.errors import ApiError
from lunaria.matching.sources import vector_of
from lunaria.vision.descriptors import Descriptor, aggregate

UNKNOWN_SCORE = 1.0
"""What a descriptor weighs in an aggregate of which nobody told how usable it is."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PersonDescriptor:
    """A descriptor to match a person by (`vector`, unit length) and to store (`coded`)."""

    vector: NDArray[np.float32]
    coded: CodedDescriptor


@dataclass(frozen=True, slots=True)
class Extract:
    """What was extracted of a face or a body; None is what was not asked for or cannot be told.

    `reasons`: why the descriptor was dropped as unusable; its score is still told.
    """

    descriptor: PersonDescriptor | None = None
    score: float | None = None
    reasons: tuple[FilterReason, ...] = ()
    basic: BasicAttributes | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """Where a person was seen: an image with the face, the body, or both."""

    source: SourceImage
    face: ExaminedFace | None = None
    body: ExaminedBody | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """Whom an event is made of. One that came as a descriptor was seen nowhere.

    `merged_face`, `merged_body`: the estimates of all sightings where these are told as one, else None.
    """

    context: EventContext
    sightings: tuple[Sighting, ...] = ()
    face: Extract | None = None
    body: Extract | None = None
    merged_face: FaceAttributes | None = None
    merged_body: BodyAttributes | None = None

    def extract(self, kind: DescriptorKind) -> Extract | None:
        return self.face if kind == "face" else self.body

    @property
    def subject(self) -> Subject:
        """What filters look at, before anything was matched."""
        attributes = self.merged_face
        if attributes is None:
            faces = (sighting.face for sighting in self.sightings if sighting.face is not None)
            attributes = next((face.detection.attributes for face in faces), FaceAttributes())
        emotions, mask, liveness, deepfake = (
            _known(getattr(attributes, name)) for name in ("emotions", "mask", "liveness", "deepfake")
        )
        basic = None if self.face is None else self.face.basic
        ethnicities = None if basic is None else _known(basic.ethnicities)
        return Subject(
            gender=None if basic is None else basic.gender,
            age=None if basic is None else basic.age,
            emotion=None if emotions is None else EMOTION_NUMBERS[emotions.predominant_emotion],
            ethnicity=None if ethnicities is None else ETHNICITY_NUMBERS[ethnicities.predominant_ethnicity],
            mask=None if mask is None else MASK_NUMBERS[mask.predominant_mask],
            liveness=None if liveness is None else LIVENESS_NUMBERS[liveness.prediction],
            deepfake=None if deepfake is None else DEEPFAKE_NUMBERS[deepfake.prediction],
        )


def single_persons(
    context: EventContext,
    images: Iterable[tuple[SourceImage, ExaminedImage]],
    descriptors: Iterable[SourceDescriptor],
    score_threshold: float,
) -> list[Person]:
    """A person for every face with its body, every other body, and every given descriptor, in this order.

    `context`: where an image has none of its own. Face descriptors with a score below the threshold are dropped.
    """
    persons = [
        Person(
            source.context or context,
            (Sighting(source, found.face, found.body),),
            face=None if found.face is None else face_extract(found.face, score_threshold),
            body=None if found.body is None else _of_body(found.body),
        )
        for source, image in images
        for found in image.persons
    ]
    return persons + [
        Person(context, face=given_extract(given))
        if given.kind == "face"
        else Person(context, body=given_extract(given))
        for given in descriptors
    ]


def merged_person(
    context: EventContext,
    images: Sequence[tuple[SourceImage, ExaminedImage]],
    descriptors: Sequence[SourceDescriptor],
    score_threshold: float,
    decisions: Decisions,
) -> Person | None:
    """The one person that all images and descriptors are of; None when nobody was found.

    Raises 400/11038 or 400/34008 for several faces or bodies in an image, 400/11034 for descriptors that cannot be
    merged.
    """
    sightings = []
    for source, image in images:
        if image.error is not None and image.error.code == 11038:
            raise image.error
        if len(image.bodies) > 1:
            rects = msgspec.json.encode([body.detection.rect for body in image.bodies]).decode()
            raise ApiError(34008, image.filename, rects)
        sightings += [Sighting(source, found.face, found.body) for found in image.persons]
    if not sightings and not descriptors:
        return None
    faces = [sighting.face for sighting in sightings if sighting.face is not None]
    bodies = [sighting.body for sighting in sightings if sighting.body is not None]
    of_faces = [face_extract(face, score_threshold) for face in faces]
    of_bodies = [_of_body(body) for body in bodies]
    for given in descriptors:
        (of_faces if given.kind == "face" else of_bodies).append(given_extract(given))
    names = ", ".join(image.filename for _, image in images)
    return Person(
        context,
        tuple(sightings),
        face=_merged(of_faces, names),
        body=_merged(of_bodies, names),
        merged_face=merge_faces([face.detection.attributes for face in faces], decisions) if faces else None,
        merged_body=merge_bodies([body.detection.attributes for body in bodies]) if bodies else None,
    )


def face_extract(face: ExaminedFace, score_threshold: float) -> Extract:
    """What was extracted of a face; a descriptor with a score below the threshold is dropped."""
    basic = _known(face.detection.attributes.basic_attributes)
    descriptor = face.descriptor
    if descriptor is None:
        return Extract(basic=basic)
    if descriptor.score < score_threshold:
        reason = FilterReason("score_threshold", descriptor.score, score_threshold)
        return Extract(score=descriptor.score, reasons=(reason,), basic=basic)
    return Extract(PersonDescriptor(descriptor.vector, coded(descriptor)), descriptor.score, basic=basic)


def _of_body(body: ExaminedBody) -> Extract:
    descriptor = body.descriptor
    if descriptor is None:
        return Extract()
    return Extract(PersonDescriptor(descriptor.vector, coded(descriptor)), descriptor.score)


def given_extract(given: SourceDescriptor) -> Extract:
    """A descriptor that a client gave, as if it had been extracted."""
    held = given.descriptor
    vector = vector_of(held.coding, held.data)
    assert vector is not None, "the reader refuses descriptors without a direction"
    return Extract(PersonDescriptor(vector, held), held.score)


def _merged(extracts: Sequence[Extract], names: str) -> Extract | None:
    """What was extracted of one person several times, as one; None when nothing was. `names`: of the images."""
    if not extracts:
        return None
    basic = [extract.basic for extract in extracts if extract.basic is not None]
    merged_basic = merge_basic_attributes(basic) if basic else None
    usable = [extract for extract in extracts if extract.descriptor is not None]
    if len(usable) > 1:
        return replace(_merged_descriptors(usable, names), basic=merged_basic)
    best = usable[0] if usable else max(extracts, key=lambda extract: extract.score or 0.0)
    return replace(best, basic=merged_basic)


def _merged_descriptors(extracts: Sequence[Extract], names: str) -> Extract:
    given = [
        Descriptor(one.vector, one.coded.version, UNKNOWN_SCORE if one.coded.score is None else one.coded.score)
        for extract in extracts
        for one in [extract.descriptor]
        if one is not None
    ]
    try:
        merged = aggregate(given)
    except ValueError:
        raise ApiError(11034, "the aggregate of images", names) from None
    known = any(extract.score is not None for extract in extracts)
    return Extract(PersonDescriptor(merged.vector, coded(merged)), merged.score if known else None)


def _known(value: T | msgspec.UnsetType) -> T | None:
    return None if value is UNSET else value
