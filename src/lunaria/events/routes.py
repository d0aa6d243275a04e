"""Operations on stored events."""

from msgspec import Struct

from lunaria.events.queries import EventSelection, EventsQuery
from lunaria.events.service import EventsService
from lunaria.events.stored import StoredEvent
from lunaria.http.operation import Call, Content, Reply, Routes, operation
from lunaria.http.principal import Need

ONE = "/6/events/{event_id:uuid}"
VIEW = Need("event", "view")


class Events(Struct, frozen=True):
    events: list[StoredEvent]


class EventRoutes(Routes):
    def __init__(self, events: EventsService) -> None:
        self._events = events

    @operation(
        "GET",
        "/6/events",
        "events",
        "get events",
        needs=(VIEW,),
        query=EventsQuery,
        replies={200: Content(Events)},
        errors=(23005,),
    )
    async def get_many(self, call: Call[EventsQuery, None]) -> Reply:
        """Get a page of the events that fulfil all given conditions.

        Without any of event_ids, event_id__gte, event_id__lt, create_time__gte and create_time__lt only events of the
        last month are looked through. The newest come first; with a bound on the ids they come by id, ascending.
        """
        scope = call.principal.reads(call.query.account_id)
        return Reply(body=Events(await self._events.get_many(scope, call.query)))

    @operation(
        "GET",
        ONE,
        "events",
        "get event",
        needs=(VIEW,),
        query=EventSelection,
        replies={200: Content(StoredEvent)},
        errors=(23001, 23005),
    )
    async def get(self, call: Call[EventSelection, None]) -> Reply:
        """Get one event."""
        return Reply(body=await self._get(call))

    @operation(
        "HEAD",
        ONE,
        "events",
        "check if event exists",
        needs=(VIEW,),
        query=EventSelection,
        replies={200: Content()},
        errors=(23001, 23005),
    )
    async def check(self, call: Call[EventSelection, None]) -> Reply:
        """Check whether an event exists."""
        await self._get(call)
        return Reply()

    async def _get(self, call: Call[EventSelection, None]) -> StoredEvent:
        return await self._events.get(call.principal.reads(), call.id("event_id"), call.query.target)
