"""Deepfake: whether a face was blended into the photograph.

A weak estimate. Neither generated faces (GAN, diffusion) nor the output of face swap programs were there to learn from
or to measure on: it knows forgeries that were made of true photographs by blending, and says nothing about faces that
were generated as a whole. "Real" means no more than that no seam was found.

A small network (627 numbers, one hidden layer) rates the fine structure by zones around the outline of the face, see
`residuals`. Measured on 125 persons of LFW and 55 living faces of CelebA-Spoof on which nothing was fitted, true and
forged ones resized and compressed at random: at 0.5, 2.0 % of the true ones of LFW and 2.7 % of CelebA-Spoof count as
fake (the summand was set for at most 4 % on other faces). Area under the ROC curve, and share of the forgeries found,
LFW / CelebA-Spoof: resynthesised at low resolution 0.91, 57 % / 0.95, 76 %; swapped between persons 0.82, 36 % / 0.93,
64 %; blended into themselves 0.84, 33 % / 0.82, 32 %. Networks that were never shown a swap reach 0.68 and 0.89 on
swaps: how it does on other methods is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.estimators.residuals import VALUES, zone_values
from lunaria.vision.views import FaceViews

LIMIT = 4.0
"""Standardised numbers are clipped to this: an unusual photograph must not decide by one of them."""

RECOMMENDED_THRESHOLD = 0.5

NAMES = ("mean", "deviation", "hidden", "hidden_bias", "output", "summand")


class DeepfakeEstimator:
    """Rates the faces of a photograph. Thread-safe.

    `parameters`, the arrays of the role face_deepfake: `mean` and `deviation` (VALUES,) of `residuals.zone_values` over
    true faces and forgeries, `hidden` (VALUES, H) and `hidden_bias` (H,) of a layer with ReLU, `output` (H,) and
    `summand` () that give the log-odds of a forgery.
    """

    def __init__(self, parameters: Mapping[str, NDArray[Any]]) -> None:
        own = {name: np.asarray(parameters[name], np.float32) for name in NAMES}
        width = own["output"].size
        shapes = [own[name].shape for name in NAMES]
        if shapes != [(VALUES,), (VALUES,), (VALUES, width), (width,), (width,), ()]:
            raise ValueError(f"the parameters of the deepfake estimate have the shapes {shapes}")
        self._parameters = own

    def estimate(self, views: FaceViews) -> list[float]:
        """Of each face how likely it is untouched, 0..1. Meaningless for a warp, which was resampled as a whole."""
        if not len(views):
            return []
        values = np.stack([zone_values(views.pixels, face.points68) for face in views.landmarks])
        return [float(score) for score in 1 / (1 + np.exp(np.clip(self.log_odds(values), -50, 50)))]

    def log_odds(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of a forgery (N,), from `residuals.zone_values` (N, VALUES)."""
        mean, deviation, hidden, bias, output, summand = (self._parameters[name] for name in NAMES)
        standard = np.clip((values - mean) / deviation, -LIMIT, LIMIT)
        return np.asarray(np.maximum(standard @ hidden + bias, 0) @ output + summand, np.float32)
