"""What the face mesh tells: blendshapes, eyes, gaze, mouth, eyebrows, red eyes, on built meshes and on photographs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lunaria.vision.estimators.blendshapes import NAMES, VERTICES, BlendshapeNetwork, strength
from lunaria.vision.estimators.emotions import EMOTIONS
from lunaria.vision.estimators.eyebrows import EyebrowsEstimator
from lunaria.vision.estimators.eyes import LEFT_EYE, RIGHT_EYE, Eye, Eyes, EyesEstimator, EyeVertices, lid_ratio
from lunaria.vision.estimators.features import AGES, EMBEDDING, FaceFeatureNetwork, LinearHead
from lunaria.vision.estimators.gaze import CENTRE, RADIUS, GazeEstimator
from lunaria.vision.estimators.mouth import Mouth, MouthEstimator
from lunaria.vision.estimators.red_eyes import RedEyesEstimator
from lunaria.vision.faces import FaceDetector
from lunaria.vision.geometry import Pixels
from lunaria.vision.head_pose import FaceMesh, HeadPose, HeadPoseEstimator, MeshNetwork, rotation_of
from lunaria.vision.images import Decoder
from lunaria.vision.landmarks import LandmarkNetwork
from lunaria.vision.packs.manifest import Preprocessing
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.runtime import InferenceSession, open_session
from lunaria.vision.views import FaceFeatures, FaceViews, SharedNetworks
from lunaria.vision.warps import cut_warp, warp_transform
from lunaria.vision.yunet import YuNet

RNG = np.random.default_rng(3)
TO_VIEWER = np.array([1.0, -1.0, -1.0])


@dataclass
class BuiltViews:
    """One face whose mesh and movements are given."""

    mesh: FaceMesh
    pixels: Pixels = field(default_factory=lambda: RNG.integers(0, 256, (300, 300, 3), np.uint8))
    moves: dict[str, float] = field(default_factory=dict)
    pose: HeadPose | None = None
    embedding: float = 0.0

    @property
    def meshes(self) -> list[FaceMesh]:
        return [self.mesh]

    @property
    def poses(self) -> list[HeadPose | None]:
        return [self.pose]

    @property
    def blendshapes(self) -> NDArray[np.float32]:
        return np.array([[self.moves.get(name, 0.0) for name in NAMES]], np.float32)

    @property
    def features(self) -> FaceFeatures:
        embedding = np.full((1, EMBEDDING), self.embedding, np.float32)
        return FaceFeatures(embedding, np.zeros((1, AGES), np.float32), np.zeros(1, np.float32))


def built(views: BuiltViews) -> FaceViews:
    return cast(FaceViews, views)


def mesh_with_eyes(opening: float, *, presence: float = 0.99) -> FaceMesh:
    """Eyes of 40 pixels whose lids are `opening` pixels apart, irises of 8 x 6 pixels in their middle."""
    points = np.tile([150.0, 200.0, 0.0], (478, 1))
    for eye, middle in ((LEFT_EYE, 100.0), (RIGHT_EYE, 200.0)):
        points[eye.left_corner, :2], points[eye.right_corner, :2] = [middle - 20, 120], [middle + 20, 120]
        points[list(eye.upper), :2] = [middle, 120 - opening / 2]
        points[list(eye.lower), :2] = [middle, 120 + opening / 2]
        points[list(eye.ring), :2] = [[middle + 8, 120], [middle, 114], [middle - 8, 120], [middle, 126]]
    return FaceMesh(points, presence)


def eyes_of(views: BuiltViews, sunglasses: float = 0.0) -> Eyes:
    return EyesEstimator().estimate(built(views), [sunglasses])[0]


def test_names_and_vertices_are_those_of_the_network() -> None:
    assert len(NAMES) == len(set(NAMES)) == 52
    assert len(VERTICES) == len(set(VERTICES)) == 146
    values = np.zeros((2, 52), np.float32)
    values[:, [44, 45]] = [[0.2, 0.4], [1, 1]]
    assert np.allclose(strength(values, "mouthSmileLeft", "mouthSmileRight"), [0.3, 1])


def test_lids_apart_are_an_open_eye_and_near_each_other_a_closed_one() -> None:
    for opening, state in ((12.0, "open"), (6.0, "open"), (3.0, "closed"), (0.0, "closed")):
        eyes = eyes_of(BuiltViews(mesh_with_eyes(opening)))
        assert eyes.left.state == eyes.right.state == state
        assert (eyes.left.openness > 0.5) == (state == "open")


def test_an_eye_that_is_not_seen_is_occluded() -> None:
    seen = BuiltViews(mesh_with_eyes(12))
    assert eyes_of(seen, sunglasses=0.9).left.state == "occluded"
    assert eyes_of(BuiltViews(mesh_with_eyes(12, presence=0.3))).right.state == "occluded"
    seen.pixels[80:160, 60:140] = 90
    assert [eye.state for eye in eyes_of(seen)] == ["occluded", "open"]


def test_iris_landmarks_go_clockwise_round_the_border_from_the_right() -> None:
    iris = eyes_of(BuiltViews(mesh_with_eyes(12))).left.iris
    assert iris.shape == (32, 2)
    assert np.allclose(iris[[0, 8, 16, 24]], [[108, 120], [100, 126], [92, 120], [100, 114]])
    assert np.allclose(((iris - [100, 120]) ** 2 / [64, 36]).sum(axis=1), 1)


def looking(pose: HeadPose, yaw: float, pitch: float) -> FaceMesh:
    """Eyes of a turned head, in pixels, that look by yaw and pitch relative to it."""
    rotation, points = rotation_of(pose), np.zeros((478, 3))
    a, b = np.radians([yaw, pitch])
    gaze = np.array([np.sin(a) * np.cos(b), -np.sin(b), np.cos(a) * np.cos(b)])
    width = 30.0
    for eye, outwards in ((LEFT_EYE, -1.0), (RIGHT_EYE, 1.0)):
        middle = np.array([outwards * 35.0, 0, 0])
        iris = middle + (CENTRE * [outwards, 1, 1] + RADIUS * gaze) * width
        half = np.array([width / 2, 0, 0])
        points[eye.left_corner], points[eye.right_corner] = middle - half, middle + half
        points[list(eye.ring)] = iris
    return FaceMesh((points @ rotation.T) * TO_VIEWER + [300, 200, 0], 0.99)


def both(state: str, openness: float) -> Eyes:
    eye = Eye(cast(Any, state), openness, np.zeros((32, 2)))
    return Eyes(eye, eye)


@pytest.mark.parametrize("pose", [HeadPose(0, 0, 0), HeadPose(10, -25, 30), HeadPose(-15, 120, -20)])
@pytest.mark.parametrize("yaw", [-25.0, 0.0, 15.0])
def test_a_known_gaze_is_recovered_from_a_turned_head(pose: HeadPose, yaw: float) -> None:
    views = BuiltViews(looking(pose, yaw, 5), pose=pose)
    (gaze,) = GazeEstimator().estimate(built(views), [both("open", 0.9)])
    assert gaze is not None
    assert gaze.yaw == pytest.approx(yaw, abs=0.01)


def test_pitch_of_the_gaze_is_positive_downwards() -> None:
    pose = HeadPose(0, 0, 0)
    pitches = []
    for moves in ({"eyeLookUpLeft": 0.5, "eyeLookUpRight": 0.5}, {}, {"eyeLookDownLeft": 0.5, "eyeLookDownRight": 0.5}):
        (gaze,) = GazeEstimator().estimate(
            built(BuiltViews(looking(pose, 0, 0), moves=moves, pose=pose)), [both("open", 1)]
        )
        assert gaze is not None
        pitches.append(gaze.pitch)
    assert np.allclose(np.diff(pitches), 15.5)


def test_only_open_eyes_of_a_head_with_a_pose_have_a_gaze() -> None:
    pose = HeadPose(0, 0, 0)
    mesh = looking(pose, 0, 0)
    for state, known in (("closed", pose), ("occluded", pose), ("open", None)):
        assert GazeEstimator().estimate(built(BuiltViews(mesh, pose=known)), [both(state, 0.8)]) == [None]
    mesh.points[list(RIGHT_EYE.ring), 0] += 8
    views = built(BuiltViews(mesh, pose=pose))
    right_closed = Eyes(both("open", 0.9).left, both("closed", 0.1).right)
    (gaze,) = GazeEstimator().estimate(views, [right_closed])
    assert gaze is not None
    assert gaze.yaw == pytest.approx(0, abs=0.01), "the closed eye must not count"


def mouth_of(gap: float, occlusion: float = 0.0, **moves: float) -> Mouth:
    points = np.zeros((478, 3))
    points[[82, 13, 312], 1], points[[87, 14, 317], 1] = 60, 60 + gap
    points[152, 1] = 100
    return MouthEstimator().estimate(built(BuiltViews(FaceMesh(points, 1.0), moves=moves)), [occlusion])[0]


def test_lips_apart_open_a_mouth_and_raised_corners_smile() -> None:
    assert mouth_of(1).opened < 0.1
    assert mouth_of(9).opened > 0.9
    smiling = {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.7}
    assert mouth_of(1).smile < 0.5 < mouth_of(1, **smiling).smile
    for gap, kind in ((1, "smile_lips"), (9, "smile_open")):
        types = mouth_of(gap, **smiling).smile_types
        assert max(types, key=lambda name: types[name]) == kind
        assert sum(types.values()) == pytest.approx(1)
    assert mouth_of(9).smile_types["none"] > 0.5


def test_the_head_for_emotions_has_a_say_in_the_smile() -> None:
    """Happiness has the value of the first feature, all else none."""
    weights = np.zeros((EMBEDDING, len(EMOTIONS)), np.float32)
    weights[0, EMOTIONS.index("happiness")] = 1
    estimator = MouthEstimator(LinearHead(weights, np.zeros(len(EMOTIONS), np.float32), EMOTIONS))
    half_a_smile = {"mouthSmileLeft": 0.4, "mouthSmileRight": 0.4}
    smiles = [
        estimator.estimate(built(BuiltViews(FaceMesh(np.zeros((478, 3)), 1.0), moves=moves, embedding=happy)), [0.0])[0]
        for happy in (-6.0, 6.0, 100.0)
        for moves in ({}, half_a_smile)
    ]
    no, some, likely_no, likely, sure_no, sure = (mouth.smile for mouth in smiles)
    assert no < some < 0.5 < likely < sure < 1
    assert no < likely_no < likely
    assert sure_no < sure


def test_what_is_hidden_neither_opens_nor_smiles() -> None:
    hidden = mouth_of(9, 0.98, mouthSmileLeft=0.9, mouthSmileRight=0.9)
    assert hidden.occluded == 0.98
    assert max(hidden.opened, hidden.smile) < 0.03
    assert hidden.smile_types["none"] > 0.97


@pytest.mark.parametrize(
    ("moves", "state"),
    [
        ({}, "neutral"),
        ({"browInnerUp": 0.9}, "raised"),
        ({"browOuterUpLeft": 0.8, "browOuterUpRight": 0.9}, "raised"),
        ({"browDownLeft": 0.8, "browDownRight": 0.8, "eyeSquintLeft": 0.8, "eyeSquintRight": 0.8}, "squinting"),
        ({"browDownLeft": 0.8, "browDownRight": 0.8}, "frowning"),
        ({"browDownLeft": 0.9}, "neutral"),
    ],
)
def test_eyebrows(moves: dict[str, float], state: str) -> None:
    (brows,) = EyebrowsEstimator().estimate(built(BuiltViews(mesh_with_eyes(12), moves=moves)))
    assert brows.state == state
    assert sum(brows.scores.values()) == pytest.approx(1)


def red_iris(pixels: Pixels, views: FaceViews, eyes: Eyes) -> tuple[float, float]:
    painted = pixels.copy()
    cv2.fillPoly(painted, [np.rint(eyes.left.iris).astype(np.int32)], (190, 40, 45))
    other = cast(FaceViews, BuiltViews(views.meshes[0], painted))
    red = RedEyesEstimator().estimate(other, [eyes])[0]
    assert red.red
    return red.left, red.right


See = Callable[[Pixels, bool], FaceViews]
LoadNetwork = Callable[[str], tuple[InferenceSession, Preprocessing]]


@pytest.fixture(scope="module")
def see(model_store: ModelStore, load_network: LoadNetwork) -> See:
    """The largest face of an image, or that of a warp, with the networks for its mesh and its features."""
    detector = FaceDetector(YuNet(open_session(model_store.network("face_detector").path)))
    landmarks = LandmarkNetwork(open_session(model_store.network("face_landmarks68").path))
    shared = SharedNetworks(
        mesh=MeshNetwork(open_session(model_store.network("face_mesh").path)),
        pose=HeadPoseEstimator(np.load(model_store.network("canonical_face_mesh").path)),
        blendshapes=BlendshapeNetwork(open_session(model_store.network("face_blendshapes").path)),
        features=FaceFeatureNetwork(*load_network("face_features")),
    )

    def look(pixels: Pixels, is_warp: bool) -> FaceViews:
        if is_warp:
            return FaceViews(pixels, [landmarks.locate_in_warp(pixels)], shared, is_warp=True)
        faces = detector.detect(pixels)
        largest = int(np.argmax(faces.boxes[:, 2] - faces.boxes[:, 0]))
        return FaceViews(pixels, landmarks.locate(pixels, faces.take([largest])), shared)

    return look


@pytest.fixture(scope="module")
def read(photos: Path) -> Callable[[str], Pixels]:
    @cache
    def load(name: str) -> Pixels:
        return Decoder().decode((photos / name).read_bytes()).pixels

    return load


def test_a_turned_or_scaled_mesh_moves_the_same(
    see: See, read: Callable[[str], Pixels], model_store: ModelStore
) -> None:
    network = BlendshapeNetwork(open_session(model_store.network("face_blendshapes").path))
    (mesh,) = see(read("obama.jpg"), False).meshes
    angle = np.radians(130)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = mesh.points.copy()
    turned[:, :2] = turned[:, :2] @ turn.T * 0.3 + 900
    first, second = network.estimate([mesh, FaceMesh(turned, 1.0)])
    assert np.abs(first - second).max() < 0.01
    assert network.estimate([]).shape == (0, 52)


def test_several_faces_have_the_meshes_they_have_alone(see: See, read: Callable[[str], Pixels]) -> None:
    alone = see(read("obama.jpg"), False)
    together = FaceViews(alone.pixels, alone.landmarks * 18, alone._shared)
    assert len(together.meshes) == 18
    assert all(np.allclose(mesh.points, alone.meshes[0].points, atol=0.05) for mesh in together.meshes)


@pytest.mark.parametrize("name", ["obama.jpg", "obama2.jpg", "biden.jpg", "astronaut.png"])
def test_photograph_mirror_image_and_warp_agree(name: str, see: See, read: Callable[[str], Pixels]) -> None:
    pixels = read(name)
    views = see(pixels, False)
    (eyes,) = EyesEstimator().estimate(views, [0.0])
    (mouth,) = MouthEstimator().estimate(views, [0.0])
    (gaze,) = GazeEstimator().estimate(views, [eyes])
    assert eyes.left.state == eyes.right.state == "open"
    assert gaze is not None
    assert max(abs(gaze.yaw), abs(gaze.pitch)) < 35
    for vertices, eye in ((LEFT_EYE, eyes.left), (RIGHT_EYE, eyes.right)):
        assert within(vertices, views.meshes[0], eye)

    mirrored = see(np.ascontiguousarray(pixels[:, ::-1]), False)
    (other_gaze,) = GazeEstimator().estimate(mirrored, EyesEstimator().estimate(mirrored, [0.0]))
    assert other_gaze is not None
    assert abs(gaze.yaw + other_gaze.yaw) < 10
    assert abs(gaze.pitch - other_gaze.pitch) < 10

    face = views.landmarks[0].points5
    warped = see(cut_warp(pixels, face), True)
    (warp_eyes,) = EyesEstimator().estimate(warped, [0.0])
    (warp_mouth,) = MouthEstimator().estimate(warped, [0.0])
    assert [eye.state for eye in warp_eyes] == [eye.state for eye in eyes]
    assert abs(mouth.smile - warp_mouth.smile) < 0.1
    assert abs(mouth.opened - warp_mouth.opened) < 0.2
    to_warp = warp_transform(face)
    apart = eyes.left.iris @ to_warp[:, :2].T + to_warp[:, 2] - warp_eyes.left.iris
    assert np.linalg.norm(apart, axis=1).mean() < 2


def within(vertices: EyeVertices, mesh: FaceMesh, eye: Eye) -> bool:
    """Whether the middle of the iris lies between the corners of the eye."""
    left, right = mesh.points[vertices.left_corner, :2], mesh.points[vertices.right_corner, :2]
    along = float((eye.iris.mean(axis=0) - left) @ (right - left) / ((right - left) @ (right - left)))
    return 0.15 < along < 0.85 and lid_ratio(mesh, vertices) < 0.6


def test_smiles_of_the_photographs(see: See, read: Callable[[str], Pixels], model_store: ModelStore) -> None:
    head = LinearHead.load(model_store.network("face_emotions_head").path)
    for emotions in (None, head):
        (mouth,) = MouthEstimator(emotions).estimate(see(read("astronaut.png"), False), [0.0])
        assert mouth.smile > 0.8
        assert mouth.smile_types["smile_open"] > 0.5


def test_painted_pupils_are_red_and_those_of_the_photographs_are_not(see: See, read: Callable[[str], Pixels]) -> None:
    for name in ("obama.jpg", "biden.jpg", "astronaut.png"):
        views = see(read(name), False)
        eyes = EyesEstimator().estimate(views, [0.0])
        (found,) = RedEyesEstimator().estimate(views, eyes)
        assert not found.red
        painted, untouched = red_iris(views.pixels, views, eyes[0])
        assert painted > 0.7
        assert untouched == found.right
        closed = [Eyes(eyes[0].left._replace(state="closed"), eyes[0].right)]
        assert RedEyesEstimator().estimate(views, closed)[0].left == 0
