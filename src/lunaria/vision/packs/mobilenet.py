"""MobileNetV2 written as an ONNX graph from the tensors of a checkpoint.

Architecture: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (2018), table 2, in torchvision's
naming of the parameters. Batch normalisation is folded into the convolution before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

BATCH_NORM_EPSILON = 1e-5
OPSET = 17
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


class _Graph:
    def __init__(self, weights: Mapping[str, NDArray[Any]], prefix: str) -> None:
        self.weights = weights
        self.prefix = prefix
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def convolution(self, x: str, convolution: str, norm: str, *, stride: int = 1, clip: bool = True) -> str:
        """A convolution with its folded batch normalisation and, where asked for, a ReLU6."""
        weight = self.weights[f"{self.prefix}{convolution}.weight"].astype(np.float64)
        scale, shift, mean, variance = (
            self.weights[f"{self.prefix}{norm}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = scale / np.sqrt(variance + BATCH_NORM_EPSILON)
        size = weight.shape[2]
        y = self.node(
            "Conv",
            [
                x,
                self.constant(f"{convolution}.weight", (weight * factor[:, None, None, None]).astype("f4")),
                self.constant(f"{convolution}.bias", (shift - mean * factor).astype("f4")),
            ],
            f"{convolution}.out",
            kernel_shape=[size, size],
            strides=[stride, stride],
            pads=[size // 2] * 4,
            group=weight.shape[0] if weight.shape[1] == 1 else 1,
        )
        return self.node("Clip", [y, "zero", "six"], f"{convolution}.relu6") if clip else y

    def block(self, x: str, index: int, *, expansion: int, stride: int, residual: bool) -> str:
        """An inverted residual: widen, filter each channel, narrow."""
        name = f"{index}.conv"
        y, step = x, 0
        if expansion != 1:
            y, step = self.convolution(y, f"{name}.0.0", f"{name}.0.1"), 1
        y = self.convolution(y, f"{name}.{step}.0", f"{name}.{step}.1", stride=stride)
        y = self.convolution(y, f"{name}.{step + 1}", f"{name}.{step + 2}", clip=False)
        return self.node("Add", [x, y], f"{name}.sum") if residual else y


def quality_network(weights: Mapping[str, NDArray[Any]]) -> Any:
    """The face quality network of the package qualityface: MobileNetV2 features, their mean, one linear output.

    Input `image` N x 3 x 128 x 128, output `quality` N x 1. Raises KeyError when a tensor is missing.
    """
    graph = _Graph(weights, "module.backbone.backbone.features.")
    graph.constant("zero", np.array(0, np.float32))
    graph.constant("six", np.array(6, np.float32))
    x = graph.convolution("image", "0.0", "0.1", stride=2)
    index, width = 1, 32
    for expansion, channels, repetitions, first_stride in BLOCKS:
        for repetition in range(repetitions):
            stride = first_stride if repetition == 0 else 1
            residual = stride == 1 and width == channels
            x = graph.block(x, index, expansion=expansion, stride=stride, residual=residual)
            index, width = index + 1, channels
    x = graph.convolution(x, f"{index}.0", f"{index}.1")
    x = graph.node("ReduceMean", [x], "pooled", axes=[2, 3], keepdims=0)
    weight = graph.constant("classify.weight", weights["module.classify.weight"].astype("f4"))
    bias = graph.constant("classify.bias", weights["module.classify.bias"].astype("f4"))
    graph.node("Gemm", [x, weight, bias], "quality", transB=1)
    description = helper.make_graph(
        graph.nodes,
        "face-quality",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 128, 128])],
        [helper.make_tensor_value_info("quality", TensorProto.FLOAT, ["N", 1])],
        graph.constants,
    )
    model = helper.make_model(description, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 8
    model.producer_name = "lunaria"
    onnx.checker.check_model(model)
    return model
