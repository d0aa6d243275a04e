"""`python -m lunaria.demo`: the quickstart and all estimates, on a server of its own, as `out/demo/index.html`."""

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from lunaria import settings as settings_module
from lunaria.demo.conversation import Conversation
from lunaria.demo.page import write_page
from lunaria.demo.story import Story
from lunaria.demo.survey import Survey

STARTUP_SECONDS = 180


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lunaria.demo", description=__doc__)
    parser.add_argument("--url", help="address of a running server; without it a server is started for the demo")
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder of the page")
    options = parser.parse_args()
    photos = settings_module.load().models_folder / "photos"
    if not photos.is_dir():
        print(f"The photographs are not in {photos}: run `lunaria models pull --photos`.", file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        url = options.url or stack.enter_context(own_server(options.out / "data"))
        client = stack.enter_context(httpx.Client(base_url=url, timeout=180))
        server = Conversation(client)
        story = Story(server, photos)
        story.tell()
        survey = Survey(server, photos)
        survey.make()
    page = options.out / "index.html"
    write_page(story, survey, page)
    print(f"\nThe page with all pictures: {page.absolute().as_uri()}")
    return 0


@contextlib.contextmanager
def own_server(folder: Path) -> Iterator[str]:
    """A server on a free port with its data in `folder`, stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "LUNARIA_DATA_FOLDER": str(folder.absolute()),
        "LUNARIA_MODELS_FOLDER": str(settings_module.load().models_folder),
        "LUNARIA_LOG_LEVEL": "warning",
    }
    command = [sys.executable, "-m", "lunaria.cli", "serve", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/healthcheck").status_code == 200:
                return
        time.sleep(0.1)
    raise SystemExit(f"the server did not start within {STARTUP_SECONDS} s")


if __name__ == "__main__":
    sys.exit(main())
