"""The calibrated similarity and the aggregation of descriptors."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunaria.vision.descriptors import Descriptor, aggregate
from lunaria.vision.packs.manifest import built_in_pack
from lunaria.vision.similarity import Similarity, fit_similarity

KNOTS = [(-1.0, 0.0), (0.1, 0.1), (0.3, 0.5), (0.37, 0.75), (0.43, 0.9), (0.48, 0.95), (1.0, 1.0)]


def test_knots_are_met_and_the_ends_are_fixed() -> None:
    similarity = Similarity(KNOTS)
    for cosine, expected in KNOTS:
        assert similarity.from_cosine(cosine) == pytest.approx(expected)
        assert similarity.to_cosine(expected) == pytest.approx(cosine)
    assert similarity.from_cosine(1.0000001) == 1
    assert similarity.from_cosine(-1.0000001) == 0


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_similarity_rises_strictly_and_can_be_inverted(first: float, second: float) -> None:
    similarity = Similarity(KNOTS)
    low, high = sorted((first, second))
    assert float(similarity.to_cosine(similarity.from_cosine(low))) == pytest.approx(low, abs=1e-6)
    if high - low > 1e-6:
        assert similarity.from_cosine(low) < similarity.from_cosine(high)


def test_arrays_keep_their_shape() -> None:
    assert Similarity(KNOTS).from_cosine(np.zeros((3, 4), np.float32)).shape == (3, 4)


@pytest.mark.parametrize(
    "knots",
    [
        [],
        [(-1.0, 0.0)],
        [(-1.0, 0.0), (0.5, 0.5)],
        [(-1.0, 0.1), (1.0, 1.0)],
        [(-1.0, 0.0), (0.5, 0.5), (0.5, 0.6), (1.0, 1.0)],
        [(-1.0, 0.0), (0.4, 0.5), (0.5, 0.5), (1.0, 1.0)],
        [(-1.0, 0.0), (float("nan"), 0.5), (1.0, 1.0)],
    ],
)
def test_knots_that_do_not_rise_are_refused(knots: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="similarity"):
        Similarity(knots)


def test_a_fit_has_the_promised_false_match_rates() -> None:
    rng = np.random.default_rng(2)
    knots, evidence = fit_similarity(rng.normal(0.1, 0.09, 4_000_000), "A normal distribution")
    fresh = Similarity(knots).from_cosine(rng.normal(0.1, 0.09, 4_000_000))
    for rate, threshold in ((1e-2, 0.5), (1e-3, 0.75), (1e-4, 0.9), (1e-5, 0.95)):
        assert (fresh >= threshold).mean() == pytest.approx(rate, rel=0.4)
    assert "A normal distribution" in evidence
    assert "4000000 pairs" in evidence


def test_a_rate_that_too_few_pairs_reach_is_extrapolated_and_said_to_be() -> None:
    knots, evidence = fit_similarity(np.random.default_rng(3).normal(0.1, 0.09, 50_000), "Few")
    Similarity(knots)
    assert evidence.count("(extrapolated)") == 3
    with pytest.raises(ValueError, match="too few"):
        fit_similarity(np.zeros(100), "Nearly nothing")


def test_the_knots_of_the_default_pack_are_a_similarity() -> None:
    descriptor = built_in_pack("default").networks["face_descriptor"].descriptor
    assert descriptor is not None
    similarity = Similarity(descriptor.similarity.knots)
    # The published study of this chain on all of LFW, 29.6 million pairs, to compare with.
    study = similarity.from_cosine([0.303, 0.370, 0.425, 0.478])
    assert np.abs(study - [0.5, 0.75, 0.9, 0.95]).max() < 0.02
    json.dumps(similarity.knots)


def descriptor(values: list[float], score: float, version: int = 1001) -> Descriptor:
    vector = np.array(values, np.float32)
    return Descriptor(vector / np.linalg.norm(vector), version, score)


def test_aggregation_weighs_by_score() -> None:
    result = aggregate([descriptor([1, 0], 0.9), descriptor([0, 1], 0.3)])
    assert np.allclose(result.vector, np.array([3, 1]) / np.sqrt(10), atol=1e-6)
    assert result.vector.dtype == np.float32
    assert result.score == pytest.approx(0.6)
    assert result.version == 1001


def test_aggregation_without_any_score_weighs_equally() -> None:
    assert np.allclose(aggregate([descriptor([1, 0], 0), descriptor([0, 1], 0)]).vector, np.sqrt([0.5, 0.5]))


def test_what_cannot_be_aggregated() -> None:
    with pytest.raises(ValueError, match="nothing"):
        aggregate([])
    with pytest.raises(ValueError, match="versions"):
        aggregate([descriptor([1, 0], 1), descriptor([1, 0], 1, version=59)])
    with pytest.raises(ValueError, match="cancel"):
        aggregate([descriptor([1, 0], 1), descriptor([-1, 0], 1)])
