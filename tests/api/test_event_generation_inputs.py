"""POST /6/handlers/{handler_id}/events: what can be sent, how it is refused, and several images of one person."""

from __future__ import annotations

import base64
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from lunaria.app import Platform
from tests.api.conftest import Account, AccountFactory
from tests.api.handlers import (
    NOTHING_KEPT,
    count_rows,
    generate,
    generate_from,
    new_dynamic_handler,
    new_handler,
)
from tests.estimation.pictures import JPEG, beside, checked, decoded, encode, overlap, read, refused
from tests.vision.conftest import photos  # noqa: F401

TABLES = ("blobs", "attributes", "faces", "events", "event_descriptors")
ALL_FACES = [{"label": "all", "candidates": {"origin": "faces"}, "targets": ["external_id"]}]


@pytest.fixture(scope="module")
def pictures(photos: Path) -> dict[str, bytes]:  # noqa: F811
    made = {name: encode(read(photos / f"{name}.jpg")) for name in ("obama", "obama2", "biden")}
    made["pair"] = encode(beside(read(photos / "obama.jpg"), read(photos / "biden.jpg")))
    return made


async def test_policies_come_with_the_request(account: Account, pictures: dict[str, bytes]) -> None:
    """Of a dynamic handler, in a form or in JSON."""
    handler = await new_dynamic_handler(account)
    url = f"/6/handlers/{handler}/events"
    policies = {"detect_policy": {"estimate_mask": 1}, "storage_policy": NOTHING_KEPT}
    meta = {"place": {"floor": 2}}
    (event,) = (await generate(account, handler, pictures["obama"], policies=policies, meta=meta))["events"]
    assert event["meta"] == meta
    sample = event["detections"][0]["samples"]["face"]
    assert sample["sample_id"] is None
    assert sample["detection"]["attributes"]["mask"]["predominant_mask"] == "missing"

    image = await account.client.post("/6/images", content=pictures["obama"], headers=JPEG)
    image_url = checked(image, 201)["url"]
    body = {
        "images": [{"url": image_url, "filename": "door.jpg", "detect_ts": 2.5}],
        "policies": policies,
        "meta": meta,
    }
    (event,) = (await generate_from(account, handler, body))["events"]
    assert event["meta"] == meta
    (detection,) = event["detections"]
    assert (detection["filename"], detection["detect_ts"]) == ("door.jpg", 2.5)
    assert detection["image_origin"] == image_url

    missing = refused(await account.client.post(url, content=pictures["obama"], headers=JPEG), 400, 12022)
    assert "'policies'" in missing
    wrong = {"images": [image_url], "policies": {"detect_policy": {"detect_face": 2}}}
    assert "policies.detect_policy.detect_face" in refused(await account.client.post(url, json=wrong), 400, 12022)
    static = await new_handler(account)
    both = {"images": [image_url], "policies": {}}
    refused(await account.client.post(f"/6/handlers/{static}/events", json=both), 400, 12022)


async def test_unknown_and_foreign_handlers(account: Account, stranger: Account, pictures: dict[str, bytes]) -> None:
    handler = await new_handler(account)
    for client, handler_id in ((account.client, uuid4()), (stranger.client, handler)):
        reply = await client.post(f"/6/handlers/{handler_id}/events", content=pictures["obama"], headers=JPEG)
        assert str(handler_id) in refused(reply, 404, 34000)


@pytest.mark.parametrize(
    ("rights", "code"),
    [
        ({"allowed": 1}, None),
        ({"allowed": 1, "white_list": ["HANDLER"]}, None),
        ({"allowed": 1, "black_list": [str(uuid4())]}, None),
        ({"allowed": 1, "white_list": [str(uuid4())]}, 11067),
        ({"allowed": 1, "black_list": ["HANDLER"]}, 11067),
        ({"allowed": 0}, 11068),
        (None, 11068),
    ],
)
async def test_tokens(
    account: Account, client: object, pictures: dict[str, bytes], rights: dict[str, object] | None, code: int | None
) -> None:
    handler = await new_handler(account, storage_policy=NOTHING_KEPT)
    permissions = {"face": ["view"]} if rights is None else {"emit_events": rights}
    text = {"permissions": permissions, "expiration_time": None}
    body = {
        **text,
        "permissions": {
            name: {key: [handler] if value == ["HANDLER"] else value for key, value in given.items()}
            if isinstance(given, dict)
            else given
            for name, given in permissions.items()
        },
    }
    token = checked(await account.client.post("/6/tokens", json=body), 201)["token"]
    headers = {**JPEG, "Authorization": f"Bearer {token}"}
    reply = await client.post(f"/6/handlers/{handler}/events", content=pictures["obama"], headers=headers)  # type: ignore[attr-defined]
    if code is None:
        checked(reply, 201)
    else:
        refused(reply, 403, code)


@pytest.mark.parametrize(
    "query",
    [
        "longitude=1",
        "latitude=91&longitude=1",
        "image_type=3",
        f"city={'x' * 37}",
        "track_id=a b",
        "stream_id=x",
        "tags=" + "x" * 37,
    ],
)
async def test_bad_queries(account: Account, pictures: dict[str, bytes], query: str) -> None:
    handler = await new_handler(account)
    reply = await account.client.post(f"/6/handlers/{handler}/events?{query}", content=pictures["obama"], headers=JPEG)
    refused(reply, 400, 12012)


async def test_several_faces_can_be_refused(account: Account, pictures: dict[str, bytes]) -> None:
    """The image fails, not the request; the best face can be taken instead."""
    refusing = await new_handler(account, detect_policy={"multiface_policy": 0}, storage_policy=NOTHING_KEPT)
    answer = await generate(account, refusing, pictures["pair"], pictures["biden"])
    assert [image["status"] for image in answer["images"]] == [0, 1]
    assert answer["images"][0]["error"]["error_code"] == 11038
    assert [event["detections"][0]["filename"] for event in answer["events"]] == ["1.jpg"]
    best = await new_handler(account, detect_policy={"multiface_policy": 2}, storage_policy=NOTHING_KEPT)
    assert len((await generate(account, best, pictures["pair"]))["events"]) == 1


async def test_exif_turns_and_is_told(account: Account, photos: Path) -> None:  # noqa: F811
    lying = encode(np.rot90(read(photos / "obama.jpg")), orientation=6)
    handler = await new_handler(account, detect_policy={"extract_exif": 1}, storage_policy=NOTHING_KEPT)
    answer = await generate(account, handler, lying)
    assert answer["images"][0]["exif"]["Make"] == "Maker"
    (event,) = answer["events"]
    assert event["detections"][0]["samples"]["face"]["detection"]["rect"]["height"] > 100


async def test_boxes_replace_the_detection(account: Account, pictures: dict[str, bytes]) -> None:
    handler = await new_handler(account, storage_policy=NOTHING_KEPT)
    (found,) = (await generate(account, handler, pictures["obama"]))["events"]
    rect = found["detections"][0]["samples"]["face"]["detection"]["rect"]
    boxes = [{"filename": "0.jpg", "face_bounding_boxes": [rect]}]
    told = {
        "0.jpg": {"detect_time": "2021-03-10T08:11:41.674Z", "detect_ts": 1.5, "image_origin": "https://a.example/1"}
    }
    (event,) = (await generate(account, handler, pictures["obama"], face_bounding_boxes=boxes, image_meta=told))[
        "events"
    ]
    (detection,) = event["detections"]
    assert overlap(detection["samples"]["face"]["detection"]["rect"], rect) > 0.8
    assert (detection["detect_time"], detection["detect_ts"]) == ("2021-03-10T08:11:41.674000Z", 1.5)
    assert detection["image_origin"] == "https://a.example/1"


async def test_stored_samples_keep_their_ids(
    platform: Platform, new_account: AccountFactory, stranger: Account, pictures: dict[str, bytes]
) -> None:
    account = await new_account()
    handler = await new_handler(
        account, extract_policy={"extract_body_descriptor": 1}, detect_policy={"detect_body": 1}
    )
    (event,) = (await generate(account, handler, pictures["biden"]))["events"]
    samples = event["detections"][0]["samples"]
    before = (await count_rows(platform, account, "blobs"))["blobs"]
    for image_type, kind in ((1, "face"), (2, "body")):
        sample_id = samples[kind]["sample_id"]
        foreign = await new_handler(stranger)
        answer = await generate_from(stranger, foreign, {"samples": [sample_id]}, f"image_type={image_type}")
        assert (answer["events"], answer["images"][0]["error"]["error_code"]) == ([], 13003)
        answer = await generate_from(
            account, handler, {"samples": [sample_id, str(uuid4())]}, f"image_type={image_type}"
        )
        assert [image["error"]["error_code"] for image in answer["images"]] == [0, 13003]
        (again,) = answer["events"]
        assert again["detections"][0]["samples"][kind]["sample_id"] == sample_id
        assert again[f"{kind}_attributes"]["samples"] == [sample_id]
        assert again["detections"][0]["samples"][{"face": "body", "body": "face"}[kind]] is None
    assert (await count_rows(platform, account, "blobs"))["blobs"] == before


async def test_warps_are_stored_with_the_box_that_was_given(account: Account, pictures: dict[str, bytes]) -> None:
    handler = await new_handler(account)
    (event,) = (await generate(account, handler, pictures["obama"]))["events"]
    warp = (await account.client.get(event["detections"][0]["samples"]["face"]["url"])).content
    box = {"x": 500, "y": 100, "width": 400, "height": 520}
    boxes = [{"filename": "0.jpg", "face_bounding_boxes": [box]}]
    answer = await generate(account, handler, warp, query="image_type=1", face_bounding_boxes=boxes)
    (again,) = answer["events"]
    sample = again["detections"][0]["samples"]["face"]
    assert sample["detection"]["rect"] == box
    assert sample["sample_id"] != event["face_attributes"]["samples"][0]
    assert (await account.client.get(sample["url"])).content == warp
    wrong = await generate(account, handler, pictures["obama"], query="image_type=1")
    assert (wrong["events"], wrong["images"][0]["error"]["error_code"]) == ([], 11030)


async def test_given_descriptors_make_events(
    platform: Platform, new_account: AccountFactory, pictures: dict[str, bytes]
) -> None:
    """One each, seen nowhere; they are matched and can become faces."""
    account = await new_account()
    reply = await account.client.post("/6/sdk?detect_face=1", content=pictures["obama"], headers=JPEG)
    (person,) = checked(reply)["images_estimations"][0]["estimations"]
    data = person["face"]["detection"]["attributes"]["descriptor"]["sdk_descriptor"]
    handler = await new_handler(account, match_policy=ALL_FACES, storage_policy={"face_policy": {"store_face": 1}})
    given = [{"type": "sdk_descriptor", "id": "one", "data": data}]
    answer = await generate_from(account, handler, {"raw_descriptors": given}, "external_id=known")
    assert answer["images"] == []
    (event,) = answer["events"]
    assert event["detections"] == []
    assert event["face_attributes"]["samples"] == []
    assert (event["face_attributes"]["score"], event["body_attributes"]) == (None, None)
    assert event["face"]["avatar"] == ""
    counts = await count_rows(platform, account, *TABLES)
    assert counts == {"blobs": 0, "attributes": 0, "faces": 1, "events": 1, "event_descriptors": 1}

    headers = {"Content-Type": "application/x-sdk-descriptor"}
    url = f"/6/handlers/{handler}/events"
    reply = await account.client.post(url, content=base64.b64decode(data), headers=headers)
    (again,) = checked(reply, 201)["events"]
    (candidate,) = again["matches"][0]["candidates"]
    assert candidate["face"] == {"external_id": "known"}
    assert candidate["similarity"] == pytest.approx(1, abs=1e-3)
    both = await generate_from(account, handler, {"raw_descriptors": [*given, {**given[0], "id": "two"}]})
    assert len(both["events"]) == 2


# Several images of one person


async def test_several_images_make_one_event(
    platform: Platform, new_account: AccountFactory, pictures: dict[str, bytes]
) -> None:
    account = await new_account()
    handler = await new_handler(
        account,
        detect_policy={"estimate_mask": 1, "estimate_emotions": 1, "estimate_head_pose": 1},
        extract_policy={"extract_basic_attributes": 1},
        match_policy=ALL_FACES,
        storage_policy={"face_policy": {"store_face": 1}, "image_origin_policy": {"store_image": 1}},
    )
    answer = await generate(
        account, handler, pictures["obama"], pictures["obama2"], b"none", query="aggregate_attributes=1"
    )
    assert [image["status"] for image in answer["images"]] == [1, 1, 0]
    (event,) = answer["events"]
    assert [detection["filename"] for detection in event["detections"]] == ["0.jpg", "1.jpg"]
    for detection in event["detections"]:
        assert detection["samples"]["face"]["detection"]["attributes"].keys() == {"head_pose"}
    merged = event["aggregate_estimations"]
    assert merged["body"] is None
    assert merged["face"]["attributes"].keys() == {"mask", "emotions"}
    assert event["face_attributes"]["basic_attributes"]["gender"] == 1
    assert event["face_attributes"]["samples"] == [one["samples"]["face"]["sample_id"] for one in event["detections"]]
    stored = checked(await account.client.get(event["url"]))
    assert (stored["mask"], len(stored["face_detections"])) == (1, 2)
    counts = await count_rows(platform, account, *TABLES)
    assert counts == {"blobs": 4, "attributes": 0, "faces": 1, "events": 1, "event_descriptors": 1}
    assert event["matches"] == [{"label": "all", "candidates": []}]
    (again,) = (await generate(account, handler, pictures["obama"], query="aggregate_attributes=1"))["events"]
    assert again["matches"][0]["candidates"][0]["similarity"] > 0.9


async def test_several_persons_are_not_merged(account: Account, pictures: dict[str, bytes]) -> None:
    """The whole request fails, as there is but one event; the best face can be taken instead."""
    handler = await new_handler(account, storage_policy=NOTHING_KEPT)
    url = f"/6/handlers/{handler}/events?aggregate_attributes=1"
    detail = refused(await account.client.post(url, content=pictures["pair"], headers=JPEG), 400, 11038)
    assert "raw_image" in detail
    bodies = await new_handler(account, detect_policy={"detect_face": 0, "detect_body": 1}, storage_policy=NOTHING_KEPT)
    url = f"/6/handlers/{bodies}/events?aggregate_attributes=1"
    detail = refused(await account.client.post(url, content=pictures["pair"], headers=JPEG), 400, 34008)
    assert "raw_image" in detail
    best = await new_handler(account, detect_policy={"multiface_policy": 2}, storage_policy=NOTHING_KEPT)
    answer = await generate(account, best, pictures["pair"], pictures["obama"], query="aggregate_attributes=1")
    assert len(answer["events"]) == 1


async def test_nobody_makes_no_event(account: Account, pictures: dict[str, bytes]) -> None:
    handler = await new_handler(account, detect_policy={"yaw_threshold": 1}, storage_policy=NOTHING_KEPT)
    answer = await generate(account, handler, pictures["obama"], query="aggregate_attributes=1")
    assert answer["events"] == []
    assert len(answer["filtered_detections"]["face_detections"]) == 1


async def test_whole_images_are_kept_once(
    platform: Platform, new_account: AccountFactory, pictures: dict[str, bytes]
) -> None:
    account = await new_account()
    storage = {**NOTHING_KEPT, "image_origin_policy": {"store_image": 1}}
    handler = await new_handler(account, storage_policy=storage)
    answer = await generate(account, handler, pictures["pair"])
    origins = {event["detections"][0]["image_origin"] for event in answer["events"]}
    assert len(answer["events"]) == 2
    (url,) = origins
    reply = await account.client.get(url)
    assert (reply.content, reply.headers["content-type"]) == (pictures["pair"], "image/jpeg")
    assert (await count_rows(platform, account, "blobs")) == {"blobs": 1}

    image_url = checked(await account.client.post("/6/images", content=pictures["obama"], headers=JPEG), 201)["url"]
    (event,) = (await generate_from(account, handler, {"urls": [image_url]}))["events"]
    assert event["detections"][0]["image_origin"] == image_url
    assert (await count_rows(platform, account, "blobs")) == {"blobs": 2}
    copying = {"store_image": 1, "use_external_references": 0}
    handler = await new_handler(account, storage_policy={**NOTHING_KEPT, "image_origin_policy": copying})
    (event,) = (await generate_from(account, handler, {"urls": [image_url]}))["events"]
    copy = event["detections"][0]["image_origin"]
    assert copy != image_url
    assert decoded((await account.client.get(copy)).content).shape == decoded(pictures["obama"]).shape


async def test_only_own_images_are_processed(
    account: Account, new_account: AccountFactory, pictures: dict[str, bytes]
) -> None:
    """Also for accounts that may look at those of others."""
    handler = await new_handler(account)
    (event,) = (await generate(account, handler, pictures["obama"]))["events"]
    (sample,) = event["face_attributes"]["samples"]
    image = checked(await account.client.post("/6/images", content=pictures["obama"], headers=JPEG), 201)
    advanced = await new_account("advanced_user")
    assert (await advanced.client.get(image["url"])).status_code == 200
    handler = await new_handler(advanced)
    for body, query in (({"samples": [sample]}, "image_type=1"), ({"urls": [image["url"]]}, "")):
        answer = await generate_from(advanced, handler, body, query)
        assert answer["events"] == []
        assert [one["error"]["error_code"] for one in answer["images"]] == [13003]
