"""Five faces, oldest first, and every condition on them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.api.conftest import Account, AccountFactory
from tests.api.test_attributes import refused
from tests.api.test_faces import FIELDS, count, enrol, faces, ids, new_list


@pytest.fixture(scope="module")
async def owner(new_account: AccountFactory) -> Account:
    return await new_account()


@pytest.fixture(scope="module")
async def event_id() -> str:
    return str(uuid4())


@pytest.fixture(scope="module")
async def list_id(owner: Account) -> str:
    return await new_list(owner)


@pytest.fixture(scope="module")
async def made(owner: Account, event_id: str, list_id: str) -> list[str]:
    given: list[dict[str, Any]] = [
        {"user_data": "Alice 100%", "external_id": "a"},
        {"user_data": "alice_2", "external_id": "b", "event_id": event_id},
        {"user_data": "ALICEX2", "external_id": "a", "lists": [list_id]},
        {"user_data": "Bob, Алиса", "lists": [list_id], "event_id": event_id},
        {},
    ]
    return [await enrol(owner, **fields) for fields in given]


async def expect(owner: Account, made: list[str], wanted: list[int], **params: Any) -> None:
    """These of the five are listed, newest first, and counted."""
    assert await ids(owner, **params) == [made[number] for number in reversed(wanted)]
    assert await count(owner, **params) == len(wanted)


async def test_no_condition(owner: Account, made: list[str]) -> None:
    await expect(owner, made, [0, 1, 2, 3, 4])


@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        ("alice", [0, 1, 2]),
        ("LICE", [0, 1, 2]),
        ("%", [0]),
        ("_", [1]),
        ("алис", [3]),
        ("alice 100%", [0]),
        ("carol", []),
        ("\\", []),
        ("", [0, 1, 2, 3, 4]),
    ],
)
async def test_user_data(owner: Account, made: list[str], part: str, wanted: list[int]) -> None:
    await expect(owner, made, wanted, user_data=part)


async def test_external_ids(owner: Account, made: list[str]) -> None:
    await expect(owner, made, [0, 2], external_ids="a")
    await expect(owner, made, [0, 1, 2], external_ids="a,b,c")
    await expect(owner, made, [], external_ids="c")


async def test_ids(owner: Account, made: list[str]) -> None:
    await expect(owner, made, [1, 3], face_ids=f"{made[3]},{uuid4()},{made[1]},{made[1].upper()}")


async def test_event_and_list(owner: Account, made: list[str], event_id: str, list_id: str) -> None:
    await expect(owner, made, [1, 3], event_id=event_id)
    await expect(owner, made, [2, 3], list_id=list_id)
    await expect(owner, made, [3], list_id=list_id, event_id=event_id)
    await expect(owner, made, [], list_id=str(uuid4()))
    await expect(owner, made, [], event_id=str(uuid4()))


async def test_times(owner: Account, made: list[str]) -> None:
    times = [face["create_time"] for face in reversed(await faces(owner))]
    await expect(owner, made, [2, 3, 4], create_time__gte=times[2])
    await expect(owner, made, [0, 1], create_time__lt=times[2])
    await expect(owner, made, [1, 2], create_time__gte=times[1], create_time__lt=times[3])
    moscow = datetime.fromisoformat(times[2]) + timedelta(hours=3)
    await expect(owner, made, [0, 1], create_time__lt=moscow.replace(tzinfo=None).isoformat() + "+03:00")


async def test_id_bounds_sort_by_id(owner: Account, made: list[str]) -> None:
    by_id = sorted(made)
    for params, expected in (
        ({"face_id__gte": by_id[2]}, by_id[2:]),
        ({"face_id__lt": by_id[2]}, by_id[:2]),
        ({"face_id__gte": by_id[1], "face_id__lt": by_id[4]}, by_id[1:4]),
        ({"face_id__gte": by_id[4], "face_id__lt": by_id[1]}, []),
    ):
        assert await ids(owner, **params) == expected
        assert await count(owner, **params) == len(expected)


async def test_pages(owner: Account, made: list[str]) -> None:
    assert await ids(owner, page_size=2) == [made[4], made[3]]
    assert await ids(owner, page_size=2, page=3) == [made[0]]
    assert await ids(owner, page_size=2, page=4) == []
    assert await ids(owner, page_size=1000, page=2**31 - 1) == []


async def test_targets(owner: Account, made: list[str]) -> None:
    everything = (await faces(owner, page_size=1))[0]
    assert everything.keys() == FIELDS
    for name in FIELDS:
        assert await faces(owner, page_size=1, targets=name) == [{name: everything[name]}]
    assert (await faces(owner, targets="face_id,user_data"))[0].keys() == {"face_id", "user_data"}
    one = await owner.client.get(f"/6/faces/{made[0]}", params={"targets": "face_id, external_id"})
    assert one.json() == {"face_id": made[0], "external_id": "a"}
    for path in ("/6/faces", f"/6/faces/{made[0]}"):
        refused(await owner.client.get(path, params={"targets": "similarity"}), 400, 22016)
    assert (await owner.client.head(f"/6/faces/{made[0]}", params={"targets": "lists"})).status_code == 200
    assert (await owner.client.head(f"/6/faces/{made[0]}", params={"targets": "x"})).status_code == 400


@pytest.mark.parametrize(
    "params",
    [
        {"page": 0},
        {"page": -1},
        {"page": 2**31},
        {"page": 10**30},
        {"page": "x"},
        {"page_size": 0},
        {"page_size": 1001},
        {"page_size": "1e3"},
        {"face_ids": "x"},
        {"face_ids": ""},
        {"face_ids": ",".join([str(UUID(int=0))] * 1001)},
        {"external_ids": ",".join(["a"] * 1001)},
        {"external_ids": "a\0"},
        {"event_id": "x"},
        {"list_id": "5"},
        {"face_id__lt": "x"},
        {"face_id__gte": ""},
        {"create_time__lt": "yesterday"},
        {"create_time__gte": "2018-13-11T09:11:41.674Z"},
        {"create_time__gte": "0001-01-01T00:00:00+14:00"},
        {"user_data": "a\0"},
        {"account_id": "x"},
    ],
    ids=str,
)
async def test_bad_parameters(owner: Account, params: dict[str, Any]) -> None:
    (name,) = params
    assert name in refused(await owner.client.get("/6/faces", params=params), 400, 12012)
    if "page" not in name:
        assert name in refused(await owner.client.get("/6/faces/count", params=params), 400, 12012)
