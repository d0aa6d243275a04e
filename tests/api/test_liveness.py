"""POST /6/liveness: numbers of real faces, what has no estimate, merged estimates, old clients' parts of the form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from lunaria.estimation.schemas import LivenessResult
from tests.api.conftest import Account
from tests.api.sdk import faces, number
from tests.estimation.pictures import JPEG, beside, checked, encode, files, grey, read, refused
from tests.vision.conftest import photos  # noqa: F401

URL = "/6/liveness"
SPOOF, REAL, UNKNOWN = 0, 1, 2
Json = dict[str, Any]


@pytest.fixture(scope="module")
def pictures(photos: Path) -> dict[str, bytes]:  # noqa: F811
    pixels = {name: read(photos / f"{name}.jpg") for name in ("obama", "biden")}
    colourless = np.repeat(pixels["obama"].mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    return {
        **{name: encode(picture) for name, picture in pixels.items()},
        "colourless": encode(colourless),
        "pair": encode(beside(pixels["obama"], pixels["biden"])),
        "none": encode(grey()),
    }


async def ask(account: Account, query: str, picture: bytes) -> Json:
    return dict(checked(await account.client.post(f"{URL}?{query}", content=picture, headers=JPEG)))


def check(liveness: Any) -> tuple[int, float, float]:
    """Prediction, probability and quality of a rightly shaped estimate."""
    assert liveness.keys() == {"prediction", "estimations"}
    assert liveness["estimations"].keys() == {"probability", "quality"}
    for value in liveness["estimations"].values():
        number(value, 0, 1)
    assert type(liveness["prediction"]) is int
    assert liveness["prediction"] in (SPOOF, REAL, UNKNOWN)
    return liveness["prediction"], liveness["estimations"]["probability"], liveness["estimations"]["quality"]


async def test_one_face(account: Account, pictures: dict[str, bytes]) -> None:
    answer = await ask(account, "", pictures["obama"])
    assert answer.keys() == {"images", "aggregate_estimations"}
    assert answer["aggregate_estimations"] == {"liveness": None}
    (image,) = answer["images"]
    assert image.keys() == {"filename", "status", "liveness", "error"}
    assert (image["filename"], image["status"], image["error"]["error_code"]) == ("raw_image", 1, 0)
    prediction, probability, quality = check(image["liveness"])
    assert (prediction, probability > 0.8, quality > 0.8) == (REAL, True, True)


async def test_the_same_as_of_the_other_operation(account: Account, pictures: dict[str, bytes]) -> None:
    """/6/sdk says the word and the score."""
    for name, word, expected in (("obama", "real", REAL), ("colourless", "unknown", UNKNOWN)):
        (image,) = (await ask(account, "", pictures[name]))["images"]
        (face,) = await faces(account, "detect_face=1&estimate_liveness=1", pictures[name])
        found = face["attributes"]["liveness"]
        prediction, probability, quality = check(image["liveness"])
        assert (prediction, found["prediction"]) == (expected, word)
        assert (probability, quality) == (found["estimations"]["score"], found["estimations"]["quality"])


async def test_images_without_an_estimate(account: Account, pictures: dict[str, bytes]) -> None:
    """Each has its error: no face, several faces, no image."""
    form = files(
        good_jpg=pictures["obama"],
        none_jpg=pictures["none"],
        two_jpg=pictures["pair"],
        broken_jpg=pictures["obama"][:5000],
        text_jpg=b"no image",
        again_jpg=pictures["biden"],
    )
    images = checked(await account.client.post(URL, files=form))["images"]
    assert [image["filename"].removesuffix(".jpg") for image in images] == [
        *("good", "none", "two", "broken", "text", "again"),
    ]
    assert [image["error"]["error_code"] for image in images] == [0, 32008, 32017, 100010, 100029, 0]
    assert [image["status"] for image in images] == [1, 0, 0, 0, 0, 1]
    assert [image["liveness"] is None for image in images] == [False, True, True, True, True, False]
    assert "none.jpg" in images[1]["error"]["detail"]
    assert "two.jpg" in images[2]["error"]["detail"]


async def test_aggregation(account: Account, pictures: dict[str, bytes]) -> None:
    """The mean of what was estimated, decided anew; the images stay as they are."""
    form = files(a_jpg=pictures["obama"], b_jpg=pictures["none"], c_jpg=pictures["colourless"], d_jpg=pictures["biden"])
    apart = checked(await account.client.post(URL, files=form))
    answer = checked(await account.client.post(f"{URL}?aggregate=1", files=form))
    assert answer["images"] == apart["images"]
    numbers = np.array([check(image["liveness"])[1:] for image in answer["images"] if image["liveness"]])
    _, probability, quality = check(answer["aggregate_estimations"]["liveness"])
    assert len(numbers) == 3
    assert (probability, quality) == pytest.approx(tuple(numbers.mean(axis=0)))
    alone = await ask(account, "aggregate=1", pictures["obama"])
    assert alone["aggregate_estimations"]["liveness"] == alone["images"][0]["liveness"]


async def test_aggregation_of_nothing(account: Account, pictures: dict[str, bytes]) -> None:
    answer = await ask(account, "aggregate=1", pictures["none"])
    assert answer["aggregate_estimations"] == {"liveness": None}


async def test_parts_of_old_clients_are_ignored(account: Account, pictures: dict[str, bytes]) -> None:
    device = [
        ("meta", (None, b'{"mobile": {"device": "UNKNOWN"}}', "application/json")),
        ("x_meta", (None, b"{}", "text/plain")),
    ]
    reply = await account.client.post(URL, files=[*device, *files(a_jpg=pictures["obama"], b_jpg=pictures["biden"])])
    assert [check(image["liveness"])[0] for image in checked(reply)["images"]] == [REAL, REAL]
    refused(await account.client.post(URL, files=device), 400, 12022)


async def test_images_by_address(account: Account, pictures: dict[str, bytes]) -> None:
    url = checked(await account.client.post("/6/images", content=pictures["obama"], headers=JPEG), 201)["url"]
    for body in ([url], [{"url": url}], {"urls": [url]}):
        (image,) = checked(await account.client.post(URL, json=body))["images"]
        assert (image["filename"], image["liveness"]["prediction"]) == (url, REAL)


async def test_answers_are_as_documented(account: Account, pictures: dict[str, bytes]) -> None:
    form = files(a_jpg=pictures["obama"], broken_jpg=b"x", none_jpg=pictures["none"], two_jpg=pictures["pair"])
    for aggregate in (0, 1):
        reply = await account.client.post(f"{URL}?aggregate={aggregate}", files=form)
        answer = msgspec.json.decode(reply.content, type=LivenessResult)
        assert msgspec.json.decode(msgspec.json.encode(answer)) == reply.json()


async def test_bad_requests(account: Account) -> None:
    reply = await account.client.post(f"{URL}?aggregate=2", content=b"x", headers=JPEG)
    assert "'aggregate'" in refused(reply, 400, 12012)
    refused(await account.client.post(URL, content=b"x", headers={"Content-Type": "text/plain"}), 400, 12017)
    refused(await account.client.post(URL, content=b"", headers=JPEG), 400, 12030)
    unknown = {"device": (None, b"{}", "application/json")}
    refused(await account.client.post(URL, files=unknown), 400, 12039)


async def test_right_of_a_token(account: Account, transport: httpx.ASGITransport, pictures: dict[str, bytes]) -> None:
    for resources, status in ((["liveness"], 200), (["sdk", "iso"], 403)):
        body = {"permissions": {"resources": resources}, "expiration_time": None}
        token = checked(await account.client.post("/6/tokens", json=body), 201)["token"]
        headers = {**JPEG, "Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://lunaria") as bearer:
            reply = await bearer.post(URL, content=pictures["none"], headers=headers)
        checked(reply, status)
        if status == 403:
            refused(reply, 403, 11060)
