"""State of the eyes, and where their irises lie, from the face mesh.

An eye is closed when its lids are nearer to each other than 0.115 of the width of the eye, the middle of three pairs of
opposite points of the mesh. The blendshape eyeBlink adds nothing to that. A small network on the picture of the eye,
trained on half of the labels below and on 5,364 more eyes of which the mesh is sure, adds no more than chance: by
cross-validation in that half 93.9 % of 379 eyes are right with it and 93.1 % without.

The limit was chosen on half of 758 eyes of LFW, UTKFace and FER2013 that were labelled by eye on enlarged crops
(training/labels/eyes_state.csv, 184 closed; persons of LFW and images of the others are on one side only).
On the other half it finds 87 % of 84 closed and 95 % of 295 open eyes (balanced accuracy 0.909): all of the 209 open
eyes that were drawn at random, but 83 % of the 86 from the narrowest eighth of each set, as narrow and laughing eyes
are taken for closed. The eyes are 10 to 25 pixels wide. Closed ones were sought among the narrow ones, so that those
which the mesh takes for wide open are not counted. Between 150 photographs of LFW and their warps (JPEG quality 95) no
state of the left eye differs, and the irises lie 0.3 pixels apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import cv2
import numpy as np

from lunaria.vision.geometry import Pixels, Points, crop, square_transform
from lunaria.vision.head_pose import PRESENCE_THRESHOLD, FaceMesh
from lunaria.vision.views import FaceViews

EyeState = Literal["open", "closed", "occluded"]

IRIS_LANDMARKS = 32
SUNGLASSES_THRESHOLD = 0.5
LID_RATIO_THRESHOLD = 0.115
_LID_RATIO_WIDTH = 0.025
"""By how much the lid ratio must change for the openness to change from 0.5 to 0.73, as a logistic fit has it."""

_PATCH_SIDE = 32
_PATCH_MARGIN = 1.4
LEAST_CONTRAST = 3.0
"""Standard deviation of the grey values of an eye, of 255, below which nothing is seen of it. 400 eyes of LFW
have 13.9 or more, 8.0 when blurred (sigma 3), 3.5 in a quarter of the light. Eyes covered with one colour have 1.2 on
the median; more where the mesh finds the eye beside the cover."""


class EyeVertices(NamedTuple):
    """Vertices of the mesh, "left" and "right" as in the picture. Points of the `upper` and the `lower` lid lie
    opposite each other; `ring`: the right, upper, left and lower point of the border of the iris."""

    left_corner: int
    right_corner: int
    upper: tuple[int, int, int]
    lower: tuple[int, int, int]
    ring: tuple[int, int, int, int]


LEFT_EYE = EyeVertices(33, 133, (160, 159, 158), (144, 145, 153), (469, 470, 471, 472))
RIGHT_EYE = EyeVertices(362, 263, (385, 386, 387), (380, 374, 373), (474, 475, 476, 477))


class Eye(NamedTuple):
    """`openness`: probability that the eye is open if it is seen, 0..1. `iris`: (32, 2) points evenly round the border
    of the iris in pixels of the image, the first on its right, then clockwise as the upright face is seen; where the
    mesh supposes it when the eye is closed or occluded."""

    state: EyeState
    openness: float
    iris: Points


class Eyes(NamedTuple):
    """`left` is the eye on the left side of the picture of the upright face."""

    left: Eye
    right: Eye


class EyesEstimator:
    """Needs no network of its own. Thread-safe."""

    def estimate(self, views: FaceViews, sunglasses: Sequence[float]) -> list[Eyes]:
        """The eyes of each face; `sunglasses`: for each face the probability that it wears them.

        An eye is occluded behind sunglasses, when the mesh network hardly saw a face, or when the picture shows nothing
        where the eye should be. A hand or hair with a texture of its own is not noticed.
        """
        return [
            Eyes(*(_eye(views.pixels, mesh, vertices, dark) for vertices in (LEFT_EYE, RIGHT_EYE)))
            for mesh, dark in zip(views.meshes, sunglasses, strict=True)
        ]


def iris_landmarks(mesh: FaceMesh, eye: EyeVertices, count: int = IRIS_LANDMARKS) -> Points:
    """`count` points (count, 2) evenly on the ellipse through the four points of the ring; see `Eye`."""
    right, upper, left, lower = mesh.points[list(eye.ring), :2]
    angles = np.arange(count)[:, None] * 2 * np.pi / count
    centre = (right + upper + left + lower) / 4
    return np.asarray(centre + np.cos(angles) * (right - left) / 2 + np.sin(angles) * (lower - upper) / 2, np.float64)


def lid_ratio(mesh: FaceMesh, eye: EyeVertices) -> float:
    """Mean distance of the lids as a share of the width of the eye, both in the picture."""
    points = mesh.points[:, :2]
    apart = np.linalg.norm(points[list(eye.upper)] - points[list(eye.lower)], axis=1).mean()
    return float(apart) / max(float(np.linalg.norm(points[eye.right_corner] - points[eye.left_corner])), 1e-9)


def _eye(pixels: Pixels, mesh: FaceMesh, eye: EyeVertices, sunglasses: float) -> Eye:
    openness = float(1 / (1 + np.exp((LID_RATIO_THRESHOLD - lid_ratio(mesh, eye)) / _LID_RATIO_WIDTH)))
    hidden = (
        sunglasses > SUNGLASSES_THRESHOLD
        or mesh.presence < PRESENCE_THRESHOLD
        or _contrast(pixels, mesh, eye) < LEAST_CONTRAST
    )
    state: EyeState = "occluded" if hidden else "open" if openness > 0.5 else "closed"
    return Eye(state, openness, iris_landmarks(mesh, eye))


def _contrast(pixels: Pixels, mesh: FaceMesh, eye: EyeVertices) -> float:
    """Standard deviation of the grey values of the square around the eye."""
    left, right = mesh.points[eye.left_corner, :2], mesh.points[eye.right_corner, :2]
    side = max(float(np.linalg.norm(right - left)) * _PATCH_MARGIN, 1.0)
    roll = float(np.degrees(np.arctan2(right[1] - left[1], right[0] - left[0])))
    to_image = square_transform((left + right) / 2, side, roll, _PATCH_SIDE)
    patch = crop(pixels, to_image, _PATCH_SIDE, border=cv2.BORDER_REPLICATE)
    return float(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY).std())
