"""The in-memory search against brute force in float64."""

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from numpy.typing import NDArray

from lunaria.matching import _kernels, engine
from lunaria.matching.engine import Gallery, Hits


def unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def true_cosines(queries: NDArray[np.float32], stored: NDArray[np.float16]) -> NDArray[np.float64]:
    """(Q, n), by another way than the engine's: a product of matrices of unit float64 vectors."""
    left, right = queries.astype(np.float64), stored.astype(np.float64)
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    return left @ right.T


def assert_exact(
    answers: list[Hits],
    queries: NDArray[np.float32],
    stored: dict[int, NDArray[np.float16]],
    limit: int,
    minimum: float = -1.0,
) -> None:
    """The answers are the best of `stored`; only cosines closer than float64's own error may change places."""
    assert len(answers) == len(queries)
    rows = np.array(sorted(stored), np.int32)
    truth = true_cosines(queries, np.stack([stored[int(row)] for row in rows])) if len(rows) else None
    for number, hits in enumerate(answers):
        assert hits.rows.dtype == np.int32
        assert hits.cosines.dtype == np.float32
        if truth is None:
            assert len(hits.rows) == len(hits.cosines) == 0
            continue
        cosines = np.clip(truth[number], -1, 1)
        order = np.lexsort((rows, -cosines))
        expected = order[cosines[order] >= minimum][:limit]
        assert minimum == -1 or (np.abs(cosines - minimum) > 1e-6).all()  # else the expectation is not sure
        assert len(hits.rows) == len(expected)
        assert len(set(hits.rows.tolist())) == len(hits.rows)
        # float32 keeps 2**-25 of a cosine near 1
        np.testing.assert_allclose(hits.cosines, cosines[expected], rtol=0, atol=6.1e-8)
        own = cosines[np.searchsorted(rows, hits.rows)]
        np.testing.assert_allclose(hits.cosines, own, rtol=0, atol=6.1e-8)
        assert (np.diff(hits.cosines) <= 0).all()
        tied = np.diff(hits.cosines) == 0
        assert (np.diff(hits.rows)[tied] > 0).all()


def clustered(random: np.random.Generator, count: int, dimension: int, spread: float) -> NDArray[np.float32]:
    """Unit vectors round few centres, `spread` being the length of what is added to a centre."""
    centres = unit(random.standard_normal((max(1, count // 20), dimension)))
    noise = unit(random.standard_normal((count, dimension)))
    return unit(centres[random.integers(0, len(centres), count)] + spread * noise)


@pytest.mark.parametrize("dimension", [1, 3, 128, 256, 512, 2048])
@pytest.mark.parametrize("spread", [None, 0.5, 1e-2, 1e-3, 0.0])
def test_finds_the_true_best(dimension: int, spread: float | None) -> None:
    random = np.random.default_rng(7)
    count = 3000 if dimension < 2048 else 1500
    if spread is None:
        vectors = unit(random.standard_normal((count, dimension))).astype(np.float16)
    else:
        vectors = clustered(random, count, dimension, spread).astype(np.float16)
    gallery = Gallery(dimension)
    rows = random.permutation(count).astype(np.int32)
    gallery.put(rows, vectors)
    stored = dict(zip(rows.tolist(), vectors, strict=True))
    for queries in (1, 2, 5, 33, 40):
        near = vectors[random.integers(0, count, queries)].astype(np.float32)
        asked = unit(near + 0.1 * unit(random.standard_normal((queries, dimension))))
        for limit in (1, 10):
            assert_exact(gallery.search(asked, limit), asked, stored, limit)


@pytest.mark.parametrize("dimension", [64, 512, 2048])
@pytest.mark.parametrize("others", [0, 700])
def test_finds_a_row_whose_code_errs_as_much_as_it_can(dimension: int, others: int) -> None:
    """The target's code is rounded down in every component, along the query, and the rivals are nearly as good."""

    def row(steps: float) -> NDArray[np.float16]:
        vector = np.full(dimension, steps / _kernels.PEAK)
        vector[0] = 1
        return vector.astype(np.float16)

    asked = unit(np.ones((1, dimension)))  # coded without a loss, so that only the target's own loss can save it
    rivals = np.stack([row(64.3 - 0.0001 * number) for number in range(600)])
    stored = dict(enumerate([*rivals, row(64.45)]))
    noise = unit(np.random.default_rng(1).standard_normal((others, dimension))).astype(np.float16)
    stored.update(zip(range(1000, 1000 + others), noise, strict=True))
    gallery = Gallery(dimension)
    gallery.put(np.array(list(stored), np.int32), np.stack(list(stored.values())))
    for limit in (1, 10, 300):
        answers = gallery.search(asked, limit)
        assert answers[0].rows[0] == 600
        assert_exact(answers, asked, stored, limit)
        both = np.concatenate((asked, -asked))
        assert_exact(gallery.search(both, limit), both, stored, limit)


def test_several_blocks_and_threads_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(11)
    vectors = clustered(random, 20_000, 64, 0.7).astype(np.float16)
    asked = unit(random.standard_normal((7, 64)))
    rows = np.arange(20_000, dtype=np.int32)
    one = Gallery(64)
    one.put(rows, vectors)
    monkeypatch.setattr(engine, "_BLOCK_BYTES", 64 * 1024)
    many = Gallery(64, capacity=0, threads=3)
    many.put(rows, vectors)
    try:
        for chosen in (None, rows[::7], rows[100:18_000]):
            kept = {int(row): vectors[row] for row in (rows if chosen is None else chosen)}
            for number in (1, 7):
                expected = one.search(asked[:number], 25, rows=chosen)
                assert_exact(expected, asked[:number], kept, 25)
                for mine, theirs in zip(many.search(asked[:number], 25, rows=chosen), expected, strict=True):
                    np.testing.assert_array_equal(mine.rows, theirs.rows)
                    np.testing.assert_array_equal(mine.cosines, theirs.cosines)
    finally:
        many.close()


def test_equal_descriptors_tie_and_come_by_row() -> None:
    random = np.random.default_rng(3)
    vector = unit(random.standard_normal((1, 512)))
    others = unit(random.standard_normal((300, 512)))
    gallery = Gallery(512)
    gallery.put(np.arange(300, dtype=np.int32), others)
    same = np.array([907, 5, 66, 1200, 7], np.int32)
    gallery.put(same, np.repeat(vector, 5, axis=0))
    for queries in (vector, np.concatenate((vector, others[:8]))):
        hits = gallery.search(queries, 4)[0]
        assert hits.rows.tolist() == [5, 7, 66, 907]
        assert len(set(hits.cosines.tolist())) == 1


def test_a_descriptor_has_the_cosine_one_with_itself() -> None:
    stored = unit(np.random.default_rng(5).standard_normal((50, 256))).astype(np.float16)
    gallery = Gallery(256)
    gallery.put(np.arange(50, dtype=np.int32), stored)
    for row, hits in enumerate(gallery.search(stored.astype(np.float32), 1)):
        assert hits.rows.tolist() == [row]
        assert hits.cosines.tolist() == [1.0]


def test_more_asked_than_there_is() -> None:
    vectors = unit(np.random.default_rng(2).standard_normal((700, 32))).astype(np.float16)
    gallery = Gallery(32)
    gallery.put(np.arange(700, dtype=np.int32) * 3, vectors)
    asked = unit(np.random.default_rng(4).standard_normal((3, 32)))
    stored = {number * 3: vector for number, vector in enumerate(vectors)}
    answers = gallery.search(asked, 10_000)
    assert [len(hits.rows) for hits in answers] == [700, 700, 700]
    assert_exact(answers, asked, stored, 10_000)


def test_minimum_cuts_the_answer() -> None:
    random = np.random.default_rng(9)
    vectors = clustered(random, 2000, 128, 0.8).astype(np.float16)
    gallery = Gallery(128)
    gallery.put(np.arange(2000, dtype=np.int32), vectors)
    asked = vectors[:4].astype(np.float32)
    for minimum in (-0.05, 0.3, 0.55, 0.999):
        answers = gallery.search(asked, 3000, minimum=minimum)
        assert_exact(answers, asked, dict(enumerate(vectors)), 3000, minimum)
        assert 0 < len(answers[0].rows) < 2000
    assert [len(hits.rows) for hits in gallery.search(asked, 5, minimum=1.5)] == [0] * 4


def test_nothing_to_find() -> None:
    asked = unit(np.ones((2, 16)))
    nobody = np.empty(0, np.int32)
    gallery = Gallery(16, capacity=0)
    assert [len(hits.rows) for hits in gallery.search(asked, 3)] == [0, 0]
    assert [len(hits.rows) for hits in gallery.search(asked, 3, rows=np.array([4], np.int32))] == [0, 0]
    gallery.put(np.array([8], np.int32), unit(np.ones((1, 16))))
    assert len(gallery) == 1
    assert [len(hits.rows) for hits in gallery.search(asked, 3, rows=nobody)] == [0, 0]
    assert [len(hits.rows) for hits in gallery.search(asked, 0)] == [0, 0]
    assert gallery.search(asked[:0], 3) == []
    gallery.put(nobody, np.empty((0, 16), np.float32))
    gallery.remove(np.array([8, 9, 10**6], np.int32))
    assert len(gallery) == 0
    assert [len(hits.rows) for hits in gallery.search(asked, 3)] == [0, 0]
    assert [len(hits.rows) for hits in gallery.search(asked, 3, rows=np.array([8], np.int32))] == [0, 0]


def test_pairs_gives_the_cosines_of_a_search() -> None:
    random = np.random.default_rng(21)
    vectors = unit(random.standard_normal((400, 512)))
    gallery = Gallery(512)
    gallery.put(np.arange(400, dtype=np.int32), vectors)
    gallery.remove(np.array([17], np.int32))
    asked = unit(random.standard_normal((6, 512)))
    rows = np.array([399, 17, 4, 4, 10**7, 250], np.int32)
    cosines = gallery.pairs(asked, rows)
    assert cosines.shape == (6, 6)
    assert gallery.pairs(asked[:0], rows).shape == (0, 6)
    assert cosines.dtype == np.float32
    assert np.isnan(cosines).tolist() == [[False, True, False, False, True, False]] * 6
    for number, hits in enumerate(gallery.search(asked, 400)):
        found = dict(zip(hits.rows.tolist(), hits.cosines.tolist(), strict=True))
        assert [found[row] for row in (399, 4, 4, 250)] == cosines[number, [0, 2, 3, 5]].tolist()


def test_of_a_row_given_twice_the_last_counts() -> None:
    vectors = unit(np.eye(3, 8))
    gallery = Gallery(8)
    gallery.put(np.array([5, 6, 5], np.int32), vectors)
    assert len(gallery) == 2
    assert gallery.pairs(vectors, np.array([5, 6], np.int32)).tolist() == [[0, 0], [0, 1], [1, 0]]


def test_bad_input_is_refused_and_changes_nothing() -> None:
    gallery = Gallery(8)
    good = unit(np.eye(2, 8))
    rows = np.array([0, 1], np.int32)
    gallery.put(rows, good)
    for bad in (np.nan, np.inf, 1e30):
        vectors = good.copy()
        vectors[1, 1] = bad
        with pytest.raises(ValueError, match="finite"):
            gallery.put(rows[::-1].copy(), vectors)
    with pytest.raises(ValueError, match="zeros"):
        gallery.put(rows, np.zeros((2, 8), np.float16))
    with pytest.raises(ValueError, match="shape"):
        gallery.put(rows, np.ones((2, 9), np.float16))
    with pytest.raises(ValueError, match="2 rows for 1 vectors"):
        gallery.put(rows, good[:1])
    with pytest.raises(ValueError, match="rows must be from 0"):
        gallery.put(np.array([0, -1], np.int32), good)
    with pytest.raises(ValueError, match="rows must be from 0"):
        gallery.search(good, 1, rows=np.array([-1]))
    with pytest.raises(TypeError, match="rows must be integers"):
        gallery.remove(np.array([0.5]))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="floats"):
        gallery.search(np.ones((1, 8), np.int8), 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="zeros"):
        gallery.search(np.zeros((1, 8), np.float32), 1)
    with pytest.raises(ValueError, match="finite"):
        gallery.search(np.full((1, 8), 1e300), 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="shape"):
        gallery.search(good[0], 1)
    with pytest.raises(ValueError, match="limit"):
        gallery.search(good, -1)
    with pytest.raises(ValueError, match="minimum"):
        gallery.search(good, 1, minimum=float("nan"))
    with pytest.raises(ValueError, match="dimension"):
        Gallery(0)
    np.testing.assert_array_equal(gallery.pairs(good, rows), np.eye(2, dtype=np.float32))


def test_a_distant_row_reserves_no_memory() -> None:
    gallery = Gallery(512)
    gallery.put(np.array([50_000_000], np.int32), unit(np.ones((1, 512))))
    assert gallery.search(unit(np.ones((1, 512))), 5)[0].rows.tolist() == [50_000_000]


def test_memory_of_a_row() -> None:
    gallery = Gallery(512)
    rows = np.arange(65_536, dtype=np.int32)
    for start in range(0, len(rows), 8192):
        gallery.put(rows[start : start + 8192], np.ones((8192, 512), np.float16))
    assert gallery.nbytes == 65_536 * (512 * 3 + 16)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), dimension=st.sampled_from([1, 2, 17, 128, 512]), peaky=st.booleans())
def test_the_bound_holds(seed: int, dimension: int, peaky: bool) -> None:
    """No product strays from its cosine by more than the loss that the scan allows for."""
    random = np.random.default_rng(seed)
    stored, asked = random.standard_normal((64, dimension)), random.standard_normal((5, dimension))
    if peaky:  # one large component makes the steps of the others coarse
        stored[:, 0] *= 50
        asked[::2, 0] *= 50
    halves, asked = stored.astype(np.float16), asked.astype(np.float32)
    coded, queries = _kernels.encode(_kernels.widen(halves)), _kernels.CodedQueries(asked)
    approximate = queries.products(coded.codes)[:, : len(asked)] * (coded.scale[:, None] * queries.scale)
    loss = coded.residual * (1 + queries.residual) + queries.residual + _kernels.ROUNDING
    assert (np.abs(approximate - true_cosines(asked, halves).T) <= loss[:, None]).all()
    assert queries.residual < 0.5 / _kernels.PEAK * np.sqrt(dimension) + 1e-6


class GalleryMachine(RuleBasedStateMachine):
    """Random puts, removes and searches beside a dictionary."""

    touched = Bundle("touched")

    @initialize(
        dimension=st.sampled_from([2, 8, 64]), seed=st.integers(0, 2**16), spread=st.sampled_from([0.0, 1e-3, 2.0])
    )
    def start(self, dimension: int, seed: int, spread: float) -> None:
        self.random = np.random.default_rng(seed)
        self.dimension = dimension
        self.spread = spread
        self.centre = unit(self.random.standard_normal((1, dimension)))
        self.gallery = Gallery(dimension, capacity=0)
        self.gallery._block_rows = 128
        self.stored: dict[int, NDArray[np.float16]] = {}

    def vectors(self, count: int) -> NDArray[np.float16]:
        noise = unit(self.random.standard_normal((count, self.dimension)))
        return unit(self.centre + self.spread * noise).astype(np.float16)

    @rule(target=touched, start=st.integers(0, 500), count=st.integers(1, 200), shuffled=st.booleans())
    def put(self, start: int, count: int, shuffled: bool) -> tuple[int, int]:
        rows = np.arange(start, start + count, dtype=np.int32)
        if shuffled:
            self.random.shuffle(rows)
        vectors = self.vectors(count)
        self.gallery.put(rows, vectors)
        self.stored.update(zip(rows.tolist(), vectors, strict=True))
        return start, count

    @rule(area=touched, every=st.integers(1, 3))
    def remove(self, area: tuple[int, int], every: int) -> None:
        rows = np.arange(area[0], sum(area), every, dtype=np.int32)
        self.gallery.remove(rows)
        for row in rows.tolist():
            self.stored.pop(row, None)

    @rule(queries=st.integers(1, 40), limit=st.sampled_from([1, 3, 50, 1000]))
    def search(self, queries: int, limit: int) -> None:
        asked = self.vectors(queries).astype(np.float32)
        assert_exact(self.gallery.search(asked, limit), asked, self.stored, limit)

    @rule(queries=st.integers(1, 9), count=st.integers(0, 900), limit=st.sampled_from([1, 3, 50]))
    def search_among(self, queries: int, count: int, limit: int) -> None:
        asked = self.vectors(queries).astype(np.float32)
        rows = self.random.integers(0, 1000, count).astype(np.int32)
        kept = {row: self.stored[row] for row in set(rows.tolist()) & set(self.stored)}
        assert_exact(self.gallery.search(asked, limit, rows=rows), asked, kept, limit)

    @invariant()
    def counts(self) -> None:
        assert len(self.gallery) == len(self.stored)


TestGalleryMachine = GalleryMachine.TestCase
TestGalleryMachine.settings = settings(
    max_examples=40, stateful_step_count=12, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def test_no_search_sees_a_torn_row() -> None:
    """A row flips between two vectors while searches run: every cosine belongs to one of the two."""
    dimension, rows = 2048, np.arange(64, dtype=np.int32)
    one, other = np.zeros((64, dimension), np.float16), np.zeros((64, dimension), np.float16)
    one[:, : dimension // 2] = 1
    other[:, dimension // 2 :] = 1
    asked = unit(np.ones((1, dimension)) + np.r_[np.ones(dimension // 2), np.zeros(dimension // 2)][None])
    gallery = Gallery(dimension)
    gallery.put(rows, one)
    legal = {gallery.search(asked, 1)[0].cosines[0]}
    gallery.put(rows, other)
    legal.add(gallery.search(asked, 1)[0].cosines[0])
    assert len(legal) == 2
    ended = threading.Event()
    seen: list[set[np.float32]] = []

    def look(queries: NDArray[np.float32]) -> None:
        found: set[np.float32] = set()
        while not ended.is_set():
            for hits in gallery.search(queries, 64):
                assert len(hits.rows) == 64
                found.update(hits.cosines)
        seen.append(found)

    readers = [threading.Thread(target=look, args=(np.repeat(asked, count, axis=0),)) for count in (1, 4)]
    for reader in readers:
        reader.start()
    for turn in range(300):
        gallery.put(rows, one if turn % 2 else other)
    ended.set()
    for reader in readers:
        reader.join()
    assert len(seen) == 2
    assert set().union(*seen) == legal
