"""Lists through HTTP."""

import asyncio
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tests.api.conftest import Account, AccountFactory
from tests.api.test_attributes import refused
from tests.api.test_faces import count, enrol, faces, ids, new_list, with_token


@pytest.fixture
async def fresh(new_account: AccountFactory) -> Account:
    """An account without lists and faces."""
    return await new_account()


async def get(account: Account, list_id: str) -> dict[str, Any]:
    reply = await account.client.get(f"/6/lists/{list_id}")
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


async def updated(account: Account, list_id: str) -> datetime:
    return datetime.fromisoformat((await get(account, list_id))["last_update_time"])


async def list_ids(account: Account, **params: Any) -> list[str]:
    """The ids of the lists that are found; they are counted, too."""
    reply = await account.client.get("/6/lists", params=params)
    assert reply.status_code == 200, reply.text
    found = [one["list_id"] for one in reply.json()["lists"]]
    if "page" not in params and "page_size" not in params:
        assert await list_count(account, **params) == len(found)
    return found


async def list_count(account: Account, **params: Any) -> int:
    reply = await account.client.get("/6/lists/count", params=params)
    assert reply.status_code == 200, reply.text
    counted: int = reply.json()["lists_count"]
    assert reply.json() == {"lists_count": counted}
    return counted


async def link(account: Account, list_id: str, face_ids: Any, action: str = "attach") -> httpx.Response:
    body = {"action": action, "face_ids": face_ids}
    return await account.client.patch(f"/6/lists/{list_id}/faces", json=body)


async def delete_many(account: Account, ids_: Any, **params: Any) -> httpx.Response:
    return await account.client.request("DELETE", "/6/lists", json={"list_ids": ids_}, params=params)


async def test_life_of_a_list(account: Account) -> None:
    made = await account.client.post("/6/lists", json={"user_data": "list of good persons"})
    assert made.status_code == 201, made.text
    list_id = made.json()["list_id"]
    url = f"/6/lists/{list_id}"
    assert made.json() == {"list_id": list_id, "url": url}
    assert made.headers["location"] == url
    shown = await get(account, list_id)
    assert shown == {
        "list_id": list_id,
        "user_data": "list of good persons",
        "account_id": str(account.id),
        "create_time": shown["create_time"],
        "last_update_time": shown["create_time"],
    }
    checked = await account.client.head(url)
    assert (checked.status_code, checked.content) == (200, b"")
    assert (await account.client.patch(url, json={})).status_code == 204
    assert await get(account, list_id) == shown
    assert (await account.client.patch(url, json={"user_data": "others"})).status_code == 204
    changed = await get(account, list_id)
    assert changed["last_update_time"] > shown["last_update_time"]
    assert changed == {**shown, "user_data": "others", "last_update_time": changed["last_update_time"]}
    assert (await account.client.delete(url)).status_code == 204
    for reply in (
        await account.client.get(url),
        await account.client.delete(url),
        await account.client.patch(url, json={}),
        await account.client.patch(url, json={"user_data": "x"}),
        await link(account, list_id, [str(uuid4())]),
    ):
        assert list_id in refused(reply, 404, 22003)
    assert (await account.client.head(url)).status_code == 404


@pytest.mark.parametrize("form", [{}, {"json": {}}, {"content": b"", "headers": {"Content-Type": "application/json"}}])
async def test_list_without_user_data(account: Account, form: Any) -> None:
    made = await account.client.post("/6/lists", **form)
    assert made.status_code == 201, made.text
    assert (await get(account, made.json()["list_id"]))["user_data"] == ""


@pytest.mark.parametrize("body", [{"user_data": "x" * 129}, {"user_data": None}, {"user_data": "\0"}, {"name": ""}, []])
async def test_bad_bodies(account: Account, body: Any) -> None:
    list_id = await new_list(account, "before")
    refused(await account.client.post("/6/lists", json=body), 400, 12022)
    refused(await account.client.patch(f"/6/lists/{list_id}", json=body), 400, 12022)
    assert (await get(account, list_id))["user_data"] == "before"


async def test_filters(fresh: Account) -> None:
    names = ["Good people", "good", "bad", "100%", ""]
    made = [await new_list(fresh, name) for name in names]

    def newest_first(*numbers: int) -> list[str]:
        return [made[number] for number in sorted(numbers, reverse=True)]

    assert await list_ids(fresh) == newest_first(0, 1, 2, 3, 4)
    assert await list_ids(fresh, user_data="GOOD") == newest_first(0, 1)
    assert await list_ids(fresh, user_data="%") == newest_first(3)
    assert await list_ids(fresh, user_data__eq="good") == newest_first(1)
    assert await list_ids(fresh, user_data__eq="") == newest_first(4)
    assert await list_ids(fresh, user_data="ood", user_data__eq="good") == newest_first(1)
    assert await list_ids(fresh, list_ids=f"{made[2]},{uuid4()},{made[0]}") == newest_first(0, 2)
    by_id = sorted(made)
    assert await list_ids(fresh, list_id__gte=by_id[1]) == by_id[1:]
    assert await list_ids(fresh, list_id__lt=by_id[3]) == by_id[:3]
    assert await list_ids(fresh, list_id__gte=by_id[1], list_id__lt=by_id[3]) == by_id[1:3]
    times = [(await get(fresh, list_id))["create_time"] for list_id in made]
    assert await list_ids(fresh, create_time__gte=times[3]) == newest_first(3, 4)
    assert await list_ids(fresh, create_time__lt=times[1]) == newest_first(0)
    assert (await fresh.client.patch(f"/6/lists/{made[0]}", json={"user_data": "Good"})).status_code == 204
    moved = (await get(fresh, made[0]))["last_update_time"]
    assert await list_ids(fresh, last_update_time__gte=moved) == newest_first(0)
    assert await list_ids(fresh, last_update_time__lt=moved) == newest_first(1, 2, 3, 4)
    assert await list_ids(fresh, page_size=2, page=2) == newest_first(1, 2)
    assert await list_ids(fresh, page_size=2, page=9) == []


@pytest.mark.parametrize(
    "params",
    [
        {"page": 0},
        {"page_size": 1001},
        {"list_ids": "x"},
        {"list_ids": ",".join([str(UUID(int=0))] * 1001)},
        {"list_id__lt": "x"},
        {"list_id__gte": "x"},
        {"create_time__lt": "x"},
        {"last_update_time__gte": "2020"},
        {"user_data": "\0"},
        {"user_data__eq": "\0"},
        {"account_id": "x"},
    ],
    ids=str,
)
async def test_bad_parameters(account: Account, params: dict[str, Any]) -> None:
    (name,) = params
    assert name in refused(await account.client.get("/6/lists", params=params), 400, 12012)
    if "page" not in name:
        assert name in refused(await account.client.get("/6/lists/count", params=params), 400, 12012)


async def test_attach_and_detach(fresh: Account) -> None:
    list_id, other = await new_list(fresh), await new_list(fresh)
    face_ids = [await enrol(fresh) for _ in range(3)]
    created = await updated(fresh, list_id)
    assert (await link(fresh, list_id, [*face_ids[:2], face_ids[0]])).status_code == 204
    assert await ids(fresh, list_id=list_id) == [face_ids[1], face_ids[0]]
    attached = await updated(fresh, list_id)
    assert attached > created
    assert await updated(fresh, other) < attached
    # again: nothing to do, nothing changes
    assert (await link(fresh, list_id, face_ids[:2])).status_code == 204
    assert await updated(fresh, list_id) == attached
    assert (await link(fresh, other, [face_ids[0]])).status_code == 204
    assert (await faces(fresh, face_ids=face_ids[0], targets="lists")) == [{"lists": [list_id, other]}]
    # a face that is not in the list does not matter
    assert (await link(fresh, list_id, [face_ids[0], face_ids[2]], "detach")).status_code == 204
    assert await ids(fresh, list_id=list_id) == [face_ids[1]]
    detached = await updated(fresh, list_id)
    assert detached > attached
    assert (await link(fresh, list_id, [face_ids[0]], "detach")).status_code == 204
    assert await updated(fresh, list_id) == detached
    assert await ids(fresh, list_id=other) == [face_ids[0]]


@pytest.mark.parametrize("action", ["attach", "detach"])
async def test_one_missing_face_keeps_all_as_it_is(fresh: Account, stranger: Account, action: str) -> None:
    list_id, face_id, linked = await new_list(fresh), await enrol(fresh), await enrol(fresh)
    assert (await link(fresh, list_id, [linked])).status_code == 204
    before = await get(fresh, list_id)
    for missing in (str(uuid4()), await enrol(stranger)):
        assert missing in refused(await link(fresh, list_id, [face_id, linked, missing], action), 404, 22004)
    for missing in (str(uuid4()), await new_list(stranger)):
        assert missing in refused(await link(fresh, missing, [face_id], action), 404, 22003)
        refused(await link(fresh, missing, [str(uuid4())], action), 404, 22003)
    assert await ids(fresh, list_id=list_id) == [linked]
    assert await get(fresh, list_id) == before


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": "attach"},
        {"action": "link", "face_ids": [str(UUID(int=1))]},
        {"action": "attach", "face_ids": []},
        {"action": "attach", "face_ids": ["x"]},
        {"action": "attach", "face_ids": [str(UUID(int=1))] * 10_001},
        {"action": "attach", "face_ids": [str(UUID(int=1))], "more": 1},
    ],
    ids=lambda body: str(body)[:60],
)
async def test_bad_links(account: Account, body: Any) -> None:
    refused(await account.client.patch(f"/6/lists/{await new_list(account)}/faces", json=body), 400, 12022)


async def test_deleted_face_leaves_its_lists(fresh: Account) -> None:
    first, second, third = [await new_list(fresh) for _ in range(3)]
    one, other = await enrol(fresh, lists=[first, second]), await enrol(fresh, lists=[second])
    before = {list_id: await updated(fresh, list_id) for list_id in (first, second, third)}
    assert (await fresh.client.delete(f"/6/faces/{one}")).status_code == 204
    after = {list_id: await updated(fresh, list_id) for list_id in before}
    assert after[first] == after[second] > before[second] > before[first]
    assert after[third] == before[third]
    assert await ids(fresh, list_id=second) == [other]
    assert (await fresh.client.request("DELETE", "/6/faces", json={"face_ids": [other]})).status_code == 204
    assert await updated(fresh, second) > after[second]
    assert await updated(fresh, first) == after[first]


async def test_deletion_keeps_or_takes_the_faces(fresh: Account) -> None:
    first, second = await new_list(fresh), await new_list(fresh)
    both, one = await enrol(fresh, lists=[first, second]), await enrol(fresh, lists=[first])
    outside = await enrol(fresh, lists=[second])
    spare = await new_list(fresh)
    assert (await link(fresh, spare, [both, one])).status_code == 204
    assert (await fresh.client.delete(f"/6/lists/{spare}")).status_code == 204
    assert await count(fresh) == 3
    before = await updated(fresh, second)
    assert (await fresh.client.delete(f"/6/lists/{first}", params={"with_faces": 1})).status_code == 204
    assert await ids(fresh) == [outside]
    assert await ids(fresh, list_id=second) == [outside]
    assert await updated(fresh, second) > before
    for wrong in (2, "yes", ""):
        reply = await fresh.client.delete(f"/6/lists/{second}", params={"with_faces": wrong})
        refused(reply, 400, 12012)
    empty = await new_list(fresh)
    assert (await fresh.client.delete(f"/6/lists/{empty}", params={"with_faces": 1})).status_code == 204
    refused(await fresh.client.delete(f"/6/lists/{empty}", params={"with_faces": 1}), 404, 22003)


async def test_deletion_of_many(fresh: Account, stranger: Account) -> None:
    made = [await new_list(fresh) for _ in range(5)]
    kept, gone = await enrol(fresh, lists=[made[0]]), await enrol(fresh, lists=made[2:4])
    for missing in (str(uuid4()), await new_list(stranger)):
        for with_faces in (0, 1):
            reply = await delete_many(fresh, [made[0], missing, made[1]], with_faces=with_faces)
            assert missing in refused(reply, 404, 22005)
    assert (await list_count(fresh), await count(fresh)) == (5, 2)
    assert (await delete_many(fresh, [made[0], made[1], made[0]])).status_code == 204
    assert sorted(await ids(fresh)) == sorted([kept, gone])
    assert (await delete_many(fresh, made[2:4], with_faces=1)).status_code == 204
    assert (await list_ids(fresh), await ids(fresh)) == ([made[4]], [kept])
    for wrong in ([], ["x"], None, [str(uuid4())] * 10_001):
        refused(await delete_many(fresh, wrong), 400, 12022)
    refused(await delete_many(fresh, made, with_faces=3), 400, 12012)


async def test_deletion_with_faces_needs_a_right_of_its_own(account: Account, client: httpx.AsyncClient) -> None:
    narrow = await with_token(account, {"list": ["deletion"]})
    wide = await with_token(account, {"list": ["deletion"], "face": ["deletion"]})
    lists = [await new_list(account) for _ in range(4)]
    refused(await client.delete(f"/6/lists/{lists[0]}", params={"with_faces": 1}, headers=narrow), 403, 11059)
    body = {"list_ids": [lists[1]]}
    reply = await client.request("DELETE", "/6/lists", json=body, params={"with_faces": 1}, headers=narrow)
    refused(reply, 403, 11059)
    assert (await client.delete(f"/6/lists/{lists[0]}", headers=narrow)).status_code == 204
    assert (await client.request("DELETE", "/6/lists", json=body, headers=narrow)).status_code == 204
    assert (await client.delete(f"/6/lists/{lists[2]}", params={"with_faces": 1}, headers=wide)).status_code == 204
    body = {"list_ids": [lists[3]]}
    reply = await client.request("DELETE", "/6/lists", json=body, params={"with_faces": 1}, headers=wide)
    assert reply.status_code == 204


async def test_others_find_nothing(account: Account, stranger: Account, new_account: AccountFactory) -> None:
    list_id = await new_list(account)
    url = f"/6/lists/{list_id}"
    for reply in (
        await stranger.client.get(url),
        await stranger.client.patch(url, json={"user_data": "mine"}),
        await stranger.client.delete(url),
        await stranger.client.delete(url, params={"with_faces": 1}),
    ):
        refused(reply, 404, 22003)
    assert (await stranger.client.head(url)).status_code == 404
    assert await list_ids(stranger, list_ids=list_id) == []
    assert await list_ids(stranger, account_id=str(account.id)) == []
    advanced = await new_account("advanced_user")
    assert await list_ids(advanced, list_ids=list_id) == [list_id]
    assert await list_ids(advanced, list_ids=list_id, account_id=str(stranger.id)) == []
    refused(await advanced.client.delete(url), 404, 22003)
    mine = await enrol(stranger)
    refused(await link(stranger, list_id, [mine]), 404, 22003)


async def test_requests_at_once(fresh: Account) -> None:
    """Attaching, detaching, enrolling and deleting the same things at once: some are refused, none fails."""
    lists = [await new_list(fresh) for _ in range(3)]
    for _ in range(4):
        face_ids = [await enrol(fresh) for _ in range(6)]
        work = [
            *(link(fresh, list_id, face_ids[shift:] + face_ids[:shift]) for shift, list_id in enumerate(lists)),
            *(link(fresh, list_id, face_ids[::-1], "detach") for list_id in lists),
            *(fresh.client.post("/6/faces", json={"lists": lists[::-1]}) for _ in range(3)),
            fresh.client.request("DELETE", "/6/faces", json={"face_ids": face_ids[3:]}, params={"ignore": 1}),
            *(fresh.client.delete(f"/6/faces/{face_id}") for face_id in face_ids[:4]),
            delete_many(fresh, [lists[2], lists[0]], with_faces=1),
            fresh.client.delete(f"/6/lists/{lists[1]}"),
        ]
        replies = await asyncio.gather(*work)
        assert {reply.status_code for reply in replies} <= {201, 204, 404}, [reply.text for reply in replies]
        assert await list_ids(fresh) == []
        lists = [await new_list(fresh) for _ in range(3)]
