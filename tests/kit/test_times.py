"""RFC 3339 times in and out."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from msgspec import UNSET, Struct, UnsetType

from lunaria.kit.times import format_time, has_zone, in_utc, parse_time, resolve_time, settle_times


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2018-08-11T09:11:41.674Z", "2018-08-11T09:11:41.674000Z"),
        ("2050-11-11T11:11:11.111+03:00", "2050-11-11T08:11:11.111000Z"),
        ("2021-08-11t14:57:18.416928z", "2021-08-11T14:57:18.416928Z"),
        ("2021-08-11T14:57:18", "2021-08-11T14:57:18.000000Z"),
        ("2021-08-11 14:57:18.123456789-05:30", "2021-08-11T20:27:18.123456Z"),
        ("2021-08-11T14:57:18 03:00", "2021-08-11T11:57:18.000000Z"),  # a plus sign lost in a query string
    ],
)
def test_accepted(text: str, expected: str) -> None:
    assert format_time(parse_time(text)) == expected


@pytest.mark.parametrize(
    "text",
    ["", "x", "2021-08-11", "2021-13-11T00:00:00Z", "2021-08-11T25:00:00Z", "1628690238", "2021-08-11T14:57:18Zx",
     "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2021-08-11T14:57:18+99:00", "２021-08-11T14:57:18Z"],
)  # fmt: skip
def test_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_time(text)


def test_zone_is_utc() -> None:
    assert parse_time("2021-08-11T14:57:18+03:00") == datetime(2021, 8, 11, 11, 57, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now-0s", "2024-03-31T12:00:00.000000Z"),
        ("now-90s", "2024-03-31T11:58:30.000000Z"),
        ("now-5m", "2024-03-31T11:55:00.000000Z"),
        ("now-36h", "2024-03-30T00:00:00.000000Z"),
        ("now-3d", "2024-03-28T12:00:00.000000Z"),
        ("now-2w", "2024-03-17T12:00:00.000000Z"),
        ("now-1M", "2024-02-29T12:00:00.000000Z"),
        ("now-3M", "2023-12-31T12:00:00.000000Z"),
        ("now-13M", "2023-02-28T12:00:00.000000Z"),
        ("now-1y", "2023-03-31T12:00:00.000000Z"),
        ("now-2023y", "0001-03-31T12:00:00.000000Z"),
        ("2021-08-11T14:57:18+03:00", "2021-08-11T11:57:18.000000Z"),
    ],
)
def test_relative_to_a_moment(text: str, expected: str) -> None:
    """Months and years by the calendar, a day that the month has not by its last."""
    assert format_time(resolve_time(text, datetime(2024, 3, 31, 12, tzinfo=UTC))) == expected


@pytest.mark.parametrize(
    "text", ["now", "now-1", "now-1D", "now+1d", "now-2024y", "now-999999999w", "now-９d", "now-1d "]
)
def test_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match=r"RFC 3339|out of range"):
        resolve_time(text, datetime(2024, 3, 31, 12, tzinfo=UTC))


def test_a_zone_is_seen() -> None:
    for text in ("2021-08-11T14:57:18Z", "2021-08-11T14:57:18z", "2021-08-11T14:57:18.5-08:00"):
        assert has_zone(text)
    for text in ("2021-08-11T14:57:18", "2021-08-11", "", "Z0"):
        assert not has_zone(text)


class Times(Struct, frozen=True):
    first: datetime | None = None
    second: datetime | UnsetType = UNSET


def test_times_of_an_object_are_settled() -> None:
    east = datetime(2021, 8, 11, 15, tzinfo=timezone(timedelta(hours=3)))
    held = Times(first=datetime(2021, 8, 11, 12), second=east)
    settle_times(held, "first", "second")
    assert held.first == held.second == datetime(2021, 8, 11, 12, tzinfo=UTC)
    assert isinstance(held.second, datetime)
    assert held.second.tzinfo is UTC
    empty = Times()
    settle_times(empty, "first", "second")
    assert empty == Times()


def test_the_ends_of_the_calendar_are_named() -> None:
    early = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))
    with pytest.raises(ValueError, match=r"^out of range$"):
        in_utc(early)
    with pytest.raises(ValueError, match=r"^second: out of range$"):
        settle_times(Times(second=early), "first", "second")
