"""Attributes of faces through HTTP."""

from typing import Any
from uuid import uuid4

import pytest

from lunaria.app import Platform
from tests.api.conftest import Account
from tests.api.test_attributes import BASIC, OTHER_SAMPLE, SAMPLE, body_of, refused, saved, text, with_header
from tests.api.test_faces import enrol


async def attributes(account: Account, face_id: str, **params: Any) -> dict[str, Any]:
    reply = await account.client.get(f"/6/faces/{face_id}/attributes", params=params)
    assert reply.status_code == 200, reply.text
    assert reply.json().keys() == {"attributes"}
    found: dict[str, Any] = reply.json()["attributes"]
    return found


async def test_life_of_attributes(account: Account) -> None:
    face_id = await enrol(account)
    url = f"/6/faces/{face_id}/attributes"
    refused(await account.client.get(url), 404, 11032)
    assert (await account.client.get(url + "/samples")).json() == {"samples": []}
    assert (await account.client.delete(url)).status_code == 204
    given = {
        "face_descriptors": [text(with_header(56))],
        "face_descriptor_samples": [SAMPLE],
        "basic_attributes": BASIC,
        "basic_attributes_samples": [OTHER_SAMPLE, SAMPLE],
    }
    assert (await account.client.put(url, json=given)).status_code == 204
    shown = await attributes(account, face_id)
    assert shown == {
        "create_time": shown["create_time"],
        "face_descriptor": text(with_header(56)),
        "face_descriptor_samples": [SAMPLE],
        "basic_attributes": BASIC,
        "basic_attributes_samples": [OTHER_SAMPLE, SAMPLE],
    }
    assert (await account.client.get(url + "/samples")).json() == {"samples": [SAMPLE, OTHER_SAMPLE]}
    # a put replaces everything
    assert (await account.client.put(url, json={"basic_attributes": {"age": 1}})).status_code == 204
    shown = await attributes(account, face_id)
    assert shown == {
        "create_time": shown["create_time"],
        "face_descriptor": None,
        "face_descriptor_samples": [],
        "basic_attributes": {"age": 1},
        "basic_attributes_samples": [],
    }
    assert (await account.client.put(url, json={"face_descriptors": [text(with_header(57))]})).status_code == 204
    shown = await attributes(account, face_id)
    assert (shown["face_descriptor"], shown["basic_attributes"]) == (text(with_header(57)), None)
    assert (await account.client.delete(url)).status_code == 204
    refused(await account.client.get(url), 404, 11032)
    assert (await account.client.get(f"/6/faces/{face_id}")).status_code == 200


async def test_choice_of_the_version(account: Account, platform: Platform) -> None:
    own, size = platform.analyzer.descriptor_version, platform.analyzer.descriptor_dimension
    default = text(b"dp\0\0" + own.to_bytes(4, "little") + bytes([200] * size))
    face_id = await enrol(account, attribute={"face_descriptors": [text(with_header(56)), default]})
    only_foreign = await enrol(
        account, attribute={"face_descriptors": [{"descriptor": text(body_of(56)), "version": 56}]}
    )
    assert (await attributes(account, face_id))["face_descriptor"] == default
    assert (await attributes(account, face_id, descriptor_version=56))["face_descriptor"] == text(with_header(56))
    assert (await attributes(account, only_foreign))["face_descriptor"] == text(with_header(56))
    url = f"/6/faces/{only_foreign}/attributes"
    assert only_foreign in refused(await account.client.get(url, params={"descriptor_version": own}), 404, 22018)
    refused(await account.client.get(url, params={"descriptor_version": 47}), 400, 12036)
    refused(await account.client.get(url, params={"descriptor_version": "x"}), 400, 12012)


async def test_targets(account: Account) -> None:
    face_id = await enrol(account, attribute={"basic_attributes": BASIC})
    everything = await attributes(account, face_id)
    for name in everything:
        assert await attributes(account, face_id, targets=name) == {name: everything[name]}
    shown = await attributes(
        account, face_id, targets="basic_attributes, face_descriptor_samples", descriptor_version=57
    )
    assert shown == {"basic_attributes": BASIC, "face_descriptor_samples": []}
    url = f"/6/faces/{face_id}/attributes"
    for wrong in ("attribute_id", "account_id", "face_id"):
        refused(await account.client.get(url, params={"targets": wrong}), 400, 22016)


async def test_temporary_attribute_serves_one_face_only(account: Account, stranger: Account) -> None:
    attribute_id = await saved(account, {"basic_attributes": BASIC})
    first, second = await enrol(account), await enrol(account, attribute={"basic_attributes": {"age": 7}})
    given = {"attribute_id": attribute_id}
    assert (await account.client.put(f"/6/faces/{first}/attributes", json=given)).status_code == 204
    assert (await account.client.put(f"/6/faces/{first}/attributes", json=given)).status_code == 204
    refused(await account.client.put(f"/6/faces/{second}/attributes", json=given), 409, 22001)
    assert (await attributes(account, second))["basic_attributes"] == {"age": 7}
    for missing in (str(uuid4()), await saved(stranger, {"basic_attributes": BASIC})):
        reply = await account.client.put(f"/6/faces/{second}/attributes", json={"attribute_id": missing})
        assert missing in refused(reply, 404, 22010)
    assert (await attributes(account, second))["basic_attributes"] == {"age": 7}
    assert (await account.client.delete(f"/6/faces/{first}/attributes")).status_code == 204
    assert (await account.client.put(f"/6/faces/{second}/attributes", json=given)).status_code == 204
    assert (await attributes(account, second))["basic_attributes"] == BASIC


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, 22022),
        ({"attribute_id": None}, 12022),
        ({"attribute_id": "x"}, 12022),
        ({"attribute_id": SAMPLE, "basic_attributes": BASIC}, 12022),
        ({"face_descriptors": [text(body_of(56))]}, 100007),
        ({"face_descriptors": [{"descriptor": "AAAA", "version": 1}]}, 12036),
        ({"face_descriptors": [text(with_header(56))] * 2}, 22024),
        ({"more": 1}, 12022),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else str(value),
)
async def test_bad_bodies(account: Account, body: Any, code: int) -> None:
    face_id = await enrol(account, attribute={"basic_attributes": BASIC})
    refused(await account.client.put(f"/6/faces/{face_id}/attributes", json=body), 400, code)
    assert (await attributes(account, face_id))["basic_attributes"] == BASIC


async def test_unknown_face(account: Account) -> None:
    url = f"/6/faces/{uuid4()}/attributes"
    for reply in (
        await account.client.get(url),
        await account.client.get(url + "/samples"),
        await account.client.put(url, json={"basic_attributes": BASIC}),
        await account.client.put(url, json={"attribute_id": SAMPLE}),
        await account.client.delete(url),
    ):
        refused(reply, 404, 22002)
