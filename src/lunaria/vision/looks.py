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
"""By how much the vector of another position must be longer. Chosen on 145 photographs of LFW, each in nine rolls:
where the supposed position was wrong (282 cases) the right one was 1.93 times as long (median), in 99 % over 1.13. Of
the upright faces 77 came out wrong from the best other position, with 0.80 times the length at most; the others were
found from there all the same, and their vectors were up to 1.05 times as long."""

LEAST_LENGTH = 8.5
"""Where all vectors are shorter, they tell nothing, and the face stays as it was found. In the 282 cases the right
position gave 9.1 or more. Among 2,870 faces of LFW, background and half cut ones included, 26 more would turn
for vectors of 5.1 to 7.8; 2 turn in spite of the limit."""

OFF_ROLL = 60.0
"""From here on, in degrees, a face lies in another of the four positions than in that from which it was looked at."""
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
        if lengths[longest] < LEAST_LENGTH:
            return 0
        chosen = longest if lengths[longest] > LONGER * lengths[0] else 0
        # Landmarks find some faces from a wrong position too; its name decides where other faces are looked for.
        rolls = np.array([face.roll for face in self.landmarks(pixels, candidates)])
        turns = candidates.turns.astype(np.float64)
        if _angle(rolls[chosen], turns[chosen]) > OFF_ROLL:
            same = (_angle(rolls, rolls[chosen]) < SAME_ROLL) & (np.array(lengths) * LONGER > lengths[chosen])
            chosen = int(np.argmin(np.where(same, _angle(rolls[chosen], turns), np.inf)))
        return chosen


def _angle(first: Points, second: Points) -> Points:
    """Between directions in degrees: 0 to 180."""
    return np.abs((first - second + 180) % 360 - 180)


def _keys(faces: Detections) -> list[_Key]:
    """What identifies each face within the image: its box and its position."""
    return [(box.tobytes(), int(turn)) for box, turn in zip(faces.boxes, faces.turns, strict=True)]
