"""Where the bodies are: two networks look at the image once each, and what both see counts more.

With NanoDet and CenterNet on 79 images of COCO val2017 (117 persons; average precision at an overlap of 0.5): 0.74, on
the 69 persons larger than 32x32 pixels 0.83, on the 35 larger than 96x96 0.89; NanoDet alone 0.63 / 0.73 / 0.80,
CenterNet 0.72 / 0.82 / 0.90. At BODY_THRESHOLD precision 0.80 and recall 0.63. Both networks were trained on COCO's
other part. In the marked boxes of persons larger than 32x32 a body is found in 64 of 69, in boxes drawn at random in
images without persons in 1 of 80. Some 130 to 160 ms of one core an image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lunaria.vision.body_networks import BodyDetections, BodyNetwork, no_bodies
from lunaria.vision.geometry import Pixels, Points, overlap

BODY_THRESHOLD = 0.30
"""Best F1 on COCO. A body that one network alone sees needs 0.43 there."""

FUSED_OVERLAP = 0.5
"""Intersection over union from which boxes of both networks are taken for the same body."""

AGREEMENT_SHARE = 0.6
"""Share of the mean of the networks' scores in the fused one; the rest is the highest of them."""

REGION_MARGIN = 0.25
"""How much around a given box is looked at, as a share of its longer side."""

REGION_OVERLAP = 0.3
"""Intersection over union with a given box from which a body is the one that is meant."""


class BodyDetector:
    """Finds bodies with several networks. Thread-safe."""

    def __init__(self, networks: Sequence[BodyNetwork], threshold: float = BODY_THRESHOLD) -> None:
        self._networks = list(networks)
        self._threshold = threshold

    def look(self, pixels: Pixels) -> list[BodyDetections]:
        """What each network finds in an RGB image (H, W, 3)."""
        return [network.find(pixels) for network in self._networks]

    def detect(self, pixels: Pixels, seen: Sequence[BodyDetections] | None = None) -> BodyDetections:
        """All bodies of an RGB image (H, W, 3). Their boxes lie inside the image. `seen`: what `look` gave for it."""
        found = self.candidates(pixels, seen)
        return found.take(found.scores >= self._threshold)

    def detect_in_box(self, pixels: Pixels, box: Points) -> BodyDetections:
        """The body that a given box x1, y1, x2, y2 is meant to hold: zero or one detection."""
        height, width = pixels.shape[:2]
        margin = REGION_MARGIN * float((box[2:] - box[:2]).max())
        left, top = np.clip(np.floor(box[:2] - margin), 0, [width, height]).astype(int).tolist()
        right, bottom = np.clip(np.ceil(box[2:] + margin), 0, [width, height]).astype(int).tolist()
        if right - left < 1 or bottom - top < 1:
            return no_bodies()
        found = self.candidates(pixels[top:bottom, left:right]).moved(np.array([left, top]))
        overlaps = overlap(found.boxes, box)
        matching = np.flatnonzero((overlaps >= REGION_OVERLAP) & (found.scores >= self._threshold))
        if not len(matching):
            return no_bodies()
        return found.take([matching[np.argmax((overlaps * found.scores)[matching])]])

    def candidates(self, pixels: Pixels, seen: Sequence[BodyDetections] | None = None) -> BodyDetections:
        """As detect, with those below the threshold: for measuring."""
        found = fuse(self.look(pixels) if seen is None else seen)
        height, width = pixels.shape[:2]
        boxes = np.clip(found.boxes, 0, [width, height, width, height])
        return BodyDetections(boxes, found.scores).take(((boxes[:, 2:] - boxes[:, :2]) >= 1).all(axis=1))


def fuse(parts: Sequence[BodyDetections]) -> BodyDetections:
    """One detection for the best of each network that overlap each other, best fused score first.

    The box is their mean weighted by score; the score is AGREEMENT_SHARE of the mean over all networks, one that saw
    nothing counting 0, and for the rest the highest.
    """
    every = no_bodies().joined(*parts)
    network = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    free = np.ones(len(every), bool)
    boxes, scores = [], []
    for index in np.argsort(-every.scores, kind="stable"):
        if not free[index]:
            continue
        group = np.flatnonzero(free & (overlap(every.boxes, every.boxes[index]) > FUSED_OVERLAP))
        free[group] = False
        group = group[np.argsort(-every.scores[group], kind="stable")]
        _, firsts = np.unique(network[group], return_index=True)
        best = group[firsts]
        weights = every.scores[best]
        boxes.append(weights @ every.boxes[best] / weights.sum())
        scores.append(AGREEMENT_SHARE * weights.sum() / len(parts) + (1 - AGREEMENT_SHARE) * weights.max())
    if not boxes:
        return no_bodies()
    order = np.argsort(-np.array(scores), kind="stable")
    return BodyDetections(np.stack(boxes), np.array(scores)).take(order)
