"""Where an event happened, and the user's own fields: the same in generated and in stored events."""

from typing import Annotated, Any

from msgspec import Meta, Struct

MetaObject = Annotated[dict[str, Any], Meta(description="The user's own fields.")]


PlaceName = Annotated[str, Meta(max_length=36, pattern=r"^[^\x00]*$")]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
Latitude = Annotated[float, Meta(ge=-90, le=90)]


class GeoPosition(Struct, frozen=True, forbid_unknown_fields=True):
    """Degrees."""

    longitude: Longitude
    latitude: Latitude


class Location(Struct, frozen=True, forbid_unknown_fields=True):
    """Where it happened; what is not known is null."""

    city: PlaceName | None = None
    area: PlaceName | None = None
    district: PlaceName | None = None
    street: PlaceName | None = None
    house_number: PlaceName | None = None
    geo_position: GeoPosition | None = None
