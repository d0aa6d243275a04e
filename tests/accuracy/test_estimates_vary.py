"""No estimate is constant, and each answers to what is done to a photograph: known changes of the pack's photographs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from lunaria.estimation.decisions import Decisions, WantedChecks
from lunaria.estimation.shapes import body_detection, checks_of, face_detection
from lunaria.vision.analysis import Analyzer
from lunaria.vision.checks import CHECKS
from lunaria.vision.findings import FaceFinding, Findings
from lunaria.vision.images import Decoder
from lunaria.vision.plan import Plan
from tests.accuracy import changes
from tests.accuracy.changes import Pixels, Points
from tests.estimation.pictures import encode, read
from tests.vision.conftest import photos  # noqa: F401

NAMES = ("obama.jpg", "biden.jpg", "obama2.jpg", "obama3.jpg", "astronaut.png")
HEIGHT = 480
DECISIONS = Decisions(liveness_threshold=0.5, liveness_quality=0.5, deepfake_threshold=0.5)
OF_FACES = (
    *("landmarks68", "landmarks5", "head_pose", "descriptor", "emotions", "mask", "glasses", "liveness", "deepfake"),
    *("quality", "gaze", "eyes", "mouth", "basic_attributes"),
)
OF_BODIES = (
    *("body_descriptor", "body_basic_attributes", "upper_body", "lower_body", "accessories", "detect_bodies"),
    "people_count",
)
MEASURED = frozenset({"illumination_uniformity", "dynamic_range"})
FACES = Plan(checks=MEASURED, **dict.fromkeys(OF_FACES, True))
EVERYTHING = Plan(checks=frozenset(check.name for check in CHECKS), **dict.fromkeys((*OF_FACES, *OF_BODIES), True))
LOOKED_AT_WHOLE = {"plain", "dark", "masked", "sunglasses"}
"""Changes of which everything is estimated; of the others what faces tell, which is faster."""
CHANGES: Mapping[str, Callable[[Pixels, Points], Pixels]] = {
    "plain": lambda pixels, points: pixels,
    "mirrored": lambda pixels, points: changes.mirrored(pixels),
    "turned": lambda pixels, points: changes.turned(pixels, 20),
    "dark": lambda pixels, points: changes.lit(pixels, 0.1),
    "bright": lambda pixels, points: changes.lit(pixels, 2.5),
    "blurred": lambda pixels, points: changes.blurred(pixels, 6),
    "grey": lambda pixels, points: changes.colourless(pixels),
    "half dark": changes.half_dark,
    "shining": changes.shining,
    "masked": changes.masked,
    "sunglasses": changes.with_sunglasses,
    "closed": changes.with_closed_eyes,
    "paper": changes.on_paper,
    "forged": changes.resynthesised,
}
Seen = dict[tuple[str, str], Findings]


@pytest.fixture(scope="module")
def seen(analyzer: Analyzer, photos: Path) -> Seen:  # noqa: F811
    """What is found in each photograph and each change of it, by both names."""

    def find(pixels: Pixels, plan: Plan) -> Findings:
        return analyzer.find(Decoder().decode(encode(pixels)), plan)

    found: Seen = {}
    for name in NAMES:
        whole = read(photos / name)
        step = max(1, round(whole.shape[0] / HEIGHT))
        pixels = np.ascontiguousarray(whole[::step, ::step])
        (face,) = find(pixels, Plan(landmarks68=True)).faces
        assert face.landmarks68 is not None
        for change, make in CHANGES.items():
            plan = EVERYTHING if change in LOOKED_AT_WHOLE else FACES
            found[name, change] = find(make(pixels, face.landmarks68), plan)
    return found


def face_of(seen: Seen, name: str, change: str) -> FaceFinding:
    """The best face of a photograph that was changed."""
    faces = seen[name, change].faces
    assert faces, f"no face in {name}, {change}"
    return faces[0]


Value = Callable[[FaceFinding], float]


def mean_of(value: Value, seen: Seen, change: str) -> float:
    return float(np.mean([value(face_of(seen, name, change)) for name in NAMES]))


def _eyes_open(face: FaceFinding) -> float:
    assert face.eyes is not None
    return (face.eyes.left.openness + face.eyes.right.openness) / 2


def _eyes_hidden(face: FaceFinding) -> float:
    assert face.eyes is not None
    return float(np.mean([eye.state == "occluded" for eye in face.eyes]))


def _checked(name: str) -> Value:
    return lambda face: float(face.measured[name])


VALUES: Mapping[str, Value] = {
    "a mask": lambda face: face.mask.states["medical_mask"],  # type: ignore[union-attr]
    "mouth hidden": lambda face: face.mouth.occluded,  # type: ignore[union-attr]
    "sunglasses": lambda face: face.glasses.sunglasses,  # type: ignore[union-attr]
    "eyes open": _eyes_open,
    "eyes hidden": _eyes_hidden,
    "living": lambda face: face.liveness.score,  # type: ignore[union-attr]
    "liveness to be relied on": lambda face: face.liveness.quality,  # type: ignore[union-attr]
    "untouched": lambda face: face.deepfake,  # type: ignore[dict-item,return-value]
    "sharp": lambda face: face.quality.blurriness,  # type: ignore[union-attr]
    "not dark": lambda face: face.quality.dark,  # type: ignore[union-attr]
    "not overexposed": lambda face: face.quality.light,  # type: ignore[union-attr]
    "evenly lit": lambda face: face.quality.illumination,  # type: ignore[union-attr]
    "not shining": lambda face: face.quality.specularity,  # type: ignore[union-attr]
    "usable": lambda face: face.descriptor.score,  # type: ignore[union-attr]
    "roll": lambda face: face.head_pose.roll,  # type: ignore[union-attr]
    "uniformly lit": _checked("illumination_uniformity"),
    "dynamic range": _checked("dynamic_range"),
}
ANSWERS = [
    ("a mask", "masked", 0.3),
    ("mouth hidden", "masked", 0.3),
    ("sunglasses", "sunglasses", 0.5),
    ("eyes hidden", "sunglasses", 0.5),
    ("eyes open", "closed", -0.15),
    ("living", "paper", -0.5),
    ("liveness to be relied on", "grey", -0.5),
    ("liveness to be relied on", "blurred", -0.4),
    ("untouched", "forged", -0.15),
    ("sharp", "blurred", -0.5),
    ("not dark", "dark", -0.4),
    ("not overexposed", "bright", -0.2),
    ("evenly lit", "half dark", -0.2),
    ("not shining", "shining", -0.2),
    ("usable", "blurred", -0.1),
    ("roll", "turned", 15.0),
    ("uniformly lit", "half dark", -0.2),
    ("dynamic range", "dark", -0.1),
]
"""What is estimated, the change, and how far the mean over all photographs must move at least; the sign says whereto."""


@pytest.mark.parametrize(("what", "change", "least"), ANSWERS)
def test_estimates_answer_to_what_is_done(seen: Seen, what: str, change: str, least: float) -> None:
    value = VALUES[what]
    moved = mean_of(value, seen, change) - mean_of(value, seen, "plain")
    assert moved * np.sign(least) >= abs(least), f"{what}: moved by {moved:.3f}"


@pytest.mark.parametrize("angle", ["yaw", "roll"])
def test_the_head_turns_with_the_mirror(seen: Seen, angle: str) -> None:
    for name in NAMES:
        one, other = (face_of(seen, name, change).head_pose for change in ("plain", "mirrored"))
        assert one is not None
        assert other is not None
        assert abs(getattr(one, angle) + getattr(other, angle)) < 5, name


def test_the_gaze_turns_with_the_mirror(seen: Seen) -> None:
    """Of what is left of the gaze beside the head."""
    pairs = []
    for name in NAMES:
        one, other = (face_of(seen, name, change).gaze for change in ("plain", "mirrored"))
        assert one is not None
        assert other is not None
        assert one.yaw is not None
        assert other.yaw is not None
        pairs.append((one.yaw, other.yaw))
    assert np.mean([abs(one + other) for one, other in pairs]) < 6
    assert np.ptp([one for one, _ in pairs]) > 2


def test_who_is_who(seen: Seen) -> None:
    """Gender, age and ethnicity of known persons."""
    found = {name: face_of(seen, name, "plain").basic_attributes for name in NAMES}
    assert all(one is not None and one.ethnicities is not None for one in found.values())
    males = {name: one.male for name, one in found.items() if one is not None}
    assert min(males[name] for name in NAMES[:4]) > 0.5 > males["astronaut.png"]
    ages = {name: one.age for name, one in found.items() if one is not None}
    assert ages["biden.jpg"] > ages["obama.jpg"] > ages["astronaut.png"]
    dark = {
        name: one.ethnicities["african_american"] for name, one in found.items() if one is not None and one.ethnicities
    }
    assert min(dark[name] for name in ("obama.jpg", "obama2.jpg", "obama3.jpg")) > max(
        dark["biden.jpg"], dark["astronaut.png"]
    )


def test_smiles(seen: Seen) -> None:
    """The presidents of the portraits smile, the one of the street does not."""
    smiles = {name: face_of(seen, name, "plain").mouth for name in NAMES}
    values = {name: one.smile for name, one in smiles.items() if one is not None}
    assert min(values["obama.jpg"], values["astronaut.png"]) > values["obama2.jpg"]
    happiness = {name: (face_of(seen, name, "plain").emotions or {})["happiness"] for name in NAMES}
    assert min(happiness["obama.jpg"], happiness["astronaut.png"]) > happiness["obama2.jpg"]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """What an answer is made of: the path to each number and each word in it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and path.endswith("checks"):
        for check in value:
            yield f"{path}.{check['name']}", check["object_value"]
    elif isinstance(value, list) and path.endswith("colors"):
        yield path, value[0]
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}.{index}")
    else:
        yield path, value


FIXED = re.compile(
    r"rect\.|status$|\.image_format$|\.radial_distortion$|\.red_eyes$|\.headwear_type$|\.eyebrows_state$|\.shoulders_position$"
    r"|headwear|\.length$|\.type$|backpack|apparent_gender$|shoes|predominant_occlusion$|smile_properties$"
    r"|predominant_ethnicity$|deepfake\.prediction$|_face_quality$|\.natural_light$"
)
"""Words that five photographs cannot be expected to change, and numbers that come from the file."""


def test_every_number_and_word_varies(seen: Seen) -> None:
    """As the API says them."""
    values: dict[str, list[Any]] = {}
    for findings in seen.values():
        for face in findings.faces[:1]:
            detection = face_detection(face, DECISIONS, EVERYTHING, show_head_pose=True, show_gaze=True)
            checks = checks_of(face, WantedChecks("face_quality"), is_warp=False)
            detection = msgspec.structs.replace(detection, face_quality=checks)
            _collect(msgspec.to_builtins(detection), "face", values)
        for body in findings.bodies[:1]:
            _collect(msgspec.to_builtins(body_detection(body, EVERYTHING)), "body", values)
    constant = {
        path: sorted(set(map(str, found)))
        for path, found in values.items()
        if not FIXED.search(path) and not _varies(found)
    }
    assert len(values) > 300
    assert constant == {}


def _collect(detection: dict[str, Any], kind: str, values: dict[str, list[Any]]) -> None:
    for path, value in leaves(detection):
        values.setdefault(f"{kind}.{path}", []).append(value)


def _varies(found: list[Any]) -> bool:
    known = [value for value in found if value is not None]
    if not known:  # a head pose that cannot be told, beside those that can
        return True
    if isinstance(known[0], str):
        return len(set(known)) > 1
    return len({round(float(value), 6) for value in known}) > 1


def test_people_are_counted(seen: Seen) -> None:
    """One in each of these, with somebody at the border of the other two."""
    counts = {name: len(_people(seen[name, "plain"])) for name in NAMES}
    assert set(counts.values()) <= {1, 2}
    assert counts["obama.jpg"] == counts["biden.jpg"] == counts["astronaut.png"] == 1


def _people(findings: Findings) -> np.ndarray:
    assert findings.people is not None
    return findings.people
