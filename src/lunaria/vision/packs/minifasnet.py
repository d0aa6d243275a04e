"""MiniFASNet, the liveness networks of Silent-Face-Anti-Spoofing, written as ONNX graphs from checkpoint tensors.

A MobileFaceNet (Chen et al. 2018, "MobileFaceNets", table 1: bottlenecks of a widening, a depthwise and a narrowing
convolution, a global depthwise convolution at the end) whose widths were pruned: they are read from the tensors. In
V1SE the last block of each stage has squeeze-and-excitation (Hu et al. 2018). Every convolution but the narrowing ones
ends in a PReLU. Three classes: a print held to the camera, a live face, a replay on a screen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from lunaria.vision.packs.graph import Graph

INPUT_SIDE = 80
CLASSES = 3
# name of a reducing bottleneck, name and number of the residual ones after it
STAGES = (("conv_23", "conv_3", 4), ("conv_34", "conv_4", 6), ("conv_45", "conv_5", 2))


def liveness_network(weights: Mapping[str, NDArray[Any]]) -> Any:
    """MiniFASNetV2 or MiniFASNetV1SE, told apart by their tensors.

    Input `image` N x 3 x 80 x 80, BGR 0..255; output `probabilities` N x 3. Raises KeyError when a tensor is missing.
    """
    graph = Graph(weights, "module.")
    x = _activated(graph, "image", "conv1", stride=2)
    x = _activated(graph, x, "conv2_dw")
    for reducing, repeated, repetitions in STAGES:
        x = _bottleneck(graph, x, reducing, stride=2)
        for index in range(repetitions):
            name = f"{repeated}.model.{index}"
            y = _bottleneck(graph, x, name)
            if f"module.{name}.se_module.fc1.weight" in weights:
                y = _excited(graph, y, f"{name}.se_module")
            x = graph.node("Add", [x, y], f"{name}.sum")
    x = _activated(graph, x, "conv_6_sep")
    x = graph.convolution(x, "conv_6_dw.conv", "conv_6_dw.bn", pads=(0, 0, 0, 0))
    x = graph.node("Flatten", [x], "flat")
    # The two linear layers and the normalisation between them are one linear map.
    factor, shift = graph.normalisation("bn")
    last = graph.weight("prob.weight")
    matrix = graph.constant("prob.weight", (last * factor) @ graph.weight("linear.weight"))
    x = graph.node("Gemm", [x, matrix, graph.constant("prob.bias", last @ shift)], "scores", transB=1)
    graph.node("Softmax", [x], "probabilities", axis=1)
    return graph.model("liveness", {"image": ["N", 3, INPUT_SIDE, INPUT_SIDE]}, {"probabilities": ["N", CLASSES]})


def _activated(graph: Graph, x: str, name: str, *, stride: int = 1) -> str:
    """A convolution with a PReLU."""
    x = graph.convolution(x, f"{name}.conv", f"{name}.bn", stride=stride)
    slope = graph.constant(f"{name}.slope", graph.weight(f"{name}.prelu.weight").reshape(-1, 1, 1))
    return graph.node("PRelu", [x, slope], f"{name}.prelu")


def _bottleneck(graph: Graph, x: str, name: str, *, stride: int = 1) -> str:
    x = _activated(graph, x, f"{name}.conv")
    x = _activated(graph, x, f"{name}.conv_dw", stride=stride)
    return graph.convolution(x, f"{name}.project.conv", f"{name}.project.bn")


def _excited(graph: Graph, x: str, name: str) -> str:
    """Each channel times a factor that two small layers take from the means of all channels."""
    y = graph.node("GlobalAveragePool", [x], f"{name}.mean")
    y = graph.node("Relu", [graph.convolution(y, f"{name}.fc1", f"{name}.bn1")], f"{name}.relu")
    y = graph.node("Sigmoid", [graph.convolution(y, f"{name}.fc2", f"{name}.bn2")], f"{name}.factors")
    return graph.node("Mul", [x, y], f"{name}.out")
