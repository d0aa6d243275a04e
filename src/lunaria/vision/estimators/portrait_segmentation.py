"""Which pixels of a picture of head and shoulders are of a person: MediaPipe's selfie segmentation.

Wants a square with the head and the shoulders in it. Hair is part of the person. Strands of hair and hands near the
border of the head come out soft; other persons behind count as persons.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from lunaria.vision.geometry import Pixels
from lunaria.vision.runtime import InferenceSession

INPUT_SIDE = 256


class PortraitSegmentation:
    """The network of the role portrait_segmentation. Thread-safe."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self._input = session.inputs[0]

    def person(self, crops: Sequence[Pixels]) -> list[NDArray[np.float32]]:
        """Of each square RGB crop (S, S, 3) the probability (S, S) that a pixel is of a person."""
        if not crops:
            return []
        inputs = [cv2.resize(crop, (INPUT_SIDE, INPUT_SIDE), interpolation=cv2.INTER_AREA) for crop in crops]
        feed = {self._input: np.stack(inputs).astype(np.float32) / 255}
        masks = next(iter(self._session.run(feed).values())).reshape(len(crops), INPUT_SIDE, INPUT_SIDE)
        return [
            np.asarray(cv2.resize(mask, crop.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)
            for mask, crop in zip(masks, crops, strict=True)
        ]
