"""The vectors of crops as the product computes them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.estimators.body_views import BodyFeatureNetwork, BodyViews
from lunaria.vision.geometry import Pixels

AT_ONCE = 8


def computed(crop: Callable[[int], Pixels], count: int, network: BodyFeatureNetwork) -> NDArray[np.float32]:
    """(N, D) of `count` crops."""
    parts = []
    for start in range(0, count, AT_ONCE):
        warps = [crop(index) for index in range(start, min(start + AT_ONCE, count))]
        parts.append(BodyViews(warps, network).vectors)
    return np.concatenate(parts)
