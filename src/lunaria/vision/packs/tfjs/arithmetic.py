"""Operations on numbers: functions of single elements, products, sums along axes, positions of the largest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lunaria.vision.packs.tfjs.writer import (
    TYPES,
    GraphModelError,
    GraphNode,
    Operand,
    Operation,
    Value,
    Writer,
    axis_of,
    cast,
    computed,
    inside,
    shape_of,
    whole,
)

_UNARY = {"Relu": "Relu", "Sigmoid": "Sigmoid", "Tanh": "Tanh", "Sqrt": "Sqrt", "Exp": "Exp", "Elu": "Elu"}
_BINARY = {
    "Add": "Add",
    "AddV2": "Add",
    "BiasAdd": "Add",
    "Sub": "Sub",
    "Mul": "Mul",
    "RealDiv": "Div",
    "Minimum": "Min",
    "Maximum": "Max",
    "Equal": "Equal",
}
_REDUCTIONS = {"Mean": "ReduceMean", "Max": "ReduceMax", "Min": "ReduceMin"}


def activate(writer: Writer, value: Value, kind: str, node: GraphNode, rest: Sequence[Operand] = ()) -> Value:
    """An activation function, by the name that TensorFlow has for it."""
    if kind == "Relu6":
        bounds = [writer.constant(bound, np.float32) for bound in (0, 6)]
        return writer.emit("Clip", [value.name, *bounds], value.shape, value.dtype, value.stored)
    if kind == "LeakyRelu":
        alpha = node.get("alpha", node.get("leakyrelu_alpha", 0.2))
        return writer.emit("LeakyRelu", [value.name], value.shape, value.dtype, value.stored, alpha=alpha)
    if kind == "Prelu":
        return writer.broadcast("PRelu", [value, rest[0]])
    return writer.emit(_UNARY[kind], [value.name], value.shape, value.dtype, value.stored)


def _activation(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    return [activate(writer, computed(operands[0]), node.op, node, operands[1:])]


def _binary(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    left, right = operands
    return [writer.broadcast(_BINARY[node.op], [left, right], np.bool_ if node.op == "Equal" else None)]


def _sum(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    total = operands[0]
    for operand in operands[1:]:
        total = writer.broadcast("Add", [total, operand])
    return [total]


def _squared_difference(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    difference = writer.broadcast("Sub", operands)
    return [writer.broadcast("Mul", [difference, difference])]


def _floor(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    """FloorDiv and FloorMod of whole numbers; ONNX's Mod takes the sign of the divisor, as FloorMod does."""
    if operands[0].dtype.kind != "i":
        raise GraphModelError("only whole numbers are divided so")
    rest = writer.broadcast("Mod", operands)
    if node.op == "FloorMod":
        return [rest]
    return [writer.broadcast("Div", [writer.broadcast("Sub", [operands[0], rest]), operands[1]])]


def _product(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    """MatMul, also fused with a bias and an activation."""
    left, right, *rest = operands
    names, shapes = [], []
    for operand, flag in ((left, "transpose_a"), (right, "transpose_b")):
        turned = (1, 0) if node.get(flag, False) else (0, 1)
        names.append(writer.ordered(operand, turned))
        shapes.append([shape_of(operand)[position] for position in turned])
    if shapes[0][1] != shapes[1][0]:
        raise GraphModelError("the sizes of the matrices do not fit")
    value = writer.emit("MatMul", names, (shapes[0][0], shapes[1][1]), np.float32)
    fused = list(node.get("fused_ops", []))
    if fused[:1] == ["BiasAdd"]:
        value = writer.broadcast("Add", [value, rest[0]])
        fused, rest = fused[1:], rest[1:]
    for kind in fused:
        value = activate(writer, value, kind, node, rest)
    return [value]


def _reduction(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    value = computed(operands[0])
    axes = [inside(axis, len(value.shape)) for axis in whole(operands[1])]
    keep = bool(node.get("keep_dims", False))
    stored = [value.order[axis] for axis in axes]
    shape, order = _reduced(value, axes, keep)
    return [
        writer.emit(_REDUCTIONS[node.op], [value.name], shape, value.dtype, order, axes=sorted(stored), keepdims=keep)
    ]


def _reduced(value: Value, axes: Sequence[int], keep: bool) -> tuple[list[int], tuple[int, ...]]:
    """Shape and order after some axes were reduced to one number or removed."""
    if keep:
        return [1 if axis in axes else size for axis, size in enumerate(value.shape)], value.order
    left = [axis for axis in range(len(value.shape)) if axis not in axes]
    stored = [value.order[axis] for axis in left]
    return [value.shape[axis] for axis in left], tuple(sorted(stored).index(position) for position in stored)


def _arg_max(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    value = computed(operands[0])
    axis = axis_of(operands[1], len(value.shape))
    shape, order = _reduced(value, [axis], keep=False)
    found = writer.emit("ArgMax", [value.name], shape, np.int64, order, axis=value.order[axis], keepdims=0)
    return [cast(writer, found, node.get("output_type", TYPES["DT_INT64"]))]


def _top(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    (count,) = whole(operands[1])
    shape = (*shape_of(operands[0])[:-1], count)
    values = writer.emit("TopK", [writer.plain(operands[0]), writer.constant([count], np.int64)], shape, np.float32)
    writer.nodes[-1].output.append(f"{values.name}:indices")
    return [values, cast(writer, Value(f"{values.name}:indices", shape, np.dtype(np.int64)), np.dtype(np.int32))]


def _casting(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    return [cast(writer, computed(operands[0]), node.get("DstT", None))]


def _softmax(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    value = computed(operands[0])
    return [writer.emit("Softmax", [value.name], value.shape, value.dtype, value.stored, axis=value.order[-1])]


ARITHMETIC_OPERATIONS: dict[str, Operation] = {
    **dict.fromkeys((*_UNARY, "Relu6", "LeakyRelu", "Prelu"), _activation),
    **dict.fromkeys(_BINARY, _binary),
    "AddN": _sum,
    "SquaredDifference": _squared_difference,
    **dict.fromkeys(("FloorDiv", "FloorMod"), _floor),
    **dict.fromkeys(("MatMul", "_FusedMatMul"), _product),
    **dict.fromkeys(_REDUCTIONS, _reduction),
    "ArgMax": _arg_max,
    "TopKV2": _top,
    "Cast": _casting,
    "Softmax": _softmax,
}
