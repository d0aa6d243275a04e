"""What a request costs: requests per second and processor time per request, over real HTTP on the loopback address.

    python -m bench.requests [--seconds 2] [--connections 1,8] [--only get]

The load comes from wrk (`apt-get install wrk`), one thread, keep-alive. Processor time is that of the server process
and of PostgreSQL, read from /proc before and after; it depends less on what else the machine does than rates and
latencies do. Beside them in the same run: the same Litestar and uvicorn without the product, which echo a JSON object
or ask PostgreSQL for one (`bench.baseline`). A ratio is the server's processor time divided by that of the latter.
"""

import argparse
import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import cv2
import httpx

from bench.faces import files, models_folder
from bench.gallery import fill
from bench.report import add_markdown_argument, conditions, progress, publish, table
from bench.server import Server, cpu_of, free_port, running_server, wait_for
from lunaria.vision.images import Decoder, encode_jpeg

SCRIPT = Path(__file__).with_name("load.lua")
OBJECTS = 1000
GALLERY = 1000
PHOTOGRAPH_SIDE = 640
JSON = {"Content-Type": "application/json"}
JPEG = {"Content-Type": "image/jpeg"}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Case:
    """Requests of a kind. `once`: each can be sent only once, as it deletes. `baseline`: what it is compared with;
    empty where networks run, which no baseline has."""

    name: str
    requests: list[Request]
    baseline: str = "one"
    once: bool = False


@dataclass(frozen=True)
class Measured:
    """Processor milliseconds per request of the server process and of PostgreSQL, and what the client saw."""

    rate: float
    server: float
    database: float
    median: float
    worst: float

    @property
    def processor(self) -> float:
        return self.server + self.database


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.requests", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--connections", default="1,8", help="numbers of connections")
    parser.add_argument("--only", default="", help="measure requests with this word in their name")
    parser.add_argument("--models", type=Path, help="folder of the networks")
    add_markdown_argument(parser)
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("bench.requests needs wrk: apt-get install wrk")
    connections = [int(word) for word in given.connections.split(",")]
    rows = []
    with running_server(given.models) as server:
        url = server.database_url()
        with baseline_server(url, server.folder) as (bare, bare_cpu):
            for count in connections:
                bases = {
                    case.name: measure(bare, case, count, given.seconds, lambda: (bare_cpu(), server.cpu()[1]))
                    for case in baselines()
                }
                rows += [row(f"*bare: {name}*", count, one, None) for name, one in bases.items()]
                for case in cases(server, server.new_account(), url, models_folder(given.models)):
                    if given.only in case.name:
                        result = measure(server.url, case, count, given.seconds, server.cpu)
                        rows.append(row(case.name, count, result, bases.get(case.baseline)))
                        progress(" | ".join(map(str, rows[-1])))
    header = ["request", "connections", "requests/s", "CPU ms: server", "PostgreSQL", "ms: median", "99 %", "ratio"]
    text = "\n".join(
        [
            conditions(f"Load: {wrk_version()}, one thread, keep-alive.", "litestar", "uvicorn", "asyncpg"),
            "",
            "The ratio is the processor time of the request, PostgreSQL included, divided by that of the bare handler "
            "with `SELECT 1`; requests that run networks have none.",
            "",
            table(header, rows),
        ]
    )
    publish("requests", text, given.markdown)


def baselines() -> list[Case]:
    echo = Request("POST", "/echo", JSON, b'{"user_data": "a", "external_id": "b"}')
    return [Case("echo", [echo]), Case("one", [Request("GET", "/one")])]


def row(name: str, connections: int, one: Measured, base: Measured | None) -> tuple[object, ...]:
    return (
        name,
        connections,
        f"{one.rate:,.0f}",
        f"{one.server:.2f}",
        f"{one.database:.2f}",
        f"{one.median:.1f}",
        f"{one.worst:.1f}",
        "" if base is None else f"{one.processor / base.processor:.1f}",
    )


@contextmanager
def baseline_server(database_url: str, folder: Path) -> Iterable[tuple[str, Callable[[], float]]]:
    """The address of the bare server, and its processor seconds so far."""
    port = free_port()
    log = folder / "baseline.log"
    with log.open("ab") as opened:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.baseline", str(port), database_url],
            stdin=subprocess.DEVNULL,
            stdout=opened,
            stderr=opened,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/one", process, log)
        yield f"http://127.0.0.1:{port}", lambda: cpu_of(process.pid)
    finally:
        process.terminate()
        process.wait(20)


def measure(url: str, case: Case, connections: int, seconds: float, cpu: Callable[[], tuple[float, float]]) -> Measured:
    """Send the requests with wrk. Ends the benchmark when one of them fails."""
    if not case.once:
        warm_up(url, case.requests[0])
    before = cpu()
    told = load(url, case, connections, seconds)
    spent = [after - start for start, after in zip(before, cpu(), strict=True)]
    # Connections whose further requests are cut off when wrk stops; a request sent twice by another one is refused.
    tolerated = connections if case.once else 0
    if told["failed"] > tolerated or told["broken"] or not told["requests"]:
        raise SystemExit(f"bench.requests: {case.name}: {told}")
    return Measured(
        connections * 1e3 / told["mean_ms"],  # wrk may have run out of requests before its time was over
        spent[0] * 1e3 / told["requests"],
        spent[1] * 1e3 / told["requests"],
        told["median_ms"],
        told["p99_ms"],
    )


def load(url: str, case: Case, connections: int, seconds: float) -> dict[str, Any]:
    """Send the requests with wrk: what load.lua tells of them, the failed ones included."""
    file = SCRIPT.parent.parent / "out" / "requests.lua"
    file.parent.mkdir(exist_ok=True)
    file.write_text(lua_table(case))
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{max(1, round(seconds))}s",
        "--latency",
        "--timeout",
        "30s",
        "-s",
        str(SCRIPT),
        url,
        "--",
        str(file),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def warm_up(url: str, request: Request) -> None:
    reply = httpx.request(request.method, url + request.path, headers=request.headers, content=request.body, timeout=60)
    reply.raise_for_status()


def lua_table(case: Case) -> str:
    """The file that load.lua reads."""

    def string(value: bytes | str) -> str:
        data = value.encode() if isinstance(value, str) else value
        return (
            '"'
            + "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03d}" for byte in data)
            + '"'
        )

    lines = [f"return {{once = {str(case.once).lower()},"]
    for request in case.requests:
        headers = ", ".join(f"[{string(name)}] = {string(value)}" for name, value in request.headers.items())
        body = string(request.body) if request.body else "nil"
        lines.append(f"{{{string(request.method)}, {string(request.path)}, {{{headers}}}, {body}}},")
    return "\n".join([*lines, "}"])


def cases(server: Server, account: UUID, database_url: str, models: Path) -> Iterable[Case]:
    """Every kind of request, in an order in which what one makes serves the next."""
    mine = {"Luna-Account-Id": str(account)}
    with server.client(account) as client:
        faces = [made(client, "/6/faces", "face_id", {"user_data": f"face {number}"}) for number in range(OBJECTS)]
        lists = [made(client, "/6/lists", "list_id", {"user_data": f"list {number}"}) for number in range(50)]
        patches = [(json.dumps({"user_data": f"changed {number}"})).encode() for number in range(10)]
        yield Case("health check", [Request("GET", "/healthcheck")], "one")
        yield Case(
            "create face", [Request("POST", "/6/faces", mine | JSON, b'{"external_id": "42", "user_data": "a"}')]
        )
        yield Case("get face", [Request("GET", f"/6/faces/{face}", mine) for face in faces])
        yield Case("page of 10 faces", [Request("GET", "/6/faces?page_size=10", mine)])
        yield Case(
            "patch face",
            [
                Request("PATCH", f"/6/faces/{face}", mine | JSON, patches[number % len(patches)])
                for number, face in enumerate(faces)
            ],
        )
        yield Case("create list", [Request("POST", "/6/lists", mine | JSON, b'{"user_data": "a"}')])
        yield Case("get list", [Request("GET", f"/6/lists/{one}", mine) for one in lists])
        yield Case(
            "attach a face to a list",
            [
                Request(
                    "PATCH",
                    f"/6/lists/{lists[number % len(lists)]}/faces",
                    mine | JSON,
                    json.dumps({"action": "attach", "face_ids": [face]}).encode(),
                )
                for number, face in enumerate(faces)
            ],
        )
        basic = json.dumps({"basic_attributes": {"age": 30, "gender": 1}}).encode()
        yield Case("create temporary attribute", [Request("POST", "/6/attributes", mine | JSON, basic)])
        yield Case("delete face", [Request("DELETE", f"/6/faces/{face}", mine) for face in faces], once=True)
        photograph = photograph_of(models)
        warp = base64.b64decode(sdk_warp(client, photograph))
        yield Case("save sample", [Request("POST", "/6/samples/faces", mine | JPEG, warp)])
        wanted = "detect_face=1&estimate_face_descriptor=1"
        yield Case(
            "descriptor of a photograph (sdk)", [Request("POST", f"/6/sdk?{wanted}", mine | JPEG, photograph)], ""
        )
        yield Case("detect and save sample", [Request("POST", "/6/detector", mine | JPEG, photograph)], "")
        yield Case(f"match among {GALLERY:,} faces", match_requests(server, database_url))


def made(client: httpx.Client, path: str, key: str, body: dict[str, str]) -> str:
    reply = client.post(path, json=body)
    reply.raise_for_status()
    return str(reply.json()[key])


def photograph_of(models: Path) -> bytes:
    """A portrait with a long side of 640 pixels, as JPEG of quality 90."""
    pixels = Decoder().decode(files(models / "photos")["obama.jpg"]).pixels
    scale = PHOTOGRAPH_SIDE / max(pixels.shape[:2])
    return encode_jpeg(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), 90)


def sdk_warp(client: httpx.Client, photograph: bytes) -> str:
    """The warp of the face, base64."""
    reply = client.post("/6/sdk?detect_face=1&estimate_face_warp=1", content=photograph, headers=JPEG)
    reply.raise_for_status()
    detection = reply.json()["images_estimations"][0]["estimations"][0]["face"]["detection"]
    return str(find(detection, "warp"))


def find(value: Any, key: str) -> Any:
    """The first value with this key anywhere in a reply."""
    if isinstance(value, dict):
        if key in value:
            return find(value[key], key)
        return next((found for inner in value.values() if (found := find(inner, key)) is not None), None)
    return value if isinstance(value, str) else None


def match_requests(server: Server, database_url: str) -> list[Request]:
    """Searches of an account that has a gallery of its own."""
    account = server.new_account()
    gallery = fill(database_url, account, GALLERY, logged=True)
    mine = {"Luna-Account-Id": str(account)} | JSON
    requests = []
    for number in range(0, GALLERY, 10):
        data = base64.b64encode(gallery.descriptor(number)).decode()
        body = {
            "references": [{"type": "sdk_descriptor", "id": "1", "data": data}],
            "candidates": [{"filters": {"origin": "faces"}, "limit": 3}],
        }
        requests.append(Request("POST", "/6/matcher/faces", mine, json.dumps(body).encode()))
    return requests


def wrk_version() -> str:
    """wrk tells it only together with its usage."""
    done: Sequence[str] = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout.split()
    return " ".join(done[:2])


if __name__ == "__main__":
    main()
