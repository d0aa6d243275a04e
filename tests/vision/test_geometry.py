"""Similarity transforms, crops, overlaps."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunaria.vision.geometry import (
    crop,
    inverse,
    overlap,
    similarity_transform,
    square_transform,
    suppress_overlaps,
    transform,
)
from lunaria.vision.warps import ALIGNED_TEMPLATE, WARP_TEMPLATE, points_in_warp


@given(
    angle=st.floats(-180, 180),
    scale=st.floats(0.1, 10),
    x=st.floats(-500, 500),
    y=st.floats(-500, 500),
)
def test_a_similarity_is_recovered(angle: float, scale: float, x: float, y: float) -> None:
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = scale * np.array([[cosine, -sine], [sine, cosine]])
    expected = np.column_stack([turn, [x, y]])
    found = similarity_transform(ALIGNED_TEMPLATE, transform(expected, ALIGNED_TEMPLATE))
    assert np.allclose(found, expected, atol=1e-6)
    assert np.allclose(transform(inverse(found), transform(found, ALIGNED_TEMPLATE)), ALIGNED_TEMPLATE, atol=1e-6)


def test_a_mirrored_face_is_not_mirrored_back() -> None:
    found = similarity_transform(ALIGNED_TEMPLATE * [-1, 1], ALIGNED_TEMPLATE)
    assert np.linalg.det(found[:, :2]) > 0


def test_the_least_squares_solution_cannot_be_improved() -> None:
    rng = np.random.default_rng(4)
    source, target = rng.normal(size=(5, 2)), rng.normal(size=(5, 2))
    best = similarity_transform(source, target)
    error = ((transform(best, source) - target) ** 2).sum()
    for _ in range(200):
        cosine, sine, x, y = rng.normal(scale=0.05, size=4)
        other = best + np.array([[cosine, -sine, x], [sine, cosine, y]])
        assert ((transform(other, source) - target) ** 2).sum() >= error


def test_coinciding_points_have_no_transform() -> None:
    with pytest.raises(ValueError, match="coincide"):
        similarity_transform(np.ones((5, 2)), ALIGNED_TEMPLATE)


def test_the_square_is_turned_clockwise_as_seen() -> None:
    matrix = square_transform(np.array([100.0, 50.0]), 20, 90, 10)
    assert np.allclose(transform(matrix, np.array([5.0, 5.0])), [100, 50])
    # "Right" in the crop is "down" in the image: the crop shows a head that was turned clockwise upright.
    assert np.allclose(transform(matrix, np.array([10.0, 5.0])), [100, 60])


@pytest.mark.parametrize("step", [1.0, 2.0])
@pytest.mark.parametrize("side", [40.0, 100.0, 330.0, 577.0])
def test_a_reduced_crop_shows_the_same_place(side: float, step: float) -> None:
    y, x = np.mgrid[0:900, 0:1000]
    pixels = np.stack([x / 4, y / 4, (x + y) / 8], axis=2).astype(np.uint8)
    matrix = square_transform(np.array([480.0, 430.0]), side, 30, 64)
    plain = cv2.warpAffine(pixels, matrix, (64, 64), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    reduced = crop(pixels, matrix, 64, step=step)
    inner = (slice(3, -3), slice(3, -3))
    assert np.abs(plain[inner].astype(int) - reduced[inner]).max() <= 2


def test_a_reduced_crop_averages() -> None:
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 200
    face = crop(stripes, square_transform(np.array([400.0, 400.0]), 640, 0, 64), 64)
    assert np.abs(face[4:-4, 4:-4].astype(int) - 100).max() <= 3


def test_a_crop_outside_of_the_image_is_black() -> None:
    pixels = np.full((50, 50, 3), 255, np.uint8)
    for side in (20.0, 400.0):
        assert not crop(pixels, square_transform(np.array([900.0, 900.0]), side, 0, 16), 16).any()


def test_overlaps_and_their_suppression() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30], [0, 0, 0, 0]])
    assert np.allclose(overlap(boxes, boxes[0]), [1, 90 / 110, 0, 0])
    assert suppress_overlaps(boxes, np.array([0.7, 0.9, 0.8, 0.1]), 0.4) == [1, 2, 3]
    assert suppress_overlaps(np.zeros((0, 4)), np.zeros(0), 0.4) == []


def test_eyes_and_mouth_of_a_frontal_face_lie_at_the_template_of_the_warp() -> None:
    points = np.array([[10.0, 20], [72, 20], [41, 60], [20, 86.5], [62, 86.5]])
    warped = points_in_warp(points)
    assert np.allclose([warped[0], warped[1], (warped[3] + warped[4]) / 2], WARP_TEMPLATE)
