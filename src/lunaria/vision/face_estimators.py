"""All estimates of faces: which estimators a plan needs, each run once over all faces of an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from lunaria.kit.once import Once
from lunaria.vision.checks import BY_NAME, Need, Value, needs
from lunaria.vision.estimators.age_head import AgeHead
from lunaria.vision.estimators.basic_attributes import (
    BasicAttributeEstimator,
    Ethnicities,
    GearEthnicities,
    HeadEthnicities,
)
from lunaria.vision.estimators.blendshapes import BlendshapeNetwork
from lunaria.vision.estimators.deepfake import DeepfakeEstimator
from lunaria.vision.estimators.emotions import EmotionNetwork, OpenEmotionNetwork
from lunaria.vision.estimators.eyebrows import EyebrowsEstimator
from lunaria.vision.estimators.eyes import Eyes, EyesEstimator
from lunaria.vision.estimators.features import FaceFeatureNetwork, LinearHead
from lunaria.vision.estimators.gaze import Gaze, GazeEstimator
from lunaria.vision.estimators.glasses import Glasses, GlassesEstimator
from lunaria.vision.estimators.headwear import HeadwearEstimator
from lunaria.vision.estimators.liveness import LivenessEstimator
from lunaria.vision.estimators.mask import MaskEstimate, MaskEstimator
from lunaria.vision.estimators.mouth import Mouth, MouthEstimator
from lunaria.vision.estimators.portrait import PortraitEstimator
from lunaria.vision.estimators.portrait_geometry import face_values, image_values
from lunaria.vision.estimators.portrait_segmentation import PortraitSegmentation
from lunaria.vision.estimators.quality import Quality, QualityEstimator
from lunaria.vision.estimators.red_eyes import RedEyesEstimator
from lunaria.vision.estimators.shoulders import ShouldersEstimator
from lunaria.vision.estimators.upper_face import UpperFaceNetwork
from lunaria.vision.findings import FaceFinding
from lunaria.vision.head_pose import HeadPoseEstimator, MeshNetwork
from lunaria.vision.images import Image
from lunaria.vision.keypoints import KeypointNetwork
from lunaria.vision.networks import NetworkLoader
from lunaria.vision.plan import Plan
from lunaria.vision.views import FaceViews


class FaceEstimators:
    """Loads its networks at their first use. Thread-safe. Raises as NetworkLoader does.

    What several estimates need is at hand as lunaria.vision.views.Shared.
    """

    def __init__(self, load: NetworkLoader) -> None:
        self._load = load
        canonical = load.array("canonical_face_mesh")
        self.pose = HeadPoseEstimator(canonical)
        self._mesh = Once(lambda: MeshNetwork(load.portable_session("face_mesh")))
        self._features = Once(
            lambda: FaceFeatureNetwork(load.session("face_features"), load.preprocessing("face_features"))
        )
        self._blendshapes = Once(lambda: BlendshapeNetwork(load.portable_session("face_blendshapes")))
        self._upper_face = Once(
            lambda: UpperFaceNetwork(load.session("body_features"), load.preprocessing("body_features"))
        )
        self.emotions: Once[EmotionNetwork | OpenEmotionNetwork] = Once(self._load_emotions)
        self.mask = Once(self._load_mask)
        self.mouth = Once(self._load_mouth)
        self.glasses = Once(lambda: GlassesEstimator(self._upper_face(), load.path("face_glasses")))
        self.headwear = Once(lambda: HeadwearEstimator(self._upper_face(), load.path("face_headwear")))
        self.basic_attributes = Once(self._load_basic_attributes)
        self.liveness = Once(
            lambda: LivenessEstimator(load.session("face_liveness_27"), load.session("face_liveness_40"))
        )
        self.deepfake = Once(lambda: DeepfakeEstimator(load.arrays("face_deepfake")))
        self.portrait = Once(
            lambda: PortraitEstimator(canonical, PortraitSegmentation(load.session("portrait_segmentation")))
        )
        self.shoulders = Once(lambda: ShouldersEstimator(KeypointNetwork(load.session("body_keypoints"))))

    @property
    def mesh(self) -> MeshNetwork:
        """Raises RuntimeUnavailableError where no backend reads it."""
        return self._mesh()

    @property
    def blendshapes(self) -> BlendshapeNetwork:
        """As mesh."""
        return self._blendshapes()

    @property
    def features(self) -> FaceFeatureNetwork:
        """The backbone of the heads."""
        return self._features()

    def load_all(self) -> None:
        """Load every network that may serve and can be read here."""
        by_role: dict[str, Once[Any]] = {
            "face_mesh": self._mesh,
            "face_features": self._features,
            "face_blendshapes": self._blendshapes,
            "body_features": self._upper_face,
            "face_glasses": self.glasses,
            "face_headwear": self.headwear,
            "face_liveness_27": self.liveness,
            "face_deepfake": self.deepfake,
            "portrait_segmentation": self.portrait,
            "body_keypoints": self.shoulders,
        }
        for role, once in by_role.items():
            if self._load.serves(role):
                once()
        self.emotions()
        self.mask()
        self.mouth()
        self.basic_attributes()

    def estimate(self, image: Image, views: FaceViews, plan: Plan, findings: Sequence[FaceFinding]) -> None:
        """Fill what the plan wants of each face into its finding; of a warp what a warp can tell.

        `views` and `findings` hold the same faces in the same order.
        """
        if len(views):
            _Work(self, image, views, plan, findings).do()

    @property
    def tells_glasses(self) -> bool:
        """Whether the estimator of glasses may serve."""
        return self._load.serves("face_glasses")

    @property
    def tells_headwear(self) -> bool:
        """Whether the estimator of headwear may serve."""
        return self._load.serves("face_headwear")

    def _load_emotions(self) -> EmotionNetwork | OpenEmotionNetwork:
        if self._load.serves("face_emotions"):
            head = LinearHead.load(self._load.path("face_emotions_head"))
            weight = float(self._load.store.spec("face_emotions_head").parameters["weight"])
            return EmotionNetwork(self._load.session("face_emotions"), head, weight)
        return OpenEmotionNetwork(self._load.session("face_emotions_open"))

    def _load_mask(self) -> MaskEstimator:
        role = "face_mask" if self._load.serves("face_mask") else "face_mask_open"
        return MaskEstimator(LinearHead.load(self._load.path(role)))

    def _load_mouth(self) -> MouthEstimator:
        role = "face_emotions_head"
        return MouthEstimator(LinearHead.load(self._load.path(role)) if self._load.serves(role) else None)

    def _load_basic_attributes(self) -> BasicAttributeEstimator:
        load = self._load
        ethnicities: Ethnicities
        if load.serves("face_ethnicity"):
            ethnicities = HeadEthnicities(LinearHead.load(load.path("face_ethnicity")))
        else:
            role = "face_ethnicity_open"
            ethnicities = GearEthnicities(load.session(role), load.preprocessing(role))
        return BasicAttributeEstimator(
            load.session("face_age"),
            load.preprocessing("face_age"),
            load.session("face_gender"),
            load.preprocessing("face_gender"),
            ethnicities,
            AgeHead(load.arrays("face_age_head")) if load.serves("face_age_head") else None,
        )


class _Work:
    """The estimates of the faces of one image. What several of them need is computed once, at first use."""

    def __init__(
        self,
        estimators: FaceEstimators,
        image: Image,
        views: FaceViews,
        plan: Plan,
        findings: Sequence[FaceFinding],
    ) -> None:
        self._by = estimators
        self._image = image
        self._views = views
        self._plan = plan
        self._findings = findings

    def do(self) -> None:
        """Fill the findings."""
        plan, raw = self._plan, not self._views.is_warp
        if plan.head_pose and raw:
            self._fill("head_pose", self._views.poses)
        if plan.emotions:
            self._fill("emotions", self._by.emotions().estimate(self._views))
        if plan.mask:
            self._fill("mask", self._mask)
        if plan.glasses:
            self._fill("glasses", self._glasses)
        if plan.liveness and raw:
            self._fill("liveness", self._by.liveness().estimate(self._views))
        if plan.deepfake and raw:
            self._fill("deepfake", self._by.deepfake().estimate(self._views))
        if plan.quality:
            self._fill("quality", self._quality)
        if plan.gaze and raw:
            self._fill("gaze", self._gaze)
        if plan.eyes:
            self._fill("eyes", self._eyes)
        if plan.mouth:
            self._fill("mouth", self._mouth)
        if plan.basic_attributes or plan.faces_tell_of_bodies:
            self._fill("basic_attributes", self._by.basic_attributes().estimate(self._views))
        if plan.checks:
            self._fill("measured", self._measured(needs([BY_NAME[name] for name in plan.checks])))

    def _fill(self, name: str, values: Sequence[object]) -> None:
        for finding, value in zip(self._findings, values, strict=True):
            setattr(finding, name, value)

    @cached_property
    def _mask(self) -> list[MaskEstimate]:
        return self._by.mask().estimate(self._views)

    @cached_property
    def _glasses(self) -> list[Glasses]:
        return self._by.glasses().estimate(self._views)

    @cached_property
    def _quality(self) -> list[Quality | None]:
        return QualityEstimator().estimate(self._views)

    @cached_property
    def _eyes(self) -> list[Eyes]:
        """Where nothing tells glasses, no eye counts as hidden by them."""
        dark = [one.sunglasses for one in self._glasses] if self._by.tells_glasses else [0.0] * len(self._views)
        return EyesEstimator().estimate(self._views, dark)

    @cached_property
    def _gaze(self) -> list[Gaze | None]:
        return GazeEstimator().estimate(self._views, self._eyes)

    @cached_property
    def _mouth(self) -> list[Mouth]:
        hidden = [1 - mask.states["missing"] for mask in self._mask]
        return self._by.mouth().estimate(self._views, hidden)

    def _measured(self, wanted: frozenset[Need]) -> list[dict[str, Value]]:
        """Of each face the values of portrait checks that can be had, by the names of the checks."""
        views, image = self._views, self._image
        height, width = image.pixels.shape[:2]
        portraits = self._by.portrait().estimate(views, segmentation="segmentation" in wanted, mesh="mesh" in wanted)
        rows: list[dict[str, Value | None]] = []
        for finding, landmarks, portrait in zip(self._findings, views.landmarks, portraits, strict=True):
            rows.append(
                {
                    **image_values(width, height, image.format, image.byte_size),
                    **face_values(finding.rect, landmarks, (width, height), portrait.head),
                    **portrait.values(),
                }
            )
        for need in sorted(wanted & self._further.keys()):
            for row, values in zip(rows, self._further[need](), strict=True):
                row.update(values)
        return [{name: value for name, value in row.items() if value is not None} for row in rows]

    @cached_property
    def _further(self) -> dict[Need, Callable[[], list[dict[str, Value | None]]]]:
        """For each need that another estimate meets: the values of the checks, of each face."""
        views = self._views
        found: dict[Need, Callable[[], list[dict[str, Value | None]]]] = {
            "quality": lambda: [
                {} if one is None else {f"{name}_quality": value for name, value in one._asdict().items()}
                for one in self._quality
            ],
            "head_pose": lambda: [
                {} if pose is None else {f"head_{name}": value for name, value in pose._asdict().items()}
                for pose in views.poses
            ],
            "gaze": lambda: [
                {} if gaze is None else {"gaze_yaw": gaze.yaw, "gaze_pitch": gaze.pitch} for gaze in self._gaze
            ],
            "mouth": lambda: [
                {
                    "mouth_smiling": mouth.smile,
                    "mouth_occluded": mouth.occluded,
                    "mouth_open": mouth.opened,
                    "smile_properties": max(mouth.smile_types, key=mouth.smile_types.__getitem__),
                }
                for mouth in self._mouth
            ],
            "eyes": lambda: [{"left_eye": eyes.left.state, "right_eye": eyes.right.state} for eyes in self._eyes],
            "red_eyes": lambda: [
                {"red_eyes": "red" if eyes.red else "non_red"}
                for eyes in RedEyesEstimator().estimate(views, self._eyes)
            ],
            "eyebrows": lambda: [{"eyebrows_state": brows.state} for brows in EyebrowsEstimator().estimate(views)],
            "shoulders": lambda: [{"shoulders_position": one.position} for one in self._by.shoulders().estimate(views)],
        }
        if self._by.tells_glasses:
            found["glasses"] = lambda: [{"glasses": one.predominant} for one in self._glasses]
        if self._by.tells_headwear:
            found["headwear"] = lambda: [
                {"headwear_type": one.predominant} for one in self._by.headwear().estimate(views)
            ]
        return found
