"""A real server: `lunaria serve` in a process of its own, on a free port, with a folder of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

REPOSITORY = Path(__file__).parents[1]
SHARED = REPOSITORY.parent / "shared"
MODELS = Path(os.environ.get("LUNARIA_TEST_MODELS") or REPOSITORY / "data" / "models")
PHOTOS = MODELS / "photos"
PASSWORD = "secret"
OTHERS = ("LUNARIA_", "PYTHONDONTWRITEBYTECODE")
"""Variables that no server gets from here: settings, and what would have it compile all of its code at every start."""
COMMAND = [sys.executable, "-c", "from lunaria.cli import main; main()", "serve"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`lunaria serve` in `folder` (entered by PostgreSQL's unprivileged account: mode 755), with settings.

    It keeps its port over restarts, so that clients can simply go on.
    """

    def __init__(self, folder: Path, settings: Mapping[str, object] | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "server.log"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(OTHERS)},
            "LUNARIA_DATA_FOLDER": str(folder / "data"),
            "LUNARIA_MODELS_FOLDER": str(MODELS),
            "LUNARIA_ACCESS_ADMIN_PASSWORD": PASSWORD,
            "LUNARIA_LOG_LEVEL": "warning",
            "LUNARIA_MODELS_PRELOAD": "false",
            "LUNARIA_LOG_FORMAT": "json",
            **{name: str(value) for name, value in (settings or {}).items()},
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self, patience: float = 120.0) -> float:
        """Start and wait until /healthcheck answers 200. Returns how long that took in seconds."""
        began = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "--port", str(self.port)],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        while time.monotonic() - began < patience:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log_text()[-4000:]}")
            try:
                if httpx.get(f"{self.url}/healthcheck", timeout=5).status_code == 200:
                    return time.monotonic() - began
            except httpx.TransportError:
                pass
            time.sleep(0.02)
        self.kill()
        raise AssertionError(f"no answer within {patience} s:\n{self.log_text()[-4000:]}")

    def kill(self) -> None:
        """SIGKILL: the process has no say in it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)

    def terminate(self) -> None:
        """SIGTERM, without waiting."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """An orderly end; a killing one when that takes long."""
        if self.process is None or self.process.poll() is not None:
            return
        self.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.kill()

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def client(self, auth: tuple[str, str] | None = None, timeout: float = 60.0) -> httpx.Client:
        return httpx.Client(base_url=self.url, auth=auth, timeout=timeout)

    def new_account(self, account_type: str = "user") -> tuple[str, str]:
        """The login and password of a new account."""
        login = f"u{uuid4().hex}@example.org"
        body = {"login": login, "password": PASSWORD, "account_type": account_type}
        reply = httpx.post(f"{self.url}/6/accounts", json=body, auth=("root@lunaria.local", PASSWORD), timeout=30)
        assert reply.status_code == 201, reply.text
        return login, PASSWORD

    def memory(self, field: str = "VmRSS") -> int:
        """Resident bytes now, or at the worst moment since `reset_peak` (VmHWM)."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"{field} is not told")

    def reset_peak(self) -> None:
        """Make VmHWM start from what is resident now."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


@contextmanager
def running_server(folder: Path, **settings: object) -> Iterator[Server]:
    """A started server with settings given as variables: `LUNARIA_SERVER_BODY_TIMEOUT=2`."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder.chmod(0o755)
    server = Server(folder, settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def assert_envelope(reply: httpx.Response, status: int, *codes: int) -> dict[str, Any]:
    """The reply is the API's error with this status and one of these codes."""
    assert reply.status_code == status, (reply.status_code, reply.text[:300])
    assert reply.headers["content-type"] == "application/json", reply.headers
    assert reply.headers.get("luna-request-id")
    body: dict[str, Any] = reply.json()
    assert set(body) == {"error_code", "desc", "detail", "link"}, body
    assert not codes or body["error_code"] in codes, body
    return body
