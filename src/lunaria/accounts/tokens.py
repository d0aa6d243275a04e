"""The JWT of an API token: HS256 over `tokenId`, `expirationTime`, `accountId`.

What a token may do and until when is read from its record, never from the JWT.
"""

from typing import Any
from uuid import UUID

import jwt

_ALGORITHM = "HS256"


class CorruptedTokenError(Exception):
    """Not a JWT of this server."""


def make_token(secret: str, token_id: UUID, account_id: UUID, expiration_time: str | None) -> str:
    payload = {"tokenId": str(token_id), "expirationTime": expiration_time, "accountId": str(account_id)}
    return jwt.encode(payload, secret, algorithm=_ALGORITHM, headers={"typ": "JWT"}, sort_headers=False)


def read_token(secret: str, token: str) -> UUID:
    """The token's id, its signature verified. Raises CorruptedTokenError."""
    try:
        payload: dict[str, Any] = jwt.decode(token, secret, algorithms=[_ALGORITHM])
        return UUID(payload["tokenId"])
    except (jwt.PyJWTError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise CorruptedTokenError(str(error)) from None
