"""Bodies of handlers and verifiers: images, samples and descriptors in every form, and what belongs to them."""

import base64
import struct
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from lunaria.attributes.descriptors import DescriptorVersions
from lunaria.blobs.service import BlobKind, BlobsService
from lunaria.blobs.store import BlobsStore
from lunaria.estimation.inputs import ImageInputs
from lunaria.handlers.generation_schemas import GenerationQuery
from lunaria.handlers.policies import Policies
from lunaria.handlers.source_schemas import DESCRIPTOR_TYPES, HANDLER_BODY, SOURCE_ERRORS, VERIFIER_BODY
from lunaria.handlers.sources import SourceReader, Sources
from lunaria.http.errors import CATALOGUE, ApiError
from lunaria.http.operation import Call
from lunaria.http.principal import AccountType, Credential, Principal
from lunaria.kit.outbound import OutboundClient
from lunaria.kit.pool import WorkerPool
from lunaria.kit.times import SystemClock
from lunaria.storage.blobstore import open_blob_store
from lunaria.storage.database import Database
from lunaria.vision.descriptor_coding import DescriptorCoding
from lunaria.vision.images import Decoder
from lunaria.vision.plan import Box, ImageType

MOST = 5
OWN, BODY, FOREIGN = 1001, 2001, 59
OWNER = Principal(uuid4(), AccountType.USER, Credential.BASIC)
STRANGER = Principal(uuid4(), AccountType.USER, Credential.BASIC)
BOX = {"x": 1, "y": 2, "width": 3, "height": 4}
TIME = "2021-03-10T08:11:41.674Z"
MOMENT = datetime(2021, 3, 10, 8, 11, 41, 674000, tzinfo=UTC)
SDK, XPK = "application/x-sdk-descriptor", "application/x-vl-xpk"
JSON = "application/json"
File = tuple[str, tuple[str | None, bytes, str | None]]
FILE: File = ("image", ("a", b"a", "image/jpeg"))


@pytest.fixture(scope="module")
async def blobs(database: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BlobsService]:
    pool = WorkerPool(1, 8)
    folder = str(tmp_path_factory.mktemp("blobs"))
    yield BlobsService(BlobsStore(database), open_blob_store(folder), Decoder(), pool, SystemClock())
    pool.close()


@pytest.fixture
async def reader(blobs: BlobsService) -> AsyncIterator[SourceReader]:
    outbound = OutboundClient((), 2.0)
    versions = DescriptorVersions(DescriptorCoding({OWN: 4, BODY: 6}), OWN, {BODY})
    inputs = ImageInputs(blobs, outbound, max_images=MOST, max_bytes=1000)
    yield SourceReader(inputs, blobs, versions, max_objects=MOST)
    await outbound.close()


def given(
    body: bytes, content_type: str, image_type: int = 0, principal: Principal = OWNER
) -> Call[GenerationQuery, bytes]:
    assert image_type in (0, 1, 2)
    query = msgspec.convert({"image_type": image_type}, GenerationQuery)
    return Call(principal, {}, query, body, {"content-type": content_type, "host": "lunaria"}, "")


def given_json(body: Any, **options: Any) -> Call[GenerationQuery, bytes]:
    return given(msgspec.json.encode(body), JSON, **options)


def given_form(*parts: File, **options: Any) -> Call[GenerationQuery, bytes]:
    request = httpx.Request("POST", "http://host/", files=list(parts))
    return given(request.read(), request.headers["content-type"], **options)


def json_part(name: str, value: Any, kind: str | None = JSON) -> File:
    return (name, (None, msgspec.json.encode(value), kind))


def descriptor(version: int = OWN, first: int = 200) -> bytes:
    size = {OWN: 4, BODY: 6, FOREIGN: 512}.get(version, 8)
    return b"dp\x00\x00" + struct.pack("<I", version) + bytes([first]) + bytes([128]) * (size - 1)


def shown(sources: Sources) -> list[tuple[str, str, int]]:
    return [(one.filename, one.kind, one.descriptor.version) for one in sources.descriptors]


async def refusal(reader: SourceReader, call: Call[GenerationQuery, bytes], *, policies: bool = True) -> ApiError:
    with pytest.raises(ApiError) as refused:
        await reader.read(call, policies=policies)
    assert refused.value.code in SOURCE_ERRORS
    assert refused.value.status == 400
    return refused.value


@pytest.mark.parametrize("image_type", [0, 1, 2])
async def test_one_image(reader: SourceReader, image_type: int) -> None:
    for kind, body in (("image/jpeg", b"data"), ("image/x-png-base64", base64.b64encode(b"data"))):
        sources = await reader.read(given(body, kind, image_type), policies=False)
        (image,) = sources.images
        assert (image.filename, image.data, image.error) == ("raw_image", b"data", None)
        assert image.image_type is ImageType(image_type)
        assert (image.detect_time, image.detect_ts, image.image_origin) == (None, None, None)
        assert (image.sample_id, image.external_url, image.origin, image.context) == (None, None, None, None)
        assert (sources.descriptors, sources.policies, sources.meta) == ([], None, None)


async def test_an_image_that_cannot_be_read_has_the_error(reader: SourceReader) -> None:
    (image,) = (await reader.read(given(b"?", "image/x-png-base64"), policies=True)).images
    assert (image.data, image.error and image.error.code) == (None, 18001)


async def test_a_form(reader: SourceReader) -> None:
    known = {
        "a": {"detect_time": TIME, "detect_ts": 1.5, "image_origin": "https://store/a", "body_bounding_boxes": [BOX]},
        "b": {"detect_time": "2021-03-10T11:11:41.674+03:00", "face_bounding_boxes": [BOX]},
    }
    sources = await reader.read(
        given_form(
            FILE,
            ("policies", ("policies.json", b'{"detect_policy": {"detect_body": 1}}', JSON)),
            ("other", ("b", base64.b64encode(b"b"), "image/x-bmp-base64")),
            json_part("meta", {"a": {"b": [1, None]}}),
            json_part("image_meta", known),
            json_part("face_bounding_boxes", [{"filename": "a", "face_bounding_boxes": [BOX]}]),
            ("descriptor", ("d", descriptor(), SDK)),
            ("x", (None, base64.b64encode(descriptor(BODY) + descriptor()), "application/x-vl-xpk-base64")),
        ),
        policies=True,
    )
    first, second = sources.images
    assert (first.filename, first.data, second.filename, second.data) == ("a", b"a", "b", b"b")
    assert (first.detect_time, first.detect_ts, first.image_origin) == (MOMENT, 1.5, "https://store/a")
    assert (second.detect_time, second.detect_ts, second.image_origin) == (MOMENT, None, None)
    assert (first.face_boxes, first.body_boxes) == ([Box(1, 2, 3, 4)], [Box(1, 2, 3, 4)])
    assert (second.face_boxes, second.body_boxes) == ([Box(1, 2, 3, 4)], None)
    assert shown(sources) == [("d", "face", OWN), ("x", "body", BODY), ("x", "face", OWN)]
    assert sources.policies is not None
    assert sources.policies.detect_policy.detect_body == 1
    assert sources.meta == {"a": {"b": [1, None]}}


async def test_a_form_with_nothing_but_descriptors(reader: SourceReader) -> None:
    sources = await reader.read(given_form(("d", ("d", descriptor(FOREIGN), SDK))), policies=False)
    assert (sources.images, shown(sources)) == ([], [("d", "face", FOREIGN)])


@pytest.mark.parametrize(
    ("parts", "code", "detail"),
    [
        ([json_part("policies", {})], 12022, "at least one image or descriptor"),
        ([FILE, json_part("policies", {"unknown": 1})], 12022, "'policies.unknown'"),
        ([FILE, json_part("policies", [])], 12022, "'policies'"),
        ([FILE, ("policies", (None, b"{", JSON))], 12002, "json"),
        ([FILE, json_part("policies", {}, "text/plain")], 12041, "policies"),
        ([FILE, json_part("policies", {}), json_part("policies", {})], 12040, "policies"),
        ([FILE, json_part("meta", {}), json_part("meta", {})], 12040, "meta"),
        ([FILE, json_part("meta", [1])], 12022, "'meta'"),
        ([FILE, json_part("meta", {"a__b": 1})], 12022, "'a__b'"),
        ([FILE, json_part("image_meta", {"z": {}})], 12022, "image_meta.z"),
        ([FILE, json_part("image_meta", {"a": {"x": 1}})], 12022, "image_meta"),
        ([FILE, json_part("image_meta", {"a": {"detect_time": "yesterday"}})], 12022, "image_meta"),
        ([FILE, json_part("image_meta", {"a": {"detect_time": "0001-01-01T00:00:00+10:00"}})], 12022, "range"),
        ([FILE, json_part("image_meta", {"a": {"detect_ts": -1}})], 12022, "image_meta"),
        ([FILE, json_part("image_meta", {"a": {"image_origin": "x" * 257}})], 12022, "image_meta"),
        ([FILE, json_part("image_meta", {"a": {"image_origin": "x\n"}})], 12022, "image_meta"),
        ([FILE, json_part("unknown", {})], 12039, "unknown"),
        ([("image", ("a", b"a", "text/plain"))], 11029, "text/plain"),
        ([FILE] * (MOST + 1), 12022, "at most 5 images"),
        ([("d", ("d", descriptor(), SDK))] * (MOST + 1), 12022, "at most 5 descriptors"),
        ([("d", ("d", descriptor() * (MOST + 1), XPK))], 12022, "at most 5 descriptors"),
        ([("d", ("d", descriptor() * 2, SDK))], 100007, "d: One descriptor was expected"),
        ([("d", ("d", descriptor(777), SDK))], 12036, "777"),
        ([("d", ("d", b"junk", SDK))], 100007, "no header"),
        ([("d", ("d", b"", XPK))], 100007, "d: "),
        ([("d", ("d", b"?", "application/x-sdk-descriptor-base64"))], 18001, "base64"),
    ],
)
async def test_bad_forms(reader: SourceReader, parts: Sequence[File], code: int, detail: str) -> None:
    error = await refusal(reader, given_form(*parts))
    assert error.code == code
    assert detail in error.detail


async def test_boxes_that_are_given_twice(reader: SourceReader) -> None:
    twice = [
        FILE,
        json_part("body_bounding_boxes", [{"filename": "a", "body_bounding_boxes": [BOX]}]),
        json_part("image_meta", {"a": {"body_bounding_boxes": [BOX]}}),
    ]
    assert (await refusal(reader, given_form(*twice))).code == 11048


@pytest.mark.parametrize("name", ["policies", "meta"])
async def test_verifiers_take_neither_policies_nor_meta(reader: SourceReader, name: str) -> None:
    assert (await refusal(reader, given_form(FILE, json_part(name, {})), policies=False)).code == 12039
    body = {"urls": ["/6/images/x"], name: {}}
    error = await refusal(reader, given_json(body), policies=False)
    assert (error.code, f"'{name}'" in error.detail) == (12022, True)


@pytest.mark.parametrize("kind", sorted(DESCRIPTOR_TYPES))
async def test_bare_descriptors(reader: SourceReader, kind: str) -> None:
    data = descriptor(OWN) + (descriptor(BODY) if "xpk" in kind else b"")
    body = base64.encodebytes(data) if kind.endswith("-base64") else data
    sources = await reader.read(given(body, kind), policies=False)
    expected = [("descriptor", "face", OWN), ("descriptor", "body", BODY)]
    assert (sources.images, shown(sources)) == ([], expected if "xpk" in kind else expected[:1])
    assert sources.descriptors[0].descriptor.data == data[8:12]


async def test_json(reader: SourceReader, blobs: BlobsService) -> None:
    stored = await blobs.save(BlobKind.IMAGE, OWNER.owner, b"stored", "image/jpeg")
    url = f"/6/images/{stored}"
    sources = await reader.read(
        given_json(
            {
                "images": [
                    {
                        "url": url,
                        "filename": "cam1.jpg",
                        "detect_time": TIME,
                        "detect_ts": 12.5,
                        "image_origin": "https://store/frame",
                        "face_bounding_boxes": [BOX],
                    }
                ],
                "urls": [url, {"url": "ftp://nowhere/"}],
                "raw_descriptors": [
                    {"type": "sdk_descriptor", "id": "s", "data": descriptor(), "version": OWN},
                    {"type": "raw_descriptor", "id": "r", "data": descriptor()[8:], "version": OWN},
                    {"type": "raw_descriptor", "id": "h", "data": descriptor(BODY)},
                    {"type": "xpk_file", "id": "x", "data": descriptor() * 2},
                ],
                "policies": {},
                "meta": {"a": 1},
            }
        ),
        policies=True,
    )
    told, plain, missing = sources.images
    assert (told.filename, told.data, told.external_url) == ("cam1.jpg", b"stored", url)
    assert (told.detect_time, told.detect_ts, told.image_origin) == (MOMENT, 12.5, "https://store/frame")
    assert (told.face_boxes, told.body_boxes) == ([Box(1, 2, 3, 4)], None)
    assert (plain.filename, plain.data, plain.external_url, plain.face_boxes) == (url, b"stored", url, None)
    assert (missing.data, missing.error and missing.error.code) == (None, 11027)
    kinds = [("s", "face"), ("r", "face"), ("h", "body"), ("x", "face"), ("x", "face")]
    assert [(name, kind) for name, kind, _ in shown(sources)] == kinds
    assert sources.policies == Policies()
    assert sources.meta == {"a": 1}


ENCODED = base64.b64encode(descriptor()).decode()


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "at least one image or descriptor"),
        ({"images": [], "urls": [], "samples": [], "raw_descriptors": []}, "at least one image or descriptor"),
        ({"urls": ["a"], "more": 1}, "'more'"),
        ({"urls": ["a"] * 3, "images": [{"url": "a"}] * 3}, "at most 5 images"),
        ({"urls": ["a"], "policies": {"unknown": 1}}, "'policies.unknown'"),
        ({"urls": ["a"], "meta": {"a b": 1}}, "'meta'"),
        ({"urls": ["a"], "meta": {"a": 2**64}}, "'meta.a'"),
        ({"images": [{"filename": "a"}]}, "'images.0.url'"),
        ({"images": [{"url": "a", "filename": "a\x00"}]}, "'images.0.filename'"),
        ({"images": [{"url": "a", "detect_time": 1}]}, "'images.0.detect_time'"),
        ({"images": [{"url": "a", "face_bounding_boxes": [{"x": 1}]}]}, "'images.0.face_bounding_boxes.0.y'"),
        ({"samples": ["x"]}, "'samples.0'"),
        ({"samples": [str(uuid4())]}, "'samples', message: 'stored samples are warps"),
        ({"raw_descriptors": [{"type": "other", "id": "a", "data": ENCODED}]}, "'raw_descriptors.0.type'"),
        ({"raw_descriptors": [{"type": "sdk_descriptor", "id": "a"}]}, "'raw_descriptors.0.data'"),
        ({"raw_descriptors": [{"type": "xpk_file", "id": "a", "data": ENCODED, "version": 1}]}, "version"),
        (
            {"raw_descriptors": [{"type": "sdk_descriptor", "id": "a", "data": ENCODED}] * (MOST + 1)},
            "'raw_descriptors.5'",
        ),
    ],
)
async def test_bad_json(reader: SourceReader, body: Any, path: str) -> None:
    error = await refusal(reader, given_json(body))
    assert error.code == 12022
    assert path in error.detail


@pytest.mark.parametrize(
    ("one", "code", "detail"),
    [
        ({"type": "sdk_descriptor", "data": descriptor(), "version": FOREIGN}, 100007, "raw_descriptors.0"),
        ({"type": "raw_descriptor", "data": descriptor()[8:]}, 100007, "no header"),
        ({"type": "raw_descriptor", "data": descriptor(), "version": 777}, 12036, "777"),
        ({"type": "raw_descriptor", "data": b"\x80" * 4, "version": OWN}, 100007, "raw_descriptors.0"),
        ({"type": "xpk_file", "data": descriptor() + b"dp"}, 100007, "raw_descriptors.0"),
    ],
)
async def test_bad_descriptors_in_json(reader: SourceReader, one: dict[str, Any], code: int, detail: str) -> None:
    error = await refusal(reader, given_json({"raw_descriptors": [{"id": "a", **one}]}))
    assert error.code == code
    assert detail in error.detail


async def test_stored_samples(reader: SourceReader, blobs: BlobsService) -> None:
    face = await blobs.save(BlobKind.FACE_SAMPLE, OWNER.owner, b"face", "image/jpeg")
    body = await blobs.save(BlobKind.BODY_SAMPLE, OWNER.owner, b"body", "image/jpeg")

    async def read(image_type: int, principal: Principal = OWNER) -> list[tuple[UUID | None, bytes | None, int | None]]:
        call = given_json({"samples": [str(face), str(body)]}, image_type=image_type, principal=principal)
        images = (await reader.read(call, policies=False)).images
        assert [image.filename for image in images] == [str(face), str(body)]
        return [(image.sample_id, image.data, image.error and image.error.code) for image in images]

    assert await read(1) == [(face, b"face", None), (body, None, 13003)]
    assert await read(2) == [(face, None, 13003), (body, b"body", None)]
    assert await read(1, STRANGER) == [(face, None, 13003), (body, None, 13003)]
    token = Principal(OWNER.account_id, AccountType.USER, Credential.TOKEN, {"face_sample": ["creation"]})
    assert await read(1, token) == [(face, None, 11059), (body, None, 11059)]


def test_the_declarations() -> None:
    for declared in (HANDLER_BODY, VERIFIER_BODY):
        assert declared.types is not None
        assert len(declared.types) == 17
        assert set(declared.schemas) == set(declared.types) - {JSON}
    assert {"policies", "meta"} == set(HANDLER_BODY.schemas["multipart/form-data"]["properties"]) - set(
        VERIFIER_BODY.schemas["multipart/form-data"]["properties"]
    )
    assert all(code in CATALOGUE for code in SOURCE_ERRORS)
