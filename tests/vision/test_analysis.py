"""The whole way from a photo to findings, against figures of the recommended chain on public photographs.

GOLDEN: score and box (x1, y1, x2, y2), five landmarks and roll of the one face of each photo, and the cosines of all
descriptors with each other, computed once by independent scripts (other decoders, ONNX Runtime, crops without
averaging). Averaging crops raises the cosines of one person (mean 0.764 -> 0.779 here) and lowers those of two, so the
cosines agree only within 0.06.
"""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lunaria.vision.analysis import Analyzer, MultipleFacesError
from lunaria.vision.findings import FaceFinding
from lunaria.vision.images import Decoder, Image, ImageError, encode_jpeg
from lunaria.vision.plan import Box, ImageType, MultifacePolicy, Plan

Pixels = NDArray[np.uint8]

NAMES = ("biden", "obama", "obama2", "obama3", "obama_partial_face", "obama_partial_face2", "astronaut")
GOLDEN: dict[str, tuple[float, list[float], list[list[float]], float]] = {
    "biden": (
        0.925,
        [426.6, 173.9, 713.7, 576.6],
        [[537.1, 328.5], [654.8, 354.6], [597.9, 402.9], [520.9, 462.7], [629.1, 483.0]],
        11.6,
    ),
    "obama": (
        0.946,
        [369.7, 91.2, 611.6, 421.2],
        [[444.6, 217.9], [551.3, 215.9], [499.2, 281.2], [439.3, 326.5], [556.6, 323.6]],
        -1.25,
    ),
    "obama2": (
        0.951,
        [202.0, 229.5, 476.9, 633.9],
        [[257.8, 376.5], [379.1, 386.8], [289.0, 446.6], [246.7, 523.1], [361.9, 532.7]],
        4.82,
    ),
    "obama3": (
        0.943,
        [644.9, 273.8, 909.9, 619.3],
        [[737.8, 391.0], [859.4, 404.6], [813.8, 434.5], [732.6, 515.3], [851.1, 526.9]],
        6.01,
    ),
    "obama_partial_face": (
        0.946,
        [0.5, 84.8, 194.6, 417.1],
        [[34.7, 217.3], [132.4, 218.0], [73.3, 278.5], [25.3, 321.4], [140.3, 323.5]],
        0.73,
    ),
    "obama_partial_face2": (
        0.935,
        [366.2, 92.9, 566.8, 419.6],
        [[441.8, 219.7], [534.0, 217.1], [509.6, 275.6], [432.2, 325.5], [541.6, 319.1]],
        -2.56,
    ),
    "astronaut": (
        0.938,
        [178.3, 56.5, 270.6, 172.4],
        [[204.5, 102.1], [247.5, 104.0], [225.3, 128.6], [201.8, 141.4], [245.9, 143.5]],
        2.59,
    ),
}
COSINES = np.array(
    [
        [1.0, 0.1266, 0.2415, 0.1314, 0.0593, 0.0389, 0.1566],
        [0.1266, 1.0, 0.7715, 0.7899, 0.8955, 0.9054, 0.1034],
        [0.2415, 0.7715, 1.0, 0.7044, 0.6569, 0.7102, 0.1311],
        [0.1314, 0.7899, 0.7044, 1.0, 0.6712, 0.6933, 0.0919],
        [0.0593, 0.8955, 0.6569, 0.6712, 1.0, 0.867, 0.0868],
        [0.0389, 0.9054, 0.7102, 0.6933, 0.867, 1.0, 0.0851],
        [0.1566, 0.1034, 0.1311, 0.0919, 0.0868, 0.0851, 1.0],
    ]
)
EVERYTHING = Plan(landmarks68=True, landmarks5=True, head_pose=True, descriptor=True, warp=True)
ONLY_DESCRIPTOR = Plan(descriptor=True)


@pytest.fixture(scope="session")
def images(photos: Path) -> dict[str, Image]:
    files = {path.stem: path for path in photos.iterdir() if path.stem in NAMES}
    return {name: Decoder().decode(files[name].read_bytes()) for name in NAMES}


@pytest.fixture(scope="session")
def findings(analyzer: Analyzer, images: dict[str, Image]) -> dict[str, FaceFinding]:
    found = {name: analyzer.analyze(image, EVERYTHING) for name, image in images.items()}
    assert {name: len(faces) for name, faces in found.items()} == dict.fromkeys(NAMES, 1)
    return {name: faces[0] for name, faces in found.items()}


def raw(pixels: Pixels) -> Image:
    return Image(np.ascontiguousarray(pixels), "PNG")


def vector(finding: FaceFinding) -> NDArray[np.float32]:
    assert finding.descriptor is not None
    return finding.descriptor.vector


def shrunk(image: Image, height: int) -> Pixels:
    width = round(image.pixels.shape[1] * height / image.pixels.shape[0])
    return np.asarray(cv2.resize(image.pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def montage(images: dict[str, Image], *names: str, height: int = 500) -> Pixels:
    return np.concatenate([shrunk(images[name], height) for name in names], axis=1)


@pytest.mark.parametrize("name", NAMES)
def test_faces_are_where_they_were_measured(
    findings: dict[str, FaceFinding], images: dict[str, Image], name: str
) -> None:
    finding = findings[name]
    score, corners, points5, roll = GOLDEN[name]
    image_height, image_width = images[name].pixels.shape[:2]
    box = np.clip(corners, 0, [image_width, image_height] * 2)
    assert finding.score == pytest.approx(score, abs=0.02)
    x, y, width, height = finding.rect
    assert np.abs(np.array([x, y, x + width, y + height]) - box).max() <= 4
    eyes = float(np.linalg.norm(np.subtract(points5[1], points5[0])))
    assert finding.landmarks5 is not None
    assert finding.landmarks68 is not None
    assert np.linalg.norm(finding.landmarks5 - points5, axis=1).mean() <= 0.02 * eyes
    assert finding.landmarks68.shape == (68, 2)
    assert np.allclose(finding.landmarks68[[30, 48, 54]], finding.landmarks5[2:])
    assert finding.head_pose is not None
    assert finding.head_pose.roll == pytest.approx(roll, abs=3)


def test_descriptors_agree_with_the_study(findings: dict[str, FaceFinding], analyzer: Analyzer) -> None:
    vectors = np.stack([vector(findings[name]) for name in NAMES])
    assert vectors.shape == (7, analyzer.descriptor_dimension)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.abs(vectors @ vectors.T - COSINES).max() < 0.06
    similarity = analyzer.similarity.from_cosine(vectors @ vectors.T)
    same = np.array([name.startswith("obama") for name in NAMES])
    assert similarity[np.ix_(same, same)].min() > 0.95
    assert similarity[np.ix_(same, ~same)].max() < 0.6


def test_poses_and_scores_are_plausible(findings: dict[str, FaceFinding], analyzer: Analyzer) -> None:
    poses = {name: findings[name].head_pose for name in NAMES}
    assert all(pose is not None and max(map(abs, pose)) < 25 for pose in poses.values())
    turned_left, frontal, turned_right = poses["obama2"], poses["obama"], poses["biden"]
    assert turned_left is not None and turned_left.yaw < -8
    assert frontal is not None and abs(frontal.yaw) < 4
    assert turned_right is not None and turned_right.yaw > 5
    scores = {name: finding.descriptor.score for name, finding in findings.items() if finding.descriptor}
    assert scores["obama"] > 0.95
    assert scores["obama_partial_face"] < scores["obama"]


def test_only_what_was_asked_for_is_there(analyzer: Analyzer, images: dict[str, Image]) -> None:
    (bare,) = analyzer.analyze(images["obama"], Plan())
    assert (bare.landmarks5, bare.landmarks68, bare.head_pose, bare.warp, bare.descriptor) == (None,) * 5
    (warped,) = analyzer.analyze(images["obama"], Plan(warp=True))
    assert warped.warp is not None
    assert warped.descriptor is None


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_warp_gives_the_descriptor_of_the_photo(
    findings: dict[str, FaceFinding], analyzer: Analyzer, name: str
) -> None:
    warp = findings[name].warp
    assert warp is not None
    assert warp.shape == (250, 250, 3)
    stored = Decoder().decode(encode_jpeg(warp))
    (again,) = analyzer.analyze(stored, EVERYTHING, image_type=ImageType.FACE_WARP, boxes=[Box(1, 1, 2, 2)])
    assert again.rect == Box(0, 0, 250, 250)
    assert (again.landmarks5, again.landmarks68, again.head_pose) == (None, None, None)
    assert again.warp is stored.pixels
    assert float(vector(again) @ vector(findings[name])) >= 0.97


def test_eyes_and_mouth_of_a_warp_lie_at_the_template(findings: dict[str, FaceFinding], analyzer: Analyzer) -> None:
    warp = findings["obama"].warp
    assert warp is not None
    (face,) = analyzer.analyze(raw(warp), Plan(landmarks5=True))
    assert face.landmarks5 is not None
    eyes_and_mouth = [*face.landmarks5[:2], face.landmarks5[3:].mean(axis=0)]
    assert np.abs(np.array(eyes_and_mouth) - [[94, 112.5], [156, 112.5], [125, 179]]).max() < 5


def test_a_warp_of_another_size_is_refused(analyzer: Analyzer) -> None:
    with pytest.raises(ImageError) as caught:
        analyzer.analyze(raw(np.zeros((250, 249, 3), np.uint8)), Plan(), image_type=ImageType.FACE_WARP)
    assert (caught.value.code, caught.value.detail) == (11030, "Image size is not equal to 250x250")


def test_a_body_warp_gives_one_body_and_no_face(analyzer: Analyzer, images: dict[str, Image]) -> None:
    warp = raw(np.asarray(cv2.resize(images["astronaut"].pixels[:500, :260], (128, 256)), np.uint8))
    found = analyzer.find(warp, EVERYTHING, image_type=ImageType.BODY_WARP)
    assert (found.faces, [body.rect for body in found.bodies]) == ([], [Box(0, 0, 128, 256)])
    assert found.persons == [(None, 0)]
    with pytest.raises(ImageError) as caught:
        analyzer.find(images["obama"], EVERYTHING, image_type=ImageType.BODY_WARP)
    assert (caught.value.code, caught.value.detail) == (11030, "Image size is not equal to 128x256")


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
@pytest.mark.parametrize("name", ["obama", "biden", "astronaut"])
def test_a_photo_on_its_side_or_head_gives_the_same_descriptor(
    analyzer: Analyzer,
    images: dict[str, Image],
    findings: dict[str, FaceFinding],
    name: str,
    quarter_turns: int,
) -> None:
    turned = raw(np.rot90(images[name].pixels, quarter_turns))
    (face,) = analyzer.analyze(turned, EVERYTHING)
    assert float(vector(face) @ vector(findings[name])) > 0.9
    assert face.landmarks5 is not None
    original = findings[name].landmarks5
    assert original is not None
    height, width = images[name].pixels.shape[:2]
    expected = original
    for step in range(quarter_turns):
        expected = np.stack([expected[:, 1], (width if step % 2 == 0 else height) - expected[:, 0]], axis=1)
    eyes = float(np.linalg.norm(original[1] - original[0]))
    assert np.linalg.norm(face.landmarks5 - expected, axis=1).mean() < 0.06 * eyes
    x, y, box_width, box_height = face.rect
    assert (expected >= [x, y]).all()
    assert (expected <= [x + box_width, y + box_height]).all()


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_a_group_photo_on_its_side_keeps_all_faces(
    analyzer: Analyzer, images: dict[str, Image], quarter_turns: int
) -> None:
    group = montage(images, "obama", "biden", "astronaut", "obama2", "obama3")
    upright = analyzer.analyze(raw(group), ONLY_DESCRIPTOR)
    turned = analyzer.analyze(raw(np.rot90(group, quarter_turns)), ONLY_DESCRIPTOR)
    assert len(upright) == len(turned) == 5
    cosines = np.stack([vector(face) for face in upright]) @ np.stack([vector(face) for face in turned]).T
    assert cosines.max(axis=1).min() > 0.85


@pytest.mark.parametrize("degrees", [-40, -20, 20, 40])
def test_a_tilted_head_gives_the_same_descriptor(
    analyzer: Analyzer, images: dict[str, Image], findings: dict[str, FaceFinding], degrees: int
) -> None:
    pixels = images["astronaut"].pixels
    matrix = cv2.getRotationMatrix2D((225, 120), -degrees, 1)
    tilted = cv2.warpAffine(pixels, matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    (face,) = analyzer.analyze(raw(np.asarray(tilted, np.uint8)), EVERYTHING)
    assert float(vector(face) @ vector(findings["astronaut"])) > 0.9
    upright = findings["astronaut"].head_pose
    assert face.head_pose is not None
    assert upright is not None
    assert face.head_pose.roll - upright.roll == pytest.approx(degrees, abs=4)


def test_several_faces_and_the_three_policies(
    analyzer: Analyzer, images: dict[str, Image], findings: dict[str, FaceFinding]
) -> None:
    group = raw(montage(images, "obama", "biden", "astronaut", "obama2"))
    faces = analyzer.analyze(group, ONLY_DESCRIPTOR)
    assert len(faces) == 4
    assert [face.score for face in faces] == sorted((face.score for face in faces), reverse=True)
    from_left = sorted(faces, key=lambda face: face.rect.x)
    for face, name in zip(from_left, ("obama", "biden", "astronaut", "obama2"), strict=True):
        assert float(vector(face) @ vector(findings[name])) > 0.85
    with pytest.raises(MultipleFacesError) as caught:
        analyzer.analyze(group, Plan(multiface=MultifacePolicy.NOT_ALLOWED))
    assert caught.value.rects == [face.rect for face in faces]
    (best,) = analyzer.analyze(group, Plan(multiface=MultifacePolicy.BEST, descriptor=True))
    assert best.rect == faces[0].rect
    assert float(vector(best) @ vector(faces[0])) > 0.999
    assert len(analyzer.analyze(images["obama"], Plan(multiface=MultifacePolicy.NOT_ALLOWED))) == 1


def test_no_face_no_findings(analyzer: Analyzer, images: dict[str, Image]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    gradient = np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (200, 1, 3))
    for pixels in (np.zeros((480, 640, 3), np.uint8), noise, gradient, images["astronaut"].pixels[300:]):
        assert analyzer.analyze(raw(pixels), EVERYTHING) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 2000), (2000, 1), (7, 5), (31, 33), (400, 400), (401, 3)])
def test_images_of_odd_shape_are_no_problem(analyzer: Analyzer, shape: tuple[int, int]) -> None:
    assert analyzer.analyze(raw(np.full((*shape, 3), 90, np.uint8)), EVERYTHING) == []
    assert analyzer.analyze(raw(np.full((*shape, 3), 90, np.uint8)), EVERYTHING, boxes=[Box(0, 0, 1, 1)]) == []


def test_a_small_and_a_tightly_cut_face_are_found(
    analyzer: Analyzer, images: dict[str, Image], findings: dict[str, FaceFinding]
) -> None:
    small = cv2.resize(images["astronaut"].pixels, (120, 120), interpolation=cv2.INTER_AREA)
    (face,) = analyzer.analyze(raw(np.asarray(small, np.uint8)), ONLY_DESCRIPTOR)
    assert float(vector(face) @ vector(findings["astronaut"])) > 0.6
    assert face.descriptor is not None
    assert findings["astronaut"].descriptor is not None
    assert face.descriptor.score < findings["astronaut"].descriptor.score
    x, y, width, height = findings["obama"].rect
    (tight,) = analyzer.analyze(raw(images["obama"].pixels[y : y + height, x : x + width]), ONLY_DESCRIPTOR)
    assert float(vector(tight) @ vector(findings["obama"])) > 0.85


def test_given_boxes_replace_the_detection(
    analyzer: Analyzer, images: dict[str, Image], findings: dict[str, FaceFinding]
) -> None:
    group = raw(montage(images, "obama", "biden", "astronaut"))
    detected = sorted(analyzer.analyze(group, ONLY_DESCRIPTOR), key=lambda face: face.rect.x)
    assert len(detected) == 3
    rough = [Box(face.rect.x - 6, face.rect.y + 5, face.rect.width + 10, face.rect.height + 4) for face in detected]
    empty = Box(2, 400, 40, 40)
    asked = [rough[2], empty, rough[0]]
    found = analyzer.analyze(group, ONLY_DESCRIPTOR, boxes=asked)
    assert len(found) == 2
    for face, expected in zip(found, (detected[2], detected[0]), strict=True):
        assert float(vector(face) @ vector(expected)) > 0.95
        assert np.abs(np.subtract(face.rect, expected.rect)).max() < 0.15 * expected.rect.height
    assert analyzer.analyze(group, ONLY_DESCRIPTOR, boxes=[]) == []
    outside = [Box(5000, 5000, 50, 50), Box(-400, -400, 100, 100), Box(0, 0, 100_000, 100_000)]
    assert analyzer.analyze(group, ONLY_DESCRIPTOR, boxes=outside) == []


def test_a_given_box_around_a_turned_face(
    analyzer: Analyzer, images: dict[str, Image], findings: dict[str, FaceFinding]
) -> None:
    turned = raw(np.rot90(images["obama"].pixels, 2))
    x, y, width, height = findings["obama"].rect
    box = Box(turned.pixels.shape[1] - x - width, turned.pixels.shape[0] - y - height, width, height)
    (face,) = analyzer.analyze(turned, ONLY_DESCRIPTOR, boxes=[box])
    assert float(vector(face) @ vector(findings["obama"])) > 0.9


def test_rects_lie_inside_the_image(analyzer: Analyzer, images: dict[str, Image]) -> None:
    for left in (0, 420, 470):
        pixels = images["obama"].pixels[:380, left:580]
        for face in analyzer.analyze(raw(pixels), Plan()):
            x, y, width, height = face.rect
            assert x >= 0 and y >= 0 and width >= 1 and height >= 1
            assert x + width <= pixels.shape[1] and y + height <= pixels.shape[0]


def test_degraded_faces_have_lower_scores(analyzer: Analyzer, images: dict[str, Image]) -> None:
    def score(pixels: Pixels) -> float:
        (face,) = analyzer.analyze(raw(pixels), ONLY_DESCRIPTOR)
        assert face.descriptor is not None
        return face.descriptor.score

    pixels = shrunk(images["obama"], 500)
    blurred = [score(np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)) for sigma in (2, 5, 9)]
    darkened = [score((pixels * share).astype(np.uint8)) for share in (0.3, 0.08)]
    covered = pixels.copy()
    covered[80:105] = 40
    assert score(pixels) > blurred[0] > blurred[1] > blurred[2]
    assert score(pixels) > darkened[0] > darkened[1]
    assert score(pixels) > score(covered)
    assert blurred[2] < 0.5


def test_threads_get_the_same_results(analyzer: Analyzer, images: dict[str, Image]) -> None:
    expected = {name: vector(analyzer.analyze(images[name], ONLY_DESCRIPTOR)[0]) for name in NAMES}
    wrong: list[str] = []

    def work(offset: int) -> None:
        for step in range(len(NAMES)):
            name = NAMES[(step + offset) % len(NAMES)]
            (face,) = analyzer.analyze(images[name], ONLY_DESCRIPTOR)
            if not np.allclose(vector(face), expected[name], atol=1e-4):
                wrong.append(name)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
