"""Filters of detections by the angles of the head."""

from dataclasses import dataclass

from lunaria.estimation.estimates import FilterReason
from lunaria.vision.head_pose import HeadPose

OFF = 180
"""The limit at which a filter lets everything through."""


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
