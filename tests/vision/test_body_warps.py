"""Body warps: a plain crop of 128x256."""

from __future__ import annotations

import numpy as np
import pytest

from lunaria.vision.warps import BODY_WARP_SIZE, cut_body_warp


def test_a_box_of_the_size_of_a_warp_is_copied() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (400, 300, 3), dtype=np.uint8)
    warp = cut_body_warp(pixels, np.array([20.2, 30.4, 148.2, 286.4]))
    assert warp.shape == (BODY_WARP_SIZE[1], BODY_WARP_SIZE[0], 3)
    assert np.array_equal(warp, pixels[30:286, 20:148])


def test_shrinking_averages_all_pixels() -> None:
    pixels = np.zeros((1024, 512, 3), np.uint8)
    pixels[::2, ::2] = 200  # every fourth pixel: sampling would give 200 or 0
    assert np.unique(cut_body_warp(pixels, np.array([0.0, 0, 512, 1024]))).tolist() == [50]


def test_wide_and_small_boxes_fill_the_warp() -> None:
    pixels = np.zeros((300, 800, 3), np.uint8)
    pixels[100:140, 100:400] = 255
    warp = cut_body_warp(pixels, np.array([100.0, 100, 700, 140]))
    assert (warp[:, :63] == 255).all()
    assert not warp[:, 65:].any()


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ([-64.0, -128, 64, 128], slice(128, 256), slice(64, 128)),
        ([236.0, 272, 364, 528], slice(0, 128), slice(0, 64)),
    ],
)
def test_outside_of_the_image_is_black(box: list[float], rows: slice, columns: slice) -> None:
    warp = cut_body_warp(np.full((400, 300, 3), 255, np.uint8), np.array(box))
    assert (warp[rows, columns] == 255).all()
    assert int(warp.sum(dtype=np.int64)) == 128 * 64 * 3 * 255


def test_a_box_elsewhere_gives_a_black_warp() -> None:
    assert not cut_body_warp(np.full((40, 30, 3), 255, np.uint8), np.array([500.0, 500, 600, 700])).any()
    assert not cut_body_warp(np.full((40, 30, 3), 255, np.uint8), np.array([-1e9, -1e9, -1e8, -1e8])).any()
