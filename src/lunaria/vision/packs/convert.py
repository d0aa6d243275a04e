"""Turning the files of packages into the files that the product loads.

Every conversion gives the same bytes for the same input and the same protobuf serializer. `REVISION` is part of what
is recorded beside the result: raising it makes the next pull convert again.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from lunaria.vision.packs.efficientnet import feature_network
from lunaria.vision.packs.manifest import Asset, Reader, Transform
from lunaria.vision.packs.minifasnet import liveness_network
from lunaria.vision.packs.mobilenet import quality_network
from lunaria.vision.packs.tfjs.reader import graph_model
from lunaria.vision.packs.tfjs.writer import GraphModelError
from lunaria.vision.packs.torch_checkpoint import CheckpointError, read_checkpoint

# What protobuf raises for a damaged file; the package carries no types, so it is taken from where it can be reached.
_DecodeError: type[Exception] = importlib.import_module("google.protobuf.message").DecodeError

REVISION = 1
# Readers of PyTorch checkpoints, whose tensors a function here writes as a network.
_CHECKPOINT_NETWORKS: dict[Reader, Callable[[Mapping[str, NDArray[Any]]], Any]] = {
    "efficientnet-lite0": feature_network,
    "minifasnet": liveness_network,
    "mobilenet-v2-quality": quality_network,
}
MESH_VERTICES = 468
MESH_NUMBERS_PER_VERTEX = 5  # x, y, z and two texture coordinates


class ConversionError(ValueError):
    """A source file is not what the manifest says."""


def convert(data: bytes, asset: Asset, beside: Mapping[str, bytes] | None = None) -> bytes:
    """The bytes to store for an asset, from the bytes of its source and of the files beside it, by name.

    Raises ConversionError.
    """
    try:
        if asset.reader == "copy":
            return data
        if asset.reader == "canonical-face-mesh":
            return _canonical_face_mesh(data)
        if asset.reader in _CHECKPOINT_NETWORKS:
            return _serialize(_CHECKPOINT_NETWORKS[asset.reader](read_checkpoint(data)))
        if asset.reader == "tfjs":
            model = graph_model(data, beside or {}, asset.outputs)
        else:
            model = onnx.load_model_from_string(data)
        for transform in asset.transforms:
            _TRANSFORMS[transform](model)
        onnx.checker.check_model(model)
        return _serialize(model)
    except (CheckpointError, GraphModelError, _DecodeError, onnx.checker.ValidationError) as error:
        raise ConversionError(f"{asset.file}: {error}") from error
    except KeyError as error:
        raise ConversionError(f"{asset.file}: the source lacks {error}") from error


def _serialize(model: Any) -> bytes:
    return bytes(model.SerializeToString(deterministic=True))


def _dynamic_size(model: Any) -> None:
    """Let height and width of the input vary. All shapes in the graph must follow from the input, as in YuNet."""
    for value in _true_inputs(model):
        for position, name in ((2, "H"), (3, "W")):
            value.type.tensor_type.shape.dim[position].dim_param = name
    for value in model.graph.output:
        for dimension in value.type.tensor_type.shape.dim[1:-1]:
            dimension.Clear()
    del model.graph.value_info[:]


def _dynamic_batch(model: Any) -> None:
    for value in [*_true_inputs(model), *model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    del model.graph.value_info[:]


def _strip_inputs(model: Any) -> None:
    """Older files list their weights among the inputs, which keeps runtimes from treating them as constants."""
    inputs = _true_inputs(model)
    kept = [value.SerializeToString() for value in inputs]
    del model.graph.input[:]
    for data in kept:
        model.graph.input.add().ParseFromString(data)


def _true_inputs(model: Any) -> list[Any]:
    constants = {constant.name for constant in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in constants]


def _prelu_to_depthwise(model: Any) -> None:
    """Write PReLU as a*x + (1-a)*relu(x), two depthwise 1x1 convolutions and a sum.

    It is the same function, slope above 1 included. ONNX Runtime's PReLU breaks its blocked memory layout and takes
    about half of SFace's time; written so, the network needs 18 ms of CPU instead of 31.
    """
    graph = model.graph
    constants = {constant.name: constant for constant in graph.initializer}
    nodes: list[Any] = []
    for node in graph.node:
        if node.op_type != "PRelu":
            nodes.append(node)
            continue
        source, result = node.input[0], node.output[0]
        slope = numpy_helper.to_array(constants[node.input[1]]).astype(np.float32).reshape(-1, 1, 1, 1)
        weights = {f"{result}_slope": slope, f"{result}_rest": (1 - slope).astype(np.float32)}
        graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
        shape: dict[str, Any] = {"group": slope.shape[0], "kernel_shape": [1, 1]}
        nodes += [
            helper.make_node("Relu", [source], [f"{result}_relu"]),
            helper.make_node("Conv", [f"{result}_relu", f"{result}_rest"], [f"{result}_positive"], **shape),
            helper.make_node("Conv", [source, f"{result}_slope"], [f"{result}_linear"], **shape),
            helper.make_node("Add", [f"{result}_linear", f"{result}_positive"], [result]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    unused = [constant for constant in graph.initializer if constant.name not in used]
    for constant in unused:
        graph.initializer.remove(constant)


_TRANSFORMS: dict[Transform, Callable[[Any], None]] = {
    "dynamic-size": _dynamic_size,
    "dynamic-batch": _dynamic_batch,
    "strip-inputs": _strip_inputs,
    "prelu-to-depthwise": _prelu_to_depthwise,
}


def _canonical_face_mesh(data: bytes) -> bytes:
    """The vertices of the canonical face (468 x 3 float32, centimetres) as a .npy file.

    The source is a protocol buffer whose vertices are a run of 2340 float fields, each with the tag byte 0x1d: x, y, z
    and two texture coordinates for each of 468 vertices.
    """
    wanted = MESH_VERTICES * MESH_NUMBERS_PER_VERTEX
    for start in range(len(data) - 5 * wanted + 1):
        run = np.frombuffer(data, dtype=np.uint8, count=5 * wanted, offset=start).reshape(wanted, 5)
        if data[start] == 0x1D and bool(np.all(run[:, 0] == 0x1D)):
            numbers = np.frombuffer(run[:, 1:].tobytes(), dtype="<f4")
            vertices = numbers.reshape(MESH_VERTICES, MESH_NUMBERS_PER_VERTEX)[:, :3]
            stream = io.BytesIO()
            np.save(stream, np.ascontiguousarray(vertices), allow_pickle=False)
            return stream.getvalue()
    raise ConversionError("the source holds no run of 468 vertices")
