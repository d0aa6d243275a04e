"""What the demo asks for, and the picture with several persons."""

import io

import pytest
from PIL import Image

from lunaria.demo.survey import ESTIMATES, beside_each_other
from lunaria.estimation.catalogue import ESTIMATES as KNOWN
from lunaria.estimation.queries import SdkQuery


def test_everything_that_the_api_estimates_is_asked_for() -> None:
    flags = {name for name in SdkQuery.__struct_fields__ if name.startswith(("detect_", "estimate_"))}
    left_out = {"estimate_landmarks5", "estimate_face_warp", "estimate_body_warp"}
    assert flags - left_out == ESTIMATES.keys()
    assert set(ESTIMATES.values()) <= KNOWN.keys()


def test_pictures_stand_beside_each_other_with_a_gap() -> None:
    files = []
    for size, colour in (((100, 200), "red"), ((300, 300), "blue")):
        buffer = io.BytesIO()
        Image.new("RGB", size, colour).save(buffer, "PNG")
        files.append(buffer.getvalue())
    with Image.open(io.BytesIO(beside_each_other(files, 100, 20))) as whole:
        assert whole.size == (50 + 20 + 100, 100)
        assert whole.getpixel((10, 50)) == pytest.approx((254, 0, 0), abs=4)
        assert whole.getpixel((60, 50)) == pytest.approx((255, 255, 255), abs=8)
        assert whole.getpixel((120, 50)) == pytest.approx((0, 0, 254), abs=4)
