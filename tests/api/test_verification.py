"""POST /6/verifiers/{verifier_id}/verifications on real photographs."""

import base64
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import numpy as np
import pytest
from sqlalchemy import text

from lunaria.app import Platform
from lunaria.handlers.verification_schemas import VerificationResult
from tests.api.conftest import Account, AccountFactory
from tests.api.test_matching import add_attribute, add_face, code, near, unit
from tests.api.test_matching import text as base64_of
from tests.api.test_verifiers import create
from tests.estimation.pictures import JPEG, beside, checked, encode, files, grey, read, refused
from tests.vision.conftest import photos  # noqa: F401

Json = dict[str, Any]
NOTHING_KEPT: Json = {"face_sample_policy": {"store_sample": 0}}
SDK = {"Content-Type": "application/x-sdk-descriptor"}
VECTOR = unit(1)


@pytest.fixture(scope="module")
def obama(photos: Path) -> bytes:  # noqa: F811
    return encode(read(photos / "obama.jpg"))


@pytest.fixture(scope="module")
def biden(photos: Path) -> bytes:  # noqa: F811
    return encode(read(photos / "biden.jpg"))


@pytest.fixture(scope="module")
def pair(photos: Path) -> bytes:  # noqa: F811
    """A picture of two persons."""
    return encode(beside(read(photos / "obama.jpg"), read(photos / "biden.jpg")))


async def enrol(account: Account, picture: bytes, **fields: Any) -> str:
    """A face with the descriptor of the one person in a picture."""
    found = checked(await account.client.post("/6/detector", content=picture, headers=JPEG))["images"][0]
    sample = found["detections"]["samples"][0]["face"]["sample_id"]
    (attribute,) = checked(await account.client.post("/6/extractor", json=[sample]), 201)
    body = {"attribute": {"attribute_id": attribute["attribute_id"]}, **fields}
    return str(checked(await account.client.post("/6/faces", json=body), 201)["face_id"])


@pytest.fixture(scope="module")
async def face(account: Account, photos: Path) -> str:  # noqa: F811
    """Another picture of the same person as `obama`."""
    picture = (photos / "obama2.jpg").read_bytes()
    return await enrol(account, picture, external_id="president", user_data="B. O.")


def address(verifier_id: str, **candidates: Any) -> str:
    query = "&".join(
        f"{name}={','.join(value) if isinstance(value, list) else value}" for name, value in candidates.items()
    )
    return f"/6/verifiers/{verifier_id}/verifications?{query}"


async def verify(account: Account, verifier_id: str, *pictures: bytes, **query: Any) -> list[Json]:
    """The images of the answer, which fits its declared shape."""
    url = address(verifier_id, **query)
    if len(pictures) == 1:
        reply = await account.client.post(url, content=pictures[0], headers=JPEG)
    else:
        form = files(**{f"{number}_jpg": data for number, data in enumerate(pictures)})
        reply = await account.client.post(url, files=form)
    return images_of(checked(reply))


def images_of(found: Json) -> list[Json]:
    assert found.keys() == {"images"}
    msgspec.convert(found, VerificationResult)
    return list(found["images"])


async def detections(account: Account, verifier_id: str, picture: bytes, **query: Any) -> list[Json]:
    (image,) = await verify(account, verifier_id, picture, **query)
    assert (image["status"], image["error"]["error_code"]) == (1, 0), image
    return list(image["detections"]["face_detections"])


async def stored(platform: Platform, account: Account, table: str) -> int:
    async with platform.database.connect() as connection:
        statement = text(f"SELECT count(*) FROM {table} WHERE account_id = :id")
        return int((await connection.execute(statement, {"id": account.id})).scalar_one())


async def test_the_same_person_and_another(account: Account, face: str, obama: bytes, biden: bytes) -> None:
    verifier_id = await create(account)
    (image,) = await verify(account, verifier_id, obama, face_ids=face)
    assert image.keys() == {"filename", "status", "error", "detections", "exif"}
    assert (image["filename"], image["status"], image["exif"]) == ("raw_image", 1, {})
    assert image["detections"]["filtered_detections"] == {"face_detections": []}
    (detection,) = image["detections"]["face_detections"]
    assert detection.keys() == {"sample", "face_attributes", "verifications"}
    (verification,) = detection["verifications"]
    assert verification["status"] is True
    assert 0.9 < verification["similarity"] <= 1
    assert verification.keys() == {"similarity", "status", "face"}
    assert verification["face"] == (await account.client.get(f"/6/faces/{face}")).json()
    (other,) = await detections(account, verifier_id, biden, face_ids=face)
    assert other["verifications"][0]["status"] is False
    assert other["verifications"][0]["similarity"] < 0.5


async def test_the_layout_of_a_sample(account: Account, face: str, obama: bytes) -> None:
    policies = {"detect_policy": {"detect_landmarks68": 1, "estimate_quality": 1, "face_quality": {"estimate": 1}}}
    verifier_id = await create(account, policies=policies)
    (detection,) = await detections(account, verifier_id, obama, face_ids=face)
    sample = detection["sample"]["face"]
    inner = sample["detection"]
    assert inner.keys() == {"rect", "landmarks5", "landmarks68", "quality", "attributes", "face_quality"}
    assert sample.keys() == {"sample_id", "url", "detection", *inner}
    assert {name: sample[name] for name in inner} == inner
    assert sample["url"] == f"/6/samples/faces/{sample['sample_id']}"
    assert (await account.client.get(sample["url"])).status_code == 200
    attributes = detection["face_attributes"]
    assert 0 < attributes.pop("score") <= 1
    assert attributes == {
        "attribute_id": None,
        "url": None,
        "basic_attributes": None,
        "samples": [sample["sample_id"]],
        "filter": {"is_filtered": False, "filter_reasons": []},
    }


async def test_candidates_of_every_kind(account: Account, platform: Platform) -> None:
    verifier_id = await create(account)
    first = await add_face(account, near(VECTOR, 0.95, 2), external_id="twins")
    second = await add_face(account, near(VECTOR, 0.1, 3), external_id="twins")
    alone = await add_face(account, near(VECTOR, 0.9, 4))
    attribute = await add_attribute(account, VECTOR)
    event = await add_event(account, near(VECTOR, 0.5, 5), source="door", user_data="seen")
    url = address(verifier_id, face_ids=[alone, first], external_ids="twins", event_ids=event, attribute_ids=attribute)
    (image,) = images_of(checked(await account.client.post(url, content=code(VECTOR), headers=SDK)))
    (detection,) = image["detections"]["face_detections"]
    assert (image["filename"], detection["sample"]) == ("descriptor", None)
    assert detection["face_attributes"]["samples"] == []
    found = detection["verifications"]
    keys = [next(iter(one.keys() & {"face", "event", "attribute"})) for one in found]
    assert keys == ["face", "face", "face", "event", "attribute"]
    assert [one[key][f"{key}_id"] for one, key in zip(found, keys, strict=True)] == [
        alone,
        first,
        second,
        event,
        attribute,
    ]
    similarities = [one["similarity"] for one in found]
    assert similarities[4] == pytest.approx(1.0, abs=1e-6)
    assert similarities[4] > similarities[1] > similarities[0] > similarities[3] > similarities[2]
    assert [one["status"] for one in found] == [value > 0.9 for value in similarities]
    shown = found[3]["event"]
    assert (shown["source"], shown["user_data"], shown["account_id"]) == ("door", "seen", str(account.id))
    assert found[4]["attribute"] == {"attribute_id": attribute}


async def add_event(account: Account, vector: Any, **fields: Any) -> str:
    """An event with a descriptor of this vector."""
    handler = checked(await account.client.post("/6/handlers", json={"handler_type": 1}), 201)["handler_id"]
    described = {"descriptor": {"descriptor": base64_of(code(vector)), "version": 1001}}
    body = {"face_attributes": described, **fields}
    reply = await account.client.post(f"/6/handlers/{handler}/events/raw", json=body)
    return str(checked(reply, 201)["event_id"])


async def test_all_faces_of_all_pictures(account: Account, face: str, pair: bytes, biden: bytes) -> None:
    verifier_id = await create(account, policies={"storage_policy": NOTHING_KEPT})
    both, one = await verify(account, verifier_id, pair, biden, face_ids=face)
    assert (both["filename"], one["filename"]) == ("0.jpg", "1.jpg")
    statuses = [
        [detection["verifications"][0]["status"] for detection in image["detections"]["face_detections"]]
        for image in (both, one)
    ]
    assert sorted(statuses[0]) == [False, True]
    assert statuses[1] == [False]


async def test_several_faces_by_policy(account: Account, face: str, pair: bytes) -> None:
    refusing = await create(account, policies={"detect_policy": {"multiface_policy": 0}})
    (image,) = await verify(account, refusing, pair, face_ids=face)
    assert (image["status"], image["error"]["error_code"]) == (0, 11038)
    assert image["detections"] == {"face_detections": [], "filtered_detections": {"face_detections": []}}
    best = await create(account, policies={"detect_policy": {"multiface_policy": 2}})
    assert len(await detections(account, best, pair, face_ids=face)) == 1


async def test_nobody_and_what_is_no_picture(account: Account, face: str, obama: bytes) -> None:
    verifier_id = await create(account, policies={"storage_policy": NOTHING_KEPT})
    empty, broken, good = await verify(account, verifier_id, encode(grey()), b"no picture", obama, face_ids=face)
    assert (empty["status"], empty["detections"]["face_detections"]) == (1, [])
    assert (broken["status"], broken["detections"]["face_detections"]) == (0, [])
    assert broken["error"]["error_code"] != 0
    assert good["detections"]["face_detections"][0]["verifications"][0]["status"] is True


async def test_estimates_and_filters(account: Account, face: str, obama: bytes, biden: bytes) -> None:
    policies = {
        "detect_policy": {"estimate_mask": 1, "estimate_liveness": {"estimate": 1}, "mask_states": [2]},
        "extract_policy": {"extract_basic_attributes": 1},
    }
    verifier_id = await create(account, policies=policies)
    (image,) = await verify(account, verifier_id, obama, face_ids=face)
    assert image["detections"]["face_detections"] == []
    (filtered,) = image["detections"]["filtered_detections"]["face_detections"]
    assert filtered.keys() == {"detection", "filter_reasons"}
    assert filtered["detection"].keys() == {"filename", "sample"}
    assert filtered["detection"]["filename"] == "raw_image"
    sample = filtered["detection"]["sample"]["face"]
    assert (sample["sample_id"], sample["url"]) == (None, None)
    assert sample["detection"]["attributes"].keys() == {"mask", "liveness"}
    (reason,) = filtered["filter_reasons"]
    assert (reason["filter_name"], reason["object_value"]) == ("mask_states", "missing")
    policies["detect_policy"]["mask_states"] = [1]
    passing = await create(account, policies=policies)
    (detection,) = await detections(account, passing, obama, face_ids=face)
    basic = detection["face_attributes"]["basic_attributes"]
    assert basic["gender"] == 1
    assert basic["ethnicities"]["predominant_ethnicity"]
    assert "basic_attributes" not in detection["sample"]["face"]["attributes"]
    assert detection["sample"]["face"]["attributes"]["liveness"]["prediction"] in ("real", "spoof", "unknown")


async def test_a_poor_descriptor_is_not_compared(account: Account, face: str, obama: bytes) -> None:
    policies = {
        "extract_policy": {"fd_score_threshold": 1.0},
        "storage_policy": {"attribute_policy": {"store_attribute": 1}},
    }
    verifier_id = await create(account, policies=policies)
    (detection,) = await detections(account, verifier_id, obama, face_ids=face)
    assert detection["verifications"] == []
    attributes = detection["face_attributes"]
    assert attributes["filter"]["is_filtered"] is True
    assert attributes["filter"]["filter_reasons"][0]["filter_name"] == "score_threshold"
    assert (attributes["attribute_id"], attributes["url"]) == (None, None)
    assert 0 < attributes["score"] < 1


async def test_what_is_kept(new_account: AccountFactory, platform: Platform, obama: bytes) -> None:
    account = await new_account()
    face = await add_face(account, VECTOR)
    nothing = await create(account, policies={"storage_policy": NOTHING_KEPT})
    (detection,) = await detections(account, nothing, obama, face_ids=face)
    sample = detection["sample"]["face"]
    assert (sample["sample_id"], sample["url"], detection["face_attributes"]["samples"]) == (None, None, [])
    assert await stored(platform, account, "blobs") == 0
    keeping = {"attribute_policy": {"store_attribute": 1, "ttl": 900}}
    policies = {"extract_policy": {"extract_basic_attributes": 1}, "storage_policy": keeping}
    (detection,) = await detections(account, await create(account, policies=policies), obama, face_ids=face)
    attributes = detection["face_attributes"]
    assert attributes["url"] == f"/6/attributes/{attributes['attribute_id']}"
    assert await stored(platform, account, "blobs") == 1
    found = (await account.client.get(attributes["url"])).json()
    assert found["face_descriptor_samples"] == attributes["samples"] == found["basic_attributes_samples"]
    assert found["face_descriptor"]
    assert found["basic_attributes"]["age"] == attributes["basic_attributes"]["age"]
    # what was kept verifies the same face again
    reply = await verify(account, nothing, obama, attribute_ids=attributes["attribute_id"])
    assert reply[0]["detections"]["face_detections"][0]["verifications"][0]["similarity"] == pytest.approx(1, abs=1e-3)
    # the lifetime is that of the policy
    async with platform.database.connect() as connection:
        statement = text("SELECT EXTRACT(epoch FROM expires_at - create_time) FROM attributes WHERE account_id = :id")
        assert int((await connection.execute(statement, {"id": account.id})).scalar_one()) == 900


async def test_forms_of_bodies(account: Account, face: str, obama: bytes) -> None:
    verifier_id = await create(account)
    url = address(verifier_id, face_ids=face)
    kind = {"Content-Type": "image/x-jpeg-base64"}
    (image,) = images_of(checked(await account.client.post(url, content=base64.b64encode(obama), headers=kind)))
    assert image["detections"]["face_detections"][0]["verifications"][0]["status"] is True
    uploaded = checked(await account.client.post("/6/images", content=obama, headers=JPEG), 201)["image_id"]
    body: Json = {
        "urls": [f"/6/images/{uploaded}"],
        "images": [{"url": f"/6/images/{uuid4()}", "filename": "gone.jpg"}],
        "raw_descriptors": [{"type": "sdk_descriptor", "id": "mine", "data": base64_of(code(VECTOR))}],
    }
    found = images_of(checked(await account.client.post(url, json=body)))
    assert [one["filename"] for one in found] == ["gone.jpg", f"/6/images/{uploaded}", "mine"]
    assert [one["error"]["error_code"] for one in found] == [13003, 0, 0]
    assert [len(one["detections"]["face_detections"]) for one in found] == [0, 1, 1]
    assert found[2]["detections"]["face_detections"][0]["sample"] is None
    form = [
        *files(a_jpg=obama),
        ("descriptor", ("two.xpk", code(VECTOR) + code(unit(2)), "application/x-vl-xpk")),
    ]
    found = images_of(checked(await account.client.post(url, files=form)))
    assert [one["filename"] for one in found] == ["a.jpg", "two.xpk", "two.xpk"]
    encoded = {"Content-Type": "application/x-vl-xpk-base64"}
    data = base64.b64encode(code(VECTOR) + code(unit(2)))
    assert len(images_of(checked(await account.client.post(url, content=data, headers=encoded)))) == 2


async def test_warps_and_stored_samples(account: Account, face: str, obama: bytes, platform: Platform) -> None:
    verifier_id = await create(account)
    (detection,) = await detections(account, verifier_id, obama, face_ids=face)
    sample = detection["sample"]["face"]["sample_id"]
    warp = (await account.client.get(f"/6/samples/faces/{sample}")).content
    (by_warp,) = await detections(account, verifier_id, warp, face_ids=face, image_type=1)
    assert by_warp["sample"]["face"]["sample_id"] not in (None, sample)
    before = await stored(platform, account, "blobs")
    url = address(verifier_id, face_ids=face, image_type=1)
    (image,) = images_of(checked(await account.client.post(url, json={"samples": [sample]})))
    (by_id,) = image["detections"]["face_detections"]
    assert by_id["sample"]["face"]["sample_id"] == sample
    assert by_id["face_attributes"]["samples"] == [sample]
    assert await stored(platform, account, "blobs") == before
    similarities = [one["verifications"][0]["similarity"] for one in (by_warp, by_id)]
    assert similarities[0] == similarities[1]
    assert similarities[0] == pytest.approx(detection["verifications"][0]["similarity"], abs=0.02)
    boxes = [{"filename": "a.jpg", "face_bounding_boxes": [{"x": 5, "y": 6, "width": 7, "height": 8}]}]
    form: list[Any] = [*files(a_jpg=warp), ("face_bounding_boxes", (None, json.dumps(boxes), "application/json"))]
    (image,) = images_of(checked(await account.client.post(url, files=form)))
    (boxed,) = image["detections"]["face_detections"]
    assert boxed["sample"]["face"]["rect"] == by_warp["sample"]["face"]["rect"], "boxes of warps are ignored"
    (wrong,) = await verify(account, verifier_id, obama, face_ids=face, image_type=1)
    assert (wrong["status"], wrong["error"]["error_code"]) == (0, 11030)


async def test_boxes_replace_the_detection(account: Account, face: str, pair: bytes, obama: bytes) -> None:
    verifier_id = await create(account, policies={"storage_policy": NOTHING_KEPT})
    (first, _) = await detections(account, verifier_id, pair, face_ids=face)
    rect = first["sample"]["face"]["rect"]
    boxes = json.dumps([{"filename": "a.jpg", "face_bounding_boxes": [rect]}])
    form: list[Any] = [*files(a_jpg=pair), ("face_bounding_boxes", (None, boxes, "application/json"))]
    (image,) = images_of(checked(await account.client.post(address(verifier_id, face_ids=face), files=form)))
    (found,) = image["detections"]["face_detections"]
    assert found["verifications"][0]["status"] == first["verifications"][0]["status"]


async def test_turned_pictures(account: Account, face: str, photos: Path) -> None:  # noqa: F811
    turned = encode(np.rot90(read(photos / "obama.jpg")), orientation=6)
    policies = {"detect_policy": {"extract_exif": 1}, "storage_policy": NOTHING_KEPT}
    verifier_id = await create(account, policies=policies)
    (upright,) = await verify(account, verifier_id, turned, face_ids=face)
    assert upright["detections"]["face_detections"][0]["verifications"][0]["status"] is True
    assert upright["exif"]["Make"] == "Maker"
    (lying,) = await verify(account, verifier_id, turned, face_ids=face, use_exif_info=0)
    rects = [
        one["sample"]["face"]["rect"] for image in (upright, lying) for one in image["detections"]["face_detections"]
    ]
    assert len(rects) < 2 or rects[0] != rects[1]


async def test_candidates_that_cannot_be_compared(account: Account, stranger: Account) -> None:
    verifier_id = await create(account)
    bare = checked(await account.client.post("/6/faces", json={}), 201)["face_id"]
    basic = checked(await account.client.post("/6/attributes", json={"basic_attributes": {"age": 30}}), 201)
    foreign = await add_face(account, unit(9, 512), 59)
    of_stranger = await add_face(stranger, VECTOR, external_id="strange")
    attribute_of_stranger = await add_attribute(stranger, VECTOR)
    event_of_stranger = await add_event(stranger, VECTOR)
    missing = str(uuid4())
    for code_, named, query in (
        (22004, missing, {"face_ids": missing}),
        (22004, of_stranger, {"face_ids": of_stranger}),
        (23002, missing, {"event_ids": missing}),
        (23002, event_of_stranger, {"event_ids": event_of_stranger}),
        (22011, missing, {"attribute_ids": missing}),
        (22011, attribute_of_stranger, {"attribute_ids": attribute_of_stranger}),
        (11041, "nobody", {"external_ids": "nobody"}),
        (11041, "strange", {"external_ids": "strange"}),
        (11032, bare, {"face_ids": bare}),
        (22018, basic["attribute_id"], {"attribute_ids": basic["attribute_id"]}),
        (22018, foreign, {"face_ids": foreign}),
    ):
        reply = await account.client.post(address(verifier_id, **query), content=code(VECTOR), headers=SDK)
        detail = refused(reply, 404, code_)
        assert named in str(detail), (code_, detail)


async def test_foreign_versions_among_themselves(account: Account) -> None:
    verifier_id = await create(account)
    vector = unit(9, 512)
    face = await add_face(account, vector, 59)
    url = address(verifier_id, face_ids=face)
    (image,) = images_of(checked(await account.client.post(url, content=code(vector, 59), headers=SDK)))
    (verification,) = image["detections"]["face_detections"][0]["verifications"]
    assert (verification["status"], verification["similarity"]) == (True, pytest.approx(1.0, abs=1e-6))


async def test_what_is_refused_as_a_whole(account: Account, stranger: Account, face: str, obama: bytes) -> None:
    verifier_id = await create(account)
    client = account.client

    async def answer(url: str, content: bytes = obama, kind: str = "image/jpeg") -> Any:
        return await client.post(url, content=content, headers={"Content-Type": kind})

    refused(await answer(f"/6/verifiers/{verifier_id}/verifications"), 400, 12012)
    refused(await answer(address(verifier_id, face_ids="x")), 400, 12012)
    refused(await answer(address(verifier_id, face_ids="")), 400, 12012)
    refused(await answer(address(verifier_id, external_ids="x" * 37)), 400, 12012)
    refused(await answer(address(verifier_id, face_ids=face, image_type=2)), 400, 12012)
    refused(await answer(address(verifier_id, face_ids=face, use_exif_info=2)), 400, 12012)
    refused(await answer(address(verifier_id, face_ids=face), b"x", "application/x-sdk-descriptor"), 400, 100007)
    refused(await answer(address(verifier_id, face_ids=face), b"{}", "application/json"), 400, 12022)
    body = json.dumps({"urls": ["/x"], "policies": {}}).encode()
    refused(await answer(address(verifier_id, face_ids=face), body, "application/json"), 400, 12022)
    refused(await answer(address(verifier_id, face_ids=face), b"x", "text/plain"), 400, 12017)
    for missing in (str(uuid4()), await create(stranger)):
        refused(await answer(address(missing, face_ids=face)), 404, 34004)


async def test_bodies_are_not_verified(account: Account, face: str, platform: Platform) -> None:
    verifier_id = await create(account)
    version = next(iter(platform.analyzer.descriptor_dimensions.keys() - {platform.analyzer.descriptor_version}))
    data = code(unit(3, platform.analyzer.descriptor_dimensions[version]), version)
    reply = await account.client.post(address(verifier_id, face_ids=face), content=data, headers=SDK)
    refused(reply, 400, 100007)
    assert "body" in reply.json()["detail"]


async def test_a_threshold_of_the_similarity_itself_is_not_exceeded(account: Account) -> None:
    face = await add_face(account, near(VECTOR, 0.6, 2))

    async def status(threshold: float) -> tuple[float, bool]:
        url = address(await create(account, policies={"verification_threshold": threshold}), face_ids=face)
        (image,) = images_of(checked(await account.client.post(url, content=code(VECTOR), headers=SDK)))
        (one,) = image["detections"]["face_detections"][0]["verifications"]
        return one["similarity"], one["status"]

    similarity, above = await status(0.0)
    assert above is True
    assert await status(similarity) == (similarity, False)


async def test_too_many_candidates_and_pairs(
    account: Account, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier_id = await create(account)
    faces = [await add_face(account, near(VECTOR, 0.5, seed), external_id="crowd") for seed in (2, 3, 4)]
    pictures: Json = {"content": code(VECTOR) + code(unit(2)), "headers": {"Content-Type": "application/x-vl-xpk"}}
    client = account.client
    # the same face, named twice, is one candidate
    monkeypatch.setattr(platform.verification._candidates, "_limit", 3)
    (image, _) = images_of(
        checked(await client.post(address(verifier_id, face_ids=faces[0], external_ids="crowd"), **pictures))
    )
    assert len(image["detections"]["face_detections"][0]["verifications"]) == 3
    monkeypatch.setattr(platform.verification._candidates, "_limit", 2)
    refused(await client.post(address(verifier_id, external_ids="crowd"), **pictures), 400, 31007)
    checked(await client.post(address(verifier_id, face_ids=faces[:2]), **pictures))
    monkeypatch.setattr(platform.verification, "_limit", 3)
    refused(await client.post(address(verifier_id, face_ids=faces[:2]), **pictures), 400, 31007)
    checked(await client.post(address(verifier_id, face_ids=faces[0]), **pictures))
