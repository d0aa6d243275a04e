"""Events of stream watchers: MessagePack with images and what is known of each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from tests.api.conftest import Account, AccountFactory
from tests.api.handlers import Json, new_dynamic_handler, new_handler
from tests.estimation.pictures import beside, checked, encode, grey, read
from tests.isolation.things import BODY_WARP, FACE_WARP
from tests.servers import assert_envelope
from tests.vision.conftest import photos  # noqa: F401

MSGPACK = {"Content-Type": "application/msgpack"}
TIME = "2021-03-10T08:11:41.674Z"
SHOWN_TIME = "2021-03-10T08:11:41.674000Z"
STREAM = "b668c4a5-2191-476e-a261-3b4f9ce2e25e"
RECT = {"x": 10, "y": 20, "width": 30, "height": 40}


@pytest.fixture(scope="module")
def pictures(photos: Path) -> dict[str, bytes]:  # noqa: F811
    made = {name: encode(read(photos / f"{name}.jpg")) for name in ("obama", "obama2", "biden")}
    made["pair"] = encode(beside(read(photos / "obama.jpg"), read(photos / "biden.jpg")))
    made["none"] = encode(grey())
    return made


async def send(account: Account, handler_id: str, body: Any) -> httpx.Response:
    url = f"/6/handlers/{handler_id}/stream_events"
    return await account.client.post(url, content=msgspec.msgpack.encode(body), headers=MSGPACK)


async def generate(account: Account, handler_id: str, *sources: Json, aggregate: int = 0, **others: Any) -> Json:
    body = {"aggregate_attributes": aggregate, "sources": sources, **others}
    return dict(checked(await send(account, handler_id, body), 201))


async def refused(account: Account, handler_id: str, body: Any, status: int, code: int) -> str:
    """The detail of the refusal."""
    return str(assert_envelope(await send(account, handler_id, body), status, code)["detail"])


@pytest.fixture(scope="module")
async def handler(account: Account) -> str:
    return await new_handler(account)


async def test_each_source_has_its_events(account: Account, handler: str, pictures: dict[str, bytes]) -> None:
    answer = await generate(
        account,
        handler,
        {
            "body": pictures["obama"],
            "body_meta": {"mimetype": "image/jpeg", "encoder": "told by some clients"},
            "filename": "first.jpg",
            "detect_time": TIME,
            "detect_ts": 1.5,
            "image_origin": "https://store.example/frame.jpg",
            "source_data": {
                "source": "camera 1",
                "stream_id": STREAM,
                "track_id": "track_1",
                "external_id": "ext",
                "user_data": "user",
                "tags": ["a", "b", "a"],
                "location": {"city": "Oslo", "geo_position": {"longitude": 10.7, "latitude": 59.9}},
                "event_time": TIME,
                "event_end_time": datetime(2021, 3, 10, 9, tzinfo=UTC),
                "meta": {"a": [1]},
            },
        },
        {"body": pictures["biden"], "source_data": {"source": "camera 2"}},
        {"body": b"no picture"},
        {"body": pictures["none"]},
    )
    assert answer.keys() == {"images", "events", "filtered_detections"}
    assert [image["filename"] for image in answer["images"]] == ["first.jpg", "raw_image", "raw_image", "raw_image"]
    assert [image["status"] for image in answer["images"]] == [1, 1, 0, 1]
    first, second = answer["events"]
    assert first["source"] == "camera 1"
    assert (first["stream_id"], first["track_id"], first["external_id"]) == (STREAM, "track_1", "ext")
    assert (first["user_data"], first["tags"], first["meta"]) == ("user", ["a", "b"], {"a": [1]})
    assert first["location"]["city"] == "Oslo"
    assert first["create_time"] == "2021-03-10T08:11:41.674000Z"
    assert first["end_time"] == "2021-03-10T09:00:00Z"
    (seen,) = first["detections"]
    assert (seen["detect_time"], seen["detect_ts"]) == (SHOWN_TIME, 1.5)
    assert seen["image_origin"] == "https://store.example/frame.jpg"
    assert (second["source"], second["external_id"], second["stream_id"], second["tags"]) == ("camera 2", "", None, [])
    assert second["create_time"] == second["end_time"] == second["detections"][0]["detect_time"]
    assert datetime.now(UTC) - datetime.fromisoformat(second["create_time"]) < timedelta(minutes=5)
    for event in answer["events"]:
        kept = checked(await account.client.get(event["url"]), 200)
        assert (kept["source"], kept["handler_id"]) == (event["source"], handler)


async def test_one_event_of_all_sources(account: Account, handler: str, pictures: dict[str, bytes]) -> None:
    answer = await generate(
        account,
        handler,
        {"body": pictures["obama"], "filename": "1", "detect_ts": 1},
        {"body": pictures["obama2"], "filename": "2", "detect_ts": 2},
        aggregate=1,
        source_data={"source": "door", "event_time": TIME},
    )
    (event,) = answer["events"]
    assert (event["source"], event["create_time"]) == ("door", SHOWN_TIME)
    assert [(seen["filename"], seen["detect_ts"]) for seen in event["detections"]] == [("1", 1), ("2", 2)]
    several = {"aggregate_attributes": 1, "sources": [{"body": pictures["pair"], "filename": "pair.jpg"}]}
    assert "pair.jpg" in await refused(account, handler, several, 400, 11038)


@pytest.mark.parametrize(
    ("given", "picture", "kind"),
    [
        (1, FACE_WARP, "face"),
        ("face_warped_image", FACE_WARP, "face"),
        (2, BODY_WARP, "body"),
        ("body_warped_image", BODY_WARP, "body"),
    ],
)
async def test_warps(account: Account, handler: str, given: Any, picture: bytes, kind: str) -> None:
    name = f"{kind}_bounding_boxes"
    answer = await generate(account, handler, {"body": picture, "source_type": given, name: [RECT]})
    (event,) = answer["events"]
    sample = event["detections"][0]["samples"][kind]
    assert sample["detection"]["rect"] == RECT
    assert sample["sample_id"] is not None


async def test_warps_and_pictures_in_one_request(account: Account, handler: str, pictures: dict[str, bytes]) -> None:
    answer = await generate(
        account,
        handler,
        {"body": BODY_WARP, "source_type": 2, "source_data": {"external_id": "1"}},
        {"body": pictures["obama"], "source_type": "raw_image", "source_data": {"external_id": "2"}},
        {"body": FACE_WARP, "source_type": 1, "source_data": {"external_id": "3"}},
        {"body": FACE_WARP, "source_type": 2},
    )
    assert [event["external_id"] for event in answer["events"]] == ["1", "2", "3"]
    assert [image["error"]["error_code"] for image in answer["images"]] == [0, 0, 0, 11030]


async def test_the_whole_image_is_kept(new_account: AccountFactory, pictures: dict[str, bytes]) -> None:
    account = await new_account()
    handler = await new_handler(account, storage_policy={"image_origin_policy": {"store_image": 1}})
    origin = {"body": pictures["obama"], "body_meta": {"mimetype": "image/jpeg"}}
    answer = await generate(account, handler, {"body": FACE_WARP, "source_type": 1, "image_origin": origin})
    url = answer["events"][0]["detections"][0]["image_origin"]
    assert url.startswith("/6/images/")
    assert (await account.client.get(url)).content == pictures["obama"]
    told = {"body": "https://store.example/1.jpg"}
    answer = await generate(account, handler, {"body": FACE_WARP, "source_type": 1, "image_origin": told})
    assert answer["events"][0]["detections"][0]["image_origin"] == told["body"]


async def test_handlers(account: Account, stranger: Account, handler: str) -> None:
    body = {"aggregate_attributes": 0, "sources": [{"body": FACE_WARP, "source_type": 1}]}
    dynamic = await new_dynamic_handler(account)
    assert "'policies', message: 'the handler is dynamic" in await refused(account, dynamic, body, 400, 12022)
    unknown = str(uuid4())
    assert unknown in await refused(account, unknown, body, 404, 34000)
    assert handler in await refused(stranger, handler, body, 404, 34000)


GOOD = {"body": FACE_WARP, "source_type": 1}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ([], "'', message: 'Expected `object`"),
        ({"sources": [GOOD]}, "'aggregate_attributes', message: 'field required'"),
        ({"aggregate_attributes": 0}, "'sources', message: 'field required'"),
        ({"aggregate_attributes": 0, "sources": []}, "'sources'"),
        ({"aggregate_attributes": 2, "sources": [GOOD]}, "'aggregate_attributes'"),
        ({"aggregate_attributes": True, "sources": [GOOD]}, "'aggregate_attributes'"),
        ({"aggregate_attributes": 0, "sources": [GOOD] * 21}, "'sources', message: 'at most 20 images"),
        ({"aggregate_attributes": 0, "sources": [GOOD], "use_exif_info": 2}, "'use_exif_info'"),
        ({"aggregate_attributes": 0, "sources": [GOOD], "policies": {}}, "'policies', message: 'extra fields"),
        ({"aggregate_attributes": 0, "sources": [GOOD], "source_data": {}}, "'source_data', message: 'without"),
        (
            {"aggregate_attributes": 1, "sources": [GOOD, {**GOOD, "source_data": {}}]},
            "'sources.1.source_data', message: 'with aggregate_attributes",
        ),
        ({"aggregate_attributes": 1, "sources": [GOOD], "source_data": {"meta": {"a b": 1}}}, "'source_data.meta'"),
    ],
)
async def test_bad_bodies(account: Account, handler: str, body: Any, told: str) -> None:
    assert told in await refused(account, handler, body, 400, 12022)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({}, "'sources.0.body', message: 'field required'"),
        ({"body": b""}, "'sources.0.body'"),
        ({"body": 1}, "'sources.0.body'"),
        ({**GOOD, "unknown": 1}, "'sources.0.unknown', message: 'extra fields"),
        ({**GOOD, "source_type": 3}, "'sources.0.source_type'"),
        ({**GOOD, "source_type": "warp"}, "'sources.0.source_type'"),
        ({**GOOD, "body_meta": {}}, "'sources.0.body_meta.mimetype', message: 'field required'"),
        ({**GOOD, "body_meta": {"mimetype": "image/gif"}}, "'sources.0.body_meta.mimetype'"),
        ({**GOOD, "filename": "\x00"}, "'sources.0.filename'"),
        ({**GOOD, "face_bounding_boxes": [{"x": 1}]}, "'sources.0.face_bounding_boxes.0.y'"),
        ({**GOOD, "detect_time": "yesterday"}, "'sources.0.detect_time'"),
        ({**GOOD, "detect_ts": float("nan")}, "'sources.0.detect_ts'"),
        ({**GOOD, "detect_ts": float("inf")}, "'sources.0.detect_ts'"),
        ({**GOOD, "image_origin": ""}, "'sources.0.image_origin'"),
        ({**GOOD, "image_origin": {"body": 1}}, "'sources.0.image_origin.body', message: 'neither"),
        ({**GOOD, "image_origin": {"body": b"<html>"}}, "'sources.0.image_origin.body', message: 'the bytes are no"),
        ({**GOOD, "image_origin": {"body": "x" * 257}}, "'sources.0.image_origin.body', message: 'not a URL"),
        ({**GOOD, "image_origin": {}}, "'sources.0.image_origin.body', message: 'field required'"),
        ({**GOOD, "source_data": {"stream_id": "x"}}, "'sources.0.source_data.stream_id'"),
        ({**GOOD, "source_data": {"track_id": "a b"}}, "'sources.0.source_data.track_id'"),
        ({**GOOD, "source_data": {"tags": ["x" * 37]}}, "'sources.0.source_data.tags.0'"),
        ({**GOOD, "source_data": {"event_time": 1}}, "'sources.0.source_data.event_time'"),
        ({**GOOD, "source_data": {"location": {"geo_position": {"latitude": 1}}}}, "geo_position.longitude'"),
        ({**GOOD, "source_data": {"meta": {"a": {1: 2}}}}, "'sources.0.source_data.meta.a'"),
        ({**GOOD, "source_data": {"meta": {"a": b"x"}}}, "'sources.0.source_data.meta.a'"),
        ({**GOOD, "source_data": {"meta": {"a": float("nan")}}}, "'sources.0.source_data.meta.a'"),
        ({**GOOD, "source_data": {"unknown": 1}}, "'sources.0.source_data.unknown'"),
    ],
)
async def test_bad_sources(account: Account, handler: str, source: Json, told: str) -> None:
    body = {"aggregate_attributes": 0, "sources": [source]}
    assert told in await refused(account, handler, body, 400, 12022)


async def test_bad_requests(account: Account, handler: str) -> None:
    url = f"/6/handlers/{handler}/stream_events"
    body = msgspec.json.encode({"aggregate_attributes": 0, "sources": [GOOD]})
    for kind in ("application/json", "image/jpeg", "multipart/form-data", ""):
        assert_envelope(await account.client.post(url, content=body, headers={"Content-Type": kind}), 400, 12017)
    assert_envelope(await account.client.post(url, headers=MSGPACK), 400, 12030)
    assert_envelope(await account.client.post(url, content=b"\xc1", headers=MSGPACK), 400, 12002)
    assert_envelope(await account.client.post(url, content=b"\x91" * 100_000, headers=MSGPACK), 400, 12002, 12022)
    assert_envelope(await account.client.get(url), 405, 12021)
    reply = await account.client.options(url)
    assert (reply.status_code, reply.json(), reply.headers["Allow"]) == (200, {}, "POST,OPTIONS")
