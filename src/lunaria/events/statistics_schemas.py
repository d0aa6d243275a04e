"""Wire objects of event statistics. What the columns of events allow is in `statistics_columns`."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from lunaria.matching.schemas import ARRAY_LIMIT, Time

Aggregator = Literal["count", "max", "min", "avg", "group_by"]
Operator = Literal["like", "nlike", "in", "nin", "eq", "neq", "gt", "gte", "lt", "lte", "covered"]
Column = Annotated[
    str,
    Meta(
        description="A field of events, or `meta.<path>` with `:string`, `:integer` or `:numeric` behind it if wanted.",
        examples=["event_id", "gender", "meta.gate.temperature:numeric"],
    ),
]
Scalar = str | int | float | None

INTERVAL = r"([1-9][0-9]{0,4})([mhdwMy])"
FREQUENCIES = ("monthOfYear", "weekOfYear", "dayOfYear", "dayOfMonth", "dayOfWeek", "hourOfDay", "minuteOfHour")


class Target(Struct, frozen=True, forbid_unknown_fields=True):
    """A figure of all events of a group, or a column to group by."""

    column: Column
    aggregator: Aggregator


class GeoBox(Struct, frozen=True, forbid_unknown_fields=True):
    """A box round a place, in degrees: the place and how far the box goes from it."""

    origin_longitude: Annotated[float, Meta(ge=-180, le=180)]
    origin_latitude: Annotated[float, Meta(ge=-90, le=90)]
    longitude_delta: Annotated[float, Meta(ge=0, le=90)] = 0.01
    latitude_delta: Annotated[float, Meta(ge=0, le=90)] = 0.01


class Filter(Struct, frozen=True, forbid_unknown_fields=True):
    """A condition on the events that are counted."""

    column: Column
    operator: Operator
    value: Annotated[
        str | int | float | Annotated[list[Scalar], Meta(min_length=1, max_length=ARRAY_LIMIT)] | GeoBox | None,
        Meta(description="An array for `in` and `nin`, a box for `covered`; null with `eq`: no value."),
    ]


class Period(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """When the counted events were created.

    `begin` and `end`, or `create_time__gte` and `create_time__lt`, which say the same; or one bound as an operator and
    a value.
    """

    begin: Annotated[Time, Meta(description="Included.")] | None = None
    end: Annotated[Time, Meta(description="Excluded.")] | None = None
    create_time__gte: Time | None = None
    create_time__lt: Time | None = None
    column: Literal["create_time"] | None = None
    operator: Literal["gt", "gte", "lt", "lte"] | None = None
    value: Time | None = None


COUNT_OF_EVENTS = Target("event_id", "count")


class StatisticsRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What to compute, of which events, in which groups. All filters hold together."""

    targets: Annotated[
        list[Target], Meta(max_length=100, description="At least one has another aggregator than group_by.")
    ] = field(default_factory=lambda: [COUNT_OF_EVENTS])
    filters: Annotated[list[Filter], Meta(max_length=100)] = field(default_factory=list)
    period: Annotated[list[Period], Meta(max_length=2, description="One period. Its two bounds may be two items.")] = (
        field(default_factory=list)
    )
    group_by: (
        Annotated[
            str,
            Meta(
                description="Groups by creation time, in UTC: a number with m, h, d, w, M or y (intervals of so many "
                "minutes, hours, days, weeks, months, years), or the name of a frequency.",
                examples=["1d", "dayOfWeek"],
                extra_json_schema={"pattern": f"^({INTERVAL}|{'|'.join(FREQUENCIES)})$"},
            ),
        ]
        | None
    ) = None


class Statistics(Struct, frozen=True):
    """A row for every group; its values are those of `fields`, in the same order."""

    fields: Annotated[
        list[str], Meta(examples=[["time", "gender", "count(event_id)"]], description="What the values of a row are.")
    ]
    stats: list[list[Scalar]]
