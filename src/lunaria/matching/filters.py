"""Filters of candidates as the stores take them."""

from datetime import datetime
from typing import Any

from msgspec import UNSET

from lunaria.events.filters import EventFilter, GeoBox
from lunaria.faces.filters import FaceFilter
from lunaria.kit.times import parse_time
from lunaria.matching.schemas import EventFilters, FaceFilters, GeoFilter

_TIMES = ("create_time__gte", "create_time__lt", "end_time__gte", "end_time__lt")
_CODES = ("gender", "apparent_gender")
_SAME = tuple(
    name for name in EventFilters.__struct_fields__ if name not in {*_TIMES, *_CODES, "account_id", "geo_position"}
)


def face_filter(filters: FaceFilters) -> FaceFilter:
    """The conditions except the list and the account, which the index knows."""
    return FaceFilter(
        face_ids=filters.face_ids,
        external_ids=filters.external_ids,
        user_data=filters.user_data,
        created_from=_time(filters.create_time__gte),
        created_before=_time(filters.create_time__lt),
        id_from=filters.face_id__gte,
        id_before=filters.face_id__lt,
    )


def event_filter(filters: EventFilters) -> EventFilter:
    """The conditions except the account, which the index knows."""
    values: dict[str, Any] = {name: getattr(filters, name) for name in _SAME}
    values |= {name: _time(getattr(filters, name)) for name in _TIMES}
    values |= {name: _codes(getattr(filters, name)) for name in _CODES}
    if filters.geo_position is not None:
        box = _box(filters.geo_position)
        values |= {"without_geo_position": True} if box is None else {"geo_position": box}
    return EventFilter(**values)


def _time(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)


def _codes(given: int | list[int | None] | None) -> list[int | None] | None:
    return [given] if isinstance(given, int) else given


def _box(given: GeoFilter) -> GeoBox | None:
    """The box; None for events without a position."""
    longitude, latitude = given.origin_longitude, given.origin_latitude
    if longitude is UNSET or latitude is UNSET or longitude is None or latitude is None:
        return None
    deltas = {"longitude_delta": given.longitude_delta, "latitude_delta": given.latitude_delta}
    return GeoBox(longitude, latitude, **{name: value for name, value in deltas.items() if value is not UNSET})
