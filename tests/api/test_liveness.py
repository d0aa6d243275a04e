"""POST /6/liveness: its inputs, its rights, and the open refusal while the network is missing."""

import httpx
import pytest

from tests.api.conftest import Account
from tests.estimation.pictures import JPEG, checked, encode, files, grey, refused

URL = "/6/liveness"


@pytest.mark.parametrize("query", ["", "aggregate=1"])
async def test_valid_requests_are_refused_openly(account: Account, query: str) -> None:
    picture = encode(grey())
    device = [
        ("meta", (None, b'{"mobile": {"device": "UNKNOWN"}}', "application/json")),
        ("x_meta", (None, b"{}", "text/plain")),
    ]
    for content in ({"content": picture, "headers": JPEG}, {"files": [*device, *files(a_jpg=picture)]}):
        reply = await account.client.post(f"{URL}?{query}", **content)
        assert refused(reply, 403, 11044).startswith("liveness ")


async def test_bad_requests(account: Account) -> None:
    reply = await account.client.post(f"{URL}?aggregate=2", content=b"x", headers=JPEG)
    assert "'aggregate'" in refused(reply, 400, 12012)
    refused(await account.client.post(URL, content=b"x", headers={"Content-Type": "text/plain"}), 400, 12017)
    refused(await account.client.post(URL, content=b"", headers=JPEG), 400, 12030)
    unknown = {"device": (None, b"{}", "application/json")}
    refused(await account.client.post(URL, files=unknown), 400, 12039)


async def test_right_of_a_token(account: Account, transport: httpx.ASGITransport) -> None:
    for resources, code in ((["liveness"], 11044), (["sdk", "iso"], 11060)):
        body = {"permissions": {"resources": resources}, "expiration_time": None}
        token = checked(await account.client.post("/6/tokens", json=body), 201)["token"]
        headers = {**JPEG, "Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://lunaria") as bearer:
            refused(await bearer.post(URL, content=b"x", headers=headers), 403, code)
