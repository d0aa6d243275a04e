"""Events of streams: images with what their watcher knows of them, all through one handler in one go."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from lunaria.blobs.pictures import UNKNOWN_TYPE, media_type_of
from lunaria.estimation.inputs import RAW_IMAGE, ImageInputs, boxes_of
from lunaria.events.meta import require_meta
from lunaria.events.places import Location
from lunaria.handlers.event_context import EventContext, each_once
from lunaria.handlers.generation_schemas import GenerationResult
from lunaria.handlers.pipeline import EventPipeline, Generation
from lunaria.handlers.schemas import HandlerType
from lunaria.handlers.service import HandlersService
from lunaria.handlers.source_schemas import ImageOrigin
from lunaria.handlers.sources import SourceImage
from lunaria.handlers.stream_event_schemas import SOURCE_TYPES, OriginImage, SourceData, StreamEvents, StreamSource
from lunaria.http.bodies import convert_body
from lunaria.http.errors import ApiError
from lunaria.kit.times import Clock
from lunaria.storage.scope import Scope
from lunaria.vision.plan import ImageType

JPEG = "image/jpeg"


class StreamEventsService:
    """Makes events of what stream watchers send."""

    def __init__(self, handlers: HandlersService, inputs: ImageInputs, pipeline: EventPipeline, clock: Clock) -> None:
        self._handlers = handlers
        self._inputs = inputs
        self._pipeline = pipeline
        self._clock = clock

    async def generate(self, owner: UUID, handler_id: UUID, given: StreamEvents, request_id: str) -> GenerationResult:
        """Make the events of all sources and record them, all or none.

        Raises 404/34000, 400/12022 for a dynamic handler (the body has no policies) and for what contradicts itself,
        and as `EventPipeline.generate` does.
        """
        handler = await self._handlers.get(Scope(owner), handler_id)
        if handler.handler_type == HandlerType.DYNAMIC.value:
            raise ApiError(12022, "policies", "the handler is dynamic, and stream events come without policies")
        policies = self._handlers.policies_of(handler, None)
        self._inputs.check_number(len(given.sources), "sources")
        aggregate = bool(given.aggregate_attributes)
        if not aggregate and given.source_data is not None:
            raise ApiError(12022, "source_data", "without aggregate_attributes each source has its own")
        now = self._clock.now()
        wanted = Generation(
            owner,
            handler_id,
            policies,
            now,
            await _context(given.source_data or SourceData(), "source_data", now),
            await self._images(given.sources, now, aggregate=aggregate),
            aggregate=aggregate,
            use_exif_info=bool(given.use_exif_info),
        )
        return await self._pipeline.generate(wanted, request_id)

    async def _images(self, sources: Sequence[StreamSource], now: datetime, *, aggregate: bool) -> list[SourceImage]:
        images = []
        for number, source in enumerate(sources):
            path = f"sources.{number}.source_data"
            if aggregate and source.source_data is not None:
                raise ApiError(12022, path, "with aggregate_attributes it is given once, beside the sources")
            context = None if aggregate else await _context(source.source_data or SourceData(), path, now)
            images.append(self._image(source, context, f"sources.{number}.image_origin"))
        return images

    def _image(self, source: StreamSource, context: EventContext | None, origin_path: str) -> SourceImage:
        kind = JPEG if source.body_meta is None else source.body_meta.mimetype
        read = self._inputs.image(source.filename or RAW_IMAGE, kind, source.body)
        url, origin = _origin(source.image_origin, f"{origin_path}.body")
        if origin is not None:
            if (error := self._inputs.image(RAW_IMAGE, JPEG, origin).error) is not None:
                raise error
            if media_type_of(origin) == UNKNOWN_TYPE:  # it is stored without being decoded
                raise ApiError(12022, f"{origin_path}.body", "the bytes are no picture")
        return SourceImage(
            read.filename,
            read.data,
            read.error,
            boxes_of(source.face_bounding_boxes),
            boxes_of(source.body_bounding_boxes),
            image_type=ImageType(SOURCE_TYPES[source.source_type]),
            detect_time=source.detect_time,
            detect_ts=source.detect_ts,
            image_origin=url,
            origin=origin,
            context=context,
        )


def _origin(given: str | OriginImage | None, path: str) -> tuple[str | None, bytes | None]:
    """The URL of the whole image, or its bytes."""
    if not isinstance(given, OriginImage):
        return given, None
    if isinstance(given.body, bytes):
        return None, given.body
    if isinstance(given.body, str):
        try:
            return convert_body(given.body, ImageOrigin), None
        except ApiError:
            raise ApiError(12022, path, "not a URL of 1 to 256 characters") from None
    raise ApiError(12022, path, "neither bytes nor a URL")


async def _context(given: SourceData, path: str, now: datetime) -> EventContext:
    """What is said of the events of a source. Without times of their own they are of `now`."""
    if given.meta is not None:
        await require_meta(given.meta, f"{path}.meta")
    create_time = given.event_time or now
    return EventContext(
        create_time=create_time,
        end_time=given.event_end_time or create_time,
        location=given.location or Location(),
        external_id=given.external_id,
        user_data=given.user_data,
        source=given.source,
        stream_id=given.stream_id,
        track_id=given.track_id,
        tags=each_once(given.tags),
        meta=given.meta,
    )
