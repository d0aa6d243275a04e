"""Operations 60-78: faces and their attributes."""

from msgspec import UNSET

from lunaria.attributes.routes import DATA_ERRORS
from lunaria.attributes.schemas import Samples
from lunaria.faces.schemas import (
    CreateFace,
    DeleteFaces,
    DeleteFacesQuery,
    Face,
    FaceAttributeData,
    FaceAttributes,
    FaceAttributeSelection,
    FaceCreated,
    FaceFilterQuery,
    Faces,
    FacesCount,
    FaceSelection,
    FacesQuery,
    PatchFace,
)
from lunaria.faces.service import FacesService
from lunaria.http.operation import NO_CONTENT, Call, Content, Reply, Routes, TypedBody, created, operation
from lunaria.http.principal import Need
from lunaria.http.query import NoQuery, OfAccount

ONE = "/6/faces/{face_id:uuid}"
ATTRIBUTES = ONE + "/attributes"
CREATION = Need("face", "creation")
VIEW = Need("face", "view")
MODIFICATION = Need("face", "modification")
DELETION = Need("face", "deletion")
LINKING = Need("list", "modification")
EMPTY = {204: Content(description="Done")}


class FaceRoutes(Routes):
    def __init__(self, faces: FacesService) -> None:
        self._faces = faces

    @operation(
        "POST",
        "/6/faces",
        "faces",
        "create face",
        needs=(CREATION,),
        body=TypedBody(CreateFace, msgpack=True, optional=True),
        replies={201: Content(FaceCreated)},
        errors=(*DATA_ERRORS, 22001, 22003, 22005, 22009, 22011),
    )
    async def create(self, call: Call[NoQuery, CreateFace]) -> Reply:
        """Create a face, with attributes and in lists if wanted.

        The attributes are copied from a temporary attribute, which can serve one face only, or are given with the
        request. In MessagePack descriptors are bytes. A token needs list: modification, too, when lists are given.
        """
        if call.body.lists is not UNSET:
            call.principal.require(LINKING)
        face_id = await self._faces.create(call.principal.owner, call.body)
        url = f"/6/faces/{face_id}"
        return created(FaceCreated(face_id, url), url)

    @operation(
        "GET",
        "/6/faces",
        "faces",
        "get faces",
        needs=(VIEW,),
        query=FacesQuery,
        replies={200: Content(Faces)},
        errors=(22016,),
    )
    async def get_many(self, call: Call[FacesQuery, None]) -> Reply:
        """Get a page of the faces that fulfil all given conditions.

        The newest come first; with a bound on the ids they come by id, ascending.
        """
        scope = call.principal.reads(call.query.account_id)
        return Reply(body=Faces(await self._faces.get_many(scope, call.query)))

    @operation(
        "DELETE",
        "/6/faces",
        "faces",
        "delete faces",
        needs=(DELETION,),
        query=DeleteFacesQuery,
        body=TypedBody(DeleteFaces),
        replies=EMPTY,
        errors=(22004,),
    )
    async def delete_many(self, call: Call[DeleteFacesQuery, DeleteFaces]) -> Reply:
        """Delete faces with their attributes; their samples stay. One that is missing keeps all, unless ignored."""
        ignore = bool(call.query.ignore)
        await self._faces.delete_many(call.principal.writes(), call.body.face_ids, ignore_missing=ignore)
        return NO_CONTENT

    @operation(
        "GET",
        "/6/faces/count",
        "faces",
        "get face count",
        needs=(VIEW,),
        query=FaceFilterQuery,
        replies={200: Content(FacesCount)},
    )
    async def count(self, call: Call[FaceFilterQuery, None]) -> Reply:
        """Count the faces that fulfil all given conditions."""
        scope = call.principal.reads(call.query.account_id)
        return Reply(body=FacesCount(await self._faces.count(scope, call.query)))

    @operation(
        "GET",
        "/6/faces/attributes/count",
        "faces",
        "get count of faces with attributes",
        needs=(VIEW,),
        query=OfAccount,
        replies={200: Content(FacesCount)},
    )
    async def count_with_attributes(self, call: Call[OfAccount, None]) -> Reply:
        """Count the faces that have attributes."""
        scope = call.principal.reads(call.query.account_id)
        return Reply(body=FacesCount(await self._faces.count_with_attributes(scope)))

    @operation(
        "GET",
        ONE,
        "faces",
        "get face",
        needs=(VIEW,),
        query=FaceSelection,
        replies={200: Content(Face)},
        errors=(22002, 22016),
    )
    async def get(self, call: Call[FaceSelection, None]) -> Reply:
        """Get one face."""
        return Reply(body=await self._get(call))

    @operation(
        "PATCH",
        ONE,
        "faces",
        "patch face",
        needs=(MODIFICATION,),
        body=TypedBody(PatchFace),
        replies=EMPTY,
        errors=(22002, 22009),
    )
    async def patch(self, call: Call[NoQuery, PatchFace]) -> Reply:
        """Change the given fields of a face."""
        await self._faces.change(call.principal.writes(), call.id("face_id"), call.body)
        return NO_CONTENT

    @operation("DELETE", ONE, "faces", "remove face", needs=(DELETION,), replies=EMPTY, errors=(22002,))
    async def delete(self, call: Call[NoQuery, None]) -> Reply:
        """Delete a face with its attributes; its samples stay."""
        await self._faces.delete(call.principal.writes(), call.id("face_id"))
        return NO_CONTENT

    @operation(
        "HEAD",
        ONE,
        "faces",
        "check if face exists",
        needs=(VIEW,),
        query=FaceSelection,
        replies={200: Content()},
        errors=(22002, 22016),
    )
    async def check(self, call: Call[FaceSelection, None]) -> Reply:
        """Check whether a face exists."""
        await self._get(call)
        return Reply()

    async def _get(self, call: Call[FaceSelection, None]) -> Face:
        return await self._faces.get(call.principal.reads(), call.id("face_id"), call.query.targets)

    @operation(
        "PUT",
        ATTRIBUTES,
        "face attributes",
        "put face attribute",
        needs=(MODIFICATION,),
        body=TypedBody(FaceAttributeData),
        replies=EMPTY,
        errors=(*DATA_ERRORS, 22001, 22002, 22010),
    )
    async def put_attributes(self, call: Call[NoQuery, FaceAttributeData]) -> Reply:
        """Replace all attributes of a face by those of a temporary attribute, or by given ones."""
        await self._faces.set_attributes(call.principal.writes(), call.id("face_id"), call.body)
        return NO_CONTENT

    @operation(
        "GET",
        ATTRIBUTES,
        "face attributes",
        "get face attribute",
        needs=(VIEW,),
        query=FaceAttributeSelection,
        replies={200: Content(FaceAttributes)},
        errors=(11032, 12036, 22002, 22016, 22018),
    )
    async def get_attributes(self, call: Call[FaceAttributeSelection, None]) -> Reply:
        """Get the attributes of a face.

        The descriptor is that of the default version, or the newest where there is none of that.
        """
        query = call.query
        scope = call.principal.reads()
        found = await self._faces.attributes(scope, call.id("face_id"), query.targets, query.descriptor_version)
        return Reply(body=FaceAttributes(found))

    @operation(
        "DELETE",
        ATTRIBUTES,
        "face attributes",
        "delete face attribute",
        needs=(MODIFICATION,),
        replies=EMPTY,
        errors=(22002,),
    )
    async def delete_attributes(self, call: Call[NoQuery, None]) -> Reply:
        """Take the attributes of a face away; the face stays."""
        await self._faces.delete_attributes(call.principal.writes(), call.id("face_id"))
        return NO_CONTENT

    @operation(
        "GET",
        ATTRIBUTES + "/samples",
        "face attributes",
        "get face attribute samples",
        needs=(VIEW,),
        replies={200: Content(Samples)},
        errors=(22002,),
    )
    async def samples(self, call: Call[NoQuery, None]) -> Reply:
        """Get the samples that a face's attributes come from."""
        return Reply(body=Samples(await self._faces.samples(call.principal.reads(), call.id("face_id"))))
