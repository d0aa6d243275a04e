"""Which persons a filter of a policy lets pass."""

from typing import Any

import msgspec
import pytest

from lunaria.handlers.filters import Filters, PersonFilters, Subject, passes

KNOWN = Subject(
    gender=1,
    age=30,
    emotion=4,
    ethnicity=2,
    mask=1,
    liveness=1,
    deepfake=1,
    similarities={"vip": 0.8, "staff": 0.2},
)
UNKNOWN = Subject()


def read(given: dict[str, Any]) -> Filters:
    return msgspec.convert(given, Filters)


@pytest.mark.parametrize("subject", [KNOWN, UNKNOWN])
def test_without_conditions_everybody_passes(subject: Subject) -> None:
    assert passes(Filters(), subject)
    assert passes(PersonFilters(), subject)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"gender": 1}, True),
        ({"gender": 0}, False),
        ({"emotions": [1, 4]}, True),
        ({"emotions": [1, 2]}, False),
        ({"ethnicities": [2]}, True),
        ({"ethnicities": [1, 3, 4]}, False),
        ({"mask": [1]}, True),
        ({"mask": [2, 3]}, False),
        ({"liveness": [1, 2]}, True),
        ({"liveness": [0]}, False),
        ({"deepfake": [1]}, True),
        ({"deepfake": [0]}, False),
        ({"age__gte": 30}, True),
        ({"age__gte": 31}, False),
        ({"age__lt": 31}, True),
        ({"age__lt": 30}, False),
        ({"age__gte": 30, "age__lt": 31}, True),
        ({"gender": 1, "emotions": [4], "age__gte": 18, "mask": [1], "liveness": [1]}, True),
        ({"gender": 1, "emotions": [4], "age__gte": 18, "mask": [1], "liveness": [0]}, False),
    ],
)
def test_conditions_on_estimates(given: dict[str, Any], expected: bool) -> None:
    assert passes(read(given), KNOWN) is expected
    assert passes(msgspec.convert(given, PersonFilters), KNOWN) is expected


@pytest.mark.parametrize(
    "given",
    [
        *({"gender": 0}, {"age__gte": 0}, {"age__lt": 100}, {"emotions": [1, 2, 3, 4, 5, 6, 7]}),
        *({"ethnicities": [1, 2, 3, 4]}, {"mask": [1, 2, 3]}, {"liveness": [0, 1, 2]}, {"deepfake": [0, 1]}),
    ],
)
def test_what_was_not_estimated_does_not_pass(given: dict[str, Any]) -> None:
    assert not passes(read(given), UNKNOWN)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"label": "vip"}, True),
        ({"label": "vip", "similarity__gte": 0.8}, True),
        ({"label": "vip", "similarity__gte": 0.81}, False),
        ({"label": "vip", "similarity__lte": 0.8}, True),
        ({"label": "vip", "similarity__lte": 0.79}, False),
        ({"label": "vip", "similarity__gte": 0.7, "similarity__lte": 0.9}, True),
        ({"label": "nobody", "similarity__lte": 0.6}, True),
        ({"label": "nobody", "similarity__gte": 0.0}, True),
        ({"label": "nobody", "similarity__gte": 0.01}, False),
    ],
)
def test_best_similarity_of_a_label(bounds: dict[str, Any], expected: bool) -> None:
    """Both bounds are included, and without candidates the similarity is 0: so unknown persons can be chosen."""
    assert passes(read({"match": [bounds]}), KNOWN) is expected


def test_every_label_has_to_fit() -> None:
    wanted = {"match": [{"label": "vip", "similarity__gte": 0.5}, {"label": "staff", "similarity__lte": 0.5}]}
    assert passes(read(wanted), KNOWN)
    wanted["match"][1]["similarity__lte"] = 0.1
    assert not passes(read(wanted), KNOWN)
    assert not passes(read({"match": [{"label": "vip"}], "gender": 0}), KNOWN)


def test_other_names_of_filters() -> None:
    assert read({"ethnic_groups": [1], "masks": [2]}) == read({"ethnicities": [1], "mask": [2]})
    assert msgspec.to_builtins(read({"ethnic_groups": [1], "masks": [2]})) == {"ethnicities": [1], "mask": [2]}
    for twice in ({"ethnic_groups": [1], "ethnicities": [1]}, {"masks": [1], "mask": [1]}):
        with pytest.raises(msgspec.ValidationError, match="only one may be given"):
            read(twice)


@pytest.mark.parametrize(
    "given",
    [
        *({"gender": 2}, {"gender": "1"}, {"age__gte": -1}, {"age__lt": 101}, {"emotions": []}, {"emotions": [8]}),
        *({"mask": [0]}, {"ethnicities": [5]}, {"liveness": [3]}, {"deepfake": [2]}, {"unknown": 1}),
        *({"match": [{}]}, {"match": [{"label": ""}]}, {"match": [{"label": "a", "similarity__lt": 0.5}]}),
        *({"match": [{"label": "a", "similarity__gte": 1.1}]}, {"match": [{"label": "a"}] * 31}),
    ],
)
def test_bad_filters_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        read(given)


def test_the_filters_of_a_match_policy_know_no_labels() -> None:
    with pytest.raises(msgspec.ValidationError, match="match"):
        msgspec.convert({"match": [{"label": "a"}]}, PersonFilters)
