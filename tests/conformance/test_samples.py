"""The request samples printed in the specification, run as they are against a real server."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import SHARED, running_server

RUNNER = SHARED / "conformance" / "run_samples.py"
SAMPLES = "1-35,65-67,82,83"
"""Those of the operations that this server has."""


def test_published_samples(open_folder: Path) -> None:
    if not RUNNER.exists():
        pytest.skip("the folder `shared` with the published samples does not lie beside the checkout")
    with running_server(open_folder / "conformance") as server:
        command = [sys.executable, str(RUNNER), "--url", server.url, "--only", SAMPLES, "--verbose", "--jobs", "2"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith("passed, 0 failed")
    assert done.stdout.count("ok  ") == 40
