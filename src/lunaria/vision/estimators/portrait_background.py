"""The background of a portrait: how light and how uniform it is.

It is looked at in the frame in which OFIQ does it: the face upright, 292 rows from above the hair to the mouth, 354
columns; one pixel is 0.76 pixels of the warp. Background is what the portrait segmentation gives to no person, or,
without that network, what lies outside of an ellipse around the head and above the chin; eroded by 4 pixels as in OFIQ,
and only where the picture has pixels: in a warp a narrow strip.

Uniformity is the smaller of two: OFIQ's, which is the mean Scharr gradient x of the luminance, mapped by
1.9 * (1 - logistic((x - 10) / 100)) and cut at 1; and 1 / (1 + (s / 0.15)^2) with s the standard deviation of the grey
values 0..1, as a background that is half dark and half light, or out of focus, has hardly a gradient. OFIQ has face
parsing where this has the segmentation.

The persons of 100 photographs of LFW, cut out with the same network and put before made backgrounds
(`bench.portraits`): median uniformity, and without the network, and the share that passes the limit of 0.5 with it.

- black 1.00, 0.90, 0.94; white 0.98, 0.78, 0.92; grey with faint noise 0.87, 0.82, 0.96; shaded by 40 levels 0.93,
  0.85, 0.95;
- stripes of +-8 levels 0.78, 0.74, 0.96; of +-40 levels 0.29, 0.29, 0.01; of +-100 levels 0.04, 0.05, 0;
- the photograph of somebody else, often out of focus: 0.43, 0.38, 0.40.

Of 250 photographs of LFW as they are 0.55 pass. A warp whose photo ended near the face is black there, and that
counts as background.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lunaria.vision.estimators.quality import LINEAR, logistic, polygon
from lunaria.vision.geometry import Matrix, Pixels, Points, chain, inverse, square_transform, transform

SIDE = 384
STEP = 62 / 113 * 492 / 354
"""Pixels of the warp in one of the frame: OFIQ's aligned face has eyes 113 pixels apart, a warp 62, and OFIQ shrinks
492 columns to 354."""
CENTRE = (125.0, 112.5 - 62 / 113 * 272 + SIDE * STEP / 2)
"""Of the frame, in the warp: OFIQ's aligned face has the eyes in row 272."""
_ROWS, _COLUMNS = slice(0, 292), slice(15, 369)

ALLOWED_SPREAD = 0.15
"""Standard deviation of the grey values, 0..1, at which uniformity is 0.5."""
PERSON = 0.5
LEAST_PIXELS = 1000
"""With fewer pixels of background (1 % of the region) nothing is said about it."""


@dataclass(frozen=True, slots=True)
class Background:
    """`lightness`: mean grey value as displayed, 0 black .. 1 white; `uniformity`: 0 cluttered .. 1 plain."""

    lightness: float
    uniformity: float


def to_warp_frame() -> Matrix:
    """The 2x3 matrix from the frame to the warp."""
    return square_transform(np.array(CENTRE), SIDE * STEP, 0, SIDE)


def inside_picture(to_image: Matrix, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(384, 384): where the frame, mapped by the 2x3 matrix, lies inside a picture of this shape (H, W, ...)."""
    right, bottom = shape[1] - 1.0, shape[0] - 1.0
    corners = np.array([[0.0, 0.0], [right, 0.0], [right, bottom], [0.0, bottom]])
    return polygon(transform(inverse(to_image), corners), (SIDE, SIDE))


def head_region(points68_in_warp: Points) -> NDArray[np.bool_]:
    """(384, 384): where the head, the neck and the shoulders may be, judged by the landmarks alone."""
    scale = 1 / STEP
    origin = np.array(CENTRE) - SIDE * STEP / 2
    low, high = ((points68_in_warp.min(axis=0) - origin) * scale, (points68_in_warp.max(axis=0) - origin) * scale)
    width, height = high - low
    mask = np.zeros((SIDE, SIDE), np.uint8)
    # The landmarks reach from the brows to the chin; hair lies above by about as much again and beside by a third.
    centre = ((low[0] + high[0]) / 2, low[1] + 0.2 * height)
    cv2.ellipse(mask, (centre, (1.7 * width, 2.1 * height), 0), 1, -1)
    mask[max(0, int(high[1] - 0.25 * height)) :] = 1
    return mask > 0


def background(frame: Pixels, occupied: NDArray[np.bool_], inside: NDArray[np.bool_]) -> Background | None:
    """Of the frame (384, 384, 3) RGB with what is no background and what lies inside the picture, both (384, 384).

    None when too little background is to be seen.
    """
    free = (inside & ~occupied)[_ROWS, _COLUMNS].astype(np.uint8)
    seen = cv2.erode(free, np.ones((4, 4), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=1) > 0
    if int(seen.sum()) < LEAST_PIXELS:
        return None
    region = frame[_ROWS, _COLUMNS]
    luminance = cv2.transform(cv2.LUT(region, LINEAR), np.array([[0.2126, 0.7152, 0.0722]], np.float32)) * 255
    gradient = cv2.magnitude(cv2.Scharr(luminance, cv2.CV_32F, 1, 0), cv2.Scharr(luminance, cv2.CV_32F, 0, 1))
    grey = cv2.cvtColor(region, cv2.COLOR_RGB2GRAY)
    smooth = min(1.0, 1.9 * (1 - logistic(float(gradient[seen].mean()) - 10, 100)))
    even = 1 / (1 + (float(grey[seen].std()) / 255 / ALLOWED_SPREAD) ** 2)
    return Background(lightness=float(grey[seen].mean()) / 255, uniformity=min(smooth, even))


def frame_to_image(from_warp: Matrix) -> Matrix:
    """The 2x3 matrix from the frame to the image, given that from the warp to the image."""
    return chain(from_warp, to_warp_frame())
