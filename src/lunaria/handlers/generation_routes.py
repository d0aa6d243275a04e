"""Operation 110: images and descriptors through a handler become events."""

from lunaria.handlers.event_context import TIME_HEADERS, event_context
from lunaria.handlers.generation_schemas import GenerationQuery, GenerationResult
from lunaria.handlers.pipeline import EventPipeline, Generation
from lunaria.handlers.service import HandlersService
from lunaria.handlers.source_schemas import HANDLER_BODY, SOURCE_ERRORS
from lunaria.handlers.sources import SourceReader
from lunaria.http.operation import Call, Content, Reply, Routes, operation
from lunaria.kit.times import Clock

PIPELINE_ERRORS = (11034, 11038, 22003, 34005, 34008)
"""What `EventPipeline.generate` can refuse a whole request with."""
EMITTING_ERRORS = (11044, 11067, 11068, 11072, 34000, 34002)
"""What the handler and its policies can be refused with."""


class GenerationRoutes(Routes):
    """The operation that makes events."""

    def __init__(self, handlers: HandlersService, sources: SourceReader, pipeline: EventPipeline, clock: Clock) -> None:
        self._handlers = handlers
        self._sources = sources
        self._pipeline = pipeline
        self._clock = clock

    @operation(
        "POST",
        "/6/handlers/{handler_id:uuid}/events",
        "events",
        "generate events",
        query=GenerationQuery,
        body=HANDLER_BODY,
        replies={201: Content(GenerationResult)},
        errors=(*SOURCE_ERRORS, *PIPELINE_ERRORS, *EMITTING_ERRORS),
        headers=TIME_HEADERS,
    )
    async def generate(self, call: Call[GenerationQuery, bytes]) -> Reply:
        """Process images or descriptors as the handler says and make events of them.

        An image that cannot be used has an error of its own and leaves the others alone. A dynamic handler takes its
        policies from the request.
        """
        principal, query = call.principal, call.query
        handler_id = call.id("handler_id")
        principal.require_emitting(handler_id)
        handler = await self._handlers.get(principal.writes(), handler_id)
        now = self._clock.now()
        sources = await self._sources.read(call, policies=True)
        wanted = Generation(
            principal.owner,
            handler_id,
            self._handlers.policies_of(handler, sources.policies),
            now,
            event_context(query, call.headers, now, sources.meta),
            sources.images,
            sources.descriptors,
            aggregate=bool(query.aggregate_attributes),
            use_exif_info=bool(query.use_exif_info),
        )
        return Reply(201, await self._pipeline.generate(wanted, call.request_id))
