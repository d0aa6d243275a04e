"""Reading the outputs of the networks that find bodies, fusing them, and what they see in photographs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lunaria.vision.bodies import BODY_THRESHOLD, BodyDetector, fuse
from lunaria.vision.body_networks import (
    BACKPACK,
    PERSON,
    BodyDetections,
    CenterNet,
    NanoDet,
    letterboxed,
    no_bodies,
)
from lunaria.vision.geometry import overlap
from lunaria.vision.images import Decoder
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.runtime import Port, open_session


class Answers:
    """A session that gives prepared outputs and remembers its input."""

    inputs = ("input",)

    def __init__(self, outputs: list[NDArray[Any]]) -> None:
        self.ports = {"input": Port((1, None, None, 3), np.dtype(np.float32))}
        self._outputs = {f"output{index}": value for index, value in enumerate(outputs)}
        self.outputs = tuple(self._outputs)
        self.seen = np.zeros(0, np.float32)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        self.seen = feeds["input"]
        return self._outputs


class Sees:
    """A network that finds the same at any image, in shares of it, and notes the sizes it was given."""

    side = 416
    weight = 1.0

    def __init__(self, *found: tuple[float, float, float, float, float]) -> None:
        self._found = np.array(found, np.float64).reshape(-1, 5)
        self.sizes: list[tuple[int, int]] = []

    def find(self, pixels: NDArray[np.uint8]) -> BodyDetections:
        height, width = pixels.shape[:2]
        self.sizes.append((width, height))
        return BodyDetections(self._found[:, :4] * [width, height, width, height], self._found[:, 4])


@pytest.fixture(scope="module")
def detector(model_store: ModelStore) -> BodyDetector:
    return BodyDetector(
        [
            NanoDet(open_session(model_store.network("body_detector_nanodet").path)),
            CenterNet(open_session(model_store.network("body_detector_centernet").path)),
        ]
    )


@pytest.fixture(scope="module")
def astronaut(photos: Path) -> NDArray[np.uint8]:
    return Decoder().decode((photos / "astronaut.png").read_bytes()).pixels


def nanodet_outputs() -> list[NDArray[np.float32]]:
    """Nothing anywhere, in an order that is not that of the strides."""
    cells = [13 * 13, 52 * 52, 26 * 26]
    return [np.zeros((1, count, size), np.float32) for size in (44, 80) for count in cells]


def test_nanodet_cells_become_boxes_in_pixels() -> None:
    outputs = nanodet_outputs()
    cell = 3 * 26 + 5  # row 3, column 5 of stride 16
    outputs[5][0, cell, PERSON] = 0.7
    outputs[5][0, cell, BACKPACK] = 0.4
    distances = np.full((4, 11), -50.0, np.float32)
    distances[0, 2] = distances[1, 1] = distances[2, 4] = 50
    distances[3, [2, 3]] = 50  # half way between
    outputs[2][0, cell] = distances.ravel()
    session = Answers(outputs)
    pixels = np.zeros((104, 208, 3), np.uint8)  # half the side of the network
    pixels[:] = [10, 20, 30]
    bodies, bags = NanoDet(session).find_classes(pixels, [PERSON, BACKPACK])
    assert session.seen.shape == (1, 3, 416, 416)
    assert session.seen[0, :, 0, 0] == pytest.approx(
        [(30 - 103.53) / 57.375, (20 - 116.28) / 57.12, (10 - 123.675) / 58.395], abs=1e-5
    )
    assert session.seen[0, 0, 300, 0] == pytest.approx(-103.53 / 57.375, abs=1e-5), "below the image it is black"
    centre = np.array([5.5, 3.5]) * 16
    expected = np.array([centre[0] - 32, centre[1] - 16, centre[0] + 64, centre[1] + 40]) / 2
    assert bodies.boxes[0] == pytest.approx(expected, abs=1e-4)
    assert bodies.scores == pytest.approx([0.7])
    assert bags.scores == pytest.approx([0.4])


def test_nanodet_that_sees_nothing_finds_nothing() -> None:
    assert len(NanoDet(Answers(nanodet_outputs())).find(np.zeros((50, 70, 3), np.uint8))) == 0


def test_centernet_keeps_persons_and_drops_doubles() -> None:
    rows = np.array(
        [
            [100, 50, 200, 250, 0.5, 0],
            [102, 50, 202, 250, 0.4, 0],
            [300, 50, 400, 250, 0.6, 0],
            [100, 300, 200, 400, 0.9, 24],
            [10, 10, 60, 60, 0.01, 0],
            [50, 60, 50, 60, 0.9, 0],
        ],
        np.float32,
    )
    session = Answers([np.zeros((1, 128, 128, 4), np.float32), rows[None]])
    pixels = np.full((1024, 512, 3), [10, 20, 30], np.uint8)
    found = CenterNet(session).find(pixels)
    assert session.seen.shape == (1, 512, 512, 3)
    assert session.seen[0, 0, 0].tolist() == [10, 20, 30]
    assert not session.seen[0, :, 256:].any()
    assert found.scores == pytest.approx([0.6, 0.5])
    assert found.boxes == pytest.approx(np.array([[600, 100, 800, 500], [200, 100, 400, 500]]))


@pytest.mark.parametrize("size", [(416, 416), (3, 900), (1500, 1000), (20, 10)])
def test_letterbox_shows_the_whole_image_at_its_top_left(size: tuple[int, int]) -> None:
    pixels = np.full((size[1], size[0], 3), 200, np.uint8)
    square, scale = letterboxed(pixels, 416)
    assert scale == 416 / max(size)
    rows, columns = (max(1, round(length * scale)) for length in (size[1], size[0]))
    assert (square[:rows, :columns] == 200).all()
    assert int(square.astype(np.int64).sum()) == rows * columns * 600


def test_what_both_networks_see_counts_more() -> None:
    one = BodyDetections(np.array([[0.0, 0, 100, 200], [300, 0, 400, 200]]), np.array([0.6, 0.5]))
    two = BodyDetections(np.array([[10.0, 0, 110, 200], [12, 0, 112, 200]]), np.array([0.2, 0.19]))
    fused = fuse([one, two], [1.0, 1.0], 0.5, 0.6)
    assert fused.scores == pytest.approx([0.6 * 0.4 + 0.4 * 0.6, 0.6 * 0.25 + 0.4 * 0.5])
    assert fused.boxes[0] == pytest.approx([2.5, 0, 102.5, 200]), "the best of each, weighted by score"
    assert fused.boxes[1].tolist() == [300, 0, 400, 200]
    assert len(fuse([no_bodies(), no_bodies()], [1.0, 1.0], 0.5, 0.6)) == 0


def test_the_better_network_counts_more() -> None:
    one = BodyDetections(np.array([[0.0, 0, 100, 200], [300, 0, 400, 200]]), np.array([0.6, 0.9]))
    two = BodyDetections(np.array([[10.0, 0, 110, 200]]), np.array([0.6]))
    fused = fuse([one, two], [0.5, 1.0], 0.5, 0.6)
    assert fused.scores == pytest.approx([0.6 * 0.6 + 0.4 * 0.6, 0.6 * 0.3 + 0.4 * 0.45])
    assert fused.boxes[0] == pytest.approx([20 / 3, 0, 100 + 20 / 3, 200])


def test_detections_lie_inside_the_image_and_reach_the_threshold() -> None:
    network = Sees((-0.2, 0.1, 0.5, 1.3, 0.9), (0.6, 0.1, 0.8, 0.5, 0.27))
    found = BodyDetector([network]).detect(np.zeros((100, 200, 3), np.uint8))
    assert found.boxes.tolist() == [[0, 10, 100, 100]]
    assert found.scores == pytest.approx([0.9])


def test_a_given_box_is_looked_at_closely() -> None:
    network = Sees((0.25, 0.25, 0.75, 0.75, 0.5), (0.0, 0.0, 0.2, 0.2, 0.9))
    found = BodyDetector([network]).detect_in_box(np.zeros((1000, 1000, 3), np.uint8), np.array([400.0, 400, 600, 600]))
    assert network.sizes == [(300, 300)]
    assert found.boxes.tolist() == [[425, 425, 575, 575]], "what lies elsewhere is not meant, however sure it is"


@pytest.mark.parametrize("box", [[-300.0, 0, -10, 50], [2000, 2000, 2100, 2200], [10, 10, 10, 10]])
def test_a_box_without_a_body_gives_none(box: list[float]) -> None:
    assert len(BodyDetector([Sees()]).detect_in_box(np.zeros((100, 100, 3), np.uint8), np.array(box))) == 0


def test_the_astronaut_is_found(detector: BodyDetector, astronaut: NDArray[np.uint8]) -> None:
    found = detector.detect(astronaut)
    assert len(found) == 1
    assert found.scores[0] > 0.6
    # From the hair at the top to the lower edge, both shoulders in it.
    assert overlap(found.boxes, np.array([20.0, 5, 455, 512]))[0] > 0.75


def test_a_body_is_found_in_a_larger_and_a_smaller_picture(
    detector: BodyDetector, astronaut: NDArray[np.uint8]
) -> None:
    scene = np.full((900, 1400, 3), 127, np.uint8)
    scene[300:812, 600:1112] = astronaut
    found = detector.detect(scene)
    assert len(found) >= 1
    assert overlap(found.boxes, np.array([620.0, 305, 1055, 812]))[0] > 0.6


def test_redetection_in_a_box(detector: BodyDetector, astronaut: NDArray[np.uint8]) -> None:
    box = np.array([40.0, 20, 430, 500])
    found = detector.detect_in_box(astronaut, box)
    assert len(found) == 1
    assert overlap(found.boxes, box)[0] > 0.6
    assert found.scores[0] >= BODY_THRESHOLD
    grey = np.full((512, 512, 3), 127, np.uint8)
    assert len(detector.detect_in_box(grey, box)) == 0
