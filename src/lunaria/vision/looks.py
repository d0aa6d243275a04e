"""A close look at the faces of one image: landmarks and descriptor of each, computed once, and how a doubtful one lies.

The detector alone cannot tell whether a face stands: it gives a face on its head nearly the same score in both
positions. The length of the raw SFace vector tells, as a face in the wrong position is none to that network.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.descriptors import DescriptorNetwork
from lunaria.vision.detections import Detections
from lunaria.vision.geometry import Pixels, Points
from lunaria.vision.landmarks import LandmarkNetwork, Landmarks
from lunaria.vision.warps import align

LONGER = 1.03
"""By how much the vector of another position must be longer. 145 photographs of LFW, in nine rolls: where the supposed
position was wrong the right one was longer by a median of 1.7 to 2.2, for 98 % by 1.13; 145 upright faces lost a
quarter of the length in other positions (median), and where these won, by 1.05 at most, landmarks had found the same
face from there."""
SAME_ROLL = 20.0
"""Landmarks that differ by less, in degrees, have found the same position."""

_Key = tuple[bytes, int]


class Looks:
    """Landmarks and raw descriptors of the faces of one image. For one call in one thread.

    `template` (5, 2) and `side`: how the descriptor network wants its faces aligned.
    """

    def __init__(self, landmarks: LandmarkNetwork, descriptor: DescriptorNetwork, template: Points, side: int) -> None:
        self._landmark_network = landmarks
        self._descriptor_network = descriptor
        self._template, self._side = template, side
        self._landmarks: dict[_Key, Landmarks] = {}
        self._vectors: dict[_Key, tuple[NDArray[np.float32], float]] = {}

    def landmarks(self, pixels: Pixels, faces: Detections) -> list[Landmarks]:
        """Landmarks of each face of the RGB image (H, W, 3)."""
        keys = _keys(faces)
        new = [index for index, key in enumerate(keys) if key not in self._landmarks]
        if new:
            for index, found in zip(new, self._landmark_network.locate(pixels, faces.take(new)), strict=True):
                self._landmarks[keys[index]] = found
        return [self._landmarks[key] for key in keys]

    def vectors(self, pixels: Pixels, faces: Detections) -> list[tuple[NDArray[np.float32], float]]:
        """Of each face the unit vector (D,) and how long it was before."""
        keys, landmarks = _keys(faces), self.landmarks(pixels, faces)
        new = [index for index, key in enumerate(keys) if key not in self._vectors]
        if new:
            aligned = [align(pixels, landmarks[index].points5, self._template, self._side) for index in new]
            vectors, lengths = self._descriptor_network.extract(aligned)
            for index, vector, length in zip(new, vectors, lengths.tolist(), strict=True):
                self._vectors[keys[index]] = vector, length
        return [self._vectors[key] for key in keys]

    def choose(self, pixels: Pixels, candidates: Detections) -> int:
        """The position in which a face stands, by the length of its vector; the first unless another is clearly better.

        A `Choice` of FaceDetector, for SFace only.
        """
        lengths = [length for _, length in self.vectors(pixels, candidates)]
        longest = int(np.argmax(lengths))
        chosen = longest if lengths[longest] > LONGER * lengths[0] else 0
        # Landmarks find some faces from a wrong position too; its name decides where other faces are looked for.
        rolls = np.array([face.roll for face in self.landmarks(pixels, candidates)])
        agreeing = np.flatnonzero(_angle(rolls, rolls[chosen]) < SAME_ROLL)
        return int(agreeing[np.argmin(_angle(rolls[chosen], candidates.turns[agreeing].astype(np.float64)))])


def _angle(first: Points, second: Points) -> Points:
    """Between directions in degrees: 0 to 180."""
    return np.abs((first - second + 180) % 360 - 180)


def _keys(faces: Detections) -> list[_Key]:
    """What identifies each face within the image: its box and its position."""
    return [(box.tobytes(), int(turn)) for box, turn in zip(faces.boxes, faces.turns, strict=True)]
