"""Operations on images: convolutions, pooling, resizing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lunaria.vision.packs.tfjs.arithmetic import activate
from lunaria.vision.packs.tfjs.writer import (
    GraphModelError,
    GraphNode,
    Operand,
    Operation,
    Writer,
    known,
    shape_of,
    whole,
)

CHANNELS_FIRST = (0, 2, 3, 1)


def _check_layout(node: GraphNode) -> None:
    if node.get("data_format", "NHWC") != "NHWC":
        raise GraphModelError("only images with their channels last are understood")


def _window(
    node: GraphNode, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[list[int], list[int]]:
    """The padding (top, left, bottom, right) and the height and width of what a sliding window computes."""
    padding = node.get("padding", "VALID")
    before, after, results = [], [], []
    for axis in range(2):
        extent = (kernel[axis] - 1) * dilations[axis] + 1
        if padding == "SAME":
            result = -(-sizes[axis] // strides[axis])
            total = max((result - 1) * strides[axis] + extent - sizes[axis], 0)
            pads = (total // 2, total - total // 2)
        elif padding == "EXPLICIT":
            explicit = node.get("explicit_paddings", [])
            pads = (explicit[2 + 2 * axis], explicit[3 + 2 * axis])
        elif padding == "VALID":
            pads = (0, 0)
        else:
            raise GraphModelError(f"the padding {padding!r} is not known")
        results.append((sizes[axis] + sum(pads) - extent) // strides[axis] + 1)
        before.append(pads[0])
        after.append(pads[1])
    return before + after, results


def _convolution(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    """Conv2D and DepthwiseConv2dNative, also fused with a bias and an activation."""
    _check_layout(node)
    image, kernel, rest = operands[0], known(operands[1]), operands[2:]
    batch, height, width, channels = shape_of(image)
    if "Depthwise" in node.op:
        groups, weights = channels, kernel.transpose(2, 3, 0, 1).reshape(-1, 1, *kernel.shape[:2])
    else:
        groups, weights = channels // kernel.shape[2], kernel.transpose(3, 2, 0, 1)
    strides, dilations = node.get("strides", [1] * 4)[1:3], (node.get("dilations", []) or [1] * 4)[1:3]
    pads, (rows, columns) = _window(node, (height, width), kernel.shape[:2], strides, dilations)
    fused = list(node.get("fused_ops", []))
    inputs = [writer.ordered(image, CHANNELS_FIRST), writer.constant(weights, np.float32)]
    if fused[:1] == ["BiasAdd"]:
        inputs.append(writer.constant(known(rest[0]).reshape(-1), np.float32))
        fused, rest = fused[1:], rest[1:]
    value = writer.emit(
        "Conv",
        inputs,
        (batch, rows, columns, weights.shape[0]),
        np.float32,
        CHANNELS_FIRST,
        kernel_shape=list(weights.shape[2:]),
        strides=strides,
        dilations=dilations,
        pads=pads,
        group=groups,
    )
    for kind in fused:
        value = activate(writer, value, kind, node, rest)
    return [value]


def _transposed_convolution(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    _check_layout(node)
    kernel, image = known(operands[1]), operands[2]
    _, rows, columns, _ = whole(operands[0])
    batch, height, width, _ = shape_of(image)
    strides = node.get("strides", [1] * 4)[1:3]
    pads, sizes = _window(node, (rows, columns), kernel.shape[:2], strides, (1, 1))
    if sizes != [height, width]:
        raise GraphModelError("the sizes of a transposed convolution contradict each other")
    # Rows that the window of the forward convolution leaves over appear at the far end.
    left_over = [
        size - ((count - 1) * stride + extent - pads[axis] - pads[axis + 2])
        for axis, (size, count, stride, extent) in enumerate(
            zip((rows, columns), sizes, strides, kernel.shape[:2], strict=True)
        )
    ]
    return [
        writer.emit(
            "ConvTranspose",
            [writer.ordered(image, CHANNELS_FIRST), writer.constant(kernel.transpose(3, 2, 0, 1), np.float32)],
            (batch, rows, columns, kernel.shape[2]),
            np.float32,
            CHANNELS_FIRST,
            kernel_shape=list(kernel.shape[:2]),
            strides=strides,
            pads=pads,
            output_padding=left_over,
        )
    ]


def _pool(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    _check_layout(node)
    batch, height, width, channels = shape_of(operands[0])
    kernel, strides = node.get("ksize", [])[1:3], node.get("strides", [])[1:3]
    pads, (rows, columns) = _window(node, (height, width), kernel, strides, (1, 1))
    return [
        writer.emit(
            "MaxPool" if node.op == "MaxPool" else "AveragePool",
            [writer.ordered(operands[0], CHANNELS_FIRST)],
            (batch, rows, columns, channels),
            np.float32,
            CHANNELS_FIRST,
            kernel_shape=kernel,
            strides=strides,
            pads=pads,
        )
    ]


def _resize(writer: Writer, node: GraphNode, operands: list[Operand]) -> list[Operand]:
    batch, height, width, channels = shape_of(operands[0])
    rows, columns = whole(operands[1])
    mode = "half_pixel" if node.get("half_pixel_centers", False) else "asymmetric"
    if node.get("align_corners", False):
        mode = "align_corners"
    factors = np.array((1, 1, rows / height, columns / width), np.float32)
    if (factors[2] * height, factors[3] * width) == (rows, columns):  # exact factors leave the batch free
        sizes = [writer.constant(factors)]
    else:
        sizes = ["", writer.constant((batch, channels, rows, columns), np.int64)]
    inputs = [writer.ordered(operands[0], CHANNELS_FIRST), "", *sizes]
    shape = (batch, rows, columns, channels)
    attributes = {"mode": "linear", "coordinate_transformation_mode": mode}
    return [writer.emit("Resize", inputs, shape, np.float32, CHANNELS_FIRST, **attributes)]


IMAGE_OPERATIONS: dict[str, Operation] = {
    **dict.fromkeys(("Conv2D", "_FusedConv2D", "DepthwiseConv2dNative", "FusedDepthwiseConv2dNative"), _convolution),
    "Conv2DBackpropInput": _transposed_convolution,
    **dict.fromkeys(("MaxPool", "AvgPool"), _pool),
    "ResizeBilinear": _resize,
}
