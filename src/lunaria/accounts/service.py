"""The rules of accounts, tokens and credentials."""

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from msgspec import UNSET
from sqlalchemy import RowMapping
from sqlalchemy.exc import IntegrityError

from lunaria.accounts.passwords import VerifiedPasswords, decoy_hash, hash_password, verify_password
from lunaria.accounts.schemas import (
    Account,
    CreateAccount,
    PatchAccount,
    SaveToken,
    Token,
    TokensQuery,
    Verified,
    VerifyCredentials,
    missing_rights,
)
from lunaria.accounts.store import AccountsStore
from lunaria.accounts.tokens import CorruptedTokenError, make_token, read_token
from lunaria.http.credentials import BASIC_CHALLENGE, BEARER_CHALLENGE
from lunaria.http.errors import ApiError
from lunaria.http.principal import NOBODY, AccountType, Credential, Principal
from lunaria.kit.pool import WorkerPool
from lunaria.kit.times import Clock, parse_time
from lunaria.storage.scope import EVERYTHING, Scope


class AccountsService:
    """Accounts and tokens, and the verification of every kind of credential (`Authenticator`).

    `pool` runs the deliberately slow password hashes, so that they stall neither the event loop nor inference.
    """

    def __init__(self, store: AccountsStore, clock: Clock, pool: WorkerPool, password_memory: float) -> None:
        self._store = store
        self._clock = clock
        self._pool = pool
        self._verified = VerifiedPasswords(password_memory)
        self._secret = ""
        self._decoy_hash = decoy_hash()

    async def start(self) -> None:
        """Fetch the key that signs tokens, made at the first start."""
        self._secret = await self._store.secret(secrets.token_hex(32))

    async def create(self, wanted: CreateAccount, account_id: UUID | None = None) -> UUID:
        """Raises 409/41001 (login taken), 409/41002 (id taken)."""
        return await self.create_of_type(
            wanted.login, wanted.password, AccountType(wanted.account_type), wanted.description, account_id
        )

    async def create_of_type(
        self,
        login: str,
        password: str,
        account_type: AccountType,
        description: str = "",
        account_id: UUID | None = None,
    ) -> UUID:
        """As `create`, for any type: the admin account is made at the first start."""
        if account_id == NOBODY:
            raise ApiError(41002, account_id)
        now = self._clock.now()
        new_id = account_id or uuid4()
        row = {
            "account_id": new_id,
            "login": login,
            "password_hash": await self._pool.run(hash_password, password),
            "account_type": account_type.value,
            "description": description,
            "create_time": now,
            "last_update_time": now,
        }
        try:
            await self._store.add(row)
        except IntegrityError as error:
            raise _taken(error, login, new_id) from None
        return new_id

    async def has_admin(self) -> bool:
        return any(row["account_type"] == AccountType.ADMIN for row in await self._store.all())

    async def make_admin(self, login: str, password: str) -> None:
        """Raises 409/41001 when the login belongs to another account."""
        await self.create_of_type(login, password, AccountType.ADMIN, "administrator")

    async def all(self) -> list[Account]:
        return [_account(row) for row in await self._store.all()]

    async def get(self, account_id: UUID) -> Account:
        """Raises 404/41004."""
        row = await self._store.by_id(account_id)
        if row is None:
            raise ApiError(41004, account_id)
        return _account(row)

    async def change(self, account_id: UUID, wanted: PatchAccount, *, may_rise: bool = True) -> None:
        """Raises 409/41001, 400/12022 (an admin stays admin), 403/11044 (a user who may not rise stays user)."""
        values: dict[str, Any] = {
            name: value
            for name in ("login", "account_type", "description")
            if (value := getattr(wanted, name)) is not UNSET
        }
        if wanted.account_type is not UNSET:
            current = await self.get(account_id)
            if current.account_type is AccountType.ADMIN:
                raise ApiError(12022, "account_type", "the type of an admin account cannot be changed")
            if current.account_type is AccountType.USER and wanted.account_type != "user" and not may_rise:
                raise ApiError(11044, "Raising the type of the own account")
        if wanted.password is not UNSET:
            values["password_hash"] = await self._pool.run(hash_password, wanted.password)
        try:
            await self._store.change(account_id, {**values, "last_update_time": self._clock.now()})
        except IntegrityError as error:
            raise _taken(error, str(wanted.login), account_id) from None

    async def set_password(self, login: str, password: str) -> None:
        """Raises 404/41004."""
        row = await self._store.by_login(login)
        if row is None:
            raise ApiError(41004, login)
        await self.change(row["account_id"], PatchAccount(password=password))

    # Tokens

    async def create_token(self, principal: Principal, wanted: SaveToken) -> tuple[UUID, str]:
        """The new token's id and JWT. Raises 403/11059 when it would grant more than the caller holds."""
        permissions = self._granted(principal, wanted)
        token_id, now = uuid4(), self._clock.now()
        values = self._token_values(principal.owner, principal, token_id, wanted, permissions, now)
        await self._store.add_token({"token_id": token_id, "account_id": principal.owner, "create_time": now, **values})
        token: str = values["token"]
        return token_id, token

    async def replace_token(self, principal: Principal, token_id: UUID, wanted: SaveToken) -> str:
        """The token's new JWT. Raises 404/41003, 403/11059."""
        permissions = self._granted(principal, wanted)
        values = self._token_values(principal.owner, principal, token_id, wanted, permissions, self._clock.now())
        if not await self._store.replace_token(principal.writes(), token_id, values):
            raise ApiError(41003, token_id)
        token: str = values["token"]
        return token

    async def delete_token(self, principal: Principal, token_id: UUID) -> None:
        """Raises 404/41003."""
        if not await self._store.delete_token(principal.writes(), token_id):
            raise ApiError(41003, token_id)

    async def token(self, principal: Principal, token_id: UUID) -> Token:
        """Raises 404/41003."""
        row = await self._store.token(_token_scope(principal, None), token_id)
        if row is None:
            raise ApiError(41003, token_id)
        return _token(row)

    async def tokens(self, principal: Principal, query: TokensQuery) -> list[Token]:
        rows = await self._store.tokens(
            _token_scope(principal, query.account_id),
            created_from=query.create_time__gte,
            created_before=query.create_time__lt,
            limit=query.page_size,
            offset=query.offset,
        )
        return [_token(row) for row in rows]

    def _granted(self, principal: Principal, wanted: SaveToken) -> dict[str, Any]:
        permissions: dict[str, Any] = msgspec.to_builtins(wanted.permissions)
        if principal.permissions is not None:
            missing = missing_rights(permissions, dict(principal.permissions))
            if missing:
                raise ApiError(11059, *missing[0])
        return permissions

    def _token_values(
        self,
        account_id: UUID,
        principal: Principal,
        token_id: UUID,
        wanted: SaveToken,
        permissions: dict[str, Any],
        now: datetime,
    ) -> dict[str, Any]:
        all_visible = wanted.visibility_area == "all" and principal.account_type is not AccountType.USER
        if principal.credential is Credential.TOKEN and not principal.sees_all:
            all_visible = False  # a narrow token makes no wide ones
        text = wanted.expiration_time
        return {
            "token": make_token(self._secret, token_id, account_id, text),
            "description": wanted.description,
            "expiration_time": None if text is None else parse_time(text),
            "expiration_text": text,
            "permissions": permissions,
            "visibility_area": "all" if all_visible else "account",
            "last_update_time": now,
        }

    # Credentials

    async def by_password(self, login: str, password: str) -> Principal:
        row = await self._account_by_password(login, password)
        if row is None:
            raise ApiError(11065, "Login or password is incorrect", headers=BASIC_CHALLENGE)
        return _principal(row, Credential.BASIC)

    async def by_account_id(self, account_id: UUID) -> Principal:
        row = await self._store.by_id(account_id)
        if row is None:
            raise ApiError(11065, f"Account '{account_id}' not found", headers=BASIC_CHALLENGE)
        return _principal(row, Credential.ACCOUNT_ID)

    async def by_token(self, token: str) -> Principal:
        try:
            found = await self._store.token_with_account(read_token(self._secret, token))
        except CorruptedTokenError:
            found = None
        if found is None or _widened(*found):
            raise ApiError(11062, headers=BEARER_CHALLENGE)
        record, account = found
        if self._expired(record):
            raise ApiError(11065, "The token has expired", headers=BEARER_CHALLENGE)
        return Principal(
            account["account_id"],
            AccountType(account["account_type"]),
            Credential.TOKEN,
            permissions=record["permissions"],
            sees_all=record["visibility_area"] == "all",
        )

    async def verify(self, given: VerifyCredentials) -> Verified:
        """Raises 401/41005, 401/41006, 401/41007, 400/41008, 404/41004."""
        if given.account_id is not UNSET:
            return Verified((await self.get(given.account_id)).account_type)
        if given.token is not UNSET:
            return await self._verify_token(given.token)
        row = await self._account_by_password(str(given.login), str(given.password))
        if row is None:
            raise ApiError(41006)
        return Verified(AccountType(row["account_type"]), row["account_id"])

    async def _verify_token(self, token: str) -> Verified:
        try:
            token_id = read_token(self._secret, token)
        except CorruptedTokenError:
            raise ApiError(41008) from None
        found = await self._store.token_with_account(token_id)
        if found is None:
            raise ApiError(41005)
        record, account = found
        if _widened(record, account):
            raise ApiError(41008)
        if self._expired(record):
            raise ApiError(41007)
        return Verified(
            AccountType(account["account_type"]),
            account["account_id"],
            record["permissions"],
            record["visibility_area"],
        )

    async def _account_by_password(self, login: str, password: str) -> RowMapping | None:
        row = None if "\x00" in login else await self._store.by_login(login)
        # An unknown login costs what a wrong password costs, so that the time tells nothing about logins.
        stored = self._decoy_hash if row is None else row["password_hash"]
        if row is not None and self._verified.knows(password, stored):
            return row
        right = await self._pool.run(verify_password, password, stored)
        if row is None or not right:
            return None
        self._verified.remember(password, stored)
        return row

    def _expired(self, record: RowMapping) -> bool:
        expires = record["expiration_time"]
        return expires is not None and expires <= self._clock.now()


def _widened(record: RowMapping, account: RowMapping) -> bool:
    """A token that sees every account, of an account that no longer may."""
    return bool(record["visibility_area"] == "all" and account["account_type"] == AccountType.USER)


def _token_scope(principal: Principal, account_id: UUID | None) -> Scope:
    """Tokens are read in the own account only, except by an admin: a token read is a credential gained."""
    if principal.is_admin:
        return Scope(account_id) if account_id else EVERYTHING
    if principal.credential is not Credential.ACCOUNT_ID and account_id not in (None, principal.account_id):
        return Scope(NOBODY)
    return principal.writes()


def _taken(error: IntegrityError, login: str, account_id: UUID) -> ApiError:
    return ApiError(41001, login) if "login" in str(error.orig) else ApiError(41002, account_id)


def _principal(row: RowMapping | Mapping[str, Any], credential: Credential) -> Principal:
    kind = AccountType(row["account_type"])
    sees_all = credential is Credential.BASIC and kind is not AccountType.USER
    return Principal(row["account_id"], kind, credential, sees_all=sees_all)


def _account(row: RowMapping | Mapping[str, Any]) -> Account:
    return Account(
        row["account_id"],
        row["login"],
        AccountType(row["account_type"]),
        row["description"],
        row["create_time"],
        row["last_update_time"],
    )


def _token(row: RowMapping) -> Token:
    return Token(
        row["description"],
        row["expiration_text"],
        row["permissions"],
        row["visibility_area"],
        row["token"],
        row["token_id"],
        row["account_id"],
        row["create_time"],
        row["last_update_time"],
    )
