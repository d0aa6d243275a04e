"""Where the bytes of samples, images and objects lie: a local folder, or a bucket that speaks S3.

A blob is stored whole under a key and never changed. Its record (owner, type, meta) is a row of the table `blobs`:
write the blob first and the row second, delete the row first and the blob second, so that a row always has its blob.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from uuid import UUID, uuid4

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from lunaria.storage.cluster import sync_folder

if TYPE_CHECKING:
    from obstore.store import S3Config

_INCOMING = ".incoming"
_ABANDONED_AFTER = 3600.0


class BlobNotFoundError(LookupError):
    """There is no blob under this key."""


class BlobStoreUnavailableError(Exception):
    """The store cannot serve now: folder missing or full, bucket not reachable, credentials refused; see the cause."""


@dataclass(frozen=True)
class S3Options:
    """How to reach a bucket. Without keys the environment's usual sources apply (AWS_* variables, instance role).

    `endpoint` is the URL of a server other than Amazon's; plain http must be its own scheme. `timeout` is in seconds
    for one request; `retry_timeout` bounds all attempts together. Both keys are needed to have an effect.
    """

    endpoint: str | None = None
    access_key: str | None = None
    secret_key: str | None = None
    region: str = "us-east-1"
    timeout: float = 10.0
    retry_timeout: float = 20.0


def blob_key(folder: str, blob_id: UUID) -> str:
    """The key of a blob: `faces/ab/cd/<uuid>`. Two levels of 256 keep folders of a million blobs small."""
    name = str(blob_id)
    return f"{folder}/{name[:2]}/{name[2:4]}/{name}"


class BlobStore:
    """Stores blobs under keys. Made by `open_blob_store`.

    Every method raises BlobStoreUnavailableError when the store fails, and ValueError for a key that leaves the
    store.
    """

    def __init__(self, store: ObjectStore, *, local_root: Path | None = None) -> None:
        self._store = store
        self._local_root = local_root

    async def put(self, key: str, data: bytes) -> None:
        """Stores the blob, replacing an older one of this key. When it returns, the blob survives a loss of power."""
        _check_key(key)
        with self._translated_errors(key):
            if self._local_root:
                await asyncio.to_thread(_write_durably, self._local_root, key, data)
            else:
                await obstore.put_async(self._store, key, data, use_multipart=len(data) > 16 * 1024 * 1024)

    async def get(self, key: str) -> bytes:
        """The blob's bytes. Raises BlobNotFoundError."""
        _check_key(key)
        with self._translated_errors(key):
            result = await obstore.get_async(self._store, key)
            return bytes(await result.bytes_async())

    async def exists(self, key: str) -> bool:
        """Whether there is a blob under this key."""
        _check_key(key)
        try:
            with self._translated_errors(key):
                await obstore.head_async(self._store, key)
        except BlobNotFoundError:
            return False
        return True

    async def delete(self, key: str) -> None:
        """Removes the blob. Not an error when there is none."""
        _check_key(key)
        with contextlib.suppress(BlobNotFoundError), self._translated_errors(key):
            await obstore.delete_async(self._store, key)

    async def ping(self) -> None:
        """One round trip. Raises BlobStoreUnavailableError when the store does not answer."""
        with contextlib.suppress(
            BlobNotFoundError
        ):  # a GET, as the answer to a HEAD cannot tell that the bucket is missing
            await self.get("ping")

    @contextlib.contextmanager
    def _translated_errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            # A folder that is gone as a whole (not mounted) must not look like many deleted blobs.
            if self._local_root and not self._local_root.is_dir():
                raise BlobStoreUnavailableError(f"The folder {self._local_root} is missing") from error
            if _names_bucket(error):
                raise BlobStoreUnavailableError("The bucket is missing") from error
            raise BlobNotFoundError(key) from error
        except (BaseError, OSError) as error:
            raise BlobStoreUnavailableError(f"The blob store failed: {type(error).__name__}") from error


def open_blob_store(url: str, options: S3Options | None = None) -> BlobStore:
    """Opens the store that `url` names: the path of a folder (made when missing), `file:///path` or `s3://bucket/prefix`.

    Opening a bucket does not talk to it; see `BlobStore.ping`.

    Raises:
        ValueError: the URL is of another kind.
        BlobStoreUnavailableError: the folder cannot be made.
    """
    parts = urlsplit(url)
    if parts.scheme == "s3":
        if not parts.netloc:
            raise ValueError("An S3 URL must name a bucket: s3://bucket/prefix")
        return BlobStore(_open_bucket(parts.netloc, parts.path.strip("/"), options or S3Options()))
    if parts.scheme not in ("", "file"):
        raise ValueError(f"A blob store is a folder or s3://bucket/prefix, not {parts.scheme}://")
    root = Path(unquote(parts.path) if parts.scheme else url).expanduser().absolute()
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sweep_incoming(root)
    except OSError as error:
        raise BlobStoreUnavailableError(f"The folder {root} cannot be used: {error}") from error
    return BlobStore(LocalStore(root), local_root=root)


def _open_bucket(bucket: str, prefix: str, options: S3Options) -> S3Store:
    config: S3Config = {"region": options.region, "virtual_hosted_style_request": False}
    if options.endpoint:
        config["endpoint"] = options.endpoint
    if options.access_key and options.secret_key:
        config["access_key_id"] = options.access_key
        config["secret_access_key"] = options.secret_key
    return S3Store(
        bucket,
        prefix=prefix or None,
        config=config,
        client_options={
            "allow_http": (options.endpoint or "").startswith("http://"),
            "timeout": timedelta(seconds=options.timeout),
            "connect_timeout": timedelta(seconds=min(5.0, options.timeout)),
        },
        retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=options.retry_timeout)},
    )


def _check_key(key: str) -> None:
    if key.startswith(".") or any(part in ("", ".", "..") for part in key.split("/")) or "\0" in key:
        raise ValueError(f"Not a blob key: {key!r}")


def _names_bucket(error: FileNotFoundError) -> bool:
    return "NoSuchBucket" in str(error)


# obstore writes a folder's files by temporary file and rename, but syncs nothing to disk: after a loss of power an
# acknowledged blob could be empty or gone. So the writing is our own.


def _write_durably(root: Path, key: str, data: bytes) -> None:
    target = root / key
    changed = _make_folders(root, target.parent)
    place = root / _INCOMING / uuid4().hex
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        try:
            file.write(data)
            file.flush()
            place.rename(target)
            place = target
            # Synced under its name, the file, the name and the folders are one commit of the file system; the folders'
            # own syncs find nothing left to do.
            os.fsync(descriptor)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                if place.stat().st_ino == os.fstat(descriptor).st_ino:  # and not somebody else's
                    place.unlink()
            raise
    for folder in [target.parent, *changed]:
        sync_folder(folder)
    _lasting.update(changed)


_lasting: set[Path] = set()
"""Folders above those of blobs that this process has synced: they last, and so do those above them."""


def _make_folders(root: Path, folder: Path) -> list[Path]:
    """Makes the folders between; returns those above it that have entries which may not last yet, innermost first.

    A folder that somebody else has just made may not last either, but for those that this process has synced. A root
    that is missing is not made.
    """
    if folder.is_dir():
        return []
    if not root.is_dir():
        raise FileNotFoundError(root)
    above = [path for path in folder.parents if path.is_relative_to(root)]
    changed = {folder.parent}
    for path in [*above[-2::-1], folder]:
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            if path in _lasting:
                continue
        changed.add(path.parent)
    return [path for path in above if path in changed]


def _sweep_incoming(root: Path) -> None:
    """Removes half-written files of processes that were killed. A living process may be writing young ones."""
    incoming = root / _INCOMING
    incoming.mkdir(mode=0o700, exist_ok=True)
    for file in incoming.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if time.time() - file.stat().st_mtime > _ABANDONED_AFTER:
                file.unlink()
