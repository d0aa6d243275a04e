"""Whether the mouth is open, smiles or is hidden, from the face mesh and its blendshapes.

Opened: the lips are apart, so that teeth or the inside of the mouth are seen, by the largest distance of the inner lips
as a share of the distance from the middle of the eyes to the chin. The middle, 0.05, was chosen on half of 169 mouths
of LFW that were labelled by eye (training/labels/mouth_opened.csv; 41 more of which the labeller was not sure are left
out); on the other half, other persons, it is right for all 59 opened and 23 closed ones. A laugh that shows teeth
counts as opened.

Smile: a logistic regression on five blendshapes, fitted to happy against other faces of 1,997 of the training part of
FER2013, both weighing the same (training/smile.py). On the public test part (755 faces found in 900 tiles, 204 happy;
seen while three lists of features were compared, all within 0.004) AUC 0.924; at 0.5 it finds 83 % of the happy faces
and 10 % of the others. A happy face need not smile there, and some of the others do.

Between 150 photographs of LFW and their warps (JPEG quality 95) both probabilities differ by 0.01 on the mean; one face
changes sides in opened and two in smile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.estimators.blendshapes import strength
from lunaria.vision.head_pose import FaceMesh
from lunaria.vision.views import FaceViews

SmileType = Literal["none", "smile_lips", "smile_open"]

OPENED_GAP = 0.05
_OPENED_WIDTH = 0.01
"""By how much the gap must change for the probability to change from 0.5 to 0.73."""

_SMILE_BIAS = -0.92
_SMILE_WEIGHTS = (
    (4.92, ("mouthSmileLeft", "mouthSmileRight")),
    (4.33, ("mouthStretchLeft", "mouthStretchRight")),
    (-3.91, ("mouthFrownLeft", "mouthFrownRight")),
    (-2.83, ("jawOpen",)),
    (-4.10, ("mouthPucker",)),
)

_UPPER_LIP, _LOWER_LIP = (82, 13, 312), (87, 14, 317)
_EYE_CORNERS, _CHIN = (33, 133, 362, 263), 152


class Mouth(NamedTuple):
    """Probabilities, 0..1. `smile_types`: they sum to 1."""

    opened: float
    smile: float
    occluded: float
    smile_types: dict[SmileType, float]


class MouthEstimator:
    """Needs no network of its own. Thread-safe."""

    def estimate(self, views: FaceViews, occlusion: Sequence[float]) -> list[Mouth]:
        """The mouth of each face; `occlusion`: for each face the probability that a mask or something else hides it.

        What is hidden counts neither as opened nor as smiling.
        """
        smiles = _smiles(views.blendshapes)
        return [
            _mouth(opened_probability(mesh), smile, hidden)
            for mesh, smile, hidden in zip(views.meshes, smiles, occlusion, strict=True)
        ]


def lip_gap(mesh: FaceMesh) -> float:
    """The largest distance of the inner lips as a share of that from the middle of the eyes to the chin, in the
    picture."""
    points = mesh.points[:, :2]
    gap = np.linalg.norm(points[list(_UPPER_LIP)] - points[list(_LOWER_LIP)], axis=1).max()
    height = np.linalg.norm(points[list(_EYE_CORNERS)].mean(axis=0) - points[_CHIN])
    return float(gap) / max(float(height), 1e-9)


def opened_probability(mesh: FaceMesh) -> float:
    """That the lips are apart, 0..1."""
    return float(_sigmoid(np.array((lip_gap(mesh) - OPENED_GAP) / _OPENED_WIDTH)))


def _smiles(blendshapes: NDArray[np.float32]) -> list[float]:
    total = sum(weight * strength(blendshapes, *names).astype(np.float64) for weight, names in _SMILE_WEIGHTS)
    smiles: list[float] = _sigmoid(np.asarray(total + _SMILE_BIAS)).tolist()
    return smiles


def _mouth(opened: float, smile: float, occluded: float) -> Mouth:
    seen = 1 - occluded
    opened, smile = opened * seen, smile * seen
    types: dict[SmileType, float] = {
        "none": 1 - smile,
        "smile_lips": smile * (1 - opened),
        "smile_open": smile * opened,
    }
    return Mouth(opened, smile, occluded, types)


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -50, 50))), np.float64)
