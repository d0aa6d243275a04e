"""Face and body samples, with their deprecated addresses."""

import io
from uuid import uuid4

import httpx
import numpy as np
import pytest
from PIL import Image

from lunaria.app import Platform
from lunaria.blobs.service import BlobKind
from lunaria.http.errors import ApiError
from lunaria.storage.blobstore import blob_key
from lunaria.storage.scope import Scope
from tests.api.conftest import Account, AccountFactory

TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "PPM": "image/x-portable-pixmap",
}
SIZES = {"faces": (250, 250), "bodies": (128, 256)}


def picture(form: str = "JPEG", size: tuple[int, int] = (250, 250), mode: str = "RGB", **options: object) -> bytes:
    """A smooth picture, so that JPEG changes it little."""
    across, down = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    pixels = np.stack([across, down, np.full_like(across, 90)], axis=2).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


async def save(account: Account, data: bytes, kind: str = "faces", content_type: str = "image/jpeg") -> httpx.Response:
    return await account.client.post(f"/6/samples/{kind}", content=data, headers={"Content-Type": content_type})


@pytest.mark.parametrize("kind", SIZES)
async def test_life_of_a_sample(account: Account, kind: str) -> None:
    data = picture(size=SIZES[kind])
    made = await save(account, data, kind)
    assert made.status_code == 201, made.text
    url = f"/6/samples/{kind}/{made.json()['sample_id']}"
    assert made.json() == {"sample_id": made.json()["sample_id"], "url": url}
    assert made.headers["location"] == url
    shown = await account.client.get(url)
    assert shown.status_code == 200
    assert shown.headers["content-type"] == "image/jpeg"
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert shown.content == data
    checked = await account.client.head(url)
    assert (checked.status_code, checked.content) == (200, b"")
    assert checked.headers["content-type"] == "image/jpeg"
    assert checked.headers["content-length"] == str(len(data))
    assert (await account.client.delete(url)).status_code == 204
    for reply in (await account.client.get(url), await account.client.delete(url)):
        assert (reply.status_code, reply.json()["error_code"]) == (404, 13003)
        assert made.json()["sample_id"] in reply.json()["detail"]
    assert (await account.client.head(url)).status_code == 404


@pytest.mark.parametrize("form", TYPES)
async def test_every_type_is_kept_as_jpeg(account: Account, form: str) -> None:
    made = await save(account, picture(form), content_type=TYPES[form])
    assert made.status_code == 201, made.text
    shown = await account.client.get(made.json()["url"])
    with Image.open(io.BytesIO(shown.content)) as kept:
        assert (kept.format, kept.size, kept.mode) == ("JPEG", (250, 250), "RGB")
        with Image.open(io.BytesIO(picture(form))) as sent:
            difference = np.abs(np.asarray(kept, int) - np.asarray(sent, int))
    assert difference.max() <= 12


async def test_only_a_plain_jpeg_keeps_its_bytes(account: Account) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "A camera"
    for data in (picture(progressive=True), picture(mode="L"), picture(exif=exif), picture(mode="CMYK")):
        made = await save(account, data)
        assert made.status_code == 201, made.text
        kept = (await account.client.get(made.json()["url"])).content
        assert kept != data
        with Image.open(io.BytesIO(kept)) as opened:
            assert (opened.mode, dict(opened.getexif())) == ("RGB", {})
            assert "progressive" not in opened.info


@pytest.mark.parametrize(
    ("kind", "size"), [("faces", (250, 251)), ("faces", (128, 256)), ("bodies", (250, 250)), ("bodies", (256, 128))]
)
async def test_wrong_size(account: Account, kind: str, size: tuple[int, int]) -> None:
    refused = await save(account, picture(size=size), kind)
    assert (refused.status_code, refused.json()["error_code"]) == (400, 11030)
    assert f"{SIZES[kind][0]}x{SIZES[kind][1]}" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("data", "content_type", "code"),
    [
        (b"no picture", "image/jpeg", 100029),
        (picture()[:3000], "image/jpeg", 100010),
        (picture("PNG"), "image/jpeg", 11028),
        (picture(), "image/png", 11028),
        (b"", "image/jpeg", 12030),
        (picture(), "image/gif", 12017),
        (picture(), "image/x-jpeg-base64", 12017),
        (picture(), "application/json", 12017),
    ],
)
async def test_what_is_no_sample(account: Account, data: bytes, content_type: str, code: int) -> None:
    refused = await save(account, data, content_type=content_type)
    assert (refused.status_code, refused.json()["error_code"]) == (400, code)


async def test_a_type_with_parameters(account: Account) -> None:
    assert (await save(account, picture(), content_type="image/JPEG; charset=binary")).status_code == 201


async def test_face_and_body_samples_are_apart(account: Account) -> None:
    face = (await save(account, picture())).json()["sample_id"]
    body = (await save(account, picture(size=(128, 256)), "bodies")).json()["sample_id"]
    assert (await account.client.get(f"/6/samples/bodies/{face}")).status_code == 404
    assert (await account.client.get(f"/6/samples/faces/{body}")).status_code == 404
    assert (await account.client.get(f"/6/samples/{body}")).status_code == 404
    assert (await account.client.delete(f"/6/samples/{body}")).status_code == 404
    assert (await account.client.get(f"/6/images/{face}")).json()["error_code"] == 13003
    for url in (f"/6/samples/{face}", f"/5/samples/{face}", f"/5/samples/{body}"):
        assert (await account.client.get(url)).status_code == 200
        assert (await account.client.head(url)).status_code == 200
    for gone, beside in ((f"/6/samples/{face}", "faces"), (f"/5/samples/{body}", "bodies")):
        assert (await account.client.delete(gone)).status_code == 204
        assert (await account.client.head(f"/6/samples/{beside}/{gone.rpartition('/')[2]}")).status_code == 404


async def test_unknown_addresses(account: Account) -> None:
    for url in ("/6/samples/hands", f"/6/samples/hands/{uuid4()}", "/6/samples/faces/1", "/5/samples/faces"):
        reply = await account.client.get(url)
        assert (reply.status_code, reply.json()["error_code"]) == (404, 12013)
    options = await account.client.options(f"/6/samples/{uuid4()}")
    assert (options.status_code, options.headers["allow"]) == (200, "GET,HEAD,DELETE,OPTIONS")


async def test_deprecated_addresses_are_marked(platform: Platform) -> None:
    marks = {(found.path, found.method): found.deprecated for found in platform.operations()}
    for method in ("GET", "HEAD", "DELETE"):
        assert marks["/6/samples/{sample_id:uuid}", method]
        assert marks["/5/samples/{sample_id:uuid}", method]
        assert not marks["/6/samples/faces/{sample_id:uuid}", method]


async def test_strangers_do_not_find_it(account: Account, stranger: Account, new_account: AccountFactory) -> None:
    sample_id = (await save(account, picture())).json()["sample_id"]
    overseer = await new_account("advanced_user")
    for url in (f"/6/samples/faces/{sample_id}", f"/6/samples/{sample_id}", f"/5/samples/{sample_id}"):
        assert (await stranger.client.get(url)).json()["error_code"] == 13003
        assert (await stranger.client.head(url)).status_code == 404
        assert (await overseer.client.get(url)).status_code == 200
        assert (await overseer.client.delete(url)).status_code == 404
        assert (await stranger.client.delete(url)).status_code == 404
        assert (await account.client.get(url)).status_code == 200


async def token(account: Account, transport: httpx.ASGITransport, permissions: dict[str, list[str]]) -> Account:
    body = {"permissions": permissions, "expiration_time": None, "visibility_area": "account"}
    made = (await account.client.post("/6/tokens", json=body)).json()
    headers = {"Authorization": f"Bearer {made['token']}"}
    return Account(account.id, "", httpx.AsyncClient(transport=transport, base_url="http://lunaria", headers=headers))


async def test_rights(account: Account, transport: httpx.ASGITransport) -> None:
    face = (await save(account, picture())).json()["sample_id"]
    body = (await save(account, picture(size=(128, 256)), "bodies")).json()["sample_id"]
    viewer = await token(account, transport, {"face_sample": ["view"]})
    refused = await save(viewer, picture())
    assert (refused.status_code, refused.json()["error_code"]) == (403, 11059)
    assert (await viewer.client.get(f"/6/samples/faces/{face}")).status_code == 200
    assert (await viewer.client.delete(f"/6/samples/faces/{face}")).json()["error_code"] == 11059
    assert (await viewer.client.get(f"/6/samples/bodies/{body}")).json()["error_code"] == 11059
    # the address that serves both kinds gives no more than the token grants
    assert (await viewer.client.get(f"/5/samples/{face}")).status_code == 200
    assert (await viewer.client.get(f"/5/samples/{body}")).json()["error_code"] == 13003
    both = await token(account, transport, {"face_sample": ["view", "deletion"], "body_sample": ["view"]})
    assert (await both.client.get(f"/5/samples/{body}")).status_code == 200
    assert (await both.client.delete(f"/5/samples/{body}")).json()["error_code"] == 13003
    saver = await token(account, transport, {"face_sample": ["creation"]})
    assert (await save(saver, picture())).status_code == 201
    assert (await save(saver, picture(size=(128, 256)), "bodies")).json()["error_code"] == 11059
    for made in (viewer, both, saver):
        await made.client.aclose()


async def test_many_at_once(platform: Platform, account: Account, stranger: Account) -> None:
    jpegs = [picture(quality=quality) for quality in range(30, 60)]
    ids = await platform.blobs.save_face_samples(account.id, jpegs)
    scope = Scope(account.id)
    assert await platform.blobs.load(scope, BlobKind.FACE_SAMPLE, ids) == jpegs
    assert await platform.blobs.load(scope, BlobKind.FACE_SAMPLE, [ids[3], ids[1], ids[3]]) == [
        jpegs[3],
        jpegs[1],
        jpegs[3],
    ]
    assert await platform.blobs.save_face_samples(account.id, []) == []
    assert await platform.blobs.load(scope, BlobKind.FACE_SAMPLE, []) == []
    missing = uuid4()
    for asked, of in (([ids[0], missing, ids[1]], scope), ([missing], scope), ([ids[2]], Scope(stranger.id))):
        with pytest.raises(ApiError) as refused:
            await platform.blobs.load(of, BlobKind.FACE_SAMPLE, asked)
        assert (refused.value.code, refused.value.status) == (13003, 404)
        assert str(missing if missing in asked else ids[2]) in refused.value.detail


async def test_deleted_bytes_are_gone(platform: Platform, account: Account) -> None:
    sample_id = await platform.blobs.save_face_sample(account.id, picture())
    key = blob_key("faces", sample_id)
    assert await platform.blob_store.exists(key)
    await account.client.delete(f"/6/samples/faces/{sample_id}")
    assert not await platform.blob_store.exists(key)


async def test_a_failing_record_leaves_nothing_to_find(
    platform: Platform, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = []

    async def put(key: str, data: bytes) -> None:
        ids.append(key)
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(platform.blob_store, "put", put)
        refused = await save(account, picture())
    assert refused.status_code == 500
    (key,) = ids
    assert (await account.client.get(f"/6/samples/faces/{key.rpartition('/')[2]}")).status_code == 404


async def test_a_sample_deleted_while_it_is_read(platform: Platform, account: Account) -> None:
    sample_id = await platform.blobs.save_face_sample(account.id, picture())
    await platform.blob_store.delete(blob_key("faces", sample_id))
    reply = await account.client.get(f"/6/samples/faces/{sample_id}")
    assert (reply.status_code, reply.json()["error_code"]) == (404, 13003)
