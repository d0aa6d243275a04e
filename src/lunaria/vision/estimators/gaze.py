"""Direction of the gaze relative to the head, from the irises of the face mesh.

Yaw: each eyeball is a sphere that the head carries; where the iris lies on it tells where the eye looks. The radius at
the iris is that of an adult eye (10 of 26.6 mm of the width of the eye). The depth of the centre was measured:
in faces turned by 10 to 30 degrees the iris lies most often where it must lie to look into the camera if the depth is
0.28 widths (mode of 448 faces of UTKFace and of 71 of CelebA-Spoof), which is that of an adult eye too. Pitch: the
vertical place of the irises hardly follows the gaze in this mesh, so that the blendshapes eyeLookUp and eyeLookDown
are taken, with the scale that makes faces held high and low look into the camera (31 degrees; 1,745 of UTKFace).

No labelled gaze was at hand: expect errors of 6 to 10 degrees, as literature states for gaze from landmarks.
Of 112 faces of LFW that were looked at, 23 showed plainly where the eyes look within the head
(training/labels/gaze_direction.csv): all 9 that look aside have the right sign (11 to 41 degrees), 14 that look
straight ahead have -20 to 18, 8 on the median of the size. With the head's pose added, the yaw of 2,173 faces of
UTKFace, most of which look into the camera, is 2.5 degrees beside it on the median (4.7 where the head is turned by
more than 12). On 150 photographs of LFW the mirror image differs by 2.5 (yaw) and 2.7 degrees (pitch), a copy turned by
20 degrees by 0.3 and 0.4, the warp by 0.6 and 0.5 on the median.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.estimators.blendshapes import NAMES
from lunaria.vision.estimators.eyes import LEFT_EYE, RIGHT_EYE, Eye, Eyes, EyeVertices
from lunaria.vision.head_pose import FaceMesh, HeadPose, rotation_of
from lunaria.vision.views import FaceViews

RADIUS = 0.38
"""Of the eyeball at the iris, as a share of the distance of the corners of the eye."""
CENTRE = np.array([0.035, 0.07, -0.28])
"""From the middle between the corners to the centre of the eyeball, in the same shares: away from the nose, up, to the
viewer. The first two are the means over frontal faces."""
PITCH_SCALE = 31.0
"""Degrees at full strength of eyeLookDown, or upwards of eyeLookUp."""
PITCH_OFFSET = -5.0
"""Added to the pitch: without it faces of UTKFace that are held straight would look 5 degrees below the camera, on the
median; the other sets say the same (CelebA-Spoof 6, LFW 6)."""

_TO_VIEWER = np.array([1.0, -1.0, -1.0])
"""From image axes (y down, z away) to those of the head (y up, z to the viewer)."""


class _Side(NamedTuple):
    """`outwards`: the direction away from the nose; `down`, `up`: blendshapes, named from the person's side."""

    vertices: EyeVertices
    outwards: float
    down: int
    up: int


_SIDES = (
    _Side(LEFT_EYE, -1.0, NAMES.index("eyeLookDownRight"), NAMES.index("eyeLookUpRight")),
    _Side(RIGHT_EYE, 1.0, NAMES.index("eyeLookDownLeft"), NAMES.index("eyeLookUpLeft")),
)


class Gaze(NamedTuple):
    """Degrees relative to the head: yaw is positive towards the right edge of the picture, pitch downwards."""

    yaw: float
    pitch: float


class GazeEstimator:
    """Needs no network of its own. Thread-safe."""

    def estimate(self, views: FaceViews, eyes: Sequence[Eyes]) -> list[Gaze | None]:
        """The gaze of each face: the mean of its open eyes, by openness. None when none is open or the head has no
        pose."""
        return [
            None if pose is None else _gaze(mesh, pose, strengths, pair)
            for mesh, pose, strengths, pair in zip(views.meshes, views.poses, views.blendshapes, eyes, strict=True)
        ]


def _gaze(mesh: FaceMesh, pose: HeadPose, strengths: NDArray[np.float32], eyes: Eyes) -> Gaze | None:
    weights = np.array([_weight(eye) for eye in eyes])
    if not weights.any():
        return None
    rotation = rotation_of(pose)
    angles = [(_yaw(mesh, rotation, side), _pitch(strengths, side)) for side in _SIDES]
    yaw, pitch = np.average(angles, axis=0, weights=weights).tolist()
    return Gaze(yaw, pitch)


def _weight(eye: Eye) -> float:
    return eye.openness if eye.state == "open" else 0.0


def _pitch(strengths: NDArray[np.float32], side: _Side) -> float:
    """Degrees by which an eye looks down."""
    return PITCH_SCALE * float(strengths[side.down] - strengths[side.up]) + PITCH_OFFSET


def _yaw(mesh: FaceMesh, rotation: NDArray[np.float64], side: _Side) -> float:
    """Degrees by which an eye looks to the right edge of the picture of the upright head."""
    left, right = (mesh.points[vertex] * _TO_VIEWER for vertex in side.vertices[:2])
    iris = mesh.points[list(side.vertices.ring)].mean(axis=0) * _TO_VIEWER
    width = max(float(np.linalg.norm(right - left)), 1e-9)
    centre = (left + right) / 2 + rotation @ (CENTRE * [side.outwards, 1, 1]) * width
    # The depth of the iris in the mesh is only supposed: it follows from where the iris is seen on the sphere.
    seen = (iris - centre)[:2] / (RADIUS * width)
    seen /= max(1.0, float(np.linalg.norm(seen)))
    direction = rotation.T @ np.append(seen, np.sqrt(max(0.0, 1 - float(seen @ seen))))
    return float(np.degrees(np.arctan2(direction[0], direction[2])))
