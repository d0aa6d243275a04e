"""What a handler adds to the analysis: photographs through `/6/handlers/{id}/events` beside the same through `/6/sdk`.

    python -m bench.handlers [--seconds 2.5] [--rounds 8] [--connections 1,4,16] [--faces 10000]

Both estimate the same of one photograph with one face (landmarks and descriptor), over real HTTP on the loopback
address, in alternating rounds on one server. The handler compares the descriptor with a gallery of faces besides, and
by its storage policy keeps nothing, or a sample and the event (as by default), or a face in a list as well. The ratio
is the handler's rate divided by that of the analysis in the same round, the median of all rounds. Processor time is
that of the server process and of PostgreSQL.

Then more connections than the queue of the vision workers has room for: what is refused (503) must not take from what
is served. The load comes from wrk, as in bench.requests.
"""

import argparse
import shutil
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from bench.faces import models_folder
from bench.gallery import fill
from bench.report import add_markdown_argument, conditions, progress, publish, table
from bench.requests import JPEG, Case, Measured, Request, load, measure, photograph_of, wrk_version
from bench.server import Server, running_server
from lunaria.vision.packs.store import ModelStore

Row = tuple[object, ...]

ANALYSIS = "analysis alone (sdk)"
QUEUE = 8
"""Of the vision workers, for the overload."""
FITTING = 4
OVERLOAD = 64
"""Connections then: those that fit, and those that do not."""
SETTLING = 3.0
"""Seconds for what still waits in the queue after an overload."""
NOTHING: Mapping[str, Any] = {
    "face_sample_policy": {"store_sample": 0},
    "event_policy": {"store_event": 0},
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.handlers", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.5, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=8, help="measurements of each kind")
    parser.add_argument("--connections", default="1,4,16", help="numbers of connections")
    parser.add_argument("--faces", type=int, default=10_000, help="in the gallery")
    parser.add_argument("--models", type=Path, help="folder of the networks")
    add_markdown_argument(parser)
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("bench.handlers needs wrk: apt-get install wrk")
    connections = [int(word) for word in given.connections.split(",")]
    rows: list[Row] = []
    with running_server(given.models) as server:
        cases = list(make_cases(server, given.faces, models_folder(given.models)))
        for count in connections:
            rows += compare(server, cases, count, given.seconds, given.rounds)
    crowded = {"LUNARIA_VISION_QUEUE": str(QUEUE)}
    with running_server(given.models, crowded) as server:
        cases = list(make_cases(server, given.faces, models_folder(given.models)))
        overload = crowd(server, [cases[0], cases[2]], given.seconds, given.rounds)
    header = ["", "connections", "photographs/s", "ratio", "CPU ms: server", "PostgreSQL", "ms: median", "99 %"]
    text = "\n".join(
        [
            conditions(
                f"A gallery of {given.faces:,} faces; medians of {given.rounds} rounds. Load: {wrk_version()}.",
                "litestar",
                "uvicorn",
                "openvino",
            ),
            "",
            table(header, rows),
            "",
            f"Room for {QUEUE} waiting photographs; {FITTING} connections, and {OVERLOAD}.",
            "",
            table(["", f"served/s of {FITTING}", f"of {OVERLOAD}", "ratio", "refused/s"], overload),
        ]
    )
    publish("handlers", text, given.markdown)


def make_cases(server: Server, faces: int, models: Path) -> Iterable[Case]:
    """The analysis alone, and handlers that keep ever more."""
    account = server.new_account()
    made = ModelStore(models).descriptor_spec()
    fill(server.database_url(), account, faces, logged=True, version=made.version, dimension=made.dimension)
    mine = {"Luna-Account-Id": str(account)}
    photograph = photograph_of(models)
    sdk = "/6/sdk?detect_face=1&estimate_face_descriptor=1&estimate_landmarks5=1"
    yield Case(ANALYSIS, [Request("POST", sdk, mine | JPEG, photograph)], "")
    with server.client(account) as client:
        list_id = client.post("/6/lists", json={}).json()["list_id"]
        kept = {
            "handler, nothing kept": NOTHING,
            "handler, sample and event kept": {},
            "handler, face in a list, too": {
                "face_policy": {"store_face": 1, "link_to_lists_policy": [{"list_id": list_id}]}
            },
        }
        for name, storage in kept.items():
            match = {"label": "all", "candidates": {"origin": "faces"}}
            reply = client.post("/6/handlers", json={"policies": {"match_policy": [match], "storage_policy": storage}})
            reply.raise_for_status()
            path = f"/6/handlers/{reply.json()['handler_id']}/events"
            yield Case(name, [Request("POST", path, mine | JPEG, photograph)], "")


def compare(server: Server, cases: Sequence[Case], connections: int, seconds: float, rounds: int) -> list[Row]:
    """All cases in alternating rounds."""
    found: dict[str, list[Measured]] = {case.name: [] for case in cases}
    for _ in range(rounds):
        for case in cases:
            found[case.name].append(measure(server.url, case, connections, seconds, server.cpu))
    rows = [row(name, connections, measured, found[ANALYSIS]) for name, measured in found.items()]
    for one in rows:
        progress(" | ".join(map(str, one)))
    return rows


def row(name: str, connections: int, measured: Sequence[Measured], analysis: Sequence[Measured]) -> Row:
    """The ratio is of the same round, as the machine is not equally fast in all."""
    rate, server, database, median, worst = (
        statistics.median(getattr(one, field.name) for one in measured) for field in fields(Measured)
    )
    ratio = statistics.median(one.rate / other.rate for one, other in zip(measured, analysis, strict=True))
    costs = (f"{server:.1f}", f"{database:.1f}", f"{median:.0f}", f"{worst:.0f}")
    return name, connections, f"{rate:.1f}", f"{ratio:.2f}", *costs


def crowd(server: Server, cases: Sequence[Case], seconds: float, rounds: int) -> list[Row]:
    """What is served of what fits, and of far more."""
    rows: list[Row] = []
    for case in cases:
        fitting, served, refused = [], [], []
        for _ in range(rounds):
            fitting.append(measure(server.url, case, FITTING, seconds, server.cpu).rate)
            told = load(server.url, case, OVERLOAD, seconds)
            if told["broken"] or told["first_failure"] not in (0, 503):
                raise SystemExit(f"bench.handlers: {case.name}: {told}")
            served.append((told["requests"] - told["failed"]) / told["seconds"])
            refused.append(told["failed"] / told["seconds"])
            time.sleep(SETTLING)
        before, beyond = statistics.median(fitting), statistics.median(served)
        told_row = (case.name, f"{before:.1f}", f"{beyond:.1f}", f"{beyond / before:.2f}")
        rows.append((*told_row, f"{statistics.median(refused):.0f}"))
        progress(" | ".join(map(str, rows[-1])))
    return rows


if __name__ == "__main__":
    main()
