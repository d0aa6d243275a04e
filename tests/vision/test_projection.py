"""A linear layer whose weights are bytes."""

from __future__ import annotations

import numpy as np

from lunaria.vision.projection import LIMIT, Projection


def test_rounding_to_bytes_changes_little_and_what_is_read_back_is_the_same() -> None:
    rng = np.random.default_rng(0)
    mean, deviation = rng.normal(0, 3, 500), rng.uniform(0.5, 2, 500)
    weights, bias = rng.normal(0, 1, (70, 500)) * rng.uniform(0.01, 5, (70, 1)), rng.normal(0, 1, 70)
    weights[3] = 0
    features = rng.normal(mean, deviation, (9, 500)).astype(np.float32)
    exact = ((features - mean) / deviation) @ weights.T + bias
    layer = Projection.from_weights(mean, deviation, weights, bias)
    found = layer.apply(features)
    assert (np.abs(found - exact).max(axis=0) < 0.05 * exact.std(axis=0) + 1e-3).all()
    again = Projection.from_arrays(layer.arrays()).apply(features)
    assert np.abs(again - found).max() < 0.01 * np.abs(found).max()


def test_an_odd_feature_is_cut_off() -> None:
    layer = Projection.from_weights([0.0, 0.0], [1.0, 1.0], np.array([[1.0, 0.5]]), [0.0])
    assert abs(layer.apply(np.array([[1e6, 0.0]], np.float32))[0, 0] - LIMIT) < 1e-3
