"""What of an event is kept, and who is told of it."""

from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, field
from msgspec.structs import force_setattr, replace

from lunaria.events.callbacks_schemas import HttpCallback
from lunaria.handlers.filters import Filters
from lunaria.http.query import Flag

LISTS_LIMIT = 30
CALLBACKS_LIMIT = 10


class KeptSample(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whether the warp is kept as a sample."""

    store_sample: Flag = 1


class SamplePolicy(KeptSample, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whether, and of which persons, the warp is kept as a sample."""

    filters: Filters = Filters()


class ImageOriginPolicy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whether the whole picture is kept."""

    store_image: Flag = 0
    use_external_references: Annotated[
        Flag, Meta(description="Whether the address that a picture came from is remembered in place of a copy.")
    ] = 1
    filters: Filters = Filters()


class KeptAttribute(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whether what was extracted is kept for a while as a temporary attribute."""

    store_attribute: Flag = 0
    ttl: Annotated[int, Meta(ge=1, le=86400, description="Seconds for which it is kept.")] = 300


class AttributePolicy(KeptAttribute, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whether, and of which persons, what was extracted is kept for a while as a temporary attribute."""

    filters: Filters = Filters()


class ListLink(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A list that faces are put into."""

    list_id: UUID
    filters: Filters = Filters()


class FacePolicy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whether a face is made of what was extracted."""

    store_face: Flag = 0
    set_sample_as_avatar: Flag = 1
    link_to_lists_policy: Annotated[list[ListLink], Meta(max_length=LISTS_LIMIT)] = field(default_factory=list)
    filters: Filters = Filters()


class EventPolicy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whether the event is kept, and whether the answer waits until it is."""

    store_event: Flag = 1
    wait_saving: Flag = 1
    filters: Filters = Filters()


class Callback(HttpCallback, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A receiver of events by HTTP, and which events it is sent."""

    filters: Filters = Filters()


Callbacks = Annotated[list[Callback], Meta(max_length=CALLBACKS_LIMIT)]


class NotificationPolicy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whether subscribers are told of the event."""

    send_notification: Flag = 1
    filters: Filters = Filters()
    callbacks: Annotated[Callbacks, Meta(description="Another place of `storage_policy.callbacks`.")] | UnsetType = (
        UNSET
    )


class StoragePolicy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What of an event is kept, and who is told of it."""

    face_sample_policy: SamplePolicy = SamplePolicy()
    body_sample_policy: SamplePolicy = SamplePolicy()
    image_origin_policy: ImageOriginPolicy = ImageOriginPolicy()
    attribute_policy: AttributePolicy = AttributePolicy()
    face_policy: FacePolicy = FacePolicy()
    event_policy: EventPolicy = EventPolicy()
    notification_policy: NotificationPolicy = NotificationPolicy()
    callbacks: Callbacks = field(default_factory=list)

    def __post_init__(self) -> None:
        elsewhere = self.notification_policy.callbacks
        if elsewhere is UNSET:
            return
        if self.callbacks:
            raise ValueError("callbacks and notification_policy.callbacks are the same, only one may be given")
        force_setattr(self, "callbacks", elsewhere)
        force_setattr(self, "notification_policy", replace(self.notification_policy, callbacks=UNSET))
