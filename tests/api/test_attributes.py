"""Temporary attributes through HTTP."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import numpy as np
import pytest
from sqlalchemy import update

from lunaria.app import Platform
from lunaria.attributes.descriptors import coded
from lunaria.attributes.schemas import BasicAttributes
from lunaria.attributes.service import NewAttribute
from lunaria.storage.schema import attributes
from lunaria.vision.descriptors import Descriptor
from tests.api.conftest import Account, AccountFactory

BASIC = {"age": 29, "gender": 1, "ethnicity": 3}
SAMPLE, OTHER_SAMPLE = str(uuid4()), str(uuid4())


def body_of(version: int, seed: int = 0) -> bytes:
    """A descriptor without header."""
    return np.random.default_rng(seed).integers(0, 256, 256 if version < 54 else 512, np.uint8).tobytes()


def with_header(version: int, seed: int = 0) -> bytes:
    return b"dp\0\0" + version.to_bytes(4, "little") + body_of(version, seed)


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def post(account: Account, body: Any, **params: Any) -> httpx.Response:
    return await account.client.post("/6/attributes", json=body, params=params)


async def saved(account: Account, body: Any, **params: Any) -> str:
    reply = await post(account, body, **params)
    assert reply.status_code == 201, reply.text
    attribute_id: str = reply.json()["attribute_id"]
    return attribute_id


def refused(reply: httpx.Response, status: int, code: int) -> str:
    assert (reply.status_code, reply.json()["error_code"]) == (status, code), reply.text
    detail: str = reply.json()["detail"]
    return detail


async def expire(platform: Platform, attribute_id: str) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    async with platform.database.transaction() as connection:
        statement = update(attributes).where(attributes.c.attribute_id == UUID(attribute_id))
        await connection.execute(statement.values(expires_at=past))


async def test_life_of_an_attribute(account: Account) -> None:
    sent = {
        "face_descriptors": [{"descriptor": text(body_of(56)), "version": 56}],
        "face_descriptor_samples": [SAMPLE],
        "basic_attributes": BASIC,
        "basic_attributes_samples": [SAMPLE, OTHER_SAMPLE],
    }
    made = await post(account, sent)
    assert made.status_code == 201, made.text
    url = f"/6/attributes/{made.json()['attribute_id']}"
    assert made.json() == {"attribute_id": made.json()["attribute_id"], "url": url}
    assert made.headers["location"] == url
    shown = (await account.client.get(url)).json()
    assert shown == {
        "create_time": shown["create_time"],
        "attribute_id": made.json()["attribute_id"],
        "account_id": str(account.id),
        "face_descriptor_samples": [SAMPLE],
        "basic_attributes_samples": [SAMPLE, OTHER_SAMPLE],
        "face_descriptor": text(with_header(56)),
        "basic_attributes": BASIC,
    }
    age = datetime.now(UTC) - datetime.fromisoformat(shown["create_time"])
    assert timedelta(0) <= age < timedelta(minutes=1)
    assert (await account.client.get(url + "/samples")).json() == {"samples": [SAMPLE, OTHER_SAMPLE]}
    checked = await account.client.head(url)
    assert (checked.status_code, checked.content) == (200, b"")
    assert (await account.client.delete(url)).status_code == 204
    for path in (url, url + "/samples"):
        refused(await account.client.get(path), 404, 22011)
    refused(await account.client.delete(url), 404, 22011)
    assert (await account.client.head(url)).status_code == 404


@pytest.mark.parametrize(
    "given",
    [
        text(with_header(59)),
        {"descriptor": text(body_of(59)), "version": 59},
        {"descriptor": text(with_header(59)), "version": 59},
    ],
    ids=["header", "body and version", "header and version"],
)
async def test_forms_of_a_descriptor(account: Account, given: Any) -> None:
    attribute_id = await saved(account, {"face_descriptors": [given]})
    shown = (await account.client.get(f"/6/attributes/{attribute_id}")).json()
    assert shown["face_descriptor"] == text(with_header(59))
    assert shown["basic_attributes"] is None
    again = await saved(account, {"face_descriptors": [shown["face_descriptor"]]})
    assert (await account.client.get(f"/6/attributes/{again}")).json()["face_descriptor"] == text(with_header(59))


@pytest.mark.parametrize("version", [46, 52, 54, 56, 57, 58, 59, 60])
async def test_every_known_version(account: Account, version: int) -> None:
    attribute_id = await saved(account, {"face_descriptors": [text(with_header(version))]})
    reply = await account.client.get(f"/6/attributes/{attribute_id}", params={"descriptor_version": version})
    assert reply.json()["face_descriptor"] == text(with_header(version))


async def test_descriptor_of_the_own_version_is_kept_byte_for_byte(account: Account, platform: Platform) -> None:
    version, size = platform.analyzer.descriptor_version, platform.analyzer.descriptor_dimension
    sent = b"dp\0\0" + version.to_bytes(4, "little") + bytes(range(1, size + 1))
    attribute_id = await saved(account, {"face_descriptors": [text(sent)]})
    assert (await account.client.get(f"/6/attributes/{attribute_id}")).json()["face_descriptor"] == text(sent)


async def test_own_descriptor_is_shown_in_the_coding_of_the_api(account: Account, platform: Platform) -> None:
    version, size = platform.analyzer.descriptor_version, platform.analyzer.descriptor_dimension
    vector = np.random.default_rng(7).standard_normal(size).astype(np.float32)
    vector /= np.linalg.norm(vector)
    made = NewAttribute([coded(Descriptor(vector, version, 0.7))], [UUID(SAMPLE)], BasicAttributes(age=5), [])
    first, second = await platform.attributes.create(
        account.id, [made, NewAttribute(basic=BasicAttributes(gender=0))], 60
    )
    shown = (await account.client.get(f"/6/attributes/{first}")).json()
    decoded, found = platform.coding.decode(base64.b64decode(shown["face_descriptor"]))
    assert found == version
    assert float(decoded @ vector) > 0.99
    assert shown["face_descriptor_samples"] == [SAMPLE]
    assert shown["basic_attributes"] == {"age": 5}
    shown = (await account.client.get(f"/6/attributes/{second}")).json()
    assert (shown["face_descriptor"], shown["basic_attributes"]) == (None, {"gender": 0})
    assert await platform.attributes.create(account.id, [], 60) == []


async def test_choice_of_the_version(account: Account, platform: Platform) -> None:
    own, size = platform.analyzer.descriptor_version, platform.analyzer.descriptor_dimension
    default = text(b"dp\0\0" + own.to_bytes(4, "little") + bytes([200] * size))
    foreign = [text(with_header(version)) for version in (56, 60, 57)]
    both = f"/6/attributes/{await saved(account, {'face_descriptors': [foreign[0], default, foreign[1]]})}"
    only_foreign = f"/6/attributes/{await saved(account, {'face_descriptors': foreign})}"

    async def shown(url: str, **params: Any) -> Any:
        return (await account.client.get(url, params=params)).json()["face_descriptor"]

    assert await shown(both) == default
    assert await shown(only_foreign) == foreign[1]
    assert await shown(both, descriptor_version=56) == foreign[0]
    assert await shown(both, descriptor_version=own) == default
    missing = await account.client.get(only_foreign, params={"descriptor_version": own})
    assert str(own) in refused(missing, 404, 22018)
    assert (await account.client.head(only_foreign, params={"descriptor_version": own})).status_code == 404
    without = await account.client.get(only_foreign, params={"descriptor_version": own, "targets": "create_time"})
    assert without.json().keys() == {"create_time"}
    refused(await account.client.get(both, params={"descriptor_version": 55}), 400, 12036)
    for wrong in ("0", "x", "", "2147483648"):
        refused(await account.client.get(both, params={"descriptor_version": wrong}), 400, 12012)


async def test_many_attributes(account: Account, stranger: Account) -> None:
    first = await saved(account, {"basic_attributes": {"age": 1}})
    second = await saved(account, {"face_descriptors": [text(with_header(56))]})
    foreign = await saved(stranger, {"basic_attributes": {"age": 3}})
    asked = [second, str(uuid4()), foreign, first, second]
    targets = {"targets": "attribute_id"}
    for ids in (asked, ",".join(asked)):
        reply = await account.client.get("/6/attributes", params={"attribute_ids": ids, **targets})
        assert reply.json() == {"attributes": [{"attribute_id": second}, {"attribute_id": first}]}
    params = {"attribute_ids": f"{first},{second}", "targets": "face_descriptor", "descriptor_version": 57}
    assert (await account.client.get("/6/attributes", params=params)).json() == {
        "attributes": [{"face_descriptor": None}] * 2
    }
    params = {"attribute_ids": first, "account_id": str(stranger.id)}
    assert (await account.client.get("/6/attributes", params=params)).json() == {"attributes": []}
    for bad in ({}, {"attribute_ids": ""}, {"attribute_ids": "x"}, {"attribute_ids": f"{first},"}):
        refused(await account.client.get("/6/attributes", params=bad), 400, 12012)
    many = {"attribute_ids": ",".join([first] * 1001)}
    refused(await account.client.get("/6/attributes", params=many), 400, 12012)
    refused(
        await account.client.get("/6/attributes", params={"attribute_ids": first, "targets": "face_id"}), 400, 22016
    )
    params = {"attribute_ids": first, "descriptor_version": "11"}
    refused(await account.client.get("/6/attributes", params=params), 400, 12036)


async def test_targets(account: Account) -> None:
    url = f"/6/attributes/{await saved(account, {'basic_attributes': BASIC})}"
    everything = (await account.client.get(url)).json()
    for name in everything:
        assert (await account.client.get(url, params={"targets": name})).json() == {name: everything[name]}
    # the default as the specification prints it has blanks, and one name twice
    targets = "create_time, attribute_id, account_id, basic_attributes_samples, basic_attributes_samples"
    shown = (await account.client.get(url, params={"targets": targets})).json()
    assert shown.keys() == {"create_time", "attribute_id", "account_id", "basic_attributes_samples"}
    for wrong in ("nothing", "create_time,", "Create_time"):
        assert "valid" in refused(await account.client.get(url, params={"targets": wrong}), 400, 22016)
    assert (await account.client.head(url, params={"targets": "nothing"})).status_code == 400


async def test_expired_is_gone_at_once_and_removed_later(account: Account, platform: Platform) -> None:
    attribute_id = await saved(account, {"face_descriptors": [text(with_header(56))]}, ttl=86400)
    living = await saved(account, {"basic_attributes": BASIC}, ttl=1000)
    await expire(platform, attribute_id)
    url = f"/6/attributes/{attribute_id}"
    refused(await account.client.get(url), 404, 22011)
    refused(await account.client.get(url + "/samples"), 404, 22011)
    refused(await account.client.delete(url), 404, 22011)
    assert (await account.client.head(url)).status_code == 404
    listed = await account.client.get("/6/attributes", params={"attribute_ids": [attribute_id, living]})
    assert [found["attribute_id"] for found in listed.json()["attributes"]] == [living]
    refused(await account.client.post("/6/faces", json={"attribute": {"attribute_id": attribute_id}}), 404, 22011)
    assert await platform.attributes.remove_expired() >= 1
    assert await platform.attributes.remove_expired() == 0
    assert (await account.client.get(f"/6/attributes/{living}")).status_code == 200


async def test_time_to_live(account: Account, platform: Platform) -> None:
    for params, seconds in (({}, 300), ({"ttl": 1}, 1), ({"ttl": 86400}, 86400)):
        attribute_id = await saved(account, {"basic_attributes": BASIC}, **params)
        async with platform.database.connect() as connection:
            found = await connection.execute(attributes.select().where(attributes.c.attribute_id == UUID(attribute_id)))
            row = found.mappings().one()
        assert row["expires_at"] - row["create_time"] == timedelta(seconds=seconds)
    for ttl in (0, 86401, -1, "x", 1.5, 10**30):
        refused(await post(account, {"basic_attributes": BASIC}, ttl=ttl), 400, 12012)


BAD_BODIES: Mapping[str, tuple[Any, int]] = {
    "nothing": ({}, 22022),
    "samples only": ({"face_descriptor_samples": [SAMPLE]}, 22022),
    "no descriptors": ({"face_descriptors": []}, 12022),
    "no basic attributes": ({"basic_attributes": {}}, 12022),
    "null": ({"face_descriptors": None}, 12022),
    "no array": ({"face_descriptors": text(with_header(56))}, 12022),
    "number": ({"face_descriptors": [5]}, 12022),
    "no base64": ({"face_descriptors": ["%%%"]}, 12022),
    "no version": ({"face_descriptors": [{"descriptor": text(body_of(56))}]}, 12022),
    "unknown field": ({"basic_attributes": BASIC, "more": 1}, 12022),
    "unknown inner field": ({"basic_attributes": {**BASIC, "more": 1}}, 12022),
    "no header": ({"face_descriptors": [text(body_of(56))]}, 100007),
    "empty": ({"face_descriptors": [""]}, 100007),
    "half a header": ({"face_descriptors": [text(b"dp\0\0\x38")]}, 100007),
    "too short": ({"face_descriptors": [text(with_header(56)[:-1])]}, 100007),
    "too long": ({"face_descriptors": [text(with_header(56) + b"1")]}, 100007),
    "two in one": ({"face_descriptors": [text(with_header(56) * 2)]}, 100007),
    "without direction": ({"face_descriptors": [{"descriptor": text(b"\x80" * 512), "version": 56}]}, 100007),
    "body too short": ({"face_descriptors": [{"descriptor": text(b"1" * 511), "version": 56}]}, 100007),
    "other version in the header": (
        {"face_descriptors": [{"descriptor": text(with_header(57)), "version": 56}]},
        100007,
    ),
    "unknown version": ({"face_descriptors": [{"descriptor": text(body_of(56)), "version": 55}]}, 12036),
    "unknown version in the header": ({"face_descriptors": [text(b"dp\0\0\xff\xff\xff\xff" + body_of(56))]}, 12036),
    "version out of range": ({"face_descriptors": [{"descriptor": "AAAA", "version": 2**31}]}, 12022),
    "version far out of range": ({"face_descriptors": [{"descriptor": "AAAA", "version": 10**40}]}, 12022),
    "same version twice": ({"face_descriptors": [text(with_header(56)), text(with_header(56, 1))]}, 22024),
    "same sample twice": ({"basic_attributes": BASIC, "basic_attributes_samples": [SAMPLE, SAMPLE]}, 12022),
    "sample no UUID": ({"basic_attributes": BASIC, "face_descriptor_samples": ["x"]}, 12022),
    "age too high": ({"basic_attributes": {"age": 101}}, 12022),
    "age negative": ({"basic_attributes": {"age": -1}}, 12022),
    "age a fraction": ({"basic_attributes": {"age": 1.5}}, 12022),
    "gender": ({"basic_attributes": {"gender": 2}}, 12022),
    "ethnicity": ({"basic_attributes": {"ethnicity": 0}}, 12022),
    "too many samples": (
        {"basic_attributes": BASIC, "face_descriptor_samples": [str(uuid4()) for _ in range(1001)]},
        12022,
    ),
    "too many descriptors": ({"face_descriptors": [""] * 101}, 12022),
    "an array": ([], 12022),
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_bad_bodies(account: Account, name: str) -> None:
    body, code = BAD_BODIES[name]
    refused(await post(account, body), 400, code)


async def test_bodies_that_are_no_json(account: Account) -> None:
    async def send(data: bytes, kind: str = "application/json") -> httpx.Response:
        return await account.client.post("/6/attributes", content=data, headers={"Content-Type": kind})

    refused(await send(b""), 400, 12030)
    refused(await send(b"{"), 400, 12002)
    refused(await send(b'{"face_descriptor_samples": ["\\ud800"]}'), 400, 12002)
    refused(await send(b"\xff\xfe{}"), 400, 12002)
    refused(await send(b'{"basic_attributes":' * 5000), 400, 12022)
    refused(await send(b"[" * 100_000), 400, 12022)
    refused(await send(b"{}", "text/plain"), 400, 12017)


Part = tuple[str, tuple[str | None, bytes | str, str] | tuple[str | None, bytes | str]]


async def send_form(account: Account, parts: list[Part]) -> httpx.Response:
    return await account.client.post("/6/attributes", files=parts)  # type: ignore[arg-type]


async def test_form(account: Account) -> None:
    reply = await send_form(
        account,
        [
            ("face_descriptors", ("a.xpk", with_header(56), "application/x-sdk-descriptor")),
            ("face_descriptors", ("b", with_header(59), "application/octet-stream")),
            ("face_descriptor_samples", (None, json.dumps([SAMPLE]), "application/json")),
            ("basic_attributes", (None, json.dumps(BASIC))),
        ],
    )
    assert reply.status_code == 201, reply.text
    url = reply.json()["url"]
    shown = (await account.client.get(url)).json()
    assert shown["face_descriptor"] == text(with_header(59))
    assert (shown["face_descriptor_samples"], shown["basic_attributes"]) == ([SAMPLE], BASIC)
    older = await account.client.get(url, params={"descriptor_version": 56})
    assert older.json()["face_descriptor"] == text(with_header(56))


BAD_FORMS: Mapping[str, tuple[list[Part], int]] = {
    "samples only": ([("face_descriptor_samples", (None, "[]"))], 22022),
    "unknown part": ([("image", ("a.jpg", b"1", "image/jpeg"))], 12039),
    "part twice": ([("basic_attributes", (None, "{}")), ("basic_attributes", (None, "{}"))], 12040),
    "type of a descriptor": ([("face_descriptors", ("a", with_header(56), "image/jpeg"))], 12041),
    "type of a field": ([("basic_attributes", ("a", b"{}", "text/xml"))], 12041),
    "no json": ([("basic_attributes", (None, "{"))], 12002),
    "bad value": ([("basic_attributes", (None, '{"age": 200}'))], 12022),
    "no descriptor": ([("face_descriptors", ("a", b"1", "application/octet-stream"))], 100007),
    "same version": ([("face_descriptors", ("a", with_header(56), "application/octet-stream"))] * 2, 22024),
}


@pytest.mark.parametrize("name", BAD_FORMS)
async def test_bad_forms(account: Account, name: str) -> None:
    parts, code = BAD_FORMS[name]
    refused(await send_form(account, parts), 400, code)


async def test_broken_form(account: Account) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    refused(await account.client.post("/6/attributes", content=b"--y\r\n\r\n", headers=headers), 400, 11049)


async def test_others_find_nothing(account: Account, stranger: Account, new_account: AccountFactory) -> None:
    url = f"/6/attributes/{await saved(account, {'basic_attributes': BASIC})}"
    for reply in (
        await stranger.client.get(url),
        await stranger.client.get(url + "/samples"),
        await stranger.client.delete(url),
    ):
        refused(reply, 404, 22011)
    assert (await stranger.client.head(url)).status_code == 404
    advanced = await new_account("advanced_user")
    assert (await advanced.client.get(url)).status_code == 200
    refused(await advanced.client.delete(url), 404, 22011)
    assert (await account.client.delete(url)).status_code == 204
