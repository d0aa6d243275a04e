"""Arrows of the demo point where the signs of the API say."""

import math

import pytest

from lunaria.demo.projection import DOWN, FORWARD, RIGHT, axes, gaze, turned


def pose(*, pitch: float = 0.0, roll: float = 0.0, yaw: float = 0.0) -> dict[str, float]:
    return {"pitch": pitch, "roll": roll, "yaw": yaw}


def test_a_head_that_faces_the_viewer_has_upright_axes() -> None:
    across, up, forward = axes(pose())
    assert across == pytest.approx(RIGHT)
    assert up == pytest.approx((0, -1, 0))
    assert forward == pytest.approx(FORWARD)


@pytest.mark.parametrize(
    ("turn", "axis", "direction"),
    [
        (pose(yaw=30), FORWARD, (0.5, 0, math.sqrt(0.75))),  # towards the right edge
        (pose(pitch=30), FORWARD, (0, 0.5, math.sqrt(0.75))),  # down
        (pose(roll=30), RIGHT, (math.sqrt(0.75), 0.5, 0)),  # clockwise
        (pose(roll=30), DOWN, (-0.5, math.sqrt(0.75), 0)),
        (pose(yaw=30), RIGHT, (math.sqrt(0.75), 0, -0.5)),  # that side of the head goes away
        (pose(pitch=30), DOWN, (0, math.sqrt(0.75), -0.5)),  # the chin goes away
    ],
)
def test_the_signs_are_those_of_the_head_pose(
    turn: dict[str, float], axis: tuple[float, float, float], direction: tuple[float, float, float]
) -> None:
    assert turned(axis, turn) == pytest.approx(direction)


def test_axes_agree_with_the_estimator_of_the_product() -> None:
    """The estimator, given the points of a head turned by these axes, finds the angles that they were drawn from."""
    np = pytest.importorskip("numpy")
    from lunaria.vision.head_pose import CANONICAL_POINTS, FaceMesh, HeadPoseEstimator

    canonical = np.random.default_rng(3).normal(size=(CANONICAL_POINTS, 3))
    angles = pose(pitch=12, roll=-20, yaw=33)
    # canonical: y up, z to the viewer; a mesh: y down, z away from the viewer
    seen = [turned((x, -y, z), angles) for x, y, z in canonical.tolist()]
    mesh = FaceMesh(np.array([(x, y, -z) for x, y, z in seen]), 1.0)
    found = HeadPoseEstimator(canonical.astype(np.float32)).from_mesh(mesh)
    assert found is not None
    assert found._asdict() == pytest.approx(angles, abs=1e-3)


def test_a_gaze_is_relative_to_the_head() -> None:
    assert gaze(pose(yaw=20), 10, 0) == pytest.approx(turned(FORWARD, pose(yaw=30)))
    assert gaze(pose(pitch=20), 0, -20) == pytest.approx(FORWARD)
    rolled = gaze(pose(roll=90), 30, 0)  # the head lies on its side: what is right of it is down
    assert rolled == pytest.approx((0, 0.5, math.sqrt(0.75)))
