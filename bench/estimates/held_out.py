"""Which of the known data sets were trained on: the trainings say it themselves (extra `train`)."""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import numpy as np

from bench.estimates.run import LeftOutError
from bench.faces import REPOSITORY

LABELS = REPOSITORY / "training" / "labels"

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def by_training(function: Callable[Given, Answer]) -> Callable[Given, Answer]:
    """Say it when the packages of the trainings are missing."""

    @wraps(function)
    def checked(*given: Given.args, **named: Given.kwargs) -> Answer:
        try:
            return function(*given, **named)
        except ModuleNotFoundError as error:
            raise LeftOutError(
                f"which part was not trained on is said by the training, which needs {error.name}: "
                "`pip install -e .[bench,train]`"
            ) from None

    return checked


@by_training
def utkface(names: list[str]) -> list[str]:
    """Those that the heads for age and ethnicity were not trained on."""
    from training.ethnicity import is_reported

    return [name for name in names if is_reported(name)]


@by_training
def mask(names: list[str]) -> list[str]:
    """Those of LFW whose persons the head for masks was not trained on."""
    from training.mask import is_reported

    return [name for name in names if is_reported(name)]


@by_training
def glasses(source: str) -> dict[str, str]:
    """Words by photograph of the part of an archive that the head was not trained on."""
    from training.glasses import TEST_SHARE
    from training.labelled_faces import read_labels, split_by_person

    from lunaria.vision.estimators.glasses import STATES

    labels = {name: word for name, word in read_labels(f"glasses_{source}").items() if word in STATES}
    return split_by_person(labels, TEST_SHARE)[1]


def liveness(names: list[str]) -> list[str]:
    """Of the photographs of one class those that slope and summand were not chosen on."""
    return sorted(names)[1::2]


@by_training
def liveness_persons(names: list[str]) -> list[str]:
    """One photograph of each of 150 persons of LFW that nothing was chosen on."""
    from training.labelled_faces import person_of
    from training.liveness import LFW_CHOOSING, LFW_PERSONS

    persons = {person_of(name): name for name in sorted(names, reverse=True)}
    drawn = np.random.default_rng(0).permutation(sorted(persons))[:LFW_PERSONS]
    return [persons[person] for person in drawn[LFW_CHOOSING:]]


def eyes() -> list[dict[str, str]]:
    """Labels of eyes that no threshold was chosen on: set, image, eye, state."""
    with (LABELS / "eyes_state.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["half"] == "report"]


def shoulders() -> dict[str, str]:
    """Words by photograph of LFW. The limits were looked at on the same."""
    with (LABELS / "shoulders.csv").open(newline="") as file:
        return {row["file"]: row["label"] for row in csv.DictReader(file)}
