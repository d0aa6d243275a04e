"""Query parameters of the five front ends."""

from typing import Annotated, Literal

from msgspec import Meta

from lunaria.http.query import Flag, Query

Policy = Annotated[
    Literal[0, 1, 2],
    Meta(description="Several faces in an image: 0 - refuse the image, 1 - take all, 2 - take the best."),
]
Angle = Annotated[
    int, Meta(ge=0, le=180, description="A face turned by this many degrees or more is filtered; 180: none is.")
]
Score = Annotated[float, Meta(ge=0, le=1, description="Descriptors with a lower score are dropped.")]
UseExif = Annotated[Flag, Meta(description="Whether to turn the image upright by its EXIF data.")]
ExtractExif = Annotated[Flag, Meta(description="Whether to return the EXIF tags of JPEG images.")]
CODES_LIMIT = 30
"""Most items of a list of codes: more than there are, whatever is named twice."""
MaskStates = Annotated[
    list[Literal[1, 2, 3]],
    Meta(
        min_length=1,
        max_length=CODES_LIMIT,
        description="Wanted mask states: 1 - missing, 2 - medical mask, 3 - occluded.",
    ),
]
LivenessStates = Annotated[
    list[Literal[0, 1, 2]],
    Meta(min_length=1, max_length=CODES_LIMIT, description="Wanted liveness: 0 - spoof, 1 - real, 2 - unknown."),
]
DeepfakeStates = Annotated[
    list[Literal[0, 1]],
    Meta(min_length=1, max_length=CODES_LIMIT, description="Wanted deepfake states: 0 - fake, 1 - real."),
]


class SdkQuery(Query, frozen=True, kw_only=True):
    """What to find and estimate; nothing of it is stored."""

    image_type: Annotated[
        Literal[0, 1, 2], Meta(description="0 - raw image, 1 - face warp (250x250), 2 - body warp (128x256).")
    ] = 0
    estimate_people_count: Flag = 0
    multiface_policy: Policy = 1
    detect_face: Flag = 0
    detect_body: Flag = 0
    estimate_head_pose: Flag = 0
    estimate_emotions: Flag = 0
    estimate_mask: Flag = 0
    estimate_glasses: Flag = 0
    estimate_liveness: Flag = 0
    estimate_deepfake: Flag = 0
    estimate_landmarks68: Flag = 0
    estimate_landmarks5: Flag = 0
    estimate_quality: Flag = 0
    estimate_gaze: Flag = 0
    estimate_eyes_attributes: Flag = 0
    estimate_mouth_attributes: Flag = 0
    estimate_face_descriptor: Flag = 1
    estimate_basic_attributes: Flag = 0
    estimate_body_descriptor: Annotated[Flag, Meta(description="Matters only where bodies are detected.")] = 1
    estimate_upper_body: Flag = 0
    estimate_lower_body: Flag = 0
    estimate_accessories: Flag = 0
    estimate_body_basic_attributes: Flag = 0
    estimate_body_warp: Flag = 0
    estimate_face_warp: Flag = 0
    aggregate_attributes: Annotated[
        Flag, Meta(description="Whether to merge the estimates of all images, which must show one person.")
    ] = 0
    pitch_threshold: Angle = 180
    roll_threshold: Angle = 180
    yaw_threshold: Angle = 180
    score_threshold: Score = 0.0
    mask_states: MaskStates | None = None
    liveness_states: LivenessStates | None = None
    deepfake_states: DeepfakeStates | None = None
    use_exif_info: UseExif = 1
    extract_exif: ExtractExif = 0


class IsoQuery(Query, frozen=True, kw_only=True):
    """What the checks look at."""

    image_type: Annotated[Literal[0, 1], Meta(description="0 - raw image, 1 - face warp (250x250).")] = 0
    multiface_policy: Policy = 0
    extract_exif: ExtractExif = 0


class DetectorQuery(Query, frozen=True, kw_only=True):
    """What to estimate of the faces that are found and stored as samples."""

    multiface_policy: Policy = 1
    estimate_head_pose: Flag = 0
    estimate_emotions: Flag = 0
    estimate_mask: Flag = 0
    detect_landmarks68: Flag = 0
    extract_exif: ExtractExif = 0
    estimate_quality: Flag = 0
    estimate_gaze: Flag = 0
    estimate_eyes_attributes: Flag = 0
    estimate_mouth_attributes: Flag = 0
    pitch_threshold: Angle = 180
    roll_threshold: Angle = 180
    yaw_threshold: Angle = 180
    warped_image: Annotated[Flag, Meta(description="Whether the images are face warps (250x250) already.")] = 0
    use_exif_info: UseExif = 1
    estimate_face_quality: Flag = 0


class LivenessQuery(Query, frozen=True, kw_only=True):
    """How to answer."""

    aggregate: Annotated[Flag, Meta(description="Whether to merge the estimates of all images.")] = 0


class ExtractorQuery(Query, frozen=True, kw_only=True):
    """What to extract from samples, and for how long to keep it."""

    score_threshold: Score = 0.0
    extract_descriptor: Flag = 1
    extract_basic_attributes: Flag = 0
    aggregate_attributes: Annotated[Flag, Meta(description="Whether to make one attribute of all samples.")] = 0
    ttl: Annotated[int, Meta(ge=1, le=86400, description="Seconds for which the attributes are kept.")] = 300
