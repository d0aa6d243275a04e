"""Reading PyTorch checkpoints without PyTorch and without running anything in them.

A checkpoint is a pickle that refers to raw tensors. The unpickler here admits only the few names that rebuild tensors
and answers with numpy arrays, so a hostile file can do no more than fail. Both layouts are read: the zip archive of
PyTorch 1.6 and later, and the older sequence of pickles followed by the raw storages.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGE_TYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


class CheckpointError(ValueError):
    """The file is no checkpoint that can be read safely."""


@dataclass(frozen=True)
class _StorageType:
    dtype: np.dtype[Any]


@dataclass
class _Storage:
    """Raw numbers; in the older layout they come after the pickle that speaks of them."""

    dtype: np.dtype[Any]
    length: int
    values: NDArray[Any] | None = None


@dataclass
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> NDArray[Any]:
        """The numbers as an array of the tensor's shape, copied out of the storage."""
        if self.storage.values is None:
            raise CheckpointError("a tensor of the checkpoint has no data")
        last = self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.strides, strict=True))
        if min((self.offset, *self.shape, *self.strides), default=0) < 0 or (
            0 not in self.shape and last >= self.storage.values.size
        ):
            raise CheckpointError("a tensor of the checkpoint reaches outside its storage")
        item = self.storage.values.itemsize
        view: NDArray[Any] = np.lib.stride_tricks.as_strided(
            self.storage.values[self.offset :],
            shape=self.shape,
            strides=tuple(step * item for step in self.strides),
        )
        return view.copy()


def _rebuild_tensor(storage: _Storage, offset: int, shape: Any, strides: Any, *_: Any) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise CheckpointError("a tensor of the checkpoint has no storage")
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


_ADMITTED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    **{("torch", name): _StorageType(np.dtype(code)) for name, code in _STORAGE_TYPES.items()},
}


class _Unpickler(pickle.Unpickler):
    """Admits nothing but tensors, their storages and ordered dictionaries."""

    def __init__(self, stream: io.BytesIO, storage: Callable[[str, np.dtype[Any], int], _Storage]) -> None:
        super().__init__(stream, encoding="utf-8")
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise CheckpointError(f"the checkpoint asks for {module}.{name}, which is refused") from None

    def persistent_load(self, reference: Any) -> _Storage:
        if not isinstance(reference, tuple) or len(reference) < 5 or reference[0] != "storage":
            raise CheckpointError("the checkpoint refers to something that is no storage")
        _, kind, key, _, length = reference[:5]
        if not isinstance(kind, _StorageType):
            raise CheckpointError("the checkpoint has a storage of an unknown kind")
        return self._storage(str(key), kind.dtype, int(length))


def read_checkpoint(data: bytes) -> dict[str, NDArray[Any]]:
    """The named tensors of a checkpoint (a state dictionary). Raises CheckpointError."""
    try:
        content = _read_zip(data) if zipfile.is_zipfile(io.BytesIO(data)) else _read_legacy(data)
        if not isinstance(content, dict):
            raise CheckpointError("the checkpoint is no dictionary of tensors")
        return {str(name): tensor.array() for name, tensor in dict.items(content) if isinstance(tensor, _Tensor)}
    except CheckpointError:
        raise
    except (pickle.UnpicklingError, zipfile.BadZipFile, struct.error, EOFError, ValueError) as error:
        raise CheckpointError(f"the checkpoint cannot be read: {error}") from error
    except (TypeError, AttributeError, KeyError, IndexError, MemoryError, OverflowError) as error:
        raise CheckpointError(f"the checkpoint is damaged: {error!r}") from error


def _read_zip(data: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise CheckpointError("the checkpoint holds no data.pkl")
        root = pickles[0].removesuffix("data.pkl")
        storages: dict[str, _Storage] = {}

        def storage(key: str, dtype: np.dtype[Any], length: int) -> _Storage:
            if key not in storages:
                values = np.frombuffer(archive.read(f"{root}data/{key}"), dtype=dtype)
                storages[key] = _Storage(dtype, length, values)
            return storages[key]

        return _Unpickler(io.BytesIO(archive.read(pickles[0])), storage).load()


def _read_legacy(data: bytes) -> Any:
    stream = io.BytesIO(data)
    storages: dict[str, _Storage] = {}

    def storage(key: str, dtype: np.dtype[Any], length: int) -> _Storage:
        return storages.setdefault(key, _Storage(dtype, length))

    def load() -> Any:
        return _Unpickler(stream, storage).load()

    if load() != LEGACY_MAGIC:
        raise CheckpointError("the file is no PyTorch checkpoint")
    load()  # protocol version
    machine = load()
    if not machine.get("little_endian", True):
        raise CheckpointError("a checkpoint in big-endian order is not supported")
    content = load()
    for key in load():
        target = storages[str(key)]
        (length,) = struct.unpack("<q", stream.read(8))
        if length != target.length:
            raise CheckpointError("a storage of the checkpoint has another length than announced")
        target.values = np.frombuffer(stream.read(length * target.dtype.itemsize), dtype=target.dtype)
    return content
