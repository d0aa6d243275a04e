"""Glasses and headwear: faces of the pack, glasses and caps painted onto them, and files that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lunaria.vision.estimators.glasses import STATES, Glasses, GlassesEstimator
from lunaria.vision.estimators.headwear import TYPES, HeadwearEstimator
from lunaria.vision.estimators.upper_face import (
    EYE_FEATURES,
    HEAD_FEATURES,
    UpperFaceNetwork,
    mosaics,
)
from lunaria.vision.faces import FaceDetector
from lunaria.vision.images import Decoder
from lunaria.vision.landmarks import LandmarkNetwork, Landmarks
from lunaria.vision.packs.manifest import Preprocessing
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.runtime import InferenceSession, open_session
from lunaria.vision.views import FaceViews, SharedNetworks
from lunaria.vision.warps import cut_warp
from lunaria.vision.yunet import YuNet

NO_NETWORKS = cast(SharedNetworks, None)
Pixels = NDArray[np.uint8]


class Chain:
    """From a photograph to views, and the two estimators."""

    def __init__(self, store: ModelStore) -> None:
        self._detector = FaceDetector(YuNet(open_session(store.network("face_detector").path)))
        self._landmarks = LandmarkNetwork(open_session(store.network("face_landmarks68").path))
        features = store.network("body_features")
        assert features.spec.preprocessing is not None
        self.network = UpperFaceNetwork(open_session(features.path), features.spec.preprocessing)
        self.glasses = GlassesEstimator(self.network, store.network("face_glasses").path)
        self.headwear = HeadwearEstimator(self.network, store.network("face_headwear").path)

    def face(self, pixels: Pixels) -> Landmarks:
        return self._landmarks.locate(pixels, self._detector.detect(pixels))[0]

    def views(self, pixels: Pixels) -> FaceViews:
        return FaceViews(pixels, [self.face(pixels)], NO_NETWORKS)

    def warp_views(self, pixels: Pixels) -> FaceViews:
        warp = cut_warp(pixels, self.face(pixels).points5)
        return FaceViews(warp, [self._landmarks.locate_in_warp(warp)], NO_NETWORKS, is_warp=True)


@pytest.fixture(scope="module")
def chain(model_store: ModelStore) -> Chain:
    return Chain(model_store)


def photo(photos: Path, name: str) -> Pixels:
    return Decoder().decode((photos / name).read_bytes()).pixels


def with_glasses(pixels: Pixels, face: Landmarks, *, dark: bool) -> Pixels:
    """The photograph with a pair of glasses drawn where the eyes are."""
    painted = pixels.copy()
    left, right = face.points5[0], face.points5[1]
    apart = float(np.linalg.norm(right - left))
    radius, thick = int(0.36 * apart), max(1, int(0.06 * apart))
    for eye in (left, right):
        centre = (int(eye[0]), int(eye[1] + 0.05 * apart))
        cv2.ellipse(painted, centre, (radius, int(0.8 * radius)), 0, 0, 360, (20, 20, 20), -1 if dark else thick)
    along = (right - left) / apart
    for start, end in ((0.36, 0.64), (-0.75, -0.36), (1.36, 1.75)):
        ends = [tuple((left + along * apart * t).astype(int).tolist()) for t in (start, end)]
        cv2.line(painted, ends[0], ends[1], (20, 20, 20), thick)
    return painted


@pytest.mark.parametrize("name", ["obama.jpg", "biden.jpg", "astronaut.png"])
def test_bare_faces_wear_nothing(chain: Chain, photos: Path, name: str) -> None:
    for views in (chain.views(photo(photos, name)), chain.warp_views(photo(photos, name))):
        (glasses,) = chain.glasses.estimate(views)
        (headwear,) = chain.headwear.estimate(views)
        assert glasses.predominant == "no_glasses"
        assert headwear.predominant == "none"


@pytest.mark.parametrize("name", ["obama.jpg", "biden.jpg"])
def test_painted_glasses_are_seen(chain: Chain, photos: Path, name: str) -> None:
    pixels = photo(photos, name)
    face = chain.face(pixels)
    for dark, state in ((False, "eyeglasses"), (True, "sunglasses")):
        views = FaceViews(with_glasses(pixels, face, dark=dark), [face], NO_NETWORKS)
        (found,) = chain.glasses.estimate(views)
        assert found.predominant == state


def test_probabilities_sum_to_one_and_words_are_the_apis(chain: Chain, photos: Path) -> None:
    views = chain.views(photo(photos, "biden.jpg"))
    (glasses,) = chain.glasses.estimate(views)
    (headwear,) = chain.headwear.estimate(views)
    assert sum(glasses) == pytest.approx(1, abs=1e-5)
    assert tuple(headwear.types) == TYPES
    assert sum(headwear.types.values()) == pytest.approx(1, abs=1e-5)
    assert headwear.types["none"] == pytest.approx(1 - headwear.present)


def test_photograph_and_warp_agree(chain: Chain, photos: Path) -> None:
    pixels = photo(photos, "obama.jpg")
    (of_photo,), (of_warp,) = (
        chain.glasses.estimate(views) for views in (chain.views(pixels), chain.warp_views(pixels))
    )
    assert of_photo.no_glasses == pytest.approx(of_warp.no_glasses, abs=0.05)


def test_several_faces_are_judged_as_if_alone(chain: Chain, photos: Path) -> None:
    pixels = photo(photos, "obama.jpg")
    face = chain.face(pixels)
    painted = with_glasses(pixels, face, dark=True)
    both = np.concatenate([pixels, painted], axis=1)
    aside = np.array([pixels.shape[1], 0.0])
    beside = Landmarks(face.points5 + aside, face.points68 + aside, face.roll)
    bare, dark = chain.glasses.estimate(FaceViews(both, [face, beside], NO_NETWORKS))
    assert (bare.predominant, dark.predominant) == ("no_glasses", "sunglasses")
    assert chain.glasses.estimate(FaceViews(pixels, [], NO_NETWORKS)) == []


def test_network_runs_once_for_both_estimates() -> None:
    class Session:
        inputs = ("image",)
        calls = 0

        def run(self, feeds: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
            self.calls += 1
            count = len(feeds["image"])
            return {"stride16": np.zeros((count, 112, 16, 8)), "stride32": np.zeros((count, 320, 8, 4))}

    session = Session()
    network = UpperFaceNetwork(cast(InferenceSession, session), Preprocessing(mean=(127.0,), scale=(128.0,)))
    points = np.array([[94.0, 112.5], [156.0, 112.5], [125.0, 145], [105.0, 179.0], [145.0, 179.0]])
    face = Landmarks(points, np.zeros((68, 2)), 0.0)
    views = FaceViews(np.zeros((250, 250, 3), np.uint8), [face], NO_NETWORKS, is_warp=True)
    assert network.features(views).eyes.shape == (1, EYE_FEATURES)
    assert network.features(views).head.shape == (1, HEAD_FEATURES)
    assert session.calls == 1


def test_band_of_the_eyes_and_its_mirror_fill_the_lower_half() -> None:
    pixels = np.zeros((250, 250, 3), np.uint8)
    pixels[:, :125] = 200
    points = np.array([[94.0, 112.5], [156.0, 112.5], [125.0, 145], [105.0, 179.0], [145.0, 179.0]])
    views = FaceViews(pixels, [Landmarks(points, np.zeros((68, 2)), 0.0)], NO_NETWORKS, is_warp=True)
    (image,) = mosaics(views)
    assert image.shape == (256, 128, 3)
    assert (image[128:192] == image[192:, ::-1]).all()
    assert image[150, 20, 0] == 200 and image[150, 100, 0] == 0


def test_predominant_is_the_likeliest() -> None:
    assert [Glasses(*np.roll([0.8, 0.1, 0.1], k)).predominant for k in range(3)] == list(STATES)


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    network = cast(UpperFaceNetwork, None)
    np.savez(tmp_path / "empty.npz", something=np.zeros(1))
    with pytest.raises(ValueError, match="glasses_weights"):
        GlassesEstimator(network, tmp_path / "empty.npz")
    np.savez(
        tmp_path / "other.npz",
        glasses_weights=np.zeros((EYE_FEATURES, 2)),
        glasses_bias=np.zeros(2),
        glasses_labels=np.array(["yes", "no"]),
    )
    with pytest.raises(ValueError, match="yes, no"):
        GlassesEstimator(network, tmp_path / "other.npz")
    np.savez(
        tmp_path / "narrow.npz", glasses_weights=np.zeros((4, 2)), glasses_bias=np.zeros(2), glasses_labels=list("ab")
    )
    with pytest.raises(ValueError, match="do not fit"):
        GlassesEstimator(network, tmp_path / "narrow.npz")
