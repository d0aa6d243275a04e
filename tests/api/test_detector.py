"""POST /6/detector on real photographs: what it finds, stores and filters."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import numpy as np
import pytest
from sqlalchemy import text

from lunaria.app import Platform
from lunaria.estimation.schemas import DetectorResult
from lunaria.kit.pool import WorkerPool
from lunaria.storage.blobstore import BlobStoreUnavailableError
from tests.api import sdk
from tests.api.checks import DEFAULTS, NO_WARP_CHECKS, by_name, check_checks
from tests.api.conftest import Account, AccountFactory
from tests.estimation.pictures import JPEG, beside, checked, decoded, encode, files, grey, overlap, read, refused
from tests.vision.conftest import photos  # noqa: F401

URL = "/6/detector"


@pytest.fixture(scope="module")
def obama(photos: Path) -> bytes:  # noqa: F811
    return encode(read(photos / "obama.jpg"))


@pytest.fixture(scope="module")
def pair(photos: Path) -> bytes:  # noqa: F811
    """A picture of two persons."""
    return encode(beside(read(photos / "obama.jpg"), read(photos / "biden.jpg")))


async def detect(account: Account, data: bytes, query: str = "") -> dict[str, Any]:
    """The one image of the answer."""
    (image,) = checked(await account.client.post(f"{URL}?{query}", content=data, headers=JPEG))["images"]
    return dict(image)


async def stored(platform: Platform, account: Account) -> int:
    async with platform.database.connect() as connection:
        count = await connection.execute(text("SELECT count(*) FROM blobs WHERE account_id = :id"), {"id": account.id})
        return int(count.scalar_one())


async def test_face_with_its_sample(account: Account, photos: Path, stranger: Account) -> None:  # noqa: F811
    image = await detect(account, (photos / "obama.jpg").read_bytes())
    assert image["filename"] == "raw_image"
    assert (image["status"], image["exif"]) == (1, {})
    assert (image["error"]["error_code"], image["error"]["desc"]) == (0, "Success")
    assert image["detections"]["filtered_detections"] == {"face_detections": []}
    (sample,) = image["detections"]["samples"]
    assert sample["body"] is None
    face = sample["face"]
    assert face["url"] == f"/6/samples/faces/{face['sample_id']}"
    detection = face["detection"]
    assert detection.keys() == {"rect", "landmarks5", "attributes"}
    assert detection["attributes"] == {}
    # measured by independent scripts on this photograph
    assert overlap(detection["rect"], {"x": 370, "y": 91, "width": 242, "height": 330}) > 0.95
    expected = [[445, 218], [551, 216], [499, 281], [439, 327], [557, 324]]
    assert np.abs(np.array(detection["landmarks5"]) - expected).max() <= 4
    assert all(isinstance(number, int) for point in detection["landmarks5"] for number in point)
    assert all(isinstance(number, int) for number in detection["rect"].values())
    picture = await account.client.get(face["url"])
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
    assert decoded(picture.content).shape == (250, 250, 3)
    refused(await stranger.client.get(face["url"]), 404, 13003)


async def test_estimates_that_were_asked_for(account: Account, obama: bytes) -> None:
    image = await detect(account, obama, "estimate_head_pose=1&detect_landmarks68=1")
    detection = image["detections"]["samples"][0]["face"]["detection"]
    assert len(detection["landmarks68"]) == 68
    pose = detection["attributes"]["head_pose"]
    assert pose.keys() == {"pitch", "roll", "yaw"}
    assert max(abs(angle) for angle in pose.values()) < 8


async def test_several_images_with_errors_of_their_own(
    platform: Platform,
    new_account: AccountFactory,
    obama: bytes,
    pair: bytes,
) -> None:
    account = await new_account()
    form = files(one_jpg=obama, broken_jpg=obama[:5000], none_jpg=encode(grey()), two_jpg=pair, text_jpg=b"no image")
    images = checked(await account.client.post(URL, files=form))["images"]
    assert [image["filename"] for image in images] == ["one.jpg", "broken.jpg", "none.jpg", "two.jpg", "text.jpg"]
    assert [image["status"] for image in images] == [1, 0, 1, 1, 0]
    assert [image["error"]["error_code"] for image in images] == [0, 100010, 0, 0, 100029]
    assert [len(image["detections"]["samples"]) for image in images] == [1, 0, 0, 2, 0]
    assert await stored(platform, account) == 3


async def test_policies_for_several_faces(
    platform: Platform,
    new_account: AccountFactory,
    pair: bytes,
) -> None:
    account = await new_account()
    refusal = await detect(account, pair, "multiface_policy=0")
    assert (refusal["status"], refusal["error"]["error_code"]) == (0, 11038)
    assert refusal["error"]["detail"].count('"width"') == 2
    assert refusal["detections"] == {"samples": [], "filtered_detections": {"face_detections": []}}
    assert await stored(platform, account) == 0
    both = (await detect(account, pair, "multiface_policy=1"))["detections"]["samples"]
    (best,) = (await detect(account, pair, "multiface_policy=2"))["detections"]["samples"]
    assert len(both) == 2
    assert best["face"]["detection"] == both[0]["face"]["detection"]
    assert await stored(platform, account) == 3


@pytest.mark.parametrize("angle", ["pitch", "roll", "yaw"])
async def test_filters_by_angle(
    platform: Platform,
    new_account: AccountFactory,
    photos: Path,  # noqa: F811
    angle: str,
) -> None:
    account = await new_account()
    data = encode(read(photos / "biden.jpg"))
    shown = await detect(account, data, "estimate_head_pose=1")
    pose = shown["detections"]["samples"][0]["face"]["detection"]["attributes"]["head_pose"]
    value = pose[angle]
    assert abs(value) > 1  # else the limits below say nothing
    limit = int(abs(value))
    filtered = await detect(account, data, f"{angle}_threshold={limit}")
    assert filtered["detections"]["samples"] == []
    (item,) = filtered["detections"]["filtered_detections"]["face_detections"]
    assert item["filter_reasons"] == [
        {"filter_name": f"{angle}_threshold", "object_value": value, "threshold_value": limit}
    ]
    assert item["detection"]["attributes"] == {}  # estimated for the filter only
    everything = await detect(account, data, f"{angle}_threshold=0&estimate_head_pose=1")
    (item,) = everything["detections"]["filtered_detections"]["face_detections"]
    assert item["detection"]["attributes"]["head_pose"] == pose
    for passing in (limit + 1, 180):
        image = await detect(account, data, f"{angle}_threshold={passing}")
        assert len(image["detections"]["samples"]) == 1
        assert image["detections"]["samples"][0]["face"]["detection"]["attributes"] == {}
    assert await stored(platform, account) == 3


async def test_warp_is_stored_unchanged(account: Account, obama: bytes) -> None:
    image = await detect(account, obama)
    warp = (await account.client.get(image["detections"]["samples"][0]["face"]["url"])).content
    query = "warped_image=1&estimate_head_pose=1&detect_landmarks68=1&estimate_gaze=1&yaw_threshold=0"
    (sample,) = (await detect(account, warp, query))["detections"]["samples"]
    assert sample["face"]["detection"] == {
        "rect": {"x": 0, "y": 0, "width": 250, "height": 250},
        "attributes": {},
    }
    assert (await account.client.get(sample["face"]["url"])).content == warp


async def test_warp_of_another_format_becomes_jpeg(account: Account, photos: Path) -> None:  # noqa: F811
    warp = read(photos / "obama.jpg")[:250, :250]
    reply = await account.client.post(
        f"{URL}?warped_image=1", content=encode(warp, "PNG"), headers={"Content-Type": "image/png"}
    )
    (sample,) = checked(reply)["images"][0]["detections"]["samples"]
    picture = await account.client.get(sample["face"]["url"])
    assert picture.headers["content-type"] == "image/jpeg"
    assert np.abs(decoded(picture.content).astype(int) - warp).mean() < 3


async def test_warp_with_exif_orientation_is_not_turned(account: Account, photos: Path) -> None:  # noqa: F811
    warp = read(photos / "obama.jpg")[:250, :250]
    (sample,) = (await detect(account, encode(warp, orientation=6), "warped_image=1"))["detections"]["samples"]
    picture = (await account.client.get(sample["face"]["url"])).content
    assert np.abs(decoded(picture).astype(int) - warp).mean() < 3
    assert b"Exif" not in picture


async def test_warp_of_a_wrong_size(account: Account, obama: bytes) -> None:
    image = await detect(account, obama, "warped_image=1")
    assert (image["status"], image["error"]["error_code"]) == (0, 11030)
    assert image["error"]["detail"] == "Image size is not equal to 250x250"


async def test_exif_orientation(account: Account, photos: Path) -> None:  # noqa: F811
    upright = read(photos / "obama.jpg")
    lying = encode(np.rot90(upright), orientation=6)  # the camera says: turn clockwise by 90 degrees
    expected = (await detect(account, encode(upright)))["detections"]["samples"][0]["face"]["detection"]["rect"]
    turned = await detect(account, lying, "extract_exif=1")
    assert overlap(turned["detections"]["samples"][0]["face"]["detection"]["rect"], expected) > 0.95
    assert turned["exif"]["Make"] == "Maker"
    left = await detect(account, lying, "use_exif_info=0")
    rects = [sample["face"]["detection"]["rect"] for sample in left["detections"]["samples"]]
    assert all(overlap(rect, expected) < 0.7 for rect in rects)
    assert left["exif"] == {}


async def test_boxes_replace_the_detection(account: Account, pair: bytes) -> None:
    found = (await detect(account, pair))["detections"]["samples"]
    rects = [sample["face"]["detection"]["rect"] for sample in found]
    boxes = [rects[1], {"x": 0, "y": 0, "width": 40, "height": 40}]
    part = json.dumps([{"filename": "pair.jpg", "face_bounding_boxes": boxes}]).encode()
    form = [
        ("image", ("pair.jpg", pair, "image/jpeg")),
        ("face_bounding_boxes", (None, part, "application/json")),
    ]
    reply = await account.client.post(URL, files=form)
    (sample,) = checked(reply)["images"][0]["detections"]["samples"]
    assert overlap(sample["face"]["detection"]["rect"], rects[1]) > 0.7


async def test_stored_image_by_its_address(account: Account, stranger: Account, obama: bytes) -> None:
    url = checked(await account.client.post("/6/images", content=obama, headers=JPEG), 201)["url"]
    sources = [url, f"/6/images/{uuid4()}"]
    images = checked(await account.client.post(URL, json=sources))["images"]
    assert [image["filename"] for image in images] == sources
    assert [len(image["detections"]["samples"]) for image in images] == [1, 0]
    assert images[1]["error"]["error_code"] == 13003
    (foreign,) = checked(await stranger.client.post(URL, json=[url]))["images"]
    assert (foreign["status"], foreign["error"]["error_code"]) == (0, 13003)


ESTIMATES = {
    **{name: f"estimate_{name}" for name in ("head_pose", "emotions", "mask", "gaze", "eyes_attributes")},
    "mouth_attributes": "estimate_mouth_attributes",
    "landmarks68": "detect_landmarks68",
    "quality": "estimate_quality",
    "face_quality": "estimate_face_quality",
}
"""Key of an estimate -> query parameter."""
CHECKS = {
    **{key: check for key, check in sdk.FACE_ATTRIBUTES.values() if key in ESTIMATES},
    **{key: check for key, check in sdk.FACE_DETECTION.values() if key in ESTIMATES},
    "face_quality": lambda value: check_checks(value, list(DEFAULTS)),
}
BESIDE_ATTRIBUTES = {"landmarks68", "quality", "face_quality"}
NOT_OF_WARPS = {"head_pose", "gaze", "landmarks68"}


def check_detection(detection: dict[str, Any], keys: Iterable[str], **more: sdk.Check) -> None:
    """It holds these estimates, rightly shaped, and nothing else."""
    direct = {key: CHECKS[key] for key in keys if key in BESIDE_ATTRIBUTES}
    inner = {key: CHECKS[key] for key in keys if key not in BESIDE_ATTRIBUTES}
    sdk.shape(rect=sdk.rect, attributes=sdk.shape(**inner), **direct, **more)(detection)


@pytest.mark.parametrize("keys", [*([key] for key in ESTIMATES), list(ESTIMATES)], ids=lambda keys: "-".join(keys[:2]))
async def test_estimates(account: Account, pair: bytes, keys: list[str]) -> None:
    image = await detect(account, pair, "&".join(f"{ESTIMATES[key]}=1" for key in keys))
    assert len(image["detections"]["samples"]) == 2
    for sample in image["detections"]["samples"]:
        check_detection(sample["face"]["detection"], keys, landmarks5=sdk.points(5))


async def test_estimates_of_warps(account: Account, obama: bytes) -> None:
    """What a warp cannot tell is left out; of the face quality, what needs the surroundings."""
    query = "&".join(f"{parameter}=1" for parameter in ESTIMATES.values())
    (raw,) = (await detect(account, obama, query))["detections"]["samples"]
    warp = (await account.client.get(raw["face"]["url"])).content
    (sample,) = (await detect(account, warp, f"warped_image=1&{query}"))["detections"]["samples"]
    detection = sample["face"]["detection"]
    quality = detection.pop("face_quality")
    check_detection(detection, [key for key in ESTIMATES if key not in {*NOT_OF_WARPS, "face_quality"}])
    check_checks(quality, [name for name in DEFAULTS if name not in NO_WARP_CHECKS])
    found = by_name(quality)
    assert [found[name]["object_value"] for name in ("image_width", "image_height", "face_width")] == [250, 250, 250]


async def test_face_quality_is_of_the_picture(account: Account, obama: bytes) -> None:
    """The checks of sizes say what the file and the rect say."""
    (sample,) = (await detect(account, obama, "estimate_face_quality=1"))["detections"]["samples"]
    rect = sample["face"]["detection"]["rect"]
    height, width = decoded(obama).shape[:2]
    found = {
        name: check["object_value"] for name, check in by_name(sample["face"]["detection"]["face_quality"]).items()
    }
    assert found["image_size"] == len(obama)
    assert (found["image_width"], found["image_height"]) == (width, height)
    assert found["aspect_ratio"] == pytest.approx(width / height)
    assert (found["face_width"], found["face_height"]) == (rect["width"], rect["height"])
    assert (found["indent_left"], found["indent_upper"]) == (rect["x"], rect["y"])
    assert found["indent_right"] == width - rect["x"] - rect["width"]
    assert found["indent_lower"] == height - rect["y"] - rect["height"]


async def test_filtered_faces_have_no_face_quality(account: Account, pair: bytes) -> None:
    detections = (await detect(account, pair, "estimate_face_quality=1&estimate_mask=1&roll_threshold=10"))[
        "detections"
    ]
    (sample,) = detections["samples"]
    (filtered,) = detections["filtered_detections"]["face_detections"]
    check_detection(sample["face"]["detection"], ["mask", "face_quality"], landmarks5=sdk.points(5))
    check_detection(filtered["detection"], ["mask"], landmarks5=sdk.points(5))


async def test_answers_are_as_documented(account: Account, obama: bytes, pair: bytes) -> None:
    query = "&".join(f"{parameter}=1" for parameter in ESTIMATES.values())
    form = files(pair_jpg=pair, broken_jpg=b"x", none_jpg=encode(grey()), obama_jpg=obama)
    reply = await account.client.post(f"{URL}?{query}&roll_threshold=10&extract_exif=1", files=form)
    found = msgspec.json.decode(reply.content, type=DetectorResult)
    assert msgspec.json.decode(msgspec.json.encode(found)) == reply.json()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("multiface_policy", "3"),
        ("estimate_head_pose", "2"),
        ("detect_landmarks68", "yes"),
        ("extract_exif", "-1"),
        ("use_exif_info", ""),
        ("warped_image", "2"),
        ("estimate_face_quality", "2"),
        ("pitch_threshold", "181"),
        ("roll_threshold", "-1"),
        ("yaw_threshold", "1.5"),
    ],
)
async def test_bad_parameters(account: Account, name: str, value: str) -> None:
    reply = await account.client.post(f"{URL}?{name}={value}", content=b"x", headers=JPEG)
    assert f"'{name}'" in refused(reply, 400, 12012)


async def test_bad_requests(account: Account, client: httpx.AsyncClient, obama: bytes) -> None:
    refused(await account.client.post(URL, content=obama, headers={"Content-Type": "text/plain"}), 400, 12017)
    refused(await account.client.post(URL, content=b"", headers=JPEG), 400, 12030)
    refused(await client.post(URL, content=obama, headers=JPEG), 401, 11065)


async def test_right_of_a_token(account: Account, transport: httpx.ASGITransport, obama: bytes) -> None:
    for permissions, status in (({"face_sample": ["creation"]}, 200), ({"face_sample": ["view"]}, 403)):
        body = {"permissions": permissions, "expiration_time": None}
        token = checked(await account.client.post("/6/tokens", json=body), 201)["token"]
        headers = {**JPEG, "Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://lunaria") as bearer:
            reply = await bearer.post(URL, content=obama, headers=headers)
        assert reply.status_code == status
        if status == 403:
            refused(reply, 403, 11059)


async def test_nothing_is_recorded_when_storing_fails(
    platform: Platform,
    new_account: AccountFactory,
    pair: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = await new_account()
    put, calls = platform.blob_store.put, []

    async def failing(key: str, data: bytes) -> None:
        calls.append(key)
        if len(calls) == 2:
            raise BlobStoreUnavailableError("full")
        await put(key, data)

    monkeypatch.setattr(platform.blob_store, "put", failing)
    reply = await account.client.post(URL, content=pair, headers=JPEG)
    assert reply.status_code == 503
    assert len(calls) == 2
    assert await stored(platform, account) == 0


async def test_full_queue(
    platform: Platform,
    new_account: AccountFactory,
    obama: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = await new_account()
    pool = WorkerPool(1, 1)
    monkeypatch.setattr(platform.examiner, "_pool", pool)
    form = files(a_jpg=obama, b_jpg=obama, c_jpg=obama, d_jpg=obama)
    reply = await account.client.post(URL, files=form)
    refused(reply, 503, 11)
    assert reply.headers["retry-after"] == "1"
    assert await stored(platform, account) == 0
    pool.close()


async def test_number_of_boxes_is_bounded(account: Account, obama: bytes) -> None:
    boxes = [{"filename": "a.jpg", "face_bounding_boxes": [{"x": 0, "y": 0, "width": 9, "height": 9}] * 101}]
    form = [
        ("image", ("a.jpg", obama, "image/jpeg")),
        ("face_bounding_boxes", (None, json.dumps(boxes).encode(), "application/json")),
    ]
    detail = refused(await account.client.post(URL, files=form), 400, 12022)
    assert "face_bounding_boxes.0.face_bounding_boxes" in detail
    source = {"url": "/6/images/10bc2cb4-db84-410d-adc7-ff2ac17e4b2d", **boxes[0]}
    del source["filename"]
    refused(await account.client.post(URL, json=[source]), 400, 12022)
