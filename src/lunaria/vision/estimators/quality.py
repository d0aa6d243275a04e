"""Image quality of a face: five values, 0 bad .. 1 good, and the measures of its pixels that portrait checks share.

Everything is measured in the 250x250 frame of the warp, so that a photo and the warp cut from it agree; on "the face",
the convex hull of the 68 landmarks (brows to chin). No network runs; the same pixels give the same values.

- blurriness: the no-reference blur of Crete et al. (2007): how much of the grey differences between neighbours is lost
  by blurring once more, along rows and along columns; the worse direction counts, which finds motion too. It is blind
  to noise, which it takes for detail. A small face is blurred in the frame of the warp.
- dark: the share of face pixels with a luminance of 25 of 255 at most; under-exposure of OFIQ.
- light: the share of 247 of 255 at least; over-exposure of OFIQ.
- illumination: how much the two sides of the nose differ in brightness, in the logarithm of the smoothed luminance. A
  turned head and a beard on one side raise it a little.
- specularity: the share of skin (without eyes and mouth) that shines: its grey value lies nearer to white than to the
  median of the face. Reflections of glasses count. Faint shine is not told from light skin.

The curves were chosen on the degraded photographs of 70 persons of LFW. On those of 100 other persons, one each, by
`bench.portraits` (AUC against the unspoilt photographs; share that passes the threshold of the check, unspoilt first):

- blurriness (0.61): passes 0.99. Gaussian of sigma 1.5, 2.5, 4 in pixels of the warp: AUC 0.94, 1.00, 1.00, passes
  0.49, 0, 0; motion over 6, 10, 15 pixels: 0.94, 1.00, 1.00 and 0.49, 0.06, 0.01; eyes 24, 16, 12, 8 pixels apart:
  0.76, 0.93, 0.99, 1.00 and 0.86, 0.53, 0.18, 0.
- dark (0.5): passes 1.00. 0.3, 0.15, 0.07 of the light: 0.97, 1.00, 1.00 and 0.66, 0.03, 0.
- light (0.57): passes 1.00. 1.5, 2.5, 4 times the light: 0.68, 0.96, 1.00 and 0.89, 0.25, 0.05.
- illumination (0.3): passes 0.88. One side with 0.5, 0.25, 0.12, 0.05 of its light: 0.68, 0.87, 0.94, 0.99 and 0.78,
  0.32, 0.11, 0.02.
- specularity (0.3): passes 0.87. White light of 0.1, 0.25, 0.5, 1 added in spots: 0.54, 0.71, 0.88, 0.93 and 0.86,
  0.76, 0.21, 0.04.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from lunaria.vision.geometry import Pixels, Points, transform
from lunaria.vision.views import FaceViews
from lunaria.vision.warps import WARP_SIDE

FACE_MINIMUM_PIXELS = 400
"""A hull with fewer pixels in the frame of the warp is no face: landmarks have failed."""

MARGIN = 20
"""Pixels around the landmarks that the smoothing may see."""

_LEVELS = np.arange(256) / 255
LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4).astype(np.float32)
"""Linear light of each sRGB level."""
_LUMINANCE = np.array([[0.2126, 0.7152, 0.0722]], np.float32)

_LEFT_EYE, _RIGHT_EYE, _MOUTH = slice(36, 42), slice(42, 48), slice(48, 60)
_NOSE_BRIDGE, _CHIN = 27, 8


class Quality(NamedTuple):
    """0 bad .. 1 good."""

    blurriness: float
    dark: float
    illumination: float
    specularity: float
    light: float


class FaceSurface:
    """The pixels of one face at the scale of the warp: of the warp, the part around its landmarks.

    Made of `pixels` (250, 250, 3) RGB and `points68` (68, 2) in the frame of the warp. The attributes of the same names
    are those of the part, H x W. Raises ValueError when the landmarks span no face.
    """

    def __init__(self, pixels: Pixels, points68: Points) -> None:
        low, high = _box(points68, MARGIN, pixels.shape)
        self.pixels: Pixels = np.ascontiguousarray(pixels[low[1] : high[1], low[0] : high[0]])
        self.points68: Points = points68 - low
        self.face = polygon(self.points68, self.pixels.shape)
        if int(self.face.sum()) < FACE_MINIMUM_PIXELS:
            raise ValueError("the landmarks span no face")

    @cached_property
    def skin(self) -> NDArray[np.bool_]:
        """(H, W): the face without eyes and mouth."""
        skin = self.face.copy()
        for part, growth in ((_LEFT_EYE, (1.2, 2.2)), (_RIGHT_EYE, (1.2, 2.2)), (_MOUTH, (1.2, 1.15))):
            outline = self.points68[part]
            centre = outline.mean(axis=0)
            skin &= ~polygon(centre + (outline - centre) * growth, self.face.shape)
        return skin

    @cached_property
    def linear(self) -> NDArray[np.float32]:
        """(H, W, 3) linear light, 0..1."""
        return np.asarray(cv2.LUT(self.pixels, LINEAR), np.float32)

    @cached_property
    def luminance(self) -> NDArray[np.float32]:
        """(H, W) linear luminance of Rec. 709, 0..1."""
        return np.asarray(cv2.transform(self.linear, _LUMINANCE), np.float32).reshape(self.face.shape)

    @cached_property
    def grey(self) -> NDArray[np.float32]:
        """(H, W) grey values as displayed, 0..1."""
        return np.asarray(cv2.cvtColor(self.pixels, cv2.COLOR_RGB2GRAY) / np.float32(255), np.float32)

    @cached_property
    def histogram(self) -> NDArray[np.float64]:
        """(256,) shares of the face's luminance, as OFIQ counts it: in whole 255ths of linear light."""
        return histogram(self.luminance[self.face])


def surfaces(views: FaceViews) -> list[FaceSurface | None]:
    """Of each face its surface; None where the landmarks span no face."""
    middle = WARP_SIDE / 2
    crops = views.crops((middle, middle), WARP_SIDE, WARP_SIDE)
    found: list[FaceSurface | None] = []
    for pixels, to_warp, landmarks in zip(crops, views.to_warp, views.landmarks, strict=True):
        try:
            found.append(FaceSurface(pixels, transform(to_warp, landmarks.points68)))
        except ValueError:
            found.append(None)
    return found


class QualityEstimator:
    """Estimates image quality. Thread-safe, needs no network."""

    def estimate(self, views: FaceViews) -> list[Quality | None]:
        """Of each face its quality; None where the landmarks span no face within the warp."""
        return [None if surface is None else quality(surface) for surface in surfaces(views)]


def quality(surface: FaceSurface) -> Quality:
    """The five values of one face."""
    return Quality(
        blurriness=logistic(0.778 - blur(surface), 0.03),
        dark=_clip(1.2 * (0.832 - logistic(float(surface.histogram[:26].sum()) - 0.92, 0.05))),
        illumination=logistic(0.69 - side_difference(surface), 0.25),
        specularity=1 / (1 + shine(surface) / 0.0086),
        light=_clip(0.01 / (float(surface.histogram[247:].sum()) + 0.01)),
    )


def blur(surface: FaceSurface) -> float:
    """0 sharp .. 1 blurred: Crete et al., "The blur effect" (2007), over the face, of the worse direction.

    Smoothed by 0.7 pixels before, against the noise and blocks of JPEG.
    """
    low, high = _box(surface.points68, 6, surface.face.shape)
    part = np.s_[low[1] : high[1], low[0] : high[0]]
    grey = cv2.GaussianBlur(surface.grey[part], (0, 0), 0.7)
    inside = cv2.erode(surface.face[part].astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    found = 0.0
    for axis, kernel in ((0, (1, 9)), (1, (9, 1))):
        again = cv2.blur(grey, kernel, borderType=cv2.BORDER_REPLICATE)
        before, after = np.abs(np.diff(grey, axis=axis)), np.abs(np.diff(again, axis=axis))
        seen = inside[1:] if axis == 0 else inside[:, 1:]
        total = float(before[seen].sum())
        lost = float(np.maximum(before - after, 0)[seen].sum())
        found = max(found, 1 - lost / total if total > 0 else 1.0)
    return found


def side_difference(surface: FaceSurface) -> float:
    """By how much the skin left and right of the line from nose bridge to chin differs: natural logarithm of the ratio
    of the median luminances, without sign."""
    rows, columns = np.nonzero(surface.skin)
    smooth = cv2.GaussianBlur(surface.luminance, (0, 0), 6)[rows, columns]
    top, chin = surface.points68[_NOSE_BRIDGE], surface.points68[_CHIN]
    along = chin - top
    is_left = (columns - top[0]) * along[1] < (rows - top[1]) * along[0]
    if is_left.all() or not is_left.any():
        return 0.0
    # 0.003 of full light is what the noise of a camera amounts to.
    left, right = float(np.median(smooth[is_left])), float(np.median(smooth[~is_left]))
    return abs(float(np.log((left + 0.003) / (right + 0.003))))


def shine(surface: FaceSurface) -> float:
    """The share of skin whose grey value has come 60 % of the way from the median of the skin to white."""
    grey = surface.grey[surface.skin]
    if not grey.size:
        return 0.0
    middle = float(np.median(grey))
    return float((grey > middle + 0.6 * (1 - middle)).mean())


def histogram(luminance: NDArray[np.float32]) -> NDArray[np.float64]:
    """(256,) shares of linear luminances 0..1, rounded to whole 255ths; zeros when there are none."""
    levels = np.floor(luminance.ravel() * 255 + 0.5).astype(np.int64)
    return np.asarray(np.bincount(levels, minlength=256) / max(1, levels.size), np.float64)


def logistic(value: float, width: float) -> float:
    """1 / (1 + exp(-value / width))."""
    return float(1 / (1 + np.exp(-np.clip(value / width, -60, 60))))


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))


def polygon(points: Points, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """What the convex hull of points covers of a picture of this shape (H, W, ...)."""
    mask = np.zeros(shape[:2], np.uint8)
    # 4 binary places; far-off points would overflow the fixed-point numbers of the filling.
    hull = cv2.convexHull(np.clip(points, -1e6, 1e6).astype(np.float32))
    cv2.fillConvexPoly(mask, np.round(hull * 16).astype(np.int32), 1, shift=4)
    return mask > 0


def _box(points: Points, margin: float, shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The whole-pixel corners around points, inside a picture of this shape (H, W, ...)."""
    size = np.array([shape[1], shape[0]])
    low = np.clip(np.floor(points.min(axis=0) - margin), 0, size - 2).astype(np.int64)
    high = np.clip(np.ceil(points.max(axis=0) + margin) + 1, low + 2, size).astype(np.int64)
    return low, high
