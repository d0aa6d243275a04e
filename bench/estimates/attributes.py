"""Age, gender and ethnicity on faces whose file names are age_gender_race_..., as those of UTKFace."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from bench.estimates import held_out
from bench.estimates.run import NO_FACE, Report, Run, Target, confusion_table, missed
from bench.faces import files
from bench.plots import draw_histogram
from bench.report import table
from lunaria.evaluation.classification import Confusion
from lunaria.evaluation.numbers import Errors
from lunaria.evaluation.pairs import EvaluationDataError
from lunaria.vision.estimators.basic_attributes import ETHNICITIES
from lunaria.vision.findings import FaceFinding
from lunaria.vision.plan import Plan

RACES = ("caucasian", "african_american", "asian", "indian", "other")
"""What UTKFace's numbers stand for. Others have no word in the API and are left out of the ethnicities."""
GROUPS = ((0, 12), (13, 17), (18, 29), (30, 44), (45, 59), (60, 120))
GROWN, ADULT = 13, (18, 65)
ROLES = (
    *("face_detector", "face_landmarks68", "face_features", "face_age", "face_age_head", "face_gender"),
    "face_ethnicity",
)


class Label(NamedTuple):
    age: int
    male: bool
    race: str


def label_of(name: str) -> Label:
    """By the file name. Raises EvaluationDataError for another one."""
    words = PurePosixPath(name).name.split("_")
    try:
        return Label(int(words[0]), {"0": True, "1": False}[words[1]], RACES[int(words[2])])
    except (IndexError, KeyError, ValueError):
        raise EvaluationDataError(f"{name} is not called age_gender_race_...") from None


def ethnicity_of(face: FaceFinding | None) -> str:
    if face is None or face.basic_attributes is None or face.basic_attributes.ethnicities is None:
        return NO_FACE
    shares = face.basic_attributes.ethnicities
    return max(shares, key=shares.__getitem__)


def measure(run: Run) -> list[Report]:
    known = run.part("utkface")
    pictures = files(known or run.data)
    names = run.chosen(held_out.utkface(list(pictures)) if known else list(pictures))
    labels = [label_of(name) for name in names]
    found = run.faces(((name, pictures[name]) for name in names), len(names), Plan(basic_attributes=True))
    kept = [
        (label, face.basic_attributes)
        for label, face in zip(labels, found.values(), strict=True)
        if face is not None and face.basic_attributes is not None
    ]
    if not kept:
        raise EvaluationDataError("no face was found in any photograph")
    ages = np.array([label.age for label, _ in kept])
    errors = Errors.of(np.array([one.age for _, one in kept]), ages)
    adults = Errors(errors.values[(ages >= ADULT[0]) & (ages <= ADULT[1])])
    right = np.array([(one.male >= 0.5) == label.male for label, one in kept])
    grown = float(right[ages >= GROWN].mean())
    named = [(label.race, ethnicity_of(face)) for label, face in zip(labels, found.values(), strict=True)]
    races, told = zip(*(pair for pair in named if pair[0] in ETHNICITIES), strict=True)
    ethnicity = Confusion.of(races, told, ETHNICITIES)
    rows = []
    for low, high in GROUPS:
        inside = (ages >= low) & (ages <= high)
        if inside.any():
            group = Errors(errors.values[inside])
            rows.append(
                (
                    f"{low} to {high}",
                    int(inside.sum()),
                    f"{group.mean_absolute:.1f}",
                    f"{group.bias:+.1f}",
                    f"{right[inside].mean():.3f}",
                )
            )
    lines = [
        f"- Age: **mean absolute error {errors.mean_absolute:.2f} years** (n={len(errors)}), median "
        f"{errors.percentile(50):.1f}, 90th percentile {errors.percentile(90):.1f}, mean difference "
        f"{errors.bias:+.1f}; from {ADULT[0]} to {ADULT[1]} years {adults.mean_absolute:.2f} (n={len(adults)}).",
        f"- Gender: **{right.mean():.1%} right** of all, {grown:.1%} from {GROWN} years on "
        f"(n={int((ages >= GROWN).sum())}).",
        f"- Ethnicity: n={len(ethnicity)}, accuracy {ethnicity.accuracy:.3f}, **mean recall "
        f"{ethnicity.balanced_accuracy:.3f}**.",
        f"- Faces: {missed(found)}.",
        "",
        table(["true age", "faces", "mean absolute error, years", "mean difference", "gender right"], rows),
        "",
        confusion_table(ethnicity, "ethnicity"),
    ]
    if run.plots:
        draw_histogram(*errors.histogram(5), ("estimated less true age, years", "faces"), run.plots / "age.svg")
    data = (
        f"UTKFace, the fifth that the heads for age and ethnicity were not trained on: {len(names)} aligned crops (for "
        "non-commercial research); the networks for age may have seen it"
        if known
        else f"{run.data.name}, {len(names):,} photographs"
    )
    targets = [
        Target("age, mean absolute error in years", 5.3, errors.mean_absolute, least=False, percent=False),
        Target("age, 18 to 65 years", 5.9, adults.mean_absolute, least=False, percent=False),
        Target("gender, from 13 years on", 0.969, grown),
        Target("ethnicity, mean recall", 0.936, ethnicity.balanced_accuracy),
    ]
    return [Report("basic attributes", data, ROLES, lines, targets if known else ())]
