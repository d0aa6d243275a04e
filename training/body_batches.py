"""The crops that `training.body_crops` packed, and batches of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

SIZE = (256, 128)
SETS_AT_ONCE, PERSONS, CROPS, OTHERS = 4, 8, 4, 128
"""A batch: so many sets, persons of each, crops of each person, and crops drawn from all for the attributes alone."""


@dataclass(frozen=True)
class Crops:
    """What `training.body_crops` wrote, the images (N, 3, 128, 64) on the device."""

    images: Tensor
    sets: NDArray[np.str_]
    persons: NDArray[np.str_]
    groups: NDArray[np.int64]
    targets: Mapping[str, NDArray[np.float32]]
    evenness: Mapping[str, float]

    @classmethod
    def read(cls, file: Path, device: torch.device, most: int | None) -> Crops:
        with np.load(file, allow_pickle=False) as arrays:
            lengths = arrays["lengths"]
            ends = np.cumsum(lengths)
            kept = np.arange(len(ends)) if most is None else np.linspace(0, len(ends) - 1, most).astype(int)
            stream = arrays["jpeg"]
            images = [cv2.imdecode(stream[ends[i] - lengths[i] : ends[i]], cv2.IMREAD_COLOR)[:, :, ::-1] for i in kept]
            tasks = [name.removeprefix("target_") for name in arrays.files if name.startswith("target_")]
            return cls(
                torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous().to(device),
                arrays["sets"][kept],
                arrays["persons"][kept],
                arrays["groups"][kept],
                {task: arrays[f"target_{task}"][kept].astype(np.float32) for task in tasks},
                {task: float(arrays[f"evenness_{task}"]) for task in tasks},
            )

    def plain(self, index: NDArray[np.int64] | Tensor) -> Tensor:
        """Crops as warps (N, 3, 256, 128), 0..255."""
        chosen = self.images[index].float()
        return functional.interpolate(chosen, size=SIZE, mode="bilinear", align_corners=False).round()


class Batches:
    """Draws batches of crops: persons by sets first, then others."""

    def __init__(self, crops: Crops, used: NDArray[np.bool_], identified: NDArray[np.bool_], seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._used = np.flatnonzero(used)
        known = np.flatnonzero(used & identified)
        names, self.labels = np.unique(crops.persons[known], return_inverse=True)
        self.persons = len(names)
        self.label_of = np.full(len(crops.sets), -1)
        self.label_of[known] = self.labels
        self._crops = [known[self.labels == person] for person in range(self.persons)]
        self.set_of = np.array([crops.sets[own[0]] for own in self._crops])
        self._sets = [np.flatnonzero(self.set_of == name) for name in np.unique(self.set_of)]
        # A person seen often teaches most; a large set is drawn more often, yet not as often as it is large.
        self._chances = []
        for inside in self._sets:
            weights = np.array([min(len(self._crops[k]), CROPS) for k in inside], float)
            self._chances.append(weights / weights.sum())
        size = np.sqrt([len(inside) for inside in self._sets])
        self._share = size / size.sum()

    def draw(self) -> NDArray[np.int64]:
        """The crops of a batch, those of persons in rows of CROPS first."""
        parts = []
        at_once = min(SETS_AT_ONCE, len(self._sets))
        for place in self._rng.choice(len(self._sets), at_once, replace=False, p=self._share):
            inside = self._sets[place]
            count = min(PERSONS, (self._chances[place] > 0).sum())
            for person in self._rng.choice(inside, count, replace=False, p=self._chances[place]):
                own = self._crops[person]
                parts.append(self._rng.choice(own, CROPS, replace=len(own) < CROPS))
        parts.append(self._rng.choice(self._used, min(OTHERS, len(self._used)), replace=False))
        return np.concatenate(parts)


def counted(targets: NDArray[np.float32], used: NDArray[np.bool_], evenness: float) -> NDArray[np.float32]:
    """(N,): what each crop counts for a task: rare words more."""
    known = used & (targets.sum(axis=1) > 0)
    shares = targets[known].mean(axis=0) + 1e-3
    weights = targets @ shares**-evenness
    return np.asarray(weights / weights[known].mean(), np.float32)
