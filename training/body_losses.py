"""What the network of bodies is trained to make small: losses of the descriptor and of the attributes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

SHARPNESS, MARGIN, ID_SCALE, ID_SMOOTHING, TRIPLET_WEIGHT = 12.0, 0.1, 20.0, 0.1, 4.0
WORD_SMOOTHING = 0.05


def losses_of_descriptors(raw: Tensor, labels: Tensor, sets: Tensor, classes: Tensor, class_sets: Tensor) -> Tensor:
    """Triplets and persons. `labels` (N,), -1 where no person is known."""
    points = functional.normalize(raw.float())
    known = labels >= 0
    scores = ID_SCALE * points @ functional.normalize(classes).T
    foreign = sets[:, None] != class_sets[None]
    scores = scores.masked_fill(foreign, -1e4)
    chosen = torch.where(known, labels, 0)
    # Smoothed over the persons of the same set: a share for persons that are no answer would be a loss without end.
    logs = scores.log_softmax(dim=1)
    inside = (~foreign).float()
    spread = (logs * inside).sum(dim=1) / inside.sum(dim=1).clamp(min=1)
    right = logs.gather(1, chosen[:, None])[:, 0]
    identity = -((1 - ID_SMOOTHING) * right + ID_SMOOTHING * spread)
    identity = (identity * known).sum() / known.sum().clamp(min=1)

    same = (labels[:, None] == labels[None]) & known[:, None]
    comparable = known[:, None] & known[None] & (sets[:, None] == sets[None]) & ~same
    cosines = points @ points.T
    itself = torch.eye(len(points), dtype=torch.bool, device=points.device)
    farthest = cosines.masked_fill(~same | itself, 9).min(dim=1).values
    nearest = cosines.masked_fill(~comparable, -9).max(dim=1).values
    usable = (same & ~itself).any(dim=1) & comparable.any(dim=1)
    each = functional.softplus(SHARPNESS * (nearest - farthest + MARGIN)) / SHARPNESS
    triplets = (each * usable).sum() / usable.sum().clamp(min=1)
    return TRIPLET_WEIGHT * triplets + identity


def losses_of_words(scores: Tensor, goals: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    parts = scores.float().split([goal.shape[1] for goal in goals], dim=1)
    found = []
    for part, goal, weight in zip(parts, goals, weights, strict=True):
        smooth = goal * (1 - WORD_SMOOTHING) + goal.sum(dim=1, keepdim=True) * WORD_SMOOTHING / goal.shape[1]
        found.append((-(smooth * part.log_softmax(dim=1)).sum(dim=1) * weight).mean())
    return torch.stack(found).sum()
