"""Pictures and parameters made to hurt the estimates: every one of them answers each image, and soon."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.api.sdk import EVERYTHING, FACE_FLAGS, NOT_OF_WARPS, check_body, check_face
from tests.hostile.test_images import MEBIBYTE, noise, photo, portrait, saved
from tests.servers import Server, assert_envelope

BOTH = "detect_face=1&detect_body=1"
PATIENCE = 60.0
"""Seconds for a whole request on a busy machine with few cores."""
MOST_BOXES = 100
LARGEST_NUMBER = 2**31 - 1


def flat(width: int, height: int, value: int = 127) -> bytes:
    return saved(Image.fromarray(np.full((height, width, 3), value, np.uint8)), "PNG")


def crowd() -> bytes:
    """A dozen small faces."""
    tile = np.asarray(portrait().resize((160, 200)))
    return saved(Image.fromarray(np.tile(tile, (2, 6, 1))), "JPEG", quality=92)


PICTURES: dict[str, Callable[[], bytes]] = {
    "one pixel": lambda: flat(1, 1),
    "a column": lambda: flat(1, 3000),
    "a row": lambda: flat(3000, 1),
    "two pixels wide": lambda: flat(2, 700),
    "black": lambda: flat(640, 480, 0),
    "white": lambda: flat(640, 480, 255),
    "noise": lambda: saved(noise(640, 480), "PNG"),
    "grey": lambda: saved(portrait().convert("L"), "JPEG"),
    "cmyk": lambda: saved(portrait().convert("CMYK"), "JPEG"),
    "black and white": lambda: saved(portrait().convert("1"), "PNG"),
    "with alpha": lambda: saved(portrait().convert("RGBA"), "PNG"),
    "flattened": lambda: saved(portrait().resize((900, 60)), "JPEG"),
    "stretched": lambda: saved(portrait().resize((60, 900)), "JPEG"),
    "a face alone": lambda: saved(portrait().crop((400, 110, 590, 400)), "JPEG"),
    "half a face at the border": lambda: saved(portrait().crop((490, 0, 910, 900)), "JPEG"),
    "upside down": lambda: saved(portrait().rotate(180), "JPEG"),
    "much compressed": lambda: saved(portrait(), "JPEG", quality=1),
    "crowd": crowd,
}


def post(client: httpx.Client, address: str, data: bytes, query: str) -> dict[str, Any]:
    """The one image's part of the reply."""
    began = time.monotonic()
    headers = {"Content-Type": "image/jpeg"}
    reply = client.post(f"{address}?{query}", content=data, headers=headers, timeout=PATIENCE)
    assert time.monotonic() - began < PATIENCE
    assert reply.status_code == 200, (reply.status_code, reply.text[:300])
    body = reply.json()
    (image,) = body.get("images_estimations") or body["images"]
    return dict(image)


@pytest.mark.parametrize("name", PICTURES)
def test_every_estimate_of_odd_pictures(name: str, client: httpx.Client) -> None:
    """What is found is whole and in its ranges, whatever it is found on; the other front ends hold too."""
    data = PICTURES[name]()
    image = post(client, "/6/sdk", data, f"{BOTH}&{EVERYTHING}")
    assert image["status"] == 1, image["error"]
    for person in image["estimations"]:
        if person["face"] is not None:
            _check_as_far_as_can_be_told(person["face"]["detection"])
        if person["body"] is not None:
            assert person["body"]["detection"]["rect"]["width"] >= 1
    assert image["image_estimations"]["people_count"] >= 0
    assert post(client, "/6/iso", data, "multiface_policy=1")["status"] == 1
    assert post(client, "/6/liveness", data, "aggregate=1")["error"]["error_code"] in (0, 32008, 32017)
    query = "estimate_face_quality=1&estimate_eyes_attributes=1&estimate_mask=1&estimate_quality=1"
    assert post(client, "/6/detector", data, query)["status"] == 1


def _check_as_far_as_can_be_told(detection: dict[str, Any]) -> None:
    """A head pose that cannot be told is null, and so are both angles of the gaze."""
    attributes = detection["attributes"]
    flags = list(FACE_FLAGS)
    if attributes["head_pose"] is None:
        del attributes["head_pose"]
        flags.remove("estimate_head_pose")
    if None in attributes["gaze"].values():
        assert set(attributes.pop("gaze").values()) == {None}
        flags.remove("estimate_gaze")
    check_face(detection, flags)


@pytest.mark.parametrize("kind", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (250, 249), (128, 257), (256, 128), (500, 500), (2500, 2500)])
def test_warps_of_a_wrong_size(kind: int, size: tuple[int, int], client: httpx.Client) -> None:
    image = post(client, "/6/sdk", flat(*size), f"image_type={kind}&{EVERYTHING}")
    assert (image["status"], image["error"]["error_code"]) == (0, 11030)


@pytest.mark.parametrize("value", [0, 127, 255])
def test_warps_that_show_nothing(value: int, client: httpx.Client) -> None:
    """A warp is taken at its word: it has every estimate that a warp has."""
    (person,) = post(client, "/6/sdk", flat(250, 250, value), f"image_type=1&{EVERYTHING}")["estimations"]
    check_face(person["face"]["detection"], [flag for flag in FACE_FLAGS if flag not in NOT_OF_WARPS])
    (person,) = post(client, "/6/sdk", flat(128, 256, value), f"image_type=2&{EVERYTHING}")["estimations"]
    assert person["face"] is None
    check_body(person["body"]["detection"], [*_BODY_FLAGS])
    assert post(client, "/6/iso", flat(250, 250, value), "image_type=1")["status"] == 1


_BODY_FLAGS = (
    *("estimate_body_descriptor", "estimate_body_basic_attributes", "estimate_upper_body", "estimate_lower_body"),
    *("estimate_accessories", "estimate_body_warp"),
)


def boxed(client: httpx.Client, query: str, **boxes: list[dict[str, int]]) -> httpx.Response:
    form: list[Any] = [("image", ("a.jpg", photo(), "image/jpeg"))]
    for name, given in boxes.items():
        part = json.dumps([{"filename": "a.jpg", name: given}]).encode()
        form.append((name, (None, part, "application/json")))
    return client.post(f"/6/sdk?{query}", files=form, timeout=4 * PATIENCE)


@pytest.mark.parametrize("key", ["face_bounding_boxes", "body_bounding_boxes"])
@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 1, 1),
        (0, 0, LARGEST_NUMBER, LARGEST_NUMBER),
        (LARGEST_NUMBER, LARGEST_NUMBER, LARGEST_NUMBER, LARGEST_NUMBER),
        (909, 1136, 500, 500),
        (5000, 5000, 10, 10),
        (0, 0, 1, 1137),
        (0, 0, 910, 1),
    ],
)
def test_boxes_that_hold_nothing(key: str, box: tuple[int, ...], client: httpx.Client) -> None:
    given = [dict(zip(("x", "y", "width", "height"), box, strict=True))]
    reply = boxed(client, f"{BOTH}&{EVERYTHING}", **{key: given})
    assert reply.status_code == 200, reply.text
    (image,) = reply.json()["images_estimations"]
    assert image["status"] == 1
    found = [person[key.split("_")[0]] for person in image["estimations"]]
    assert len([one for one in found if one is not None]) <= 1


@pytest.mark.parametrize("key", ["face_bounding_boxes", "body_bounding_boxes"])
def test_as_many_boxes_as_are_allowed(key: str, server: Server, client: httpx.Client) -> None:
    """Each box costs a look of its own, within a fixed memory; one more is refused."""
    random = np.random.default_rng(3)
    numbers = random.integers(0, 600, (MOST_BOXES, 2)), random.integers(20, 400, (MOST_BOXES, 2))
    given = [
        {"x": int(x), "y": int(y), "width": int(width), "height": int(height)}
        for (x, y), (width, height) in zip(*numbers, strict=True)
    ]
    query = f"{BOTH}&estimate_mask=1&estimate_upper_body=1"
    boxed(client, query, **{key: given[:1]})  # what stays for good is there now
    server.reset_peak()
    before = server.memory()
    reply = boxed(client, query, **{key: given})
    assert reply.status_code == 200, reply.text
    assert server.memory("VmHWM") - before < 400 * MEBIBYTE
    assert_envelope(boxed(client, BOTH, **{key: [*given, given[0]]}), 400, 12022)


@pytest.mark.parametrize(
    "box",
    [
        {"x": -1, "y": 0, "width": 5, "height": 5},
        {"x": 0, "y": 0, "width": 0, "height": 5},
        {"x": 0, "y": 0, "width": 5},
        {"x": 0.5, "y": 0, "width": 5, "height": 5},
        {"x": 0, "y": 0, "width": LARGEST_NUMBER + 1, "height": 5},
        {"x": 0, "y": 0, "width": 1e308, "height": 5},
        [0, 0, 5, 5],
    ],
)
def test_boxes_that_are_none(box: Any, client: httpx.Client) -> None:
    for key in ("face_bounding_boxes", "body_bounding_boxes"):
        assert_envelope(boxed(client, BOTH, **{key: [box]}), 400, 12022)


@pytest.mark.parametrize(
    "query",
    [
        *("mask_states=0", "mask_states=1,,2", "mask_states=9999999999999999999999", "liveness_states=-1"),
        *("deepfake_states=%00", "deepfake_states=1e0", "image_type=1.0", "aggregate_attributes=¹"),
    ],
)
def test_parameters_that_are_none(query: str, client: httpx.Client) -> None:
    reply = client.post(f"/6/sdk?{query}", content=photo(), headers={"Content-Type": "image/jpeg"})
    assert_envelope(reply, reply.status_code, 12012, 12003, 12001)
    assert reply.status_code in (400, 414)
