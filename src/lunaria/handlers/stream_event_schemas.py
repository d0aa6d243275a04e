"""The MessagePack body with which a stream's watcher sends what it saw."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, Struct, field

from lunaria.estimation.inputs import Boxes
from lunaria.events.meta import META_SCHEMA
from lunaria.events.places import Location
from lunaria.faces.schemas import ExternalId, UserData
from lunaria.handlers.event_context import SourceName, Tags, TrackId
from lunaria.handlers.source_schemas import DetectTime, DetectTs, Filename, ImageOrigin
from lunaria.http.query import Flag
from lunaria.kit.times import settle_times

ImageBytes = Annotated[bytes, Meta(min_length=1, description="An image file as it is.")]
SOURCE_TYPES = {0: 0, 1: 1, 2: 2, "raw_image": 0, "face_warped_image": 1, "body_warped_image": 2}
"""The image types that sources may name, by number or by word."""
SourceType = Annotated[
    Literal[0, 1, 2, "raw_image", "face_warped_image", "body_warped_image"],
    Meta(
        description="0 - raw image, 1 - face warp (250x250), 2 - body warp (128x256).", extra_json_schema={"default": 0}
    ),
]
MimeType = Literal["image/jpeg", "image/png", "image/bmp", "image/tiff", "image/x-portable-pixmap"]


class BodyMeta(Struct, frozen=True):
    """What the bytes are. Other fields are allowed and not looked at."""

    mimetype: MimeType


class OriginImage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole image that a warp was cut from: its bytes, or the URL where it is kept."""

    body: Annotated[
        Any,
        Meta(
            extra_json_schema={
                "anyOf": [
                    {"type": "string", "contentEncoding": "base64", "description": "The file's bytes"},
                    {"type": "string", "minLength": 1, "maxLength": 256, "description": "URL"},
                ]
            }
        ),
    ]
    body_meta: BodyMeta | None = None


class SourceData(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the events of a source have in common."""

    source: SourceName | None = None
    stream_id: UUID | None = None
    track_id: TrackId | None = None
    external_id: ExternalId = ""
    user_data: UserData = ""
    tags: Tags = field(default_factory=list)
    location: Location | None = None
    event_time: datetime | None = None
    event_end_time: datetime | None = None
    meta: Annotated[dict[str, Any], Meta(extra_json_schema=dict(META_SCHEMA))] | None = None

    def __post_init__(self) -> None:
        settle_times(self, "event_time", "event_end_time")


class StreamSource(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An image with what is known of it."""

    body: ImageBytes
    body_meta: BodyMeta | None = None
    filename: Filename | None = None
    source_type: SourceType = 0
    source_data: Annotated[SourceData, Meta(description="Without aggregate_attributes only.")] | None = None
    detect_time: DetectTime | None = None
    detect_ts: DetectTs | None = None
    image_origin: ImageOrigin | OriginImage | None = None
    face_bounding_boxes: Boxes = []
    body_bounding_boxes: Boxes = []

    def __post_init__(self) -> None:
        settle_times(self, "detect_time")


class StreamEvents(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Images of one person, or each for itself."""

    aggregate_attributes: Annotated[
        Flag, Meta(description="Whether to make one event of all sources, which must show one person.")
    ]
    sources: Annotated[list[StreamSource], Meta(min_length=1)]
    source_data: Annotated[SourceData, Meta(description="With aggregate_attributes only.")] | None = None
    use_exif_info: Annotated[Flag, Meta(description="Whether to turn raw images upright as their EXIF data say.")] = 1
