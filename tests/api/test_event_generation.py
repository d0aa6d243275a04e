"""POST /6/handlers/{handler_id}/events on real photographs: what is answered, and what is kept of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from lunaria.app import Platform
from lunaria.kit.times import parse_time
from tests.api.conftest import Account, AccountFactory
from tests.api.handlers import NOTHING_KEPT, Json, count_rows, generate, new_handler
from tests.api.sdk import check_body, check_face
from tests.estimation.pictures import beside, checked, decoded, encode, grey, overlap, read
from tests.vision.conftest import photos  # noqa: F401

SUCCESS = {"error_code": 0, "desc": "Success", "detail": "Success"}
TABLES = ("blobs", "attributes", "faces", "events", "event_details", "event_descriptors")
BASIC = {"extract_basic_attributes": 1}
EVENT_KEYS = {
    *("event_id", "url", "create_time", "end_time", "external_id", "user_data", "source", "stream_id", "track_id"),
    *("tags", "location", "meta", "face", "face_attributes", "body_attributes", "matches", "detections"),
    "aggregate_estimations",
}


@pytest.fixture(scope="module")
def pictures(photos: Path) -> dict[str, bytes]:  # noqa: F811
    made = {name: encode(read(photos / f"{name}.jpg")) for name in ("obama", "obama2", "biden")}
    made["pair"] = encode(beside(read(photos / "obama.jpg"), read(photos / "biden.jpg")))
    made["none"] = encode(grey())
    return made


async def enrol(account: Account, picture: bytes, *, external_id: str, user_data: str = "") -> tuple[str, str]:
    """A list with the one face of a picture in it: their ids."""
    list_id = checked(await account.client.post("/6/lists", json={}), 201)["list_id"]
    storage = {
        **NOTHING_KEPT,
        "face_policy": {"store_face": 1, "link_to_lists_policy": [{"list_id": list_id}]},
    }
    handler = await new_handler(account, storage_policy=storage)
    query = f"external_id={external_id}&user_data={user_data}"
    (event,) = (await generate(account, handler, picture, query=query))["events"]
    return list_id, event["face"]["face_id"]


async def test_everything_by_default(
    platform: Platform, new_account: AccountFactory, pictures: dict[str, bytes]
) -> None:
    account = await new_account()
    handler = await new_handler(account)
    answer = await generate(account, handler, pictures["obama"])
    assert answer.keys() == {"images", "events", "filtered_detections"}
    (image,) = answer["images"]
    assert image.pop("error").items() >= SUCCESS.items()
    assert image == {"filename": "raw_image", "status": 1, "exif": {}}
    assert answer["filtered_detections"] == {"face_detections": [], "body_detections": []}
    (event,) = answer["events"]
    assert event.keys() == EVENT_KEYS
    assert event["url"] == f"/6/events/{event['event_id']}"
    assert event["create_time"] == event["end_time"] == event["detections"][0]["detect_time"]
    given = ("external_id", "user_data", "source", "stream_id", "track_id", "tags", "meta", "face", "matches")
    assert [event[name] for name in given] == ["", "", None, None, None, [], None, None, None]
    assert set(event["location"].values()) == {None}
    assert event["aggregate_estimations"] == {"face": None, "body": None}
    assert event["body_attributes"] is None
    (detection,) = event["detections"]
    assert (detection["filename"], detection["detect_ts"], detection["image_origin"]) == ("raw_image", None, None)
    sample = detection["samples"]["face"]
    assert detection["samples"]["body"] is None
    assert sample["url"] == f"/6/samples/faces/{sample['sample_id']}"
    assert sample["detection"].keys() == {"rect", "landmarks5", "attributes"}
    assert sample["detection"]["attributes"] == {}
    attributes = event["face_attributes"]
    assert 0 < attributes.pop("score") <= 1
    assert attributes == {
        "attribute_id": None,
        "url": None,
        "basic_attributes": None,
        "samples": [sample["sample_id"]],
        "filter": {"is_filtered": False, "filter_reasons": []},
    }
    warp = await account.client.get(sample["url"])
    assert decoded(warp.content).shape == (250, 250, 3)
    assert await count_rows(platform, account, *TABLES) == {
        "blobs": 1,
        "attributes": 0,
        "faces": 0,
        "events": 1,
        "event_details": 1,
        "event_descriptors": 1,
    }


async def test_what_a_request_says_of_its_events(account: Account, pictures: dict[str, bytes]) -> None:
    handler = await new_handler(account, storage_policy={"face_policy": {"store_face": 1}})
    stream = str(uuid4())
    query = (
        "city=New York&area=Manhattan&district=Midtown&street=West 48th street&house_number=220&longitude=36.616"
        f"&latitude=55.752&external_id=e-1&user_data=somebody&source=door&stream_id={stream}&tags=b,a,b&track_id=t_1"
    )
    headers = {"Luna-Event-Time": "2018-12-16T15:29:59.300275-08:00", "Luna-Event-End-Time": "2018-12-16T23:30:01Z"}
    (event,) = (await generate(account, handler, pictures["obama"], query=query, headers=headers))["events"]
    assert parse_time(event["create_time"]) == parse_time("2018-12-16T23:29:59.300275Z")
    assert parse_time(event["end_time"]) == parse_time("2018-12-16T23:30:01Z")
    assert (event["external_id"], event["user_data"], event["source"]) == ("e-1", "somebody", "door")
    assert (event["stream_id"], event["track_id"], event["tags"]) == (stream, "t_1", ["b", "a"])
    assert event["location"] == {
        "city": "New York",
        "area": "Manhattan",
        "district": "Midtown",
        "street": "West 48th street",
        "house_number": "220",
        "geo_position": {"longitude": 36.616, "latitude": 55.752},
    }
    face = checked(await account.client.get(event["face"]["url"]))
    assert face == {name: value for name, value in event["face"].items() if name != "url"}
    assert (face["external_id"], face["user_data"], face["event_id"]) == ("e-1", "somebody", event["event_id"])
    assert face["avatar"] == event["detections"][0]["samples"]["face"]["url"]


async def test_other_forms_of_time_are_ignored(account: Account, pictures: dict[str, bytes]) -> None:
    handler = await new_handler(account, storage_policy=NOTHING_KEPT)
    headers = {"Luna-Event-Time": "yesterday", "Luna-Event-End-Time": "2018-12-16T23:30:01"}
    (event,) = (await generate(account, handler, pictures["obama"], headers=headers))["events"]
    assert event["create_time"] == event["end_time"] > "2020"


async def test_estimates_stand_with_the_detection(account: Account, pictures: dict[str, bytes]) -> None:
    flags = ("head_pose", "emotions", "mask", "glasses", "gaze", "eyes_attributes", "mouth_attributes", "quality")
    bodies = ("upper_body", "lower_body", "basic_attributes", "accessories")
    detect = {
        **{f"estimate_{name}": 1 for name in flags},
        "detect_landmarks68": 1,
        "detect_body": 1,
        "estimate_people_count": 1,
        "estimate_liveness": {"estimate": 1},
        "estimate_deepfake": {"estimate": 1},
        "body_attributes": {f"estimate_{name}": 1 for name in bodies},
        "face_quality": {"estimate": 1},
    }
    extract = {**BASIC, "extract_body_descriptor": 1}
    handler = await new_handler(account, detect_policy=detect, extract_policy=extract, storage_policy=NOTHING_KEPT)
    answer = await generate(account, handler, pictures["biden"])
    assert answer["images"][0]["people_count"] == 1
    (event,) = answer["events"]
    assert event["url"] is None
    samples = event["detections"][0]["samples"]
    assert [samples[kind]["sample_id"] for kind in ("face", "body")] == [None, None]
    face, body = samples["face"]["detection"], samples["body"]["detection"]
    assert face.pop("face_quality")["checks"]
    face["attributes"]["basic_attributes"] = event["face_attributes"]["basic_attributes"]
    shown = [
        f"estimate_{name}" for name in (*flags, "liveness", "deepfake", "basic_attributes", "landmarks5", "landmarks68")
    ]
    check_face(face, shown)
    check_body(
        body, ["estimate_upper_body", "estimate_lower_body", "estimate_body_basic_attributes", "estimate_accessories"]
    )
    assert 0 < event["body_attributes"]["score"] <= 1
    assert event["face_attributes"]["basic_attributes"]["gender"] == 1


async def test_an_event_for_every_person(account: Account, pictures: dict[str, bytes]) -> None:
    handler = await new_handler(account, storage_policy=NOTHING_KEPT)
    answer = await generate(account, handler, pictures["pair"], pictures["none"], pictures["biden"], b"no picture")
    assert [image["status"] for image in answer["images"]] == [1, 1, 1, 0]
    assert [image["error"]["error_code"] for image in answer["images"]] == [0, 0, 0, 100029]
    seen = [[detection["filename"] for detection in event["detections"]] for event in answer["events"]]
    assert seen == [["0.jpg"], ["0.jpg"], ["2.jpg"]]
    assert len({event["event_id"] for event in answer["events"]}) == 3


async def test_bodies_make_events_too(
    platform: Platform, new_account: AccountFactory, pictures: dict[str, bytes]
) -> None:
    """Face and body of one person make one event; a body alone makes its own, and no face."""
    account = await new_account()
    storage = {"face_policy": {"store_face": 1}, "attribute_policy": {"store_attribute": 1}}
    extract = {"extract_body_descriptor": 1}
    both = await new_handler(account, detect_policy={"detect_body": 1}, extract_policy=extract, storage_policy=storage)
    (event,) = (await generate(account, both, pictures["biden"]))["events"]
    samples = event["detections"][0]["samples"]
    assert overlap(samples["face"]["detection"]["rect"], samples["body"]["detection"]["rect"]) > 0
    assert samples["body"]["url"] == f"/6/samples/bodies/{samples['body']['sample_id']}"
    assert decoded((await account.client.get(samples["body"]["url"])).content).shape == (256, 128, 3)
    assert event["body_attributes"]["samples"] == [samples["body"]["sample_id"]]
    assert event["face"] is not None
    assert event["face_attributes"]["attribute_id"] is not None
    before = await count_rows(platform, account, *TABLES)
    assert (before["blobs"], before["faces"], before["attributes"], before["event_descriptors"]) == (2, 1, 1, 2)

    detect = {"detect_face": 0, "detect_body": 1}
    alone = await new_handler(account, detect_policy=detect, extract_policy=extract, storage_policy=storage)
    (event,) = (await generate(account, alone, pictures["biden"]))["events"]
    assert (event["face"], event["face_attributes"]) == (None, None)
    assert event["detections"][0]["samples"]["face"] is None
    after = await count_rows(platform, account, *TABLES)
    assert {name: after[name] - before[name] for name in TABLES} == {
        "blobs": 1,
        "attributes": 0,
        "faces": 0,
        "events": 1,
        "event_details": 1,
        "event_descriptors": 1,
    }


async def test_matches_tags_and_lists(new_account: AccountFactory, pictures: dict[str, bytes]) -> None:
    """A known face gets the tag of known ones and is not made again; an unknown one is registered."""
    account = await new_account()
    list_id, obama = await enrol(account, pictures["obama"], external_id="o", user_data="president")
    empty = checked(await account.client.post("/6/lists", json={}), 201)["list_id"]
    known = {"match": [{"label": "known", "similarity__gte": 0.6}]}
    unknown = {"match": [{"label": "known", "similarity__lte": 0.6}]}
    handler = await new_handler(
        account,
        extract_policy=BASIC,
        match_policy=[
            {"label": "nobody", "candidates": {"origin": "faces", "list_id": empty}},
            {
                "label": "known",
                "candidates": {"origin": "faces", "list_id": list_id},
                "targets": ["face_id", "external_id", "user_data", "lists"],
            },
            {"label": "women", "candidates": {"origin": "faces"}, "filters": {"gender": 0}},
        ],
        conditional_tags_policy=[
            {"tag": "known", "filters": known},
            {"tag": "unknown", "filters": unknown},
            {"tag": "man", "filters": {"gender": 1, "age__gte": 18}},
        ],
        storage_policy={
            "face_policy": {
                "store_face": 1,
                "filters": unknown,
                "link_to_lists_policy": [
                    {"list_id": list_id},
                    {"list_id": empty, "filters": known},
                ],
            }
        },
    )
    (seen,) = (await generate(account, handler, pictures["obama2"], query="tags=man,door"))["events"]
    assert [found["label"] for found in seen["matches"]] == ["known", "nobody"]
    (candidate,) = seen["matches"][0]["candidates"]
    assert candidate["similarity"] > 0.6
    assert candidate["face"] == {"face_id": obama, "external_id": "o", "user_data": "president", "lists": [list_id]}
    assert seen["matches"][1]["candidates"] == []
    assert seen["tags"] == ["man", "door", "known"]
    assert seen["face"] is None

    (new,) = (await generate(account, handler, pictures["biden"], query="external_id=b"))["events"]
    assert new["tags"] == ["unknown", "man"]
    assert new["face"]["lists"] == [list_id]
    (again,) = (await generate(account, handler, pictures["biden"]))["events"]
    best = again["matches"][0]["candidates"][0]
    assert (best["face"]["face_id"], best["face"]["external_id"]) == (new["face"]["face_id"], "b")
    assert best["similarity"] > 0.99
    assert again["tags"] == ["known", "man"]

    stored = checked(await account.client.get(f"/6/faces?list_id={list_id}"))["faces"]
    assert {face["face_id"] for face in stored} == {obama, new["face"]["face_id"]}


async def test_all_persons_of_a_request_are_matched(new_account: AccountFactory, pictures: dict[str, bytes]) -> None:
    account = await new_account()
    _, obama = await enrol(account, pictures["obama"], external_id="o")
    _, biden = await enrol(account, pictures["biden"], external_id="b")
    entry = {"label": "all", "candidates": {"origin": "faces"}, "limit": 1, "targets": ["face_id"]}
    handler = await new_handler(account, match_policy=[entry], storage_policy=NOTHING_KEPT)
    answer = await generate(account, handler, pictures["pair"], pictures["obama2"], pictures["none"])
    best = [event["matches"][0]["candidates"][0] for event in answer["events"]]
    faces = {UUID(one["face"]["face_id"]) for one in best[:2]}
    assert faces == {UUID(obama), UUID(biden)}
    assert best[2]["face"]["face_id"] == obama


async def test_events_are_candidates(new_account: AccountFactory, pictures: dict[str, bytes]) -> None:
    account = await new_account()
    policy = [
        {
            "label": "seen",
            "candidates": {"origin": "events", "sources": ["door"], "create_time__gte": "now-1h"},
            "targets": ["event_id", "source"],
        }
    ]
    handler = await new_handler(account, match_policy=policy)
    (first,) = (await generate(account, handler, pictures["obama"], query="source=door"))["events"]
    assert first["matches"] == [{"label": "seen", "candidates": []}]
    (second,) = (await generate(account, handler, pictures["obama2"], query="source=gate"))["events"]
    (candidate,) = second["matches"][0]["candidates"]
    assert candidate["event"] == {"event_id": first["event_id"], "source": "door"}
    assert candidate["similarity"] > 0.6


async def test_top_match_names_a_candidate_whose_id_is_not_shown(
    new_account: AccountFactory, pictures: dict[str, bytes]
) -> None:
    account = await new_account()
    _, known = await enrol(account, pictures["obama"], external_id="o")
    entry = {"label": "all", "candidates": {"origin": "faces"}, "targets": ["user_data"]}
    handler = await new_handler(account, match_policy=[entry])
    (event,) = (await generate(account, handler, pictures["obama2"]))["events"]
    assert list(event["matches"][0]["candidates"][0]["face"]) == ["user_data"]
    stored = checked(await account.client.get(f"/6/events/{event['event_id']}"))
    assert (stored["top_match"]["face_id"], stored["top_match"]["external_id"]) == (known, "o")
    assert stored["match_result"][0]["candidates"] == event["matches"][0]["candidates"]


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        ({"yaw_threshold": 1, "pitch_threshold": 1, "roll_threshold": 1}, "yaw_threshold"),
        ({"mask_states": [2]}, "mask_states"),
        ({"estimate_liveness": {"estimate": 1, "liveness_threshold": 1.0}, "liveness_states": [1]}, "liveness_states"),
        ({"estimate_deepfake": {"estimate": 1, "real_threshold": 1.0}, "deepfake_states": [1]}, "deepfake_states"),
        ({"face_quality": {"estimate": 1, "filter": 1}}, "face_quality"),
    ],
)
async def test_filtered_faces_make_no_event(
    platform: Platform, new_account: AccountFactory, pictures: dict[str, bytes], policy: Json, name: str
) -> None:
    account = await new_account()
    handler = await new_handler(
        account,
        detect_policy={**policy, "detect_body": 1, "multiface_policy": 2},
        storage_policy={"image_origin_policy": {"store_image": 1}},
    )
    answer = await generate(account, handler, pictures["obama"])
    assert answer["events"] == []
    assert answer["images"][0]["status"] == 1
    for kind in ("face", "body"):
        (filtered,) = answer["filtered_detections"][f"{kind}_detections"]
        assert name in [reason["filter_name"] for reason in filtered["filter_reasons"]]
        detection = filtered["detection"]
        assert detection["filename"] == "raw_image"
        assert detection["sample"][kind]["sample_id"] is None
        assert detection["sample"][kind]["detection"]["rect"]["width"] > 0
    assert set((await count_rows(platform, account, *TABLES)).values()) == {0}


async def test_unusable_descriptors_are_dropped(
    platform: Platform, new_account: AccountFactory, pictures: dict[str, bytes]
) -> None:
    """Nothing is matched by them, and neither face nor attribute is made of them."""
    account = await new_account()
    handler = await new_handler(
        account,
        extract_policy={"fd_score_threshold": 1.0, **BASIC},
        match_policy=[{"label": "all", "candidates": {"origin": "faces"}}],
        storage_policy={"face_policy": {"store_face": 1}, "attribute_policy": {"store_attribute": 1}},
    )
    (event,) = (await generate(account, handler, pictures["obama"]))["events"]
    attributes = event["face_attributes"]
    assert attributes["filter"]["is_filtered"] is True
    (reason,) = attributes["filter"]["filter_reasons"]
    assert reason == {"filter_name": "score_threshold", "object_value": attributes["score"], "threshold_value": 1.0}
    assert attributes["score"] < 1
    assert (event["matches"], event["face"], attributes["attribute_id"]) == ([], None, None)
    counts = await count_rows(platform, account, *TABLES)
    assert (counts["events"], counts["event_descriptors"], counts["faces"], counts["attributes"]) == (1, 0, 0, 0)


async def test_attributes_are_kept_for_a_while(account: Account, pictures: dict[str, bytes]) -> None:
    storage = {**NOTHING_KEPT, "attribute_policy": {"store_attribute": 1, "ttl": 600}}
    handler = await new_handler(account, extract_policy=BASIC, storage_policy=storage)
    (event,) = (await generate(account, handler, pictures["obama"]))["events"]
    attributes = event["face_attributes"]
    assert attributes["url"] == f"/6/attributes/{attributes['attribute_id']}"
    stored = checked(await account.client.get(attributes["url"]))
    assert stored["face_descriptor"]
    basic = attributes["basic_attributes"]
    assert (stored["basic_attributes"]["age"], stored["basic_attributes"]["gender"]) == (basic["age"], basic["gender"])


async def test_stored_event_says_the_same(account: Account, pictures: dict[str, bytes]) -> None:
    """In codes where the answer has words."""
    handler = await new_handler(
        account,
        detect_policy={"estimate_mask": 1, "estimate_emotions": 1},
        extract_policy=BASIC,
        storage_policy={"face_policy": {"store_face": 1}},
    )
    (event,) = (await generate(account, handler, pictures["obama"], query="source=door&tags=a"))["events"]
    stored: dict[str, Any] = checked(await account.client.get(event["url"]))
    assert (stored["event_id"], stored["handler_id"]) == (event["event_id"], handler)
    assert (stored["source"], stored["tags"]) == ("door", ["a"])
    assert stored["face_id"] == event["face"]["face_id"]
    assert (stored["gender"], stored["age"]) == (1, event["face_attributes"]["basic_attributes"]["age"])
    assert stored["mask"] == 1
    (seen,) = stored["face_detections"]
    assert seen["sample_id"] == event["face_attributes"]["samples"][0]
    assert seen["detection"]["rect"] == event["detections"][0]["samples"]["face"]["detection"]["rect"]
