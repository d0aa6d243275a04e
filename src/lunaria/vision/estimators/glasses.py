"""Glasses: none, eyeglasses or sunglasses, by logistic regression on the features of the band of the eyes.

Features: `upper_face`. The regression was fitted by `training/glasses.py` to labels made for this project
(`training/labels/`). Among 655 faces of LFW, of persons that were not trained on, 98.8 % came out right and 97.5 % of
the 121 pairs of eyeglasses were found (as warps 98.6 and 96.7 %); more stands in the manifest, role `face_glasses`.

Limits: thin rimless frames on blurred or small faces are missed first; tinted lenses through which the eyes are seen
may be called either kind; sunglasses low on the nose, with the eyes over them, were not learnt; glasses pushed up into
the hair are none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from lunaria.vision.estimators.features import LinearHead
from lunaria.vision.estimators.upper_face import EYE_FEATURES, UpperFaceNetwork
from lunaria.vision.views import FaceViews

State = Literal["no_glasses", "eyeglasses", "sunglasses"]
STATES: tuple[State, ...] = get_args(State)


class Glasses(NamedTuple):
    """Probabilities of the three states; they sum to 1."""

    no_glasses: float
    eyeglasses: float
    sunglasses: float

    @property
    def predominant(self) -> State:
        """The likeliest state, one of STATES."""
        return STATES[int(np.argmax(self))]


class GlassesEstimator:
    """Tells whether glasses are worn, and which. Thread-safe.

    `weights`: the file of the role `face_glasses`. Raises OSError or ValueError when it cannot be read.
    """

    def __init__(self, network: UpperFaceNetwork, weights: Path) -> None:
        self._network = network
        self._head = LinearHead.load(weights, "glasses", EYE_FEATURES)
        if self._head.labels != STATES:
            raise ValueError(f"{weights.name} tells {', '.join(self._head.labels)}, not {', '.join(STATES)}")

    def estimate(self, views: FaceViews) -> list[Glasses]:
        """One answer for each of the N faces."""
        probabilities = self._head.probabilities(self._network.features(views).eyes)
        return [Glasses(*row) for row in probabilities.astype(float).tolist()]
