"""The embedded PostgreSQL server: started, watched, restarted and stopped by the process that uses it.

One supervisor owns a folder (an advisory file lock that the kernel releases however we die). It makes the cluster
once, runs the server as its direct child, restarts it when it dies, and takes it along when the supervisor itself
dies.
"""

import asyncio
import atexit
import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from urllib.parse import quote

import asyncpg
import structlog

from lunaria.storage import launch
from lunaria.storage.cluster import (
    SUPERUSER,
    Binaries,
    EmbeddedPostgresError,
    ServerAccount,
    clean_environment,
    clear_leftovers,
    cluster_version,
    create_cluster,
    find_binaries,
    locate_cluster,
    make_binaries_reachable,
    write_private,
)
from lunaria.storage.server_settings import server_settings

DATABASE_NAME = "lunaria"
SOCKET_PORT = 5432  # only a part of the socket's file name
LONGEST_SOCKET_PATH = 107  # sockaddr_un holds 108 bytes with the closing zero
LARGEST_LOG = 8 * 1024 * 1024
WATCH_INTERVAL = 0.05
FIRST_DELAY, LONGEST_DELAY = 0.1, 10.0
HEALTHY_AFTER = 30.0
READY_TIMEOUT = 300.0  # crash recovery may replay up to max_wal_size
STOP_STEPS = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))

_NOT_YET = (
    asyncpg.CannotConnectNowError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)

logger = structlog.get_logger(__name__)


class ClusterInUseError(EmbeddedPostgresError):
    """Another living process supervises the server of this folder."""


class EmbeddedPostgres:
    """A PostgreSQL server in a folder.

    `folder` holds the cluster, the password (mode 0600), the log and the socket. `binaries` names the folder of the
    server's programs when they should not be searched for. With `port` the server listens on that port of 127.0.0.1;
    otherwise on a unix socket in the folder, or, when that path is too long for one, on a random port of 127.0.0.1.

    All methods block; call them through `asyncio.to_thread` where an event loop runs. The watching happens in a
    thread of its own, which is also what the child is tied to: the kernel ends it when that thread ends.
    """

    def __init__(self, folder: Path, *, binaries: Path | None = None, port: int | None = None) -> None:
        self._folder = folder.absolute()
        self._binaries_setting = binaries
        self._port_setting = port
        self._port = port or SOCKET_PORT
        self._socket_folder: Path | None = None
        self._password = ""
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._restarts = 0

    def start(self) -> str:
        """Makes the cluster if there is none, starts the server and waits until it answers. Returns its URL.

        Raises:
            ClusterInUseError: another process runs the server of this folder (see `running_url`).
            EmbeddedPostgresError: programs missing, folder unusable, or the server ended; with the end of its log.
        """
        if self._thread:
            raise EmbeddedPostgresError("The server is already started")
        self._stopping.clear()
        started: Future[str] = Future()
        self._thread = threading.Thread(
            target=self._supervise, args=(started,), name="postgres-supervisor", daemon=True
        )
        self._thread.start()
        try:
            url = started.result()
        except BaseException:
            self.stop()
            raise
        atexit.register(self.stop)
        return url

    def stop(self) -> None:
        """Fast shutdown: ends open transactions, writes a checkpoint. Harmless when nothing runs."""
        thread, self._thread = self._thread, None
        if thread:
            self._stopping.set()
            thread.join()
            atexit.unregister(self.stop)

    @property
    def process_id(self) -> int | None:
        """The server's process id; None while none runs."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    @property
    def restarts(self) -> int:
        """How often the server died and was started again."""
        return self._restarts

    @property
    def log_file(self) -> Path:
        return self._folder / "postgres.log"

    def running_url(self) -> str | None:
        """The URL of the server that another process runs in this folder; None when none does."""
        if not self._folder.exists():
            return None
        try:
            with self._locked():
                return None
        except ClusterInUseError:
            file = self._folder / "url"
            return file.read_text().strip() if file.exists() else None

    # --- the supervisor's thread ---

    def _supervise(self, started: "Future[str]") -> None:
        try:
            # The server's account must be able to pass through; what is secret in here has mode 0600.
            self._folder.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
            with self._locked():
                cluster, account, binaries = self._prepare()
                try:
                    self._launch_first(cluster, account, binaries)
                    url = self._url()
                    write_private(self._folder / "url", url)
                    started.set_result(url)
                    self._watch(cluster, account, binaries)
                finally:
                    self._end_process()
                    (self._folder / "url").unlink(missing_ok=True)
        except BaseException as error:
            if started.done():
                logger.exception("postgres_supervisor_failed")
                raise
            started.set_exception(
                error if isinstance(error, EmbeddedPostgresError) else _explained(error, self._folder)
            )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._folder / "supervisor.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ClusterInUseError(f"Another process runs the server in {self._folder}") from error
            yield
        finally:
            os.close(descriptor)

    def _prepare(self) -> tuple[Path, ServerAccount | None, Binaries]:
        cluster, account = locate_cluster(self._folder)
        version = cluster_version(cluster)
        binaries = make_binaries_reachable(find_binaries(self._binaries_setting, major=version), account)
        password_file = self._folder / "password"
        if version is None:
            self._password = secrets.token_urlsafe(32)
            write_private(password_file, self._password)
            began = time.monotonic()
            create_cluster(cluster, binaries, account, self._password)
            seconds = round(time.monotonic() - began, 3)
            logger.info("postgres_cluster_created", cluster=str(cluster), version=binaries.major, seconds=seconds)
        elif password_file.exists():
            self._password = password_file.read_text()
        else:
            raise EmbeddedPostgresError(
                f"The cluster {cluster} exists but its password file {password_file} is missing"
            )
        self._socket_folder = self._choose_socket_folder(cluster.parent / "run")
        return cluster, account, binaries

    def _choose_socket_folder(self, folder: Path) -> Path | None:
        path = folder / f".s.PGSQL.{SOCKET_PORT}"
        if self._port_setting or len(os.fsencode(path)) > LONGEST_SOCKET_PATH or "," in str(folder):
            return None
        return folder

    def _launch_first(self, cluster: Path, account: ServerAccount | None, binaries: Binaries) -> None:
        attempts = 1 if self._socket_folder or self._port_setting else 5
        for attempt in range(attempts):
            if not self._socket_folder and not self._port_setting:
                self._port = _free_port()
            try:
                self._launch(cluster, account, binaries)
                return
            except EmbeddedPostgresError as error:
                # Somebody may take the free port before the server does.
                if attempt == attempts - 1 or "could not create any TCP/IP sockets" not in str(error):
                    raise

    def _launch(self, cluster: Path, account: ServerAccount | None, binaries: Binaries) -> None:
        began = time.monotonic()
        clear_leftovers(cluster)
        if self._socket_folder:
            shutil.rmtree(self._socket_folder, ignore_errors=True)  # a stale lock of the socket blocks as well
            self._socket_folder.mkdir(mode=0o700)
            if account:
                os.chown(self._socket_folder, account.uid, account.gid)
        settings = {
            **server_settings(),
            "listen_addresses": "" if self._socket_folder else "127.0.0.1",
            "unix_socket_directories": str(self._socket_folder or ""),
            "port": str(self._port),
        }
        identity = [str(account.uid), str(account.gid)] if account else ["-", "-"]
        arguments = ["-D", str(cluster), *(part for item in settings.items() for part in ("-c", "=".join(item)))]
        launcher = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), *identity]
        self._bound_log()
        with open(self.log_file, "ab", opener=_private_file) as log:
            log_start = log.tell()
            self._process = subprocess.Popen(
                [*launcher, str(binaries.postgres), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=cluster.parent,
                env=clean_environment(),
                start_new_session=True,  # Ctrl-C in a terminal is for us; we then stop the server in order
            )
        asyncio.run(self._wait_until_ready(log_start))
        logger.info("postgres_started", process=self._process.pid, seconds=round(time.monotonic() - began, 3))

    async def _wait_until_ready(self, log_start: int) -> None:
        deadline = time.monotonic() + READY_TIMEOUT
        while True:
            assert self._process
            if self._process.poll() is not None:
                status, log = self._process.returncode, self._log_tail(log_start)
                raise EmbeddedPostgresError(f"PostgreSQL ended at its start (status {status}):\n{log}")
            try:
                await self._ensure_database()
                return
            except (*_NOT_YET, OSError, EOFError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
                # A server that dies while it is asked shows itself in every one of these ways.
                if time.monotonic() > deadline:
                    self._end_process()
                    raise EmbeddedPostgresError(
                        f"PostgreSQL did not answer within {READY_TIMEOUT:.0f} s:\n{self._log_tail(log_start)}"
                    ) from error
            except asyncpg.PostgresError as error:
                self._end_process()
                raise EmbeddedPostgresError(f"PostgreSQL refuses us: {error}") from error
            if self._stopping.is_set():
                self._end_process()
                raise EmbeddedPostgresError("Stopped before the server was ready")
            await asyncio.sleep(0.01)

    async def _ensure_database(self) -> None:
        connection = await asyncpg.connect(self._url("postgres"), timeout=10)
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE_NAME):
                await connection.execute(f"CREATE DATABASE {DATABASE_NAME}")
        finally:
            await connection.close()

    def _watch(self, cluster: Path, account: ServerAccount | None, binaries: Binaries) -> None:
        delay, started = FIRST_DELAY, time.monotonic()
        checked = started
        while not self._stopping.wait(WATCH_INTERVAL):
            assert self._process
            now = time.monotonic()
            if self._process.poll() is None:
                if now - checked > 60:
                    checked = now
                    self._bound_log()
                continue
            if now - started > HEALTHY_AFTER:
                delay = FIRST_DELAY
            logger.error("postgres_died", status=self._process.returncode, log=str(self.log_file))
            started = time.monotonic()
            try:
                self._launch(cluster, account, binaries)
                self._restarts += 1
            except Exception as error:
                # Whatever it was, the watch goes on: a supervisor that ends takes the database with it.
                # A full disk may be emptied again: never give up, but not in a hurry.
                logger.error("postgres_restart_failed", error=str(error), next_attempt_seconds=delay)
                self._stopping.wait(delay)
                delay = min(2 * delay, LONGEST_DELAY)

    def _end_process(self) -> None:
        process = self._process
        if not process:
            return
        for number, patience in STOP_STEPS:
            if process.poll() is not None:
                return
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience)
        if process.poll() is None:
            raise EmbeddedPostgresError(f"The server process {process.pid} cannot be ended")

    # --- small things ---

    def _url(self, database: str = DATABASE_NAME) -> str:
        who = f"postgresql://{SUPERUSER}:{quote(self._password, safe='')}"
        if self._socket_folder:
            return f"{who}@/{database}?host={quote(str(self._socket_folder), safe='')}&port={self._port}"
        return f"{who}@127.0.0.1:{self._port}/{database}"

    def _bound_log(self) -> None:
        """Keeps the log below twice LARGEST_LOG: the server appends, so its file can be emptied under it."""
        if self.log_file.exists() and self.log_file.stat().st_size > LARGEST_LOG:
            shutil.copyfile(self.log_file, self.log_file.with_suffix(".log.1"))
            os.truncate(self.log_file, 0)

    def _log_tail(self, start: int) -> str:
        with self.log_file.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(start if start <= size else 0, size - 4000))
            return log.read().decode(errors="replace").strip()


def _private_file(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _explained(error: BaseException, folder: Path) -> EmbeddedPostgresError:
    explained = EmbeddedPostgresError(f"The embedded database in {folder} cannot be started: {error}")
    explained.__cause__ = error
    return explained
