"""Descriptors of bodies: the same clothes in the same or a similar camera lie close to each other.

A linear map from the features of the network of pedestrians and colour histograms to 256 numbers, trained together with
that network on PETA (`training/body_network.py`). It describes what a person wears and carries, not who that is: it
finds a person again within hours and in similar light, hardly across cameras of another kind. The measured figures
stand beside the weights in the pack.

The score of a body is the probability that its descriptor matches another picture of the same person at similarity
0.25 (false match rate 1e-1), from what spoils a picture and shows in the features: fine features unlike those of an
ordinary warp (noise, blur), few strong features (blur, darkness, covered parts), little contrast. It was fitted on
pairs of which one picture was blurred, shrunk, darkened, made noisy or covered in part. As no one is recognised by
clothes in every picture, it stays below 1 for good pictures too: how far, the figures in the pack say.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lunaria.vision.estimators.body_views import FINE, PEAKS, BodyViews
from lunaria.vision.geometry import Pixels
from lunaria.vision.projection import Projection

QUALITIES = ("oddness", "detail", "contrast")
"""What the score is computed from, in the order of its weights."""


class BodyDescriptorNetwork:
    """Turns bodies into unit vectors. Thread-safe.

    `score_weights` (3,), `score_bias`: of the logistic function of QUALITIES.
    """

    def __init__(self, projection: Projection, score_weights: NDArray[np.float32], score_bias: float) -> None:
        self._projection = projection
        self._score_weights = score_weights
        self._score_bias = score_bias

    @classmethod
    def read(cls, path: Path) -> BodyDescriptorNetwork:
        """From the .npz file of the pack. Raises KeyError when an array is missing."""
        with np.load(path, allow_pickle=False) as arrays:
            score = arrays["score_weights"].astype(np.float32), float(arrays["score_bias"])
            return cls(Projection.from_arrays(arrays), *score)

    @property
    def dimension(self) -> int:
        """How many numbers a descriptor has."""
        return len(self._projection.scales)

    def extract(self, views: BodyViews) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Unit vectors (N, dimension) of N bodies and how usable each is (N,), 0..1."""
        if not len(views):
            return np.zeros((0, self.dimension), np.float32), np.zeros(0, np.float32)
        raw = self._projection.apply(views.vectors)
        lengths = np.linalg.norm(raw, axis=1, keepdims=True)
        log_odds = qualities(views.warps, self._projection.standardised(views.vectors)) @ self._score_weights
        scores = 1 / (1 + np.exp(-np.clip(log_odds + self._score_bias, -50, 50)))
        return raw / np.maximum(lengths, 1e-12), scores.astype(np.float32)


def qualities(warps: Sequence[Pixels], standardised: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 3): QUALITIES of N RGB warps with these standardised features (N, D)."""
    oddness = np.abs(standardised[:, FINE]).mean(axis=1)
    detail = standardised[:, PEAKS].mean(axis=1)
    contrast = [np.log(cv2.cvtColor(warp, cv2.COLOR_RGB2GRAY).std() + 4) for warp in warps]
    return np.stack([oddness, detail, np.array(contrast)], axis=1).astype(np.float32)
