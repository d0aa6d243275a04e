"""Forged faces made of real ones, for lack of a free set of forgeries.

`self_blended` after Shiohara, Yamasaki, "Detecting Deepfakes with Self-Blended Images" (2022): a face is blended into
itself after one of the two copies got other colours, sharpness or size; the mask is the hull of the landmarks, deformed
and softened. `swapped` puts the face of another person in, `resynthesised` the same face at a lower resolution, as the
autoencoders of face swap programs give it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lunaria.vision.geometry import Pixels, Points

Mask = NDArray[np.float32]
Random = np.random.Generator

_BROWS, _EYES_AND_BROWS, _NOSE, _MOUTH = slice(17, 27), slice(17, 48), slice(27, 36), slice(48, 68)
_JAW, _INNER = slice(0, 17), slice(17, 68)


def self_blended(pixels: Pixels, points68: Points, random: Random) -> Pixels:
    """The face blended into itself, one copy altered."""
    source, target = (pixels, _altered(pixels, random)) if random.random() < 0.5 else (_altered(pixels, random), pixels)
    size = np.ptp(points68, axis=0)
    scale = random.uniform(0.95, 1.05)
    shift = random.uniform(-0.03, 0.03, 2) * size
    middle = points68.mean(axis=0)
    matrix = np.column_stack([np.eye(2) * scale, middle * (1 - scale) + shift])
    moved = _warped(source, matrix, target)
    mask = _warped(face_mask(pixels.shape[:2], points68, random), matrix, np.zeros(pixels.shape[:2], np.float32))
    return _blended(moved, target, mask * random.choice([0.5, 0.75, 1, 1, 1]))


def swapped(pixels: Pixels, points68: Points, donor: Pixels, donor_points68: Points, random: Random) -> Pixels:
    """The face of `donor` in the place of the face, in its colours; feathered or blended by gradients (Poisson)."""
    inner = np.r_[17:68]
    matrix = _affine(donor_points68[inner], points68[inner])
    moved = _warped(donor, matrix, pixels)
    mask = face_mask(pixels.shape[:2], points68, random)
    mask = mask * _warped(np.ones(donor.shape[:2], np.float32), matrix, np.zeros(pixels.shape[:2], np.float32))
    if random.random() < 0.5:
        cloned = _poisson(moved, pixels, mask)
        if cloned is not None:
            return cloned
    return _blended(_in_colours(moved, pixels, mask), pixels, mask)


def resynthesised(pixels: Pixels, points68: Points, random: Random) -> Pixels:
    """The face replaced by itself out of a lower resolution and another JPEG compression."""
    width = float(np.ptp(points68[:, 0]))
    factor = random.uniform(28, 60) / width
    height, columns = pixels.shape[:2]
    small = cv2.resize(
        pixels, (max(8, round(columns * factor)), max(8, round(height * factor))), interpolation=cv2.INTER_AREA
    )
    enlargement = int(random.choice([cv2.INTER_CUBIC, cv2.INTER_LINEAR]))
    face = np.asarray(cv2.resize(small, (columns, height), interpolation=enlargement), np.uint8)
    if random.random() < 0.5:
        face = compressed(face, int(random.integers(50, 95)))
    if random.random() < 0.5:
        face = _other_colours(face, random, 0.5)
    return _blended(face, pixels, face_mask(pixels.shape[:2], points68, random))


def degraded(pixels: Pixels, random: Random) -> Pixels:
    """What happens to photographs, true or forged, on their way: other size, compression, sometimes blur and noise."""
    if random.random() < 0.3:
        scale = random.uniform(0.6, 1.0)
        height, width = pixels.shape[:2]
        small = cv2.resize(pixels, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
        pixels = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    if random.random() < 0.15:
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), random.uniform(0.4, 1.0)), np.uint8)
    if random.random() < 0.15:
        noise = random.normal(0, random.uniform(1, 5), pixels.shape)
        pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    return compressed(pixels, int(random.integers(60, 99))) if random.random() < 0.7 else pixels


def compressed(pixels: Pixels, quality: int) -> Pixels:
    """After JPEG compression."""
    _, data = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[:, :, ::-1])


def face_mask(shape: tuple[int, ...], points68: Points, random: Random) -> Mask:
    """A soft mask (H, W), 0..1: the hull of some of the landmarks, deformed at random."""
    kind = random.integers(4)
    if kind == 0:
        points = points68
    elif kind == 1:
        points = points68[_INNER]
    elif kind == 2:
        points = np.concatenate([points68[2:15], points68[_BROWS]])
    else:
        points = np.concatenate([points68[_JAW], _forehead(points68)])
    size = float(np.ptp(points68[:, 0]))
    middle = points.mean(axis=0)
    points = middle + (points - middle) * random.uniform(0.9, 1.08, 2) + random.normal(0, 0.02 * size, points.shape)
    mask = np.zeros(shape[:2], np.float32)
    cv2.fillConvexPoly(mask, cv2.convexHull(points.astype(np.float32)).round().astype(np.int32), 1.0)
    mask = _bent(mask, size, random)
    softness = size * random.choice([0.015, 0.03, 0.05, 0.08])
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), softness), np.float32)


def _forehead(points68: Points) -> Points:
    """Points above the brows, towards the hair."""
    up = points68[27] - points68[30]
    return np.asarray(points68[_BROWS] + 0.7 * up, np.float64)


def _bent(mask: Mask, size: float, random: Random) -> Mask:
    """The mask with its outline moved by a smooth random field."""
    height, width = mask.shape
    field = random.normal(0, 0.03 * size, (2, 6, 6)).astype(np.float32)
    along = [cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC) for part in field]
    rows, columns = np.indices((height, width), dtype=np.float32)
    return np.asarray(cv2.remap(mask, columns + along[0], rows + along[1], cv2.INTER_LINEAR), np.float32)


def _altered(pixels: Pixels, random: Random) -> Pixels:
    """Other colours, and either sharper or blurred by a smaller size."""
    result = _other_colours(pixels, random, 1.0)
    choice = random.random()
    if choice < 0.4:
        soft = cv2.GaussianBlur(result, (0, 0), 1.0)
        amount = random.uniform(0.3, 1.0)
        return np.asarray(cv2.addWeighted(result, 1 + amount, soft, -amount, 0), np.uint8)
    if choice < 0.8:
        height, width = pixels.shape[:2]
        scale = random.uniform(0.3, 0.8)
        small = cv2.resize(result, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    return result


def _other_colours(pixels: Pixels, random: Random, strength: float) -> Pixels:
    shift = random.uniform(-20, 20, 3) * strength
    gain = 1 + random.uniform(-0.1, 0.1) * strength
    bias = random.uniform(-15, 15) * strength
    values = (pixels.astype(np.float32) - 128) * gain + 128 + bias + shift
    hsv = cv2.cvtColor(np.clip(values, 0, 255).astype(np.uint8), cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 1] *= 1 + random.uniform(-0.25, 0.25) * strength
    return np.asarray(cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB), np.uint8)


def _blended(face: Pixels, around: Pixels, mask: Mask) -> Pixels:
    share = mask[..., None]
    return np.rint(share * face + (1 - share) * around).astype(np.uint8)


def _poisson(face: Pixels, around: Pixels, mask: Mask) -> Pixels | None:
    """Blended by gradients (Perez et al. 2003); None where the mask touches the border."""
    binary = (mask > 0.5).astype(np.uint8) * 255
    x, y, width, height = cv2.boundingRect(binary)
    rows, columns = binary.shape
    if x < 2 or y < 2 or x + width > columns - 2 or y + height > rows - 2 or width < 8 or height < 8:
        return None
    centre = (x + width // 2, y + height // 2)
    return np.asarray(cv2.seamlessClone(face, around, binary, centre, cv2.NORMAL_CLONE), np.uint8)


def _in_colours(face: Pixels, model: Pixels, mask: Mask) -> Pixels:
    """The face with mean and spread of the model's colours (Lab) inside the mask (Reinhard et al. 2001)."""
    inside = mask > 0.5
    if inside.sum() < 50:
        return face
    own, wanted = (cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32) for image in (face, model))
    mean, spread = own[inside].mean(axis=0), own[inside].std(axis=0)
    result = (own - mean) / (spread + 1) * (wanted[inside].std(axis=0) + 1) + wanted[inside].mean(axis=0)
    return np.asarray(cv2.cvtColor(np.clip(result, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB), np.uint8)


def _affine(source: Points, target: Points) -> NDArray[np.float64]:
    """The 2x3 affine matrix that brings points nearest to others."""
    homogeneous = np.column_stack([source, np.ones(len(source))])
    return np.linalg.lstsq(homogeneous, target, rcond=None)[0].T


def _warped(values: NDArray, matrix: NDArray[np.float64], like: NDArray) -> NDArray:
    """`values` moved by a matrix into the frame of `like`, which fills what is left."""
    height, width = like.shape[:2]
    border = cv2.BORDER_REPLICATE if values.ndim == 3 else cv2.BORDER_CONSTANT
    return np.asarray(cv2.warpAffine(values, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border))
