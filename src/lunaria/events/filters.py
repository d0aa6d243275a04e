"""Conditions on stored events, and the order in which they are listed."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ARRAY, Column, ColumnElement, FromClause, Text, and_, func, literal, or_

from lunaria.events.meta_parameters import MetaFilter
from lunaria.storage.arrays import among
from lunaria.storage.schema import events

Ids = Sequence[UUID]
Codes = Sequence[int | None]
Texts = Sequence[str | None]
Order = Literal["asc", "desc"]

DEFAULT_DELTA = 0.01
"""Degrees from the middle of a box to its borders, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class GeoBox:
    """A box round a place, in degrees."""

    longitude: float
    latitude: float
    longitude_delta: float = DEFAULT_DELTA
    latitude_delta: float = DEFAULT_DELTA


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Conditions that events fulfil all together, under the names that the API gives them. None: no such condition.

    Lists: the event's value is one of the items, of which None stands for no value. An event has all of the `tags`
    and at least one of a list of colors. `user_data`: part of the user data, in capitals or not.
    """

    event_ids: Ids | None = None
    event_id__gte: UUID | None = None
    event_id__lt: UUID | None = None
    create_time__gte: datetime | None = None
    create_time__lt: datetime | None = None
    end_time__gte: datetime | None = None
    end_time__lt: datetime | None = None
    handler_ids: Ids | None = None
    face_ids: Ids | None = None
    external_ids: Sequence[str] | None = None
    user_data: str | None = None
    tags: Sequence[str] | None = None
    sources: Texts | None = None
    stream_ids: Sequence[UUID | None] | None = None
    track_ids: Texts | None = None
    cities: Texts | None = None
    areas: Texts | None = None
    districts: Texts | None = None
    streets: Texts | None = None
    house_numbers: Texts | None = None
    geo_position: GeoBox | None = None
    without_geo_position: bool = False
    top_matching_candidates_label: str | None = None
    top_similar_object_ids: Ids | None = None
    top_similar_external_ids: Sequence[str] | None = None
    top_similar_object_similarity__gte: float | None = None
    top_similar_object_similarity__lt: float | None = None
    gender: Codes | None = None
    age__gte: int | None = None
    age__lt: int | None = None
    emotions: Codes | None = None
    masks: Codes | None = None
    ethnic_groups: Codes | None = None
    liveness: Codes | None = None
    deepfake: Codes | None = None
    apparent_gender: Codes | None = None
    apparent_age__gte: int | None = None
    apparent_age__lt: int | None = None
    headwear_states: Codes | None = None
    headwear_apparent_colors: Texts | None = None
    sleeve_lengths: Texts | None = None
    upper_clothing_colors: Texts | None = None
    lower_garment_types: Texts | None = None
    lower_garment_colors: Texts | None = None
    shoes_apparent_colors: Texts | None = None
    backpack_states: Codes | None = None
    meta: Sequence[MetaFilter] = ()


LISTS: Mapping[str, str] = MappingProxyType(
    {
        "event_ids": "event_id",
        "handler_ids": "handler_id",
        "face_ids": "face_id",
        "external_ids": "external_id",
        "sources": "source",
        "stream_ids": "stream_id",
        "track_ids": "track_id",
        "cities": "city",
        "areas": "area",
        "districts": "district",
        "streets": "street",
        "house_numbers": "house_number",
        "top_similar_object_ids": "top_match_object_id",
        "top_similar_external_ids": "top_match_external_id",
        "gender": "gender",
        "emotions": "emotion",
        "masks": "mask",
        "ethnic_groups": "ethnic_group",
        "liveness": "liveness",
        "deepfake": "deepfake",
        "apparent_gender": "apparent_gender",
        "headwear_states": "headwear_state",
        "headwear_apparent_colors": "headwear_apparent_color",
        "sleeve_lengths": "sleeve_length",
        "lower_garment_types": "lower_garment_type",
        "shoes_apparent_colors": "shoes_apparent_color",
        "backpack_states": "backpack_state",
    }
)
"""Filters by a list of values, and the columns that hold one of them."""
_BOUNDS: Mapping[str, str] = MappingProxyType(
    {
        "event_id": "event_id",
        "create_time": "create_time",
        "end_time": "end_time",
        "age": "age",
        "apparent_age": "apparent_age",
        "top_similar_object_similarity": "top_match_similarity",
    }
)
"""Filters with a lower bound that is included and an upper one that is not."""
_TRIGRAM = re.compile(r"[^\W_]{3}")
"""What a part of a text must have so that the index of trigrams knows where it is."""
_COLORS = ("upper_clothing_colors", "lower_garment_colors")


def event_conditions(wanted: EventFilter, *, by_trigrams: bool = True) -> list[ColumnElement[bool]]:
    """The filter in SQL, for a statement on `events`.

    `by_trigrams`: whether the index of trigrams may tell where a part of the user data is. It names every event with
    all trigrams of the part, wherever they stand.
    """
    return [
        *bounds(wanted, *_BOUNDS),
        *(
            one_of(events.c[column], values)
            for name, column in LISTS.items()
            if (values := getattr(wanted, name)) is not None
        ),
        *(any_of(events.c[name], values) for name in _COLORS if (values := getattr(wanted, name)) is not None),
        *_texts(wanted, by_trigrams),
        *_places(wanted),
        *(one.condition for one in wanted.meta),
    ]


@dataclass(frozen=True, slots=True)
class Ordering:
    """The order in which events are listed: by a column first, whose values need not differ, then by id."""

    column: Column[Any]
    descending: bool

    def by(self, source: FromClause) -> list[ColumnElement[Any]]:
        """For ORDER BY in a statement on `events`, or on something with the same columns."""
        columns = [source.c[name] for name in dict.fromkeys([self.column.name, "event_id"])]
        return [column.desc() if self.descending else column.asc() for column in columns]

    def until(self, edge: Any) -> ColumnElement[bool]:
        """Whether an event comes before those with a value behind `edge`."""
        before: ColumnElement[bool] = self.column >= edge if self.descending else self.column <= edge
        return before


def ordering(wanted: EventFilter, order: Order | None) -> Ordering:
    """By id, ascending, when ids are bounded; else the newest first. `order` turns either round."""
    by_id = wanted.event_id__gte is not None or wanted.event_id__lt is not None
    column = events.c.event_id if by_id else events.c.create_time
    return Ordering(column, (order or ("asc" if by_id else "desc")) == "desc")


def one_of(column: Column[Any], values: Iterable[Any]) -> ColumnElement[bool]:
    """Whether the column has one of the values; None among them: no value."""
    known = list(dict.fromkeys(values))
    given = [value for value in known if value is not None]
    # An equation lets an index give the events in order, a list does not.
    found = column == given[0] if len(given) == 1 else among(column, given)
    if None not in known:
        return found
    return or_(column.is_(None), found) if given else column.is_(None)


def any_of(column: Column[Any], values: Iterable[Any]) -> ColumnElement[bool]:
    """Whether an array has one of the values; None among them: no array."""
    known = list(values)
    given = [value for value in known if value is not None]
    found = column.bool_op("&&")(_texts_array(given))
    if None not in known:
        return found
    return or_(column.is_(None), found) if given else column.is_(None)


def inside(box: GeoBox) -> ColumnElement[bool]:
    """Whether an event's position is in a box, its borders included."""
    return and_(
        events.c.latitude.between(box.latitude - box.latitude_delta, box.latitude + box.latitude_delta),
        events.c.longitude.between(box.longitude - box.longitude_delta, box.longitude + box.longitude_delta),
    )


def _texts_array(values: Iterable[str]) -> ColumnElement[Any]:
    return literal(list(values), ARRAY(Text))


def bounds(wanted: EventFilter, *names: str) -> list[ColumnElement[bool]]:
    """The conditions `<name>__gte` and `<name>__lt` of these names alone."""
    made: list[ColumnElement[bool]] = []
    for name in names:
        column = events.c[_BOUNDS[name]]
        lower, upper = getattr(wanted, f"{name}__gte"), getattr(wanted, f"{name}__lt")
        if lower is not None:
            made.append(column >= lower)
        if upper is not None:
            made.append(column < upper)
    return made


def words_of(part: str) -> list[str]:
    """The words in a part of a text; none where the index of trigrams cannot know where it is."""
    return re.findall(r"[^\W_]+", part) if _TRIGRAM.search(part) else []


def _texts(wanted: EventFilter, by_trigrams: bool) -> Iterable[ColumnElement[bool]]:
    if wanted.external_ids is not None and "" not in wanted.external_ids:
        yield events.c.external_id != ""  # follows from the list, and lets the partial index serve
    if wanted.top_matching_candidates_label is not None:
        yield events.c.top_match_label == wanted.top_matching_candidates_label
    if wanted.tags is not None:
        yield events.c.tags.bool_op("@>")(_texts_array(wanted.tags))
    if wanted.user_data is not None:
        yield from _part_of_user_data(wanted.user_data, by_trigrams)


def _part_of_user_data(part: str, by_trigrams: bool) -> Iterable[ColumnElement[bool]]:
    if part:
        yield events.c.user_data != ""  # follows from the part, and lets a partial index serve
    if by_trigrams and _TRIGRAM.search(part):
        yield events.c.user_data.icontains(part, autoescape=True)
    else:  # all of the index of trigrams would be read for nothing
        yield contains_text(events.c.user_data, part)


def contains_text(column: ColumnElement[str], part: str) -> ColumnElement[bool]:
    """Whether a text has a part, in capitals or not; no index is used."""
    found: ColumnElement[bool] = func.strpos(func.lower(column), func.lower(part)) > 0
    return found


def _places(wanted: EventFilter) -> Iterable[ColumnElement[bool]]:
    if wanted.geo_position is not None:
        yield inside(wanted.geo_position)
    if wanted.without_geo_position:
        yield events.c.longitude.is_(None)
