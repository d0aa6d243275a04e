"""Asking POST /6/sdk, and what each estimate of its answers must look like."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tests.api.conftest import Account
from tests.estimation.pictures import JPEG, checked, decoded, files

URL = "/6/sdk"
Json = dict[str, Any]
Check = Callable[[Any], None]

EMOTIONS = {"anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"}
MASK_PARTS = {"missing": {"clear", "chin"}, "medical_mask": {"correct", "mouth"}, "occluded": {"partially", "full"}}
ETHNICITIES = {"asian", "indian", "caucasian", "african_american"}
QUALITIES = {"blurriness", "dark", "illumination", "specularity", "light"}
COLORS = {
    *("black", "blue", "green", "gray", "orange", "purple", "red", "white", "yellow", "pink", "brown", "beige"),
    *("khaki", "multicolored", "undefined"),
}
PLAIN_COLORS = {"black", "white", "other", "undefined"}
TOLERANCE = 1e-4


async def ask(account: Account, query: str, *pictures: bytes, **more: Any) -> Json:
    """The whole answer; several pictures go as a form. `more`: other parts of the form."""
    if len(pictures) == 1 and not more:
        reply = await account.client.post(f"{URL}?{query}", content=pictures[0], headers=JPEG)
    else:
        form: list[Any] = files(**{f"{number}_jpg": data for number, data in enumerate(pictures)})
        form += [(name, (None, part, "application/json")) for name, part in more.items()]
        reply = await account.client.post(f"{URL}?{query}", files=form)
    return dict(checked(reply))


async def ask_one(account: Account, query: str, picture: bytes, **more: Any) -> Json:
    """What is answered of one picture."""
    (image,) = (await ask(account, query, picture, **more))["images_estimations"]
    assert (image["status"], image["error"]["error_code"]) == (1, 0), image
    return dict(image)


async def faces(account: Account, query: str, picture: bytes) -> list[Json]:
    """The detections of the faces of a picture."""
    found = (await ask_one(account, query, picture))["estimations"]
    return [person["face"]["detection"] for person in found]


async def bodies(account: Account, query: str, picture: bytes) -> list[Json]:
    """The detections of the bodies of a picture."""
    found = (await ask_one(account, query, picture))["estimations"]
    return [person["body"]["detection"] for person in found if person["body"] is not None]


def vector(estimate: Json) -> np.ndarray:
    """The unit vector of a descriptor in the API's coding."""
    data = base64.b64decode(estimate["sdk_descriptor"])
    assert data[:8] == b"dp\0\0" + struct.pack("<I", estimate["version"])
    centred = np.frombuffer(data[8:], np.uint8).astype(float) - 128
    return np.asarray(centred / np.linalg.norm(centred))


def warp(detection: Json) -> bytes:
    """The file of a warp."""
    return base64.b64decode(detection["warp"])


def number(value: Any, low: float, high: float) -> None:
    assert isinstance(value, int | float), value
    assert not isinstance(value, bool)
    assert low <= value <= high, value


def probability(value: Any) -> None:
    number(value, 0, 1)


def angle(value: Any) -> None:
    number(value, -180, 180)


def word_of(words: set[Any]) -> Check:
    def check(value: Any) -> None:
        assert value in words, value

    return check


def shape(**keys: Check) -> Check:
    """An object with exactly these keys."""

    def check(value: Any) -> None:
        assert isinstance(value, dict), value
        assert value.keys() == keys.keys(), value.keys()
        for key, inner in keys.items():
            inner(value[key])

    return check


def distribution(predominant: str, words: set[str], **more: Check) -> Check:
    """Probabilities of words that sum to 1, and the likeliest of them under the key `predominant`."""
    estimations = shape(**dict.fromkeys(words, probability))

    def check(value: Any) -> None:
        shape(**{predominant: word_of(words)}, estimations=estimations, **more)(value)
        found = value["estimations"]
        assert abs(sum(found.values()) - 1) < TOLERANCE, found
        assert found[value[predominant]] == max(found.values())

    return check


def points(count: int) -> Check:
    def check(value: Any) -> None:
        assert len(value) == count
        assert all(len(point) == 2 and all(type(number) is int for number in point) for point in value)

    return check


def mask(value: Any) -> None:
    parts = set().union(*MASK_PARTS.values())
    distribution("predominant_mask", set(MASK_PARTS), face_occlusion=distribution("predominant_occlusion", parts))(
        value
    )
    occlusions = value["face_occlusion"]["estimations"]
    for state, of_it in MASK_PARTS.items():
        assert abs(value["estimations"][state] - sum(occlusions[part] for part in of_it)) < TOLERANCE


def mouth(value: Any) -> None:
    shape(opened=probability, occluded=probability, smile=probability, score=probability)(value)
    assert value["score"] == value["opened"]


def colors(value: Any) -> None:
    assert 1 <= len(value) == len(set(value))
    assert set(value) <= COLORS
    assert len(value) == 1 or "undefined" not in value


def descriptor(version: int) -> Check:
    def check(value: Any) -> None:
        shape(sdk_descriptor=lambda data: None, score=probability, version=word_of({version}))(value)
        assert np.isfinite(vector(value)).all()

    return check


def picture(width: int, height: int) -> Check:
    """A warp: base64 of a JPEG without a prefix."""

    def check(value: Any) -> None:
        data = base64.b64decode(value, validate=True)
        assert data[:3] == b"\xff\xd8\xff"
        assert decoded(data).shape == (height, width, 3)

    return check


def headwear(value: Any) -> None:
    shape(state=word_of({0, 1, 2}), apparent_color=word_of(PLAIN_COLORS))(value)
    assert value["state"] == 1 or value["apparent_color"] == "undefined"


eye = shape(state=word_of({"open", "closed", "occluded"}), iris_landmarks=points(32))
rect = shape(x=lambda value: number(value, 0, 1e5), y=lambda value: number(value, 0, 1e5),
             width=lambda value: number(value, 1, 1e5), height=lambda value: number(value, 1, 1e5))  # fmt: skip

FACE_ATTRIBUTES: Mapping[str, tuple[str, Check]] = {
    "estimate_head_pose": ("head_pose", shape(pitch=angle, roll=angle, yaw=angle)),
    "estimate_emotions": ("emotions", distribution("predominant_emotion", EMOTIONS)),
    "estimate_mask": ("mask", mask),
    "estimate_glasses": ("glasses", shape(glasses=word_of({"no_glasses", "eyeglasses", "sunglasses"}))),
    "estimate_liveness": (
        "liveness",
        shape(
            prediction=word_of({"real", "spoof", "unknown"}), estimations=shape(quality=probability, score=probability)
        ),
    ),
    "estimate_deepfake": ("deepfake", shape(prediction=word_of({"real", "fake"}), score=probability)),
    "estimate_gaze": ("gaze", shape(yaw=angle, pitch=angle)),
    "estimate_eyes_attributes": ("eyes_attributes", shape(left_eye=eye, right_eye=eye)),
    "estimate_mouth_attributes": ("mouth_attributes", mouth),
    "estimate_basic_attributes": (
        "basic_attributes",
        shape(
            age=lambda value: number(value, 0, 100),
            gender=word_of({0, 1}),
            ethnicities=distribution("predominant_ethnicity", ETHNICITIES),
        ),
    ),
    "estimate_face_descriptor": ("descriptor", descriptor(1001)),
}
FACE_DETECTION: Mapping[str, tuple[str, Check]] = {
    "estimate_landmarks68": ("landmarks68", points(68)),
    "estimate_landmarks5": ("landmarks5", points(5)),
    "estimate_quality": ("quality", shape(**dict.fromkeys(QUALITIES, probability))),
    "estimate_face_warp": ("warp", picture(250, 250)),
}
BODY_ATTRIBUTES: Mapping[str, tuple[str, Check]] = {
    "estimate_body_descriptor": ("descriptor", descriptor(2002)),
    "estimate_body_basic_attributes": (
        "basic_attributes",
        shape(apparent_age=lambda value: number(value, 0, 100), apparent_gender=word_of({0, 1, 2})),
    ),
    "estimate_upper_body": (
        "upper_body",
        shape(
            headwear=headwear,
            sleeve=shape(length=word_of({"short", "long", "undefined"})),
            upper_clothing=shape(colors=colors),
        ),
    ),
    "estimate_lower_body": (
        "lower_body",
        shape(
            lower_garment=shape(type=word_of({"trousers", "shorts", "skirt", "undefined"}), colors=colors),
            shoes=shape(apparent_color=word_of(PLAIN_COLORS)),
        ),
    ),
    "estimate_accessories": ("accessories", shape(backpack=shape(state=word_of({0, 1, 2})))),
}
BODY_DETECTION: Mapping[str, tuple[str, Check]] = {"estimate_body_warp": ("warp", picture(128, 256))}
"""Query parameter -> (key, check), by where the key stands."""

NOT_OF_WARPS = {
    *("estimate_head_pose", "estimate_landmarks68", "estimate_landmarks5", "estimate_gaze", "estimate_liveness"),
    "estimate_deepfake",
}
FACE_FLAGS = [*FACE_ATTRIBUTES, *FACE_DETECTION]
BODY_FLAGS = [*BODY_ATTRIBUTES, *BODY_DETECTION]
EVERYTHING = "&".join(f"{flag}=1" for flag in (*FACE_FLAGS, *BODY_FLAGS, "estimate_people_count"))
BARE = "estimate_face_descriptor=0&estimate_body_descriptor=0"


def only(*flags: str) -> str:
    """The part of a query that asks for these estimates alone; the descriptors are on unless they are turned off."""
    off = {"estimate_face_descriptor", "estimate_body_descriptor"} - set(flags)
    return "&".join([*(f"{flag}=1" for flag in flags), *(f"{flag}=0" for flag in sorted(off))])


def check_face(detection: Json, flags: list[str]) -> None:
    """The detection holds the estimates of the flags, rightly shaped, and nothing else."""
    _check(detection, flags, FACE_DETECTION, FACE_ATTRIBUTES)


def check_body(detection: Json, flags: list[str]) -> None:
    """As check_face, of a body."""
    _check(detection, flags, BODY_DETECTION, BODY_ATTRIBUTES)


def _check(
    detection: Json,
    flags: list[str],
    beside: Mapping[str, tuple[str, Check]],
    attributes: Mapping[str, tuple[str, Check]],
) -> None:
    direct = [beside[flag] for flag in flags if flag in beside]
    inner = [attributes[flag] for flag in flags if flag in attributes]
    shape(rect=rect, attributes=shape(**dict(inner)), **dict(direct))(detection)
