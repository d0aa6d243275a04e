"""How well detected faces agree with boxes and landmarks drawn by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MATCH_OVERLAP = 0.4
"""Intersection over union from which a detection is the face of a box: conventions of boxes differ."""

_OUTER_LEFT_EYE, _OUTER_RIGHT_EYE = 36, 45


@dataclass(frozen=True, slots=True)
class Matched:
    """What one image gave. `scores` (n,) of the detections, best first; `truth_of` (n,): the box that each is the
    first to hit, -1 for a false one; `truths`: number of boxes."""

    scores: NDArray[np.float64]
    truth_of: NDArray[np.int64]
    truths: int


def match(boxes: NDArray[np.float64], scores: NDArray[np.float64], truth: NDArray[np.float64]) -> Matched:
    """Give each detection, best score first, the free box that it overlaps most.

    `boxes` (n, 4) and `truth` (m, 4): x1, y1, x2, y2.
    """
    order = np.argsort(-scores, kind="stable")
    truth_of = np.full(len(order), -1, np.int64)
    free = np.ones(len(truth), bool)
    for place, index in enumerate(order):
        overlaps = np.where(free, _overlaps(truth, boxes[index]), 0.0)
        if len(overlaps) and overlaps.max() >= MATCH_OVERLAP:
            truth_of[place] = int(np.argmax(overlaps))
            free[truth_of[place]] = False
    return Matched(scores[order], truth_of, len(truth))


def _overlaps(truth: NDArray[np.float64], box: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = np.maximum(truth[:, :2], box[:2]), np.minimum(truth[:, 2:], box[2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    areas = (truth[:, 2:] - truth[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return np.asarray(shared / np.maximum(areas - shared, 1e-9), np.float64)


def recall_and_precision(images: list[Matched], threshold: float) -> tuple[float, float]:
    """Over all images, of the detections with at least this score."""
    hits = sum(int(((image.scores >= threshold) & (image.truth_of >= 0)).sum()) for image in images)
    detections = sum(int((image.scores >= threshold).sum()) for image in images)
    truths = sum(image.truths for image in images)
    return hits / max(truths, 1), hits / max(detections, 1)


def average_precision(images: list[Matched]) -> float:
    """The area under precision over recall, precision being the best at that recall or a higher one."""
    scores = np.concatenate([image.scores for image in images])
    hit = np.concatenate([image.truth_of >= 0 for image in images])[np.argsort(-scores, kind="stable")]
    truths = sum(image.truths for image in images)
    if not len(hit) or not truths:
        return 0.0
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best_from_here[hit].sum() / truths)


def landmark_error(points: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Mean distance of 68 points (68, 2) to the true ones, as a share of the distance of the outer eye corners."""
    eyes = float(np.linalg.norm(truth[_OUTER_LEFT_EYE] - truth[_OUTER_RIGHT_EYE]))
    return float(np.linalg.norm(points - truth, axis=1).mean() / eyes)
