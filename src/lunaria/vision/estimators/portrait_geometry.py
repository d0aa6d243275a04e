"""Sizes and positions in a portrait: of the picture, of the face's rectangle, of the whole head.

The head reaches from the chin to the crown, hair included, and from ear to ear, as in ISO/IEC 19794-5; the horizontal
and vertical centre are those of the point between the eyes, as that standard measures them. Where the portrait
segmentation is at hand, the crown is the top of the person above the face and the width that of the person at the
ears; without it, or where hair or hat leave the picture, both follow from the landmarks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.estimators.portrait_background import PERSON, SIDE
from lunaria.vision.geometry import Matrix, Points, inverse, transform
from lunaria.vision.landmarks import Landmarks

CROWN_SHARE = 1.0
"""Eyes to crown, hair included, by eyes to chin: the median of what the segmentation shows in 49 photographs of LFW
(0.85 to 1.27 for 96 %)."""
EAR_SHARE = 1.17
"""Width from ear to ear by the width of the jaw line of the landmarks: the lower quartile in 60 photographs, as long
hair is in the others."""
CROWN_RANGE = (0.7, 1.9)
EAR_RANGE = (1.0, 1.35)
"""What the segmentation says is held within these: a hood or another person behind is no head."""

_JAW = slice(0, 17)
_CHIN = 8


class Head(NamedTuple):
    """Lengths in pixels of the image: chin to crown along the face, and ear to ear."""

    height: float
    width: float


def head(landmarks: Landmarks, person: NDArray[np.float32] | None, to_image: Matrix) -> Head:
    """The size of a head. `person` (384, 384): the segmentation of the background's frame; `to_image`: the 2x3 matrix
    from that frame to the image."""
    points = transform(inverse(to_image), landmarks.points68)
    eyes = (points[36:42].mean(axis=0) + points[42:48].mean(axis=0)) / 2
    down = float(points[_CHIN][1] - eyes[1])
    jaw = float(points[_JAW, 0].max() - points[_JAW, 0].min())
    up, wide = CROWN_SHARE * down, EAR_SHARE * jaw
    if person is not None:
        up = _crown(person, eyes, down, jaw) or up
        wide = _ears(person, eyes, points[30], jaw) or wide
    scale = float(np.sqrt(abs(np.linalg.det(to_image[:, :2]))))
    return Head((down + up) * scale, wide * scale)


def image_values(width: int, height: int, image_format: str, byte_size: int) -> dict[str, float | str]:
    """What the checks of the picture itself look at, by their names."""
    return {
        "image_format": image_format,
        "image_size": byte_size,
        "image_width": width,
        "image_height": height,
        "aspect_ratio": width / height,
    }


def face_values(
    rect: tuple[int, int, int, int], landmarks: Landmarks, size: tuple[int, int], of_head: Head | None = None
) -> dict[str, float]:
    """What the checks of the face's place look at, by their names.

    `rect`: x, y, width and height of the detected face in a picture of the `size` (width, height); head_width and
    head_height are absent without `of_head`.
    """
    x, y, face_width, face_height = rect
    width, height = size
    left_eye, right_eye = landmarks.points68[36:42].mean(axis=0), landmarks.points68[42:48].mean(axis=0)
    middle = (left_eye + right_eye) / 2
    values: dict[str, float] = {
        "eye_distance": float(np.linalg.norm(right_eye - left_eye)),
        "head_horizontal_center": float(middle[0]) / width,
        "head_vertical_center": float(middle[1]) / height,
        "face_width": face_width,
        "face_height": face_height,
        "indent_left": x,
        "indent_right": width - x - face_width,
        "indent_upper": y,
        "indent_lower": height - y - face_height,
    }
    if of_head is not None:
        values |= {"head_width": of_head.width / width, "head_height": of_head.height / height}
    return values


def _crown(person: NDArray[np.float32], eyes: Points, down: float, jaw: float) -> float | None:
    """Eyes to the topmost row that the person fills above the face; None where that is no crown."""
    columns = np.clip([eyes[0] - jaw / 4, eyes[0] + jaw / 4 + 1], 0, SIDE).astype(int)
    bottom = int(np.clip(eyes[1], 1, SIDE))
    filled = person[:bottom, columns[0] : columns[1]].mean(axis=1) > PERSON
    if not filled.size or filled.all():
        return None
    up = float(eyes[1]) - (int(np.flatnonzero(~filled)[-1]) + 1)
    low, high = CROWN_RANGE
    return up if low * down <= up <= high * down else None


def _ears(person: NDArray[np.float32], eyes: Points, nose: Points, jaw: float) -> float | None:
    """The median width of the person from the eyes down to the nose tip; None outside of what ears can be."""
    top, bottom = np.clip([eyes[1], nose[1]], 0, SIDE).astype(int)
    widths = (person[top:bottom] > PERSON).sum(axis=1)
    if not widths.size:
        return None
    low, high = EAR_RANGE
    width = float(np.median(widths))
    return width if low * jaw <= width <= high * jaw else None
