"""Who a request acts for, and what it may do."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Protocol
from uuid import UUID

from lunaria.http.errors import ApiError
from lunaria.storage.scope import Scope

NOBODY = UUID(int=0)
"""An account id that no account has: a scope of it finds nothing."""

Verb = Literal["creation", "view", "modification", "deletion", "matching"]

OBJECT_VERBS: dict[str, tuple[Verb, ...]] = {
    "face": ("creation", "view", "modification", "deletion", "matching"),
    "attribute": ("creation", "view", "modification", "deletion", "matching"),
    "list": ("creation", "view", "modification", "deletion"),
    "event": ("creation", "view", "matching"),
    "handler": ("creation", "view", "modification", "deletion"),
    "verifier": ("creation", "view", "modification", "deletion"),
    "task": ("creation", "view", "modification", "deletion"),
    "token": ("creation", "view", "modification", "deletion"),
    "face_sample": ("creation", "view", "deletion"),
    "body_sample": ("creation", "view", "deletion"),
    "image": ("creation", "view", "deletion"),
    "object": ("creation", "view", "deletion"),
    "lambda": ("creation", "view", "modification", "deletion"),
}
"""What a token may be granted for each kind of object."""

RESOURCES = ("liveness", "iso", "sdk")
"""Stateless resources that a token may be granted."""


class AccountType(StrEnum):
    USER = "user"
    ADVANCED_USER = "advanced_user"
    ADMIN = "admin"


class Credential(StrEnum):
    """What a caller proved itself with."""

    BASIC = "basic"
    TOKEN = "token"  # noqa: S105 - a kind of credential, not one
    ACCOUNT_ID = "account_id"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Need:
    """A right that an operation asks of a token: a verb on an object, or a stateless resource."""

    thing: str
    verb: Verb | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller: an account with its rights, or nobody in particular (`account_id` None)."""

    account_id: UUID | None
    account_type: AccountType | None
    credential: Credential
    permissions: Mapping[str, Any] | None = None
    """A token's rights; None: limited by the account type only."""
    sees_all: bool = False
    """Whether reads cover every account's data."""

    @property
    def owner(self) -> UUID:
        """The account that what this request creates belongs to. Raises 403/11036 for nobody."""
        if self.account_id is None:
            raise ApiError(11036)
        return self.account_id

    @property
    def is_admin(self) -> bool:
        return self.account_type is AccountType.ADMIN and self.credential is Credential.BASIC

    def writes(self) -> Scope:
        """What this request may change: the own account's data."""
        return Scope(self.owner)

    def reads(self, account_id: UUID | None = None) -> Scope:
        """What this request may read, narrowed by the `account_id` query parameter.

        With Luna-Account-Id the parameter has no effect; a foreign account is an empty scope for callers
        who see only their own.
        """
        if self.credential is Credential.ACCOUNT_ID:
            return Scope(self.account_id)
        if self.sees_all:
            return Scope(account_id)
        if account_id is None or account_id == self.account_id:
            return Scope(self.owner)
        return Scope(NOBODY)

    def require(self, need: Need) -> None:
        """Raise 403/11059 or 403/11060 unless the token grants `need`."""
        if self.permissions is None:
            return
        if need.verb is None:
            if need.thing not in self.permissions.get("resources", ()):
                raise ApiError(11060, need.thing)
        elif need.verb not in self.permissions.get(need.thing, ()):
            raise ApiError(11059, need.verb, need.thing)

    def require_emitting(self, handler_id: UUID) -> None:
        """Raise 403/11068 or 403/11067 unless the token lets this handler make events."""
        if self.permissions is None:
            return
        granted = self.permissions.get("emit_events", {})
        if not granted.get("allowed"):
            raise ApiError(11068)
        chosen, barred = granted.get("white_list"), granted.get("black_list", ())
        if str(handler_id) in barred or (chosen and str(handler_id) not in chosen):
            raise ApiError(11067, handler_id)


ANONYMOUS = Principal(None, None, Credential.ANONYMOUS)


class Authenticator(Protocol):
    """Verifies credentials; the accounts package implements it."""

    async def by_password(self, login: str, password: str) -> Principal:
        """Raises 401/11065."""
        ...

    async def by_token(self, token: str) -> Principal:
        """Raises 401/11062, or 401/11065 when it has expired."""
        ...

    async def by_account_id(self, account_id: UUID) -> Principal:
        """Raises 401/11065 for an unknown account."""
        ...
