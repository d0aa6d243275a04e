"""How a doubtful face lies, decided by networks that are made of arithmetic; and by the real ones that nothing is run
twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lunaria.vision import looks as module
from lunaria.vision.analysis import Analyzer
from lunaria.vision.descriptors import DescriptorNetwork
from lunaria.vision.detections import Detections, no_detections
from lunaria.vision.faces import CLEAR_LEAD, FaceDetector
from lunaria.vision.images import Decoder, Image
from lunaria.vision.landmarks import LandmarkNetwork, Landmarks
from lunaria.vision.looks import Looks
from lunaria.vision.plan import Plan
from lunaria.vision.warps import ALIGNED_SIDE, ALIGNED_TEMPLATE

IMAGE = np.zeros((200, 200, 3), np.uint8)
TURNS = (0, 90, 180, 270)


class Rolls(LandmarkNetwork):
    """Gives each position the roll that it was told."""

    def __init__(self, rolls: Mapping[int, float]) -> None:
        self.rolls = rolls
        self.located = 0

    def locate(self, pixels: NDArray[np.uint8], faces: Detections) -> list[Landmarks]:
        self.located += len(faces)
        return [Landmarks(ALIGNED_TEMPLATE, np.zeros((68, 2)), self.rolls[int(turn)]) for turn in faces.turns]


class Lengths(DescriptorNetwork):
    """Gives vectors of the lengths that it was told, in this order."""

    def __init__(self, lengths: Sequence[float]) -> None:
        self.lengths = lengths
        self.extracted = 0

    def extract(self, faces: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        first = self.extracted
        self.extracted += len(faces)
        return np.ones((len(faces), 1), np.float32), np.array(self.lengths[first : self.extracted], np.float32)


def candidates(*turns: int) -> Detections:
    count = len(turns)
    return Detections(
        np.tile([60.0, 60, 140, 140], (count, 1)), np.ones(count), np.zeros((count, 5, 2)), np.array(turns)
    )


@pytest.mark.parametrize(
    ("lengths", "rolls", "expected"),
    [
        ([12, 8, 7, 8], [2, 90, 180, -90], 0),
        ([7, 8, 12, 8], [2, 90, 180, -90], 2),
        ([10, 8, 10.2, 8], [2, 90, 180, -90], 0),
        ([12, 12.2, 8, 12.1], [-47, -47, 180, -48], 0),
        ([12, 7, 8, 12.1], [-88, 90, 180, -89], 3),
        ([12, 7, 8, 9], [-88, 90, 180, -89], 0),
        ([4, 5, 7, 5], [2, 90, 180, -90], 0),
    ],
    ids=[
        "upright",
        "on the head",
        "hardly longer",
        "tilted",
        "found from a wrong position",
        "badly found from the right",
        "hardly seen",
    ],
)
def test_the_longest_vector_tells_how_a_face_lies(lengths: list[float], rolls: list[float], expected: int) -> None:
    landmarks, descriptor = Rolls(dict(zip(TURNS, rolls, strict=True))), Lengths(lengths)
    looks = Looks(landmarks, descriptor, ALIGNED_TEMPLATE, ALIGNED_SIDE)
    faces = candidates(*TURNS)
    chosen = looks.choose(IMAGE, faces)
    assert chosen == expected
    ((_, length),) = looks.vectors(IMAGE, faces.take([chosen]))
    assert length == pytest.approx(lengths[expected])
    assert (landmarks.located, descriptor.extracted) == (4, 4), "nothing is computed again"


class Seen:
    """A detection network that sees one face in the middle, in each successive crop with the next score."""

    largest_side = 1920
    standing_score = 0.9

    def __init__(self, scores: Sequence[float]) -> None:
        self.scores = list(scores)
        self.runs = 0

    def run(self, pixels: NDArray[np.uint8]) -> Detections:
        score = self.scores[min(self.runs, len(self.scores) - 1)]
        self.runs += 1
        side = pixels.shape[0]
        if not score:
            return no_detections()
        low, high = (side * 0.25, side * 0.75)
        return Detections(np.array([[low, low, high, high]]), np.array([score]), np.zeros((1, 5, 2)), np.zeros(1, int))


def test_a_face_that_surely_stands_is_not_looked_at_again() -> None:
    network = Seen([0.95])
    found = FaceDetector(network).detect(IMAGE, lambda pixels, faces: pytest.fail("nobody doubts it"))
    assert (found.turns.tolist(), network.runs) == ([0], 1)


def test_without_a_chooser_only_a_clear_lead_turns_a_face() -> None:
    for lead, turn in ((CLEAR_LEAD - 0.01, 0), (CLEAR_LEAD + 0.01, 180)):
        network = Seen([0.8, 0.8, 0.5, 0.8 + lead, 0.5, 0.0])
        assert FaceDetector(network).detect(IMAGE).turns.tolist() == [turn]


def test_a_chooser_is_asked_when_another_position_may_be_right() -> None:
    asked: list[list[int]] = []

    def choose(pixels: NDArray[np.uint8], faces: Detections) -> int:
        asked.append(faces.turns.tolist())
        return 2

    assert FaceDetector(Seen([0.8, 0.8, 0.5, 0.81, 0.5, 0.0])).detect(IMAGE, choose).turns.tolist() == [180]
    assert asked == [[0, 90, 180, 270]]
    assert FaceDetector(Seen([0.8, 0.8, 0.5, 0.7, 0.5, 0.0])).detect(IMAGE, choose).turns.tolist() == [0]
    assert len(asked) == 1


def test_the_networks_describe_a_face_on_its_head_once(
    analyzer: Analyzer, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described: list[int] = []

    def counting(self: DescriptorNetwork, faces: Sequence[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        described.append(len(faces))
        return extract(self, faces)

    extract = module.DescriptorNetwork.extract
    monkeypatch.setattr(module.DescriptorNetwork, "extract", counting)
    pixels = Decoder().decode((photos / "obama.jpg").read_bytes()).pixels
    upright, turned = (Image(np.ascontiguousarray(one), "PNG") for one in (pixels, np.rot90(pixels, 2)))
    (face,) = analyzer.analyze(upright, Plan(descriptor=True))
    assert described == [1]
    (same,) = analyzer.analyze(turned, Plan(descriptor=True))
    assert described == [1, 4], "in four positions, and not again for the descriptor itself"
    assert face.descriptor is not None
    assert same.descriptor is not None
    assert float(face.descriptor.vector @ same.descriptor.vector) > 0.9
    (warped,) = analyzer.analyze(turned, Plan(warp=True))
    (expected,) = analyzer.analyze(upright, Plan(warp=True))
    assert warped.warp is not None
    assert expected.warp is not None
    difference = np.abs(warped.warp.astype(int) - expected.warp)[60:200, 60:190]
    assert difference.mean() < 15
