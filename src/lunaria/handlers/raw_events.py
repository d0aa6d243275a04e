"""Events that were made elsewhere: read into the one form of events, then recorded like all others.

What such an event refers to (faces, lists, samples, candidates) is kept as it is told and never looked for, so that it
says nothing about what belongs to others.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4

import msgspec
from msgspec import UNSET

from lunaria.attributes.descriptors import CodedDescriptor, DescriptorVersions
from lunaria.attributes.schemas import DescriptorData
from lunaria.estimation.estimates import BodyAttributes, BodyDetection, FaceAttributes, FaceDetection
from lunaria.estimation.schemas import AggregatedBody, AggregatedFace, AggregateEstimations
from lunaria.events.event import EventDescriptor, NewEvent
from lunaria.events.meta import require_meta
from lunaria.events.places import Location
from lunaria.events.schemas import (
    AttributeFilter,
    DescriptorKind,
    Event,
    EventBodyAttributes,
    EventBodySample,
    EventDetection,
    EventFace,
    EventFaceAttributes,
    EventFaceSample,
    EventSamples,
    LabelMatches,
)
from lunaria.handlers.event_context import each_once
from lunaria.handlers.raw_event_schemas import (
    GivenDescriptor,
    RawAggregates,
    RawBodyAttributes,
    RawBodyDetection,
    RawCandidate,
    RawDetection,
    RawEvent,
    RawFace,
    RawFaceAttributes,
    RawFaceDetection,
    RawMatches,
    RawSamples,
)
from lunaria.handlers.recorder import PreparedEvent, Recorder
from lunaria.handlers.schemas import HandlerType
from lunaria.handlers.service import HandlersService
from lunaria.http.errors import ApiError
from lunaria.kit.times import Clock
from lunaria.matching.schemas import Match
from lunaria.storage.scope import Scope

T = TypeVar("T")

EVENT_LIMIT = 8 * 1024 * 1024
"""Most bytes of an event as JSON: its meta, and all that was matched and detected."""


class RawEventsService:
    """Saves events that were made elsewhere. `versions`: of descriptors of faces and of bodies."""

    def __init__(
        self, handlers: HandlersService, recorder: Recorder, versions: DescriptorVersions, clock: Clock
    ) -> None:
        self._handlers = handlers
        self._recorder = recorder
        self._versions = versions
        self._clock = clock

    async def save(self, owner: UUID, handler_id: UUID, given: RawEvent, *, wait: bool, request_id: str) -> UUID:
        """Keep an event of a dynamic handler and tell those who listen: its id.

        Raises 404/34000, 403/34007, 400/12022 for a bad meta and for too large an event, 400/12036 and 400/100007 for
        bad descriptors, 503/11.
        """
        handler = await self._handlers.get(Scope(owner), handler_id)
        if handler.handler_type != HandlerType.DYNAMIC.value:
            raise ApiError(34007, handler_id)
        if given.meta is not None:
            await require_meta(given.meta)
        descriptors = self._descriptors(given)
        event = read_event(given, owner, self._clock.now())
        if len(msgspec.json.encode(event)) > EVENT_LIMIT:
            raise ApiError(12022, "", f"an event has at most {EVENT_LIMIT} bytes")
        prepared = PreparedEvent(NewEvent(owner, handler_id, event, descriptors))
        await self._recorder.record([prepared], wait=wait, request_id=request_id)
        return event.event_id

    def _descriptors(self, given: RawEvent) -> tuple[EventDescriptor, ...]:
        found = (
            self._descriptor("face", "face_attributes.descriptor", given.face_attributes),
            self._descriptor("body", "body_attributes.descriptor", given.body_attributes),
        )
        return tuple(one for one in found if one is not None)

    def _descriptor(
        self, kind: DescriptorKind, path: str, attributes: RawFaceAttributes | RawBodyAttributes | None
    ) -> EventDescriptor | None:
        if attributes is None or attributes.descriptor is None:
            return None
        descriptor = replace(self._read(attributes.descriptor), score=attributes.score)
        if self._versions.kind(descriptor.version) != kind:
            raise ApiError(12022, path, f"version {descriptor.version} is none of a {kind}")
        return EventDescriptor(kind, descriptor)

    def _read(self, given: GivenDescriptor) -> CodedDescriptor:
        if isinstance(given, DescriptorData):
            return self._versions.read(given.descriptor, given.version)
        return self._versions.read(given, None)


def read_event(given: RawEvent, owner: UUID, now: datetime) -> Event:
    """The event that a client tells, with an id of its own; without times of its own it is of `now`."""
    event_id = uuid4()
    create_time = given.create_time or now
    return Event(
        event_id=event_id,
        url=f"/6/events/{event_id}",
        create_time=create_time,
        end_time=given.end_time or create_time,
        external_id=given.external_id,
        user_data=given.user_data,
        source=given.source,
        stream_id=given.stream_id,
        track_id=given.track_id,
        tags=list(each_once(given.tags)),
        location=given.location or Location(),
        meta=given.meta,
        face=None if given.face is None else _face(given.face, owner, event_id, create_time),
        face_attributes=None if given.face_attributes is None else _face_attributes(given.face_attributes),
        body_attributes=None if given.body_attributes is None else _body_attributes(given.body_attributes),
        matches=None if given.matches is None else [_matches(found) for found in given.matches],
        detections=[_detection(seen, create_time) for seen in given.detections],
        aggregate_estimations=_aggregates(given.aggregate_estimations or RawAggregates()),
    )


def _face(given: RawFace, owner: UUID, event_id: UUID, create_time: datetime) -> EventFace:
    return EventFace(
        face_id=given.face_id,
        account_id=_told(given.account_id, owner),
        event_id=_told(given.event_id, event_id),
        user_data=given.user_data,
        create_time=_told(given.create_time, create_time),
        external_id=given.external_id,
        avatar=given.avatar,
        lists=given.lists,
        url=_told(given.url, f"/6/faces/{given.face_id}"),
    )


def _face_attributes(given: RawFaceAttributes) -> EventFaceAttributes:
    url = None if given.attribute_id is None else f"/6/attributes/{given.attribute_id}"
    return EventFaceAttributes(
        given.attribute_id,
        given.url or url,
        given.basic_attributes,
        given.score,
        given.samples,
        AttributeFilter(given.filter.is_filtered, given.filter.filter_reasons),
    )


def _body_attributes(given: RawBodyAttributes) -> EventBodyAttributes:
    return EventBodyAttributes(given.score, given.samples)


def _matches(given: RawMatches) -> LabelMatches:
    return LabelMatches(given.label, [_match(one) for one in given.candidates])


def _match(given: RawCandidate) -> Match:
    return Match(given.similarity, given.face, given.event, given.attribute)


def _detection(given: RawDetection, create_time: datetime) -> EventDetection:
    return EventDetection(
        given.filename,
        _samples(given.samples),
        given.detect_time or create_time,
        given.detect_ts,
        given.image_origin,
    )


def _samples(given: RawSamples) -> EventSamples:
    face: EventFaceSample | None = None
    body: EventBodySample | None = None
    if given.face is not None:
        url = given.face.url or _address("faces", given.face.sample_id)
        face = EventFaceSample(_face_detection(given.face.detection), given.face.sample_id, url)
    if given.body is not None:
        url = given.body.url or _address("bodies", given.body.sample_id)
        body = EventBodySample(_body_detection(given.body.detection), given.body.sample_id, url)
    return EventSamples(face, body)


def _address(folder: str, sample_id: UUID | None) -> str | None:
    return None if sample_id is None else f"/6/samples/{folder}/{sample_id}"


def _face_detection(given: RawFaceDetection) -> FaceDetection:
    return FaceDetection(**{**_fields(given), "attributes": FaceAttributes(**_fields(given.attributes))})


def _body_detection(given: RawBodyDetection) -> BodyDetection:
    return BodyDetection(given.rect, attributes=BodyAttributes(**_fields(given.attributes)))


def _aggregates(given: RawAggregates) -> AggregateEstimations:
    face, body = given.face, given.body
    return AggregateEstimations(
        None if face is None else AggregatedFace(FaceAttributes(**_fields(face.attributes))),
        None if body is None else AggregatedBody(BodyAttributes(**_fields(body.attributes))),
    )


def _fields(given: msgspec.Struct) -> dict[str, Any]:
    """The fields of an object that go by the same names in an event."""
    return {name: getattr(given, name) for name in given.__struct_fields__}


def _told(value: T | msgspec.UnsetType, otherwise: T) -> T:
    return otherwise if value is UNSET else value
