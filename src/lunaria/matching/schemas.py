"""Wire objects of matching."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, field

from lunaria.estimation.estimates import AccessoryColor, ClothingColor, Presence, Probability
from lunaria.events.stored import EVENT_TARGETS, StoredEvent
from lunaria.faces.schemas import FACE_TARGETS, Face
from lunaria.http.errors import ErrorBody
from lunaria.kit.times import parse_time

ARRAY_LIMIT = 1000
"""Most items of an array filter."""

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Identifier = Annotated[str, Meta(max_length=36, pattern=r"^[^\x00]*$")]
Name = Annotated[str, Meta(min_length=1, max_length=36, pattern=r"^[^\x00]*$")]
Ids = Annotated[list[UUID], Meta(max_length=ARRAY_LIMIT)]
ExternalIds = Annotated[list[Identifier], Meta(max_length=ARRAY_LIMIT)]
Source = Annotated[str, Meta(max_length=128, pattern=r"^[^\x00]*$")]
UserData = Annotated[str, Meta(max_length=128, pattern=r"^[^\x00]*$")]
Age = Annotated[int, Meta(ge=0, le=2**15 - 1)]
ApparentAge = Annotated[int, Meta(ge=0, le=100)]

_Value = TypeVar("_Value")
OneOf = Annotated[list[_Value | None], Meta(max_length=ARRAY_LIMIT, description="One of these; null: no value.")]

ATTRIBUTE_TARGETS = ("attribute_id", "account_id", "create_time", "face_descriptor_samples", "basic_attributes_samples")
SIMILARITY = "similarity"


class FaceFilters(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="origin", tag="faces"
):
    """Candidates among faces; all conditions hold together."""

    account_id: UUID | None = None
    list_id: UUID | None = None
    face_ids: Ids | None = None
    external_ids: ExternalIds | None = None
    user_data: UserData | None = None
    create_time__gte: Time | None = None
    create_time__lt: Time | None = None
    face_id__gte: UUID | None = None
    face_id__lt: UUID | None = None

    def __post_init__(self) -> None:
        _check_times(self, "create_time__gte", "create_time__lt")


class AttributeFilters(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="origin",
    tag="attributes",
):
    """Candidates among temporary attributes."""

    account_id: UUID | None = None
    attribute_ids: Ids | None = None


class GeoFilter(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A box round a place, in degrees; null as an origin: events without a position."""

    origin_longitude: Annotated[float, Meta(ge=-180, le=180)] | UnsetType | None = UNSET
    origin_latitude: Annotated[float, Meta(ge=-90, le=90)] | UnsetType | None = UNSET
    longitude_delta: Annotated[float, Meta(ge=0, le=90)] | UnsetType = UNSET
    latitude_delta: Annotated[float, Meta(ge=0, le=90)] | UnsetType = UNSET

    def __post_init__(self) -> None:
        origins = (self.origin_longitude, self.origin_latitude)
        if None in origins:
            if (self.longitude_delta, self.latitude_delta) != (UNSET, UNSET):
                raise ValueError("a delta needs both origins as numbers")
        elif UNSET in origins:
            raise ValueError("origin_longitude and origin_latitude belong together")


class EventFilters(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="origin", tag="events"
):
    """Candidates among events; all conditions hold together. An event has all of the tags and one of the colors."""

    account_id: UUID | None = None
    event_ids: Ids | None = None
    event_id__gte: UUID | None = None
    event_id__lt: UUID | None = None
    handler_ids: Ids | None = None
    face_ids: Ids | None = None
    external_ids: ExternalIds | None = None
    user_data: UserData | None = None
    tags: ExternalIds | None = None
    sources: OneOf[Source] | None = None
    stream_ids: OneOf[UUID] | None = None
    track_ids: OneOf[Identifier] | None = None
    create_time__gte: Time | None = None
    create_time__lt: Time | None = None
    end_time__gte: Time | None = None
    end_time__lt: Time | None = None
    cities: OneOf[Identifier] | None = None
    areas: OneOf[Identifier] | None = None
    districts: OneOf[Identifier] | None = None
    streets: OneOf[Identifier] | None = None
    house_numbers: OneOf[Identifier] | None = None
    geo_position: GeoFilter | None = None
    top_matching_candidates_label: Identifier | None = None
    top_similar_object_ids: Ids | None = None
    top_similar_external_ids: ExternalIds | None = None
    top_similar_object_similarity__gte: Probability | None = None
    top_similar_object_similarity__lt: Probability | None = None
    gender: OneOf[Literal[0, 1]] | Literal[0, 1] | None = None
    age__gte: Age | None = None
    age__lt: Age | None = None
    emotions: OneOf[Literal[1, 2, 3, 4, 5, 6, 7]] | None = None
    masks: OneOf[Literal[1, 2, 3]] | None = None
    ethnic_groups: OneOf[Literal[1, 2, 3, 4]] | None = None
    liveness: OneOf[Literal[0, 1, 2]] | None = None
    deepfake: OneOf[Literal[0, 1]] | None = None
    apparent_gender: OneOf[Literal[0, 1, 2]] | Literal[0, 1, 2] | None = None
    apparent_age__gte: ApparentAge | None = None
    apparent_age__lt: ApparentAge | None = None
    headwear_states: OneOf[Presence] | None = None
    headwear_apparent_colors: OneOf[AccessoryColor] | None = None
    sleeve_lengths: OneOf[Literal["short", "long", "undefined"]] | None = None
    upper_clothing_colors: OneOf[ClothingColor] | None = None
    lower_garment_types: OneOf[Literal["undefined", "trousers", "shorts", "skirt"]] | None = None
    lower_garment_colors: OneOf[ClothingColor] | None = None
    shoes_apparent_colors: OneOf[AccessoryColor] | None = None
    backpack_states: OneOf[Presence] | None = None

    def __post_init__(self) -> None:
        _check_times(self, "create_time__gte", "create_time__lt", "end_time__gte", "end_time__lt")


def _check_times(filters: Struct, *names: str) -> None:
    for name in names:
        value = getattr(filters, name)
        if value is not None:
            try:
                parse_time(value)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None


class Candidates(Struct, frozen=True, forbid_unknown_fields=True):
    """One set of candidates, and what to show of those found."""

    filters: FaceFilters | AttributeFilters | EventFilters
    limit: Annotated[int, Meta(ge=1, le=1000)] = 3
    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.0
    targets: list[str] | None = None

    def __post_init__(self) -> None:
        known = (*_TARGETS[self.origin], SIMILARITY)
        for target in self.targets or ():
            if target not in known:
                raise ValueError(f"'{target}' is not a valid target, valid: {', '.join(known)}")

    @property
    def origin(self) -> str:
        """What kind of objects these candidates are: faces, events or attributes."""
        return str(self.filters.__struct_config__.tag)

    @property
    def shown(self) -> tuple[str, ...]:
        """The fields to show, in the order of the documentation."""
        known = _TARGETS[self.origin]
        return known if self.targets is None else tuple(name for name in known if name in self.targets)


_TARGETS = {"faces": FACE_TARGETS, "events": EVENT_TARGETS, "attributes": ATTRIBUTE_TARGETS}


class FaceReference(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="face"):
    id: UUID


class AttributeReference(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="attribute"):
    id: UUID


class ExternalIdReference(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="face_external_id"):
    """All faces with this external id."""

    id: Name


class EventReference(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="event"):
    id: UUID


class EventExternalIdReference(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="event_external_id"
):
    """All events with this external id."""

    id: Name


class EventTrackIdReference(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="event_track_id"):
    """All events of this track."""

    id: Name


class RawDescriptor(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="raw_descriptor"):
    """A descriptor's bytes; `version` may be left out when they begin with a header."""

    id: Identifier
    data: bytes
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)] | UnsetType = UNSET


class SdkDescriptor(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="sdk_descriptor"):
    """A descriptor with its header."""

    id: Identifier
    data: bytes


class XpkFile(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="xpk_file"):
    """One or several descriptors with headers, one after the other."""

    id: Identifier
    data: bytes


GivenDescriptor = RawDescriptor | SdkDescriptor | XpkFile
EventReferences = EventReference | EventExternalIdReference | EventTrackIdReference
Reference = (
    FaceReference
    | AttributeReference
    | ExternalIdReference
    | EventReference
    | EventExternalIdReference
    | EventTrackIdReference
    | RawDescriptor
    | SdkDescriptor
    | XpkFile
)


class MatchFaces(Struct, frozen=True, forbid_unknown_fields=True):
    references: Annotated[list[Reference], Meta(min_length=1, max_length=30)]
    candidates: Annotated[list[Candidates], Meta(max_length=30)]


class EventCandidates(Candidates, frozen=True, forbid_unknown_fields=True):
    """One set of candidates among events, and what to show of those found."""

    filters: EventFilters


BodyReference = (
    EventReference | EventExternalIdReference | EventTrackIdReference | RawDescriptor | SdkDescriptor | XpkFile
)


class MatchBodies(Struct, frozen=True, forbid_unknown_fields=True):
    references: Annotated[list[BodyReference], Meta(min_length=1, max_length=30)]
    candidates: Annotated[list[EventCandidates], Meta(min_length=1, max_length=30)]


class MatchRaw(Struct, frozen=True, forbid_unknown_fields=True):
    references: Annotated[list[GivenDescriptor], Meta(min_length=1)]
    candidates: Annotated[list[GivenDescriptor], Meta(min_length=1)]


class ShownReference(Struct):
    """The reference as it was sent, without data."""

    type: str
    id: str


class MatchedAttribute(Struct, omit_defaults=True):
    """The fields asked for of a found temporary attribute."""

    attribute_id: UUID | UnsetType = UNSET
    account_id: UUID | UnsetType = UNSET
    create_time: datetime | UnsetType = UNSET
    face_descriptor_samples: list[UUID] | UnsetType = UNSET
    basic_attributes_samples: list[UUID] | UnsetType = UNSET


class Match(Struct, omit_defaults=True):
    similarity: Annotated[float, Meta(ge=0, le=1)]
    face: Face | UnsetType = UNSET
    event: StoredEvent | UnsetType = UNSET
    attribute: MatchedAttribute | UnsetType = UNSET


class CandidatesResult(Struct):
    """What one set of candidates gave, best first."""

    filters: dict[str, Any]
    limit: int
    threshold: float
    result: list[Match] = field(default_factory=list)


class ReferenceResult(Struct, omit_defaults=True):
    """The matches of a reference, or why there are none."""

    reference: ShownReference
    matches: list[CandidatesResult] | UnsetType = UNSET
    error: ErrorBody | UnsetType = UNSET


class RawMatch(Struct):
    candidate_id: str
    similarity: Annotated[float, Meta(ge=0, le=1)]


class RawReferenceResult(Struct):
    reference_id: str
    matches: list[RawMatch]


class RawResult(Struct):
    matches: list[RawReferenceResult]
