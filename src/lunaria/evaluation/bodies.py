"""How well found bodies, keypoints, links of faces to bodies and counts agree with what was marked by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MATCH_OVERLAP = 0.5
"""Intersection over union from which a detection is the body of a box (COCO's AP50)."""

KEYPOINT_SPREAD = 2 * np.array(
    [26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89], np.float64
) / 1000  # fmt: skip
"""How far apart two people mark the same of the 17 keypoints, as a share of the root of the body's area (COCO)."""

_RECALL_LEVELS = np.linspace(0, 1, 101)


@dataclass(frozen=True, slots=True)
class BodyImage:
    """What was found and what was marked in one image.

    `boxes` (n, 4): x1, y1, x2, y2, with `scores` (n,); `truth` (m, 4) with `areas` (m,), those of the outlines, and
    `crowd` (m,): boxes that hold many people, in which whatever is found counts neither way.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    truth: NDArray[np.float64]
    areas: NDArray[np.float64]
    crowd: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Judged:
    """Detections of many images, best score first: `scores` (n,), whether each is right `hit` (n,), and how many bodies
    there were."""

    scores: NDArray[np.float64]
    hit: NDArray[np.bool_]
    truths: int

    def at(self, threshold: float) -> tuple[float, float]:
        """Precision and recall of the detections with at least this score."""
        kept = self.scores >= threshold
        hits = int(self.hit[kept].sum())
        return hits / max(int(kept.sum()), 1), hits / max(self.truths, 1)


def judge(images: Sequence[BodyImage], least_area: float = 0.0) -> Judged:
    """Match detections with marked bodies of at least this area, as COCO does.

    Each detection, best first, takes the free body that it overlaps most. Smaller bodies and crowds are ignored: what
    is found there counts neither way, nor does a detection that is smaller itself and hits nothing.
    """
    scores, hits, truths = [], [], 0
    for image in images:
        ignored = image.crowd | (image.areas < least_area)
        truths += int((~ignored).sum())
        free = ~ignored
        for index in np.argsort(-image.scores, kind="stable"):
            overlaps, inside = _overlaps(image.boxes[index], image.truth)
            possible = np.where(free, overlaps, 0.0)
            hit = bool(len(possible)) and bool(possible.max() >= MATCH_OVERLAP)
            if hit:
                free[np.argmax(possible)] = False
            else:
                on_ignored = ignored & (np.where(image.crowd, inside, overlaps) >= MATCH_OVERLAP)
                too_small = (image.boxes[index, 2:] - image.boxes[index, :2]).prod() < least_area
                if on_ignored.any() or too_small:
                    continue
            scores.append(float(image.scores[index]))
            hits.append(hit)
    order = np.argsort(-np.array(scores), kind="stable")
    return Judged(np.array(scores, np.float64)[order], np.array(hits, bool)[order], truths)


def average_precision(judged: Judged) -> float:
    """Mean over 101 recalls of the best precision at that recall or a higher one."""
    if not len(judged.hit) or not judged.truths:
        return 0.0
    found = np.cumsum(judged.hit)
    precision = found / np.arange(1, len(found) + 1)
    best_from_here = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    # The first detection at which a recall is reached, compared as counts: shares would round.
    places = np.searchsorted(found, np.ceil(_RECALL_LEVELS * judged.truths - 1e-9), side="left")
    return float(best_from_here[places].mean())


def best_threshold(judged: Judged) -> float:
    """The score at which the harmonic mean of precision and recall is best."""
    hits = np.cumsum(judged.hit)
    harmonic = 2 * hits / (np.arange(1, len(hits) + 1) + judged.truths)
    return float(judged.scores[np.argmax(harmonic)])


def keypoint_similarity(points: NDArray[np.float64], truth: NDArray[np.float64], area: float) -> float:
    """COCO's object keypoint similarity of 17 points (17, 2 or more) with marked ones (17, 3: x, y, visibility)."""
    marked = truth[:, 2] > 0
    if not marked.any():
        raise ValueError("no keypoint of this body is marked")
    squared = ((points[:, :2] - truth[:, :2]) ** 2).sum(axis=1)
    return float(np.exp(-squared / (2 * area * KEYPOINT_SPREAD**2))[marked].mean())


def count_errors(counts: Sequence[int], truth: Sequence[int]) -> tuple[float, float]:
    """Mean absolute error and mean difference (negative: too few) of counts."""
    apart = np.array(counts, np.float64) - np.array(truth, np.float64)
    return float(np.abs(apart).mean()), float(apart.mean())


def _overlaps(box: NDArray[np.float64], truth: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of a box with each of (m, 4): intersection over union, and the share of the box that lies inside."""
    low, high = np.maximum(truth[:, :2], box[:2]), np.minimum(truth[:, 2:], box[2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    own = float((box[2:] - box[:2]).prod())
    union = (truth[:, 2:] - truth[:, :2]).prod(axis=1) + own - shared
    return shared / np.maximum(union, 1e-9), shared / max(own, 1e-9)
