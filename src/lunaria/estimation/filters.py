"""Filters of detections: by the angles of the head, by mask, liveness and deepfake states."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from msgspec import UNSET

from lunaria.estimation.estimates import FaceAttributes, FilterReason
from lunaria.vision.head_pose import HeadPose

OFF = 180
"""The limit at which a filter lets everything through."""

MASK_STATES: Mapping[int, str] = MappingProxyType({1: "missing", 2: "medical_mask", 3: "occluded"})
LIVENESS_STATES: Mapping[int, str] = MappingProxyType({0: "spoof", 1: "real", 2: "unknown"})
DEEPFAKE_STATES: Mapping[int, str] = MappingProxyType({0: "fake", 1: "real"})
"""The words behind the API's numbers."""


@dataclass(frozen=True, slots=True)
class AngleLimits:
    """Limits in degrees; a face is filtered when an angle reaches its limit in either direction."""

    pitch: int = OFF
    roll: int = OFF
    yaw: int = OFF

    @property
    def active(self) -> bool:
        """Whether anything is filtered, so that the head pose has to be estimated."""
        return min(self.pitch, self.roll, self.yaw) < OFF

    def reasons(self, pose: HeadPose | None) -> list[FilterReason]:
        """Why a face with this pose is filtered; empty: it is not.

        A pose that cannot be told does not pass: nothing shows that the face keeps the limits.
        """
        return [
            FilterReason(f"{name}_threshold", angle, limit)
            for name, limit in (("pitch", self.pitch), ("roll", self.roll), ("yaw", self.yaw))
            for angle in [None if pose is None else getattr(pose, name)]
            if limit < OFF and (angle is None or abs(angle) >= limit)
        ]


@dataclass(frozen=True, slots=True)
class WantedStates:
    """States that pass, as the API numbers them; None lets all pass. A filter works only where its estimate is on."""

    mask: Sequence[int] | None = None
    liveness: Sequence[int] | None = None
    deepfake: Sequence[int] | None = None

    def reasons(self, face: FaceAttributes) -> list[FilterReason]:
        """Why a face with these estimates is filtered; empty: it is not."""
        found = (
            ("mask_states", self.mask, MASK_STATES, face.mask and face.mask.predominant_mask),
            ("liveness_states", self.liveness, LIVENESS_STATES, face.liveness and face.liveness.prediction),
            ("deepfake_states", self.deepfake, DEEPFAKE_STATES, face.deepfake and face.deepfake.prediction),
        )
        reasons = []
        for name, wanted, words, state in found:
            if wanted is None or state is UNSET or not state:
                continue
            passing = [words[number] for number in sorted(set(wanted))]
            if state not in passing:
                reasons.append(FilterReason(name, state, passing))
        return reasons
