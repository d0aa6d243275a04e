"""Directions of heads and gazes as they are seen in a picture.

Vectors are x to the right, y down, as in pictures, and z towards the viewer, of length 1.
"""

from collections.abc import Mapping
from math import cos, radians, sin

Vector = tuple[float, float, float]
Pose = Mapping[str, float]
"""`pitch`, `roll` and `yaw` in degrees, positive when the head looks down, is turned clockwise, and looks towards the
right edge of the picture."""

RIGHT, DOWN, FORWARD = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def turned(vector: Vector, pose: Pose) -> Vector:
    """A vector that is fixed to a head, when the head that looked at the viewer takes this pose."""
    x, y, z = vector
    pitch, yaw, roll = (radians(pose[name]) for name in ("pitch", "yaw", "roll"))
    y, z = y * cos(pitch) + z * sin(pitch), z * cos(pitch) - y * sin(pitch)
    x, z = x * cos(yaw) + z * sin(yaw), z * cos(yaw) - x * sin(yaw)
    x, y = x * cos(roll) - y * sin(roll), y * cos(roll) + x * sin(roll)
    return x, y, z


def axes(pose: Pose) -> tuple[Vector, Vector, Vector]:
    """The head's own right (of the picture), up and forward."""
    x, y, z = turned(DOWN, pose)
    return turned(RIGHT, pose), (-x, -y, -z), turned(FORWARD, pose)


def gaze(pose: Pose, yaw: float, pitch: float) -> Vector:
    """Where eyes look that are turned by these degrees relative to the head."""
    return turned(turned(FORWARD, {"pitch": pitch, "yaw": yaw, "roll": 0.0}), pose)
