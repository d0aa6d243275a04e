"""Resident memory, and how soon a server answers rightly after its start.

    python -m bench.memory [--cold 100000] [--large 1000000] [--dimension 512]

Four starts of a server of its own: the first (makes the database), a second one while it is empty, one with
`--cold` faces, one with `--large` faces, all with 512 components. "Ready" means that a search over HTTP has named the
right face. Memory is that of the server process after it has analysed photographs with all its threads, PostgreSQL's
apart. Needs about 2 GB of disk and takes three minutes for a million faces.
"""

import argparse
import base64
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import httpx

from bench.faces import files, models_folder
from bench.gallery import DIMENSION, Gallery, fill
from bench.report import add_markdown_argument, conditions, progress, publish, table
from bench.server import Server, temporary_folder

PHOTOGRAPHS_AT_ONCE = 8
ROUNDS = 3
SEARCHES = 20


class WrongAnswerError(Exception):
    """A search did not name the face that it was asked for."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cold", type=int, default=100_000, help="faces at the cold start")
    parser.add_argument("--large", type=int, default=1_000_000, help="faces at the start with a large gallery; 0: none")
    parser.add_argument("--models", type=Path, help="folder of the networks")
    add_markdown_argument(parser)
    given = parser.parse_args()
    photographs = list(files(models_folder(given.models) / "photos").values())
    rows = []
    with temporary_folder() as folder:
        server = Server(folder, given.models)
        try:
            rows.append(("first start, makes the database", 0, f"{server.start():.1f}", "", *memory(server)))
            account = server.new_account()
            server.stop()
            rows.append(("second start, empty", 0, f"{server.start():.1f}", "", *memory(server)))
            analyse(server, account, photographs)
            rows.append(("the same, after photographs by all threads", 0, "", "", *memory(server)))
            progress(f"networks loaded: {rows[-1]}")
            for count in (given.cold, given.large):
                if count:
                    rows.append(with_gallery(server, account, count, photographs))
                    progress(f"{rows[-1]}")
        finally:
            server.stop()
    text = "\n".join(
        [
            conditions(
                f"Generated faces with descriptors of {DIMENSION} components, written straight into PostgreSQL; "
                "photographs of the pack `photos`.",
                "onnxruntime",
                "openvino",
                "numpy",
            ),
            "",
            "*Ready*: seconds from the start of the process (PostgreSQL included, which it starts itself) until "
            "`/healthcheck` answers, or, with faces, until a search over HTTP has named the right one. *Search*: "
            f"median of {SEARCHES} further ones, one after the other, each a request with one descriptor and all faces "
            "as candidates. Memory with faces is taken after photographs by all threads, too.",
            "",
            table(
                ["start", "faces", "ready, s", "search, ms", "server, MB", "PostgreSQL, MB"],
                [(row[0], f"{row[1]:,}", *row[2:]) for row in rows],
            ),
        ]
    )
    publish("memory", text, given.markdown)


def memory(server: Server) -> tuple[str, str]:
    return f"{server.resident():.0f}", f"{server.database_memory():.0f}"


def analyse(server: Server, account: UUID, photographs: list[bytes]) -> None:
    """Estimate everything that the recognition networks give, several requests at a time."""
    path = "/6/sdk?detect_face=1&estimate_face_descriptor=1&estimate_head_pose=1&estimate_landmarks68=1"

    def send(data: bytes) -> None:
        kind = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
        client.post(path, content=data, headers={"Content-Type": kind}).raise_for_status()

    with server.client(account) as client, ThreadPoolExecutor(PHOTOGRAPHS_AT_ONCE) as pool:
        list(pool.map(send, photographs * ROUNDS))


def with_gallery(server: Server, account: UUID, count: int, photographs: list[bytes]) -> tuple[object, ...]:
    """Write the faces, start anew, search, analyse. The row of the table."""
    delete_faces(server)
    progress(f"writing {count:,} faces")
    gallery = fill(server.database_url(), account, count)
    server.stop()
    began = time.perf_counter()
    server.launch()
    server.wait()
    with server.client(account) as client:
        search(client, gallery, count // 2)
        ready = time.perf_counter() - began
        taken = []
        for number in range(SEARCHES):
            start = time.perf_counter()
            search(client, gallery, number * count // SEARCHES)
            taken.append((time.perf_counter() - start) * 1e3)
    analyse(server, account, photographs)
    return (f"with {count:,} faces", count, f"{ready:.1f}", f"{sorted(taken)[SEARCHES // 2]:.1f}", *memory(server))


def delete_faces(server: Server) -> None:
    import asyncio

    import asyncpg

    async def work() -> None:
        connection = await asyncpg.connect(server.database_url())
        try:
            await connection.execute("TRUNCATE faces CASCADE")
        finally:
            await connection.close()

    asyncio.run(work())


def search(client: httpx.Client, gallery: Gallery, number: int) -> None:
    """Look for a face by its descriptor. Raises WrongAnswerError when another one, or none, comes first."""
    body = {
        "references": [
            {"type": "sdk_descriptor", "id": "1", "data": base64.b64encode(gallery.descriptor(number)).decode()}
        ],
        "candidates": [{"filters": {"origin": "faces"}, "limit": 3, "targets": ["face_id", "similarity"]}],
    }
    reply = client.post("/6/matcher/faces", json=body, timeout=60)
    reply.raise_for_status()
    found = reply.json()[0]["matches"][0]["result"]
    if not found or found[0]["face"]["face_id"] != str(gallery.faces[number]) or found[0]["similarity"] < 0.99:
        raise WrongAnswerError(f"face {gallery.faces[number]} is not the first of {found}")


if __name__ == "__main__":
    main()
