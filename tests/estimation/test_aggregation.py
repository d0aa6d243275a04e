"""Several estimates of one person become one."""

from typing import Any

import pytest
from msgspec import UNSET

from lunaria.estimation.aggregation import merge_bodies, merge_faces
from lunaria.estimation.decisions import Decisions
from lunaria.estimation.estimates import (
    Accessories,
    Backpack,
    BasicAttributes,
    BodyAttributes,
    BodyBasicAttributes,
    Clothing,
    Deepfake,
    Emotions,
    Ethnicities,
    FaceAttributes,
    FaceOcclusion,
    Headwear,
    Liveness,
    LivenessScores,
    LowerBody,
    LowerGarment,
    Mask,
    Shoes,
    Sleeve,
    UpperBody,
)

DECISIONS = Decisions(liveness_threshold=0.6, liveness_quality=0.3, deepfake_threshold=0.5)


def emotions(happiness: float) -> Emotions:
    rest = (1 - happiness) / 6
    words: Any = dict.fromkeys(("anger", "disgust", "fear", "sadness", "surprise", "neutral"), rest)
    return Emotions("happiness" if happiness > rest else "anger", {**words, "happiness": happiness})


def mask(medical: float) -> Mask:
    parts: Any = dict.fromkeys(("chin", "mouth", "partially", "full"), 0.0)
    occlusion = FaceOcclusion("correct", {**parts, "correct": medical, "clear": 1 - medical})
    states: Any = {"medical_mask": medical, "missing": 1 - medical, "occluded": 0.0}
    return Mask("medical_mask" if medical > 0.5 else "missing", states, occlusion)


def basic(age: int, gender: Any, asian: float) -> BasicAttributes:
    words: Any = {"asian": asian, "indian": 0.0, "caucasian": 1 - asian, "african_american": 0.0}
    return BasicAttributes(age, gender, Ethnicities("asian", words))


def test_probabilities_are_averaged_and_decided_anew() -> None:
    merged = merge_faces(
        [
            FaceAttributes(emotions=emotions(0.9), mask=mask(0.9), basic_attributes=basic(30, 0, 0.2)),
            FaceAttributes(emotions=emotions(0.1), mask=mask(0.3), basic_attributes=basic(41, 1, 0.4)),
        ],
        DECISIONS,
    )
    assert merged.emotions.predominant_emotion == "happiness"
    assert merged.emotions.estimations["happiness"] == pytest.approx(0.5)
    assert merged.mask.predominant_mask == "medical_mask"
    assert merged.mask.estimations["medical_mask"] == pytest.approx(0.6)
    assert merged.mask.face_occlusion.predominant_occlusion == "correct"
    assert (merged.basic_attributes.age, merged.basic_attributes.gender) == (36, 1)
    assert merged.basic_attributes.ethnicities.predominant_ethnicity == "caucasian"
    assert merged.liveness is UNSET
    assert merged.glasses is UNSET


@pytest.mark.parametrize(
    ("scores", "qualities", "prediction"),
    [((0.9, 0.5), (1, 1), "real"), ((0.9, 0.1), (1, 1), "spoof"), ((0.9, 0.9), (0.4, 0.0), "unknown")],
)
def test_liveness_is_decided_by_the_thresholds(scores: Any, qualities: Any, prediction: str) -> None:
    faces = [
        FaceAttributes(liveness=Liveness("real", LivenessScores(quality, score)))
        for score, quality in zip(scores, qualities, strict=True)
    ]
    assert merge_faces(faces, DECISIONS).liveness.prediction == prediction


@pytest.mark.parametrize(("scores", "prediction"), [((0.9, 0.2), "real"), ((0.7, 0.2), "fake")])
def test_deepfake_is_decided_by_the_threshold(scores: Any, prediction: str) -> None:
    faces = [FaceAttributes(deepfake=Deepfake("real", score)) for score in scores]
    assert merge_faces(faces, DECISIONS).deepfake.prediction == prediction


def test_a_face_without_an_estimate_does_not_count() -> None:
    merged = merge_faces([FaceAttributes(), FaceAttributes(emotions=emotions(0.8))], DECISIONS)
    assert merged.emotions.estimations["happiness"] == pytest.approx(0.8)


def body(gender: Any, sleeve: Any, colors: list[str], hat: Any = 2, hat_color: str = "undefined") -> BodyAttributes:
    return BodyAttributes(
        BodyBasicAttributes(20, gender),
        UpperBody(Headwear(hat, hat_color), Sleeve(sleeve), Clothing(colors)),
        LowerBody(LowerGarment("undefined", colors), Shoes("black")),
        Accessories(Backpack(hat)),
    )


def test_states_of_bodies_go_by_majority_and_colours_by_half() -> None:
    merged = merge_bodies(
        [
            body(2, "undefined", ["red", "blue"], 0),
            body(1, "short", ["red"], 1, "black"),
            body(2, "undefined", ["green"], 1, "undefined"),
            body(1, "long", ["blue"], 1, "black"),
        ]
    )
    assert merged.basic_attributes.apparent_gender == 1
    assert merged.basic_attributes.apparent_age == 20
    assert merged.upper_body.sleeve.length == "short"
    assert (merged.upper_body.headwear.state, merged.upper_body.headwear.apparent_color) == (1, "black")
    assert sorted(merged.upper_body.upper_clothing.colors) == ["blue", "red"]
    assert merged.lower_body.lower_garment.type == "undefined"
    assert merged.lower_body.shoes.apparent_color == "black"
    assert merged.accessories.backpack.state == 1


def test_without_a_common_colour_none_is_told() -> None:
    merged = merge_bodies([body(2, "short", [color]) for color in ("red", "green", "blue")])
    assert merged.upper_body.upper_clothing.colors == ["undefined"]
    assert merged.basic_attributes.apparent_gender == 2
