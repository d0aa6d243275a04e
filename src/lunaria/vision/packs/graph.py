"""Writing networks as ONNX graphs from the tensors of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8


class Graph:
    """Collects nodes and constants. Names of tensors are the names of what computes them.

    `weights` are the tensors of the checkpoint, `prefix` is what their names begin with, `epsilon` what batch
    normalisation adds to the variance.
    """

    def __init__(self, weights: Mapping[str, NDArray[Any]], prefix: str = "", *, epsilon: float = 1e-5) -> None:
        self.weights = weights
        self.prefix = prefix
        self.epsilon = epsilon
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def weight(self, name: str) -> NDArray[np.float64]:
        """A tensor of the checkpoint. Raises KeyError."""
        return self.weights[f"{self.prefix}{name}"].astype(np.float64)

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """A tensor of the graph; float64 is stored as float32."""
        if value.dtype == np.float64:
            value = value.astype(np.float32)
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def relu6(self, x: str, output: str) -> str:
        if "six" not in self._constants:
            earlier, self._constants = self._constants, {}
            self.constant("zero", np.array(0, np.float32))
            self.constant("six", np.array(6, np.float32))
            self._constants |= earlier
        return self.node("Clip", [x, "zero", "six"], output)

    def normalisation(self, norm: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """A batch normalisation as factor and summand of each channel."""
        scale, shift, mean, variance = (
            self.weight(f"{norm}.{part}") for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = scale / np.sqrt(variance + self.epsilon)
        return factor, shift - mean * factor

    def convolution(
        self, x: str, convolution: str, norm: str, *, stride: int = 1, pads: Sequence[int] | None = None
    ) -> str:
        """A convolution with its folded batch normalisation.

        `pads`: top, left, bottom, right; half of the kernel on each side when not given.
        """
        weight = self.weight(f"{convolution}.weight")
        factor, shift = self.normalisation(norm)
        size = weight.shape[2]
        return self.node(
            "Conv",
            [
                x,
                self.constant(f"{convolution}.weight", weight * factor[:, None, None, None]),
                self.constant(f"{convolution}.bias", shift),
            ],
            f"{convolution}.out",
            kernel_shape=[size, size],
            strides=[stride, stride],
            pads=[size // 2] * 4 if pads is None else list(pads),
            group=weight.shape[0] if weight.shape[1] == 1 else 1,
        )

    def linear(self, x: str, layer: str, output: str) -> str:
        """A fully connected layer; `layer` is the name of its weights in the checkpoint, without the prefix."""
        weight = self.constant(f"{layer}.weight", self.weight(f"{layer}.weight"))
        bias = self.constant(f"{layer}.bias", self.weight(f"{layer}.bias"))
        return self.node("Gemm", [x, weight, bias], output, transB=1)

    def model(self, name: str, inputs: Mapping[str, Sequence[Any]], outputs: Mapping[str, Sequence[Any]]) -> Any:
        """The finished ONNX model, checked. Inputs and outputs are float32, with their shapes."""

        def ports(shapes: Mapping[str, Sequence[Any]]) -> list[Any]:
            return [helper.make_tensor_value_info(port, TensorProto.FLOAT, shape) for port, shape in shapes.items()]

        graph = helper.make_graph(self._nodes, name, ports(inputs), ports(outputs), list(self._constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = IR_VERSION
        model.producer_name = "lunaria"
        onnx.checker.check_model(model)
        return model
