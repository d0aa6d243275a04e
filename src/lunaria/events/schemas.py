"""An event on the wire as it is generated, notified and sent to callbacks: estimates as words and probabilities.

This is also the one form in which the server holds an event before it is stored (see `event.NewEvent`), and what a raw
event is read into. The stored form, with integer codes, is in `stored`.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct, field

from lunaria.estimation.estimates import (
    BasicAttributes,
    BodyDetection,
    FaceDetection,
    FilterReason,
    Probability,
)
from lunaria.estimation.schemas import AggregateEstimations
from lunaria.events.places import GeoPosition as GeoPosition
from lunaria.events.places import Location, MetaObject
from lunaria.faces.schemas import Face
from lunaria.matching.schemas import Match


class EventFace(Face, kw_only=True, omit_defaults=True):
    """The face that the event made, with its address."""

    url: str


class AttributeFilter(Struct, frozen=True):
    """Whether the descriptor was dropped as unusable, and why."""

    is_filtered: bool = False
    filter_reasons: list[FilterReason] = field(default_factory=list)


class EventFaceAttributes(Struct, frozen=True):
    """What was extracted of the face: where it is kept for a while, and the score of its descriptor."""

    attribute_id: UUID | None = None
    url: str | None = None
    basic_attributes: BasicAttributes | None = None
    score: Probability | None = None
    samples: list[UUID] = field(default_factory=list)
    filter: AttributeFilter = AttributeFilter()


class EventBodyAttributes(Struct, frozen=True):
    score: Probability | None = None
    samples: list[UUID] = field(default_factory=list)


class LabelMatches(Struct, frozen=True):
    """What one entry of the match policy found, best first."""

    label: str
    candidates: list[Match]


class EventFaceSample(Struct, frozen=True):
    """A face in an image, and the sample that was stored of it (null: none)."""

    detection: FaceDetection
    sample_id: UUID | None = None
    url: str | None = None


class EventBodySample(Struct, frozen=True):
    detection: BodyDetection
    sample_id: UUID | None = None
    url: str | None = None


class EventSamples(Struct, frozen=True):
    face: EventFaceSample | None = None
    body: EventBodySample | None = None


class EventDetection(Struct, frozen=True):
    """Where and when the person was seen: `detect_ts` are seconds from the beginning of the source."""

    filename: str
    samples: EventSamples
    detect_time: datetime
    detect_ts: float | None = None
    image_origin: str | None = None


class Event(Struct, frozen=True):
    """One person's event. `matches` come with the best label first, null when nothing was to be matched."""

    event_id: UUID
    url: Annotated[str | None, Meta(description="Null when the event is not stored.")]
    create_time: datetime
    end_time: datetime
    external_id: str = ""
    user_data: str = ""
    source: str | None = None
    stream_id: UUID | None = None
    track_id: str | None = None
    tags: list[str] = field(default_factory=list)
    location: Location = Location()
    meta: MetaObject | None = None
    face: EventFace | None = None
    face_attributes: EventFaceAttributes | None = None
    body_attributes: EventBodyAttributes | None = None
    matches: list[LabelMatches] | None = None
    detections: list[EventDetection] = field(default_factory=list)
    aggregate_estimations: AggregateEstimations = AggregateEstimations()


DescriptorKind = Literal["face", "body"]
