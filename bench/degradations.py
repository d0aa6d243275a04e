"""Spoiling the photograph of a face in steps, as strong for a small face as for a large one.

Lengths are pixels of the 250x250 warp, in which eyes are 62 pixels apart; light is changed in linear light.
"""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from lunaria.vision.geometry import Pixels, inverse, transform
from lunaria.vision.landmarks import Landmarks
from lunaria.vision.warps import warp_transform

Spoil = Callable[[Pixels, Landmarks, float, np.random.Generator], Pixels]

_LEVELS = np.arange(256) / 255
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4).astype(np.float32)
_LIGHT = np.arange(8193) / 8192
_ENCODED = np.round(255 * np.where(_LIGHT <= 0.0031308, 12.92 * _LIGHT, 1.055 * _LIGHT ** (1 / 2.4) - 0.055)).astype(
    np.uint8
)

_SPOTS = np.array([[125.0, 75], [105, 80], [148, 78], [125, 145], [88, 140], [162, 140], [118, 60]])
"""Forehead, nose and cheeks in the warp: where skin shines."""


class Degradation(NamedTuple):
    """`strengths`: of `spoil`, the weakest first; `measure`: the value that has to fall."""

    name: str
    measure: str
    spoil: Spoil
    strengths: tuple[float, ...]


def blurred(pixels: Pixels, face: Landmarks, sigma: float, _: np.random.Generator) -> Pixels:
    """Out of focus: Gaussian of this sigma."""
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma / _scale(face)), np.uint8)


def moved(pixels: Pixels, face: Landmarks, length: float, random: np.random.Generator) -> Pixels:
    """Moved over this length in a random direction while the shutter was open."""
    steps = random.uniform(0, np.pi)
    way = np.array([np.cos(steps), np.sin(steps)]) * length / _scale(face)
    places = np.linspace(-0.5, 0.5, 33)[:, None] * way
    total = np.zeros(pixels.shape, np.float32)
    for x, y in places:
        shift = np.array([[1, 0, x], [0, 1, y]])
        total += cv2.warpAffine(pixels, shift, pixels.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.round(total / len(places)), np.uint8)


def shrunk(pixels: Pixels, face: Landmarks, eyes: float, _: np.random.Generator) -> Pixels:
    """From far away: eyes this many pixels apart, then enlarged again."""
    factor = min(1.0, eyes / float(np.linalg.norm(face.points5[0] - face.points5[1])))
    small = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, pixels.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def exposed(pixels: Pixels, _: Landmarks, gain: float, random: np.random.Generator) -> Pixels:
    """This much more light; less light leaves noise."""
    light = _LINEAR[pixels] * np.float32(gain)
    if gain < 1:
        light += random.standard_normal(light.shape, np.float32) * np.float32(0.002)
    return _encode(light)


def lit_from_side(pixels: Pixels, face: Landmarks, rest: float, random: np.random.Generator) -> Pixels:
    """One side of the face keeps only this share of its light; the border is soft and near the nose."""
    to_warp = warp_transform(face.points5)
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    across = to_warp[0, 0] * columns + to_warp[0, 1] * rows + to_warp[0, 2]
    distance = (across - 125 - random.uniform(-8, 8)) / 8 * random.choice([-1, 1])
    share = rest + (1 - rest) / (1 + np.exp(-np.clip(distance, -50, 50)))
    return _encode(_LINEAR[pixels] * share[..., None].astype(np.float32))


def shining(pixels: Pixels, face: Landmarks, strength: float, random: np.random.Generator) -> Pixels:
    """White light of this strength added in about five soft spots."""
    from_warp = inverse(warp_transform(face.points5))
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    added = np.zeros(pixels.shape[:2])
    for spot in _SPOTS:
        if random.random() < 0.25:
            continue
        x, y = transform(from_warp, spot + random.normal(0, 4, 2))
        wide, high = random.uniform(5, 11, 2) / _scale(face)
        added = np.maximum(added, np.exp(-(((columns - x) / wide) ** 2 + ((rows - y) / high) ** 2) / 2))
    return _encode(_LINEAR[pixels] + (strength * added[..., None]).astype(np.float32))


def tinted(pixels: Pixels, _: Landmarks, strength: float, random: np.random.Generator) -> Pixels:
    """Coloured light: one or two of the three channels lose this share."""
    colour = np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1)][random.integers(4)])
    return _encode(_LINEAR[pixels] * (1 - strength * (1 - colour)).astype(np.float32))


def bulged(pixels: Pixels, face: Landmarks, strength: float, _: np.random.Generator) -> Pixels:
    """As by a wide lens: at half the width of the face from its middle, points move inwards by this share."""
    middle = face.points68.mean(axis=0)
    half = np.ptp(face.points68[:, 0]) / 2
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    x, y = (columns - middle[0]) / half, (rows - middle[1]) / half
    factor = 1 + strength * (x * x + y * y)
    places = [(middle[i] + part * factor * half).astype(np.float32) for i, part in enumerate((x, y))]
    return np.asarray(cv2.remap(pixels, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


DEGRADATIONS = (
    Degradation("out of focus, sigma", "blurriness_quality", blurred, (1.5, 2.5, 4, 6)),
    Degradation("moved, pixels", "blurriness_quality", moved, (6, 10, 15, 22)),
    Degradation("eyes apart, pixels", "blurriness_quality", shrunk, (24, 16, 12, 8)),
    Degradation("less light, times", "dark_quality", exposed, (0.3, 0.15, 0.07, 0.03)),
    Degradation("less light, times", "dynamic_range", exposed, (0.3, 0.15, 0.07, 0.03)),
    Degradation("more light, times", "light_quality", exposed, (1.5, 2.5, 4, 7)),
    Degradation("side left with", "illumination_quality", lit_from_side, (0.5, 0.25, 0.12, 0.05)),
    Degradation("side left with", "illumination_uniformity", lit_from_side, (0.5, 0.25, 0.12, 0.05)),
    Degradation("shining by", "specularity_quality", shining, (0.1, 0.25, 0.5, 1.0)),
    Degradation("coloured light", "natural_light", tinted, (0.2, 0.4, 0.6, 0.8)),
)


def _scale(face: Landmarks) -> float:
    """Pixels of the warp in one of the image."""
    return float(np.sqrt(abs(np.linalg.det(warp_transform(face.points5)[:, :2]))))


def _encode(light: NDArray[np.float32]) -> Pixels:
    return _ENCODED[(np.clip(light, 0, 1) * 8192 + 0.5).astype(np.int32)]
