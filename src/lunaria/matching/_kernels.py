"""The arithmetic of the exact search: 8-bit codes with a proven error, integer products, exact cosines.

A unit vector y is coded as `scale * codes`, codes being int8 and `scale` chosen per vector so that the largest
component becomes 127. What the coding loses is known per vector: `residual` is an upper bound of
|y - scale * codes|. For a unit query u, coded likewise with loss `query_residual`, the Cauchy-Schwarz inequality
gives

    |u.y - product| <= |u.(y - coded y)| + |(u - coded u).(coded y)|
                    <= residual + query_residual * (1 + residual)

where `product` is the scaled integer product of the codes. That bound, plus ROUNDING for the float32 arithmetic
round it, is what lets the scan drop a row without ever dropping one that belongs to the answer.

The products come from numkong, which picks its kernel by what the processor offers (AVX2, AVX-512 VNNI, NEON, SVE)
and works without Python's global lock.
"""

from typing import Final, NamedTuple

import numkong
import numpy as np
from numpy.typing import NDArray

PEAK: Final = 127
"""Largest code in magnitude; -128 is never used, so that a code and its negative are both int8."""

ROUNDING: Final = 4e-6
"""Allowance for float32 arithmetic between an integer product and a comparison of cosines.

Making a vector unit and scaling its codes each round every component by a relative 2**-24, so a residual is off by
less than 2e-7, for a row and for a query; the scaled product, the loss and their sum are rounded a few times at
magnitudes of about 1, and a cosine is rounded to float32 (2**-25). Together less than a quarter of this figure.
"""

_ELEMENTS: Final = 1 << 18
"""Elements handled at a time where float copies are made: 1 MB of float32, which stays in the cache."""


class Codes(NamedTuple):
    """Unit vectors in 8 bits: `codes` int8 (n, D), `scale` float32 (n,), `residual` float32 (n,), `norm` float64 (n,).

    `norm` is the length of the vector before it was made unit.
    """

    codes: NDArray[np.int8]
    scale: NDArray[np.float32]
    residual: NDArray[np.float32]
    norm: NDArray[np.float64]

    def part(self, places: "slice | NDArray[np.intp]") -> "Codes":
        """The vectors at `places`; a view when that is a slice."""
        return Codes(self.codes[places], self.scale[places], self.residual[places], self.norm[places])


def require_length(vectors: NDArray[np.float16] | NDArray[np.float32]) -> None:
    """Raise ValueError for a vector (of n, D) that is not finite or is all zeros."""
    if not (np.isfinite(vectors).all() and vectors.any(axis=1).all()):
        raise ValueError("a descriptor must be finite and must not be all zeros")


def encode(vectors: NDArray[np.float32]) -> Codes:
    """Code float32 vectors (n, D), finite and not all zeros, after making them unit."""
    count, dimension = vectors.shape
    coded = Codes(
        np.empty((count, dimension), np.int8),
        np.empty(count, np.float32),
        np.empty(count, np.float32),
        np.empty(count, np.float64),
    )
    step = max(1, _ELEMENTS // dimension)
    for start in range(0, count, step):
        part = slice(start, start + step)
        _encode(vectors[part], coded.part(part))
    return coded


def _encode(vectors: NDArray[np.float32], into: Codes) -> None:
    wide = vectors.astype(np.float64)
    norm = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    unit = np.multiply(wide, 1 / norm[:, None], out=wide).astype(np.float32)
    scale = np.maximum(unit.max(axis=1), -unit.min(axis=1)) / np.float32(PEAK)
    codes = unit * (1 / scale)[:, None]
    np.rint(codes, out=codes)  # within the peak: the rounding of the product is far smaller than a half
    into.codes[...] = codes
    into.scale[...] = scale
    codes *= scale[:, None]
    unit -= codes
    # The last factor covers what a float32 sum of D squares can lose, in whatever order it is taken.
    into.residual[...] = np.sqrt(np.einsum("ij,ij->i", unit, unit)) * (1 + unit.shape[1] * 2.0**-23)
    into.norm[...] = norm


class CodedQueries:
    """A few queries, ready to be multiplied with coded rows.

    `unit` float64 (Q, D) are the queries made unit; `scale` float32 (Q,); `residual` is the largest coding loss
    among them. `width` is the number of columns of a product: Q, or a little more.
    """

    def __init__(self, queries: NDArray[np.float32]) -> None:
        require_length(queries)
        coded = encode(queries)
        self.unit: NDArray[np.float64] = queries.astype(np.float64) / coded.norm[:, None]
        self.scale = coded.scale
        self.residual = float(coded.residual.max())
        # For one query the plain product is memory-bound and the packed one is not; the packed one works in fours.
        self.width = len(queries) if len(queries) == 1 else -(-len(queries) // 4) * 4
        self._codes = np.zeros((self.width, queries.shape[1]), np.int8)
        self._codes[: len(queries)] = coded.codes
        self._packed = numkong.dots_pack(self._codes) if self.width > 1 else None

    def __len__(self) -> int:
        return len(self.scale)

    def products(self, codes: NDArray[np.int8]) -> NDArray[np.int32]:
        """Integer products of coded rows (n, D) with the queries: int32 (n, width), zero beyond column Q."""
        if self._packed is None:
            column = np.empty(len(codes), np.int32)
            numkong.dot(codes, self._codes[0], out=column)
            return column[:, None]
        return np.asarray(numkong.dots_packed(codes, self._packed))


def exact_cosines(
    vectors: NDArray[np.float16],
    norms: NDArray[np.float64],
    rows: NDArray[np.intp],
    units: NDArray[np.float64],
    which: NDArray[np.intp],
) -> NDArray[np.float32]:
    """Cosines of the vectors (N, D) at `rows` (n,), of length `norms` (N,), with the unit queries `units[which]`.

    Products and sums are float64 (a product of a float16 and a float32 is exact there), the result is rounded to
    float32 and lies in [-1, 1]. A pair's value depends on its two vectors alone, not on the pairs round it, so equal
    vectors tie exactly.
    """
    cosines = np.empty(len(rows), np.float64)
    step = max(1, _ELEMENTS // vectors.shape[1])
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        wide = widen(vectors.take(rows[part], axis=0)).astype(np.float64)
        chosen = np.broadcast_to(units[0], wide.shape) if len(units) == 1 else units.take(which[part], axis=0)
        np.einsum("ij,ij->i", wide, chosen, out=cosines[part])
    cosines /= norms[rows]
    np.clip(cosines, -1.0, 1.0, out=cosines)
    return cosines.astype(np.float32)


def widen(vectors: NDArray[np.float16]) -> NDArray[np.float32]:
    """float16 to float32; numkong's conversion is about twenty times as fast as numpy's."""
    wide: NDArray[np.float32] = np.asarray(numkong.astype(vectors, "float32"))
    return wide
