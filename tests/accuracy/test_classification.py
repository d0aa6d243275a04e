"""Confusions, ROC curves, errors and rankings on cases that can be counted by hand."""

import numpy as np
import pytest

from lunaria.evaluation.classification import Confusion, area_under_curve, balanced_accuracy_at, roc_points
from lunaria.evaluation.numbers import Errors
from lunaria.evaluation.ranking import one_probe_each, ranking


def test_a_confusion_counts_truth_in_rows_and_answers_in_columns() -> None:
    found = Confusion.of(["a", "a", "a", "b"], ["a", "b", "none", "b"], ["b", "a", "c"])
    assert found.truths == ("b", "a")
    assert found.told == ("b", "a", "none")
    assert found.counts.tolist() == [[1, 0, 0], [1, 1, 1]]
    assert len(found) == 4
    assert found.accuracy == 0.5
    assert found.recalls == {"b": 1.0, "a": pytest.approx(1 / 3)}
    assert found.balanced_accuracy == pytest.approx(2 / 3)


def test_a_confusion_without_those_that_were_not_found() -> None:
    found = Confusion.of(["a", "a", "a", "b"], ["a", "b", "none", "none"]).without("none")
    assert (len(found), found.accuracy) == (2, 0.5)
    assert found.recalls == {"a": 0.5}


def test_a_word_that_is_never_told_has_no_recall() -> None:
    assert Confusion.of(["a", "b"], ["a", "a"]).recalls == {"a": 1.0, "b": 0.0}


def test_a_confusion_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing was told"):
        Confusion.of([], [])
    with pytest.raises(ValueError, match="2 true words and 1"):
        Confusion.of(["a", "b"], ["a"])


def test_area_under_the_curve_is_the_share_of_ordered_pairs() -> None:
    # Of six pairs 0.9 > all three, 0.4 > 0.1 only, and 0.4 = 0.4 counts half.
    positive, negative = np.array([0.9, 0.4]), np.array([0.1, 0.4, 0.5])
    assert area_under_curve(positive, negative) == pytest.approx((3 + 1 + 0.5) / 6)
    assert area_under_curve(positive, positive) == 0.5
    with pytest.raises(ValueError, match="both kinds"):
        area_under_curve(positive, np.array([]))


def test_the_curve_has_the_area_that_is_told() -> None:
    rng = np.random.default_rng(0)
    positive, negative = rng.integers(2, 12, 60).astype(float), rng.integers(0, 10, 80).astype(float)
    false, true = roc_points(positive, negative)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(true, false) == pytest.approx(area_under_curve(positive, negative))


def test_equal_scores_are_one_corner() -> None:
    false, true = roc_points(np.array([0.5, 0.5]), np.array([0.5, 0.1]))
    assert (false.tolist(), true.tolist()) == ([0, 0.5, 1], [0, 1, 1])


def test_balanced_accuracy_at_a_threshold() -> None:
    assert balanced_accuracy_at(np.array([0.5, 0.2]), np.array([0.1, 0.2, 0.3, 0.6]), 0.5) == (0.5 + 0.75) / 2


def test_errors_of_numbers() -> None:
    errors = Errors.of(np.array([20.0, 35, 50]), np.array([22.0, 30, 50]))
    assert errors.mean_absolute == pytest.approx(7 / 3)
    assert errors.bias == 1
    assert errors.percentile(50) == 2
    assert len(errors) == 3
    with pytest.raises(ValueError, match="nothing to compare"):
        Errors.of(np.array([]), np.array([]))


def test_angles_go_the_shorter_way_round() -> None:
    assert Errors.of_angles(np.array([179.0, -170, 10]), np.array([-179.0, 170, 5])).values.tolist() == [-2, 20, 5]


def test_a_histogram_has_a_bin_around_no_error() -> None:
    edges, counts = Errors(np.array([-6.0, -1, 0, 2.4, 2.6])).histogram(5)
    assert edges.tolist() == [-7.5, -2.5, 2.5, 7.5]
    assert counts.tolist() == [1, 3, 1]


def test_ranking_by_hand() -> None:
    gallery = np.array([[1.0, 0], [0.8, 0.6], [0, 1], [-1, 0]])
    names = ["a", "b", "a", "c"]
    found = ranking(np.array([[1.0, 0], [0, 1]]), ["a", "b"], gallery, names)
    assert found.first.tolist() == [0, 1]  # a, b, a, c and a, b, (a, c)
    assert found.precision.tolist() == [pytest.approx((1 + 2 / 3) / 2), 0.5]
    assert found.curve(3).tolist() == [0.5, 1, 1]
    assert found.mean_average_precision == pytest.approx((5 / 6 + 0.5) / 2)
    assert found.gallery == 4
    with pytest.raises(ValueError, match="d is not in the gallery"):
        ranking(np.array([[1.0, 0]]), ["d"], gallery, names)


def test_one_probe_of_each_who_occurs_twice() -> None:
    names = ["a", "b", "a", "c", "c"]
    probes, rest = one_probe_each(names)
    assert sorted(names[index] for index in probes) == ["a", "c"]
    assert sorted([*probes, *rest]) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="nobody occurs twice"):
        one_probe_each(["a", "b"])
