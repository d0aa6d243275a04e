"""What the checks of faces must look like: names in their order, kinds of values, default thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

EYES = {"open", "closed", "occluded"}
DEFAULTS: Mapping[str, Any] = {
    "image_format": ["JPEG", "JPEG2000", "PNG"],
    "image_size": {"min": 5120, "max": 2097152},
    "image_width": {"min": 180, "max": 1920},
    "image_height": {"min": 180, "max": 1080},
    "aspect_ratio": {"min": 0.74, "max": 0.8},
    "illumination_uniformity": {"min": 0.3, "max": 1},
    "illumination_quality": {"min": 0.3, "max": 1},
    "specularity_quality": {"min": 0.3, "max": 1},
    "blurriness_quality": {"min": 0.61, "max": 1},
    "dark_quality": {"min": 0.5, "max": 1},
    "light_quality": {"min": 0.57, "max": 1},
    "dynamic_range": {"min": 0.5, "max": 1},
    "background_lightness": {"min": 0.2, "max": 1},
    "background_uniformity": {"min": 0.5, "max": 1},
    "face_color_type": ["color"],
    "natural_light": 1,
    "radial_distortion": 1,
    "red_eyes": ["non_red"],
    "head_yaw": {"min": -5, "max": 5},
    "head_pitch": {"min": -5, "max": 5},
    "head_roll": {"min": -8, "max": 8},
    "gaze_yaw": {"min": -5, "max": 5},
    "gaze_pitch": {"min": -5, "max": 5},
    "mouth_smiling": {"min": 0, "max": 0.5},
    "mouth_occluded": {"min": 0, "max": 0.5},
    "mouth_open": {"min": 0, "max": 0.5},
    "smile_properties": ["none"],
    "glasses": ["no_glasses", "eyeglasses"],
    "left_eye": ["open"],
    "right_eye": ["open"],
    "eye_distance": {"min": 90},
    "eyebrows_state": ["neutral"],
    "headwear_type": ["none"],
    "head_horizontal_center": {"min": 0.45, "max": 0.55},
    "head_vertical_center": {"min": 0.3, "max": 0.5},
    "head_width": {"min": 0.5, "max": 0.75},
    "head_height": {"min": 0.6, "max": 0.9},
    "shoulders_position": ["parallel"],
    "face_width": {"min": 180},
    "face_height": {"min": 180},
    "indent_left": {"min": 20},
    "indent_right": {"min": 20},
    "indent_upper": {"min": 20},
    "indent_lower": {"min": 20},
}
"""All checks in the order in which they are reported, with their default thresholds."""

QUALITY_ONLY = {
    *("image_size", "image_width", "image_height", "aspect_ratio", "face_width", "face_height"),
    *("indent_left", "indent_right", "indent_upper", "indent_lower"),
}
"""Checks of the face quality that do not belong to the shorter list of the ISO service."""

ISO_CHECKS = [name for name in DEFAULTS if name not in QUALITY_ONLY]
NO_WARP_CHECKS = {"shoulders_position"}
WORDS: Mapping[str, set[str]] = {
    "image_format": {"JPEG", "JPEG2000", "PNG", "BMP", "TIFF", "PPM"},
    "face_color_type": {"color", "grayscale", "infrared"},
    "red_eyes": {"non_red", "red"},
    "smile_properties": {"none", "smile_lips", "smile_open"},
    "glasses": {"no_glasses", "eyeglasses", "sunglasses"},
    "left_eye": EYES,
    "right_eye": EYES,
    "eyebrows_state": {"neutral", "raised", "squinting", "frowning"},
    "headwear_type": {
        *("none", "baseball_cap", "beanie", "peaked_cap", "shawl", "hat_with_ear_flaps", "helmet", "hood", "hat"),
        "other",
    },
    "shoulders_position": {"parallel", "non_parallel", "hidden"},
}
SHARES = {
    *("illumination_uniformity", "illumination_quality", "specularity_quality", "blurriness_quality", "dark_quality"),
    *("light_quality", "dynamic_range", "background_lightness", "background_uniformity", "mouth_smiling"),
    *("mouth_occluded", "mouth_open", "head_horizontal_center", "head_vertical_center"),
}


def by_name(found: Mapping[str, Any]) -> dict[str, Any]:
    """The checks of an answer by their names."""
    return {check["name"]: check for check in found["checks"]}


def check_checks(found: Mapping[str, Any], names: Sequence[str]) -> None:
    """The checks are these, in this order, rightly shaped and rightly decided."""
    assert found.keys() == {"status", "checks"}
    assert [check["name"] for check in found["checks"]] == list(names)
    for check in found["checks"]:
        name, value = check["name"], check["object_value"]
        assert check.keys() == {"name", "object_value", "threshold_value", "result"}
        assert check["threshold_value"] == DEFAULTS[name], name
        assert check["result"] == _passes(value, DEFAULTS[name]), name
        if name in WORDS:
            assert value in WORDS[name], name
        else:
            assert isinstance(value, int | float), name
            assert not isinstance(value, bool), name
        if name in SHARES:
            assert 0 <= value <= 1, name
    assert found["status"] == int(all(check["result"] for check in found["checks"]))


def _passes(value: Any, threshold: Any) -> int:
    if isinstance(threshold, dict):
        return int(threshold.get("min", -1e9) <= value <= threshold.get("max", 1e9))
    return int(value in threshold if isinstance(threshold, list) else value == threshold)
