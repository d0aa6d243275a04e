"""Merging the estimates of several detections of one person into one.

Probabilities are averaged and decided anew, ages are averaged, states go by majority, colours stay that at least half
of the detections have. Descriptors are merged by `lunaria.vision.descriptors.aggregate`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, Final, Literal, TypeVar

from msgspec import UNSET, UnsetType

from lunaria.estimation.decisions import Decisions
from lunaria.estimation.estimates import (
    Accessories,
    Backpack,
    BasicAttributes,
    BodyAttributes,
    BodyBasicAttributes,
    Clothing,
    ClothingColor,
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

T = TypeVar("T")
Key = TypeVar("Key", bound=str)
UNDEFINED: Final = "undefined"
UNKNOWN_GENDER: Literal[2] = 2


def merge_faces(faces: Sequence[FaceAttributes], decisions: Decisions) -> FaceAttributes:
    """Those estimates of faces of one person that can be merged; what no face has stays unset."""
    return FaceAttributes(
        emotions=_of(faces, "emotions", _emotions),
        mask=_of(faces, "mask", _mask),
        liveness=_of(faces, "liveness", lambda found: merge_liveness(found, decisions)),
        deepfake=_of(faces, "deepfake", lambda found: _deepfake(found, decisions)),
        basic_attributes=_of(faces, "basic_attributes", merge_basic_attributes),
    )


def merge_bodies(bodies: Sequence[BodyAttributes]) -> BodyAttributes:
    """Those estimates of bodies of one person that can be merged; what no body has stays unset."""
    return BodyAttributes(
        basic_attributes=_of(bodies, "basic_attributes", _body_basic),
        upper_body=_of(bodies, "upper_body", _upper_body),
        lower_body=_of(bodies, "lower_body", _lower_body),
        accessories=_of(bodies, "accessories", _accessories),
    )


def merge_liveness(found: Sequence[Liveness], decisions: Decisions) -> Liveness:
    """The mean of scores and qualities, decided anew."""
    score = fmean(one.estimations.score for one in found)
    quality = fmean(one.estimations.quality for one in found)
    return Liveness(decisions.liveness(score, quality), LivenessScores(quality, score))


def merge_basic_attributes(found: Sequence[BasicAttributes]) -> BasicAttributes:
    """Mean age, the more frequent gender (male when equal), mean probabilities of ethnicities."""
    with_ethnicity = [one.ethnicities for one in found if one.ethnicities is not UNSET]
    ethnicities: Ethnicities | UnsetType = UNSET
    if with_ethnicity:
        means = _means([one.estimations for one in with_ethnicity])
        ethnicities = Ethnicities(strongest(means), means)
    gender: Literal[0, 1] = 1 if fmean(one.gender for one in found) >= 0.5 else 0
    return BasicAttributes(round(fmean(one.age for one in found)), gender, ethnicities)


def strongest(estimations: Mapping[Key, float]) -> Key:
    """The word with the highest probability; the first of equal ones."""
    return max(estimations, key=lambda word: estimations[word])


def _of(items: Iterable[Any], name: str, merge: Callable[[list[Any]], T]) -> T | UnsetType:
    found = [value for item in items if (value := getattr(item, name)) is not UNSET]
    return merge(found) if found else UNSET


def _means(estimations: Sequence[Mapping[Key, float]]) -> dict[Key, float]:
    return {word: fmean(one[word] for one in estimations) for word in estimations[0]}


def _majority(values: Iterable[T]) -> T:
    """The most frequent value; the first of equally frequent ones."""
    return Counter(values).most_common(1)[0][0]


def _word(values: Iterable[str]) -> Any:
    """The most frequent word other than "undefined", which only stands where nothing else does."""
    defined = [value for value in values if value != UNDEFINED]
    return _majority(defined) if defined else UNDEFINED


def _emotions(found: list[Emotions]) -> Emotions:
    means = _means([one.estimations for one in found])
    return Emotions(strongest(means), means)


def _mask(found: list[Mask]) -> Mask:
    states = _means([one.estimations for one in found])
    occlusions = _means([one.face_occlusion.estimations for one in found if one.face_occlusion is not UNSET])
    return Mask(strongest(states), states, FaceOcclusion(strongest(occlusions), occlusions))


def _deepfake(found: list[Deepfake], decisions: Decisions) -> Deepfake:
    score = fmean(one.score for one in found)
    return Deepfake(decisions.deepfake(score), score)


def _body_basic(found: list[BodyBasicAttributes]) -> BodyBasicAttributes:
    known = [one.apparent_gender for one in found if one.apparent_gender != UNKNOWN_GENDER]
    return BodyBasicAttributes(
        round(fmean(one.apparent_age for one in found)), _majority(known) if known else UNKNOWN_GENDER
    )


def _upper_body(found: list[UpperBody]) -> UpperBody:
    headwear = [one.headwear for one in found]
    return UpperBody(
        Headwear(_majority(one.state for one in headwear), _word(one.apparent_color for one in headwear)),
        Sleeve(_word(one.sleeve.length for one in found)),
        Clothing(_colors([one.upper_clothing.colors for one in found])),
    )


def _lower_body(found: list[LowerBody]) -> LowerBody:
    return LowerBody(
        LowerGarment(
            _word(one.lower_garment.type for one in found), _colors([one.lower_garment.colors for one in found])
        ),
        Shoes(_word(one.shoes.apparent_color for one in found)),
    )


def _accessories(found: list[Accessories]) -> Accessories:
    return Accessories(Backpack(_majority(one.backpack.state for one in found)))


def _colors(found: Sequence[Sequence[ClothingColor]]) -> list[ClothingColor]:
    """Colours that at least half of the detections have, the most frequent first."""
    counts = Counter(color for colors in found for color in set(colors) - {UNDEFINED})
    kept = [color for color, count in counts.most_common() if 2 * count >= len(found)]
    return kept or [UNDEFINED]
