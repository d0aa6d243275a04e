"""Making events of what stream watchers send."""

from lunaria.handlers.generation_routes import EMITTING_ERRORS, PIPELINE_ERRORS
from lunaria.handlers.generation_schemas import GenerationResult
from lunaria.handlers.stream_event_schemas import StreamEvents
from lunaria.handlers.stream_events import StreamEventsService
from lunaria.http.bodies import MSGPACK, decode_body
from lunaria.http.operation import Call, Content, RawBody, Reply, Routes, operation
from lunaria.http.query import NoQuery


class StreamEventRoutes(Routes):
    """Operation generate stream events."""

    def __init__(self, stream_events: StreamEventsService) -> None:
        self._stream_events = stream_events

    @operation(
        "POST",
        "/6/handlers/{handler_id:uuid}/stream_events",
        "events",
        "generate stream events (beta)",
        body=RawBody((MSGPACK,), kind=StreamEvents, analysed=True),
        replies={201: Content(GenerationResult)},
        errors=(12002, 12022, 100012, *PIPELINE_ERRORS, *EMITTING_ERRORS),
    )
    async def generate(self, call: Call[NoQuery, bytes]) -> Reply:
        """Process images as a static handler says and make events of them.

        The body is MessagePack with the images' bytes as they are. Each source has events of its own with what is said
        of it, or with aggregate_attributes all together make one event.
        """
        handler_id = call.id("handler_id")
        call.principal.require_emitting(handler_id)
        given: StreamEvents = decode_body(call.body, StreamEvents, msgpack=True)
        result = await self._stream_events.generate(call.principal.owner, handler_id, given, call.request_id)
        return Reply(201, result)
