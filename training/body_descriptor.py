"""Train the projection to body descriptors on PETA.

    python -m training.body_descriptor --data FOLDER --models FOLDER    the folders of peta.zip and the pulled networks

Trained with a triplet loss on the hardest pairs of each batch and a loss over the persons, on crops as they are and
varied at random; a person of whom there is one crop is paired with its variation. i-LID and the people of the groups 0
and 1 of ten are not trained on: they give the figures and the similarity scale. MIT is left out, for it does not say
which of its pictures show the same person.
"""

from __future__ import annotations

import argparse
import datetime
import io
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional

from lunaria.vision.body_descriptor import QUALITIES, qualities
from lunaria.vision.calibration import impostor_cosines
from lunaria.vision.estimators.body_views import BodyFeatureNetwork
from lunaria.vision.geometry import Pixels
from lunaria.vision.projection import Projection
from lunaria.vision.similarity import Similarity, fit_similarity
from training import peta
from training.body_vectors import Axes, backbone, computed, vectors
from training.record import record

VERSION, DIMENSION = 2001, 256
HELD_SET = "i-LID"
UNKNOWN_PERSONS = "MIT"
TEST_GROUPS = 2
STEPS = 500
PERSONS, CROPS = 40, 4
RATE, DECAY = 1.5e-3, 0.2
SHARPNESS, MARGIN = 12.0, 0.1
SCORED = 700
SCORE_SIMILARITY = 0.25
"""What a usable crop reaches with another crop of its person."""
ID_SCALE, ID_SMOOTHING, TRIPLET_WEIGHT = 20.0, 0.1, 4.0


def identities(data: peta.Peta) -> NDArray[np.str_]:
    """(N,): the person of each crop; in CUHK each crop is a person of its own, which is nearly so."""
    own = np.array([f"{name}/{index}" for index, name in enumerate(data.sets)])
    return np.where(data.sets == "CUHK", own, data.persons)


def train(inputs: list[Tensor], persons: NDArray[np.str_], used: NDArray[np.bool_]) -> nn.Sequential:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    index = np.flatnonzero(used)
    _, labels = np.unique(persons[index], return_inverse=True)
    crops = [index[labels == person] for person in range(labels.max() + 1)]
    net = nn.Sequential(
        nn.Dropout(0.1), nn.Linear(inputs[0].shape[1], DIMENSION, bias=False), nn.BatchNorm1d(DIMENSION)
    )
    classes = nn.Linear(DIMENSION, len(crops), bias=False)
    parameters = [*net.parameters(), *classes.parameters()]
    optimizer = torch.optim.AdamW(parameters, RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS + 1)
    # Persons seen often teach most: one crop and its variation say little about other poses and cameras.
    chance = np.array([min(len(own), CROPS) for own in crops], float)
    for step in range(STEPS):
        net.train()
        chosen = rng.choice(len(crops), PERSONS, replace=False, p=chance / chance.sum())
        batch = np.concatenate([rng.choice(crops[k], CROPS, replace=len(crops[k]) < CROPS) for k in chosen])
        version = np.tile(np.arange(CROPS) % len(inputs), PERSONS)
        rows = torch.stack([inputs[v][i] for v, i in zip(version, batch, strict=True)])
        wanted = torch.from_numpy(np.repeat(chosen, CROPS))
        points = functional.normalize(net(rows))
        cosines = points @ points.T
        same = wanted[:, None] == wanted[None]
        farthest = (cosines + (~same) * 9).min(dim=1).values
        nearest = (cosines - same * 9.0).max(dim=1).values
        triplet = functional.softplus(SHARPNESS * (nearest - farthest + MARGIN)).mean() / SHARPNESS
        scores = ID_SCALE * points @ functional.normalize(classes.weight).T
        identity = functional.cross_entropy(scores, wanted, label_smoothing=ID_SMOOTHING)
        optimizer.zero_grad()
        (TRIPLET_WEIGHT * triplet + identity).backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            losses = float(triplet.detach()), float(identity.detach())
            print(f"step {step} triplet {losses[0]:.3f} identity {losses[1]:.3f}", flush=True)
    return net.eval()


def projection(net: nn.Sequential, axes: Axes) -> Projection:
    """Axes, layer and batch normalisation as one linear map."""
    _, layer, norm = net
    assert isinstance(layer, nn.Linear) and isinstance(norm, nn.BatchNorm1d)
    assert norm.running_mean is not None and norm.running_var is not None
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    matrix = (layer.weight * factor[:, None]) @ axes.basis.T
    bias = norm.bias - norm.running_mean * factor
    return Projection.from_weights(axes.mean, axes.deviation, matrix.detach().numpy(), bias.detach().numpy())


def unit(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    return raw / np.linalg.norm(raw, axis=1, keepdims=True)


def ranks(points: NDArray[np.float32], persons: NDArray[np.str_]) -> str:
    """One probe of each person with several crops, drawn at random, against all other crops."""
    rng = np.random.default_rng(0)
    names, counts = np.unique(persons, return_counts=True)
    probes = np.array([rng.choice(np.flatnonzero(persons == name)) for name in names[counts > 1]])
    gallery = np.setdiff1d(np.arange(len(persons)), probes)
    order = np.argsort(-(points[probes] @ points[gallery].T), axis=1)
    hits = persons[gallery][order] == persons[probes][:, None]
    first = hits.argmax(axis=1)
    found_so_far = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    precision = np.array([row[hit].mean() for row, hit in zip(found_so_far, hits, strict=True)])
    return (
        f"{len(probes)} probes, gallery of {len(gallery)}: rank 1 {np.mean(first < 1):.3f}, rank 10 "
        f"{np.mean(first < 10):.3f}, mAP {precision.mean():.3f}"
    )


def genuine_and_impostor(
    points: NDArray[np.float32], persons: NDArray[np.str_], sets: NDArray[np.str_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cosines of pairs of the same person and of different persons, both crops from the same set."""
    genuine, impostor = [], []
    for name in np.unique(sets):
        inside = sets == name
        own, people = points[inside], persons[inside]
        rows, columns = np.triu_indices(len(own), 1)
        same = people[rows] == people[columns]
        genuine.append((own @ own.T)[rows, columns][same])
        impostor.append(impostor_cosines(own, list(people)))
    return np.concatenate(genuine), np.concatenate(impostor)


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=Path("data/models"))
    parser.add_argument("--out", type=Path, default=Path("out/training"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    data = peta.load(options.data)
    network = backbone(options.models)
    persons = identities(data)
    found = [vectors(data, network, variation, options.out) for variation in (0, 1)]
    axes = Axes.of(found[0])
    held = data.sets == HELD_SET
    known = ~np.isin(data.sets, [UNKNOWN_PERSONS])
    tested = known & (data.groups < TEST_GROUPS) & ~held
    net = train([axes.apply(values) for values in found], persons, known & ~tested & ~held)
    layer = projection(net, axes)
    points = unit(layer.apply(found[0].astype(np.float32)))

    calibrating = (tested | held) & (data.sets != "CUHK")
    genuine, impostor = genuine_and_impostor(points[calibrating], persons[calibrating], data.sets[calibrating])
    knots, evidence = fit_similarity(
        impostor,
        f"peta.zip, people not trained on, pairs within a set ({', '.join(np.unique(data.sets[calibrating]))}), "
        f"{datetime.date.today().isoformat()}, descriptor version {VERSION}",
    )
    measured = {
        f"{HELD_SET}, cameras and people unseen": ranks(points[held], persons[held]),
        f"{HELD_SET}, verification": verification(*genuine_and_impostor(points[held], persons[held], data.sets[held])),
        "all people unseen, verification within sets": verification(genuine, impostor),
    }
    for name in ("PRID", "CAVIAR4REID", "TownCentre"):
        inside = tested & (data.sets == name)
        measured[f"{name}, people unseen"] = ranks(points[inside], persons[inside])
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
            "title": "256-dimensional body descriptor on EfficientNet-Lite0",
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


if __name__ == "__main__":
    main()
