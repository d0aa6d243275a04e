"""The table of portrait checks and their evaluation."""

from __future__ import annotations

from typing import Any

import pytest

from lunaria.vision import checks
from lunaria.vision.checks import Bounds, CheckResult, evaluate

TABLE: list[tuple[str, Any, bool]] = [
    ("image_format", ["JPEG", "JPEG2000", "PNG"], True),
    ("image_size", (5120, 2097152), False),
    ("image_width", (180, 1920), False),
    ("image_height", (180, 1080), False),
    ("aspect_ratio", (0.74, 0.8), False),
    ("illumination_uniformity", (0.3, 1), True),
    ("illumination_quality", (0.3, 1), True),
    ("specularity_quality", (0.3, 1), True),
    ("blurriness_quality", (0.61, 1), True),
    ("dark_quality", (0.5, 1), True),
    ("light_quality", (0.57, 1), True),
    ("dynamic_range", (0.5, 1), True),
    ("background_lightness", (0.2, 1), True),
    ("background_uniformity", (0.5, 1), True),
    ("face_color_type", ["color"], True),
    ("natural_light", 1, True),
    ("radial_distortion", 1, True),
    ("red_eyes", ["non_red"], True),
    ("head_yaw", (-5, 5), True),
    ("head_pitch", (-5, 5), True),
    ("head_roll", (-8, 8), True),
    ("gaze_yaw", (-5, 5), True),
    ("gaze_pitch", (-5, 5), True),
    ("mouth_smiling", (0, 0.5), True),
    ("mouth_occluded", (0, 0.5), True),
    ("mouth_open", (0, 0.5), True),
    ("smile_properties", ["none"], True),
    ("glasses", ["no_glasses", "eyeglasses"], True),
    ("left_eye", ["open"], True),
    ("right_eye", ["open"], True),
    ("eye_distance", (90, None), True),
    ("eyebrows_state", ["neutral"], True),
    ("headwear_type", ["none"], True),
    ("head_horizontal_center", (0.45, 0.55), True),
    ("head_vertical_center", (0.3, 0.5), True),
    ("head_width", (0.5, 0.75), True),
    ("head_height", (0.6, 0.9), True),
    ("shoulders_position", ["parallel"], True),
    ("face_width", (180, None), False),
    ("face_height", (180, None), False),
    ("indent_left", (20, None), False),
    ("indent_right", (20, None), False),
    ("indent_upper", (20, None), False),
    ("indent_lower", (20, None), False),
]


def test_the_table_is_complete_and_in_order() -> None:
    def plain(threshold: checks.Threshold) -> Any:
        if isinstance(threshold, Bounds):
            return tuple(threshold)
        return list(threshold) if isinstance(threshold, tuple) else threshold

    assert len(TABLE) == 44
    assert [(check.name, plain(check.default), check.iso) for check in checks.CHECKS] == TABLE


def test_a_default_of_words_is_made_of_possible_words() -> None:
    for check in checks.CHECKS:
        if check.kind == "words":
            assert set(check.default) <= set(check.words), check.name  # type: ignore[arg-type]


def test_bounds_are_inclusive() -> None:
    found = evaluate({"head_roll": 8.0, "head_yaw": -5, "head_pitch": 5.001})
    assert [(result.name, result.result) for result in found.checks] == [
        ("head_yaw", True),
        ("head_pitch", False),
        ("head_roll", True),
    ]
    assert found.status is False


def test_a_check_without_a_value_is_left_out_and_does_not_count() -> None:
    found = evaluate({"gaze_yaw": None, "dynamic_range": float("nan"), "glasses": "eyeglasses"})
    assert found.status is True
    assert found.checks == [CheckResult("glasses", "eyeglasses", ("no_glasses", "eyeglasses"), True)]
    assert evaluate({}) == checks.Checks(True, [])


def test_a_word_and_a_flag_fail() -> None:
    found = evaluate({"left_eye": "closed", "right_eye": "open", "natural_light": 0, "radial_distortion": 1})
    assert {result.name: result.result for result in found.checks} == {
        "natural_light": False,
        "radial_distortion": True,
        "left_eye": False,
        "right_eye": True,
    }


def test_overrides_replace_what_they_name() -> None:
    found = evaluate(
        {"eye_distance": 60, "glasses": "sunglasses"}, {"eye_distance": {"min": 60}, "glasses": ["sunglasses"]}
    )
    assert found.status is True
    assert found.checks[1].threshold_value == Bounds(60, None)
    assert checks.threshold("head_yaw", {"max": 2}) == Bounds(-5, 2)
    assert checks.threshold("natural_light", [0]) == 0
    assert checks.threshold("headwear_type", "hood") == ("hood",)


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("head_jaw", {"min": 0}, "head_jaw"),
        ("head_yaw", {"min": 6}, "min 6 exceeds max 5"),
        ("head_yaw", {"min": 2, "max": 1}, "head_yaw"),
        ("head_yaw", {"min": "2"}, "min must be a number"),
        ("head_yaw", {"min": True}, "min must be a number"),
        ("head_yaw", {"min": float("nan")}, "min must be a number"),
        ("head_yaw", {"min": 10**400}, "min must be a number"),
        ("head_yaw", {"least": 2}, "min, max or both"),
        ("head_yaw", {}, "min, max or both"),
        ("head_yaw", ["open"], "head_yaw"),
        ("head_yaw", 3, "head_yaw"),
        ("left_eye", ["open", "shut"], "'shut'"),
        ("left_eye", [], "left_eye"),
        ("left_eye", {"min": 1}, "left_eye"),
        ("left_eye", [1], "left_eye"),
        ("natural_light", 2, "natural_light"),
        ("natural_light", True, "natural_light"),
        ("natural_light", ["yes"], "natural_light"),
    ],
)
def test_a_wrong_threshold_is_named(name: str, given: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        checks.thresholds({name: given})


def test_what_is_switched_off_or_not_of_iso_or_impossible_is_not_evaluated() -> None:
    measured = {"image_width": 10, "shoulders_position": "hidden", "glasses": "sunglasses", "head_yaw": 0}
    assert [result.name for result in evaluate(measured, off={"glasses"}).checks] == [
        "image_width",
        "head_yaw",
        "shoulders_position",
    ]
    assert [result.name for result in evaluate(measured, iso=True, is_warp=True).checks] == ["head_yaw", "glasses"]
    with pytest.raises(ValueError, match="glases"):
        evaluate(measured, off={"glases"})


def test_only_what_is_wanted_has_to_be_estimated() -> None:
    off = {check.name for check in checks.CHECKS} - {"glasses", "image_width", "background_uniformity"}
    assert checks.needs(checks.chosen(off=off)) == {"glasses", "segmentation"}
    assert "shoulders" in checks.needs(checks.chosen())
    assert "shoulders" not in checks.needs(checks.chosen(is_warp=True))
