"""The recognition chain keeps its accuracy: floors on a part of the labelled photographs beside the checkout.

Figures of the whole and how they are measured: docs/accuracy.md. The floors lie a little below what was measured on
this part (fold 1 of LFW: accuracy 0.995, acceptance 0.991 and 0.986).
"""

from pathlib import Path

import numpy as np
import pytest
from bench.faces import InProcess
from bench.groups import measure_groups

from lunaria.evaluation.pairs import Pair, Photographs, person_of, read_pairs
from lunaria.evaluation.verification import Roc, all_pairs, fold_accuracy
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.similarity import Similarity

DATA = Path(__file__).parents[2].parent / "shared" / "data"
FOLD = 1

pytestmark = pytest.mark.skipif(
    not (DATA / "lfw.zip").is_file(), reason="the labelled photographs (../shared/data/lfw.zip) are not here"
)


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return [pair for pair in read_pairs(DATA / "lfw_pairs.csv") if pair.fold == FOLD]


@pytest.fixture(scope="module")
def vectors(pairs: list[Pair], model_store: ModelStore) -> dict[str, np.ndarray]:
    """The descriptor of every photograph that has one."""
    images = sorted({image for pair in pairs for image in (pair.first, pair.second)})
    photographs = Photographs(DATA / "lfw.zip", images)
    source = InProcess(model_store)
    faces = {image: source.face(photographs.read(image)) for image in images}
    return {image: face.vector for image, face in faces.items() if face is not None}


def test_every_face_is_found(pairs: list[Pair], vectors: dict[str, np.ndarray]) -> None:
    assert {image for pair in pairs for image in (pair.first, pair.second)} == set(vectors)


def test_pairs_are_told_apart(pairs: list[Pair], vectors: dict[str, np.ndarray]) -> None:
    """The threshold for each half of the fold is chosen on the other half."""
    scores = np.array([float(vectors[pair.first] @ vectors[pair.second]) for pair in pairs])
    halves = np.arange(len(pairs)) % 2
    accuracy = fold_accuracy(scores, np.array([pair.same for pair in pairs]), halves)
    assert accuracy.mean >= 0.988
    assert all(0.25 < fold.threshold < 0.42 for fold in accuracy.folds)


def test_acceptance_over_all_pairs(vectors: dict[str, np.ndarray]) -> None:
    roc = Roc(*all_pairs(np.stack(list(vectors.values())), [person_of(image) for image in vectors]))
    assert roc.impostor_pairs > 250_000
    assert roc.true_acceptance(1e-3) >= 0.983
    assert roc.true_acceptance(1e-4) >= 0.972


def test_similarity_means_what_it_promises(vectors: dict[str, np.ndarray], model_store: ModelStore) -> None:
    """Similarities 0.75 and 0.9 stand for false acceptance rates of 1e-3 and 1e-4, give or take a factor of two."""
    similarity = Similarity(model_store.descriptor_spec().similarity.knots)
    roc = Roc(*all_pairs(np.stack(list(vectors.values())), [person_of(image) for image in vectors]))
    for value, rate in ((0.75, 1e-3), (0.9, 1e-4)):
        false_acceptance, _ = roc.at_threshold(float(similarity.to_cosine(value)))
        assert rate / 2 < false_acceptance < rate * 2


@pytest.mark.skipif(not (DATA / "groups.zip").is_file(), reason="the group photographs are not here")
def test_faces_of_groups_are_found_and_marked(model_store: ModelStore) -> None:
    groups = measure_groups(DATA / "groups.zip", model_store)
    assert groups.faces == 43
    assert groups.average_precision >= 0.98
    recall, precision = groups.at[0.6]
    assert recall >= 0.97
    assert precision >= 0.88
    assert groups.landmark_errors.mean() <= 0.043
