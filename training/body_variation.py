"""Crops of pedestrians as other cameras and other boxes would give them, whole batches at once on any device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SCALE, STRETCH, SHIFT, TURN = 0.12, 0.07, 0.06, 0.07
GAMMA, GAIN, CAST, CONTRAST, OFFSET, SATURATION = 0.35, 0.17, 0.09, 0.25, 0.06, 0.3
STRONG_CAST, STRONG_CAST_SHARE = 0.16, 0.3
COARSER_SHARE, COARSEST = 0.5, 0.25
AT_ONCE = 32
"""So many crops become coarser by the same factor."""

NOISE, NOISE_SHARE = 0.05, 0.4
COVERED_SHARE, LEAST_COVERED, MOST_COVERED = 0.35, 0.04, 0.25


def varied(crops: Tensor, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Crops (N, 3, h, w), 0..255, as images (N, 3, *size), 0..255: mirrored, shifted, turned, in other light, coarser,
    noisy, partly covered. `generator` is of the same device."""
    images = _moved(crops, size, generator) / 255
    images = _coarser(_relit(images, generator), generator)
    count = len(images)

    def draw(*shape: int) -> Tensor:
        return torch.rand(count, *shape, device=images.device, generator=generator)

    strength = NOISE * draw(1, 1, 1) * (draw(1, 1, 1) < NOISE_SHARE)
    images = images + strength * torch.randn(images.shape, device=images.device, generator=generator)
    return (_covered(images, generator).clamp(0, 1) * 255).round()


def _uniform(count: int, reach: float, generator: torch.Generator, *shape: int) -> Tensor:
    """Numbers between -reach and reach (count, *shape)."""
    return (torch.rand(count, *shape, device=generator.device, generator=generator) * 2 - 1) * reach


def _moved(crops: Tensor, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    count, ratio = len(crops), size[1] / size[0]
    scale = 1 + _uniform(count, SCALE, generator, 2) + _uniform(count, STRETCH, generator, 1)
    mirrored = torch.rand(count, device=crops.device, generator=generator) < 0.5
    turn = _uniform(count, TURN, generator)
    across, along = scale[:, 0] * torch.where(mirrored, -1.0, 1.0), scale[:, 1]
    shift = 2 * _uniform(count, SHIFT, generator, 2)
    # Axes of the grid run from -1 to 1 whatever the sides are, hence the ratio in what turns one into the other.
    matrix = torch.stack(
        [
            torch.stack([across * turn.cos(), -along * turn.sin() / ratio, shift[:, 0]], dim=1),
            torch.stack([across * turn.sin() * ratio, along * turn.cos(), shift[:, 1]], dim=1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(matrix, [count, 3, *size], align_corners=False)
    return functional.grid_sample(crops.float(), grid, padding_mode="border", align_corners=False)


def _relit(images: Tensor, generator: torch.Generator) -> Tensor:
    count = len(images)
    images = images.clamp(1e-4, 1) ** _uniform(count, GAMMA, generator, 1, 1, 1).exp()
    strong = torch.rand(count, 1, 1, 1, device=images.device, generator=generator) < STRONG_CAST_SHARE
    cast = torch.where(
        strong, _uniform(count, STRONG_CAST, generator, 3, 1, 1), _uniform(count, CAST, generator, 3, 1, 1)
    )
    images = images * (1 + cast) * (1 + _uniform(count, GAIN, generator, 1, 1, 1))
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (1 + _uniform(count, SATURATION, generator, 1, 1, 1))
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    contrast = 1 + _uniform(count, CONTRAST, generator, 1, 1, 1)
    return (images - mean) * contrast + mean + _uniform(count, OFFSET, generator, 1, 1, 1)


def _coarser(images: Tensor, generator: torch.Generator) -> Tensor:
    height, width = images.shape[2:]
    parts = []
    for part in images.split(AT_ONCE):
        drawn = torch.rand(2, generator=_HOST).tolist()
        if drawn[0] < COARSER_SHARE:
            factor = COARSEST + (0.75 - COARSEST) * drawn[1]
            small = functional.interpolate(part, size=(round(height * factor), round(width * factor)), mode="area")
            part = functional.interpolate(small, size=(height, width), mode="bilinear", align_corners=False)
        parts.append(part)
    return torch.cat(parts)


_HOST = torch.Generator().manual_seed(0)
"""Sizes are drawn on the processor: reading them from another device would make it wait."""


def _covered(images: Tensor, generator: torch.Generator) -> Tensor:
    """A rectangle of some crops filled with their mean colour or with noise."""
    count, _, height, width = images.shape

    def draw(*shape: int) -> Tensor:
        return torch.rand(count, *shape, device=images.device, generator=generator)

    area = LEAST_COVERED + (MOST_COVERED - LEAST_COVERED) * draw()
    aspect = (_uniform(count, 1.1, generator)).exp()
    tall, wide = (area * aspect).sqrt().clamp(max=0.9), (area / aspect).sqrt().clamp(max=0.9)
    top, left = draw() * (1 - tall), draw() * (1 - wide)
    rows = torch.arange(height, device=images.device)[None, :] / height
    columns = torch.arange(width, device=images.device)[None, :] / width
    inside = ((rows >= top[:, None]) & (rows < (top + tall)[:, None]))[:, None, :, None] & (
        (columns >= left[:, None]) & (columns < (left + wide)[:, None])
    )[:, None, None, :]
    chosen = inside & (draw(1, 1, 1) < COVERED_SHARE)
    filling = images.mean(dim=(2, 3), keepdim=True) + _uniform(count, 0.15, generator, 3, 1, 1)
    return torch.where(chosen, filling, images)
