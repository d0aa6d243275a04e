"""What the eyebrows do, from blendshapes of the face mesh.

Raised: browInnerUp or browOuterUp; lowered: browDown; lowered brows squint when the eyes are narrow (eyeSquint) and
frown when they are not. The limits were set by looking at contact sheets of LFW, sorted by each strength: 0.6 is where
brows begin to be clearly raised or lowered. There are no
labels. Of 150 faces of LFW 132 are neutral, 7 raised, 8 squinting and 3 frowning. In FER2013 brows are raised over the
limit in 51 % of the surprised and 11 % of the neutral faces, lowered in 6 % of the angry ones and 2 % of the neutral
ones: lowered brows are often missed.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.estimators.blendshapes import strength
from lunaria.vision.views import FaceViews

EyebrowsState = Literal["neutral", "raised", "squinting", "frowning"]
STATES: tuple[EyebrowsState, ...] = get_args(EyebrowsState)

RAISED, LOWERED, NARROW = 0.6, 0.6, 0.55
_WIDTH = 0.08
"""By how much a strength must change for a score to change from 0.5 to 0.73."""


class Eyebrows(NamedTuple):
    """`state`: the one with the highest score; `scores` sum to 1."""

    state: EyebrowsState
    scores: dict[EyebrowsState, float]


class EyebrowsEstimator:
    """Needs no network of its own. Thread-safe."""

    def estimate(self, views: FaceViews) -> list[Eyebrows]:
        """The eyebrows of each face."""
        values = views.blendshapes
        inner, outer = strength(values, "browInnerUp"), strength(values, "browOuterUpLeft", "browOuterUpRight")
        raised = _above(np.maximum(inner, outer), RAISED)
        lowered = _above(strength(values, "browDownLeft", "browDownRight"), LOWERED)
        narrow = _above(strength(values, "eyeSquintLeft", "eyeSquintRight"), NARROW)
        rest = 1 - raised
        scores = np.stack(
            [rest * (1 - lowered), raised, rest * lowered * narrow, rest * lowered * (1 - narrow)], axis=1
        )
        return [Eyebrows(STATES[int(np.argmax(row))], dict(zip(STATES, row.tolist(), strict=True))) for row in scores]


def _above(strengths: NDArray[np.float32], limit: float) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp((limit - strengths.astype(np.float64)) / _WIDTH)), np.float64)
