"""matcher/bodies, and matcher/raw with bodies, through HTTP."""

from typing import Any
from uuid import uuid4

import msgspec
import numpy as np
import pytest

from lunaria.app import Platform
from lunaria.vision.similarity import Similarity
from tests.api.conftest import Account, AccountFactory
from tests.api.test_matching import code, near, refused, text, unit
from tests.matching.events import add_event

BODY_VERSION, BODY_DIMENSION = 2002, 256
CANDIDATES = {"filters": {"origin": "events"}, "limit": 100}


def body(seed: int) -> Any:
    return unit(seed, BODY_DIMENSION)


def given(vector: Any, version: int = BODY_VERSION, name: str = "query") -> dict[str, Any]:
    return {"type": "sdk_descriptor", "id": name, "data": text(code(vector, version))}


async def add(platform: Platform, account: Account, vector: Any, **columns: Any) -> str:
    described = [("body", BODY_VERSION, np.asarray(vector, np.float32))]
    return str(await add_event(platform.database, account.id, described, **columns))


async def match(account: Account, references: Any, candidates: Any, **params: str) -> Any:
    wanted = {"references": references, "candidates": candidates}
    reply = await account.client.post("/6/matcher/bodies", json=wanted, params=params)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def test_bodies_are_found_best_first(new_account: AccountFactory, platform: Platform) -> None:
    account = await new_account()
    vector = body(1)
    second = await add(platform, account, near(vector, 0.5, 3))
    best = await add(platform, account, near(vector, 0.8, 2), source="cam1")
    with_face = [("face", 1001, np.asarray(unit(1), np.float32))]
    await add_event(platform.database, account.id, with_face)  # has no body: never a candidate
    filters = {"sources": ["cam1", None]}  # the origin may be left out here
    (result,) = await match(account, [given(vector)], [{"filters": filters, "limit": 2}])
    assert result["reference"] == {"type": "sdk_descriptor", "id": "query"}
    (matches,) = result["matches"]
    assert matches["filters"] == {"origin": "events", **filters}
    assert [one["event"]["event_id"] for one in matches["result"]] == [best, second]
    knots = platform.models.descriptor_spec("body_descriptor").similarity.knots
    expected = Similarity(knots).from_cosine([0.8, 0.5])
    assert [one["similarity"] for one in matches["result"]] == pytest.approx(expected.tolist(), abs=0.01)


async def test_references(new_account: AccountFactory, platform: Platform) -> None:
    account = await new_account()
    vector = body(1)
    event_id = await add(platform, account, vector, external_id="e", track_id="t")
    only_face = [("face", 1001, np.asarray(unit(1), np.float32))]
    bare = str(await add_event(platform.database, account.id, only_face))
    references = [
        {"type": "event", "id": event_id},
        {"type": "event_external_id", "id": "e"},
        {"type": "event_track_id", "id": "t"},
        {"type": "raw_descriptor", "id": "a", "data": text(code(vector, BODY_VERSION)[8:]), "version": BODY_VERSION},
        {"type": "xpk_file", "id": "b", "data": text(code(vector, BODY_VERSION) + code(body(9), BODY_VERSION))},
        {"type": "event", "id": bare},
        {"type": "event", "id": str(uuid4())},
        {"type": "event_external_id", "id": "nobody"},
    ]
    results = await match(account, references, [CANDIDATES])
    assert len(results) == 9
    for result in results[:5]:
        (one,) = result["matches"][0]["result"]
        assert (one["event"]["event_id"], one["similarity"]) == (event_id, pytest.approx(1, abs=0.01))
    assert [result["error"]["error_code"] for result in results[6:]] == [22018, 23001, 11057]
    assert "version 2002" in results[6]["error"]["detail"]


async def test_kinds_of_descriptors_are_not_mixed(account: Account) -> None:
    faces = {"references": [given(unit(1), 1001)], "candidates": [CANDIDATES]}
    assert await refused(account, faces, "/6/matcher/bodies") == (
        400,
        12022,
        "Failed to validate input json. Path: 'references.0.data', message: 'version 1001 describes a face, here a"
        " descriptor of a body is needed'",
    )
    bodies = {"references": [given(body(1))], "candidates": [CANDIDATES]}
    status, code_, detail = await refused(account, bodies, "/6/matcher/faces")
    assert (status, code_) == (400, 12022)
    assert "version 2002 describes a body, here a descriptor of a face is needed" in detail
    client_version = {**faces, "references": [given(unit(1, 512), 59)]}
    assert (await refused(account, client_version, "/6/matcher/bodies"))[:2] == (400, 12022)


async def test_raw_matching_of_bodies(account: Account, platform: Platform) -> None:
    vector = body(1)
    wanted = {
        "references": [given(vector, name="r")],
        "candidates": [given(vector, name="same"), given(near(vector, 0.5, 2), name="other")],
    }
    reply = await account.client.post("/6/matcher/raw", json=wanted)
    (result,) = reply.json()["matches"]
    assert [one["candidate_id"] for one in result["matches"]] == ["same", "other"]
    knots = platform.models.descriptor_spec("body_descriptor").similarity.knots
    expected = [1, float(Similarity(knots).from_cosine(0.5))]
    assert [one["similarity"] for one in result["matches"]] == pytest.approx(expected, abs=0.01)
    mixed = {**wanted, "candidates": [given(unit(1), 1001)]}
    status, code_, detail = await refused(account, mixed, "/6/matcher/raw")
    assert (status, code_) == (400, 12022)
    assert "1001, 2002" in detail


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"references": []}, "references"),
        ({"candidates": []}, "candidates"),
        ({"candidates": [CANDIDATES] * 31}, "candidates"),
        ({"references": [{"type": "face", "id": str(uuid4())}]}, "references.0.type"),
        ({"references": [{"type": "attribute", "id": str(uuid4())}]}, "references.0.type"),
        ({"references": [{"type": "event_track_id", "id": ""}]}, "references.0.id"),
        ({"candidates": [{"filters": {"origin": "faces"}}]}, "candidates.0.filters.origin"),
        ({"candidates": [{"filters": {}, "targets": ["avatar"]}]}, "candidates.0"),
        ({"candidates": [{}]}, "candidates.0"),
    ],
)
async def test_bad_bodies(account: Account, changed: dict[str, Any], path: str) -> None:
    good = {"references": [given(body(1))], "candidates": [CANDIDATES]}
    status, code_, detail = await refused(account, {**good, **changed}, "/6/matcher/bodies")
    assert (status, code_) == (400, 12022)
    assert path in detail


async def test_messagepack_both_ways(new_account: AccountFactory, platform: Platform) -> None:
    account = await new_account()
    event_id = await add(platform, account, body(1))
    wanted = {
        "references": [{"type": "sdk_descriptor", "id": "q", "data": code(body(1), BODY_VERSION)}],
        "candidates": [CANDIDATES],
    }
    reply = await account.client.post(
        "/6/matcher/bodies",
        content=msgspec.msgpack.encode(wanted),
        headers={"Content-Type": "application/msgpack", "Accept": "application/msgpack"},
    )
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/msgpack")
    (result,) = msgspec.msgpack.decode(reply.content)
    assert result["matches"][0]["result"][0]["event"]["event_id"] == event_id


async def test_accounts_are_apart(new_account: AccountFactory, platform: Platform) -> None:
    account, stranger, viewer = await new_account(), await new_account(), await new_account("advanced_user")
    event_id = await add(platform, account, body(77))

    async def found(by: Account, **params: str) -> list[str]:
        (result,) = await match(by, [given(body(77))], [CANDIDATES], **params)
        return [one["event"]["event_id"] for one in result["matches"][0]["result"]]

    assert await found(account) == [event_id]
    assert await found(stranger) == []
    assert event_id in await found(viewer)
    assert await found(viewer, account_id=str(viewer.id)) == []
    (missing,) = await match(stranger, [{"type": "event", "id": event_id}], [CANDIDATES])
    assert missing["error"]["error_code"] == 23001
