"""What everything that /6/sdk estimates costs together, beside its networks one by one, and beside peers.

    python -m bench.sdk [--photo FILE] [--rounds 7] [--peer-python PYTHON] [--peer-node FOLDER]

One photograph with one person (by default obama.jpg of the pack `photos`, 910 x 1137). All figures are processor time
of one thread, the least of several rounds, since other work on the machine only ever adds. Each network is measured
alone on the very input that the analysis gave it. The peers are face_recognition (see bench.extraction) and, where Node
is, @vladmandic/human, each in a process of its own, in alternating rounds with Lunaria; they are installed into
out/peers unless the options name an interpreter, or a folder with `node_modules`, that has them.
"""

import argparse
import dataclasses
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from bench.extraction import FACE_RECOGNITION, MEGABYTE, Measured, Worker, install_peer, peer_versions
from bench.faces import REPOSITORY, models_folder
from bench.report import add_markdown_argument, conditions, progress, publish, table
from lunaria.vision import networks
from lunaria.vision.analysis import Analyzer
from lunaria.vision.checks import chosen
from lunaria.vision.images import Decoder, Image
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.plan import Plan
from lunaria.vision.runtime import InferenceSession, open_session

HUMAN = REPOSITORY / "out" / "peers" / "human"
HUMAN_PACKAGES = (
    "@vladmandic/human@3.3.6",
    "@tensorflow/tfjs-core@4.22.0",
    "@tensorflow/tfjs-converter@4.22.0",
    "@tensorflow/tfjs-backend-wasm@4.22.0",
)
LIMIT = 2.0
"""Everything together may cost this many times the networks alone."""

OF_BODIES = ("body_descriptor", "body_basic_attributes", "upper_body", "lower_body", "accessories", "body_warp")
EVERYTHING = Plan(
    **{  # type: ignore[arg-type]
        one.name: True for one in dataclasses.fields(Plan) if one.name not in ("multiface", "checks")
    }
)
UNCOUNTED = replace(EVERYTHING, people_count=False)
OURS, COUNTING = "Lunaria, people not counted", "Lunaria"

LUNARIA = """
from pathlib import Path
from bench import sdk
from lunaria.vision.analysis import Analyzer
from lunaria.vision.images import Decoder
from lunaria.vision.packs.store import ModelStore

analyzer, decoder = Analyzer(ModelStore(Path(sys.argv[1]))), Decoder()
analyzer.load_all()
plan = getattr(sdk, sys.argv[2])
serve(lambda file: len(analyzer.find(decoder.decode(Path(file).read_bytes()), plan).faces))
"""


@dataclass
class Recorded:
    """A network that remembers what it was given."""

    session: InferenceSession
    feeds: list[dict[str, NDArray[Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inputs, self.ports, self.outputs = self.session.inputs, self.session.ports, self.session.outputs

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        self.feeds.append({name: np.array(array) for name, array in feeds.items()})
        return self.session.run(feeds)

    def replay(self) -> None:
        """All that it was given, once more."""
        for feeds in self.feeds:
            self.session.run(feeds)

    def once(self) -> None:
        """The largest of what it was given."""
        self.session.run(max(self.feeds, key=lambda feeds: sum(array.size for array in feeds.values())))


@dataclass(frozen=True)
class Alone:
    """A network by itself: milliseconds of one run, how often the analysis ran it, milliseconds of all these runs."""

    once: float
    runs: int
    all_runs: float


@dataclass(frozen=True)
class Whole:
    """An analysis: its milliseconds, and those of its networks by the names of their files."""

    spent: float
    networks: dict[str, Alone]

    @property
    def once(self) -> float:
        """Every network once."""
        return sum(network.once for network in self.networks.values())

    @property
    def all_runs(self) -> float:
        """Every network as often as it ran."""
        return sum(network.all_runs for network in self.networks.values())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sdk", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photo", type=Path, help="photograph with one person; default: obama.jpg of the pack")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peer-python", help="interpreter that has face_recognition")
    parser.add_argument("--peer-node", type=Path, help="folder whose node_modules have @vladmandic/human")
    parser.add_argument("--models", type=Path, help="folder of the networks")
    add_markdown_argument(parser)
    given = parser.parse_args()
    models = models_folder(given.models)
    photo = given.photo or models / "photos" / "obama.jpg"
    peer_python, peer_node = given.peer_python or install_peer(), given.peer_node or install_human()
    peers = compare(models, photo, given.rounds, peer_python, peer_node)
    use_one_core()
    image = Decoder().decode(photo.read_bytes())
    decoding = least(lambda: Decoder().decode(photo.read_bytes()), given.rounds)
    everything, uncounted = (analysed(models, image, plan, given.rounds) for plan in (EVERYTHING, UNCOUNTED))
    counting = everything.spent - uncounted.spent
    added = one_by_one(Analyzer(ModelStore(models)), image, given.rounds, counting)
    height, width = image.pixels.shape[:2]
    measured = (
        f"`{photo.name}`, {width} x {height}, one person. Processor time of one thread, the least of {given.rounds} "
        "rounds after a first one."
    )
    text = "\n\n".join(
        [
            conditions(measured, "onnxruntime", "openvino", "numpy"),
            *networks_part(everything, uncounted, decoding),
            *added_part(added),
            *peers_part(peers, peer_python),
        ]
    )
    publish("sdk", text, given.markdown)


def use_one_core() -> None:
    """So that no library splits its work."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def least(work: Callable[[], object], rounds: int) -> float:
    """Milliseconds of processor time of the cheapest round; the first, in which caches fill, is left out."""
    spent = []
    for _ in range(rounds + 1):
        start = time.process_time()
        work()
        spent.append((time.process_time() - start) * 1e3)
    return min(spent[1:])


def analysed(models: Path, image: Image, plan: Plan, rounds: int) -> Whole:
    """What a plan costs, and each of its networks alone."""
    analyzer = Analyzer(ModelStore(models))
    spent = least(functools.partial(analyzer.find, image, plan), rounds)
    sessions: dict[str, Recorded] = {}

    def recorded(path: Path, **options: Any) -> Recorded:
        # a file that two estimators open is one network
        if path.stem not in sessions:
            sessions[path.stem] = Recorded(open_session(path, **options))
        return sessions[path.stem]

    with patch.object(networks, "open_session", recorded):
        Analyzer(ModelStore(models)).find(image, plan)
    progress(f"{spent:.0f} ms together; measuring {len(sessions)} networks alone")
    return Whole(
        spent,
        {
            name: Alone(least(session.once, rounds), len(session.feeds), least(session.replay, rounds))
            for name, session in sorted(sessions.items())
            if session.feeds
        },
    )


def one_by_one(analyzer: Analyzer, image: Image, rounds: int, counting: float) -> list[tuple[str, float, float]]:
    """Of each estimate its name, milliseconds over the detection alone, and less when it is left out of everything.

    Left out of everything but counting people, which takes so long that little else would show; `counting`: what that
    is less by itself.
    """

    def extra(more: Plan, fewer: Plan) -> float:
        """What a plan costs more than another, measured in turn."""
        spent = [
            [least(functools.partial(analyzer.find, image, plan), 1) for plan in (more, fewer)] for _ in range(rounds)
        ]
        return min(costs[0] for costs in spent) - min(costs[1] for costs in spent)

    faces, both = Plan(), Plan(detect_bodies=True)
    rows = [
        ("detection of faces", extra(faces, Plan(detect_faces=False)), np.nan),
        ("detection of bodies", extra(both, faces), np.nan),
    ]
    for one in dataclasses.fields(Plan):
        if one.name in ("multiface", "checks", "detect_faces", "detect_bodies"):
            continue
        base = both if one.name in OF_BODIES else faces
        added = extra(replace(base, **{one.name: True}), base)
        counts = one.name == "people_count"
        less = counting if counts else extra(UNCOUNTED, replace(UNCOUNTED, **{one.name: False}))
        rows.append((one.name.replace("_", " "), added, less))
        progress(f"{rows[-1][0]}: {added:.1f} ms over the detection, {less:.1f} ms of everything")
    checks = frozenset(check.name for check in chosen())
    title = f"{len(checks)} portrait checks (/6/detector)"
    return [*rows, (title, extra(Plan(checks=checks), faces), extra(replace(UNCOUNTED, checks=checks), UNCOUNTED))]


def networks_part(everything: Whole, uncounted: Whole, decoding: float) -> list[str]:
    """Together against one by one."""
    rows: list[tuple[object, ...]] = []
    for name, network in sorted(everything.networks.items(), key=lambda item: -item[1].all_runs):
        fewer = uncounted.networks.get(name)
        rows.append(
            (
                name.replace("_", " "),
                f"{network.once:.1f}",
                network.runs,
                f"{network.all_runs:.1f}",
                f"{network.all_runs / everything.spent:.0%}",
                fewer.runs if fewer else 0,
                f"{fewer.all_runs / uncounted.spent:.0%}" if fewer else "",
            )
        )
    for name, value in (("*all networks*", lambda whole: whole.all_runs), ("*the rest*", rest)):
        counted, less = value(everything), value(uncounted)
        once = f"{everything.once:.1f}" if name == "*all networks*" else ""
        runs = sum(network.runs for network in everything.networks.values()) if once else ""
        fewer_runs = sum(network.runs for network in uncounted.networks.values()) if once else ""
        rows.append(
            (
                *(name, once, runs, f"{counted:.1f}", f"{counted / everything.spent:.0%}"),
                *(fewer_runs, f"{less / uncounted.spent:.0%}"),
            )
        )
    header = ["network", "one run, ms", "runs", "all runs, ms", "share", "runs without counting", "share"]
    sums = [
        (
            name,
            f"{whole.spent:.0f}",
            f"{whole.once:.0f}",
            f"{whole.spent / whole.once:.2f}",
            f"{whole.all_runs:.0f}",
            f"{whole.spent / whole.all_runs:.2f}",
        )
        for name, whole in (("everything", everything), ("everything but counting people", uncounted))
    ]
    return [
        "### Everything together, and its networks one by one",
        "*The rest* is everything that is no network: cutting out, scaling, measuring pixels, our own heads, which are "
        f"matrix products. Decoding the file, not part of it, takes {decoding:.1f} ms more.",
        table(header, rows),
        f"Each network alone, on its own input, against all of them in one analysis; it shall be at most {LIMIT:.0f}. "
        "Where a photograph shows several people, counting runs the networks that find bodies over tiles of it too.",
        table(
            ["analysis", "together, ms", "each network once, ms", "ratio", "each as often as it runs, ms", "ratio"],
            sums,
        ),
    ]


def rest(whole: Whole) -> float:
    """Milliseconds that no network takes."""
    return whole.spent - whole.all_runs


def added_part(rows: Sequence[tuple[str, float, float]]) -> list[str]:
    """What one more estimate costs."""
    return [
        "### One more estimate",
        "*Added*: milliseconds more than the detection alone (of bodies for those of bodies), with the landmarks and "
        "shared networks that it needs. *Left out*: milliseconds less when everything else stays on: what it needs for "
        "itself. Counting people is off there, but for its own row.",
        table(
            ["estimate", "added, ms", "left out, ms"],
            [(name, f"{added:.1f}", "" if np.isnan(less) else f"{less:.1f}") for name, added, less in rows],
        ),
    ]


def install_human() -> Path | None:
    """The folder with the package, made once; None where there is no Node."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        progress("no Node here: without @vladmandic/human")
        return None
    if not (HUMAN / "complete").exists():
        progress("installing @vladmandic/human into out/peers")
        HUMAN.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", "--prefix", str(HUMAN)]
        subprocess.run([*install, *HUMAN_PACKAGES], check=True)
        (HUMAN / "complete").touch()
    return HUMAN


def compare(models: Path, photo: Path, rounds: int, peer_python: str, peer_node: Path | None) -> dict[str, Measured]:
    """Lunaria and its peers over the photograph, in alternating rounds."""
    with tempfile.TemporaryDirectory() as folder:
        workers = {
            OURS: Worker.in_python(sys.executable, LUNARIA, [photo], str(models), "UNCOUNTED"),
            COUNTING: Worker.in_python(sys.executable, LUNARIA, [photo], str(models), "EVERYTHING"),
            "face_recognition": Worker.in_python(peer_python, FACE_RECOGNITION, [photo]),
        }
        if peer_node is not None:
            pixels = Decoder().decode(photo.read_bytes()).pixels
            raw = Path(folder) / "raw"
            raw.write_bytes(pixels.tobytes())
            shown = {"file": str(raw), "width": pixels.shape[1], "height": pixels.shape[0]}
            script = Path(__file__).with_name("human.cjs").read_text()
            command = ["node", "--input-type=commonjs", "-e", script, str(peer_node.absolute())]
            workers["@vladmandic/human"] = Worker(command, [shown])
        try:
            for number in range(rounds + 1):
                for worker in workers.values():
                    worker.round()
                progress(f"peers: round {number + 1} of {rounds + 1}")
            return {name: worker.result() for name, worker in workers.items()}
        finally:
            for worker in workers.values():
                worker.close()


DOES = {
    OURS: "everything of /6/sdk but that",
    COUNTING: "everything of /6/sdk",
    "face_recognition": "finds faces (HOG), 5 landmarks, descriptor; none of the other estimates",
    "@vladmandic/human": "one face: box, mesh with irises, pose, emotions, age, gender, descriptor, antispoofing, "
    "liveness; 17 points of one body; objects, persons among them. No mask, glasses, deepfake, ethnicity, image "
    "quality, clothes, body descriptor, counting in tiles. In WebAssembly with SIMD: its native backend is no part of "
    "a package",
}


def peers_part(measured: dict[str, Measured], peer_python: str) -> list[str]:
    """Beside what others do with the same photograph."""
    ours = measured[OURS]
    rows = [
        (name, DOES[name], f"{one.cpu * 1e3:.0f}", f"{one.cpu / ours.cpu:.2f}", f"{one.peak / MEGABYTE:.0f}")
        for name, one in measured.items()
    ]
    return [
        "### Beside others",
        f"The same file in the same run, one process each, alternating rounds. {peer_versions(peer_python)}; "
        f"{', '.join(HUMAN_PACKAGES)}. No package that can be installed with its weights does all of it. The file is "
        "decoded within, except for @vladmandic/human, which is given pixels.",
        table(["library", "what it does", "ms", "times the first", "peak memory, MB"], rows, text_columns=2),
    ]


if __name__ == "__main__":
    main()
