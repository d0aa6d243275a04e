"""Age, gender and ethnicity: the arithmetic with given answers, and people whose attributes are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from lunaria.vision.estimators.age_head import INPUTS, KNOTS, AgeHead, inputs
from lunaria.vision.estimators.basic_attributes import (
    ETHNICITIES,
    BasicAttributeEstimator,
    GearEthnicities,
    HeadEthnicities,
)
from lunaria.vision.estimators.features import EMBEDDING, LinearHead
from lunaria.vision.face_estimators import FaceEstimators
from lunaria.vision.landmarks import Landmarks
from lunaria.vision.networks import NetworkLoader
from lunaria.vision.packs.manifest import Preprocessing
from lunaria.vision.packs.store import LicenceSetting, ModelStore
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


def estimator(ethnicities: Any, year: int = 20, age_head: AgeHead | None = None) -> BasicAttributeEstimator:
    years = [float(index == year) for index in range(81)]
    return BasicAttributeEstimator(
        session(age=years), PREPROCESSING, session(gender=[0.7, 0.3]), PREPROCESSING, ethnicities, age_head
    )


def age_parameters(**changes: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """A hidden layer of two that looks at the first number of the embedding and at the decades dlib's network tells."""
    hidden = np.zeros((INPUTS, 2), np.float16)
    hidden[0, 0], hidden[EMBEDDING, 1] = 3, 1
    found: dict[str, NDArray[Any]] = {
        "hidden": hidden,
        "hidden_bias": np.array([-1, -3], np.float32),
        "output": np.array([2, 50], np.float32),
        "summand": np.array(-0.5, np.float32),
    }
    return found | changes


def test_age_and_gender_are_the_means_of_two_networks() -> None:
    found = estimator(None).estimate(faces(3))
    assert len(found) == 3
    assert found[0].age == pytest.approx((20 + 35.5) / 2)
    assert found[0].male == pytest.approx((0.3 + 0.9) / 2)
    assert found[0].ethnicities is None


def test_the_first_year_counts_a_quarter() -> None:
    assert estimator(None, year=0).estimate(faces(1))[0].age == pytest.approx((0.25 + 35.5) / 2)


def test_the_head_corrects_the_mean_age() -> None:
    """The features are all 1: (3 - 1) * 2 years are added and half a year is taken; 2 decades stay below the bias."""
    found = estimator(None, age_head=AgeHead(age_parameters())).estimate(faces(2))
    assert [face.age for face in found] == pytest.approx([(20 + 35.5) / 2 + 4 - 0.5] * 2)


@pytest.mark.parametrize(("summand", "age"), [(200.0, 100.0), (-200.0, 0.0)])
def test_a_corrected_age_stays_in_its_bounds(summand: float, age: float) -> None:
    head = AgeHead(age_parameters(summand=np.array(summand)))
    assert estimator(None, age_head=head).estimate(faces(1))[0].age == age


def test_the_head_sees_how_far_ages_lie_above_each_knot() -> None:
    row = inputs(np.full((1, EMBEDDING), 7, np.float32), np.array([12.0]), np.array([32.0]))[0]
    assert (row.shape, set(row[:EMBEDDING])) == ((INPUTS,), {7.0})
    above = row[EMBEDDING:].reshape(3, 1 + len(KNOTS)) * 10
    for told, age in zip(above, (12, 32, 22), strict=True):
        assert told.tolist() == pytest.approx([max(age - knot, 0) for knot in (0, *KNOTS)], abs=1e-5)


def test_a_head_for_the_age_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="the shapes"):
        AgeHead(age_parameters(output=np.zeros(3)))
    parameters = age_parameters()
    del parameters["summand"], parameters["hidden"]
    with pytest.raises(ValueError, match="holds no hidden, summand"):
        AgeHead(parameters)


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
    with np.load(model_store.network("face_age_head").path, allow_pickle=False) as parameters:
        age_head = AgeHead(dict(parameters))
    estimator = BasicAttributeEstimator(*load_network("face_age"), *load_network("face_gender"), head, age_head)
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


def test_with_open_networks_alone_the_age_is_not_corrected(model_store: ModelStore, see_face: SeeFace) -> None:
    face = see_face("biden.jpg")
    corrected, open_only = (
        FaceEstimators(NetworkLoader(ModelStore(model_store.folder, licence), "auto", "cpu")).basic_attributes()
        for licence in get_args(LicenceSetting)
    )
    told = np.mean(open_only.told_ages(face))
    assert open_only.estimate(face)[0].age == pytest.approx(told)
    assert corrected.estimate(face)[0].age != pytest.approx(told)


def test_gear_serves_without_our_training(load_network: LoadNetwork, see_face: SeeFace) -> None:
    gear = GearEthnicities(*load_network("face_ethnicity_open"))
    biden, obama = (gear.estimate(see_face(name))[0] for name in ("biden.jpg", "obama.jpg"))
    assert ETHNICITIES[int(biden.argmax())] == "caucasian"
    first = ETHNICITIES.index("african_american")
    assert obama[first] > 100 * biden[first]
    assert biden.sum() == pytest.approx(1, abs=1e-5)
