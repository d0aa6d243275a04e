"""What a handler finds, estimates and extracts, and which detections it leaves out."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from lunaria.estimation.queries import Angle, DeepfakeStates, ExtractExif, LivenessStates, MaskStates, Policy, Score
from lunaria.handlers.face_quality import FaceQualityChecks
from lunaria.http.query import Flag

Fraction = Annotated[float, Meta(ge=0, le=1)]


class LivenessPolicy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whether a live person is seen: real from the threshold on, unknown where the quality is too low."""

    estimate: Flag = 0
    liveness_threshold: Annotated[Fraction, Meta(description="Score from which on a face is real.")] = 0.5
    quality_threshold: Annotated[Fraction, Meta(description="Quality below which liveness is unknown.")] = 0.5


class DeepfakePolicy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whether the face was made by a machine: real from the threshold on."""

    estimate: Flag = 0
    real_threshold: Annotated[Fraction, Meta(description="Score from which on a face is real.")] = 0.5
    mode: Annotated[Literal[1, 2], Meta(description="Kept and shown; this server has one way to tell.")] = 2


class BodyAttributesPolicy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is estimated of bodies."""

    estimate_upper_body: Flag = 0
    estimate_lower_body: Flag = 0
    estimate_basic_attributes: Flag = 0
    estimate_accessories: Flag = 0


class FaceQuality(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whether the picture would do as a portrait."""

    estimate: Flag = 0
    filter: Annotated[Flag, Meta(description="Whether faces are left out that fail a check.")] = 0
    checks: FaceQualityChecks = FaceQualityChecks()


class FaceDetectPolicy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is estimated of faces, and which are left out; a filter of states or angles is estimated for, too."""

    multiface_policy: Policy = 1
    estimate_head_pose: Flag = 0
    estimate_emotions: Flag = 0
    estimate_mask: Flag = 0
    estimate_glasses: Flag = 0
    estimate_quality: Flag = 0
    estimate_gaze: Flag = 0
    estimate_eyes_attributes: Flag = 0
    estimate_mouth_attributes: Flag = 0
    detect_landmarks68: Flag = 0
    extract_exif: ExtractExif = 0
    estimate_liveness: LivenessPolicy = LivenessPolicy()
    estimate_deepfake: DeepfakePolicy = DeepfakePolicy()
    face_quality: FaceQuality = FaceQuality()
    pitch_threshold: Angle | UnsetType = UNSET
    roll_threshold: Angle | UnsetType = UNSET
    yaw_threshold: Angle | UnsetType = UNSET
    mask_states: MaskStates | UnsetType = UNSET
    liveness_states: LivenessStates | UnsetType = UNSET
    deepfake_states: DeepfakeStates | UnsetType = UNSET


class DetectPolicy(FaceDetectPolicy, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is found and estimated in images, and which faces are left out."""

    detect_face: Flag = 1
    detect_body: Flag = 0
    estimate_people_count: Flag = 0
    body_attributes: BodyAttributesPolicy = BodyAttributesPolicy()


class FaceExtractPolicy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is extracted of faces beside the descriptor."""

    extract_basic_attributes: Flag = 0
    fd_score_threshold: Score = 0.0


class ExtractPolicy(FaceExtractPolicy, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is extracted of the faces and bodies that were found."""

    extract_face_descriptor: Flag = 1
    extract_body_descriptor: Flag = 0
