"""Safe decoding: bytes from anywhere become RGB pixels or an ImageError, within fixed bounds of memory and time.

Pillow reads the header only (accepted formats, size); then the pixels are reserved from a budget that all threads
share, and only then decoded. JPEG goes through simplejpeg, which reports damaged data where libjpeg by default fills
the rest of the picture with grey. Of a file with several frames the first one counts.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pillow_heif
import simplejpeg
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from lunaria.vision.exif import ExifValue, apply_orientation, flat_tags, orientation
from lunaria.vision.jpeg import SCAN_LIMIT, count_scans

pillow_heif.register_heif_opener(thumbnails=False)

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "PPM", "JPEG2000", "HEIF", "WEBP")

DESCRIPTIONS = {
    11030: "Bad/incomplete input data",
    100010: "Invalid image",
    100011: "Invalid image format",
    100012: "Invalid image size",
    100029: "Unsupported image format",
}


class ImageError(Exception):
    """The data is not an image that can be used.

    `code` is the number that clients know (see DESCRIPTIONS), `desc` its text, `detail` what is wrong with this image.
    """

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.desc = DESCRIPTIONS[code]
        self.detail = detail


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Bounds of what is decoded. `budget_pixels` bounds the sum over all decodes that run at the same time."""

    max_bytes: int = 10 * 1024 * 1024
    max_side: int = 8192
    max_pixels: int = 40_000_000
    budget_pixels: int = 40_000_000


@dataclass(slots=True)
class Image:
    """A decoded image.

    `pixels`: (H, W, 3) uint8 RGB, possibly read-only; `format`: as in FORMATS; `exif`: tag name -> value, on request
    and for JPEG only; `byte_size`: of the encoded data.
    """

    pixels: NDArray[np.uint8]
    format: str
    exif: dict[str, ExifValue] = field(default_factory=dict)
    byte_size: int = 0


class PixelBudget:
    """A number of pixels that threads reserve before they allocate them; a reservation waits for its turn."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._used = 0
        self._changed = threading.Condition()
        self._turn = threading.Lock()

    @contextmanager
    def reserve(self, pixels: int) -> Iterator[None]:
        """Hold `pixels` for the duration of the block. Raises ValueError when they can never be had."""
        if pixels > self.limit:
            raise ValueError(f"{pixels} pixels exceed the budget of {self.limit}")
        # Whoever waits keeps the turn, so that a stream of small images cannot starve a large one.
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self._used + pixels <= self.limit)
            self._used += pixels
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify_all()


class Decoder:
    """Decodes images within `limits`. Thread-safe. A process needs one: the budget is that of the decoder."""

    def __init__(self, limits: ImageLimits | None = None) -> None:
        self.limits = limits or ImageLimits()
        self._budget = PixelBudget(self.limits.budget_pixels)

    def decode(self, data: bytes, *, orient: bool = True, extract_exif: bool = False) -> Image:
        """Decode one image to RGB.

        `orient` turns the picture upright by its EXIF orientation (TIFF always is). Transparent pixels are composited
        on white: what lies under them is arbitrary, often black, and would otherwise show. Waits while other threads
        decode more than the budget allows.

        Raises ImageError: 100029 not an image of an accepted format, 100012 too many bytes or pixels, 100011 a kind
        of pixels that has no defined 8-bit meaning, 100010 empty or damaged.
        """
        if not data:
            raise ImageError(100010, "The image has no bytes")
        if len(data) > self.limits.max_bytes:
            raise ImageError(100012, f"{len(data)} bytes; at most {self.limits.max_bytes} are allowed")
        try:
            return self._decode(data, orient, extract_exif)
        except ImageError:
            raise
        except (PillowImage.DecompressionBombError, PillowImage.DecompressionBombWarning) as error:
            raise ImageError(100012, str(error)) from error
        except MemoryError as error:
            raise ImageError(100012, "Not enough memory for this image") from error
        except Exception as error:
            # The readers of Pillow let any exception through on damaged input: struct.error, IndexError, OverflowError.
            raise ImageError(100010, f"Damaged image: {error}") from error

    def _decode(self, data: bytes, orient: bool, extract_exif: bool) -> Image:
        with _open(data) as source:
            name = "JPEG" if source.format == "MPO" else str(source.format)
            width, height = source.size
            self._check_size(width, height)
            with self._budget.reserve(width * height):
                pixels = _decode_jpeg(data, source) if name == "JPEG" else _decode_other(source)
                # Pillow orients TIFF itself while loading and then takes the tag away, as does the HEIF reader.
                if orient:
                    pixels = apply_orientation(pixels, _orientation(source))
            tags = _tags(source) if extract_exif and name == "JPEG" else {}
        return Image(pixels=pixels, format=name, exif=tags, byte_size=len(data))

    def _check_size(self, width: int, height: int) -> None:
        limits = self.limits
        if width < 1 or height < 1:
            raise ImageError(100012, f"The image is {width}x{height} pixels")
        if max(width, height) > limits.max_side:
            raise ImageError(100012, f"{width}x{height} pixels; a side may have at most {limits.max_side}")
        if width * height > min(limits.max_pixels, limits.budget_pixels):
            allowed = min(limits.max_pixels, limits.budget_pixels)
            raise ImageError(100012, f"{width}x{height} pixels; at most {allowed} are allowed")


def encode_jpeg(pixels: NDArray[np.uint8], quality: int = 95) -> bytes:
    """JPEG of RGB `pixels` (H, W, 3) without chroma subsampling."""
    data: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, "RGB", "444")
    return data


def _open(data: bytes) -> PillowImage.Image:
    try:
        return PillowImage.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise ImageError(100029, f"Not an image of an accepted format ({', '.join(FORMATS)})") from error


def _decode_jpeg(data: bytes, source: PillowImage.Image) -> NDArray[np.uint8]:
    if count_scans(data) > SCAN_LIMIT:
        raise ImageError(100010, f"The JPEG has more than {SCAN_LIMIT} scans")
    height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
    if (width, height) != source.size:
        raise ImageError(100010, "The JPEG states two different sizes")
    if colorspace in ("CMYK", "YCCK"):
        # simplejpeg proves that the data is whole; Pillow knows which writers invert the four inks.
        simplejpeg.decode_jpeg(data, colorspace="CMYK")
        return _decode_other(source)
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, colorspace="RGB")
    return pixels


def _decode_other(source: PillowImage.Image) -> NDArray[np.uint8]:
    source.load()
    mode = source.mode
    if mode.startswith("I;16") or (mode == "I" and source.format == "PPM"):
        grey = (np.asarray(source).astype(np.uint32) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if mode in ("I", "F"):
        raise ImageError(100011, "Pixels of 32 bits have no defined range")
    if source.has_transparency_data:
        colours = source if mode == "RGBA" else source.convert("RGBA")
        backdrop = PillowImage.new("RGB", colours.size, (255, 255, 255))
        backdrop.paste(colours, mask=colours)
        return np.asarray(backdrop, np.uint8)
    try:
        return np.asarray(source if mode == "RGB" else source.convert("RGB"), np.uint8)
    except ValueError as error:
        raise ImageError(100011, f"Pixels of the kind {mode} cannot be read") from error


def _orientation(source: PillowImage.Image) -> int:
    exif = _read_exif(source)
    return 1 if exif is None else orientation(exif)


def _tags(source: PillowImage.Image) -> dict[str, ExifValue]:
    try:
        return flat_tags(source.getexif())
    except Exception:  # as in _read_exif
        return {}


def _read_exif(source: PillowImage.Image) -> PillowImage.Exif | None:
    """None when there is no readable EXIF: a damaged description does not make the picture unusable."""
    try:
        return source.getexif()
    except Exception:  # Pillow's readers let any exception through on damaged input, as in Decoder.decode
        return None
