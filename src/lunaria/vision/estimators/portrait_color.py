"""Colour and tone of the face: evenness of the light, tonal range, colour or not, and whether the light is natural."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from lunaria.vision.estimators.quality import FaceSurface, histogram, logistic

FaceColorType = Literal["color", "grayscale", "infrared"]

COLOURED = 0.0165
"""Root mean square distance of the colours of the skin from the best line through them, by the square root of their
mean brightness (both in shares of full scale), above which a picture is in colour. On 60 persons of LFW, JPEG of
quality 85: over 0.019 for 98 % in colour, a tenth to 2.5 times the light included; after toning in sepia or
magenta under 0.015 for 98 %, darkened ones included; 0 in grey."""
NEUTRAL = 0.02
"""Up to this difference between the means of the channels a picture without hues is plain grey."""
MAGENTA_TINT = 0.06
"""How much less green than red and blue the face of an infrared picture has that a colour camera took."""

_D50 = np.array([[0.43605, 0.38508, 0.14309], [0.22249, 0.71689, 0.06062], [0.01393, 0.09710, 0.71419]])
_D50_WHITE = np.array([0.964221, 1.0, 0.825211])

NATURAL_DISTANCE = 6.0
"""Up to this distance of the colour of the cheeks from that of skin the light is natural: 71 of 100 for OFIQ, which
sets no limit. 98 % of 60 photographs of LFW lie below 4.4; grey itself lies at 7.1."""


def illumination_uniformity(surface: FaceSurface) -> float:
    """0..1: OFIQ's overlap D of the luminance histograms of two squares on the cheeks, as D ** 0.3.

    On 100 persons of LFW, one side of the face left with 0.5, 0.25, 0.12 and 0.05 of its light: AUC 0.71, 0.85, 0.87,
    0.93; 0.98 of the unspoilt pass 0.3 and 0.83, 0.62, 0.49, 0.28 of the others. Steep light on one cheek escapes it.
    """
    left, right = (histogram(surface.luminance[box]) for box in cheeks(surface))
    return float(min(1.0, float(np.minimum(left, right).sum()) ** 0.3))


def dynamic_range(surface: FaceSurface) -> float:
    """0..1: OFIQ's entropy of the face's luminance in bits, of 8.

    On 100 persons of LFW all pass 0.5; with 0.3, 0.15, 0.07 of the light 0.95, 0.54, 0 do (AUC 1.00 each).
    """
    shares = surface.histogram[surface.histogram > 0]
    return float(-(shares * np.log2(shares)).sum()) / 8


def face_color_type(surface: FaceSurface) -> FaceColorType:
    """Whether the face was taken in colour.

    A picture without hues is one in which all colours lie on one line, as in grey and in toned ones (sepia). It is
    called infrared when that tone is magenta, as colour cameras show near infrared. An infrared picture stored as plain
    grey is not told from a photograph in grey.
    """
    colours = surface.pixels[surface.skin].astype(np.float64) / 255
    if not len(colours):
        return "grayscale"
    centred = colours - colours.mean(axis=0)
    # With the variance along the best line taken away, what is left is hue.
    spread = np.linalg.eigvalsh(centred.T @ centred / len(colours))
    brightness = max(1 / 255, float(colours.max(axis=1).mean()))
    hue = math.sqrt(max(0.0, float(spread[0] + spread[1])) / brightness)
    red, green, blue = colours.mean(axis=0)
    if hue > COLOURED:
        return "color"
    return "infrared" if min(red, blue) - green > MAGENTA_TINT else "grayscale"


def natural_light(surface: FaceSurface) -> bool | None:
    """Whether the cheeks have the colour of skin in white light: OFIQ's natural colour. None for a plain grey picture.

    The distance of their mean from the box a 5..25, b 5..35 of CIELAB; 100 when a or b is negative. On 100 persons of
    LFW 0.98 are natural; with 0.2, 0.4, 0.6 and 0.8 of one or two channels taken away 0.92, 0.59, 0.13 and 0.01. The
    warm light of lamps, as far as cameras leave it in, counts as natural.
    """
    means = surface.pixels[surface.skin].mean(axis=0) / 255 if surface.skin.any() else np.zeros(3)
    if float(np.ptp(means)) <= NEUTRAL and face_color_type(surface) != "color":
        return None
    return natural_color_distance(surface) <= NATURAL_DISTANCE


def natural_color_distance(surface: FaceSurface) -> float:
    """OFIQ's raw measure, see `natural_light`."""
    pixels = np.concatenate([surface.pixels[box].reshape(-1, 3) for box in cheeks(surface)])
    if not len(pixels):
        return 100.0
    levels = pixels.mean(axis=0) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    x, y, z = (_cielab_root(value) for value in (_D50 @ linear / _D50_WHITE).tolist())
    a, b = 500 * (x - y), 200 * (y - z)
    if a < 0 or b < 0:
        return 100.0
    return math.hypot(max(0.0, 5 - a, a - 25), max(0.0, 5 - b, b - 35))


def natural_color_score(distance: float) -> float:
    """0..1: OFIQ's score of a distance."""
    return min(1.0, 2 * (1 - logistic(distance, 10)))


def cheeks(surface: FaceSurface) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Rows and columns of a square on each cheek, left first: 0.3 of the distance of the eyes wide, halfway down to
    the mouth, from the middle of each eye inwards, as OFIQ places them."""
    points = surface.points68
    left, right = points[36:42:3].mean(axis=0), points[42:48:3].mean(axis=0)
    mouth = (points[62] + points[66]) / 2
    side = max(1, int(np.linalg.norm(right - left) * 0.3))
    down = int(np.linalg.norm((left + right) / 2 - mouth) / 2)
    return _square(left[0], left[1] + down, side), _square(right[0] - side, right[1] + down, side)


def _square(x: float, y: float, side: int) -> tuple[slice, slice]:
    column, row = max(0, round(x)), max(0, round(y))
    return slice(row, row + side), slice(column, column + side)


def _cielab_root(value: float) -> float:
    return (24389 / 27 * value + 16) / 116 if value <= 216 / 24389 else value ** (1 / 3)
