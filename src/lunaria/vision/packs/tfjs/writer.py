"""Tensors and nodes of a TensorFlow graph on their way to ONNX.

TensorFlow computes images with their channels last, ONNX with their channels first. A `Value` therefore says in which
order its dimensions are stored: a convolution stores its result channels first, what follows takes it as it is where it
can, and a transposition is written only where the order of the source is really needed. A transposition of the source
itself only changes that order.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from lunaria.vision.packs.graph import IR_VERSION, OPSET

TYPES: dict[str, np.dtype[Any]] = {
    "DT_FLOAT": np.dtype("float32"),
    "DT_INT32": np.dtype("int32"),
    "DT_INT64": np.dtype("int64"),
    "DT_BOOL": np.dtype("bool"),
}
MAX_ELEMENTS = 1 << 26


# What a graph that contradicts itself makes Python, numpy and onnx raise.
_FAULTS = (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError)
# The operand that is data, where it is not the first; None where an operation needs all of them as they are.
_DATA: dict[str, int | None] = {"Split": 1, "Conv2DBackpropInput": 2, "SparseToDense": None, "Identity": None}


class GraphModelError(ValueError):
    """A graph model that is damaged or uses something that is not understood."""


class GraphNode(msgspec.Struct):
    """A node of a TensorFlow GraphDef in JSON."""

    name: str
    op: str
    input: list[str] = []
    attr: dict[str, dict[str, Any]] = {}

    def operands(self) -> list[str]:
        """The tensors it takes. What starts with ^ only fixes an order in time."""
        return [name for name in self.input if not name.startswith("^")]

    def needs(self) -> list[str]:
        """The nodes it takes its tensors from."""
        return [name.partition(":")[0] for name in self.operands()]

    def get(self, name: str, default: Any) -> Any:
        """An attribute: a number, a truth value, a text or a list of them. 64-bit numbers are texts in the JSON."""
        return _decode(self.attr[name], default) if name in self.attr else default


def _decode(value: dict[str, Any], default: Any) -> Any:
    if "list" in value:
        items = value["list"]
        return [_decode({kind: item}, None) for kind in items for item in items[kind]]
    readers: dict[str, Callable[[Any], Any]] = {
        "i": int,
        "f": float,
        "b": bool,
        "s": lambda text: base64.b64decode(text, validate=True).decode(),
        "type": TYPES.__getitem__,
    }
    for kind, reader in readers.items():
        if kind in value:
            return reader(value[kind])
    return default


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the graph as the source sees it: its dimension i is stored as dimension order[i] of `name`."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    stored: tuple[int, ...] | None = None

    @property
    def order(self) -> tuple[int, ...]:
        return self.stored or tuple(range(len(self.shape)))


Operand = Value | NDArray[Any]


def onnx_type(dtype: np.dtype[Any]) -> int:
    """The number that ONNX has for an element type."""
    return int(helper.np_dtype_to_tensor_dtype(dtype))


def checked_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape, if a tensor of it can be meant seriously."""
    if any(size < 0 for size in shape) or math.prod(shape) > MAX_ELEMENTS:
        raise GraphModelError(f"{list(shape)} is no shape")
    return tuple(int(size) for size in shape)


class Writer:
    """Writes nodes. What follows from constants alone is computed at once and becomes a constant."""

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self._operations = operations
        self.nodes: list[Any] = []
        self.outputs: list[Value] = []
        self._constants: dict[str, NDArray[Any]] = {}
        self._shared: dict[tuple[Any, ...], str] = {}
        self._reordered: dict[tuple[str, tuple[int, ...]], str] = {}
        self._prefix = ""
        self._count = 0

    def write(self, node: GraphNode, operands: list[Operand]) -> list[Operand]:
        """Write one node of the source; returns its outputs. Raises GraphModelError."""
        operation = self._operations.get(node.op)
        if operation is None:
            raise GraphModelError(f"the operation {node.op!r} of the node {node.name!r} is not known")
        self._prefix, self._count = node.name, 0
        try:
            if all(isinstance(operand, np.ndarray) for operand in operands):
                return list(self._fold(operation, node, operands))
            return operation(self, node, operands)
        except _FAULTS as error:
            raise GraphModelError(f"the node {node.name!r} ({node.op}): {error or type(error).__name__}") from error

    def write_output(self, operand: Operand, name: str) -> None:
        """Give a tensor out under a name."""
        shape, dtype = shape_of(operand), operand.dtype
        self.nodes.append(helper.make_node("Identity", [self.plain(operand)], [name], name=name))
        self.outputs.append(Value(name, shape, dtype))

    def used_constants(self) -> list[Any]:
        """The constants that nodes refer to, as ONNX tensors."""
        used = {name for node in self.nodes for name in node.input}
        return [
            numpy_helper.from_array(np.ascontiguousarray(array), name)
            for name, array in self._constants.items()
            if name in used
        ]

    def constant(self, array: Any, dtype: Any = None) -> str:
        """The name of a constant; equal ones are written once."""
        values = np.asarray(array, dtype)
        key = (values.dtype.str, values.shape, values.tobytes())
        if key not in self._shared:
            self._shared[key] = f"constant/{len(self._shared)}"
            self._constants[self._shared[key]] = values
        return self._shared[key]

    def emit(
        self,
        kind: str,
        inputs: Sequence[str],
        shape: Sequence[int],
        dtype: Any,
        order: tuple[int, ...] | None = None,
        **attributes: Any,
    ) -> Value:
        """Write an ONNX node with one output, whose shape is given as the source sees it."""
        name = self._name()
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return Value(name, checked_shape(shape), np.dtype(dtype), order)

    def emit_split(self, value: Value, axis: int, sizes: Sequence[int]) -> list[Value]:
        """Cut a tensor along an axis."""
        name = self._name()
        names = [f"{name}:{index}" for index in range(len(sizes))]
        split = self.constant(sizes, np.int64)
        self.nodes.append(helper.make_node("Split", [value.name, split], names, name=name, axis=value.order[axis]))
        shapes = [checked_shape((*value.shape[:axis], size, *value.shape[axis + 1 :])) for size in sizes]
        return [Value(name, shape, value.dtype, value.stored) for name, shape in zip(names, shapes, strict=True)]

    def plain(self, operand: Operand) -> str:
        """The tensor in the order of the source."""
        return self.ordered(operand, tuple(range(len(shape_of(operand)))))

    def ordered(self, operand: Operand, order: tuple[int, ...]) -> str:
        """The tensor stored in an order, transposed if need be."""
        value = operand if isinstance(operand, Value) else Value("", operand.shape, operand.dtype)
        if len(order) != len(value.shape):
            raise GraphModelError(f"a tensor of {len(order)} dimensions is needed, this has {len(value.shape)}")
        moves = [0] * len(order)
        for was, becomes in zip(value.order, order, strict=True):
            moves[becomes] = was
        if isinstance(operand, np.ndarray):
            return self.constant(operand.transpose(moves))
        if value.order == order:
            return value.name
        key = (value.name, tuple(moves))
        if key not in self._reordered:
            self._reordered[key] = self.emit("Transpose", [value.name], value.shape, value.dtype, perm=moves).name
        return self._reordered[key]

    def broadcast(self, kind: str, operands: Sequence[Operand], dtype: Any = None) -> Value:
        """A function of single elements of tensors that fit together as numpy's do."""
        rank = max(len(shape_of(operand)) for operand in operands)
        values = [operand for operand in operands if isinstance(operand, Value)]
        full = [value for value in values if len(value.shape) == rank]
        order = full[0].order if full and len(full) == len(values) else tuple(range(rank))
        inputs = []
        for operand in operands:
            if len(shape_of(operand)) == rank:
                inputs.append(self.ordered(operand, order))
            elif isinstance(operand, np.ndarray) and operand.size > 1:
                widened = operand.reshape((1,) * (rank - operand.ndim) + operand.shape)
                inputs.append(self.ordered(widened, order))
            else:
                inputs.append(self.plain(operand))
        if len({operand.dtype for operand in operands}) != 1:
            raise GraphModelError("the types of the operands differ")
        shape = np.broadcast_shapes(*map(shape_of, operands))
        return self.emit(kind, inputs, shape, dtype or operands[0].dtype, order)

    def _name(self) -> str:
        self._count += 1
        return f"{self._prefix}#{self._count}"

    def _fold(self, operation: Operation, node: GraphNode, operands: list[Operand]) -> list[NDArray[Any]]:
        inner = Writer(self._operations)
        inner._prefix = node.name
        values = [
            Value(inner.constant(operand), operand.shape, operand.dtype)
            if isinstance(operand, np.ndarray) and index == _DATA.get(node.op, 0)
            else operand
            for index, operand in enumerate(operands)
        ]
        results = operation(inner, node, values)
        if any(isinstance(result, Value) for result in results):
            names = [inner.plain(result) for result in results]
            outputs = [helper.make_empty_tensor_value_info(name) for name in names]
            graph = helper.make_graph(inner.nodes, "constants", [], outputs, inner.used_constants())
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
            results = [np.asarray(array) for array in ReferenceEvaluator(model).run(None, {})]
        return [result for result in results if isinstance(result, np.ndarray)]


Operation = Callable[[Writer, GraphNode, list[Operand]], list[Operand]]


def shape_of(operand: Operand) -> tuple[int, ...]:
    """The shape as the source sees it."""
    return tuple(operand.shape)


def known(operand: Operand) -> NDArray[Any]:
    """An operand that must be a constant."""
    if isinstance(operand, Value):
        raise GraphModelError("an operand must be a constant")
    return operand


def whole(operand: Operand) -> list[int]:
    """The whole numbers of a constant."""
    return [int(number) for number in known(operand).reshape(-1)]


def axis_of(operand: Operand, rank: int) -> int:
    """The axis that a constant names, counted from the front."""
    (axis,) = whole(operand)
    return inside(axis, rank)


def inside(axis: int, rank: int) -> int:
    """An axis counted from the front; negative ones count from the back."""
    if not -rank <= axis < rank:
        raise GraphModelError(f"there is no axis {axis} among {rank}")
    return axis % rank


def computed(operand: Operand) -> Value:
    """An operand that must not be a constant."""
    if isinstance(operand, np.ndarray):
        raise GraphModelError("an operand must not be a constant")
    return operand


def cast(writer: Writer, value: Value, dtype: np.dtype[Any]) -> Value:
    """The tensor with another element type."""
    if value.dtype == dtype:
        return value
    return writer.emit("Cast", [value.name], value.shape, dtype, value.stored, to=onnx_type(dtype))
