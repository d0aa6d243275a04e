"""The colours of clothes from pixels: a table that says what people call a colour, learned from labelled garments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from lunaria.vision.estimators.body_views import color_cast
from lunaria.vision.geometry import Pixels

NAMED = ("black", "blue", "brown", "green", "grey", "orange", "pink", "purple", "red", "white", "yellow")
"""The colours that the labelled garments have names for."""

NAMES = (*NAMED, "beige", "khaki")
"""All that a pixel can be called. Nothing was labelled beige or khaki: these two come from hand-made prototypes."""

MULTICOLORED = "multicolored"

Part = Literal["headwear", "upper", "lower"]

REGIONS: dict[Part, tuple[slice, slice]] = {
    "headwear": (slice(10, 32), slice(50, 78)),
    "upper": (slice(52, 112), slice(36, 92)),
    "lower": (slice(140, 208), slice(38, 90)),
}
"""Rows and columns of a body warp (256 x 128) in which a part is looked for."""

BINS = 16
SAMPLES = 20
"""A region is shrunk to so many pixels each way before its pixels are named."""

BLOCK_SHARE, BLOCK_COLORS, BLOCK_TOP = 0.18, 3, 0.45
"""Multicolored: at least three kinds of colours above the first share, and none above the last. Of PETA's garments of
one colour 4 % (upper) and 3 % (lower) are called so for all that; garments of many colours are not labelled there."""

ALIKE = (("black", "grey", "white"), ("brown", "beige", "khaki"))
"""Names that light and shadow turn into each other: together they are one kind."""

_PROTOTYPES = {"beige": (215, 195, 160), "khaki": (150, 140, 95)}
_PROTOTYPE_SPREAD = 11.0
_KIND_OF = np.array(
    [next((kind for kind, alike in enumerate(ALIKE) if name in alike), 2 + k) for k, name in enumerate(NAMES)]
)
_LOWEST = np.array([0, 64, 64])
_STEP = np.array([16, 8, 8])


@dataclass(frozen=True, slots=True)
class RegionColors:
    """What a region's pixels are called: `shares` (13,) in the order of NAMES, summing to 1, and whether no name
    stands out among several."""

    shares: NDArray[np.float64]
    multicolored: bool


class ColorTable:
    """`table` (16, 16, 16, 11): how likely each name is for a bin of CIE Lab: lightness, a and b."""

    def __init__(self, table: NDArray[Any]) -> None:
        if table.shape != (BINS, BINS, BINS, len(NAMED)):
            raise ValueError(f"a colour table has the shape {(BINS, BINS, BINS, len(NAMED))}, not {table.shape}")
        self._table = with_prototypes(table.astype(np.float64)).reshape(BINS**3, len(NAMES))

    @classmethod
    def read(cls, path: Path) -> ColorTable:
        """From the .npz file of the pack."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls.from_arrays(arrays)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> ColorTable:
        return cls(arrays["table"])

    def look(self, warp: Pixels, part: Part) -> RegionColors:
        """The colours of a part in an RGB body warp (256, 128, 3)."""
        return self.name(bins(warp, part))

    def name(self, pixels: NDArray[np.int64]) -> RegionColors:
        """The colours of pixels that lie in these bins."""
        names = self._table[pixels]
        shares = names.mean(axis=0)
        called = np.bincount(names.argmax(axis=1), minlength=len(NAMES)) / len(names)
        kinds = np.bincount(_KIND_OF, called)
        several = int((kinds > BLOCK_SHARE).sum()) >= BLOCK_COLORS and float(kinds.max()) <= BLOCK_TOP
        return RegionColors(shares, several)


def bins(warp: Pixels, part: Part) -> NDArray[np.int64]:
    """The bin of each pixel of a part, shrunk to 20 x 20: (400,), 0..4095."""
    whole = cv2.cvtColor(warp, cv2.COLOR_RGB2LAB)
    region = np.ascontiguousarray(whole[REGIONS[part]])
    lab = cv2.resize(region, (SAMPLES, SAMPLES), interpolation=cv2.INTER_AREA).reshape(-1, 3).astype(np.float32)
    lab[:, 1:] -= color_cast(whole)
    place = np.clip((lab - _LOWEST) // _STEP, 0, BINS - 1).astype(np.int64)
    return np.asarray((place[:, 0] * BINS + place[:, 1]) * BINS + place[:, 2], np.int64)


def bin_centres() -> NDArray[np.float64]:
    """(16, 16, 16, 3): the middle of each bin in 8-bit CIE Lab."""
    indices = np.stack(np.meshgrid(*[np.arange(BINS)] * 3, indexing="ij"), axis=-1)
    return np.asarray(_LOWEST + (indices + 0.5) * _STEP, np.float64)


def lab_of(rgb: tuple[int, int, int]) -> NDArray[np.float64]:
    """(3,): a colour in 8-bit CIE Lab."""
    return np.asarray(cv2.cvtColor(np.array([[rgb]], np.uint8), cv2.COLOR_RGB2LAB)[0, 0], np.float64)


def with_prototypes(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """(16, 16, 16, 11) to (16, 16, 16, 13): beige and khaki take their share from the others near their prototypes."""
    centres = bin_centres()
    taken = []
    for color in _PROTOTYPES.values():
        distances = ((centres - lab_of(color)) ** 2).sum(axis=-1)
        taken.append(np.exp(-distances / (2 * _PROTOTYPE_SPREAD**2)))
    shares = np.stack(taken, axis=-1)
    shares /= np.maximum(shares.sum(axis=-1, keepdims=True), 1)
    return np.concatenate([table * (1 - shares.sum(axis=-1, keepdims=True)), shares], axis=-1)
