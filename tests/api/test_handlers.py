"""Handlers through HTTP."""

from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import update

from lunaria.app import Platform
from lunaria.handlers import store
from lunaria.settings import load
from lunaria.storage.schema import handlers
from tests.api.conftest import Account, AccountFactory, settings_of
from tests.api.test_attributes import refused
from tests.api.test_faces import with_token

LIST = "0aa4e5b5-f9a3-4c3a-8b4b-9a4f7c0e1f10"
FACES = {"label": "vip", "candidates": {"origin": "faces"}}


@pytest.fixture
async def fresh(new_account: AccountFactory) -> Account:
    """An account without handlers."""
    return await new_account()


async def post(account: Account, body: Any) -> httpx.Response:
    return await account.client.post("/6/handlers", json=body)


async def new_handler(account: Account, body: Any | None = None) -> str:
    reply = await post(account, {"policies": {}} if body is None else body)
    assert reply.status_code == 201, reply.text
    handler_id: str = reply.json()["handler_id"]
    return handler_id


async def get(account: Account, handler_id: str) -> dict[str, Any]:
    reply = await account.client.get(f"/6/handlers/{handler_id}")
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


async def found(account: Account, **params: Any) -> list[str]:
    """The descriptions of the handlers that are listed; they are counted, too."""
    listed = await account.client.get("/6/handlers", params=params)
    assert listed.status_code == 200, listed.text
    names = [handler["description"] for handler in listed.json()]
    if not {"page", "page_size"} & params.keys():
        counted = await account.client.get("/6/handlers/count", params=params)
        assert counted.json() == {"handlers_count": len(names)}
    return names


async def test_life_of_a_handler(account: Account) -> None:
    made = await post(account, {"description": "first handler", "policies": {}, "handler_type": 0})
    assert made.status_code == 201, made.text
    handler_id = made.json()["handler_id"]
    url = f"/6/handlers/{handler_id}"
    assert made.json() == {"handler_id": handler_id, "url": url}
    assert made.headers["location"] == url
    shown = await get(account, handler_id)
    policies = shown["policies"]
    assert shown == {
        "handler_id": handler_id,
        "account_id": str(account.id),
        "description": "first handler",
        "policies": policies,
        "create_time": shown["create_time"],
        "last_update_time": shown["create_time"],
        "handler_type": 0,
    }
    assert set(policies) == {
        *("detect_policy", "extract_policy", "match_policy", "conditional_tags_policy", "storage_policy")
    }
    checked = await account.client.head(url)
    assert (checked.status_code, checked.content) == (200, b"")
    replaced = await account.client.put(url, json={"description": "second", "handler_type": 1})
    assert (replaced.status_code, replaced.content) == (204, b"")
    changed = await get(account, handler_id)
    assert changed == {
        **shown,
        "description": "second",
        "handler_type": 1,
        "policies": None,
        "last_update_time": changed["last_update_time"],
    }
    times = [datetime.fromisoformat(changed[name]) for name in ("create_time", "last_update_time")]
    assert times[0] < times[1]
    deleted = await account.client.delete(url)
    assert (deleted.status_code, deleted.content) == (204, b"")
    for method in ("GET", "DELETE", "PUT"):
        reply = await account.client.request(method, url, json={"policies": {}})
        assert refused(reply, 404, 34000) == f"Handler with id '{handler_id}' not found"
    missing = await account.client.head(url)
    assert (missing.status_code, missing.content) == (404, b"")


async def test_what_is_shown_can_be_put_back(account: Account) -> None:
    policies: dict[str, Any] = {
        "detect_policy": {
            "multiface_policy": 2,
            "estimate_liveness": {"estimate": 1, "liveness_threshold": 0.6},
            "face_quality": {
                "estimate": 1,
                "filter": 1,
                "checks": {"head_yaw": {"threshold": {"min": -20, "max": 20}}},
            },
            "yaw_threshold": 30,
            "mask_states": [1],
        },
        "extract_policy": {"extract_basic_attributes": 1, "fd_score_threshold": 0.2},
        "match_policy": [
            {"label": "vip", "candidates": {"origin": "faces", "list_id": LIST}, "filters": {"age__gte": 18}},
            {
                "label": "seen",
                "candidates": {"origin": "events", "create_time__gte": "now-3d", "ethnic_groups": [1, None]},
                "descriptor": {"descriptor_type": "body"},
                "limit": 10,
                "threshold": 0.5,
                "targets": ["event_id"],
            },
        ],
        "conditional_tags_policy": [
            {"tag": "unknown", "filters": {"match": [{"label": "vip", "similarity__lte": 0.6}], "masks": [1]}}
        ],
        "storage_policy": {
            "face_policy": {"store_face": 1, "link_to_lists_policy": [{"list_id": LIST}]},
            "callbacks": [
                {
                    "url": "https://example.com/hook",
                    "authorization": {"type": "basic", "login": "user", "password": "pass"},
                    "filters": {"gender": 1},
                }
            ],
        },
    }
    handler_id = await new_handler(account, {"description": "full", "policies": policies})
    shown = await get(account, handler_id)
    kept = shown["policies"]
    assert kept["detect_policy"]["estimate_liveness"] == {
        "estimate": 1,
        "liveness_threshold": 0.6,
        "quality_threshold": 0.5,
    }
    assert kept["detect_policy"]["face_quality"]["checks"]["head_yaw"] == {
        "estimate": 1,
        "threshold": {"min": -20, "max": 20},
    }
    assert kept["match_policy"][1]["candidates"] == policies["match_policy"][1]["candidates"]
    assert kept["conditional_tags_policy"][0]["filters"] == {
        "match": [{"label": "vip", "similarity__gte": 0, "similarity__lte": 0.6}],
        "mask": [1],
    }
    again = {name: shown[name] for name in ("description", "policies", "handler_type")}
    reply = await account.client.put(f"/6/handlers/{handler_id}", json=again)
    assert reply.status_code == 204, reply.text
    now = await get(account, handler_id)
    assert {**now, "last_update_time": ""} == {**shown, "last_update_time": ""}
    assert (await account.client.post("/6/handlers/validator", json={"policies": kept})).status_code == 204


# The type, and where the policies come from


@pytest.mark.parametrize(
    ("body", "handler_type"),
    [
        *(({}, 1), ({"policies": None}, 1), ({"policies": {}}, 0), ({"policies": {}, "is_dynamic": False}, 0)),
        *(({"is_dynamic": True}, 1), ({"handler_type": 1, "is_dynamic": True}, 1), ({"handler_type": 1}, 1)),
        *(({"handler_type": 1, "is_dynamic": False, "policies": None}, 1), ({"handler_type": 0, "policies": {}}, 0)),
        ({"policies": {}, "lambda_id": None}, 0),
    ],
)
async def test_types(account: Account, body: dict[str, Any], handler_type: int) -> None:
    shown = await get(account, await new_handler(account, body))
    assert shown["handler_type"] == handler_type
    assert (shown["policies"] is None) is (handler_type == 1)
    assert not {"lambda_id", "is_dynamic"} & shown.keys()


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"handler_type": 0}, "policies"),
        ({"handler_type": 0, "policies": None}, "policies"),
        ({"handler_type": 1, "policies": {}}, "policies"),
        ({"is_dynamic": True, "policies": {}}, "policies"),
        ({"handler_type": 0, "is_dynamic": True, "policies": {}}, "is_dynamic"),
        ({"handler_type": 2, "is_dynamic": True, "lambda_id": LIST}, "is_dynamic"),
        ({"handler_type": 2}, "lambda_id"),
        ({"handler_type": 2, "lambda_id": LIST, "policies": {}}, "policies"),
        ({"handler_type": 0, "policies": {}, "lambda_id": LIST}, "lambda_id"),
        ({"handler_type": 1, "lambda_id": LIST}, "lambda_id"),
        ({"handler_type": 3}, "handler_type"),
        ({"handler_type": 1, "is_dynamic": 1}, "is_dynamic"),
        ({"handler_type": 1, "description": "x" * 129}, "description"),
        ({"handler_type": 1, "description": "a\x00"}, "description"),
        ({"handler_type": 1, "name": "x"}, "name"),
        ({"policies": {"detect_policy": {"detect_face": 2}}}, "policies.detect_policy.detect_face"),
        ({"policies": {"match_policy": [{"label": "a"}]}}, "policies.match_policy.0.candidates"),
        ({"policies": {"storage_policy": {"x": 1}}}, "policies.storage_policy.x"),
    ],
)
async def test_what_contradicts_itself_is_refused(account: Account, body: dict[str, Any], path: str) -> None:
    one = f"/6/handlers/{await new_handler(account)}"
    for reply in (await post(account, body), await account.client.put(one, json=body)):
        assert f"Path: '{path}'" in refused(reply, 400, 12022)


async def test_there_are_no_lambdas(account: Account) -> None:
    body = {"handler_type": 2, "lambda_id": LIST}
    refused(await post(account, body), 403, 11072)
    refused(await account.client.put(f"/6/handlers/{await new_handler(account)}", json=body), 403, 11072)


# Policies that are well formed and yet refused


@pytest.mark.parametrize(
    ("policies", "words"),
    [
        ({"match_policy": [FACES, FACES]}, "match_policy: the label 'vip' is there twice"),
        (
            {"conditional_tags_policy": [{"tag": "a", "filters": {"match": [{"label": "vip"}]}}]},
            "conditional_tags_policy.0.filters: there is no label 'vip' in match_policy",
        ),
        ({"match_policy": [{**FACES, "descriptor": {"descriptor_type": "body"}}]}, "bodies can be compared with"),
        ({"match_policy": [{**FACES, "candidates": {"origin": "faces", "create_time__lt": "now-3x"}}]}, "RFC 3339"),
        ({"match_policy": [{**FACES, "targets": ["nose"]}]}, "'nose' is not a valid target"),
        ({"detect_policy": {"face_quality": {"checks": {"head_yaw": {"threshold": {"min": 9}}}}}}, "min 9 exceeds"),
    ],
)
async def test_rules_of_policies(account: Account, policies: dict[str, Any], words: str) -> None:
    one = f"/6/handlers/{await new_handler(account)}"
    for reply in (
        await post(account, {"policies": policies}),
        await account.client.put(one, json={"policies": policies}),
        await account.client.post("/6/handlers/validator", json={"policies": policies}),
    ):
        detail = refused(reply, 400, 12022)
        assert words in detail
        assert "Path: 'policies" in detail


async def test_too_many_candidates(account: Account) -> None:
    most = {"policies": {"match_policy": [{**FACES, "limit": 100}]}}
    one = f"/6/handlers/{await new_handler(account, most)}"
    more = {"policies": {"match_policy": [{**FACES, "limit": 101}]}}
    for reply in (
        await post(account, more),
        await account.client.put(one, json=more),
        await account.client.post("/6/handlers/validator", json=more),
    ):
        assert refused(reply, 400, 34005) == "Candidates limit exceeded: 101 > 100"


async def test_validator(account: Account) -> None:
    async def validate(body: Any) -> httpx.Response:
        return await account.client.post("/6/handlers/validator", json=body)

    good = await validate({"policies": {}})
    assert (good.status_code, good.content) == (204, b"")
    assert "Path: 'policies'" in refused(await validate({}), 400, 12022)
    refused(await validate({"policies": None}), 400, 12022)
    refused(await validate({"policies": {}, "handler_type": 0}), 400, 12022)
    assert "Path: 'policies.extract_policy.x'" in refused(
        await validate({"policies": {"extract_policy": {"x": 1}}}), 400, 12022
    )


async def test_what_is_turned_off_is_refused_early(platform: Platform, tmp_path: Path) -> None:
    """A handler that wants estimates which this server does not make is refused when it is written."""
    environment = {**settings_of(tmp_path), "LUNARIA_MODELS_LICENCE": "open", "LUNARIA_HANDLERS_CANDIDATES": "5"}
    second = Platform(load(environment), str(platform.database._url))
    await second.start()
    transport = httpx.ASGITransport(second.application())
    login = f"u{uuid4().hex}@example.org"
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://lunaria") as client:
            await client.post("/6/accounts", json={"login": login, "password": "secret", "account_type": "user"})
            client.auth = httpx.BasicAuth(login, "secret")
            missing = {"policies": {"detect_policy": {"estimate_glasses": 1}}}
            for path in ("/6/handlers", "/6/handlers/validator"):
                detail = refused(await client.post(path, json=missing), 403, 11044)
                assert detail.startswith("glasses ")
                few = {"policies": {"match_policy": [{**FACES, "limit": 6}]}}
                assert "6 > 5" in refused(await client.post(path, json=few), 400, 34005)
                good = await client.post(path, json={"policies": {"detect_policy": {"estimate_emotions": 1}}})
                assert good.status_code in (201, 204)
    finally:
        await second.stop()


# Listing and counting


async def test_listing(fresh: Account) -> None:
    assert await found(fresh) == []
    bodies: dict[str, dict[str, Any]] = {
        "Entrance A": {"policies": {}},
        "dynamic 100%": {"handler_type": 1},
        "entrance b": {"policies": {"detect_policy": {"detect_body": 1}}},
    }
    for name, kind in bodies.items():
        await new_handler(fresh, {"description": name, **kind})
    assert await found(fresh) == ["entrance b", "dynamic 100%", "Entrance A"]
    assert await found(fresh, description="ENTRANCE") == ["entrance b", "Entrance A"]
    assert await found(fresh, description="%") == ["dynamic 100%"]
    assert await found(fresh, handler_type=0) == ["entrance b", "Entrance A"]
    assert await found(fresh, handler_type=1) == ["dynamic 100%"]
    assert await found(fresh, handler_type=2) == []
    assert await found(fresh, is_dynamic=1) == ["dynamic 100%"]
    assert await found(fresh, is_dynamic=0) == ["entrance b", "Entrance A"]
    assert await found(fresh, is_dynamic=1, handler_type=0) == ["entrance b", "Entrance A"]
    assert await found(fresh, description="entrance", handler_type=1) == []
    assert await found(fresh, page_size=2) == ["entrance b", "dynamic 100%"]
    assert await found(fresh, page_size=2, page=2) == ["Entrance A"]
    assert await found(fresh, page=9) == []
    shown = (await fresh.client.get("/6/handlers")).json()
    assert shown == [await get(fresh, handler["handler_id"]) for handler in shown]


@pytest.mark.parametrize("query", ["handler_type=3", "is_dynamic=2", "page=0", "page_size=1001", "account_id=x"])
async def test_bad_queries(account: Account, query: str) -> None:
    refused(await account.client.get(f"/6/handlers?{query}"), 400, 12012)


async def test_account_filter(fresh: Account, stranger: Account, new_account: AccountFactory) -> None:
    await new_handler(fresh, {"description": "mine"})
    assert await found(fresh, account_id=str(fresh.id)) == ["mine"]
    assert await found(fresh, account_id=str(stranger.id)) == []
    assert await found(stranger, account_id=str(fresh.id)) == []
    everything = await new_account("advanced_user")
    assert await found(everything, account_id=str(fresh.id)) == ["mine"]


async def test_a_stranger_reaches_no_handler(account: Account, stranger: Account) -> None:
    handler_id = await new_handler(account)
    url = f"/6/handlers/{handler_id}"
    before = await get(account, handler_id)
    refused(await stranger.client.get(url), 404, 34000)
    assert (await stranger.client.head(url)).status_code == 404
    refused(await stranger.client.put(url, json={"handler_type": 1}), 404, 34000)
    refused(await stranger.client.delete(url), 404, 34000)
    assert await get(account, handler_id) == before


async def test_rights_of_tokens(account: Account, client: httpx.AsyncClient) -> None:
    url = f"/6/handlers/{await new_handler(account)}"
    body: dict[str, Any] = {"policies": {}}
    requests = {
        "creation": [("POST", "/6/handlers", 201), ("POST", "/6/handlers/validator", 204)],
        "view": [("GET", url, 200), ("HEAD", url, 200), ("GET", "/6/handlers", 200), ("GET", "/6/handlers/count", 200)],
        "modification": [("PUT", url, 204)],
        "deletion": [("DELETE", url, 204)],
    }
    for right, calls in requests.items():
        headers = await with_token(account, {"handler": [right]})
        for other, foreign in requests.items():
            for method, address, _ in foreign if other != right else ():
                reply = await client.request(method, address, headers=headers, json=body)
                assert reply.status_code == 403, (right, method, address)
        for method, address, status in calls:
            reply = await client.request(method, address, headers=headers, json=body)
            assert reply.status_code == status, (right, method, address, reply.text)


# What lies in the database


async def keep(platform: Platform, handler_id: str, policies: Any) -> None:
    async with platform.database.transaction() as connection:
        statement = update(handlers).where(handlers.c.handler_id == UUID(handler_id))
        await connection.execute(statement.values(policies=policies))


async def test_policies_that_came_later_have_their_defaults(account: Account, platform: Platform) -> None:
    handler_id = await new_handler(account)
    complete = (await get(account, handler_id))["policies"]
    older = {**complete, "storage_policy": {"event_policy": {"store_event": 0}}}
    del older["conditional_tags_policy"]
    await keep(platform, handler_id, older)
    shown = (await get(account, handler_id))["policies"]
    assert shown["conditional_tags_policy"] == []
    assert shown["storage_policy"]["event_policy"] == {"store_event": 0, "wait_saving": 1, "filters": {}}


async def test_policies_that_cannot_be_read(fresh: Account, platform: Platform) -> None:
    handler_id = await new_handler(fresh)
    await keep(platform, handler_id, {"detect_policy": {"detect_face": 7}})
    for address in (f"/6/handlers/{handler_id}", "/6/handlers"):
        detail = refused(await fresh.client.get(address), 500, 34002)
        assert handler_id in detail
        assert "detect_face" in detail
    assert (await fresh.client.put(f"/6/handlers/{handler_id}", json={"policies": {}})).status_code == 204
    assert (await fresh.client.get(f"/6/handlers/{handler_id}")).status_code == 200
    await keep(platform, handler_id, {"detect_policy": {"detect_face": 7}})
    assert (await fresh.client.get("/6/handlers?handler_type=1")).status_code == 200
    assert (await fresh.client.get("/6/handlers/count")).json() == {"handlers_count": 1}
    assert (await fresh.client.delete(f"/6/handlers/{handler_id}")).status_code == 204
    assert (await fresh.client.get("/6/handlers")).json() == []


async def test_policies_are_bounded(
    fresh: Account, new_account: AccountFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each list, all of a handler, and all of a page."""
    tag = {"tag": "t", "filters": {"emotions": [4] * 31}}
    body: dict[str, Any] = {"policies": {"conditional_tags_policy": [tag]}}
    assert "length <= 30" in refused(await fresh.client.post("/6/handlers", json=body), 400, 12022)
    filters = {"origin": "events", "sources": ["s" * 128] * 1000}
    body = {"policies": {"match_policy": [{"label": str(number), "candidates": filters} for number in range(20)]}}
    assert "larger than" in refused(await fresh.client.post("/6/handlers", json=body), 400, 12022)
    someone = await new_account()
    for _ in range(3):
        await new_handler(someone)
    size = len((await someone.client.get("/6/handlers")).content)
    monkeypatch.setattr(store, "BYTES", size // 2)
    assert "page_size" in refused(await someone.client.get("/6/handlers"), 400, 12012)
    assert len((await someone.client.get("/6/handlers?page_size=1")).json()) == 1
