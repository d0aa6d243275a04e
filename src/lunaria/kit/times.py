"""RFC 3339 times: parsed strictly, kept and printed in UTC."""

import re
from datetime import UTC, datetime
from typing import Protocol

_RFC3339 = re.compile(r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})?", flags=re.ASCII)


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


def format_time(moment: datetime) -> str:
    """Print a time the way the API shows it: UTC, microseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
