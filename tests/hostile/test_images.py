"""Images made to hurt: each ends in its own error or is read as far as it makes sense, within a fixed memory."""

import io
import json
import struct
import threading
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.hostile.conftest import BODY_LIMIT
from tests.servers import PHOTOS, Server, assert_envelope

MEBIBYTE = 1024 * 1024
LARGEST = 40_000_000
"""Pixels of one image (setting vision.image_pixels)."""
BUDGET = 40_000_000
WORKERS = 2
"""Pixels decoded at one time (setting vision.pixel_budget)."""
UNUSABLE = {100010, 100011, 100012, 100029}


def photo() -> bytes:
    return (PHOTOS / "obama.jpg").read_bytes()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes, *more: bytes, depth: int = 8, colour: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(more) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def black_png(width: int, height: int) -> bytes:
    """A whole picture of zeros, about a thousandth of its pixels' size."""
    packer = zlib.compressobj(9)
    row = bytes(1 + width * 3)
    return png(width, height, b"".join(packer.compress(row) for _ in range(height)) + packer.flush())


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    values = np.random.default_rng(1).integers(0, 256, (height, width, len(mode)), dtype=np.uint8)
    return Image.frombytes(mode, (width, height), values.tobytes())


def portrait() -> Image.Image:
    return Image.open(io.BytesIO(photo())).convert("RGB")


def estimate(client: httpx.Client, data: bytes, kind: str = "image/jpeg") -> dict[str, Any]:
    """The one image's part of the reply of /6/sdk."""
    reply = client.post("/6/sdk?detect_face=1&estimate_face_descriptor=0", content=data, headers={"Content-Type": kind})
    assert reply.status_code == 200, (reply.status_code, reply.text[:300])
    (image,) = reply.json()["images_estimations"]
    assert isinstance(image, dict)
    return image


def refused(image: dict[str, Any]) -> int:
    assert image["status"] == 0
    assert image["estimations"] == []
    code = image["error"]["error_code"]
    assert isinstance(code, int)
    return code


LIES = {
    "png of 60000 x 60000": lambda: png(60_000, 60_000, zlib.compress(b"")),
    "png of the largest size": lambda: png(2**31 - 1, 2**31 - 1, zlib.compress(b"")),
    "png of no size": lambda: png(0, 0, zlib.compress(b"")),
    "png just too large": lambda: black_png(8192, LARGEST // 8192 + 1),
    "long strip": lambda: black_png(70_000, 1),
    "png that ends early": lambda: png(6000, 6000, zlib.compress(bytes(1000))),
    "png with a text of 200 MB": lambda: png(
        8, 8, zlib.compress(bytes(25 * 8)), chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200 * MEBIBYTE), 9))
    ),
    "png with a profile of 200 MB": lambda: png(
        8, 8, zlib.compress(bytes(25 * 8)), chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(200 * MEBIBYTE), 9))
    ),
    "bmp of 60000 x 60000": lambda: b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 60_000, 60_000, 1, 24, *[0] * 6),
    "ppm of 60000 x 60000": lambda: b"P6\n60000 60000\n255\n" + bytes(100),
    "webp that lies": lambda: b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8L" + struct.pack("<I", 5) + b"\x2f\xff\xff\xff\x0f" + b"\0",
    "tiff of 60000 x 60000": lambda: _tiff(60_000, 60_000),
    "svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "gif": lambda: saved(noise(64, 64), "GIF"),
    "animated gif": lambda: saved(noise(64, 64), "GIF", save_all=True, append_images=[noise(64, 64)] * 50),
    "postscript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    "pdf": lambda: b"%PDF-1.4\n",
    "zip": lambda: b"PK\x03\x04" + bytes(100),
    "text": lambda: b"no image at all",
    "one byte": lambda: b"\xff",
    "jpeg's first bytes": lambda: photo()[:20],
    "more bytes than allowed": lambda: photo() + bytes(16 * MEBIBYTE),
}  # fmt: skip


PIXELS_OF_ALLOWED_SIZE = {"png that ends early": 6000 * 6000 * 3}
"""Bytes of the pixels that the decoder makes room for: only while it unpacks them does it see that the file lies."""


def _tiff(width: int, height: int) -> bytes:
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1),
            (278, 4, height), (279, 4, width * height % 2**32)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0)


@pytest.mark.parametrize("name", LIES)
def test_what_cannot_be_used_is_refused_at_no_cost(name: str, server: Server, client: httpx.Client) -> None:
    data = LIES[name]()
    assert len(data) < BODY_LIMIT
    server.reset_peak()
    before = server.memory()
    code = refused(estimate(client, data, "image/png"))
    assert code in UNUSABLE
    assert server.memory("VmHWM") - before < 64 * MEBIBYTE + 4 * len(data) + PIXELS_OF_ALLOWED_SIZE.get(name, 0)


@pytest.mark.parametrize("address", ["/6/images", "/6/samples/faces", "/6/samples/bodies"])
@pytest.mark.parametrize("name", ["png of 60000 x 60000", "text", "animated gif"])
def test_storing_refuses_it_too(name: str, address: str, client: httpx.Client) -> None:
    reply = client.post(address, content=LIES[name](), headers={"Content-Type": "image/png"})
    assert_envelope(reply, 400, *UNUSABLE, 11028, 11030)


def test_bombs_share_one_budget(server: Server, client: httpx.Client) -> None:
    """Many of the largest pictures at a time, each a file of 100 kB: one budget of pixels for all of them."""
    data = black_png(6324, 6324)
    assert LARGEST >= 6324**2
    assert len(data) < MEBIBYTE
    estimate(client, data, "image/png")  # what stays for good is there now
    server.reset_peak()
    before = server.memory()
    ended: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: ended.append(estimate(client, data, "image/png"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [image["status"] for image in ended] == [1] * 8
    growth = server.memory("VmHWM") - before
    # Pillow takes 4 bytes a pixel beside the 3 of the picture; decoded pictures stay while they are analysed.
    assert growth < BUDGET * 8 + WORKERS * LARGEST * 3 + 64 * MEBIBYTE, f"{growth / MEBIBYTE:.0f} MiB"


def test_damaged_jpegs(client: httpx.Client) -> None:
    """Cut off anywhere: an error. Bits flipped anywhere: an error, or faces of what can still be read."""
    whole = photo()
    random = np.random.default_rng(20)
    for end in random.integers(2, len(whole) - 2, 8):
        assert refused(estimate(client, whole[:end])) in UNUSABLE, end
    for _ in range(12):
        bent = bytearray(whole)
        for place in random.integers(0, len(whole), 20):
            bent[place] ^= 1 << int(random.integers(8))
        image = estimate(client, bytes(bent))
        assert image["status"] == 1 or refused(image) in UNUSABLE


READABLE: dict[str, Callable[[], bytes]] = {
    "cmyk jpeg": lambda: saved(portrait().convert("CMYK"), "JPEG", quality=95),
    "grey jpeg": lambda: saved(portrait().convert("L"), "JPEG", quality=95),
    "progressive jpeg": lambda: saved(portrait(), "JPEG", progressive=True),
    "png of 16 bits": lambda: _png16(portrait()),
    "png with a palette": lambda: saved(portrait().convert("P"), "PNG"),
    "png with alpha": lambda: saved(portrait().convert("RGBA"), "PNG"),
    "animated png": lambda: saved(portrait(), "PNG", save_all=True, append_images=[portrait().rotate(180)] * 3),
    "animated webp": lambda: saved(portrait(), "WEBP", save_all=True, append_images=[portrait().rotate(180)] * 3),
    "tiff of several pages": lambda: saved(portrait(), "TIFF", save_all=True, append_images=[noise(64, 64)]),
    "jpeg with bytes behind its end": lambda: photo() + b"PK\x03\x04" + bytes(10_000),
}


def _png16(image: Image.Image) -> bytes:
    values = np.asarray(image).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    return png(image.width, image.height, zlib.compress(rows), depth=16)


@pytest.mark.parametrize("name", READABLE)
def test_unusual_kinds_show_the_face(name: str, client: httpx.Client) -> None:
    """Whatever the Content-Type says: the file decides."""
    for kind in ("image/jpeg", "image/png"):
        image = estimate(client, READABLE[name](), kind)
        assert image["error"]["error_code"] == 0, image["error"]
        assert len(image["estimations"]) == 1


def test_one_bad_image_leaves_the_others(client: httpx.Client) -> None:
    files = [
        ("image", ("good.jpg", photo(), "image/jpeg")),
        ("image", ("bomb.png", LIES["png of 60000 x 60000"](), "image/png")),
        ("image", ("empty.png", b"", "image/png")),
        ("image", ("again.jpg", photo(), "image/jpeg")),
    ]
    reply = client.post("/6/sdk?detect_face=1", files=files)
    assert reply.status_code == 200, reply.text
    images = reply.json()["images_estimations"]
    assert [image["filename"] for image in images] == ["good.jpg", "bomb.png", "empty.png", "again.jpg"]
    assert [image["status"] for image in images] == [1, 0, 0, 1]
    assert json.dumps(images[0]["estimations"]) == json.dumps(images[3]["estimations"])
