"""From an event as it is generated to the rows that keep it: words become codes, nested parts become columns."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar
from uuid import UUID

from msgspec import UNSET, UnsetType

from lunaria.estimation.estimates import (
    DEEPFAKE_NUMBERS,
    EMOTION_NUMBERS,
    ETHNICITY_NUMBERS,
    LIVENESS_NUMBERS,
    MASK_NUMBERS,
    BodyAttributes,
    FaceAttributes,
    Rect,
)
from lunaria.events.event import NewEvent
from lunaria.events.schemas import Event, EventBodySample, EventDetection, EventFaceSample
from lunaria.events.stored import (
    DetectedArea,
    MatchResult,
    ResultAttribute,
    ResultEvent,
    ResultFace,
    StoredDetection,
    StoredMatch,
)
from lunaria.matching.schemas import Match

Row = dict[str, Any]
T = TypeVar("T")


def row_of(new: NewEvent) -> Row:
    """The row of `events`: what an event is searched and counted by."""
    event = new.event
    place = event.location
    position = place.geo_position
    return {
        **_key(new),
        "end_time": event.end_time,
        "handler_id": new.handler_id,
        "face_id": None if event.face is None else _known(event.face.face_id),
        "external_id": event.external_id,
        "user_data": event.user_data,
        "source": event.source,
        "stream_id": event.stream_id,
        "track_id": event.track_id,
        "tags": event.tags,
        "city": place.city,
        "area": place.area,
        "district": place.district,
        "street": place.street,
        "house_number": place.house_number,
        "longitude": None if position is None else position.longitude,
        "latitude": None if position is None else position.latitude,
        **_basic_columns(event),
        **_face_columns(_face_estimates(event)),
        **_body_columns(_body_estimates(event)),
        **_top_match_columns(new),
        "meta": event.meta,
    }


def details_of(new: NewEvent) -> Row:
    """The row of `event_details`: what is only shown."""
    event = new.event
    return {
        **_key(new),
        "match_result": None
        if event.matches is None
        else [_result(found.label, found.candidates) for found in event.matches],
        "face_detections": [_detection(seen, seen.samples.face) for seen in event.detections if seen.samples.face],
        "body_detections": [_detection(seen, seen.samples.body) for seen in event.detections if seen.samples.body],
        "attach_result": [] if event.face is None else _known(event.face.lists) or [],
    }


def descriptors_of(new: NewEvent) -> list[Row]:
    """The rows of `event_descriptors`."""
    return [
        {
            **_key(new),
            "kind": held.kind,
            "version": held.descriptor.version,
            "coding": held.descriptor.coding,
            "data": held.descriptor.data,
            "score": held.descriptor.score,
        }
        for held in new.descriptors
    ]


def _key(new: NewEvent) -> Row:
    return {"event_id": new.event.event_id, "account_id": new.account_id, "create_time": new.event.create_time}


def _known(value: T | UnsetType) -> T | None:
    return None if value is UNSET else value


def _basic_columns(event: Event) -> Row:
    basic = None if event.face_attributes is None else event.face_attributes.basic_attributes
    ethnicities = None if basic is None else _known(basic.ethnicities)
    return {
        "gender": None if basic is None else basic.gender,
        "age": None if basic is None else basic.age,
        "ethnic_group": None if ethnicities is None else ETHNICITY_NUMBERS[ethnicities.predominant_ethnicity],
    }


def _face_estimates(event: Event) -> list[FaceAttributes]:
    """Where a face's estimates may stand, best first: what was merged of all images, then each of them."""
    merged = event.aggregate_estimations.face
    single = [seen.samples.face.detection.attributes for seen in event.detections if seen.samples.face is not None]
    return single if merged is None else [merged.attributes, *single]


def _body_estimates(event: Event) -> list[BodyAttributes]:
    merged = event.aggregate_estimations.body
    single = [seen.samples.body.detection.attributes for seen in event.detections if seen.samples.body is not None]
    return single if merged is None else [merged.attributes, *single]


def _first(values: Iterable[T | UnsetType]) -> T | None:
    return next((value for value in values if value is not UNSET), None)


def _face_columns(found: list[FaceAttributes]) -> Row:
    emotions = _first(one.emotions for one in found)
    mask = _first(one.mask for one in found)
    liveness = _first(one.liveness for one in found)
    deepfake = _first(one.deepfake for one in found)
    return {
        "emotion": None if emotions is None else EMOTION_NUMBERS[emotions.predominant_emotion],
        "mask": None if mask is None else MASK_NUMBERS[mask.predominant_mask],
        "liveness": None if liveness is None else LIVENESS_NUMBERS[liveness.prediction],
        "deepfake": None if deepfake is None else DEEPFAKE_NUMBERS[deepfake.prediction],
    }


def _body_columns(found: list[BodyAttributes]) -> Row:
    basic = _first(one.basic_attributes for one in found)
    upper = _first(one.upper_body for one in found)
    lower = _first(one.lower_body for one in found)
    accessories = _first(one.accessories for one in found)
    return {
        "apparent_gender": None if basic is None else basic.apparent_gender,
        "apparent_age": None if basic is None else basic.apparent_age,
        "headwear_state": None if upper is None else upper.headwear.state,
        "headwear_apparent_color": None if upper is None else upper.headwear.apparent_color,
        "sleeve_length": None if upper is None else upper.sleeve.length,
        "upper_clothing_colors": None if upper is None else upper.upper_clothing.colors,
        "lower_garment_type": None if lower is None else lower.lower_garment.type,
        "lower_garment_colors": None if lower is None else lower.lower_garment.colors,
        "shoes_apparent_color": None if lower is None else lower.shoes.apparent_color,
        "backpack_state": None if accessories is None else accessories.backpack.state,
    }


def _top_match_columns(new: NewEvent) -> Row:
    """The first candidate of the first label that has any; labels come with the best one first."""
    label, best = new.best or next(
        ((found.label, found.candidates[0]) for found in new.event.matches or () if found.candidates), (None, None)
    )
    object_id: UUID | None = None
    external_id: str | None = None
    if best is not None and best.face is not UNSET:
        object_id, external_id = _known(best.face.face_id), _known(best.face.external_id)
    elif best is not None and best.event is not UNSET:
        object_id, external_id = _known(best.event.event_id), _known(best.event.external_id)
    return {
        "top_match_label": label,
        "top_match_similarity": None if best is None else best.similarity,
        "top_match_object_id": object_id,
        "top_match_is_event": None if best is None else best.event is not UNSET,
        "top_match_external_id": external_id,
    }


def _result(label: str, candidates: Iterable[Match]) -> MatchResult:
    return MatchResult(label, [_match(found) for found in candidates])


def _match(found: Match) -> StoredMatch:
    return StoredMatch(
        found.similarity,
        UNSET if found.face is UNSET else _kept(found.face, ResultFace),
        UNSET if found.event is UNSET else _kept(found.event, ResultEvent),
        UNSET if found.attribute is UNSET else _kept(found.attribute, ResultAttribute),
    )


def _kept(found: Any, kind: type[T]) -> T:
    """The fields of a candidate that an event keeps of it."""
    fields: Mapping[str, Any] = {name: getattr(found, name) for name in kind.__struct_fields__}  # type: ignore[attr-defined]
    return kind(**fields)


def _detection(seen: EventDetection, sample: EventFaceSample | EventBodySample) -> StoredDetection:
    rect: Rect = sample.detection.rect
    return StoredDetection(sample.sample_id, seen.detect_time, seen.detect_ts, seen.image_origin, DetectedArea(rect))
