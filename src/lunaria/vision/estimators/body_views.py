"""What body estimators look at: the body warps of one image, and what several of them need, computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from lunaria.vision.geometry import Pixels
from lunaria.vision.packs.manifest import Preprocessing
from lunaria.vision.runtime import InferenceSession
from lunaria.vision.tensors import as_tensor

HEIGHT, WIDTH = 256, 128
"""The size of a body warp."""

STRIPES = 8
"""A body is described in so many stripes one above the other, for it stands upright in its warp."""

FINE = slice(0, 640)
"""Where the features of the finest map lie in `BodyViews.vectors`."""

PEAKS = slice(640 + 896, 640 + 1792)
"""Where the maxima of the map with stride 16 lie."""

BATCH = 2

_COARSE_HEIGHT, _COARSE_WIDTH = 64, 32
_COLUMNS = slice(8, 24)
_CAST_SHARE, _LARGEST_CAST = 0.7, 18.0
_LIGHTNESSES, _HUES, _CHROMAS = 8, 9, (8.0, 20.0)


@dataclass(frozen=True, slots=True)
class BodyFeatures:
    """Feature maps of N bodies, float32: how fine a map is stands in its name, in pixels of the warp.

    `stride8` (N, 40, 32, 16), `stride16` (N, 112, 16, 8), `stride32` (N, 320, 8, 4).
    """

    stride8: NDArray[np.float32]
    stride16: NDArray[np.float32]
    stride32: NDArray[np.float32]


class BodyFeatureExtractor(Protocol):
    """The backbone that descriptor and attributes share."""

    def extract(self, warps: Sequence[Pixels]) -> BodyFeatures: ...


class BodyFeatureNetwork:
    """The project's own network: EfficientNet-Lite0, trained on ImageNet and then further on PETA's pedestrians
    (`training/body_network.py`). Thread-safe."""

    def __init__(self, session: InferenceSession, preprocessing: Preprocessing) -> None:
        self._session = session
        self._input = session.inputs[0]
        self._preprocessing = preprocessing

    def extract(self, warps: Sequence[Pixels]) -> BodyFeatures:
        """The maps of one or more RGB warps (256, 128, 3)."""
        parts: dict[str, list[NDArray[np.float32]]] = {field.name: [] for field in fields(BodyFeatures)}
        for start in range(0, len(warps), BATCH):
            tensor = np.stack([as_tensor(warp, self._preprocessing) for warp in warps[start : start + BATCH]])
            maps = self._session.run({self._input: tensor})
            for name, collected in parts.items():
                collected.append(maps[name])
        return BodyFeatures(**{name: np.concatenate(collected) for name, collected in parts.items()})


class BodyViews:
    """One or more bodies of one image as RGB warps (256, 128, 3). For one call in one thread."""

    def __init__(self, warps: Sequence[Pixels], extractor: BodyFeatureExtractor) -> None:
        wrong = [warp.shape for warp in warps if warp.shape != (HEIGHT, WIDTH, 3)]
        if wrong:
            raise ValueError(f"a body warp has the shape {(HEIGHT, WIDTH, 3)}, not {wrong[0]}")
        self.warps = list(warps)
        self._extractor = extractor

    def __len__(self) -> int:
        return len(self.warps)

    @cached_property
    def features(self) -> BodyFeatures:
        """What the shared backbone sees in each body."""
        return self._extractor.extract(self.warps)

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """(N, 5320): what descriptor and attributes are computed from."""
        colors = np.stack([color_vector(warp) for warp in self.warps])
        return np.concatenate([network_vectors(self.features), colors], axis=1)


def network_vectors(features: BodyFeatures) -> NDArray[np.float32]:
    """(N, 4992): mean and maximum of each channel of the finer maps in each stripe, of the coarsest the mean alone."""
    parts = []
    for name in ("stride8", "stride16", "stride32"):
        values: NDArray[np.float32] = getattr(features, name)
        stripes = values.reshape(len(values), values.shape[1], STRIPES, -1)
        parts.append(stripes.mean(axis=3).reshape(len(values), -1))
        if name != "stride32":
            parts.append(stripes.max(axis=3).reshape(len(values), -1))
    return np.concatenate(parts, axis=1)


def color_vector(warp: Pixels) -> NDArray[np.float32]:
    """(328,): of each stripe's middle the histograms of lightness and of hue by chroma (CIE Lab), mean, deviation."""
    coarse = cv2.resize(warp, (_COARSE_WIDTH, _COARSE_HEIGHT), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(coarse, cv2.COLOR_RGB2LAB).astype(np.float32)
    lab[..., 1:] -= color_cast(lab)
    pixels = lab[:, _COLUMNS].reshape(STRIPES, -1, 3)
    a, b = pixels[..., 1] - 128, pixels[..., 2] - 128
    turn = (np.arctan2(b, a) / (2 * np.pi) + 0.5) * _HUES
    kind = (turn.astype(int) % _HUES) * (len(_CHROMAS) + 1) + np.digitize(np.hypot(a, b), _CHROMAS)
    lightness = (pixels[..., 0] / 256 * _LIGHTNESSES).astype(int)
    parts = [_shares(lightness, _LIGHTNESSES), _shares(kind, _HUES * (len(_CHROMAS) + 1))]
    parts += [pixels.mean(axis=1) / 255, pixels.std(axis=1) / 64]
    return np.concatenate(parts, axis=1).reshape(-1).astype(np.float32)


def color_cast(lab: NDArray[Any]) -> NDArray[np.float32]:
    """(2,): what to take from a and b of a warp in 8-bit CIE Lab (H, W, 3), for the camera and the light have a colour.

    The ground and the walls at both sides of a body are grey as a rule: most of what the median of their colours lacks
    of grey is the camera's. On cameras that the colour table was not learned from, taking 0, 0.5 or 0.8 of it names 20,
    53 or 66 % of the upper garments of PRID (whose pictures are green), 31, 45 or 50 % of 3DPeS; of MIT, CAVIAR4REID,
    CUHK and i-LID within 4 points the same.
    """
    margin = max(1, lab.shape[1] // 12)
    sides = np.concatenate([lab[:, :margin, 1:], lab[:, -margin:, 1:]], axis=1).reshape(-1, 2)
    cast = np.median(sides.astype(np.float32), axis=0) - 128
    return (_CAST_SHARE * cast * min(1.0, _LARGEST_CAST / max(float(np.hypot(*cast)), 1e-6))).astype(np.float32)


def _shares(kinds: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """How much of each row of `kinds` (S, P) is of each kind: (S, count)."""
    rows = np.arange(len(kinds))[:, None] * count
    found = np.bincount((rows + kinds).ravel(), minlength=len(kinds) * count)
    return np.asarray(found.reshape(len(kinds), count) / kinds.shape[1], np.float64)
