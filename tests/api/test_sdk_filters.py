"""POST /6/sdk: filters by states, and estimates merged over several images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.api.conftest import Account
from tests.api.sdk import (
    BARE,
    BODY_FLAGS,
    EVERYTHING,
    FACE_FLAGS,
    Json,
    ask,
    ask_one,
    check_body,
    check_face,
    faces,
    only,
    shape,
    vector,
)
from tests.estimation.pictures import beside, encode, grey, read
from tests.vision.conftest import photos  # noqa: F401

BOTH = "detect_face=1&detect_body=1"
MASK, LIVENESS, DEEPFAKE = (f"estimate_{name}" for name in ("mask", "liveness", "deepfake"))
MERGED_OF_FACES = {"descriptor", "basic_attributes", "mask", "emotions", "liveness", "deepfake"}
MERGED_OF_BODIES = {"descriptor", "basic_attributes", "upper_body", "lower_body", "accessories"}
STAY = [
    *("estimate_head_pose", "estimate_glasses", "estimate_gaze", "estimate_eyes_attributes"),
    *("estimate_mouth_attributes", "estimate_landmarks68", "estimate_landmarks5", "estimate_quality"),
    "estimate_face_warp",
]


@pytest.fixture(scope="module")
def pictures(photos: Path) -> dict[str, bytes]:  # noqa: F811
    pixels = {name: read(photos / f"{name}.jpg") for name in ("obama", "obama2", "biden")}
    colourless = np.repeat(pixels["obama"].mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    return {
        **{name: encode(picture) for name, picture in pixels.items()},
        "pair": encode(beside(pixels["obama"], pixels["biden"])),
        "colourless": encode(colourless),
        "half": encode(beside(colourless, pixels["biden"])),
    }


@pytest.mark.parametrize(
    ("flag", "filters", "reason"),
    [
        (MASK, "mask_states=2&mask_states=3", ("mask_states", "missing", ["medical_mask", "occluded"])),
        (MASK, "mask_states=3,2", ("mask_states", "missing", ["medical_mask", "occluded"])),
        (MASK, "mask_states=1", None),
        (LIVENESS, "liveness_states=0&liveness_states=2", ("liveness_states", "real", ["spoof", "unknown"])),
        (LIVENESS, "liveness_states=1", None),
        (DEEPFAKE, "deepfake_states=0", ("deepfake_states", "real", ["fake"])),
        (DEEPFAKE, "deepfake_states=1&deepfake_states=0", None),
    ],
)
async def test_filters_by_state(
    account: Account,
    pictures: dict[str, bytes],
    flag: str,
    filters: str,
    reason: tuple[str, str, list[str]] | None,
) -> None:
    """A filtered face keeps its estimates, without warp and descriptor. Filters of estimates that are off do nothing."""
    query = f"detect_face=1&estimate_face_descriptor=1&estimate_face_warp=1&{filters}"
    on = await ask_one(account, f"{query}&{flag}=1", pictures["obama"])
    off = await ask_one(account, query, pictures["obama"])
    assert len(off["estimations"]) == 1
    if reason is None:
        assert len(on["estimations"]) == 1
        assert on["filtered_detections"] == {"face_detections": [], "body_detections": []}
        return
    assert on["estimations"] == []
    (filtered,) = on["filtered_detections"]["face_detections"]
    check_face(filtered["detection"], [flag])
    name, found, wanted = reason
    assert filtered["filter_reasons"] == [{"filter_name": name, "object_value": found, "threshold_value": wanted}]


async def test_only_the_filters_of_what_is_estimated_work(account: Account, pictures: dict[str, bytes]) -> None:
    query = f"detect_face=1&{BARE}&mask_states=2&liveness_states=0&deepfake_states=0&yaw_threshold=0"
    for flag, name in ((MASK, "mask_states"), (LIVENESS, "liveness_states"), (DEEPFAKE, "deepfake_states")):
        image = await ask_one(account, f"{query}&{flag}=1", pictures["obama"])
        (filtered,) = image["filtered_detections"]["face_detections"]
        assert [reason["filter_name"] for reason in filtered["filter_reasons"]] == ["yaw_threshold", name]


async def test_grey_images_leave_liveness_open(account: Account, pictures: dict[str, bytes]) -> None:
    (found,) = await faces(account, f"detect_face=1&{only(LIVENESS)}", pictures["colourless"])
    liveness = found["attributes"]["liveness"]
    assert liveness["prediction"] == "unknown"
    assert liveness["estimations"]["quality"] < 0.5
    for states, count in (("2", 1), ("0,1", 0)):
        query = f"detect_face=1&{only(LIVENESS)}&liveness_states={states}"
        image = await ask_one(account, query, pictures["colourless"])
        assert len(image["estimations"]) == count
    (filtered,) = image["filtered_detections"]["face_detections"]
    assert filtered["filter_reasons"][0]["object_value"] == "unknown"


async def test_one_of_two_faces_is_filtered(account: Account, pictures: dict[str, bytes]) -> None:
    """With policy 1 the body of a filtered face stays as a body; with 2 it is filtered for the same reason."""
    query = f"{BOTH}&{only(LIVENESS)}&liveness_states=1"
    image = await ask_one(account, query, pictures["half"])
    kept = [person for person in image["estimations"] if person["face"] is not None]
    alone = [person for person in image["estimations"] if person["face"] is None]
    assert [person["body"] is not None for person in kept] == [True]
    assert len(alone) >= 1
    (filtered,) = image["filtered_detections"]["face_detections"]
    assert image["filtered_detections"]["body_detections"] == []
    left, right = filtered["detection"]["rect"], kept[0]["face"]["detection"]["rect"]
    assert left["x"] < right["x"]

    for policy in (0, 2):
        image = await ask_one(account, f"{query}&multiface_policy={policy}", pictures["colourless"])
        assert image["estimations"] == []
        found = image["filtered_detections"]
        (face,), (body,) = found["face_detections"], found["body_detections"]
        assert body["filter_reasons"] == face["filter_reasons"]
        check_body(body["detection"], [])


async def test_aggregation(account: Account, pictures: dict[str, bytes]) -> None:
    """What can be merged moves into the aggregate, the rest stays with its image."""
    data = [pictures["obama"], pictures["obama"][:9000], encode(grey()), pictures["obama2"]]
    query = f"{BOTH}&multiface_policy=2&{EVERYTHING}"
    single = [
        image["estimations"][0]
        for image in (await ask(account, query, *data))["images_estimations"]
        if image["estimations"]
    ]
    answer = await ask(account, f"{query}&aggregate_attributes=1", *data)
    images = answer["images_estimations"]
    assert [(image["status"], len(image["estimations"])) for image in images] == [(1, 1), (0, 0), (1, 0), (1, 1)]
    for image, alone in zip((images[0], images[3]), single, strict=True):
        (person,) = image["estimations"]
        face, body = (person[kind]["detection"] for kind in ("face", "body"))
        check_face(face, STAY)
        check_body(body, ["estimate_body_warp"])
        assert face["attributes"]["head_pose"] == alone["face"]["detection"]["attributes"]["head_pose"]
        assert image["image_estimations"]["people_count"] >= 1
    merged = answer["aggregate_estimations"]
    merge = [flag for flag in FACE_FLAGS if flag not in STAY]
    assert merged["face"].keys() == merged["body"].keys() == {"attributes"}
    check_face({"rect": images[0]["estimations"][0]["face"]["detection"]["rect"], **merged["face"]}, merge)
    assert merged["face"]["attributes"].keys() == MERGED_OF_FACES
    check_body(
        {"rect": images[0]["estimations"][0]["body"]["detection"]["rect"], **merged["body"]},
        [flag for flag in BODY_FLAGS if flag != "estimate_body_warp"],
    )
    assert merged["body"]["attributes"].keys() == MERGED_OF_BODIES
    _is_the_mean(merged["face"]["attributes"], [one["face"]["detection"]["attributes"] for one in single])
    _descriptor_is_the_mean(merged["body"]["attributes"], [one["body"]["detection"]["attributes"] for one in single])


def _is_the_mean(merged: Json, single: list[Json]) -> None:
    for key in ("emotions", "mask"):
        for word, value in merged[key]["estimations"].items():
            assert value == pytest.approx(np.mean([one[key]["estimations"][word] for one in single]))
    for name, value in merged["liveness"]["estimations"].items():
        assert value == pytest.approx(np.mean([one["liveness"]["estimations"][name] for one in single]))
    assert merged["deepfake"]["score"] == pytest.approx(np.mean([one["deepfake"]["score"] for one in single]))
    ages = [one["basic_attributes"]["age"] for one in single]
    assert min(ages) <= merged["basic_attributes"]["age"] <= max(ages)
    assert abs(merged["basic_attributes"]["age"] - np.mean(ages)) <= 0.5
    assert merged["basic_attributes"]["gender"] == 1
    _descriptor_is_the_mean(merged, single)


def _descriptor_is_the_mean(merged: Json, single: list[Json]) -> None:
    descriptors = [one["descriptor"] for one in single]
    expected = sum(one["score"] * vector(one) for one in descriptors)
    assert vector(merged["descriptor"]) @ (expected / np.linalg.norm(expected)) > 0.995
    assert merged["descriptor"]["score"] == pytest.approx(np.mean([one["score"] for one in descriptors]))


async def test_aggregation_of_one_kind(account: Account, pictures: dict[str, bytes]) -> None:
    """Nothing is merged that was not asked for."""
    data = [pictures["obama"], pictures["obama2"]]
    answer = await ask(account, f"detect_face=1&{only('estimate_emotions')}&aggregate_attributes=1", *data)
    assert answer["aggregate_estimations"]["body"] is None
    shape(emotions=lambda value: None)(answer["aggregate_estimations"]["face"]["attributes"])
    query = f"detect_body=1&{only('estimate_accessories')}&aggregate_attributes=1"
    answer = await ask(account, query, pictures["biden"], pictures["biden"])
    assert answer["aggregate_estimations"]["face"] is None
    shape(accessories=lambda value: None)(answer["aggregate_estimations"]["body"]["attributes"])


async def test_aggregation_when_all_is_filtered(account: Account, pictures: dict[str, bytes]) -> None:
    query = f"{BOTH}&{EVERYTHING}&aggregate_attributes=1&liveness_states=1"
    answer = await ask(account, query, pictures["colourless"], encode(grey()))
    assert answer["aggregate_estimations"] == {"face": None, "body": None}
    found = answer["images_estimations"][0]["filtered_detections"]
    assert (len(found["face_detections"]), len(found["body_detections"])) == (1, 1)


async def test_aggregation_leaves_out_what_is_filtered(account: Account, pictures: dict[str, bytes]) -> None:
    query = f"detect_face=1&{only(LIVENESS, 'estimate_emotions')}&liveness_states=1"
    (alone,) = await faces(account, query, pictures["obama"])
    answer = await ask(account, f"{query}&aggregate_attributes=1", pictures["colourless"], pictures["obama"])
    assert answer["aggregate_estimations"]["face"]["attributes"] == alone["attributes"]
