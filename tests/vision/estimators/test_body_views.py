"""Bodies as estimators see them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from lunaria.vision.estimators.body_views import (
    BodyFeatureNetwork,
    BodyFeatures,
    BodyViews,
    color_cast,
    color_vector,
    network_vectors,
)
from lunaria.vision.geometry import Pixels
from lunaria.vision.packs.manifest import Preprocessing
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.runtime import open_session


class _Counting:
    """Features that are a function of the mean of a warp, and how often they were asked for."""

    def __init__(self) -> None:
        self.calls = 0

    def extract(self, warps: Sequence[Pixels]) -> BodyFeatures:
        self.calls += 1
        means = np.array([warp.mean() for warp in warps], np.float32)[:, None, None, None]
        shapes = ((40, 32, 16), (112, 16, 8), (320, 8, 4))
        return BodyFeatures(*(means * np.ones((1, *shape), np.float32) for shape in shapes))


def test_the_backbone_runs_once_for_all_bodies() -> None:
    counting = _Counting()
    views = BodyViews([np.full((256, 128, 3), value, np.uint8) for value in (10, 200)], counting)
    assert views.vectors.shape == (2, 5320)
    assert views.features.stride8[1, 0, 0, 0] == 200
    assert np.isfinite(views.vectors).all()
    assert counting.calls == 1


def test_a_warp_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="128"):
        BodyViews([np.zeros((128, 256, 3), np.uint8)], _Counting())


def test_stripes_lie_one_above_the_other() -> None:
    features = _Counting().extract([np.zeros((256, 128, 3), np.uint8)])
    features.stride8[0, 3, 4:8] = 7  # the second of eight stripes of the fourth channel
    features.stride8[0, 3, 4, 2] = 9
    vector = network_vectors(features)[0]
    assert np.flatnonzero(vector).tolist() == [3 * 8 + 1, 40 * 8 + 3 * 8 + 1]
    assert vector[40 * 8 + 3 * 8 + 1] == 9


def test_a_tint_over_the_whole_picture_is_mostly_taken_away() -> None:
    rng = np.random.default_rng(0)
    warp = cv2.GaussianBlur(rng.integers(90, 170, (256, 128, 1)).repeat(3, 2).astype(np.uint8), (0, 0), 3)
    tinted = (warp * np.array([0.9, 1.0, 0.92])).astype(np.uint8)
    cast = color_cast(cv2.cvtColor(tinted, cv2.COLOR_RGB2LAB))
    assert cast[0] < -2  # towards green
    assert np.abs(color_cast(cv2.cvtColor(warp, cv2.COLOR_RGB2LAB))).max() < 0.5
    assert color_vector(warp).shape == (328,)


def test_a_body_in_a_batch_is_seen_as_alone(model_store: ModelStore, photos: Path) -> None:
    found = model_store.network("body_pedestrians")
    network = BodyFeatureNetwork(open_session(found.path), found.spec.preprocessing or Preprocessing())
    photo = cv2.imread(str(photos / "astronaut.png"))[:, :, ::-1]
    warps = [cv2.resize(photo[:, left : left + 256], (128, 256)) for left in range(0, 250, 25)]
    together, alone = BodyViews(warps, network).vectors, BodyViews(warps[-1:], network).vectors
    assert len(together) == 10
    assert np.abs(together[-1] - alone[0]).max() < 1e-3 * np.abs(alone).max()
    assert np.abs(together[0] - alone[0]).max() > 1
