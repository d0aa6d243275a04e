"""From findings to the wire: one place for all front ends."""

from collections.abc import Sequence
from typing import Any, cast

from msgspec import UNSET

from lunaria.estimation.aggregation import strongest
from lunaria.estimation.decisions import Decisions, WantedChecks
from lunaria.estimation.estimates import (
    Accessories,
    Backpack,
    BasicAttributes,
    BodyAttributes,
    BodyBasicAttributes,
    BodyDetection,
    Check,
    Checks,
    Clothing,
    ClothingColor,
    Deepfake,
    Emotions,
    Ethnicities,
    Eye,
    EyesAttributes,
    FaceAttributes,
    FaceDetection,
    FaceOcclusion,
    Gaze,
    Glasses,
    HeadPose,
    Headwear,
    Liveness,
    LivenessScores,
    LowerBody,
    LowerGarment,
    Mask,
    MouthAttributes,
    Point,
    Quality,
    Rect,
    Shoes,
    Sleeve,
    Threshold,
    UpperBody,
)
from lunaria.vision import checks
from lunaria.vision.estimators import body_attributes as bodies
from lunaria.vision.estimators import eyes
from lunaria.vision.estimators.basic_attributes import BasicAttributes as FoundBasicAttributes
from lunaria.vision.estimators.gaze import Gaze as FoundGaze
from lunaria.vision.estimators.mask import MaskEstimate
from lunaria.vision.findings import BodyFinding, FaceFinding
from lunaria.vision.geometry import Points
from lunaria.vision.plan import Plan

_STATES = {"absent": 0, "present": 1, "undefined": 2}
_GENDERS = {"female": 0, "male": 1, "undefined": 2}


def face_detection(
    finding: FaceFinding, decisions: Decisions, plan: Plan, *, show_head_pose: bool, show_gaze: bool
) -> FaceDetection:
    """A face without warp and descriptor. The pose of the head and the gaze are null where they cannot be told."""
    basic = finding.basic_attributes if plan.basic_attributes else None
    pose = finding.head_pose
    quality = finding.quality
    return FaceDetection(
        rect=Rect(*finding.rect),
        landmarks5=UNSET if finding.landmarks5 is None else whole(finding.landmarks5),
        landmarks68=UNSET if finding.landmarks68 is None else whole(finding.landmarks68),
        quality=UNSET if quality is None else Quality(**quality._asdict()),
        attributes=FaceAttributes(
            head_pose=(None if pose is None else HeadPose(*pose)) if show_head_pose else UNSET,
            emotions=(
                UNSET if finding.emotions is None else Emotions(strongest(finding.emotions), dict(finding.emotions))
            ),
            mask=UNSET if finding.mask is None else _mask(finding.mask),
            glasses=UNSET if finding.glasses is None else Glasses(finding.glasses.predominant),
            liveness=(
                UNSET
                if finding.liveness is None
                else Liveness(
                    decisions.liveness(finding.liveness.score, finding.liveness.quality),
                    LivenessScores(finding.liveness.quality, finding.liveness.score),
                )
            ),
            deepfake=(
                UNSET if finding.deepfake is None else Deepfake(decisions.deepfake(finding.deepfake), finding.deepfake)
            ),
            gaze=_gaze(finding.gaze) if show_gaze else UNSET,
            eyes_attributes=(
                UNSET
                if finding.eyes is None
                else EyesAttributes(left_eye=_eye(finding.eyes.left), right_eye=_eye(finding.eyes.right))
            ),
            mouth_attributes=(
                UNSET
                if finding.mouth is None
                else MouthAttributes(
                    finding.mouth.opened, finding.mouth.occluded, finding.mouth.smile, finding.mouth.opened
                )
            ),
            basic_attributes=UNSET if basic is None else _basic_attributes(basic),
        ),
    )


def checks_of(finding: FaceFinding, wanted: WantedChecks, *, is_warp: bool) -> Checks:
    """The checks of a face; one that cannot be had of it is left out."""
    found = checks.evaluate(
        finding.measured, wanted.limits, off=wanted.off, iso=wanted.report == "iso", is_warp=is_warp
    )
    return Checks(
        1 if found.status else 0,
        [
            Check(check.name, check.object_value, _threshold(check.threshold_value), 1 if check.result else 0)
            for check in found.checks
        ],
    )


def body_detection(finding: BodyFinding, plan: Plan) -> BodyDetection:
    """A body without warp and descriptor, with those attributes that the plan wants."""
    attributes = BodyAttributes()
    found = finding.attributes
    if found is not None:
        attributes = BodyAttributes(
            basic_attributes=(
                BodyBasicAttributes(found.age, _number(_GENDERS, found.gender)) if plan.body_basic_attributes else UNSET
            ),
            upper_body=_upper_body(found) if plan.upper_body else UNSET,
            lower_body=_lower_body(found) if plan.lower_body else UNSET,
            accessories=Accessories(Backpack(_number(_STATES, found.backpack))) if plan.accessories else UNSET,
        )
    return BodyDetection(Rect(*finding.rect), attributes=attributes)


def whole(points: Points) -> list[Point]:
    """Points in whole pixels."""
    return [(x, y) for x, y in points.round().astype(int).tolist()]


def _mask(found: MaskEstimate) -> Mask:
    return Mask(
        found.predominant_state,
        dict(found.states),
        FaceOcclusion(found.predominant_occlusion, dict(found.occlusions)),
    )


def _gaze(found: FoundGaze | None) -> Gaze:
    return Gaze(None, None) if found is None else Gaze(found.yaw, found.pitch)


def _eye(found: eyes.Eye) -> Eye:
    return Eye(found.state, whole(found.iris))


def _basic_attributes(found: FoundBasicAttributes) -> BasicAttributes:
    ethnicities = found.ethnicities
    return BasicAttributes(
        round(found.age),
        1 if found.male >= 0.5 else 0,
        UNSET if ethnicities is None else Ethnicities(strongest(ethnicities), dict(ethnicities)),
    )


def _upper_body(found: bodies.BodyAttributes) -> UpperBody:
    return UpperBody(
        Headwear(_number(_STATES, found.headwear), found.headwear_color),
        Sleeve(found.sleeve),
        Clothing(_colors(found.upper_colors)),
    )


def _lower_body(found: bodies.BodyAttributes) -> LowerBody:
    return LowerBody(LowerGarment(found.lower_garment, _colors(found.lower_colors)), Shoes(found.shoes_color))


def _colors(found: Sequence[str]) -> list[ClothingColor]:
    """In the API's words, which spell grey the American way."""
    return cast(list[ClothingColor], ["gray" if word == "grey" else word for word in found])


def _number(numbers: dict[str, int], word: str) -> Any:
    """The number by which the API names a state."""
    return numbers[word]


def _threshold(limit: checks.Threshold) -> Threshold:
    if isinstance(limit, checks.Bounds):
        return {name: value for name, value in limit._asdict().items() if value is not None}
    return limit if isinstance(limit, int) else list(limit)
