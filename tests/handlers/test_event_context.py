"""What a request says about its events: the query, the headers with times."""

from datetime import UTC, datetime
from urllib.parse import quote
from uuid import UUID

import pytest

from lunaria.events.places import GeoPosition, Location
from lunaria.handlers.event_context import EventContextQuery, event_context, header_time
from lunaria.http.errors import ApiError
from lunaria.http.query import parse_query

NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
STREAM = "8950722f-3fd4-4223-b48f-03f95f0e8dfb"
NONE = EventContextQuery()


def test_a_query_becomes_a_context() -> None:
    query = parse_query(
        "city=New%20York&area=Manhattan&district=Midtown&street=West&house_number=220&longitude=36.616&latitude=55.752"
        f"&external_id=14%2B1&user_data=face&source=cam&stream_id={STREAM}&tags=a,b,a&track_id=t-1_A&unknown=1",
        EventContextQuery,
    )
    context = event_context(query, {}, NOW, {"a": 1})
    assert context.location == Location("New York", "Manhattan", "Midtown", "West", "220", GeoPosition(36.616, 55.752))
    assert (context.external_id, context.user_data, context.source) == ("14+1", "face", "cam")
    assert (context.stream_id, context.track_id, context.tags) == (UUID(STREAM), "t-1_A", ("a", "b"))
    assert (context.create_time, context.end_time, context.meta) == (NOW, NOW, {"a": 1})


def test_without_anything() -> None:
    context = event_context(parse_query("", EventContextQuery), {}, NOW, None)
    assert context.location == Location()
    assert (context.external_id, context.user_data, context.source, context.stream_id) == ("", "", None, None)
    assert (context.track_id, context.tags, context.meta) == (None, (), None)


@pytest.mark.parametrize("name", ["city", "area", "district", "street", "house_number", "external_id"])
def test_texts_are_bounded(name: str) -> None:
    parse_query(f"{name}={'x' * 36}", EventContextQuery)
    for text in ("x" * 37, "%00"):
        with pytest.raises(ApiError, match=f"'{name}'") as refused:
            parse_query(f"{name}={text}", EventContextQuery)
        assert refused.value.code == 12012


@pytest.mark.parametrize(
    "query",
    [
        "longitude=1",
        "latitude=1",
        "longitude=180.1&latitude=0",
        "latitude=-90.1&longitude=0",
        "longitude=nan&latitude=0",
        "longitude=1e999&latitude=0",
        "stream_id=1",
        "track_id=",
        "track_id=a%20b",
        "track_id=a%0A",
        f"track_id={'a' * 37}",
        f"tags={'a' * 37}",
        f"tags={','.join('a' * 1001)}",
        f"source={'s' * 129}",
        f"user_data={'s' * 129}",
    ],
)
def test_what_is_refused(query: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_query(query, EventContextQuery)
    assert refused.value.code == 12012
    assert query.partition("=")[0] in refused.value.detail


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2018-12-16T15:29:59.300275-08:00", datetime(2018, 12, 16, 23, 29, 59, 300275, tzinfo=UTC)),
        ("2018-12-16T15:29:59.300275Z", datetime(2018, 12, 16, 15, 29, 59, 300275, tzinfo=UTC)),
        ("2018-12-16t15:29:59z", datetime(2018, 12, 16, 15, 29, 59, tzinfo=UTC)),
        ("2018-12-16T15:29:59", None),
        ("2018-12-16", None),
        ("1544974199", None),
        ("2018-12-16T25:29:59Z", None),
        ("2018-13-16T15:29:59Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("Sun, 16 Dec 2018 15:29:59 GMT", None),
        ("", None),
    ],
)
def test_times_in_headers(text: str, expected: datetime | None) -> None:
    assert header_time({"luna-event-time": text}, "Luna-Event-Time") == expected
    context = event_context(NONE, {"luna-event-time": text}, NOW, None)
    assert (context.create_time, context.end_time) == (expected or NOW, expected or NOW)
    context = event_context(NONE, {"luna-event-end-time": text}, NOW, None)
    assert (context.create_time, context.end_time) == (NOW, expected or NOW)


def test_the_example_of_the_plus_sign_is_kept() -> None:
    query = parse_query(f"external_id={quote('2xQ2+A==')}", EventContextQuery)
    assert query.external_id == "2xQ2+A=="
