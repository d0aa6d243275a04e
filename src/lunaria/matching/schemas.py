"""Wire objects of matching."""

from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, field

from lunaria.faces.schemas import FACE_TARGETS, Face
from lunaria.http.errors import ErrorBody
from lunaria.kit.times import parse_time

ARRAY_LIMIT = 1000
"""Most items of an array filter."""

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Identifier = Annotated[str, Meta(max_length=36, pattern=r"^[^\x00]*$")]
Ids = Annotated[list[UUID], Meta(max_length=ARRAY_LIMIT)]
ExternalIds = Annotated[list[Identifier], Meta(max_length=ARRAY_LIMIT)]

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
    user_data: Annotated[str, Meta(max_length=128, pattern=r"^[^\x00]*$")] | None = None
    create_time__gte: Time | None = None
    create_time__lt: Time | None = None
    face_id__gte: UUID | None = None
    face_id__lt: UUID | None = None

    def __post_init__(self) -> None:
        for name in ("create_time__gte", "create_time__lt"):
            value = getattr(self, name)
            if value is not None:
                try:
                    parse_time(value)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None


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


class EventFilters(Struct, frozen=True, kw_only=True, tag_field="origin", tag="events"):
    """Candidates among events: refused until this server keeps events."""


class Candidates(Struct, frozen=True, forbid_unknown_fields=True):
    """One set of candidates, and what to show of those found."""

    filters: FaceFilters | AttributeFilters | EventFilters
    limit: Annotated[int, Meta(ge=1, le=1000)] = 3
    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.0
    targets: list[str] | None = None

    _TARGETS: ClassVar[dict[type, tuple[str, ...]]] = {
        FaceFilters: FACE_TARGETS,
        AttributeFilters: ATTRIBUTE_TARGETS,
    }

    def __post_init__(self) -> None:
        known = self._TARGETS.get(type(self.filters))
        for target in self.targets or ():
            if known is not None and target not in (*known, SIMILARITY):
                raise ValueError(f"'{target}' is not a valid target, valid: {', '.join((*known, SIMILARITY))}")

    @property
    def shown(self) -> tuple[str, ...]:
        """The fields to show, in the order of the documentation."""
        known = self._TARGETS[type(self.filters)]
        return known if self.targets is None else tuple(name for name in known if name in self.targets)


class FaceReference(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="face"):
    id: UUID


class AttributeReference(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="attribute"):
    id: UUID


class ExternalIdReference(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="face_external_id"):
    id: Annotated[str, Meta(min_length=1, max_length=36, pattern=r"^[^\x00]*$")]


class EventReference(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="event"):
    id: UUID


class EventExternalIdReference(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="event_external_id"
):
    id: Identifier


class EventTrackIdReference(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="event_track_id"):
    id: Identifier


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
StoredReference = FaceReference | AttributeReference | ExternalIdReference
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
