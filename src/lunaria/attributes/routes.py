"""Operations 51-59: temporary attributes."""

from lunaria.attributes.bodies import BODY, BODY_ERRORS, read_attribute
from lunaria.attributes.schemas import (
    Attribute,
    AttributeCreated,
    Attributes,
    AttributeSelection,
    AttributesQuery,
    Samples,
    TtlQuery,
)
from lunaria.attributes.service import AttributesService
from lunaria.http.operation import NO_CONTENT, Call, Content, Reply, Routes, created, operation
from lunaria.http.principal import Need
from lunaria.http.query import NoQuery

ONE = "/6/attributes/{attribute_id:uuid}"
CREATION = Need("attribute", "creation")
VIEW = Need("attribute", "view")
DELETION = Need("attribute", "deletion")
DATA_ERRORS = (12036, 22022, 22024, 100007)
"""What can be wrong with the descriptors and basic attributes that a client brings."""


class AttributeRoutes(Routes):
    def __init__(self, attributes: AttributesService) -> None:
        self._attributes = attributes

    @operation(
        "POST",
        "/6/attributes",
        "attributes",
        "create temporary attribute",
        needs=(CREATION,),
        query=TtlQuery,
        body=BODY,
        replies={201: Content(AttributeCreated)},
        errors=(*BODY_ERRORS, *DATA_ERRORS),
    )
    async def create(self, call: Call[TtlQuery, bytes]) -> Reply:
        """Keep descriptors, basic attributes or both for a while, to make a face of them or to match with them."""
        given = read_attribute(call.headers.get("content-type"), call.body)
        attribute_id = await self._attributes.save(call.principal.owner, given, call.query.ttl)
        url = f"/6/attributes/{attribute_id}"
        return created(AttributeCreated(attribute_id, url), url)

    @operation(
        "GET",
        "/6/attributes",
        "attributes",
        "get temporary attributes",
        needs=(VIEW,),
        query=AttributesQuery,
        replies={200: Content(Attributes)},
        errors=(12036, 22016),
    )
    async def get_many(self, call: Call[AttributesQuery, None]) -> Reply:
        """Get attributes by their ids; those that are expired or unknown are left out.

        The descriptor is that of the default version, or of the newest where there is none of that. With
        descriptor_version it is that one or null.
        """
        query = call.query
        scope = call.principal.reads(query.account_id)
        found = await self._attributes.get_many(scope, query.attribute_ids, query.targets, query.descriptor_version)
        return Reply(body=Attributes(found))

    @operation(
        "GET",
        ONE,
        "attributes",
        "get temporary attribute",
        needs=(VIEW,),
        query=AttributeSelection,
        replies={200: Content(Attribute)},
        errors=(12036, 22011, 22016, 22018),
    )
    async def get(self, call: Call[AttributeSelection, None]) -> Reply:
        """Get one attribute.

        The descriptor is that of the default version, or the newest where there is none of that.
        """
        return Reply(body=await self._get(call))

    @operation(
        "HEAD",
        ONE,
        "attributes",
        "check temporary attribute",
        needs=(VIEW,),
        query=AttributeSelection,
        replies={200: Content()},
        errors=(12036, 22011, 22016, 22018),
    )
    async def check(self, call: Call[AttributeSelection, None]) -> Reply:
        """Check whether an attribute exists, with the descriptor of descriptor_version if that is given."""
        await self._get(call)
        return Reply()

    @operation(
        "DELETE",
        ONE,
        "attributes",
        "delete attribute",
        needs=(DELETION,),
        replies={204: Content(description="Done")},
        errors=(22011,),
    )
    async def delete(self, call: Call[NoQuery, None]) -> Reply:
        """Delete an attribute before its time."""
        await self._attributes.delete(call.principal.writes(), call.id("attribute_id"))
        return NO_CONTENT

    @operation(
        "GET",
        ONE + "/samples",
        "attributes",
        "get temporary attribute samples",
        needs=(VIEW,),
        replies={200: Content(Samples)},
        errors=(22011,),
    )
    async def samples(self, call: Call[NoQuery, None]) -> Reply:
        """Get the samples that an attribute comes from."""
        return Reply(body=Samples(await self._attributes.samples(call.principal.reads(), call.id("attribute_id"))))

    async def _get(self, call: Call[AttributeSelection, None]) -> Attribute:
        query = call.query
        scope = call.principal.reads()
        return await self._attributes.get(scope, call.id("attribute_id"), query.targets, query.descriptor_version)
