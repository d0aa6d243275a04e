"""Checking what lies in a folder against its pack."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.packs.convert import REVISION
from lunaria.vision.packs.files import is_as_recorded, read_record
from lunaria.vision.packs.manifest import Asset, Check, Network, Pack
from lunaria.vision.runtime import (
    InferenceError,
    NetworkInputError,
    RuntimeUnavailableError,
    UnsupportedNetworkError,
    open_session,
)

FINGERPRINT_VALUES = 8


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with one file; `name` is a role or the name of a photograph."""

    name: str
    kind: Literal["missing", "changed", "unreadable", "wrong-answer"]
    detail: str


def verify(pack: Pack, folder: Path) -> list[Problem]:
    """Check every file of a pack: it is there, it has the bytes that were installed, it loads and computes what it did
    when the pack was made. An empty list means that all is well. For an operator's own networks, pass their pack and
    the folder of their manifest."""
    record = read_record(folder)
    problems = [_verify(name, asset, folder, record) for name, asset in pack.assets().items()]
    return [problem for problem in problems if problem is not None]


def _verify(name: str, asset: Asset, folder: Path, record: dict[str, Any]) -> Problem | None:
    path = folder / asset.file
    if not path.is_file():
        return Problem(name, "missing", f"{path} is not there")
    if not is_as_recorded(folder, asset, record, REVISION):
        return Problem(name, "changed", f"{path} is not what was installed, or was made from another source")
    if not isinstance(asset, Network) or asset.check is None:
        return None
    try:
        found = fingerprint(path, asset.check)
    except (UnsupportedNetworkError, RuntimeUnavailableError, NetworkInputError, InferenceError) as error:
        return Problem(name, "unreadable", str(error))
    return _compare(name, asset.check, found)


def _compare(name: str, check: Check, found: list[list[float]]) -> Problem | None:
    if [len(values) for values in found] != [len(values) for values in check.outputs]:
        return Problem(name, "wrong-answer", "the network has other outputs than the pack says")
    for index, (values, expected) in enumerate(zip(found, check.outputs, strict=True)):
        allowed = check.tolerance * max(max(map(abs, expected), default=0.0), 1e-3)
        error = float(np.max(np.abs(np.subtract(values, expected)), initial=0.0))
        if not error <= allowed:
            return Problem(name, "wrong-answer", f"output {index} is off by {error:.3g}, {allowed:.3g} is allowed")
    return None


def check_input(check: Check) -> NDArray[np.float32]:
    """The fixed input: for element i the fraction (i * 2654435761 mod 2^32) / 2^32, stretched to low..high."""
    count = int(np.prod(check.shape))
    fractions = (np.arange(count, dtype=np.uint64) * np.uint64(2654435761) % np.uint64(1 << 32)) / 2.0**32
    return (check.low + (check.high - check.low) * fractions).astype(np.float32).reshape(check.shape)


def fingerprint(path: Path, check: Check) -> list[list[float]]:
    """What a network answers to the fixed input: per output up to eight values, spread evenly."""
    session = open_session(path, concurrency=1)
    dtype = session.ports[check.input].dtype if check.input in session.ports else np.float32
    results = session.run({check.input: check_input(check).astype(dtype)})
    spread: list[list[float]] = []
    for values in results.values():
        flat = values.reshape(-1).astype(np.float64)
        if check.unordered:
            flat.sort()
        chosen = np.linspace(0, flat.size - 1, min(FINGERPRINT_VALUES, flat.size)).round().astype(int)
        spread.append([float(f"{value:.7g}") for value in flat[chosen]])
    return spread
