"""Pictures of curves: the same figures give the same few bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bench.plots import draw_histogram, draw_ranks, draw_roc

from lunaria.evaluation.classification import roc_points
from lunaria.evaluation.numbers import Errors

pytest.importorskip("matplotlib", reason="the extra `bench` is not installed")


def test_pictures_are_small_and_the_same_each_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    curve = roc_points(rng.normal(1, 1, 2000), rng.normal(0, 1, 3000))
    for folder in (tmp_path / "one", tmp_path / "other"):
        draw_roc({"score": curve}, {"score": (0.1, 0.6)}, "title", folder / "roc.svg")
        draw_histogram(*Errors(rng.normal(0, 6, 3)).histogram(5), ("years", "faces"), folder / "age.png")
        draw_ranks({"set": np.linspace(0.5, 1, 20)}, "title", folder / "ranks.svg")
    for name in ("roc.svg", "ranks.svg"):
        first = (tmp_path / "one" / name).read_bytes()
        assert first == (tmp_path / "other" / name).read_bytes()
        assert b"<dc:date>" not in first
        assert len(first) < 20_000
    assert (tmp_path / "one" / "age.png").read_bytes().startswith(b"\x89PNG")
