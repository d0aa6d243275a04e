"""Who gets in: every scheme, every way it can be wrong."""

import base64
from uuid import UUID, uuid4

import httpx
import jwt
import pytest

from tests.api.conftest import PASSWORD, Account, AccountFactory


async def error(client: httpx.AsyncClient, headers: dict[str, str], path: str = "/6/account") -> tuple[int, int]:
    reply = await client.get(path, headers=headers)
    return reply.status_code, reply.json()["error_code"]


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


async def make_token(account: Account, **body: object) -> str:
    wanted = {"permissions": {}, "expiration_time": None, **body}
    reply = await account.client.post("/6/tokens", json=wanted)
    assert reply.status_code == 201, reply.text
    return str(reply.json()["token"])


async def test_nobody_gets_in(client: httpx.AsyncClient) -> None:
    reply = await client.get("/6/account")
    assert (reply.status_code, reply.json()["error_code"]) == (401, 11065)
    assert reply.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize("login", ["nobody@example.org", "", "a\x00b", "x" * 500])
async def test_unknown_login(client: httpx.AsyncClient, login: str) -> None:
    assert await error(client, basic(f"{login}:{PASSWORD}")) == (401, 11065)


async def test_basic(client: httpx.AsyncClient, account: Account) -> None:
    assert await error(client, basic(f"{account.login}:wrong")) == (401, 11065)
    assert await error(client, {"Authorization": "Basic ???"}) == (401, 11065)
    assert await error(client, {"Authorization": "Basic"}) == (401, 11065)
    assert await error(client, {"Authorization": "Digest abc"}) == (401, 11065)
    reply = await client.get(
        "/6/account", headers={"Authorization": "basic " + basic(f"{account.login}:{PASSWORD}")["Authorization"][6:]}
    )
    assert reply.json()["account_id"] == str(account.id)


async def test_account_id(client: httpx.AsyncClient, account: Account) -> None:
    reply = await client.get("/6/account", headers={"Luna-Account-Id": str(account.id)})
    assert reply.json()["login"] == account.login
    assert await error(client, {"Luna-Account-Id": "x"}) == (400, 11037)
    assert await error(client, {"Luna-Account-Id": f"{{{account.id}}}"}) == (400, 11037)
    assert await error(client, {"Luna-Account-Id": str(uuid4())}) == (401, 11065)
    # Authorization has priority: a wrong one is not mended by the other header.
    both = {"Luna-Account-Id": str(account.id), **basic("a:b")}
    assert await error(client, both) == (401, 11065)


async def test_token(client: httpx.AsyncClient, account: Account) -> None:
    token = await make_token(account, permissions={"token": ["view"]})
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await client.get("/6/tokens", headers=bearer)).status_code == 200
    assert await error(client, bearer) == (403, 11064)
    reply = await client.post("/6/tokens", headers=bearer, json={"permissions": {}, "expiration_time": None})
    assert (reply.status_code, reply.json()["error_code"]) == (403, 11059)
    assert "creation" in reply.json()["detail"]


async def test_layout_of_the_token(account: Account) -> None:
    token = await make_token(account, expiration_time="2050-11-11T11:11:11.111+03:00")
    assert jwt.get_unverified_header(token) == {"typ": "JWT", "alg": "HS256"}
    payload = jwt.decode(token, options={"verify_signature": False})
    assert list(payload) == ["tokenId", "expirationTime", "accountId"]
    assert UUID(payload["accountId"]) == account.id
    assert payload["expirationTime"] == "2050-11-11T11:11:11.111+03:00"


async def test_bad_tokens(client: httpx.AsyncClient, account: Account) -> None:
    token = await make_token(account)
    forged = jwt.encode(jwt.decode(token, options={"verify_signature": False}), "x" * 32, algorithm="HS256")
    unsigned = jwt.encode(jwt.decode(token, options={"verify_signature": False}), None, algorithm="none")
    for bad in (forged, unsigned, "a.b.c", "", token[:-2], "\xff"):
        assert await error(client, {"Authorization": f"Bearer {bad}".encode("latin-1")}, "/6/tokens") == (401, 11062)  # type: ignore[dict-item]


async def test_dead_tokens(client: httpx.AsyncClient, account: Account) -> None:
    expired = await make_token(account, expiration_time="2020-01-01T00:00:00Z", permissions={"token": ["view"]})
    assert await error(client, {"Authorization": f"Bearer {expired}"}, "/6/tokens") == (401, 11065)
    made = await account.client.post("/6/tokens", json={"permissions": {}, "expiration_time": None})
    await account.client.delete(made.json()["url"])
    assert await error(client, {"Authorization": f"Bearer {made.json()['token']}"}, "/6/tokens") == (401, 11062)


async def test_a_wide_token_dies_when_the_account_is_narrowed(
    client: httpx.AsyncClient, new_account: AccountFactory
) -> None:
    account = await new_account("advanced_user")
    token = await make_token(account, permissions={"token": ["view"]}, visibility_area="all")
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await client.get("/6/tokens", headers=bearer)).status_code == 200
    await account.client.patch("/6/account", json={"account_type": "user"})
    assert await error(client, bearer, "/6/tokens") == (401, 11062)
    verified = await client.post("/6/verify", json={"token": token})
    assert (verified.status_code, verified.json()["error_code"]) == (400, 41008)


async def test_request_id(client: httpx.AsyncClient) -> None:
    given = "1536751345,8b8b5937-2e9c-4e8b-a7a7-5caf86621b5a"
    assert (await client.get("/version", headers={"Luna-Request-Id": given})).headers["Luna-Request-Id"] == given
    for bad in ("", "x", given + "\n", given.upper(), given * 2):
        made = (await client.get("/version", headers={"Luna-Request-Id": bad})).headers["Luna-Request-Id"]
        assert made != bad
        assert len(made) == 47


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:5000", "localhost", "LOCALHOST:80", "[::1]:5000", "lunaria"])
async def test_own_names_are_admitted(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/version", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:5000", "lunaria.evil.example", "192.168.1.5", "[fe80::1]"]
)
async def test_a_foreign_name_is_refused_in_local_mode(client: httpx.AsyncClient, host: str) -> None:
    """A web page whose name is made to resolve to this machine must not get in through the visitor's browser."""
    body = {"login": f"u{uuid4().hex}@example.org", "password": "abc", "account_type": "user"}
    reply = await client.post("/6/accounts", json=body, headers={"Host": host})
    assert (reply.status_code, reply.json()["error_code"]) == (400, 12046)
