"""Statistics as they are meant, in plain Python over rows of events: what the SQL is compared with."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

Row = Mapping[str, Any]
Json = dict[str, Any]

OTHER_NAMES = {
    "top_matching_candidates_label": "top_match_label",
    "top_similar_object_id": "top_match_object_id",
    "top_similar_external_id": "top_match_external_id",
    "top_similar_object_similarity": "top_match_similarity",
}
COLORS = ("upper_clothing_colors", "lower_garment_colors")


def statistics_of(rows: Sequence[Row], request: Json) -> Json:
    """The answer to a request about these events."""
    kept = [row for row in rows if _in_period(row, request) and all(_passes(row, one) for one in request["filters"])]
    targets = request["targets"]
    columns = [one["column"] for one in targets if one["aggregator"] == "group_by"]
    figures = [one for one in targets if one["aggregator"] != "group_by"]
    group_by = request.get("group_by")
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in kept:
        key = [shown(value_of(row, column)) for column in columns]
        if group_by is not None:
            key.insert(0, _time(row["create_time"], group_by))
        groups.setdefault(tuple(key), []).append(row)
    if not columns and group_by is None:
        groups.setdefault((), [])
    return {
        "fields": [
            *(["time"] if group_by else []),
            *columns,
            *(f"{one['aggregator']}({one['column']})" for one in figures),
        ],
        "stats": [
            [*(shown(part) for part in key), *(shown(_figure(groups[key], one)) for one in figures)]
            for key in sorted(groups, key=_missing_last)
        ],
    }


def value_of(row: Row, column: str) -> Any:
    if column == "geo_position":
        return None if row["longitude"] is None else (row["longitude"], row["latitude"])
    return row[OTHER_NAMES.get(column, column)]


def shown(value: Any) -> Any:
    """As JSON shows it."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, UUID) else value


def _missing_last(key: tuple[Any, ...]) -> list[tuple[bool, Any]]:
    return [(part is None, 0 if part is None else part) for part in key]


def _in_period(row: Row, request: Json) -> bool:
    for period in request["period"]:
        begin, end = period.get("begin"), period.get("end")
        if begin and row["create_time"] < datetime.fromisoformat(begin):
            return False
        if end and row["create_time"] >= datetime.fromisoformat(end):
            return False
    return True


def _time(moment: datetime, group_by: str) -> Any:
    year, week, day = moment.isocalendar()
    frequencies: dict[str, int] = {
        "monthOfYear": moment.month,
        "weekOfYear": week,
        "dayOfYear": moment.timetuple().tm_yday,
        "dayOfMonth": moment.day,
        "dayOfWeek": day,
        "hourOfDay": moment.hour,
        "minuteOfHour": moment.minute,
    }
    if group_by in frequencies:
        return frequencies[group_by]
    number, unit = int(group_by[:-1]), group_by[-1]
    if unit in "My":
        months = moment.year * 12 + moment.month - 1
        year, month = divmod(months - months % (number * (12 if unit == "y" else 1)), 12)
        return datetime(max(year, 1), month + 1, 1, tzinfo=UTC)
    length = timedelta(minutes=number * {"m": 1, "h": 60, "d": 1440, "w": 10080}[unit])
    origin = datetime(1, 1, 8, tzinfo=UTC)
    return origin + (moment - origin) // length * length


def _meta(row: Row, column: str) -> tuple[Any, str | None]:
    """The field's value, and the type that the column names."""
    path, _, kind = column.removeprefix("meta.").partition(":")
    value = row["meta"]
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value, kind or None


def _of_type(value: Any, kind: str) -> Any:
    """The value, or None where it has another JSON type."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {
        "string": isinstance(value, str),
        "numeric": number,
        "integer": number and value == int(value),
    }[kind]
    return value if fits else None


COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, wanted: value == wanted,
    "neq": lambda value, wanted: value != wanted,
    "gt": lambda value, wanted: value > wanted,
    "gte": lambda value, wanted: value >= wanted,
    "lt": lambda value, wanted: value < wanted,
    "lte": lambda value, wanted: value <= wanted,
    "in": lambda value, wanted: value in wanted,
    "nin": lambda value, wanted: value not in wanted,
    "like": lambda value, wanted: wanted in value,
    "nlike": lambda value, wanted: wanted not in value,
}


def _passes(row: Row, one: Json) -> bool:
    column, operator, wanted = one["column"], one["operator"], one["value"]
    if column.startswith("meta."):
        return _meta_passes(row, column, operator, wanted)
    value = shown(value_of(row, column))
    if wanted is None:
        return value is None
    if column == "tags":
        found = any(wanted in tag for tag in value)
        return found if operator == "like" else not found
    if value is None:
        return False
    if column in COLORS:
        return bool(set(value) & set(wanted)) is (operator == "in")
    if operator == "covered":
        longitude, latitude = value
        east, north = wanted.get("longitude_delta", 0.01), wanted.get("latitude_delta", 0.01)
        return (
            wanted["origin_longitude"] - east <= longitude <= wanted["origin_longitude"] + east
            and wanted["origin_latitude"] - north <= latitude <= wanted["origin_latitude"] + north
        )
    return COMPARED[operator](value, wanted)


def _meta_passes(row: Row, column: str, operator: str, wanted: Any) -> bool:
    value, kind = _meta(row, column)
    listed = wanted if isinstance(wanted, list) else [wanted]
    known = [one for one in listed if one is not None]
    if value is None:
        return None in listed and operator in ("eq", "in")
    if not known:
        return operator in ("neq", "nin")
    typed = _of_type(value, kind or ("numeric" if known and not isinstance(known[0], str) else "string"))
    if typed is None:
        return False
    return COMPARED[operator](typed, known if isinstance(wanted, list) else wanted)


def _figure(rows: Sequence[Row], target: Json) -> Any:
    column, aggregator = target["column"], target["aggregator"]
    values: list[Any]
    if column.startswith("meta."):
        found = [_meta(row, column) for row in rows]
        kind = found[0][1] if found else None
        plain = [value for value, _ in found if value is not None]
        if kind is None and aggregator == "count":
            return len(plain)
        values = [_of_type(value, kind or "numeric") for value in plain]
        if kind is None and aggregator != "avg" and not any(value is not None for value in values):
            values = [_of_type(value, "string") for value in plain]
    elif column == "tags":
        values = [len(row["tags"]) for row in rows]
        if aggregator == "count":
            return sum(number > 0 for number in values)
    else:
        values = [value_of(row, column) for row in rows]
    values = [value for value in values if value is not None]
    if aggregator == "count":
        return len(values)
    if not values:
        return None
    return {"max": max, "min": min, "avg": statistics.fmean}[aggregator](values)  # type: ignore[operator]
