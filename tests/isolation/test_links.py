"""Requests that mix an account's own things with another's: no link, no match, no half-done change."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.api.conftest import Account
from tests.isolation.conftest import Snapshot
from tests.isolation.things import Call, Things, descriptor, make_things

Mixed = Callable[[Things, Things], Call]
"""From the attacker's own things and the victim's to a request."""


def post_face(**body: Any) -> Call:
    return Call("POST", "/6/faces", json=body)


REFUSED: dict[str, tuple[int, int, Mixed]] = {
    "face of a foreign attribute": (
        404,
        22011,
        lambda own, other: post_face(attribute={"attribute_id": other.attribute}),
    ),
    "face into a foreign list": (404, 22005, lambda own, other: post_face(lists=[own.list, other.list])),
    "foreign attribute for an own face": (
        404,
        22010,
        lambda own, other: Call("PUT", f"/6/faces/{own.face}/attributes", json={"attribute_id": other.attribute}),
    ),
    "own attribute for a foreign face": (
        404,
        22002,
        lambda own, other: Call("PUT", f"/6/faces/{other.face}/attributes", json={"attribute_id": own.attribute}),
    ),
    "foreign face into an own list": (
        404,
        22004,
        lambda own, other: Call(
            "PATCH", f"/6/lists/{own.list}/faces", json={"action": "attach", "face_ids": [own.face, other.face]}
        ),
    ),
    "own face into a foreign list": (
        404,
        22003,
        lambda own, other: Call(
            "PATCH", f"/6/lists/{other.list}/faces", json={"action": "attach", "face_ids": [own.face]}
        ),
    ),
    "foreign face out of an own list": (
        404,
        22004,
        lambda own, other: Call(
            "PATCH", f"/6/lists/{own.list}/faces", json={"action": "detach", "face_ids": [own.face, other.face]}
        ),
    ),
    "foreign face out of its list": (
        404,
        22003,
        lambda own, other: Call(
            "PATCH", f"/6/lists/{other.list}/faces", json={"action": "detach", "face_ids": [other.face]}
        ),
    ),
    "own and foreign faces deleted": (
        404,
        22004,
        lambda own, other: Call("DELETE", "/6/faces", json={"face_ids": [own.face, other.face]}),
    ),
    "own and foreign lists deleted": (
        404,
        22005,
        lambda own, other: Call("DELETE", "/6/lists", json={"list_ids": [own.list, other.list]}),
    ),
    "own and foreign lists deleted with their faces": (
        404,
        22005,
        lambda own, other: Call("DELETE", "/6/lists?with_faces=1", json={"list_ids": [own.list, other.list]}),
    ),
    "attribute of a foreign sample": (
        404,
        13003,
        lambda own, other: Call("POST", "/6/extractor", json=[own.face_sample, other.face_sample]),
    ),
    "account with a foreign id": (
        409,
        41002,
        lambda own, other: Call(
            "POST",
            "/6/accounts",
            json={"login": f"u{uuid4().hex}@example.org", "password": "secret", "account_type": "user"},
            headers={"Luna-Account-Id": other.account_id},
        ),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("attacker_type", ["user", "advanced_user"])
async def test_mixed_request_is_refused_whole(
    name: str, attacker_type: str, owner: Account, rival: Account, advanced_rival: Account, snapshot: Snapshot
) -> None:
    attacker = rival if attacker_type == "user" else advanced_rival
    own = await make_things(attacker.client, str(attacker.id))
    other = await make_things(owner.client, str(owner.id))
    status, code, mixed = REFUSED[name]
    before = await snapshot(owner), await snapshot(attacker)
    reply = await mixed(own, other).send(attacker.client)
    assert (reply.status_code, reply.json()["error_code"]) == (status, code), reply.text
    assert (await snapshot(owner), await snapshot(attacker)) == before


async def test_deletion_that_ignores_missing_faces_spares_foreign_ones(
    owner: Account, advanced_rival: Account, snapshot: Snapshot
) -> None:
    own = await make_things(advanced_rival.client, str(advanced_rival.id))
    other = await make_things(owner.client, str(owner.id))
    before = await snapshot(owner)
    call = Call("DELETE", "/6/faces?ignore=1", json={"face_ids": [own.face, other.face]})
    assert (await call.send(advanced_rival.client)).status_code == 204
    assert (await advanced_rival.client.get(f"/6/faces/{own.face}")).status_code == 404
    assert await snapshot(owner) == before


async def test_foreign_login_cannot_be_taken(owner: Account, rival: Account, snapshot: Snapshot) -> None:
    before = await snapshot(owner)
    reply = await rival.client.patch("/6/account", json={"login": owner.login, "description": "mine"})
    assert (reply.status_code, reply.json()["error_code"]) == (409, 41001)
    assert await snapshot(owner) == before


SEARCHES: dict[str, Callable[[Things], str]] = {
    "faces by id": lambda other: f"/6/faces?face_ids={other.face}",
    "faces by list": lambda other: f"/6/faces?list_id={other.list}",
    "faces by external id": lambda other: f"/6/faces?external_ids={other.external_id}",
    "faces by user data": lambda other: f"/6/faces?user_data={other.marker}",
    "faces from an id on": lambda other: f"/6/faces?face_id__gte={other.face}&page_size=1000",
    "faces of an account": lambda other: f"/6/faces?account_id={other.account_id}&page_size=1000",
    "lists by id": lambda other: f"/6/lists?list_ids={other.list}",
    "lists by user data": lambda other: f"/6/lists?user_data__eq={other.marker}",
    "lists of an account": lambda other: f"/6/lists?account_id={other.account_id}&page_size=1000",
    "attributes by id": lambda other: f"/6/attributes?attribute_ids={other.attribute}",
    "tokens of an account": lambda other: f"/6/tokens?account_id={other.account_id}&page_size=1000",
}


@pytest.mark.parametrize("name", SEARCHES)
async def test_filters_find_nothing_foreign(name: str, owner: Account, rival: Account, shared_things: Things) -> None:
    call = Call("GET", SEARCHES[name](shared_things))
    own, foreign = await call.send(owner.client), await call.send(rival.client)
    assert own.status_code == foreign.status_code == 200
    traces = {shared_things.face, shared_things.list, shared_things.attribute, shared_things.marker, shared_things.jwt}
    assert any(trace in own.text for trace in traces)
    assert not any(trace in foreign.text for trace in traces), foreign.text


FILTERS: dict[str, Callable[[Things], dict[str, Any]]] = {
    "all faces": lambda other: {"origin": "faces"},
    "faces by id": lambda other: {"origin": "faces", "face_ids": [other.face]},
    "faces by list": lambda other: {"origin": "faces", "list_id": other.list},
    "faces by external id": lambda other: {"origin": "faces", "external_ids": [other.external_id]},
    "faces of an account": lambda other: {"origin": "faces", "account_id": other.account_id},
    "attributes by id": lambda other: {"origin": "attributes", "attribute_ids": [other.attribute]},
    "attributes of an account": lambda other: {"origin": "attributes", "account_id": other.account_id},
}


@pytest.mark.parametrize("name", FILTERS)
async def test_matching_finds_nothing_foreign(name: str, owner: Account, rival: Account, shared_things: Things) -> None:
    reference = {"type": "sdk_descriptor", "id": "query", "data": descriptor(shared_things.seed)}
    candidates = {"filters": FILTERS[name](shared_things), "limit": 1000}
    call = Call("POST", "/6/matcher/faces", json={"references": [reference], "candidates": [candidates]})
    wanted = {shared_things.face, shared_things.attribute}

    async def found(account: Account) -> set[str]:
        reply = await call.send(account.client)
        assert reply.status_code == 200, reply.text
        (result,) = reply.json()[0]["matches"]
        shown = [match.get("face") or match.get("attribute") for match in result["result"]]
        return {one.get("face_id") or one.get("attribute_id") for one in shown} & wanted

    assert await found(owner)
    assert not await found(rival)


@pytest.mark.parametrize("address", ["/6/sdk", "/6/detector", "/6/iso", "/6/liveness"])
@pytest.mark.parametrize("folder", ["images/{image}", "samples/faces/{face_sample}", "objects/{object}"])
async def test_foreign_images_are_not_read_by_their_address(
    address: str, folder: str, owner: Account, rival: Account, shared_things: Things
) -> None:
    for prefix in ("", "http://lunaria"):
        call = Call("POST", address, json=[f"{prefix}/6/{folder.format(**vars(shared_things))}"])
        own, foreign = await call.send(owner.client), await call.send(rival.client)
        assert own.status_code == foreign.status_code == 200, foreign.text
        assert not _missing(own.json())
        assert _missing(foreign.json())


def _missing(body: dict[str, Any]) -> bool:
    (image,) = body.get("images_estimations") or body["images"]
    return image["error"]["error_code"] in (13003, 13007)
