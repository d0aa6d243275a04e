"""Figures of networks for bodies, from arrays alone: this needs nothing of the product."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

FEWEST = 10
"""A set with fewer crops of either word says nothing about an attribute."""


def area_within_sets(goal: NDArray[Any], scores: NDArray[Any], sets: NDArray[np.str_]) -> float:
    """The mean AUC of the sets that have ten of each word: there it is no help to tell sets apart."""
    areas = [
        roc_auc_score(goal[sets == name], scores[sets == name])
        for name in np.unique(sets)
        if FEWEST <= goal[sets == name].sum() <= (sets == name).sum() - FEWEST
    ]
    return float(np.mean(areas)) if areas else float("nan")


def ranks(points: NDArray[np.float32], persons: NDArray[np.str_]) -> tuple[int, int, NDArray[np.int64], float]:
    """One probe of each person with several crops, drawn at random, against all other crops.

    The number of probes and of crops searched in, the place of the first right one for each probe from 0, and the mean
    average precision.
    """
    rng = np.random.default_rng(0)
    names, counts = np.unique(persons, return_counts=True)
    probes = np.array([rng.choice(np.flatnonzero(persons == name)) for name in names[counts > 1]])
    gallery = np.setdiff1d(np.arange(len(persons)), probes)
    scores = points[probes] @ points[gallery].T
    hits = persons[gallery][None] == persons[probes][:, None]
    order = np.argsort(-scores, axis=1)
    first = np.take_along_axis(hits, order, axis=1).argmax(axis=1)
    precision = [average_precision_score(hit, score) for hit, score in zip(hits, scores, strict=True)]
    return len(probes), len(gallery), first, float(np.mean(precision))


def pairs_within_sets(
    points: NDArray[np.float32], persons: NDArray[np.str_], sets: NDArray[np.str_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cosines of pairs of the same person and of different persons, both crops from the same set."""
    genuine, impostor = [], []
    for name in np.unique(sets):
        own, people = points[sets == name], persons[sets == name]
        rows, columns = np.triu_indices(len(own), 1)
        cosines, same = (own @ own.T)[rows, columns], people[rows] == people[columns]
        genuine.append(cosines[same])
        impostor.append(cosines[~same])
    return np.concatenate(genuine), np.concatenate(impostor)


def summary(
    answers: dict[str, NDArray[np.float32]],
    wanted: dict[str, NDArray[np.float32]],
    points: NDArray[np.float32],
    persons: NDArray[np.str_],
    sets: NDArray[np.str_],
    unidentified: str,
) -> dict[str, float]:
    """What one number says about each task and about the descriptor, on crops that were not trained on.

    Yes or no: area under the curve within sets. Several words: mean recall of garments, else how many are right.
    The descriptor: area of pairs within sets, and mean average precision and share of first places, mean of the sets.
    `unidentified`: a set whose persons are not known.
    """
    found: dict[str, float] = {}
    for task, values in wanted.items():
        known = values.max(axis=1) == 1
        goal, scores = values[known].argmax(axis=1), answers[task][known]
        if scores.shape[1] == 2:
            found[task] = area_within_sets(goal, scores[:, 1], sets[known])
        elif task == "garment":
            said = scores.argmax(axis=1)
            found[task] = float(np.mean([(said[goal == word] == word).mean() for word in np.unique(goal)]))
        else:
            found[task] = float((scores.argmax(axis=1) == goal).mean())
    identified = sets != unidentified
    own, people, places = points[identified], persons[identified], sets[identified]
    genuine, impostor = pairs_within_sets(own, people, places)
    if len(genuine):
        goal = np.repeat([1, 0], [len(genuine), len(impostor)])
        found["pairs"] = float(roc_auc_score(goal, np.concatenate([genuine, impostor])))
    precisions, firsts = [], []
    for name in np.unique(places):
        inside = places == name
        if np.unique(people[inside], return_counts=True)[1].max() > 1:
            _, _, first, precision = ranks(own[inside], people[inside])
            precisions.append(precision)
            firsts.append(float((first == 0).mean()))
    if precisions:
        found["precision"], found["first"] = float(np.mean(precisions)), float(np.mean(firsts))
    return found
