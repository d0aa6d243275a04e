"""Attributes of bodies: how words follow from probabilities, and the trained head on painted bodies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lunaria.vision.estimators.body_attributes import (
    TASKS,
    BodyAttributes,
    BodyAttributesEstimator,
    BodyAttributesHead,
    color_names,
    mixed,
)
from lunaria.vision.estimators.body_views import BodyFeatureNetwork, BodyFeatures, BodyViews
from lunaria.vision.estimators.clothing_colors import BINS, NAMED, NAMES, ColorTable
from lunaria.vision.geometry import Pixels
from lunaria.vision.packs.manifest import Preprocessing
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.projection import Projection
from lunaria.vision.runtime import open_session

WORDS = [(task, word) for task, words in TASKS.items() for word in words]
BANDS = {
    "gender": [0.3, 0.7],
    "headwear": [0.2, 0.9],
    "backpack": [0.2, 0.9],
    "sleeve": [0.3, 0.7],
    "garment": [0.5],
    "shoes": [0.5],
}


class _NoNetwork:
    def extract(self, warps: Sequence[Pixels]) -> BodyFeatures:
        shapes = ((40, 32, 16), (112, 16, 8), (320, 8, 4))
        return BodyFeatures(*(np.zeros((len(warps), *shape), np.float32) for shape in shapes))


def _head(**probabilities: Sequence[float]) -> BodyAttributesHead:
    """A head that always says the same; tasks that are not named are even."""
    given = {task: probabilities.get(task, [1 / len(words)] * len(words)) for task, words in TASKS.items()}
    bias = np.log(np.concatenate([np.array(given[task]) for task in TASKS]) + 1e-9).astype(np.float32)
    hidden = Projection.from_weights(np.zeros(5320), np.ones(5320), np.zeros((4, 5320)), np.zeros(4))
    bands = {task: np.array(values) for task, values in BANDS.items()}
    return BodyAttributesHead(hidden, np.zeros((len(WORDS), 4), np.float32), bias, bands)


def _plain_table() -> ColorTable:
    """A table to which all bins are red."""
    table: NDArray[Any] = np.zeros((BINS, BINS, BINS, len(NAMED)))
    table[..., NAMED.index("red")] = 1
    return ColorTable(table)


def _said(warp: Pixels | None = None, **probabilities: Sequence[float]) -> BodyAttributes:
    warp = np.full((256, 128, 3), 120, np.uint8) if warp is None else warp
    estimator = BodyAttributesEstimator(_head(**probabilities), _plain_table())
    (found,) = estimator.estimate(BodyViews([warp], _NoNetwork()))
    return found


@pytest.mark.parametrize(("male", "word"), [(0.2, "female"), (0.31, "undefined"), (0.69, "undefined"), (0.8, "male")])
def test_between_its_thresholds_a_gender_is_undefined(male: float, word: str) -> None:
    assert _said(gender=[1 - male, male]).gender == word


def test_each_word_comes_from_its_own_probabilities() -> None:
    found = _said(
        headwear=[0.05, 0.95],
        backpack=[0.5, 0.5],
        sleeve=[0.1, 0.9],
        garment=[0.1, 0.1, 0.8],
        age=[0, 0, 1, 0],
        shoes=[0.1, 0.8, 0.1],
    )
    assert (found.headwear, found.headwear_color) == ("present", "other")
    assert (found.backpack, found.sleeve, found.lower_garment) == ("undefined", "short", "skirt")
    assert (found.age, found.shoes_color) == (52, "white")
    weak = _said(garment=[0.4, 0.3, 0.3], headwear=[0.95, 0.05])
    assert (weak.lower_garment, weak.headwear, weak.headwear_color) == ("undefined", "absent", "undefined")


def test_colours_are_those_of_head_and_table_together() -> None:
    blue = [float(name == "blue") for name in NAMED]
    found = _said(upper=blue, lower=[float(name == "red") for name in NAMED])
    assert set(found.upper_colors) == {"blue", "red"}
    assert found.lower_colors == ("red",)
    assert mixed(np.array(blue), np.eye(len(NAMES))[NAMES.index("beige")]).sum() == pytest.approx(1)
    assert color_names([0.5, 0.4, 0.1, *[0.0] * 10]) == ("black", "blue")


def test_no_bodies_have_no_attributes() -> None:
    assert BodyAttributesEstimator(_head(), _plain_table()).estimate(BodyViews([], _NoNetwork())) == []


def test_the_trained_head_sees_what_is_painted(model_store: ModelStore) -> None:
    """Two figures that differ only in colour, in one batch and alone."""
    found = model_store.network("body_pedestrians")
    backbone = BodyFeatureNetwork(open_session(found.path), found.spec.preprocessing or Preprocessing())
    estimator = BodyAttributesEstimator(
        BodyAttributesHead.read(model_store.network("body_attributes").path),
        ColorTable.read(model_store.network("clothing_colors").path),
    )
    red, white = (_figure(color) for color in ((175, 30, 38), (225, 225, 228)))
    together = estimator.estimate(BodyViews([red, white], backbone))
    assert together[0].upper_colors[0] == "red"
    assert together[1].upper_colors[0] == "white"
    assert all(10 < body.age < 80 and "black" in body.lower_colors for body in together)
    assert estimator.estimate(BodyViews([white], backbone)) == together[1:]


def _figure(upper: tuple[int, int, int]) -> Pixels:
    """Head, upper and lower garment before grey ground."""
    warp = np.full((256, 128, 3), 140, np.uint8)
    warp[14:46, 52:76] = (190, 150, 125)
    warp[46:128, 34:94] = upper
    warp[128:235, 42:86] = (28, 28, 32)
    return warp
