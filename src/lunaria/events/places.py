"""Where an event happened, and the user's own fields: the same in generated and in stored events."""

from typing import Annotated, Any

from msgspec import Meta, Struct

MetaObject = Annotated[dict[str, Any], Meta(description="The user's own fields.")]


class GeoPosition(Struct, frozen=True):
    """Degrees."""

    longitude: Annotated[float, Meta(ge=-180, le=180)]
    latitude: Annotated[float, Meta(ge=-90, le=90)]


class Location(Struct, frozen=True):
    """Where it happened; what is not known is null."""

    city: str | None = None
    area: str | None = None
    district: str | None = None
    street: str | None = None
    house_number: str | None = None
    geo_position: GeoPosition | None = None
