"""The rules of handlers: where their policies come from, and which policies this server can do."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid4

import msgspec
from msgspec import UNSET
from sqlalchemy import RowMapping

from lunaria.estimation.catalogue import Catalogue, asked
from lunaria.handlers.orders import order_of
from lunaria.handlers.policies import Policies
from lunaria.handlers.schemas import Handler, HandlerFilterQuery, HandlersQuery, HandlerType, SaveHandler
from lunaria.handlers.store import HandlersStore, LargeHandlersError
from lunaria.http.errors import ApiError
from lunaria.kit.times import Clock
from lunaria.storage.scope import Scope

REQUIRED = "field required"
POLICIES_LIMIT = 2 * 1024 * 1024
"""Most bytes of a handler's policies as JSON."""
REMEMBERED = 256
REMEMBERED_SIZE = 32 * 1024
"""How many policies are kept as they were decoded, and most characters of one."""


class HandlersService:
    """The handlers of all accounts. `candidates`: the most that one entry of a match policy may ask for."""

    def __init__(self, store: HandlersStore, catalogue: Catalogue, clock: Clock, candidates: int) -> None:
        self._store = store
        self._catalogue = catalogue
        self._clock = clock
        self._candidates = candidates

    async def create(self, owner: UUID, wanted: SaveHandler) -> UUID:
        """Raises 400/12022 for policies that the type does not have, and as `check` does; 403/11072."""
        handler_id, now = uuid4(), self._clock.now()
        row = {
            "handler_id": handler_id,
            "account_id": owner,
            "create_time": now,
            "last_update_time": now,
            **self._values(wanted),
        }
        await self._store.add(owner, row)
        return handler_id

    async def get(self, scope: Scope, handler_id: UUID) -> Handler:
        """Raises 404/34000, 500/34002."""
        found = await self._store.get(scope, handler_id)
        if found is None:
            raise ApiError(34000, handler_id)
        return _handler(found)

    async def get_many(self, scope: Scope, query: HandlersQuery) -> list[Handler]:
        """Raises 400/12012 for a page that would be too large, 500/34002 naming a handler that cannot be read.

        A page without it would hide it from those who can replace or delete it, which is always possible.
        """
        try:
            rows = await self._store.find(scope, query.filter, query.page_size, query.offset)
        except LargeHandlersError as error:
            raise ApiError(12012, "page_size", error) from None
        return [_handler(row) for row in rows]

    async def count(self, scope: Scope, query: HandlerFilterQuery) -> int:
        return await self._store.count(scope, query.filter)

    async def replace(self, scope: Scope, handler_id: UUID, wanted: SaveHandler) -> None:
        """Replace a handler as a whole. Raises 404/34000, and as `create` does."""
        if not await self._store.replace(scope, handler_id, self._values(wanted), self._clock.now()):
            raise ApiError(34000, handler_id)

    async def delete(self, scope: Scope, handler_id: UUID) -> None:
        """Raises 404/34000."""
        if not await self._store.delete(scope, handler_id):
            raise ApiError(34000, handler_id)

    def check(self, policies: Policies) -> None:
        """Whether this server can do what the policies say.

        Raises 400/34005 for too many candidates, 403/11044 naming an estimate that is turned off.
        """
        for entry in policies.match_policy:
            if entry.limit > self._candidates:
                raise ApiError(34005, entry.limit, self._candidates)
        self._catalogue.refuse_missing(asked(order_of(policies.detect_policy, policies.extract_policy)))

    def policies_of(self, handler: Handler, given: Policies | None) -> Policies:
        """The policies that hold for a request with a handler: its own ones, or those that came with the request.

        Raises 400/12022 for policies with a static handler and for none with a dynamic one, 403/11072 for a lambda,
        and as `check` does.
        """
        if handler.handler_type == HandlerType.LAMBDA.value:
            raise ApiError(11072)
        if handler.policies is not None and given is not None:
            raise ApiError(12022, "policies", "the handler is static and has policies of its own")
        policies = handler.policies or given
        if policies is None:
            raise ApiError(12022, "policies", REQUIRED)
        self.check(policies)
        return policies

    def _values(self, wanted: SaveHandler) -> dict[str, Any]:
        handler_type = _type_of(wanted)
        if handler_type is HandlerType.LAMBDA:
            raise ApiError(11072)
        policies = wanted.policies or None
        if policies is not None:
            if len(msgspec.json.encode(policies)) > POLICIES_LIMIT:
                raise ApiError(12022, "policies", f"larger than {POLICIES_LIMIT} bytes")
            self.check(policies)
        return {
            "description": wanted.description,
            "handler_type": handler_type,
            "lambda_id": None,
            "policies": None if policies is None else msgspec.to_builtins(policies),
        }


def _type_of(wanted: SaveHandler) -> HandlerType:
    """The type that is stated or follows from the rest. Raises 400/12022 for what contradicts it."""
    policies, lambda_id = wanted.policies or None, wanted.lambda_id or None
    if wanted.handler_type is not UNSET:
        handler_type = HandlerType(wanted.handler_type)
        if wanted.is_dynamic and handler_type is not HandlerType.DYNAMIC:
            raise ApiError(12022, "is_dynamic", f"contradicts handler_type {handler_type}")
    else:
        dynamic = wanted.is_dynamic or policies is None
        handler_type = HandlerType.DYNAMIC if dynamic else HandlerType.STATIC
    if handler_type is HandlerType.STATIC and policies is None:
        raise ApiError(12022, "policies", REQUIRED)
    if handler_type is not HandlerType.STATIC and policies is not None:
        raise ApiError(12022, "policies", "only static handlers have policies")
    if handler_type is HandlerType.LAMBDA and lambda_id is None:
        raise ApiError(12022, "lambda_id", REQUIRED)
    if handler_type is not HandlerType.LAMBDA and lambda_id is not None:
        raise ApiError(12022, "lambda_id", "only handlers of the type 2 have a lambda")
    return handler_type


def _handler(row: RowMapping | Mapping[str, Any]) -> Handler:
    """Policies that came into being after the handler was saved get their defaults."""
    try:
        policies = None if row["policies"] is None else _policies(row["policies"])
    except msgspec.ValidationError as error:
        raise ApiError(34002, row["handler_id"], error) from None
    return Handler(
        handler_id=row["handler_id"],
        account_id=row["account_id"],
        description=row["description"],
        policies=policies,
        create_time=row["create_time"],
        last_update_time=row["last_update_time"],
        handler_type=row["handler_type"],
        lambda_id=row["lambda_id"] or UNSET,
    )


def _policies(text: str) -> Policies:
    """Policies as they are stored. Raises msgspec.ValidationError."""
    return _remembered(text) if len(text) <= REMEMBERED_SIZE else msgspec.json.decode(text, type=Policies)


@lru_cache(REMEMBERED)
def _remembered(text: str) -> Policies:
    """A handler's policies serve many events; who changes them changes the text."""
    return msgspec.json.decode(text, type=Policies)
