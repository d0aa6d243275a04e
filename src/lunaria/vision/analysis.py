"""From an image to findings: what was asked for decides which networks run, once each, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.descriptor_score import DescriptorScore, LengthScore, QualityScore
from lunaria.vision.descriptors import Descriptor, DescriptorNetwork
from lunaria.vision.detections import SCORE_THRESHOLD, Detections, no_detections
from lunaria.vision.faces import Choice, FaceDetector
from lunaria.vision.geometry import Pixels
from lunaria.vision.head_pose import HeadPose, HeadPoseEstimator, MeshNetwork
from lunaria.vision.images import Image, ImageError
from lunaria.vision.landmarks import LandmarkNetwork, Landmarks
from lunaria.vision.looks import Looks
from lunaria.vision.packs.manifest import Network, Preprocessing
from lunaria.vision.packs.store import ModelStore, ModelStoreError
from lunaria.vision.runtime import Backend, Device, InferenceSession, RuntimeUnavailableError, open_session
from lunaria.vision.similarity import Similarity
from lunaria.vision.warps import ALIGNED_SIDE, ALIGNED_TEMPLATE, WARP_SIDE, align, cut_warp
from lunaria.vision.yunet import YuNet


class MultifacePolicy(IntEnum):
    """What to do with several faces in one image: refuse, take all, take the one with the highest detection score."""

    NOT_ALLOWED = 0
    ALLOWED = 1
    BEST = 2


class ImageType(IntEnum):
    """What an image shows: anything, or a face or body that was already brought into the standard position."""

    RAW = 0
    FACE_WARP = 1
    BODY_WARP = 2


class Box(NamedTuple):
    """A rectangle in whole pixels of the image."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is wanted of each face."""

    multiface: MultifacePolicy = MultifacePolicy.ALLOWED
    landmarks68: bool = False
    landmarks5: bool = False
    head_pose: bool = False
    descriptor: bool = False
    warp: bool = False


@dataclass(slots=True)
class FaceFinding:
    """One face. What the plan did not ask for, or what cannot be had of this face, is None.

    `rect` lies inside the image; `score` is that of the detector, 0..1, and 1 for a warp, where nothing is detected;
    landmarks (N, 2) in pixels of the image; `warp` (250, 250, 3) uint8 RGB.
    """

    rect: Box
    score: float
    landmarks5: NDArray[np.float64] | None = None
    landmarks68: NDArray[np.float64] | None = None
    head_pose: HeadPose | None = None
    warp: Pixels | None = None
    descriptor: Descriptor | None = None


class MultipleFacesError(Exception):
    """Several faces where the plan allows one. `rects`: where they are."""

    def __init__(self, rects: list[Box]) -> None:
        super().__init__(f"{len(rects)} faces")
        self.rects = rects


@dataclass(slots=True)
class _Networks:
    detector: FaceDetector
    landmarks: LandmarkNetwork
    mesh: MeshNetwork | None
    pose: HeadPoseEstimator
    descriptor: DescriptorNetwork
    score: DescriptorScore
    length_tells: bool
    template: NDArray[np.float64]
    aligned_side: int

    def looks(self) -> Looks:
        return Looks(self.landmarks, self.descriptor, self.template, self.aligned_side)


class Analyzer:
    """Runs the networks of a store over images. Thread-safe; each call uses the calling thread.

    Raises the errors of ModelStore and of open_session when a network is missing or cannot be read.
    """

    def __init__(
        self,
        store: ModelStore,
        backend: Backend = "auto",
        *,
        device: Device = "cpu",
        score_threshold: float = SCORE_THRESHOLD,
        minimum_face_size: int | None = None,
    ) -> None:
        spec = store.descriptor_spec()
        self.descriptor_version: int = spec.version
        self.descriptor_dimension: int = spec.dimension
        self.similarity = Similarity(spec.similarity.knots)

        def load(role: str) -> InferenceSession:
            return open_session(store.network(role).path, backend=backend, device=device)

        pose = HeadPoseEstimator(np.load(store.network("canonical_face_mesh").path, allow_pickle=False))
        descriptor = store.network("face_descriptor").spec
        preprocessing = _preprocessing(descriptor)
        length_tells = descriptor.kind == "sface"
        self._networks = _Networks(
            detector=FaceDetector(
                YuNet(load("face_detector"), score_threshold),
                minimum_face_size=minimum_face_size,
            ),
            landmarks=LandmarkNetwork(load("face_landmarks68")),
            mesh=_mesh_network(store),
            pose=pose,
            descriptor=DescriptorNetwork(load("face_descriptor"), preprocessing, spec.dimension),
            length_tells=length_tells,
            score=(
                LengthScore()
                if length_tells
                else QualityScore(load("face_quality"), _preprocessing(store.network("face_quality").spec), pose)
            ),
            template=np.array(descriptor.parameters.get("template", ALIGNED_TEMPLATE), np.float64),
            aligned_side=preprocessing.width or ALIGNED_SIDE,
        )

    def analyze(
        self,
        image: Image,
        plan: Plan,
        *,
        image_type: ImageType = ImageType.RAW,
        boxes: Sequence[Box] | None = None,
    ) -> list[FaceFinding]:
        """The faces of an image, best detection score first.

        `boxes` replace the detection: each gives one finding, or none when no face is in it, in their order. They are
        ignored for a warp, which gives exactly one finding without landmarks and head pose. A body warp gives none.

        Raises MultipleFacesError, and ImageError 11030 for a face warp that is not 250x250.
        """
        if image_type is ImageType.BODY_WARP:
            return []
        if image_type is ImageType.FACE_WARP:
            return [self._analyze_warp(image.pixels, plan)]
        looks = self._networks.looks()
        faces = self._detect(image.pixels, boxes, looks.choose if self._networks.length_tells else None)
        rects = [_clipped(box, image.pixels) for box in faces.boxes]
        if len(rects) > 1 and plan.multiface is MultifacePolicy.NOT_ALLOWED:
            raise MultipleFacesError(rects)
        if len(rects) > 1 and plan.multiface is MultifacePolicy.BEST:
            best = int(np.argmax(faces.scores))
            faces, rects = faces.take([best]), [rects[best]]
        findings = [FaceFinding(rect=rect, score=float(score)) for rect, score in zip(rects, faces.scores, strict=True)]
        if findings and plan != Plan(multiface=plan.multiface):
            self._estimate(image.pixels, plan, looks, faces, findings)
        return findings

    def _detect(self, pixels: Pixels, boxes: Sequence[Box] | None, choose: Choice | None) -> Detections:
        """Detected faces whose box touches the image."""
        detector = self._networks.detector
        if boxes is None:
            faces = detector.detect(pixels, choose)
        else:
            corners = [np.array([x, y, x + width, y + height], np.float64) for x, y, width, height in boxes]
            faces = no_detections().joined(*[detector.detect_in_box(pixels, box, choose) for box in corners])
        height, width = pixels.shape[:2]
        low, high = faces.boxes[:, :2], faces.boxes[:, 2:]
        return faces.take(np.flatnonzero(((low < [width - 1, height - 1]) & (high > 1)).all(axis=1)))

    def _estimate(
        self, pixels: Pixels, plan: Plan, looks: Looks, faces: Detections, findings: list[FaceFinding]
    ) -> None:
        landmarks = looks.landmarks(pixels, faces)
        for face, finding in zip(landmarks, findings, strict=True):
            if plan.landmarks5:
                finding.landmarks5 = face.points5
            if plan.landmarks68:
                finding.landmarks68 = face.points68
            if plan.head_pose:
                finding.head_pose = self._pose(pixels, face)
            if plan.warp:
                finding.warp = cut_warp(pixels, face.points5)
        if plan.descriptor:
            for face, finding, (vector, length) in zip(landmarks, findings, looks.vectors(pixels, faces), strict=True):
                finding.descriptor = self._descriptor(pixels, face, vector, length)

    def _pose(self, pixels: Pixels, face: Landmarks) -> HeadPose | None:
        networks = self._networks
        if networks.mesh is None:
            return networks.pose.from_landmarks(face.points68)
        return networks.pose.from_mesh(networks.mesh.locate(pixels, face))

    def _analyze_warp(self, pixels: Pixels, plan: Plan) -> FaceFinding:
        if pixels.shape[:2] != (WARP_SIDE, WARP_SIDE):
            raise ImageError(11030, f"Image size is not equal to {WARP_SIDE}x{WARP_SIDE}")
        finding = FaceFinding(rect=Box(0, 0, WARP_SIDE, WARP_SIDE), score=1.0)
        if plan.warp:
            finding.warp = pixels
        if plan.descriptor:
            networks = self._networks
            face = networks.landmarks.locate_in_warp(pixels)
            aligned = align(pixels, face.points5, networks.template, networks.aligned_side)
            vectors, lengths = networks.descriptor.extract([aligned])
            finding.descriptor = self._descriptor(pixels, face, vectors[0], float(lengths[0]))
        return finding

    def _descriptor(self, pixels: Pixels, face: Landmarks, vector: NDArray[np.float32], length: float) -> Descriptor:
        return Descriptor(vector, self.descriptor_version, self._networks.score.estimate(length, pixels, face))


def _mesh_network(store: ModelStore) -> MeshNetwork | None:
    """None where no backend reads its file: then the pose is fitted to the landmarks."""
    try:
        return MeshNetwork(open_session(store.network("face_mesh").path))
    except RuntimeUnavailableError:
        return None


def _preprocessing(network: Network) -> Preprocessing:
    if network.preprocessing is None:
        raise ModelStoreError(f"the manifest says nothing about the preprocessing of the network {network.role!r}")
    return network.preprocessing


def _clipped(corners: NDArray[np.float64], pixels: Pixels) -> Box:
    """The part of a box inside the image, at least one pixel."""
    height, width = pixels.shape[:2]
    left, top = np.clip(np.rint(corners[:2]), 0, [width - 1, height - 1]).astype(int).tolist()
    right, bottom = np.clip(np.rint(corners[2:]), [left + 1, top + 1], [width, height]).astype(int).tolist()
    return Box(left, top, right - left, bottom - top)
