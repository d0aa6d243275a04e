"""Decoding: every format and kind of pixels, orientation, EXIF, bounds, and hostile bytes."""

from __future__ import annotations

import io
import json
import struct
import threading
import time
import zlib
from typing import Any

import numpy as np
import pytest
import simplejpeg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageOps

from lunaria.vision.exif import flat_tags
from lunaria.vision.images import Decoder, Image, ImageError, ImageLimits, PixelBudget, encode_jpeg
from lunaria.vision.jpeg import SCAN_LIMIT, count_scans


def gradient(height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """A picture in which every direction differs, so that any turn or mirroring shows."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 3, y * 5, 128 + x - y], axis=2).clip(0, 255).astype(np.uint8)


def saved(image: PillowImage.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def code_of(data: bytes, decoder: Decoder | None = None) -> int:
    with pytest.raises(ImageError) as caught:
        (decoder or Decoder()).decode(data)
    assert caught.value.desc
    assert caught.value.detail
    return caught.value.code


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM", "JPEG2000"])
def test_lossless_formats_give_the_pixels_that_were_saved(form: str) -> None:
    image = Decoder().decode(saved(PillowImage.fromarray(gradient()), form))
    assert image.format == form
    assert np.array_equal(image.pixels, gradient())


@pytest.mark.parametrize(("form", "quality"), [("JPEG", 95), ("WEBP", 95), ("HEIF", 90)])
def test_lossy_formats_give_nearly_the_pixels_that_were_saved(form: str, quality: int) -> None:
    data = saved(PillowImage.fromarray(gradient()), form, quality=quality)
    image = Decoder().decode(data)
    assert (image.format, image.byte_size) == (form, len(data))
    assert np.abs(image.pixels.astype(int) - gradient()).mean() < 3


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr", "RGB"])
def test_every_kind_of_pixels_becomes_rgb(mode: str) -> None:
    source = PillowImage.fromarray(gradient()).convert(mode)
    form = "PNG" if mode in ("L", "1", "P", "RGB") else "TIFF"
    decoded = Decoder().decode(saved(source, form)).pixels
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, np.asarray(source.convert("RGB")))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_jpeg_in_grey_and_in_printing_inks(mode: str) -> None:
    source = PillowImage.fromarray(gradient()).convert(mode)
    decoded = Decoder().decode(saved(source, "JPEG", quality=98)).pixels
    assert np.abs(decoded.astype(int) - np.asarray(source.convert("RGB"))).mean() < 2


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_reduced_to_the_upper_eight(form: str) -> None:
    values = (np.arange(48 * 64, dtype=np.uint32).reshape(48, 64) * 21).astype(np.uint16)
    decoded = Decoder().decode(saved(PillowImage.fromarray(values), form)).pixels
    assert np.array_equal(decoded, np.repeat((values >> 8).astype(np.uint8)[:, :, None], 3, axis=2))


def test_pixels_without_a_defined_range_are_refused() -> None:
    assert code_of(saved(PillowImage.fromarray(np.ones((8, 8), np.float32)), "TIFF")) == 100011


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_become_white(mode: str) -> None:
    source = PillowImage.new("RGBA", (8, 8), (10, 20, 30, 255))
    source.paste((200, 0, 0, 0), (0, 0, 4, 8))
    decoded = Decoder().decode(saved(source.convert(mode), "PNG")).pixels
    assert (decoded[:, :4] == 255).all()
    assert (decoded[:, 4:] < 40).all()


def test_of_several_frames_the_first_counts() -> None:
    frames = [PillowImage.new("RGB", (8, 8), (value, 0, 0)) for value in (10, 200)]
    for form in ("TIFF", "PNG", "WEBP"):
        data = saved(frames[0], form, save_all=True, append_images=frames[1:])
        assert abs(int(Decoder().decode(data).pixels[0, 0, 0]) - 10) < 4, form


def test_a_jpeg_of_several_pictures_is_a_jpeg() -> None:
    other = PillowImage.new("RGB", (8, 8), (200, 0, 0))
    data = saved(PillowImage.fromarray(gradient()), "MPO", save_all=True, append_images=[other], quality=95)
    image = Decoder().decode(data, extract_exif=True)
    assert image.format == "JPEG"
    assert np.abs(image.pixels.astype(int) - gradient()).mean() < 3


def test_pixels_of_every_format_can_be_encoded() -> None:
    for form in ("JPEG", "PNG", "TIFF"):
        pixels = Decoder().decode(saved(PillowImage.fromarray(gradient()), form)).pixels
        assert Decoder().decode(encode_jpeg(pixels)).pixels.shape == pixels.shape


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_all_orientations_are_turned_upright(form: str, orientation: int) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    options = {"quality": 98} if form in ("JPEG", "WEBP") else {}
    data = saved(PillowImage.fromarray(gradient()), form, exif=exif, **options)
    expected = np.asarray(ImageOps.exif_transpose(PillowImage.open(io.BytesIO(data))).convert("RGB"))
    decoded = Decoder().decode(data).pixels
    assert decoded.shape == ((64, 48, 3) if orientation >= 5 else (48, 64, 3))
    assert np.abs(decoded.astype(int) - expected).mean() < 2
    assert decoded.flags.c_contiguous
    as_stored = Decoder().decode(data, orient=False).pixels
    assert as_stored.shape == (decoded.shape if form == "TIFF" else (48, 64, 3))


def test_exif_is_a_flat_object_that_json_can_hold() -> None:
    exif = PillowImage.Exif()
    exif[0x010F] = "Camera maker"
    exif[0x0112] = 6
    exif[0x011A] = 72.5
    exif[0xC4A5] = b"\xff\x00\xfe"
    exif.get_ifd(0x8769)[0x829A] = 1 / 125
    exif.get_ifd(0x8825).update({1: "N", 2: (55.0, 45.0, 7.5)})
    data = saved(PillowImage.fromarray(gradient()), "JPEG", exif=exif)
    tags = Decoder().decode(data, extract_exif=True).exif
    assert json.loads(json.dumps(tags, allow_nan=False)) == tags
    assert tags["Make"] == "Camera maker"
    assert tags["Orientation"] == 6
    assert tags["XResolution"] == 72.5
    assert tags["ExposureTime"] == pytest.approx(1 / 125)
    assert tags["GPSLatitude"] == [55, 45, 7.5]
    assert isinstance(tags["PrintImageMatching"], str)
    assert Decoder().decode(data).exif == {}


def test_exif_is_read_of_jpeg_only_and_damage_in_it_does_not_matter() -> None:
    exif = PillowImage.Exif()
    exif[0x010F] = "Camera maker"
    picture = PillowImage.fromarray(gradient())
    assert Decoder().decode(saved(picture, "PNG", exif=exif), extract_exif=True).exif == {}
    damaged = saved(picture, "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\x7f" + b"\xff" * 40)
    assert Decoder().decode(damaged, extract_exif=True).pixels.shape == (48, 64, 3)


def test_an_undefined_rational_becomes_null() -> None:
    data = saved(PillowImage.fromarray(gradient()), "TIFF", dpi=(72, 72))
    exif = PillowImage.open(io.BytesIO(data)).getexif()
    exif[0x011A] = float("nan")
    assert flat_tags(exif)["XResolution"] is None


def test_what_is_no_image_is_called_so() -> None:
    assert code_of(b"") == 100010
    assert code_of(b"hello, this is text") == 100029
    assert code_of(b"\x00" * 100) == 100029
    assert code_of(saved(PillowImage.fromarray(gradient()), "GIF")) == 100029


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "TIFF", "PPM", "JPEG2000", "HEIF", "WEBP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated_files_are_refused(form: str, share: float) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    data = saved(PillowImage.fromarray(noise), form)
    assert code_of(data[: int(len(data) * share)]) in (100010, 100012, 100029)


def test_damage_inside_a_jpeg_is_noticed() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    for mode in ("RGB", "CMYK"):
        data = bytearray(saved(PillowImage.fromarray(noise).convert(mode), "JPEG"))
        middle = len(data) // 2
        data[middle : middle + 40] = b"\xff\xd9" * 20
        assert code_of(bytes(data)) == 100010


def png_of_claimed_size(width: int, height: int) -> bytes:
    """A PNG of zeros: a small file, a huge picture."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\x00" * 1_000_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(30_000, 30_000), (9_000, 10), (8_000, 8_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_by_its_header(size: tuple[int, int]) -> None:
    started = time.monotonic()
    assert code_of(png_of_claimed_size(*size)) in (100010, 100012)
    assert time.monotonic() - started < 1


def test_limits_are_those_that_were_set() -> None:
    data = saved(PillowImage.fromarray(gradient()), "PNG")
    assert code_of(data, Decoder(ImageLimits(max_bytes=len(data) - 1))) == 100012
    assert code_of(data, Decoder(ImageLimits(max_side=63))) == 100012
    assert code_of(data, Decoder(ImageLimits(max_pixels=48 * 64 - 1))) == 100012
    assert code_of(data, Decoder(ImageLimits(budget_pixels=48 * 64 - 1))) == 100012
    exact = ImageLimits(max_bytes=len(data), max_side=64, max_pixels=48 * 64, budget_pixels=48 * 64)
    assert Decoder(exact).decode(data).pixels.shape == (48, 64, 3)


def test_a_jpeg_with_thousands_of_scans_is_refused() -> None:
    data = saved(PillowImage.fromarray(gradient()), "JPEG", progressive=True)
    assert 1 < count_scans(data) < 20
    assert count_scans(saved(PillowImage.fromarray(gradient()), "JPEG")) == 1
    start = data.rindex(b"\xff\xda")
    scan = data[start:-2]
    assert code_of(data[:-2] + scan * (SCAN_LIMIT + 1) + data[-2:]) == 100010
    assert count_scans(data + b"\xff\xda" * 1000) == count_scans(data)


def test_the_budget_is_never_exceeded_and_everyone_gets_a_turn() -> None:
    budget = PixelBudget(100)
    guard, state = threading.Lock(), {"used": 0, "peak": 0, "done": 0}

    def work(pixels: int) -> None:
        with budget.reserve(pixels):
            with guard:
                state["used"] += pixels
                state["peak"] = max(state["peak"], state["used"])
            time.sleep(0.002)
            with guard:
                state["used"] -= pixels
                state["done"] += 1

    threads = [threading.Thread(target=work, args=(size,)) for size in [40, 90, 60, 10, 100, 30] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert state["done"] == 24
    assert 40 < state["peak"] <= 100
    with pytest.raises(ValueError, match="exceed"), budget.reserve(101):
        pass


def test_the_budget_comes_back_after_an_error() -> None:
    data = saved(PillowImage.fromarray(gradient()), "PNG")
    decoder = Decoder(ImageLimits(budget_pixels=48 * 64))
    for _ in range(3):
        code_of(data[:-40], decoder)
    assert decoder.decode(data).pixels.shape == (48, 64, 3)


def test_encoded_jpeg_is_close_and_without_subsampling() -> None:
    data = encode_jpeg(gradient())
    assert simplejpeg.decode_jpeg_header(data)[2:] == ("YCbCr", "444")
    assert np.abs(Decoder().decode(data).pixels.astype(int) - gradient()).mean() < 1.5


SEEDS = [
    saved(PillowImage.fromarray(gradient(24, 32)), form, **options)
    for form, options in [
        ("JPEG", {}),
        ("JPEG", {"progressive": True, "exif": b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00"}),
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("PPM", {}),
        ("JPEG2000", {}),
        ("HEIF", {}),
        ("WEBP", {}),
    ]
]
SMALL = ImageLimits(max_bytes=100_000, max_side=500, max_pixels=100_000, budget_pixels=100_000)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.sampled_from(SEEDS),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=12),
    cut=st.floats(0.5, 1),
)
def test_damaged_bytes_give_an_image_or_an_image_error(
    seed: bytes, changes: list[tuple[float, int]], cut: float
) -> None:
    data = bytearray(seed[: max(1, int(len(seed) * cut))])
    for place, value in changes:
        data[min(len(data) - 1, int(place * len(data)))] = value
    try:
        image = Decoder(SMALL).decode(bytes(data), extract_exif=True)
    except ImageError:
        return
    assert isinstance(image, Image)
    assert image.pixels.dtype == np.uint8
    assert image.pixels.ndim == 3
    assert image.pixels.shape[2] == 3
    assert image.pixels.size <= 3 * 100_000
    json.dumps(image.exif, allow_nan=False)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_give_an_image_error(data: bytes) -> None:
    try:
        assert Decoder(SMALL).decode(data).pixels.size > 0
    except ImageError as error:
        assert error.code in (100010, 100011, 100012, 100029)
