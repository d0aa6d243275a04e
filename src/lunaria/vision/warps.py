"""Bringing faces and bodies into the standard position.

Faces: 112x112 for the descriptor network, 250x250 as the stored warp. Bodies: 128x256 as the stored warp.
"""

from __future__ import annotations

import cv2
import numpy as np

from lunaria.vision.geometry import Matrix, Pixels, Points, crop, inverse, similarity_transform, transform

WARP_SIDE = 250
ALIGNED_SIDE = 112
BODY_WARP_SIZE = (128, 256)
"""Width and height."""

WARP_TEMPLATE = np.array([[94.0, 112.5], [156.0, 112.5], [125.0, 179.0]])
"""Where the left eye, the right eye and the centre of the mouth lie in a warp (x, y)."""

ALIGNED_TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where the five points lie in an aligned face of 112 pixels, as the common recognition networks (SFace, ArcFace) were
trained."""


def warp_transform(points5: Points) -> Matrix:
    """The 2x3 matrix from the image to its 250x250 warp, from eyes, nose tip and mouth corners (5, 2)."""
    return similarity_transform(_eyes_and_mouth(points5), WARP_TEMPLATE)


def cut_warp(pixels: Pixels, points5: Points) -> Pixels:
    """The 250x250 RGB warp of a face; what lies outside of the image is black."""
    return crop(pixels, inverse(warp_transform(points5)), WARP_SIDE)


def align(pixels: Pixels, points5: Points, template: Points = ALIGNED_TEMPLATE, side: int = ALIGNED_SIDE) -> Pixels:
    """The face as the descriptor network wants it, RGB (side, side, 3); outside of the image is black."""
    return crop(pixels, inverse(similarity_transform(points5, template)), side)


def points_in_warp(points5: Points) -> Points:
    """Where five points of an image lie in the warp that is cut by them."""
    return transform(warp_transform(points5), points5)


def cut_body_warp(pixels: Pixels, box: Points) -> Pixels:
    """The RGB warp (256, 128, 3) of a body in a box x1, y1, x2, y2: a plain crop, whatever its proportions.

    Where the box is larger, pixels are averaged over areas. What lies outside of the image is black.
    """
    warp = np.zeros((BODY_WARP_SIZE[1], BODY_WARP_SIZE[0], 3), np.uint8)
    low = np.rint(box[:2])
    size = np.maximum(np.rint(box[2:]) - low, 1)
    scale = np.array(BODY_WARP_SIZE) / size
    seen_low = np.clip(low, 0, [pixels.shape[1], pixels.shape[0]]).astype(int)
    seen_high = np.clip(low + size, 0, [pixels.shape[1], pixels.shape[0]]).astype(int)
    left, top = np.rint((seen_low - low) * scale).astype(int)
    right, bottom = np.rint((seen_high - low) * scale).astype(int)
    if right > left and bottom > top:
        part = pixels[seen_low[1] : seen_high[1], seen_low[0] : seen_high[0]]
        shrunk = cv2.resize(
            part, (min(part.shape[1], right - left), min(part.shape[0], bottom - top)), interpolation=cv2.INTER_AREA
        )
        warp[top:bottom, left:right] = cv2.resize(shrunk, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
    return warp


def _eyes_and_mouth(points5: Points) -> Points:
    return np.stack([points5[0], points5[1], (points5[3] + points5[4]) / 2])
