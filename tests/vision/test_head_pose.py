"""Head pose by synthetic meshes of known rotation, and by the networks on photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lunaria.vision.analysis import Analyzer
from lunaria.vision.head_pose import VERTICES_OF_LANDMARKS68, FaceMesh, HeadPose, HeadPoseEstimator
from lunaria.vision.images import Decoder, Image
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.plan import Plan

RNG = np.random.default_rng(7)
# Any solid body will do for the geometry; the real face lies in the model store.
BODY = RNG.normal(size=(468, 3)).astype(np.float32) * np.array([6, 8, 4], np.float32)
ESTIMATOR = HeadPoseEstimator(BODY)


def rotation(pose: HeadPose) -> NDArray[np.float64]:
    """Pitch about x, then yaw about y, then roll about z; y up, z to the viewer; roll clockwise is negative there."""
    pitch, yaw, roll = np.radians([pose.pitch, pose.yaw, -pose.roll])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def seen(pose: HeadPose, *, scale: float = 9.0, presence: float = 0.99) -> FaceMesh:
    """The body turned, scaled and shifted, in image axes (y down, z away), with ten irises behind it."""
    turned = (BODY.astype(np.float64) @ rotation(pose).T) * [1, -1, -1] * scale + [300, 200, 5]
    return FaceMesh(np.concatenate([turned, np.zeros((10, 3))]), presence)


ANGLES = st.floats(-80, 80)


@given(ANGLES, st.floats(-170, 170), ANGLES)
def test_a_known_rotation_is_recovered_from_a_mesh(pitch: float, roll: float, yaw: float) -> None:
    found = ESTIMATOR.from_mesh(seen(HeadPose(pitch, roll, yaw)))
    assert found is not None
    assert np.allclose(found, [pitch, roll, yaw], atol=1e-6)


def test_a_face_that_is_hardly_seen_has_no_pose() -> None:
    assert ESTIMATOR.from_mesh(seen(HeadPose(0, 0, 0), presence=0.49)) is None


def test_signs_for_a_viewer_of_the_picture() -> None:
    nose = np.array([0.0, 0, 1])
    top = np.array([0.0, 1, 0])
    assert (rotation(HeadPose(0, 0, 30)) @ nose)[0] > 0.4, "yaw: the nose points to the right edge"
    assert (rotation(HeadPose(30, 0, 0)) @ nose)[1] < -0.4, "pitch: the nose points down"
    assert (rotation(HeadPose(0, 30, 0)) @ top)[0] > 0.4, "roll: the top of the head leans to the right edge"


def test_a_canonical_face_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="468"):
        HeadPoseEstimator(np.zeros((478, 3), np.float32))


@given(st.floats(-40, 40), st.floats(-40, 40), st.floats(-40, 40))
def test_a_known_rotation_is_recovered_from_flat_landmarks(pitch: float, roll: float, yaw: float) -> None:
    pose = HeadPose(pitch, roll, yaw)
    found = ESTIMATOR.from_landmarks(seen(pose).points[list(VERTICES_OF_LANDMARKS68), :2])
    assert np.allclose(found, pose, atol=1e-6)


def test_mesh_and_landmarks_agree_on_photographs(analyzer: Analyzer, model_store: ModelStore, photos: Path) -> None:
    canonical = np.load(model_store.network("canonical_face_mesh").path)
    flat = HeadPoseEstimator(canonical)
    for name in ("obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg"):
        image = Decoder().decode((photos / name).read_bytes())
        (face,) = analyzer.analyze(image, Plan(head_pose=True, landmarks68=True))
        assert face.head_pose is not None
        assert face.landmarks68 is not None
        by_landmarks = flat.from_landmarks(face.landmarks68)
        assert np.abs(np.subtract(face.head_pose, by_landmarks)).max() < 6
        mirrored = Image(np.ascontiguousarray(image.pixels[:, ::-1]), "PNG")
        (other,) = analyzer.analyze(mirrored, Plan(head_pose=True))
        assert other.head_pose is not None
        sums = np.array(face.head_pose) + np.array(other.head_pose) * [-1, 1, 1]
        assert np.abs(sums).max() < 4
