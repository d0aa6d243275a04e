"""Version, health, configuration, features, plugins, metrics; addresses and methods that do not exist."""

from uuid import uuid4

import httpx
import pytest

from lunaria.app import Platform
from lunaria.settings import describe
from lunaria.storage.database import DatabaseUnavailableError
from tests.api.conftest import PASSWORD, Account


async def test_version(client: httpx.AsyncClient) -> None:
    versions = (await client.get("/version")).json()
    assert list(versions)[:2] == ["LUNA PLATFORM", "luna-api"]
    assert versions["luna-api"] == {"major": 6, "minor": 20, "patch": 1, "api": 6}
    assert {"luna-events", "luna-faces", "luna-handlers", "luna-tasks", "luna-lambda"} <= versions.keys()


@pytest.mark.parametrize("path", ["/healthcheck", "/6/healthcheck"])
async def test_health(client: httpx.AsyncClient, platform: Platform, path: str) -> None:
    reply = await client.get(path, params={"include_luna_services": 1})
    assert (reply.status_code, list(reply.json())) == (200, ["execution_time"])
    bad = await client.get(path, params={"include_luna_services": 2})
    assert (bad.status_code, bad.json()["error_code"]) == (400, 12012)


async def test_health_names_what_fails(
    client: httpx.AsyncClient, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken() -> None:
        raise DatabaseUnavailableError("connection refused")

    monkeypatch.setitem(platform.system._checks, "database", broken)  # type: ignore[index]
    reply = await client.get("/healthcheck")
    assert (reply.status_code, reply.json()["error_code"]) == (502, 38001)
    assert reply.json()["detail"] == "database: connection refused"


async def test_config_hides_secrets(client: httpx.AsyncClient) -> None:
    reply = await client.get("/6/config")
    shown = reply.json()
    assert shown["access"]["admin_password"] == "*****"
    assert f'"{PASSWORD}"' not in reply.text
    assert {setting.section for setting in describe()} <= shown.keys()
    assert {"INFLUX_MONITORING", "LUNA_API_HTTP_SETTINGS", "ALLOW_LUNA_ACCOUNT_AUTH_HEADER"} <= shown.keys()


async def test_config_as_text(client: httpx.AsyncClient) -> None:
    reply = await client.get("/6/config", headers={"Accept": "text/plain"})
    assert reply.headers["content-type"].startswith("text/plain")
    assert 'server.host = "127.0.0.1"\n' in reply.text
    refused = await client.get("/6/config", headers={"Accept": "image/png"})
    assert (refused.status_code, refused.json()["error_code"]) == (406, 12023)


async def test_features(client: httpx.AsyncClient) -> None:
    shown = (await client.get("/6/features")).json()
    assert shown["license"] is True
    assert shown["estimations"]["face_descriptor"] is True
    assert set(shown["estimations"].values()) == {True}
    assert shown["sources"].keys() == shown["estimations"].keys()
    assert {"emotions", "liveness", "iso", "body_attributes", "people_count"} < shown["sources"].keys()
    for source in shown["sources"].values():
        assert source["network"]
        assert source["licence"] in ("open", "research")
    assert "SFace" in shown["sources"]["face_descriptor"]["network"]
    assert "MiniFASNet" in shown["sources"]["liveness"]["network"]


async def test_plugins_and_metrics(client: httpx.AsyncClient) -> None:
    assert (await client.get("/6/plugins")).json() == {"plugins": []}
    assert "lunaria_requests_total" in (await client.get("/metrics")).text


@pytest.mark.parametrize("path", ["/", "/6", "/6/faces/x", "/6/samples/hands", "/6/samples/hands/x", "/7/faces"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "TRACE"])
async def test_unknown_addresses(account: Account, method: str, path: str) -> None:
    reply = await account.client.request(method, path)
    assert (reply.status_code, reply.json()["error_code"]) == (404, 12013)


async def test_only_plain_uuids_are_ids(account: Account) -> None:
    face = (await account.client.post("/6/faces")).json()["face_id"]
    for written in (f"{{{face}}}", f"urn:uuid:{face}", f"0x{face[2:]}", f"{face[:3]}_{face[4:]}"):
        for method in ("GET", "DELETE", "OPTIONS"):
            reply = await account.client.request(method, f"/6/faces/{written}")
            assert (reply.status_code, reply.json()["error_code"]) == (404, 12013), (method, written)
    assert (await account.client.get(f"/6/faces/{face.upper()}")).status_code == 200
    assert (await account.client.get(f"/6/faces/{face}/")).status_code == 200


async def test_unknown_methods(account: Account) -> None:
    for method, path, allowed in (
        ("DELETE", "/6/account", {"GET", "PATCH", "OPTIONS"}),
        ("PUT", f"/6/faces/{uuid4()}", {"GET", "HEAD", "PATCH", "DELETE", "OPTIONS"}),
        ("HEAD", "/6/faces", {"GET", "POST", "DELETE", "OPTIONS"}),
    ):
        reply = await account.client.request(method, path)
        assert reply.status_code == 405
        assert set(reply.headers["allow"].split(",")) == allowed
        assert (reply.content == b"") is (method == "HEAD")


async def test_options_of_every_resource(client: httpx.AsyncClient, platform: Platform) -> None:
    paths = {declared.path for declared in platform.operations()}
    for path in paths:
        address = path.replace("{page:str}", "index.html")
        while "{" in address:
            address = address[: address.index("{")] + str(uuid4()) + address[address.index("}") + 1 :]
        reply = await client.request("OPTIONS", address)
        assert (reply.status_code, reply.json()) == (200, {}), address
        methods = {declared.method for declared in platform.operations() if declared.path == path}
        assert set(reply.headers["allow"].split(",")) == {*methods, "OPTIONS"}


async def test_head_tells_no_wrong_length(account: Account) -> None:
    list_id = (await account.client.post("/6/lists", json={})).json()["list_id"]
    reply = await account.client.head(f"/6/lists/{list_id}")
    assert (reply.status_code, reply.headers.get("content-length")) == (200, None)
    stored = (await account.client.post("/6/objects", content=b"12345", headers={"Content-Type": "text/plain"})).json()
    assert (await account.client.head(stored["url"])).headers["content-length"] == "5"
