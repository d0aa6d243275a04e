"""RFC 3339 times: parsed strictly, kept and printed in UTC. And times relative to a moment."""

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from typing import Protocol

from msgspec import Struct
from msgspec.structs import force_setattr

_RFC3339 = re.compile(r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})?", flags=re.ASCII)

RELATIVE_TIME = re.compile(r"now-([0-9]{1,9})([smhdwMy])")
"""A number of seconds, minutes, hours, days, weeks, months (M) or years before now."""
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_MONTHS = {"M": 1, "y": 12}


class Clock(Protocol):
    """Where the product gets the time from; tests give their own."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock, in UTC."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def parse_time(text: str) -> datetime:
    """Read an RFC 3339 time; one without a zone is taken as UTC. Raises ValueError."""
    # A plus sign that a client did not percent-encode arrives as a space.
    match = _RFC3339.fullmatch(re.sub(r" (\d{2}:\d{2})$", r"+\1", text))
    if match is None:
        raise ValueError("not an RFC 3339 date-time")
    date, time, fraction, zone = match.groups()
    microseconds = (fraction or "")[:7]
    normalized = f"{date}T{time}{microseconds}{(zone or 'Z').upper().replace('Z', '+00:00')}"
    try:
        return datetime.fromisoformat(normalized).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("out of range") from error


def has_zone(text: str) -> bool:
    """Whether a time says where it is counted, as RFC 3339 demands and `parse_time` does not."""
    return re.search(r"([Zz]|[+-]\d{2}:\d{2})$", text) is not None


def in_utc(moment: datetime) -> datetime:
    """The moment in UTC; one without a zone is taken as UTC. Raises ValueError at the ends of the calendar."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("out of range") from error


def resolve_time(text: str, now: datetime) -> datetime:
    """Read an RFC 3339 time, or one relative to `now` (`now-3d`).

    Months and years go back by the calendar, to the last day of a month that is too short. Raises ValueError.
    """
    match = RELATIVE_TIME.fullmatch(text)
    if match is None:
        return parse_time(text)
    count, unit = int(match.group(1)), match.group(2)
    try:
        return (
            _months_before(now, count * _MONTHS[unit])
            if unit in _MONTHS
            else now - timedelta(0, count * _SECONDS[unit])
        )
    except OverflowError as error:
        raise ValueError("out of range") from error


def _months_before(now: datetime, count: int) -> datetime:
    year, month = divmod(now.year * 12 + now.month - 1 - count, 12)
    if year < 1:
        raise OverflowError("before the first year")
    return now.replace(year=year, month=month + 1, day=min(now.day, monthrange(year, month + 1)[1]))


def settle_times(held: Struct, *names: str) -> None:
    """Bring the times among a new object's fields to UTC. Raises ValueError naming the one that has none there."""
    for name in names:
        value = getattr(held, name)
        if isinstance(value, datetime):
            try:
                force_setattr(held, name, in_utc(value))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error


def format_time(moment: datetime) -> str:
    """Print a time the way the API shows it: UTC, microseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
