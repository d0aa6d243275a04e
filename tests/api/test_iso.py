"""POST /6/iso: its inputs, its rights, and the open refusal while the checks are missing."""

import httpx
import pytest

from tests.api.conftest import Account
from tests.estimation.pictures import JPEG, checked, encode, files, grey, refused

URL = "/6/iso"


@pytest.mark.parametrize("query", ["", "image_type=1&multiface_policy=2&extract_exif=1"])
async def test_valid_requests_are_refused_openly(account: Account, query: str) -> None:
    picture = encode(grey())
    for content in ({"content": picture, "headers": JPEG}, {"files": files(a_jpg=picture, b_jpg=picture)}):
        reply = await account.client.post(f"{URL}?{query}", **content)
        assert refused(reply, 403, 11044).startswith("iso ")


@pytest.mark.parametrize(("name", "value"), [("image_type", "2"), ("multiface_policy", "3"), ("extract_exif", "yes")])
async def test_bad_parameters(account: Account, name: str, value: str) -> None:
    reply = await account.client.post(f"{URL}?{name}={value}", content=b"x", headers=JPEG)
    assert f"'{name}'" in refused(reply, 400, 12012)


async def test_bad_requests(account: Account) -> None:
    refused(await account.client.post(URL, content=b"x", headers={"Content-Type": "text/plain"}), 400, 12017)
    refused(await account.client.post(URL, content=b"", headers=JPEG), 400, 12030)
    refused(await account.client.post(URL, json=[]), 400, 12022)
    refused(await account.client.post(URL, content=b"x", headers={**JPEG, "Accept": "text/csv"}), 406, 12023)
    part = {"image": ("a.txt", b"x", "text/plain")}
    refused(await account.client.post(URL, files=part), 400, 11029)


async def test_right_of_a_token(account: Account, transport: httpx.ASGITransport) -> None:
    for resources, code in ((["iso"], 11044), (["sdk", "liveness"], 11060)):
        body = {"permissions": {"resources": resources}, "expiration_time": None}
        token = checked(await account.client.post("/6/tokens", json=body), 201)["token"]
        headers = {**JPEG, "Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://lunaria") as bearer:
            refused(await bearer.post(URL, content=b"x", headers=headers), 403, code)
