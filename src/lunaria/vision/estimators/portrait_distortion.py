"""Whether a wide lens or a camera held close has distorted the face, from the proportions of its mesh.

Both enlarge the middle of the face against its border. The 478 points, projected, are explained by the canonical face
under any affine camera plus a radial term: place = A v + C |v|^2 v, v being x and y of the canonical face. The mean of
the diagonal of A^-1 C, per square of half the face's width, is the `bulge`: negative where the middle is enlarged.

A hint, no measurement: the network that places the mesh pulls it towards a usual face, and faces differ. It tells a
lens held close, as in a photograph at arm's length or through a door viewer; weaker distortion, pincushion distortion,
and that of the picture away from the face it does not see. Figures: with LEAST_BULGE.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.geometry import Points
from lunaria.vision.head_pose import CANONICAL_POINTS, FaceMesh, HeadPose

MOST_TURNED = 20.0
"""Degrees of yaw up to which both halves of the face tell the same."""
LEAST_BULGE = -0.108
"""On 60 persons of LFW (51 of them frontal enough) 98 % of the photographs lie above. Distorted so that points at half
the width of the face from its middle move inwards by 8, 15 and 25 %, the median goes from -0.065 to -0.086, -0.100 and
-0.113. On 100 other persons 3 % of the undistorted and, at 8, 15, 25 and 40 %, 27, 45, 70 and 73 % lie below (AUC 0.72,
0.85, 0.92, 0.94; 74 of the 100 are frontal enough undistorted)."""


class RadialDistortion:
    """Judges meshes by the canonical face (468, 3). Thread-safe."""

    def __init__(self, canonical: NDArray[np.float32]) -> None:
        face = canonical.astype(np.float64) - canonical.mean(axis=0)
        face = face / np.abs(face[:, 0]).max()
        squares = (face[:, :2] ** 2).sum(axis=1, keepdims=True)
        self._terms = np.linalg.pinv(np.hstack([face, np.ones((len(face), 1)), squares * face[:, :2]]))

    def bulge(self, points: Points) -> float:
        """Of mesh points (468 or more, 2 or more)."""
        solved = self._terms @ points[:CANONICAL_POINTS, :2]
        return float(np.trace(np.linalg.solve(solved[:2].T, solved[4:].T)) / 2)

    def is_free(self, mesh: FaceMesh, pose: HeadPose | None) -> bool | None:
        """True without distortion; None for a turned head or where no face was seen."""
        if pose is None or abs(pose.yaw) > MOST_TURNED:
            return None
        return self.bulge(mesh.points) >= LEAST_BULGE
