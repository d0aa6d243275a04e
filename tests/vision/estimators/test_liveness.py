"""Liveness: living faces, the same faces as prints, and what lowers the quality."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import cv2
import numpy as np
import pytest

from lunaria.vision.estimators.liveness import (
    INPUT_SIDE,
    RECOMMENDED_QUALITY,
    RECOMMENDED_THRESHOLD,
    LivenessEstimator,
    face_box,
    quality,
    room,
    surroundings,
)
from lunaria.vision.geometry import Pixels
from lunaria.vision.head_pose import HeadPoseEstimator, MeshNetwork
from lunaria.vision.landmarks import Landmarks
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.runtime import open_session
from lunaria.vision.views import FaceViews, SharedNetworks

SeeFace = Callable[[str], FaceViews]
Look = Callable[[Pixels, list[Landmarks]], FaceViews]
PHOTOS = ("astronaut.png", "biden.jpg", "obama.jpg", "obama2.jpg", "obama3.jpg")


@pytest.fixture(scope="module")
def estimator(model_store: ModelStore) -> LivenessEstimator:
    return LivenessEstimator(
        open_session(model_store.network("face_liveness_27").path),
        open_session(model_store.network("face_liveness_40").path),
    )


@pytest.fixture(scope="module")
def look(model_store: ModelStore) -> Look:
    """Faces of an image, with mesh and pose behind them."""
    nothing = cast(Any, None)
    shared = SharedNetworks(
        mesh=MeshNetwork(open_session(model_store.network("face_mesh").path)),
        pose=HeadPoseEstimator(np.load(model_store.network("canonical_face_mesh").path, allow_pickle=False)),
        blendshapes=nothing,
        features=nothing,
    )
    return lambda pixels, faces: FaceViews(pixels, faces, shared)


def _print_of(pixels: Pixels, face: Landmarks) -> tuple[Pixels, Landmarks]:
    """The face cut out of a photograph as a print of 300 pixels with a white rim, lying on a grey table."""
    box = face_box(face.points68)
    scale = 300 / box[2]
    paper = np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    low = np.maximum(box[:2] * scale - 60, 0).astype(int)
    high = np.minimum((box[:2] + box[2:]) * scale + 60, paper.shape[1::-1]).astype(int)
    paper = paper[low[1] : high[1], low[0] : high[0]]
    table = np.full((paper.shape[0] + 160, paper.shape[1] + 160, 3), 90, np.uint8)
    table[60:-60, 60:-60] = 245
    table[80:-80, 80:-80] = paper
    moved = [points * scale - low + 80 for points in (face.points5, face.points68)]
    return table, Landmarks(moved[0], moved[1], face.roll)


@pytest.mark.parametrize("name", PHOTOS)
def test_a_photograph_is_live_and_its_print_is_not(
    see_face: SeeFace, look: Look, estimator: LivenessEstimator, name: str
) -> None:
    seen = see_face(name)
    (live,) = estimator.estimate(look(seen.pixels, seen.landmarks))
    assert live.score > RECOMMENDED_THRESHOLD
    assert live.quality > 0.9
    paper, face = _print_of(seen.pixels, seen.landmarks[0])
    (forged,) = estimator.estimate(look(paper, [face]))
    assert forged.score < RECOMMENDED_THRESHOLD
    assert forged.score < live.score - 0.3


@pytest.mark.parametrize("name", PHOTOS)
def test_a_grey_photograph_is_not_to_be_relied_on(
    see_face: SeeFace, look: Look, estimator: LivenessEstimator, name: str
) -> None:
    seen = see_face(name)
    grey = np.repeat(cv2.cvtColor(seen.pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2).astype(np.uint8)
    (found,) = estimator.estimate(look(grey, seen.landmarks))
    assert found.quality < RECOMMENDED_QUALITY


def test_several_faces_are_rated_as_each_alone(see_face: SeeFace, look: Look, estimator: LivenessEstimator) -> None:
    seen = see_face("obama.jpg")
    face = seen.landmarks[0]
    other = Landmarks(face.points5 + 40, face.points68 + 40, face.roll)
    together = estimator.estimate(look(seen.pixels, [face, other]))
    alone = [estimator.estimate(look(seen.pixels, [one]))[0] for one in (face, other)]
    assert np.allclose(together, alone, atol=1e-4)
    assert abs(together[0].score - together[1].score) > 1e-6
    assert estimator.estimate(look(seen.pixels, [])) == []


def test_the_box_reaches_from_ear_to_ear_and_from_the_forehead_to_the_chin() -> None:
    points = np.full((68, 2), 150.0)
    points[0], points[16], points[8], points[19] = [100, 140], [200, 140], [150, 220], [130, 120]
    assert np.allclose(face_box(points), [100, 120 - 40, 100, 140])


def test_the_surroundings_are_the_scaled_box_in_blue_green_red() -> None:
    ramp = np.tile(np.arange(200, dtype=np.uint8), (200, 1))
    pixels = np.stack([ramp, ramp.T, np.zeros_like(ramp)], axis=2)
    part = surroundings(pixels, np.array([90.0, 80.0, 20.0, 40.0]), 2.0)
    assert part.shape == (3, INPUT_SIDE, INPUT_SIDE)
    blue, green, red = part
    assert blue.max() == 0
    assert (red.min(), red.max()) == pytest.approx((80, 120), abs=1.5)
    assert (green.min(), green.max()) == pytest.approx((60, 140), abs=1.5)


def test_the_surroundings_are_moved_into_the_image_and_shrunk_to_it() -> None:
    ramp = np.tile(np.arange(200, dtype=np.uint8), (200, 1))
    pixels = np.stack([ramp] * 3, axis=2)
    at_the_border = surroundings(pixels, np.array([0.0, 80.0, 40.0, 40.0]), 2.0)
    assert (at_the_border.min(), at_the_border.max()) == pytest.approx((0, 80), abs=1.5)
    larger_than_the_image = surroundings(pixels, np.array([60.0, 60.0, 90.0, 90.0]), 4.0)
    assert (larger_than_the_image.min(), larger_than_the_image.max()) == pytest.approx((0, 199), abs=2)
    assert room(pixels, np.array([0.0, 0.0, 50.0, 100.0])) == pytest.approx(1.99)


def _scene(side: int = 400) -> Pixels:
    """Squares of ten pixels in random colours."""
    colours = np.random.default_rng(0).integers(0, 255, (side // 10, side // 10, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(colours, (side, side), interpolation=cv2.INTER_NEAREST), np.uint8)


def test_every_fault_lowers_its_own_factor() -> None:
    scene, box = _scene(), np.array([100.0, 100.0, 100.0, 140.0])
    good = quality(scene, box, 0.0)
    assert good.product == 1.0
    grey = np.repeat(scene[..., :1], 3, axis=2)
    assert quality(grey, box, 0.0)._replace(colour=1.0) == good
    assert quality(grey, box, 0.0).colour == 0
    assert quality(scene, np.array([100.0, 100.0, 35.0, 49.0]), 0.0).size == pytest.approx(0.5)
    assert quality(scene[100:240, 100:200], np.array([0.0, 0.0, 99.0, 139.0]), 0.0).margin < 0.1
    blurred = np.asarray(cv2.GaussianBlur(scene, (0, 0), 12), np.uint8)
    assert quality(blurred, box, 0.0).sharpness < 0.5
    assert [quality(scene, box, yaw).frontality for yaw in (-10, 30, -60)] == pytest.approx([1, 0.5, 0])
    assert quality(scene, box, None).product == 0


def test_a_box_outside_of_the_image_has_a_quality() -> None:
    assert 0 <= quality(_scene(50), np.array([60.0, -200.0, 100.0, 140.0]), 0.0).product <= 1
