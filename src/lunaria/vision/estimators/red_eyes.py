"""Red eyes, as a flash makes them: the share of red pixels within the iris.

A pixel is red when its red value is over 100 and, as a multiple of the larger of green and blue, over 1.5 and over 1.6
times what it is on the cheek below: in warm light every brown iris is reddish, and so is the skin.
Of 575 open eyes of LFW 3 are called red; of the same eyes with a painted red pupil (60 % of the width of the iris) 97
%. No photograph of real red eyes was at hand. A grey image has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from lunaria.vision.estimators.eyes import Eye, Eyes
from lunaria.vision.geometry import Pixels, Points, crop, square_transform
from lunaria.vision.head_pose import FaceMesh
from lunaria.vision.views import FaceViews

RED_SHARE = 0.15
_DISC_SIDE = 24
_REDNESS = 1.5
_REDDER_THAN_SKIN = 1.6
_LEAST_RED = 100

_CHEEKS = (50, 280)
"""Vertices of the mesh below the left and the right eye of the picture."""
_CHEEK_SHARE = 0.15
"""Side of the square of the cheek as a share of the distance of both vertices."""
_CHEEK_SIDE = 8


class RedEyes(NamedTuple):
    """Share of red pixels within the iris of each eye, 0..1, "left" being the left side of the picture; 0 for an eye
    that is not open. `red`: whether either is over RED_SHARE."""

    left: float
    right: float

    @property
    def red(self) -> bool:
        return max(self.left, self.right) > RED_SHARE


class RedEyesEstimator:
    """Needs no network. Thread-safe."""

    def estimate(self, views: FaceViews, eyes: Sequence[Eyes]) -> list[RedEyes]:
        """The redness of each face's eyes."""
        return [
            RedEyes(
                *(_share(views.pixels, eye, skin) for eye, skin in zip(pair, _cheeks(views.pixels, mesh), strict=True))
            )
            for mesh, pair in zip(views.meshes, eyes, strict=True)
        ]


def _share(pixels: Pixels, eye: Eye, skin: Pixels) -> float:
    """Share of red pixels in an eye above skin (N, 3)."""
    if eye.state != "open":
        return 0.0
    disc = _disc(pixels, eye.iris).astype(np.float64)
    mean = skin.astype(np.float64).mean(axis=0)
    limit = max(_REDNESS, _REDDER_THAN_SKIN * float(mean[0] / max(mean[1:].max(), 1.0)))
    return float(((disc[:, 0] > limit * disc[:, 1:].max(axis=1)) & (disc[:, 0] > _LEAST_RED)).mean())


def _cheeks(pixels: Pixels, mesh: FaceMesh) -> list[Pixels]:
    """The RGB pixels (64, 3) of the cheek below each eye."""
    points = mesh.points[list(_CHEEKS), :2]
    side = max(float(np.linalg.norm(points[1] - points[0])) * _CHEEK_SHARE, 1.0)
    return [
        crop(pixels, square_transform(point, side, 0, _CHEEK_SIDE), _CHEEK_SIDE, border=cv2.BORDER_REPLICATE).reshape(
            -1, 3
        )
        for point in points
    ]


def _disc(pixels: Pixels, border: Points) -> Pixels:
    """The RGB pixels (N, 3) within the ellipse of the border, as if it were a circle of 24 pixels."""
    centre, quarter = border.mean(axis=0), len(border) // 4
    right, lower = border[0] - centre, border[quarter] - centre
    radius = _DISC_SIDE / 2
    axes = np.column_stack([right, lower]) / radius
    to_image = np.column_stack([axes, centre - axes @ np.array([radius - 0.5, radius - 0.5])])
    square = crop(pixels, to_image, _DISC_SIDE, border=cv2.BORDER_REPLICATE)
    rows, columns = np.mgrid[:_DISC_SIDE, :_DISC_SIDE] - (radius - 0.5)
    return np.asarray(square[rows**2 + columns**2 <= radius**2], np.uint8)
