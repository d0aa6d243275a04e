"""The body with which an event is saved that was made elsewhere: as a generated one looks, and everything optional."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, field

from lunaria.attributes.schemas import DescriptorData, SampleIds
from lunaria.estimation.estimates import (
    Accessories,
    BasicAttributes,
    BodyBasicAttributes,
    Checks,
    Deepfake,
    Emotions,
    EyesAttributes,
    FilterReason,
    Gaze,
    Glasses,
    HeadPose,
    Liveness,
    LowerBody,
    Mask,
    MouthAttributes,
    Point,
    Probability,
    Quality,
    Rect,
    UpperBody,
)
from lunaria.estimation.inputs import RAW_IMAGE
from lunaria.events.meta import META_SCHEMA
from lunaria.events.places import Location
from lunaria.events.stored import StoredEvent
from lunaria.faces.schemas import LISTS_LIMIT, Avatar, ExternalId, Face, UserData
from lunaria.handlers.event_context import SourceName, Tags, TrackId
from lunaria.handlers.filters import Label
from lunaria.handlers.source_schemas import DetectTs, ImageOrigin
from lunaria.http.query import Flag, Query
from lunaria.kit.times import settle_times
from lunaria.matching.schemas import MatchedAttribute

DETECTIONS_LIMIT = 100
MATCHES_LIMIT = 30
CANDIDATES_LIMIT = 100
"""Most detections, labels, and candidates of a label, of one event."""

Address = Annotated[str, Meta(max_length=256, pattern=r"^[^\x00]*$")]
"""Where something of this server is, as it is told to those who listen."""
GivenDescriptor = Annotated[
    bytes | DescriptorData, Meta(description="By which the event is matched; plain bytes must begin with a header.")
]


class RawFace(Face, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The face of the event. It need not be one of this server, and is not looked for."""

    face_id: UUID
    external_id: ExternalId = ""
    user_data: UserData = ""
    avatar: Avatar = ""
    lists: Annotated[list[UUID], Meta(max_length=LISTS_LIMIT)] = field(default_factory=list)
    url: Address | UnsetType = UNSET

    def __post_init__(self) -> None:
        settle_times(self, "create_time")


class RawFilter(Struct, frozen=True, forbid_unknown_fields=True):
    is_filtered: bool = False
    filter_reasons: Annotated[list[FilterReason], Meta(max_length=30)] = field(default_factory=list)


class RawFaceAttributes(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was extracted of the face."""

    attribute_id: UUID | None = None
    url: Address | None = None
    basic_attributes: BasicAttributes | None = None
    score: Probability | None = None
    samples: SampleIds = field(default_factory=list)
    filter: RawFilter = RawFilter()
    descriptor: GivenDescriptor | None = None


class RawBodyAttributes(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was extracted of the body."""

    score: Probability | None = None
    samples: SampleIds = field(default_factory=list)
    descriptor: GivenDescriptor | None = None


class MatchedFace(Face, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    face_id: UUID
    external_id: ExternalId | UnsetType = UNSET
    user_data: UserData | UnsetType = UNSET
    lists: Annotated[list[UUID], Meta(max_length=LISTS_LIMIT)] | UnsetType = UNSET

    def __post_init__(self) -> None:
        settle_times(self, "create_time")


class MatchedEvent(StoredEvent, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    event_id: UUID
    external_id: ExternalId | UnsetType = UNSET
    user_data: UserData | UnsetType = UNSET
    source: SourceName | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        settle_times(self, "create_time", "end_time")


class FoundAttribute(MatchedAttribute, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    attribute_id: UUID

    def __post_init__(self) -> None:
        settle_times(self, "create_time")


class RawCandidate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A face, an event or an attribute that the person resembles."""

    similarity: Probability
    face: MatchedFace | UnsetType = UNSET
    event: MatchedEvent | UnsetType = UNSET
    attribute: FoundAttribute | UnsetType = UNSET

    def __post_init__(self) -> None:
        if sum(one is not UNSET for one in (self.face, self.event, self.attribute)) != 1:
            raise ValueError("exactly one of face, event, attribute is required")


class RawMatches(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one comparison found, best first."""

    label: Label
    candidates: Annotated[list[RawCandidate], Meta(max_length=CANDIDATES_LIMIT)] = field(default_factory=list)


class RawFaceEstimates(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Estimates of a face."""

    head_pose: HeadPose | UnsetType | None = UNSET
    emotions: Emotions | UnsetType = UNSET
    mask: Mask | UnsetType = UNSET
    glasses: Glasses | UnsetType = UNSET
    liveness: Liveness | UnsetType = UNSET
    deepfake: Deepfake | UnsetType = UNSET
    gaze: Gaze | UnsetType = UNSET
    eyes_attributes: EyesAttributes | UnsetType = UNSET
    mouth_attributes: MouthAttributes | UnsetType = UNSET
    basic_attributes: BasicAttributes | UnsetType = UNSET


class RawBodyEstimates(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Estimates of a body."""

    basic_attributes: BodyBasicAttributes | UnsetType = UNSET
    upper_body: UpperBody | UnsetType = UNSET
    lower_body: LowerBody | UnsetType = UNSET
    accessories: Accessories | UnsetType = UNSET


class RawFaceDetection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    rect: Rect
    landmarks5: Annotated[list[Point], Meta(min_length=5, max_length=5)] | UnsetType = UNSET
    landmarks68: Annotated[list[Point], Meta(min_length=68, max_length=68)] | UnsetType = UNSET
    quality: Quality | UnsetType = UNSET
    attributes: RawFaceEstimates = RawFaceEstimates()
    face_quality: Checks | UnsetType = UNSET


class RawBodyDetection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    rect: Rect
    attributes: RawBodyEstimates = RawBodyEstimates()


class RawFaceSample(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A face in an image, and its sample, which is not looked for."""

    detection: RawFaceDetection
    sample_id: UUID | None = None
    url: Address | None = None


class RawBodySample(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body in an image, and its sample, which is not looked for."""

    detection: RawBodyDetection
    sample_id: UUID | None = None
    url: Address | None = None


class RawSamples(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    face: RawFaceSample | None = None
    body: RawBodySample | None = None


class RawDetection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where and when the person was seen; by default when the event was made."""

    filename: Annotated[str, Meta(max_length=8192)] = RAW_IMAGE
    samples: RawSamples = RawSamples()
    detect_time: datetime | None = None
    detect_ts: DetectTs | None = None
    image_origin: ImageOrigin | None = None

    def __post_init__(self) -> None:
        settle_times(self, "detect_time")


class RawAggregatedFace(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    attributes: RawFaceEstimates = RawFaceEstimates()


class RawAggregatedBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    attributes: RawBodyEstimates = RawBodyEstimates()


class RawAggregates(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Estimates that were merged of all images."""

    face: RawAggregatedFace | None = None
    body: RawAggregatedBody | None = None


class RawEvent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event that was made elsewhere."""

    detections: Annotated[list[RawDetection], Meta(max_length=DETECTIONS_LIMIT)] = field(default_factory=list)
    source: SourceName | None = None
    stream_id: UUID | None = None
    location: Location | None = None
    external_id: ExternalId = ""
    user_data: UserData = ""
    track_id: TrackId | None = None
    face: RawFace | None = None
    matches: Annotated[list[RawMatches], Meta(max_length=MATCHES_LIMIT)] | None = None
    face_attributes: RawFaceAttributes | None = None
    body_attributes: RawBodyAttributes | None = None
    aggregate_estimations: RawAggregates | None = None
    tags: Tags = field(default_factory=list)
    create_time: datetime | None = None
    end_time: datetime | None = None
    meta: Annotated[dict[str, Any], Meta(extra_json_schema=dict(META_SCHEMA))] | None = None

    def __post_init__(self) -> None:
        settle_times(self, "create_time", "end_time")


class RawEventQuery(Query, frozen=True, kw_only=True):
    wait_saving: Annotated[
        Flag, Meta(description="1 - answer 201 when the event is stored, 0 - answer 202 at once and store it then.")
    ] = 1


class EventCreated(Struct, frozen=True):
    event_id: UUID
    url: str
