"""Known changes of photographs of faces, by their 68 landmarks: what an estimate must answer to."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Points = NDArray[np.float64]
MASK_BLUE, LENS_BLACK = (165, 196, 214), (18, 18, 20)
LEFT_EYE, RIGHT_EYE = slice(36, 42), slice(42, 48)
PRINT_SIDE = 300


def masked(pixels: Pixels, points: Points) -> Pixels:
    """A medical mask from the nose to the chin, with folds."""
    outline = np.concatenate([points[2:15], points[[28]]])
    image = pixels.copy()
    cv2.fillPoly(image, [outline.round().astype(np.int32)], MASK_BLUE)
    left, right = points[3], points[13]
    for share in (0.25, 0.45, 0.65):
        down = (points[8] - points[28]) * share
        ends = [
            tuple((end * 0.8 + points[33] * 0.2 + down * 0.6).round().astype(int).tolist()) for end in (left, right)
        ]
        cv2.line(image, ends[0], ends[1], tuple(int(0.85 * value) for value in MASK_BLUE), 2)
    return _soft(pixels, image)


def with_sunglasses(pixels: Pixels, points: Points) -> Pixels:
    """Two dark lenses and their frame."""
    image = pixels.copy()
    centres = [points[eye].mean(axis=0) for eye in (LEFT_EYE, RIGHT_EYE)]
    apart = float(np.linalg.norm(centres[1] - centres[0]))
    turn = float(np.degrees(np.arctan2(*(centres[1] - centres[0])[::-1])))
    axes = (round(0.36 * apart), round(0.28 * apart))
    for centre, temple in zip(centres, (points[0], points[16]), strict=True):
        low = centre + np.array([0, 0.06 * apart])
        cv2.ellipse(image, _whole(low), axes, turn, 0, 360, LENS_BLACK, -1, cv2.LINE_AA)
        cv2.line(image, _whole(low), _whole(temple), LENS_BLACK, max(2, round(0.06 * apart)), cv2.LINE_AA)
    cv2.line(image, _whole(centres[0]), _whole(centres[1]), LENS_BLACK, max(2, round(0.08 * apart)), cv2.LINE_AA)
    return image


def with_closed_eyes(pixels: Pixels, points: Points) -> Pixels:
    """The skin above the eyes drawn over them, with the line of the lashes."""
    image = pixels.copy()
    for eye in (LEFT_EYE, RIGHT_EYE):
        corners = points[eye]
        width = float(np.linalg.norm(corners[3] - corners[0]))
        lid = corners.mean(axis=0) - (0, 0.32 * width)
        skin = pixels[int(lid[1]) - 1 : int(lid[1]) + 2, int(lid[0]) - 2 : int(lid[0]) + 3].reshape(-1, 3).mean(axis=0)
        wide = corners.mean(axis=0) + (corners - corners.mean(axis=0)) * (1.25, 1.7)
        cv2.fillConvexPoly(image, cv2.convexHull(wide.round().astype(np.int32)), skin.tolist(), cv2.LINE_AA)
        lower = corners[[0, 5, 4, 3]].round().astype(np.int32)
        cv2.polylines(image, [lower], False, (skin * 0.45).tolist(), max(1, round(width / 16)), cv2.LINE_AA)
    return _soft(pixels, image)


def on_paper(pixels: Pixels, points: Points) -> Pixels:
    """The face as a print with a white rim, lying on a grey table."""
    low, high = points.min(axis=0), points.max(axis=0)
    low[1] -= 0.4 * (high[1] - low[1])
    scale = PRINT_SIDE / (high[0] - low[0])
    paper = np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR), np.uint8)
    start = np.maximum(low * scale - 60, 0).astype(int)
    end = np.minimum(high * scale + 60, paper.shape[1::-1]).astype(int)
    paper = paper[start[1] : end[1], start[0] : end[0]]
    table = np.full((paper.shape[0] + 160, paper.shape[1] + 160, 3), 90, np.uint8)
    table[60:-60, 60:-60] = 245
    table[80:-80, 80:-80] = paper
    return table


def resynthesised(pixels: Pixels, points: Points) -> Pixels:
    """The inner face taken from a coarse copy and blended in, as programs that make faces at low resolution do."""
    coarse = cv2.resize(pixels, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA)
    smooth = cv2.resize(coarse, pixels.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    inner = np.zeros(pixels.shape[:2], np.float32)
    cv2.fillConvexPoly(inner, cv2.convexHull(points[17:].round().astype(np.int32)), 1.0)
    share = cv2.GaussianBlur(inner, (0, 0), 2)[..., None]
    return np.asarray(pixels * (1 - share) + smooth * share, np.uint8)


def turned(pixels: Pixels, degrees: float) -> Pixels:
    """Turned clockwise about the middle."""
    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1)
    return np.asarray(cv2.warpAffine(pixels, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def lit(pixels: Pixels, factor: float) -> Pixels:
    """Darker (below 1) or overexposed (above)."""
    return np.clip(pixels * factor, 0, 255).astype(np.uint8)


def blurred(pixels: Pixels, sigma: float) -> Pixels:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)


def shining(pixels: Pixels, points: Points) -> Pixels:
    """Highlights on forehead, nose and cheeks."""
    shine = np.zeros(pixels.shape[:2], np.float32)
    size = float(np.linalg.norm(points[16] - points[0]))
    brows = points[17:27].mean(axis=0)
    for spot in (
        points[30],
        points[2] * 0.4 + points[31] * 0.6,
        points[14] * 0.4 + points[35] * 0.6,
        brows - (0, 0.15 * size),
    ):
        cv2.circle(shine, _whole(spot), round(0.09 * size), 1.0, -1)
    shine = cv2.GaussianBlur(shine, (0, 0), 0.03 * size)[..., None]
    return np.clip(pixels + shine * 170, 0, 255).astype(np.uint8)


def half_dark(pixels: Pixels, points: Points) -> Pixels:
    """Light from one side only."""
    middle, size = points[27][0], float(np.ptp(points[:17, 0]))
    ramp = 1 / (1 + np.exp((middle - np.arange(pixels.shape[1])) / (0.08 * size)))
    return np.asarray(pixels * (0.18 + 0.82 * ramp)[None, :, None], np.uint8)


def colourless(pixels: Pixels) -> Pixels:
    return np.repeat(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)[..., None], 3, axis=2)


def mirrored(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels[:, ::-1])


def _soft(before: Pixels, after: Pixels) -> Pixels:
    """What was painted, with soft edges."""
    painted = (before != after).any(axis=2).astype(np.float32)
    share = cv2.GaussianBlur(painted, (0, 0), 1)[..., None] * painted[..., None]
    return np.asarray(before * (1 - share) + after * share, np.uint8)


def _whole(point: Points) -> tuple[int, int]:
    x, y = point.round().astype(int).tolist()
    return x, y
