"""POST /6/sdk: bodies, alone and with faces."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.api.conftest import Account
from tests.api.sdk import (
    BARE,
    BODY_FLAGS,
    EVERYTHING,
    FACE_FLAGS,
    URL,
    Json,
    ask_one,
    bodies,
    check_body,
    check_face,
    only,
    vector,
    warp,
)
from tests.estimation.pictures import JPEG, beside, checked, decoded, encode, grey, overlap, read
from tests.vision.conftest import photos  # noqa: F401

ALL_BODY_FLAGS = "&".join(f"{flag}=1" for flag in BODY_FLAGS)
BOTH = "detect_face=1&detect_body=1"


@pytest.fixture(scope="module")
def pictures(photos: Path) -> dict[str, bytes]:  # noqa: F811
    """ "obama3" shows a second body at its right edge, whose face is cut; "headless" a body without its head."""
    made = {name: encode(read(photos / f"{name}.jpg")) for name in ("obama", "biden", "obama3")}
    made["pair"] = encode(beside(read(photos / "obama.jpg"), read(photos / "biden.jpg")))
    headless = read(photos / "biden.jpg")
    headless[:215] = 200
    made["headless"] = encode(headless)
    return made


def inside(face: Json, body: Json) -> bool:
    """Whether the middle of a face lies in a body."""
    box, middle = (
        body["rect"],
        [face["rect"][low] + face["rect"][size] / 2 for low, size in (("x", "width"), ("y", "height"))],
    )
    return bool(box["x"] < middle[0] < box["x"] + box["width"] and box["y"] < middle[1] < box["y"] + box["height"])


@pytest.mark.parametrize("flag", BODY_FLAGS)
async def test_each_estimate_alone(account: Account, pictures: dict[str, bytes], flag: str) -> None:
    image = await ask_one(account, f"detect_body=1&{only(flag)}", pictures["biden"])
    (person,) = image["estimations"]
    assert person["face"] is None
    check_body(person["body"]["detection"], [flag])


async def test_bodies_without_faces(account: Account, pictures: dict[str, bytes]) -> None:
    """Estimates of faces find nothing where faces are not detected. The descriptor comes unasked."""
    image = await ask_one(account, f"detect_body=1&{EVERYTHING}", pictures["pair"])
    assert len(image["estimations"]) >= 2
    for person in image["estimations"]:
        assert person["face"] is None
        check_body(person["body"]["detection"], BODY_FLAGS)
    (body,) = await bodies(account, "detect_body=1", pictures["biden"])
    check_body(body, ["estimate_body_descriptor"])
    assert body["rect"]["height"] > 600  # of 800
    assert (await ask_one(account, f"detect_body=1&{EVERYTHING}", encode(grey())))["estimations"] == []


async def test_face_and_body_of_each_person(account: Account, pictures: dict[str, bytes]) -> None:
    image = await ask_one(account, f"{BOTH}&{EVERYTHING}", pictures["pair"])
    together = [person for person in image["estimations"] if person["face"] is not None]
    assert len(together) == 2
    for person in together:
        face, body = (person[kind]["detection"] for kind in ("face", "body"))
        check_face(face, FACE_FLAGS)
        check_body(body, BODY_FLAGS)
        assert inside(face, body)
    assert overlap(*(person["body"]["detection"]["rect"] for person in together)) < 0.2


async def test_faces_tell_age_and_gender_of_their_bodies(account: Account, pictures: dict[str, bytes]) -> None:
    """Where there is a face, and whether or not the face's own are asked for."""
    flags = ["estimate_body_basic_attributes"]
    apart = (await ask_one(account, f"{BOTH}&{only(*flags)}", pictures["pair"]))["estimations"]
    flags.append("estimate_basic_attributes")
    together = (await ask_one(account, f"{BOTH}&{only(*flags)}", pictures["pair"]))["estimations"]
    for bare, told in zip(apart, together, strict=True):
        check_body(bare["body"]["detection"], flags[:1])
        assert bare["body"] == told["body"]
        if told["face"] is not None:
            check_face(bare["face"]["detection"], [])
            of_face = told["face"]["detection"]["attributes"]["basic_attributes"]
            of_body = told["body"]["detection"]["attributes"]["basic_attributes"]
            assert of_body == {"apparent_age": of_face["age"], "apparent_gender": of_face["gender"]}


@pytest.mark.parametrize("policy", [0, 1, 2])
async def test_policies_and_bodies(account: Account, pictures: dict[str, bytes], policy: int) -> None:
    """Only with 1 are bodies returned that belong to no face, and only then without any face."""

    async def kinds(picture: str, detect: str = BOTH) -> list[tuple[bool, bool]]:
        found = (await ask_one(account, f"{detect}&multiface_policy={policy}&{BARE}", pictures[picture]))["estimations"]
        return [(person["face"] is not None, person["body"] is not None) for person in found]

    lone = [(False, True)]
    everybody = policy == 1
    assert await kinds("obama3") == [(True, True), *(lone if everybody else [])]
    assert await kinds("headless") == (lone if everybody else [])
    assert await kinds("biden", "detect_body=1") == (lone if everybody else [])
    assert await kinds("biden", "detect_face=1") == [(True, False)]


async def test_policies_and_several_faces(account: Account, pictures: dict[str, bytes]) -> None:
    data = {"content": pictures["pair"], "headers": JPEG}
    answers = {}
    for policy in (0, 1, 2):
        reply = await account.client.post(f"{URL}?{BOTH}&{BARE}&multiface_policy={policy}", **data)
        (answers[policy],) = checked(reply)["images_estimations"]
    assert (answers[0]["status"], answers[0]["error"]["error_code"], answers[0]["estimations"]) == (0, 11038, [])
    (best,) = answers[2]["estimations"]
    assert best == answers[1]["estimations"][0]
    assert inside(best["face"]["detection"], best["body"]["detection"])


async def test_boxes_of_bodies(account: Account, pictures: dict[str, bytes]) -> None:
    """They replace the detection: each gives the body in it or nothing, in their order."""
    together = (await ask_one(account, f"{BOTH}&{BARE}", pictures["pair"]))["estimations"]
    rects = [person["body"]["detection"]["rect"] for person in together if person["face"] is not None]
    empty = {"x": 2, "y": 2, "width": 12, "height": 30}

    def part(key: str, boxes: list[Any]) -> bytes:
        return json.dumps([{"filename": "0.jpg", key: boxes}]).encode()

    given = part("body_bounding_boxes", [rects[1], empty])
    image = await ask_one(account, f"detect_body=1&{BARE}", pictures["pair"], body_bounding_boxes=given)
    (person,) = image["estimations"]
    assert person["face"] is None
    assert overlap(person["body"]["detection"]["rect"], rects[1]) > 0.7

    given = part("body_bounding_boxes", [rects[1], rects[0]])
    image = await ask_one(account, f"detect_body=1&{BARE}", pictures["pair"], body_bounding_boxes=given)
    found = [person["body"]["detection"]["rect"] for person in image["estimations"]]
    assert [overlap(rect, box) > 0.7 for rect, box in zip(found, (rects[1], rects[0]), strict=True)] == [True, True]

    faces = [person["face"]["detection"]["rect"] for person in together if person["face"] is not None]
    image = await ask_one(
        account,
        f"{BOTH}&{BARE}",
        pictures["pair"],
        face_bounding_boxes=part("face_bounding_boxes", [faces[1]]),
        body_bounding_boxes=part("body_bounding_boxes", [rects[0], rects[1]]),
    )
    first, second = image["estimations"]
    assert overlap(first["face"]["detection"]["rect"], faces[1]) > 0.7
    assert overlap(first["body"]["detection"]["rect"], rects[1]) > 0.7
    assert second["face"] is None
    assert overlap(second["body"]["detection"]["rect"], rects[0]) > 0.7


async def test_boxes_of_an_image_by_its_address(account: Account, pictures: dict[str, bytes]) -> None:
    url = checked(await account.client.post("/6/images", content=pictures["biden"], headers=JPEG), 201)["url"]
    (body,) = await bodies(account, f"detect_body=1&{BARE}", pictures["biden"])
    empty = {"x": 0, "y": 0, "width": 10, "height": 10}
    for box, count in ((body["rect"], 1), (empty, 0)):
        reply = await account.client.post(
            f"{URL}?detect_body=1&{BARE}", json=[{"url": url, "body_bounding_boxes": [box]}]
        )
        (image,) = checked(reply)["images_estimations"]
        assert len(image["estimations"]) == count


async def test_body_warps(account: Account, pictures: dict[str, bytes]) -> None:
    """Estimates of a body warp are those of the image that it was cut from; nothing of faces or people is estimated."""
    (raw,) = await bodies(account, f"detect_body=1&{ALL_BODY_FLAGS}", pictures["biden"])
    query = f"image_type=2&detect_face=1&multiface_policy=0&yaw_threshold=0&{EVERYTHING}"
    image = await ask_one(account, query, warp(raw))
    assert image["image_estimations"] == {}
    (person,) = image["estimations"]
    assert person["face"] is None
    found = person["body"]["detection"]
    check_body(found, BODY_FLAGS)
    assert found["rect"] == {"x": 0, "y": 0, "width": 128, "height": 256}
    assert warp(found) == warp(raw)
    one, other = raw["attributes"], found["attributes"]
    assert vector(one["descriptor"]) @ vector(other["descriptor"]) > 0.95
    assert abs(one["basic_attributes"]["apparent_age"] - other["basic_attributes"]["apparent_age"]) <= 4
    assert one["basic_attributes"]["apparent_gender"] == other["basic_attributes"]["apparent_gender"]
    assert one["accessories"] == other["accessories"]
    assert set(one["upper_body"]["upper_clothing"]["colors"]) & set(other["upper_body"]["upper_clothing"]["colors"])
    (bare,) = await bodies(account, f"image_type=2&{BARE}", warp(raw))
    check_body(bare, [])


async def test_warps_of_a_wrong_size(account: Account, pictures: dict[str, bytes]) -> None:
    for kind, wrong, size in ((2, (250, 250), "128x256"), (2, (128, 256), "128x256"), (1, (256, 128), "250x250")):
        data = encode(np.full((*wrong, 3), 120, np.uint8))
        reply = await account.client.post(f"{URL}?image_type={kind}", content=data, headers=JPEG)
        (image,) = checked(reply)["images_estimations"]
        assert (image["status"], image["error"]["error_code"]) == (0, 11030)
        assert image["error"]["detail"] == f"Image size is not equal to {size}"


async def test_descriptors_tell_clothes_apart(account: Account, photos: Path) -> None:  # noqa: F811
    """The same picture a little darker and smaller is nearer than another person."""
    biden, obama = read(photos / "biden.jpg"), read(photos / "obama.jpg")
    vectors = []
    for pixels in (biden, (biden[::2, ::2] * 0.8).astype(np.uint8), obama):
        found = await bodies(account, "detect_body=1", encode(pixels))
        vectors.append(vector(found[0]["attributes"]["descriptor"]))
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.1


async def test_messagepack_carries_bytes(account: Account, pictures: dict[str, bytes]) -> None:
    query = f"{URL}?detect_body=1&estimate_body_warp=1"
    shown = checked(await account.client.post(query, content=pictures["biden"], headers=JPEG))
    reply = await account.client.post(
        query, content=pictures["biden"], headers={**JPEG, "Accept": "application/msgpack"}
    )
    answer = msgspec.msgpack.decode(reply.content)
    detection = answer["images_estimations"][0]["estimations"][0]["body"]["detection"]
    assert decoded(detection["warp"]).shape == (256, 128, 3)
    assert detection["attributes"]["descriptor"]["sdk_descriptor"][:8] == b"dp\0\0" + (2002).to_bytes(4, "little")
    again = json.loads(json.dumps(answer, default=lambda data: base64.b64encode(data).decode()))
    assert again == shown
