"""How well words told of things agree with the true ones, and how well a score tells two kinds apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often what is truly `truths[i]` was told to be `told[j]`: `counts` (I, J).

    Words may be told that are never true: "unknown", or that nothing was found. They count as wrong.
    """

    truths: tuple[str, ...]
    told: tuple[str, ...]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, truth: Sequence[str], told: Sequence[str], words: Sequence[str] = ()) -> Confusion:
        """Of N things. `words`: the order of the rows and columns; further words follow as they occur."""
        if len(truth) != len(told):
            raise ValueError(f"{len(truth)} true words and {len(told)} told ones")
        if not truth:
            raise ValueError("nothing was told of anything")
        known = tuple(word for word in words if word in set(truth))
        rows = known + tuple(dict.fromkeys(word for word in truth if word not in known))
        ordered = tuple(dict.fromkeys([*words, *rows]))
        columns = tuple(word for word in ordered if word in set(told) or word in rows)
        columns += tuple(dict.fromkeys(word for word in told if word not in columns))
        counts = np.zeros((len(rows), len(columns)), np.int64)
        np.add.at(counts, ([rows.index(word) for word in truth], [columns.index(word) for word in told]), 1)
        return cls(rows, columns, counts)

    def __len__(self) -> int:
        return int(self.counts.sum())

    def without(self, word: str) -> Confusion:
        """Those of which something else was told."""
        kept = [column for column, told in enumerate(self.told) if told != word]
        return Confusion(self.truths, tuple(self.told[column] for column in kept), self.counts[:, kept])

    @property
    def accuracy(self) -> float:
        """The share that was told right."""
        return sum(self._right(word) for word in self.truths) / max(len(self), 1)

    @property
    def recalls(self) -> dict[str, float]:
        """Of each true word, the share that was told right; only of words that occur."""
        totals = self.counts.sum(axis=1)
        return {word: self._right(word) / int(total) for word, total in zip(self.truths, totals, strict=True) if total}

    @property
    def balanced_accuracy(self) -> float:
        """The mean of the recalls: every word counts the same, however often it occurs."""
        return float(np.mean(list(self.recalls.values())))

    def _right(self, word: str) -> int:
        if word not in self.told:
            return 0
        return int(self.counts[self.truths.index(word), self.told.index(word)])


def area_under_curve(positive: Scores, negative: Scores) -> float:
    """The area under the ROC curve: how often a positive has the higher score; ties count half."""
    _both(positive, negative)
    ordered = np.sort(np.asarray(negative, np.float64))
    values = np.asarray(positive, np.float64)
    below, up_to = np.searchsorted(ordered, values, side="left"), np.searchsorted(ordered, values, side="right")
    return float((below + up_to).mean() / 2 / len(ordered))


def roc_points(positive: Scores, negative: Scores) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False and true positive rates (P,) over all thresholds, from (0, 0) to (1, 1); a corner for each change."""
    _both(positive, negative)
    scores = np.concatenate([positive, negative]).astype(np.float64)
    hit = np.repeat([True, False], [len(positive), len(negative)])
    order = np.argsort(-scores, kind="stable")
    # Equal scores fall on the same side of every threshold.
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    true = np.append(0, np.cumsum(hit[order])[last]) / len(positive)
    false = np.append(0, np.cumsum(~hit[order])[last]) / len(negative)
    return false, true


def balanced_accuracy_at(positive: Scores, negative: Scores, threshold: float) -> float:
    """The mean of the shares of positives from the threshold on and of negatives below it."""
    _both(positive, negative)
    return float(((np.asarray(positive) >= threshold).mean() + (np.asarray(negative) < threshold).mean()) / 2)


def _both(positive: Scores, negative: Scores) -> None:
    if not len(positive) or not len(negative):
        raise ValueError("scores of both kinds are needed")
