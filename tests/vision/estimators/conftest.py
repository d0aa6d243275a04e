"""The largest face of each photograph, with the shared features behind it, and networks by role."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from lunaria.vision.estimators.features import FaceFeatureNetwork
from lunaria.vision.faces import FaceDetector
from lunaria.vision.images import Decoder
from lunaria.vision.landmarks import LandmarkNetwork
from lunaria.vision.packs.manifest import Preprocessing
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.runtime import InferenceSession, open_session
from lunaria.vision.views import FaceViews, SharedNetworks
from lunaria.vision.yunet import YuNet

LoadNetwork = Callable[[str], tuple[InferenceSession, Preprocessing]]
SeeFace = Callable[[str], FaceViews]


@pytest.fixture(scope="session")
def load_network(model_store: ModelStore) -> LoadNetwork:
    """The network of a role and its preprocessing."""

    @cache
    def load(role: str) -> tuple[InferenceSession, Preprocessing]:
        network = model_store.network(role)
        assert network.spec.preprocessing is not None
        return open_session(network.path), network.spec.preprocessing

    return load


@pytest.fixture(scope="session")
def see_face(model_store: ModelStore, photos: Path, load_network: LoadNetwork) -> SeeFace:
    """The largest face of a photograph by the name of its file. Only the shared features are behind it."""
    detector = FaceDetector(YuNet(open_session(model_store.network("face_detector").path)))
    landmarks = LandmarkNetwork(open_session(model_store.network("face_landmarks68").path))
    nothing = cast(Any, None)
    features = FaceFeatureNetwork(*load_network("face_features"))
    shared = SharedNetworks(mesh=nothing, pose=nothing, blendshapes=nothing, features=features)

    @cache
    def see(name: str) -> FaceViews:
        pixels = Decoder().decode((photos / name).read_bytes()).pixels
        faces = detector.detect(pixels)
        largest = int(np.argmax(faces.boxes[:, 2] - faces.boxes[:, 0]))
        return FaceViews(pixels, landmarks.locate(pixels, faces.take([largest])), shared)

    return see
