"""Liveness: a living face before the camera, or a print or a screen that shows one.

Source: MiniFASNetV2 and MiniFASNetV1SE (Silent-Face-Anti-Spoofing, Minivision), which see the face with 2.7 and with 4
times its surroundings: the edges of the paper or the screen matter as much as the face. The score is the logistic
function of the mean of both log-odds, with a slope fitted on 55 living faces and 54 forgeries of CelebA-Spoof and 100
faces of LFW, and a summand for which 11 % of these forgeries reach 0.5 (training/liveness.py).

Measured on 55 other living faces and 54 forgeries of CelebA-Spoof: area under the ROC curve 0.968; at 0.5, 7.3 % of the
living are refused and 13.0 % of the forgeries accepted; of the 49 and 51 with a quality of at least 0.5, 6.1 % and
9.8 % (area 0.976). Of 150 faces of LFW, press photographs that should all pass, 8.0 % are refused. With so few each
rate may be off by 5 to 8 points. Masks, and screens whose edges are not in the picture, were not
measured.

The quality is the product of factors, each of which falls where the networks were seen to fail on LFW: in grey
(photographs pass as forgeries nearly always), on blurred faces (with a sigma of 2 pixels most are refused), on faces
narrower than 35 pixels, without room around the face (1.2 times its box), and on heads turned by more than 30 degrees,
of which too few were there to measure.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from lunaria.vision.geometry import Pixels, Points
from lunaria.vision.runtime import InferenceSession
from lunaria.vision.views import FaceViews

INPUT_SIDE = 80
SCALES = (2.7, 4.0)
LIVE = 1
"""The class of a living face; 0 is a print, 2 a screen."""
BATCH = 16

FOREHEAD = 0.4
"""What the box of a face reaches above the brows, in heights from brows to chin."""

SLOPE, BIAS = 1.029, 0.958
"""From the mean log-odds of the two networks to those of the score."""

RECOMMENDED_THRESHOLD = 0.5
RECOMMENDED_QUALITY = 0.5

_GREY = (2.0, 4.0)
_SMALL = (20.0, 50.0)
_CLOSE = (1.0, 1.4)
_BLURRED = (0.15, 0.35)
_TURNED = (45.0, 15.0)
"""Where each factor of the quality is 0 and where it is 1: mean difference of red and blue, width of the box in pixels,
how many times the box fits into the image, share of fine detail in the contrast, degrees of yaw."""

_DETAIL_SIDE = 64


class Liveness(NamedTuple):
    """Both 0..1. `score`: a living face; `quality`: how far the score can be relied on."""

    score: float
    quality: float


class Quality(NamedTuple):
    """What the quality is the product of, each 0..1."""

    colour: float
    size: float
    margin: float
    sharpness: float
    frontality: float

    @property
    def product(self) -> float:
        return float(np.prod(self))


class LivenessEstimator:
    """Rates the faces of a photograph. Thread-safe.

    `session27` and `session40`: the networks of the roles face_liveness_27 and face_liveness_40.
    """

    def __init__(self, session27: InferenceSession, session40: InferenceSession) -> None:
        self._sessions = (session27, session40)

    def estimate(self, views: FaceViews) -> list[Liveness]:
        """Of each face. Meaningless for a warp, which lacks the surroundings."""
        boxes = [face_box(face.points68) for face in views.landmarks]
        log_odds = self.log_odds(views.pixels, boxes)
        scores = 1 / (1 + np.exp(-(SLOPE * log_odds + BIAS)))
        yaws = [None if pose is None else pose.yaw for pose in views.poses]
        qualities = [quality(views.pixels, box, yaw).product for box, yaw in zip(boxes, yaws, strict=True)]
        return [Liveness(float(score), rating) for score, rating in zip(scores, qualities, strict=True)]

    def log_odds(self, pixels: Pixels, boxes: list[Points]) -> NDArray[np.float64]:
        """Of a living face in each box, the mean of both networks (N,)."""
        result = np.zeros(len(boxes))
        for session, scale in zip(self._sessions, SCALES, strict=True):
            for start in range(0, len(boxes), BATCH):
                part = boxes[start : start + BATCH]
                tensor = np.stack([surroundings(pixels, box, scale) for box in part])
                output = next(iter(session.run({session.inputs[0]: tensor}).values()))
                live = np.clip(output[:, LIVE].astype(np.float64), 1e-6, 1 - 1e-6)
                result[start : start + len(part)] += np.log(live / (1 - live)) / len(SCALES)
        return result


def face_box(points68: Points) -> Points:
    """The box (x, y, width, height) around 68 landmarks (N, 2) that the networks know: ear to ear, forehead to chin."""
    low, high = points68.min(axis=0), points68.max(axis=0)
    width, height = high - low
    return np.array([low[0], low[1] - FOREHEAD * height, width, height * (1 + FOREHEAD)])


def surroundings(pixels: Pixels, box: Points, scale: float) -> NDArray[np.float32]:
    """`scale` times the box, as the input of a network (3, 80, 80), BGR 0..255.

    Moved into the image where it reaches over the border, and smaller where the image does not hold it.
    """
    limits = np.array(pixels.shape[1::-1]) - 1.0
    size = box[2:] * min(scale, room(pixels, box))
    low = np.clip(box[:2] + box[2:] / 2 - size / 2, 0, np.maximum(limits - size, 0))
    left, top = low.astype(int)
    right, bottom = (low + size).astype(int) + 1
    # Plain bilinear sampling: the networks were trained on it, and averaging hides the grain of screens and prints.
    part = cv2.resize(pixels[top:bottom, left:right], (INPUT_SIDE, INPUT_SIDE), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(part[:, :, ::-1].transpose(2, 0, 1), np.float32)


def room(pixels: Pixels, box: Points) -> float:
    """How many times the box fits into the image."""
    return float(((np.array(pixels.shape[1::-1]) - 1.0) / box[2:]).min())


def quality(pixels: Pixels, box: Points, yaw: float | None) -> Quality:
    """How far the networks can be relied on for the face in a box; `yaw` is None where no pose could be told."""
    face = _inside(pixels, box)
    return Quality(
        colour=_ramp(float(np.abs(face[..., 0].astype(int) - face[..., 2]).mean()), _GREY),
        size=_ramp(float(box[2]), _SMALL),
        margin=_ramp(room(pixels, box), _CLOSE),
        sharpness=_ramp(sharpness(face), _BLURRED),
        frontality=0.0 if yaw is None else _ramp(abs(yaw), _TURNED),
    )


def sharpness(face: Pixels) -> float:
    """The share of fine detail in the contrast of a face, whatever its size; LFW has 0.48 on the median."""
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_DETAIL_SIDE, _DETAIL_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    return float(cv2.Laplacian(small, cv2.CV_32F).std() / (small.std() + 1))


def _inside(pixels: Pixels, box: Points) -> Pixels:
    """The part of the image in a box, at least one pixel."""
    limits = np.array(pixels.shape[1::-1])
    left, top = np.clip(box[:2], 0, limits - 1).astype(int)
    right, bottom = np.clip(box[:2] + box[2:], [left + 1, top + 1], limits).astype(int)
    return pixels[top:bottom, left:right]


def _ramp(value: float, ends: tuple[float, float]) -> float:
    zero, one = ends
    return float(np.clip((value - zero) / (one - zero), 0, 1))
