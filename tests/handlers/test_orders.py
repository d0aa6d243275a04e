"""What policies make of the examination of images."""

from dataclasses import fields, replace
from typing import Any

import msgspec
import pytest

from lunaria.estimation.catalogue import asked
from lunaria.estimation.decisions import Decisions
from lunaria.estimation.examination import Order
from lunaria.estimation.filters import AngleLimits, WantedStates
from lunaria.handlers.detect_policy import DetectPolicy, ExtractPolicy
from lunaria.handlers.orders import order_of
from lunaria.vision.checks import CHECKS, Bounds
from lunaria.vision.plan import ImageType, MultifacePolicy, Plan

DEFAULT = Plan(landmarks5=True, descriptor=True, warp=True, body_warp=True)


def order(detect: dict[str, Any] | None = None, extract: dict[str, Any] | None = None, **options: Any) -> Order:
    return order_of(
        msgspec.convert(detect or {}, DetectPolicy), msgspec.convert(extract or {}, ExtractPolicy), **options
    )


def test_default_policies() -> None:
    assert order() == Order(DEFAULT, decisions=Decisions(0.5, 0.5, 0.5))
    assert order(face_warps=False, body_warps=False).plan == replace(DEFAULT, warp=False, body_warp=False)
    assert not order(use_exif_info=False).orient


@pytest.mark.parametrize(
    ("detect", "wanted"),
    [
        *(({"detect_face": 0}, {"detect_faces": False}), ({"detect_body": 1}, {"detect_bodies": True})),
        ({"multiface_policy": 2}, {"multiface": MultifacePolicy.BEST}),
        ({"multiface_policy": 0}, {"multiface": MultifacePolicy.NOT_ALLOWED}),
        ({"estimate_emotions": 1}, {"emotions": True}),
        ({"estimate_mask": 1}, {"mask": True}),
        ({"estimate_glasses": 1}, {"glasses": True}),
        ({"estimate_quality": 1}, {"quality": True}),
        ({"estimate_gaze": 1}, {"gaze": True}),
        ({"estimate_eyes_attributes": 1}, {"eyes": True}),
        ({"estimate_mouth_attributes": 1}, {"mouth": True}),
        ({"detect_landmarks68": 1}, {"landmarks68": True}),
        ({"estimate_people_count": 1}, {"people_count": True}),
        ({"estimate_liveness": {"estimate": 1}}, {"liveness": True}),
        ({"estimate_deepfake": {"estimate": 1}}, {"deepfake": True}),
        ({"body_attributes": {"estimate_upper_body": 1}}, {"upper_body": True}),
        ({"body_attributes": {"estimate_lower_body": 1}}, {"lower_body": True}),
        ({"body_attributes": {"estimate_accessories": 1}}, {"accessories": True}),
        ({"body_attributes": {"estimate_basic_attributes": 1}}, {"body_basic_attributes": True}),
        # what a filter looks at is estimated for it
        ({"mask_states": [1]}, {"mask": True}),
        ({"liveness_states": [1]}, {"liveness": True}),
        ({"deepfake_states": [1]}, {"deepfake": True}),
        ({"yaw_threshold": 30}, {"head_pose": True}),
        ({"yaw_threshold": 180}, {}),
        ({"face_quality": {"estimate": 0, "filter": 1}}, {}),
    ],
)
def test_what_is_computed(detect: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert order(detect).plan == replace(DEFAULT, **wanted)


@pytest.mark.parametrize(
    ("extract", "wanted"),
    [
        ({"extract_face_descriptor": 0}, {"descriptor": False}),
        ({"extract_body_descriptor": 1}, {"body_descriptor": True}),
        ({"extract_basic_attributes": 1}, {"basic_attributes": True}),
        ({"fd_score_threshold": 0.5}, {}),
    ],
)
def test_what_is_extracted(extract: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert order(extract=extract).plan == replace(DEFAULT, **wanted)


def test_filters() -> None:
    detect = {
        "pitch_threshold": 10,
        "roll_threshold": 20,
        "yaw_threshold": 30,
        "mask_states": [1, 2],
        "liveness_states": [1],
        "deepfake_states": [0],
    }
    made = order(detect)
    assert made.angles == AngleLimits(pitch=10, roll=20, yaw=30)
    assert made.states == WantedStates(mask=[1, 2], liveness=[1], deepfake=[0])
    assert not made.show_head_pose
    assert order({**detect, "estimate_head_pose": 1}).show_head_pose
    assert order({"extract_exif": 1}).extract_exif


def test_thresholds_of_the_policy() -> None:
    liveness = {"estimate": 1, "liveness_threshold": 0.7, "quality_threshold": 0.2}
    made = order({"estimate_liveness": liveness, "estimate_deepfake": {"estimate": 1, "real_threshold": 0.9}})
    assert made.decisions == Decisions(0.7, 0.2, 0.9)


def test_checks_of_the_picture() -> None:
    checks = {"head_yaw": {"threshold": {"min": -9}}, "glasses": {"estimate": 0}}
    made = order({"face_quality": {"estimate": 1, "filter": 1, "checks": checks}})
    assert made.checks is not None
    assert made.checks.limits is not None
    assert made.checks.limits["head_yaw"] == Bounds(-9, 5)
    assert made.plan.checks == {check.name for check in CHECKS} - {"glasses"} == set(made.checks.limits)
    assert (made.checks.report, made.checks.filtering) == ("face_quality", True)
    assert made.checks.off == {"glasses"}


def test_checks_of_warps() -> None:
    quality = {"face_quality": {"estimate": 1}}
    of_face = order(quality, image_type=ImageType.FACE_WARP)
    assert of_face.plan.checks == {check.name for check in CHECKS if check.on_warp}
    of_body = order(quality, image_type=ImageType.BODY_WARP)
    assert (of_body.checks, of_body.plan.checks) == (None, frozenset())


@pytest.mark.parametrize(
    ("detect", "policy"),
    [
        ({}, MultifacePolicy.NOT_ALLOWED),
        ({"multiface_policy": 2}, MultifacePolicy.BEST),
        ({"detect_face": 0, "detect_body": 1}, MultifacePolicy.ALLOWED),
    ],
)
def test_images_to_be_merged_show_one_person(detect: dict[str, Any], policy: MultifacePolicy) -> None:
    assert order(detect, aggregate=True).plan.multiface is policy


def test_everything_that_can_be_asked_for_reaches_the_plan() -> None:
    """No estimate of the policies is forgotten on the way."""
    switches = [name for name in DetectPolicy.__struct_fields__ if name.startswith(("estimate_", "detect_"))]
    inner = {"estimate_liveness": {"estimate": 1}, "estimate_deepfake": {"estimate": 1}}
    bodies = dict.fromkeys(type(DetectPolicy().body_attributes).__struct_fields__, 1)
    detect = {name: inner.get(name, 1) for name in switches} | {
        "body_attributes": bodies,
        "face_quality": {"estimate": 1},
    }
    extract = {name: 1 for name in ExtractPolicy.__struct_fields__ if name.startswith("extract_")}
    made = order(detect, extract)
    assert all(getattr(made.plan, one.name) for one in fields(Plan))
    assert len(set(asked(made))) == 15
