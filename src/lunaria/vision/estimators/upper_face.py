"""The features by which glasses and headwear are told: one pass of EfficientNet-Lite0 over head and eyes of a face.

The network (`body_features`: EfficientNet-Lite0, Tan and Le 2019, trained on ImageNet) takes 256 x 128 pixels. They are
filled with the upper part of the head (the upper half), the band of the eyes and its mirror image (a quarter each), all
cut in the frame of the 250x250 warp and inside it, so that a photograph and its warp are judged by the same pixels.
"""

from __future__ import annotations

import threading
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.geometry import Pixels
from lunaria.vision.packs.manifest import Preprocessing
from lunaria.vision.runtime import InferenceSession
from lunaria.vision.tensors import as_tensor
from lunaria.vision.views import FaceViews

WIDTH = 128
HEAD_CENTRE, HEAD_SIDE = (125.0, 100.0), 200.0
BAND_CENTRE, BAND_SIDE, BAND_HEIGHT = (125.0, 117.5), 140.0, 64
"""Squares in pixels of the warp. Of that around the eyes the middle rows are the band."""

HEAD_FEATURES = 320 * 4 * 4
EYE_FEATURES = 112 * 4 * 8
BATCH = 2

Array = NDArray[np.float32]


class UpperFace(NamedTuple):
    """Of N faces: `head` (N, 5120), the maps at stride 32 of the upper part of the head; `eyes` (N, 3584), the maps at
    stride 16 of the band, the mean of both mirror images."""

    head: Array
    eyes: Array


class UpperFaceNetwork:
    """Runs the network once for each face, however many estimates ask. Thread-safe."""

    def __init__(self, session: InferenceSession, preprocessing: Preprocessing) -> None:
        self._session = session
        self._input = session.inputs[0]
        self._preprocessing = preprocessing
        self._known: WeakKeyDictionary[FaceViews, UpperFace] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def features(self, views: FaceViews) -> UpperFace:
        """Features of the N faces of one image."""
        with self._lock:
            known = self._known.get(views)
        if known is None:
            known = self.of_mosaics(mosaics(views))
            with self._lock:
                self._known[views] = known
        return known

    def of_mosaics(self, images: list[Pixels]) -> UpperFace:
        """Features of N inputs as `mosaics` makes them."""
        found = UpperFace(
            np.zeros((len(images), HEAD_FEATURES), np.float32), np.zeros((len(images), EYE_FEATURES), np.float32)
        )
        for start in range(0, len(images), BATCH):
            part = images[start : start + BATCH]
            tensor = np.stack([as_tensor(image, self._preprocessing) for image in part])
            outputs = self._session.run({self._input: tensor})
            maps, rows = outputs["stride16"], slice(start, start + len(part))
            eyes = (maps[:, :, 8:12] + maps[:, :, 12:16, ::-1]) / 2
            found.eyes[rows] = eyes.reshape(len(part), EYE_FEATURES)
            found.head[rows] = outputs["stride32"][:, :, :4].reshape(len(part), HEAD_FEATURES)
        return found


def mosaics(views: FaceViews) -> list[Pixels]:
    """For each face the input of the network, RGB (256, 128, 3)."""
    rows = slice((WIDTH - BAND_HEIGHT) // 2, (WIDTH + BAND_HEIGHT) // 2)
    heads = views.crops(HEAD_CENTRE, HEAD_SIDE, WIDTH)
    bands = [square[rows] for square in views.crops(BAND_CENTRE, BAND_SIDE, WIDTH)]
    return [np.concatenate([head, band, band[:, ::-1]]) for head, band in zip(heads, bands, strict=True)]
