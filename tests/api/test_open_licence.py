"""A server that may only use open networks: what it refuses by name, what falls back, and that it says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from lunaria.app import running
from lunaria.settings import load
from lunaria.vision.packs.manifest import built_in_pack
from tests.api import sdk
from tests.api.checks import ISO_CHECKS, check_checks
from tests.api.conftest import PASSWORD, Account, fresh_database, settings_of
from tests.estimation.pictures import JPEG, checked, encode, read, refused
from tests.vision.conftest import photos  # noqa: F401

REFUSED = {"glasses", "deepfake", "body_descriptor", "body_attributes"}
RESEARCH_CHECKS = {"glasses", "headwear_type"}


@pytest.fixture(scope="module")
async def open_account(server_url: str, open_folder: Path) -> AsyncIterator[Account]:
    """An account of a second platform, with the licence "open"."""
    environment = {**settings_of(open_folder / "open"), "LUNARIA_MODELS_LICENCE": "open"}
    url = await fresh_database(server_url, f"lunaria_open_{uuid4().hex[:8]}")
    async with running(load(environment), url) as platform:
        transport = httpx.ASGITransport(platform.application(), raise_app_exceptions=False)
        login = "open@example.org"
        async with httpx.AsyncClient(transport=transport, base_url="http://lunaria", auth=(login, PASSWORD)) as client:
            body = {"login": login, "password": PASSWORD, "account_type": "user"}
            made = await client.post("/6/accounts", json=body, auth=None)
            yield Account(checked(made, 201)["account_id"], login, client)


@pytest.fixture(scope="module")
def obama(photos: Path) -> bytes:  # noqa: F811
    return encode(read(photos / "obama.jpg"))


async def features(account: Account) -> dict[str, Any]:
    return dict(checked(await account.client.get("/6/features")))


async def test_features_say_so(open_account: Account, account: Account) -> None:
    found, whole = await features(open_account), await features(account)
    assert found["license"] is True
    assert {name for name, works in found["estimations"].items() if not works} == REFUSED
    assert all(whole["estimations"].values())
    assert found["estimations"].keys() == whole["estimations"].keys()
    for one in (found, whole):
        assert one["sources"].keys() == {name for name, works in one["estimations"].items() if works}
    assert {source["licence"] for source in found["sources"].values()} == {"open"}
    assert {source["licence"] for source in whole["sources"].values()} == {"open", "research"}
    networks = built_in_pack("default").networks
    assert found["sources"]["emotions"]["network"] == networks["face_emotions_open"].title
    assert whole["sources"]["emotions"]["network"].startswith(networks["face_emotions"].title)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        *((f"detect_face=1&estimate_{name}=1", name) for name in ("glasses", "deepfake")),
        ("detect_body=1", "body_descriptor"),
        ("image_type=2", "body_descriptor"),
        *(
            (f"detect_body=1&estimate_body_descriptor=0&estimate_{name}=1", "body_attributes")
            for name in ("upper_body", "lower_body", "accessories", "body_basic_attributes")
        ),
        ("image_type=1&estimate_glasses=1", "glasses"),
    ],
)
async def test_refusals_name_the_estimate(open_account: Account, obama: bytes, query: str, name: str) -> None:
    reply = await open_account.client.post(f"{sdk.URL}?{query}", content=obama, headers=JPEG)
    assert refused(reply, 403, 11044).startswith(f"{name} ")


async def test_verifiers_cannot_ask_for_what_is_turned_off(open_account: Account) -> None:
    for method, path in (("POST", "/6/verifiers"), ("PUT", f"/6/verifiers/{uuid4()}")):
        body = {"policies": {"detect_policy": {"estimate_glasses": 1}}}
        reply = await open_account.client.request(method, path, json=body)
        assert "glasses" in refused(reply, 403, 11044)


async def test_what_is_left_works(open_account: Account, obama: bytes) -> None:
    """With the open networks for emotions and ethnicity; the bodies without a descriptor."""
    flags = [
        *("estimate_head_pose", "estimate_emotions", "estimate_liveness", "estimate_gaze", "estimate_eyes_attributes"),
        *("estimate_mask", "estimate_mouth_attributes"),
        *("estimate_basic_attributes", "estimate_quality", "estimate_landmarks68", "estimate_face_descriptor"),
    ]
    query = f"detect_face=1&detect_body=1&estimate_people_count=1&estimate_body_warp=1&{sdk.only(*flags)}"
    image = await sdk.ask_one(open_account, query, obama)
    person = image["estimations"][0]
    sdk.check_face(person["face"]["detection"], flags)
    sdk.check_body(person["body"]["detection"], ["estimate_body_warp"])
    basic = person["face"]["detection"]["attributes"]["basic_attributes"]
    assert basic["gender"] == 1
    assert image["image_estimations"]["people_count"] >= 1


async def test_checks_that_need_research_are_left_out(open_account: Account, obama: bytes) -> None:
    (image,) = checked(await open_account.client.post("/6/iso", content=obama, headers=JPEG))["images"]
    (person,) = image["estimations"]
    iso = person["face"]["detection"]["iso"]
    check_checks(iso, [name for name in ISO_CHECKS if name not in RESEARCH_CHECKS])


async def test_liveness_and_extraction(open_account: Account, obama: bytes) -> None:
    (image,) = checked(await open_account.client.post("/6/liveness", content=obama, headers=JPEG))["images"]
    assert image["liveness"]["prediction"] == 1
    found = checked(await open_account.client.post("/6/detector", content=obama, headers=JPEG))["images"][0]
    sample = found["detections"]["samples"][0]["face"]["sample_id"]
    reply = await open_account.client.post("/6/extractor?extract_basic_attributes=1", json=[sample])
    (item,) = checked(reply, 201)
    sdk.FACE_ATTRIBUTES["estimate_basic_attributes"][1](item["basic_attributes"])
