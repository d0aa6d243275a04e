"""Operations 79-91: lists, and which faces are in them."""

from typing import Any

from lunaria.faces.list_schemas import (
    CreateList,
    DeleteLists,
    DeleteListsQuery,
    FaceList,
    FaceLists,
    LinkFaces,
    ListCreated,
    ListFilterQuery,
    ListsCount,
    ListsQuery,
    PatchList,
)
from lunaria.faces.lists_service import ListsService
from lunaria.http.operation import NO_CONTENT, Call, Content, Reply, Routes, TypedBody, created, operation
from lunaria.http.principal import Need
from lunaria.http.query import NoQuery

ONE = "/6/lists/{list_id:uuid}"
CREATION = Need("list", "creation")
VIEW = Need("list", "view")
MODIFICATION = Need("list", "modification")
DELETION = Need("list", "deletion")
FACE_DELETION = Need("face", "deletion")
EMPTY = {204: Content(description="Done")}


class ListRoutes(Routes):
    def __init__(self, lists: ListsService) -> None:
        self._lists = lists

    @operation(
        "POST",
        "/6/lists",
        "lists",
        "create list",
        needs=(CREATION,),
        body=TypedBody(CreateList, optional=True),
        replies={201: Content(ListCreated)},
    )
    async def create(self, call: Call[NoQuery, CreateList]) -> Reply:
        """Create an empty list."""
        list_id = await self._lists.create(call.principal.owner, call.body.user_data)
        url = f"/6/lists/{list_id}"
        return created(ListCreated(list_id, url), url)

    @operation(
        "GET",
        "/6/lists",
        "lists",
        "get lists",
        needs=(VIEW,),
        query=ListsQuery,
        replies={200: Content(FaceLists)},
    )
    async def get_many(self, call: Call[ListsQuery, None]) -> Reply:
        """Get a page of the lists that fulfil all given conditions.

        The newest come first; with a bound on the ids they come by id, ascending.
        """
        scope = call.principal.reads(call.query.account_id)
        return Reply(body=FaceLists(await self._lists.get_many(scope, call.query)))

    @operation(
        "DELETE",
        "/6/lists",
        "lists",
        "delete lists",
        needs=(DELETION,),
        query=DeleteListsQuery,
        body=TypedBody(DeleteLists),
        replies=EMPTY,
        errors=(22005,),
    )
    async def delete_many(self, call: Call[DeleteListsQuery, DeleteLists]) -> Reply:
        """Delete lists; one that is missing keeps all. With with_faces=1 their faces are deleted, too.

        A token needs face: deletion, too, for with_faces=1.
        """
        with_faces = _with_faces(call)
        await self._lists.delete_many(call.principal.owner, call.body.list_ids, with_faces=with_faces)
        return NO_CONTENT

    @operation(
        "GET",
        "/6/lists/count",
        "lists",
        "get list count",
        needs=(VIEW,),
        query=ListFilterQuery,
        replies={200: Content(ListsCount)},
    )
    async def count(self, call: Call[ListFilterQuery, None]) -> Reply:
        """Count the lists that fulfil all given conditions."""
        scope = call.principal.reads(call.query.account_id)
        return Reply(body=ListsCount(await self._lists.count(scope, call.query)))

    @operation("GET", ONE, "lists", "get list", needs=(VIEW,), replies={200: Content(FaceList)}, errors=(22003,))
    async def get(self, call: Call[NoQuery, None]) -> Reply:
        """Get one list."""
        return Reply(body=await self._lists.get(call.principal.reads(), call.id("list_id")))

    @operation("HEAD", ONE, "lists", "check if list exists", needs=(VIEW,), replies={200: Content()}, errors=(22003,))
    async def check(self, call: Call[NoQuery, None]) -> Reply:
        """Check whether a list exists."""
        await self._lists.get(call.principal.reads(), call.id("list_id"))
        return Reply()

    @operation(
        "PATCH",
        ONE,
        "lists",
        "update list",
        needs=(MODIFICATION,),
        body=TypedBody(PatchList),
        replies=EMPTY,
        errors=(22003,),
    )
    async def patch(self, call: Call[NoQuery, PatchList]) -> Reply:
        """Change the user data of a list."""
        await self._lists.change(call.principal.writes(), call.id("list_id"), call.body)
        return NO_CONTENT

    @operation(
        "DELETE",
        ONE,
        "lists",
        "delete list",
        needs=(DELETION,),
        query=DeleteListsQuery,
        replies=EMPTY,
        errors=(22003,),
    )
    async def delete(self, call: Call[DeleteListsQuery, None]) -> Reply:
        """Delete a list. With with_faces=1 its faces are deleted, too, whatever other lists they are in.

        A token needs face: deletion, too, for with_faces=1.
        """
        with_faces = _with_faces(call)
        await self._lists.delete(call.principal.owner, call.id("list_id"), with_faces=with_faces)
        return NO_CONTENT

    @operation(
        "PATCH",
        ONE + "/faces",
        "lists",
        "attach/detach faces to the list",
        needs=(MODIFICATION,),
        body=TypedBody(LinkFaces),
        replies=EMPTY,
        errors=(22003, 22004),
    )
    async def link(self, call: Call[NoQuery, LinkFaces]) -> Reply:
        """Attach faces to a list, or detach them. One that does not exist keeps all as it is."""
        await self._lists.link(call.principal.owner, call.id("list_id"), call.body)
        return NO_CONTENT


def _with_faces(call: Call[DeleteListsQuery, Any]) -> bool:
    """Raises 403/11059 when a token may not delete faces and they are to be deleted."""
    if call.query.with_faces:
        call.principal.require(FACE_DELETION)
    return bool(call.query.with_faces)
