"""Similarity 0..1 of two descriptors: a calibrated, rising function of their cosine.

0.5, 0.75, 0.9 and 0.95 mean that 1e-2, 1e-3, 1e-4 and 1e-5 of the pairs of different persons score as high or higher;
identical descriptors have 1.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIMILARITY_AT_RATE = {1e-1: 0.25, 1e-2: 0.5, 1e-3: 0.75, 1e-4: 0.9, 1e-5: 0.95, 1e-6: 0.975}
"""Similarity by false match rate. Between 1e-2 and 1e-5 as decided; below 0.5 it goes on with 0.25 a decade, above 0.95
every decade halves what is left to 1."""

MEDIAN_SIMILARITY = 0.25 * -float(np.log10(0.5))
FEWEST_PAIRS = 20


class Similarity:
    """The map of one model, piecewise linear through `knots` (cosine, similarity).

    Raises ValueError unless both coordinates rise strictly from similarity 0 to (1, 1).
    """

    def __init__(self, knots: Sequence[tuple[float, float]]) -> None:
        self.knots = tuple((float(cosine), float(similarity)) for cosine, similarity in knots)
        table = np.array(self.knots, np.float64).reshape(-1, 2)
        if len(table) < 2 or not np.isfinite(table).all() or not (np.diff(table, axis=0) > 0).all():
            raise ValueError("the knots of a similarity must rise strictly")
        if table[0, 1] != 0 or tuple(table[-1]) != (1.0, 1.0):
            raise ValueError("a similarity must begin at 0 and end with 1 at cosine 1")
        self._cosines, self._similarities = table.T.copy()

    def from_cosine(self, cosine: Any) -> NDArray[np.float64]:
        """Similarity of each cosine, any shape; what rounding pushed over -1 or 1 counts as these."""
        return np.asarray(np.interp(cosine, self._cosines, self._similarities), np.float64)

    def to_cosine(self, similarity: Any) -> NDArray[np.float64]:
        """The cosine that has this similarity, the inverse of `from_cosine`; for thresholds."""
        return np.asarray(np.interp(similarity, self._similarities, self._cosines), np.float64)


def fit_similarity(impostor_cosines: NDArray[Any], source: str) -> tuple[list[tuple[float, float]], str]:
    """Knots for a model, and a sentence that says what they rest on, from cosines of pairs of different persons.

    `source` describes the images and the date. A rate that fewer than 20 pairs reach is extrapolated on the logarithmic
    scale, along the line through the two rarest rates that were measured. Raises ValueError when even 1e-3 is too rare.
    """
    cosines = np.asarray(impostor_cosines, np.float64).ravel()
    measured = {
        rate: float(np.quantile(cosines, 1 - rate))
        for rate in SIMILARITY_AT_RATE
        if rate * cosines.size >= FEWEST_PAIRS
    }
    if len(measured) < 3:
        raise ValueError(f"{cosines.size} pairs are too few to fit a similarity")
    (near, near_cosine), (far, far_cosine) = list(measured.items())[-2:]
    slope = (far_cosine - near_cosine) / (np.log10(near) - np.log10(far))
    reached = {
        rate: measured.get(rate, float(far_cosine + slope * (np.log10(far) - np.log10(rate))))
        for rate in SIMILARITY_AT_RATE
    }
    median = float(np.median(cosines))
    knots = [(-1.0, 0.0), (round(median, 4), round(MEDIAN_SIMILARITY, 4))]
    knots += [(round(cosine, 4), SIMILARITY_AT_RATE[rate]) for rate, cosine in reached.items() if cosine < 0.99]
    knots.append((1.0, 1.0))
    Similarity(knots)
    thresholds = ", ".join(
        f"{rate:.0e}: {cosine:.3f}{'' if rate in measured else ' (extrapolated)'}" for rate, cosine in reached.items()
    )
    evidence = (
        f"{source}; {cosines.size} pairs of different persons, cosine mean {cosines.mean():.3f}, standard deviation"
        f" {cosines.std():.3f}; cosine at false match rate {thresholds}. Below the median and above the rarest rate the"
        " map is continued, not measured."
    )
    return knots, evidence
