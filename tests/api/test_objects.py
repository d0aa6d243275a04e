"""Objects: bytes of any type."""

from uuid import uuid4

import httpx
import pytest

from lunaria.app import Platform
from tests.api.conftest import Account, AccountFactory
from tests.api.test_samples import token


async def save(account: Account, data: bytes, content_type: str) -> httpx.Response:
    return await account.client.post("/6/objects", content=data, headers={"Content-Type": content_type})


@pytest.mark.parametrize(
    ("content_type", "extension"),
    [
        ("text/plain", "txt"),
        ("text/html; charset=koi8-r", "html"),
        ("application/json", "json"),
        ("application/zip", "zip"),
        ("image/jpeg", "jpg"),
        ("application/octet-stream", "bin"),
        ("x-made/up+thing", "bin"),
    ],
)
async def test_life_of_an_object(account: Account, content_type: str, extension: str) -> None:
    data = bytes(range(256)) * 4
    made = await save(account, data, content_type)
    assert made.status_code == 201, made.text
    object_id = made.json()["object_id"]
    url = f"/6/objects/{object_id}"
    assert made.json() == {"object_id": object_id, "url": url}
    assert made.headers["location"] == url
    shown = await account.client.get(url, headers={"Accept": "application/x-nothing"})
    checked = await account.client.head(url)
    assert (shown.content, checked.content) == (data, b"")
    for reply in (shown, checked):
        assert reply.status_code == 200
        assert reply.headers["content-type"] == content_type
        assert reply.headers["content-length"] == str(len(data))
        assert reply.headers["content-disposition"] == f"attachment; filename={object_id}.{extension}"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in reply.headers["content-security-policy"]
    assert (await account.client.delete(url)).status_code == 204
    for reply in (await account.client.get(url), await account.client.delete(url)):
        assert (reply.status_code, reply.json()["error_code"]) == (404, 13007)
        assert object_id in reply.json()["detail"]
    assert (await account.client.head(url)).status_code == 404


async def test_a_large_object(account: Account) -> None:
    data = bytes(20_000_000)
    url = (await save(account, data, "application/octet-stream")).json()["url"]
    assert (await account.client.get(url)).content == data


@pytest.mark.parametrize("content_type", ["", "text", "text/", "a b/c", "text/plain\x7f", "t/" + "x" * 300])
async def test_a_type_is_required(account: Account, content_type: str) -> None:
    refused = await save(account, b"data", content_type)
    assert (refused.status_code, refused.json()["error_code"]) == (400, 12017)


async def test_bytes_are_required(account: Account) -> None:
    refused = await save(account, b"", "text/plain")
    assert (refused.status_code, refused.json()["error_code"]) == (400, 12030)


async def test_strangers_do_not_find_it(account: Account, stranger: Account, new_account: AccountFactory) -> None:
    url = (await save(account, b"data", "text/plain")).json()["url"]
    overseer = await new_account("advanced_user")
    for method in ("GET", "HEAD", "DELETE"):
        assert (await stranger.client.request(method, url)).status_code == 404
    assert (await overseer.client.get(url)).content == b"data"
    assert (await overseer.client.delete(url)).status_code == 404
    assert (await account.client.get(url)).content == b"data"
    assert (await account.client.get(f"/6/objects/{uuid4()}")).json()["error_code"] == 13007


async def test_rights(account: Account, transport: httpx.ASGITransport) -> None:
    url = (await save(account, b"data", "text/plain")).json()["url"]
    saver = await token(account, transport, {"object": ["creation"]})
    assert (await save(saver, b"data", "text/plain")).status_code == 201
    for method in ("GET", "DELETE"):
        refused = await saver.client.request(method, url)
        assert (refused.status_code, refused.json()["error_code"]) == (403, 11059)
    await saver.client.aclose()


async def test_anonymous_callers_are_refused(client: httpx.AsyncClient, platform: Platform) -> None:
    for method, path in (("POST", "/6/objects"), ("GET", f"/6/objects/{uuid4()}"), ("GET", f"/5/samples/{uuid4()}")):
        assert (await client.request(method, path)).status_code == 401
