"""Portrait measures: background, colour, sizes and distortion on made pictures and photographs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import cv2
import numpy as np
import pytest
from bench.degradations import bulged

from lunaria.vision.estimators.portrait import PortraitEstimator
from lunaria.vision.estimators.portrait_background import SIDE, Background, background
from lunaria.vision.estimators.portrait_color import face_color_type, natural_light
from lunaria.vision.estimators.portrait_distortion import RadialDistortion
from lunaria.vision.estimators.portrait_geometry import Head, face_values, image_values
from lunaria.vision.estimators.portrait_segmentation import PortraitSegmentation
from lunaria.vision.estimators.quality import FaceSurface, surfaces
from lunaria.vision.geometry import Pixels
from lunaria.vision.head_pose import HeadPose, HeadPoseEstimator, MeshNetwork
from lunaria.vision.landmarks import Landmarks
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.runtime import open_session
from lunaria.vision.views import FaceViews

SeeFace = Callable[[str], FaceViews]
NOTHING = np.zeros((SIDE, SIDE), bool)


def frame(level: float, spread: float = 0, width: int = 8) -> Pixels:
    """Stripes around a grey level."""
    columns = np.arange(SIDE)[None, :, None] * np.ones((SIDE, SIDE, 3))
    return np.clip(level + spread * np.sign(np.sin(columns * np.pi / width)), 0, 255).astype(np.uint8)


def seen(pixels: Pixels, occupied: np.ndarray[Any, Any] = NOTHING) -> Background:
    found = background(pixels, occupied, ~NOTHING)
    assert found is not None
    return found


def surface(pixels: Pixels, views: FaceViews) -> FaceSurface:
    found = surfaces(FaceViews(pixels, views.landmarks, cast(Any, None)))[0]
    assert found is not None
    return found


def test_lightness_of_the_background() -> None:
    assert [round(seen(frame(level)).lightness, 2) for level in (0, 51, 255)] == [0, 0.2, 1]


def test_uniformity_falls_with_stripes_and_with_two_halves() -> None:
    found = [seen(frame(128, spread)).uniformity for spread in (0, 10, 30, 100)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.95
    assert found[-1] < 0.1
    assert seen(frame(128, 100, width=SIDE // 2)).uniformity < 0.5


def test_what_is_occupied_is_no_background() -> None:
    clutter = frame(200)
    clutter[100:200, 100:300] = frame(128, 100)[100:200, 100:300]
    occupied = NOTHING.copy()
    occupied[99:201, 99:301] = True
    assert seen(clutter, occupied) == pytest.approx(seen(frame(200)))  # type: ignore[arg-type]
    assert seen(clutter).uniformity < 0.8
    assert background(clutter, ~NOTHING, ~NOTHING) is None
    assert background(clutter, NOTHING, NOTHING) is None


@pytest.fixture(scope="session")
def estimator(model_store: ModelStore) -> PortraitEstimator:
    canonical = np.load(model_store.network("canonical_face_mesh").path)
    return PortraitEstimator(
        canonical, PortraitSegmentation(open_session(model_store.network("portrait_segmentation").path))
    )


def test_the_background_behind_a_person_is_told_from_the_person(
    see_face: SeeFace, estimator: PortraitEstimator, model_store: ModelStore
) -> None:
    views = see_face("astronaut.png")
    person = PortraitSegmentation(open_session(model_store.network("portrait_segmentation").path))
    mask = person.person([views.pixels])[0][..., None]

    def uniformity(behind: Pixels) -> float:
        pasted = np.round(views.pixels * mask + behind * (1 - mask)).astype(np.uint8)
        found = estimator.estimate(FaceViews(pasted, views.landmarks, cast(Any, None)), mesh=False)[0].background
        assert found is not None
        return found.uniformity

    shape = views.pixels.shape
    stripes = np.broadcast_to(((np.arange(shape[1]) // 8 % 2) * 200)[None, :, None], shape)
    assert uniformity(np.full(shape, 220, np.uint8)) > 0.75
    assert uniformity(stripes.astype(np.uint8)) < 0.2


def test_a_photograph_in_colour_grey_sepia_and_magenta(see_face: SeeFace) -> None:
    for name in ("obama.jpg", "biden.jpg", "astronaut.png"):
        views = see_face(name)
        grey = np.repeat(cv2.cvtColor(views.pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
        toned = {
            "color": views.pixels,
            "grayscale": grey,
            "infrared": (grey * np.array([1, 0.75, 1])).astype(np.uint8),
        }
        assert {word: face_color_type(surface(pixels, views)) for word, pixels in toned.items()} == {
            word: word for word in toned
        }
        assert face_color_type(surface((grey * np.array([1, 0.85, 0.65])).astype(np.uint8), views)) == "grayscale"


def test_light_of_a_colour_is_not_natural(see_face: SeeFace) -> None:
    for name in ("obama.jpg", "biden.jpg", "astronaut.png"):
        views = see_face(name)
        grey = np.repeat(cv2.cvtColor(views.pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
        assert natural_light(surface(views.pixels, views)) is True
        for colour in ((0.5, 1, 0.6), (1, 0.35, 0.3), (1, 0.5, 1)):
            assert natural_light(surface((views.pixels * np.array(colour)).astype(np.uint8), views)) is False
        assert natural_light(surface(grey, views)) is None


def test_the_head_is_larger_than_the_face_and_inside_the_picture(
    see_face: SeeFace, estimator: PortraitEstimator
) -> None:
    for name in ("obama.jpg", "biden.jpg", "astronaut.png"):
        views = see_face(name)
        points = views.landmarks[0].points68
        without = PortraitEstimator(np.eye(468, 3, dtype=np.float32)).estimate(views, mesh=False)[0].head
        found = estimator.estimate(views, mesh=False)[0].head
        assert 1.4 * np.ptp(points[:, 1]) < found.height < 2.2 * np.ptp(points[:, 1])
        assert np.ptp(points[:, 0]) <= found.width < 1.4 * np.ptp(points[:, 0])
        assert found == pytest.approx(without, rel=0.25)


def test_sizes_and_places() -> None:
    points = np.zeros((68, 2))
    points[36:42], points[42:48] = (100, 200), (190, 200)
    face = Landmarks(points[:5], points, 0.0)
    found = face_values((60, 120, 170, 230), face, (300, 400), Head(height=280, width=180))
    assert found == {
        "eye_distance": 90,
        "head_horizontal_center": pytest.approx(145 / 300),
        "head_vertical_center": 0.5,
        "face_width": 170,
        "face_height": 230,
        "indent_left": 60,
        "indent_right": 70,
        "indent_upper": 120,
        "indent_lower": 50,
        "head_width": 0.6,
        "head_height": 0.7,
    }
    assert image_values(300, 400, "PNG", 9000)["aspect_ratio"] == 0.75


def test_a_distorted_face_is_told(see_face: SeeFace, model_store: ModelStore) -> None:
    canonical = np.load(model_store.network("canonical_face_mesh").path)
    distortion, pose = RadialDistortion(canonical), HeadPoseEstimator(canonical)
    mesh = MeshNetwork(open_session(model_store.network("face_mesh").path))
    for name in ("obama2.jpg", "astronaut.png"):
        views = see_face(name)
        face = views.landmarks[0]
        found = []
        for strength in (0.0, 0.4):
            pixels = bulged(views.pixels, face, strength, np.random.default_rng(0))
            found.append(distortion.bulge(mesh.locate(pixels, face).points))
        assert found[1] < found[0] - 0.01, name
        plain = mesh.locate(views.pixels, face)
        assert distortion.is_free(plain, pose.from_mesh(plain)) is True
        assert distortion.is_free(plain, None) is None
        assert distortion.is_free(plain, HeadPose(pitch=0, roll=0, yaw=40)) is None


def test_the_bulge_of_the_canonical_face_itself() -> None:
    random = np.random.default_rng(3)
    canonical = random.normal(size=(468, 3)).astype(np.float32)
    face = canonical - canonical.mean(axis=0)
    face = face / np.abs(face[:, 0]).max()
    turned = face[:, :2] @ np.array([[30.0, 4], [-4, 30]]) + [200, 100]
    distortion = RadialDistortion(canonical)
    assert distortion.bulge(turned) == pytest.approx(0, abs=1e-5)
    pushed = (1 + 0.2 * (face[:, :2] ** 2).sum(axis=1, keepdims=True)) * face[:, :2]
    assert distortion.bulge(50 * pushed + 7) == pytest.approx(0.2, abs=1e-5)
