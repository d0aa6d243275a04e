"""How usable a face is for recognition, 0..1: two ways to tell, by what is known of the descriptor network.

SFace itself says it best: the length of its vector before normalisation falls with blur, darkness, noise, small size
and covered parts alike. `LengthScore` turns it into the probability that the descriptor matches another photograph of
the same person at similarity 0.9 (false match rate 1e-4).

Measured on LFW folds 1-3, persons with several images, one of the two images of a pair blurred, shrunk, darkened, made
noisy, compressed, covered in part or left as it is, at random strengths; fitted on half of the persons, measured on
the other half (695 pairs, 225 persons): area under the ROC curve for "matches" 0.88, rank correlation with the genuine
cosine 0.70. Of the faces with scores in the five fifths of the scale 24, 31, 43, 67 and 94 % match.
Mean scores of 130 persons at fixed strengths (half of them seen by the fit): unspoilt 0.97; blur with sigma 1.5, 3, 5
pixels 0.96, 0.84, 0.45; eyes 21, 10, 7 pixels apart 0.97, 0.92, 0.73; 25 and 8 % of the light 0.93, 0.66; lower face
covered 0.90; eyes covered 0.68; noise with a standard deviation of 30 0.69.

For other descriptor networks `QualityScore` asks the network qualityface (MobileNetV2 on face crops), the size and the
pose. On the same pairs it is weak, 0.61 and 0.24, being blind to noise and to covered eyes. Added to the length it
improves nothing (0.88, 0.70), so it does not run for SFace.
"""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from lunaria.vision.geometry import Pixels, chain, crop, inverse, square_transform
from lunaria.vision.head_pose import HeadPoseEstimator
from lunaria.vision.landmarks import Landmarks
from lunaria.vision.packs.manifest import Preprocessing
from lunaria.vision.runtime import InferenceSession
from lunaria.vision.tensors import as_tensor
from lunaria.vision.warps import warp_transform

_LENGTH_WEIGHT, _LENGTH_BIAS = 1.142, -10.364

_QUALITY_WEIGHT, _EYES_WEIGHT, _POSE_WEIGHT, _QUALITY_BIAS = 2.848, 0.307, 1.647, -2.678
_EYE_DISTANCE_ENOUGH = 40.0
_CENTRE_IN_WARP = np.array([125.0, 155.0])
_SIDE_IN_WARP = 150.0


class DescriptorScore(Protocol):
    """Rates a face whose descriptor was just extracted."""

    def estimate(self, length: float, pixels: Pixels, face: Landmarks) -> float:
        """The score from the length of the raw vector, the RGB image (H, W, 3) and where the face is in it."""
        ...


class LengthScore:
    """For SFace: the probability of a match, from the length of the raw vector."""

    def estimate(self, length: float, pixels: Pixels, face: Landmarks) -> float:
        """As DescriptorScore; the image is not looked at."""
        return _probability(_LENGTH_WEIGHT * length + _LENGTH_BIAS)


class QualityScore:
    """For any descriptor network: from the quality network, the size of the face and the pose. Thread-safe."""

    def __init__(self, session: InferenceSession, preprocessing: Preprocessing, pose: HeadPoseEstimator) -> None:
        self._session = session
        self._input = session.inputs[0]
        self._preprocessing = preprocessing
        self._side = preprocessing.width or 128
        self._pose = pose

    def estimate(self, length: float, pixels: Pixels, face: Landmarks) -> float:
        """As DescriptorScore; the length is not looked at."""
        pose = self._pose.from_landmarks(face.points68)
        towards_camera = float(np.cos(np.radians(pose.yaw)) * np.cos(np.radians(pose.pitch))) ** 2
        eyes = float(np.linalg.norm(face.points5[1] - face.points5[0]))
        return _probability(
            _QUALITY_WEIGHT * self.quality(pixels, face)
            + _EYES_WEIGHT * float(np.log(np.clip(eyes, 1, _EYE_DISTANCE_ENOUGH)))
            + _POSE_WEIGHT * towards_camera
            + _QUALITY_BIAS
        )

    def quality(self, pixels: Pixels, face: Landmarks) -> float:
        """What the network says of the upright square from above the brows to the chin; sharp photographs: 0.71."""
        # The square is fixed in the warp, so that a photo and the warp cut from it are seen alike.
        in_warp = square_transform(_CENTRE_IN_WARP, _SIDE_IN_WARP, 0, self._side)
        to_image = chain(inverse(warp_transform(face.points5)), in_warp)
        part = crop(pixels, to_image, self._side, border=cv2.BORDER_REPLICATE)
        tensor = as_tensor(part, self._preprocessing)[None]
        return float(next(iter(self._session.run({self._input: tensor}).values())).reshape(-1)[0])


def _probability(log_odds: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(log_odds, -50, 50))))
