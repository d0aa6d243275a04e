"""POST /6/handlers/{handler_id}/events: all or nothing, at once or in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from lunaria.app import Platform
from lunaria.events.callbacks_schemas import HttpCallback
from lunaria.events.event import NewEvent
from lunaria.events.store import new_events
from lunaria.handlers import recorder
from lunaria.storage.scope import NewRows, Scope
from tests.api.conftest import Account, AccountFactory
from tests.api.handlers import count_rows, generate, new_handler
from tests.estimation.pictures import JPEG, beside, checked, encode, read, refused
from tests.vision.conftest import photos  # noqa: F401

TABLES = ("blobs", "attributes", "faces", "events", "event_details", "event_descriptors")
EVERYTHING = {
    "face_policy": {"store_face": 1},
    "attribute_policy": {"store_attribute": 1},
    "image_origin_policy": {"store_image": 1},
}


@pytest.fixture(scope="module")
def pair(photos: Path) -> bytes:  # noqa: F811
    return encode(beside(read(photos / "obama.jpg"), read(photos / "biden.jpg")))


async def test_a_missing_list_is_refused_before_anything_is_stored(
    platform: Platform, new_account: AccountFactory, stranger: Account, pair: bytes
) -> None:
    """Somebody else's list, and one that never was; in the background, too."""
    account = await new_account()
    foreign = checked(await stranger.client.post("/6/lists", json={}), 201)["list_id"]
    blobs = set(_files(platform))
    for list_id in (foreign, str(uuid4())):
        for wait in (0, 1):
            storage = {
                **EVERYTHING,
                "face_policy": {"store_face": 1, "link_to_lists_policy": [{"list_id": list_id}]},
                "event_policy": {"wait_saving": wait},
            }
            handler = await new_handler(account, storage_policy=storage)
            reply = await account.client.post(f"/6/handlers/{handler}/events", content=pair, headers=JPEG)
            assert list_id in refused(reply, 404, 22003)
    assert set((await count_rows(platform, account, *TABLES)).values()) == {0}
    assert set(_files(platform)) == blobs


async def test_an_event_is_stored_as_a_whole_or_not_at_all(
    platform: Platform, new_account: AccountFactory, pair: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the last table takes is wrong: nothing of the others is there. With and without links, which need locks."""

    def broken(scope: Scope, new: Sequence[NewEvent]) -> list[NewRows]:
        *others, last = new_events(scope, new)
        return [*others, NewRows(scope, last.table, [{**row, "coding": 7} for row in last.rows])]

    account = await new_account()
    list_id = (await account.client.post("/6/lists", json={})).json()["list_id"]
    monkeypatch.setattr(recorder, "new_events", broken)
    for links in ([], [{"list_id": list_id}]):
        storage = {**EVERYTHING, "face_policy": {"store_face": 1, "link_to_lists_policy": links}}
        handler = await new_handler(account, storage_policy=storage)
        reply = await account.client.post(f"/6/handlers/{handler}/events", content=pair, headers=JPEG)
        refused(reply, 500, 1)
        assert set((await count_rows(platform, account, *TABLES)).values()) == {0}


async def test_what_is_not_to_be_stored_is_not(platform: Platform, new_account: AccountFactory, pair: bytes) -> None:
    """Filters choose for every part by itself."""
    account = await new_account()
    nobody = {"filters": {"gender": 0, "age__lt": 1}}
    storage = {
        "face_sample_policy": nobody,
        "image_origin_policy": {"store_image": 1, **nobody},
        "attribute_policy": {"store_attribute": 1, **nobody},
        "face_policy": {"store_face": 1, **nobody},
        "event_policy": nobody,
        "notification_policy": nobody,
    }
    handler = await new_handler(account, extract_policy={"extract_basic_attributes": 1}, storage_policy=storage)
    events = (await generate(account, handler, pair))["events"]
    assert len(events) == 2
    for event in events:
        assert (event["url"], event["face"], event["face_attributes"]["attribute_id"]) == (None, None, None)
        assert event["detections"][0]["image_origin"] is None
        assert event["detections"][0]["samples"]["face"]["url"] is None
    assert set((await count_rows(platform, account, *TABLES)).values()) == {0}


async def test_saving_in_the_background(platform: Platform, new_account: AccountFactory, pair: bytes) -> None:
    """What was answered is found a moment later."""
    account = await new_account()
    storage = {**EVERYTHING, "event_policy": {"wait_saving": 0}}
    handler = await new_handler(account, storage_policy=storage)
    events = (await generate(account, handler, pair))["events"]
    for event in events:
        for url in (event["url"], event["face"]["url"], event["face_attributes"]["url"]):
            await _comes(account, url)
        await _comes(account, event["detections"][0]["samples"]["face"]["url"])
        await _comes(account, event["detections"][0]["image_origin"])


async def _comes(account: Account, url: str) -> None:
    for _ in range(100):
        reply = await account.client.get(url)
        if reply.status_code == 200:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{url} did not come: {reply.text}")


def _files(platform: Platform) -> list[Path]:
    return [path for path in Path(platform.settings.blobs_url).rglob("*") if path.is_file()]


async def test_who_is_told(
    platform: Platform, new_account: AccountFactory, pair: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filters choose the events for subscribers and for each callback, whether the event is stored or not."""
    told: list[NewEvent] = []
    called: list[tuple[str, UUID]] = []

    async def publish(events: Sequence[NewEvent], request_id: str) -> None:
        told.extend(events)

    def send(calls: Sequence[tuple[HttpCallback, NewEvent]], request_id: str) -> None:
        called.extend((callback.url, new.event.event_id) for callback, new in calls)

    monkeypatch.setattr(platform.publisher, "publish", publish)
    monkeypatch.setattr(platform.callbacks, "send", send)
    account = await new_account()
    everybody, women = {"filters": {}}, {"filters": {"gender": 0}}
    storage = {
        "event_policy": {"store_event": 0},
        "callbacks": [
            {"url": "https://example.com/all", **everybody},
            {"url": "https://example.com/women", **women},
            {"url": "https://example.com/off", "enable": 0},
        ],
    }
    basic = {"extract_basic_attributes": 1}
    handler = await new_handler(account, extract_policy=basic, storage_policy=storage)
    events = (await generate(account, handler, pair))["events"]
    ids = [UUID(event["event_id"]) for event in events]
    assert [new.event.event_id for new in told] == ids
    assert {(new.account_id, str(new.handler_id)) for new in told} == {(account.id, handler)}
    assert called == [("https://example.com/all", event_id) for event_id in ids]
    told.clear()
    for policy in ({"send_notification": 0}, women):
        silent = {"event_policy": {"store_event": 0}, "notification_policy": policy}
        handler = await new_handler(account, extract_policy=basic, storage_policy=silent)
        assert len((await generate(account, handler, pair))["events"]) == 2
    assert told == []
