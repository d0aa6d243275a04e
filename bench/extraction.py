"""From photograph to descriptor: faces per second and core, and memory, beside the package face_recognition (dlib).

    python -m bench.extraction [--photographs FOLDER_OR_ZIP ...] [--sample 40] [--rounds 5] [--peer-python PYTHON]

Both read the same files in the same run, each in a process of its own with one thread, in alternating rounds; the
least processor time of a round counts, since other work on the machine only ever adds. face_recognition is used as
its documentation shows: load_image_file, face_encodings. It is installed into out/peers unless `--peer-python` names
an interpreter that has it.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from bench.faces import REPOSITORY, files, models_folder
from bench.report import add_markdown_argument, conditions, progress, publish, table

PEER = REPOSITORY / "out" / "peers" / "face_recognition"
PEER_PACKAGES = (
    "setuptools<81",  # face_recognition_models asks it where its files are
    "dlib-bin==20.0.1.post1",  # dlib, compiled
    "face_recognition==1.3.0",
    "face_recognition_models==0.3.0",
    "numpy",
    "pillow",
    "click",
)
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
MEGABYTE = 1e6

WORKER = """
import json, resource, sys, time

def serve(describe):
    files = json.loads(sys.stdin.readline())
    for line in sys.stdin:
        wall, cpu, faces = time.perf_counter(), time.process_time(), 0
        for file in files:
            faces += describe(file)
        spent = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "faces": faces}
        spent["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps(spent), flush=True)
"""

LUNARIA = """
from pathlib import Path
from lunaria.vision.analysis import Analyzer
from lunaria.vision.plan import Plan
from lunaria.vision.images import Decoder
from lunaria.vision.packs.store import ModelStore

analyzer, decoder, plan = Analyzer(ModelStore(Path(sys.argv[1]))), Decoder(), Plan(descriptor=True)
serve(lambda file: len(analyzer.analyze(decoder.decode(Path(file).read_bytes()), plan)))
"""

FACE_RECOGNITION = """
import face_recognition

serve(lambda file: len(face_recognition.face_encodings(face_recognition.load_image_file(file))))
"""


@dataclass(frozen=True)
class Measured:
    """Of all rounds over one set: the least seconds, the faces of a round, the most memory."""

    faces: int
    cpu: float
    wall: float
    peak: int


class Worker:
    """A process that describes the same photographs as often as it is told; `task` is how they are named to it."""

    def __init__(self, command: list[str], task: object) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **ONE_THREAD},
        )
        self._tell(json.dumps(task))
        self._rounds: list[dict[str, Any]] = []

    @classmethod
    def in_python(cls, python: str, code: str, photographs: list[Path], *arguments: str) -> Self:
        """One that runs WORKER and this code."""
        command = [python, "-W", "ignore", "-c", WORKER + code, *arguments]
        return cls(command, [str(file) for file in photographs])

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def round(self) -> None:
        assert self._process.stdout is not None
        self._tell("go")
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a worker ended; see above")
        self._rounds.append(json.loads(line))

    def result(self) -> Measured:
        """Without the first round, in which caches fill."""
        rounds = self._rounds[1:]
        return Measured(
            rounds[0]["faces"],
            min(one["cpu"] for one in rounds),
            min(one["wall"] for one in rounds),
            max(one["peak"] for one in rounds),
        )

    def close(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(30)


def install_peer() -> str:
    """An interpreter with face_recognition, made once; kept apart, as its packages are of no use to Lunaria."""
    python = PEER / "bin" / "python"
    if not (PEER / "complete").exists():
        progress("installing face_recognition and dlib into out/peers")
        venv.create(PEER, with_pip=True, clear=True)
        # face_recognition asks for the package dlib, which is only published as source: dlib-bin is the same, compiled.
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", *PEER_PACKAGES], check=True)
        subprocess.run([python, "-W", "ignore", "-c", "import face_recognition"], check=True)
        (PEER / "complete").touch()
    return str(python)


@contextlib.contextmanager
def written(photographs: dict[str, bytes]) -> Iterator[list[Path]]:
    """The photographs as files."""
    with tempfile.TemporaryDirectory() as name:
        paths = []
        for number, (file, data) in enumerate(photographs.items()):
            path = Path(name) / f"{number}{Path(file).suffix}"
            path.write_bytes(data)
            paths.append(path)
        yield paths


def spread(photographs: dict[str, bytes], count: int) -> dict[str, bytes]:
    """At most `count` of them, evenly over the names."""
    names = list(photographs)
    places = np.unique(np.linspace(0, len(names) - 1, min(count, len(names))).astype(int))
    return {names[place]: photographs[names[place]] for place in places}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.extraction", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--photographs", type=Path, nargs="*", default=[], help="further folders or zips of photographs"
    )
    parser.add_argument("--sample", type=int, default=40, help="photographs taken of each")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-python", help="interpreter that has face_recognition")
    parser.add_argument("--models", type=Path, help="folder of the networks, with the photographs of `make models`")
    add_markdown_argument(parser)
    given = parser.parse_args()
    peer = given.peer_python or install_peer()
    models = models_folder(given.models)
    rows = []
    for source in [models / "photos", *given.photographs]:
        photographs = spread(files(source), given.sample)
        if not photographs:
            raise SystemExit(f"bench.extraction: there are no photographs in {source}")
        with written(photographs) as paths:
            ours, theirs = compare(peer, models, paths, given.rounds, source.name)
        rows.append(row(source.name, len(photographs), ours, theirs))
    header = ["photographs", "number", "faces found", "ms a face", "faces/s a core", "peak memory, MB", "ratio"]
    text = "\n".join(
        [
            conditions("Each cell: Lunaria / face_recognition.", "onnxruntime", "openvino", "simplejpeg"),
            f"Peer: {peer_versions(peer)}; detector HOG, 5 points, ResNet-29, as face_encodings does by default.",
            "",
            "File to descriptors of all faces, one thread each, alternating rounds; processor time of the least of "
            f"{given.rounds - 1} rounds (the first is left out). The ratio is that of faces per second.",
            "",
            table(header, rows),
        ]
    )
    publish("extraction", text, given.markdown)


def compare(peer: str, models: Path, paths: list[Path], rounds: int, name: str) -> tuple[Measured, Measured]:
    workers = [
        Worker.in_python(sys.executable, LUNARIA, paths, str(models)),
        Worker.in_python(peer, FACE_RECOGNITION, paths),
    ]
    try:
        for number in range(rounds):
            for worker in workers:
                worker.round()
            progress(f"{name}: round {number + 1} of {rounds}")
        ours, theirs = (worker.result() for worker in workers)
    finally:
        for worker in workers:
            worker.close()
    return ours, theirs


def row(name: str, number: int, ours: Measured, theirs: Measured) -> tuple[object, ...]:
    rates = ours.faces / ours.cpu, theirs.faces / theirs.cpu
    return (
        name,
        number,
        f"{ours.faces} / {theirs.faces}",
        f"{1e3 / rates[0]:.1f} / {1e3 / rates[1]:.0f}",
        f"{rates[0]:.1f} / {rates[1]:.2f}",
        f"{ours.peak / MEGABYTE:.0f} / {theirs.peak / MEGABYTE:.0f}",
        f"{rates[0] / rates[1]:.1f}",
    )


def peer_versions(python: str) -> str:
    code = (
        "import dlib, importlib.metadata as m; "
        "print(f\"face_recognition {m.version('face_recognition')}, dlib {dlib.__version__}\")"
    )
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
