"""Saving events that were made elsewhere."""

from lunaria.handlers.raw_event_schemas import EventCreated, RawEvent, RawEventQuery
from lunaria.handlers.raw_events import RawEventsService
from lunaria.http.operation import Call, Content, Reply, Routes, TypedBody, operation
from lunaria.http.principal import Need


class RawEventRoutes(Routes):
    """Operation save event."""

    def __init__(self, raw_events: RawEventsService) -> None:
        self._raw_events = raw_events

    @operation(
        "POST",
        "/6/handlers/{handler_id:uuid}/events/raw",
        "events",
        "save event",
        needs=(Need("event", "creation"),),
        query=RawEventQuery,
        body=TypedBody(RawEvent),
        replies={
            201: Content(EventCreated, description="The event is stored"),
            202: Content(EventCreated, description="The event will be stored"),
        },
        errors=(12036, 34000, 34007, 100007),
    )
    async def save(self, call: Call[RawEventQuery, RawEvent]) -> Reply:
        """Save an event that was made elsewhere, and tell those who listen. The handler must be dynamic.

        Faces, lists, samples and candidates that the event names are kept as they are told and not looked for. Its
        descriptors make it an event that can be matched.
        """
        wait = bool(call.query.wait_saving)
        event_id = await self._raw_events.save(
            call.principal.owner, call.id("handler_id"), call.body, wait=wait, request_id=call.request_id
        )
        url = f"/6/events/{event_id}"
        return Reply(201 if wait else 202, EventCreated(event_id, url), {"Location": url})
