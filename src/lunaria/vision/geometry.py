"""Plane geometry of faces: similarity transforms, crops, box overlap. Points are (x, y) in pixels, y downwards."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Matrix = NDArray[np.float64]
Pixels = NDArray[np.uint8]


def similarity_transform(source: Points, target: Points) -> Matrix:
    """The 2x3 matrix of turn, uniform scale and shift, without mirroring, that brings `source` nearest to `target`.

    Least squares over (N, 2) points each (Umeyama 1991). Raises ValueError when the source points coincide.
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    source_rest, target_rest = source - source_mean, target - target_mean
    spread = (source_rest**2).sum()
    if not spread > 1e-9:
        raise ValueError("the points coincide")
    # In the plane the best turn and scale have a closed form: the mean ratio as complex numbers.
    cosine = (source_rest * target_rest).sum() / spread
    sine = (source_rest[:, 0] * target_rest[:, 1] - source_rest[:, 1] * target_rest[:, 0]).sum() / spread
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack([turn, target_mean - turn @ source_mean])


def square_transform(centre: Points, side: float, degrees: float, size: int) -> Matrix:
    """The 2x3 matrix from the pixels of a size x size crop to the image.

    The crop shows the square of `side` around `centre`, turned clockwise as seen by `degrees`.
    """
    angle = np.deg2rad(degrees)
    scale = side / size
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([turn, centre - turn @ np.array([size / 2, size / 2])])


def inverse(matrix: Matrix) -> Matrix:
    """The inverse of a 2x3 affine matrix."""
    return np.asarray(cv2.invertAffineTransform(matrix), np.float64)


def chain(second: Matrix, first: Matrix) -> Matrix:
    """The 2x3 matrix that applies `first` and then `second`."""
    return np.asarray(second @ np.vstack([first, [0.0, 0.0, 1.0]]), np.float64)


def transform(matrix: Matrix, points: Points) -> Points:
    """Apply a 2x3 affine matrix to points (..., 2)."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def crop(
    pixels: Pixels,
    to_image: Matrix,
    size: int,
    *,
    step: float = 1.0,
    border: int = cv2.BORDER_CONSTANT,
) -> Pixels:
    """Sample a size x size crop; `to_image` maps its pixels to those of the image. Outside is black by default.

    Where a pixel of the crop spans several of the image, the region is first reduced by averaging, down to about `step`
    image pixels per crop pixel: bilinear sampling alone would skip pixels.
    """
    scale = float(np.sqrt(abs(np.linalg.det(to_image[:, :2]))))
    factor = int(scale / step)
    if factor >= 2:
        pixels, part_to_image = reduced(pixels, to_image, size, factor)
        to_image = chain(inverse(part_to_image), to_image)
    result = cv2.warpAffine(
        pixels, to_image, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=border
    )
    return np.asarray(result, np.uint8)


def reduced(pixels: Pixels, to_image: Matrix, size: int, factor: int) -> tuple[Pixels, Matrix]:
    """The part of the image that a crop needs, shrunk by a whole factor, and the 2x3 matrix from it to the image."""
    factor = max(1, factor)
    height, width = pixels.shape[:2]
    corners = transform(to_image, np.array([[0.0, 0], [size, 0], [0, size], [size, size]]))
    left, top = np.clip(np.floor(corners.min(axis=0)) - factor, 0, [width - 1, height - 1]).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(axis=0)) + factor, [left + 1, top + 1], [width, height]).astype(int)
    columns, rows = max(1, (right - left) // factor), max(1, (bottom - top) // factor)
    part = pixels[top : min(bottom, top + rows * factor), left : min(right, left + columns * factor)]
    small = (
        part if factor == 1 else np.asarray(cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
    )
    step = np.array([part.shape[1] / columns, part.shape[0] / rows])
    # The centre of a reduced pixel lies at (index + 0.5) * step - 0.5 of the full one.
    return small, np.column_stack([np.diag(step), np.array([left, top]) + step / 2 - 0.5])


def resized(pixels: Pixels, side: int) -> Pixels:
    """The image with this long side.

    Halved while that is possible and then resampled with less than two pixels to one: of the averaging of whole blocks
    only that of two by two is fast, and averaging by fractions takes 8 ms for 2 megapixels. An odd last row or column
    is dropped.
    """
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale == 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    while min(pixels.shape[0] // size[1], pixels.shape[1] // size[0]) >= 2:
        rows, columns = pixels.shape[0] // 2, pixels.shape[1] // 2
        even = pixels[: 2 * rows, : 2 * columns]
        pixels = np.asarray(cv2.resize(even, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def overlap(boxes: Points, box: Points) -> Points:
    """Intersection over union of boxes (N, 4) with one box (4,), as corners x1, y1, x2, y2."""
    low = np.maximum(boxes[:, :2], box[:2])
    high = np.minimum(boxes[:, 2:], box[2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod() - shared
    return np.asarray(shared / np.maximum(areas, 1e-9), np.float64)


def suppress_overlaps(boxes: Points, scores: Points, limit: float) -> list[int]:
    """Non-maximum suppression: indices of the boxes to keep, best score first."""
    order = np.argsort(-scores, kind="stable")
    keep: list[int] = []
    while order.size:
        best, rest = order[0], order[1:]
        keep.append(int(best))
        order = rest[overlap(boxes[rest], boxes[best]) <= limit]
    return keep
