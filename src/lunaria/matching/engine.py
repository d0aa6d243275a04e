"""Exact 1:N cosine search in memory.

**What is kept.** Each descriptor as float16, which is what the database keeps and what an answer is computed from,
and beside it an 8-bit code with a proven error bound (`_kernels`), its norm and its scale: 3 bytes a component and 16
bytes a row. Rows live in blocks of about 8 MiB of codes, so growth copies nothing.

**How a search is exact.** A scan multiplies the codes and drops every row whose product plus error bound stays below
the least cosine that can still enter the answer. Whatever remains is computed from the float16 vector with the float32
query in float64, and rounded to float32. The k-th of those exact cosines is the threshold of what follows, so the
scan prunes better as it proceeds. Where the bound cannot separate rows (near-duplicates everywhere, a limit as large
as the gallery), more rows are computed exactly, in the worst case all of them: slower, never different.

The cosine is that of the vectors as they are: neither the loss of length by float16 nor a query that is not quite unit
changes it. The order is by the float32 cosine, descending, then by row.

**Concurrency.** Any number of searches and one writer at a time. Each block has a lock that searches share and a writer
takes alone, for the copying of finished rows only; so a search sees every row either before or after a change, never
torn. It does not see the gallery frozen: of a `put` of many rows, a search beside it may meet some and not
others. What `put` or `remove` did before a search began is always seen. Scanning runs without Python's global lock.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lunaria.matching._kernels import ROUNDING, CodedQueries, Codes, encode, exact_cosines, require_length, widen

_BLOCK_BYTES: Final = 8 << 20
"""Bytes of 8-bit codes in a block: large enough to hide the cost of a step in Python, small enough to lock."""

_QUERIES_AT_ONCE: Final = 32
_PUT_AT_ONCE: Final = 4096
_NEVER: Final = np.iinfo(np.int32).max


class Hits(NamedTuple):
    """The answer to one query: `rows` int32 (n,) and `cosines` float32 (n,), best first."""

    rows: NDArray[np.int32]
    cosines: NDArray[np.float32]


class _SharedLock:
    """Many readers or one writer; a waiting writer goes before new readers, so that it is never starved."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._readers = 0
        self._writers = 0  # the one that writes and those that wait
        self._writing = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._changed:
            while self._writers:
                self._changed.wait()
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                if not self._readers:
                    self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._writers += 1
            while self._readers or self._writing:
                self._changed.wait()
            self._writing = True
        try:
            yield
        finally:
            with self._changed:
                self._writers -= 1
                self._writing = False
                self._changed.notify_all()


class _Block:
    """`size` consecutive rows from `first` on. A row without a descriptor has the residual -inf: no scan keeps it."""

    def __init__(self, first: int, size: int, dimension: int) -> None:
        self.first = first
        self.lock = _SharedLock()
        self.codes = np.empty((size, dimension), np.int8)  # the memory is committed by writing
        self.vectors = np.empty((size, dimension), np.float16)
        self.scale = np.zeros(size, np.float32)
        self.residual = np.full(size, -np.inf, np.float32)
        self.norm = np.zeros(size, np.float64)
        self.living = 0

    @property
    def nbytes(self) -> int:
        arrays = (self.codes, self.vectors, self.scale, self.residual, self.norm)
        return sum(array.nbytes for array in arrays)

    def write(self, local: NDArray[np.int32], vectors: NDArray[np.float16], coded: Codes) -> None:
        """Set distinct rows of the block."""
        self.living += int(np.count_nonzero(self.residual[local] < 0))
        self.codes[local], self.scale[local], self.residual[local], self.norm[local] = coded
        self.vectors[local] = vectors

    def clear(self, local: NDArray[np.int32]) -> None:
        """Forget distinct rows of the block; what they held is overwritten."""
        self.living -= int(np.count_nonzero(self.residual[local] >= 0))
        for array in (self.codes, self.vectors, self.scale, self.norm):
            array[local] = 0
        self.residual[local] = -np.inf


class _Piece(NamedTuple):
    """What one step of a scan looks at: `rows` of a block as a slice or as indices within it."""

    block: _Block
    rows: "slice | NDArray[np.int32]"
    size: int


class _Ranking:
    """The best `limit` hits of each query so far, and the least cosine that can still enter them."""

    def __init__(self, queries: int, limit: int, minimum: float) -> None:
        self.limit = limit
        self.thresholds = np.full(queries, minimum, np.float64)
        self._lock = threading.Lock()
        self._which = np.empty(0, np.intp)
        self._rows = np.empty(0, np.int32)
        self._cosines = np.empty(0, np.float32)

    def add(self, which: NDArray[np.intp], rows: NDArray[np.int32], cosines: NDArray[np.float32]) -> None:
        """Offer exact cosines: (n,) numbers of queries, rows and cosines."""
        with self._lock:
            enough = cosines >= self.thresholds[which]
            which = np.concatenate((self._which, which[enough]))
            rows = np.concatenate((self._rows, rows[enough]))
            cosines = np.concatenate((self._cosines, cosines[enough]))
            order = np.lexsort((rows, -cosines, which))
            place = _places(which[order], len(self.thresholds))
            best = order[place < self.limit]
            self._which, self._rows, self._cosines = which[best], rows[best], cosines[best]
            last = order[place == self.limit - 1]
            self.thresholds[which[last]] = cosines[last]

    def hits(self) -> list[Hits]:
        bounds = np.searchsorted(self._which, np.arange(len(self.thresholds) + 1))
        return [Hits(self._rows[start:end], self._cosines[start:end]) for start, end in pairwise(bounds)]


def _places(which: NDArray[np.intp], queries: int) -> NDArray[np.intp]:
    """For sorted numbers of queries: the place of each element among those of its query."""
    starts = np.searchsorted(which, np.arange(queries))
    return np.arange(len(which)) - starts[which]


class Gallery:
    """Exact cosine search over the unit descriptors of one version.

    Rows are small integers that the caller chooses, dense and reused. Every method may be called from any thread; see
    the module for what a search beside a writer sees.

    Args:
        dimension: components of a descriptor, 1 to 8192.
        capacity: rows for which room is made at once. The gallery grows by itself, and memory is only committed where
            rows are written.
        threads: threads that share one search. One serves many concurrent searches best.
    """

    def __init__(self, dimension: int, capacity: int = 1024, *, threads: int = 1) -> None:
        if not 1 <= dimension <= 8192:
            raise ValueError(f"dimension must be from 1 to 8192, not {dimension}")
        if capacity < 0 or threads < 1:
            raise ValueError("capacity must not be negative and threads must be at least 1")
        self.dimension = dimension
        self._block_rows = 1 << (_BLOCK_BYTES // dimension).bit_length() - 1
        self._blocks: list[_Block | None] = []
        self._writer = threading.Lock()
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="search") if threads > 1 else None
        for number in range(-(-capacity // self._block_rows)):
            self._block(number)

    def __len__(self) -> int:
        """Rows that hold a descriptor."""
        return sum(block.living for block in self._blocks if block is not None)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays of the gallery."""
        return sum(block.nbytes for block in self._blocks if block is not None)

    def put(self, rows: NDArray[np.int32], vectors: NDArray[np.float16] | NDArray[np.float32]) -> None:
        """Insert or overwrite descriptors: rows (n,), vectors (n, D). Of a row given twice the last one counts.

        Raises:
            ValueError: for wrong shapes, a negative row, a vector that float16 cannot hold or without a length.
            TypeError: for vectors that are not floats or rows that are not integers.
        """
        rows = _row_numbers(rows)
        kept = _matrix(vectors, self.dimension)
        if len(rows) != len(kept):
            raise ValueError(f"{len(rows)} rows for {len(kept)} vectors")
        with np.errstate(over="ignore"):  # an overflow becomes infinite, which encode() refuses
            halves = kept.astype(np.float16, copy=False)
        newest = len(rows) - 1 - np.unique(rows[::-1], return_index=True)[1]
        parts = [newest[start : start + _PUT_AT_ONCE] for start in range(0, len(newest), _PUT_AT_ONCE)]
        for part in parts:
            require_length(halves[part])
        for part in parts:
            chosen = halves[part]
            coded = encode(widen(chosen))
            with self._writer:
                for block, local, places in self._by_block(rows[part], create=True):
                    with block.lock.alone():
                        block.write(local, chosen[places], coded.part(places))

    def remove(self, rows: NDArray[np.int32]) -> None:
        """Forget the descriptors of `rows` (n,); a row without one is left as it is."""
        chosen = np.unique(_row_numbers(rows))
        with self._writer:
            for block, local, _ in self._by_block(chosen):
                with block.lock.alone():
                    block.clear(local)

    def search(
        self,
        queries: NDArray[np.float32],
        limit: int,
        *,
        rows: NDArray[np.int32] | None = None,
        minimum: float = -1.0,
    ) -> list[Hits]:
        """The `limit` best rows for each of the queries (Q, D), exactly.

        Args:
            queries: float32 (Q, D).
            limit: most hits per query.
            rows: search among these only, in any order; rows without a descriptor are passed over.
            minimum: least cosine of a hit.

        Raises:
            ValueError: for wrong shapes, a query that is not finite or all zeros, a negative limit or row.
        """
        queries = _matrix(queries, self.dimension).astype(np.float32, copy=False)
        if limit < 0 or np.isnan(minimum):
            raise ValueError("limit must not be negative and minimum must be a number")
        pieces = list(self._pieces(rows))
        if not len(queries):
            return []
        groups = np.array_split(queries, -(-len(queries) // _QUERIES_AT_ONCE))
        return [hits for group in groups for hits in self._search(CodedQueries(group), limit, pieces, minimum)]

    def pairs(self, queries: NDArray[np.float32], rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Cosines of the queries (Q, D) with the rows (n,): float32 (Q, n), the values that a search gives.

        NaN stands where a row holds no descriptor. Made for small sets of candidates.
        """
        coded = CodedQueries(_matrix(queries, self.dimension).astype(np.float32, copy=False))
        rows = _row_numbers(rows)
        cosines = np.full((len(coded), len(rows)), np.nan, np.float32)
        for block, local, places in self._by_block(rows):
            with block.lock.shared():
                vectors, norms = block.vectors[local], block.norm[local]
            living = norms > 0
            vectors, norms, places = vectors[living], norms[living], places[living]
            for number in range(len(coded)):
                cosines[number, places] = exact_cosines(
                    vectors, norms, coded.unit[number : number + 1], np.zeros(len(norms), np.intp)
                )
        return cosines

    def close(self) -> None:
        """End the threads of a gallery that has its own; without them there is nothing to do."""
        if self._pool is not None:
            self._pool.shutdown()

    # blocks and pieces

    def _block(self, number: int) -> _Block:
        """The block of that number, made where there was none. For the writer."""
        while len(self._blocks) <= number:
            self._blocks.append(None)
        block = self._blocks[number]
        if block is None:
            block = self._blocks[number] = _Block(number * self._block_rows, self._block_rows, self.dimension)
        return block

    def _by_block(
        self, rows: NDArray[np.int32], *, create: bool = False
    ) -> Iterator[tuple[_Block, NDArray[np.int32], NDArray[np.intp]]]:
        """Split rows by block: the block, the rows within it, their places in `rows`."""
        numbers = rows // self._block_rows
        order = np.argsort(numbers, kind="stable")
        cuts = np.flatnonzero(np.diff(numbers[order])) + 1
        for places in np.split(order, cuts):
            if not len(places):
                continue
            number = int(numbers[places[0]])
            if create:
                block: _Block | None = self._block(number)
            else:
                block = self._blocks[number] if number < len(self._blocks) else None
            if block is not None:
                yield block, rows[places] - block.first, places

    def _pieces(self, rows: NDArray[np.int32] | None) -> Iterator[_Piece]:
        """What to scan. The first pieces are small: they are cheap and give the others a threshold to prune with."""
        if rows is None:
            whole: Iterator[_Piece] = (
                _Piece(block, slice(0, self._block_rows), self._block_rows)
                for block in list(self._blocks)
                if block is not None and block.living
            )
        else:
            whole = (
                _Piece(block, local, len(local)) for block, local, _ in self._by_block(np.unique(_row_numbers(rows)))
            )
        step = 512
        for block, local, size in whole:
            start = 0
            while start < size:
                end = min(size, start + step)
                if size - end < step:
                    end = size
                yield _Piece(block, slice(start, end) if isinstance(local, slice) else local[start:end], end - start)
                start = end
                step = min(step * 8, self._block_rows)

    # the search itself

    def _search(self, queries: CodedQueries, limit: int, pieces: Sequence[_Piece], minimum: float) -> list[Hits]:
        ranking = _Ranking(len(queries), limit, minimum)
        if limit:
            work = iter(pieces)

            def scan_all() -> None:
                for piece in work:
                    _scan(piece, queries, ranking)

            if self._pool is None or len(pieces) < 2 * self._threads:
                scan_all()
            else:
                _scan(next(work), queries, ranking)
                for future in [self._pool.submit(scan_all) for _ in range(self._threads)]:
                    future.result()
        return ranking.hits()


def _scan(piece: _Piece, queries: CodedQueries, ranking: _Ranking) -> None:
    """Offer to the ranking every row of the piece that can be among the best of a query."""
    block = piece.block
    with block.lock.shared():
        residual = block.residual[piece.rows]
        scale = block.scale[piece.rows]
        products = queries.products(block.codes[piece.rows])
        local, which = _survivors(products, scale, residual, queries, ranking)
        if not len(local):
            return
        local = local + piece.rows.start if isinstance(piece.rows, slice) else piece.rows[local]
        # copied under the lock: what is computed below is one version of each row
        vectors, norms = block.vectors[local], block.norm[local]
    cosines = exact_cosines(vectors, norms, queries.unit, which)
    ranking.add(which, (local + block.first).astype(np.int32), cosines)


def _survivors(
    products: NDArray[np.int32],
    scale: NDArray[np.float32],
    residual: NDArray[np.float32],
    queries: CodedQueries,
    ranking: _Ranking,
) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Places (row within the piece, number of query) whose cosine may reach the threshold of their query."""
    loss = residual * np.float32(1 + queries.residual)
    slack = queries.residual + ROUNDING
    worst = float(loss.max())
    if worst < 0:  # nobody lives here
        return np.empty(0, np.intp), np.empty(0, np.intp)
    # First by whole numbers: what even the coarsest scale and the largest loss of the piece cannot lift.
    needed = (ranking.thresholds - slack - worst) / (queries.scale * float(scale.max()))
    least = np.where(needed > 0, np.clip(np.floor(needed) - 1, 0, _NEVER), np.iinfo(np.int32).min)
    places = np.flatnonzero(products >= least.astype(np.int32))
    local, which = np.divmod(places, len(queries))
    # Then by each row's own scale and loss.
    approximate = products.ravel()[places] * (scale[local] * queries.scale[which])
    reach = approximate + loss[local] + np.float32(slack)
    kept = reach >= ranking.thresholds[which]
    if np.count_nonzero(kept) > 2 * ranking.limit * len(queries):
        kept &= reach >= _tighter(approximate[kept] - loss[local[kept]] - slack, which[kept], ranking)[which]
    return local[kept], which[kept]


def _tighter(least: NDArray[Any], which: NDArray[np.intp], ranking: _Ranking) -> NDArray[np.float64]:
    """Thresholds raised to the k-th largest of `least`, which are cosines that rows are sure to reach."""
    thresholds = ranking.thresholds.copy()
    order = np.lexsort((-least, which))
    last = order[_places(which[order], len(thresholds)) == ranking.limit - 1]
    thresholds[which[last]] = np.maximum(thresholds[which[last]], least[last])
    return thresholds


def _matrix(vectors: NDArray[Any], dimension: int) -> NDArray[Any]:
    vectors = np.asarray(vectors)
    if vectors.dtype.kind != "f":
        raise TypeError(f"descriptors must be floats, not {vectors.dtype}")
    if vectors.ndim != 2 or vectors.shape[1] != dimension:
        raise ValueError(f"descriptors must have the shape (n, {dimension}), not {vectors.shape}")
    return vectors


def _row_numbers(rows: NDArray[Any]) -> NDArray[np.int32]:
    rows = np.asarray(rows)
    if rows.ndim != 1:
        raise ValueError(f"rows must have the shape (n,), not {rows.shape}")
    if rows.size and rows.dtype.kind not in "iu":
        raise TypeError(f"rows must be integers, not {rows.dtype}")
    if rows.size and (rows.min() < 0 or rows.max() > np.iinfo(np.int32).max):
        raise ValueError("rows must be from 0 to 2**31 - 1")
    return rows.astype(np.int32)
