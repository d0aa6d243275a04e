"""Filters by the angles of the head, at their limits."""

import pytest

from lunaria.estimation.estimates import FilterReason
from lunaria.estimation.filters import AngleLimits
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
