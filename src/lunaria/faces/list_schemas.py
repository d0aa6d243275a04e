"""Wire objects of lists."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from lunaria.faces.filters import ListFilter
from lunaria.faces.schemas import ARRAY_LIMIT, FaceIds, QueryIds, UserData
from lunaria.http.query import Flag, OfAccount, Page, PageSize, Query, Text


class CreateList(Struct, frozen=True, forbid_unknown_fields=True):
    user_data: UserData = ""


class ListCreated(Struct, frozen=True):
    list_id: UUID
    url: str


class PatchList(Struct, frozen=True, forbid_unknown_fields=True):
    user_data: UserData | UnsetType = UNSET


class DeleteLists(Struct, frozen=True, forbid_unknown_fields=True):
    list_ids: Annotated[list[UUID], Meta(min_length=1, max_length=ARRAY_LIMIT)]


class LinkFaces(Struct, frozen=True, forbid_unknown_fields=True):
    """Faces that are to come into a list, or out of it."""

    action: Literal["attach", "detach"]
    face_ids: FaceIds


class FaceList(Struct):
    """A list."""

    list_id: UUID
    user_data: str
    account_id: UUID
    create_time: datetime
    last_update_time: datetime


class FaceLists(Struct):
    lists: list[FaceList]


class ListsCount(Struct):
    lists_count: int


class DeleteListsQuery(Query, frozen=True, kw_only=True):
    with_faces: Annotated[Flag, Meta(description="Whether to delete the faces of the lists, too.")] = 0


class ListFilterQuery(OfAccount, frozen=True, kw_only=True):
    """Conditions that lists fulfil all together."""

    create_time__lt: datetime | None = None
    create_time__gte: datetime | None = None
    last_update_time__lt: datetime | None = None
    last_update_time__gte: datetime | None = None
    user_data: Annotated[Text, Meta(description="Part of the user data, in capitals or not.")] | None = None
    user_data__eq: Annotated[Text, Meta(description="The whole user data.")] | None = None
    list_ids: QueryIds | None = None
    list_id__lt: UUID | None = None
    list_id__gte: UUID | None = None

    @property
    def filter(self) -> ListFilter:
        return ListFilter(
            created_from=self.create_time__gte,
            created_before=self.create_time__lt,
            updated_from=self.last_update_time__gte,
            updated_before=self.last_update_time__lt,
            id_from=self.list_id__gte,
            id_before=self.list_id__lt,
            list_ids=self.list_ids,
            user_data=self.user_data,
            same_user_data=self.user_data__eq,
        )


class ListsQuery(ListFilterQuery, frozen=True, kw_only=True):
    """The conditions, and a page of what fulfils them."""

    page: Page = 1
    page_size: PageSize = 10

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.page_size
