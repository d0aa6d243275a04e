"""The arithmetic of the figures about bodies."""

from __future__ import annotations

import numpy as np
import pytest

from lunaria.evaluation.bodies import (
    KEYPOINT_SPREAD,
    BodyImage,
    average_precision,
    best_threshold,
    count_errors,
    judge,
    keypoint_similarity,
)


def image(
    boxes: list[list[float]],
    scores: list[float],
    truth: list[list[float]],
    *,
    areas: list[float] | None = None,
    crowd: list[bool] | None = None,
) -> BodyImage:
    return BodyImage(
        np.array(boxes, np.float64).reshape(-1, 4),
        np.array(scores, np.float64),
        np.array(truth, np.float64).reshape(-1, 4),
        np.array(areas if areas is not None else [5000.0] * len(truth), np.float64),
        np.array(crowd if crowd is not None else [False] * len(truth), bool),
    )


LEFT, RIGHT, FAR = [0.0, 0, 50, 100], [200.0, 0, 250, 100], [500.0, 0, 550, 100]


def test_perfect_detections_have_a_precision_of_one() -> None:
    judged = judge([image([RIGHT, LEFT], [0.5, 0.9], [LEFT, RIGHT]), image([], [], [])])
    assert average_precision(judged) == pytest.approx(1)
    assert judged.scores.tolist() == [0.9, 0.5]
    assert judged.at(0.6) == (1.0, 0.5)


def test_average_precision_over_101_recalls() -> None:
    # Right, wrong, right of three bodies: precision 1 up to recall 1/3 (34 levels), 2/3 up to 2/3 (33 levels), then 0.
    judged = judge([image([LEFT, FAR, RIGHT], [0.9, 0.8, 0.7], [LEFT, RIGHT, [0.0, 300, 50, 400]])])
    assert average_precision(judged) == pytest.approx((34 * 1 + 33 * 2 / 3) / 101)
    assert best_threshold(judged) == 0.7
    assert judged.at(0.75) == (0.5, pytest.approx(1 / 3))


def test_a_body_is_hit_once_and_by_half_of_the_union() -> None:
    assert judge([image([LEFT, LEFT], [0.9, 0.8], [LEFT])]).hit.tolist() == [True, False]
    half, less = [0.0, 0, 50, 50], [0.0, 0, 50, 49]
    assert judge([image([half], [0.9], [LEFT])]).hit.tolist() == [True]
    assert judge([image([less], [0.9], [LEFT])]).hit.tolist() == [False]


def test_what_lies_in_a_crowd_counts_neither_way() -> None:
    crowd = [100.0, 0, 1000, 300]
    judged = judge([image([LEFT, FAR], [0.5, 0.9], [LEFT, crowd], crowd=[False, True])])
    assert (judged.hit.tolist(), judged.truths) == ([True], 1)


def test_small_bodies_are_ignored_with_what_is_found_on_them() -> None:
    small_found, small_false = [300.0, 0, 320, 20], [700.0, 0, 720, 20]
    images = [image([LEFT, small_found, small_false], [0.5, 0.9, 0.8], [LEFT, small_found], areas=[5000, 300])]
    assert (judge(images, 1024).hit.tolist(), judge(images, 1024).truths) == ([True], 1)
    assert (judge(images).hit.tolist(), judge(images).truths) == ([True, False, True], 2)


def test_nothing_found_or_nothing_there() -> None:
    assert average_precision(judge([image([], [], [LEFT])])) == 0
    assert average_precision(judge([image([LEFT], [0.5], [])])) == 0


def test_keypoint_similarity_falls_with_the_distance() -> None:
    truth = np.column_stack([np.arange(17) * 10.0, np.arange(17) * 5.0, np.full(17, 2.0)])
    assert keypoint_similarity(truth, truth, 900.0) == pytest.approx(1)
    moved = truth.copy()
    moved[:, 0] += KEYPOINT_SPREAD * np.sqrt(900.0)
    assert keypoint_similarity(moved, truth, 900.0) == pytest.approx(np.exp(-0.5))
    only_nose = truth * [1, 1, 0]
    only_nose[0, 2] = 1
    moved[0] = truth[0]
    assert keypoint_similarity(moved, only_nose, 900.0) == pytest.approx(1)
    with pytest.raises(ValueError, match="no keypoint"):
        keypoint_similarity(truth, truth * [1, 1, 0], 900.0)


def test_count_errors() -> None:
    assert count_errors([3, 5, 10], [5, 5, 9]) == (pytest.approx(1), pytest.approx(-1 / 3))
