"""Faces and bodies of the same person."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from lunaria.vision.association import associate, cheapest_assignment


def test_the_assignment_is_the_cheapest_of_all() -> None:
    generator = np.random.default_rng(5)
    for _ in range(200):
        rows = int(generator.integers(1, 6))
        columns = rows + int(generator.integers(0, 3))
        costs = generator.integers(-4, 9, (rows, columns)).astype(np.float64)
        chosen = cheapest_assignment(costs)
        assert len(set(chosen.tolist())) == rows
        least = min(
            sum(costs[row, column] for row, column in enumerate(way))
            for way in itertools.permutations(range(columns), rows)
        )
        assert costs[np.arange(rows), chosen].sum() == pytest.approx(least)


def test_more_rows_than_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="a column for every row"):
        cheapest_assignment(np.zeros((3, 2)))


def body(left: float, top: float, height: float) -> list[float]:
    return [left, top, left + height * 0.4, top + height]


def face_of(box: list[float]) -> list[float]:
    left, top, right, bottom = box
    height = 0.16 * (bottom - top)
    middle = (left + right) / 2
    return [middle - 0.4 * height, top + 0.02 * (bottom - top), middle + 0.4 * height, top + height]


def test_every_face_of_a_crowd_finds_its_body_quickly() -> None:
    generator = np.random.default_rng(1)
    bodies = [
        body(110.0 * column, 90.0 * row, generator.uniform(280, 320)) for row in range(10) for column in range(20)
    ]
    order = generator.permutation(len(bodies))
    faces = np.array([face_of(bodies[index]) for index in order])
    start = time.process_time()
    assert associate(faces, np.array(bodies)).tolist() == order.tolist()
    assert time.process_time() - start < 2


def test_a_face_elsewhere_stays_alone_and_no_body_is_given_twice() -> None:
    standing = body(100, 50, 400)
    face = face_of(standing)
    feet = [150.0, 400, 200, 450]
    far = [700.0, 50, 760, 120]
    assert associate(np.array([far, face, feet]), np.array([standing])).tolist() == [-1, 0, -1]
    assert associate(np.array([face, face]), np.array([standing])).tolist().count(0) == 1
    assert associate(np.zeros((0, 4)), np.array([standing])).shape == (0,)
    assert associate(np.array([face]), np.zeros((0, 4))).tolist() == [-1]
