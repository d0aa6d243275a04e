"""Words and bars of the demo's cards."""

import re
from typing import get_args

import pytest

from lunaria.demo.card import Card, checks, limit, value
from lunaria.demo.parts import COLOURS, bar, bars, degrees, share, swatches
from lunaria.estimation.estimates import ClothingColor


@pytest.mark.parametrize(
    ("given", "width"), [(0.25, "25.0%"), (0, "0.0%"), (1, "100.0%"), (-0.1, "0.0%"), (7, "100.0%")]
)
def test_a_bar_is_as_wide_as_its_value_and_stays_inside(given: float, width: str) -> None:
    assert share(given) == width
    assert f"width:{width}" in bar("smile", given)


def test_a_bar_of_no_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="no place"):
        share(float("nan"))


def test_bars_come_largest_first_and_one_stands_out() -> None:
    shown = bars({"anger": 0.1, "happiness": 0.7, "neutral": 0.2}, "happiness")
    assert re.findall(r"<span>([a-z]+)</span>", shown) == ["happiness", "neutral", "anger"]
    assert shown.count("meter best") == 1
    assert shown.index("meter best") < shown.index("happiness")


def test_every_colour_that_clothes_can_have_has_a_look() -> None:
    assert {*get_args(ClothingColor)} - {"undefined"} == COLOURS.keys()
    assert COLOURS["khaki"] in swatches(["khaki"])
    assert "blank" in swatches(["undefined"])


def test_what_the_server_says_is_never_markup() -> None:
    assert "<b>" not in swatches(["<b>"]) + bar("<b>", 0.5)


@pytest.mark.parametrize(
    ("threshold", "text"),
    [
        ({"min": -5, "max": 5}, "-5 to 5"),
        ({"min": 0.5}, "at least 0.5"),
        ({"max": 1200}, "at most 1,200"),
        (["not_frontal", "neutral"], "not frontal, neutral"),
        (0.0, "0"),
    ],
)
def test_limits_in_words(threshold: object, text: str) -> None:
    assert limit(threshold) == text


def test_values_in_words() -> None:
    assert [value(0.12345), value(-3.0), value(0), value(1200), value("image_jpeg")] == [
        *("0.12", "-3", "0", "1,200", "image jpeg")
    ]


def test_checks_have_marks_and_a_sum() -> None:
    found = [
        {"name": "head_yaw", "object_value": 1.0, "threshold_value": {"min": -5, "max": 5}, "result": 1},
        {"name": "glasses", "object_value": "sunglasses", "threshold_value": ["no_glasses"], "result": 0},
    ]
    shown = checks(found)
    assert "1 of 2 passed" in shown
    assert shown.count("✓") == 1
    assert shown.count("✗") == 1


def test_estimates_on_research_data_are_marked() -> None:
    card = Card({"mask": {"network": "a", "licence": "research"}, "quality": {"network": "b", "licence": "open"}})
    assert "research" in card.badge("mask")
    assert card.badge("quality") == ""


def test_angles_have_a_sign_and_zero_has_none() -> None:
    assert [degrees(angle) for angle in (12.4, -5.5, -0.3, 0.49)] == ["+12°", "-6°", "0°", "0°"]


def test_what_was_not_estimated_is_left_out() -> None:
    card = Card({})
    face = {"attributes": {"glasses": {"glasses": "no_glasses"}, "head_pose": None}}
    shown = card.face(face)
    assert "no glasses" in shown
    assert "cannot be told" in shown
    assert "Mask" not in shown
    assert card.body({"attributes": {}}) == ""


def test_gaze_that_cannot_be_told_is_said_so() -> None:
    assert "cannot be told" in Card({}).face({"attributes": {"gaze": {"yaw": None, "pitch": None}}})
    assert "-7°" in Card({}).face({"attributes": {"gaze": {"yaw": 3.2, "pitch": -7.4}}})
