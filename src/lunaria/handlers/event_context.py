"""What a request says about its events beside the pictures: where and when it was, and whose they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta

from lunaria.events.places import GeoPosition, Latitude, Location, Longitude, PlaceName
from lunaria.faces.schemas import ExternalId, UserData
from lunaria.http.query import Query
from lunaria.kit.times import has_zone, parse_time

EVENT_TIME = "Luna-Event-Time"
EVENT_END_TIME = "Luna-Event-End-Time"
TIME_HEADERS: Mapping[str, str] = {
    EVENT_TIME: "create_time of the events, RFC 3339; in any other form it is ignored.",
    EVENT_END_TIME: "end_time of the events, RFC 3339; in any other form it is ignored.",
}
"""Headers of an operation that makes events, and their meaning."""
TAGS_LIMIT = 1000
"""Most tags of an event."""

SourceName = Annotated[str, Meta(max_length=128, pattern=r"^[^\x00]*$", description="Where the images come from.")]
TRACK_PATTERN = r"^[a-zA-Z0-9_\-]{1,36}$(?!\n)"
TrackId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=36,
        pattern=TRACK_PATTERN,
        description="The track that the event belongs to.",
        extra_json_schema={"pattern": r"^[a-zA-Z0-9_\-]{1,36}$"},
    ),
]
Tag = Annotated[str, Meta(max_length=36, pattern=r"^[^\x00]*$")]
Tags = Annotated[list[Tag], Meta(max_length=TAGS_LIMIT, description="Every event gets all of them.")]


class EventContextQuery(Query, frozen=True, kw_only=True):
    """Parameters of an operation that makes events."""

    city: PlaceName | None = None
    area: PlaceName | None = None
    district: PlaceName | None = None
    street: PlaceName | None = None
    house_number: PlaceName | None = None
    longitude: Annotated[Longitude, Meta(description="Degrees; set together with the latitude.")] | None = None
    latitude: Annotated[Latitude, Meta(description="Degrees; set together with the longitude.")] | None = None
    external_id: ExternalId = ""
    user_data: UserData = ""
    source: SourceName | None = None
    stream_id: UUID | None = None
    tags: Tags | None = None
    track_id: TrackId | None = None

    def __post_init__(self) -> None:
        if (self.longitude is None) != (self.latitude is None):
            raise ValueError("longitude and latitude are set together or not at all")

    @property
    def location(self) -> Location:
        position = None
        if self.longitude is not None and self.latitude is not None:
            position = GeoPosition(self.longitude, self.latitude)
        return Location(self.city, self.area, self.district, self.street, self.house_number, position)


@dataclass(frozen=True, slots=True)
class EventContext:
    """What all events of an image (or of a request) have in common."""

    create_time: datetime
    end_time: datetime
    location: Location = field(default_factory=Location)
    external_id: str = ""
    user_data: str = ""
    source: str | None = None
    stream_id: UUID | None = None
    track_id: str | None = None
    tags: tuple[str, ...] = ()
    meta: dict[str, Any] | None = field(default=None, hash=False)


def event_context(
    query: EventContextQuery, headers: Mapping[str, str], now: datetime, meta: dict[str, Any] | None
) -> EventContext:
    """The context that a request's query and headers give. Without times of its own the event is of `now`."""
    create_time = header_time(headers, EVENT_TIME) or now
    return EventContext(
        create_time=create_time,
        end_time=header_time(headers, EVENT_END_TIME) or create_time,
        location=query.location,
        external_id=query.external_id,
        user_data=query.user_data,
        source=query.source,
        stream_id=query.stream_id,
        track_id=query.track_id,
        tags=each_once(query.tags or ()),
        meta=meta,
    )


def header_time(headers: Mapping[str, str], name: str) -> datetime | None:
    """The time in a header, by its lower-case name; None where it lacks or is not written as RFC 3339 demands."""
    text = headers.get(name.lower(), "")
    if not has_zone(text):
        return None
    try:
        return parse_time(text)
    except ValueError:
        return None


def each_once(tags: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """The tags in their order without repetitions."""
    return tuple(dict.fromkeys(tags))
