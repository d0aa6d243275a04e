"""How the shoulders stand to the camera, from where MoveNet Thunder sees them.

Shoulders that are square to the camera lie level, equally far to both sides of the eyes, and are wide for the face;
turned or tilted ones do not. They are hidden where the network does not see both inside of the picture.

Limits: the network answers two points in the picture, so that the depth is only guessed from their distances. On 160
photographs of LFW, labelled by eye by one person from small pictures (`training/labels/shoulders.csv`; noisy, as many
are in between), on which the limits were looked at too, it agrees with the label in 62 %: 74 of 97 parallel, 25 of 50
not parallel, 0 of 13 hidden. Always saying "parallel" would agree in 61 %. Shoulders that hair, hands or other people
cover are not recognised as hidden; what is recognised is that the picture ends above them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.geometry import Points
from lunaria.vision.keypoints import COCO_KEYPOINTS, KeypointNetwork
from lunaria.vision.views import FaceViews
from lunaria.vision.warps import WARP_TEMPLATE

SIDE = 800.0
DEPTH = 187.5
"""The square in which head and shoulders are looked for: its side, and how far its centre lies below the middle of the
eyes, in pixels of the warp."""

VISIBLE_SCORE = 0.15
LARGEST_TILT = 18.0
LARGEST_ASYMMETRY = 0.25
LEAST_WIDTH = 3.2
"""Width of the shoulders in distances of the eyes."""

OUTSIDE_TOLERANCE = 0.5
"""How far outside of the picture a shoulder may end, in distances of the eyes: most of it is seen then."""

ShoulderPosition = Literal["parallel", "non_parallel", "hidden"]

_LEFT, _RIGHT = COCO_KEYPOINTS.index("left_shoulder"), COCO_KEYPOINTS.index("right_shoulder")
_EYE_DISTANCE = float(WARP_TEMPLATE[1, 0] - WARP_TEMPLATE[0, 0])


@dataclass(frozen=True, slots=True)
class Shoulders:
    """Of one person.

    `tilt`: degrees between the line of the shoulders and the horizontal, 0..180; `asymmetry`: difference of the
    distances of the shoulders from the middle of the eyes as a share of their sum, 0..1; `width` in distances of the
    eyes. The three mean nothing when the shoulders are hidden.
    """

    position: ShoulderPosition
    tilt: float
    asymmetry: float
    width: float


class ShouldersEstimator:
    """Where the shoulders are, by one run of the keypoint network for each face. Thread-safe."""

    def __init__(self, keypoints: KeypointNetwork) -> None:
        self._keypoints = keypoints

    def estimate(self, views: FaceViews) -> list[Shoulders]:
        """The shoulders of each face."""
        if views.is_warp:
            return [Shoulders("hidden", 0.0, 0.0, 0.0) for _ in views.landmarks]
        squares: list[tuple[Points, float]] = []
        eyes: list[tuple[Points, float]] = []
        for face, to_warp in zip(views.landmarks, views.to_warp, strict=True):
            middle = face.points5[:2].mean(axis=0)
            scale = float(np.sqrt(abs(np.linalg.det(to_warp[:, :2]))))
            squares.append((middle + np.array([0.0, DEPTH / scale]), SIDE / scale))
            eyes.append((middle, _EYE_DISTANCE / scale))
        height, width = views.pixels.shape[:2]
        found = self._keypoints.locate_in_squares(views.pixels, squares)
        return [
            judge_shoulders(points[_LEFT], points[_RIGHT], middle, distance, (width, height))
            for points, (middle, distance) in zip(found, eyes, strict=True)
        ]


def judge_shoulders(
    left: NDArray[np.float64], right: NDArray[np.float64], eyes: Points, eye_distance: float, size: Sequence[int]
) -> Shoulders:
    """From both shoulders (x, y, score), "left" being the person's own, the middle of the eyes (x, y) and the distance
    of the eyes in an image of this width and height."""
    across = left[:2] - right[:2]
    tilt = float(abs(np.degrees(np.arctan2(across[1], across[0]))))
    to_left, to_right = float(left[0] - eyes[0]), float(eyes[0] - right[0])
    asymmetry = abs(to_left - to_right) / max(abs(to_left) + abs(to_right), 1e-6)
    width = float(across[0]) / eye_distance
    points = np.stack([left, right])[:, :2]
    outside = float(np.maximum(-points, points - np.array(size)).max()) / eye_distance
    position: ShoulderPosition = "parallel"
    if outside > OUTSIDE_TOLERANCE or min(left[2], right[2]) < VISIBLE_SCORE:
        position = "hidden"
    elif tilt > LARGEST_TILT or asymmetry > LARGEST_ASYMMETRY or width < LEAST_WIDTH:
        position = "non_parallel"
    return Shoulders(position, tilt, min(asymmetry, 1.0), width)
