"""From scores to words, from measures to passes: the thresholds of liveness, deepfake and the checks of a picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lunaria.vision.checks import BY_NAME, Threshold


@dataclass(frozen=True, slots=True)
class Decisions:
    """A face is real from these scores on; below `liveness_quality` its liveness is unknown."""

    liveness_threshold: float
    liveness_quality: float
    deepfake_threshold: float

    def liveness(self, score: float, quality: float) -> Literal["real", "spoof", "unknown"]:
        if quality < self.liveness_quality:
            return "unknown"
        return "real" if score >= self.liveness_threshold else "spoof"

    def deepfake(self, score: float) -> Literal["real", "fake"]:
        return "real" if score >= self.deepfake_threshold else "fake"


@dataclass(frozen=True, slots=True)
class WantedChecks:
    """How the checks of a picture are judged and reported: for the ISO service, or as face quality.

    `limits`: the thresholds of the checks that are made; None: all of them with the default thresholds. With
    `filtering`, a face that fails a check is filtered.
    """

    report: Literal["iso", "face_quality"]
    limits: Mapping[str, Threshold] | None = None
    filtering: bool = False

    @property
    def off(self) -> frozenset[str]:
        """The checks that are not made."""
        return frozenset() if self.limits is None else frozenset(BY_NAME.keys() - self.limits.keys())
