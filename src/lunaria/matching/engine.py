"""Exact 1:N cosine search in memory.

**What is kept.** Each descriptor as float16, which is what the database keeps and what an answer is computed from,
and beside it an 8-bit code with a proven error bound (`_kernels`), its norm and its scale: 3 bytes a component and 16
bytes a row. Rows live in blocks of about 32 MiB of codes, so growth copies nothing.

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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from lunaria.matching._blocks import Block
from lunaria.matching._kernels import CodedQueries, encode, exact_cosines, require_length, widen
from lunaria.matching._scan import Hits, Piece, Ranking, scan

__all__ = ["Gallery", "Hits"]

_BLOCK_BYTES: Final = 32 << 20
"""Bytes of 8-bit codes in a block: 65,536 rows of 512 components."""

_PRODUCTS_AT_ONCE: Final = 1 << 18
"""Integer products in a step of a scan with several queries: 1 MB, which stays in the cache."""

_QUERIES_AT_ONCE: Final = 32
_PUT_AT_ONCE: Final = 4096
_FIRST_PIECE: Final = 256
_FIRST_PIECE_OF_ONE: Final = 16_384
"""Rows that are scanned first, with several queries and with one."""

_GATHERED_SHARE: Final = 0.5
"""Share of a block's rows from which on scanning all of them is cheaper than copying those asked for."""

_Float = TypeVar("_Float", np.float16, np.float32)


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
        self._blocks: list[Block | None] = []
        self._writer = threading.Lock()
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="search") if threads > 1 else None
        for number in range(-(-capacity // self._block_rows)):
            self._block(number)

    def __len__(self) -> int:
        """Rows that hold a descriptor."""
        return sum(block.living for block in self._blocks if block is not None)

    @property
    def scanned(self) -> int:
        """Rows that a search among all looks at, the empty ones between the others as well."""
        return sum(block.touched for block in self._blocks if block is not None and block.living)

    @property
    def nbytes(self) -> int:
        """Bytes that the rows written so far take; room that was only reserved is not counted."""
        return sum(block.nbytes for block in self._blocks if block is not None)

    def put(self, rows: NDArray[np.int32], vectors: NDArray[np.float16] | NDArray[np.float32]) -> None:
        """Insert or overwrite descriptors: rows (n,), vectors (n, D). Of a row given twice the last one counts.

        Raises:
            ValueError: for wrong shapes, a negative row, a vector that float16 cannot hold or without a length.
            TypeError: for vectors that are not floats or rows that are not integers.
        """
        rows = _row_numbers(rows)
        halves = _matrix(vectors, self.dimension, np.float16)
        if len(rows) != len(halves):
            raise ValueError(f"{len(rows)} rows for {len(halves)} vectors")
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
        chosen = _distinct(_row_numbers(rows))
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
            TypeError: for queries that are not floats or rows that are not integers.
        """
        queries = _matrix(queries, self.dimension, np.float32)
        if limit < 0 or np.isnan(minimum):
            raise ValueError("limit must not be negative and minimum must be a number")
        if rows is not None:
            rows = _distinct(_row_numbers(rows))
        if not len(queries):
            return []
        groups = np.array_split(queries, -(-len(queries) // _QUERIES_AT_ONCE))
        return [hits for group in groups for hits in self._search(CodedQueries(group), limit, rows, minimum)]

    def pairs(self, queries: NDArray[np.float32], rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Cosines of the queries (Q, D) with the rows (n,): float32 (Q, n), the values that a search gives.

        NaN stands where a row holds no descriptor. Made for small sets of candidates.

        Raises:
            ValueError: for wrong shapes, a query that is not finite or all zeros, a negative row.
        """
        if not len(queries):
            return np.empty((0, len(rows)), np.float32)
        coded = CodedQueries(_matrix(queries, self.dimension, np.float32))
        rows = _row_numbers(rows)
        cosines = np.full((len(coded), len(rows)), np.nan, np.float32)
        for block, local, places in self._by_block(rows):
            with block.lock.shared():
                vectors, norms = block.vectors[local], block.norm[local]
            living = np.flatnonzero(norms)
            which = np.repeat(np.arange(len(coded)), len(living))
            found = exact_cosines(vectors, norms, np.tile(living, len(coded)), coded.unit, which)
            cosines[:, places[living]] = found.reshape(len(coded), len(living))
        return cosines

    def close(self) -> None:
        """End the threads of a gallery that has its own; without them there is nothing to do."""
        if self._pool is not None:
            self._pool.shutdown()

    # blocks and pieces

    def _block(self, number: int) -> Block:
        """The block of that number, made where there was none. For the writer."""
        while len(self._blocks) <= number:
            self._blocks.append(None)
        block = self._blocks[number]
        if block is None:
            block = self._blocks[number] = Block(number * self._block_rows, self._block_rows, self.dimension)
        return block

    def _by_block(
        self, rows: NDArray[np.int32], *, create: bool = False
    ) -> Iterator[tuple[Block, NDArray[np.int32], NDArray[np.intp]]]:
        """Split rows by block: the block, the rows within it, their places in `rows`."""
        numbers = rows // self._block_rows
        order = np.argsort(numbers, kind="stable")
        cuts = np.flatnonzero(np.diff(numbers[order])) + 1
        for places in np.split(order, cuts):
            if not len(places):
                continue
            number = int(numbers[places[0]])
            if create:
                block: Block | None = self._block(number)
            else:
                block = self._blocks[number] if number < len(self._blocks) else None
            if block is not None:
                yield block, rows[places] - block.first, places

    def _pieces(self, rows: NDArray[np.int32] | None, width: int) -> Iterator[Piece]:
        """What to scan. The first pieces are small: they are cheap and give the others a threshold to prune with.

        One query gets a threshold from the first piece almost for free, where many small steps would take longer.
        """
        largest = self._block_rows if width == 1 else max(64, _PRODUCTS_AT_ONCE // width // 64 * 64)
        step = min(_FIRST_PIECE_OF_ONE, largest) if width == 1 else _FIRST_PIECE
        for area in self._areas(rows):
            size = area.block.touched if isinstance(area.rows, slice) else len(area.rows)
            start = 0
            while start < size:
                end = min(size, start + step)
                part = slice(start, end) if isinstance(area.rows, slice) else area.rows[start:end]
                yield Piece(area.block, part, area.allowed)
                start = end
                step = min(step * 8, largest)

    def _areas(self, rows: NDArray[np.int32] | None) -> Iterator[Piece]:
        """What to scan of each block, uncut: a few rows are gathered, of many all are scanned and some allowed."""
        if rows is None:
            for block in list(self._blocks):
                if block is not None and block.living:
                    yield Piece(block, slice(0, None))
            return
        for block, local, _ in self._by_block(rows):
            if len(local) < _GATHERED_SHARE * block.touched:
                yield Piece(block, local)
            else:
                allowed = np.zeros(self._block_rows, np.bool_)
                allowed[local] = True
                yield Piece(block, slice(0, None), allowed)

    # the search itself

    def _search(self, queries: CodedQueries, limit: int, rows: NDArray[np.int32] | None, minimum: float) -> list[Hits]:
        ranking = Ranking(len(queries), limit, minimum)
        if limit:
            pieces = list(self._pieces(rows, queries.width))
            work = iter(pieces)

            def scan_all() -> None:
                for piece in work:
                    scan(piece, queries, ranking)

            if self._pool is None or len(pieces) < 2 * self._threads:
                scan_all()
            else:
                scan(next(work), queries, ranking)
                for future in [self._pool.submit(scan_all) for _ in range(self._threads)]:
                    future.result()
        return ranking.hits()


def _matrix(vectors: NDArray[Any], dimension: int, dtype: type[_Float]) -> NDArray[_Float]:
    vectors = np.asarray(vectors)
    if vectors.dtype.kind != "f":
        raise TypeError(f"descriptors must be floats, not {vectors.dtype}")
    if vectors.ndim != 2 or vectors.shape[1] != dimension:
        raise ValueError(f"descriptors must have the shape (n, {dimension}), not {vectors.shape}")
    with np.errstate(over="ignore"):  # an overflow becomes infinite, which require_length() refuses
        return vectors.astype(dtype, copy=False)


def _row_numbers(rows: NDArray[Any]) -> NDArray[np.int32]:
    rows = np.asarray(rows)
    if rows.ndim != 1:
        raise ValueError(f"rows must have the shape (n,), not {rows.shape}")
    if rows.size and rows.dtype.kind not in "iu":
        raise TypeError(f"rows must be integers, not {rows.dtype}")
    if rows.size and (rows.min() < 0 or rows.max() > np.iinfo(np.int32).max):
        raise ValueError("rows must be from 0 to 2**31 - 1")
    return rows.astype(np.int32)


def _distinct(rows: NDArray[np.int32]) -> NDArray[np.int32]:
    """The rows in ascending order, each once."""
    if (rows[1:] > rows[:-1]).all():
        return rows
    ordered = np.sort(rows)
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))]
