"""The end of a server."""

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from lunaria.app import Platform
from lunaria.settings import load
from tests.api.conftest import settings_of


async def test_every_step_of_the_end_is_taken_whatever_another_raises(
    tmp_path: Path, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = Platform(load(settings_of(tmp_path)), server_url)
    ended: list[str] = []
    parts: list[tuple[str, Any]] = [
        ("recorder", platform.recorder),
        ("callbacks", platform.callbacks),
        ("publisher", platform.publisher),
    ]
    for name, part in parts:

        async def fail(name: str = name, stop: Any = part.stop) -> None:
            ended.append(name)
            await stop()
            raise RuntimeError(name)

        monkeypatch.setattr(part, "stop", fail)
    close = platform.database.close

    async def closed() -> None:
        ended.append("database")
        await close()

    monkeypatch.setattr(platform.database, "close", closed)
    with capture_logs() as lines:
        await platform.stop()
    assert ended == ["recorder", "callbacks", "publisher", "database"]
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["a step of the end failed"] * 3
