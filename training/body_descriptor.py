"""The descriptor of bodies: its figures, its similarity scale and its score, as the product reads it.

Trained by `training.body_network`, kept by `training.body_pedestrians`. i-LID and the people of the groups 0 and 1 of
ten are not trained on: they give the figures and the similarity scale. MIT does not say which of its pictures show the
same person.
"""

from __future__ import annotations

import datetime
import io
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from lunaria.vision.body_descriptor import QUALITIES, qualities
from lunaria.vision.estimators.body_views import BodyFeatureNetwork
from lunaria.vision.geometry import Pixels
from lunaria.vision.projection import Projection
from lunaria.vision.similarity import Similarity, fit_similarity
from training import body_figures, peta
from training.body_figures import pairs_within_sets
from training.body_vectors import computed
from training.record import record

VERSION, DIMENSION = 2002, 256
HELD_SET = "i-LID"
UNKNOWN_PERSONS = "MIT"
SEVERAL_CAMERAS = ("3DPeS", "CAVIAR4REID", "PRID", "SARC3D", "i-LID", "TownCentre")
"""Sets with several crops of a person."""

TEST_GROUPS = 2
SCORED = 700
SCORE_SIMILARITY = 0.25
"""What a usable crop reaches with another crop of its person."""


def identities(data: peta.Peta) -> NDArray[np.str_]:
    """(N,): the person of each crop; in CUHK each crop is a person of its own, which is nearly so."""
    own = np.array([f"{name}/{index}" for index, name in enumerate(data.sets)])
    return np.where(data.sets == "CUHK", own, data.persons)


def unit(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    return raw / np.linalg.norm(raw, axis=1, keepdims=True)


def ranks(points: NDArray[np.float32], persons: NDArray[np.str_]) -> str:
    """One probe of each person with several crops, drawn at random, against all other crops."""
    probes, gallery, first, precision = body_figures.ranks(points, persons)
    return (
        f"{probes} probes, gallery of {gallery}: rank 1 {np.mean(first < 1):.3f}, rank 10 {np.mean(first < 10):.3f}, "
        f"mAP {precision:.3f}"
    )


def verification(genuine: NDArray[np.float32], impostor: NDArray[np.float32]) -> str:
    area = roc_auc_score(np.repeat([1, 0], [len(genuine), len(impostor)]), np.concatenate([genuine, impostor]))
    rates = ", ".join(f"{np.mean(genuine >= np.quantile(impostor, 1 - rate)):.3f}" for rate in (1e-1, 1e-2, 1e-3))
    return (
        f"{len(genuine)} genuine and {len(impostor)} impostor pairs: AUC {area:.3f}, true match rate at false match "
        f"rate 1e-1, 1e-2, 1e-3: {rates}"
    )


def degraded(warp: Pixels, rng: np.random.Generator) -> Pixels:
    """The warp blurred, shrunk, darkened, noisy, partly covered or left as it is, at a random strength."""
    kind, strength = rng.integers(6), rng.random()
    height, width = warp.shape[:2]
    if kind == 0:
        return cv2.GaussianBlur(warp, (0, 0), 1 + 9 * strength)
    if kind == 1:
        small = (max(4, round(width * (0.4 - 0.34 * strength))), max(8, round(height * (0.4 - 0.34 * strength))))
        return cv2.resize(cv2.resize(warp, small, interpolation=cv2.INTER_AREA), (width, height))
    if kind == 2:
        return (warp * (0.5 - 0.45 * strength)).astype(np.uint8)
    if kind == 3:
        noisy = warp + rng.normal(0, 10 + 60 * strength, warp.shape)
        return np.clip(noisy, 0, 255).astype(np.uint8)
    result = warp.copy()
    if kind == 4:
        result[round(height * (0.8 - 0.55 * strength)) :] = warp.mean(axis=(0, 1))
    return result


def fit_score(
    data: peta.Peta,
    persons: NDArray[np.str_],
    tested: NDArray[np.bool_],
    network: BodyFeatureNetwork,
    layer: Projection,
    points: NDArray[np.float32],
    needed: float,
) -> tuple[NDArray[np.float32], float, str]:
    """Weights and bias of the score, and what it is worth on the half of the persons that it was not fitted on."""
    names, counts = np.unique(persons[tested], return_counts=True)
    usable = tested & np.isin(persons, names[counts > 1])
    first = np.random.default_rng(1).permutation(np.flatnonzero(usable))[:SCORED]
    spoilt = [degraded(data.warps[index], np.random.default_rng((2, int(index)))) for index in first]
    found = computed(lambda index: spoilt[index], len(spoilt), network).astype(np.float32)
    features = qualities(spoilt, layer.standardised(found))
    spoilt_points = unit(layer.apply(found))
    # Each spoilt crop against all others of its person, all crops weighing the same.
    rows, cosines = [], []
    for row, index in enumerate(first):
        others = np.flatnonzero((persons == persons[index]) & (np.arange(len(persons)) != index))
        rows.append(np.full(len(others), row))
        cosines.append(points[others] @ spoilt_points[row])
    row_of, cosine = np.concatenate(rows), np.concatenate(cosines)
    matched, weight = cosine >= needed, 1 / np.bincount(row_of)[row_of]
    _, person_of = np.unique(persons[first], return_inverse=True)
    half = (person_of % 2 == 0)[row_of]
    model = LogisticRegression(C=10.0).fit(features[row_of[half]], matched[half], weight[half])
    score = model.predict_proba(features)[:, 1]
    rest = person_of % 2 == 1
    mean = np.bincount(row_of, weight * cosine)
    area = roc_auc_score(matched[~half], score[row_of[~half]], sample_weight=weight[~half])
    orders = [np.argsort(np.argsort(values)) for values in (score[rest], mean[rest])]
    share = np.bincount(row_of, weight * matched)[rest][np.argsort(score[rest])]
    text = (
        f"{rest.sum()} spoilt crops of persons not fitted on: AUC for a match {area:.3f}, rank correlation with the "
        f"mean genuine cosine {np.corrcoef(*orders)[0, 1]:.2f}; of the fifths by score match "
        + ", ".join(f"{fifth.mean():.2f}" for fifth in np.array_split(share, 5))
        + f"; scores: 5 % below {np.quantile(score, 0.05):.2f}, median {np.median(score):.2f}, 5 % above "
        f"{np.quantile(score, 0.95):.2f}"
    )
    whole = LogisticRegression(C=10.0).fit(features[row_of], matched, weight)
    print("score:", dict(zip(QUALITIES, whole.coef_[0].round(3), strict=True)), text, flush=True)
    return whole.coef_[0].astype(np.float32), float(whole.intercept_[0]), text


def keep(
    data: peta.Peta,
    network: BodyFeatureNetwork,
    heads: Mapping[str, NDArray[np.float32]],
    unseen: NDArray[np.float32],
    vectors: NDArray[np.float32],
) -> None:
    """Write the projection with its score and similarity scale, and its entry of the manifest.

    `unseen`: descriptors by networks of the folds of crops whose cameras they did not see; `vectors`: of all crops that
    were not trained on.
    """
    persons = identities(data)
    layer = Projection.from_weights(
        heads["mean"], heads["deviation"], heads["descriptor_weights"], heads["descriptor_bias"]
    )
    points = unit(layer.apply(vectors))
    held = data.sets == HELD_SET
    known = data.sets != UNKNOWN_PERSONS
    tested = known & (data.groups < TEST_GROUPS) & ~held
    calibrating = (tested | held) & (data.sets != "CUHK")
    genuine, impostor = pairs_within_sets(points[calibrating], persons[calibrating], data.sets[calibrating])
    knots, evidence = fit_similarity(
        impostor,
        f"peta.zip, people not trained on, pairs within a set ({', '.join(np.unique(data.sets[calibrating]))}), "
        f"{datetime.date.today().isoformat()}, descriptor version {VERSION}",
    )
    measured = {
        f"{HELD_SET}, cameras and people unseen": ranks(points[held], persons[held]),
        f"{HELD_SET}, verification": verification(*pairs_within_sets(points[held], persons[held], data.sets[held])),
        "all people unseen, verification within sets": verification(genuine, impostor),
    }
    for name in ("PRID", "CAVIAR4REID", "TownCentre"):
        inside = tested & (data.sets == name)
        measured[f"{name}, people unseen"] = ranks(points[inside], persons[inside])
    for name in SEVERAL_CAMERAS:
        inside = data.sets == name
        measured[f"unseen cameras of {name}, by a network of the same kind"] = ranks(unseen[inside], persons[inside])
    for name, text in measured.items():
        print(f"{name}: {text}", flush=True)
    needed = float(Similarity(knots).to_cosine(SCORE_SIMILARITY))
    score_weights, score_bias, measured["score"] = fit_score(data, persons, calibrating, network, layer, points, needed)
    stream = io.BytesIO()
    np.savez_compressed(
        stream, **layer.arrays(), score_weights=score_weights, score_bias=np.array(score_bias, np.float32)
    )
    record(
        "body_descriptor",
        "body_descriptor.npz",
        stream.getvalue(),
        {
            "kind": "body-descriptor",
            "title": "256-dimensional body descriptor on the network of pedestrians",
            "licence": "research",
            "licence_notes": "Trained on PETA, which its authors issued for research only.",
            "training_data": f"PETA without VIPeR, GRID, MIT and {HELD_SET}, people of 8 groups of 10",
            "measured": measured,
            "descriptor": {
                "version": VERSION,
                "dimension": DIMENSION,
                "similarity": {"knots": knots, "evidence": evidence},
            },
        },
    )
