"""Filters by the angles of the head, at their limits, and by states."""

import pytest
from msgspec import UNSET

from lunaria.estimation.estimates import (
    Deepfake,
    FaceAttributes,
    FaceOcclusion,
    FilterReason,
    Liveness,
    LivenessScores,
    Mask,
)
from lunaria.estimation.filters import AngleLimits, WantedStates
from lunaria.vision.head_pose import HeadPose

POSE = HeadPose(pitch=-10.0, roll=0.0, yaw=30.0)


def test_nothing_is_filtered_by_default() -> None:
    limits = AngleLimits()
    assert not limits.active
    assert limits.reasons(HeadPose(180.0, -180.0, 180.0)) == []
    assert limits.reasons(None) == []


@pytest.mark.parametrize(
    ("limits", "names"),
    [
        (AngleLimits(pitch=10), ["pitch_threshold"]),
        (AngleLimits(pitch=11), []),
        (AngleLimits(yaw=30), ["yaw_threshold"]),
        (AngleLimits(yaw=31), []),
        (AngleLimits(roll=0), ["roll_threshold"]),
        (AngleLimits(roll=1), []),
        (AngleLimits(0, 0, 0), ["pitch_threshold", "roll_threshold", "yaw_threshold"]),
    ],
)
def test_a_face_is_filtered_from_the_limit_on(limits: AngleLimits, names: list[str]) -> None:
    assert limits.active
    assert [reason.filter_name for reason in limits.reasons(POSE)] == names


def test_reasons_tell_value_and_limit() -> None:
    assert AngleLimits(pitch=5).reasons(POSE) == [FilterReason("pitch_threshold", -10.0, 5)]


def test_unknown_pose_does_not_pass() -> None:
    assert AngleLimits(yaw=179).reasons(None) == [FilterReason("yaw_threshold", None, 179)]


def _face(mask: str = "", liveness: str = "", deepfake: str = "") -> FaceAttributes:
    occlusion = FaceOcclusion("clear", {"clear": 1.0})
    return FaceAttributes(
        mask=Mask(mask, {mask: 1.0}, occlusion) if mask else UNSET,  # type: ignore[arg-type, dict-item]
        liveness=Liveness(liveness, LivenessScores(1, 1)) if liveness else UNSET,  # type: ignore[arg-type]
        deepfake=Deepfake(deepfake, 1.0) if deepfake else UNSET,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("wanted", "face", "reasons"),
    [
        (WantedStates(mask=[2, 3]), _face(mask="missing"), [("mask_states", "missing", ["medical_mask", "occluded"])]),
        (WantedStates(mask=[2, 3]), _face(mask="occluded"), []),
        (WantedStates(liveness=[1]), _face(liveness="unknown"), [("liveness_states", "unknown", ["real"])]),
        (WantedStates(liveness=[0, 1, 2]), _face(liveness="unknown"), []),
        (WantedStates(deepfake=[1, 1]), _face(deepfake="fake"), [("deepfake_states", "fake", ["real"])]),
        (WantedStates(mask=[1], liveness=[0], deepfake=[0]), _face(), []),
        (WantedStates(), _face("missing", "spoof", "fake"), []),
    ],
)
def test_states(wanted: WantedStates, face: FaceAttributes, reasons: list[tuple[str, str, list[str]]]) -> None:
    found = [(reason.filter_name, reason.object_value, reason.threshold_value) for reason in wanted.reasons(face)]
    assert found == reasons
