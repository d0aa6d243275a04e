"""Bodies: where they are, their warps, descriptors and attributes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lunaria.kit.once import Once
from lunaria.vision.bodies import BodyDetector
from lunaria.vision.body_descriptor import BodyDescriptorNetwork
from lunaria.vision.body_networks import BodyDetections, BodyNetwork, CenterNet, NanoDet, no_bodies
from lunaria.vision.descriptors import Descriptor
from lunaria.vision.estimators.body_attributes import BodyAttributesEstimator, BodyAttributesHead
from lunaria.vision.estimators.body_views import BodyFeatureNetwork, BodyViews
from lunaria.vision.estimators.clothing_colors import ColorTable
from lunaria.vision.findings import BodyFinding
from lunaria.vision.geometry import Pixels
from lunaria.vision.images import ImageError
from lunaria.vision.networks import NetworkLoader
from lunaria.vision.plan import Box, Plan
from lunaria.vision.warps import BODY_WARP_SIZE, cut_body_warp


class BodyAnalyzer:
    """Loads its networks at their first use. Thread-safe. Raises as NetworkLoader does."""

    def __init__(self, load: NetworkLoader) -> None:
        self._load = load
        self.networks: Once[list[BodyNetwork]] = Once(
            lambda: [NanoDet(load.session("body_detector_nanodet")), CenterNet(load.session("body_detector_centernet"))]
        )
        self._detector = Once(lambda: BodyDetector(self.networks()))
        self._features = Once(
            lambda: BodyFeatureNetwork(load.session("body_pedestrians"), load.preprocessing("body_pedestrians"))
        )
        self._descriptor = Once(lambda: BodyDescriptorNetwork.read(load.path("body_descriptor")))
        self._attributes = Once(
            lambda: BodyAttributesEstimator(
                BodyAttributesHead.read(load.path("body_attributes")), ColorTable.read(load.path("clothing_colors"))
            )
        )

    @property
    def descriptor_dimensions(self) -> dict[int, int]:
        """Components of body descriptors by version; empty where none may be made."""
        if not self._load.serves("body_descriptor"):
            return {}
        spec = self._load.store.descriptor_spec("body_descriptor")
        return {spec.version: spec.dimension}

    def load_all(self) -> None:
        """Load every network that may serve."""
        self._detector()
        if self._load.serves("body_pedestrians"):
            self._features()
        if self._load.serves("body_descriptor"):
            self._descriptor()
        if self._load.serves("body_attributes"):
            self._attributes()

    def look(self, pixels: Pixels) -> list[BodyDetections]:
        """What each network finds in an RGB image (H, W, 3): detection and count need it both."""
        return self._detector().look(pixels)

    def detect(
        self, pixels: Pixels, boxes: Sequence[Box] | None, seen: Sequence[BodyDetections] | None
    ) -> BodyDetections:
        """All bodies of an RGB image (H, W, 3), or those that given boxes are meant to hold. `seen`: from `look`."""
        detector = self._detector()
        if boxes is None:
            return detector.detect(pixels, seen)
        return no_bodies().joined(*[detector.detect_in_box(pixels, box.corners) for box in boxes])

    def estimate(self, pixels: Pixels, found: BodyDetections, plan: Plan) -> list[BodyFinding]:
        """What the plan wants of each detected body."""
        rects = [Box.clipped(box, pixels) for box in found.boxes]
        findings = [BodyFinding(rect, float(score)) for rect, score in zip(rects, found.scores, strict=True)]
        if findings and (plan.body_warp or plan.body_descriptor or plan.body_attributes):
            warps = [cut_body_warp(pixels, rect.corners) for rect in rects]
            self._look(warps, plan, findings)
        return findings

    def of_warp(self, warp: Pixels, plan: Plan) -> BodyFinding:
        """What the plan wants of a body warp. Raises ImageError 11030 when it is not 128 wide and 256 high."""
        width, height = BODY_WARP_SIZE
        if warp.shape[:2] != (height, width):
            raise ImageError(11030, f"Image size is not equal to {width}x{height}")
        finding = BodyFinding(Box(0, 0, width, height), 1.0)
        self._look([warp], plan, [finding])
        return finding

    def _look(self, warps: list[Pixels], plan: Plan, findings: list[BodyFinding]) -> None:
        if plan.body_warp:
            for warp, finding in zip(warps, findings, strict=True):
                finding.warp = warp
        if not plan.body_descriptor and not plan.body_attributes:
            return
        views = BodyViews(warps, self._features())
        if plan.body_descriptor:
            vectors, scores = self._descriptor().extract(views)
            version = next(iter(self.descriptor_dimensions))
            for vector, score, finding in zip(vectors, scores.tolist(), findings, strict=True):
                finding.descriptor = Descriptor(np.asarray(vector, np.float32), version, score)
        if plan.body_attributes:
            for attributes, finding in zip(self._attributes().estimate(views), findings, strict=True):
                finding.attributes = attributes
