"""Events that were made elsewhere: saved, shown, found and matched like generated ones."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from lunaria.app import Platform
from lunaria.events.subscriptions import Subscription, SubscriptionQuery
from tests.api.conftest import Account, AccountFactory
from tests.api.handlers import Json, count_rows, new_dynamic_handler, new_handler
from tests.estimation.pictures import checked
from tests.isolation.things import descriptor
from tests.servers import assert_envelope

TABLES = ("blobs", "attributes", "faces", "events", "event_details", "event_descriptors")


async def save(account: Account, handler_id: str, body: Any, *, wait: bool = True) -> Json:
    reply = await account.client.post(f"/6/handlers/{handler_id}/events/raw?wait_saving={int(wait)}", json=body)
    saved: Json = checked(reply, 201 if wait else 202)
    assert saved == {"event_id": saved["event_id"], "url": f"/6/events/{saved['event_id']}"}
    assert reply.headers["Location"] == saved["url"]
    return saved


async def stored(account: Account, event_id: str) -> Json:
    return dict(checked(await account.client.get(f"/6/events/{event_id}"), 200))


async def refused(account: Account, handler_id: str, body: Any, status: int, code: int) -> str:
    """The detail of the refusal."""
    reply = await account.client.post(f"/6/handlers/{handler_id}/events/raw", json=body)
    assert_envelope(reply, status, code)
    return str(reply.json()["detail"])


@pytest.fixture
async def handler(account: Account) -> str:
    return await new_dynamic_handler(account)


async def test_an_event_of_nothing(account: Account, handler: str) -> None:
    before = datetime.now(UTC)
    event = await stored(account, (await save(account, handler, {}))["event_id"])
    assert event["handler_id"] == handler
    assert event["account_id"] == str(account.id)
    assert event["create_time"] == event["end_time"]
    assert before - timedelta(seconds=1) < datetime.fromisoformat(event["create_time"]) < datetime.now(UTC)
    assert (event["external_id"], event["user_data"], event["tags"]) == ("", "", [])
    for name in ("face_id", "source", "stream_id", "track_id", "top_match", "age", "emotion", "mask", "meta"):
        assert event[name] is None
    assert (event["face_detections"], event["body_detections"], event["attach_result"]) == ([], [], [])


async def test_an_event_of_everything(account: Account, handler: str) -> None:
    face_id, other, list_id, sample = (str(uuid4()) for _ in range(4))
    rect = {"x": 508, "y": 101, "width": 404, "height": 522}
    body = {
        "detections": [
            {
                "filename": "visitor.jpg",
                "detect_ts": 12.5,
                "image_origin": "/6/images/10bc2cb4-db84-410d-adc7-ff2ac17e4b2d",
                "samples": {
                    "face": {
                        "sample_id": sample,
                        "detection": {
                            "rect": rect,
                            "attributes": {"deepfake": {"prediction": "real", "score": 0.9}},
                        },
                    },
                    "body": {"detection": {"rect": rect}},
                },
            }
        ],
        "source": "3rd Avenue",
        "stream_id": "b668c4a5-2191-476e-a261-3b4f9ce2e25e",
        "location": {"city": "Moscow", "geo_position": {"longitude": 36.616, "latitude": 55.752}},
        "external_id": "14159261415926",
        "user_data": "some event",
        "track_id": "useful_track_id_number_1",
        "face": {"face_id": face_id, "lists": [list_id]},
        "matches": [
            {"label": "nobody"},
            {"label": "vip", "candidates": [{"similarity": 0.97, "face": {"face_id": other, "external_id": "42"}}]},
        ],
        "face_attributes": {
            "basic_attributes": {
                "age": 27,
                "gender": 1,
                "ethnicities": {"predominant_ethnicity": "asian", "estimations": {}},
            }
        },
        "aggregate_estimations": {
            "face": {"attributes": {"emotions": {"predominant_emotion": "neutral", "estimations": {}}}},
            "body": {"attributes": {"accessories": {"backpack": {"state": 1}}}},
        },
        "tags": ["tag_1"],
        "create_time": "2018-08-11T09:11:41.674Z",
        "end_time": "2018-08-11T12:12:41.674+03:00",
        "meta": {"user_field": 36.6, "nested": {"deep": [1, None, "text"]}},
    }
    event = await stored(account, (await save(account, handler, body))["event_id"])
    for name in ("source", "stream_id", "external_id", "user_data", "track_id", "tags", "meta"):
        assert event[name] == body[name]
    assert event["create_time"] == "2018-08-11T09:11:41.674000Z"
    assert event["end_time"] == "2018-08-11T09:12:41.674000Z"
    assert event["face_id"] == face_id
    assert event["attach_result"] == [list_id]
    assert event["location"]["city"] == "Moscow"
    assert event["top_match"]["face_id"] == other
    assert (event["top_match"]["label"], event["top_match"]["similarity"]) == ("vip", 0.97)
    assert event["top_match"]["external_id"] == "42"
    assert [found["label"] for found in event["match_result"]] == ["nobody", "vip"]
    assert (event["age"], event["gender"], event["ethnic_group"], event["emotion"]) == (27, 1, 3, 5)
    assert (event["deepfake"], event["mask"], event["accessories"]) == (1, None, {"backpack": {"state": 1}})
    (seen,) = event["face_detections"]
    assert (seen["sample_id"], seen["detect_ts"], seen["detection"]) == (sample, 12.5, {"rect": rect})
    assert seen["detect_time"] == event["create_time"]
    assert len(event["body_detections"]) == 1


async def test_nothing_that_is_named_is_made_or_looked_for(
    platform: Platform, new_account: AccountFactory, stranger: Account
) -> None:
    account = await new_account()
    reply = await stranger.client.post("/6/faces", json={"user_data": "secret of a stranger"})
    foreign = checked(reply, 201)["face_id"]
    body = {
        "face": {"face_id": foreign},
        "matches": [{"label": "a", "candidates": [{"similarity": 1, "face": {"face_id": foreign}}]}],
        "face_attributes": {"samples": [str(uuid4())], "attribute_id": str(uuid4())},
    }
    event = await stored(account, (await save(account, await new_dynamic_handler(account), body))["event_id"])
    assert event["face_id"] == foreign
    assert "secret" not in str(event)
    counts = await count_rows(platform, account, *TABLES)
    assert {name for name, count in counts.items() if count} == {"events", "event_details"}
    face = checked(await stranger.client.get(f"/6/faces/{foreign}"), 200)
    assert face["event_id"] is None


async def test_its_descriptor_is_matched(account: Account, handler: str) -> None:
    marker = uuid4().hex[:30]
    saved = [
        await save(
            account,
            handler,
            {"external_id": marker, "face_attributes": {"score": 0.7, "descriptor": descriptor(seed)}},
        )
        for seed in (901, 902)
    ]
    body = {
        "references": [{"type": "sdk_descriptor", "id": "a", "data": descriptor(902)}],
        "candidates": [{"filters": {"origin": "events", "external_ids": [marker]}, "targets": ["event_id"]}],
    }
    (reference,) = checked(await account.client.post("/6/matcher/faces", json=body), 200)
    found = reference["matches"][0]["result"]
    assert [one["event"]["event_id"] for one in found] == [saved[1]["event_id"], saved[0]["event_id"]]
    assert found[0]["similarity"] > 0.99 > found[1]["similarity"]


async def test_descriptors_of_other_versions_are_kept(account: Account, handler: str) -> None:
    data = "gICA" * 170 + "gYE="
    await save(account, handler, {"face_attributes": {"descriptor": {"descriptor": data, "version": 59}}})


@pytest.mark.parametrize(
    ("part", "given", "code", "told"),
    [
        ("face_attributes", {"descriptor": "AAAA", "version": 1001}, 100007, "1001"),
        ("face_attributes", {"descriptor": "AAAA", "version": 777}, 12036, "777"),
        ("face_attributes", "AAAA", 100007, "header"),
        ("body_attributes", descriptor(1), 12022, "body_attributes.descriptor"),
    ],
)
async def test_bad_descriptors(account: Account, handler: str, part: str, given: Any, code: int, told: str) -> None:
    assert told in await refused(account, handler, {part: {"descriptor": given}}, 400, code)


async def test_saving_in_the_background(account: Account, handler: str) -> None:
    saved = await save(account, handler, {"user_data": "later"}, wait=False)
    for _ in range(100):
        reply = await account.client.get(saved["url"])
        if reply.status_code == 200:
            break
        assert_envelope(reply, 404, 23001)
        await asyncio.sleep(0.05)
    assert reply.json()["user_data"] == "later"


@pytest.mark.parametrize("wait", [True, False])
async def test_subscribers_are_told(platform: Platform, account: Account, handler: str, wait: bool) -> None:
    wanted = Subscription(SubscriptionQuery())
    async with platform.publisher.reader(account.id, wanted) as reader, asyncio.timeout(30):
        saved = await save(account, handler, {"user_data": "told", "detections": [{"filename": "a"}]}, wait=wait)
        message = json.loads(await reader.next())
    assert (message["handler_id"], message["event"]["event_id"]) == (handler, saved["event_id"])
    assert (message["event"]["url"], message["event"]["user_data"]) == (saved["url"], "told")
    assert message["event"]["detections"][0]["filename"] == "a"


async def test_the_handler_must_be_dynamic(account: Account, stranger: Account, handler: str) -> None:
    static = await new_handler(account)
    assert static in await refused(account, static, {}, 403, 34007)
    unknown = str(uuid4())
    assert unknown in await refused(account, unknown, {}, 404, 34000)
    assert handler in await refused(stranger, handler, {}, 404, 34000)
    assert "Page" in await refused(account, "x", {}, 404, 12013)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ([], "'', message: 'Expected `object`"),
        ({"event_id": str(uuid4())}, "'event_id', message: 'extra fields not permitted'"),
        ({"meta": {"a__b": 1}}, "'meta', message"),
        ({"meta": {"a": {"b": 2**64}}}, "'meta.a.b'"),
        ({"meta": {"a": "\x00"}}, "'meta.a', message: 'must not contain NUL'"),
        ({"meta": {"a": "x" * (2 * 1024 * 1024)}}, "'meta', message: 'larger than 2097152 bytes'"),
        ({"create_time": "yesterday"}, "'create_time', message: 'Invalid RFC3339"),
        ({"create_time": "0001-01-01T00:00:00+14:00"}, "create_time: out of range"),
        ({"matches": [{"label": "a", "candidates": [{"similarity": 1}]}]}, "'matches.0.candidates.0'"),
    ],
)
async def test_bad_bodies(account: Account, handler: str, body: Any, told: str) -> None:
    assert told in await refused(account, handler, body, 400, 12022)


async def test_an_event_has_a_bounded_size(account: Account, handler: str) -> None:
    face = {"face_id": str(uuid4()), "lists": [str(uuid4())] * 1000}
    candidates = [{"similarity": 0.5, "face": face}] * 100
    matches = [{"label": f"label {number}", "candidates": candidates} for number in range(3)]
    assert "bytes" in await refused(account, handler, {"matches": matches}, 400, 12022)
    await save(account, handler, {"matches": matches[:2]})


async def test_bad_requests(account: Account, handler: str) -> None:
    url = f"/6/handlers/{handler}/events/raw"
    for value in ("2", "", "true", "null"):
        assert_envelope(await account.client.post(f"{url}?wait_saving={value}", json={}), 400, 12012)
    assert_envelope(await account.client.post(url), 400, 12030)
    json_type = {"Content-Type": "application/json"}
    assert_envelope(await account.client.post(url, content=b"{", headers=json_type), 400, 12002)
    assert_envelope(
        await account.client.post(url, content=b"\x80", headers={"Content-Type": "application/msgpack"}), 400, 12017
    )
    for method in ("GET", "PUT", "DELETE"):
        assert_envelope(await account.client.request(method, url), 405, 12021)
    reply = await account.client.options(url)
    assert (reply.status_code, reply.json(), reply.headers["Allow"]) == (200, {}, "POST,OPTIONS")


@pytest.mark.parametrize("year", ["0001", "1969", "2030", "9999"])
async def test_any_year(account: Account, handler: str, year: str) -> None:
    saved = await save(account, handler, {"create_time": f"{year}-02-03T04:05:06Z"})
    event = await stored(account, saved["event_id"])
    assert event["create_time"] == f"{year}-02-03T04:05:06Z"
