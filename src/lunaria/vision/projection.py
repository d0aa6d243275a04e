"""A linear layer over standardised features whose weights are kept as bytes: small files for our own heads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LIMIT = 6.0
"""Standardised features are cut off here, in standard deviations: an odd image must not drown the rest."""

_LARGEST = 127


@dataclass(frozen=True, slots=True)
class Projection:
    """D features to H numbers: weights @ clip((x - mean) / deviation) + bias.

    `weights` (H, D) int8, times `scales` (H,); `mean`, `deviation` (D,); `bias` (H,).
    """

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    weights: NDArray[np.int8]
    scales: NDArray[np.float32]
    bias: NDArray[np.float32]

    @classmethod
    def from_weights(cls, mean: Any, deviation: Any, weights: NDArray[Any], bias: Any) -> Projection:
        """Round weights (H, D) to bytes, each row to its own scale."""
        scales = np.abs(weights).max(axis=1) / _LARGEST
        rounded = np.rint(weights / np.maximum(scales, 1e-30)[:, None]).astype(np.int8)
        return cls(
            mean=np.asarray(mean, np.float32),
            deviation=np.asarray(deviation, np.float32),
            weights=rounded,
            scales=np.asarray(scales, np.float32),
            bias=np.asarray(bias, np.float32),
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Projection:
        """From the arrays of a file. Raises KeyError."""
        single = {name: arrays[name].astype(np.float32) for name in ("mean", "deviation", "scales", "bias")}
        return cls(weights=arrays["weights"], **single)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a file has to hold."""
        half = {"mean": self.mean.astype(np.float16), "deviation": self.deviation.astype(np.float16)}
        return {**half, "weights": self.weights, "scales": self.scales, "bias": self.bias}

    def standardised(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, D) in standard deviations from the mean, cut off."""
        return np.asarray(np.clip((features - self.mean) / self.deviation, -LIMIT, LIMIT), np.float32)

    def apply(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, D) to (N, H)."""
        standardised = self.standardised(features)
        # Row by row the bytes would become four times as many floats at once: a part at a time stays in the cache.
        result = np.empty((len(features), len(self.weights)), np.float32)
        for start in range(0, len(self.weights), 32):
            part = slice(start, start + 32)
            result[:, part] = standardised @ self.weights[part].T.astype(np.float32)
        return result * self.scales + self.bias
