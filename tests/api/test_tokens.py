"""Tokens and the verification of credentials."""

from uuid import uuid4

import httpx
import pytest

from tests.api.conftest import PASSWORD, Account, AccountFactory

EVERYTHING = {
    "face": ["creation", "view", "modification", "deletion", "matching"],
    "attribute": ["creation", "view", "modification", "deletion", "matching"],
    "list": ["creation", "view", "modification", "deletion"],
    "event": ["creation", "view", "matching"],
    "handler": ["creation", "view", "modification", "deletion"],
    "verifier": ["creation", "view", "modification", "deletion"],
    "task": ["creation", "view", "modification", "deletion"],
    "token": ["creation", "view", "modification", "deletion"],
    "face_sample": ["creation", "view", "deletion"],
    "body_sample": ["creation", "view", "deletion"],
    "image": ["creation", "view", "deletion"],
    "object": ["creation", "view", "deletion"],
    "lambda": ["creation", "view", "modification", "deletion"],
    "resources": ["liveness", "iso", "sdk"],
    "emit_events": {"allowed": 1},
}


async def test_life_of_a_token(account: Account) -> None:
    body = {"permissions": EVERYTHING, "expiration_time": None, "description": "d", "visibility_area": "account"}
    made = await account.client.post("/6/tokens", json=body)
    assert made.status_code == 201
    assert made.headers["location"] == made.json()["url"]
    shown = (await account.client.get(made.json()["url"])).json()
    assert shown["permissions"] == EVERYTHING
    assert (shown["token"], shown["account_id"], shown["description"]) == (made.json()["token"], str(account.id), "d")
    replaced = await account.client.put(
        made.json()["url"], json={"permissions": {"face": ["view"]}, "expiration_time": "2050-01-01T00:00:00Z"}
    )
    assert replaced.status_code == 200
    assert replaced.json()["token"] != made.json()["token"]
    shown = (await account.client.get(made.json()["url"])).json()
    assert (shown["permissions"], shown["description"]) == ({"face": ["view"]}, "")
    assert shown["expiration_time"] == "2050-01-01T00:00:00Z"
    assert (await account.client.delete(made.json()["url"])).status_code == 204
    for reply in (
        await account.client.get(made.json()["url"]),
        await account.client.delete(made.json()["url"]),
        await account.client.put(made.json()["url"], json=body),
    ):
        assert (reply.status_code, reply.json()["error_code"]) == (404, 41003)


@pytest.mark.parametrize(
    "rights",
    [
        {"allowed": 1, "white_list": [], "black_list": []},
        {"allowed": 0},
        {"allowed": 1, "black_list": ["0f0e4f8c-5c6d-4d6f-9a1e-2b3c4d5e6f70"]},
        {},
    ],
)
async def test_event_rights_are_shown_as_they_were_given(account: Account, rights: dict[str, object]) -> None:
    body = {"permissions": {"face": [], "emit_events": rights}, "expiration_time": None}
    made = await account.client.post("/6/tokens", json=body)
    assert made.status_code == 201, made.text
    assert (await account.client.get(made.json()["url"])).json()["permissions"] == body["permissions"]


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"permissions": {"face": ["fly"]}}, "permissions.face.0"),
        ({"permissions": {"wings": []}}, "permissions.wings"),
        ({"permissions": {"event": ["deletion"]}}, "permissions.event.0"),
        (
            {"permissions": {"emit_events": {"white_list": [str(uuid4())], "black_list": [str(uuid4())]}}},
            "permissions.emit_events",
        ),
        ({"expiration_time": "tomorrow"}, ""),
        ({"expiration_time": "9999-12-31T23:59:59-14:00"}, ""),
        ({"visibility_area": "moon"}, "visibility_area"),
        ({"description": "x" * 129}, "description"),
    ],
)
async def test_bad_bodies(account: Account, changed: dict[str, object], path: str) -> None:
    reply = await account.client.post("/6/tokens", json={"permissions": {}, "expiration_time": None, **changed})
    assert (reply.status_code, reply.json()["error_code"]) == (400, 12022)
    assert f"Path: '{path}'" in reply.json()["detail"]


async def test_expiration_time_is_required(account: Account) -> None:
    reply = await account.client.post("/6/tokens", json={"permissions": {}})
    assert (reply.status_code, reply.json()["error_code"]) == (400, 12022)
    assert "expiration_time" in reply.json()["detail"]


async def test_listing(new_account: AccountFactory) -> None:
    account = await new_account()
    for number in range(3):
        body = {"permissions": {}, "expiration_time": None, "description": str(number)}
        await account.client.post("/6/tokens", json=body)
    tokens = (await account.client.get("/6/tokens")).json()["tokens"]
    assert [token["description"] for token in tokens] == ["2", "1", "0"]
    page = (await account.client.get("/6/tokens", params={"page": 2, "page_size": 2})).json()["tokens"]
    assert [token["description"] for token in page] == ["0"]
    middle = tokens[1]["create_time"]
    later = (await account.client.get("/6/tokens", params={"create_time__gte": middle})).json()["tokens"]
    earlier = (await account.client.get("/6/tokens", params={"create_time__lt": middle})).json()["tokens"]
    assert ([t["description"] for t in later], [t["description"] for t in earlier]) == (["2", "1"], ["0"])
    for bad in ({"page": 0}, {"page_size": 1001}, {"page": "x"}, {"create_time__lt": "x"}, {"account_id": "x"}):
        reply = await account.client.get("/6/tokens", params=bad)
        assert (reply.status_code, reply.json()["error_code"]) == (400, 12012)
        assert next(iter(bad)) in reply.json()["detail"]


async def test_only_the_admin_reads_foreign_tokens(client: httpx.AsyncClient, new_account: AccountFactory) -> None:
    account, other = await new_account(), await new_account("advanced_user")
    made = (await account.client.post("/6/tokens", json={"permissions": {}, "expiration_time": None})).json()
    assert (await other.client.get(made["url"])).status_code == 404
    listed = await other.client.get("/6/tokens", params={"account_id": str(account.id)})
    assert listed.json() == {"tokens": []}
    admin = ("root@lunaria.local", PASSWORD)
    assert (await client.get(made["url"], auth=admin)).json()["token_id"] == made["token_id"]


async def test_a_token_cannot_grant_more_than_it_holds(client: httpx.AsyncClient, account: Account) -> None:
    held = {"token": ["creation"], "face": ["view"]}
    made = await account.client.post("/6/tokens", json={"permissions": held, "expiration_time": None})
    bearer = {"Authorization": f"Bearer {made.json()['token']}"}
    for wanted, status in (
        ({"face": ["view"]}, 201),
        ({"face": ["view", "deletion"]}, 403),
        ({"resources": ["sdk"]}, 403),
        ({"emit_events": {"allowed": 1}}, 403),
    ):
        body = {"permissions": wanted, "expiration_time": None}
        assert (await client.post("/6/tokens", json=body, headers=bearer)).status_code == status, wanted


async def test_verify(client: httpx.AsyncClient, account: Account) -> None:
    by_password = await client.post("/6/verify", json={"login": account.login, "password": PASSWORD})
    assert by_password.json() == {"account_type": "user", "account_id": str(account.id)}
    assert (await client.post("/6/verify", json={"account_id": str(account.id)})).json() == {"account_type": "user"}
    made = await account.client.post("/6/tokens", json={"permissions": {"face": ["view"]}, "expiration_time": None})
    by_token = (await client.post("/6/verify", json={"token": made.json()["token"]})).json()
    assert (by_token["account_type"], by_token["permissions"]) == ("user", {"face": ["view"]})


async def test_verify_failures(client: httpx.AsyncClient, account: Account) -> None:
    expired = await account.client.post(
        "/6/tokens", json={"permissions": {}, "expiration_time": "2020-01-01T00:00:00Z"}
    )
    gone = await account.client.post("/6/tokens", json={"permissions": {}, "expiration_time": None})
    await account.client.delete(gone.json()["url"])
    for body, expected in (
        ({"login": account.login, "password": "wrong"}, (401, 41006)),
        ({"login": "nobody@example.org", "password": "wrong"}, (401, 41006)),
        ({"token": expired.json()["token"]}, (401, 41007)),
        ({"token": gone.json()["token"]}, (401, 41005)),
        ({"token": "a.b.c"}, (400, 41008)),
        ({"account_id": str(uuid4())}, (404, 41004)),
        ({}, (400, 12022)),
        ({"login": account.login}, (400, 12022)),
        ({"token": "x", "account_id": str(uuid4())}, (400, 12022)),
    ):
        reply = await client.post("/6/verify", json=body)
        assert (reply.status_code, reply.json()["error_code"]) == expected, body
