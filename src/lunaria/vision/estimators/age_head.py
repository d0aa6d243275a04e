"""What the shared features of a face add to the age that two networks tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.estimators.features import EMBEDDING

KNOTS = (2, 5, 10, 15, 20, 30, 40, 50, 60, 70)
"""Years from which on an age counts anew, so that the head can bend it: both networks pull to the middle."""
INPUTS = EMBEDDING + 3 * (1 + len(KNOTS))

NAMES = ("hidden", "hidden_bias", "output", "summand")


class AgeHead:
    """A small network that corrects the mean age of the two networks. Thread-safe.

    `parameters`, the arrays of the role face_age_head: `hidden` (INPUTS, H) and `hidden_bias` (H,) of a layer with
    ReLU, `output` (H,) and `summand` () that give the years to add. The standardisation of the embedding is folded into
    them.
    """

    def __init__(self, parameters: Mapping[str, NDArray[Any]]) -> None:
        missing = sorted(set(NAMES) - set(parameters))
        if missing:
            raise ValueError(f"the head for the age holds no {', '.join(missing)}")
        own = [np.asarray(parameters[name], np.float32) for name in NAMES]
        width = own[2].size
        shapes = [array.shape for array in own]
        if shapes != [(INPUTS, width), (width,), (width,), ()]:
            raise ValueError(f"the parameters of the head for the age have the shapes {shapes}")
        self._parameters = own

    def corrections(
        self, embedding: NDArray[np.float32], first: NDArray[np.float32], second: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The years (N,) to add for faces by their embedding (N, 1024) and the ages (N,) that both networks tell."""
        hidden, bias, output, summand = self._parameters
        seen = np.maximum(inputs(embedding, first, second) @ hidden + bias, 0)
        return np.asarray(seen @ output + summand, np.float32)


def inputs(
    embedding: NDArray[np.float32], first: NDArray[np.float32], second: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(N, INPUTS): the embedding, and of both ages and their mean the decades, and the decades above each knot."""
    ages = np.stack([first, second, (first + second) / 2], axis=1)[..., None]
    above = np.maximum(ages - np.array([0, *KNOTS]), 0) / 10
    return np.concatenate([embedding, above.reshape(len(embedding), -1)], axis=1).astype(np.float32)
