"""The columns of event statistics: what can be computed of each, and how each can be compared.

`AGGREGATORS` and `COMPARISONS` are the two tables of the API's description. Fields of `meta` are not among them: all
of them are alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta
from sqlalchemy import Column

from lunaria.estimation.estimates import AccessoryColor, ClothingColor, Presence, Probability
from lunaria.events.statistics_schemas import Aggregator, Operator
from lunaria.matching.schemas import Age, ApparentAge, Identifier, Source, UserData
from lunaria.storage.schema import events

Aggregators = frozenset[Aggregator]
Operators = frozenset[Operator]

NAMES: tuple[Aggregator, ...] = ("count", "group_by")
MOMENTS: tuple[Aggregator, ...] = ("count", "max", "min")
NUMBERS: tuple[Aggregator, ...] = ("count", "max", "min", "avg")
CODES: tuple[Aggregator, ...] = (*NUMBERS, "group_by")

LIKE: tuple[Operator, ...] = ("like", "nlike")
LISTED: tuple[Operator, ...] = ("in", "nin")
SAME: tuple[Operator, ...] = (*LISTED, "eq", "neq")
BOUNDS: tuple[Operator, ...] = ("gt", "gte", "lt", "lte")
ORDERED: tuple[Operator, ...] = (*SAME, *BOUNDS)

AGGREGATORS: Mapping[str, tuple[Aggregator, ...]] = MappingProxyType(
    {
        "event_id": NAMES,
        "external_id": NAMES,
        "handler_id": NAMES,
        "stream_id": NAMES,
        "source": NAMES,
        "top_matching_candidates_label": NAMES,
        "top_similar_object_id": NAMES,
        "top_similar_external_id": NAMES,
        "top_similar_object_similarity": NUMBERS,
        "create_time": MOMENTS,
        "end_time": MOMENTS,
        "face_id": NAMES,
        "gender": CODES,
        "age": CODES,
        "emotion": CODES,
        "mask": CODES,
        "ethnic_group": CODES,
        "liveness": CODES,
        "deepfake": CODES,
        "user_data": NAMES,
        "tags": MOMENTS,
        "city": NAMES,
        "area": NAMES,
        "district": NAMES,
        "street": NAMES,
        "house_number": NAMES,
        "geo_position": ("count",),
        "track_id": NAMES,
        "apparent_age": CODES,
        "apparent_gender": CODES,
        "sleeve_length": NAMES,
        "headwear_state": CODES,
        "headwear_apparent_color": NAMES,
        "upper_clothing_colors": ("count",),
        "lower_garment_colors": ("count",),
        "lower_garment_type": NAMES,
        "shoes_apparent_color": NAMES,
        "backpack_state": CODES,
    }
)
META_AGGREGATORS = NUMBERS
"""`max` and `min` of `tags` are those of their number."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a column can be compared.

    `value`: the type of its values. `bound`: that of what it can be greater or less than, which need not be a value of
    the column. `nullable`: whether `eq` null is an operator of it: the events without a value.
    """

    operators: tuple[Operator, ...]
    value: Any
    nullable: bool = False
    bound: Any = None


def _code(value: Any) -> Comparison:
    return Comparison(ORDERED, value, nullable=True, bound=Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)])


_PART_OF_TAG = Annotated[str, Meta(min_length=1, max_length=36, pattern=r"^[^\x00]*$")]
_ID = Comparison(ORDERED, UUID)
_PLACE = Comparison(SAME, Identifier, nullable=True)
_PRESENCE = _code(Presence)
_ACCESSORY_COLOR = Comparison(SAME, AccessoryColor, nullable=True)
_CLOTHING_COLORS = Comparison(LISTED, ClothingColor, nullable=True)

COMPARISONS: Mapping[str, Comparison] = MappingProxyType(
    {
        "tags": Comparison(LIKE, _PART_OF_TAG),
        "source": Comparison(SAME, Source, nullable=True),
        "stream_id": Comparison(SAME, UUID, nullable=True),
        "user_data": Comparison(SAME, UserData),
        "account_id": _ID,
        "event_id": _ID,
        "external_id": Comparison(ORDERED, Identifier),
        "handler_id": _ID,
        "top_similar_object_id": _ID,
        "top_similar_external_id": Comparison(ORDERED, Identifier),
        "top_matching_candidates_label": Comparison(SAME, Identifier),
        "top_similar_object_similarity": Comparison(BOUNDS, Probability),
        "face_id": _ID,
        "gender": _code(Literal[0, 1]),
        "age": _code(Age),
        "emotion": _code(Literal[1, 2, 3, 4, 5, 6, 7]),
        "mask": _code(Literal[1, 2, 3]),
        "ethnic_group": _code(Literal[1, 2, 3, 4]),
        "liveness": _code(Literal[0, 1, 2]),
        "deepfake": _code(Literal[0, 1]),
        "city": _PLACE,
        "area": _PLACE,
        "district": _PLACE,
        "street": _PLACE,
        "house_number": _PLACE,
        "geo_position": Comparison(("covered",), None, nullable=True),
        "track_id": Comparison(SAME, Identifier, nullable=True),
        "apparent_age": _code(ApparentAge),
        "apparent_gender": _code(Literal[0, 1, 2]),
        "sleeve_length": Comparison(SAME, Literal["short", "long", "undefined"], nullable=True),
        "headwear_state": _PRESENCE,
        "upper_clothing_colors": _CLOTHING_COLORS,
        "backpack_state": _PRESENCE,
        "lower_garment_colors": _CLOTHING_COLORS,
        "headwear_apparent_color": _ACCESSORY_COLOR,
        "lower_garment_type": Comparison(SAME, Literal["undefined", "trousers", "shorts", "skirt"], nullable=True),
        "shoes_apparent_color": _ACCESSORY_COLOR,
    }
)

_NAMED_OTHERWISE = {
    "top_matching_candidates_label": "top_match_label",
    "top_similar_object_id": "top_match_object_id",
    "top_similar_external_id": "top_match_external_id",
    "top_similar_object_similarity": "top_match_similarity",
    "geo_position": "longitude",
}


def column_of(name: str) -> Column[Any]:
    """The column of `events` that a column of either table stands for; of a position its longitude."""
    return events.c[_NAMED_OTHERWISE.get(name, name)]
