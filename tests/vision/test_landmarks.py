"""The three passes and the guard, with a network that is made of arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lunaria.vision.detections import Detections
from lunaria.vision.landmarks import BATCH, PASSES, LandmarkNetwork, five_points, roll_of

FACE = np.zeros((68, 2))
FACE[36:42] = [20, 24]
FACE[42:48] = [44, 24]
FACE[30] = [32, 36]
FACE[48], FACE[54] = [23, 48], [41, 48]
FACE[0], FACE[16], FACE[8] = [4, 26], [60, 26], [32, 62]
FACE[19], FACE[24] = [24, 2], [40, 2]
FACE[FACE.sum(axis=1) == 0] = [32, 32]


class FixedNetwork:
    """Sees the same face, upright and in the middle, in whatever crop it is given."""

    inputs = ("input",)
    outputs = ("output",)

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        count = feeds["input"].shape[0]
        assert feeds["input"].shape == (count, 1, 64, 64)
        self.batches.append(count)
        return {"output": np.tile(FACE.reshape(1, -1) / 64, (count, 1)).astype(np.float32)}


def detected(points: NDArray[np.float64], count: int = 1, turn: int = 0) -> Detections:
    return Detections(
        np.tile([68.0, 68, 132, 132], (count, 1)), np.ones(count), np.tile(points, (count, 1, 1)), np.full(count, turn)
    )


IMAGE = np.zeros((200, 200, 3), np.uint8)


def test_points_come_back_in_pixels_of_the_image() -> None:
    (face,) = LandmarkNetwork(FixedNetwork()).locate(IMAGE, detected(five_points(FACE) + 68))
    assert np.allclose(face.points68, FACE + 68, atol=2)
    assert face.roll == pytest.approx(0, abs=1e-6)
    assert np.allclose(face.points5, five_points(face.points68))


@pytest.mark.parametrize(("turn", "roll"), [(90, 90), (180, 180), (270, -90)])
def test_a_turned_face_is_looked_at_upright(turn: int, roll: float) -> None:
    (face,) = LandmarkNetwork(FixedNetwork()).locate(IMAGE, detected(five_points(FACE) + 68, turn=turn))
    assert (face.roll - roll + 180) % 360 - 180 == pytest.approx(0, abs=1e-6)
    assert roll_of(face.points68) == pytest.approx(face.roll)


def test_all_faces_share_a_run_of_limited_size() -> None:
    network = FixedNetwork()
    assert len(LandmarkNetwork(network).locate(IMAGE, detected(five_points(FACE) + 68, BATCH + 3))) == BATCH + 3
    assert network.batches == [BATCH] * PASSES + [3] * PASSES


def test_far_away_points_of_the_detector_are_kept() -> None:
    near, far = five_points(FACE) + 68 + [8, 0], five_points(FACE) + 68 + [30, 0]
    network = LandmarkNetwork(FixedNetwork())
    assert not np.allclose(network.locate(IMAGE, detected(near))[0].points5, near)
    assert np.allclose(network.locate(IMAGE, detected(far))[0].points5, far)
    lying = network.locate(IMAGE, detected(far, turn=90))[0]
    assert not np.allclose(lying.points5, far)
