"""matcher/faces and matcher/raw through HTTP, with descriptors made for the purpose."""

import base64
import struct
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from lunaria.app import Platform
from tests.api.conftest import PASSWORD, Account, AccountFactory

VERSION = 1001
DIMENSION = 128
Vector = NDArray[np.float64]


def unit(seed: int, dimension: int = DIMENSION) -> Vector:
    vector = np.random.default_rng(seed).standard_normal(dimension)
    return vector / np.linalg.norm(vector)


def near(vector: Vector, cosine: float, seed: int) -> Vector:
    """A unit vector at this cosine from `vector`."""
    other = unit(seed, len(vector))
    other -= (other @ vector) * vector
    other /= np.linalg.norm(other)
    return cosine * vector + np.sqrt(1 - cosine**2) * other


def code(vector: Vector, version: int = VERSION) -> bytes:
    """The SDK form of a descriptor."""
    data = np.clip(np.rint(128 + 128 * vector), 0, 255).astype(np.uint8).tobytes()
    return b"dp\0\0" + struct.pack("<I", version) + data


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def add_face(account: Account, vector: Vector, version: int = VERSION, **fields: Any) -> str:
    body = {"attribute": {"face_descriptors": [text(code(vector, version))]}, **fields}
    reply = await account.client.post("/6/faces", json=body)
    assert reply.status_code == 201, reply.text
    return str(reply.json()["face_id"])


async def add_attribute(account: Account, vector: Vector, ttl: int = 300) -> str:
    body = {"face_descriptors": [text(code(vector))]}
    reply = await account.client.post("/6/attributes", json=body, params={"ttl": ttl})
    assert reply.status_code == 201, reply.text
    return str(reply.json()["attribute_id"])


async def add_list(account: Account) -> str:
    return str((await account.client.post("/6/lists", json={})).json()["list_id"])


def given(vector: Vector, name: str = "query") -> dict[str, Any]:
    return {"type": "sdk_descriptor", "id": name, "data": text(code(vector))}


async def match(account: Account, references: Sequence[Any], candidates: Sequence[Any], **params: str) -> Any:
    body = {"references": list(references), "candidates": list(candidates)}
    reply = await account.client.post("/6/matcher/faces", json=body, params=params)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def found(account: Account, vector: Vector, **filters: Any) -> list[str]:
    (result,) = await match(account, [given(vector)], [{"filters": {"origin": "faces", **filters}, "limit": 100}])
    return [one["face"]["face_id"] for one in result["matches"][0]["result"]]


async def refused(account: Account, body: Any, path: str = "/6/matcher/faces") -> tuple[int, int, str]:
    reply = await account.client.post(path, json=body)
    return reply.status_code, reply.json()["error_code"], reply.json()["detail"]


async def test_shape_and_order(new_account: AccountFactory) -> None:
    account = await new_account()
    vector = unit(1)
    list_id = await add_list(account)
    best = await add_face(account, near(vector, 0.95, 2), user_data="Ann", external_id="7", lists=[list_id])
    second = await add_face(account, near(vector, 0.6, 3), avatar="/6/samples/faces/x")
    await add_face(account, near(vector, 0.1, 4))
    filters = {"origin": "faces", "account_id": str(account.id)}
    (result,) = await match(account, [given(vector, "r1")], [{"filters": filters, "limit": 2}])
    assert result["reference"] == {"type": "sdk_descriptor", "id": "r1"}
    (matches,) = result["matches"]
    assert (matches["filters"], matches["limit"], matches["threshold"]) == (filters, 2, 0)
    similarities = [one["similarity"] for one in matches["result"]]
    assert similarities == sorted(similarities, reverse=True)
    assert 0.9 < similarities[0] <= 1
    first, other = (one["face"] for one in matches["result"])
    assert first.pop("create_time").endswith("Z")
    assert first == {
        "face_id": best,
        "account_id": str(account.id),
        "event_id": None,
        "user_data": "Ann",
        "external_id": "7",
        "avatar": "",
        "lists": [list_id],
    }
    assert (other["face_id"], other["lists"]) == (second, [])


async def test_identity_is_one(new_account: AccountFactory) -> None:
    account = await new_account()
    face = await add_face(account, unit(5))
    (result,) = await match(account, [{"type": "face", "id": face}], [{"filters": {"origin": "faces"}}])
    assert result["matches"][0]["result"][0]["similarity"] == pytest.approx(1.0, abs=1e-6)


async def test_limit_threshold_targets(new_account: AccountFactory) -> None:
    account = await new_account()
    vector = unit(1)
    for seed, cosine in enumerate((0.9, 0.5, 0.3, 0.0)):
        await add_face(account, near(vector, cosine, 10 + seed))
    faces = {"origin": "faces"}
    candidates = [
        {"filters": faces},
        {"filters": faces, "limit": 1, "targets": ["face_id"]},
        {"filters": faces, "threshold": 0.9, "targets": ["similarity"]},
        {"filters": faces, "threshold": 1},
    ]
    (result,) = await match(account, [given(vector)], candidates)
    three, one, above, none = (matches["result"] for matches in result["matches"])
    assert (len(three), len(one), len(none)) == (3, 1, 0)
    assert set(one[0]) == {"similarity", "face"}
    assert set(one[0]["face"]) == {"face_id"}
    assert [set(item["face"]) for item in above] == [set()] * len(above)
    assert all(item["similarity"] >= 0.9 for item in above)
    assert 1 <= len(above) < 4


async def test_filters(new_account: AccountFactory) -> None:
    account = await new_account()
    vector = unit(1)
    list_id = await add_list(account)
    listed = await add_face(account, near(vector, 0.9, 2), lists=[list_id])
    named = await add_face(account, near(vector, 0.8, 3), external_id="e-1")
    noted = await add_face(account, near(vector, 0.7, 4), user_data="Mr 100%_Sure")
    everybody = [listed, named, noted]
    assert await found(account, vector) == everybody
    assert await found(account, vector, list_id=list_id) == [listed]
    assert await found(account, vector, list_id=str(uuid4())) == []
    assert await found(account, vector, face_ids=[noted, listed, str(uuid4())]) == [listed, noted]
    assert await found(account, vector, face_ids=[]) == []
    assert await found(account, vector, external_ids=["e-1", "e-2"]) == [named]
    assert await found(account, vector, user_data="100%_s") == [noted]
    assert await found(account, vector, user_data="1000s") == []
    times = {}
    for face in everybody:
        times[face] = (await account.client.get(f"/6/faces/{face}")).json()["create_time"]
    assert await found(account, vector, create_time__gte=times[named]) == [named, noted]
    assert await found(account, vector, create_time__lt=times[named]) == [listed]
    middle = sorted(everybody)[1]
    assert set(await found(account, vector, face_id__gte=middle)) == set(sorted(everybody)[1:])
    assert set(await found(account, vector, face_id__lt=middle)) == set(sorted(everybody)[:1])
    assert await found(account, vector, list_id=list_id, face_ids=[named]) == []
    assert await found(account, vector, list_id=list_id, create_time__lt=times[named]) == [listed]


async def test_life_of_a_face(new_account: AccountFactory) -> None:
    """Found by the first search after its creation; never after its deletion or detachment."""
    account = await new_account()
    list_id = await add_list(account)
    for seed in range(20):
        face = await add_face(account, unit(seed), lists=[list_id])
        assert face in await found(account, unit(seed), list_id=list_id)
        if seed % 2:
            await account.client.delete(f"/6/faces/{face}")
            assert face not in await found(account, unit(seed))
        else:
            body = {"action": "detach", "face_ids": [face]}
            await account.client.patch(f"/6/lists/{list_id}/faces", json=body)
            assert face not in await found(account, unit(seed), list_id=list_id)
            assert face in await found(account, unit(seed))


async def test_attributes_change(new_account: AccountFactory) -> None:
    account = await new_account()
    face = await add_face(account, unit(1))
    body = {"face_descriptors": [text(code(unit(2)))]}
    assert (await account.client.put(f"/6/faces/{face}/attributes", json=body)).status_code == 204
    (result,) = await match(account, [given(unit(2))], [{"filters": {"origin": "faces"}}])
    assert result["matches"][0]["result"][0]["similarity"] > 0.99
    await account.client.delete(f"/6/faces/{face}/attributes")
    assert await found(account, unit(2)) == []


async def test_kinds_of_references(new_account: AccountFactory) -> None:
    account = await new_account()
    vector = unit(1)
    face = await add_face(account, vector, external_id="twin")
    twin = await add_face(account, near(vector, 0.9, 2), external_id="twin")
    attribute = await add_attribute(account, vector)
    references = [
        {"type": "face", "id": face},
        {"type": "attribute", "id": attribute},
        {"type": "face_external_id", "id": "twin"},
        {"type": "raw_descriptor", "id": "a", "data": text(code(vector)[8:]), "version": VERSION},
        {"type": "raw_descriptor", "id": "b", "data": text(code(vector))},
        {"type": "sdk_descriptor", "id": "c", "data": text(code(vector))},
        {"type": "xpk_file", "id": "d", "data": text(code(vector) + code(unit(9)))},
    ]
    results = await match(account, references, [{"filters": {"origin": "faces"}, "targets": ["face_id"]}])
    shown = [(one["reference"]["type"], one["reference"]["id"]) for one in results]
    assert shown == [
        ("face", face),
        ("attribute", attribute),
        ("face_external_id", "twin"),
        ("face_external_id", "twin"),
        ("raw_descriptor", "a"),
        ("raw_descriptor", "b"),
        ("sdk_descriptor", "c"),
        ("xpk_file", "d"),
        ("xpk_file", "d"),
    ]
    best = [one["matches"][0]["result"][0]["face"]["face_id"] for one in results]
    assert best[:3] == [face] * 3
    assert best[3] == twin
    assert best[4:8] == [face] * 4


async def test_missing_references_are_elements(new_account: AccountFactory) -> None:
    account = await new_account()
    face = await add_face(account, unit(1))
    bare = (await account.client.post("/6/faces", json={})).json()["face_id"]
    basic = (await account.client.post("/6/attributes", json={"basic_attributes": {"age": 30}})).json()["attribute_id"]
    missing = str(uuid4())
    references = [
        {"type": "face", "id": missing},
        {"type": "attribute", "id": missing},
        {"type": "face_external_id", "id": "nobody"},
        {"type": "face", "id": bare},
        {"type": "attribute", "id": basic},
        {"type": "face", "id": face},
    ]
    results = await match(account, references, [{"filters": {"origin": "faces"}}])
    codes = [one["error"]["error_code"] if "error" in one else None for one in results]
    assert codes == [22002, 22011, 11041, 11032, 22018, None]
    assert all(("matches" in one) is ("error" not in one) for one in results)
    assert results[0]["error"]["detail"] == f"Face with id '{missing}' not found"


async def test_candidates_among_attributes(new_account: AccountFactory) -> None:
    account, stranger = await new_account(), await new_account()
    vector = unit(1)
    ids = [await add_attribute(account, near(vector, cosine, 5 + n)) for n, cosine in enumerate((0.5, 0.9, 0.7))]
    foreign = await add_attribute(stranger, vector)
    candidates = [
        {"filters": {"origin": "attributes"}, "limit": 2},
        {"filters": {"origin": "attributes", "attribute_ids": [ids[0], foreign]}, "targets": ["attribute_id"]},
    ]
    (result,) = await match(account, [given(vector)], candidates)
    two, named = ([one["attribute"]["attribute_id"] for one in m["result"]] for m in result["matches"])
    assert two == [ids[1], ids[2]]
    assert named == [ids[0]]
    shown = result["matches"][0]["result"][0]["attribute"]
    assert shown["account_id"] == str(account.id)


async def test_other_versions(new_account: AccountFactory) -> None:
    account = await new_account()
    vector = unit(1, 512)
    foreign = await add_face(account, vector, version=59)
    await add_face(account, unit(2))
    by_face = await match(account, [{"type": "face", "id": foreign}], [{"filters": {"origin": "faces"}}])
    assert [one["face"]["face_id"] for one in by_face[0]["matches"][0]["result"]] == [foreign]
    raw = {"type": "raw_descriptor", "id": "x", "data": text(code(vector, 59)[8:]), "version": 59}
    (by_raw,) = await match(account, [raw], [{"filters": {"origin": "faces"}}])
    assert [one["face"]["face_id"] for one in by_raw["matches"][0]["result"]] == [foreign]
    assert foreign not in await found(account, unit(2))


async def test_messagepack_both_ways(new_account: AccountFactory) -> None:
    account = await new_account()
    face = await add_face(account, unit(1))
    body = {
        "references": [{"type": "sdk_descriptor", "id": "q", "data": code(unit(1))}],
        "candidates": [{"filters": {"origin": "faces"}}],
    }
    reply = await account.client.post(
        "/6/matcher/faces",
        content=msgspec.msgpack.encode(body),
        headers={"Content-Type": "application/msgpack", "Accept": "application/msgpack"},
    )
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/msgpack")
    (result,) = msgspec.msgpack.decode(reply.content)
    assert result["matches"][0]["result"][0]["face"]["face_id"] == face
    refused = await account.client.post("/6/matcher/faces", json={}, headers={"Accept": "text/html"})
    assert (refused.status_code, refused.json()["error_code"]) == (406, 12023)


async def test_accounts_are_apart(new_account: AccountFactory, client: httpx.AsyncClient) -> None:
    account, stranger, viewer = await new_account(), await new_account(), await new_account("advanced_user")
    vector = unit(4242)
    list_id = await add_list(account)
    face = await add_face(account, vector, lists=[list_id], external_id="apart")
    attribute = await add_attribute(account, vector)
    assert await found(stranger, vector) == []
    assert await found(stranger, vector, list_id=list_id) == []
    assert await found(stranger, vector, face_ids=[face]) == []
    assert await found(stranger, vector, account_id=str(account.id)) == []
    references = [
        {"type": "face", "id": face},
        {"type": "attribute", "id": attribute},
        {"type": "face_external_id", "id": "apart"},
    ]
    results = await match(stranger, references, [{"filters": {"origin": "faces"}}])
    assert [one["error"]["error_code"] for one in results] == [22002, 22011, 11041]
    # An advanced user reads all accounts, unless narrowed by the query or by the filters.
    assert face in await found(viewer, vector)
    assert face in await found(viewer, vector, account_id=str(account.id))
    assert face not in await found(viewer, vector, account_id=str(viewer.id))
    candidates = [{"filters": {"origin": "faces", "face_ids": [face]}}]
    (narrowed,) = await match(viewer, [given(vector)], candidates, account_id=str(viewer.id))
    assert narrowed["matches"][0]["result"] == []


async def test_tokens_need_the_right_of_every_source(client: httpx.AsyncClient, new_account: AccountFactory) -> None:
    account = await new_account()
    face = await add_face(account, unit(1))
    sources = {
        "face": ({"type": "face", "id": face}, {"origin": "faces"}),
        "attribute": ({"type": "attribute", "id": str(uuid4())}, {"origin": "attributes"}),
    }
    for granted in sources:
        body = {"permissions": {granted: ["matching"]}, "expiration_time": None}
        token = (await account.client.post("/6/tokens", json=body)).json()["token"]
        for wanted, (reference, filters) in sources.items():
            for body in (
                {"references": [reference], "candidates": []},
                {"references": [given(unit(1))], "candidates": [{"filters": filters}]},
            ):
                reply = await client.post("/6/matcher/faces", json=body, headers={"Authorization": f"Bearer {token}"})
                assert reply.status_code == (200 if wanted == granted else 403), (granted, wanted)
                if wanted != granted:
                    assert reply.json()["error_code"] == 11059


GOOD = {"references": [{"type": "face", "id": str(uuid4())}], "candidates": [{"filters": {"origin": "faces"}}]}


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"references": []}, "references"),
        ({"references": [GOOD["references"][0]] * 31}, "references"),
        ({"candidates": [GOOD["candidates"][0]] * 31}, "candidates"),
        ({"references": [{"type": "soul", "id": "x"}]}, "references.0.type"),
        ({"references": [{"type": "face", "id": "x"}]}, "references.0.id"),
        ({"references": [{"type": "sdk_descriptor", "id": "x", "data": "!"}]}, "references.0.data"),
        ({"references": [{"type": "sdk_descriptor", "id": "x", "data": ""}]}, "references.0.data"),
        ({"references": [{"type": "sdk_descriptor", "id": "x", "data": text(b"dp\0\0")}]}, "references.0.data"),
        ({"references": [{"type": "raw_descriptor", "id": "x", "data": text(bytes(range(128)))}]}, "references.0.data"),
        ({"references": [{"type": "sdk_descriptor", "id": "x" * 37, "data": ""}]}, "references.0.id"),
        ({"candidates": [{"filters": {"origin": "stars"}}]}, "candidates.0.filters.origin"),
        ({"candidates": [{"filters": {}}]}, "candidates.0.filters.origin"),
        ({"candidates": [{"filters": {"origin": "faces", "wings": 1}}]}, "candidates.0.filters.wings"),
        ({"candidates": [{"filters": {"origin": "faces", "user_data": "\u0000"}}]}, "candidates.0.filters.user_data"),
        ({"candidates": [{"filters": {"origin": "faces", "create_time__lt": "now-1d"}}]}, "candidates.0.filters"),
        ({"candidates": [{"filters": {"origin": "faces", "face_ids": [str(uuid4())] * 1001}}]}, "candidates.0.filters"),
        ({"candidates": [{"filters": {"origin": "faces"}, "limit": 0}]}, "candidates.0.limit"),
        ({"candidates": [{"filters": {"origin": "faces"}, "limit": 1001}]}, "candidates.0.limit"),
        ({"candidates": [{"filters": {"origin": "faces"}, "threshold": 1.1}]}, "candidates.0.threshold"),
        ({"candidates": [{"filters": {"origin": "faces"}, "targets": ["soul"]}]}, "candidates.0"),
    ],
)
async def test_bad_bodies(account: Account, changed: dict[str, Any], path: str) -> None:
    status, error, detail = await refused(account, {**GOOD, **changed})
    assert (status, error) == (400, 12022)
    assert f"Path: '{path}" in detail


async def test_zero_descriptors_are_refused(account: Account) -> None:
    zero = b"dp\0\0" + struct.pack("<I", VERSION) + b"\x80" * DIMENSION
    body = {**GOOD, "references": [{"type": "sdk_descriptor", "id": "x", "data": text(zero)}]}
    assert (await refused(account, body))[:2] == (400, 12022)


async def test_no_candidates(account: Account) -> None:
    (result,) = await match(account, [given(unit(1))], [])
    assert result["matches"] == []


async def test_expanded_references_are_bounded(new_account: AccountFactory, platform: Platform) -> None:
    account = await new_account()
    limit = platform.matcher.limits.expanded_references
    await add_face(account, unit(1), external_id="crowd")
    stream = code(unit(1)) * (limit + 1)
    body = {**GOOD, "references": [{"type": "xpk_file", "id": "x", "data": text(stream)}]}
    assert (await refused(account, body))[:2] == (400, 31007)


async def test_too_many_matches_are_refused_before_the_search(account: Account) -> None:
    candidates = [{"filters": {"origin": "faces"}, "limit": 1000}] * 30
    for number, expected in ((33, 200), (34, 400)):
        references = [{"type": "xpk_file", "id": "x", "data": text(code(unit(1)) * number)}]
        body = {"references": references, "candidates": candidates}
        reply = await account.client.post("/6/matcher/faces", json=body)
        assert reply.status_code == expected
    assert (reply.json()["error_code"], reply.json()["detail"]) == (
        31007,
        "The number of references exceeds the limit 33",
    )


async def test_raw(account: Account) -> None:
    vector = unit(1)
    body = {
        "references": [given(vector, "r1"), given(unit(2), "r2")],
        "candidates": [given(unit(3), "c1"), given(vector, "c2"), given(near(vector, 0.5, 9), "c3")],
    }
    reply = await account.client.post("/6/matcher/raw", json=body)
    assert reply.status_code == 200
    first, second = reply.json()["matches"]
    assert (first["reference_id"], second["reference_id"]) == ("r1", "r2")
    assert [one["candidate_id"] for one in first["matches"]] == ["c1", "c2", "c3"]
    similarities = [one["similarity"] for one in first["matches"]]
    assert similarities[1] == pytest.approx(1.0, abs=1e-6)
    assert similarities[1] > similarities[2] > similarities[0]


async def test_raw_errors(account: Account) -> None:
    foreign = {"type": "sdk_descriptor", "id": "f", "data": text(code(unit(1, 512), 59))}
    for body, path in (
        ({"references": [given(unit(1))], "candidates": [foreign]}, "candidates"),
        ({"references": [], "candidates": [foreign]}, "references"),
        ({"references": [foreign], "candidates": []}, "candidates"),
        ({"references": [foreign]}, "candidates"),
        ({"references": [{"type": "face", "id": str(uuid4())}], "candidates": [foreign]}, "references.0.type"),
        ({"references": [foreign], "candidates": [{**foreign, "data": "AAAA"}]}, "candidates.0.data"),
    ):
        status, error, detail = await refused(account, body, "/6/matcher/raw")
        assert (status, error) == (400, 12022)
        assert f"Path: '{path}'" in detail


async def test_basic_credentials_are_enough_for_raw(client: httpx.AsyncClient, account: Account) -> None:
    body = {"references": [given(unit(1))], "candidates": [given(unit(1))]}
    assert (await client.post("/6/matcher/raw", json=body)).status_code == 401
    assert (await client.post("/6/matcher/raw", json=body, auth=(account.login, PASSWORD))).status_code == 200
