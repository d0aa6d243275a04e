"""From pixels to the input of a network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.geometry import Pixels
from lunaria.vision.packs.manifest import Preprocessing


def as_tensor(pixels: Pixels, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """The input of a network for RGB pixels (H, W, 3), without a batch axis: (pixel - mean) / scale, in its order."""
    ordered = pixels[:, :, ::-1] if preprocessing.channels == "BGR" else pixels
    values = ordered.astype(np.float32)
    if any(preprocessing.mean) or set(preprocessing.scale) != {1.0}:
        values -= np.array(preprocessing.mean, np.float32)
        values /= np.array(preprocessing.scale, np.float32)
    return np.ascontiguousarray(values.transpose(2, 0, 1) if preprocessing.layout == "NCHW" else values)
