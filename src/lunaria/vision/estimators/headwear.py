"""Headwear: whether something is worn on the head, and what, by two logistic regressions on features of the head.

Features: `upper_face`. The regressions were fitted by `training/headwear.py` to labels made for this project
(`training/labels/`): one tells whether anything is worn, the other its type. By cross-validation over persons the first
has an AUC of 0.993 (257 heads with and 3,604 without) and the type is right in 65 % only; more, by type, stands in the
manifest of the networks, role `face_headwear`.

Limits: types with fewer than eight examples could not be learnt and are never given: peaked caps count as baseball
caps, hoods as shawls, helmets and hats with ear flaps as other. Turbans, berets and bathing caps are other. Headbands,
crowns and headphones were left out as unclear. Where the photograph ends at the forehead only what is seen there tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lunaria.vision.estimators.features import LinearHead
from lunaria.vision.estimators.upper_face import HEAD_FEATURES, UpperFaceNetwork
from lunaria.vision.views import FaceViews

NONE = "none"
TYPES = (
    NONE,
    "baseball_cap",
    "beanie",
    "peaked_cap",
    "shawl",
    "hat_with_ear_flaps",
    "helmet",
    "hood",
    "hat",
    "other",
)
"""The API's words. Those that could not be learnt have the probability 0."""


@dataclass(frozen=True, slots=True)
class Headwear:
    """`present`: probability that anything is worn; `types`: of each word of TYPES, together 1, that of "none" being
    1 - present."""

    present: float
    types: dict[str, float]

    @property
    def predominant(self) -> str:
        """ "none" unless headwear is likelier than not, else the likeliest type."""
        if self.present <= 0.5:
            return NONE
        return max(TYPES[1:], key=lambda word: self.types[word])


class HeadwearEstimator:
    """Tells headwear. Thread-safe.

    `weights`: the file of the role `face_headwear`. Raises OSError or ValueError when it cannot be read.
    """

    def __init__(self, network: UpperFaceNetwork, weights: Path) -> None:
        self._network = network
        self._presence = LinearHead.load(weights, "presence", HEAD_FEATURES)
        self._type = LinearHead.load(weights, "type", HEAD_FEATURES)
        if self._presence.labels != (NONE, "present") or not set(self._type.labels) <= set(TYPES[1:]):
            raise ValueError(f"{weights.name} tells {', '.join(self._presence.labels + self._type.labels)}")

    def estimate(self, views: FaceViews) -> list[Headwear]:
        """One answer for each of the N faces."""
        features = self._network.features(views).head
        presence = self._presence.probabilities(features)[:, 1].astype(float).tolist()
        shares = self._type.probabilities(features).astype(float).tolist()
        return [self._answer(present, row) for present, row in zip(presence, shares, strict=True)]

    def _answer(self, present: float, shares: list[float]) -> Headwear:
        types = dict.fromkeys(TYPES, 0.0)
        types[NONE] = 1 - present
        for word, share in zip(self._type.labels, shares, strict=True):
            types[word] = present * share
        return Headwear(present, types)
