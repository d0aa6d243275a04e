"""Wire objects of faces and their attributes."""

import re
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from lunaria.attributes.schemas import (
    ESTIMATES_TARGETS,
    AttributeData,
    Estimates,
    Version,
    check_targets,
)
from lunaria.faces.filters import FaceFilter
from lunaria.http.query import Flag, OfAccount, Page, PageSize, Query, Text

ARRAY_LIMIT = 10_000
"""Most ids in an array of a body."""
QUERY_LIMIT = 1000
"""Most ids in one query parameter."""
LISTS_LIMIT = 1000
"""Most lists that a face is created in."""

_URI = r"(https?://\[[0-9A-Fa-f:.]+\])?([A-Za-z0-9\-._~:/?#@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*"
_URI_REFERENCE = re.compile(_URI)

ExternalId = Annotated[str, Meta(max_length=36, pattern=r"^[^\x00]*$", description="The user's own id of a person.")]
UserData = Annotated[str, Meta(max_length=128, pattern=r"^[^\x00]*$")]
Avatar = Annotated[
    str,
    Meta(
        max_length=256,
        description="Reference of the picture that stands for the face.",
        extra_json_schema={"format": "uri-reference", "pattern": f"^{_URI}$"},
    ),
]
FaceIds = Annotated[list[UUID], Meta(min_length=1, max_length=ARRAY_LIMIT)]
ListIds = Annotated[list[UUID], Meta(min_length=1, max_length=LISTS_LIMIT)]
QueryIds = Annotated[list[UUID], Meta(min_length=1, max_length=QUERY_LIMIT)]


def is_uri_reference(text: str) -> bool:
    """Whether the text has the characters of a URI reference (RFC 3986, section 4.1)."""
    return _URI_REFERENCE.fullmatch(text) is not None


class FaceAttributeData(AttributeData, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The attributes of a face: those of a temporary attribute, or new ones."""

    attribute_id: UUID | UnsetType = UNSET

    def __post_init__(self) -> None:
        super().__post_init__()
        inline = (self.face_descriptors, self.basic_attributes) != (UNSET, UNSET)
        if self.attribute_id is not UNSET and (inline or self.face_descriptor_samples or self.basic_attributes_samples):
            raise ValueError("attribute_id excludes every other field")


class CreateFace(Struct, frozen=True, forbid_unknown_fields=True):
    attribute: FaceAttributeData | UnsetType = UNSET
    external_id: ExternalId = ""
    user_data: UserData = ""
    avatar: Avatar = ""
    lists: ListIds | UnsetType = UNSET
    event_id: UUID | UnsetType = UNSET


class FaceCreated(Struct, frozen=True):
    face_id: UUID
    url: str


class PatchFace(Struct, frozen=True, forbid_unknown_fields=True):
    """The fields to change; those that lack stay."""

    external_id: ExternalId | UnsetType = UNSET
    event_id: UUID | UnsetType | None = UNSET
    user_data: UserData | UnsetType = UNSET
    avatar: Avatar | UnsetType = UNSET


class DeleteFaces(Struct, frozen=True, forbid_unknown_fields=True):
    face_ids: FaceIds


class Face(Struct, omit_defaults=True):
    """A face; fields that are not among the targets lack."""

    face_id: UUID | UnsetType = UNSET
    account_id: UUID | UnsetType = UNSET
    event_id: UUID | UnsetType | None = UNSET
    user_data: str | UnsetType = UNSET
    create_time: datetime | UnsetType = UNSET
    external_id: str | UnsetType = UNSET
    avatar: str | UnsetType = UNSET
    lists: list[UUID] | UnsetType = UNSET


class Faces(Struct):
    faces: list[Face]


class FacesCount(Struct):
    faces_count: int


class FaceAttributes(Struct):
    """The attributes of a face."""

    attributes: Estimates


FACE_TARGETS = Face.__struct_fields__
Targets = Annotated[
    list[Annotated[str, Meta(extra_json_schema={"enum": list(FACE_TARGETS)})]],
    Meta(min_length=1, description="Fields to show; all by default."),
]
AttributeTargets = Annotated[
    list[Annotated[str, Meta(extra_json_schema={"enum": list(ESTIMATES_TARGETS)})]],
    Meta(min_length=1, description="Fields to show; all by default."),
]


class FaceFilterQuery(OfAccount, frozen=True, kw_only=True):
    """Conditions that faces fulfil all together."""

    create_time__lt: datetime | None = None
    create_time__gte: datetime | None = None
    event_id: UUID | None = None
    face_id__lt: UUID | None = None
    face_id__gte: UUID | None = None
    face_ids: QueryIds | None = None
    external_ids: Annotated[list[Text], Meta(min_length=1, max_length=QUERY_LIMIT)] | None = None
    user_data: Annotated[Text, Meta(description="Part of the user data, in capitals or not.")] | None = None
    list_id: UUID | None = None

    @property
    def filter(self) -> FaceFilter:
        return FaceFilter(
            created_from=self.create_time__gte,
            created_before=self.create_time__lt,
            id_from=self.face_id__gte,
            id_before=self.face_id__lt,
            face_ids=self.face_ids,
            external_ids=self.external_ids,
            user_data=self.user_data,
            event_id=self.event_id,
            list_id=self.list_id,
        )


class FacesQuery(FaceFilterQuery, frozen=True, kw_only=True):
    """The conditions, a page of what fulfils them, and what to show."""

    page: Page = 1
    page_size: PageSize = 10
    targets: Targets | None = None

    def __post_init__(self) -> None:
        check_targets(self.targets, FACE_TARGETS)

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.page_size


class FaceSelection(Query, frozen=True, kw_only=True):
    """What to show of one face."""

    targets: Targets | None = None

    def __post_init__(self) -> None:
        check_targets(self.targets, FACE_TARGETS)


class DeleteFacesQuery(Query, frozen=True, kw_only=True):
    ignore: Annotated[Flag, Meta(description="Whether to pass over faces that do not exist.")] = 0


class FaceAttributeSelection(Query, frozen=True, kw_only=True):
    """What to show of a face's attributes."""

    targets: AttributeTargets | None = None
    descriptor_version: Version | None = None

    def __post_init__(self) -> None:
        check_targets(self.targets, ESTIMATES_TARGETS)


def shown_face(row: Any, targets: list[str] | None) -> Face:
    """The targets of a row of faces with its `lists`."""
    return Face(**{name: row[name] for name in targets or FACE_TARGETS})
