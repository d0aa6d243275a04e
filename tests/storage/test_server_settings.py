"""The memory that the embedded server takes for its buffers."""

from pathlib import Path

import pytest

from lunaria.storage import server_settings as module
from lunaria.storage.server_settings import MEBIBYTE, server_settings


@pytest.mark.parametrize(
    ("limit", "buffers"),
    [(512, "128MB"), (2048, "128MB"), (4096, "256MB"), (8192, "512MB"), (10**9, "512MB"), (None, "512MB")],
)
def test_buffers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: int | None, buffers: str) -> None:
    """Of the memory of the machine, or of the container where that has less."""
    (tmp_path / "limit").write_text("max\n" if limit is None else f"{limit * MEBIBYTE}\n")
    monkeypatch.setattr(module, "_LIMITS", (tmp_path / "absent", tmp_path / "limit"))
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 16 * 1024 * 256}.__getitem__)
    assert server_settings()["shared_buffers"] == buffers
