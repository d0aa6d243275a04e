"""POST /6/sdk on real photographs: what it finds, and that it stores nothing."""

import base64
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from sqlalchemy import text

from lunaria.app import Platform
from lunaria.estimation import examination
from tests.api.conftest import Account, AccountFactory
from tests.api.sdk import URL, ask, faces, vector
from tests.estimation.pictures import JPEG, beside, checked, decoded, encode, grey, overlap, read, refused
from tests.vision.conftest import photos  # noqa: F401


@pytest.fixture(scope="module")
def pictures(photos: Path) -> dict[str, bytes]:  # noqa: F811
    names = ("obama", "obama2", "biden")
    made = {name: encode(read(photos / f"{name}.jpg")) for name in names}
    made["pair"] = encode(beside(read(photos / "obama.jpg"), read(photos / "biden.jpg")))
    made["none"] = encode(grey())
    return made


async def test_findings_and_that_nothing_is_stored(
    platform: Platform,
    new_account: AccountFactory,
    pictures: dict[str, bytes],
) -> None:
    account = await new_account()
    query = (
        "detect_face=1&estimate_landmarks5=1&estimate_landmarks68=1&estimate_head_pose=1&estimate_face_warp=1"
        "&estimate_face_descriptor=1"
    )
    (image,) = (await ask(account, query, pictures["obama"]))["images_estimations"]
    assert image.keys() == {
        "filename",
        "status",
        "error",
        "estimations",
        "filtered_detections",
        "image_estimations",
        "exif",
    }
    assert (image["filename"], image["status"], image["image_estimations"], image["exif"]) == ("raw_image", 1, {}, {})
    assert image["filtered_detections"] == {"face_detections": [], "body_detections": []}
    (person,) = image["estimations"]
    assert person["body"] is None
    detection = person["face"]["detection"]
    assert detection.keys() == {"rect", "landmarks5", "landmarks68", "warp", "attributes"}
    assert (len(detection["landmarks5"]), len(detection["landmarks68"])) == (5, 68)
    assert decoded(base64.b64decode(detection["warp"])).shape == (250, 250, 3)
    assert detection["attributes"].keys() == {"head_pose", "descriptor"}
    descriptor = detection["attributes"]["descriptor"]
    assert descriptor["version"] == platform.analyzer.descriptor_version
    assert vector(descriptor).shape == (platform.analyzer.descriptor_dimension,)
    assert 0 < descriptor["score"] <= 1
    async with platform.database.connect() as connection:
        for table in ("blobs", "attributes", "faces"):
            statement = text(f"SELECT count(*) FROM {table} WHERE account_id = :id")
            assert (await connection.execute(statement, {"id": account.id})).scalar_one() == 0


async def test_only_what_was_asked_for(account: Account, pictures: dict[str, bytes]) -> None:
    (detection,) = await faces(account, "detect_face=1&estimate_face_descriptor=0", pictures["obama"])
    assert detection.keys() == {"rect", "attributes"}
    assert detection["attributes"] == {}
    (default,) = await faces(account, "detect_face=1", pictures["obama"])
    assert default["attributes"].keys() == {"descriptor"}


@pytest.mark.parametrize("query", ["", "detect_face=0&estimate_head_pose=1&estimate_face_warp=1"])
async def test_nothing_is_detected_unasked(account: Account, pictures: dict[str, bytes], query: str) -> None:
    answer = await ask(account, query, pictures["obama"], b"no picture")
    assert [image["status"] for image in answer["images_estimations"]] == [1, 0]
    assert [image["estimations"] for image in answer["images_estimations"]] == [[], []]
    assert "aggregate_estimations" not in answer


async def test_picture_without_a_face(account: Account, pictures: dict[str, bytes]) -> None:
    (image,) = (await ask(account, "detect_face=1", pictures["none"]))["images_estimations"]
    assert (image["status"], image["error"]["error_code"], image["estimations"]) == (1, 0, [])


async def test_descriptors_tell_persons_apart(account: Account, pictures: dict[str, bytes]) -> None:
    vectors = {}
    for name in ("obama", "obama2", "biden"):
        (detection,) = await faces(account, "detect_face=1", pictures[name])
        vectors[name] = vector(detection["attributes"]["descriptor"])
    assert vectors["obama"] @ vectors["obama2"] > 0.6
    assert vectors["obama"] @ vectors["biden"] < 0.35


async def test_images_keep_their_order_and_errors(account: Account, pictures: dict[str, bytes]) -> None:
    data = [pictures["pair"], pictures["obama"][:3000], pictures["none"], pictures["biden"], b"text"]
    images = (await ask(account, "detect_face=1", *data))["images_estimations"]
    assert [image["filename"] for image in images] == [f"{number}.jpg" for number in range(5)]
    assert [image["error"]["error_code"] for image in images] == [0, 100010, 0, 0, 100029]
    assert [image["status"] for image in images] == [1, 0, 1, 1, 0]
    assert [len(image["estimations"]) for image in images] == [2, 0, 0, 1, 0]


async def test_policies_for_several_faces(account: Account, pictures: dict[str, bytes]) -> None:
    both = await faces(account, "detect_face=1&multiface_policy=1", pictures["pair"])
    (best,) = await faces(account, "detect_face=1&multiface_policy=2", pictures["pair"])
    assert len(both) == 2
    assert best == both[0]
    (image,) = (await ask(account, "detect_face=1&multiface_policy=0", pictures["pair"]))["images_estimations"]
    assert (image["status"], image["error"]["error_code"]) == (0, 11038)
    (alone,) = await faces(account, "detect_face=1&multiface_policy=0", pictures["obama"])
    assert overlap(alone["rect"], best["rect"]) > 0.9 or overlap(alone["rect"], both[1]["rect"]) > 0.9


async def test_filters_by_angle(account: Account, pictures: dict[str, bytes]) -> None:
    query = "detect_face=1&estimate_face_warp=1&roll_threshold=10"
    (image,) = (await ask(account, query, pictures["pair"]))["images_estimations"]
    (kept,) = image["estimations"]
    (filtered,) = image["filtered_detections"]["face_detections"]
    assert kept["face"]["detection"]["rect"]["x"] < filtered["detection"]["rect"]["x"]  # Biden, on the right, leans
    (reason,) = filtered["filter_reasons"]
    assert reason["filter_name"] == "roll_threshold"
    assert reason["threshold_value"] == 10
    assert 10 <= reason["object_value"] < 16
    assert filtered["detection"].keys() == {"rect", "attributes"}
    assert kept["face"]["detection"]["attributes"].keys() == {"descriptor"}


async def test_score_threshold_drops_descriptors(account: Account, pictures: dict[str, bytes]) -> None:
    (shown,) = await faces(account, "detect_face=1", pictures["biden"])
    score = shown["attributes"]["descriptor"]["score"]
    for threshold, expected in ((score, {"descriptor"}), (min(score + 1e-6, 1), set())):
        (detection,) = await faces(account, f"detect_face=1&score_threshold={threshold:.17f}", pictures["biden"])
        assert detection["attributes"].keys() == expected
    answer = await ask(
        account, f"detect_face=1&aggregate_attributes=1&score_threshold={score + 1e-6:.9f}", pictures["biden"]
    )
    assert answer["aggregate_estimations"] == {"face": {"attributes": {}}, "body": None}


async def test_aggregation(account: Account, pictures: dict[str, bytes]) -> None:
    single = []
    for name in ("obama", "obama2"):
        (detection,) = await faces(account, "detect_face=1", pictures[name])
        single.append(detection["attributes"]["descriptor"])
    query = "detect_face=1&aggregate_attributes=1&estimate_landmarks5=1"
    answer = await ask(account, query, pictures["obama"], pictures["none"], pictures["obama2"])
    images = answer["images_estimations"]
    assert [len(image["estimations"]) for image in images] == [1, 0, 1]
    for image in (images[0], images[2]):
        detection = image["estimations"][0]["face"]["detection"]
        assert detection.keys() == {"rect", "landmarks5", "attributes"}
        assert detection["attributes"] == {}
    assert answer["aggregate_estimations"]["body"] is None
    merged = answer["aggregate_estimations"]["face"]["attributes"]["descriptor"]
    expected = sum(estimate["score"] * vector(estimate) for estimate in single)
    assert vector(merged) @ (expected / np.linalg.norm(expected)) > 0.999
    assert merged["score"] == pytest.approx(np.mean([estimate["score"] for estimate in single]))


async def test_aggregation_wants_one_person(account: Account, pictures: dict[str, bytes]) -> None:
    answer = await ask(account, "detect_face=1&aggregate_attributes=1", pictures["pair"])
    (image,) = answer["images_estimations"]
    assert image["error"]["error_code"] == 11038
    assert answer["aggregate_estimations"] == {"face": None, "body": None}
    answer = await ask(account, "detect_face=1&aggregate_attributes=1&multiface_policy=2", pictures["pair"])
    assert "descriptor" in answer["aggregate_estimations"]["face"]["attributes"]


async def test_aggregation_of_filtered_faces(account: Account, pictures: dict[str, bytes]) -> None:
    answer = await ask(account, "detect_face=1&aggregate_attributes=1&yaw_threshold=0", pictures["obama"])
    assert answer["aggregate_estimations"] == {"face": None, "body": None}
    assert len(answer["images_estimations"][0]["filtered_detections"]["face_detections"]) == 1


async def test_face_warp(account: Account, pictures: dict[str, bytes]) -> None:
    (raw,) = await faces(account, "detect_face=1&estimate_face_warp=1", pictures["obama"])
    warp = base64.b64decode(raw["warp"])
    # what a warp cannot give is left out, without asking for a detection
    query = (
        "image_type=1&estimate_head_pose=1&estimate_landmarks5=1&estimate_landmarks68=1&estimate_gaze=1"
        "&estimate_liveness=1&estimate_deepfake=1&yaw_threshold=0&estimate_face_warp=1&detect_body=1&multiface_policy=0"
    )
    (detection,) = await faces(account, query, warp)
    assert detection.keys() == {"rect", "warp", "attributes"}
    assert detection["rect"] == {"x": 0, "y": 0, "width": 250, "height": 250}
    assert base64.b64decode(detection["warp"]) == warp
    assert detection["attributes"].keys() == {"descriptor"}
    assert vector(detection["attributes"]["descriptor"]) @ vector(raw["attributes"]["descriptor"]) > 0.97
    (image,) = (await ask(account, "image_type=1", pictures["obama"]))["images_estimations"]
    assert (image["status"], image["error"]["error_code"]) == (0, 11030)


async def test_boxes_with_a_warp_are_ignored(account: Account, pictures: dict[str, bytes]) -> None:
    (raw,) = await faces(account, "detect_face=1&estimate_face_warp=1", pictures["obama"])
    boxes = [{"filename": "w.jpg", "face_bounding_boxes": [{"x": 0, "y": 0, "width": 5, "height": 5}]}]
    form = [
        ("image", ("w.jpg", base64.b64decode(raw["warp"]), "image/jpeg")),
        ("face_bounding_boxes", (None, msgspec.json.encode(boxes), "application/json")),
    ]
    answer = checked(await account.client.post(f"{URL}?image_type=1", files=form))
    assert len(answer["images_estimations"][0]["estimations"]) == 1


async def test_boxes_of_the_client(account: Account, pictures: dict[str, bytes]) -> None:
    rects = [detection["rect"] for detection in await faces(account, "detect_face=1", pictures["pair"])]
    boxes = [
        {"filename": "p.jpg", "face_bounding_boxes": [*reversed(rects), {"x": 1, "y": 1, "width": 9, "height": 9}]}
    ]
    form = [
        ("image", ("p.jpg", pictures["pair"], "image/jpeg")),
        ("face_bounding_boxes", (None, msgspec.json.encode(boxes), "application/json")),
    ]
    answer = checked(await account.client.post(f"{URL}?detect_face=1", files=form))
    found = [person["face"]["detection"]["rect"] for person in answer["images_estimations"][0]["estimations"]]
    assert len(found) == 2
    assert all(overlap(rect, box) > 0.7 for rect, box in zip(found, reversed(rects), strict=True))


async def test_messagepack_carries_bytes(account: Account, pictures: dict[str, bytes]) -> None:
    query = f"{URL}?detect_face=1&estimate_face_warp=1"
    shown = checked(await account.client.post(query, content=pictures["obama"], headers=JPEG))
    headers = {**JPEG, "Accept": "application/msgpack"}
    reply = await account.client.post(query, content=pictures["obama"], headers=headers)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/msgpack")
    answer = msgspec.msgpack.decode(reply.content)
    detection = answer["images_estimations"][0]["estimations"][0]["face"]["detection"]
    assert decoded(detection["warp"]).shape == (250, 250, 3)
    assert detection["attributes"]["descriptor"]["sdk_descriptor"][:4] == b"dp\0\0"
    assert msgspec.json.decode(msgspec.json.encode(answer)) == shown
    refused(await account.client.post(query, content=b"x", headers={**JPEG, "Accept": "text/csv"}), 406, 12023)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM"])
async def test_other_formats(account: Account, photos: Path, form: str) -> None:  # noqa: F811
    kind = {"PPM": "x-portable-pixmap"}.get(form, form.lower())
    data = encode(read(photos / "biden.jpg"), form)
    for body, name in ((data, f"image/{kind}"), (base64.b64encode(data), f"image/x-{kind.removeprefix('x-')}-base64")):
        reply = await account.client.post(f"{URL}?detect_face=1", content=body, headers={"Content-Type": name})
        assert len(checked(reply)["images_estimations"][0]["estimations"]) == 1


async def test_exif_of_jpeg(account: Account, photos: Path) -> None:  # noqa: F811
    data = encode(np.rot90(read(photos / "biden.jpg")), orientation=6)
    (image,) = (await ask(account, "detect_face=1&extract_exif=1", data))["images_estimations"]
    assert image["exif"] == {"Orientation": 6, "Make": "Maker"}
    assert len(image["estimations"]) == 1
    (image,) = (await ask(account, "extract_exif=1", data))["images_estimations"]
    assert image["exif"]["Make"] == "Maker"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_type", "3"),
        ("multiface_policy", "-1"),
        ("detect_face", "true"),
        ("estimate_face_descriptor", "2"),
        ("estimate_body_descriptor", "2"),
        ("aggregate_attributes", "2"),
        ("pitch_threshold", "181"),
        ("yaw_threshold", "x"),
        ("score_threshold", "1.01"),
        ("score_threshold", "nan"),
        ("mask_states", "1,4"),
        ("mask_states", ""),
        ("liveness_states", "3"),
        ("deepfake_states", "2"),
        ("use_exif_info", "2"),
    ],
)
async def test_bad_parameters(account: Account, name: str, value: str) -> None:
    reply = await account.client.post(f"{URL}?{name}={value}", content=b"x", headers=JPEG)
    assert f"'{name}'" in refused(reply, 400, 12012)


async def test_right_of_a_token(account: Account, transport: httpx.ASGITransport, pictures: dict[str, bytes]) -> None:
    for resources, status in ((["sdk"], 200), (["iso", "liveness"], 403)):
        body = {"permissions": {"resources": resources}, "expiration_time": None}
        token = checked(await account.client.post("/6/tokens", json=body), 201)["token"]
        headers = {**JPEG, "Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://lunaria") as bearer:
            reply = await bearer.post(URL, content=pictures["none"], headers=headers)
        checked(reply, status)
        if status == 403:
            refused(reply, 403, 11060)


async def test_each_image_is_decoded_and_analysed_once_and_warps_are_encoded_when_asked(
    account: Account, platform: Platform, pictures: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def count(owner: object, name: str) -> None:
        function = getattr(owner, name)

        def counted(*args: Any, **options: Any) -> Any:
            calls.append(name)
            return function(*args, **options)

        monkeypatch.setattr(owner, name, counted)

    count(platform.decoder, "decode")
    count(platform.analyzer, "find")
    count(examination, "encode_jpeg")
    await ask(account, "detect_face=1&estimate_landmarks68=1&estimate_head_pose=1&yaw_threshold=90", pictures["obama"])
    assert calls == ["decode", "find"]
    calls.clear()
    await ask(account, "detect_face=1&estimate_face_warp=1", pictures["pair"])
    assert calls == ["decode", "find", "encode_jpeg", "encode_jpeg"]
    calls.clear()
    await ask(account, "detect_face=1&estimate_face_warp=1&yaw_threshold=0", pictures["obama"])
    assert calls == ["decode", "find"]
