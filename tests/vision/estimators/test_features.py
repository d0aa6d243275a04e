"""The shared face features, with a network of arithmetic and with the real one on photographs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from lunaria.vision.estimators.features import AGES, BATCH, EMBEDDING, FaceFeatureNetwork, LinearHead
from lunaria.vision.landmarks import Landmarks
from lunaria.vision.packs.manifest import Preprocessing
from lunaria.vision.runtime import InferenceSession, Port
from lunaria.vision.views import FaceViews, SharedNetworks
from lunaria.vision.warps import WARP_TEMPLATE

NO_NETWORKS = cast(SharedNetworks, None)
SIDE = 24
EYES_AND_MOUTH = np.array(
    [WARP_TEMPLATE[0], WARP_TEMPLATE[1], [125.0, 146.0], WARP_TEMPLATE[2] - [22, 0], WARP_TEMPLATE[2] + [22, 0]]
)


class MeanColours:
    """Its embedding begins with the mean of each channel; other outputs come in another order than the product's."""

    inputs = ("input",)
    outputs = ("gender", "age", "embedding")
    ports = {"input": Port((None, SIDE, SIDE, 3), np.dtype(np.float32))}  # noqa: RUF012

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        pixels = feeds["input"]
        self.batches.append(len(pixels))
        embedding = np.zeros((len(pixels), EMBEDDING), np.float32)
        embedding[:, :3] = pixels.mean(axis=(1, 2))
        ages = np.full((len(pixels), AGES), 1 / AGES, np.float32)
        return {"gender": np.full((len(pixels), 1), 0.7, np.float32), "age": ages, "embedding": embedding}


def views(pixels: NDArray[np.uint8], offsets: list[float]) -> FaceViews:
    """Faces of the size that they have in a warp, whose warps begin at these columns of the image."""
    faces = [Landmarks(EYES_AND_MOUTH + np.array([offset, 0]), np.zeros((68, 2)), 0.0) for offset in offsets]
    return FaceViews(pixels, faces, NO_NETWORKS)


@pytest.fixture
def network() -> tuple[MeanColours, FaceFeatureNetwork]:
    session = MeanColours()
    preprocessing = Preprocessing(width=SIDE, height=SIDE, channels="BGR", layout="NHWC", mean=(1.0, 2.0, 3.0))
    return session, FaceFeatureNetwork(cast(InferenceSession, session), preprocessing)


def test_outputs_are_told_apart_and_pixels_prepared(network: tuple[MeanColours, FaceFeatureNetwork]) -> None:
    pixels = np.tile(np.array([10, 20, 30], np.uint8), (250, 250, 1))
    found = network[1].extract(views(pixels, [0.0]))
    assert found.embedding[0, :4].tolist() == pytest.approx([29, 18, 7, 0])
    assert found.ages.shape == (1, AGES)
    assert found.male.tolist() == pytest.approx([0.7])


def test_many_faces_run_in_bounded_batches_and_keep_their_order(
    network: tuple[MeanColours, FaceFeatureNetwork],
) -> None:
    count = 2 * BATCH + 3
    pixels = np.zeros((250, 250 * count, 3), np.uint8)
    for index in range(count):
        pixels[:, 250 * index : 250 * (index + 1)] = 10 * index
    found = network[1].extract(views(pixels, [250.0 * index for index in range(count)]))
    assert network[0].batches == [BATCH] * (count // BATCH) + [1] * (count % BATCH)
    assert found.embedding[:, 0].tolist() == pytest.approx([10 * index - 1 for index in range(count)])


def test_no_face_runs_nothing(network: tuple[MeanColours, FaceFeatureNetwork]) -> None:
    found = network[1].extract(views(np.zeros((250, 250, 3), np.uint8), []))
    assert (found.embedding.shape, found.ages.shape, found.male.shape) == ((0, EMBEDDING), (0, AGES), (0,))
    assert network[0].batches == []


def test_the_crop_lies_inside_the_warp(network: tuple[MeanColours, FaceFeatureNetwork]) -> None:
    """What surrounds the warp in the photograph must not tell, or photo and warp would differ."""
    pixels = np.full((450, 450, 3), 255, np.uint8)
    pixels[100:350, 100:350] = 50
    face = Landmarks(EYES_AND_MOUTH + 100, np.zeros((68, 2)), 0.0)
    found = network[1].extract(FaceViews(pixels, [face], NO_NETWORKS))
    assert found.embedding[0, 0] == pytest.approx(49)


def test_a_head_gives_probabilities(tmp_path: Path) -> None:
    weights = np.zeros((EMBEDDING, 3), np.float16)
    weights[0] = [1, 0, -1]
    np.savez(tmp_path / "head.npz", weights=weights, bias=np.array([0, 0.5, 0], np.float32), labels=list("abc"))
    head = LinearHead.load(tmp_path / "head.npz")
    embedding = np.zeros((2, EMBEDDING), np.float32)
    embedding[:, 0] = [0, 1000]
    found = head.probabilities(embedding)
    expected = np.exp([0, 0.5, 0]) / np.exp([0, 0.5, 0]).sum()
    assert head.labels == ("a", "b", "c")
    assert found[0].tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    assert found[1].tolist() == pytest.approx([1, 0, 0])


def test_a_head_of_other_shape_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "head.npz", weights=np.zeros((5, 3)), bias=np.zeros(3), labels=list("abc"))
    with pytest.raises(ValueError, match="do not fit"):
        LinearHead.load(tmp_path / "head.npz")
    np.savez(tmp_path / "other.npz", weights=np.zeros((5, 3)))
    with pytest.raises(ValueError, match="bias, labels"):
        LinearHead.load(tmp_path / "other.npz")
