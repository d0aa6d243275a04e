"""Strengths of 52 facial movements, by MediaPipe's blendshape network, from 146 points of the face mesh.

The network (Apache-2.0) takes points in pixels: its first layers subtract their mean and divide by their size, so that
place and scale make no difference. A roll would, so that the points are turned upright before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.geometry import Points
from lunaria.vision.head_pose import FaceMesh
from lunaria.vision.runtime import InferenceSession

NAMES = (
    *("_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    *("cheekPuff", "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft"),
    *("eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft"),
    *("eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft"),
    *("jawOpen", "jawRight", "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight"),
    *("mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight"),
    *("mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *("mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft"),
    *("mouthUpperUpRight", "noseSneerLeft", "noseSneerRight"),
)
"""The movements in the order of the network's outputs. "Left" is the left side of the person: the right side of the
picture."""

VERTICES = (
    *(0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80),
    *(81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153),
    *(154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249),
    *(251, 263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314),
    *(317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382),
    *(384, 385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, *range(468, 478)),
)
"""The vertices of the mesh that the network looks at."""

_OUTER_CORNERS = (33, 263)
"""Of the eyes, on the left and on the right of the picture."""


class BlendshapeNetwork:
    """Thread-safe."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self._input = session.inputs[0]

    def estimate(self, meshes: Sequence[FaceMesh]) -> NDArray[np.float32]:
        """Strengths (N, 52), 0..1, in the order of NAMES. The network takes one face at a time, in 0.2 ms."""
        result = np.zeros((len(meshes), len(NAMES)), np.float32)
        for row, mesh in zip(result, meshes, strict=True):
            points = _upright(mesh.points[:, :2])[list(VERTICES)]
            row[:] = next(iter(self._session.run({self._input: points[None].astype(np.float32)}).values())).reshape(-1)
        return np.clip(result, 0, 1)


def strength(values: NDArray[np.float32], *names: str) -> NDArray[np.float32]:
    """The mean strength (N,) of the named movements in values (N, 52)."""
    return np.asarray(values[:, [NAMES.index(name) for name in names]].mean(axis=1), np.float32)


def _upright(points: Points) -> Points:
    """Points (478, 2) turned so that the outer corners of the eyes lie level."""
    left, right = points[list(_OUTER_CORNERS)]
    along = (right - left) / max(float(np.linalg.norm(right - left)), 1e-9)
    return np.asarray((points - left) @ np.array([[along[0], -along[1]], [along[1], along[0]]]), np.float64)
