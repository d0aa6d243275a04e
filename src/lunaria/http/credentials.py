"""From the headers of a request to its Principal."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from uuid import UUID

from lunaria.http.errors import ApiError
from lunaria.http.principal import ANONYMOUS, Authenticator, Credential, Principal
from lunaria.http.query import read_uuid

BASIC_CHALLENGE = {"WWW-Authenticate": 'Basic realm="login:password"'}
BEARER_CHALLENGE = {"WWW-Authenticate": "Bearer"}


class Auth(Enum):
    """Which callers an operation admits."""

    NONE = auto()
    """No authorization is looked at."""
    OPTIONAL = auto()
    """Credentials are verified when present; the operation decides what nobody may do."""
    ANY = auto()
    """Basic, Bearer or Luna-Account-Id; anonymous only where reading is open to all."""
    NO_TOKEN = auto()
    """Basic or Luna-Account-Id: 403/11064 with a token."""


@dataclass(frozen=True, slots=True)
class Gate:
    """The server's rules of entry (design decision "Who gets in")."""

    authenticator: Authenticator
    account_header: bool
    anonymous_reading: bool

    async def admit(self, headers: Mapping[str, str], auth: Auth, *, reading: bool) -> Principal:
        """Verify the request's credentials against what the operation admits.

        `reading` tells whether the operation changes nothing. Raises 401/11062, 401/11065, 400/11037,
        403/11036, 403/11061, 403/11064.
        """
        if auth is Auth.NONE:
            return ANONYMOUS
        principal = await self._identify(headers, auth)
        if auth is Auth.NO_TOKEN and principal.credential is Credential.TOKEN:
            raise ApiError(11064)
        if principal.credential is Credential.ANONYMOUS and auth is not Auth.OPTIONAL:
            if not self.anonymous_reading:
                raise ApiError(11065, "Credentials are required", headers=BASIC_CHALLENGE)
            if not reading or auth is Auth.NO_TOKEN:
                raise ApiError(11036)
            return Principal(None, None, Credential.ANONYMOUS, sees_all=True)
        return principal

    async def _identify(self, headers: Mapping[str, str], auth: Auth) -> Principal:
        authorization = headers.get("authorization")
        if authorization is not None:
            return await self._by_authorization(authorization)
        account_id = headers.get("luna-account-id")
        if account_id is None or auth is Auth.OPTIONAL:  # there the header names the account to be made
            return ANONYMOUS
        if not self.account_header:
            raise ApiError(11061)
        return await self.authenticator.by_account_id(parse_account_id(account_id))

    async def _by_authorization(self, authorization: str) -> Principal:
        scheme, _, value = authorization.strip().partition(" ")
        if scheme.lower() == "bearer":
            return await self.authenticator.by_token(value.strip())
        if scheme.lower() == "basic":
            login, password = _parse_basic(value.strip())
            return await self.authenticator.by_password(login, password)
        raise ApiError(11065, f"Unknown authorization scheme '{scheme[:20]}'", headers=BASIC_CHALLENGE)


def parse_account_id(value: str) -> UUID:
    """Raises 400/11037."""
    try:
        return read_uuid(value)
    except ValueError:
        raise ApiError(11037) from None


def _parse_basic(value: str) -> tuple[str, str]:
    try:
        login, separator, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        separator = ""
    if not separator:
        raise ApiError(11065, "Basic credentials are not base64 of 'login:password'", headers=BASIC_CHALLENGE)
    return login, password
