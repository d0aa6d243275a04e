"""POST /6/extractor: from stored samples to temporary attributes."""

import base64
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import numpy as np
import pytest
from sqlalchemy import text

from lunaria.app import Platform
from tests.api import sdk
from tests.api.conftest import Account, AccountFactory
from tests.estimation.pictures import JPEG, checked, encode, read, refused
from tests.vision.conftest import photos  # noqa: F401

URL = "/6/extractor"
NAMES = ("obama", "obama2", "biden")


@pytest.fixture(scope="module")
async def samples(account: Account, photos: Path) -> dict[str, str]:  # noqa: F811
    """Stored samples by the name of the person."""
    found = {}
    pictures = {**{name: photos / f"{name}.jpg" for name in NAMES}, "woman": photos / "astronaut.png"}
    for name, path in pictures.items():
        data = encode(read(path))
        reply = await account.client.post("/6/detector", content=data, headers=JPEG)
        found[name] = checked(reply)["images"][0]["detections"]["samples"][0]["face"]["sample_id"]
    return found


async def extract(account: Account, query: str, *sample_ids: str) -> list[dict[str, Any]]:
    return list(checked(await account.client.post(f"{URL}?{query}", json=list(sample_ids)), 201))


async def vector(account: Account, url: str) -> np.ndarray:
    """The descriptor of a temporary attribute."""
    data = base64.b64decode(checked(await account.client.get(url))["face_descriptor"])
    centred = np.frombuffer(data[8:], np.uint8).astype(float) - 128
    return np.asarray(centred / np.linalg.norm(centred))


async def attribute_ids(platform: Platform, account: Account) -> set[UUID]:
    """Ids of the account's attributes. Older ones may expire and go during a test."""
    async with platform.database.connect() as connection:
        statement = text("SELECT attribute_id FROM attributes WHERE account_id = :id")
        return set((await connection.execute(statement, {"id": account.id})).scalars())


async def test_one_attribute_for_each_sample(
    account: Account,
    stranger: Account,
    samples: dict[str, str],
    photos: Path,  # noqa: F811
) -> None:
    wanted = [samples["biden"], samples["obama"], samples["biden"]]
    items = await extract(account, "", *wanted)
    assert [item["samples"] for item in items] == [[sample] for sample in wanted]
    assert len({item["attribute_id"] for item in items}) == 3
    for item in items:
        assert item.keys() == {"attribute_id", "url", "samples", "score"}
        assert item["url"] == f"/6/attributes/{item['attribute_id']}"
        assert 0 < item["score"] <= 1
        stored = checked(await account.client.get(item["url"]))
        assert stored["face_descriptor_samples"] == item["samples"]
        assert (stored["account_id"], stored["basic_attributes"]) == (str(account.id), None)
        refused(await stranger.client.get(item["url"]), 404, 22011)
    # the same person as in the photograph that the sample was cut from
    reply = await account.client.post("/6/sdk?detect_face=1", content=encode(read(photos / "obama.jpg")), headers=JPEG)
    face = checked(reply)["images_estimations"][0]["estimations"][0]["face"]["detection"]
    data = base64.b64decode(face["attributes"]["descriptor"]["sdk_descriptor"])
    raw = np.frombuffer(data[8:], np.uint8).astype(float) - 128
    assert await vector(account, items[1]["url"]) @ (raw / np.linalg.norm(raw)) > 0.97


async def test_aggregation(account: Account, samples: dict[str, str]) -> None:
    wanted = [samples["obama"], samples["obama2"]]
    single = await extract(account, "", *wanted)
    (item,) = await extract(account, "aggregate_attributes=1", *wanted, wanted[0])
    assert item["samples"] == wanted
    assert item["score"] == pytest.approx(np.mean([one["score"] for one in single]))
    expected = sum([one["score"] * await vector(account, one["url"]) for one in single])
    assert await vector(account, item["url"]) @ (expected / np.linalg.norm(expected)) > 0.999
    stored = checked(await account.client.get(item["url"]))
    assert stored["face_descriptor_samples"] == wanted


async def test_score_threshold(account: Account, platform: Platform, samples: dict[str, str]) -> None:
    scores = {name: (await extract(account, "", samples[name]))[0]["score"] for name in NAMES}
    worst, best = min(scores, key=scores.__getitem__), max(scores, key=scores.__getitem__)
    assert scores[worst] < scores[best]
    threshold = (scores[worst] + scores[best]) / 2
    before = await attribute_ids(platform, account)
    items = await extract(account, f"score_threshold={threshold:.9f}", samples[worst], samples[best])
    assert items[0] == {"samples": [samples[worst]], "score": scores[worst], "filtered": 1}
    assert items[1].keys() == {"attribute_id", "url", "samples", "score"}
    query = f"aggregate_attributes=1&score_threshold={threshold:.9f}"
    (item,) = await extract(account, query, samples[worst], samples[best])
    assert item["samples"] == [samples[best]]
    assert item["score"] == scores[best]
    assert len(await attribute_ids(platform, account) - before) == 2
    for aggregate in (0, 1):
        query = f"aggregate_attributes={aggregate}&score_threshold=1"
        items = await extract(account, query, samples[worst], samples[best])
        assert [(item["samples"], item["filtered"]) for item in items] == [
            ([samples[worst]], 1),
            ([samples[best]], 1),
        ]
    assert len(await attribute_ids(platform, account) - before) == 2


async def test_time_to_live(account: Account, platform: Platform, samples: dict[str, str]) -> None:
    for query, seconds in (("", 300), ("ttl=86400", 86400), ("ttl=1", 1)):
        (item,) = await extract(account, query, samples["obama"])
        async with platform.database.connect() as connection:
            statement = text(
                "SELECT extract(epoch FROM expires_at - create_time)::int FROM attributes WHERE attribute_id = :id"
            )
            found = await connection.execute(statement, {"id": item["attribute_id"]})
            assert found.scalar_one() == seconds


async def test_nothing_to_extract(account: Account, samples: dict[str, str]) -> None:
    body = [samples["obama"]]
    refused(await account.client.post(f"{URL}?extract_descriptor=0", json=body), 400, 22022)


def check_basic(basic: dict[str, Any], stored: dict[str, Any], sample_ids: list[str]) -> None:
    """Rightly shaped, and stored as attributes keep it: the ethnicity by its number."""
    sdk.FACE_ATTRIBUTES["estimate_basic_attributes"][1](basic)
    numbers = {"african_american": 1, "indian": 2, "asian": 3, "caucasian": 4}
    ethnicity = numbers[basic["ethnicities"]["predominant_ethnicity"]]
    assert stored["basic_attributes"] == {"age": basic["age"], "gender": basic["gender"], "ethnicity": ethnicity}
    assert stored["basic_attributes_samples"] == sample_ids


@pytest.mark.parametrize("with_descriptor", [0, 1])
async def test_basic_attributes(account: Account, samples: dict[str, str], with_descriptor: int) -> None:
    wanted = [samples["biden"], samples["obama"], samples["woman"]]
    query = f"extract_basic_attributes=1&extract_descriptor={with_descriptor}"
    items = await extract(account, query, *wanted)
    assert [item["samples"] for item in items] == [[sample] for sample in wanted]
    for item in items:
        assert ("score" in item) is bool(with_descriptor)
        assert item.keys() - {"score"} == {"attribute_id", "url", "samples", "basic_attributes"}
        kept = checked(await account.client.get(item["url"]))
        check_basic(item["basic_attributes"], kept, item["samples"])
        assert (kept["face_descriptor"] is not None) is bool(with_descriptor)
        assert kept["face_descriptor_samples"] == (item["samples"] if with_descriptor else [])
        assert checked(await account.client.get(f"{item['url']}/samples"))["samples"] == item["samples"]
    biden, obama, woman = (item["basic_attributes"] for item in items)
    assert [one["gender"] for one in (biden, obama, woman)] == [1, 1, 0]
    assert biden["age"] > obama["age"] > woman["age"]


async def test_basic_attributes_are_those_of_the_photograph(
    account: Account,
    samples: dict[str, str],
    photos: Path,  # noqa: F811
) -> None:
    (item,) = await extract(account, "extract_basic_attributes=1", samples["obama"])
    query = "detect_face=1&estimate_basic_attributes=1"
    (face,) = await sdk.faces(account, query, encode(read(photos / "obama.jpg")))
    seen, extracted = face["attributes"]["basic_attributes"], item["basic_attributes"]
    assert abs(seen["age"] - extracted["age"]) <= 3
    assert seen["gender"] == extracted["gender"]
    assert seen["ethnicities"]["predominant_ethnicity"] == extracted["ethnicities"]["predominant_ethnicity"]


async def test_aggregated_basic_attributes(account: Account, samples: dict[str, str]) -> None:
    wanted = [samples["obama"], samples["obama2"]]
    single = [item["basic_attributes"] for item in await extract(account, "extract_basic_attributes=1", *wanted)]
    for with_descriptor in (0, 1):
        query = f"extract_basic_attributes=1&aggregate_attributes=1&extract_descriptor={with_descriptor}"
        (item,) = await extract(account, query, *wanted)
        assert item["samples"] == wanted
        basic = item["basic_attributes"]
        check_basic(basic, checked(await account.client.get(item["url"])), wanted)
        assert abs(basic["age"] - np.mean([one["age"] for one in single])) <= 0.5
        assert basic["gender"] == 1
        for word, value in basic["ethnicities"]["estimations"].items():
            assert value == pytest.approx(np.mean([one["ethnicities"]["estimations"][word] for one in single]))


async def test_score_threshold_and_basic_attributes(account: Account, samples: dict[str, str]) -> None:
    """It drops whole samples, and none where no descriptor has a score."""
    wanted = [samples["obama"], samples["obama2"]]
    query = "extract_basic_attributes=1&score_threshold=1"
    for item in await extract(account, query, *wanted):
        assert item.keys() == {"samples", "score", "filtered"}
    items = await extract(account, f"{query}&extract_descriptor=0", *wanted)
    assert all("basic_attributes" in item and "filtered" not in item for item in items)


async def test_faces_keep_what_was_extracted(account: Account, samples: dict[str, str]) -> None:
    """A face that is made with the attribute, and one that gets it later."""
    first, second = await extract(account, "extract_basic_attributes=1", samples["woman"], samples["woman"])
    basic, sample = first["basic_attributes"], first["samples"]
    attribute = {"attribute": {"attribute_id": first["attribute_id"]}}
    made = checked(await account.client.post("/6/faces", json=attribute), 201)["face_id"]
    later = checked(await account.client.post("/6/faces", json={"user_data": "later"}), 201)["face_id"]
    reply = await account.client.put(f"/6/faces/{later}/attributes", json={"attribute_id": second["attribute_id"]})
    assert reply.status_code == 204, reply.text
    for face_id in (made, later):
        kept = checked(await account.client.get(f"/6/faces/{face_id}/attributes"))["attributes"]
        check_basic(basic, kept, sample)
        assert kept["face_descriptor"] is not None
        assert kept["face_descriptor_samples"] == sample


async def test_unknown_and_foreign_samples(
    account: Account, stranger: Account, platform: Platform, samples: dict[str, str]
) -> None:
    before = await attribute_ids(platform, account)
    missing = str(uuid4())
    reply = await account.client.post(URL, json=[samples["obama"], missing])
    assert missing in refused(reply, 404, 13003)
    assert await attribute_ids(platform, account) <= before
    refused(await stranger.client.post(URL, json=[samples["obama"]]), 404, 13003)


async def test_advanced_user_makes_nothing_of_a_sample_that_it_may_only_see(
    new_account: AccountFactory, samples: dict[str, str]
) -> None:
    viewer = await new_account("advanced_user")
    assert (await viewer.client.get(f"/6/samples/faces/{samples['obama']}")).status_code == 200
    refused(await viewer.client.post(URL, json=[samples["obama"]]), 404, 13003)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([], 12022),
        ([str(uuid4())] * 9, 12022),
        (["no uuid"], 12022),
        ({"samples": []}, 12022),
        ("text", 12022),
    ],
)
async def test_bad_bodies(account: Account, body: Any, code: int) -> None:
    refused(await account.client.post(URL, json=body), 400, code)


async def test_bad_requests(account: Account) -> None:
    refused(await account.client.post(URL, content=b"[", headers={"Content-Type": "application/json"}), 400, 12002)
    refused(await account.client.post(URL, content=b"", headers={"Content-Type": "application/json"}), 400, 12030)
    refused(await account.client.post(URL, content=b"x", headers=JPEG), 400, 12017)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("score_threshold", "-0.1"),
        ("score_threshold", "1.1"),
        ("extract_descriptor", "2"),
        ("extract_basic_attributes", "x"),
        ("aggregate_attributes", "2"),
        ("ttl", "0"),
        ("ttl", "86401"),
    ],
)
async def test_bad_parameters(account: Account, name: str, value: str) -> None:
    reply = await account.client.post(f"{URL}?{name}={value}", json=[str(uuid4())])
    assert f"'{name}'" in refused(reply, 400, 12012)


async def test_right_of_a_token(account: Account, transport: httpx.ASGITransport, samples: dict[str, str]) -> None:
    for verbs, status in ((["creation"], 201), (["view", "matching"], 403)):
        body = {"permissions": {"attribute": verbs}, "expiration_time": None}
        token = checked(await account.client.post("/6/tokens", json=body), 201)["token"]
        async with httpx.AsyncClient(transport=transport, base_url="http://lunaria") as bearer:
            reply = await bearer.post(URL, json=[samples["obama"]], headers={"Authorization": f"Bearer {token}"})
        checked(reply, status)
        if status == 403:
            refused(reply, 403, 11059)
