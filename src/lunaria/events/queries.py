"""Query parameters of stored events."""

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType, field

from lunaria.estimation.estimates import AccessoryColor, ClothingColor, Presence
from lunaria.events.filters import DEFAULT_DELTA, EventFilter, GeoBox, Order
from lunaria.events.meta_parameters import NAME_PATTERN, MetaFilter, read_meta_filter
from lunaria.events.places import Latitude, Longitude
from lunaria.events.stored import EVENT_TARGETS
from lunaria.http.errors import ApiError
from lunaria.http.query import OfAccount, Page, PageSize, Query, Text
from lunaria.matching.schemas import Age, ApparentAge, Identifier

LIMIT = 1000
"""Most values in one parameter."""
META_LIMIT = 100
"""Most conditions on fields of meta."""

_Value = TypeVar("_Value")
Listed = Annotated[list[_Value], Meta(min_length=1, max_length=LIMIT)]
OneOf = Annotated[
    list[_Value | None],
    Meta(min_length=1, max_length=LIMIT, description="Events with one of these values; null: without a value."),
]
Delta = Annotated[float, Meta(ge=0, le=90, description="Degrees from the origin to the borders of the box.")]
Targets = Annotated[
    list[Annotated[str, Meta(extra_json_schema={"enum": list(EVENT_TARGETS)})]],
    Meta(min_length=1, description="Fields to show; all by default."),
]


def check_event_targets(given: Collection[str] | None) -> None:
    """Raises 400/23005 for a target that events do not have."""
    for target in given or ():
        if target not in EVENT_TARGETS:
            raise ApiError(23005, target, ", ".join(EVENT_TARGETS))


class EventSelection(Query, frozen=True, kw_only=True):
    """What to show of one event."""

    target: Targets | None = None

    def __post_init__(self) -> None:
        check_event_targets(self.target)


class EventsQuery(OfAccount, frozen=True, kw_only=True):
    """Conditions that events fulfil all together, a page of what fulfils them, and what to show."""

    target: Targets | None = None
    create_time__gte: datetime | None = None
    create_time__lt: datetime | None = None
    end_time__gte: datetime | None = None
    end_time__lt: datetime | None = None
    sources: OneOf[Text] | None = None
    stream_ids: OneOf[UUID] | None = None
    cities: OneOf[Text] | None = None
    areas: OneOf[Text] | None = None
    districts: OneOf[Text] | None = None
    streets: OneOf[Text] | None = None
    house_numbers: OneOf[Text] | None = None
    origin_longitude: (
        Annotated[Longitude, Meta(description="Middle of a box; null: events without a position.")] | UnsetType | None
    ) = UNSET
    origin_latitude: (
        Annotated[Latitude, Meta(description="Middle of a box; null: events without a position.")] | UnsetType | None
    ) = UNSET
    longitude_delta: Delta | None = None
    latitude_delta: Delta | None = None
    top_matching_candidates_label: Text | None = None
    top_similar_object_ids: Listed[UUID] | None = None
    top_similar_external_ids: Listed[Identifier] | None = None
    top_similar_object_similarity__gte: float | None = None
    top_similar_object_similarity__lt: float | None = None
    age__lt: Age | None = None
    age__gte: Age | None = None
    gender: Annotated[Literal[0, 1], Meta(description="0 - female, 1 - male")] | UnsetType | None = UNSET
    emotions: OneOf[Literal[1, 2, 3, 4, 5, 6, 7]] | None = None
    masks: OneOf[Literal[1, 2, 3]] | None = None
    ethnic_groups: OneOf[Literal[1, 2, 3, 4]] | None = None
    liveness: OneOf[Literal[0, 1, 2]] | None = None
    deepfake: OneOf[Literal[0, 1]] | None = None
    apparent_gender: OneOf[Literal[0, 1, 2]] | None = None
    apparent_age__gte: ApparentAge | None = None
    apparent_age__lt: ApparentAge | None = None
    headwear_states: OneOf[Presence] | None = None
    headwear_apparent_colors: OneOf[AccessoryColor] | None = None
    sleeve_lengths: OneOf[Literal["short", "long", "undefined"]] | None = None
    upper_clothing_colors: OneOf[ClothingColor] | None = None
    lower_garment_colors: OneOf[ClothingColor] | None = None
    lower_garment_types: OneOf[Literal["undefined", "trousers", "shorts", "skirt"]] | None = None
    shoes_apparent_colors: OneOf[AccessoryColor] | None = None
    backpack_states: OneOf[Presence] | None = None
    face_ids: Listed[UUID] | None = None
    event_ids: Listed[UUID] | None = None
    event_id__gte: UUID | None = None
    event_id__lt: UUID | None = None
    handler_ids: Listed[UUID] | None = None
    external_ids: Listed[Text] | None = None
    user_data: Annotated[Text, Meta(description="Part of the user data, in capitals or not.")] | None = None
    tags: Annotated[list[Identifier], Meta(max_length=LIMIT, description="Events that have all of them.")] | None = None
    track_ids: OneOf[Identifier] | None = None
    meta: Annotated[
        dict[str, str],
        Meta(
            description="Conditions on the event's own fields, each a parameter: `meta.<path>[__operator][:type]`. "
            "Operators: eq (default), neq, like, nlike, in, nin, gt, gte, lt, lte; like and nlike are for strings. "
            "Types: string (default), integer, numeric. null stands for a field that lacks, except in comparisons.",
            extra_json_schema={"propertyNames": {"pattern": NAME_PATTERN}, "maxProperties": META_LIMIT},
        ),
    ] = field(default_factory=dict)
    order: Annotated[Order, Meta(description="desc: the newest come first.")] | None = None
    page: Page = 1
    page_size: PageSize = 10

    def __post_init__(self) -> None:
        check_event_targets(self.target)
        self._check_position()

    def _check_position(self) -> None:
        origins = {"origin_longitude": self.origin_longitude, "origin_latitude": self.origin_latitude}
        deltas = {"longitude_delta": self.longitude_delta, "latitude_delta": self.latitude_delta}
        given_deltas = ",".join(name for name, value in deltas.items() if value is not None)
        if None in origins.values():
            if given_deltas:
                raise ApiError(12012, given_deltas, "a delta needs both origins as numbers")
            return
        missing = [name for name, value in origins.items() if value is UNSET]
        if len(missing) == 1 or (missing and given_deltas):
            raise ApiError(12012, ",".join(missing), "origin_longitude and origin_latitude belong together")

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.page_size

    @property
    def any_time(self) -> bool:
        """Whether events of any time are wanted, and not just those of the last month."""
        bounds = (self.event_ids, self.event_id__gte, self.event_id__lt, self.create_time__gte, self.create_time__lt)
        return any(bound is not None for bound in bounds)

    @property
    def filter(self) -> EventFilter:
        """The conditions. Raises 400/12012 for one on a field of meta that cannot be read."""
        return EventFilter(
            **{name: getattr(self, name) for name in _SAME},
            gender=None if self.gender is UNSET else [self.gender],
            geo_position=self._box,
            without_geo_position=None in (self.origin_longitude, self.origin_latitude),
            meta=self._meta,
        )

    @property
    def _box(self) -> GeoBox | None:
        longitude, latitude = self.origin_longitude, self.origin_latitude
        if not isinstance(longitude, float) or not isinstance(latitude, float):
            return None
        deltas = (self.longitude_delta, self.latitude_delta)
        return GeoBox(longitude, latitude, *(DEFAULT_DELTA if delta is None else delta for delta in deltas))

    @property
    def _meta(self) -> list[MetaFilter]:
        if len(self.meta) > META_LIMIT:
            raise ApiError(12012, "meta", f"more than {META_LIMIT} conditions")
        made = []
        for name, text in self.meta.items():
            try:
                made.append(read_meta_filter(name, text))
            except ValueError as error:
                raise ApiError(12012, f"meta.{name}", error) from None
        return made


_APART = {"gender", "geo_position", "without_geo_position", "meta"}
_SAME: tuple[Any, ...] = tuple(name for name in EventFilter.__dataclass_fields__ if name not in _APART)
"""Conditions that a query and the filter have under one name and in one form."""
