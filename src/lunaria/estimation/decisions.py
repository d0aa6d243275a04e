"""From scores to words: the thresholds of liveness and deepfake, which the settings name."""

from dataclasses import dataclass
from typing import Literal


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
