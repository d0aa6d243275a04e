"""Version, health, features: what the server tells about itself."""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping

from lunaria.http.errors import ApiError
from lunaria.system.schemas import EstimationSource, Features, Health, ServiceVersion

PLATFORM = ServiceVersion(5, 53, 0)
API = ServiceVersion(6, 20, 1, api=6)
"""The version of the API that this server speaks; Lunaria's own version stands under its own name."""

SERVICES = (
    ("luna-events", 2),
    ("luna-faces", 3),
    ("luna-image-store-bodies-samples", 1),
    ("luna-image-store-faces-samples", 1),
    ("luna-image-store-images", 1),
    ("luna-handlers", 1),
    ("luna-tasks", 2),
    ("luna-matcher-proxy", 1),
    ("luna-remote-sdk", 1),
    ("luna-lambda", 1),
)
"""Parts that clients look for, with the version of their interface; one process is all of them."""

Check = Callable[[], Awaitable[None]]


class SystemService:
    """`checks`: what must answer for the server to be healthy, by name; `features`: what is installed."""

    def __init__(self, version: str, checks: Mapping[str, Check], features: Callable[[], Features]) -> None:
        self._version = version
        self._checks = checks
        self._features = features

    def versions(self) -> dict[str, ServiceVersion]:
        major, minor, patch = (int(part) for part in self._version.split("."))
        own = {name: ServiceVersion(major, minor, patch, api=api) for name, api in SERVICES}
        return {"LUNA PLATFORM": PLATFORM, "luna-api": API, **own, "lunaria": ServiceVersion(major, minor, patch)}

    async def health(self) -> Health:
        """Run every check. Raises 502/38001 naming what does not answer."""
        started = time.perf_counter()
        for name, check in self._checks.items():
            try:
                await check()
            except Exception as error:  # whatever a dependency fails with is what the caller asked to hear
                raise ApiError(38001, f"{name}: {error}") from error
        return Health(time.perf_counter() - started)

    def features(self) -> Features:
        return self._features()


COMPONENTS = {
    "luna_faces": True,
    "luna_image_store": True,
    "luna_matcher_proxy": True,
    "luna_events": False,
    "luna_handlers": False,
    "luna_tasks": False,
    "luna_sender": False,
    "luna_lambda": False,
}


def features(sources: Mapping[str, EstimationSource], missing: Iterable[str]) -> Features:
    """What is installed: the estimates with what each is computed with, and those that are missing."""
    estimations = dict.fromkeys(sources, True) | dict.fromkeys(sorted(missing), False)
    return Features(True, estimations, dict(COMPONENTS), dict(sources))
