"""Operations 3-16: accounts, the own account, tokens, verification of credentials."""

from typing import Any

from lunaria.accounts.schemas import (
    Account,
    AccountCreated,
    CreateAccount,
    PatchAccount,
    SaveToken,
    Token,
    Tokens,
    TokenSaved,
    TokensQuery,
    Verified,
    VerifyCredentials,
)
from lunaria.accounts.service import AccountsService
from lunaria.http.credentials import BASIC_CHALLENGE, Auth, parse_account_id
from lunaria.http.errors import ApiError
from lunaria.http.operation import NO_CONTENT, Call, Content, Reply, Routes, TypedBody, created, operation
from lunaria.http.principal import Need
from lunaria.http.query import NoQuery

EMPTY = {204: Content(description="Done")}


class AccountRoutes(Routes):
    """`registration_open`: whether anybody may make an account (of either type), or only the admin."""

    def __init__(self, accounts: AccountsService, *, registration_open: bool) -> None:
        self._accounts = accounts
        self._registration_open = registration_open

    @operation(
        "POST",
        "/6/accounts",
        "accounts",
        "create account",
        auth=Auth.OPTIONAL,
        body=TypedBody(CreateAccount),
        replies={201: Content(AccountCreated)},
        errors=(41001, 41002),
        headers={"Luna-Account-Id": "Id that the new account shall get (UUID)."},
    )
    async def create(self, call: Call[NoQuery, CreateAccount]) -> Reply:
        """Create an account. On a server that other machines can reach, only the admin may."""
        if not self._registration_open and not call.principal.is_admin:
            raise ApiError(11065, "Only the admin may create accounts here", headers=BASIC_CHALLENGE)
        wanted = call.headers.get("luna-account-id")
        account_id = await self._accounts.create(call.body, None if wanted is None else parse_account_id(wanted))
        url = f"/6/accounts/{account_id}"
        return created(AccountCreated(account_id, url), url)

    @operation(
        "GET",
        "/6/account",
        "account",
        "get account",
        auth=Auth.NO_TOKEN,
        replies={200: Content(Account)},
        errors=(41004,),
    )
    async def get(self, call: Call[NoQuery, None]) -> Reply:
        """Get the account that the request acts for."""
        return Reply(body=await self._accounts.get(call.principal.owner))

    @operation(
        "PATCH",
        "/6/account",
        "account",
        "patch account",
        auth=Auth.NO_TOKEN,
        body=TypedBody(PatchAccount),
        replies=EMPTY,
        errors=(11044, 41001, 41004),
    )
    async def patch(self, call: Call[NoQuery, PatchAccount]) -> Reply:
        """Change the account that the request acts for; at least one field is required.

        On a server that other machines can reach, a user cannot become an advanced user, who sees every account.
        """
        await self._accounts.change(call.principal.owner, call.body, may_rise=self._registration_open)
        return NO_CONTENT

    @operation(
        "POST",
        "/6/tokens",
        "tokens",
        "create token",
        needs=(Need("token", "creation"),),
        body=TypedBody(SaveToken),
        replies={201: Content(TokenSaved)},
        errors=(11059,),
    )
    async def create_token(self, call: Call[NoQuery, SaveToken]) -> Reply:
        """Create a token. It cannot grant more than its maker holds."""
        token_id, token = await self._accounts.create_token(call.principal, call.body)
        url = f"/6/tokens/{token_id}"
        return created(TokenSaved(token, token_id, url), url)

    @operation(
        "GET",
        "/6/tokens",
        "tokens",
        "get tokens",
        needs=(Need("token", "view"),),
        query=TokensQuery,
        replies={200: Content(Tokens)},
    )
    async def tokens(self, call: Call[TokensQuery, None]) -> Reply:
        """Get the own account's tokens, newest first; an admin gets everybody's."""
        return Reply(body=Tokens(await self._accounts.tokens(call.principal, call.query)))

    @operation(
        "PUT",
        "/6/tokens/{token_id:uuid}",
        "tokens",
        "replace token",
        needs=(Need("token", "modification"),),
        body=TypedBody(SaveToken),
        replies={200: Content(TokenSaved)},
        errors=(41003,),
    )
    async def replace_token(self, call: Call[NoQuery, SaveToken]) -> Reply:
        """Replace all fields of a token."""
        token_id = call.id("token_id")
        token = await self._accounts.replace_token(call.principal, token_id, call.body)
        return Reply(body=TokenSaved(token, token_id, f"/6/tokens/{token_id}"))

    @operation(
        "GET",
        "/6/tokens/{token_id:uuid}",
        "tokens",
        "get token",
        needs=(Need("token", "view"),),
        replies={200: Content(Token)},
        errors=(41003,),
    )
    async def token(self, call: Call[NoQuery, None]) -> Reply:
        """Get one token."""
        return Reply(body=await self._accounts.token(call.principal, call.id("token_id")))

    @operation(
        "DELETE",
        "/6/tokens/{token_id:uuid}",
        "tokens",
        "delete token",
        needs=(Need("token", "deletion"),),
        replies=EMPTY,
        errors=(41003,),
    )
    async def delete_token(self, call: Call[NoQuery, None]) -> Reply:
        """Delete a token; it opens nothing from then on."""
        await self._accounts.delete_token(call.principal, call.id("token_id"))
        return NO_CONTENT

    @operation(
        "POST",
        "/6/verify",
        "credentials verifier",
        "verify credentials",
        auth=Auth.NONE,
        body=TypedBody(VerifyCredentials),
        replies={200: Content(Verified)},
        errors=(41004, 41005, 41006, 41007, 41008),
        reading=True,
    )
    async def verify(self, call: Call[NoQuery, Any]) -> Reply:
        """Verify a login with its password, a token, or an account id."""
        return Reply(body=await self._accounts.verify(call.body))
