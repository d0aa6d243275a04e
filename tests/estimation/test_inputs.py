"""Images of requests in every form, with what is wrong with one of them and what is wrong with the request."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from lunaria.blobs.service import BlobKind, BlobsService
from lunaria.blobs.store import BlobsStore
from lunaria.estimation.inputs import IMAGE_BODY, IMAGE_BODY_ERRORS, ImageInputs, InputImage
from lunaria.http.errors import CATALOGUE, ApiError
from lunaria.http.operation import Call
from lunaria.http.principal import AccountType, Credential, Principal
from lunaria.http.query import NoQuery
from lunaria.kit.outbound import OutboundClient
from lunaria.kit.pool import WorkerPool
from lunaria.kit.times import SystemClock
from lunaria.storage.blobstore import BlobStoreUnavailableError, open_blob_store
from lunaria.storage.database import Database
from lunaria.vision.images import Decoder
from lunaria.vision.plan import Box

MAX_BYTES = 1000
MAX_IMAGES = 5
OWNER = Principal(uuid4(), AccountType.USER, Credential.BASIC)
STRANGER = Principal(uuid4(), AccountType.USER, Credential.BASIC)
BOX = {"x": 1, "y": 2, "width": 3, "height": 4}
File = tuple[str, tuple[str | None, bytes, str | None]]


@pytest.fixture(scope="module")
async def blobs(database: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BlobsService]:
    pool = WorkerPool(1, 8)
    folder = str(tmp_path_factory.mktemp("blobs"))
    yield BlobsService(BlobsStore(database), open_blob_store(folder), Decoder(), pool, SystemClock())
    pool.close()


@pytest.fixture
async def inputs(blobs: BlobsService) -> AsyncIterator[ImageInputs]:
    outbound = OutboundClient(["127.0.0.0/8"], 2.0)
    yield ImageInputs(blobs, outbound, max_images=MAX_IMAGES, max_bytes=MAX_BYTES)
    await outbound.close()


def call(body: bytes, content_type: str, principal: Principal = OWNER, host: str = "lunaria:5000") -> Call[Any, bytes]:
    return Call(principal, {}, NoQuery(), body, {"content-type": content_type, "host": host}, "")


def json_call(body: Any, **options: Any) -> Call[Any, bytes]:
    return call(msgspec.json.encode(body), "application/json; charset=utf-8", **options)


def form_call(files: Sequence[File]) -> Call[Any, bytes]:
    request = httpx.Request("POST", "http://host/", files=files)
    return call(request.read(), request.headers["content-type"])


def codes(images: Sequence[InputImage]) -> list[int | None]:
    return [image.error and image.error.code for image in images]


async def refusal(inputs: ImageInputs, request: Call[Any, bytes]) -> ApiError:
    with pytest.raises(ApiError) as refused:
        await inputs.read(request)
    assert refused.value.status == 400
    return refused.value


async def test_a_file(inputs: ImageInputs) -> None:
    for kind in ("image/jpeg", "image/png", "image/bmp", "image/tiff", "image/x-portable-pixmap", "IMAGE/JPEG; a=b"):
        assert await inputs.read(call(b"data", kind)) == [InputImage("raw_image", b"data")]


@pytest.mark.parametrize("kind", ["jpeg", "png", "bmp", "tiff", "portable-pixmap"])
async def test_base64(inputs: ImageInputs, kind: str) -> None:
    data = bytes(range(256))
    text = base64.b64encode(data)
    for written in (
        text,
        base64.encodebytes(data),
        text.replace(b"A", b"A\r\n"),
        b"data:image/jpeg;base64," + text,
        b" data:image/png;charset=x;base64,\n" + text + b"\n",
    ):
        assert await inputs.read(call(written, f"image/x-{kind}-base64")) == [InputImage("raw_image", data)]


@pytest.mark.parametrize("text", [b"!", b"AAA", b"AAAA=", b"AA=A", b"\xff\xd8\xff", b"data:image/jpeg,AAAA", b"QQ-_"])
async def test_bad_base64(inputs: ImageInputs, text: bytes) -> None:
    (image,) = await inputs.read(call(text, "image/x-jpeg-base64"))
    assert (image.data, image.error and image.error.code) == (None, 18001)


async def test_the_size_of_one_image(inputs: ImageInputs) -> None:
    for size, code in ((MAX_BYTES, None), (MAX_BYTES + 1, 100012), (MAX_BYTES * 9, 100012)):
        data = bytes(size)
        form: list[File] = [("image", ("a", data, "image/png")), ("image", ("b", b"b", "image/png"))]
        assert codes(await inputs.read(call(data, "image/png"))) == [code]
        assert codes(await inputs.read(call(base64.b64encode(data), "image/x-png-base64"))) == [code]
        assert codes(await inputs.read(form_call(form))) == [code, None]


async def test_a_form(inputs: ImageInputs) -> None:
    images = await inputs.read(
        form_call(
            [
                ("image", ("a.jpg", b"a", "image/jpeg")),
                ("image", ("b.png", base64.b64encode(b"b"), "image/x-png-base64")),
                ("anything", ("c.bin", b"c", "application/octet-stream")),
                ("other", (None, b"d", "image/bmp")),
                ("image", ("e", b"?", "image/x-bmp-base64")),
            ]
        )
    )
    assert [(image.filename, image.data) for image in images] == [
        ("a.jpg", b"a"),
        ("b.png", b"b"),
        ("c.bin", b"c"),
        ("raw_image", b"d"),
        ("e", None),
    ]
    assert codes(images) == [None, None, None, None, 18001]


def boxes_part(name: str, *entries: tuple[str, list[Any]], kind: str | None = "application/json") -> File:
    value = [{"filename": filename, name: boxes} for filename, boxes in entries]
    return (name, (None, msgspec.json.encode(value), kind))


async def test_boxes_of_a_form(inputs: ImageInputs) -> None:
    images = await inputs.read(
        form_call(
            [
                boxes_part("face_bounding_boxes", ("b", [BOX, {**BOX, "x": 0}]), ("c", [])),
                ("image", ("a", b"a", "image/jpeg")),
                ("image", ("b", b"b", "image/jpeg")),
                ("image", ("c", b"c", "image/jpeg")),
                boxes_part("body_bounding_boxes", ("a", [BOX]), kind=None),
            ]
        )
    )
    assert [image.face_boxes for image in images] == [None, [Box(1, 2, 3, 4), Box(0, 2, 3, 4)], None]
    assert [image.body_boxes for image in images] == [[Box(1, 2, 3, 4)], None, None]


FILE: File = ("image", ("a", b"a", "image/jpeg"))


@pytest.mark.parametrize(
    ("files", "code", "detail"),
    [
        ([("policies", (None, b"{}", "application/json"))], 12039, "policies"),
        ([FILE, ("meta", (None, b"{}", "application/json"))], 12039, "meta"),
        ([FILE, boxes_part("face_bounding_boxes"), boxes_part("face_bounding_boxes")], 12040, "face_bounding_boxes"),
        ([FILE, boxes_part("body_bounding_boxes", kind="text/plain")], 12041, "body_bounding_boxes"),
        ([FILE, boxes_part("face_bounding_boxes", ("a", []), ("a", [BOX]))], 11048, "'a'"),
        ([FILE, boxes_part("face_bounding_boxes", ("z", [BOX]))], 12022, "face_bounding_boxes.0.filename"),
        ([FILE, boxes_part("face_bounding_boxes", ("a", [{**BOX, "x": -1}]))], 12022, "face_bounding_boxes.0"),
        ([FILE, boxes_part("face_bounding_boxes", ("a", [{**BOX, "width": 0}]))], 12022, "width"),
        ([FILE, boxes_part("face_bounding_boxes", ("a", [{**BOX, "height": 2**40}]))], 12022, "height"),
        ([FILE, boxes_part("face_bounding_boxes", ("a", [{**BOX, "depth": 1}]))], 12022, "depth"),
        ([FILE, ("face_bounding_boxes", (None, b"[", "application/json"))], 12002, "json"),
        ([("image", ("a.txt", b"a", "text/plain"))], 11029, "text/plain"),
        ([("image", ("a.gif", b"a", "image/gif"))], 11029, "a.gif"),
        ([boxes_part("face_bounding_boxes")], 12022, "at least one"),
        ([FILE] * (MAX_IMAGES + 1), 12022, "at most 5"),
    ],
)
async def test_bad_forms(inputs: ImageInputs, files: list[File], code: int, detail: str) -> None:
    error = await refusal(inputs, form_call(files))
    assert error.code == code
    assert detail in error.detail


async def test_a_form_that_is_none(inputs: ImageInputs) -> None:
    for body, header in ((b"x", "multipart/form-data; boundary=b"), (b"x", "multipart/form-data")):
        assert (await refusal(inputs, call(body, header))).code == 11049


async def test_parts_that_are_ignored(inputs: ImageInputs) -> None:
    request = form_call([FILE, ("meta", (None, b"{", "application/json")), ("x_meta", ("m.json", b"", "text/plain"))])
    assert [image.filename for image in await inputs.read(request, ignored_parts=("meta", "x_meta"))] == ["a"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ([], ""),
        ({}, "urls"),
        ({"urls": []}, "urls"),
        ({"urls": ["a"], "more": 1}, "more"),
        ([{"link": "a"}], "link"),
        ([{}], "url"),
        ([""], ""),
        (["a\x00b"], ""),
        (["/6/images/10bc2cb4-db84-410d-adc7-ff2ac17e4b2d\n"], ""),
        ([1], ""),
        ([{"url": "a", "face_bounding_boxes": [{"x": 1}]}], "face_bounding_boxes.0.y"),
        (["a"] * (MAX_IMAGES + 1), ""),
        ({"urls": ["a"] * (MAX_IMAGES + 1)}, "urls"),
        ("a", ""),
        (None, ""),
    ],
)
async def test_bad_json(inputs: ImageInputs, body: Any, path: str) -> None:
    error = await refusal(inputs, json_call(body))
    assert error.code == 12022
    assert path in error.detail


async def test_no_json(inputs: ImageInputs) -> None:
    for body in (b"[", b"\xff", b"[" * 100_000):
        assert (await refusal(inputs, call(body, "application/json"))).code in (12002, 12022)


async def save(blobs: BlobsService, kind: BlobKind, data: bytes, owner: Principal = OWNER) -> UUID:
    return await blobs.save(kind, owner.owner, data, "image/jpeg")


async def test_own_addresses(inputs: ImageInputs, blobs: BlobsService) -> None:
    image = await save(blobs, BlobKind.IMAGE, b"image")
    face = await save(blobs, BlobKind.FACE_SAMPLE, b"face")
    body = await save(blobs, BlobKind.BODY_SAMPLE, b"body")
    thing = await save(blobs, BlobKind.OBJECT, b"object")
    urls = [
        f"/6/images/{image}",
        f"http://lunaria:5000/6/samples/faces/{face}",
        f"https://LUNARIA:5000/6/samples/bodies/{str(body).upper()}",
        f"/6/objects/{thing}?a=b",
        f"/6/samples/{face}",
    ]
    expected = [b"image", b"face", b"body", b"object", b"face"]
    sources = [{"url": urls[0], "face_bounding_boxes": [BOX], "body_bounding_boxes": []}, *urls[1:]]
    for request in (sources, {"urls": sources}):
        images = await inputs.read(json_call(request))
        assert [found.data for found in images] == expected
        assert [found.filename for found in images] == urls
        assert (images[0].face_boxes, images[0].body_boxes) == ([Box(1, 2, 3, 4)], None)


async def test_own_addresses_keep_the_accounts_apart(inputs: ImageInputs, blobs: BlobsService) -> None:
    image = await save(blobs, BlobKind.IMAGE, b"image")
    thing = await save(blobs, BlobKind.OBJECT, b"object")
    own = await save(blobs, BlobKind.IMAGE, b"own", STRANGER)
    urls = [f"/6/images/{image}", f"/6/objects/{thing}", f"/6/images/{own}", f"/6/samples/faces/{image}"]
    images = await inputs.read(json_call(urls, principal=STRANGER))
    assert codes(images) == [13003, 13007, None, 13003]
    assert [found.data for found in images] == [None, None, b"own", None]


async def test_own_addresses_need_the_right_to_view(inputs: ImageInputs, blobs: BlobsService) -> None:
    urls = [
        f"/6/images/{await save(blobs, BlobKind.IMAGE, b'image')}",
        f"/6/samples/faces/{await save(blobs, BlobKind.FACE_SAMPLE, b'face')}",
    ]
    rights = {"image": ["view"], "face_sample": ["creation"], "resources": ["sdk"]}
    token = Principal(OWNER.account_id, AccountType.USER, Credential.TOKEN, rights)
    assert codes(await inputs.read(json_call(urls, principal=token))) == [None, 11059]


async def test_own_images_have_the_same_limit(inputs: ImageInputs, blobs: BlobsService) -> None:
    large = await save(blobs, BlobKind.OBJECT, bytes(MAX_BYTES + 1))
    assert codes(await inputs.read(json_call([f"/6/objects/{large}"]))) == [100012]


async def test_configured_hosts(blobs: BlobsService) -> None:
    image = await save(blobs, BlobKind.IMAGE, b"image")
    outbound = OutboundClient((), 1.0)
    inputs = ImageInputs(blobs, outbound, max_images=5, max_bytes=1000, own_hosts=("Faces.Example",))
    urls = [f"https://faces.example/6/images/{image}", f"http://127.0.0.1:1/6/images/{image}"]
    assert codes(await inputs.read(json_call(urls, host=""))) == [None, 11027]
    await outbound.close()


class Server:
    """Answers after a moment, and notes how many requests it had at the same time."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1]
        await asyncio.sleep(0.1)
        status = b"404 Not Found" if path == b"/missing" else b"200 OK"
        body = bytes(MAX_BYTES + 1) if path == b"/large" else path
        writer.write(b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        self.now -= 1
        writer.close()


async def test_urls_elsewhere(inputs: ImageInputs) -> None:
    server = Server()
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    urls = [f"{base}/a", f"{base}/missing", "http://10.0.0.1/x", "ftp://host/", "no url", f"{base}/large"]
    images = await inputs.read(json_call(urls[:5])) + await inputs.read(json_call(urls[5:]))
    many = await inputs.read(json_call([f"{base}/{number}" for number in range(5)]))
    listening.close()
    assert codes(images) == [None, 11027, 11027, 11027, 11027, 11027]
    assert [image.data for image in images] == [b"/a", None, None, None, None, None]
    for image, told in zip(images[1:], ["404", "not allowed", "http", "http", "larger"], strict=True):
        assert image.error is not None
        assert image.filename in image.error.detail
        assert told in image.error.detail
    # in the request's order, whatever came first; at the same time, but not all of them
    assert [image.data for image in many] == [b"/0", b"/1", b"/2", b"/3", b"/4"]
    assert 2 <= server.most <= 4


def test_the_declaration() -> None:
    assert IMAGE_BODY.types is not None
    assert len(IMAGE_BODY.types) == 12
    assert set(IMAGE_BODY.schemas) <= set(IMAGE_BODY.types)
    assert all(code in CATALOGUE for code in IMAGE_BODY_ERRORS)


async def test_a_storage_that_fails_is_no_fault_of_the_image(
    inputs: ImageInputs, blobs: BlobsService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read(*_: Any) -> None:
        raise BlobStoreUnavailableError("gone")

    monkeypatch.setattr(blobs, "read", read)
    with pytest.raises(BlobStoreUnavailableError):
        await inputs.read(json_call([f"/6/images/{uuid4()}"] * 3))
