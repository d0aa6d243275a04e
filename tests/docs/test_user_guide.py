"""The Python example of the user guide, run as it stands against a real server."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lunaria.demo.__main__ import own_server
from tests.docs.generated import DOCS

MODELS = Path(os.environ.get("LUNARIA_TEST_MODELS") or DOCS.parent / "data" / "models")
ADDRESS = "http://127.0.0.1:5000"


@pytest.mark.skipif(
    not (MODELS / "photos").is_dir(), reason=f"no photographs in {MODELS} (lunaria models pull --photos)"
)
def test_the_example_recognises_a_person(open_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = (DOCS / "user-guide.md").read_text("utf-8").partition("## The same in Python")[2]
    (code,) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    assert ADDRESS in code
    shutil.copy(MODELS / "photos" / "obama.jpg", tmp_path / "anna.jpg")
    shutil.copy(MODELS / "photos" / "obama2.jpg", tmp_path / "visitor.jpg")
    monkeypatch.setenv("LUNARIA_MODELS_FOLDER", str(MODELS))
    with own_server(open_folder / "guide") as url:
        program = [sys.executable, "-c", code.replace(ADDRESS, url)]
        done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    name, similarity = done.stdout.split()
    assert name == "staff-42"
    assert float(similarity) >= 0.9
