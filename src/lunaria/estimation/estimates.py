"""The shapes of estimates on the wire: one place for all front ends.

A key that was not asked for is absent. Bytes are base64 in JSON and raw in MessagePack.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Probability = Annotated[float, Meta(ge=0, le=1)]
Degrees = Annotated[float, Meta(ge=-180, le=180)]
Point = tuple[int, int]
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
Threshold = dict[str, float] | list[str] | float | str


class Rect(Struct, frozen=True):
    """A rectangle in whole pixels of the (upright) image."""

    x: int
    y: int
    width: int
    height: int


class HeadPose(Struct, frozen=True):
    """Angles of the head in degrees."""

    pitch: Degrees
    roll: Degrees
    yaw: Degrees


class Emotions(Struct, frozen=True):
    predominant_emotion: Emotion
    estimations: dict[Emotion, Probability]


class FaceOcclusion(Struct, frozen=True):
    predominant_occlusion: Occlusion
    estimations: dict[Occlusion, Probability]


class Mask(Struct, frozen=True):
    predominant_mask: MaskState
    estimations: dict[MaskState, Probability]
    face_occlusion: FaceOcclusion


class Glasses(Struct, frozen=True):
    glasses: Literal["no_glasses", "eyeglasses", "sunglasses"]


class LivenessScores(Struct, frozen=True):
    quality: Probability
    score: Probability


class Liveness(Struct, frozen=True):
    prediction: Literal["real", "spoof", "unknown"]
    estimations: LivenessScores


class Deepfake(Struct, frozen=True):
    """A higher score is more real."""

    prediction: Literal["real", "fake"]
    score: Probability


class Gaze(Struct, frozen=True):
    """Degrees relative to the head; null when they cannot be computed."""

    yaw: Degrees | None
    pitch: Degrees | None


class Eye(Struct, frozen=True):
    state: EyeState
    iris_landmarks: list[Point]


class EyesAttributes(Struct, frozen=True):
    """Left is the eye on the left side of the picture."""

    left_eye: Eye
    right_eye: Eye


class MouthAttributes(Struct, frozen=True):
    """`score` is the older name of `opened`."""

    opened: Probability
    occluded: Probability
    smile: Probability
    score: Probability


class Ethnicities(Struct, frozen=True):
    predominant_ethnicity: Ethnicity
    estimations: dict[Ethnicity, Probability]


class BasicAttributes(Struct, frozen=True):
    """Age in years; gender 0 - female, 1 - male."""

    age: Annotated[int, Meta(ge=0, le=100)]
    gender: Literal[0, 1]
    ethnicities: Ethnicities | UnsetType = UNSET


class DescriptorEstimate(Struct, frozen=True):
    """A descriptor with its header, and how usable the face is for recognition (0..1)."""

    sdk_descriptor: bytes
    score: Probability
    version: int


class Quality(Struct, frozen=True):
    """0 bad .. 1 good."""

    blurriness: Probability
    dark: Probability
    illumination: Probability
    specularity: Probability
    light: Probability


class Check(Struct, frozen=True):
    """One check of a face image: the value found, what is allowed, and whether it passed."""

    name: str
    object_value: float | str
    threshold_value: Threshold
    result: Literal[0, 1]


class Checks(Struct, frozen=True):
    """`status` is 1 when every check passed."""

    status: Literal[0, 1]
    checks: list[Check]


class FaceAttributes(Struct, frozen=True):
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


class FaceDetection(Struct, frozen=True):
    """A face in an image. Landmarks are pixels of the (upright) image."""

    rect: Rect
    landmarks5: list[Point] | UnsetType = UNSET
    landmarks68: list[Point] | UnsetType = UNSET
    quality: Quality | UnsetType = UNSET
    warp: Annotated[bytes, Meta(description="The 250x250 warp as JPEG.")] | UnsetType = UNSET
    attributes: FaceAttributes = FaceAttributes()
    iso: Checks | UnsetType = UNSET
    face_quality: Checks | UnsetType = UNSET


class BodyBasicAttributes(Struct, frozen=True):
    """Gender 0 - female, 1 - male, 2 - undefined."""

    apparent_age: int
    apparent_gender: Literal[0, 1, 2]


class Headwear(Struct, frozen=True):
    state: Presence
    apparent_color: str


class Sleeve(Struct, frozen=True):
    length: Literal["short", "long", "undefined"]


class Clothing(Struct, frozen=True):
    colors: list[str]


class UpperBody(Struct, frozen=True):
    headwear: Headwear
    sleeve: Sleeve
    upper_clothing: Clothing


class LowerGarment(Struct, frozen=True):
    type: Literal["trousers", "shorts", "skirt", "undefined"]
    colors: list[str]


class Shoes(Struct, frozen=True):
    apparent_color: str


class LowerBody(Struct, frozen=True):
    lower_garment: LowerGarment
    shoes: Shoes


class Backpack(Struct, frozen=True):
    state: Presence


class Accessories(Struct, frozen=True):
    backpack: Backpack


class BodyAttributes(Struct, frozen=True):
    """Estimates of one body."""

    basic_attributes: BodyBasicAttributes | UnsetType = UNSET
    upper_body: UpperBody | UnsetType = UNSET
    lower_body: LowerBody | UnsetType = UNSET
    accessories: Accessories | UnsetType = UNSET
    descriptor: DescriptorEstimate | UnsetType = UNSET


class BodyDetection(Struct, frozen=True):
    """A body in an image."""

    rect: Rect
    warp: Annotated[bytes, Meta(description="The 128x256 warp as JPEG.")] | UnsetType = UNSET
    attributes: BodyAttributes = BodyAttributes()


class FilterReason(Struct, frozen=True):
    """Why a detection was left out: the query parameter, the value found (null: it cannot be told), the limit."""

    filter_name: str
    object_value: float | str | None
    threshold_value: float | list[str]
