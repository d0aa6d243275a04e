"""MobileNetV2 written as an ONNX graph from the tensors of a checkpoint.

Architecture: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (2018), table 2, in torchvision's
naming of the parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from lunaria.vision.packs.graph import Graph

# expansion, channels, repetitions, stride of the first repetition
BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def quality_network(weights: Mapping[str, NDArray[Any]]) -> Any:
    """The face quality network of the package qualityface: MobileNetV2 features, their mean, one linear output.

    Input `image` N x 3 x 128 x 128, output `quality` N x 1. Raises KeyError when a tensor is missing.
    """
    graph = Graph(weights, "module.backbone.backbone.features.")
    x = _convolution(graph, "image", "0.0", "0.1", stride=2)
    index, width = 1, 32
    for expansion, channels, repetitions, first_stride in BLOCKS:
        for repetition in range(repetitions):
            stride = first_stride if repetition == 0 else 1
            residual = stride == 1 and width == channels
            x = _block(graph, x, index, expansion=expansion, stride=stride, residual=residual)
            index, width = index + 1, channels
    x = _convolution(graph, x, f"{index}.0", f"{index}.1")
    x = graph.node("ReduceMean", [x], "pooled", axes=[2, 3], keepdims=0)
    weight = graph.constant("classify.weight", weights["module.classify.weight"].astype("f4"))
    bias = graph.constant("classify.bias", weights["module.classify.bias"].astype("f4"))
    graph.node("Gemm", [x, weight, bias], "quality", transB=1)
    return graph.model("face-quality", {"image": ["N", 3, 128, 128]}, {"quality": ["N", 1]})


def _convolution(graph: Graph, x: str, convolution: str, norm: str, *, stride: int = 1) -> str:
    return graph.relu6(graph.convolution(x, convolution, norm, stride=stride), f"{convolution}.relu6")


def _block(graph: Graph, x: str, index: int, *, expansion: int, stride: int, residual: bool) -> str:
    """An inverted residual: widen, filter each channel, narrow."""
    name = f"{index}.conv"
    y, step = x, 0
    if expansion != 1:
        y, step = _convolution(graph, y, f"{name}.0.0", f"{name}.0.1"), 1
    y = _convolution(graph, y, f"{name}.{step}.0", f"{name}.{step}.1", stride=stride)
    y = graph.convolution(y, f"{name}.{step + 1}", f"{name}.{step + 2}")
    return graph.node("Add", [x, y], f"{name}.sum") if residual else y
