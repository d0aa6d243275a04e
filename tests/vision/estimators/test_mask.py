"""Masks and other coverings: how states and occlusions hang together, and painted masks on a photograph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunaria.vision.estimators.features import EMBEDDING, LinearHead
from lunaria.vision.estimators.mask import OCCLUSIONS, STATE_PARTS, MaskEstimate, MaskEstimator
from lunaria.vision.geometry import Pixels
from lunaria.vision.landmarks import Landmarks
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.views import FaceFeatures, FaceViews, SharedNetworks

SeeFace = Callable[[str], FaceViews]


class GivenEmbeddings:
    """Face number i has the value i in place i of its embedding."""

    def extract(self, views: FaceViews) -> FaceFeatures:
        embedding = 100 * np.eye(len(views), EMBEDDING, dtype=np.float32)
        return FaceFeatures(embedding, np.zeros((len(views), 100), np.float32), np.zeros(len(views), np.float32))


def faces(count: int) -> FaceViews:
    nothing = cast(Any, None)
    shared = SharedNetworks(mesh=nothing, pose=nothing, blendshapes=nothing, features=GivenEmbeddings())
    face = Landmarks(np.zeros((5, 2)), np.zeros((68, 2)), 0.0)
    return FaceViews(np.zeros((8, 8, 3), np.uint8), [face] * count, shared)


@given(st.lists(st.floats(0.01, 1), min_size=6, max_size=6))
def test_states_are_sums_of_two_occlusions(weights: list[float]) -> None:
    estimate = MaskEstimate({name: w / sum(weights) for name, w in zip(OCCLUSIONS, weights, strict=True)})
    states = estimate.states
    assert sum(states.values()) == pytest.approx(1)
    assert states["missing"] == pytest.approx(estimate.occlusions["clear"] + estimate.occlusions["chin"])
    assert states["medical_mask"] == pytest.approx(estimate.occlusions["correct"] + estimate.occlusions["mouth"])
    assert states["occluded"] == pytest.approx(estimate.occlusions["partially"] + estimate.occlusions["full"])
    assert states[estimate.predominant_state] == max(states.values())
    assert estimate.occlusions[estimate.predominant_occlusion] == max(estimate.occlusions.values())


def test_the_head_is_read_by_its_labels() -> None:
    labels = tuple(sorted(OCCLUSIONS))
    weights = np.zeros((EMBEDDING, 6), np.float32)
    weights[:6] = np.eye(6)
    found = MaskEstimator(LinearHead(weights, np.zeros(6, np.float32), labels)).estimate(faces(6))
    assert [face.predominant_occlusion for face in found] == list(labels)
    assert all(STATE_PARTS[face.predominant_state].count(face.predominant_occlusion) == 1 for face in found)


def test_a_head_for_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="yes, no"):
        MaskEstimator(LinearHead(np.zeros((EMBEDDING, 2), np.float32), np.zeros(2, np.float32), ("yes", "no")))


@pytest.fixture(scope="session")
def estimator(model_store: ModelStore) -> MaskEstimator:
    return MaskEstimator(LinearHead.load(model_store.network("face_mask").path))


@pytest.mark.parametrize("name", ["obama.jpg", "obama2.jpg", "biden.jpg", "astronaut.png"])
def test_bare_faces_miss_a_mask(name: str, estimator: MaskEstimator, see_face: SeeFace) -> None:
    face = estimator.estimate(see_face(name))[0]
    assert (face.predominant_state, face.predominant_occlusion) == ("missing", "clear")


def covered(views: FaceViews, shape: Callable[[Pixels, Landmarks], None]) -> FaceViews:
    pixels = views.pixels.copy()
    shape(pixels, views.landmarks[0])
    return FaceViews(pixels, views.landmarks, views._shared)


def blue_mask(pixels: Pixels, face: Landmarks) -> None:
    outline = np.concatenate([face.points68[2:15], face.points68[[28]]])
    cv2.fillPoly(pixels, [np.rint(outline).astype(np.int32)], (150, 190, 215))


def whole_sheet(pixels: Pixels, face: Landmarks) -> None:
    low, high = np.rint([face.points68.min(axis=0), face.points68.max(axis=0)]).astype(int)
    pixels[low[1] - 10 : high[1] + 10, low[0] - 10 : high[0] + 10] = (90, 60, 40)


@pytest.mark.parametrize("name", ["obama.jpg", "biden.jpg"])
def test_a_mask_and_a_sheet_are_told(name: str, estimator: MaskEstimator, see_face: SeeFace) -> None:
    views = see_face(name)
    assert estimator.estimate(covered(views, blue_mask))[0].predominant_state == "medical_mask"
    assert estimator.estimate(covered(views, whole_sheet))[0].predominant_state == "occluded"
