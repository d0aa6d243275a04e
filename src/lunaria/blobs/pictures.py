"""Checks of pictures before they are stored. Synchronous: for a worker thread."""

import io
import re

from PIL import Image as PillowImage

from lunaria.http.errors import ApiError
from lunaria.vision.images import Decoder, ImageError, encode_jpeg

FACE_SIZE = (250, 250)
BODY_SIZE = (128, 256)
"""Width and height of samples."""

IMAGE_FORMATS = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/bmp": "BMP",
    "image/tiff": "TIFF",
    "image/x-portable-pixmap": "PPM",
}
"""Media types of pictures with the name of the format that their bytes must have."""

_BEGINNINGS = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "BMP": (b"BM",),
    "TIFF": (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
    "PPM": (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"Pf", b"PF"),
}
_OTHER_TYPES = {
    "image/webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "image/heif": re.compile(rb"....ftyp", re.DOTALL),
    "image/jp2": re.compile(rb"\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"),
}
"""Pictures that are analysed, too, although nobody can upload them as images."""
UNKNOWN_TYPE = "application/octet-stream"
STORED_TYPES = (*IMAGE_FORMATS, *_OTHER_TYPES, UNKNOWN_TYPE)
"""Media types that a stored image can have."""


def prepare_sample(decoder: Decoder, data: bytes, content_type: str, size: tuple[int, int]) -> bytes:
    """The JPEG to be stored for a sample that must have exactly `size` (width, height).

    A plain RGB JPEG stays as it is; everything else is encoded once. EXIF is not looked at: a warp has no other
    orientation, and what is stored carries none.

    Raises 400/11028 when the bytes are of another type than `content_type`, 400/11030 for another size, and the
    decoder's codes for what is no sound picture.
    """
    try:
        image = decoder.decode(data, orient=False)
    except ImageError as error:
        raise ApiError(error.code, error.detail) from None
    if image.format != IMAGE_FORMATS[content_type]:
        raise ApiError(11028, f"{content_type}, but it is {image.format}")
    height, width = image.pixels.shape[:2]
    if (width, height) != size:
        raise ApiError(11030, f"{size[0]}x{size[1]}")
    return data if image.format == "JPEG" and is_plain_jpeg(data) else encode_jpeg(image.pixels)


def verify_image(decoder: Decoder, data: bytes, content_type: str) -> None:
    """Check that a picture which is stored as it is begins like one of its type.

    Raises 400/11028 when it is of another type, 400/100010 when its header is broken, 400/100012 for too many
    bytes or pixels.
    """
    limit = decoder.limits.max_bytes
    if len(data) > limit:
        raise ApiError(100012, f"{len(data)} bytes; at most {limit} are allowed")
    form = IMAGE_FORMATS[content_type]
    if not data.startswith(_BEGINNINGS[form]):
        raise ApiError(11028, f"{content_type}, but its bytes are not")
    try:
        width, height = _header_size(data, form)
    except PillowImage.DecompressionBombError as error:
        raise ApiError(100012, error) from None
    except Exception as error:  # Pillow's readers let any exception through on damaged input
        raise ApiError(100010, f"The header of the image is damaged ({type(error).__name__})") from None
    if width < 1 or height < 1:
        raise ApiError(100010, f"The image is {width}x{height} pixels")


def media_type_of(data: bytes) -> str:
    """The media type of a picture that was decoded, told by how it begins."""
    for kind, form in IMAGE_FORMATS.items():
        if data.startswith(_BEGINNINGS[form]):
            return kind
    return next((kind for kind, beginning in _OTHER_TYPES.items() if beginning.match(data)), UNKNOWN_TYPE)


def _header_size(data: bytes, form: str) -> tuple[int, int]:
    with PillowImage.open(io.BytesIO(data), formats=[form]) as picture:
        return picture.size


def is_plain_jpeg(data: bytes) -> bool:
    """Whether every reader understands the JPEG alike: three channels, not progressive, no EXIF."""
    with PillowImage.open(io.BytesIO(data), formats=["JPEG"]) as picture:
        return picture.mode == "RGB" and not {"progressive", "progression", "exif"} & picture.info.keys()
