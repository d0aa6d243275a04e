"""Whether the mouth is open, smiles or is hidden, from the face mesh and its blendshapes.

Opened: the lips are apart, so that teeth or the inside of the mouth are seen, by the largest distance of the inner lips
as a share of the distance from the middle of the eyes to the chin. The middle, 0.05, was chosen on half of 169 mouths
of LFW that were labelled by eye (training/labels/mouth_opened.csv; 41 more of which the labeller was not sure are left
out); on the other half, other persons, it is right for all 59 opened and 23 closed ones. A laugh that shows teeth
counts as opened.

Smile: a logistic regression on the strengths of five movements (blendshapes) and, where research weights may serve, on
what the head for emotions says of happiness by the shared features, which are at hand as they tell what hides a mouth.
Fitted to happy against other faces of 2,549 of the training part of FER2013 that the head was not trained on, both
weighing the same, with a summand for which 4.7 % of the others count as smiling there (training/smile.py). On the
public test part (1,984 faces with a mesh in 2,250 tiles, 529 happy) AUC 0.964; at 0.5 it finds 78 % of the happy faces
and 3.0 % of the others. By movements alone AUC 0.915, 63 % and 4.3 %. A happy face need not smile there, and some of
the others do.

Between 150 photographs of LFW and their warps (JPEG quality 95) both probabilities differ by 0.01 on the mean; three
faces change sides in smile and none in opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.estimators.blendshapes import strength
from lunaria.vision.estimators.features import LinearHead
from lunaria.vision.head_pose import FaceMesh
from lunaria.vision.views import FaceViews

SmileType = Literal["none", "smile_lips", "smile_open"]

OPENED_GAP = 0.05
_OPENED_WIDTH = 0.01
"""By how much the gap must change for the probability to change from 0.5 to 0.73."""

SMILE_MOVEMENTS = (
    ("mouthSmileLeft", "mouthSmileRight"),
    ("mouthStretchLeft", "mouthStretchRight"),
    ("mouthFrownLeft", "mouthFrownRight"),
    ("jawOpen",),
    ("mouthPucker",),
)


class _SmileWeights(NamedTuple):
    """`movements`: of SMILE_MOVEMENTS; `head`: of the log-odds of happiness by the head for emotions."""

    summand: float
    movements: tuple[float, ...]
    head: float


_BY_MOVEMENTS = _SmileWeights(-2.32, (4.90, 3.73, -1.92, -3.18, -2.70), 0.0)
_WITH_HEAD = _SmileWeights(-0.43, (1.53, 0.93, 0.08, -2.34, -0.81), 0.81)
_LEAST = 1e-4
"""Probabilities of the head are kept so far from 0 and 1."""

_UPPER_LIP, _LOWER_LIP = (82, 13, 312), (87, 14, 317)
_EYE_CORNERS, _CHIN = (33, 133, 362, 263), 152


class Mouth(NamedTuple):
    """Probabilities, 0..1. `smile_types`: they sum to 1."""

    opened: float
    smile: float
    occluded: float
    smile_types: dict[SmileType, float]


class MouthEstimator:
    """Needs no network of its own. Thread-safe.

    `emotions`: the head for emotions on the shared features, if it may serve.
    """

    def __init__(self, emotions: LinearHead | None = None) -> None:
        self._emotions = emotions

    def estimate(self, views: FaceViews, occlusion: Sequence[float]) -> list[Mouth]:
        """The mouth of each face; `occlusion`: for each face the probability that a mask or something else hides it.

        What is hidden counts neither as opened nor as smiling.
        """
        smiles = self._smiles(views)
        return [
            _mouth(opened_probability(mesh), smile, hidden)
            for mesh, smile, hidden in zip(views.meshes, smiles, occlusion, strict=True)
        ]

    def _smiles(self, views: FaceViews) -> list[float]:
        weights = _BY_MOVEMENTS if self._emotions is None else _WITH_HEAD
        columns = movement_strengths(views.blendshapes)
        total = columns @ np.array(weights.movements) + weights.summand
        if self._emotions is not None:
            total += weights.head * happiness_log_odds(self._emotions, views.features.embedding)
        smiles: list[float] = _sigmoid(total).tolist()
        return smiles


def movement_strengths(blendshapes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of SMILE_MOVEMENTS (N, 5)."""
    return np.stack([strength(blendshapes, *names).astype(np.float64) for names in SMILE_MOVEMENTS], axis=1)


def happiness_log_odds(head: LinearHead, embedding: NDArray[np.float32]) -> NDArray[np.float64]:
    """By the head for emotions, of faces (N,)."""
    happy = head.probabilities(embedding)[:, head.labels.index("happiness")].astype(np.float64)
    happy = np.clip(happy, _LEAST, 1 - _LEAST)
    return np.asarray(np.log(happy / (1 - happy)), np.float64)


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
