"""Matching of boxes, average precision and landmark error, on cases that can be counted by hand."""

import numpy as np
import pytest

from lunaria.evaluation.detection import average_precision, landmark_error, match, recall_and_precision

TRUTH = np.array([[0.0, 0, 10, 10], [100, 100, 120, 120]])


def test_the_surest_detection_takes_the_box() -> None:
    boxes = np.array([[1.0, 1, 11, 11], [0, 0, 10, 10], [200, 200, 220, 220]])
    found = match(boxes, np.array([0.7, 0.9, 0.8]), TRUTH)
    assert found.scores.tolist() == [0.9, 0.8, 0.7]
    assert found.truth_of.tolist() == [0, -1, -1]  # the second hit of the same box is a false detection


def test_too_little_overlap_is_a_miss() -> None:
    assert match(np.array([[6.0, 0, 16, 10]]), np.array([0.9]), TRUTH).truth_of.tolist() == [-1]
    assert match(np.array([[4.0, 0, 14, 10]]), np.array([0.9]), TRUTH).truth_of.tolist() == [0]


def test_recall_precision_and_their_area() -> None:
    first = match(np.array([[0.0, 0, 10, 10], [50, 50, 60, 60]]), np.array([0.9, 0.8]), TRUTH)
    second = match(np.array([[100.0, 100, 120, 120]]), np.array([0.6]), TRUTH[1:])
    assert recall_and_precision([first, second], 0.5) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert recall_and_precision([first, second], 0.7) == (pytest.approx(1 / 3), 0.5)
    # Hits at rank 1 (precision 1) and 3 (precision 2/3) of three faces.
    assert average_precision([first, second]) == pytest.approx((1 + 2 / 3) / 3)


def test_nothing_found_is_no_precision() -> None:
    nothing = match(np.zeros((0, 4)), np.zeros(0), TRUTH)
    assert average_precision([nothing]) == 0
    assert recall_and_precision([nothing], 0) == (0, 0)


def test_landmark_error_is_a_share_of_the_eye_distance() -> None:
    truth = np.zeros((68, 2))
    truth[45] = [50, 0]
    assert landmark_error(truth + np.array([3, 4]), truth) == pytest.approx(0.1)
