"""Deepfake: photographs, and the same faces blended into themselves out of a lower resolution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lunaria.vision.estimators.deepfake import RECOMMENDED_THRESHOLD, DeepfakeEstimator
from lunaria.vision.estimators.residuals import VALUES, ZONES, zone_values
from lunaria.vision.geometry import Pixels, Points
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.views import FaceViews

SeeFace = Callable[[str], FaceViews]
PHOTOS = ("astronaut.png", "biden.jpg", "obama.jpg", "obama2.jpg", "obama3.jpg")


@pytest.fixture(scope="module")
def estimator(model_store: ModelStore) -> DeepfakeEstimator:
    return DeepfakeEstimator(np.load(model_store.network("face_deepfake").path, allow_pickle=False))


def _forged(pixels: Pixels, points68: Points) -> Pixels:
    """The hull of the landmarks replaced by itself at 30 pixels from ear to ear, with a soft edge."""
    width = float(np.ptp(points68[:, 0]))
    small = cv2.resize(pixels, None, fx=30 / width, fy=30 / width, interpolation=cv2.INTER_AREA)
    face = cv2.resize(small, pixels.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    mask = np.zeros(pixels.shape[:2], np.float32)
    cv2.fillConvexPoly(mask, cv2.convexHull(points68.astype(np.float32)).astype(np.int32), 1.0)
    mask = cv2.GaussianBlur(mask, (0, 0), 0.03 * width)[..., None]
    return np.rint(mask * face + (1 - mask) * pixels).astype(np.uint8)


@pytest.mark.parametrize("name", PHOTOS)
def test_a_photograph_is_real_and_a_face_blended_into_it_is_not(
    see_face: SeeFace, estimator: DeepfakeEstimator, name: str
) -> None:
    seen = see_face(name)
    (real,) = estimator.estimate(FaceViews(seen.pixels, seen.landmarks, cast(Any, None)))
    assert real > RECOMMENDED_THRESHOLD
    forged = _forged(seen.pixels, seen.landmarks[0].points68)
    (fake,) = estimator.estimate(FaceViews(forged, seen.landmarks, cast(Any, None)))
    assert fake < RECOMMENDED_THRESHOLD


def test_no_face_gives_no_score(estimator: DeepfakeEstimator) -> None:
    assert estimator.estimate(FaceViews(np.zeros((50, 50, 3), np.uint8), [], cast(Any, None))) == []


def test_parameters_of_another_shape_are_refused() -> None:
    parameters: dict[str, NDArray[np.float32]] = {
        "mean": np.zeros(VALUES, np.float32),
        "deviation": np.ones(VALUES, np.float32),
        "hidden": np.zeros((VALUES, 4), np.float32),
        "hidden_bias": np.zeros(4, np.float32),
        "output": np.zeros(4, np.float32),
        "summand": np.zeros((), np.float32),
    }
    assert DeepfakeEstimator(parameters).log_odds(np.zeros((2, VALUES), np.float32)).tolist() == [0, 0]
    with pytest.raises(ValueError, match="shapes"):
        DeepfakeEstimator(parameters | {"hidden": np.zeros((VALUES, 5), np.float32)})


def _outline(side: float, centre: Points) -> Points:
    """68 points of a schematic face: the jaw on a half circle, the brows above, the rest in the middle."""
    points = np.tile(centre, (68, 1)).astype(np.float64)
    angles = np.linspace(np.pi, 0, 17)
    points[:17] += 0.5 * side * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points[17:27] += side * np.stack([np.linspace(-0.4, 0.4, 10), np.full(10, -0.2)], axis=1)
    points[27] += [0, -0.15 * side]
    points[30] += [0, 0.05 * side]
    return points


def test_noise_inside_the_outline_raises_the_inner_zones() -> None:
    random = np.random.default_rng(0)
    pixels = np.clip(128 + random.normal(0, 2, (240, 240, 3)), 0, 255).astype(np.uint8)
    points = _outline(120.0, np.array([120.0, 120.0]))
    even = zone_values(pixels, points)
    cv2.circle(pixels, (120, 115), 30, (0, 0, 0), -1)
    inner = (pixels == 0).all(axis=2)
    pixels[inner] = np.clip(128 + random.normal(0, 25, (int(inner.sum()), 3)), 0, 255).astype(np.uint8)
    noisy = zone_values(pixels, points)
    assert even.shape == (VALUES,)
    second_order = slice(ZONES, 2 * ZONES)
    assert np.ptp(even[second_order]) < 0.3
    assert noisy[second_order][:2].min() > noisy[second_order][-2:].max() + 1


def test_a_face_at_the_border_and_one_of_a_few_pixels_have_finite_numbers() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (100, 100, 3)).astype(np.uint8)
    for side, centre in ((80.0, (5.0, 5.0)), (4.0, (50.0, 50.0)), (300.0, (50.0, 50.0)), (40.0, (300.0, 300.0))):
        assert np.isfinite(zone_values(pixels, _outline(side, np.array(centre)))).all()
    assert np.isfinite(zone_values(np.zeros_like(pixels), _outline(60.0, np.array([50.0, 50.0])))).all()
