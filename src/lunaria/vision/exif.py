"""EXIF tags: the orientation of the camera, and all tags as values that JSON can hold."""

from __future__ import annotations

import base64
import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags
from PIL import Image as PillowImage

ExifValue = str | int | float | list[Any] | None

_ORIENTATION = 0x0112
_SUB_DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo, ExifTags.IFD.Interop)


def orientation(exif: PillowImage.Exif) -> int:
    """EXIF orientation 1..8; 1 (as stored) when the tag is missing or holds anything else."""
    value = exif.get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def apply_orientation(pixels: NDArray[np.uint8], code: int) -> NDArray[np.uint8]:
    """Turn and mirror `pixels` (H, W, 3) so that the scene stands upright, for an EXIF orientation 1..8."""
    match code:
        case 2:
            result = cv2.flip(pixels, 1)
        case 3:
            result = cv2.rotate(pixels, cv2.ROTATE_180)
        case 4:
            result = cv2.flip(pixels, 0)
        case 5:
            result = cv2.transpose(pixels)
        case 6:
            result = cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)
        case 7:
            result = cv2.rotate(cv2.transpose(pixels), cv2.ROTATE_180)
        case 8:
            result = cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE)
        case _:
            return pixels
    return np.asarray(result, np.uint8)


def flat_tags(exif: PillowImage.Exif) -> dict[str, ExifValue]:
    """All tags of all directories by name. A tag without a registered name is called by its number, as "0xc4a5"."""
    tags: dict[str, ExifValue] = {}
    pointers = {int(directory) for directory in ExifTags.IFD}
    for tag, value in exif.items():
        if tag not in pointers:
            tags[ExifTags.TAGS.get(tag, f"0x{tag:04x}")] = _plain(value)
    for directory in _SUB_DIRECTORIES:
        names = ExifTags.GPSTAGS if directory is ExifTags.IFD.GPSInfo else ExifTags.TAGS
        for tag, value in exif.get_ifd(directory).items():
            if tag not in pointers:
                tags[names.get(tag, f"0x{tag:04x}")] = _plain(value)
    return tags


def _plain(value: Any) -> ExifValue:
    """Rationals become numbers (0/0 becomes null), readable bytes text, other bytes base64, tuples lists."""
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, str):
        return value.rstrip("\x00").encode("utf-8", "replace").decode()
    if isinstance(value, bytes):
        text = value.rstrip(b"\x00")
        if text.isascii() and all(byte >= 0x20 or byte in b"\t\r\n" for byte in text):
            return text.decode("ascii")
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return str(value)
    return number if math.isfinite(number) else None
