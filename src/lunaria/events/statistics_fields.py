"""The fields of statistics: times and columns to group by, figures of every group. Each has its SQL and its name.

Whatever is wrong raises 400/12022 with the path of the field.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Column, ColumnElement, DateTime, Integer, Interval, Text, cast, func, literal, not_
from sqlalchemy.dialects.postgresql import JSONB

from lunaria.events.meta_filters import MetaType, meta_missing, meta_value
from lunaria.events.statistics_columns import AGGREGATORS, META_AGGREGATORS, column_of
from lunaria.events.statistics_filters import META, read_meta_column
from lunaria.events.statistics_schemas import FREQUENCIES, INTERVAL, Target
from lunaria.http.errors import ApiError
from lunaria.storage.schema import events

Shown = Callable[[Any], Any]

ORIGIN = datetime(1, 1, 8, tzinfo=UTC)
"""Where intervals are counted from: a midnight, so that hours begin with the day, and a Monday, so that weeks do.
The week before it, the first of all, belongs to the first interval."""
_ORIGIN = literal(ORIGIN, DateTime(timezone=True))
_LENGTHS = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_MONTHS = {"M": 1, "y": 12}
_PARTS = ("month", "week", "doy", "day", "isodow", "hour", "minute")
"""PostgreSQL's names of the frequencies; weeks as in ISO 8601, and Monday is day 1."""


@dataclass(frozen=True, slots=True)
class Field:
    """One value of every row. `grouped`: whether it tells the groups apart; `shown`: from SQL's value to the wire's."""

    name: str
    value: ColumnElement[Any]
    grouped: bool = False
    shown: Shown | None = None


def time_field(group_by: str) -> Field:
    """The groups by creation time, in UTC."""
    if group_by in FREQUENCIES:
        part = _PARTS[FREQUENCIES.index(group_by)]
        return Field("time", cast(func.date_part(part, _utc()), Integer), grouped=True)
    match = re.fullmatch(INTERVAL, group_by, flags=re.ASCII)
    if match is None:
        told = f"not a number with m, h, d, w, M or y, and none of {', '.join(FREQUENCIES)}"
        raise ApiError(12022, "group_by", told)
    number, unit = int(match.group(1)), match.group(2)
    if unit in _LENGTHS:
        length = literal(number * _LENGTHS[unit], Interval)
        begin = func.greatest(func.date_bin(length, events.c.create_time, _ORIGIN), _ORIGIN)
        return Field("time", begin, grouped=True)
    return _months_field(number * _MONTHS[unit])


def target_field(target: Target, path: str) -> Field:
    """A figure of every group, or a column to group by."""
    if target.column.startswith(META):
        return _meta_figure(target, path)
    allowed = AGGREGATORS.get(target.column)
    if allowed is None:
        told = f"'{target.column[:40]}' is no column of statistics, valid: {', '.join(AGGREGATORS)}, meta.*"
        raise ApiError(12022, f"{path}.column", told)
    _check_aggregator(target, allowed, path)
    column = column_of(target.column)
    if target.aggregator == "group_by":
        return Field(target.column, _in_order(column), grouped=True)
    if target.aggregator == "count":
        return Field(_name(target), _count(column))
    measured = func.cardinality(column) if column is events.c.tags else column
    return Field(_name(target), _aggregated(target, measured), shown=_average if target.aggregator == "avg" else None)


def _check_aggregator(target: Target, allowed: tuple[str, ...], path: str) -> None:
    if target.aggregator not in allowed:
        told = f"'{target.aggregator}' is not available for '{target.column[:40]}', available: {', '.join(allowed)}"
        raise ApiError(12022, f"{path}.aggregator", told)


def _name(target: Target) -> str:
    return f"{target.aggregator}({target.column})"


def _utc() -> ColumnElement[Any]:
    return func.timezone("UTC", events.c.create_time)


def _months_field(length: int) -> Field:
    """Intervals of so many months, counted from year 0, so that quarters and decades begin where they are expected."""
    month = func.date_part("year", _utc()) * 12 + func.date_part("month", _utc()) - 1

    def begin(number: int) -> datetime:
        year, past = divmod(number * length, 12)
        return datetime(year, past + 1, 1, tzinfo=UTC) if year else datetime(1, 1, 1, tzinfo=UTC)

    return Field("time", cast(month, Integer) // length, grouped=True, shown=begin)


def _in_order(column: Column[Any]) -> ColumnElement[Any]:
    """Text in the order of its code points, whatever the database's own order."""
    return column.collate("C") if isinstance(column.type, Text) else column


def _count(column: Column[Any]) -> ColumnElement[Any]:
    """How many events have a value. An event without tags has none."""
    if column is events.c.tags:
        return func.count().filter(func.cardinality(column) > 0)
    return func.count(column) if column.nullable else func.count()


def _aggregated(target: Target, value: ColumnElement[Any]) -> ColumnElement[Any]:
    functions: dict[str, Callable[[ColumnElement[Any]], ColumnElement[Any]]] = {
        "max": func.max,
        "min": func.min,
        "avg": func.avg,
    }
    return functions[target.aggregator](value)


def _meta_figure(target: Target, path: str) -> Field:
    found, given = read_meta_column(target.column, path)
    _check_aggregator(target, META_AGGREGATORS, path)
    if target.aggregator == "count":
        has = not_(meta_missing(found)) if given is None else meta_value(found, given).is_not(None)
        return Field(_name(target), func.count().filter(has))
    if target.aggregator == "avg" and given == "string":
        raise ApiError(12022, f"{path}.aggregator", "'avg' is not available for texts")

    def figure(kind: MetaType) -> ColumnElement[Any]:
        return _aggregated(target, meta_value(found, kind))

    if target.aggregator == "avg":
        return Field(_name(target), figure(given or "numeric"), shown=_average)
    if given is not None:
        return Field(_name(target), figure(given), shown=_number)
    # without a type: of the numbers if there are any, else of the texts
    either = func.coalesce(func.to_jsonb(figure("numeric")), func.to_jsonb(figure("string")))
    return Field(_name(target), cast(either, JSONB))


def _average(value: Any) -> float | None:
    return None if value is None else float(value)


def _number(value: Any) -> Any:
    """An exact number of the database as JSON shows it: whole ones without a fraction."""
    if not isinstance(value, Decimal):
        return value
    return int(value) if value == value.to_integral_value() else float(value)
