"""The shapes of estimates on the wire: one place for all front ends.

A key that was not asked for is absent. Bytes are base64 in JSON and raw in MessagePack.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Probability = Annotated[float, Meta(ge=0, le=1)]
Degrees = Annotated[float, Meta(ge=-180, le=180)]
Pixel = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Length = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Point = tuple[Pixel, Pixel]
Age = Annotated[int, Meta(ge=0, le=100)]
Word = Annotated[str, Meta(max_length=100)]
Emotion = Literal["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
MaskState = Literal["medical_mask", "missing", "occluded"]
Occlusion = Literal["chin", "mouth", "clear", "correct", "partially", "full"]
Ethnicity = Literal["asian", "indian", "caucasian", "african_american"]
ETHNICITY_NUMBERS: Mapping[Ethnicity, int] = MappingProxyType(
    {"african_american": 1, "indian": 2, "asian": 3, "caucasian": 4}
)
"""As attributes and events keep them."""
EMOTION_NUMBERS: Mapping[Emotion, int] = MappingProxyType(
    {"anger": 1, "disgust": 2, "fear": 3, "happiness": 4, "neutral": 5, "sadness": 6, "surprise": 7}
)
MASK_NUMBERS: Mapping[MaskState, int] = MappingProxyType({"missing": 1, "medical_mask": 2, "occluded": 3})
LIVENESS_NUMBERS: Mapping[str, int] = MappingProxyType({"spoof": 0, "real": 1, "unknown": 2})
DEEPFAKE_NUMBERS: Mapping[str, int] = MappingProxyType({"fake": 0, "real": 1})
"""As events keep them, and filters name them."""
EyeState = Literal["open", "closed", "occluded"]
Presence = Annotated[Literal[0, 1, 2], Meta(description="0 - absent, 1 - present, 2 - undefined")]
ClothingColor = Literal["undefined", "black", "blue", "green", "gray", "orange", "purple", "red", "white", "yellow",
                        "pink", "brown", "beige", "khaki", "multicolored"]  # fmt: skip
AccessoryColor = Annotated[Literal["undefined", "black", "white", "other"], Meta(description="Of headwear and shoes.")]
Colors = Annotated[list[ClothingColor], Meta(max_length=15)]
Threshold = dict[Word, float] | list[Word] | float | Word


class Rect(Struct, frozen=True, forbid_unknown_fields=True):
    """A rectangle in whole pixels of the (upright) image."""

    x: Pixel
    y: Pixel
    width: Length
    height: Length


class HeadPose(Struct, frozen=True, forbid_unknown_fields=True):
    """Angles of the head in degrees."""

    pitch: Degrees
    roll: Degrees
    yaw: Degrees


class Emotions(Struct, frozen=True, forbid_unknown_fields=True):
    predominant_emotion: Emotion
    estimations: dict[Emotion, Probability]


class FaceOcclusion(Struct, frozen=True, forbid_unknown_fields=True):
    predominant_occlusion: Occlusion
    estimations: dict[Occlusion, Probability]


class Mask(Struct, frozen=True, forbid_unknown_fields=True):
    predominant_mask: MaskState
    estimations: dict[MaskState, Probability]
    face_occlusion: (
        Annotated[FaceOcclusion, Meta(description="Absent in events that were saved without it.")] | UnsetType
    ) = UNSET


class Glasses(Struct, frozen=True, forbid_unknown_fields=True):
    glasses: Literal["no_glasses", "eyeglasses", "sunglasses"]


class LivenessScores(Struct, frozen=True, forbid_unknown_fields=True):
    quality: Probability
    score: Probability


class Liveness(Struct, frozen=True, forbid_unknown_fields=True):
    prediction: Literal["real", "spoof", "unknown"]
    estimations: LivenessScores


class Deepfake(Struct, frozen=True, forbid_unknown_fields=True):
    """A higher score is more real."""

    prediction: Literal["real", "fake"]
    score: Probability


class Gaze(Struct, frozen=True, forbid_unknown_fields=True):
    """Degrees relative to the head; null when they cannot be computed."""

    yaw: Degrees | None
    pitch: Degrees | None


class Eye(Struct, frozen=True, forbid_unknown_fields=True):
    state: EyeState
    iris_landmarks: Annotated[list[Point], Meta(max_length=100)]


class EyesAttributes(Struct, frozen=True, forbid_unknown_fields=True):
    """Left is the eye on the left side of the picture."""

    left_eye: Eye
    right_eye: Eye


class MouthAttributes(Struct, frozen=True, forbid_unknown_fields=True):
    """`score` is the older name of `opened`."""

    opened: Probability
    occluded: Probability
    smile: Probability
    score: Probability


class Ethnicities(Struct, frozen=True, forbid_unknown_fields=True):
    predominant_ethnicity: Ethnicity
    estimations: dict[Ethnicity, Probability]


class BasicAttributes(Struct, frozen=True, forbid_unknown_fields=True):
    """Age in years; gender 0 - female, 1 - male."""

    age: Age
    gender: Literal[0, 1]
    ethnicities: Ethnicities | UnsetType = UNSET


class DescriptorEstimate(Struct, frozen=True, forbid_unknown_fields=True):
    """A descriptor with its header, and how usable the face is for recognition (0..1)."""

    sdk_descriptor: bytes
    score: Probability
    version: int


class Quality(Struct, frozen=True, forbid_unknown_fields=True):
    """0 bad .. 1 good."""

    blurriness: Probability
    dark: Probability
    illumination: Probability
    specularity: Probability
    light: Probability


class Check(Struct, frozen=True, forbid_unknown_fields=True):
    """One check of a face image: the value found, what is allowed, and whether it passed."""

    name: Word
    object_value: float | Word
    threshold_value: Threshold
    result: Literal[0, 1]


class Checks(Struct, frozen=True, forbid_unknown_fields=True):
    """`status` is 1 when every check passed."""

    status: Literal[0, 1]
    checks: Annotated[list[Check], Meta(max_length=100)]


class FaceAttributes(Struct, frozen=True, forbid_unknown_fields=True):
    """Estimates of one face."""

    head_pose: Annotated[HeadPose | None, Meta(description="Null when too little of the face is seen.")] | UnsetType = (
        UNSET
    )
    emotions: Emotions | UnsetType = UNSET
    mask: Mask | UnsetType = UNSET
    glasses: Glasses | UnsetType = UNSET
    liveness: Liveness | UnsetType = UNSET
    deepfake: Deepfake | UnsetType = UNSET
    gaze: Gaze | UnsetType = UNSET
    eyes_attributes: EyesAttributes | UnsetType = UNSET
    mouth_attributes: MouthAttributes | UnsetType = UNSET
    basic_attributes: BasicAttributes | UnsetType = UNSET
    descriptor: DescriptorEstimate | UnsetType = UNSET


class FaceDetection(Struct, frozen=True, forbid_unknown_fields=True):
    """A face in an image. Landmarks are pixels of the (upright) image."""

    rect: Rect
    landmarks5: Annotated[list[Point], Meta(min_length=5, max_length=5)] | UnsetType = UNSET
    landmarks68: Annotated[list[Point], Meta(min_length=68, max_length=68)] | UnsetType = UNSET
    quality: Quality | UnsetType = UNSET
    warp: Annotated[bytes, Meta(description="The 250x250 warp as JPEG.")] | UnsetType = UNSET
    attributes: FaceAttributes = FaceAttributes()
    iso: Checks | UnsetType = UNSET
    face_quality: Checks | UnsetType = UNSET


class BodyBasicAttributes(Struct, frozen=True, forbid_unknown_fields=True):
    """Gender 0 - female, 1 - male, 2 - undefined."""

    apparent_age: Age
    apparent_gender: Literal[0, 1, 2]


class Headwear(Struct, frozen=True, forbid_unknown_fields=True):
    state: Presence
    apparent_color: AccessoryColor


class Sleeve(Struct, frozen=True, forbid_unknown_fields=True):
    length: Literal["short", "long", "undefined"]


class Clothing(Struct, frozen=True, forbid_unknown_fields=True):
    colors: Colors


class UpperBody(Struct, frozen=True, forbid_unknown_fields=True):
    headwear: Headwear
    sleeve: Sleeve
    upper_clothing: Clothing


class LowerGarment(Struct, frozen=True, forbid_unknown_fields=True):
    type: Literal["trousers", "shorts", "skirt", "undefined"]
    colors: Colors


class Shoes(Struct, frozen=True, forbid_unknown_fields=True):
    apparent_color: AccessoryColor


class LowerBody(Struct, frozen=True, forbid_unknown_fields=True):
    lower_garment: LowerGarment
    shoes: Shoes


class Backpack(Struct, frozen=True, forbid_unknown_fields=True):
    state: Presence


class Accessories(Struct, frozen=True, forbid_unknown_fields=True):
    backpack: Backpack


class BodyAttributes(Struct, frozen=True, forbid_unknown_fields=True):
    """Estimates of one body."""

    basic_attributes: BodyBasicAttributes | UnsetType = UNSET
    upper_body: UpperBody | UnsetType = UNSET
    lower_body: LowerBody | UnsetType = UNSET
    accessories: Accessories | UnsetType = UNSET
    descriptor: DescriptorEstimate | UnsetType = UNSET


class BodyDetection(Struct, frozen=True, forbid_unknown_fields=True):
    """A body in an image."""

    rect: Rect
    warp: Annotated[bytes, Meta(description="The 128x256 warp as JPEG.")] | UnsetType = UNSET
    attributes: BodyAttributes = BodyAttributes()


class FilterReason(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a detection was left out: the query parameter, the value found (null: it cannot be told), the limit."""

    filter_name: Word
    object_value: float | Word | None
    threshold_value: float | list[Word]
