"""Networks of our own in files of half the size: weights in half precision that are widened when they are loaded."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

SMALLEST_HALVED = 256
"""Constants with fewer numbers stay as they are: they weigh nothing."""


def halved(model: Any) -> bytes:
    """The file of an ONNX model whose large float constants are kept in half precision. Changes the model."""
    halves, widened = [], []
    for constant in list(model.graph.initializer):
        values = numpy_helper.to_array(constant)
        if values.dtype != np.float32 or values.size < SMALLEST_HALVED:
            continue
        halves.append(numpy_helper.from_array(values.astype(np.float16), f"{constant.name}_half"))
        widened.append(helper.make_node("Cast", [f"{constant.name}_half"], [constant.name], to=onnx.TensorProto.FLOAT))
        model.graph.initializer.remove(constant)
    model.graph.initializer.extend(halves)
    nodes = [*widened, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
