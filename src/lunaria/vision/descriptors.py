"""Descriptors: the network that makes them and what can be computed with them. The byte formats: descriptor_coding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.geometry import Pixels
from lunaria.vision.packs.manifest import Preprocessing
from lunaria.vision.runtime import InferenceSession
from lunaria.vision.tensors import as_tensor

BATCH = 4

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A face as a point on the unit sphere. `vector` (D,) float32; `version`: the model; `score` 0..1: usability."""

    vector: Vector
    version: int
    score: float


class DescriptorNetwork:
    """Turns aligned faces into unit vectors. Thread-safe."""

    def __init__(self, session: InferenceSession, preprocessing: Preprocessing, dimension: int) -> None:
        self._session = session
        self._input = session.inputs[0]
        self._preprocessing = preprocessing
        self._dimension = dimension

    def extract(self, faces: Sequence[Pixels]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Unit vectors (N, D) of N aligned RGB faces (side, side, 3), and how long they were before (N,)."""
        vectors = np.zeros((len(faces), self._dimension), np.float32)
        for start in range(0, len(faces), BATCH):
            part = faces[start : start + BATCH]
            tensor = np.stack([as_tensor(face, self._preprocessing) for face in part])
            output = next(iter(self._session.run({self._input: tensor}).values()))
            vectors[start : start + len(part)] = output.reshape(len(part), self._dimension)
        lengths = np.linalg.norm(vectors, axis=1)
        return vectors / np.maximum(lengths, 1e-12)[:, None], lengths


def aggregate(descriptors: Sequence[Descriptor]) -> Descriptor:
    """One descriptor for several of the same person: the mean weighted by score, renormalised; the mean of scores.

    Raises ValueError for an empty sequence, for different versions and when the vectors cancel out.
    """
    if not descriptors:
        raise ValueError("there is nothing to aggregate")
    versions = {descriptor.version for descriptor in descriptors}
    if len(versions) > 1:
        raise ValueError(f"descriptors of different versions cannot be aggregated: {sorted(versions)}")
    scores = np.array([descriptor.score for descriptor in descriptors])
    weights = scores if scores.sum() > 0 else np.ones(len(scores))
    total = weights @ np.stack([descriptor.vector for descriptor in descriptors]).astype(np.float64)
    length = float(np.linalg.norm(total))
    if length <= 1e-6 * float(weights.sum()):
        raise ValueError("the descriptors cancel each other out")
    return Descriptor((total / length).astype(np.float32), versions.pop(), float(scores.mean()))
