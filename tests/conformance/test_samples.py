"""The request samples printed in the specification, run as they are against a real server."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import SHARED, running_server

RUNNER = SHARED / "conformance" / "run_samples.py"
SAMPLES = "1-43,59-67,82,83"
"""Those of the operations that this server has."""
MISPRINTED = {
    "06-get-face-sample": "reads a JPEG file as JSON",
    "34-check-if-list-exists": "reads the reply to a HEAD request, which has no body, as JSON",
}
"""Samples that no server can satisfy: each ends in its own parsing, after the status it expects."""


def test_published_samples(open_folder: Path) -> None:
    if not RUNNER.exists():
        pytest.skip("the folder `shared` with the published samples does not lie beside the checkout")
    with running_server(open_folder / "conformance") as server:
        command = [sys.executable, str(RUNNER), "--url", server.url, "--only", SAMPLES, "--verbose", "--jobs", "2"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    lines = done.stdout.splitlines()
    failed = {line.split()[1].rstrip(":"): line for line in lines if line.startswith("FAIL")}
    assert set(failed) == set(MISPRINTED), done.stdout + done.stderr
    assert all("JSONDecodeError: Expecting value: line 1 column 1" in line for line in failed.values())
    assert sum(line.startswith("ok") for line in lines) == 54 - len(MISPRINTED)
