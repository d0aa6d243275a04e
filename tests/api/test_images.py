"""Source images with their meta."""

from uuid import uuid4

import httpx
import pytest

from lunaria.app import Platform
from lunaria.blobs.schemas import meta_of
from lunaria.http.errors import ApiError
from tests.api.conftest import Account, AccountFactory
from tests.api.test_samples import TYPES, picture, token


async def save(
    account: Account, data: bytes, content_type: str = "image/jpeg", headers: dict[str, str] | None = None
) -> httpx.Response:
    return await account.client.post(
        "/6/images", content=data, headers={"Content-Type": content_type, **(headers or {})}
    )


@pytest.mark.parametrize("form", TYPES)
async def test_life_of_an_image(account: Account, form: str) -> None:
    data = picture(form, size=(31, 17))
    made = await save(account, data, TYPES[form])
    assert made.status_code == 201, made.text
    url = f"/6/images/{made.json()['image_id']}"
    assert made.json() == {"image_id": made.json()["image_id"], "url": url}
    assert made.headers["location"] == url
    shown = await account.client.get(url)
    assert shown.content == data
    assert shown.headers["content-type"] == TYPES[form]
    assert shown.headers["x-content-type-options"] == "nosniff"
    checked = await account.client.head(url)
    assert (checked.status_code, checked.content) == (200, b"")
    assert (checked.headers["content-type"], checked.headers["content-length"]) == (TYPES[form], str(len(data)))
    assert (await account.client.delete(url)).status_code == 204
    for reply in (await account.client.get(url), await account.client.delete(url)):
        assert (reply.status_code, reply.json()["error_code"]) == (404, 13003)
    assert (await account.client.head(url)).status_code == 404


async def test_meta(account: Account) -> None:
    sent = {"X-Luna-Meta-Camera": "north gate", "x-luna-meta-place": "caf\xe9", "X-Luna-Metal": "no", "X-Other": "no"}
    headers = [(name.encode(), value.encode("latin-1")) for name, value in sent.items()]
    made = await account.client.post(
        "/6/images", content=picture(), headers=[(b"Content-Type", b"image/jpeg"), *headers]
    )
    url = made.json()["url"]
    for reply in (
        await account.client.get(url, params={"with_meta": 1}),
        await account.client.head(url, params={"with_meta": 1}),
    ):
        assert reply.status_code == 200
        raw = {name.lower(): value for name, value in reply.headers.raw if name.lower().startswith(b"x-luna-meta")}
        assert raw == {b"x-luna-meta-camera": b"north gate", b"x-luna-meta-place": b"caf\xe9"}
    for params in ({}, {"with_meta": 0}):
        bare = await account.client.get(url, params=params)
        assert not [name for name in bare.headers if name.startswith("x-luna-meta")]
    refused = await account.client.get(url, params={"with_meta": 2})
    assert (refused.status_code, refused.json()["error_code"]) == (400, 12012)


async def test_too_much_meta(account: Account) -> None:
    fits = {f"X-Luna-Meta-{number}": "v" * 1000 for number in range(8)}
    assert (await save(account, picture(), headers=fits)).status_code == 201
    refused = await save(account, picture(), headers={**fits, "X-Luna-Meta-8": "v" * 1000})
    assert (refused.status_code, refused.json()["error_code"]) == (400, 12046)


def test_meta_cannot_break_a_reply() -> None:
    assert meta_of({"x-luna-meta-a": "b\r\nSet-Cookie: c=d\x00", "content-type": "x"}) == {"a": "bSet-Cookie: c=d"}
    for name in ("x-luna-meta-", "x-luna-meta-a b", "x-luna-meta-a\r\nb", "x-luna-meta-é"):
        with pytest.raises(ApiError) as refused:
            meta_of({name: "v"})
        assert refused.value.code == 12046


@pytest.mark.parametrize(
    ("data", "content_type", "code"),
    [
        (b"no picture", "image/jpeg", 11028),
        (picture("PNG"), "image/jpeg", 11028),
        (b"<html><script>alert(1)</script>", "image/png", 11028),
        (picture()[:20], "image/jpeg", 100010),
        (b"P6 0 0 255\n", "image/x-portable-pixmap", 100010),
        (b"", "image/jpeg", 12030),
        (picture(), "text/html", 12017),
        (picture(), "image/svg+xml", 12017),
    ],
)
async def test_what_is_no_image(account: Account, data: bytes, content_type: str, code: int) -> None:
    refused = await save(account, data, content_type)
    assert (refused.status_code, refused.json()["error_code"]) == (400, code)


async def test_too_large(platform: Platform, account: Account) -> None:
    too_large = picture() + bytes(platform.decoder.limits.max_bytes)
    refused = await save(account, too_large)
    assert (refused.status_code, refused.json()["error_code"]) == (400, 100012)


async def test_strangers_do_not_find_it(account: Account, stranger: Account, new_account: AccountFactory) -> None:
    url = (await save(account, picture())).json()["url"]
    overseer = await new_account("advanced_user")
    for method in ("GET", "HEAD", "DELETE"):
        assert (await stranger.client.request(method, url)).status_code == 404
    assert (await overseer.client.get(url)).status_code == 200
    assert (await overseer.client.delete(url)).status_code == 404
    assert (await account.client.get(url)).status_code == 200
    unknown = await account.client.get(f"/6/images/{uuid4()}")
    assert (unknown.status_code, unknown.json()["error_code"]) == (404, 13003)


async def test_rights(account: Account, transport: httpx.ASGITransport) -> None:
    url = (await save(account, picture())).json()["url"]
    viewer = await token(account, transport, {"image": ["view"], "face_sample": ["creation"]})
    assert (await viewer.client.get(url)).status_code == 200
    assert (await viewer.client.head(url)).status_code == 200
    for reply in (await viewer.client.delete(url), await save(viewer, picture())):
        assert (reply.status_code, reply.json()["error_code"]) == (403, 11059)
    await viewer.client.aclose()
