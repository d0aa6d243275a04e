"""Checkpoints are read as data: tensors come out, everything else is refused."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

from lunaria.vision.packs.torch_checkpoint import LEGACY_MAGIC, CheckpointError, read_checkpoint


class _Global:
    """Pickles as a bare reference to a name, as PyTorch's classes do."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class _Storage:
    def __init__(self, key: str, values: np.ndarray[Any, Any]) -> None:
        self.key, self.values = key, values


class _Tensor:
    def __init__(self, storage: _Storage, offset: int, shape: Any, strides: Any) -> None:
        self.arguments = (storage, offset, shape, strides, False, OrderedDict())


class _Pickler(pickle._Pickler):  # type: ignore[misc, name-defined]
    def persistent_id(self, item: Any) -> Any:
        if isinstance(item, _Storage):
            return ("storage", _Global("torch", "FloatStorage"), item.key, "cpu", item.values.size, None)
        return None

    def save(self, item: Any, save_persistent_id: bool = True) -> None:
        if isinstance(item, _Global):
            self.write(b"c" + f"{item.module}\n{item.name}\n".encode())
        elif isinstance(item, _Tensor):
            self.save(_Global("torch._utils", "_rebuild_tensor_v2"))
            self.save(item.arguments)
            self.write(pickle.REDUCE)
        else:
            super().save(item, save_persistent_id)


def _pickled(item: Any) -> bytes:
    stream = io.BytesIO()
    _Pickler(stream, protocol=2).dump(item)
    return stream.getvalue()


VALUES = np.arange(12, dtype="<f4")


def _legacy(content: Any, storages: dict[str, np.ndarray[Any, Any]]) -> bytes:
    parts = [_pickled(item) for item in (LEGACY_MAGIC, 1001, {"little_endian": True}, content, list(storages))]
    parts += [struct.pack("<q", values.size) + values.tobytes() for values in storages.values()]
    return b"".join(parts)


def _zipped(content: Any, storages: dict[str, np.ndarray[Any, Any]]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("net/data.pkl", _pickled(content))
        for key, values in storages.items():
            archive.writestr(f"net/data/{key}", values.tobytes())
    return stream.getvalue()


@pytest.mark.parametrize("layout", [_legacy, _zipped])
def test_tensors_come_out_with_shape_offset_and_strides(layout: Any) -> None:
    storage = _Storage("7", VALUES)
    content = OrderedDict(
        plain=_Tensor(storage, 0, (3, 4), (4, 1)),
        transposed=_Tensor(storage, 0, (4, 3), (1, 4)),
        tail=_Tensor(storage, 10, (2,), (1,)),
    )
    tensors = read_checkpoint(layout(content, {"7": VALUES}))
    np.testing.assert_array_equal(tensors["plain"], VALUES.reshape(3, 4))
    np.testing.assert_array_equal(tensors["transposed"], VALUES.reshape(3, 4).T)
    np.testing.assert_array_equal(tensors["tail"], [10, 11])


@pytest.mark.parametrize("layout", [_legacy, _zipped])
@pytest.mark.parametrize(
    "tensor", [(0, (13,), (1,)), (5, (2, 4), (4, 1)), (-1, (2,), (1,)), (0, (2,), (-1,)), (0, (-3,), (1,))]
)
def test_a_tensor_outside_its_storage_is_refused(layout: Any, tensor: Any) -> None:
    content = {"t": _Tensor(_Storage("0", VALUES), *tensor)}
    with pytest.raises(CheckpointError):
        read_checkpoint(layout(content, {"0": VALUES}))


@pytest.mark.parametrize(("module", "name"), [("os", "system"), ("builtins", "eval"), ("torch", "load")])
@pytest.mark.parametrize("layout", [_legacy, _zipped])
def test_any_other_name_is_refused(layout: Any, module: str, name: str) -> None:
    with pytest.raises(CheckpointError, match=f"{module}.{name}"):
        read_checkpoint(layout({"x": _Global(module, name)}, {}))


def test_a_hostile_pickle_runs_nothing(tmp_path: Any) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return (os.mkdir, (str(tmp_path / "made"),))

    with pytest.raises(CheckpointError):
        read_checkpoint(pickle.dumps(Hostile(), protocol=2))
    assert not (tmp_path / "made").exists()


def test_damaged_files_give_a_clear_error() -> None:
    whole = _legacy({"t": _Tensor(_Storage("0", VALUES), 0, (12,), (1,))}, {"0": VALUES})
    for end in range(0, len(whole), 7):
        with pytest.raises(CheckpointError):
            read_checkpoint(whole[:end])
