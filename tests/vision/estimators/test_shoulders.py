"""How shoulders stand to the camera."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from lunaria.vision.estimators.shoulders import ShouldersEstimator, judge_shoulders
from lunaria.vision.geometry import crop, square_transform
from lunaria.vision.keypoints import KeypointNetwork
from lunaria.vision.landmarks import Landmarks
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.runtime import Port, open_session
from lunaria.vision.views import FaceViews

EYES, DISTANCE, SIZE = np.array([300.0, 200.0]), 50.0, (600, 800)


@pytest.mark.parametrize(
    ("left", "right", "position"),
    [
        ([400, 380, 0.6], [200, 380, 0.6], "parallel"),
        ([400, 390, 0.6], [195, 370, 0.6], "parallel"),
        ([400, 350, 0.6], [200, 430, 0.6], "non_parallel"),
        ([420, 380, 0.6], [240, 380, 0.6], "non_parallel"),
        ([360, 380, 0.6], [240, 380, 0.6], "non_parallel"),
        ([200, 380, 0.6], [400, 380, 0.6], "non_parallel"),
        ([400, 380, 0.6], [200, 380, 0.1], "hidden"),
        ([400, 830, 0.6], [200, 830, 0.6], "hidden"),
        ([400, 810, 0.6], [200, 810, 0.6], "parallel"),
        ([630, 380, 0.6], [200, 380, 0.6], "hidden"),
    ],
)
def test_position(left: list[float], right: list[float], position: str) -> None:
    assert judge_shoulders(np.array(left), np.array(right), EYES, DISTANCE, SIZE).position == position


def test_what_is_measured() -> None:
    found = judge_shoulders(np.array([400.0, 380, 1]), np.array([240.0, 540, 1]), EYES, DISTANCE, SIZE)
    assert found.tilt == pytest.approx(45)
    assert found.asymmetry == pytest.approx((100 - 60) / 160)
    assert found.width == pytest.approx(160 / 50)


class Anywhere:
    """A session that puts every keypoint at the same place and must not be asked for a warp."""

    inputs = ("input",)
    outputs = ("output",)

    def __init__(self) -> None:
        self.ports = {"input": Port((1, 256, 256, 3), np.dtype(np.int32))}
        self.runs = 0

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        self.runs += 1
        return {"output": np.full((1, 1, 17, 3), 0.5, np.float32)}


def test_a_warp_shows_no_shoulders_and_no_face_costs_nothing() -> None:
    session = Anywhere()
    estimator = ShouldersEstimator(KeypointNetwork(session))
    face = Landmarks(np.array([[94.0, 112], [156, 112], [125, 150], [105, 179], [145, 179]]), np.zeros((68, 2)), 0.0)
    views = FaceViews(np.zeros((250, 250, 3), np.uint8), [face], cast(Any, None), is_warp=True)
    assert [found.position for found in estimator.estimate(views)] == ["hidden"]
    assert estimator.estimate(FaceViews(views.pixels, [], cast(Any, None))) == []
    assert session.runs == 0


@pytest.fixture(scope="module")
def estimator(model_store: ModelStore) -> ShouldersEstimator:
    return ShouldersEstimator(KeypointNetwork(open_session(model_store.network("body_keypoints").path)))


def test_a_portrait_is_parallel_until_it_is_tilted(
    estimator: ShouldersEstimator, see_face: Callable[[str], FaceViews]
) -> None:
    views = see_face("obama.jpg")
    assert estimator.estimate(views)[0].position == "parallel"
    height, width = views.pixels.shape[:2]
    side = max(height, width)
    turn = square_transform(np.array([width / 2, height / 2]), side, 30, side)
    tilted = crop(views.pixels, turn, side)
    back = np.linalg.inv(np.vstack([turn, [0, 0, 1]]))[:2]
    face = views.landmarks[0]
    moved = Landmarks(face.points5 @ back[:, :2].T + back[:, 2], face.points68 @ back[:, :2].T + back[:, 2], face.roll)
    found = estimator.estimate(FaceViews(tilted, [moved], cast(Any, None)))[0]
    assert found.position == "non_parallel"
    assert 15 < found.tilt < 45


def test_shoulders_below_the_picture_are_hidden(
    estimator: ShouldersEstimator, see_face: Callable[[str], FaceViews]
) -> None:
    views = see_face("obama.jpg")
    face = views.landmarks[0]
    chin = int(face.points68[8, 1])
    cut = FaceViews(views.pixels[: chin + 5], [face], cast(Any, None))
    assert estimator.estimate(cut)[0].position == "hidden"
