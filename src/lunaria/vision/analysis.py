"""From an image to findings: what was asked for decides which networks run, once each, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lunaria.kit.once import Once
from lunaria.vision.association import associate
from lunaria.vision.body_analysis import BodyAnalyzer
from lunaria.vision.descriptor_score import DescriptorScore, LengthScore, QualityScore
from lunaria.vision.descriptors import Descriptor, DescriptorNetwork
from lunaria.vision.detections import SCORE_THRESHOLD, Detections, no_detections
from lunaria.vision.face_estimators import FaceEstimators
from lunaria.vision.faces import Choice, FaceDetector
from lunaria.vision.findings import BodyFinding, FaceFinding, Findings
from lunaria.vision.geometry import Pixels, Points
from lunaria.vision.images import Image, ImageError
from lunaria.vision.landmarks import LandmarkNetwork, Landmarks
from lunaria.vision.looks import Looks
from lunaria.vision.networks import NetworkLoader
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.people_count import PeopleCounter
from lunaria.vision.plan import Box, ImageType, MultifacePolicy, Plan
from lunaria.vision.runtime import Backend, Device
from lunaria.vision.similarity import Similarity
from lunaria.vision.views import FaceViews
from lunaria.vision.warps import ALIGNED_SIDE, ALIGNED_TEMPLATE, WARP_SIDE, align, cut_warp
from lunaria.vision.yunet import YuNet


class MultipleFacesError(Exception):
    """Several faces where the plan allows one. `rects`: where they are."""

    def __init__(self, rects: list[Box]) -> None:
        super().__init__(f"{len(rects)} faces")
        self.rects = rects


@dataclass(slots=True)
class _Networks:
    detector: FaceDetector
    landmarks: LandmarkNetwork
    descriptor: DescriptorNetwork
    score: DescriptorScore
    length_tells: bool
    template: NDArray[np.float64]
    aligned_side: int

    def looks(self) -> Looks:
        return Looks(self.landmarks, self.descriptor, self.template, self.aligned_side)


class Analyzer:
    """Runs the networks of a store over images. Thread-safe; each call uses the calling thread.

    The networks of detection and descriptors are loaded at once, those of the estimates at their first use or by
    `load_all`. Raises the errors of ModelStore and of open_session when a network is missing or cannot be read.
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
        load = NetworkLoader(store, backend, device)
        self._estimators = FaceEstimators(load)
        self._bodies = BodyAnalyzer(load)
        network = store.network("face_descriptor").spec
        preprocessing = load.preprocessing("face_descriptor")
        length_tells = network.kind == "sface"
        self._networks = _Networks(
            detector=FaceDetector(
                YuNet(load.session("face_detector"), score_threshold),
                minimum_face_size=minimum_face_size,
            ),
            landmarks=LandmarkNetwork(load.session("face_landmarks68")),
            descriptor=DescriptorNetwork(load.session("face_descriptor"), preprocessing, spec.dimension),
            length_tells=length_tells,
            score=(
                LengthScore()
                if length_tells
                else QualityScore(
                    load.session("face_quality"), load.preprocessing("face_quality"), self._estimators.pose
                )
            ),
            template=np.array(network.parameters.get("template", ALIGNED_TEMPLATE), np.float64),
            aligned_side=preprocessing.width or ALIGNED_SIDE,
        )
        self._counter = Once(lambda: PeopleCounter(self._bodies.networks()))

    @property
    def descriptor_dimensions(self) -> dict[int, int]:
        """Components of the descriptors that are made here, by version: of faces, and of bodies where they are."""
        return {self.descriptor_version: self.descriptor_dimension, **self._bodies.descriptor_dimensions}

    def load_all(self) -> None:
        """Load what is loaded at the first use only, so that the first request does not wait for it."""
        self._estimators.load_all()
        self._bodies.load_all()

    def analyze(
        self,
        image: Image,
        plan: Plan,
        *,
        image_type: ImageType = ImageType.RAW,
        boxes: Sequence[Box] | None = None,
    ) -> list[FaceFinding]:
        """The faces alone that `find` finds; `boxes` are its `face_boxes`."""
        return self.find(image, plan, image_type=image_type, face_boxes=boxes).faces

    def find(
        self,
        image: Image,
        plan: Plan,
        *,
        image_type: ImageType = ImageType.RAW,
        face_boxes: Sequence[Box] | None = None,
        body_boxes: Sequence[Box] | None = None,
    ) -> Findings:
        """The faces and bodies of an image, best detection score first.

        Boxes replace the detection: each gives one finding, or none when nothing is in it, in their order. They are
        ignored for a warp, which gives exactly one finding without what a warp cannot tell: landmarks, head pose, gaze,
        liveness, deepfake, people.

        Raises MultipleFacesError, and ImageError 11030 for a warp that has not its size.
        """
        if image_type is ImageType.BODY_WARP:
            return Findings(bodies=[self._bodies.of_warp(image.pixels, plan)], persons=[(None, 0)])
        if image_type is ImageType.FACE_WARP:
            return Findings(faces=[self._of_warp(image, plan)], persons=[(0, None)])
        pixels = image.pixels
        faces = self._faces(image, plan, face_boxes) if plan.detect_faces else []
        wants_bodies = plan.detect_bodies and bool(faces or plan.multiface is MultifacePolicy.ALLOWED)
        seen = self._bodies.look(pixels) if plan.people_count or (wants_bodies and body_boxes is None) else None
        bodies: list[BodyFinding] = []
        if wants_bodies:
            found = self._bodies.detect(pixels, body_boxes, seen)
            persons, kept = _persons(faces, found.boxes, plan)
            bodies = self._bodies.estimate(pixels, found.take(kept), plan)
            for face, body in persons:
                if face is not None and body is not None:
                    _trust_face(faces[face], bodies[body])
        else:
            persons = [(index, None) for index in range(len(faces))]
        return Findings(faces, bodies, persons, self._counter().count(pixels, seen) if plan.people_count else None)

    def _faces(self, image: Image, plan: Plan, boxes: Sequence[Box] | None) -> list[FaceFinding]:
        looks = self._networks.looks()
        faces = self._detect(image.pixels, boxes, looks.choose if self._networks.length_tells else None)
        rects = [Box.clipped(box, image.pixels) for box in faces.boxes]
        if len(rects) > 1 and plan.multiface is MultifacePolicy.NOT_ALLOWED:
            raise MultipleFacesError(rects)
        if len(rects) > 1 and plan.multiface is MultifacePolicy.BEST:
            best = int(np.argmax(faces.scores))
            faces, rects = faces.take([best]), [rects[best]]
        findings = [FaceFinding(rect=rect, score=float(score)) for rect, score in zip(rects, faces.scores, strict=True)]
        if findings and plan.looks_at_faces:
            self._estimate(image, plan, looks, faces, findings)
        return findings

    def _detect(self, pixels: Pixels, boxes: Sequence[Box] | None, choose: Choice | None) -> Detections:
        """Detected faces whose box touches the image."""
        detector = self._networks.detector
        if boxes is None:
            faces = detector.detect(pixels, choose)
        else:
            faces = no_detections().joined(*[detector.detect_in_box(pixels, box.corners, choose) for box in boxes])
        height, width = pixels.shape[:2]
        low, high = faces.boxes[:, :2], faces.boxes[:, 2:]
        return faces.take(np.flatnonzero(((low < [width - 1, height - 1]) & (high > 1)).all(axis=1)))

    def _estimate(self, image: Image, plan: Plan, looks: Looks, faces: Detections, findings: list[FaceFinding]) -> None:
        landmarks = looks.landmarks(image.pixels, faces)
        for face, finding in zip(landmarks, findings, strict=True):
            if plan.landmarks5:
                finding.landmarks5 = face.points5
            if plan.landmarks68:
                finding.landmarks68 = face.points68
            if plan.warp:
                finding.warp = cut_warp(image.pixels, face.points5)
        if plan.descriptor:
            vectors = looks.vectors(image.pixels, faces)
            for face, finding, (vector, length) in zip(landmarks, findings, vectors, strict=True):
                finding.descriptor = self._descriptor(image.pixels, face, vector, length)
        self._estimators.estimate(image, FaceViews(image.pixels, landmarks, self._estimators), plan, findings)

    def _of_warp(self, image: Image, plan: Plan) -> FaceFinding:
        pixels = image.pixels
        if pixels.shape[:2] != (WARP_SIDE, WARP_SIDE):
            raise ImageError(11030, f"Image size is not equal to {WARP_SIDE}x{WARP_SIDE}")
        finding = FaceFinding(rect=Box(0, 0, WARP_SIDE, WARP_SIDE), score=1.0)
        if plan.warp:
            finding.warp = pixels
        if not plan.looks_at_faces:
            return finding
        networks = self._networks
        face = networks.landmarks.locate_in_warp(pixels)
        if plan.descriptor:
            aligned = align(pixels, face.points5, networks.template, networks.aligned_side)
            vectors, lengths = networks.descriptor.extract([aligned])
            finding.descriptor = self._descriptor(pixels, face, vectors[0], float(lengths[0]))
        views = FaceViews(pixels, [face], self._estimators, is_warp=True)
        self._estimators.estimate(image, views, plan, [finding])
        return finding

    def _descriptor(self, pixels: Pixels, face: Landmarks, vector: NDArray[np.float32], length: float) -> Descriptor:
        return Descriptor(vector, self.descriptor_version, self._networks.score.estimate(length, pixels, face))


def _trust_face(face: FaceFinding, body: BodyFinding) -> None:
    """Age and gender are told from the face where there is one: by the body they are hardly told on new cameras."""
    if face.basic_attributes is not None and body.attributes is not None:
        age, male, _ = face.basic_attributes
        body.attributes = replace(body.attributes, age=round(age), gender="male" if male >= 0.5 else "female")


def _persons(
    faces: Sequence[FaceFinding], bodies: Points, plan: Plan
) -> tuple[list[tuple[int | None, int | None]], list[int]]:
    """Persons, and the indices of the bodies that belong to them; the persons name these by their new places."""
    boxes = np.array([face.rect.corners for face in faces]).reshape(-1, 4)
    linked = associate(boxes, bodies).tolist()
    if plan.multiface is MultifacePolicy.ALLOWED:
        kept = list(range(len(bodies)))
    else:
        kept = [index for index in linked if index >= 0]
    place = {index: number for number, index in enumerate(kept)}
    persons: list[tuple[int | None, int | None]] = [(face, place.get(body)) for face, body in enumerate(linked)]
    persons += [(None, place[index]) for index in kept if index not in linked]
    return persons, kept
