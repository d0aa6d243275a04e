"""Events as candidates and as references of matcher/faces, through HTTP."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import httpx
import numpy as np
import pytest

from lunaria.app import Platform
from lunaria.events import store
from lunaria.events.stored import EVENT_TARGETS
from tests.api.conftest import Account, AccountFactory
from tests.api.test_matching import given, match, near, refused, unit
from tests.matching.events import add_event

EVENTS = {"filters": {"origin": "events"}, "limit": 100}


async def add(platform: Platform, account: Account, vector: Any, version: int = 1001, **columns: Any) -> str:
    """An event of the account with a face."""
    described = [("face", version, np.asarray(vector, np.float32))]
    return str(await add_event(platform.database, account.id, described, **columns))


async def found(account: Account, vector: Any, **filters: Any) -> list[str]:
    candidates = {"filters": {"origin": "events", **filters}, "limit": 100, "targets": ["event_id"]}
    (result,) = await match(account, [given(vector)], [candidates])
    return [one["event"]["event_id"] for one in result["matches"][0]["result"]]


async def test_events_are_found_best_first(new_account: AccountFactory, platform: Platform) -> None:
    account = await new_account()
    vector = unit(1)
    second = await add(platform, account, near(vector, 0.6, 3))
    best = await add(platform, account, near(vector, 0.9, 2), source="cam1", age=30, tags=["a"], external_id="7")
    filters = {"origin": "events", "sources": ["cam1", None]}
    candidates = [{"filters": filters, "limit": 2, "threshold": 0.1}]
    (result,) = await match(account, [given(vector, "r1")], candidates)
    (matches,) = result["matches"]
    assert (matches["filters"], matches["limit"], matches["threshold"]) == (filters, 2, 0.1)
    assert [one["event"]["event_id"] for one in matches["result"]] == [best, second]
    similarities = [one["similarity"] for one in matches["result"]]
    assert similarities == sorted(similarities, reverse=True)
    shown = matches["result"][0]["event"]
    assert tuple(shown) == EVENT_TARGETS
    assert (shown["source"], shown["age"], shown["tags"], shown["external_id"]) == ("cam1", 30, ["a"], "7")
    assert (shown["account_id"], shown["top_match"], shown["gender"]) == (str(account.id), None, None)


async def test_targets(new_account: AccountFactory, platform: Platform) -> None:
    account = await new_account()
    event_id = await add(platform, account, unit(1))
    for targets, fields in ((["event_id", "source"], {"event_id", "source"}), (["similarity"], set()), ([], set())):
        (result,) = await match(account, [given(unit(1))], [{**EVENTS, "targets": targets}])
        (one,) = result["matches"][0]["result"]
        assert set(one["event"]) == fields
        assert one["similarity"] > 0.9
    body = {"references": [given(unit(1))], "candidates": [{**EVENTS, "targets": ["avatar"]}]}
    status, code, detail = await refused(account, body)
    assert (status, code) == (400, 12022)
    assert "'avatar' is not a valid target" in detail
    assert event_id


async def test_filters(new_account: AccountFactory, platform: Platform) -> None:
    account = await new_account()
    handler = uuid4()
    one = await add(platform, account, unit(1), source="cam1", handler_id=handler, gender=1, tags=["x", "y"], city="A")
    other = await add(platform, account, unit(1), track_id="t", gender=0, longitude=10.0, latitude=20.0)
    assert set(await found(account, unit(1))) == {one, other}
    cases: list[tuple[dict[str, Any], set[str]]] = [
        ({"event_ids": [one, str(uuid4())]}, {one}),
        ({"event_ids": []}, set()),
        ({"event_id__gte": one}, {key for key in (one, other) if key >= one}),
        ({"event_id__lt": one}, {key for key in (one, other) if key < one}),
        ({"handler_ids": [str(handler)]}, {one}),
        ({"sources": ["cam1"]}, {one}),
        ({"sources": [None]}, {other}),
        ({"track_ids": ["t"]}, {other}),
        ({"gender": 1}, {one}),
        ({"gender": [0, None]}, {other}),
        ({"cities": ["A", "B"]}, {one}),
        ({"tags": ["x"]}, {one}),
        ({"tags": ["x", "z"]}, set()),
        ({"create_time__gte": "2025-12-31T00:00:00Z"}, {one, other}),
        ({"create_time__lt": "2025-12-31T00:00:00Z"}, set()),
        ({"geo_position": {"origin_longitude": 10, "origin_latitude": 20}}, {other}),
        ({"geo_position": {"origin_longitude": None}}, {one}),
        ({"account_id": str(account.id)}, {one, other}),
        ({"account_id": str(uuid4())}, set()),
        ({"emotions": [3]}, set()),
        ({"emotions": [None]}, {one, other}),
    ]
    for filters, expected in cases:
        assert set(await found(account, unit(1), **filters)) == expected, filters


async def test_events_as_references(new_account: AccountFactory, platform: Platform) -> None:
    account = await new_account()
    vector = unit(1)
    event_id = await add(platform, account, vector, external_id="twin", track_id="t1")
    twin = await add(platform, account, near(vector, 0.9, 2), external_id="twin", track_id="t2")
    references = [
        {"type": "event", "id": event_id},
        {"type": "event_external_id", "id": "twin"},
        {"type": "event_track_id", "id": "t2"},
    ]
    results = await match(account, references, [{**EVENTS, "targets": ["event_id"]}])
    shown = [(one["reference"]["type"], one["reference"]["id"]) for one in results]
    assert shown == [
        ("event", event_id),
        ("event_external_id", "twin"),
        ("event_external_id", "twin"),
        ("event_track_id", "t2"),
    ]
    best = [one["matches"][0]["result"][0]["event"]["event_id"] for one in results]
    assert best[0] == event_id
    assert set(best[1:3]) == {event_id, twin}
    assert best[3] == twin
    assert results[0]["matches"][0]["result"][0]["similarity"] == pytest.approx(1, abs=1e-3)


async def test_missing_references_are_elements(new_account: AccountFactory, platform: Platform) -> None:
    account = await new_account()
    body = [("body", 2002, np.full(256, 1 / 16, np.float32))]
    bare = str(await add_event(platform.database, account.id, body))
    event_id = await add(platform, account, unit(1))
    missing = str(uuid4())
    references = [
        {"type": "event", "id": missing},
        {"type": "event_external_id", "id": "nobody"},
        {"type": "event_track_id", "id": "nowhere"},
        {"type": "event", "id": bare},
        {"type": "event", "id": event_id},
    ]
    results = await match(account, references, [EVENTS])
    codes = [one["error"]["error_code"] if "error" in one else None for one in results]
    assert codes == [23001, 11057, 11057, 22018, None]
    assert [one["error"]["detail"] for one in results[:3]] == [
        f"Event with id '{missing}' not found",
        "No event found with external id 'nobody'",
        "No event found with track id 'nowhere'",
    ]


async def test_an_external_id_of_too_many_events(new_account: AccountFactory, platform: Platform) -> None:
    account = await new_account()
    limit = platform.matcher.limits.expanded_references
    described: Sequence[Any] = []
    for _ in range(3):
        await add_event(platform.database, account.id, described, track_id="long")
    reference = {"type": "event_track_id", "id": "long"}
    body = {"references": [reference] * 30, "candidates": [{**EVENTS, "limit": 1}]}
    assert len((await account.client.post("/6/matcher/faces", json=body)).json()) == 90
    assert limit == 1000


async def test_accounts_are_apart(new_account: AccountFactory, platform: Platform) -> None:
    account, stranger, viewer = await new_account(), await new_account(), await new_account("advanced_user")
    vector = unit(4711)
    event_id = await add(platform, account, vector, external_id="apart-e", track_id="apart-t")
    assert await found(account, vector) == [event_id]
    assert await found(stranger, vector) == []
    assert await found(stranger, vector, event_ids=[event_id]) == []
    assert await found(stranger, vector, account_id=str(account.id)) == []
    references = [
        {"type": "event", "id": event_id},
        {"type": "event_external_id", "id": "apart-e"},
        {"type": "event_track_id", "id": "apart-t"},
    ]
    results = await match(stranger, references, [EVENTS])
    assert [one["error"]["error_code"] for one in results] == [23001, 11057, 11057]
    assert event_id in await found(viewer, vector)
    assert event_id not in await found(viewer, vector, account_id=str(viewer.id))


async def test_tokens_need_the_right(
    client: httpx.AsyncClient, new_account: AccountFactory, platform: Platform
) -> None:
    account = await new_account()
    event_id = await add(platform, account, unit(1))
    reference = {"type": "event", "id": event_id}
    for granted, status in (("event", 200), ("face", 403)):
        made = {"permissions": {granted: ["matching"]}, "expiration_time": None}
        token = (await account.client.post("/6/tokens", json=made)).json()["token"]
        headers = {"Authorization": f"Bearer {token}"}
        for path, body in (
            ("/6/matcher/faces", {"references": [reference], "candidates": []}),
            ("/6/matcher/faces", {"references": [given(unit(1))], "candidates": [EVENTS]}),
            ("/6/matcher/bodies", {"references": [reference], "candidates": [EVENTS]}),
        ):
            reply = await client.post(path, json=body, headers=headers)
            assert reply.status_code == status, (granted, path, reply.text)
            assert status == 200 or reply.json()["error_code"] == 11059


@pytest.mark.parametrize(
    ("filters", "path"),
    [
        ({"sources": ["x" * 129]}, "candidates.0.filters.sources.0"),
        ({"emotions": [8]}, "candidates.0.filters.emotions.0"),
        ({"gender": 2}, "candidates.0.filters.gender"),
        ({"event_ids": ["x"]}, "candidates.0.filters.event_ids.0"),
        ({"event_ids": [str(UUID(int=1))] * 1001}, "candidates.0.filters.event_ids"),
        ({"create_time__gte": "yesterday"}, "candidates.0.filters"),
        ({"end_time__lt": "now-1d"}, "candidates.0.filters"),
        ({"geo_position": {"origin_longitude": 10}}, "candidates.0.filters.geo_position"),
        ({"geo_position": {}}, "candidates.0.filters.geo_position"),
        (
            {"geo_position": {"origin_longitude": None, "longitude_delta": 1}},
            "candidates.0.filters.geo_position",
        ),
        ({"geo_position": {"origin_longitude": 181, "origin_latitude": 0}}, "geo_position.origin_longitude"),
        ({"headwear_apparent_colors": ["blue"]}, "headwear_apparent_colors.0"),
        ({"top_similar_object_similarity__gte": 1.5}, "top_similar_object_similarity__gte"),
        ({"tags": ["\0"]}, "candidates.0.filters.tags.0"),
        ({"mood": 1}, "candidates.0.filters"),
    ],
)
async def test_bad_filters(account: Account, filters: dict[str, Any], path: str) -> None:
    candidates = [{"filters": {"origin": "events", **filters}}]
    status, code, detail = await refused(account, {"references": [given(unit(1))], "candidates": candidates})
    assert (status, code) == (400, 12022)
    assert path in detail


async def test_events_of_which_too_much_is_to_be_shown(
    new_account: AccountFactory, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "BYTES", 20_000)
    account = await new_account()
    for _ in range(30):
        await add(platform, account, unit(1), meta={"note": "x" * 1000})
    body = {"references": [given(unit(1))], "candidates": [EVENTS]}
    status, code, told = await refused(account, body)
    assert (status, code, "targets" in told) == (400, 12022, True)
    assert len(await found(account, unit(1))) == 30
