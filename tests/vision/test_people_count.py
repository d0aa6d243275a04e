"""Counting people: tiles and doubles."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lunaria.vision.body_networks import BodyDetections, CenterNet, NanoDet, no_bodies
from lunaria.vision.images import Decoder
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.people_count import COUNT_THRESHOLD, PeopleCounter, merge_people, tile_starts
from lunaria.vision.runtime import open_session


class SeesBlocks:
    """A network that finds each block of one brightness in the image, unless it is shown shrunk."""

    side = 200
    weight = 1.0

    def __init__(self) -> None:
        self.runs = 0

    def find(self, pixels: NDArray[np.uint8]) -> BodyDetections:
        self.runs += 1
        if max(pixels.shape[:2]) > self.side:
            return no_bodies()
        boxes = []
        for brightness in np.unique(pixels[pixels > 0]):
            rows, columns = np.nonzero(pixels[:, :, 0] == brightness)
            boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        return BodyDetections(np.array(boxes, np.float64).reshape(-1, 4), np.full(len(boxes), 0.5))


def scene() -> NDArray[np.uint8]:
    """Three people of 30x60; the first lies in two tiles, and other tiles cut it."""
    pixels = np.zeros((300, 420, 3), np.uint8)
    for brightness, (left, top) in ((50, (140, 110)), (100, (10, 20)), (150, (380, 230))):
        pixels[top : top + 60, left : left + 30] = brightness
    return pixels


@pytest.mark.parametrize("length", [1, 199, 200, 201, 340, 400, 1280])
def test_tiles_cover_everything_and_overlap(length: int) -> None:
    starts = tile_starts(length, 200)
    assert starts[0] == 0
    assert starts[-1] == max(0, length - 200)
    assert all(second - first <= 160 for first, second in pairwise(starts))


def test_everybody_is_counted_once_with_the_head_at_the_top() -> None:
    heads = PeopleCounter([SeesBlocks()], least_hints=0).count(scene())
    assert sorted(heads.tolist()) == [[25, 26], [155, 116], [395, 236]]


def test_half_a_person_at_the_edge_of_a_tile_is_no_person() -> None:
    pixels = np.zeros((200, 360, 3), np.uint8)
    pixels[50:150, 150:180] = 99  # all of it is in both tiles: 0..200 and 160..360 cut it at 160
    assert len(PeopleCounter([SeesBlocks()], least_hints=0).count(pixels)) == 1


def test_the_work_is_bounded() -> None:
    network = SeesBlocks()
    network.side = 416
    assert PeopleCounter([network], least_hints=0).count(np.zeros((6000, 6000, 3), np.uint8)).shape == (0, 2)
    assert network.runs == 17


def test_what_one_of_two_networks_sees_weakly_does_not_count() -> None:
    class Weak(SeesBlocks):
        def find(self, pixels: NDArray[np.uint8]) -> BodyDetections:
            found = super().find(pixels)
            return BodyDetections(found.boxes, found.scores * COUNT_THRESHOLD)

    class Blind(SeesBlocks):
        def find(self, pixels: NDArray[np.uint8]) -> BodyDetections:
            return no_bodies()

    assert len(PeopleCounter([SeesBlocks(), Blind()], least_hints=0).count(scene())) == 3
    assert len(PeopleCounter([Weak(), Blind()], least_hints=0).count(scene())) == 0


def test_merging_keeps_the_better_of_two_boxes_of_a_person() -> None:
    boxes = np.array([[0.0, 0, 100, 200], [0, 0, 100, 150], [10, 10, 40, 60], [70, 0, 170, 200]])
    assert merge_people(BodyDetections(boxes, np.array([0.5, 0.9, 0.8, 0.4]))).scores.tolist() == [0.9, 0.4]


def test_photographs_of_one_person(model_store: ModelStore, photos: Path) -> None:
    networks = [
        NanoDet(open_session(model_store.network("body_detector_nanodet").path)),
        CenterNet(open_session(model_store.network("body_detector_centernet").path)),
    ]
    pixels = Decoder().decode((photos / "astronaut.png").read_bytes()).pixels
    heads = PeopleCounter(networks, least_hints=0).count(pixels)
    assert len(heads) == 1
    assert np.abs(heads[0] - [220, 100]).max() < 80


def test_tiles_are_looked_at_only_where_the_whole_image_shows_several_people() -> None:
    class Counts:
        side = 416
        weight = 1.0

        def __init__(self, people: int) -> None:
            self.people, self.calls = people, 0

        def find(self, pixels: NDArray[np.uint8]) -> BodyDetections:
            self.calls += 1
            if self.calls > 1:
                return no_bodies()
            lefts = 100.0 * np.arange(self.people)
            boxes = np.stack([lefts, lefts * 0, lefts + 50, lefts * 0 + 200], axis=1)
            return BodyDetections(boxes, np.full(self.people, 0.5))

    pixels = np.zeros((900, 1200, 3), np.uint8)
    few, many = Counts(2), Counts(3)
    assert (len(PeopleCounter([few]).count(pixels)), few.calls) == (2, 1)
    assert len(PeopleCounter([many]).count(pixels)) == 3
    assert many.calls > 1
    again = Counts(2)
    seen = [Counts(2).find(pixels)]
    assert (len(PeopleCounter([again]).count(pixels, seen)), again.calls) == (2, 0)
