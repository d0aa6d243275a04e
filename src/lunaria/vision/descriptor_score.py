"""How usable a face is for recognition, 0..1."""

from __future__ import annotations

import cv2
import numpy as np

from lunaria.vision.descriptors import as_tensor
from lunaria.vision.geometry import Pixels, Points, crop, inverse, square_transform
from lunaria.vision.head_pose import HeadPose
from lunaria.vision.packs.manifest import Preprocessing
from lunaria.vision.runtime import InferenceSession
from lunaria.vision.warps import warp_transform

_CENTRE_IN_WARP = np.array([125.0, 155.0])
_SIDE_IN_WARP = 150.0

_LOWEST_QUALITY, _QUALITY_RANGE = 0.3, 0.45
_EYE_DISTANCE_HALF, _EYE_DISTANCE_WIDTH = 35.0, 10.0


class DescriptorScore:
    """Combines the quality network, the pose and the size of the face in pixels. Thread-safe."""

    def __init__(self, session: InferenceSession, preprocessing: Preprocessing) -> None:
        self._session = session
        self._input = session.inputs[0]
        self._preprocessing = preprocessing
        self._side = preprocessing.width or 128

    def estimate(self, pixels: Pixels, points5: Points, pose: HeadPose) -> float:
        """The score of the face with these five points (5, 2) in an RGB image (H, W, 3)."""
        quality = (self.quality(pixels, points5) - _LOWEST_QUALITY) / _QUALITY_RANGE
        turned = (np.cos(np.radians(pose.yaw)) * np.cos(np.radians(pose.pitch))) ** 2
        eyes = float(np.linalg.norm(points5[1] - points5[0]))
        size = 1 / (1 + np.exp((_EYE_DISTANCE_HALF - eyes) / _EYE_DISTANCE_WIDTH))
        return float(np.clip(min(quality, turned, size), 0, 1))

    def quality(self, pixels: Pixels, points5: Points) -> float:
        """What the network says of the upright square from above the brows to the chin; sharp photographs: 0.74."""
        # The square is fixed in the warp, so that a photo and the warp cut from it are seen alike.
        to_image = inverse(warp_transform(points5)) @ _homogeneous(
            square_transform(_CENTRE_IN_WARP, _SIDE_IN_WARP, 0, self._side)
        )
        face = crop(pixels, to_image, self._side, border=cv2.BORDER_REPLICATE)
        tensor = as_tensor(face, self._preprocessing)[None]
        return float(next(iter(self._session.run({self._input: tensor}).values())).reshape(-1)[0])


def _homogeneous(matrix: Points) -> Points:
    return np.vstack([matrix, [0.0, 0.0, 1.0]])
