"""How far in front the right ones are when a gallery is ordered by its similarity to a probe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Ranking:
    """Of P probes: the place of the first right one in the gallery `first` (P,), from 0 on, and the average precision
    of each `precision` (P,); `gallery`: how many were searched among."""

    first: NDArray[np.int64]
    precision: NDArray[np.float64]
    gallery: int

    def matches(self, rank: int) -> float:
        """Share of probes with a right one among the first `rank`: the value of the CMC curve there."""
        return float((self.first < rank).mean())

    def curve(self, ranks: int) -> NDArray[np.float64]:
        """The CMC curve from rank 1 on (ranks,)."""
        return np.array([self.matches(rank) for rank in range(1, ranks + 1)])

    @property
    def mean_average_precision(self) -> float:
        return float(self.precision.mean())


def ranking(
    probes: NDArray[np.floating], names: Sequence[str], gallery: NDArray[np.floating], gallery_names: Sequence[str]
) -> Ranking:
    """Search unit vectors (P, D) in (G, D). Raises ValueError when a probe's name is not in the gallery."""
    if missing := set(names) - set(gallery_names):
        raise ValueError(f"{min(missing)} is not in the gallery")
    order = np.argsort(-(probes @ gallery.T), axis=1, kind="stable")
    hits = np.asarray(gallery_names)[order] == np.asarray(names)[:, None]
    so_far = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    precision = np.array([row[hit].mean() for row, hit in zip(so_far, hits, strict=True)])
    return Ranking(hits.argmax(axis=1), precision, len(gallery_names))


def one_probe_each(names: Sequence[str], seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of one probe of each name that occurs several times, drawn at random, and of all others: the gallery."""
    rng = np.random.default_rng(seed)  # draws the sample that is measured on, the same for the same seed
    found, counts = np.unique(np.asarray(names), return_counts=True)
    several = found[counts > 1]
    if not len(several):
        raise ValueError("nobody occurs twice")
    probes = np.array([rng.choice(np.flatnonzero(np.asarray(names) == name)) for name in several], np.int64)
    return probes, np.setdiff1d(np.arange(len(names)), probes)
