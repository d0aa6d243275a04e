"""Body descriptors: unit vectors that stay near for the same body, and a score that falls with the picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lunaria.vision.body_descriptor import BodyDescriptorNetwork
from lunaria.vision.estimators.body_views import BodyFeatureNetwork, BodyViews
from lunaria.vision.geometry import Pixels
from lunaria.vision.packs.manifest import Preprocessing
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.runtime import open_session
from lunaria.vision.similarity import Similarity


@pytest.fixture(scope="module")
def backbone(model_store: ModelStore) -> BodyFeatureNetwork:
    found = model_store.network("body_pedestrians")
    return BodyFeatureNetwork(open_session(found.path), found.spec.preprocessing or Preprocessing())


@pytest.fixture(scope="module")
def network(model_store: ModelStore) -> BodyDescriptorNetwork:
    return BodyDescriptorNetwork.read(model_store.network("body_descriptor").path)


@pytest.fixture(scope="module")
def bodies(photos: Path) -> list[Pixels]:
    """Upright cuts of three people."""
    astronaut, obama, biden = (
        cv2.imread(str(photos / name))[:, :, ::-1] for name in ("astronaut.png", "obama.jpg", "biden.jpg")
    )

    def cut(photo: Pixels, left: float, right: float) -> Pixels:
        width = photo.shape[1]
        part = photo[:, round(left * width) : round(right * width)]
        return np.asarray(cv2.resize(part, (128, 256), interpolation=cv2.INTER_AREA), np.uint8)

    return [cut(astronaut, 0.15, 0.65), cut(obama, 0.25, 0.75), cut(biden, 0.25, 0.75)]


def _darker_and_shifted(warp: Pixels) -> Pixels:
    moved = np.roll(warp, (4, 3), axis=(0, 1))
    return (moved * 0.85).astype(np.uint8)


def test_descriptors_are_unit_vectors_of_the_dimension_in_the_pack(
    model_store: ModelStore, network: BodyDescriptorNetwork, backbone: BodyFeatureNetwork, bodies: list[Pixels]
) -> None:
    spec = model_store.descriptor_spec("body_descriptor")
    vectors, scores = network.extract(BodyViews(bodies, backbone))
    assert (spec.version, spec.dimension, vectors.shape) == (2002, 256, (3, 256))
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_a_body_is_nearer_to_itself_than_to_others(
    model_store: ModelStore, network: BodyDescriptorNetwork, backbone: BodyFeatureNetwork, bodies: list[Pixels]
) -> None:
    first, _ = network.extract(BodyViews(bodies, backbone))
    again, _ = network.extract(BodyViews([_darker_and_shifted(warp) for warp in bodies], backbone))
    cosines: NDArray[np.float32] = first @ again.T
    others = cosines[~np.eye(3, dtype=bool)]
    assert np.diag(cosines).min() > others.max()
    scale = Similarity(model_store.descriptor_spec("body_descriptor").similarity.knots)
    assert scale.from_cosine(np.diag(cosines)).min() > 0.5


def test_the_score_falls_when_the_picture_is_spoilt(
    network: BodyDescriptorNetwork, backbone: BodyFeatureNetwork, bodies: list[Pixels]
) -> None:
    blurred = [cv2.GaussianBlur(warp, (0, 0), 10) for warp in bodies]
    _, good = network.extract(BodyViews(bodies, backbone))
    _, bad = network.extract(BodyViews(blurred, backbone))
    assert (bad < good).all()


def test_no_bodies_have_no_descriptors(network: BodyDescriptorNetwork, backbone: BodyFeatureNetwork) -> None:
    vectors, scores = network.extract(BodyViews([], backbone))
    assert vectors.shape == (0, 256)
    assert len(scores) == 0
