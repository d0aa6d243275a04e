"""Filters of policies: which of the persons that were found a policy applies to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from lunaria.estimation.queries import CODES_LIMIT

Label = Annotated[str, Meta(min_length=1, max_length=36, pattern=r"^[^\x00]*$")]
Similarity = Annotated[float, Meta(ge=0, le=1)]
Years = Annotated[int, Meta(ge=0, le=100)]
Emotions = Annotated[
    list[Literal[1, 2, 3, 4, 5, 6, 7]],
    Meta(
        min_length=1,
        max_length=CODES_LIMIT,
        description="1 - anger, 2 - disgust, 3 - fear, 4 - happiness, 5 - neutral, 6 - sadness, 7 - surprise.",
    ),
]
EthnicGroups = Annotated[
    list[Literal[1, 2, 3, 4]],
    Meta(
        min_length=1,
        max_length=CODES_LIMIT,
        description="1 - african american, 2 - indian, 3 - asian, 4 - caucasian.",
    ),
]
Masks = Annotated[
    list[Literal[1, 2, 3]],
    Meta(min_length=1, max_length=CODES_LIMIT, description="1 - missing, 2 - medical mask, 3 - occluded."),
]


class PersonFilters(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Conditions on the estimates of a person, which hold all together. What was not estimated fulfils none."""

    gender: Annotated[Literal[0, 1], Meta(description="0 - female, 1 - male.")] | None = None
    age__gte: Years | None = None
    age__lt: Years | None = None
    emotions: Emotions | None = None
    ethnicities: EthnicGroups | None = None
    mask: Masks | None = None
    liveness: (
        Annotated[
            list[Literal[0, 1, 2]],
            Meta(min_length=1, max_length=CODES_LIMIT, description="0 - spoof, 1 - real, 2 - unknown."),
        ]
        | None
    ) = None
    deepfake: (
        Annotated[list[Literal[0, 1]], Meta(min_length=1, max_length=CODES_LIMIT, description="0 - fake, 1 - real.")]
        | None
    ) = None
    ethnic_groups: Annotated[EthnicGroups, Meta(description="Another name of `ethnicities`.")] | None = None
    masks: Annotated[Masks, Meta(description="Another name of `mask`.")] | None = None

    def __post_init__(self) -> None:
        _merge_alias(self, "ethnicities", "ethnic_groups")
        _merge_alias(self, "mask", "masks")


class LabelFilter(Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds, both included, of the best similarity that was found under a label. Without candidates it is 0."""

    label: Label
    similarity__gte: Similarity = 0.0
    similarity__lte: Similarity = 1.0


class Filters(PersonFilters, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Conditions on the estimates of a person and on the matches found for it, which hold all together."""

    match: Annotated[list[LabelFilter], Meta(max_length=30)] | None = None

    @property
    def labels(self) -> list[str]:
        """The labels of the match policy that are spoken of."""
        return [one.label for one in self.match or ()]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is known of a person; codes as the API numbers them, None: not estimated.

    `similarities`: by label the best similarity among the candidates that were found.
    """

    gender: int | None = None
    age: int | None = None
    emotion: int | None = None
    ethnicity: int | None = None
    mask: int | None = None
    liveness: int | None = None
    deepfake: int | None = None
    similarities: Mapping[str, float] = field(default_factory=dict)


def passes(filters: PersonFilters, subject: Subject) -> bool:
    """Whether the person fulfils every condition."""
    among = (
        (filters.emotions, subject.emotion),
        (filters.ethnicities, subject.ethnicity),
        (filters.mask, subject.mask),
        (filters.liveness, subject.liveness),
        (filters.deepfake, subject.deepfake),
    )
    return (
        (filters.gender is None or subject.gender == filters.gender)
        and _in_years(filters, subject.age)
        and all(_is_among(wanted, code) for wanted, code in among)
        and (not isinstance(filters, Filters) or _is_matched(filters.match or (), subject.similarities))
    )


def _merge_alias(filters: PersonFilters, name: str, alias: str) -> None:
    """Move what was given under another name to the right one. Raises ValueError where both were given."""
    given = getattr(filters, alias)
    if given is None:
        return
    if getattr(filters, name) is not None:
        raise ValueError(f"{name} and {alias} are the same, only one may be given")
    force_setattr(filters, name, given)
    force_setattr(filters, alias, None)


def _in_years(filters: PersonFilters, age: int | None) -> bool:
    if filters.age__gte is None and filters.age__lt is None:
        return True
    if age is None:
        return False
    return (filters.age__gte or 0) <= age and (filters.age__lt is None or age < filters.age__lt)


def _is_among(wanted: Sequence[int] | None, code: int | None) -> bool:
    return wanted is None or code in wanted


def _is_matched(wanted: Sequence[LabelFilter], similarities: Mapping[str, float]) -> bool:
    return all(one.similarity__gte <= similarities.get(one.label, 0.0) <= one.similarity__lte for one in wanted)
