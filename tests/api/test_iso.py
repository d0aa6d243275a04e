"""POST /6/iso: the checks of portraits, on real photographs and on such that were spoilt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from PIL import Image as PillowImage

from lunaria.estimation.schemas import IsoResult
from tests.api.checks import DEFAULTS, ISO_CHECKS, NO_WARP_CHECKS, by_name, check_checks
from tests.api.conftest import Account
from tests.estimation.pictures import JPEG, beside, checked, encode, files, grey, read, refused
from tests.vision.conftest import photos  # noqa: F401

URL = "/6/iso"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def pictures(photos: Path) -> dict[str, bytes]:  # noqa: F811
    pixels = {name: read(photos / f"{name}.jpg") for name in ("obama", "biden")}
    made = {name: encode(picture) for name, picture in pixels.items()}
    made["pair"] = encode(beside(pixels["obama"], pixels["biden"]))
    made["none"] = encode(grey())
    return made


async def ask(account: Account, query: str, picture: bytes, kind: str = "jpeg") -> Json:
    """What is answered of one picture that can be used."""
    reply = await account.client.post(f"{URL}?{query}", content=picture, headers={"Content-Type": f"image/{kind}"})
    (image,) = checked(reply)["images"]
    assert (image["status"], image["error"]["error_code"]) == (1, 0), image
    return dict(image)


async def checks_of(account: Account, query: str, picture: bytes, kind: str = "jpeg") -> Json:
    """The checks of the one face of a picture by their names."""
    (person,) = (await ask(account, query, picture, kind))["estimations"]
    return by_name(person["face"]["detection"]["iso"])


async def test_all_checks_of_a_face(account: Account, pictures: dict[str, bytes]) -> None:
    image = await ask(account, "", pictures["obama"])
    assert image.keys() == {"filename", "status", "error", "estimations", "exif"}
    assert (image["filename"], image["exif"]) == ("raw_image", {})
    (person,) = image["estimations"]
    detection = person["face"]["detection"]
    assert detection.keys() - {"attributes"} == {"rect", "iso"}
    assert detection.get("attributes", {}) == {}
    check_checks(detection["iso"], ISO_CHECKS)
    found = by_name(detection["iso"])
    values = {name: check["object_value"] for name, check in found.items()}
    assert values["image_format"] == "JPEG"
    assert (values["face_color_type"], values["glasses"], values["headwear_type"]) == ("color", "no_glasses", "none")
    assert (values["left_eye"], values["right_eye"], values["red_eyes"]) == ("open", "open", "non_red")
    assert values["eye_distance"] == pytest.approx(106 * 800 / 1137, rel=0.06)  # measured by independent scripts
    assert abs(values["head_horizontal_center"] - 0.54) < 0.05


@pytest.mark.parametrize(
    ("name", "spoil", "check", "passes"),
    [
        ("obama", lambda pixels: pixels, "head_roll", True),
        ("obama", lambda pixels: _turned(pixels, 20), "head_roll", False),
        ("obama", lambda pixels: pixels, "face_color_type", True),
        ("obama", lambda pixels: np.repeat(pixels.mean(axis=2, keepdims=True), 3, 2), "face_color_type", False),
        ("obama", lambda pixels: pixels, "dark_quality", True),
        ("obama", lambda pixels: pixels * 0.1, "dark_quality", False),
        ("obama", lambda pixels: pixels, "light_quality", True),
        ("obama", lambda pixels: pixels * 3.0, "light_quality", False),
        ("obama", lambda pixels: pixels, "blurriness_quality", True),
        ("obama", lambda pixels: _blurred(pixels), "blurriness_quality", False),
        ("obama", lambda pixels: pixels[::2, ::2], "eye_distance", False),
        ("biden", lambda pixels: pixels, "head_roll", False),
        ("biden", lambda pixels: pixels, "head_yaw", False),
    ],
)
async def test_checks_follow_the_picture(
    account: Account,
    photos: Path,  # noqa: F811
    name: str,
    spoil: Any,
    check: str,
    passes: bool,
) -> None:
    data = encode(np.clip(spoil(read(photos / f"{name}.jpg").astype(float)), 0, 255).astype(np.uint8))
    assert bool((await checks_of(account, "", data))[check]["result"]) is passes


def _turned(pixels: np.ndarray, degrees: float) -> np.ndarray:
    return np.array(PillowImage.fromarray(pixels.astype(np.uint8)).rotate(degrees, PillowImage.Resampling.BICUBIC))


def _blurred(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    small = PillowImage.fromarray(pixels.astype(np.uint8)).resize((width // 12, height // 12))
    return np.array(small.resize((width, height), PillowImage.Resampling.BICUBIC))


async def test_status_needs_every_check(account: Account, pictures: dict[str, bytes]) -> None:
    """A press photograph is no portrait: it fails, by those checks that say so."""
    (person,) = (await ask(account, "", pictures["biden"]))["estimations"]
    iso = person["face"]["detection"]["iso"]
    assert iso["status"] == 0
    assert any(check["result"] == 0 for check in iso["checks"])
    assert any(check["result"] == 1 for check in iso["checks"])


@pytest.mark.parametrize(("form", "passes"), [("PNG", 1), ("BMP", 0), ("TIFF", 0)])
async def test_image_format(account: Account, photos: Path, form: str, passes: int) -> None:  # noqa: F811
    data = encode(read(photos / "obama.jpg")[:400], form)
    found = (await checks_of(account, "", data, form.lower()))["image_format"]
    assert (found["object_value"], found["result"]) == (form, passes)
    assert found["threshold_value"] == ["JPEG", "JPEG2000", "PNG"]


async def test_policies(account: Account, pictures: dict[str, bytes]) -> None:
    """Several faces are refused unless asked for otherwise."""
    for query in ("", "multiface_policy=0"):
        reply = await account.client.post(f"{URL}?{query}", content=pictures["pair"], headers=JPEG)
        (image,) = checked(reply)["images"]
        assert (image["status"], image["error"]["error_code"], image["estimations"]) == (0, 11038, [])
    both = (await ask(account, "multiface_policy=1", pictures["pair"]))["estimations"]
    (best,) = (await ask(account, "multiface_policy=2", pictures["pair"]))["estimations"]
    assert len(both) == 2
    for person in (*both, best):
        check_checks(person["face"]["detection"]["iso"], ISO_CHECKS)
    one, other = (person["face"]["detection"] for person in (best, both[0]))
    assert one["rect"] == other["rect"]
    for first, second in zip(one["iso"]["checks"], other["iso"]["checks"], strict=True):
        # networks that take several faces at once round differently
        assert first["object_value"] == (
            pytest.approx(second["object_value"], abs=0.01)
            if isinstance(first["object_value"], float)
            else second["object_value"]
        )


async def test_face_warp(account: Account, pictures: dict[str, bytes]) -> None:
    """Only what needs the surroundings is left out; the face is judged alike."""
    query = "/6/detector?estimate_face_quality=1"
    sample = checked(await account.client.post(query, content=pictures["obama"], headers=JPEG))["images"][0]
    url = sample["detections"]["samples"][0]["face"]["url"]
    warp = (await account.client.get(url)).content
    (person,) = (await ask(account, "image_type=1", warp))["estimations"]
    detection = person["face"]["detection"]
    assert detection["rect"] == {"x": 0, "y": 0, "width": 250, "height": 250}
    expected = [name for name in ISO_CHECKS if name not in NO_WARP_CHECKS]
    check_checks(detection["iso"], expected)
    raw, cut = await checks_of(account, "", pictures["obama"]), by_name(detection["iso"])
    for name in ("glasses", "headwear_type", "left_eye", "right_eye", "face_color_type"):
        assert raw[name]["object_value"] == cut[name]["object_value"], name
    for name in ("dark_quality", "light_quality", "mouth_smiling", "mouth_open"):
        assert abs(raw[name]["object_value"] - cut[name]["object_value"]) < 0.2, name
    reply = await account.client.post(f"{URL}?image_type=1", content=pictures["obama"], headers=JPEG)
    (image,) = checked(reply)["images"]
    assert (image["error"]["error_code"], image["error"]["detail"]) == (11030, "Image size is not equal to 250x250")


async def test_several_images_with_errors_of_their_own(account: Account, pictures: dict[str, bytes]) -> None:
    form = files(
        a_jpg=pictures["obama"], cut_jpg=pictures["obama"][:5000], none_jpg=pictures["none"], two_jpg=pictures["pair"]
    )
    images = checked(await account.client.post(URL, files=form))["images"]
    assert [image["filename"] for image in images] == ["a.jpg", "cut.jpg", "none.jpg", "two.jpg"]
    assert [image["error"]["error_code"] for image in images] == [0, 100010, 0, 11038]
    assert [image["status"] for image in images] == [1, 0, 1, 0]
    assert [len(image["estimations"]) for image in images] == [1, 0, 0, 0]


async def test_exif(account: Account, photos: Path) -> None:  # noqa: F811
    """Tags when they are asked for; the picture is turned upright in any case."""
    data = encode(np.rot90(read(photos / "obama.jpg")), orientation=6)
    for query, exif in (("extract_exif=1", {"Orientation": 6, "Make": "Maker"}), ("", {})):
        image = await ask(account, query, data)
        assert image["exif"] == exif
        (person,) = image["estimations"]
        assert by_name(person["face"]["detection"]["iso"])["head_roll"]["result"] == 1


async def test_stored_image_by_its_address(account: Account, pictures: dict[str, bytes]) -> None:
    url = checked(await account.client.post("/6/images", content=pictures["obama"], headers=JPEG), 201)["url"]
    (image,) = checked(await account.client.post(URL, json=[url]))["images"]
    assert (image["filename"], len(image["estimations"])) == (url, 1)


async def test_answers_are_as_documented_in_both_forms(account: Account, pictures: dict[str, bytes]) -> None:
    form = files(two_jpg=pictures["pair"], broken_jpg=b"x", none_jpg=pictures["none"])
    reply = await account.client.post(f"{URL}?multiface_policy=1", files=form)
    answer = msgspec.json.decode(reply.content, type=IsoResult)
    assert msgspec.json.decode(msgspec.json.encode(answer)) == reply.json()
    packed = await account.client.post(
        f"{URL}?multiface_policy=1", files=form, headers={"Accept": "application/msgpack"}
    )
    assert packed.headers["content-type"] == "application/msgpack"
    assert msgspec.msgpack.decode(packed.content) == reply.json()


@pytest.mark.parametrize(("name", "value"), [("image_type", "2"), ("multiface_policy", "3"), ("extract_exif", "yes")])
async def test_bad_parameters(account: Account, name: str, value: str) -> None:
    reply = await account.client.post(f"{URL}?{name}={value}", content=b"x", headers=JPEG)
    assert f"'{name}'" in refused(reply, 400, 12012)


async def test_bad_requests(account: Account) -> None:
    refused(await account.client.post(URL, content=b"x", headers={"Content-Type": "text/plain"}), 400, 12017)
    refused(await account.client.post(URL, content=b"", headers=JPEG), 400, 12030)
    refused(await account.client.post(URL, json=[]), 400, 12022)
    refused(await account.client.post(URL, content=b"x", headers={**JPEG, "Accept": "text/csv"}), 406, 12023)
    part = {"image": ("a.txt", b"x", "text/plain")}
    refused(await account.client.post(URL, files=part), 400, 11029)


async def test_right_of_a_token(account: Account, transport: httpx.ASGITransport, pictures: dict[str, bytes]) -> None:
    for resources, status in ((["iso"], 200), (["sdk", "liveness"], 403)):
        body = {"permissions": {"resources": resources}, "expiration_time": None}
        token = checked(await account.client.post("/6/tokens", json=body), 201)["token"]
        headers = {**JPEG, "Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://lunaria") as bearer:
            reply = await bearer.post(URL, content=pictures["none"], headers=headers)
        checked(reply, status)
        if status == 403:
            refused(reply, 403, 11060)


def test_table_of_the_checks_is_whole() -> None:
    assert len(DEFAULTS) == 44
    assert set(ISO_CHECKS) < set(DEFAULTS)
