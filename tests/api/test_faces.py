"""Faces through HTTP."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from tests.api.conftest import Account, AccountFactory
from tests.api.test_attributes import BASIC, SAMPLE, body_of, refused, saved, text, with_header

FIELDS = {"face_id", "account_id", "event_id", "user_data", "create_time", "external_id", "avatar", "lists"}


async def enrol(account: Account, **fields: Any) -> str:
    reply = await account.client.post("/6/faces", json=fields)
    assert reply.status_code == 201, reply.text
    face_id: str = reply.json()["face_id"]
    return face_id


async def new_list(account: Account, user_data: str = "") -> str:
    reply = await account.client.post("/6/lists", json={"user_data": user_data})
    assert reply.status_code == 201, reply.text
    list_id: str = reply.json()["list_id"]
    return list_id


async def faces(account: Account, **params: Any) -> list[dict[str, Any]]:
    reply = await account.client.get("/6/faces", params=params)
    assert reply.status_code == 200, reply.text
    found: list[dict[str, Any]] = reply.json()["faces"]
    return found


async def ids(account: Account, **params: Any) -> list[str]:
    return [face["face_id"] for face in await faces(account, **params)]


async def count(account: Account, **params: Any) -> int:
    reply = await account.client.get("/6/faces/count", params=params)
    assert reply.status_code == 200, reply.text
    assert reply.json().keys() == {"faces_count"}
    counted: int = reply.json()["faces_count"]
    return counted


async def with_token(account: Account, permissions: Mapping[str, Any]) -> dict[str, str]:
    body = {"permissions": permissions, "expiration_time": None}
    token = (await account.client.post("/6/tokens", json=body)).json()["token"]
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
async def fresh(new_account: AccountFactory) -> Account:
    """An account without any faces."""
    return await new_account()


async def test_life_of_a_face(account: Account) -> None:
    event_id, list_id = str(uuid4()), await new_list(account)
    fields = {
        "external_id": "2xQ2gprbMUePw1s9gw9fvA==",
        "user_data": "fox 1991 Лиса",
        "avatar": "/6/samples/faces/b5d6fd45-fcca-453d-ac05-3e594054b813",
        "event_id": event_id,
        "lists": [list_id, list_id],
    }
    made = await account.client.post("/6/faces", json=fields)
    assert made.status_code == 201, made.text
    url = f"/6/faces/{made.json()['face_id']}"
    assert made.json() == {"face_id": made.json()["face_id"], "url": url}
    assert made.headers["location"] == url
    shown = (await account.client.get(url)).json()
    assert shown == {
        **fields,
        "face_id": made.json()["face_id"],
        "account_id": str(account.id),
        "create_time": shown["create_time"],
        "lists": [list_id],
    }
    assert datetime.now(UTC) - datetime.fromisoformat(shown["create_time"]) < timedelta(minutes=1)
    checked = await account.client.head(url)
    assert (checked.status_code, checked.content) == (200, b"")
    assert (await account.client.delete(url)).status_code == 204
    for reply in (await account.client.get(url), await account.client.delete(url)):
        assert made.json()["face_id"] in refused(reply, 404, 22002)
    assert (await account.client.head(url)).status_code == 404
    refused(await account.client.patch(url, json={}), 404, 22002)


@pytest.mark.parametrize("form", [{}, {"json": {}}, {"content": b"", "headers": {"Content-Type": "application/json"}}])
async def test_face_of_nothing(account: Account, form: Any) -> None:
    made = await account.client.post("/6/faces", **form)
    assert made.status_code == 201, made.text
    shown = (await account.client.get(made.json()["url"])).json()
    assert shown.keys() == FIELDS
    defaults = {"event_id": None, "user_data": "", "external_id": "", "avatar": "", "lists": []}
    assert {name: shown[name] for name in defaults} == defaults
    refused(await account.client.get(made.json()["url"] + "/attributes"), 404, 11032)


async def test_messagepack(account: Account) -> None:
    async def post(body: Any, kind: str = "application/msgpack") -> httpx.Response:
        content = body if isinstance(body, bytes) else msgspec.msgpack.encode(body)
        return await account.client.post("/6/faces", content=content, headers={"Content-Type": kind})

    attribute = {"face_descriptors": [with_header(56), {"descriptor": body_of(57), "version": 57}]}
    for kind in ("application/msgpack", "application/x-msgpack"):
        made = await post({"attribute": attribute, "user_data": "packed"}, kind)
        assert made.status_code == 201, made.text
        url = made.json()["url"]
        assert (await account.client.get(url)).json()["user_data"] == "packed"
        shown = (await account.client.get(url + "/attributes", params={"descriptor_version": 56})).json()
        assert shown["attributes"]["face_descriptor"] == text(with_header(56))
    assert (await post(b"")).status_code == 201
    refused(await post({"user_data": 5}), 400, 12022)
    refused(await post({"attribute": {"face_descriptors": [b"1"]}}), 400, 100007)
    refused(await post(b"\xc1"), 400, 12002)
    refused(await post(b"\x81\xa9user_data\xa2\xed\xa0"), 400, 12002)
    refused(await post(b"\x91" * 100_000), 400, 12022)
    refused(await post({}, "application/xml"), 400, 12017)


BAD_FACES: Mapping[str, tuple[Any, int]] = {
    "unknown field": ({"name": "x"}, 12022),
    "external id too long": ({"external_id": "x" * 37}, 12022),
    "user data too long": ({"user_data": "x" * 129}, 12022),
    "user data no text": ({"user_data": 1}, 12022),
    "NUL": ({"user_data": "a\0b"}, 12022),
    "NUL in the external id": ({"external_id": "\0"}, 12022),
    "event id": ({"event_id": "x"}, 12022),
    "event id null": ({"event_id": None}, 12022),
    "no lists": ({"lists": []}, 12022),
    "list no UUID": ({"lists": ["x"]}, 12022),
    "too many lists": ({"lists": [str(UUID(int=1))] * 1001}, 12022),
    "avatar too long": ({"avatar": "x" * 257}, 12022),
    "avatar with a blank": ({"avatar": "http://example.org/my face.jpg"}, 22009),
    "avatar not ASCII": ({"avatar": "/лицо.jpg"}, 22009),
    "avatar with a bad escape": ({"avatar": "/a%2"}, 22009),
    "avatar with NUL": ({"avatar": "/a\0"}, 22009),
    "avatar with a line end": ({"avatar": "/a\n"}, 22009),
    "attribute of nothing": ({"attribute": {}}, 22022),
    "attribute null": ({"attribute": None}, 12022),
    "attribute of samples": ({"attribute": {"face_descriptor_samples": [SAMPLE]}}, 22022),
    "two sources": ({"attribute": {"attribute_id": SAMPLE, "basic_attributes": BASIC}}, 12022),
    "attribute id and samples": ({"attribute": {"attribute_id": SAMPLE, "face_descriptor_samples": [SAMPLE]}}, 12022),
    "same version twice": ({"attribute": {"face_descriptors": [text(with_header(56))] * 2}}, 22024),
    "same sample twice": (
        {"attribute": {"basic_attributes": BASIC, "basic_attributes_samples": [SAMPLE] * 2}},
        12022,
    ),
    "unknown version": ({"attribute": {"face_descriptors": [{"descriptor": "AAAA", "version": 5}]}}, 12036),
    "bad descriptor": ({"attribute": {"face_descriptors": [{"descriptor": "AAAA", "version": 56}]}}, 100007),
}


@pytest.mark.parametrize("name", BAD_FACES)
async def test_bad_faces(fresh: Account, name: str) -> None:
    body, code = BAD_FACES[name]
    refused(await fresh.client.post("/6/faces", json=body), 400, code)
    assert await count(fresh) == 0


async def test_lone_surrogate(account: Account) -> None:
    content = b'{"user_data": "\\ud800"}'
    reply = await account.client.post("/6/faces", content=content, headers={"Content-Type": "application/json"})
    refused(reply, 400, 12002)


@pytest.mark.parametrize(
    "avatar",
    ["", "http://example.org/a.jpg?b=c#d", "http://[::1]:8080/a.jpg", "a/b%20c.jpg", "//example.org/a", "x" * 256],
)
async def test_good_avatars(account: Account, avatar: str) -> None:
    url = f"/6/faces/{await enrol(account, avatar=avatar)}"
    assert (await account.client.get(url, params={"targets": "avatar"})).json() == {"avatar": avatar}


async def test_face_of_a_temporary_attribute(fresh: Account) -> None:
    sent = {
        "face_descriptors": [text(with_header(56)), text(with_header(57))],
        "face_descriptor_samples": [SAMPLE],
        "basic_attributes": {"age": 3, "gender": 0},
    }
    attribute_id = await saved(fresh, sent)
    face_id = await enrol(fresh, attribute={"attribute_id": attribute_id})
    shown = (await fresh.client.get(f"/6/faces/{face_id}/attributes")).json()["attributes"]
    assert shown == {
        "create_time": shown["create_time"],
        "face_descriptor": text(with_header(57)),
        "face_descriptor_samples": [SAMPLE],
        "basic_attributes": {"age": 3, "gender": 0},
        "basic_attributes_samples": [],
    }
    assert (await fresh.client.get(f"/6/attributes/{attribute_id}")).status_code == 200
    list_id = await new_list(fresh)
    again = await fresh.client.post("/6/faces", json={"attribute": {"attribute_id": attribute_id}, "lists": [list_id]})
    assert attribute_id in refused(again, 409, 22001)
    assert await ids(fresh) == [face_id]
    # what the face has does not hang from the temporary attribute
    assert (await fresh.client.delete(f"/6/attributes/{attribute_id}")).status_code == 204
    kept = (await fresh.client.get(f"/6/faces/{face_id}/attributes", params={"descriptor_version": 56})).json()
    assert kept["attributes"]["face_descriptor"] == text(with_header(56))


async def test_nothing_of_a_refused_face_is_stored(fresh: Account, stranger: Account) -> None:
    mine, foreign = await new_list(fresh), await new_list(stranger)
    attribute_id = await saved(fresh, {"basic_attributes": BASIC})
    attribute = {"attribute": {"attribute_id": attribute_id}}
    before = (await fresh.client.get(f"/6/lists/{mine}")).json()
    for lists, code in (([foreign], 22003), ([str(uuid4())], 22003), ([mine, foreign], 22005)):
        reply = await fresh.client.post("/6/faces", json={**attribute, "lists": lists})
        assert lists[-1] in refused(reply, 404, code)
    missing = str(uuid4())
    theirs = await saved(stranger, {"basic_attributes": BASIC})
    for one in (missing, theirs):
        reply = await fresh.client.post("/6/faces", json={"attribute": {"attribute_id": one}, "lists": [mine]})
        assert one in refused(reply, 404, 22011)
    assert await count(fresh) == 0
    assert (await fresh.client.get("/6/faces/attributes/count")).json() == {"faces_count": 0}
    assert (await fresh.client.get(f"/6/lists/{mine}")).json() == before
    await enrol(fresh, **attribute, lists=[mine])


async def test_patch(account: Account) -> None:
    event_id = str(uuid4())
    url = f"/6/faces/{await enrol(account, user_data='before', external_id='1')}"
    before = (await account.client.get(url)).json()
    changes: list[dict[str, Any]] = [
        {},
        {"user_data": "after"},
        {"external_id": "2", "avatar": "/a"},
        {"event_id": event_id},
        {"event_id": None},
        {"user_data": "", "external_id": "", "avatar": ""},
    ]
    for change in changes:
        assert (await account.client.patch(url, json=change)).status_code == 204
        before |= change
        assert (await account.client.get(url)).json() == before
    for bad, code in (
        ({"user_data": None}, 12022),
        ({"face_id": event_id}, 12022),
        ({"lists": []}, 12022),
        ({"user_data": "x" * 129}, 12022),
        ({"external_id": "x" * 37}, 12022),
        ({"user_data": "\0"}, 12022),
        ({"event_id": "x"}, 12022),
        ({"avatar": " ", "user_data": "changed"}, 22009),
    ):
        refused(await account.client.patch(url, json=bad), 400, code)
    refused(await account.client.patch(url), 400, 12030)
    assert (await account.client.get(url)).json() == before


async def test_count_of_faces_with_attributes(fresh: Account, stranger: Account) -> None:
    async def counted(**params: Any) -> int:
        number: int = (await fresh.client.get("/6/faces/attributes/count", params=params)).json()["faces_count"]
        return number

    assert await counted() == 0
    face_id = await enrol(fresh, attribute={"basic_attributes": BASIC})
    await enrol(fresh)
    await enrol(stranger, attribute={"basic_attributes": BASIC})
    assert await counted() == 1
    assert await counted(account_id=str(fresh.id)) == 1
    assert await counted(account_id=str(stranger.id)) == 0
    assert (await fresh.client.delete(f"/6/faces/{face_id}/attributes")).status_code == 204
    assert await counted() == 0


async def test_deletion_of_many(fresh: Account, stranger: Account) -> None:
    async def delete(face_ids: Any, **params: Any) -> httpx.Response:
        return await fresh.client.request("DELETE", "/6/faces", json={"face_ids": face_ids}, params=params)

    mine = [await enrol(fresh) for _ in range(4)]
    foreign, missing = await enrol(stranger), str(uuid4())
    for bad in (missing, foreign):
        assert bad in refused(await delete([mine[0], bad]), 404, 22004)
        assert bad in refused(await delete([mine[0], bad], ignore=0), 404, 22004)
    assert await count(fresh) == 4
    assert (await delete([mine[0], mine[1], mine[0]])).status_code == 204
    assert (await delete([mine[1], missing, foreign, mine[2]], ignore=1)).status_code == 204
    assert (await delete([missing], ignore=1)).status_code == 204
    assert await ids(fresh) == [mine[3]]
    assert (await stranger.client.get(f"/6/faces/{foreign}")).status_code == 200
    for wrong in ([], ["x"], "x", None, [missing] * 10_001):
        refused(await delete(wrong), 400, 12022)
    refused(await delete([missing], ignore=2), 400, 12012)
    refused(await fresh.client.request("DELETE", "/6/faces"), 400, 12030)
    assert (await delete([str(UUID(int=number)) for number in range(10_000)], ignore=1)).status_code == 204


async def test_others_find_nothing(account: Account, stranger: Account, new_account: AccountFactory) -> None:
    face_id = await enrol(account, attribute={"basic_attributes": BASIC})
    url = f"/6/faces/{face_id}"
    for reply in (
        await stranger.client.get(url),
        await stranger.client.patch(url, json={"user_data": "mine"}),
        await stranger.client.delete(url),
        await stranger.client.get(url + "/attributes"),
        await stranger.client.get(url + "/attributes/samples"),
        await stranger.client.put(url + "/attributes", json={"basic_attributes": BASIC}),
        await stranger.client.delete(url + "/attributes"),
    ):
        refused(reply, 404, 22002)
    assert (await stranger.client.head(url)).status_code == 404
    assert await ids(stranger, face_ids=face_id) == []
    assert await ids(stranger, account_id=str(account.id)) == []
    advanced = await new_account("advanced_user")
    assert await ids(advanced, face_ids=face_id) == [face_id]
    assert await ids(advanced, account_id=str(account.id), face_ids=face_id) == [face_id]
    assert await ids(advanced, account_id=str(stranger.id), face_ids=face_id) == []
    refused(await advanced.client.delete(url), 404, 22002)
    refused(await advanced.client.patch(url, json={}), 404, 22002)
    assert (await account.client.get(url)).json()["user_data"] == ""


async def test_account_header_limits_reads_to_the_account(
    account: Account, stranger: Account, client: httpx.AsyncClient
) -> None:
    face_id, foreign = await enrol(account), await enrol(stranger)
    headers = {"Luna-Account-Id": str(account.id)}
    params = {"face_ids": f"{face_id},{foreign}", "account_id": str(stranger.id)}
    reply = await client.get("/6/faces", headers=headers, params=params)
    assert [face["face_id"] for face in reply.json()["faces"]] == [face_id]


async def test_lists_of_a_new_face_need_a_right_of_their_own(account: Account, client: httpx.AsyncClient) -> None:
    list_id = await new_list(account)
    narrow = await with_token(account, {"face": ["creation"]})
    assert (await client.post("/6/faces", headers=narrow)).status_code == 201
    refused(await client.post("/6/faces", headers=narrow, json={"lists": [list_id]}), 403, 11059)
    wide = await with_token(account, {"face": ["creation"], "list": ["modification"]})
    assert (await client.post("/6/faces", headers=wide, json={"lists": [list_id]})).status_code == 201
    assert await count(account, list_id=list_id) == 1
