"""Which events a subscriber is told of: the filters of a websocket, tested on events as they are published."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, Struct

from lunaria.estimation.estimates import AccessoryColor, ClothingColor, Presence
from lunaria.events.columns import row_of
from lunaria.events.event import NewEvent
from lunaria.events.filters import DEFAULT_DELTA, LISTS, GeoBox
from lunaria.events.queries import LIMIT, Listed
from lunaria.http.query import Query, Text
from lunaria.matching.schemas import Age, ApparentAge, Identifier

_NUMBER = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)"
_BOX_NAMES = ("origin_longitude", "origin_latitude", "longitude_delta", "latitude_delta")
_BOX_PART = rf"({'|'.join(_BOX_NAMES)}),{_NUMBER}"
_GREATEST = (180.0, 90.0, 90.0, 90.0)

BoxText = Annotated[
    str,
    Meta(
        max_length=256,
        pattern=rf"^{_BOX_PART}(,{_BOX_PART}){{1,3}}$(?!\n)",
        description="A box: origin_longitude,36.6,origin_latitude,55.7 and, where they are not 0.01, longitude_delta "
        "and latitude_delta, in degrees.",
    ),
]


class SubscriptionQuery(Query, frozen=True, kw_only=True):
    """Conditions that the events of a subscription fulfil all together."""

    sources: Listed[Text] | None = None
    stream_ids: Listed[UUID] | None = None
    matching_candidates_labels: (
        Annotated[
            list[Text],
            Meta(min_length=1, max_length=LIMIT, description="Events with a candidate under one of these labels."),
        ]
        | None
    ) = None
    object_similarity__gte: Annotated[float, Meta(description="Of the best candidate of all labels.")] | None = None
    object_similarity__lt: float | None = None
    age__lt: Age | None = None
    age__gte: Age | None = None
    gender: Annotated[Literal[0, 1], Meta(description="0 - female, 1 - male")] | None = None
    ethnic_groups: Listed[Literal[1, 2, 3, 4]] | None = None
    liveness: Listed[Literal[0, 1, 2]] | None = None
    deepfake: Listed[Literal[0, 1]] | None = None
    tags: Annotated[list[Identifier], Meta(max_length=LIMIT, description="Events that have all of them.")] | None = None
    user_data: Annotated[Text, Meta(description="Part of the user data, in capitals or not.")] | None = None
    geo_position: BoxText | None = None
    cities: Listed[Text] | None = None
    areas: Listed[Text] | None = None
    districts: Listed[Text] | None = None
    streets: Listed[Text] | None = None
    house_numbers: Listed[Text] | None = None
    handler_ids: Listed[UUID] | None = None
    masks: Listed[Literal[1, 2, 3]] | None = None
    emotions: Listed[Literal[1, 2, 3, 4, 5, 6, 7]] | None = None
    apparent_gender: Listed[Literal[0, 1, 2]] | None = None
    apparent_age__gte: ApparentAge | None = None
    apparent_age__lt: ApparentAge | None = None
    headwear_states: Listed[Presence] | None = None
    headwear_apparent_colors: Listed[AccessoryColor] | None = None
    sleeve_lengths: Listed[Literal["short", "long", "undefined"]] | None = None
    upper_clothing_colors: Listed[ClothingColor] | None = None
    lower_garment_colors: Listed[ClothingColor] | None = None
    lower_garment_types: Listed[Literal["undefined", "trousers", "shorts", "skirt"]] | None = None
    shoes_apparent_colors: Listed[AccessoryColor] | None = None
    backpack_states: Listed[Presence] | None = None

    def __post_init__(self) -> None:
        if self.geo_position is not None:
            read_box(self.geo_position)


def read_box(text: str) -> GeoBox:
    """The box of names and numbers in turn. Raises ValueError."""
    parts = text.split(",")
    names, values = parts[::2], [float(value) for value in parts[1::2]]
    given = dict(zip(names, values, strict=True))
    if len(given) < len(names):
        raise ValueError("geo_position: a name is given twice")
    missing = [name for name in _BOX_NAMES[:2] if name not in given]
    if missing:
        raise ValueError(f"geo_position: {missing[0]} is missing")
    for name, greatest in zip(_BOX_NAMES, _GREATEST, strict=True):
        least = 0.0 if name.endswith("delta") else -greatest
        if not least <= given.get(name, DEFAULT_DELTA) <= greatest:
            raise ValueError(f"geo_position: {name} must be from {least:g} to {greatest:g}")
    return GeoBox(*(given.get(name, DEFAULT_DELTA) for name in _BOX_NAMES))


class Facts(Struct, frozen=True):
    """What subscriptions ask of an event, apart from the event, so that other server processes can test it too."""

    handler_id: UUID
    source: str | None
    stream_id: UUID | None
    tags: list[str]
    user_data: str
    city: str | None
    area: str | None
    district: str | None
    street: str | None
    house_number: str | None
    longitude: float | None
    latitude: float | None
    gender: int | None
    age: int | None
    ethnic_group: int | None
    emotion: int | None
    mask: int | None
    liveness: int | None
    deepfake: int | None
    apparent_gender: int | None
    apparent_age: int | None
    headwear_state: int | None
    headwear_apparent_color: str | None
    sleeve_length: str | None
    upper_clothing_colors: list[str] | None
    lower_garment_type: str | None
    lower_garment_colors: list[str] | None
    shoes_apparent_color: str | None
    backpack_state: int | None
    labels: list[str]
    """Of the match policy's entries that ran."""
    similarity: float | None
    """Of the best candidate of all labels."""


def facts_of(new: NewEvent) -> Facts:
    row = row_of(new)
    matches = new.event.matches or ()
    similarities = (candidate.similarity for found in matches for candidate in found.candidates)
    return Facts(
        **{name: row[name] for name in _COLUMNS},
        labels=[found.label for found in matches if found.candidates],
        similarity=max(similarities, default=None),
    )


_COLUMNS = tuple(name for name in Facts.__struct_fields__ if name not in ("labels", "similarity"))
_ONE_OF: Mapping[str, str] = MappingProxyType(
    {name: LISTS[name] for name in SubscriptionQuery.__struct_fields__ if name in LISTS and name != "gender"}
)
"""Filters by a list of values, and the facts that are one of them, which are named as the columns of stored events."""
_ANY_OF: Mapping[str, str] = MappingProxyType(
    {
        "matching_candidates_labels": "labels",
        "upper_clothing_colors": "upper_clothing_colors",
        "lower_garment_colors": "lower_garment_colors",
    }
)
"""Filters by a list of values, and the facts that are lists themselves: one common value is enough."""
_BOUNDS: Mapping[str, str] = MappingProxyType(
    {"age": "age", "apparent_age": "apparent_age", "object_similarity": "similarity"}
)
"""Filters with a lower bound that is included and an upper one that is not."""

Condition = Callable[[Facts], bool]


class Subscription:
    """The filters of a subscriber, made ready for being tested on many events."""

    def __init__(self, wanted: SubscriptionQuery) -> None:
        self._conditions = _conditions(wanted)

    def passes(self, facts: Facts) -> bool:
        """Whether the subscriber is told of the event. What is not known of an event passes no filter on it."""
        return all(condition(facts) for condition in self._conditions)


def _conditions(wanted: SubscriptionQuery) -> list[Condition]:
    made: list[Condition] = []
    for name, fact in _ONE_OF.items():
        if (values := getattr(wanted, name)) is not None:
            made.append(_is_one_of(fact, frozenset(values)))
    for name, fact in _ANY_OF.items():
        if (values := getattr(wanted, name)) is not None:
            made.append(_has_any_of(fact, frozenset(values)))
    for name, fact in _BOUNDS.items():
        least, bound = getattr(wanted, f"{name}__gte"), getattr(wanted, f"{name}__lt")
        if least is not None or bound is not None:
            made.append(_is_within(fact, -math.inf if least is None else least, math.inf if bound is None else bound))
    if wanted.gender is not None:
        made.append(_is_one_of("gender", frozenset({wanted.gender})))
    if wanted.tags is not None:
        made.append(_has_tags(frozenset(wanted.tags)))
    if wanted.user_data is not None:
        made.append(_says(wanted.user_data.lower()))
    if wanted.geo_position is not None:
        made.append(_lies_in(read_box(wanted.geo_position)))
    return made


def _is_one_of(fact: str, values: frozenset[Any]) -> Condition:
    return lambda facts: getattr(facts, fact) in values


def _has_any_of(fact: str, values: frozenset[Any]) -> Condition:
    return lambda facts: not values.isdisjoint(getattr(facts, fact) or ())


def _is_within(fact: str, least: float, bound: float) -> Condition:
    def within(facts: Facts) -> bool:
        value = getattr(facts, fact)
        return value is not None and least <= value < bound

    return within


def _has_tags(tags: frozenset[str]) -> Condition:
    return lambda facts: tags.issubset(facts.tags)


def _says(part: str) -> Condition:
    return lambda facts: part in facts.user_data.lower()


def _lies_in(box: GeoBox) -> Condition:
    def inside(facts: Facts) -> bool:
        if facts.longitude is None or facts.latitude is None:
            return False
        return (
            box.longitude - box.longitude_delta <= facts.longitude <= box.longitude + box.longitude_delta
            and box.latitude - box.latitude_delta <= facts.latitude <= box.latitude + box.latitude_delta
        )

    return inside
