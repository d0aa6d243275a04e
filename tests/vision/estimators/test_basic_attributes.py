"""Age, gender and ethnicity: the arithmetic with given answers, and people whose attributes are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from lunaria.vision.estimators.basic_attributes import (
    ETHNICITIES,
    BasicAttributeEstimator,
    GearEthnicities,
    HeadEthnicities,
)
from lunaria.vision.estimators.features import EMBEDDING, LinearHead
from lunaria.vision.landmarks import Landmarks
from lunaria.vision.packs.manifest import Preprocessing
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.runtime import InferenceSession
from lunaria.vision.views import FaceFeatures, FaceViews, SharedNetworks

LoadNetwork = Callable[[str], tuple[InferenceSession, Preprocessing]]
SeeFace = Callable[[str], FaceViews]

POINTS = np.array([[94.0, 112.5], [156.0, 112.5], [125.0, 146.0], [103.0, 179.0], [147.0, 179.0]])
PIXELS = np.zeros((250, 250, 3), np.uint8)
PREPROCESSING = Preprocessing(width=8, height=8)


class Answers:
    """A network with one answer for every face."""

    inputs = ("input",)

    def __init__(self, **answers: list[float]) -> None:
        self._answers = answers

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        count = len(feeds["input"])
        return {name: np.tile(np.array(row, np.float32), (count, 1)) for name, row in self._answers.items()}


class FixedFeatures:
    def extract(self, views: FaceViews) -> FaceFeatures:
        ages = np.zeros((len(views), 100), np.float32)
        ages[:, [30, 40]] = 0.5
        return FaceFeatures(np.ones((len(views), EMBEDDING), np.float32), ages, np.full(len(views), 0.9, np.float32))


def session(**answers: list[float]) -> InferenceSession:
    return cast(InferenceSession, Answers(**answers))


def faces(count: int) -> FaceViews:
    nothing = cast(Any, None)
    shared = SharedNetworks(mesh=nothing, pose=nothing, blendshapes=nothing, features=FixedFeatures())
    return FaceViews(PIXELS, [Landmarks(POINTS, np.zeros((68, 2)), 0.0)] * count, shared)


def estimator(ethnicities: Any, year: int = 20) -> BasicAttributeEstimator:
    years = [float(index == year) for index in range(81)]
    return BasicAttributeEstimator(
        session(age=years), PREPROCESSING, session(gender=[0.7, 0.3]), PREPROCESSING, ethnicities
    )


def test_age_and_gender_are_the_means_of_two_networks() -> None:
    found = estimator(None).estimate(faces(3))
    assert len(found) == 3
    assert found[0].age == pytest.approx((20 + 35.5) / 2)
    assert found[0].male == pytest.approx((0.3 + 0.9) / 2)
    assert found[0].ethnicities is None


def test_the_first_year_counts_a_quarter() -> None:
    assert estimator(None, year=0).estimate(faces(1))[0].age == pytest.approx((0.25 + 35.5) / 2)


def test_the_head_is_read_by_its_labels() -> None:
    labels = ("indian", "asian", "african_american", "caucasian")
    weights = np.zeros((EMBEDDING, 4), np.float32)
    weights[0] = [1, 2, 3, 4]
    found = estimator(HeadEthnicities(LinearHead(weights, np.zeros(4, np.float32), labels))).estimate(faces(2))
    ethnicities = found[1].ethnicities
    assert ethnicities is not None
    assert sorted(ethnicities, key=ethnicities.__getitem__) == list(labels)
    assert sum(ethnicities.values()) == pytest.approx(1, abs=1e-6)


def test_a_head_for_something_else_is_refused() -> None:
    head = LinearHead(np.zeros((EMBEDDING, 2), np.float32), np.zeros(2, np.float32), ("yes", "no"))
    with pytest.raises(ValueError, match="yes, no"):
        HeadEthnicities(head)


def test_gear_leaves_others_out() -> None:
    gear = GearEthnicities(session(age=[1.0] * 7, gender=[0.5, 0.5], race=[0.1, 0.2, 0.3, 0.15, 0.25]), PREPROCESSING)
    ethnicities = estimator(gear).estimate(faces(1))[0].ethnicities
    assert ethnicities is not None
    expected = {"caucasian": 0.1, "african_american": 0.2, "asian": 0.3, "indian": 0.15}
    assert ethnicities == pytest.approx({name: share / 0.75 for name, share in expected.items()})


def test_known_people(model_store: ModelStore, load_network: LoadNetwork, see_face: SeeFace) -> None:
    """Biden was about 70, Obama about 50, Eileen Collins about 40 when the photographs were taken."""
    head = HeadEthnicities(LinearHead.load(model_store.network("face_ethnicity").path))
    estimator = BasicAttributeEstimator(*load_network("face_age"), *load_network("face_gender"), head)
    biden, obama, collins = (
        estimator.estimate(see_face(name))[0] for name in ("biden.jpg", "obama.jpg", "astronaut.png")
    )
    assert biden.age == pytest.approx(68, abs=12)
    assert obama.age == pytest.approx(50, abs=12)
    assert collins.age == pytest.approx(40, abs=12)
    assert biden.age > obama.age
    assert (biden.male > 0.9, obama.male > 0.9, collins.male < 0.3) == (True, True, True)
    biden_is, obama_is, collins_is = (face.ethnicities or {} for face in (biden, obama, collins))
    assert max(ETHNICITIES, key=biden_is.__getitem__) == max(ETHNICITIES, key=collins_is.__getitem__) == "caucasian"
    # Obama has parents of two of the classes: the head leans to no one.
    assert obama_is["caucasian"] < 0.6
    assert obama_is["african_american"] > 4 * biden_is["african_american"]


def test_gear_serves_without_our_training(load_network: LoadNetwork, see_face: SeeFace) -> None:
    gear = GearEthnicities(*load_network("face_ethnicity_open"))
    biden, obama = (gear.estimate(see_face(name))[0] for name in ("biden.jpg", "obama.jpg"))
    assert ETHNICITIES[int(biden.argmax())] == "caucasian"
    first = ETHNICITIES.index("african_american")
    assert obama[first] > 100 * biden[first]
    assert biden.sum() == pytest.approx(1, abs=1e-5)
