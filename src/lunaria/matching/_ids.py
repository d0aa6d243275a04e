"""Ids as numbers, so that a million of them are looked up without an object of Python for each."""

import secrets

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
"""Ids as two numbers each: (n, 2)."""

_FACTORS = np.array([secrets.randbits(64) | 1 for _ in range(2)], np.uint64)
"""Of the sums by which ids are sorted. Nobody outside can make ids whose sums are equal."""


def words(ids: bytes) -> Words:
    """The numbers of ids of 16 bytes, one after the other."""
    return np.frombuffer(ids, np.uint64).reshape(-1, 2)


def places_of(wanted: Words, own: Words) -> NDArray[np.intp] | None:
    """The places of those of `own` that are among the `wanted`, which are at least one; ascending.

    None when two of the wanted have the same sum, as when one is there twice. Runs without Python's global lock.
    """
    sums, own_sums = _sums(wanted), _sums(own)
    order, own_order = np.argsort(sums), np.argsort(own_sums)
    sums = sums[order]
    if (sums[1:] == sums[:-1]).any():
        return None
    # Both in order, as looking up in order finds what is next in the processor's cache.
    nearest = np.minimum(np.searchsorted(sums, own_sums[own_order]), len(sums) - 1)
    same = (wanted[order[nearest]] == own[own_order]).all(axis=1)
    return np.sort(own_order[same])


def _sums(numbers: Words) -> NDArray[np.uint64]:
    """What ids are sorted by. The last digits of an id are high bits here, of which a product keeps few: ids that are
    counted through would have equal sums, were those bits not brought down first."""
    sums: NDArray[np.uint64] = (numbers ^ (numbers >> np.uint64(32))) @ _FACTORS
    return sums
