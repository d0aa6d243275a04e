from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Server, running_server


@pytest.fixture(scope="module")
def server(open_folder: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server with its own database, for one file of tests."""
    with running_server(open_folder / request.module.__name__.rpartition(".")[2]) as started:
        yield started
