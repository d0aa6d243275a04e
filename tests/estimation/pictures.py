"""Pictures that the tests make out of photographs, and ways to send them."""

import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

Pixels = NDArray[np.uint8]
JPEG = {"Content-Type": "image/jpeg"}
ORIENTATION = 0x0112


def read(path: Path) -> Pixels:
    """The photograph as (H, W, 3) RGB, at most 800 pixels high."""
    with PillowImage.open(path) as picture:
        picture = picture.convert("RGB")
        picture.thumbnail((4000, 800))
        return np.array(picture)


def encode(pixels: Pixels, form: str = "JPEG", orientation: int | None = None) -> bytes:
    """The file's bytes, optionally with an EXIF orientation (and a maker, so that there is more than one tag)."""
    exif = PillowImage.Exif()
    if orientation is not None:
        exif[ORIENTATION] = orientation
        exif[0x010F] = "Maker"
    output = io.BytesIO()
    PillowImage.fromarray(pixels).save(output, form, quality=95, exif=exif)
    return output.getvalue()


def decoded(data: bytes) -> Pixels:
    with PillowImage.open(io.BytesIO(data)) as picture:
        return np.array(picture)


def beside(*pictures: Pixels) -> Pixels:
    """Pictures next to each other, cut to the height of the lowest."""
    height = min(picture.shape[0] for picture in pictures)
    return np.concatenate([picture[:height] for picture in pictures], axis=1)


def grey() -> Pixels:
    """A picture without a face."""
    return np.full((240, 320, 3), 127, np.uint8)


def files(**pictures: bytes) -> list[tuple[str, tuple[str, bytes, str]]]:
    """A form with several files for httpx; `_` in a name stands for the dot."""
    return [("image", (name.replace("_", "."), data, "image/jpeg")) for name, data in pictures.items()]


def overlap(first: dict[str, int], second: dict[str, int]) -> float:
    """Intersection over union of two rects."""
    width = min(r["x"] + r["width"] for r in (first, second)) - max(first["x"], second["x"])
    height = min(r["y"] + r["height"] for r in (first, second)) - max(first["y"], second["y"])
    common = max(width, 0) * max(height, 0)
    return common / (first["width"] * first["height"] + second["width"] * second["height"] - common)


def checked(reply: httpx.Response, status: int = 200) -> Any:
    """The JSON of a reply that has the expected status."""
    assert reply.status_code == status, reply.text
    return reply.json()


def refused(reply: httpx.Response, status: int, code: int) -> str:
    """The detail of an error reply that has the expected status and code."""
    body = checked(reply, status)
    assert body["error_code"] == code, body
    detail: str = body["detail"]
    return detail
