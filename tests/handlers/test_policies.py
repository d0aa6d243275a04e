"""The policies of handlers: defaults, rules, other names, times relative to an event."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from lunaria.handlers.face_quality import FaceQualityChecks
from lunaria.handlers.match_policy import MatchEntry
from lunaria.handlers.policies import Policies
from lunaria.matching.schemas import AttributeFilters, EventFilters, FaceFilters
from lunaria.vision.checks import CHECKS, Bounds

LIST = "0aa4e5b5-f9a3-4c3a-8b4b-9a4f7c0e1f10"
NOW = datetime(2024, 3, 31, 12, 0, 0, tzinfo=UTC)
DETECT = {
    "multiface_policy": 1,
    "detect_face": 1,
    "detect_body": 0,
    "estimate_head_pose": 0,
    "estimate_emotions": 0,
    "estimate_mask": 0,
    "estimate_glasses": 0,
    "estimate_quality": 0,
    "estimate_gaze": 0,
    "estimate_eyes_attributes": 0,
    "estimate_mouth_attributes": 0,
    "detect_landmarks68": 0,
    "extract_exif": 0,
    "estimate_people_count": 0,
    "estimate_liveness": {"estimate": 0, "liveness_threshold": 0.5, "quality_threshold": 0.5},
    "estimate_deepfake": {"estimate": 0, "real_threshold": 0.5, "mode": 2},
    "body_attributes": {
        "estimate_upper_body": 0,
        "estimate_lower_body": 0,
        "estimate_basic_attributes": 0,
        "estimate_accessories": 0,
    },
}
EXTRACT = {
    "extract_face_descriptor": 1,
    "extract_body_descriptor": 0,
    "extract_basic_attributes": 0,
    "fd_score_threshold": 0.0,
}
STORAGE = {
    "face_sample_policy": {"store_sample": 1, "filters": {}},
    "body_sample_policy": {"store_sample": 1, "filters": {}},
    "image_origin_policy": {"store_image": 0, "use_external_references": 1, "filters": {}},
    "attribute_policy": {"store_attribute": 0, "ttl": 300, "filters": {}},
    "face_policy": {"store_face": 0, "set_sample_as_avatar": 1, "link_to_lists_policy": [], "filters": {}},
    "event_policy": {"store_event": 1, "wait_saving": 1, "filters": {}},
    "notification_policy": {"send_notification": 1, "filters": {}},
    "callbacks": [],
}


def read(given: dict[str, Any]) -> Policies:
    return msgspec.json.decode(json.dumps(given), type=Policies)


def shown(policies: Policies) -> Any:
    return json.loads(msgspec.json.encode(policies))


def entry(**given: Any) -> dict[str, Any]:
    return {"label": "vip", "candidates": {"origin": "faces"}, **given}


def refused(given: dict[str, Any], *words: str) -> None:
    with pytest.raises(msgspec.ValidationError) as raised:
        read(given)
    for word in words:
        assert word in str(raised.value)


def test_every_default_is_filled_in() -> None:
    made = shown(read({}))
    quality = made["detect_policy"].pop("face_quality")
    assert made == {
        "detect_policy": DETECT,
        "extract_policy": EXTRACT,
        "match_policy": [],
        "conditional_tags_policy": [],
        "storage_policy": STORAGE,
    }
    checks = quality.pop("checks")
    assert quality == {"estimate": 0, "filter": 0}
    assert list(checks) == [check.name for check in CHECKS]
    assert checks["head_yaw"] == {"estimate": 1, "threshold": {"min": -5, "max": 5}}
    assert checks["eye_distance"] == {"estimate": 1, "threshold": {"min": 90, "max": None}}
    assert checks["glasses"] == {"estimate": 1, "threshold": ["no_glasses", "eyeglasses"]}
    assert checks["natural_light"] == {"estimate": 1, "threshold": 1}


def test_what_is_shown_can_be_read_again() -> None:
    given = {
        "detect_policy": {
            "pitch_threshold": 30,
            "mask_states": [1],
            "face_quality": {"estimate": 1, "checks": {"head_yaw": {"threshold": {"max": 9}}}},
        },
        "match_policy": [
            entry(candidates={"origin": "faces", "list_id": LIST, "create_time__gte": "now-3d"}, filters={"gender": 1}),
            entry(label="seen", candidates={"origin": "events", "sources": ["cam1", None]}, limit=100, threshold=0.5),
            entry(label="now", candidates={"origin": "attributes", "attribute_ids": [LIST]}, targets=["attribute_id"]),
        ],
        "conditional_tags_policy": [{"tag": "vip", "filters": {"match": [{"label": "vip", "similarity__gte": 0.9}]}}],
        "storage_policy": {
            "face_policy": {"link_to_lists_policy": [{"list_id": LIST}]},
            "callbacks": [{"url": "https://example.com/hook", "filters": {"match": [{"label": "seen"}]}}],
        },
    }
    made = read(given)
    assert read(shown(made)) == made
    assert shown(read(shown(made))) == shown(made)
    assert shown(made)["detect_policy"]["pitch_threshold"] == 30
    assert "yaw_threshold" not in shown(made)["detect_policy"]
    assert shown(made)["match_policy"][0]["candidates"] == {
        "origin": "faces",
        "list_id": LIST,
        "create_time__gte": "now-3d",
    }


@pytest.mark.parametrize(
    ("policy", "given"),
    [
        *(("detect_policy", {"multiface_policy": 3}), ("detect_policy", {"detect_face": True})),
        *(("detect_policy", {"pitch_threshold": 181}), ("detect_policy", {"mask_states": []})),
        *(("detect_policy", {"mask_states": [0]}), ("detect_policy", {"liveness_states": [3]})),
        *(("detect_policy", {"deepfake_states": [2]}), ("detect_policy", {"estimate_liveness": 1})),
        ("detect_policy", {"estimate_liveness": {"liveness_threshold": 1.5}}),
        ("detect_policy", {"estimate_liveness": {"quality_threshold": -0.1}}),
        ("detect_policy", {"estimate_deepfake": {"mode": 3}}),
        ("detect_policy", {"body_attributes": {"estimate_shoes": 1}}),
        ("detect_policy", {"face_quality": {"checks": {"beard": {}}}}),
        ("detect_policy", {"face_quality": {"checks": {"head_yaw": {"threshold": [1]}}}}),
        ("detect_policy", {"estimate_beard": 1}),
        *(("extract_policy", {"fd_score_threshold": 2}), ("extract_policy", {"extract_descriptor": 1})),
        *(
            ("storage_policy", {"attribute_policy": {"ttl": 0}}),
            ("storage_policy", {"attribute_policy": {"ttl": 86401}}),
        ),
        ("storage_policy", {"face_policy": {"link_to_lists_policy": [{"list_id": "x"}]}}),
        ("storage_policy", {"face_policy": {"link_to_lists_policy": [{"list_id": LIST}] * 31}}),
        ("storage_policy", {"callbacks": [{"url": "https://example.com/"}] * 11}),
        ("storage_policy", {"callbacks": [{"url": "ftp://example.com/"}]}),
        ("storage_policy", {"lists_policy": {}}),
    ],
)
def test_bad_values_are_refused_where_they_are(policy: str, given: dict[str, Any]) -> None:
    refused({policy: given}, f"$.{policy}")


def test_unknown_policies_are_refused() -> None:
    refused({"match_policies": []}, "unknown field `match_policies`")


def test_labels() -> None:
    refused({"match_policy": [entry(), entry()]}, "'vip' is there twice")
    refused({"match_policy": [entry(label="x" * 37)]}, "length <= 36")
    refused({"match_policy": [entry(label="")]}, "length >= 1")
    refused({"match_policy": [entry(label=str(index)) for index in range(31)]}, "length <= 30")
    assert len(read({"match_policy": [entry(label=str(index)) for index in range(30)]}).match_policy) == 30


@pytest.mark.parametrize(
    ("place", "given"),
    [
        ("conditional_tags_policy.0.filters", {"conditional_tags_policy": [{"tag": "a", "filters": ...}]}),
        *(
            (f"storage_policy.{name}.filters", {"storage_policy": {name: {"filters": ...}}})
            for name in STORAGE
            if name != "callbacks"
        ),
        (
            "storage_policy.face_policy.link_to_lists_policy.0.filters",
            {"storage_policy": {"face_policy": {"link_to_lists_policy": [{"list_id": LIST, "filters": ...}]}}},
        ),
        (
            "storage_policy.callbacks.0.filters",
            {"storage_policy": {"callbacks": [{"url": "https://example.com/", "filters": ...}]}},
        ),
    ],
)
def test_filters_speak_of_labels_that_exist(place: str, given: dict[str, Any]) -> None:
    text = json.dumps(given, default=lambda _: {"match": [{"label": "vip"}]})
    with pytest.raises(msgspec.ValidationError, match=f"{place}: there is no label 'vip' in match_policy"):
        msgspec.json.decode(text, type=Policies)
    msgspec.json.decode(json.dumps({**json.loads(text), "match_policy": [entry()]}), type=Policies)


def test_tags() -> None:
    refused({"conditional_tags_policy": [{"tag": "x" * 37}]}, "length <= 36")
    refused({"conditional_tags_policy": [{"tag": "x"}] * 31}, "length <= 30")
    refused({"conditional_tags_policy": [{}]}, "tag")


def test_callbacks_may_stand_with_the_notification() -> None:
    callback = {"url": "https://example.com/hook"}
    elsewhere = read({"storage_policy": {"notification_policy": {"callbacks": [callback]}}})
    assert elsewhere == read({"storage_policy": {"callbacks": [callback]}})
    assert "callbacks" not in shown(elsewhere)["storage_policy"]["notification_policy"]
    twice = {"notification_policy": {"callbacks": [callback]}, "callbacks": [callback]}
    refused({"storage_policy": twice}, "only one may be given")


def test_a_callback_with_its_defaults() -> None:
    made = shown(read({"storage_policy": {"callbacks": [{"url": "https://example.com/hook"}]}}))
    assert made["storage_policy"]["callbacks"] == [
        {
            "url": "https://example.com/hook",
            "type": "http",
            "enable": 1,
            "authorization": None,
            "params": {"timeout": 60, "content_type": "application/json", "headers": {}},
            "filters": {},
        }
    ]


# Matching


def test_bodies_are_compared_with_events_only() -> None:
    body = {"descriptor_type": "body"}
    for candidates in ({"origin": "faces"}, {"origin": "attributes"}):
        refused({"match_policy": [entry(candidates=candidates, descriptor=body)]}, "bodies", "$.match_policy[0]")
    made = read({"match_policy": [entry(candidates={"origin": "events"}, descriptor=body)]})
    assert made.match_policy[0].descriptor.descriptor_type == "body"


@pytest.mark.parametrize(
    "given",
    [
        *(
            entry(limit=0),
            entry(limit="3"),
            entry(threshold=1.1),
            entry(targets=["nose"]),
            entry(targets=["event_id", 1]),
        ),
        *(entry(candidates={}), entry(candidates={"origin": "lists"}), entry(candidates={"list_id": LIST})),
        entry(candidates={"origin": "attributes", "list_id": LIST}),
        entry(candidates={"origin": "events"}, targets=["avatar"]),
        entry(filters={"match": [{"label": "vip"}]}),
    ],
)
def test_bad_entries_are_refused(given: dict[str, Any]) -> None:
    refused({"match_policy": [given]}, "$.match_policy[0]")


def test_all_targets_by_default_and_always_the_similarity() -> None:
    made = read({"match_policy": [entry(), entry(label="b", targets=["external_id", "face_id"])]})
    assert made.match_policy[0].targets == [
        *("face_id", "account_id", "event_id", "user_data", "create_time", "external_id", "avatar", "lists"),
        "similarity",
    ]
    assert made.match_policy[1].targets == ["face_id", "external_id", "similarity"]


def at(now: datetime, **candidates: Any) -> Any:
    return msgspec.convert(entry(candidates=candidates), MatchEntry).at(now)


def test_candidates_at_the_time_of_an_event() -> None:
    given = entry(
        candidates={"origin": "faces", "list_id": LIST, "create_time__gte": "now-3d", "user_data": "x"},
        limit=7,
        threshold=0.25,
        targets=["face_id"],
    )
    made = msgspec.convert(given, MatchEntry).at(NOW)
    assert type(made.filters) is FaceFilters
    assert msgspec.to_builtins(made.filters) == {
        "origin": "faces",
        "list_id": LIST,
        "user_data": "x",
        "create_time__gte": "2024-03-28T12:00:00.000000Z",
    }
    assert (made.limit, made.threshold, made.shown) == (7, 0.25, ("face_id",))
    events = at(NOW, origin="events", end_time__lt="now-1M", create_time__gte="2024-01-01T00:00:00+01:00")
    assert type(events.filters) is EventFilters
    assert events.filters.end_time__lt == "2024-02-29T12:00:00.000000Z"
    assert events.filters.create_time__gte == "2023-12-31T23:00:00.000000Z"
    assert type(at(NOW, origin="attributes").filters) is AttributeFilters


@pytest.mark.parametrize(
    "text", ["now", "now-3", "now-d", "now-3D", "now+3d", " now-3d", "yesterday", "now-99999y", ""]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    for origin in ("faces", "events"):
        refused({"match_policy": [entry(candidates={"origin": origin, "create_time__lt": text})]}, "create_time__lt: ")


# Checks of the picture


def checks(**given: Any) -> Any:
    return msgspec.json.decode(json.dumps(given), type=FaceQualityChecks)


def test_thresholds_of_checks() -> None:
    limits = checks(
        head_yaw={"threshold": {"max": 20}},
        eye_distance={"threshold": {"min": None}},
        glasses={"threshold": ["sunglasses"]},
        natural_light={"threshold": [0]},
        head_roll={"threshold": {}},
        image_format={"estimate": 0},
    ).limits
    assert limits["head_yaw"] == Bounds(-5, 20)
    assert limits["eye_distance"] == Bounds(None, None)
    assert limits["glasses"] == ("sunglasses",)
    assert limits["natural_light"] == 0
    assert limits["head_roll"] == Bounds(-8, 8)
    assert "image_format" not in limits
    assert len(limits) == len(CHECKS) - 1


@pytest.mark.parametrize(
    "given",
    [
        *({"head_yaw": {"threshold": {"min": 6}}}, {"head_yaw": {"threshold": {"min": 1e15}}}),
        *({"head_yaw": {"threshold": ["open"]}}, {"head_yaw": {"threshold": {"least": 1}}}, {"head_yaw": 1}),
        *({"left_eye": {"threshold": []}}, {"left_eye": {"threshold": ["shut"]}}, {"left_eye": {"threshold": {}}}),
        *({"natural_light": {"threshold": 2}}, {"natural_light": {"threshold": [0, 1]}}, {"left_eye": {"estimate": 2}}),
    ],
)
def test_bad_thresholds_are_refused(given: dict[str, Any]) -> None:
    (name,) = given
    with pytest.raises(msgspec.ValidationError, match=name):
        checks(**given)


def test_every_check_says_what_its_threshold_may_be() -> None:
    schema = msgspec.json.schema(FaceQualityChecks)["$defs"]
    for check in CHECKS:
        name = "".join(word.capitalize() for word in check.name.split("_")) + "Check"
        threshold = schema[name]["properties"]["threshold"]
        if check.kind == "words":
            assert threshold["items"]["enum"] == sorted(check.words)
        elif check.kind == "bounds":
            assert threshold["$ref"].endswith("CheckBounds")
        else:
            assert threshold["default"] == 1
