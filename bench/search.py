"""Exact 1:N search beside numpy in float32 and FAISS IndexFlatIP, in one run on the same vectors.

    python -m bench.search [--rows 100000,1000000] [--dimension 512] [--batch 30] [--markdown FILE]

The vectors imitate face descriptors: people in groups that look alike, several samples of each person, queries being
further samples of people in the gallery. All three get the same float16-rounded values. The rounds of the three
alternate, and the least time of each counts, since other work on the machine only ever adds. A ratio is the time
of the faster peer divided by ours.
"""

import argparse
import datetime
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import threadpoolctl
from numpy.typing import NDArray

from lunaria.matching.engine import Gallery

SAMPLES_PER_PERSON = 5
PEOPLE_PER_GROUP = 500
LIMIT = 10
LISTED = 10_000
AT_ONCE = 20_000
SECONDS_PER_CASE = 2.5
MEGABYTE = 1e6


@dataclass
class Measurement:
    """Least milliseconds of a call, for each of the three."""

    rows: int
    threads: int
    case: str
    lunaria: float
    numpy: float
    faiss: float

    @property
    def ratio(self) -> float:
        return min(self.numpy, self.faiss) / self.lunaria


@dataclass
class Load:
    """What it took to hold the descriptors, and how far the answers agree with float64."""

    rows: int
    put_seconds: float
    megabytes: float
    resident_megabytes: float | None
    float32_megabytes: float
    recall: float
    largest_error: float


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


class Faces:
    """Vectors like face descriptors: two samples of a person have a cosine of about 0.6, two people of a group 0.15."""

    def __init__(self, rows: int, dimension: int, seed: int = 1) -> None:
        self.random = np.random.default_rng(seed)
        self.dimension = dimension
        people = max(1, rows // SAMPLES_PER_PERSON)
        groups = self.noise(max(1, people // PEOPLE_PER_GROUP))
        self.people = unit(0.42 * groups[self.random.integers(0, len(groups), people)] + self.noise(people))

    def noise(self, count: int) -> NDArray[np.float32]:
        return unit(self.random.standard_normal((count, self.dimension), dtype=np.float32))

    def samples(self, count: int) -> NDArray[np.float32]:
        people = self.people[self.random.integers(0, len(self.people), count)]
        return unit(people + np.float32(0.8) * self.noise(count))

    def stored(self, rows: int) -> NDArray[np.float32]:
        """Samples for the gallery, rounded to float16."""
        vectors = np.empty((rows, self.dimension), np.float32)
        for part in np.array_split(vectors, -(-rows // AT_ONCE)):
            part[...] = self.samples(len(part)).astype(np.float16)
        return vectors


def fill(gallery: Gallery, stored: NDArray[np.float32]) -> float:
    """Put all vectors; the seconds that it took, without the conversion to float16."""
    spent = 0.0
    for start in range(0, len(stored), AT_ONCE):
        part = stored[start : start + AT_ONCE].astype(np.float16)
        numbers = np.arange(start, start + len(part), dtype=np.int32)
        began = time.perf_counter()
        gallery.put(numbers, part)
        spent += time.perf_counter() - began
    return spent


def resident_megabytes() -> float | None:
    """Memory of this process that is in RAM; None where the system does not tell it in /proc."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024 / MEGABYTE


def best_of(scores: NDArray[np.float32]) -> NDArray[np.intp]:
    """Columns of the LIMIT largest scores of each row, best first."""
    top = np.argpartition(-scores, LIMIT, axis=1)[:, :LIMIT]
    return np.take_along_axis(top, np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1), axis=1)


def least_milliseconds(calls: list[Callable[[], object]]) -> list[float]:
    """Least time of each call over rounds in which they alternate."""
    for call in calls:
        call()
    least = [float("inf")] * len(calls)
    end = time.perf_counter() + SECONDS_PER_CASE
    rounds = 0
    while rounds < 5 or time.perf_counter() < end:
        for number, call in enumerate(calls):
            start = time.perf_counter()
            call()
            least[number] = min(least[number], (time.perf_counter() - start) * 1e3)
        rounds += 1
    return least


def agreement(gallery: Gallery, stored: NDArray[np.float32], queries: NDArray[np.float32]) -> tuple[float, float]:
    """Share of the true best LIMIT that the gallery finds, and the largest error of a cosine, against float64."""
    asked = queries.astype(np.float64)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    truth = np.empty((len(queries), len(stored)))
    for start in range(0, len(stored), 20_000):
        part = stored[start : start + 20_000].astype(np.float64)
        truth[:, start : start + len(part)] = asked @ (part / np.linalg.norm(part, axis=1, keepdims=True)).T
    found, error = 0, 0.0
    for scores, hits in zip(truth, gallery.search(queries, LIMIT), strict=True):
        found += len(np.intersect1d(np.argpartition(-scores, LIMIT)[:LIMIT], hits.rows))
        error = max(error, float(np.abs(scores[hits.rows] - hits.cosines).max()))
    return found / (LIMIT * len(queries)), error


def measure(rows: int, dimension: int, batch: int, threads: list[int]) -> tuple[Load, list[Measurement]]:
    faces = Faces(rows, dimension)
    stored = faces.stored(rows)
    gallery = Gallery(dimension, rows)
    before = resident_megabytes()
    spent = fill(gallery, stored)
    after = resident_megabytes()
    index = faiss.IndexFlatIP(dimension)
    index.add(stored)
    queries = faces.samples(batch)
    listed = np.sort(faces.random.choice(rows, min(LISTED, rows), replace=False)).astype(np.int32)
    selected = faiss.SearchParameters(sel=faiss.IDSelectorBatch(listed.astype(np.int64)))

    measurements = []
    for count in threads:
        searched = gallery
        if count > 1:
            searched = Gallery(dimension, rows, threads=count)
            fill(searched, stored)
        faiss.omp_set_num_threads(count)
        with threadpoolctl.threadpool_limits(limits=count):
            for asked in (queries[:1], queries):
                name = f"{len(asked)} quer{'y' if len(asked) == 1 else 'ies'}"
                whole: list[Callable[[], object]] = [
                    lambda asked=asked, searched=searched: searched.search(asked, LIMIT),
                    lambda asked=asked: best_of(asked @ stored.T),
                    lambda asked=asked: index.search(asked, LIMIT),
                ]
                among: list[Callable[[], object]] = [
                    lambda asked=asked, searched=searched: searched.search(asked, LIMIT, rows=listed),
                    lambda asked=asked: listed[best_of(asked @ stored[listed].T)],
                    lambda asked=asked: index.search(asked, LIMIT, params=selected),
                ]
                measurements.append(Measurement(rows, count, name, *least_milliseconds(whole)))
                case = f"{name} among {len(listed):,} scattered rows"
                measurements.append(Measurement(rows, count, case, *least_milliseconds(among)))
        searched.close()
    recall, error = agreement(gallery, stored, queries)
    load = Load(
        rows,
        spent,
        gallery.nbytes / MEGABYTE,
        None if before is None or after is None else after - before,
        stored.nbytes / MEGABYTE,
        recall,
        error,
    )
    return load, measurements


def processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [
            line.split(":", 1)[1] for line in information.read_text().splitlines() if line.startswith("model name")
        ]
        if names:
            return f"{names[0].strip()}, {len(names)} cores"
    return platform.processor() or platform.machine()


def report(loads: list[Load], measurements: list[Measurement], dimension: int, command: str) -> str:
    lines = [
        "## Exact 1:N search",
        "",
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {processor()}. `{command}`. "
        f"Vectors of {dimension} components, clustered like faces; the best {LIMIT}. Milliseconds are the least of "
        "alternating rounds; the ratio is the faster peer's time divided by ours "
        f"(numpy {np.__version__}, FAISS {faiss.__version__}).",
        "",
        "| rows | threads | search | Lunaria, ms | numpy float32, ms | FAISS Flat, ms | ratio |",
        "| ---: | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {item.rows:,} | {item.threads} | {item.case} | {item.lunaria:.2f} | {item.numpy:.2f} | {item.faiss:.2f} "
        f"| {item.ratio:.1f} |"
        for item in measurements
    ]
    lines += [
        "",
        "| rows | loading, s | gallery, MB | growth of resident memory, MB | float32 alone, MB | "
        f"true best {LIMIT} found | largest error of a cosine |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for load in loads:
        resident = "unknown" if load.resident_megabytes is None else f"{load.resident_megabytes:,.0f}"
        lines.append(
            f"| {load.rows:,} | {load.put_seconds:.1f} | {load.megabytes:,.0f} | {resident} "
            f"| {load.float32_megabytes:,.0f} | {load.recall:.4f} | {load.largest_error:.1e} |"
        )
    return "\n".join(lines) + "\n"


def integers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.search", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=integers, default=[100_000, 1_000_000], help="sizes of the gallery")
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--batch", type=int, default=30, help="queries in a batch")
    parser.add_argument("--threads", type=integers, default=[1, 2], help="threads of each of the three")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file as well")
    given = parser.parse_args()
    loads, measurements = [], []
    for rows in given.rows:
        load, measured = measure(rows, given.dimension, given.batch, given.threads)
        loads.append(load)
        measurements += measured
    command = " ".join(["python -m bench.search", *sys.argv[1:]])
    text = report(loads, measurements, given.dimension, command)
    print(text)
    if given.markdown:
        given.markdown.write_text(text)


if __name__ == "__main__":
    main()
