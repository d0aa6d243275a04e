"""An event of a person: everything that was found, matched, kept and told by the client, in the form of the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID, uuid4

import msgspec
from msgspec import UNSET

from lunaria.estimation.estimates import BodyAttributes, BodyDetection, FaceAttributes, FaceDetection, Rect
from lunaria.estimation.examination import ExaminedImage
from lunaria.estimation.schemas import AggregatedBody, AggregatedFace, AggregateEstimations
from lunaria.estimation.sdk import MERGED_OF_BODIES, MERGED_OF_FACES
from lunaria.events.event import BestMatch, EventDescriptor, NewEvent
from lunaria.events.schemas import (
    AttributeFilter,
    DescriptorKind,
    Event,
    EventBodyAttributes,
    EventBodySample,
    EventDetection,
    EventFace,
    EventFaceAttributes,
    EventFaceSample,
    EventSamples,
    LabelMatches,
)
from lunaria.faces.store import NewFace
from lunaria.handlers.generation_schemas import FilteredDetection, NamedSample
from lunaria.handlers.persons import Extract, Person, Sighting
from lunaria.handlers.recorder import PreparedEvent
from lunaria.handlers.sources import SourceImage
from lunaria.handlers.storage_plan import KeptFace, KeptSighting, StoragePlan
from lunaria.vision.plan import ImageType

A = TypeVar("A", FaceAttributes, BodyAttributes)

KINDS: Sequence[DescriptorKind] = ("face", "body")
EXTRACTED: Sequence[str] = ("basic_attributes",)
"""What an event tells of a face in its attributes, not with each detection."""


def prepare_event(
    owner: UUID,
    handler_id: UUID,
    person: Person,
    plan: StoragePlan,
    matches: list[LabelMatches] | None,
    best: BestMatch | None,
    tags: Sequence[str],
    now: datetime,
) -> PreparedEvent:
    """The event of a person with what belongs to it. `best`: of the matches, with ids that may not be shown among them.

    `tags`: all of them; `now`: the time of the request.
    """
    event_id, context = uuid4(), person.context
    face = None if plan.face is None else _face(owner, event_id, person, plan.face, now)
    event = Event(
        event_id=event_id,
        url=f"/6/events/{event_id}" if plan.store else None,
        create_time=context.create_time,
        end_time=context.end_time,
        external_id=context.external_id,
        user_data=context.user_data,
        source=context.source,
        stream_id=context.stream_id,
        track_id=context.track_id,
        tags=list(tags),
        location=context.location,
        meta=context.meta,
        face=face,
        face_attributes=_face_attributes(person, plan),
        body_attributes=None if person.body is None else EventBodyAttributes(person.body.score, plan.body_samples),
        matches=matches,
        detections=[
            _detection(person, sighting, kept, now)
            for sighting, kept in zip(person.sightings, plan.sightings, strict=True)
        ],
        aggregate_estimations=_aggregate(person),
    )
    descriptors = tuple(
        EventDescriptor(kind, extract.descriptor.coded)
        for kind in KINDS
        for extract in [person.extract(kind)]
        if extract is not None and extract.descriptor is not None
    )
    return PreparedEvent(
        NewEvent(owner, handler_id, event, descriptors, best),
        blobs=plan.blobs,
        attribute=plan.attribute,
        face=None if face is None or plan.face is None else _new_face(face, plan.face),
        store=plan.store,
        notify=plan.notify,
        callbacks=plan.callbacks,
    )


def filtered_faces(source: SourceImage, image: ExaminedImage) -> list[FilteredDetection]:
    """The faces of an image that make no event."""
    return [
        FilteredDetection(
            NamedSample(image.filename, EventSamples(face=EventFaceSample(shown_face(source, face.detection)))),
            face.reasons,
        )
        for face in image.filtered_faces
    ]


def filtered_bodies(source: SourceImage, image: ExaminedImage) -> list[FilteredDetection]:
    """The bodies of an image that make no event."""
    return [
        FilteredDetection(
            NamedSample(image.filename, EventSamples(body=EventBodySample(_shown_body(source, body.detection)))),
            body.reasons,
        )
        for body in image.filtered_bodies
    ]


def _face(owner: UUID, event_id: UUID, person: Person, kept: KeptFace, now: datetime) -> EventFace:
    return EventFace(
        face_id=kept.id,
        account_id=owner,
        event_id=event_id,
        user_data=person.context.user_data,
        create_time=now,
        external_id=person.context.external_id,
        avatar=kept.avatar,
        lists=list(kept.list_ids),
        url=f"/6/faces/{kept.id}",
    )


def _new_face(face: EventFace, kept: KeptFace) -> NewFace:
    columns = ("face_id", "account_id", "event_id", "user_data", "create_time", "external_id", "avatar")
    return NewFace({name: getattr(face, name) for name in columns}, kept.attribute, kept.list_ids)


def face_attributes(extract: Extract, kept: UUID | None, samples: list[UUID]) -> EventFaceAttributes:
    """What was extracted of a face for the wire. `kept`: the temporary attribute that holds it."""
    return EventFaceAttributes(
        attribute_id=kept,
        url=None if kept is None else f"/6/attributes/{kept}",
        basic_attributes=extract.basic,
        score=extract.score,
        samples=samples,
        filter=AttributeFilter(bool(extract.reasons), list(extract.reasons)),
    )


def _face_attributes(person: Person, plan: StoragePlan) -> EventFaceAttributes | None:
    if person.face is None:
        return None
    return face_attributes(person.face, None if plan.attribute is None else plan.attribute.id, plan.face_samples)


def _detection(person: Person, sighting: Sighting, kept: KeptSighting, now: datetime) -> EventDetection:
    source = sighting.source
    face: EventFaceSample | None = None
    body: EventBodySample | None = None
    if sighting.face is not None:
        url = None if kept.face_sample is None else f"/6/samples/faces/{kept.face_sample}"
        moved = EXTRACTED if person.merged_face is None else MERGED_OF_FACES
        face = EventFaceSample(shown_face(source, sighting.face.detection, moved), kept.face_sample, url)
    if sighting.body is not None:
        url = None if kept.body_sample is None else f"/6/samples/bodies/{kept.body_sample}"
        moved = () if person.merged_body is None else MERGED_OF_BODIES
        body = EventBodySample(_shown_body(source, sighting.body.detection, moved), kept.body_sample, url)
    return EventDetection(
        source.filename, EventSamples(face, body), source.detect_time or now, source.detect_ts, kept.image_origin
    )


def _aggregate(person: Person) -> AggregateEstimations:
    face, body = person.merged_face, person.merged_body
    return AggregateEstimations(
        None if face is None else AggregatedFace(_without(face, EXTRACTED)),
        None if body is None else AggregatedBody(body),
    )


def shown_face(source: SourceImage | None, detection: FaceDetection, moved: Sequence[str] = EXTRACTED) -> FaceDetection:
    """A detection for the wire, without the estimates that were `moved` to the event as a whole.

    The rectangle of a warp is the one that the client gave with the `source`, where it did.
    """
    boxes = source.face_boxes if source is not None and source.image_type is ImageType.FACE_WARP else None
    return msgspec.structs.replace(
        detection,
        rect=Rect(*boxes[0]) if boxes else detection.rect,
        attributes=_without(detection.attributes, moved),
    )


def _shown_body(source: SourceImage, detection: BodyDetection, moved: Sequence[str] = ()) -> BodyDetection:
    """As `shown_face`."""
    boxes = source.body_boxes if source.image_type is ImageType.BODY_WARP else None
    return msgspec.structs.replace(
        detection,
        rect=Rect(*boxes[0]) if boxes else detection.rect,
        attributes=_without(detection.attributes, moved),
    )


def _without(attributes: A, names: Sequence[str]) -> A:
    return msgspec.structs.replace(attributes, **dict.fromkeys(names, UNSET))
