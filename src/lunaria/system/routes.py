"""Operations 1-2, 189-194, 211-214: version, configuration, features, plugins, health; metrics."""

from collections.abc import Iterator
from typing import Any

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from lunaria.http.bodies import JSON
from lunaria.http.credentials import BASIC_CHALLENGE, Auth
from lunaria.http.errors import ApiError
from lunaria.http.operation import Call, Content, Reply, Routes, operation
from lunaria.http.query import NoQuery
from lunaria.settings import Settings, masked
from lunaria.system.schemas import Features, Health, HealthQuery, Plugins, ServiceVersion
from lunaria.system.service import SystemService

TEXT = "text/plain"


class SystemRoutes(Routes):
    """What the server tells about itself, without credentials unless the settings ask for them."""

    def __init__(self, system: SystemService, settings: Settings) -> None:
        self._system = system
        self._settings = settings

    @operation(
        "GET",
        "/version",
        "version",
        "get version",
        auth=Auth.NONE,
        replies={200: Content(dict[str, ServiceVersion])},
    )
    async def version(self, call: Call[NoQuery, None]) -> Reply:
        """Get the versions of the API and of the parts that clients look for."""
        return Reply(body=self._system.versions())

    @operation(
        "GET",
        "/6/healthcheck",
        "health",
        "get health",
        auth=Auth.NONE,
        query=HealthQuery,
        replies={200: Content(Health)},
        errors=(38001,),
    )
    @operation(
        "GET",
        "/healthcheck",
        "health",
        "get health (without prefix)",
        auth=Auth.NONE,
        query=HealthQuery,
        replies={200: Content(Health)},
        errors=(38001,),
    )
    async def health(self, call: Call[HealthQuery, None]) -> Reply:
        """Check that the server and everything it depends on answer."""
        return Reply(body=await self._system.health())

    @operation(
        "GET",
        "/6/config",
        "config",
        "get service configuration",
        auth=Auth.OPTIONAL,
        replies={200: Content(types=(JSON, TEXT), schema={"type": ["object", "string"]})},
        errors=(11064, 12023),
    )
    async def config(self, call: Call[NoQuery, None]) -> Reply:
        """Get the settings with every secret hidden. On an exposed server only the admin may."""
        if not self._settings.config_open and not call.principal.is_admin:
            raise ApiError(11065, "Only the admin may read the configuration here", headers=BASIC_CHALLENGE)
        shown = {**masked(self._settings), **_compatible(self._settings)}
        accept = call.headers.get("accept") or "*/*"
        if any(kind in accept for kind in (JSON, "*/*", "application/*")):
            return Reply(body=shown)
        if TEXT in accept or "text/*" in accept:
            lines = [f"{name} = {msgspec.json.encode(value).decode()}\n" for name, value in _flat(shown)]
            return Reply(body="".join(lines).encode(), media_type=TEXT)
        raise ApiError(12023, f"{JSON}, {TEXT}")

    @operation(
        "GET",
        "/6/features",
        "features",
        "get platform features",
        auth=Auth.NONE,
        replies={200: Content(Features)},
    )
    async def features(self, call: Call[NoQuery, None]) -> Reply:
        """Get which estimates and components are installed, and what each estimate is computed with."""
        return Reply(body=self._system.features())

    @operation(
        "GET",
        "/6/plugins",
        "plugins",
        "get list of plugins",
        auth=Auth.NONE,
        replies={200: Content(Plugins)},
    )
    async def plugins(self, call: Call[NoQuery, None]) -> Reply:
        """Get the installed plugins; this server has none."""
        return Reply(body=Plugins([]))

    @operation(
        "GET",
        "/metrics",
        "metrics",
        "get metrics",
        auth=Auth.OPTIONAL,
        replies={200: Content(types=(TEXT,), schema={"type": "string"})},
    )
    async def metrics(self, call: Call[NoQuery, None]) -> Reply:
        """Get counters and timings in Prometheus' text form. On an exposed server only the admin may."""
        if not self._settings.config_open and not call.principal.is_admin:
            raise ApiError(11065, "Only the admin may read the metrics here", headers=BASIC_CHALLENGE)
        return Reply(body=generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _compatible(settings: Settings) -> dict[str, Any]:
    """What the settings mean in the groups that clients of the original look for."""
    server = settings.server
    return {
        "INFLUX_MONITORING": {"send_data_for_monitoring": 0},  # figures are fetched from /metrics, nothing is sent
        "LUNA_API_LOGGER": {"log_level": settings.log.level.upper(), "log_time": "UTC"},
        "LUNA_API_HTTP_SETTINGS": {
            "request_timeout": server.body_timeout,
            "response_timeout": server.processing_timeout,
            "request_max_size": server.body_limit,
            "keep_alive_timeout": server.keep_alive,
        },
        "ALLOW_LUNA_ACCOUNT_AUTH_HEADER": int(settings.account_header_allowed),
    }


def _flat(settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """`group.name` with its value, for every setting."""
    for group, values in settings.items():
        if isinstance(values, dict):
            yield from ((f"{group}.{name}", value) for name, value in values.items())
        else:
            yield group, values
