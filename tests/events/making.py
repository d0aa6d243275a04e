"""Events for tests: one full of everything, and plain ones with chosen fields."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec

from lunaria.attributes.descriptors import CodedDescriptor
from lunaria.events.event import EventDescriptor, NewEvent
from lunaria.events.schemas import Event
from lunaria.storage.schema import CODING_FLOAT16

TIME = datetime(2026, 2, 3, 4, 5, 6, 789000, UTC)


def plain_event(account_id: UUID, handler_id: UUID | None = None, **fields: Any) -> NewEvent:
    """An event with these fields of its wire form."""
    event_id = fields.pop("event_id", None) or uuid4()
    created = fields.pop("create_time", TIME)
    given = {
        "event_id": event_id,
        "url": f"/6/events/{event_id}",
        "create_time": created,
        "end_time": created + timedelta(seconds=2),
        **fields,
    }
    return NewEvent(account_id, handler_id or uuid4(), msgspec.convert(given, Event))


def face_sample(**attributes: Any) -> dict[str, Any]:
    return {
        "sample_id": uuid4(),
        "url": None,
        "detection": {"rect": {"x": 1, "y": 2, "width": 30, "height": 40}, "attributes": attributes},
    }


def detection(**samples: Any) -> dict[str, Any]:
    return {
        "filename": "a.jpg",
        "samples": samples,
        "detect_time": TIME,
        "detect_ts": 12.5,
        "image_origin": "/6/images/1",
    }


def emotions(predominant: str) -> dict[str, Any]:
    return {"predominant_emotion": predominant, "estimations": {predominant: 1.0}}


def mask(predominant: str) -> dict[str, Any]:
    occlusion = {"predominant_occlusion": "clear", "estimations": {"clear": 1.0}}
    return {"predominant_mask": predominant, "estimations": {predominant: 1.0}, "face_occlusion": occlusion}


def liveness(prediction: str) -> dict[str, Any]:
    return {"prediction": prediction, "estimations": {"quality": 0.9, "score": 0.8}}


def basic(age: int, gender: int, ethnicity: str = "asian") -> dict[str, Any]:
    ethnicities = {"predominant_ethnicity": ethnicity, "estimations": {ethnicity: 1.0}}
    return {"basic_attributes": {"age": age, "gender": gender, "ethnicities": ethnicities}}


def body_attributes(*, age: int = 33, gender: int = 2, colors: tuple[str, ...] = ("black",)) -> dict[str, Any]:
    return {
        "basic_attributes": {"apparent_age": age, "apparent_gender": gender},
        "upper_body": {
            "headwear": {"state": 1, "apparent_color": "white"},
            "sleeve": {"length": "short"},
            "upper_clothing": {"colors": list(colors)},
        },
        "lower_body": {"lower_garment": {"type": "skirt", "colors": ["red"]}, "shoes": {"apparent_color": "other"}},
        "accessories": {"backpack": {"state": 0}},
    }


def full_event(account_id: UUID, **changed: Any) -> NewEvent:
    """An event in which nothing lacks."""
    face_id, list_id = uuid4(), uuid4()
    matched = {"face_id": uuid4(), "external_id": "42", "user_data": "Zoë", "lists": [uuid4()], "avatar": "/a"}
    other = {
        "event_id": uuid4(),
        "create_time": TIME,
        "source": None,
        "handler_id": uuid4(),
        "external_id": "x",
        "age": 9,
    }
    seen = face_sample(emotions=emotions("fear"), mask=mask("missing"), deepfake={"prediction": "fake", "score": 0.1})
    fields: dict[str, Any] = {
        "external_id": "person",
        "user_data": "Люди",
        "source": "gate",
        "stream_id": uuid4(),
        "track_id": "track-1",
        "tags": ["vip", "night"],
        "location": {
            "city": "Oslo",
            "area": "a",
            "district": "d",
            "street": "s",
            "house_number": "1",
            "geo_position": {"longitude": 10.75, "latitude": 59.91},
        },
        "meta": {"gate": {"number": 5, "temperature": 36.6}, "note": None},
        "face": {"face_id": face_id, "lists": [list_id], "url": f"/6/faces/{face_id}"},
        "face_attributes": basic(27, 1),
        "matches": [
            {"label": "empty", "candidates": []},
            {
                "label": "vip",
                "candidates": [{"similarity": 0.97, "face": matched}, {"similarity": 0.61, "event": other}],
            },
        ],
        "detections": [
            detection(face=seen, body=None),
            detection(
                face=None,
                body={
                    "sample_id": uuid4(),
                    "detection": {"rect": {"x": 5, "y": 6, "width": 7, "height": 8}, "attributes": body_attributes()},
                },
            ),
        ],
        "aggregate_estimations": {
            "face": {"attributes": {"emotions": emotions("happiness"), "liveness": liveness("unknown")}},
            "body": None,
        },
    }
    made = plain_event(account_id, **{**fields, **changed})
    vector = CodedDescriptor(1001, CODING_FLOAT16, b"\x00\x01" * 128, 0.9)
    return NewEvent(made.account_id, made.handler_id, made.event, (EventDescriptor("face", vector),))
