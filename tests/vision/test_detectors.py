"""Reading the outputs of detection networks, the choice of scales, and what happens when networks are replaced."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from lunaria.vision import networks
from lunaria.vision.analysis import Analyzer
from lunaria.vision.descriptor_score import QualityScore
from lunaria.vision.detections import Detections, no_detections
from lunaria.vision.faces import FaceDetector
from lunaria.vision.head_pose import HeadPoseEstimator
from lunaria.vision.images import Decoder, Image
from lunaria.vision.landmarks import LandmarkNetwork, Landmarks
from lunaria.vision.packs.manifest import built_in_pack
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.plan import Plan
from lunaria.vision.runtime import RuntimeUnavailableError, open_session
from lunaria.vision.yunet import YuNet


class Answers:
    """A session that gives prepared outputs and remembers its input."""

    inputs = ("input",)

    def __init__(self, outputs: list[NDArray[Any]]) -> None:
        self._outputs = {f"output{index}": value for index, value in enumerate(outputs)}
        self.outputs = tuple(self._outputs)
        self.seen = np.zeros(0, np.float32)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        self.seen = feeds["input"]
        return self._outputs


def test_yunet_cells_become_boxes_in_pixels() -> None:
    rows, columns = 64, 96
    cells = [(rows // stride) * (columns // stride) for stride in (8, 16, 32)]
    outputs = [np.zeros((1, count, size), np.float32) for size in (1, 1, 4, 10) for count in cells]
    cell = 1 * (columns // 16) + 2  # row 1, column 2 of stride 16
    outputs[1][0, cell] = 0.81
    outputs[4][0, cell] = 1.7  # counts as 1
    outputs[7][0, cell] = [0.5, 0.25, np.log(2), np.log(3)]
    outputs[10][0, cell] = np.arange(10) / 10
    session = Answers(outputs)
    pixels = np.zeros((50, 70, 3), np.uint8)
    pixels[:, :] = [10, 20, 30]
    found = YuNet(session).run(pixels)
    assert session.seen.shape == (1, 3, rows, columns)
    assert session.seen[0, :, 0, 0].tolist() == [30, 20, 10]
    assert not session.seen[0, :, 50:].any()
    assert found.scores.tolist() == pytest.approx([0.9])
    assert found.boxes[0].tolist() == pytest.approx([40 - 16, 20 - 24, 40 + 16, 20 + 24], abs=1e-4)
    assert found.points[0, 1].tolist() == pytest.approx([(2 + 0.2) * 16, (1 + 0.3) * 16], abs=1e-4)


class Recorder:
    """A detection network that finds nothing and notes the sizes it was given."""

    largest_side = 1920
    standing_score = 0.9

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []

    def run(self, pixels: NDArray[np.uint8]) -> Detections:
        self.sizes.append((pixels.shape[1], pixels.shape[0]))
        return no_detections()


@pytest.mark.parametrize(
    ("size", "minimum", "expected"),
    [
        ((4000, 3000), None, [(640, 480), (240, 180)]),
        ((300, 600), None, [(300, 600), (120, 240)]),
        ((400, 100), None, [(400, 100), (240, 60)]),
        ((200, 100), None, [(200, 100)]),
        ((4000, 3000), 60, [(800, 600), (240, 180)]),
        ((4000, 3000), 12, [(1920, 1440), (240, 180)]),
        ((4000, 3000), 2000, [(240, 180)]),
        ((300, 200), 2000, [(300, 200), (240, 160)]),
    ],
)
def test_scales_follow_the_image_and_the_smallest_face(
    size: tuple[int, int], minimum: int | None, expected: list[tuple[int, int]]
) -> None:
    network = Recorder()
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    assert len(FaceDetector(network, minimum_face_size=minimum).detect(pixels)) == 0
    assert network.sizes[: len(expected)] == expected
    assert len(network.sizes) == 4 * len(expected), "the other three positions are tried too"


def custom_store(model_store: ModelStore, folder: Path, role: str, **changes: Any) -> ModelStore:
    """The default networks with one replaced by a copy of itself that says other things about itself."""
    spec = msgspec.to_builtins(model_store.spec(role)) | {"sources": []} | changes
    custom = folder / "custom"
    custom.mkdir()
    shutil.copy(model_store.network(role).path, custom / spec["file"])
    pack = {"name": "custom", "title": "Custom", "networks": {role: spec}}
    (custom / "manifest.json").write_text(json.dumps(pack))
    for network in built_in_pack("default").networks.values():
        (folder / network.file).symlink_to(model_store.folder / network.file)
    return ModelStore(folder)


def test_another_descriptor_network_is_scored_by_the_quality_network(
    model_store: ModelStore, tmp_path: Path, photos: Path
) -> None:
    descriptor = msgspec.to_builtins(model_store.descriptor_spec()) | {"version": 1500}
    store = custom_store(model_store, tmp_path, "face_descriptor", kind="arcface", descriptor=descriptor)
    analyzer = Analyzer(store)
    assert analyzer.descriptor_version == 1500
    image = Decoder().decode((photos / "obama.jpg").read_bytes())
    blurred = Image(np.asarray(cv2.GaussianBlur(image.pixels, (0, 0), 20), np.uint8), "PNG")
    (sharp,) = analyzer.analyze(image, Plan(descriptor=True))
    (unsharp,) = analyzer.analyze(blurred, Plan(descriptor=True))
    assert sharp.descriptor is not None
    assert unsharp.descriptor is not None
    assert sharp.descriptor.version == 1500
    assert 0 < unsharp.descriptor.score < sharp.descriptor.score < 1


def test_quality_falls_with_blur_darkness_and_cover(model_store: ModelStore, photos: Path) -> None:
    pose = HeadPoseEstimator(np.load(model_store.network("canonical_face_mesh").path))
    quality = model_store.network("face_quality")
    assert quality.spec.preprocessing is not None
    score = QualityScore(open_session(quality.path), quality.spec.preprocessing, pose)
    pixels = Decoder().decode((photos / "obama.jpg").read_bytes()).pixels
    detector = FaceDetector(YuNet(open_session(model_store.network("face_detector").path)))
    network = LandmarkNetwork(open_session(model_store.network("face_landmarks68").path))
    (face,) = network.locate(pixels, detector.detect(pixels))
    covered = pixels.copy()
    covered[int(face.points5[2, 1]) :] = 90
    spoilt = {
        "blur": np.asarray(cv2.GaussianBlur(pixels, (0, 0), 15), np.uint8),
        "dark": (pixels * 0.1).astype(np.uint8),
        "cover": covered,
    }
    sharp = score.estimate(12, pixels, face)
    for name, worse in spoilt.items():
        assert score.estimate(12, worse, face) < sharp - 0.02, name
    small = Landmarks(face.points5 / 10, face.points68 / 10, face.roll)
    shrunk = np.asarray(cv2.resize(pixels, None, fx=0.1, fy=0.1, interpolation=cv2.INTER_AREA), np.uint8)
    assert score.estimate(12, shrunk, small) < sharp - 0.05


def test_both_backends_give_the_same_findings(model_store: ModelStore, photos: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("openvino")
    image = Decoder().decode((photos / "astronaut.png").read_bytes())
    plan = Plan(descriptor=True, landmarks68=True)
    (first,) = Analyzer(model_store, "openvino").analyze(image, plan)
    (second,) = Analyzer(model_store, "onnxruntime").analyze(image, plan)
    assert first.rect == second.rect
    assert first.landmarks68 is not None
    assert second.landmarks68 is not None
    assert np.abs(first.landmarks68 - second.landmarks68).max() < 0.1
    assert first.descriptor is not None
    assert second.descriptor is not None
    assert float(first.descriptor.vector @ second.descriptor.vector) > 0.9999


def test_without_a_reader_for_the_mesh_the_pose_comes_from_landmarks(
    analyzer: Analyzer, model_store: ModelStore, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Decoder().decode((photos / "obama2.jpg").read_bytes())
    (expected,) = analyzer.analyze(image, Plan(head_pose=True))

    def without_tflite(path: Path, **options: Any) -> Any:
        if path.suffix == ".tflite":
            raise RuntimeUnavailableError("not installed")
        return open_session(path, **options)

    monkeypatch.setattr(networks, "open_session", without_tflite)
    (face,) = Analyzer(model_store).analyze(image, Plan(head_pose=True))
    assert face.head_pose is not None
    assert expected.head_pose is not None
    assert np.abs(np.subtract(face.head_pose, expected.head_pose)).max() < 5
