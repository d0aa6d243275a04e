"""The folder that models lie in: atomic writes, one writer at a time, and a record of what was put there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from lunaria.vision.packs.manifest import Asset, Sha256

RECORD = "installed.json"
LOCK = ".lock"


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """How a file came to be: its hash after conversion, its source, the recipe and the converter's revision."""

    sha256: Sha256
    source_sha256: Sha256
    recipe: str
    revision: int


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_record(folder: Path) -> dict[str, Installed]:
    """What was put into a folder, by file name. A missing or damaged record is an empty one: files are pulled again."""
    try:
        return msgspec.json.decode((folder / RECORD).read_bytes(), type=dict[str, Installed])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}


def write_record(folder: Path, record: dict[str, Installed]) -> None:
    """Replace the record of a folder."""
    encoded = msgspec.json.format(msgspec.json.encode(dict(sorted(record.items()))), indent=2)
    write_atomically(folder / RECORD, encoded + b"\n")


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader finds the old content or the new one, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".incoming-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def is_as_recorded(folder: Path, asset: Asset, record: dict[str, Installed], revision: int) -> bool:
    """Whether the file of an asset is there, made by the present recipe, with the bytes it was written with."""
    path = folder / asset.file
    if not path.is_file():
        return False
    if not asset.sources and asset.converted_sha256 is None:
        return True  # an operator's own file, whose manifest pins nothing
    found = file_sha256(path)
    if found == asset.converted_sha256:
        return True
    entry = record.get(asset.file)
    return (
        entry is not None
        and (entry.sha256, entry.recipe, entry.revision) == (found, asset.recipe(), revision)
        and entry.source_sha256 in {source.sha256 for source in asset.sources}
    )


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder against other processes; waits for whoever holds it. The system frees it when a process dies."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+b") as stream:
        if sys.platform == "win32":
            import msvcrt

            stream.seek(0)
            msvcrt.locking(stream.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
