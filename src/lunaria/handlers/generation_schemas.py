"""Wire objects of generating events: the query, and what became of the images."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from lunaria.estimation.estimates import FilterReason
from lunaria.estimation.queries import UseExif
from lunaria.estimation.schemas import Exif, Status
from lunaria.events.schemas import Event, EventSamples
from lunaria.handlers.event_context import EventContextQuery
from lunaria.http.errors import ErrorBody
from lunaria.http.query import Flag


class GenerationQuery(EventContextQuery, frozen=True, kw_only=True):
    """What the images are, whose they are, and whether they make one event."""

    image_type: Annotated[
        Literal[0, 1, 2], Meta(description="0 - raw image, 1 - face warp (250x250), 2 - body warp (128x256).")
    ] = 0
    aggregate_attributes: Annotated[
        Flag, Meta(description="Whether to make one event of all images, which must show one person.")
    ] = 0
    use_exif_info: UseExif = 1


class GeneratedImage(Struct, frozen=True):
    """What became of an image; its events have its file name in their detections."""

    filename: str
    status: Status
    error: ErrorBody
    exif: Exif = field(default_factory=dict)
    people_count: int | UnsetType = UNSET


class NamedSample(Struct, frozen=True):
    """A face or body in an image, of which no sample is stored."""

    filename: str
    sample: EventSamples


class FilteredDetection(Struct, frozen=True):
    """A detection that made no event, and why."""

    detection: NamedSample
    filter_reasons: list[FilterReason]


class FilteredDetections(Struct, frozen=True):
    face_detections: list[FilteredDetection] = field(default_factory=list)
    body_detections: list[FilteredDetection] = field(default_factory=list)


class GenerationResult(Struct, frozen=True):
    """Images in the order of the request; events in the order of the images, then of the given descriptors."""

    images: list[GeneratedImage]
    events: list[Event]
    filtered_detections: FilteredDetections = FilteredDetections()
