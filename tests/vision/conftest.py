"""Networks and photographs for tests, pulled once into the folder that the environment names or the default one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lunaria.vision.analysis import Analyzer
from lunaria.vision.packs.manifest import built_in_pack
from lunaria.vision.packs.pull import PullError, pull
from lunaria.vision.packs.store import ModelStore

REPOSITORY = Path(__file__).parents[2]


def _pulled(pack: str) -> Path:
    folder = Path(os.environ.get("LUNARIA_TEST_MODELS") or REPOSITORY / "data" / "models")
    try:
        pull(built_in_pack(pack), folder)
    except PullError as error:
        pytest.skip(f"the pack {pack!r} cannot be pulled here: {error}")
    return folder


@pytest.fixture(scope="session")
def model_store() -> ModelStore:
    """The default networks, pulled when they are missing."""
    return ModelStore(_pulled("default"))


@pytest.fixture(scope="session")
def analyzer(model_store: ModelStore) -> Analyzer:
    """One for all tests that take the networks as they are: loading them takes seconds."""
    return Analyzer(model_store)


@pytest.fixture(scope="session")
def photos() -> Path:
    """A folder with obama.jpg, obama2.jpg, obama3.jpg, obama_partial_face.jpg, obama_partial_face2.jpg, biden.jpg and
    astronaut.png."""
    return _pulled("photos") / "photos"
