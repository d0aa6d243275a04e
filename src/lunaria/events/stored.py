"""A stored event on the wire: estimates as integer codes, flat. Fields that are not among the targets lack."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, convert

from lunaria.estimation.estimates import (
    Accessories,
    Backpack,
    BodyBasicAttributes,
    Clothing,
    Headwear,
    LowerBody,
    LowerGarment,
    Probability,
    Rect,
    Shoes,
    Sleeve,
    UpperBody,
)
from lunaria.events.places import GeoPosition, Location, MetaObject


class TopMatch(Struct, frozen=True):
    """The best candidate of all: a face or an event, the other id is null."""

    label: str
    similarity: Probability
    face_id: UUID | None = None
    event_id: UUID | None = None
    external_id: str | None = None


class ResultFace(Struct, frozen=True, omit_defaults=True):
    """What an event keeps of a face that it resembled."""

    face_id: UUID | UnsetType = UNSET
    external_id: str | UnsetType = UNSET
    user_data: str | UnsetType = UNSET
    lists: list[UUID] | UnsetType = UNSET


class ResultEvent(Struct, frozen=True, omit_defaults=True):
    """What an event keeps of another event that it resembled."""

    event_id: UUID | UnsetType = UNSET
    create_time: datetime | UnsetType = UNSET
    source: str | UnsetType | None = UNSET
    handler_id: UUID | UnsetType = UNSET
    external_id: str | UnsetType = UNSET
    user_data: str | UnsetType = UNSET


class ResultAttribute(Struct, frozen=True, omit_defaults=True):
    """What an event keeps of a temporary attribute that it resembled."""

    attribute_id: UUID | UnsetType = UNSET


class StoredMatch(Struct, frozen=True, omit_defaults=True):
    similarity: Probability
    face: ResultFace | UnsetType = UNSET
    event: ResultEvent | UnsetType = UNSET
    attribute: ResultAttribute | UnsetType = UNSET


class MatchResult(Struct, frozen=True):
    """What one entry of the match policy found, best first."""

    label: str
    candidates: list[StoredMatch]


class DetectedArea(Struct, frozen=True):
    rect: Rect


class StoredDetection(Struct, frozen=True):
    """Where and when the person was seen: `detect_ts` are seconds from the beginning of the source."""

    sample_id: UUID | None
    detect_time: datetime
    detect_ts: float | None
    image_origin: str | None
    detection: DetectedArea


class StoredEvent(Struct, kw_only=True, omit_defaults=True):
    """A stored event; null is what was not estimated or not given."""

    event_id: UUID | UnsetType = UNSET
    account_id: UUID | UnsetType = UNSET
    create_time: datetime | UnsetType = UNSET
    end_time: datetime | UnsetType = UNSET
    external_id: str | UnsetType = UNSET
    handler_id: UUID | UnsetType = UNSET
    stream_id: UUID | UnsetType | None = UNSET
    source: str | UnsetType | None = UNSET
    top_match: TopMatch | UnsetType | None = UNSET
    match_result: list[MatchResult] | UnsetType | None = UNSET
    face_detections: list[StoredDetection] | UnsetType = UNSET
    body_detections: list[StoredDetection] | UnsetType = UNSET
    face_id: UUID | UnsetType | None = UNSET
    attach_result: Annotated[list[UUID], Meta(description="Lists that the event's face was put in.")] | UnsetType = (
        UNSET
    )
    gender: Annotated[Literal[0, 1] | None, Meta(description="0 - female, 1 - male")] | UnsetType = UNSET
    age: int | UnsetType | None = UNSET
    emotion: (
        Annotated[
            Literal[1, 2, 3, 4, 5, 6, 7] | None,
            Meta(description="1 anger, 2 disgust, 3 fear, 4 happiness, 5 neutral, 6 sadness, 7 surprise"),
        ]
        | UnsetType
    ) = UNSET
    ethnic_group: (
        Annotated[Literal[1, 2, 3, 4] | None, Meta(description="1 African American, 2 Indian, 3 Asian, 4 Caucasian")]
        | UnsetType
    ) = UNSET
    tags: list[str] | UnsetType = UNSET
    user_data: str | UnsetType = UNSET
    location: Location | UnsetType = UNSET
    mask: Annotated[Literal[1, 2, 3] | None, Meta(description="1 missing, 2 medical mask, 3 occluded")] | UnsetType = (
        UNSET
    )
    liveness: Annotated[Literal[0, 1, 2] | None, Meta(description="0 spoof, 1 real, 2 unknown")] | UnsetType = UNSET
    deepfake: Annotated[Literal[0, 1] | None, Meta(description="0 fake, 1 real")] | UnsetType = UNSET
    track_id: str | UnsetType | None = UNSET
    body_basic_attributes: BodyBasicAttributes | UnsetType | None = UNSET
    upper_body: UpperBody | UnsetType | None = UNSET
    lower_body: LowerBody | UnsetType | None = UNSET
    accessories: Accessories | UnsetType | None = UNSET
    meta: MetaObject | UnsetType | None = UNSET


EVENT_TARGETS = StoredEvent.__struct_fields__
DETAILS: Mapping[str, Any] = MappingProxyType(
    {
        "match_result": list[MatchResult] | None,
        "face_detections": list[StoredDetection],
        "body_detections": list[StoredDetection],
        "attach_result": list[UUID],
    }
)
"""Targets that are kept apart, in columns of the same names, and their types."""
_LOCATION = ("city", "area", "district", "street", "house_number")
COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "top_match": (
            "top_match_label",
            "top_match_similarity",
            "top_match_object_id",
            "top_match_is_event",
            "top_match_external_id",
        ),
        "location": (*_LOCATION, "longitude", "latitude"),
        "body_basic_attributes": ("apparent_age", "apparent_gender"),
        "upper_body": ("headwear_state", "headwear_apparent_color", "sleeve_length", "upper_clothing_colors"),
        "lower_body": ("lower_garment_type", "lower_garment_colors", "shoes_apparent_color"),
        "accessories": ("backpack_state",),
    }
)
"""The columns of targets that have several; every other target is a column of its name."""


def stored_event(row: Mapping[str, Any], targets: Collection[str] | None = None) -> StoredEvent:
    """The targets (None: all) of an event from its row of `events`, joined with that of `event_details`."""
    return StoredEvent(
        **{target: _shown(target, row) for target in EVENT_TARGETS if targets is None or target in targets}
    )


def _shown(target: str, row: Mapping[str, Any]) -> Any:
    if target in DETAILS:
        return convert(row[target], DETAILS[target])
    composed = _COMPOSED.get(target)
    return row[target] if composed is None else composed(row)


def _top_match(row: Mapping[str, Any]) -> TopMatch | None:
    if row["top_match_label"] is None:
        return None
    found = row["top_match_object_id"]
    of_event = row["top_match_is_event"]
    return TopMatch(
        row["top_match_label"],
        row["top_match_similarity"],
        face_id=None if of_event else found,
        event_id=found if of_event else None,
        external_id=row["top_match_external_id"],
    )


def _location(row: Mapping[str, Any]) -> Location:
    known = row["longitude"] is not None
    position = GeoPosition(row["longitude"], row["latitude"]) if known else None
    return Location(**{name: row[name] for name in _LOCATION}, geo_position=position)


def _body_basic_attributes(row: Mapping[str, Any]) -> BodyBasicAttributes | None:
    if row["apparent_age"] is None:
        return None
    return BodyBasicAttributes(row["apparent_age"], row["apparent_gender"])


def _upper_body(row: Mapping[str, Any]) -> UpperBody | None:
    if row["sleeve_length"] is None:
        return None
    headwear = Headwear(row["headwear_state"], row["headwear_apparent_color"])
    return UpperBody(headwear, Sleeve(row["sleeve_length"]), Clothing(row["upper_clothing_colors"]))


def _lower_body(row: Mapping[str, Any]) -> LowerBody | None:
    if row["lower_garment_type"] is None:
        return None
    garment = LowerGarment(row["lower_garment_type"], row["lower_garment_colors"])
    return LowerBody(garment, Shoes(row["shoes_apparent_color"]))


def _accessories(row: Mapping[str, Any]) -> Accessories | None:
    return None if row["backpack_state"] is None else Accessories(Backpack(row["backpack_state"]))


_COMPOSED: Mapping[str, Callable[[Mapping[str, Any]], Any]] = MappingProxyType(
    {
        "top_match": _top_match,
        "location": _location,
        "body_basic_attributes": _body_basic_attributes,
        "upper_body": _upper_body,
        "lower_body": _lower_body,
        "accessories": _accessories,
    }
)
