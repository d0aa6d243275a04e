"""Whether a picture of a face would do as a portrait: the 44 checks in the spirit of ISO/IEC 19794-5.

A check compares one measured value with a threshold: bounds (inclusive), a list of accepted words, or a flag. This
module is the one table of their names, order and default thresholds; the values themselves come from the estimators,
those of image quality and composition from `lunaria.vision.estimators.quality` and `.portrait`.

Where the open reference implementation of ISO/IEC 29794-5 (OFIQ 1.1) has a formula for the same property, that formula
is used, divided by 100: dynamic_range, illumination_uniformity, dark_quality (under-exposure), light_quality
(over-exposure: 0.8 % of white pixels fail), and the measure behind natural_light (natural colour, for which the limit
is ours). Partly: background_uniformity, OFIQ's formula with a segmentation in place of face parsing, and lowered where
tones vary without edges. Not followed: blurriness_quality, for which OFIQ has a random forest in a separate file;
eye_distance, which OFIQ divides by the cosine of the yaw; illumination_quality and specularity_quality, which it does
not have. Sizes and positions of the head are ratios of the picture as in ISO/IEC 19794-5, not OFIQ's sigmoids of them.
The frame is the warp, which has 0.55 as many pixels a side as OFIQ's aligned face. The estimators say how each is
computed and how well it works.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Need = Literal[
    "quality",
    "portrait",
    "segmentation",
    "mesh",
    "head_pose",
    "gaze",
    "mouth",
    "glasses",
    "eyes",
    "red_eyes",
    "eyebrows",
    "headwear",
    "shoulders",
]
"""What has to be estimated before a check can be had. "portrait": measures of the face's pixels in the frame of the
warp; "segmentation": the same with the portrait segmentation; "mesh": the 478 points."""

Kind = Literal["bounds", "words", "flag"]
Value = float | str


class Bounds(NamedTuple):
    """Both inclusive; None: unbounded on this side."""

    min: float | None = None
    max: float | None = None


Threshold = Bounds | tuple[str, ...] | int


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the table.

    `words`: what a value of the kind "words" can be; `iso`: belongs to the shorter list that the service of ISO checks
    evaluates; `on_warp`: has a value for a face warp.
    """

    name: str
    default: Threshold
    needs: frozenset[Need] = frozenset()
    words: tuple[str, ...] = ()
    iso: bool = True
    on_warp: bool = True

    @property
    def kind(self) -> Kind:
        """What a value of the check is compared with."""
        if isinstance(self.default, Bounds):
            return "bounds"
        return "words" if isinstance(self.default, tuple) else "flag"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One evaluated check. `result`: whether the value lies within the threshold."""

    name: str
    object_value: Value
    threshold_value: Threshold
    result: bool


@dataclass(frozen=True, slots=True)
class Checks:
    """`status`: whether every check passed that could be evaluated."""

    status: bool
    checks: list[CheckResult] = field(default_factory=list)


def _bounds(name: str, minimum: float | None, maximum: float | None, *needs: Need, iso: bool = True) -> Check:
    return Check(name, Bounds(minimum, maximum), frozenset(needs), iso=iso)


def _words(name: str, accepted: tuple[str, ...], words: tuple[str, ...], *needs: Need, on_warp: bool = True) -> Check:
    return Check(name, accepted, frozenset(needs), words, on_warp=on_warp)


_FORMATS = ("JPEG", "JPEG2000", "PNG", "BMP", "TIFF", "PPM", "HEIF", "WEBP")
_COLOR_TYPES = ("color", "grayscale", "infrared")
_EYE_STATES = ("open", "closed", "occluded")
_HEADWEAR = (
    *("none", "baseball_cap", "beanie", "peaked_cap", "shawl", "hat_with_ear_flaps", "helmet", "hood", "hat", "other"),
)

CHECKS: tuple[Check, ...] = (
    _words("image_format", ("JPEG", "JPEG2000", "PNG"), _FORMATS),
    _bounds("image_size", 5120, 2097152, iso=False),
    _bounds("image_width", 180, 1920, iso=False),
    _bounds("image_height", 180, 1080, iso=False),
    _bounds("aspect_ratio", 0.74, 0.8, iso=False),
    _bounds("illumination_uniformity", 0.3, 1, "portrait"),
    _bounds("illumination_quality", 0.3, 1, "quality"),
    _bounds("specularity_quality", 0.3, 1, "quality"),
    _bounds("blurriness_quality", 0.61, 1, "quality"),
    _bounds("dark_quality", 0.5, 1, "quality"),
    _bounds("light_quality", 0.57, 1, "quality"),
    _bounds("dynamic_range", 0.5, 1, "portrait"),
    _bounds("background_lightness", 0.2, 1, "segmentation"),
    _bounds("background_uniformity", 0.5, 1, "segmentation"),
    _words("face_color_type", ("color",), _COLOR_TYPES, "portrait"),
    Check("natural_light", 1, frozenset({"portrait"})),
    Check("radial_distortion", 1, frozenset({"mesh"})),
    _words("red_eyes", ("non_red",), ("non_red", "red"), "red_eyes"),
    _bounds("head_yaw", -5, 5, "head_pose"),
    _bounds("head_pitch", -5, 5, "head_pose"),
    _bounds("head_roll", -8, 8, "head_pose"),
    _bounds("gaze_yaw", -5, 5, "gaze"),
    _bounds("gaze_pitch", -5, 5, "gaze"),
    _bounds("mouth_smiling", 0, 0.5, "mouth"),
    _bounds("mouth_occluded", 0, 0.5, "mouth"),
    _bounds("mouth_open", 0, 0.5, "mouth"),
    _words("smile_properties", ("none",), ("none", "smile_lips", "smile_open"), "mouth"),
    _words("glasses", ("no_glasses", "eyeglasses"), ("no_glasses", "eyeglasses", "sunglasses"), "glasses"),
    _words("left_eye", ("open",), _EYE_STATES, "eyes"),
    _words("right_eye", ("open",), _EYE_STATES, "eyes"),
    _bounds("eye_distance", 90, None),
    _words("eyebrows_state", ("neutral",), ("neutral", "raised", "squinting", "frowning"), "eyebrows"),
    _words("headwear_type", ("none",), _HEADWEAR, "headwear"),
    _bounds("head_horizontal_center", 0.45, 0.55),
    _bounds("head_vertical_center", 0.3, 0.5),
    _bounds("head_width", 0.5, 0.75, "segmentation"),
    _bounds("head_height", 0.6, 0.9, "segmentation"),
    _words("shoulders_position", ("parallel",), ("parallel", "non_parallel", "hidden"), "shoulders", on_warp=False),
    _bounds("face_width", 180, None, iso=False),
    _bounds("face_height", 180, None, iso=False),
    _bounds("indent_left", 20, None, iso=False),
    _bounds("indent_right", 20, None, iso=False),
    _bounds("indent_upper", 20, None, iso=False),
    _bounds("indent_lower", 20, None, iso=False),
)
"""All checks in the order in which they are reported."""

_LARGEST = 1e15
"""No bound beyond it makes sense; and a whole number of a thousand digits is no float."""

BY_NAME: Mapping[str, Check] = {check.name: check for check in CHECKS}


def chosen(*, iso: bool = False, is_warp: bool = False, off: Collection[str] = ()) -> list[Check]:
    """The checks to evaluate, in order. `iso`: only those of the ISO service; `off`: names that are switched off.

    Raises ValueError for a name that is none.
    """
    for name in off:
        _known(name)
    return [
        check for check in CHECKS if check.name not in off and (check.iso or not iso) and (check.on_warp or not is_warp)
    ]


def needs(checks: Sequence[Check]) -> frozenset[Need]:
    """What has to be estimated for these checks."""
    return frozenset(need for check in checks for need in check.needs)


def threshold(name: str, given: object) -> Threshold:
    """The threshold of a check as a caller states it: {"min", "max"}, words or a flag; what is left out is the default.

    Raises ValueError that names the check and what is wrong: an unknown name, bounds that are no numbers or cross each
    other, a kind of threshold that the check has not, a word that its value can never be, a flag that is not 0 or 1.
    """
    check = _known(name)
    if isinstance(check.default, Bounds):
        return _checked_bounds(name, given, check.default)
    if isinstance(check.default, tuple):
        return _checked_words(check, given)
    flag = given[0] if isinstance(given, list | tuple) and len(given) == 1 else given
    if isinstance(flag, bool) or not isinstance(flag, int) or flag not in (0, 1):
        raise ValueError(f"{name}: the threshold must be 0 or 1, not {given!r}")
    return flag


def thresholds(overrides: Mapping[str, object]) -> dict[str, Threshold]:
    """Of each check the threshold: the default or, by name, another. Raises ValueError as `threshold` does."""
    given = {name: threshold(name, value) for name, value in overrides.items()}
    return {check.name: check.default for check in CHECKS} | given


def evaluate(
    measured: Mapping[str, Value | None],
    overrides: Mapping[str, object] | None = None,
    *,
    off: Collection[str] = (),
    iso: bool = False,
    is_warp: bool = False,
) -> Checks:
    """Compare what was measured, by the names of the checks, with the thresholds.

    A check without a value (absent, None or not finite) is left out and does not count. `overrides` as for
    `thresholds`; `off`, `iso` and `is_warp` as for `chosen`. Raises ValueError as these do.
    """
    limits = thresholds(overrides or {})
    results = [
        CheckResult(check.name, value, limits[check.name], _passes(value, limits[check.name]))
        for check in chosen(iso=iso, is_warp=is_warp, off=off)
        if (value := measured.get(check.name)) is not None and (isinstance(value, str) or math.isfinite(value))
    ]
    return Checks(all(result.result for result in results), results)


def _passes(value: Value, limit: Threshold) -> bool:
    if isinstance(limit, Bounds):
        low, high = limit
        return not isinstance(value, str) and (low is None or value >= low) and (high is None or value <= high)
    return value in limit if isinstance(limit, tuple) else value == limit


def _known(name: str) -> Check:
    try:
        return BY_NAME[name]
    except KeyError:
        raise ValueError(f"there is no check {name!r}; there are {', '.join(BY_NAME)}") from None


def _checked_bounds(name: str, given: object, default: Bounds) -> Bounds:
    parts = given._asdict() if isinstance(given, Bounds) else given
    if not isinstance(parts, Mapping) or not parts or not set(parts) <= {"min", "max"}:
        raise ValueError(f"{name}: the threshold must be an object with min, max or both, not {given!r}")
    for bound, value in parts.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and abs(value) < _LARGEST):
            raise ValueError(f"{name}: {bound} must be a number, not {value!r}")
    bounds = default._replace(**parts)
    if bounds.min is not None and bounds.max is not None and bounds.min > bounds.max:
        raise ValueError(f"{name}: min {bounds.min:g} exceeds max {bounds.max:g}")
    return bounds


def _checked_words(check: Check, given: object) -> tuple[str, ...]:
    words = (given,) if isinstance(given, str) else given
    if not isinstance(words, list | tuple) or isinstance(words, Bounds) or not words:
        raise ValueError(f"{check.name}: the threshold must be a list of words, not {given!r}")
    for word in words:
        if word not in check.words:
            raise ValueError(f"{check.name}: {word!r} is none of {', '.join(check.words)}")
    return tuple(words)
