"""The two networks that find bodies, NanoDet and CenterNet, each in one pass over the whole image.

Both were trained on the 80 classes of COCO and see the image shrunk or enlarged to fit their square input at its top
left, the rest black.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.geometry import Pixels, Points, resized, suppress_overlaps
from lunaria.vision.runtime import InferenceSession

PERSON, BACKPACK = 0, 24
"""Classes of COCO as the networks number them."""

CANDIDATE_SCORE = 0.05
"""What scores lower is no candidate: it could not reach BODY_THRESHOLD when fused."""

SAME_OBJECT_OVERLAP = 0.6
"""Intersection over union from which two boxes of a network are taken for the same object."""

NANODET_SIDE = 416
CENTERNET_SIDE = 512

NANODET_WEIGHT = 0.5
"""With 1, false boxes that NanoDet alone sees in animals and furniture stand above true ones of CenterNet. A third does
as well on 79 images of COCO and on either half of them, two thirds and more do worse."""

_STRIDES = (8, 16, 32)
_CLASSES = 80
_DISTANCE_BINS = 11
_NANODET_MEAN = np.array([103.53, 116.28, 123.675], np.float32)
_NANODET_SCALE = np.array([57.375, 57.12, 58.395], np.float32)


@dataclass(frozen=True, slots=True)
class BodyDetections:
    """N bodies in pixels of the image, best score first: `boxes` (N, 4): x1, y1, x2, y2; `scores` (N,) 0..1."""

    boxes: Points
    scores: Points

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, index: Any) -> BodyDetections:
        """The bodies at these indices."""
        return BodyDetections(self.boxes[index], self.scores[index])

    def joined(self, *others: BodyDetections) -> BodyDetections:
        """These bodies and others, in order."""
        parts = (self, *others)
        return BodyDetections(
            np.concatenate([part.boxes for part in parts]), np.concatenate([part.scores for part in parts])
        )

    def moved(self, shift: Points) -> BodyDetections:
        """The boxes moved by (x, y)."""
        return BodyDetections(self.boxes + np.tile(shift, 2), self.scores)


def no_bodies() -> BodyDetections:
    """Zero bodies."""
    return BodyDetections(np.zeros((0, 4)), np.zeros(0))


class BodyNetwork(Protocol):
    """A network that finds bodies in one pass, `side` pixels wide and high, in which it sees the whole image.

    `weight`: what its scores count beside those of other networks, 1 being the most.
    """

    side: int
    weight: float

    def find(self, pixels: Pixels) -> BodyDetections:
        """Candidates in an RGB image (H, W, 3), of any size, overlapping ones suppressed."""
        ...


class NanoDet:
    """NanoDet-g at 416 pixels (https://github.com/RangiLyu/nanodet). Thread-safe.

    A box is given as four distances from the centre of a cell, each as a distribution over whole strides (Li et al.,
    "Generalized Focal Loss", 2020).
    """

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self._input = session.inputs[0]
        self.side = NANODET_SIDE
        self.weight = NANODET_WEIGHT

    def find(self, pixels: Pixels) -> BodyDetections:
        """As BodyNetwork."""
        return self.find_classes(pixels, [PERSON])[0]

    def find_classes(self, pixels: Pixels, classes: Sequence[int]) -> list[BodyDetections]:
        """The boxes of several classes of COCO, say PERSON and BACKPACK, from one pass."""
        square, scale = letterboxed(pixels, NANODET_SIDE)
        tensor = ((square[:, :, ::-1] - _NANODET_MEAN) / _NANODET_SCALE).transpose(2, 0, 1)[None]
        outputs = list(self._session.run({self._input: np.ascontiguousarray(tensor, np.float32)}).values())
        return [_read_nanodet(outputs, number, scale) for number in classes]


class CenterNet:
    """CenterNet on MobileNetV3 at 512 pixels (Zhou et al., "Objects as Points", 2019). Thread-safe."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self._input = session.inputs[0]
        self.side = CENTERNET_SIDE
        self.weight = 1.0

    def find(self, pixels: Pixels) -> BodyDetections:
        """As BodyNetwork."""
        square, scale = letterboxed(pixels, CENTERNET_SIDE)
        outputs = self._session.run({self._input: square[None].astype(np.float32)}).values()
        # The network also gives its maps; the detections are rows of x1, y1, x2, y2, score, class.
        rows = next(output for output in outputs if output.shape[-1] == 6).reshape(-1, 6).astype(np.float64)
        rows = rows[(rows[:, 5] == PERSON) & (rows[:, 4] >= CANDIDATE_SCORE)]
        return _without_overlaps(rows[:, :4] / scale, rows[:, 4])


def letterboxed(pixels: Pixels, side: int) -> tuple[Pixels, float]:
    """The image in a black square of `side`, at its top left, and how many pixels of the square make one of it."""
    small = resized(pixels, side)
    square = np.zeros((side, side, 3), np.uint8)
    square[: small.shape[0], : small.shape[1]] = small
    return square, side / max(pixels.shape[:2])


def _read_nanodet(outputs: Sequence[NDArray[Any]], number: int, scale: float) -> BodyDetections:
    """Boxes of a class from the six outputs: class scores (1, cells, 80) and distances (1, cells, 44) per stride."""
    by_shape = {output.shape[1:]: output[0] for output in outputs}
    boxes, scores = [], []
    for stride in _STRIDES:
        columns = NANODET_SIDE // stride
        cell_scores = by_shape[columns * columns, _CLASSES][:, number].astype(np.float64)
        chosen = np.flatnonzero(cell_scores >= CANDIDATE_SCORE)
        distances = by_shape[columns * columns, 4 * _DISTANCE_BINS][chosen].reshape(-1, 4, _DISTANCE_BINS)
        likely = np.exp(distances - distances.max(axis=2, keepdims=True, initial=-np.inf), dtype=np.float64)
        reach = (likely / likely.sum(axis=2, keepdims=True)) @ np.arange(_DISTANCE_BINS)
        centres = np.stack([chosen % columns, chosen // columns], axis=1) + 0.5
        boxes.append(np.concatenate([centres - reach[:, :2], centres + reach[:, 2:]], axis=1) * (stride / scale))
        scores.append(cell_scores[chosen])
    return _without_overlaps(np.concatenate(boxes), np.concatenate(scores))


def _without_overlaps(boxes: Points, scores: Points) -> BodyDetections:
    found = BodyDetections(boxes, scores).take(((boxes[:, 2:] - boxes[:, :2]) >= 1).all(axis=1))
    return found.take(suppress_overlaps(found.boxes, found.scores, SAME_OBJECT_OVERLAP))
