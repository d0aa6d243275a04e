"""Six stored events, oldest first, and everything that they can be found by."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import yaml

from lunaria.app import Platform
from lunaria.events import store
from lunaria.events.event import NewEvent
from lunaria.events.store import new_events
from lunaria.events.stored import EVENT_TARGETS
from lunaria.storage.scope import Scope
from tests.api.conftest import Account, AccountFactory
from tests.api.test_attributes import refused
from tests.events.making import (
    basic,
    body_attributes,
    detection,
    emotions,
    face_sample,
    full_event,
    liveness,
    mask,
    plain_event,
)

NOW = datetime.now(UTC).replace(microsecond=123000)
IDS = {name: uuid4() for name in ("handler", "stream", "face", "twin", "candidate", "other event")}


def time(days: float) -> datetime:
    return NOW - timedelta(days=days)


def body(**fields: Any) -> dict[str, Any]:
    return {"detection": {"rect": {"x": 0, "y": 0, "width": 1, "height": 1}, "attributes": body_attributes(**fields)}}


def place(longitude: float, latitude: float, **names: str) -> dict[str, Any]:
    return {"geo_position": {"longitude": longitude, "latitude": latitude}, **names}


def six_events(account_id: UUID) -> list[NewEvent]:
    face = {"face_id": IDS["face"], "url": "/6/faces/1", "lists": []}
    known = {"face": {"face_id": IDS["candidate"], "external_id": "P-1", "user_data": "", "lists": []}}
    twin = {"event": {"event_id": IDS["other event"], "external_id": "P-2"}}
    deepfake = {"prediction": "real", "score": 0.9}
    return [
        plain_event(account_id, create_time=time(5)),
        plain_event(
            account_id,
            IDS["handler"],
            create_time=time(4),
            external_id="ext-1",
            user_data="Alice 100%",
            source="cam1",
            stream_id=IDS["stream"],
            track_id="track_1",
            tags=["a", "b", "c"],
            location=place(10.0, 50.0, city="Oslo", area="A", district="D", street="S", house_number="1"),
            face=face,
            face_attributes=basic(20, 0, "african_american"),
            detections=[
                detection(
                    face=face_sample(
                        emotions=emotions("anger"), mask=mask("occluded"), liveness=liveness("spoof"), deepfake=deepfake
                    ),
                    body=None,
                )
            ],
            meta={"gate": {"number": 5, "temperature": 36.6}, "word": "Open", "text5": "5", "nothing": None},
            matches=[{"label": "vip", "candidates": [{"similarity": 0.9, **known}]}],
        ),
        plain_event(
            account_id,
            IDS["handler"],
            create_time=time(3),
            external_id="ext-2",
            user_data="alice_2, Алиса",
            source="cam2",
            track_id="track_2",
            tags=["a"],
            location=place(10.005, 50.005, city="Oslo"),
            face_attributes=basic(40, 1, "caucasian"),
            detections=[
                detection(face=face_sample(emotions=emotions("surprise"), mask=mask("missing")), body=None),
                detection(face=None, body=body(age=30, gender=1, colors=("black", "white"))),
            ],
            meta={"gate": {"number": 7.5}, "word": "closed"},
            matches=[{"label": "staff", "candidates": [{"similarity": 0.5, **twin}]}],
        ),
        plain_event(
            account_id,
            create_time=time(2),
            tags=["b", "a"],
            location=place(-10.0, -50.0, city="Lima"),
            detections=[detection(face=None, body=body(age=60, gender=2, colors=("red",)))],
            meta={"gate": {"number": "5"}, "word": 5},
        ),
        full_event(account_id, create_time=time(1)),
        plain_event(account_id, create_time=time(40), end_time=time(0.5), source="cam1"),
    ]


@pytest.fixture(scope="module")
async def owner(new_account: AccountFactory) -> Account:
    return await new_account()


async def save(platform: Platform, new: Sequence[NewEvent]) -> None:
    await platform.partitions.make_room([one.event.create_time for one in new])
    await platform.database.add(new_events(Scope(new[0].account_id), new))


@pytest.fixture(scope="module")
async def made(platform: Platform, owner: Account) -> list[NewEvent]:
    new = six_events(owner.id)
    await save(platform, new)
    return new


async def found(owner: Account, **params: Any) -> list[dict[str, Any]]:
    reply = await owner.client.get("/6/events", params=params)
    assert reply.status_code == 200, reply.text
    assert reply.json().keys() == {"events"}
    events: list[dict[str, Any]] = reply.json()["events"]
    return events


async def expect(owner: Account, made: list[NewEvent], wanted: list[int], **params: Any) -> None:
    """These of the first five are found, newest first."""
    names = {str(one.event.event_id): number for number, one in enumerate(made)}
    events = await found(owner, target="event_id,create_time", **params)
    assert [names[one["event_id"]] for one in events] == wanted[::-1]


async def test_without_conditions_the_last_month_is_shown(owner: Account, made: list[NewEvent]) -> None:
    await expect(owner, made, [0, 1, 2, 3, 4])


FILTERS: list[tuple[dict[str, Any], list[int]]] = [
    ({"create_time__gte": time(3).isoformat()}, [2, 3, 4]),
    ({"create_time__lt": time(3).isoformat()}, [5, 0, 1]),
    ({"create_time__gte": time(3.5).isoformat(), "create_time__lt": time(1.5).isoformat()}, [2, 3]),
    ({"end_time__lt": (time(4) + timedelta(seconds=2)).isoformat()}, [0]),
    ({"end_time__gte": (time(4) + timedelta(seconds=2)).isoformat()}, [1, 2, 3, 4]),
    ({"handler_ids": IDS["handler"]}, [1, 2]),
    ({"handler_ids": f"{uuid4()},{IDS['handler']}"}, [1, 2]),
    ({"face_ids": IDS["face"]}, [1]),
    ({"external_ids": "ext-1"}, [1]),
    ({"external_ids": "ext-1,ext-2,person"}, [1, 2, 4]),
    ({"user_data": "ALICE"}, [1, 2]),
    ({"user_data": "%"}, [1]),
    ({"user_data": "_"}, [2]),
    ({"user_data": "алиса"}, [2]),
    ({"user_data": "2, А"}, [2]),
    ({"sources": "cam1"}, [1]),
    ({"sources": "cam1,cam2"}, [1, 2]),
    ({"sources": "null"}, [0, 3]),
    ({"sources": "cam1,null"}, [0, 1, 3]),
    ({"stream_ids": IDS["stream"]}, [1]),
    ({"stream_ids": f"{IDS['stream']},null"}, [0, 1, 2, 3]),
    ({"track_ids": "track_1,track_2"}, [1, 2]),
    ({"track_ids": "null"}, [0, 3]),
    ({"tags": "a"}, [1, 2, 3]),
    ({"tags": "a,b"}, [1, 3]),
    ({"tags": "b,a,c"}, [1]),
    ({"tags": "d"}, []),
    ({"cities": "Oslo"}, [1, 2, 4]),
    ({"cities": "Lima,null"}, [0, 3]),
    ({"areas": "A"}, [1]),
    ({"districts": "D,null"}, [0, 1, 2, 3]),
    ({"streets": "S"}, [1]),
    ({"house_numbers": "1"}, [1, 4]),
    ({"origin_longitude": 10, "origin_latitude": 50}, [1, 2]),
    ({"origin_longitude": 10, "origin_latitude": 50, "longitude_delta": 0.004}, [1]),
    ({"origin_longitude": 10, "origin_latitude": 50, "latitude_delta": 0}, [1]),
    ({"origin_longitude": 10, "origin_latitude": 50, "latitude_delta": 90, "longitude_delta": 90}, [1, 2, 4]),
    ({"origin_longitude": "null"}, [0]),
    ({"origin_latitude": "null", "origin_longitude": 10}, [0]),
    ({"top_matching_candidates_label": "vip"}, [1, 4]),
    ({"top_similar_object_ids": IDS["candidate"]}, [1]),
    ({"top_similar_object_ids": f"{IDS['candidate']},{IDS['other event']}"}, [1, 2]),
    ({"top_similar_external_ids": "P-1"}, [1]),
    ({"top_similar_external_ids": "P-2,42"}, [2, 4]),
    ({"top_similar_object_similarity__gte": 0.9}, [1, 4]),
    ({"top_similar_object_similarity__lt": 0.9}, [2]),
    ({"gender": 1}, [2, 4]),
    ({"gender": "null"}, [0, 3]),
    ({"age__gte": 27}, [2, 4]),
    ({"age__lt": 27}, [1]),
    ({"age__gte": 21, "age__lt": 40}, [4]),
    ({"emotions": "1,7"}, [1, 2]),
    ({"emotions": "4,null"}, [0, 3, 4]),
    ({"masks": "3"}, [1]),
    ({"masks": "1,2"}, [2, 4]),
    ({"ethnic_groups": "1,4"}, [1, 2]),
    ({"ethnic_groups": "3,null"}, [0, 3, 4]),
    ({"liveness": "0"}, [1]),
    ({"liveness": "2,null"}, [0, 2, 3, 4]),
    ({"deepfake": "1"}, [1]),
    ({"deepfake": "0"}, [4]),
    ({"apparent_gender": "1"}, [2]),
    ({"apparent_gender": "2,null"}, [0, 1, 3, 4]),
    ({"apparent_age__gte": 33, "apparent_age__lt": 60}, [4]),
    ({"headwear_states": "1"}, [2, 3, 4]),
    ({"headwear_states": "0,2"}, []),
    ({"headwear_apparent_colors": "white"}, [2, 3, 4]),
    ({"headwear_apparent_colors": "null"}, [0, 1]),
    ({"sleeve_lengths": "short,null"}, [0, 1, 2, 3, 4]),
    ({"sleeve_lengths": "long"}, []),
    ({"upper_clothing_colors": "black,red"}, [2, 3, 4]),
    ({"upper_clothing_colors": "white"}, [2]),
    ({"upper_clothing_colors": "white,null"}, [0, 1, 2]),
    ({"lower_garment_types": "skirt"}, [2, 3, 4]),
    ({"lower_garment_types": "trousers,null"}, [0, 1]),
    ({"lower_garment_colors": "red"}, [2, 3, 4]),
    ({"shoes_apparent_colors": "other"}, [2, 3, 4]),
    ({"backpack_states": "0"}, [2, 3, 4]),
    ({"backpack_states": "1,null"}, [0, 1]),
    ({"sources": "cam1", "tags": "a", "gender": 0}, [1]),
    ({"sources": "cam1", "gender": 1}, []),
    ({"meta.word": "Open"}, [1]),
    ({"meta.word:string": "open"}, []),
    ({"meta.word": "5"}, []),
    ({"meta.word:integer": "5"}, [3]),
    ({"meta.word": "null"}, [0, 4]),
    ({"meta.word__neq": "Open"}, [2]),
    ({"meta.word__neq": "null"}, [1, 2, 3]),
    ({"meta.word__like": "pe"}, [1]),
    ({"meta.word__like": "PE"}, []),
    ({"meta.word__nlike": "pe"}, [2]),
    ({"meta.word__in": "Open,closed,none"}, [1, 2]),
    ({"meta.word__in": "Open,null"}, [0, 1, 4]),
    ({"meta.word__nin": "Open"}, [2]),
    ({"meta.word__nin": "null"}, [1, 2, 3]),
    ({"meta.word__gt": "P"}, [2]),
    ({"meta.gate.number:integer": "5"}, [1, 4]),
    ({"meta.gate.number": "5"}, [3]),
    ({"meta.gate.number:numeric": "7.5"}, [2]),
    ({"meta.gate.number:numeric": "5"}, [1, 4]),
    ({"meta.gate.number__gte:numeric": "5"}, [1, 2, 4]),
    ({"meta.gate.number__gt:integer": "5"}, []),
    ({"meta.gate.number__lte:integer": "5"}, [1, 4]),
    ({"meta.gate.number__lt:numeric": "7.5"}, [1, 4]),
    ({"meta.gate.number__in:integer": "4,5"}, [1, 4]),
    ({"meta.gate.number__nin:numeric": "5,6"}, [2]),
    ({"meta.gate.number__neq:integer": "4"}, [1, 4]),
    ({"meta.gate.temperature:numeric": "36.6"}, [1, 4]),
    ({"meta.gate.temperature": "null"}, [0, 2, 3]),
    ({"meta.nothing": "null"}, [0, 1, 2, 3, 4]),
    ({"meta.nothing__neq": "null"}, []),
    ({"meta.gate.number:integer": "5", "meta.word": "Open"}, [1]),
    ({"meta.gate": "5"}, []),
    ({"unknown": "x"}, [0, 1, 2, 3, 4]),
]


@pytest.mark.parametrize(("params", "wanted"), FILTERS, ids=[",".join(params) for params, _ in FILTERS])
async def test_conditions(owner: Account, made: list[NewEvent], params: dict[str, Any], wanted: list[int]) -> None:
    await expect(owner, made, wanted, **params)


async def test_event_ids_are_of_any_time(owner: Account, made: list[NewEvent]) -> None:
    await expect(owner, made, [5, 2], event_ids=f"{made[5].event.event_id},{made[2].event.event_id},{uuid4()}")


async def test_bounds_of_ids_order_by_id(owner: Account, made: list[NewEvent]) -> None:
    ids = sorted(str(one.event.event_id) for one in made)

    async def listed(**params: Any) -> list[str]:
        return [one["event_id"] for one in await found(owner, **params)]

    assert await listed(event_id__gte=ids[2]) == ids[2:]
    assert await listed(event_id__lt=ids[2]) == ids[:2]
    assert await listed(event_id__gte=ids[1], event_id__lt=ids[4]) == ids[1:4]
    assert await listed(event_id__gte=ids[1], event_id__lt=ids[4], order="desc") == ids[1:4][::-1]
    assert await listed(event_id__gte=ids[1], page=2, page_size=2) == ids[3:5]


async def test_order_and_pages(owner: Account, made: list[NewEvent]) -> None:
    async def listed(**params: Any) -> list[int]:
        names = {str(one.event.event_id): number for number, one in enumerate(made)}
        return [names[one["event_id"]] for one in await found(owner, target="event_id", **params)]

    assert await listed(order="asc") == [0, 1, 2, 3, 4]
    assert await listed(order="desc") == [4, 3, 2, 1, 0]
    assert await listed(page_size=2) == [4, 3]
    assert await listed(page_size=2, page=3) == [0]
    assert await listed(page_size=2, page=4) == []
    assert await listed(order="asc", page_size=3, page=2) == [3, 4]


async def test_ten_on_a_page(platform: Platform, new_account: AccountFactory) -> None:
    someone = await new_account()
    new = [plain_event(someone.id, create_time=time(number / 24)) for number in range(1, 13)]
    await save(platform, new)
    expected = [str(one.event.event_id) for one in new]
    assert [one["event_id"] for one in await found(someone)] == expected[:10]
    assert [one["event_id"] for one in await found(someone, page=2)] == expected[10:]


@pytest.mark.parametrize("target", EVENT_TARGETS)
async def test_one_target(owner: Account, made: list[NewEvent], target: str) -> None:
    """Each field is the same in the list, alone, and in the whole event."""
    address = f"/6/events/{made[4].event.event_id}"
    whole = (await owner.client.get(address)).json()
    alone = (await owner.client.get(address, params={"target": target})).json()
    (listed,) = await found(owner, target=target, page_size=1)
    assert alone == listed == {target: whole[target]}


async def test_whole_event(owner: Account, made: list[NewEvent]) -> None:
    event = made[4].event
    assert event.face is not None
    reply = await owner.client.get(f"/6/events/{event.event_id}")
    assert reply.status_code == 200
    whole = reply.json()
    assert list(whole) == list(EVENT_TARGETS)
    assert whole["account_id"] == str(owner.id)
    assert whole["handler_id"] == str(made[4].handler_id)
    assert datetime.fromisoformat(whole["create_time"]) == event.create_time
    assert (whole["emotion"], whole["gender"], whole["age"], whole["liveness"]) == (4, 1, 27, 2)
    assert whole["top_match"]["similarity"] == 0.97
    assert whole["meta"] == {"gate": {"number": 5, "temperature": 36.6}, "note": None}
    assert len(whole["face_detections"]) == len(whole["body_detections"]) == 1
    assert (await found(owner, event_ids=event.event_id)) == [whole]


async def test_existence(owner: Account, stranger: Account, made: list[NewEvent]) -> None:
    address = f"/6/events/{made[0].event.event_id}"
    assert (await owner.client.head(address)).status_code == 200
    assert (await owner.client.head(f"/6/events/{uuid4()}")).status_code == 404
    assert (await stranger.client.head(address)).status_code == 404
    refused(await stranger.client.get(address), 404, 23001)
    refused(await owner.client.get(f"/6/events/{uuid4()}"), 404, 23001)
    assert (await owner.client.get("/6/events/no-id")).status_code == 404


async def test_strangers_find_nothing(stranger: Account, made: list[NewEvent]) -> None:
    params: dict[str, Any]
    for params in ({}, {"event_ids": made[0].event.event_id}, {"account_id": made[0].account_id}):
        assert await found(stranger, **params) == []


async def test_account_filter(owner: Account, new_account: AccountFactory, made: list[NewEvent]) -> None:
    reader = await new_account("advanced_user")
    await expect(reader, made, [0, 1, 2, 3, 4], account_id=str(owner.id))
    mine = await reader.client.get("/6/events", params={"event_ids": str(made[1].event.event_id)})
    assert len(mine.json()["events"]) == 1, "who may see everything does so without naming an account"


@pytest.mark.parametrize("address", ["/6/events", "/6/events/{}"])
async def test_unknown_target(owner: Account, made: list[NewEvent], address: str) -> None:
    reply = await owner.client.get(address.format(made[0].event.event_id), params={"target": "event_id,nose"})
    refused(reply, 400, 23005)
    assert "'nose'" in reply.json()["detail"]
    assert "face_detections" in reply.json()["detail"]


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"gender": "2"}, "gender"),
        ({"gender": "x"}, "gender"),
        ({"emotions": "0"}, "emotions"),
        ({"emotions": "1,x"}, "emotions"),
        ({"emotions": ""}, "emotions"),
        ({"emotions": "none"}, "emotions"),
        ({"age__gte": "-1"}, "age__gte"),
        ({"age__gte": "70000"}, "age__gte"),
        ({"age__gte": "null"}, "age__gte"),
        ({"apparent_age__lt": "101"}, "apparent_age__lt"),
        ({"create_time__gte": "yesterday"}, "create_time__gte"),
        ({"stream_ids": "1"}, "stream_ids"),
        ({"face_ids": "null"}, "face_ids"),
        ({"top_similar_object_ids": "P-1"}, "top_similar_object_ids"),
        ({"top_similar_external_ids": "x" * 37}, "top_similar_external_ids"),
        ({"tags": "x" * 37}, "tags"),
        ({"track_ids": "x" * 37}, "track_ids"),
        ({"sleeve_lengths": "middle"}, "sleeve_lengths"),
        ({"upper_clothing_colors": "mauve"}, "upper_clothing_colors"),
        ({"origin_longitude": "181"}, "origin_longitude"),
        ({"origin_longitude": "10"}, "origin_latitude"),
        ({"origin_latitude": "10", "latitude_delta": "1"}, "origin_longitude"),
        ({"longitude_delta": "1"}, "origin_longitude,origin_latitude"),
        ({"origin_longitude": "null", "longitude_delta": "1"}, "longitude_delta"),
        ({"origin_longitude": "1", "origin_latitude": "1", "longitude_delta": "91"}, "longitude_delta"),
        ({"order": "up"}, "order"),
        ({"page": "0"}, "page"),
        ({"page_size": "1001"}, "page_size"),
        ({"sources": "a\x00b"}, "sources"),
        ({"meta.": "x"}, "meta."),
        ({"meta.a..b": "x"}, "meta.a..b"),
        ({"meta.a b": "x"}, "meta.a b"),
        ({"meta.a__b__eq": "x"}, "meta.a__b__eq"),
        ({"meta.a__is": "x"}, "meta.a__is"),
        ({"meta.a:bool": "x"}, "meta.a:bool"),
        ({"meta.a:integer": "x"}, "meta.a:integer"),
        ({"meta.a:integer": "1.5"}, "meta.a:integer"),
        ({"meta.a:numeric": "nan"}, "meta.a:numeric"),
        ({"meta.a__in:integer": "1,,2"}, "meta.a__in:integer"),
        ({"meta.a__like:integer": "1"}, "meta.a__like:integer"),
        ({"meta.a__gt": "null"}, "meta.a__gt"),
        ({"meta.a__like": "null"}, "meta.a__like"),
        ({"meta.a": "x\x00"}, "meta.a"),
    ],
)
async def test_bad_conditions(owner: Account, params: dict[str, str], named: str) -> None:
    reply = await owner.client.get("/6/events", params=params)
    refused(reply, 400, 12012)
    assert f"'{named}'" in reply.json()["detail"]


async def test_too_many_conditions_on_meta(owner: Account) -> None:
    params = {f"meta.field{number}": "x" for number in range(101)}
    refused(await owner.client.get("/6/events", params=params), 400, 12012)


async def test_the_document_says_how_to_ask(owner: Account) -> None:
    document = yaml.load(
        (await owner.client.get("/docs/spec", headers={"Accept": "application/x-yaml"})).text, yaml.CSafeLoader
    )
    listed = document["paths"]["/6/events"]["get"]["parameters"]
    parameters = {one["name"]: one for one in listed if one["in"] == "query"}
    assert {"enum": ["null"]} in parameters["gender"]["schema"]["anyOf"]
    assert {"enum": ["null"]} in parameters["emotions"]["schema"]["items"]["anyOf"]
    assert parameters["face_ids"]["schema"]["items"] == {"type": "string", "format": "uuid"}
    assert (parameters["meta"]["style"], parameters["meta"]["explode"]) == ("form", True)
    assert re.fullmatch(parameters["meta"]["schema"]["propertyNames"]["pattern"], "meta.gate.number__gt:integer")


async def test_page_that_holds_too_much(
    platform: Platform, new_account: AccountFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused before it is read; fewer events, or fewer targets, are shown."""
    monkeypatch.setattr(store, "BYTES", 20_000)
    someone = await new_account()
    await save(platform, [plain_event(someone.id, create_time=time(1), meta={"note": "x" * 1000}) for _ in range(30)])
    reply = await someone.client.get("/6/events", params={"page_size": 30})
    assert "page_size" in refused(reply, 400, 12012)
    assert len(await found(someone, page_size=15)) == 15
    targets = ",".join(target for target in EVENT_TARGETS if target != "meta")
    assert len(await found(someone, page_size=30, target=targets)) == 30
