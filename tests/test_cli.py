"""The command tells in one line what keeps it from its work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import free_port

NOWHERE = "postgresql://lunaria:unmistakable-password@127.0.0.1:1/lunaria"


def run(folder: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("LUNARIA_")},
        "LUNARIA_DATA_FOLDER": str(folder / "data"),
        "LUNARIA_MODELS_FOLDER": str(folder / "no-models"),
        "LUNARIA_SERVER_PORT": str(free_port()),
        **settings,
    }
    command = [sys.executable, "-c", "from lunaria.cli import main; main()", *words]
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"LUNARIA_DATABASE_URL": "mysql://a:unmistakable-password@b/c"}, "bad setting database.url: "),
        ({"LUNARIA_DATABASE_URL": NOWHERE}, "The database cannot be reached: "),
        (
            {"LUNARIA_DATA_FOLDER": "/dev/null/data"},
            "The embedded database in /dev/null/data/postgres cannot be started",
        ),
        ({"LUNARIA_CONFIG": "/"}, "Is a directory"),
        ({"LUNARIA_SERVER_PORT": "many"}, "bad setting: "),
    ],
)
def test_a_server_that_cannot_start_says_why(tmp_path: Path, settings: dict[str, str], told: str) -> None:
    ended = run(tmp_path, "serve", **settings)
    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("lunaria: ")
    assert told in line
    assert "unmistakable-password" not in line


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"LUNARIA_BLOBS_URL": "ftp://a/b"}, "bad setting blobs.url: "),
        ({"LUNARIA_BLOBS_URL": "/dev/null/blobs"}, "The folder /dev/null/blobs cannot be used"),
        ({}, "is missing"),
    ],
)
def test_with_a_database_but_without_the_rest(
    tmp_path: Path, server_url: str, settings: dict[str, str], told: str
) -> None:
    ended = run(tmp_path, "serve", LUNARIA_DATABASE_URL=server_url, **settings)
    assert ended.returncode == 1
    assert told in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_accounts_are_kept_without_networks(tmp_path: Path, server_url: str) -> None:
    login = f"u{free_port()}@example.org"
    made = run(tmp_path, "accounts", "create", login, "--password", "secret", LUNARIA_DATABASE_URL=server_url)
    assert (made.returncode, made.stderr) == (0, "")
    twice = run(tmp_path, "accounts", "create", login, "--password", "secret", LUNARIA_DATABASE_URL=server_url)
    assert twice.returncode == 1
    assert twice.stderr == f"lunaria: Account with login '{login}' already exists\n"
    listed = run(tmp_path, "accounts", "list", LUNARIA_DATABASE_URL=server_url)
    assert f"{made.stdout.strip()}  user           {login}" in listed.stdout
    short = run(tmp_path, "accounts", "password", login, "--password", "ab", LUNARIA_DATABASE_URL=server_url)
    assert (short.returncode, "length >= 3" in short.stderr) == (1, True)
    nobody = run(
        tmp_path, "accounts", "password", "no@example.org", "--password", "abc", LUNARIA_DATABASE_URL=server_url
    )
    assert (nobody.returncode, nobody.stderr) == (1, "lunaria: Account 'no@example.org' not found\n")
