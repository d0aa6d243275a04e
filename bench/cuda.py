"""The networks on a device beside the processor: whether they answer the same, and how much sooner.

    python -m bench.cuda [--photographs FOLDER_OR_ZIP ...] [--sample 20] [--rounds 3] [--workers 1 4 16]

Needs a CUDA device and `onnxruntime-gpu` (see the operations guide). Three comparisons in one run: each network with
what the analysis of photographs gives it, all findings of these photographs, and photographs a second by the number of
threads that analyse. What is measured is elapsed time, least of several rounds in turn, since the processor waits while
a device computes. `--device cpu` goes through the same without one: all differences are then 0.
"""

import argparse
import dataclasses
import functools
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from bench.extraction import spread
from bench.faces import files, models_folder
from bench.report import add_markdown_argument, conditions, progress, publish, table
from bench.sdk import UNCOUNTED, Recorded
from lunaria.vision import networks, runtime
from lunaria.vision.analysis import Analyzer
from lunaria.vision.checks import chosen
from lunaria.vision.descriptors import Descriptor
from lunaria.vision.findings import Findings
from lunaria.vision.images import Decoder, Image
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.plan import Box, Plan
from lunaria.vision.runtime import (
    BatchedSession,
    Device,
    OnnxRuntimeSession,
    RuntimeUnavailableError,
    available_cores,
    open_session,
)

WHOLE = replace(UNCOUNTED, checks=frozenset(check.name for check in chosen()))
"""Every estimate, and the portrait checks; counting people only runs networks again that run anyway."""

PLANS = {"faces and descriptors": Plan(descriptor=True), "every estimate": WHOLE}
KEPT_INPUTS = 8
BATCHES = (1, 8, 32)


@dataclass
class Difference:
    """Between the answers of two analyses in one quantity. `largest` is the largest difference of a number, `scale` the
    largest number itself; `changed` counts words, whole numbers and things missing that are not the same."""

    compared: int = 0
    largest: float = 0.0
    scale: float = 0.0
    changed: int = 0

    def add(self, one: object, other: object) -> None:
        """Compare a value and its counterpart."""
        self.compared += 1
        if isinstance(one, float | np.floating | np.ndarray) and isinstance(other, float | np.floating | np.ndarray):
            first, second = np.asarray(one, np.float64), np.asarray(other, np.float64)
            if first.shape != second.shape:
                self.changed += 1
                return
            self.largest = max(self.largest, float(np.max(np.abs(first - second), initial=0.0)))
            self.scale = max(self.scale, float(np.max(np.abs(first), initial=0.0)))
        else:
            self.changed += one != other


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.cuda", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=get_args(Device), default="cuda")
    parser.add_argument(
        "--photographs", type=Path, nargs="*", default=[], help="further folders or zips of photographs"
    )
    parser.add_argument("--sample", type=int, default=20, help="photographs taken of each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", help="threads that analyse at once; default: 1, and a core")
    parser.add_argument("--models", type=Path, help="folder of the networks, with the photographs of `make models`")
    add_markdown_argument(parser)
    given = parser.parse_args()
    models, device = models_folder(given.models), cast(Device, given.device)
    workers = given.workers or sorted({1, available_cores()})
    try:
        analyzer = Analyzer(ModelStore(models), device=device)
    except RuntimeUnavailableError as error:
        raise SystemExit(f"bench.cuda: {error}") from error
    decoder = Decoder()
    images = [
        decoder.decode(data)
        for source in [models / "photos", *given.photographs]
        for data in spread(files(source), given.sample).values()
    ]
    inputs = recorded(models, images)
    text = "\n\n".join(
        [
            conditions(f"{card()} {len(images)} photographs.", runtime_package(), "openvino", "numpy"),
            *networks_part(inputs, device, given.rounds),
            *findings_part(models, analyzer, images),
            *speed_part(models, analyzer, images, workers, given.rounds),
            memory(),
        ]
    )
    publish("cuda", text.strip(), given.markdown)


def runtime_package() -> str:
    """Under which name ONNX Runtime was installed."""
    import onnxruntime

    return str(onnxruntime.package_name)


def ask_driver(*question: str) -> list[str]:
    """What nvidia-smi answers, by lines; nothing where there is none."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", *question, "--format=csv,noheader"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def card() -> str:
    """The device in words, and what else it does."""
    found = ask_driver("--query-gpu=name,driver_version")
    if not found:
        return "No card."
    others = len(ask_driver("--query-compute-apps=pid")) - 1
    beside = f", beside {others} other programs" if others > 0 else ""
    return f"Card: {found[0].replace(', ', ', driver ')}{beside}."


def memory() -> str:
    """What this process holds on the device."""
    own = [line.split(", ") for line in ask_driver("--query-compute-apps=pid,used_memory")]
    held = [used for pid, used in own if pid == str(os.getpid())]
    return (
        f"Memory on the device after all of this, with every network opened several times: {', '.join(held)}."
        if held
        else ""
    )


def recorded(models: Path, images: Sequence[Image]) -> dict[Path, list[dict[str, NDArray[Any]]]]:
    """By the files of ONNX networks what the analysis of photographs gives them, a few inputs of each."""
    sessions: dict[Path, Recorded] = {}

    def opened(path: Path, **options: Any) -> Recorded:
        return sessions.setdefault(path, Recorded(open_session(path, **options)))

    with patch.object(networks, "open_session", opened):
        analyzer = Analyzer(ModelStore(models))
        for image in images[:KEPT_INPUTS]:
            analyzer.find(image, WHOLE)
    progress(f"{len(sessions)} networks run in these analyses")
    return {
        path: session.feeds[:: max(1, len(session.feeds) // KEPT_INPUTS)][:KEPT_INPUTS]
        for path, session in sorted(sessions.items())
        if session.feeds and path.suffix == ".onnx"
    }


def networks_part(
    inputs: Mapping[Path, Sequence[dict[str, NDArray[Any]]]], device: Device, rounds: int
) -> Iterator[str]:
    """Each network by itself."""
    rows: list[tuple[str, ...]] = []
    stay: list[str] = []
    for path, feeds in inputs.items():
        processor = open_session(path, backend="onnxruntime")
        there = open_session(path, backend="onnxruntime", device=device)
        name = path.stem.replace("_", " ")
        if device != "cpu" and not isinstance(there, BatchedSession):
            stay.append(name)
            continue
        with patch.dict(runtime.CUDA_OPTIONS, {"use_tf32": "1"}):
            rounded = OnnxRuntimeSession(path, device=device)
        expected = [processor.run(feed) for feed in feeds]
        differences = [apart(expected, [one.run(feed) for feed in feeds]) for one in (there, rounded)]
        costs = [least(functools.partial(processor.run, feeds[0]), rounds)]
        for batch in BATCHES:
            feed = {name: np.repeat(value[:1], batch, axis=0) for name, value in feeds[0].items()}
            fits = batch == 1 or all(port.shape[0] is None for port in there.ports.values())
            costs.append(least(functools.partial(there.run, feed), rounds) / batch if fits else np.nan)
        rows.append(
            (
                name,
                " / ".join(map(str, placed(path, device))),
                *(f"{one:.1e}" for one in differences),
                *("-" if np.isnan(cost) else f"{cost:.2f}" for cost in costs),
                f"{costs[0] / costs[1]:.1f}",
            )
        )
        progress(" | ".join(rows[-1]))
    yield "### Each network"
    yield (
        "Nodes on the device and those left to the processor. Differences from ONNX Runtime on the processor: the "
        "largest of any output, as a share of the largest magnitude in that output; *with TF32*: what they would be if "
        "products were rounded to TF32, which is off. Milliseconds of one thread for one input, in batches also for "
        "each of them."
    )
    header = ["network", "nodes", "difference", "with TF32", "processor, ms"]
    header += [f"device, ms, batch {batch}" if batch > 1 else "device, ms" for batch in BATCHES]
    yield table([*header, "times as fast"], rows)
    if stay:
        yield f"On the processor whatever the device is: {', '.join(stay)}, and the networks in TensorFlow Lite."


def placed(path: Path, device: Device) -> tuple[int, int]:
    """How many nodes of a network, after ONNX Runtime's simplifications, are computed on the device, and how many are
    not."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    own = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}[device]
    providers = [(own, runtime.CUDA_OPTIONS if device == "cuda" else {}), ("CPUExecutionProvider", {})]
    session = onnxruntime.InferenceSession(str(path), options, providers=list(dict(providers).items()))
    counts = [0, 0]
    for part in session.get_provider_graph_assignment_info():
        counts[part.ep_name != own] += len(part.get_nodes())
    return counts[0], counts[1]


def apart(expected: Sequence[Mapping[str, NDArray[Any]]], found: Sequence[Mapping[str, NDArray[Any]]]) -> float:
    """The largest difference in any output, as a share of the largest magnitude there."""
    shares = [
        float(np.max(np.abs(one[name].astype(np.float64) - other[name]), initial=0.0))
        / max(float(np.max(np.abs(one[name]), initial=0.0)), 1e-12)
        for one, other in zip(expected, found, strict=True)
        for name in one
    ]
    return max(shares)


def least(work: Callable[[], object], rounds: int) -> float:
    """Milliseconds of the quickest of several calls; the first, in which memory is fetched, is left out."""
    spent = []
    for _ in range(4 * rounds + 1):
        start = time.perf_counter()
        work()
        spent.append((time.perf_counter() - start) * 1e3)
    return min(spent[1:])


def findings_part(models: Path, analyzer: Analyzer, images: Sequence[Image]) -> Iterator[str]:
    """Everything that is found in the photographs."""
    analyzers = [Analyzer(ModelStore(models)), Analyzer(ModelStore(models), "onnxruntime"), analyzer]
    found = [[one.find(image, WHOLE) for image in images] for one in analyzers]
    columns = [differences(found[0], other) for other in found[1:]]
    rows = [
        (
            name.replace("_", " "),
            columns[1][name].compared,
            f"{columns[1][name].scale:.3g}" if columns[1][name].scale else "-",
            *(f"{column[name].largest:.1e}" for column in columns),
            *(column[name].changed for column in columns),
        )
        for name in columns[1]
    ]
    yield "### What is found in photographs"
    yield (
        "Against the processor as it computes by default, with OpenVINO: ONNX Runtime on the processor, then the "
        "device. Numbers by their largest difference, in pixels, degrees, years or shares as they are, beside the "
        "largest number itself; descriptors by 1 less their cosine; words, whole numbers and whether a thing was found "
        "at all by how many changed. *Faces* and *bodies* compare how many each photograph has."
    )
    header = ["quantity", "values", "largest", "ONNX Runtime", "device", "changed, ONNX Runtime", "changed, device"]
    yield table(header, rows)


def differences(expected: Sequence[Findings], found: Sequence[Findings]) -> dict[str, Difference]:
    """By quantities, of all photographs. Of those with another number of faces or bodies that alone."""
    by_name: dict[str, Difference] = {}
    for one, other in zip(expected, found, strict=True):
        for kind, kinds in (("face", "faces"), ("body", "bodies")):
            firsts, seconds = getattr(one, kinds), getattr(other, kinds)
            by_name.setdefault(kinds, Difference()).add(len(firsts), len(seconds))
            if len(firsts) != len(seconds):
                continue
            for first, second in zip(firsts, seconds, strict=True):
                for part in dataclasses.fields(first):
                    difference = by_name.setdefault(f"{kind} {part.name}", Difference())
                    compare(getattr(first, part.name), getattr(second, part.name), difference)
    return by_name


def compare(one: Any, other: Any, difference: Difference) -> None:
    """Add what two values of a finding, or all their parts, differ in."""
    if type(one) is not type(other):
        difference.add(one, other)
    elif isinstance(one, Descriptor):
        lengths = np.linalg.norm(one.vector.astype(np.float64)) * np.linalg.norm(other.vector.astype(np.float64))
        difference.add(1.0, float(one.vector.astype(np.float64) @ other.vector / lengths))
    elif isinstance(one, Box):
        difference.add(np.array(one, float), np.array(other, float))
    elif dataclasses.is_dataclass(one):
        for part in dataclasses.fields(one):
            compare(getattr(one, part.name), getattr(other, part.name), difference)
    elif isinstance(one, Mapping):
        for name in one.keys() | other.keys():
            compare(one.get(name), other.get(name), difference)
    elif isinstance(one, tuple) and hasattr(one, "_fields"):
        for first, second in zip(one, other, strict=True):
            compare(first, second, difference)
    else:
        difference.add(one, other)


def speed_part(
    models: Path, analyzer: Analyzer, images: Sequence[Image], workers: Sequence[int], rounds: int
) -> Iterator[str]:
    """Photographs a second on the processor and on the device."""
    analyzers = (Analyzer(ModelStore(models)), analyzer)
    rows: list[tuple[object, ...]] = []
    for title, plan in PLANS.items():
        for count in workers:
            batch = [images[number % len(images)] for number in range(max(len(images), 4 * count))]
            turns = [[rate(one, plan, batch, count) for one in analyzers] for _ in range(rounds + 1)][1:]
            best = [max(turn[place] for turn in turns) for place in range(2)]
            rows.append((title, count, *(f"{one:.1f}" for one in best), f"{best[1] / best[0]:.2f}"))
            progress(f"{rows[-1]}")
    yield "### Photographs a second"
    yield (
        "Of decoded photographs, by how many are analysed at the same time, each by one thread; the better of "
        f"{rounds} rounds in turn after a first one."
    )
    yield table(["analysis", "threads", "processor", "device", "ratio"], rows)


def rate(analyzer: Analyzer, plan: Plan, images: Sequence[Image], workers: int) -> float:
    """Photographs a second."""
    with ThreadPoolExecutor(workers) as pool:
        start = time.perf_counter()
        list(pool.map(lambda image: analyzer.find(image, plan), images))
        return len(images) / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
