"""Image quality follows what is done to a photograph, step by step, and a warp agrees with its photo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import cv2
import numpy as np
import pytest
from bench.degradations import DEGRADATIONS, Degradation

from lunaria.vision.checks import BY_NAME, Bounds
from lunaria.vision.estimators.portrait import PortraitEstimator
from lunaria.vision.estimators.quality import Quality, QualityEstimator
from lunaria.vision.geometry import Pixels, transform
from lunaria.vision.images import encode_jpeg
from lunaria.vision.landmarks import Landmarks
from lunaria.vision.views import FaceViews
from lunaria.vision.warps import cut_warp

SeeFace = Callable[[str], FaceViews]
NAMES = ("obama.jpg", "obama2.jpg", "biden.jpg", "astronaut.png")
EYES = 62.0


def views_of(pixels: Pixels, face: Landmarks, *, is_warp: bool = False) -> FaceViews:
    return FaceViews(pixels, [face], cast(Any, None), is_warp=is_warp)


@pytest.fixture(scope="module")
def portraits(see_face: SeeFace) -> list[tuple[Pixels, Landmarks]]:
    """Photographs at the size in which their eyes are as far apart as in a warp, with some room around."""
    found = []
    for name in NAMES:
        seen = see_face(name)
        face = seen.landmarks[0]
        factor = EYES / float(np.linalg.norm(face.points5[0] - face.points5[1]))
        pixels = np.asarray(cv2.resize(seen.pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)
        corner = np.maximum(face.points68.mean(axis=0) * factor - 130, 0).astype(int)
        part = pixels[corner[1] : corner[1] + 260, corner[0] : corner[0] + 260]
        found.append((part, Landmarks(face.points5 * factor - corner, face.points68 * factor - corner, face.roll)))
    return found


def quality(pixels: Pixels, face: Landmarks) -> Quality:
    found = QualityEstimator().estimate(views_of(pixels, face))[0]
    assert found is not None
    return found


def values(pixels: Pixels, face: Landmarks) -> dict[str, Any]:
    portrait = PortraitEstimator(np.eye(468, 3, dtype=np.float32)).estimate(
        views_of(pixels, face), segmentation=False, mesh=False
    )[0]
    named = {f"{name}_quality": value for name, value in quality(pixels, face)._asdict().items()}
    return named | portrait.values()


def test_good_portraits_pass(portraits: list[tuple[Pixels, Landmarks]]) -> None:
    for name, (pixels, face) in zip(NAMES, portraits, strict=True):
        found = values(pixels, face)
        for check in ("blurriness_quality", "dark_quality", "light_quality", "illumination_quality", "dynamic_range"):
            limit = BY_NAME[check].default
            assert isinstance(limit, Bounds)
            assert limit.min is not None
            assert limit.min <= found[check] <= 1, (name, check)


@pytest.mark.parametrize("kind", DEGRADATIONS, ids=lambda kind: f"{kind.spoil.__name__}-{kind.measure}")
def test_a_measure_falls_with_what_spoils_it(kind: Degradation, portraits: list[tuple[Pixels, Landmarks]]) -> None:
    steps = []
    for index, (pixels, face) in enumerate(portraits):
        # The same seed for each step: the same direction, the same places, only stronger.
        spoilt = [kind.spoil(pixels, face, strength, np.random.default_rng(index)) for strength in kind.strengths]
        steps.append([float(values(picture, face)[kind.measure]) for picture in (pixels, *spoilt)])
    means = np.array(steps).mean(axis=0)
    assert (np.diff(means) <= 0.02).all(), means
    limit = BY_NAME[kind.measure].default
    least = limit.min if isinstance(limit, Bounds) else 1
    assert least is not None
    assert means[-1] < least <= means[0] + (0.5 if kind.measure == "specularity_quality" else 0.05), means


def test_a_warp_agrees_with_its_photo(see_face: SeeFace) -> None:
    for name in NAMES:
        seen = see_face(name)
        face = seen.landmarks[0]
        warp = cut_warp(seen.pixels, face.points5)
        again = cv2.imdecode(np.frombuffer(encode_jpeg(warp), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
        to_warp = seen.to_warp[0]
        in_warp = Landmarks(transform(to_warp, face.points5), transform(to_warp, face.points68), 0.0)
        of_photo, of_warp = quality(seen.pixels, face), quality(np.ascontiguousarray(again), in_warp)
        assert of_warp == pytest.approx(of_photo, abs=0.05), name


def test_landmarks_that_span_no_face_have_no_quality() -> None:
    line = np.stack([np.linspace(94, 156, 68), np.full(68, 112.0)], axis=1)
    eyes_and_mouth = np.array([[94.0, 112], [156, 112], [125, 145], [105, 179], [145, 179]])
    pixels = np.full((250, 250, 3), 90, np.uint8)
    assert QualityEstimator().estimate(views_of(pixels, Landmarks(eyes_and_mouth, line, 0.0))) == [None]
    assert QualityEstimator().estimate(FaceViews(pixels, [], cast(Any, None))) == []
