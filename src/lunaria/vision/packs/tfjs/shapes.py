"""Operations that move elements: joining, cutting, choosing, reshaping."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lunaria.vision.packs.tfjs.writer import (
    GraphModelError,
    GraphNode,
    Operand,
    Operation,
    Value,
    Writer,
    axis_of,
    cast,
    checked_shape,
    computed,
    inside,
    known,
    shape_of,
    whole,
)


def _concatenation(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    *parts, last = operands
    first = next((part for part in parts if isinstance(part, Value)), parts[0])
    rank = len(shape_of(first))
    order = first.order if isinstance(first, Value) else tuple(range(rank))
    axis = axis_of(last, rank)
    shape = list(shape_of(first))
    shape[axis] = sum(shape_of(part)[axis] for part in parts)
    names = [writer.ordered(part, order) for part in parts]
    return [writer.emit("Concat", names, shape, first.dtype, order, axis=order[axis])]


def _padding(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    value = computed(operands[0])
    pads = known(operands[1]).astype(np.int64).reshape(len(value.shape), 2)
    stored = np.empty_like(pads)
    stored[list(value.order)] = pads
    fill = writer.constant(known(operands[2]) if node.op == "PadV2" else np.zeros((), value.dtype))
    shape = np.add(value.shape, pads.sum(axis=1)).tolist()
    inputs = [value.name, writer.constant(stored.T.reshape(-1)), fill]
    return [writer.emit("Pad", inputs, shape, value.dtype, value.stored)]


def _reshape(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    return [_reshaped(writer, operands[0], whole(operands[1]))]


def _reshaped(writer: Writer, operand: Operand, target: list[int]) -> Value:
    shape, count = list(target), math.prod(shape_of(operand))
    if -1 in shape:
        known = math.prod(size for size in shape if size != -1)
        shape[shape.index(-1)] = count // known
    if math.prod(checked_shape(shape)) != count:
        raise GraphModelError(f"{count} elements do not fill {target}")
    # A zero takes the size over, so that the batch stays free.
    free = shape[:1] == [1] == list(shape_of(operand)[:1])
    sizes = writer.constant([0, *shape[1:]] if free else shape, np.int64)
    return writer.emit("Reshape", [writer.plain(operand), sizes], shape, operand.dtype)


def _expansion(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    return [_unsqueezed(writer, operands[0], axis_of(operands[1], len(shape_of(operands[0])) + 1))]


def _unsqueezed(writer: Writer, operand: Operand, axis: int) -> Value:
    shape = [*shape_of(operand)]
    shape.insert(axis, 1)
    return writer.emit("Unsqueeze", [writer.plain(operand), writer.constant([axis], np.int64)], shape, operand.dtype)


def _squeezed(writer: Writer, operand: Operand, axes: Sequence[int]) -> Value:
    shape = [size for axis, size in enumerate(shape_of(operand)) if axis not in axes]
    return writer.emit("Squeeze", [writer.plain(operand), writer.constant(axes, np.int64)], shape, operand.dtype)


def _squeeze(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    shape = shape_of(operands[0])
    axes = [inside(axis, len(shape)) for axis in node.get("squeeze_dims", [])]
    axes = axes or [axis for axis, size in enumerate(shape) if size == 1]
    if any(shape[axis] != 1 for axis in axes):
        raise GraphModelError("only dimensions of one element can be left out")
    return [_squeezed(writer, operands[0], axes)]


def _pack(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    axis = inside(node.get("axis", 0), len(shape_of(operands[0])) + 1)
    parts = [_unsqueezed(writer, operand, axis) for operand in operands]
    shape = [*parts[0].shape]
    shape[axis] = len(parts)
    return [writer.emit("Concat", [part.name for part in parts], shape, parts[0].dtype, axis=axis)]


def _unpack(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    value = computed(operands[0])
    axis = inside(node.get("axis", 0), len(value.shape))
    parts = [value] if value.shape[axis] == 1 else writer.emit_split(value, axis, [1] * value.shape[axis])
    return [_squeezed(writer, part, [axis]) for part in parts]


def _split(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    """Split(axis, value) into equal parts, SplitV(value, sizes, axis)."""
    if node.op == "Split":
        value = computed(operands[1])
        axis = axis_of(operands[0], len(value.shape))
        count = node.get("num_split", 1)
        if not 0 < count <= value.shape[axis]:
            raise GraphModelError(f"{value.shape[axis]} cannot be cut into {count} parts")
        sizes = [value.shape[axis] // count] * count
    else:
        value = computed(operands[0])
        axis = axis_of(operands[2], len(value.shape))
        sizes = whole(operands[1])
    if sum(sizes) != value.shape[axis]:
        raise GraphModelError("the parts do not make up the whole")
    return [*writer.emit_split(value, axis, sizes)]


def _slice(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    """StridedSlice. Bit i of a mask speaks of entry i of begin, end and strides."""
    shape = shape_of(operands[0])
    begin, end, strides = (whole(operand) for operand in operands[1:4])
    begin_mask, end_mask, shrink, new, ellipsis = (
        node.get(f"{name}_mask", 0) for name in ("begin", "end", "shrink_axis", "new_axis", "ellipsis")
    )
    if new or ellipsis:
        raise GraphModelError("slices with new dimensions or an ellipsis are not understood")
    dropped = [axis for axis in range(len(begin)) if shrink >> axis & 1]
    bounds = []
    for axis, (first, last, stride) in enumerate(zip(begin, end, strides, strict=True)):
        if axis in dropped:
            position = inside(first, shape[axis])
            bounds.append((position, position + 1, 1))
        else:
            cut = slice(
                None if begin_mask >> axis & 1 else first, None if end_mask >> axis & 1 else last, stride
            ).indices(shape[axis])
            # Backwards to the very first element ends before it, which ONNX writes as a number far below zero.
            bounds.append((cut[0], cut[1] if cut[1] >= 0 else -(1 << 31), cut[2]))
    taken = [len(range(first, max(last, -1), stride)) for first, last, stride in bounds]
    inputs = [writer.constant(list(numbers), np.int64) for numbers in zip(*bounds, strict=True)]
    axes = writer.constant(range(len(bounds)), np.int64)
    sliced = writer.emit(
        "Slice",
        [writer.plain(operands[0]), inputs[0], inputs[1], axes, inputs[2]],
        (*taken, *shape[len(bounds) :]),
        operands[0].dtype,
    )
    return [_squeezed(writer, sliced, dropped) if dropped else sliced]


def _gather(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    if node.get("batch_dims", 0):
        raise GraphModelError("gathering by batches is not understood")
    table, chosen = operands[0], operands[1]
    axis = axis_of(operands[2], len(shape_of(table)))
    shape = (*shape_of(table)[:axis], *shape_of(chosen), *shape_of(table)[axis + 1 :])
    return [writer.emit("Gather", [writer.plain(table), writer.plain(chosen)], shape, table.dtype, axis=axis)]


def _gather_nd(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    table, chosen = operands
    depth = shape_of(chosen)[-1]
    if isinstance(chosen, np.ndarray):
        indices = writer.constant(chosen, np.int64)
    else:
        indices = writer.plain(cast(writer, chosen, np.dtype(np.int64)))
    shape = (*shape_of(chosen)[:-1], *shape_of(table)[depth:])
    return [writer.emit("GatherND", [writer.plain(table), indices], shape, table.dtype)]


def _transposition(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    value, moves = computed(operands[0]), whole(operands[1])
    if sorted(moves) != list(range(len(value.shape))):
        raise GraphModelError(f"{moves} is no order of the dimensions")
    shape = tuple(value.shape[axis] for axis in moves)
    return [Value(value.name, shape, value.dtype, tuple(value.order[axis] for axis in moves))]


def _identity(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    return operands[:1]


def _size(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    return [np.array(shape_of(operands[0]), node.get("out_type", np.int32))]


def _dense(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    """SparseToDense: a constant tensor given by its few elements that differ from a default."""
    indices, shape, values, default = (known(operand) for operand in operands)
    dense = np.full(checked_shape(shape.tolist()), default)
    dense[tuple(indices.reshape(-1, len(shape)).T)] = values
    return [dense]


SHAPE_OPERATIONS: dict[str, Operation] = {
    "ConcatV2": _concatenation,
    **dict.fromkeys(("Pad", "PadV2"), _padding),
    "Reshape": _reshape,
    "ExpandDims": _expansion,
    "Squeeze": _squeeze,
    "Pack": _pack,
    "Unpack": _unpack,
    **dict.fromkeys(("Split", "SplitV"), _split),
    "StridedSlice": _slice,
    "GatherV2": _gather,
    "GatherNd": _gather_nd,
    "Transpose": _transposition,
    "Identity": _identity,
    "Shape": _size,
    "SparseToDense": _dense,
}
