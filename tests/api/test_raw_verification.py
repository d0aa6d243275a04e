"""Verification of given descriptors through HTTP, in JSON and MessagePack."""

from typing import Any
from uuid import uuid4

import msgspec
import pytest

from lunaria.app import Platform
from tests.api.conftest import Account
from tests.api.test_matching import VERSION, code, given, near, text, unit
from tests.api.test_verifiers import create

VECTOR = unit(1)


async def verify(account: Account, verifier_id: str, references: list[Any], candidates: list[Any]) -> Any:
    body = {"references": references, "candidates": candidates}
    reply = await account.client.post(f"/6/verifiers/{verifier_id}/raw", json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def test_every_pair_in_the_order_given(account: Account) -> None:
    verifier_id = await create(account, policies={"verification_threshold": 0.9})
    far, close = near(VECTOR, 0.1, 2), near(VECTOR, 0.95, 3)
    references = [given(VECTOR, "r1"), given(far, "r2")]
    candidates = [given(far, "c1"), given(VECTOR, "c2"), given(close, "c3")]
    found = await verify(account, verifier_id, references, candidates)
    assert found.keys() == {"matches"}
    assert [one["reference_id"] for one in found["matches"]] == ["r1", "r2"]
    for one in found["matches"]:
        assert [match["candidate_id"] for match in one["matches"]] == ["c1", "c2", "c3"]
        assert all(match.keys() == {"candidate_id", "similarity", "status"} for match in one["matches"])
        assert all(match["status"] is (match["similarity"] > 0.9) for match in one["matches"])
    first, second = ([match["status"] for match in one["matches"]] for one in found["matches"])
    assert (first, second) == ([False, True, True], [True, False, False])
    raw = await account.client.post("/6/matcher/raw", json={"references": references, "candidates": candidates})
    for ours, theirs in zip(found["matches"], raw.json()["matches"], strict=True):
        assert [one["similarity"] for one in ours["matches"]] == [one["similarity"] for one in theirs["matches"]]


@pytest.mark.parametrize(("threshold", "status"), [(1, False), (0.999, True), (0, True)])
async def test_similarity_must_be_greater_than_the_threshold(account: Account, threshold: float, status: bool) -> None:
    verifier_id = await create(account, policies={"verification_threshold": threshold})
    found = await verify(account, verifier_id, [given(VECTOR)], [given(VECTOR)])
    (match,) = found["matches"][0]["matches"]
    assert match["similarity"] == pytest.approx(1.0, abs=1e-6)
    assert match["status"] is status


async def test_kinds_of_descriptors(account: Account) -> None:
    verifier_id = await create(account)
    references = [
        {"type": "raw_descriptor", "id": "raw", "data": text(code(VECTOR)[8:]), "version": VERSION},
        {"type": "sdk_descriptor", "id": "sdk", "data": text(code(VECTOR))},
        {"type": "xpk_file", "id": "xpk", "data": text(code(VECTOR) + code(unit(2)))},
    ]
    found = await verify(account, verifier_id, references, [given(VECTOR)])
    assert [one["reference_id"] for one in found["matches"]] == ["raw", "sdk", "xpk", "xpk"]
    assert [one["matches"][0]["status"] for one in found["matches"]] == [True, True, True, False]


async def test_messagepack_both_ways(account: Account) -> None:
    verifier_id = await create(account)
    path = f"/6/verifiers/{verifier_id}/raw"
    descriptor = {"type": "sdk_descriptor", "id": "a", "data": code(VECTOR)}
    body = msgspec.msgpack.encode({"references": [descriptor], "candidates": [descriptor]})
    binary = {"Content-Type": "application/msgpack"}
    plain = await account.client.post(path, content=body, headers=binary)
    assert plain.json()["matches"][0]["matches"][0]["status"] is True
    packed = await account.client.post(path, content=body, headers={**binary, "Accept": "application/msgpack"})
    assert packed.headers["Content-Type"] == "application/msgpack"
    assert msgspec.msgpack.decode(packed.content) == plain.json()


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"references": [], "candidates": [given(VECTOR)]}, "references"),
        ({"references": [given(VECTOR)], "candidates": []}, "candidates"),
        ({"references": [given(VECTOR)]}, "candidates"),
        ({"references": [given(VECTOR)], "candidates": [given(VECTOR)], "x": 1}, "x"),
        ({"references": [given(VECTOR)], "candidates": [{"type": "face", "id": str(uuid4())}]}, "candidates.0"),
        ({"references": [{**given(VECTOR), "data": text(b"x")}], "candidates": [given(VECTOR)]}, "references.0.data"),
        (
            {
                "references": [given(VECTOR)],
                "candidates": [
                    {"type": "raw_descriptor", "id": "a", "data": text(bytes(range(256)) * 2), "version": 59}
                ],
            },
            "candidates",
        ),
    ],
)
async def test_what_does_not_fit_is_named(account: Account, body: Any, place: str) -> None:
    verifier_id = await create(account)
    reply = await account.client.post(f"/6/verifiers/{verifier_id}/raw", json=body)
    assert (reply.status_code, reply.json()["error_code"]) == (400, 12022)
    assert f"Path: '{place}" in reply.json()["detail"]


async def test_verifier_must_be_there(account: Account, stranger: Account, platform: Platform) -> None:
    body = {"references": [given(VECTOR)], "candidates": [given(VECTOR)]}
    verifier_id = await create(stranger)
    for missing in (verifier_id, str(uuid4())):
        reply = await account.client.post(f"/6/verifiers/{missing}/raw", json=body)
        assert (reply.status_code, reply.json()["error_code"]) == (404, 34004)
        assert missing in reply.json()["detail"]
