"""Fine structure of a face by zones around its outline.

Where a foreign face was blended in, noise, sharpness and colour change across the seam.

Zones are rings of equal distance to the outline of the 68 landmarks with a forehead, in an upper and a lower half. In
each zone, of brightness and both colour differences: the mean, and the mean strength of five high-pass residuals
(second order and KV filter as in Fridrich, Kodovsky, "Rich Models for Steganalysis" (2012); three octaves).
The photograph is looked at in its own resolution, as resampling wipes the traces out.
"""

from __future__ import annotations

import itertools
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lunaria.vision.geometry import Pixels, Points

RINGS = (-0.25, -0.17, -0.11, -0.06, -0.02, 0.02, 0.06, 0.12, 0.22)
"""Bounds of the rings: signed distance to the outline in widths of the face, negative inside."""

ZONES = 2 * len(RINGS)
INNER_ZONES = 6
OCTAVES = (0.7, 1.4, 2.8)
BLOCKS = 3 * (1 + 2 * (2 + len(OCTAVES)))
"""Colours and residuals, each with a number for every zone."""
VALUES = BLOCKS * (ZONES + 1)

LARGEST_FACE = 160
"""Larger faces are shrunk to so many pixels: the cost stays, and the scale at which the residuals were learnt."""

_MARGIN, _FOREHEAD_MARGIN, _FOREHEAD = 0.3, 0.65, 0.8
_FEWEST_PIXELS = 8
_BLACK = 3
_COLOUR_SCALE = 20.0
_QUIET = 0.05

_SECOND_ORDER = np.array([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]], np.float32) / 4
_KV = np.array(
    [[-1, 2, -2, 2, -1], [2, -6, 8, -6, 2], [-2, 8, -12, 8, -2], [2, -6, 8, -6, 2], [-1, 2, -2, 2, -1]], np.float32
) / np.float32(12)


def zone_values(pixels: Pixels, points68: Points) -> NDArray[np.float32]:
    """The numbers (VALUES,) of the face with 68 landmarks (68, 2) in an RGB image (H, W, 3).

    Of every block, what each zone deviates from the mean of the zones, then this mean. Zones outside of the image, or
    on a black border, deviate by 0.
    """
    face, points = _around(pixels, points68)
    zones = _zones(face, points)
    counts = np.bincount(zones, minlength=ZONES + 1)[:ZONES]

    def means(values: NDArray[Any]) -> NDArray[np.float64]:
        sums = np.bincount(zones, values.reshape(-1), ZONES + 1)[:ZONES]
        return np.where(counts < _FEWEST_PIXELS, np.nan, sums / np.maximum(counts, 1))

    blocks: list[NDArray[np.float64]] = []
    channels = cv2.cvtColor(face, cv2.COLOR_RGB2YCrCb).astype(np.float32)
    for channel in np.ascontiguousarray(channels.transpose(2, 0, 1)):
        colours = means(channel)
        blocks.append((colours - _mean(colours[:INNER_ZONES])) / _COLOUR_SCALE)
        for residual in _residuals(channel):
            strength = np.abs(residual)
            blocks.append(np.log(means(strength) + _QUIET))
            blocks.append(means(cv2.log(strength + _QUIET)))
    levels = np.array([_mean(block) for block in blocks])
    deviations = np.nan_to_num(np.stack(blocks) - levels[:, None])
    return np.concatenate([deviations.reshape(-1), levels]).astype(np.float32)


def _mean(values: NDArray[np.float64]) -> float:
    """Of the zones that there are; 0 without any."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else 0.0


def _residuals(channel: NDArray[np.float32]) -> list[NDArray[Any]]:
    octaves: list[NDArray[Any]] = [channel, *[cv2.GaussianBlur(channel, (0, 0), sigma) for sigma in OCTAVES]]
    bands = [fine - coarse for fine, coarse in itertools.pairwise(octaves)]
    return [cv2.filter2D(channel, -1, kernel) for kernel in (_SECOND_ORDER, _KV)] + bands


def _around(pixels: Pixels, points68: Points) -> tuple[Pixels, Points]:
    """The part of the image with the face and its surroundings, and the landmarks in it."""
    low, high = points68.min(axis=0), points68.max(axis=0)
    side = float(max(np.ptp(points68[:17, 0]), high[1] - low[1], 1.0))
    limits = np.array(pixels.shape[1::-1])
    left, top = np.clip(np.floor(low - [_MARGIN * side, _FOREHEAD_MARGIN * side]), 0, limits - 1).astype(int)
    right, bottom = np.clip(np.ceil(high + _MARGIN * side), [left + 1, top + 1], limits).astype(int)
    part, points = pixels[top:bottom, left:right], points68 - [left, top]
    if side <= LARGEST_FACE:
        return part, points
    scale = LARGEST_FACE / side
    return np.asarray(
        cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
    ), points * scale


def _zones(face: Pixels, points: Points) -> NDArray[np.int64]:
    """The zone of every pixel (H * W,): 2 * ring, and 1 more below the tip of the nose; ZONES where there is none."""
    rows, columns = face.shape[:2]
    forehead = points[17:27] + _FOREHEAD * (points[27] - points[30])
    hull = cv2.convexHull(np.concatenate([points[:17], forehead]).astype(np.float32)).round().astype(np.int32)
    inside = np.zeros((rows, columns), np.uint8)
    cv2.fillConvexPoly(inside, hull, 1)
    size = max(float(np.linalg.norm(points[16] - points[0])), float(np.linalg.norm(points[8] - points[27])), 1.0)
    outside = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
    ring = np.digitize((outside - cv2.distanceTransform(inside, cv2.DIST_L2, 3)) / size, RINGS)
    down = points[8] - points[27]
    across = (np.arange(columns) - points[30, 0]) * down[0]
    lower = across[None] + ((np.arange(rows) - points[30, 1]) * down[1])[:, None] > 0
    seen = (ring < len(RINGS)) & (face.max(axis=2) > _BLACK)
    return np.where(seen, 2 * ring + lower, ZONES).reshape(-1)
