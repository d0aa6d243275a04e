"""Wire objects of the system resources."""

from typing import Annotated, Any

from msgspec import Meta, Struct, field

from lunaria.http.query import Flag, Query


class ServiceVersion(Struct, omit_defaults=True):
    major: int
    minor: int
    patch: int
    api: int | None = None


class Health(Struct):
    execution_time: Annotated[float, Meta(description="Seconds that the checks took.")]


class HealthQuery(Query, frozen=True, kw_only=True):
    include_luna_services: Flag = 0


class EstimationSource(Struct):
    """What an estimate is computed with."""

    network: str
    licence: str


class Features(Struct):
    license: bool
    estimations: dict[str, bool]
    components: dict[str, bool]
    sources: dict[str, EstimationSource] = field(default_factory=dict)


class Plugins(Struct):
    plugins: list[dict[str, Any]]
