"""Wire objects of handlers."""

from collections.abc import Collection
from datetime import datetime
from enum import IntEnum
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from lunaria.handlers.policies import Policies
from lunaria.handlers.store import HandlerFilter
from lunaria.http.query import Flag, OfAccount, Page, PageSize, Text

Description = Annotated[str, Meta(max_length=128, pattern=r"^[^\x00]*$")]


class HandlerType(IntEnum):
    """Where the policies come from: the handler itself, each request, or a lambda in their place."""

    STATIC = 0
    DYNAMIC = 1
    LAMBDA = 2


TypeNumber = Annotated[Literal[0, 1, 2], Meta(description="0 - static, 1 - dynamic, 2 - lambda.")]


class SaveHandler(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A handler as its owner writes it: static with policies, dynamic without."""

    description: Description = ""
    policies: Policies | UnsetType | None = UNSET
    handler_type: (
        Annotated[TypeNumber, Meta(description="By default dynamic without policies, else static.")] | UnsetType
    ) = UNSET
    is_dynamic: Annotated[bool, Meta(extra_json_schema={"deprecated": True})] = False
    lambda_id: UUID | UnsetType | None = UNSET


class HandlerCreated(Struct, frozen=True):
    handler_id: UUID
    url: str


class GivenPolicies(Struct, frozen=True, forbid_unknown_fields=True):
    """Policies that are to be looked at."""

    policies: Policies


class Handler(Struct, frozen=True):
    """A handler. Its policies are complete, with all defaults; null for all but static ones."""

    handler_id: UUID
    account_id: UUID
    description: str
    policies: Policies | None
    create_time: datetime
    last_update_time: datetime
    handler_type: TypeNumber
    lambda_id: Annotated[UUID, Meta(description="Of lambda handlers only.")] | UnsetType = UNSET


class HandlersCount(Struct, frozen=True):
    handlers_count: int


class HandlerFilterQuery(OfAccount, frozen=True, kw_only=True):
    """Conditions that handlers fulfil all together."""

    description: Annotated[Text, Meta(description="Part of the description, in capitals or not.")] | None = None
    handler_type: TypeNumber | None = None
    is_dynamic: (
        Annotated[
            Flag,
            Meta(
                description="1 - dynamic, 0 - all others. Ignored beside handler_type.",
                extra_json_schema={"deprecated": True},
            ),
        ]
        | None
    ) = None

    @property
    def filter(self) -> HandlerFilter:
        return HandlerFilter(description=self.description, types=self._types)

    @property
    def _types(self) -> Collection[int] | None:
        if self.handler_type is not None:
            return [self.handler_type]
        if self.is_dynamic is None:
            return None
        return [HandlerType.DYNAMIC] if self.is_dynamic else [HandlerType.STATIC, HandlerType.LAMBDA]


class HandlersQuery(HandlerFilterQuery, frozen=True, kw_only=True):
    """The conditions, and a page of what fulfils them."""

    page: Page = 1
    page_size: PageSize = 10

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.page_size
