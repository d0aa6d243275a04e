"""Operations 98-109: handlers."""

from lunaria.handlers.schemas import (
    GivenPolicies,
    Handler,
    HandlerCreated,
    HandlerFilterQuery,
    HandlersCount,
    HandlersQuery,
    SaveHandler,
)
from lunaria.handlers.service import HandlersService
from lunaria.http.operation import NO_CONTENT, Call, Content, Reply, Routes, TypedBody, created, operation
from lunaria.http.principal import Need
from lunaria.http.query import NoQuery

ALL = "/6/handlers"
ONE = ALL + "/{handler_id:uuid}"
CREATION = Need("handler", "creation")
VIEW = Need("handler", "view")
MODIFICATION = Need("handler", "modification")
DELETION = Need("handler", "deletion")
EMPTY = {204: Content(description="Done")}
POLICY_ERRORS = (11044, 34005)
"""Of policies that are well formed and more than this server does."""
LOAD_ERRORS = (34000, 34002)


class HandlerRoutes(Routes):
    def __init__(self, handlers: HandlersService) -> None:
        self._handlers = handlers

    @operation(
        "POST",
        ALL,
        "handlers",
        "create handler",
        needs=(CREATION,),
        body=TypedBody(SaveHandler),
        replies={201: Content(HandlerCreated)},
        errors=(*POLICY_ERRORS, 11072),
    )
    async def create(self, call: Call[NoQuery, SaveHandler]) -> Reply:
        """Create a handler: the policies by which pictures are processed and events made of them.

        A static handler (handler_type 0) has its policies, a dynamic one (1) gets them with each request. Samples and
        events are stored unless the policies say otherwise.
        """
        handler_id = await self._handlers.create(call.principal.owner, call.body)
        url = f"{ALL}/{handler_id}"
        return created(HandlerCreated(handler_id, url), url)

    @operation(
        "GET",
        ALL,
        "handlers",
        "get handlers",
        needs=(VIEW,),
        query=HandlersQuery,
        replies={200: Content(list[Handler])},
        errors=(34002,),
    )
    async def get_many(self, call: Call[HandlersQuery, None]) -> Reply:
        """Get a page of the handlers that fulfil all given conditions, the newest first."""
        scope = call.principal.reads(call.query.account_id)
        return Reply(body=await self._handlers.get_many(scope, call.query))

    @operation(
        "GET",
        ALL + "/count",
        "handlers",
        "get handler count",
        needs=(VIEW,),
        query=HandlerFilterQuery,
        replies={200: Content(HandlersCount)},
    )
    async def count(self, call: Call[HandlerFilterQuery, None]) -> Reply:
        """Count the handlers that fulfil all given conditions."""
        scope = call.principal.reads(call.query.account_id)
        return Reply(body=HandlersCount(await self._handlers.count(scope, call.query)))

    @operation(
        "POST",
        ALL + "/validator",
        "handlers",
        "validate handler policies",
        needs=(CREATION,),
        body=TypedBody(GivenPolicies),
        replies=EMPTY,
        errors=POLICY_ERRORS,
        reading=True,
    )
    async def validate(self, call: Call[NoQuery, GivenPolicies]) -> Reply:
        """Look whether policies could be those of a handler, or come with a request to a dynamic one."""
        self._handlers.check(call.body.policies)
        return NO_CONTENT

    @operation(
        "GET", ONE, "handlers", "get handler", needs=(VIEW,), replies={200: Content(Handler)}, errors=LOAD_ERRORS
    )
    async def get(self, call: Call[NoQuery, None]) -> Reply:
        """Get one handler, its policies with all defaults."""
        return Reply(body=await self._handlers.get(call.principal.reads(), call.id("handler_id")))

    @operation(
        "PUT",
        ONE,
        "handlers",
        "replace handler",
        needs=(MODIFICATION,),
        body=TypedBody(SaveHandler),
        replies=EMPTY,
        errors=(*POLICY_ERRORS, 11072, 34000),
    )
    async def replace(self, call: Call[NoQuery, SaveHandler]) -> Reply:
        """Replace a handler as a whole: what is left out gets its default. The next request to it obeys."""
        await self._handlers.replace(call.principal.writes(), call.id("handler_id"), call.body)
        return NO_CONTENT

    @operation(
        "HEAD",
        ONE,
        "handlers",
        "check if handler exists",
        needs=(VIEW,),
        replies={200: Content()},
        errors=LOAD_ERRORS,
    )
    async def check(self, call: Call[NoQuery, None]) -> Reply:
        """Check whether a handler exists."""
        await self._handlers.get(call.principal.reads(), call.id("handler_id"))
        return Reply()

    @operation("DELETE", ONE, "handlers", "remove handler", needs=(DELETION,), replies=EMPTY, errors=(34000,))
    async def delete(self, call: Call[NoQuery, None]) -> Reply:
        """Delete a handler; the events that were made by it stay."""
        await self._handlers.delete(call.principal.writes(), call.id("handler_id"))
        return NO_CONTENT
