"""The documentation is a contract: complete, not stale, and its links lead somewhere."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest

from lunaria.documents.pages import MANUAL
from lunaria.settings import describe
from lunaria.vision.descriptor_coding import DescriptorCoding
from tests.docs.generated import DOCS, commands, fresh

REPOSITORY = DOCS.parent
MANUAL_FOLDER = REPOSITORY / "src" / "lunaria" / "documents" / "manual"
FILES = sorted(DOCS.rglob("*.md"))

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```", flags=re.DOTALL)


def anchor(heading: str) -> str:
    """What a heading is called in links, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(file: Path) -> set[str]:
    text = _CODE.sub("", file.read_text("utf-8"))
    return {anchor(line.lstrip("#")) for line in text.splitlines() if line.startswith("#")}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(DOCS)))
def test_generated_parts_are_fresh(file: Path) -> None:
    text = file.read_text("utf-8")
    assert fresh(text) == text, "run: python -m tests.docs.generated"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(DOCS)))
def test_links_lead_somewhere(file: Path) -> None:
    for link in _LINK.findall(_CODE.sub("", file.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, fragment = unquote(link).partition("#")
        target = (file.parent / path).resolve() if path else file
        assert target.exists(), f"{link} does not exist"
        if fragment:
            assert fragment in anchors(target), f"{link} has no such heading"


def test_every_setting_is_in_the_operations_guide() -> None:
    guide = (DOCS / "operations-guide.md").read_text("utf-8")
    missing = [setting.variable for setting in describe() if f"| `{setting.variable}` |" not in guide]
    assert not missing


def test_every_setting_has_a_meaning() -> None:
    assert not [setting.variable for setting in describe() if not setting.description]


def test_every_variable_that_is_named_exists() -> None:
    known = {setting.variable for setting in describe()} | {"LUNARIA_CONFIG"}
    for file in [*FILES, *MANUAL_FOLDER.glob("*.md")]:
        named = set(re.findall(r"\bLUNARIA_[A-Z0-9_]+", file.read_text("utf-8")))
        assert named <= known | {"LUNARIA_TEST_MODELS"}, file.name


def test_every_command_is_in_the_operations_guide() -> None:
    guide = (DOCS / "operations-guide.md").read_text("utf-8")
    found = dict(commands())
    assert "lunaria serve" in found
    for name, command in found.items():
        assert f"| `{name}" in guide, name
        assert command.help, name


def test_every_decision_is_listed_and_reasoned() -> None:
    listed = (DOCS / "decisions" / "README.md").read_text("utf-8")
    for file in (DOCS / "decisions").glob("[0-9]*.md"):
        text = file.read_text("utf-8")
        assert file.name in listed
        assert "**Why.**" in text, file.name
        assert text.startswith(f"# {int(file.name[:4])}. "), file.name


def test_every_command_that_is_named_exists() -> None:
    known = {name for name, _ in commands()}
    for file in [*FILES, *MANUAL_FOLDER.glob("*.md")]:
        named = re.findall(r"\blunaria (serve|doctor|(?:models|db|accounts) [a-z]+)", file.read_text("utf-8"))
        assert {f"lunaria {name}" for name in named} <= known, file.name


def test_every_python_example_is_valid() -> None:
    for file in [*FILES, *MANUAL_FOLDER.glob("*.md")]:
        for code in re.findall(r"```python\n(.*?)```", file.read_text("utf-8"), flags=re.DOTALL):
            compile(code, str(file), "exec")


def test_every_manual_page_is_listed() -> None:
    assert {page.name for page in MANUAL} == {file.stem for file in MANUAL_FOLDER.glob("*.md")}


def test_the_manual_reads_descriptors_as_the_server_writes_them() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (MANUAL_FOLDER / "descriptors.md").read_text("utf-8"), flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    vector = np.random.default_rng(1).normal(size=128).astype(np.float32)
    vector /= np.linalg.norm(vector)
    version, read = names["read"](DescriptorCoding({1001: 128}).encode(vector, 1001))
    assert version == 1001
    assert read @ vector > 0.999
