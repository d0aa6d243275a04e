"""Wire objects of accounts and tokens."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, field

from lunaria.http.principal import OBJECT_VERBS, AccountType
from lunaria.http.query import PagedOfAccount
from lunaria.kit.times import parse_time

Login = Annotated[
    str,
    # Python's `$` also stands before a line feed at the end, hence what follows it
    Meta(
        min_length=3,
        max_length=128,
        pattern=r"^[a-z0-9_\-\.]+@[a-z]+\.[a-z]{2,}$(?!\n)",
        description="Account email.",
    ),
]
Password = Annotated[str, Meta(min_length=3, max_length=128, pattern=r"^[^\x00\n\r]{3,128}$(?!\n)")]
Description = Annotated[str, Meta(max_length=128, pattern=r"^[^\x00]*$")]
CreatableType = Literal["user", "advanced_user"]
Matching = Literal["creation", "view", "modification", "deletion", "matching"]
Managing = Literal["creation", "view", "modification", "deletion"]
Keeping = Literal["creation", "view", "deletion"]
EventVerb = Literal["creation", "view", "matching"]
Resource = Literal["liveness", "iso", "sdk"]


class CreateAccount(Struct, forbid_unknown_fields=True):
    login: Login
    password: Password
    account_type: CreatableType
    description: Description = ""


class PatchAccount(Struct, forbid_unknown_fields=True):
    login: Login | UnsetType = UNSET
    password: Password | UnsetType = UNSET
    account_type: CreatableType | UnsetType = UNSET
    description: Description | UnsetType = UNSET

    def __post_init__(self) -> None:
        if all(value is UNSET for value in (self.login, self.password, self.account_type, self.description)):
            raise ValueError("at least one field must be specified")


class AccountCreated(Struct):
    account_id: UUID
    url: str


class Account(Struct):
    account_id: UUID
    login: str
    account_type: AccountType
    description: str
    create_time: datetime
    last_update_time: datetime


class EmitEvents(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Which handlers may make events: none unless `allowed` is 1; an absent or empty list restricts nothing."""

    allowed: Literal[0, 1] | UnsetType = UNSET
    white_list: list[UUID] | UnsetType = UNSET
    black_list: list[UUID] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.white_list and self.black_list:
            raise ValueError("white_list and black_list exclude each other")


class Permissions(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What a token may do; an absent or empty entry grants nothing."""

    face: list[Matching] | UnsetType = UNSET
    attribute: list[Matching] | UnsetType = UNSET
    list_: list[Managing] | UnsetType = field(name="list", default=UNSET)
    event: list[EventVerb] | UnsetType = UNSET
    handler: list[Managing] | UnsetType = UNSET
    verifier: list[Managing] | UnsetType = UNSET
    task: list[Managing] | UnsetType = UNSET
    token: list[Managing] | UnsetType = UNSET
    face_sample: list[Keeping] | UnsetType = UNSET
    body_sample: list[Keeping] | UnsetType = UNSET
    image: list[Keeping] | UnsetType = UNSET
    object_: list[Keeping] | UnsetType = field(name="object", default=UNSET)
    lambda_: list[Managing] | UnsetType = field(name="lambda", default=UNSET)
    lambdas: list[Managing] | UnsetType = UNSET
    resources: list[Resource] | UnsetType = UNSET
    emit_events: EmitEvents | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.lambdas is not UNSET:
            if self.lambda_ is not UNSET:
                raise ValueError("`lambda` and `lambdas` are the same permission")
            self.lambda_, self.lambdas = self.lambdas, UNSET


def missing_rights(wanted: dict[str, Any], held: dict[str, Any]) -> list[tuple[str, str]]:
    """(verb, thing) of every right in `wanted` that `held` does not include."""
    lists = [*OBJECT_VERBS, "resources"]
    missing = [(verb, thing) for thing in lists for verb in wanted.get(thing, ()) if verb not in held.get(thing, ())]
    wanted_events, held_events = wanted.get("emit_events", {}), held.get("emit_events", {})
    if wanted_events.get("allowed") and not _includes(held_events, wanted_events):
        missing.append(("allowed", "emit_events"))
    return missing


def _includes(held: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether every handler that `wanted` admits is admitted by `held`."""
    if not held.get("allowed"):
        return False
    allowed, denied = set(held.get("white_list", ())), set(held.get("black_list", ()))
    wanted_allowed, wanted_denied = set(wanted.get("white_list", ())), set(wanted.get("black_list", ()))
    if wanted_allowed:
        return not wanted_allowed & denied and (not allowed or wanted_allowed <= allowed)
    return not allowed and denied <= wanted_denied


class SaveToken(Struct, forbid_unknown_fields=True):
    expiration_time: Annotated[str, Meta(extra_json_schema={"format": "date-time"})] | None
    permissions: Permissions
    description: Description = ""
    visibility_area: Literal["account", "all"] = "all"

    def __post_init__(self) -> None:
        if self.expiration_time is not None:
            try:
                parse_time(self.expiration_time)
            except ValueError as error:
                raise ValueError(f"expiration_time: {error}") from None


class TokenSaved(Struct):
    token: str
    token_id: UUID
    url: str


class Token(Struct):
    description: str
    expiration_time: str | None
    permissions: dict[str, Any]
    visibility_area: Literal["account", "all"]
    token: str
    token_id: UUID
    account_id: UUID
    create_time: datetime
    last_update_time: datetime


class Tokens(Struct):
    tokens: list[Token]


class TokensQuery(PagedOfAccount, frozen=True, kw_only=True):
    create_time__lt: datetime | None = None
    create_time__gte: datetime | None = None


class VerifyCredentials(Struct, forbid_unknown_fields=True):
    """Exactly one of: login with password; token; account_id."""

    login: Login | UnsetType = UNSET
    password: Password | UnsetType = UNSET
    token: str | UnsetType = UNSET
    account_id: UUID | UnsetType = UNSET

    def __post_init__(self) -> None:
        given = {name for name in ("login", "password", "token", "account_id") if getattr(self, name) is not UNSET}
        if given not in ({"login", "password"}, {"token"}, {"account_id"}):
            raise ValueError("exactly one of login with password, token, account_id is required")


class Verified(Struct, omit_defaults=True):
    account_type: AccountType
    account_id: UUID | UnsetType = UNSET
    permissions: dict[str, Any] | UnsetType = UNSET
    visibility_area: Literal["account", "all"] | UnsetType = UNSET
