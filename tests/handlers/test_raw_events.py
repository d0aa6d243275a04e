"""Events that were made elsewhere: what they may say, and what becomes of it."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from lunaria.events.columns import details_of, row_of
from lunaria.events.event import NewEvent
from lunaria.handlers.raw_event_schemas import RawEvent
from lunaria.handlers.raw_events import read_event
from lunaria.http.bodies import decode_body
from lunaria.http.errors import ApiError

NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
OWNER = UUID(int=1)
FACE, OTHER, LIST, SAMPLE, EVENT, HANDLER = (str(UUID(int=number)) for number in range(2, 8))
TIME = "2018-08-11T09:11:41.674Z"
RECT = {"x": 508, "y": -3, "width": 404, "height": 522}
MASK = {"predominant_mask": "missing", "estimations": {"missing": 0.98, "medical_mask": 0.01, "occluded": 0.01}}
FACE_ESTIMATES = {
    "head_pose": {"pitch": 1.5, "roll": -2, "yaw": 0},
    "emotions": {"predominant_emotion": "happiness", "estimations": {"happiness": 0.9, "neutral": 0.1}},
    "mask": MASK,
    "glasses": {"glasses": "no_glasses"},
    "liveness": {"prediction": "real", "estimations": {"quality": 1, "score": 0.99}},
    "deepfake": {"prediction": "fake", "score": 0.1},
    "gaze": {"yaw": 1, "pitch": None},
    "eyes_attributes": {side: {"state": "open", "iris_landmarks": [[1, 2]]} for side in ("left_eye", "right_eye")},
    "mouth_attributes": {"opened": 0, "occluded": 0, "smile": 1, "score": 0},
}
BODY_ESTIMATES = {
    "basic_attributes": {"apparent_age": 25, "apparent_gender": 2},
    "upper_body": {
        "headwear": {"state": 0, "apparent_color": "undefined"},
        "sleeve": {"length": "short"},
        "upper_clothing": {"colors": ["white", "black"]},
    },
    "lower_body": {
        "lower_garment": {"type": "trousers", "colors": ["black"]},
        "shoes": {"apparent_color": "white"},
    },
    "accessories": {"backpack": {"state": 1}},
}
BASIC = {
    "age": 27,
    "gender": 1,
    "ethnicities": {"predominant_ethnicity": "asian", "estimations": {"asian": 0.9, "indian": 0.1}},
}
EVERYTHING: dict[str, Any] = {
    "detections": [
        {
            "filename": "visitor.jpg",
            "detect_time": "2018-08-11T12:11:41.674+03:00",
            "detect_ts": 12.5,
            "image_origin": "/6/images/10bc2cb4-db84-410d-adc7-ff2ac17e4b2d",
            "samples": {
                "face": {
                    "sample_id": SAMPLE,
                    "detection": {
                        "rect": RECT,
                        "landmarks5": [[1, 2]] * 5,
                        "landmarks68": [[1, 2]] * 68,
                        "quality": dict.fromkeys(["blurriness", "dark", "illumination", "specularity", "light"], 0.5),
                        "attributes": FACE_ESTIMATES,
                        "face_quality": {
                            "status": 0,
                            "checks": [
                                {"name": "head_yaw", "object_value": 9.5, "threshold_value": {"max": 5}, "result": 0},
                                {"name": "glasses", "object_value": "a", "threshold_value": ["a"], "result": 1},
                            ],
                        },
                    },
                },
                "body": {"sample_id": OTHER, "url": "/x", "detection": {"rect": RECT, "attributes": BODY_ESTIMATES}},
            },
        },
        {},
    ],
    "source": "3rd Avenue",
    "stream_id": "b668c4a5-2191-476e-a261-3b4f9ce2e25e",
    "location": {"city": "Moscow", "geo_position": {"longitude": 36.616, "latitude": 55.752}},
    "external_id": "14159261415926",
    "user_data": "some event",
    "track_id": "useful_track_id_number_1",
    "face": {"face_id": FACE, "external_id": "42", "lists": [LIST]},
    "matches": [
        {"label": "nobody", "candidates": []},
        {
            "label": "vip",
            "candidates": [
                {"similarity": 0.97, "face": {"face_id": OTHER, "external_id": "7", "user_data": "John", "lists": []}},
                {"similarity": 0.6, "event": {"event_id": EVENT, "create_time": TIME, "source": None, "age": 3}},
                {"similarity": 0.5, "attribute": {"attribute_id": SAMPLE}},
            ],
        },
    ],
    "face_attributes": {"score": 0.9, "samples": [SAMPLE], "basic_attributes": BASIC, "attribute_id": OTHER},
    "body_attributes": {"score": 0.8, "samples": [OTHER]},
    "aggregate_estimations": {
        "face": {"attributes": {"emotions": {"predominant_emotion": "anger", "estimations": {}}}},
        "body": {"attributes": {}},
    },
    "tags": ["a", "b", "a"],
    "create_time": "2018-08-11T09:11:41.674",
    "end_time": "2018-08-11T09:12:41+00:00",
    "meta": {"user_field": 36.6},
}


def decode(body: Any) -> RawEvent:
    read: RawEvent = decode_body(msgspec.json.encode(body), RawEvent)
    return read


def shown(body: Any) -> dict[str, Any]:
    return dict(msgspec.json.decode(msgspec.json.encode(read_event(decode(body), OWNER, NOW))))


def test_nothing_is_required() -> None:
    event = shown({})
    assert event["url"] == f"/6/events/{event['event_id']}"
    assert event["create_time"] == event["end_time"] == "2024-05-06T07:08:09Z"
    assert event["aggregate_estimations"] == {"face": None, "body": None}
    given = {name: value for name, value in event.items() if value not in (None, "", [])}
    assert given.keys() == {"event_id", "url", "create_time", "end_time", "location", "aggregate_estimations"}


def test_everything() -> None:
    event = shown(EVERYTHING)
    for name in ("source", "stream_id", "external_id", "user_data", "track_id", "meta"):
        assert event[name] == EVERYTHING[name]
    assert event["create_time"] == "2018-08-11T09:11:41.674000Z"
    assert event["end_time"] == "2018-08-11T09:12:41Z"
    assert event["tags"] == ["a", "b"]
    assert event["location"]["city"] == "Moscow"
    assert event["location"]["geo_position"] == {"longitude": 36.616, "latitude": 55.752}
    assert event["face"] == {
        "face_id": FACE,
        "account_id": str(OWNER),
        "event_id": event["event_id"],
        "user_data": "",
        "create_time": "2018-08-11T09:11:41.674000Z",
        "external_id": "42",
        "avatar": "",
        "lists": [LIST],
        "url": f"/6/faces/{FACE}",
    }
    assert event["face_attributes"]["basic_attributes"] == BASIC
    assert event["face_attributes"]["url"] == f"/6/attributes/{OTHER}"
    assert event["face_attributes"]["filter"] == {"is_filtered": False, "filter_reasons": []}
    assert "descriptor" not in event["face_attributes"]
    assert event["body_attributes"] == EVERYTHING["body_attributes"]
    assert [found["label"] for found in event["matches"]] == ["nobody", "vip"]
    assert [found["similarity"] for found in event["matches"][1]["candidates"]] == [0.97, 0.6, 0.5]
    assert event["matches"][1]["candidates"][1]["event"] == {
        "event_id": EVENT,
        "create_time": "2018-08-11T09:11:41.674000Z",
        "source": None,
        "age": 3,
    }
    seen, empty = event["detections"]
    assert seen["detect_time"] == "2018-08-11T09:11:41.674000Z"
    assert seen["samples"]["face"]["url"] == f"/6/samples/faces/{SAMPLE}"
    assert seen["samples"]["body"]["url"] == "/x"
    given = EVERYTHING["detections"][0]["samples"]
    assert seen["samples"]["face"]["detection"] == given["face"]["detection"]
    assert seen["samples"]["body"]["detection"] == given["body"]["detection"]
    assert empty == {
        "filename": "raw_image",
        "samples": {"face": None, "body": None},
        "detect_time": "2018-08-11T09:11:41.674000Z",
        "detect_ts": None,
        "image_origin": None,
    }
    assert event["aggregate_estimations"] == EVERYTHING["aggregate_estimations"]


def test_what_is_told_of_the_face_is_kept() -> None:
    face = {
        "face_id": FACE,
        "account_id": OTHER,
        "event_id": EVENT,
        "create_time": TIME,
        "user_data": "u",
        "avatar": "/6/samples/faces/1",
        "lists": [],
        "external_id": "",
        "url": "https://elsewhere/6/faces/1",
    }
    assert shown({"face": face})["face"] == {**face, "create_time": "2018-08-11T09:11:41.674000Z"}


def test_a_shown_event_can_be_saved_again() -> None:
    event = shown(EVERYTHING)
    again = shown({name: value for name, value in event.items() if name not in ("event_id", "url")})
    assert again["event_id"] != event["event_id"]
    assert {**again, "event_id": event["event_id"], "url": event["url"]} == event


def test_how_it_is_stored() -> None:
    new = NewEvent(OWNER, UUID(HANDLER), read_event(decode(EVERYTHING), OWNER, NOW))
    row, details = row_of(new), details_of(new)
    assert (row["age"], row["gender"], row["ethnic_group"]) == (27, 1, 3)
    # merged estimates come before those of a single image
    assert (row["emotion"], row["mask"], row["liveness"], row["deepfake"]) == (1, 1, 1, 0)
    assert (row["apparent_age"], row["apparent_gender"], row["backpack_state"]) == (25, 2, 1)
    assert (row["top_match_label"], row["top_match_similarity"]) == ("vip", 0.97)
    assert (row["top_match_object_id"], row["top_match_external_id"]) == (UUID(OTHER), "7")
    assert (row["face_id"], details["attach_result"]) == (UUID(FACE), [UUID(LIST)])
    assert len(details["face_detections"]) == len(details["body_detections"]) == 1


def changed(path: str, value: Any) -> Any:
    """A copy of everything with one value put at a dotted path."""
    body = msgspec.json.decode(msgspec.json.encode(EVERYTHING))
    *way, last = path.split(".")
    place = body
    for name in way:
        place = place[int(name)] if isinstance(place, list) else place[name]
    place[int(last) if isinstance(place, list) else last] = value
    return body


FACE_PATH = "detections.0.samples.face.detection"
BODY_PATH = "detections.0.samples.body.detection"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("event_id", "54842de9-456a-415a-9004-e9ffadde1877"),
        ("url", "/6/events/x"),
        ("handler_id", HANDLER),
        ("account_id", HANDLER),
        ("detections", [{}] * 101),
        ("detections.0.unknown", 1),
        ("detections.0.detect_time", "yesterday"),
        ("detections.0.detect_ts", -1),
        ("detections.0.image_origin", "x" * 257),
        ("detections.0.image_origin", ""),
        ("detections.0.image_origin", "a\x00b"),
        ("detections.0.samples.face.sample_id", "1"),
        ("detections.0.samples.face.unknown", 1),
        (f"{FACE_PATH}.rect", {"x": 0, "y": 0, "width": 1}),
        (f"{FACE_PATH}.rect.width", -1),
        (f"{FACE_PATH}.rect.x", 2**31),
        (f"{FACE_PATH}.rect.x", 10**30),
        (f"{FACE_PATH}.rect.z", 1),
        (f"{FACE_PATH}.landmarks5", [[1, 2]] * 4),
        (f"{FACE_PATH}.landmarks68", [[1, 2]] * 69),
        (f"{FACE_PATH}.landmarks5.0", [1]),
        (f"{FACE_PATH}.landmarks5.0", [1, 2, 3]),
        (f"{FACE_PATH}.landmarks5.0.0", 2**31),
        (f"{FACE_PATH}.warp", "aaaa"),
        (f"{FACE_PATH}.iso", {"status": 1, "checks": []}),
        (f"{FACE_PATH}.face_quality.checks.0.name", "x" * 101),
        (f"{FACE_PATH}.attributes.descriptor", {}),
        (f"{FACE_PATH}.attributes.mask.predominant_mask", "none"),
        (f"{FACE_PATH}.attributes.mask.estimations.missing", 1.1),
        (f"{FACE_PATH}.attributes.mask.estimations.unknown", 0.5),
        (f"{FACE_PATH}.attributes.mask.unknown", 1),
        (f"{FACE_PATH}.attributes.emotions.predominant_emotion", "joy"),
        (f"{FACE_PATH}.attributes.head_pose.yaw", 181),
        (f"{FACE_PATH}.attributes.liveness.prediction", "1"),
        (f"{FACE_PATH}.attributes.liveness.estimations", {"quality": 1}),
        (f"{FACE_PATH}.attributes.deepfake.prediction", "unknown"),
        (f"{BODY_PATH}.attributes.basic_attributes.apparent_age", 101),
        (f"{BODY_PATH}.attributes.basic_attributes.apparent_gender", 3),
        (f"{BODY_PATH}.attributes.upper_body.headwear.apparent_color", "red"),
        (f"{BODY_PATH}.attributes.upper_body.upper_clothing.colors.0", "crimson"),
        (f"{BODY_PATH}.attributes.upper_body.upper_clothing.colors", ["red"] * 16),
        (f"{BODY_PATH}.attributes.accessories.backpack.state", 3),
        ("source", "x" * 129),
        ("source", "\x00"),
        ("stream_id", "x"),
        ("location.city", "x" * 37),
        ("location.city", "\x00"),
        ("location.unknown", "x"),
        ("location.geo_position", {"longitude": 1}),
        ("location.geo_position.latitude", 90.1),
        ("external_id", "x" * 37),
        ("external_id", None),
        ("external_id", "\x00"),
        ("user_data", "x" * 129),
        ("track_id", "a b"),
        ("track_id", ""),
        ("track_id", "a\n"),
        ("face", {}),
        ("face.face_id", "x"),
        ("face.lists", [LIST] * 1001),
        ("face.unknown", 1),
        ("matches", [{"label": "a"}] * 31),
        ("matches.0", {"candidates": []}),
        ("matches.0.label", ""),
        ("matches.0.label", "x" * 37),
        ("matches.1.candidates", [{"similarity": 1, "attribute": {"attribute_id": SAMPLE}}] * 101),
        ("matches.1.candidates.0", {"similarity": 1}),
        ("matches.1.candidates.0", {"face": {"face_id": OTHER}}),
        ("matches.1.candidates.0.similarity", 1.01),
        ("matches.1.candidates.0.attribute", {"attribute_id": SAMPLE}),
        ("matches.1.candidates.0.face", {"external_id": "1"}),
        ("matches.1.candidates.0.face.external_id", None),
        ("matches.1.candidates.0.face.user_data", None),
        ("matches.1.candidates.0.face.unknown", None),
        ("matches.1.candidates.1.event", {"external_id": "1"}),
        ("matches.1.candidates.1.event.external_id", None),
        ("matches.1.candidates.1.event.user_data", None),
        ("matches.1.candidates.1.event.handler_id", None),
        ("matches.1.candidates.1.event.create_time", "9999-12-31T23:59:59-14:00"),
        ("face_attributes.score", 1.5),
        ("face_attributes.basic_attributes.age", 101),
        ("face_attributes.basic_attributes.gender", 2),
        ("face_attributes.basic_attributes.ethnicities.predominant_ethnicity", "martian"),
        ("face_attributes.samples", ["x"]),
        ("face_attributes.descriptor", {"version": 59}),
        ("face_attributes.descriptor", "?"),
        ("body_attributes.attribute_id", SAMPLE),
        ("aggregate_estimations.face.attributes.unknown", 1),
        ("aggregate_estimations.unknown", None),
        ("tags", ["a"] * 1001),
        ("tags", ["a" * 37]),
        ("tags", "a,b"),
        ("create_time", "yesterday"),
        ("create_time", 1544974199),
        ("create_time", "0001-01-01T00:00:00+14:00"),
        ("end_time", "2018-13-01T00:00:00Z"),
        ("meta", []),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_refused(path: str, value: Any) -> None:
    with pytest.raises(ApiError) as refused:
        decode(changed(path, value))
    assert refused.value.code == 12022
    assert path.split(".")[0] in refused.value.detail
