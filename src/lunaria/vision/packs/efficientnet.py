"""EfficientNet-Lite0 written as an ONNX graph that gives feature maps, from the tensors of a checkpoint.

Architecture: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019), table 1, in
the lite variant: no squeeze-and-excitation, ReLU6, stem and head of fixed width. Padding as TensorFlow does it: the odd
row and column of a convolution with stride 2 lie at the bottom and at the right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from lunaria.vision.packs.graph import Graph

BATCH_NORM_EPSILON = 1e-3
HEIGHT, WIDTH = 256, 128
# expansion, channels, repetitions, stride of the first repetition
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 40, 2, 2),
    (6, 80, 3, 2),
    (6, 112, 3, 1),
    (6, 192, 4, 2),
    (6, 320, 1, 1),
)
OUTPUT_STAGES = {2: "stride8", 4: "stride16", 6: "stride32"}
"""After which stage a map is given out, and its name."""


def feature_network(weights: Mapping[str, NDArray[Any]]) -> Any:
    """The feature maps of bodies.

    Input `image` N x 3 x 256 x 128, RGB as (x - 127) / 128. Outputs `stride8` N x 40 x 32 x 16, `stride16`
    N x 112 x 16 x 8 and `stride32` N x 320 x 8 x 4, none of them behind an activation. Raises KeyError when a tensor
    is missing.
    """
    graph = Graph(weights, epsilon=BATCH_NORM_EPSILON)
    x = _convolution(graph, "image", "_conv_stem", "_bn0", stride=2)
    outputs: dict[str, list[Any]] = {}
    index, width, height = 0, 32, HEIGHT // 2
    for stage, (expansion, channels, repetitions, first_stride) in enumerate(STAGES):
        for repetition in range(repetitions):
            stride = first_stride if repetition == 0 else 1
            last = OUTPUT_STAGES.get(stage) if repetition == repetitions - 1 else None
            x = _block(graph, x, index, expansion=expansion, stride=stride, residual=stride == 1 and width == channels)
            index, width, height = index + 1, channels, height // stride
            if last:
                x = graph.node("Identity", [x], last)
                outputs[last] = ["N", channels, height, height * WIDTH // HEIGHT]
    return graph.model("body-features", {"image": ["N", 3, HEIGHT, WIDTH]}, outputs)


def _convolution(graph: Graph, x: str, convolution: str, norm: str, *, stride: int = 1) -> str:
    size = graph.weights[f"{graph.prefix}{convolution}.weight"].shape[2]
    before = (size - stride) // 2
    after = size - stride - before
    y = graph.convolution(x, convolution, norm, stride=stride, pads=[before, before, after, after])
    return graph.relu6(y, f"{convolution}.relu6")


def _block(graph: Graph, x: str, index: int, *, expansion: int, stride: int, residual: bool) -> str:
    """An inverted residual: widen, filter each channel, narrow."""
    name = f"_blocks.{index}"
    y = x
    if expansion != 1:
        y = _convolution(graph, y, f"{name}._expand_conv", f"{name}._bn0")
    y = _convolution(graph, y, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride)
    y = graph.convolution(y, f"{name}._project_conv", f"{name}._bn2")
    return graph.node("Add", [x, y], f"{name}.sum") if residual else y
