"""RFC 3339 times in and out."""

from datetime import UTC, datetime

import pytest

from lunaria.kit.times import format_time, parse_time


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
