"""The scan: which rows of a block can still be among the best of a query, and the ranking of those that are."""

import math
import threading
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lunaria.matching._blocks import Block
from lunaria.matching._kernels import ROUNDING, CodedQueries, exact_cosines

_INT32: Final = np.iinfo(np.int32)


class Piece(NamedTuple):
    """What one step of a scan looks at: `rows` of a block as a slice or as indices within it.

    `allowed`, where given, is bool (rows of the block,): the only rows that may be found.
    """

    block: Block
    rows: "slice | NDArray[np.int32]"
    allowed: NDArray[np.bool_] | None = None


class Hits(NamedTuple):
    """The answer to one query: `rows` int32 (n,) and `cosines` float32 (n,), best first."""

    rows: NDArray[np.int32]
    cosines: NDArray[np.float32]


class _Pairs(NamedTuple):
    """Numbers of queries, rows of the gallery and exact cosines; all (n,)."""

    which: NDArray[np.intp]
    rows: NDArray[np.int32]
    cosines: NDArray[np.float32]


class Ranking:
    """The best `limit` hits of each query so far, and the least cosine that can still enter them."""

    def __init__(self, queries: int, limit: int, minimum: float) -> None:
        self.limit = limit
        self.thresholds = np.full(queries, minimum, np.float64)
        self._lock = threading.Lock()
        self._best = _Pairs(np.empty(0, np.intp), np.empty(0, np.int32), np.empty(0, np.float32))
        self._offered: list[_Pairs] = []
        self._waiting = 0

    @property
    def empty(self) -> bool:
        """Whether nothing was found yet, so that only the least cosine asked for rules rows out."""
        return not len(self._best.rows)

    def add(self, offered: _Pairs) -> None:
        """Offer distinct rows. They are ranked when they are many beside those kept, so that ranking stays cheap."""
        with self._lock:
            self._offered.append(offered)
            self._waiting += len(offered.rows)
            if 2 * self._waiting >= len(self._best.rows):
                self._rank()

    def _rank(self) -> None:
        which, rows, cosines = (np.concatenate(field) for field in zip(self._best, *self._offered, strict=True))
        self._offered, self._waiting = [], 0
        enough = np.flatnonzero(cosines >= self.thresholds[which])
        which, rows, cosines = which[enough], rows[enough], cosines[enough]
        order = np.lexsort((rows, -cosines, which))
        place = _places(which[order])
        best = order[place < self.limit]
        self._best = _Pairs(which[best], rows[best], cosines[best])
        last = order[place == self.limit - 1]
        self.thresholds[which[last]] = cosines[last]

    def hits(self) -> list[Hits]:
        with self._lock:
            self._rank()
        bounds = np.searchsorted(self._best.which, np.arange(len(self.thresholds) + 1))
        return [Hits(self._best.rows[start:end], self._best.cosines[start:end]) for start, end in pairwise(bounds)]


def scan(piece: Piece, queries: CodedQueries, ranking: Ranking) -> None:
    """Offer to the ranking every row of the piece that can be among the best of a query."""
    block = piece.block
    with block.lock.shared():
        if not block.living:
            return
        where = piece.rows  # of indices, take() needs half the time of indexing
        codes = block.codes[where] if isinstance(where, slice) else block.codes.take(where, axis=0)
        products = queries.products(codes)
        if ranking.empty and len(queries) == 1 and len(products) > 2 * ranking.limit:
            candidates = _first_candidates(piece, products, queries, ranking)
        else:
            candidates = _candidates(piece, products, queries, ranking)
        if len(candidates.rows) > 2 * ranking.limit * len(queries):
            # Many: the best of them raise the threshold, which most of the others then miss.
            best = candidates.best(ranking.limit)
            ranking.add(_computed(block, candidates.part(best), queries))
            rest = candidates.reach >= ranking.thresholds[candidates.which]
            rest[best] = False
            candidates = candidates.part(np.flatnonzero(rest))
        if not len(candidates.rows):
            return
        ranking.add(_computed(block, candidates, queries))


class _Candidates(NamedTuple):
    """Pairs of a row of a block and a query: about what cosine they have and the most that it can be; all (n,)."""

    rows: NDArray[Any]
    which: NDArray[np.intp]
    approximate: NDArray[np.float32]
    reach: NDArray[np.float32]

    def part(self, places: "NDArray[np.intp] | NDArray[np.bool_]") -> "_Candidates":
        return _Candidates(self.rows[places], self.which[places], self.approximate[places], self.reach[places])

    def best(self, limit: int) -> NDArray[np.intp]:
        """Places of the `limit` largest approximate cosines of each query."""
        order = np.argsort(self.which * 8.0 - self.approximate)  # cosines differ by at most 2: queries stay apart
        return order[_places(self.which[order]) < limit]


def _candidates(piece: Piece, products: NDArray[np.int32], queries: CodedQueries, ranking: Ranking) -> _Candidates:
    """The pairs of the piece whose cosine may reach the threshold of their query. `products` is int32 (n, width)."""
    block = piece.block
    growth = np.float32(1 + queries.residual)
    slack = np.float32(queries.residual + ROUNDING)
    # First by whole numbers: what even the coarsest scale and the largest loss of the block cannot lift.
    needed = (ranking.thresholds - slack - block.worst_residual * growth) / (queries.scale * block.worst_scale)
    least = np.full(queries.width, _INT32.max, np.int32)
    least[: len(queries)] = np.where(needed > 0, np.clip(np.floor(needed) - 1, 0, _INT32.max), _INT32.min)
    places = _at_least(products, least)
    local, which = np.divmod(places, queries.width)
    rows = local + piece.rows.start if isinstance(piece.rows, slice) else piece.rows[local]
    if piece.allowed is not None:
        chosen = np.flatnonzero(piece.allowed[rows])
        places, which, rows = places[chosen], which[chosen], rows[chosen]
    # Then by each row's own scale and loss; a row that holds nothing has the loss -inf.
    approximate = products.ravel()[places] * (block.scale[rows] * queries.scale[which])
    reach = approximate + (block.residual[rows] * growth + slack)
    enough = np.flatnonzero(reach >= ranking.thresholds[which])
    return _Candidates(rows, which, approximate, reach).part(enough)


def _first_candidates(
    piece: Piece, products: NDArray[np.int32], queries: CodedQueries, ranking: Ranking
) -> _Candidates:
    """As `_candidates` for one query of which nothing was found yet: the piece itself tells what rules rows out.

    At least `limit` rows reach the `limit`-th largest of what cosines are at the least; who cannot reach it is not
    among the best.
    """
    block, rows = piece.block, piece.rows
    scale, residual = block.scale[rows], block.residual[rows]
    approximate = products[:, 0] * (scale * queries.scale[0])
    loss = residual * np.float32(1 + queries.residual) + np.float32(queries.residual + ROUNDING)
    reach, least = approximate + loss, approximate - loss
    absent = residual < 0
    if piece.allowed is not None:
        absent |= ~piece.allowed[rows]
    reach[absent] = least[absent] = -np.inf
    bound = max(ranking.thresholds[0], np.partition(least, -ranking.limit)[-ranking.limit])
    places = np.flatnonzero((reach >= bound) & ~absent)
    chosen = places + rows.start if isinstance(rows, slice) else rows[places]
    return _Candidates(chosen, np.zeros(len(places), np.intp), approximate[places], reach[places])


def _at_least(products: NDArray[np.int32], least: NDArray[np.int32]) -> NDArray[np.intp]:
    """Flat places where products (n, width) reach the least of their column. Long lines are compared faster."""
    lines = math.gcd(len(products), 64)
    reached = products.reshape(-1, lines * len(least)) >= np.tile(least, lines)
    return np.flatnonzero(reached)


def _computed(block: Block, candidates: _Candidates, queries: CodedQueries) -> _Pairs:
    """The exact cosines of candidates."""
    rows, which = candidates.rows, candidates.which
    cosines = exact_cosines(block.vectors, block.norm, rows, queries.unit, which)
    return _Pairs(which, (rows + block.first).astype(np.int32), cosines)


def _places(which: NDArray[np.intp]) -> NDArray[np.intp]:
    """For sorted numbers of queries: the place of each element among those of its query."""
    counts = np.bincount(which)
    return np.arange(len(which)) - (np.cumsum(counts) - counts)[which]
