"""From policies to what the examination of images takes."""

from msgspec import UNSET, UnsetType

from lunaria.estimation.decisions import Decisions, WantedChecks
from lunaria.estimation.examination import Order, of_one_person
from lunaria.estimation.filters import OFF, AngleLimits, WantedStates
from lunaria.handlers.detect_policy import DetectPolicy, ExtractPolicy
from lunaria.vision.checks import chosen
from lunaria.vision.plan import ImageType, MultifacePolicy, Plan


def order_of(
    detect: DetectPolicy,
    extract: ExtractPolicy,
    *,
    image_type: ImageType = ImageType.RAW,
    use_exif_info: bool = True,
    aggregate: bool = False,
    face_warps: bool = True,
    body_warps: bool = True,
) -> Order:
    """What to do with every image. `face_warps`, `body_warps`: whether samples may be stored.

    Where images are to be merged and only bodies are looked for, it is the caller's to refuse one with several.
    """
    angles = AngleLimits(
        *(_limit(limit) for limit in (detect.pitch_threshold, detect.roll_threshold, detect.yaw_threshold))
    )
    states = WantedStates(
        mask=None if detect.mask_states is UNSET else detect.mask_states,
        liveness=None if detect.liveness_states is UNSET else detect.liveness_states,
        deepfake=None if detect.deepfake_states is UNSET else detect.deepfake_states,
    )
    multiface = MultifacePolicy(detect.multiface_policy)
    if aggregate:
        multiface = of_one_person(multiface, detect_faces=bool(detect.detect_face))
    checks = _checks(detect, image_type)
    bodies = detect.body_attributes
    return Order(
        plan=Plan(
            multiface=multiface,
            detect_faces=bool(detect.detect_face),
            detect_bodies=bool(detect.detect_body),
            people_count=bool(detect.estimate_people_count),
            landmarks68=bool(detect.detect_landmarks68),
            landmarks5=True,
            head_pose=bool(detect.estimate_head_pose) or angles.active,
            descriptor=bool(extract.extract_face_descriptor),
            warp=face_warps,
            emotions=bool(detect.estimate_emotions),
            mask=bool(detect.estimate_mask) or states.mask is not None,
            glasses=bool(detect.estimate_glasses),
            liveness=bool(detect.estimate_liveness.estimate) or states.liveness is not None,
            deepfake=bool(detect.estimate_deepfake.estimate) or states.deepfake is not None,
            quality=bool(detect.estimate_quality),
            gaze=bool(detect.estimate_gaze),
            eyes=bool(detect.estimate_eyes_attributes),
            mouth=bool(detect.estimate_mouth_attributes),
            basic_attributes=bool(extract.extract_basic_attributes),
            checks=frozenset() if checks is None else frozenset(checks.limits or ()),
            body_descriptor=bool(extract.extract_body_descriptor),
            body_basic_attributes=bool(bodies.estimate_basic_attributes),
            upper_body=bool(bodies.estimate_upper_body),
            lower_body=bool(bodies.estimate_lower_body),
            accessories=bool(bodies.estimate_accessories),
            body_warp=body_warps,
        ),
        image_type=image_type,
        show_head_pose=bool(detect.estimate_head_pose),
        angles=angles,
        states=states,
        checks=checks,
        decisions=decisions_of(detect),
        orient=use_exif_info,
        extract_exif=bool(detect.extract_exif),
    )


def decisions_of(detect: DetectPolicy) -> Decisions:
    """From which scores on a face counts as real."""
    return Decisions(
        detect.estimate_liveness.liveness_threshold,
        detect.estimate_liveness.quality_threshold,
        detect.estimate_deepfake.real_threshold,
    )


def _limit(limit: int | UnsetType) -> int:
    return OFF if limit is UNSET else limit


def _checks(detect: DetectPolicy, image_type: ImageType) -> WantedChecks | None:
    quality = detect.face_quality
    if not quality.estimate or image_type is ImageType.BODY_WARP:
        return None
    made = {check.name for check in chosen(is_warp=image_type is not ImageType.RAW)}
    limits = {name: limit for name, limit in quality.checks.limits.items() if name in made}
    return WantedChecks("face_quality", limits, bool(quality.filter))
