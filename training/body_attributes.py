"""The attributes of bodies: what PETA says of them, the figures, and the head as the product reads it.

Trained by `training.body_network`, kept by `training.body_pedestrians`. Every task is a choice between words; rare
words weigh more.

Figures: "unseen people" are the groups 0 and 1 of ten, not trained on, from cameras that were; "unseen cameras" come
from four more trainings, each without two of the sets, tried on these. The bands of the undefined are set on them.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from lunaria.vision.estimators.body_attributes import AGES, TASKS, BodyAttributesHead, color_names, mixed
from lunaria.vision.estimators.clothing_colors import NAMED, ColorTable, Part
from lunaria.vision.projection import Projection
from training import peta
from training.body_figures import area_within_sets
from training.clothing_colors import garment_bins
from training.clothing_colors import learn as learn_colors
from training.record import record

HELD_SET = "i-LID"
TEST_GROUPS = 2
FOLDS = (("PRID", "SARC3D"), ("CUHK", "i-LID"), ("MIT", "3DPeS"), ("TownCentre", "CAVIAR4REID"))
"""Sets that are held out together for the figures on unseen cameras."""

Answers = dict[str, NDArray[np.float32]]
"""For each task probabilities (N, words)."""

EVENNESS = {"gender": 0.5, "headwear": 0.5, "backpack": 0.5, "sleeve": 0.5, "garment": 0.85, "age": 0.25}
"""How far rare words weigh more: 0 not at all, 1 so that all words of a task weigh the same.

That of garments was chosen on the groups 2 and 3, with a head that was trained on the groups from 4 on: of 0.5, 0.7,
0.85 and 1 the last at which trousers that are answered are right in 95 % (mean recall of the three 0.55; with 0.5
0.45)."""
OTHER_EVENNESS = 0.35

ERRORS = {"gender": (0.12, 0.12), "sleeve": (0.05, 0.10), "backpack": (0.042, 0.175), "headwear": (0.032, 0.28)}
"""On unseen cameras, of those that are the first word so many are called the second, and the other way round: what was
allowed before the network was trained as a whole, times the largest tenth with which the mean recall of the answered on
unseen cameras is what the study found on known ones (bench.estimates.pedestrians)."""

DECIDED = {"garment": 0.9, "shoes": 0.8}
"""Which share of the bodies on unseen cameras gets an answer."""


def targets(data: peta.Peta) -> dict[str, NDArray[np.float32]]:
    """For each task (N, words), rows that sum to 1, or to 0 where nothing is known."""
    shoes = data.colors("footwear")
    black, white = NAMED.index("black"), NAMED.index("white")
    other = np.delete(shoes, [black, white], axis=1).any(axis=1)
    hat, backpack = data.has("accessoryHat"), data.has("carryingBackpack")
    columns = {
        "gender": [data.has("personalFemale"), data.has("personalMale")],
        "headwear": [~hat, hat],
        "backpack": [~backpack, backpack],
        "sleeve": [data.has("upperBodyLongSleeve"), data.has("upperBodyShortSleeve", "upperBodyNoSleeve")],
        "garment": [
            data.has("lowerBodyTrousers", "lowerBodyJeans", "lowerBodySuits"),
            data.has("lowerBodyShorts", "lowerBodyHotPants", "lowerBodyCapri"),
            data.has("lowerBodyShortSkirt", "lowerBodyLongSkirt"),
        ],
        "age": [
            data.has("personalLess15", "personalLess30"),
            data.has("personalLess45"),
            data.has("personalLess60"),
            data.has("personalLarger60"),
        ],
        "upper": list(data.colors("upperBody").T),
        "lower": list(data.colors("lowerBody").T),
        "shoes": [shoes[:, black], shoes[:, white], other],
    }
    found = {}
    for task, values in columns.items():
        chosen = np.stack(values, axis=1).astype(np.float32)
        if task not in ("upper", "lower", "shoes"):
            chosen[chosen.sum(axis=1) > 1] = 0
        found[task] = chosen / np.maximum(chosen.sum(axis=1, keepdims=True), 1)
    return found


def bands(found: dict[str, NDArray[np.float32]], wanted: dict[str, NDArray[np.float32]]) -> dict[str, list[float]]:
    """The bands of BodyAttributesHead, from predictions on unseen cameras."""
    result = {}
    for task, (first, second) in ERRORS.items():
        scores, goal = found[task][:, 1], wanted[task]
        high = float(np.quantile(scores[goal[:, 0] == 1], 1 - first))
        low = float(np.quantile(scores[goal[:, 1] == 1], second))
        result[task] = [low, high] if low < high else [(low + high) / 2] * 2
    for task, share in DECIDED.items():
        result[task] = [float(np.quantile(found[task].max(axis=1), 1 - share))]
    return result


def report(
    found: dict[str, NDArray[np.float32]],
    wanted: dict[str, NDArray[np.float32]],
    sets: NDArray[np.str_],
    tested: NDArray[np.bool_],
    limits: dict[str, list[float]],
) -> dict[str, str]:
    """Figures of each task on the tested crops."""
    figures = {}
    for task, words in TASKS.items():
        known = tested & (wanted[task].max(axis=1) == 1)
        goal, scores = wanted[task][known].argmax(axis=1), found[task][known]
        said = scores.argmax(axis=1)
        recalls = [float((said[goal == k] == k).mean()) for k in range(len(words)) if (goal == k).sum() >= 5]
        text = f"{len(goal)} crops: right {np.mean(said == goal):.3f}, mean recall {np.mean(recalls):.3f}"
        if len(words) == 2 and 5 <= goal.sum() <= len(goal) - 5:
            low, high = limits[task]
            decided = (scores[:, 1] < low) | (scores[:, 1] >= high)
            right = (scores[:, 1] >= high) == goal
            rates = [float(right[decided & (goal == k)].mean()) for k in (0, 1)]
            text = (
                f"{len(goal)} crops, {int(goal.sum())} {words[1]}: AUC {roc_auc_score(goal, scores[:, 1]):.3f}, "
                f"{area_within_sets(goal, scores[:, 1], sets[known]):.3f} in the mean of single sets; "
                f"answered {decided.mean():.2f}, of these right {words[0]} {rates[0]:.2f}, {words[1]} {rates[1]:.2f}"
            )
        elif task in DECIDED:
            decided = scores.max(axis=1) >= limits[task][0]
            text += f"; answered {decided.mean():.2f}, of these right {np.mean((said == goal)[decided]):.3f}"
        elif task == "age":
            text += (
                f"; mean distance to the middle of the true age {np.abs(scores @ AGES - AGES[goal]).mean():.1f} years"
            )
        figures[task] = text
    return figures


def report_colors(
    data: peta.Peta,
    pixels: dict[Part, NDArray[np.int64]],
    found: dict[str, NDArray[np.float32]],
    tested: NDArray[np.bool_],
) -> dict[str, str]:
    """Head and table together on single-coloured garments, and how well the listed colours meet the labelled ones.

    The table is learned from the crops that are not tested.
    """
    table = ColorTable(learn_colors(data, pixels, ~tested))
    figures = {}
    parts: dict[Part, str] = {"upper": "upperBody", "lower": "lowerBody"}
    for part, label in parts.items():
        labelled = data.colors(label)
        index = np.flatnonzero(tested & labelled.any(axis=1))
        shares = mixed(found[part][index], np.stack([table.name(pixels[part][i]).shares for i in index]))
        single = labelled[index].sum(axis=1) == 1
        goal, said = labelled[index].argmax(axis=1), shares[:, : len(NAMED)].argmax(axis=1)
        second = np.argsort(-shares[:, : len(NAMED)], axis=1)[:, :2]
        recalls = [
            (said[single & (goal == k)] == k).mean() for k in range(len(NAMED)) if (single & (goal == k)).sum() >= 8
        ]
        lists = [color_names(row) for row in shares]
        wanted = [{NAMED[k] for k in np.flatnonzero(labelled[i])} for i in index]
        hits = sum(len(goal_names & set(names)) for goal_names, names in zip(wanted, lists, strict=True))
        figures[f"{part} colours"] = (
            f"{int(single.sum())} garments of one colour: right {np.mean((said == goal)[single]):.3f}, among the first "
            f"two {np.mean((second == goal[:, None]).any(axis=1)[single]):.3f}, mean recall of {len(recalls)} colours "
            f"{np.mean(recalls):.3f}; {len(index)} garments: of the listed colours {hits / sum(map(len, lists)):.3f} "
            f"are labelled, of the labelled {hits / sum(map(len, wanted)):.3f} listed"
        )
    return figures


def packed(heads: Mapping[str, NDArray[np.float32]], limits: dict[str, list[float]]) -> bytes:
    """The weights as BodyAttributesHead reads them."""
    hidden = Projection.from_weights(
        heads["mean"], heads["deviation"], heads["attributes_weights"], heads["attributes_bias"]
    )
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        last_weights=heads["last_weights"].astype(np.float16),
        last_bias=heads["last_bias"].astype(np.float32),
        **hidden.arrays(),
        **{f"band_{task}": np.array(values, np.float32) for task, values in limits.items()},
    )
    return stream.getvalue()


def keep(
    data: peta.Peta, heads: Mapping[str, NDArray[np.float32]], unseen: Answers, vectors: NDArray[np.float32]
) -> None:
    """Write the head and its entry of the manifest.

    `unseen`: what networks of the folds said of crops whose cameras they did not see; `vectors`: of all crops of which
    the figures on unseen people need them.
    """
    wanted = targets(data)
    pixels = garment_bins(data)
    limits = bands(unseen, wanted)
    every = np.ones(len(data.sets), bool)
    measured = {f"unseen cameras, {k}": text for k, text in report(unseen, wanted, data.sets, every, limits).items()}
    for held in FOLDS:
        tested = np.isin(data.sets, held)
        for task, text in report_colors(data, pixels, unseen, tested).items():
            measured[f"unseen cameras of {' and '.join(held)}, {task}"] = text
    weights = packed(heads, limits)
    with np.load(io.BytesIO(weights), allow_pickle=False) as arrays:
        kept = BodyAttributesHead(
            Projection.from_arrays(arrays), arrays["last_weights"].astype(np.float32), arrays["last_bias"], {}
        )
    answers = kept.probabilities(vectors)
    tested = (data.groups < TEST_GROUPS) & (data.sets != HELD_SET)
    measured |= {f"unseen people, {k}": text for k, text in report(answers, wanted, data.sets, tested, limits).items()}
    colored = report_colors(data, pixels, answers, tested)
    measured |= {f"unseen people, {k}": text for k, text in colored.items()}
    for name, text in measured.items():
        print(f"{name}: {text}", flush=True)
    record(
        "body_attributes",
        "body_attributes.npz",
        weights,
        {
            "kind": "body-attributes",
            "title": "Attributes of bodies: a head on the network of pedestrians",
            "licence": "research",
            "licence_notes": "Trained on PETA, which its authors issued for research only.",
            "training_data": f"PETA without VIPeR, GRID and {HELD_SET}, people of 8 groups of 10",
            "measured": measured,
        },
    )
