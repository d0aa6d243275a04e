"""Filters and periods of statistics: read, checked, and turned into SQL.

Whatever is wrong raises 400/12022 with the path of the field.
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta
from msgspec.structs import astuple
from sqlalchemy import ARRAY, Column, ColumnElement, Integer, Text, func, literal, not_

from lunaria.events import filters
from lunaria.events.filters import any_of, inside
from lunaria.events.meta_filters import META_TYPES, MetaPath, MetaType, meta_condition, read_meta_path
from lunaria.events.statistics_columns import (
    BOUNDS,
    COMPARISONS,
    LIKE,
    LISTED,
    Comparison,
    column_of,
)
from lunaria.events.statistics_schemas import Filter, GeoBox, Operator, Period
from lunaria.http.bodies import validation_error
from lunaria.http.errors import ApiError
from lunaria.kit.times import parse_time
from lunaria.storage.arrays import among
from lunaria.storage.schema import events

META = "meta."
_META_VALUES: Mapping[MetaType, Any] = MappingProxyType(
    {
        "string": Annotated[str, Meta(max_length=4096, pattern=r"^[^\x00]*$")],
        "integer": Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)],
        "numeric": Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | float,
    }
)
_COMPARED: Mapping[str, Callable[[Any, Any], ColumnElement[bool]]] = MappingProxyType(
    {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}
)


def filter_conditions(filters: Sequence[Filter]) -> list[ColumnElement[bool]]:
    """The filters in SQL, for a statement on `events`."""
    return [
        (_meta_condition if wanted.column.startswith(META) else _condition)(wanted, f"filters.{number}")
        for number, wanted in enumerate(filters)
    ]


def period_conditions(period: Sequence[Period]) -> list[ColumnElement[bool]]:
    """The period in SQL, for a statement on `events`."""
    bounds = [bound for number, item in enumerate(period) for bound in _bounds(item, f"period.{number}")]
    if len(period) > 1 and any(item.operator is None for item in period):
        raise ApiError(12022, "period", "only one period is possible")
    for side in ("gt", "lt"):
        if sum(name.startswith(side) for name, _ in bounds) > 1:
            raise ApiError(12022, "period", "only one period is possible, with one bound on each side")
    return [condition for _, condition in bounds]


def read_meta_column(column: str, path: str) -> tuple[MetaPath, MetaType | None]:
    """The path of `meta.gate.temperature:numeric`, and the type if one is given."""
    name, colon, kind = column.removeprefix(META).partition(":")
    try:
        found = read_meta_path(name)
    except ValueError as error:
        raise ApiError(12022, f"{path}.column", error) from None
    for known in META_TYPES:
        if kind == known:
            return found, known
    if colon:
        raise ApiError(12022, f"{path}.column", f"'{kind[:40]}' is no type, valid: {', '.join(META_TYPES)}")
    return found, None


def _bounds(item: Period, path: str) -> Iterable[tuple[str, ColumnElement[bool]]]:
    """Each bound with its operator."""
    named: dict[str, str | None] = {
        "begin": "gte",
        "end": "lt",
        "create_time__gte": "gte",
        "create_time__lt": "lt",
        "value": item.operator,
    }
    if (item.operator is None) != (item.value is None) or (item.column is not None and item.value is None):
        raise ApiError(12022, path, "operator and value belong together")
    for field, name in named.items():
        text = getattr(item, field)
        if text is not None and name is not None:
            try:
                moment = parse_time(text)
            except ValueError as error:
                raise ApiError(12022, f"{path}.{field}", error) from None
            yield name, _COMPARED[name](events.c.create_time, moment)


def _condition(wanted: Filter, path: str) -> ColumnElement[bool]:
    comparison = COMPARISONS.get(wanted.column)
    if comparison is None:
        told = f"'{wanted.column[:40]}' is no column to filter by, valid: {', '.join(COMPARISONS)}, meta.*"
        raise ApiError(12022, f"{path}.column", told)
    column = column_of(wanted.column)
    if wanted.operator == "eq" and wanted.value is None and comparison.nullable:
        return column.is_(None)
    if wanted.operator not in comparison.operators:
        possible: list[str] = [*comparison.operators]
        if comparison.nullable and "eq" not in possible:
            possible.append("eq (with null)")
        raise ApiError(12022, f"{path}.operator", _not_available(wanted, possible))
    if wanted.operator in LIKE:
        return _tag_contains(_read(wanted.value, comparison.value, path), negated=wanted.operator == "nlike")
    if wanted.operator in LISTED:
        values = _read(wanted.value, list[comparison.value], path)  # type: ignore[name-defined]
        return _among(column, values, negated=wanted.operator == "nin")
    if wanted.operator == "covered":
        box: GeoBox = _read(wanted.value, GeoBox, path)
        return inside(filters.GeoBox(*astuple(box)))
    return _compared(column, wanted.operator, comparison, wanted.value, path)


def _not_available(wanted: Filter, possible: Sequence[str]) -> str:
    return f"'{wanted.operator}' is not available for '{wanted.column[:40]}', available: {', '.join(possible)}"


def _read(value: Any, kind: Any, path: str) -> Any:
    """The value as one of the column's type."""
    if isinstance(value, GeoBox) and kind is not GeoBox:
        raise ApiError(12022, f"{path}.value", "an object is possible with 'covered' only")
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise validation_error(error, f"{path}.value") from None


def _among(column: Column[Any], values: Sequence[Any], *, negated: bool) -> ColumnElement[bool]:
    found = any_of(column, values) if isinstance(column.type, ARRAY) else among(column, values)
    return not_(found) if negated else found


def _tag_contains(text: str, *, negated: bool) -> ColumnElement[bool]:
    """Whether one of the tags contains the text.

    Looked up in all tags joined by a character that is not in the text, so that it cannot be found across two.
    """
    joint = next(character for character in map(chr, range(1, 256)) if character not in text)
    place = func.strpos(func.array_to_string(events.c.tags, joint), text, type_=Integer)
    return place == 0 if negated else place > 0


def _compared(
    column: Column[Any], name: Operator, comparison: Comparison, value: Any, path: str
) -> ColumnElement[bool]:
    if name in BOUNDS:
        bound = _read(value, comparison.bound or comparison.value, path)
        if isinstance(bound, int):
            return _COMPARED[name](column, literal(bound, Integer))  # may be more than the column holds
        return _COMPARED[name](column.collate("C") if isinstance(column.type, Text) else column, bound)
    same: ColumnElement[bool] = column == _read(value, comparison.value, path)
    return same if name == "eq" else not_(same)


def _meta_condition(wanted: Filter, path: str) -> ColumnElement[bool]:
    found, given = read_meta_column(wanted.column, path)
    if wanted.operator == "covered":
        raise ApiError(12022, f"{path}.operator", _not_available(wanted, [*get_args(Operator)[:-1]]))
    listed = wanted.operator in LISTED
    if listed != isinstance(wanted.value, list):
        raise ApiError(12022, f"{path}.value", "an array is needed" if listed else "an array needs 'in' or 'nin'")
    values: list[Any] = wanted.value if isinstance(wanted.value, list) else [wanted.value]
    kind = given or _type_of(values, path)
    if wanted.operator in LIKE and kind != "string":
        raise ApiError(12022, f"{path}.operator", f"'{wanted.operator}' is not available for numbers")
    if None in values and wanted.operator in (*LIKE, *BOUNDS):
        raise ApiError(12022, f"{path}.value", "null is possible with 'eq', 'neq', 'in' and 'nin' only")
    known = [value if value is None else _read(value, _META_VALUES[kind], path) for value in values]
    return meta_condition(found, kind, wanted.operator, known if listed else known[0])


def _type_of(values: Sequence[Any], path: str) -> MetaType:
    """The type that the values have, where the column does not tell it."""
    known = [value for value in values if value is not None]
    if all(isinstance(value, str) for value in known):
        return "string"
    if any(isinstance(value, str) for value in known):
        raise ApiError(12022, f"{path}.value", "texts and numbers in one array")
    return "numeric"
