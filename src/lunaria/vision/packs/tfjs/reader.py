"""Reading graph models of TensorFlow.js (a model.json and its files of weights) and writing them as ONNX graphs.

The JSON holds a TensorFlow GraphDef and a manifest that says which tensor lies where in the files. Nothing but numpy is
needed: the modules beside this one write each operation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from onnx import helper

from lunaria.vision.packs.graph import IR_VERSION, OPSET
from lunaria.vision.packs.tfjs.arithmetic import ARITHMETIC_OPERATIONS
from lunaria.vision.packs.tfjs.images import IMAGE_OPERATIONS
from lunaria.vision.packs.tfjs.shapes import SHAPE_OPERATIONS
from lunaria.vision.packs.tfjs.writer import (
    TYPES,
    GraphModelError,
    GraphNode,
    Operand,
    Value,
    Writer,
    checked_shape,
    onnx_type,
)

_STORED = {"float32": "<f4", "int32": "<i4", "bool": "u1", "float16": "<f2", "uint8": "u1", "uint16": "<u2"}


class _Quantization(msgspec.Struct):
    dtype: str
    scale: float = 1.0
    min: float = 0.0


class _Weight(msgspec.Struct):
    name: str
    shape: list[int]
    dtype: str
    quantization: _Quantization | None = None


class _Group(msgspec.Struct):
    paths: list[str]
    weights: list[_Weight]


class _Topology(msgspec.Struct):
    node: list[GraphNode]


class _Document(msgspec.Struct, rename="camel"):
    model_topology: _Topology
    weights_manifest: list[_Group]


def graph_model(document: bytes, files: Mapping[str, bytes], outputs: Mapping[str, str]) -> Any:
    """A TensorFlow.js graph model as an ONNX model.

    `files` are the files of weights by the names that the document uses. `outputs` maps the names that the outputs
    shall have to tensors of the source, "node" or "node:index"; only what they need is written. Inputs keep their
    names and types. Images stay in the layout of the source; inside the graph they are channels first, as ONNX wants.
    Raises GraphModelError.
    """
    if not outputs:
        raise GraphModelError("a graph model needs the names of its outputs")
    try:
        read = msgspec.json.decode(document, type=_Document)
    except msgspec.DecodeError as error:
        raise GraphModelError(f"this is no graph model: {error}") from error
    nodes = {node.name: node for node in read.model_topology.node}
    weights = _weights(read.weights_manifest, files)
    writer = Writer({**IMAGE_OPERATIONS, **ARITHMETIC_OPERATIONS, **SHAPE_OPERATIONS})
    done: dict[str, list[Operand]] = {}
    inputs: dict[str, Value] = {}
    for node in _order(nodes, outputs.values()):
        if node.op == "Const":
            if node.name not in weights:
                raise GraphModelError(f"the weights lack {node.name!r}")
            done[node.name] = [weights[node.name]]
        elif node.op == "Placeholder":
            inputs[node.name] = _input(node)
            done[node.name] = [inputs[node.name]]
        else:
            done[node.name] = writer.write(node, [_find(done, name) for name in node.operands()])
    for name, tensor in outputs.items():
        writer.write_output(_find(done, tensor), name)
    graph = helper.make_graph(
        writer.nodes,
        "graph-model",
        [_port(name, value) for name, value in inputs.items()],
        [_port(value.name, value) for value in writer.outputs],
        writer.used_constants(),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    model.producer_name = "lunaria"
    return model


def _port(name: str, value: Value) -> Any:
    return helper.make_tensor_value_info(name, onnx_type(value.dtype), value.shape)


def _input(node: GraphNode) -> Value:
    try:
        sizes = [int(dimension["size"]) for dimension in node.attr["shape"]["shape"]["dim"]]
        dtype = TYPES[node.attr["dtype"]["type"]]
    except (KeyError, TypeError, ValueError) as error:
        raise GraphModelError(f"the input {node.name!r} has no usable shape or type") from error
    shape = checked_shape([1 if index == 0 and size < 0 else size for index, size in enumerate(sizes)])
    return Value(node.name, shape, dtype)


def _find(done: Mapping[str, list[Operand]], tensor: str) -> Operand:
    name, _, index = tensor.partition(":")
    try:
        return done[name][int(index or 0)]
    except (IndexError, ValueError) as error:
        raise GraphModelError(f"there is no tensor {tensor!r}") from error


def _order(nodes: Mapping[str, GraphNode], tensors: Any) -> list[GraphNode]:
    """The nodes that the tensors need, each after what it needs itself."""
    ordered: dict[str, GraphNode] = {}
    begun: set[str] = set()
    waiting = [tensor.partition(":")[0] for tensor in reversed(list(tensors))]
    while waiting:
        name = waiting[-1]
        if name not in nodes:
            raise GraphModelError(f"there is no node {name!r}")
        missing = [needed for needed in nodes[name].needs() if needed not in ordered]
        if name in ordered or not missing:
            ordered.setdefault(name, nodes[name])
            waiting.pop()
            continue
        if name in begun:
            raise GraphModelError(f"the node {name!r} needs itself")
        begun.add(name)
        waiting += reversed(missing)
    return list(ordered.values())


def _weights(groups: list[_Group], files: Mapping[str, bytes]) -> dict[str, NDArray[Any]]:
    """All tensors by name; half precision and quantised ones as float32."""
    found: dict[str, NDArray[Any]] = {}
    for group in groups:
        try:
            data = b"".join(files[path] for path in group.paths)
        except KeyError as error:
            raise GraphModelError(f"the file of weights {error} was not given") from error
        position = 0
        for weight in group.weights:
            count = math.prod(checked_shape(weight.shape))
            stored = _STORED.get(weight.quantization.dtype if weight.quantization else weight.dtype)
            if stored is None or weight.dtype not in ("float32", "int32", "bool"):
                raise GraphModelError(f"the tensor {weight.name!r} is stored in an unknown way")
            dtype = np.dtype(stored)
            if position + count * dtype.itemsize > len(data):
                raise GraphModelError(f"the files of weights end before {weight.name!r}")
            values = np.frombuffer(data, dtype, count, position).reshape(weight.shape)
            position += count * dtype.itemsize
            if weight.quantization is not None and dtype.kind == "u":
                values = values.astype(np.float32) * np.float32(weight.quantization.scale)
                values += np.float32(weight.quantization.min)
            found[weight.name] = values.astype(weight.dtype)
        if position != len(data):
            raise GraphModelError(f"the files of weights have {len(data) - position} bytes too many")
    return found
