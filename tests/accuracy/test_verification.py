"""The figures of accuracy against definitions spelled out, on small numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunaria.evaluation.verification import NO_MATCH, Roc, all_pairs, best_threshold, first_rank, fold_accuracy

SCORES = st.lists(st.tuples(st.sampled_from([-0.2, 0.0, 0.1, 0.25, 0.5, 0.9]), st.booleans()), min_size=1, max_size=40)


def right_decisions(scores: np.ndarray, same: np.ndarray, threshold: float) -> int:
    return int(((scores >= threshold) == same).sum())


@given(SCORES)
def test_no_threshold_decides_more_pairs_right_than_the_best(pairs: list[tuple[float, bool]]) -> None:
    scores, same = np.array([score for score, _ in pairs]), np.array([label for _, label in pairs])
    best = right_decisions(scores, same, best_threshold(scores, same))
    assert best == max(right_decisions(scores, same, threshold) for threshold in np.arange(-1, 1, 0.01))


def test_the_threshold_of_a_fold_is_chosen_on_the_other_folds() -> None:
    # Fold 2 would be decided without error at 0.8; by fold 1's threshold all of its pairs count as the same person.
    scores = np.array([0.1, 0.3, 0.7, 0.9])
    same = np.array([False, True, False, True])
    folds = np.array([1, 1, 2, 2])
    measured = fold_accuracy(scores, same, folds)
    assert [fold.accuracy for fold in measured.folds] == [0.5, 0.5]
    assert measured.folds[1].threshold == pytest.approx(0.2)
    assert measured.folds[0].threshold == pytest.approx(0.8)
    assert measured.mean == 0.5
    assert measured.deviation == 0


def test_one_fold_has_no_others_to_choose_on() -> None:
    with pytest.raises(ValueError, match="only one"):
        fold_accuracy(np.array([0.1, 0.9]), np.array([False, True]), np.array([1, 1]))


def test_rates_count_pairs() -> None:
    impostor = np.arange(1000, dtype=np.float32) / 1000  # the ten highest: 0.990 ... 0.999
    genuine = np.array([0.2, 0.9895, 0.9905, 0.9995], np.float32)
    roc = Roc(genuine, impostor)
    assert roc.threshold_at(0.01) == pytest.approx(0.989)
    assert roc.true_acceptance(0.01) == 0.75
    assert roc.true_acceptance(0.001) == 0.25
    assert roc.true_acceptance(1) == 1
    assert roc.at_threshold(0.5) == (pytest.approx(0.499), 0.75)
    with pytest.raises(ValueError, match="cannot show"):
        roc.threshold_at(0.0005)


def test_equal_error_rate_of_mixed_scores() -> None:
    impostor = np.array([0.1, 0.2, 0.3, 0.6], np.float32)
    genuine = np.array([0.4, 0.7, 0.8, 0.9], np.float32)
    assert Roc(genuine, impostor).equal_error() == 0.25
    assert Roc(genuine, genuine - 1).equal_error() <= 0.125


def test_the_curve_never_falls() -> None:
    random = np.random.default_rng(0)
    roc = Roc(random.normal(1, 1, 500).astype(np.float32), random.normal(0, 1, 5000).astype(np.float32))
    rates, accepted = roc.curve()
    assert (np.diff(accepted) >= 0).all()
    assert accepted[-1] == 1
    assert rates[0] == pytest.approx(1 / 5000)


def test_every_pair_is_compared_once_and_failures_are_never_accepted() -> None:
    random = np.random.default_rng(0)
    vectors = random.standard_normal((6, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    persons = ["a", "a", "b", "a", "c", "b"]
    genuine, impostor = all_pairs(vectors, persons, failed=["a", "d"])
    cosines = {
        same: sorted(
            float(vectors[i] @ vectors[j]) for i in range(6) for j in range(i) if (persons[i] == persons[j]) is same
        )
        for same in (True, False)
    }
    # "a" failed: 3 genuine and 3 impostor pairs with the six; "d" failed: 7 impostor pairs with all others.
    assert np.allclose(sorted(genuine), [NO_MATCH] * 3 + cosines[True])
    assert np.allclose(sorted(impostor), [NO_MATCH] * 10 + cosines[False])
    assert len(genuine) + len(impostor) == 8 * 7 / 2


def test_first_rank_searches_with_further_photographs() -> None:
    vectors = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.8, 0.2]], np.float32)
    assert first_rank(vectors, ["a", "a", "b", "b"]) == (0.5, 2, 2)
