"""How well similarities tell the same person from another: accuracy over folds, and the ROC.

A photograph without a descriptor cannot be compared. Its pairs count with the lowest similarity there is: as never
accepted, which is what a system in use would do (failures to enrol are part of the error rates).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NO_MATCH = -1.0
"""Similarity of a pair of which one photograph has no descriptor: that of opposite vectors."""

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Fold:
    """A fold, decided by the threshold that was best on all the others."""

    number: int
    threshold: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class FoldAccuracy:
    """Accuracy by the protocol of LFW. `deviation`: standard deviation over the folds."""

    folds: tuple[Fold, ...]

    @property
    def mean(self) -> float:
        return float(np.mean([fold.accuracy for fold in self.folds]))

    @property
    def deviation(self) -> float:
        return float(np.std([fold.accuracy for fold in self.folds]))


def best_threshold(scores: NDArray[Any], same: NDArray[np.bool_]) -> float:
    """The threshold (same person: score >= threshold) with the most right decisions.

    Thresholds lie halfway between neighbouring scores; of several equally good ones the middle one is taken.
    """
    values, place = np.unique(np.asarray(scores, np.float64), return_inverse=True)
    genuine = np.bincount(place, weights=same, minlength=len(values))
    impostor = np.bincount(place, weights=~same, minlength=len(values))
    # Right decisions with the threshold below value k: genuine pairs from k on and impostor pairs before it.
    right = np.append(genuine[::-1].cumsum()[::-1], 0) + np.append(0, impostor.cumsum())
    borders = np.concatenate([[values[0] - 1e-6], (values[1:] + values[:-1]) / 2, [values[-1] + 1e-6]])
    best = np.flatnonzero(right == right.max())
    return float(borders[best[len(best) // 2]])


def fold_accuracy(scores: NDArray[Any], same: NDArray[np.bool_], folds: NDArray[np.int64]) -> FoldAccuracy:
    """Accuracy of each fold with the threshold chosen on the others. Raises ValueError for fewer than two folds."""
    numbers = np.unique(folds)
    if len(numbers) < 2:
        raise ValueError("a threshold cannot be chosen on other folds when there is only one")
    measured = []
    for number in numbers:
        inside = folds == number
        threshold = best_threshold(scores[~inside], same[~inside])
        accuracy = float(((scores[inside] >= threshold) == same[inside]).mean())
        measured.append(Fold(int(number), threshold, accuracy))
    return FoldAccuracy(tuple(measured))


class Roc:
    """True and false acceptance over all thresholds, from the scores of genuine and of impostor pairs."""

    def __init__(self, genuine: Scores, impostor: Scores) -> None:
        if not len(genuine) or not len(impostor):
            raise ValueError("pairs of the same and of different persons are needed")
        self._genuine = np.sort(genuine)
        self._impostor = np.sort(impostor)

    @property
    def genuine_pairs(self) -> int:
        return len(self._genuine)

    @property
    def impostor_pairs(self) -> int:
        return len(self._impostor)

    def threshold_at(self, rate: float) -> float:
        """The lowest threshold at which at most this share of the impostor pairs is accepted (score > threshold).

        Raises ValueError for a rate below one impostor pair.
        """
        allowed = int(rate * len(self._impostor))
        if allowed < 1:
            raise ValueError(f"{len(self._impostor)} impostor pairs cannot show a rate of {rate:g}")
        return float(self._impostor[-allowed - 1]) if allowed < len(self._impostor) else float("-inf")

    def true_acceptance(self, rate: float) -> float:
        """Share of genuine pairs that is accepted at the threshold of a false acceptance rate."""
        return self._accepted(self._genuine, self.threshold_at(rate))

    def at_threshold(self, threshold: float) -> tuple[float, float]:
        """False and true acceptance rate at a threshold."""
        return self._accepted(self._impostor, threshold), self._accepted(self._genuine, threshold)

    def equal_error(self) -> float:
        """The rate at which false acceptance and false rejection are equal."""
        candidates = np.unique(self._genuine)
        false_accept = 1 - np.searchsorted(self._impostor, candidates, side="right") / len(self._impostor)
        false_reject = np.searchsorted(self._genuine, candidates, side="right") / len(self._genuine)
        place = int(np.argmin(np.abs(false_accept - false_reject)))
        return float((false_accept[place] + false_reject[place]) / 2)

    def curve(self, points: int = 200) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """False and true acceptance rates, evenly spaced over the decades from one impostor pair to all."""
        rates = np.geomspace(1 / len(self._impostor), 1, points)
        return rates, np.array([self.true_acceptance(float(rate)) for rate in np.maximum(rates, rates[0] * (1 + 1e-9))])

    @staticmethod
    def _accepted(scores: Scores, threshold: float) -> float:
        return 1 - int(np.searchsorted(scores, np.float32(threshold), side="right")) / len(scores)


def all_pairs(
    vectors: NDArray[np.float32], persons: list[str], failed: list[str] | None = None
) -> tuple[Scores, Scores]:
    """Cosines of all pairs of the same and of different persons, each pair once.

    `vectors` (n, D) unit; `persons` (n,) who each shows; `failed`: persons of photographs without a descriptor, whose
    pairs count as NO_MATCH. Takes 4 bytes a pair: 30 million for 7,700 photographs.
    """
    _, labels = np.unique(persons, return_inverse=True)
    genuine, impostor = [], []
    for place, vector in enumerate(vectors):
        cosines = vectors[place + 1 :] @ vector
        same = labels[place + 1 :] == labels[place]
        genuine.append(cosines[same])
        impostor.append(cosines[~same])
    everyone = list(persons)
    for person in failed or []:
        alike = everyone.count(person)
        genuine.append(np.full(alike, NO_MATCH, np.float32))
        impostor.append(np.full(len(everyone) - alike, NO_MATCH, np.float32))
        everyone.append(person)
    return np.concatenate(genuine), np.concatenate(impostor)


def first_rank(vectors: NDArray[np.float32], persons: list[str]) -> tuple[float, int, int]:
    """Identification: how often the nearest of a gallery is the right person.

    The first photograph of each person is the gallery, the others search in it. Returns the share of right answers,
    the number of persons and the number of searches; the share is NaN when nobody has a second photograph.
    """
    names = np.array(persons)
    people, first = np.unique(names, return_index=True)
    probes = np.setdiff1d(np.arange(len(names)), first)
    if not len(probes):
        return float("nan"), len(people), 0
    found = people[np.argmax(vectors[probes] @ vectors[first].T, axis=1)]
    return float((found == names[probes]).mean()), len(people), len(probes)
