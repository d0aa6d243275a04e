"""Where descriptors lie in memory: blocks of consecutive rows, each under a lock that readers share."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from lunaria.matching._kernels import Codes


class SharedLock:
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


class Block:
    """`size` consecutive rows from `first` on. A row without a descriptor has the residual -inf: no scan keeps it."""

    def __init__(self, first: int, size: int, dimension: int) -> None:
        self.first = first
        self.lock = SharedLock()
        self.codes = np.empty((size, dimension), np.int8)  # the memory is committed by writing
        self.vectors = np.empty((size, dimension), np.float16)
        self.scale = np.zeros(size, np.float32)
        self.residual = np.full(size, -np.inf, np.float32)
        self.norm = np.zeros(size, np.float64)
        self.living = 0
        self.worst_residual = np.float32(-np.inf)
        self.worst_scale = np.float32(0)
        self.touched = 0  # rows that were ever written end here

    @property
    def nbytes(self) -> int:
        per_row = self.codes[0].nbytes + self.vectors[0].nbytes
        beside = self.scale.nbytes + self.residual.nbytes + self.norm.nbytes
        return int(self.touched * per_row + beside)

    def write(self, local: NDArray[np.int32], vectors: NDArray[np.float16], coded: Codes) -> None:
        """Set distinct rows of the block."""
        self.living += int(np.count_nonzero(self.residual[local] < 0))
        self.codes[local], self.scale[local], self.residual[local], self.norm[local] = coded
        self.vectors[local] = vectors
        self.touched = max(self.touched, int(local.max()) + 1)
        self._measure()

    def clear(self, local: NDArray[np.int32]) -> None:
        """Forget distinct rows of the block; what they held is overwritten."""
        self.living -= int(np.count_nonzero(self.residual[local] >= 0))
        for array in (self.codes, self.vectors, self.scale, self.norm):
            array[local] = 0
        self.residual[local] = -np.inf
        self._measure()

    def _measure(self) -> None:
        self.worst_residual, self.worst_scale = self.residual.max(), self.scale.max()
