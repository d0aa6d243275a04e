"""Accounts and the own account."""

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest

from lunaria.accounts.routes import AccountRoutes
from lunaria.app import Platform
from lunaria.http.credentials import Gate
from lunaria.http.edge import BodyBudget, Edge
from lunaria.http.router import STRANGER_LIMIT, build_application
from tests.api.conftest import PASSWORD, Account, AccountFactory


def login() -> str:
    return f"u{uuid4().hex}@example.org"


async def test_create_and_get(client: httpx.AsyncClient) -> None:
    body = {"login": login(), "password": "abc", "account_type": "user", "description": "door 1"}
    made = await client.post("/6/accounts", json=body)
    assert made.status_code == 201
    account_id = made.json()["account_id"]
    assert made.headers["location"] == made.json()["url"] == f"/6/accounts/{account_id}"

    reply = await client.get("/6/account", auth=(body["login"], "abc"))
    assert reply.status_code == 200
    shown = reply.json()
    assert shown | {"create_time": "", "last_update_time": ""} == {
        "account_id": account_id,
        "login": body["login"],
        "account_type": "user",
        "description": "door 1",
        "create_time": "",
        "last_update_time": "",
    }
    assert shown["create_time"].endswith("Z")


async def test_header_gives_the_id(client: httpx.AsyncClient) -> None:
    wanted = str(uuid4())
    body = {"login": login(), "password": "abc", "account_type": "user"}
    made = await client.post("/6/accounts", json=body, headers={"Luna-Account-Id": wanted})
    assert made.json()["account_id"] == wanted
    again = await client.post("/6/accounts", json={**body, "login": login()}, headers={"Luna-Account-Id": wanted})
    assert (again.status_code, again.json()["error_code"]) == (409, 41002)
    bad = await client.post("/6/accounts", json={**body, "login": login()}, headers={"Luna-Account-Id": "x"})
    assert (bad.status_code, bad.json()["error_code"]) == (400, 11037)


async def test_login_is_unique(client: httpx.AsyncClient, account: Account) -> None:
    body = {"login": account.login, "password": "abc", "account_type": "user"}
    reply = await client.post("/6/accounts", json=body)
    assert (reply.status_code, reply.json()["error_code"]) == (409, 41001)


async def test_bad_bodies(client: httpx.AsyncClient) -> None:
    good = {"login": login(), "password": "abc", "account_type": "user"}
    for changed in (
        {"login": "no-at-sign"},
        {"login": "UPPER@example.org"},
        {"login": f"{login()}\n"},
        {"password": "abc\n"},
        {"password": "ab"},
        {"password": "a" * 129},
        {"password": "a\u0000b"},
        {"account_type": "admin"},
        {"description": "x" * 129},
        {"description": "\u0000"},
        {"unknown": 1},
        {"login": None},
    ):
        reply = await client.post("/6/accounts", json={**good, **changed})
        assert (reply.status_code, reply.json()["error_code"]) == (400, 12022), changed
        assert next(iter(changed)) in reply.json()["detail"]
    for body, code in ((b"", 12030), (b"{", 12002), (b"\xff", 12002), (b"[" * 100_000, 12022)):
        reply = await client.post("/6/accounts", content=body, headers={"Content-Type": "application/json"})
        assert (reply.status_code, reply.json()["error_code"]) == (400, code), body[:10]
    reply = await client.post("/6/accounts", content=b"{}", headers={"Content-Type": "text/xml"})
    assert (reply.status_code, reply.json()["error_code"]) == (400, 12017)


async def test_patch(new_account: AccountFactory, client: httpx.AsyncClient) -> None:
    account = await new_account()
    before = (await account.client.get("/6/account")).json()
    changed = login()
    reply = await account.client.patch("/6/account", json={"login": changed, "password": "new", "description": "d"})
    assert (reply.status_code, reply.content) == (204, b"")
    assert (await account.client.get("/6/account")).status_code == 401  # neither the old login nor the old password
    assert (await client.get("/6/account", auth=(changed, PASSWORD))).status_code == 401
    after = (await client.get("/6/account", auth=(changed, "new"))).json()
    assert (after["login"], after["description"]) == (changed, "d")
    assert after["last_update_time"] > before["last_update_time"]


async def test_patch_errors(account: Account, stranger: Account) -> None:
    for body, path in (({}, ""), ({"extra_field": 1}, "extra_field"), ({"account_type": "admin"}, "account_type")):
        reply = await account.client.patch("/6/account", json=body)
        assert (reply.status_code, reply.json()["error_code"]) == (400, 12022)
        assert f"Path: '{path}'" in reply.json()["detail"]
    extra = (await account.client.patch("/6/account", json={"extra_field": 1})).json()
    assert extra["desc"] == "Bad/incomplete input data"
    assert extra["detail"] == (
        "Failed to validate input json. Path: 'extra_field', message: 'extra fields not permitted'"
    )
    taken = await account.client.patch("/6/account", json={"login": stranger.login})
    assert (taken.status_code, taken.json()["error_code"]) == (409, 41001)


async def test_admin_stays_admin(client: httpx.AsyncClient) -> None:
    admin = ("root@lunaria.local", PASSWORD)
    assert (await client.get("/6/account", auth=admin)).json()["account_type"] == "admin"
    reply = await client.patch("/6/account", json={"account_type": "user"}, auth=admin)
    assert (reply.status_code, reply.json()["error_code"]) == (400, 12022)


@pytest.fixture
async def exposed(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """The same accounts, as a server shows them that other machines can reach."""
    edge = Edge(Gate(platform.accounts, False, False), platform.links, 2**20, 10.0, 10.0, BodyBudget(2**20))
    operations = AccountRoutes(platform.accounts, registration_open=False).operations()
    transport = httpx.ASGITransport(build_application(operations, edge))
    async with httpx.AsyncClient(transport=transport, base_url="http://lunaria") as client:
        yield client


async def test_a_user_rises_where_anybody_may_register(new_account: AccountFactory) -> None:
    account = await new_account()
    assert (await account.client.patch("/6/account", json={"account_type": "advanced_user"})).status_code == 204
    assert (await account.client.get("/6/account")).json()["account_type"] == "advanced_user"


async def test_on_an_exposed_server_a_user_stays_user(exposed: httpx.AsyncClient, new_account: AccountFactory) -> None:
    user, advanced = await new_account(), await new_account("advanced_user")
    reply = await exposed.patch(
        "/6/account", json={"account_type": "advanced_user", "description": "d"}, auth=(user.login, PASSWORD)
    )
    assert (reply.status_code, reply.json()["error_code"]) == (403, 11044)
    after = (await user.client.get("/6/account")).json()
    assert (after["account_type"], after["description"]) == ("user", "")
    for account, kind in ((user, "user"), (advanced, "advanced_user"), (advanced, "user")):
        reply = await exposed.patch("/6/account", json={"account_type": kind}, auth=(account.login, PASSWORD))
        assert reply.status_code == 204
    assert (await advanced.client.get("/6/account")).json()["account_type"] == "user"


async def test_a_stranger_may_not_send_much(client: httpx.AsyncClient) -> None:
    long = {"token": "x" * STRANGER_LIMIT}
    for path in ("/6/verify", "/6/accounts"):
        reply = await client.post(path, json=long)
        assert (reply.status_code, reply.json()["error_code"]) == (413, 14)


async def test_passwords_are_never_shown(new_account: AccountFactory, platform: object) -> None:
    account = await new_account()
    await account.client.patch("/6/account", json={"password": "unmistakable-password"})
    for path in ("/6/config", "/metrics", "/6/features"):
        assert "unmistakable-password" not in (await account.client.get(path)).text
