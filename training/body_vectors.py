"""What the heads for bodies are trained on: the vectors of PETA's crops as they are and varied, and their axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lunaria.vision.estimators.body_views import BodyFeatureNetwork, BodyViews
from lunaria.vision.geometry import Pixels
from lunaria.vision.packs.manifest import Preprocessing
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.projection import LIMIT
from lunaria.vision.runtime import open_session
from training.peta import Peta, varied_crop

AT_ONCE = 8
AXES = 800
SAMPLED = 4000
SMALLEST_DEVIATION = 0.02


def backbone(models: Path) -> BodyFeatureNetwork:
    """The pulled backbone from a folder of models."""
    found = ModelStore(models).network("body_features")
    return BodyFeatureNetwork(open_session(found.path, concurrency=1), found.spec.preprocessing or Preprocessing())


def vectors(data: Peta, network: BodyFeatureNetwork, variation: int, cache: Path) -> NDArray[np.float16]:
    """(N, D) of each crop, as it is with variation 0, varied at random with others; kept in the folder `cache`."""
    file = cache / f"body_vectors_{variation}.npy"
    if not file.exists():

        def crop(index: int) -> Pixels:
            return varied_crop(data.warps, index, variation) if variation else data.warps[index]

        found = computed(crop, len(data.warps), network)
        np.save(file, found)
        print(f"{file.name} written", flush=True)
    kept: NDArray[np.float16] = np.load(file)
    return kept


def computed(crop: Callable[[int], Pixels], count: int, network: BodyFeatureNetwork) -> NDArray[np.float16]:
    """The vectors of `count` crops."""
    parts = []
    for start in range(0, count, AT_ONCE):
        warps = [crop(index) for index in range(start, min(start + AT_ONCE, count))]
        parts.append(BodyViews(warps, network).vectors.astype(np.float16))
    return np.concatenate(parts)


@dataclass(frozen=True)
class Axes:
    """The main axes of standardised vectors: `mean`, `deviation` (D,), `basis` (D, AXES)."""

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    basis: torch.Tensor

    @classmethod
    def of(cls, found: NDArray[np.float16], count: int = AXES) -> Axes:
        values = found.astype(np.float32)
        mean, deviation = values.mean(axis=0), values.std(axis=0) + SMALLEST_DEVIATION
        torch.manual_seed(0)
        sampled = np.random.default_rng(0).permutation(len(values))[:SAMPLED]
        standardised = torch.from_numpy(np.clip((values[sampled] - mean) / deviation, -LIMIT, LIMIT))
        _, _, basis = torch.pca_lowrank(standardised, q=count, center=False, niter=1)
        return cls(mean, deviation, basis)

    def apply(self, found: NDArray[np.float16]) -> torch.Tensor:
        """(N, D) to (N, AXES)."""
        parts = []
        for start in range(0, len(found), 1000):
            values = (found[start : start + 1000].astype(np.float32) - self.mean) / self.deviation
            parts.append(torch.from_numpy(np.clip(values, -LIMIT, LIMIT)) @ self.basis)
        return torch.cat(parts)
