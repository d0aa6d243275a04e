"""Keypoints in pixels of the image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lunaria.vision.images import Decoder
from lunaria.vision.keypoints import COCO_KEYPOINTS, KeypointNetwork
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.runtime import Port, open_session


class SeesLight:
    """A session that answers every keypoint with the middle of the bright pixels of its input."""

    inputs = ("input",)
    outputs = ("output",)

    def __init__(self) -> None:
        self.ports = {"input": Port((1, 256, 256, 3), np.dtype(np.int32))}

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        seen = feeds["input"]
        assert seen.shape == (1, 256, 256, 3)
        assert seen.dtype == np.int32
        rows, columns = np.nonzero(seen[0, :, :, 0] > 127)
        point = [(rows.mean() + 0.5) / 256, (columns.mean() + 0.5) / 256, 0.75]
        return {"output": np.tile(np.float32(point), (1, 1, 17, 1))}


@pytest.mark.parametrize("box", [[100.0, 50, 220, 350], [30, 90, 300, 260], [-60, -80, 300, 400]])
def test_keypoints_come_back_to_the_image(box: list[float]) -> None:
    pixels = np.zeros((400, 300, 3), np.uint8)
    pixels[180:190, 150:160] = 255
    points = KeypointNetwork(SeesLight()).locate(pixels, np.array([box]))
    assert points.shape == (1, len(COCO_KEYPOINTS), 3)
    assert np.abs(points[0, :, :2] - [155, 185]).max() < 1.5
    assert (points[0, :, 2] == 0.75).all()


def test_no_body_has_no_keypoints() -> None:
    assert KeypointNetwork(SeesLight()).locate(np.zeros((50, 50, 3), np.uint8), np.zeros((0, 4))).shape == (0, 17, 3)


def test_the_astronauts_head_and_shoulders(model_store: ModelStore, photos: Path) -> None:
    pixels = Decoder().decode((photos / "astronaut.png").read_bytes()).pixels
    network = KeypointNetwork(open_session(model_store.network("body_keypoints").path))
    found = dict(zip(COCO_KEYPOINTS, network.locate(pixels, np.array([[20.0, 5, 455, 512]]))[0], strict=True))
    # Read off the photograph.
    for name, x, y in [("nose", 220, 140), ("left_eye", 245, 112), ("right_eye", 205, 112)]:
        assert np.hypot(found[name][0] - x, found[name][1] - y) < 20, name
    assert found["left_shoulder"][0] > 290
    assert found["right_shoulder"][0] < 150
    assert 190 < found["left_shoulder"][1] < 330
    assert min(found[name][2] for name in ("nose", "left_eye", "right_eye", "left_shoulder", "right_shoulder")) > 0.3
