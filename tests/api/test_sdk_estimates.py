"""POST /6/sdk: every estimate of a face that is asked for is there, rightly shaped, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image as PillowImage

from lunaria.estimation.schemas import SdkResult
from tests.api import sdk
from tests.api.conftest import Account
from tests.api.sdk import BARE, EVERYTHING, FACE_FLAGS, NOT_OF_WARPS, ask, ask_one, check_face, faces, only, warp
from tests.estimation.pictures import beside, encode, files, grey, read
from tests.vision.conftest import photos  # noqa: F401

PEOPLE = ("obama", "biden", "obama3")
BUSTS = {
    "obama.jpg": (180, 20, 330),
    "biden.jpg": (80, 20, 260),
    "astronaut.png": (90, 0, 270),
    "obama2.jpg": (50, 100, 360),
}
"""Where heads and shoulders are: left, top, side."""
OF_WARPS = [flag for flag in FACE_FLAGS if flag not in NOT_OF_WARPS]


@pytest.fixture(scope="module")
def pictures(photos: Path) -> dict[str, bytes]:  # noqa: F811
    made = {name: encode(read(photos / f"{name}.jpg")) for name in PEOPLE}
    made["pair"] = encode(beside(read(photos / "obama.jpg"), read(photos / "biden.jpg")))
    return made


@pytest.mark.parametrize("flag", FACE_FLAGS)
async def test_each_estimate_alone(account: Account, pictures: dict[str, bytes], flag: str) -> None:
    image = await ask_one(account, f"detect_face=1&{only(flag)}", pictures["obama"])
    (person,) = image["estimations"]
    assert person["body"] is None
    check_face(person["face"]["detection"], [flag])
    assert image["image_estimations"] == {}


async def test_all_estimates_of_several_faces(account: Account, pictures: dict[str, bytes]) -> None:
    image = await ask_one(account, f"detect_face=1&{EVERYTHING}", pictures["pair"])
    assert len(image["estimations"]) == 2
    for person in image["estimations"]:
        assert person["body"] is None
        check_face(person["face"]["detection"], FACE_FLAGS)
    assert image["filtered_detections"] == {"face_detections": [], "body_detections": []}


async def test_estimates_without_a_detection_find_nothing(account: Account, pictures: dict[str, bytes]) -> None:
    image = await ask_one(account, EVERYTHING, pictures["obama"])
    assert image["estimations"] == []


async def test_answers_are_as_documented(account: Account, pictures: dict[str, bytes]) -> None:
    """The document is made of the types that the answer is decoded with here, ranges and enumerations included."""
    query = f"detect_face=1&detect_body=1&roll_threshold=10&extract_exif=1&{EVERYTHING}"
    form = files(pair_jpg=pictures["pair"], broken_jpg=b"x", none_jpg=encode(grey()))
    for aggregate in (0, 1):
        reply = await account.client.post(f"{sdk.URL}?{query}&aggregate_attributes={aggregate}", files=form)
        answer = msgspec.json.decode(reply.content, type=SdkResult)
        assert msgspec.json.decode(msgspec.json.encode(answer)) == reply.json()


async def test_broken_images_leave_the_estimates_of_the_others(account: Account, pictures: dict[str, bytes]) -> None:
    data = [pictures["obama"], pictures["obama"][:9000], encode(grey()), pictures["biden"]]
    images = (await ask(account, f"detect_face=1&{EVERYTHING}", *data))["images_estimations"]
    assert [image["error"]["error_code"] for image in images] == [0, 100010, 0, 0]
    assert [len(image["estimations"]) for image in images] == [1, 0, 0, 1]
    assert (images[1]["image_estimations"], images[1]["exif"]) == ({}, {})
    for image in (images[0], images[3]):
        check_face(image["estimations"][0]["face"]["detection"], FACE_FLAGS)


async def test_eyes_and_landmarks_lie_in_the_image(account: Account, pictures: dict[str, bytes]) -> None:
    """Left is the left side of the picture; all points are pixels of the image, as the rect is."""
    flags = only("estimate_eyes_attributes", "estimate_landmarks5", "estimate_landmarks68")
    (found,) = await faces(account, f"detect_face=1&{flags}", pictures["biden"])
    eyes = found["attributes"]["eyes_attributes"]
    box = found["rect"]
    centres = []
    for name, landmark in zip(("left_eye", "right_eye"), found["landmarks5"], strict=False):
        iris = np.array(eyes[name]["iris_landmarks"])
        centres.append(iris.mean(axis=0))
        assert np.linalg.norm(centres[-1] - landmark) < 0.12 * box["width"]
        assert 0 < np.ptp(iris[:, 0]) < 0.2 * box["width"]
    assert centres[0][0] < centres[1][0]
    inside = np.array(found["landmarks68"]) - (box["x"], box["y"])
    assert (inside > -0.2 * box["width"]).all()
    assert (inside < 1.2 * np.array([box["width"], box["height"]])).all()


@pytest.mark.parametrize("name", PEOPLE)
async def test_warps_agree_with_their_images(account: Account, pictures: dict[str, bytes], name: str) -> None:
    """What a warp can tell, it tells as the photograph does; what it cannot is left out, whatever was asked for."""
    (raw,) = await faces(account, f"detect_face=1&multiface_policy=2&{EVERYTHING}", pictures[name])
    image = await ask_one(account, f"image_type=1&detect_body=1&yaw_threshold=0&{EVERYTHING}", warp(raw))
    assert image["image_estimations"] == {}
    (person,) = image["estimations"]
    assert person["body"] is None
    found = person["face"]["detection"]
    check_face(found, OF_WARPS)
    assert found["rect"] == {"x": 0, "y": 0, "width": 250, "height": 250}
    assert warp(found) == warp(raw)
    one, other = raw["attributes"], found["attributes"]
    for key, tolerance in (("emotions", 0.2), ("mask", 0.15)):
        assert _difference(one[key]["estimations"], other[key]["estimations"]) < tolerance, key
    assert _difference(one["mouth_attributes"], other["mouth_attributes"]) < 0.2
    assert _difference(raw["quality"], found["quality"]) < 0.25
    assert one["glasses"] == other["glasses"]
    for eye in ("left_eye", "right_eye"):
        assert one["eyes_attributes"][eye]["state"] == other["eyes_attributes"][eye]["state"]
    first, second = one["basic_attributes"], other["basic_attributes"]
    assert abs(first["age"] - second["age"]) <= 4
    assert first["gender"] == second["gender"]
    assert _difference(first["ethnicities"]["estimations"], second["ethnicities"]["estimations"]) < 0.2
    assert sdk.vector(one["descriptor"]) @ sdk.vector(other["descriptor"]) > 0.97


@pytest.mark.parametrize("flag", [*sorted(NOT_OF_WARPS), "estimate_people_count"])
async def test_what_is_impossible_with_a_warp_is_left_out(
    account: Account, pictures: dict[str, bytes], flag: str
) -> None:
    (raw,) = await faces(account, f"detect_face=1&{only('estimate_face_warp')}", pictures["obama"])
    image = await ask_one(account, f"image_type=1&{only(flag)}", warp(raw))
    (person,) = image["estimations"]
    check_face(person["face"]["detection"], [])
    assert image["image_estimations"] == {}


async def test_many_faces_keep_their_own_estimates(account: Account, photos: Path) -> None:  # noqa: F811
    """Ten faces are more than a network takes at once. Twice the same row: the same estimates in each column."""
    row = beside(*[_bust(photos / name, *square) for name, square in BUSTS.items()])
    data = encode(np.concatenate([row, row, row]))
    found = await faces(account, f"detect_face=1&{EVERYTHING}", data)
    assert len(found) == 12
    for detection in found:
        check_face(detection, FACE_FLAGS)
    rows: list[list[dict[str, Any]]] = [[], [], []]
    for detection in sorted(found, key=lambda one: one["rect"]["x"]):
        rows[detection["rect"]["y"] // row.shape[0]].append(detection)
    assert [len(one) for one in rows] == [4, 4, 4]
    for first, *others in zip(*rows, strict=True):
        for other in others:
            assert (
                abs(first["attributes"]["basic_attributes"]["age"] - other["attributes"]["basic_attributes"]["age"])
                <= 3
            )
            for key in ("emotions", "mask"):
                pair = [one["attributes"][key]["estimations"] for one in (first, other)]
                assert _difference(*pair) < 0.25
            assert sdk.vector(first["attributes"]["descriptor"]) @ sdk.vector(other["attributes"]["descriptor"]) > 0.98
    genders = [detection["attributes"]["basic_attributes"]["gender"] for detection in rows[0]]
    assert genders == [1, 1, 0, 1]
    ages = [detection["attributes"]["basic_attributes"]["age"] for detection in rows[0]]
    assert ages[1] > ages[0] > ages[2]


async def test_people_are_counted(account: Account, pictures: dict[str, bytes]) -> None:
    """Without a detection too; the coordinates are those of the heads."""
    for detect in ("", "&detect_face=1"):
        image = await ask_one(account, f"{BARE}&estimate_people_count=1{detect}", pictures["pair"])
        people = image["image_estimations"]["people"]
        assert image["image_estimations"] == {"people_count": 2, "people": {"count": 2, **_coordinates(people)}}
    rects = sorted((person["face"]["detection"]["rect"] for person in image["estimations"]), key=lambda one: one["x"])
    for point, box in zip(sorted(people["coordinates"]), rects, strict=True):
        assert box["x"] < point[0] < box["x"] + box["width"]
        assert box["y"] - box["height"] < point[1] < box["y"] + box["height"]
    image = await ask_one(account, "estimate_people_count=1", encode(grey()))
    assert image["image_estimations"] == {"people_count": 0, "people": {"count": 0, "coordinates": []}}


async def test_head_pose_follows_the_head(account: Account, pictures: dict[str, bytes], photos: Path) -> None:  # noqa: F811
    """Mirrored, a head is turned and tilted to the other side; nodding stays."""
    query = f"detect_face=1&{only('estimate_head_pose', 'estimate_gaze')}"
    (seen,) = await faces(account, query, pictures["biden"])
    (mirrored,) = await faces(account, query, encode(np.ascontiguousarray(read(photos / "biden.jpg")[:, ::-1])))
    one, other = seen["attributes"]["head_pose"], mirrored["attributes"]["head_pose"]
    assert abs(one["yaw"]) > 5
    for name in ("roll", "yaw"):
        assert abs(one[name] + other[name]) < 4
    assert abs(one["pitch"] - other["pitch"]) < 4


def _difference(first: dict[str, float], second: dict[str, float]) -> float:
    return max(abs(first[key] - second[key]) for key in first)


def _coordinates(people: dict[str, Any]) -> dict[str, Any]:
    sdk.points(people["count"])(people["coordinates"])
    return {"coordinates": people["coordinates"]}


def _bust(path: Path, left: int, top: int, side: int) -> np.ndarray:
    """The square of a photograph with head and shoulders, 240 pixels a side."""
    part = read(path)[top : top + side, left : left + side]
    return np.array(PillowImage.fromarray(part).resize((240, 240)))
