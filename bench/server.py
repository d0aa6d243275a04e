"""A benchmark's own server: `lunaria serve` on a free port of the loopback address, in a folder that goes again."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import httpx

from bench.faces import models_folder

PASSWORD = "benchmark"
COMMAND = [sys.executable, "-c", "from lunaria.cli import main; main()"]
TICKS = os.sysconf("SC_CLK_TCK")
MEGABYTE = 1e6


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path, patience: float = 120) -> float:
    """Seconds until `url` answers 200. Ends the benchmark when the process ends or does not answer."""
    began = time.perf_counter()
    while time.perf_counter() - began < patience:
        if process.poll() is not None:
            raise SystemExit(f"the server ended:\n{log.read_text()[-3000:]}")
        try:
            if httpx.get(url, timeout=10).status_code == 200:
                return time.perf_counter() - began
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    process.kill()
    raise SystemExit(f"no answer within {patience} s:\n{log.read_text()[-3000:]}")


class Server:
    """`lunaria serve` in a folder that PostgreSQL's unprivileged account may enter (mode 755)."""

    def __init__(self, folder: Path, models: Path | None = None, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LUNARIA_")},
            "LUNARIA_DATA_FOLDER": str(folder / "data"),
            "LUNARIA_MODELS_FOLDER": str(models_folder(models).absolute()),
            "LUNARIA_ACCESS_ADMIN_PASSWORD": PASSWORD,
            "LUNARIA_LOG_LEVEL": "warning",
            **(settings or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def launch(self) -> None:
        """Start the process without waiting for it."""
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*COMMAND, "serve", "--port", str(self.port)],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def start(self) -> float:
        """Start and wait. Seconds until /healthcheck answers."""
        began = time.perf_counter()
        self.launch()
        self.wait()
        return time.perf_counter() - began

    def wait(self) -> None:
        assert self._process is not None
        wait_for(f"{self.url}/healthcheck", self._process, self.folder / "server.log")

    def stop(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def database_url(self) -> str:
        """Of the embedded database, while it runs."""
        done = subprocess.run([*COMMAND, "db", "url"], env=self.environment, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def new_account(self) -> UUID:
        """An account; in local mode its id in the header Luna-Account-Id is a credential."""
        body = {"login": f"b{uuid4().hex}@example.org", "password": PASSWORD, "account_type": "user"}
        reply = httpx.post(f"{self.url}/6/accounts", json=body, timeout=30)
        reply.raise_for_status()
        return UUID(reply.json()["account_id"])

    def client(self, account: UUID) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Luna-Account-Id": str(account)}, timeout=60)

    def resident(self) -> float:
        """Megabytes of the server process that are in RAM."""
        return memory_of([self.pid], "Rss")

    def database_memory(self) -> float:
        """Megabytes of all PostgreSQL processes that are in RAM; what they share counts once."""
        return memory_of(self.database_processes(), "Pss")

    def database_processes(self) -> list[int]:
        """The embedded server and the processes of its connections."""
        parents = _parents()
        return sorted(pid for pid in parents if pid != self.pid and self._descends(pid, parents))

    def _descends(self, pid: int, parents: dict[int, int]) -> bool:
        while pid in parents and pid != self.pid:
            pid = parents[pid]
        return pid == self.pid

    def cpu(self) -> tuple[float, float]:
        """Processor seconds so far: of the server process, and of PostgreSQL with its ended connections."""
        return cpu_of(self.pid), sum(cpu_of(pid) for pid in self.database_processes())


@contextmanager
def running_server(models: Path | None = None, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server with an empty database; everything is gone afterwards."""
    with temporary_folder() as folder:
        server = Server(folder, models, settings)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="lunaria-bench-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def cpu_of(pid: int) -> float:
    """Processor seconds of a process and of its children that ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / TICKS


def memory_of(pids: list[int], kind: str) -> float:
    """Megabytes: `Rss` resident, `Pss` resident with shared pages divided among those who share them."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{kind}:"))
    return total / MEGABYTE


def _parents() -> dict[int, int]:
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    return parents
