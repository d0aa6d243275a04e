"""How far estimated numbers, as ages or angles, are from the true ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Errors:
    """Estimates less the truth (N,)."""

    values: NDArray[np.float64]

    @classmethod
    def of(cls, estimated: NDArray[np.floating], truth: NDArray[np.floating]) -> Errors:
        """Raises ValueError for none."""
        if not len(truth):
            raise ValueError("there is nothing to compare")
        return cls(np.asarray(estimated, np.float64) - np.asarray(truth, np.float64))

    @classmethod
    def of_angles(cls, estimated: NDArray[np.floating], truth: NDArray[np.floating]) -> Errors:
        """The shorter way round, -180..180 degrees."""
        apart = cls.of(estimated, truth).values
        return cls((apart + 180) % 360 - 180)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def mean_absolute(self) -> float:
        return float(np.abs(self.values).mean())

    @property
    def bias(self) -> float:
        """The mean error: negative where estimates are too low."""
        return float(self.values.mean())

    def percentile(self, share: float) -> float:
        """The absolute error that this percentage of the estimates does not exceed."""
        return float(np.percentile(np.abs(self.values), share))

    def histogram(self, width: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Edges (K + 1,) of bins of a width, of which one is centred on 0, and counts (K,)."""
        farthest = max(1, int(np.ceil((np.abs(self.values).max() - width / 2) / width)))
        edges = np.asarray((np.arange(-farthest, farthest + 2) - 0.5) * width, np.float64)
        return edges, np.histogram(self.values, edges)[0].astype(np.int64)
