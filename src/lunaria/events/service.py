"""The rules of stored events."""

from collections.abc import Collection
from dataclasses import replace
from uuid import UUID

from lunaria.events.filters import EventFilter
from lunaria.events.queries import EventsQuery
from lunaria.events.store import EventsStore, LargeEventsError
from lunaria.events.stored import StoredEvent, stored_event
from lunaria.http.errors import ApiError
from lunaria.kit.times import Clock, resolve_time
from lunaria.storage.scope import Scope

DEFAULT_WINDOW = "now-1M"
"""Which events are looked through when neither times nor ids are given."""


class EventsService:
    """The events of all accounts."""

    def __init__(self, store: EventsStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def get(self, scope: Scope, event_id: UUID, targets: Collection[str] | None) -> StoredEvent:
        """Raises 404/23001."""
        found = await self._store.get(scope, [event_id], targets)
        if event_id not in found:
            raise ApiError(23001, event_id)
        return stored_event(found[event_id], targets)

    async def get_many(self, scope: Scope, query: EventsQuery) -> list[StoredEvent]:
        """Raises 400/12012, also for a page that would be too large."""
        wanted = query.filter if query.any_time else self._of_last_month(query.filter)
        try:
            rows = await self._store.find(scope, wanted, query.page_size, query.offset, query.target, query.order)
        except LargeEventsError as error:
            raise ApiError(12012, "page_size", error) from None
        return [stored_event(row, query.target) for row in rows]

    def _of_last_month(self, wanted: EventFilter) -> EventFilter:
        now = self._clock.now()
        return replace(wanted, create_time__gte=resolve_time(DEFAULT_WINDOW, now), create_time__lt=now)
