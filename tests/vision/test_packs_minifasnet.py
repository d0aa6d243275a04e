"""The liveness networks that are written from checkpoint tensors."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from lunaria.vision.packs.minifasnet import CLASSES, INPUT_SIDE, STAGES, liveness_network
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.runtime import open_session

Tensors = dict[str, NDArray[np.float32]]
NARROW, WIDE, LAST = 8, 5, 12


class _Checkpoint:
    """Random tensors under the names of MiniFASNet, with few channels."""

    def __init__(self, *, excited: bool) -> None:
        self.random = np.random.default_rng(0)
        self.tensors: Tensors = {}
        self.activated("conv1", NARROW, 3, 3)
        self.activated("conv2_dw", NARROW, 1, 3)
        for reducing, repeated, repetitions in STAGES:
            self.bottleneck(reducing)
            for index in range(repetitions):
                self.bottleneck(f"{repeated}.model.{index}")
            if excited:
                name = f"{repeated}.model.{repetitions - 1}.se_module"
                self.convolution(f"{name}.fc1", f"{name}.bn1", 2, NARROW, 1)
                self.convolution(f"{name}.fc2", f"{name}.bn2", NARROW, 2, 1)
        self.activated("conv_6_sep", LAST, NARROW, 1)
        self.convolution("conv_6_dw.conv", "conv_6_dw.bn", LAST, 1, 5)
        self.numbers("linear.weight", 6, LAST)
        self.norm("bn", 6)
        self.numbers("prob.weight", CLASSES, 6)

    def numbers(self, name: str, *shape: int) -> None:
        fan_in = math.prod(shape[1:])
        self.tensors[f"module.{name}"] = (self.random.normal(size=shape) / np.sqrt(fan_in)).astype(np.float32)

    def norm(self, name: str, channels: int) -> None:
        for part in ("weight", "running_var"):
            self.tensors[f"module.{name}.{part}"] = self.random.uniform(0.5, 1.5, channels).astype(np.float32)
        for part in ("bias", "running_mean"):
            self.tensors[f"module.{name}.{part}"] = self.random.normal(size=channels).astype(np.float32)

    def convolution(self, name: str, norm: str, outputs: int, inputs: int, size: int) -> None:
        self.numbers(f"{name}.weight", outputs, inputs, size, size)
        self.norm(norm, outputs)

    def activated(self, name: str, outputs: int, inputs: int, size: int) -> None:
        self.convolution(f"{name}.conv", f"{name}.bn", outputs, inputs, size)
        self.tensors[f"module.{name}.prelu.weight"] = self.random.uniform(-0.5, 1.5, outputs).astype(np.float32)

    def bottleneck(self, name: str) -> None:
        self.activated(f"{name}.conv", WIDE, NARROW, 1)
        self.activated(f"{name}.conv_dw", WIDE, 1, 3)
        self.convolution(f"{name}.project.conv", f"{name}.project.bn", NARROW, WIDE, 1)


def _plain(tensors: Tensors, image: NDArray[np.float64]) -> NDArray[np.float64]:
    """The network written down once more, without folding and without ONNX: image (3, 80, 80) to probabilities (3,)."""

    def tensor(name: str) -> NDArray[np.float64]:
        return tensors[f"module.{name}"].astype(np.float64)

    def normalised(x: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        shape = (-1, *[1] * (x.ndim - 1))
        scale, shift, mean, variance = (
            tensor(f"{name}.{part}").reshape(shape) for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * scale + shift

    def filtered(x: NDArray[np.float64], name: str, stride: int = 1, pad: int | None = None) -> NDArray[np.float64]:
        weight = tensor(f"{name}.weight")
        size = weight.shape[2]
        pad = size // 2 if pad is None else pad
        x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
        windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (1, 2))[:, ::stride, ::stride]
        if weight.shape[1] == 1:
            return np.asarray(np.einsum("chwij,cij->chw", windows, weight[:, 0]))
        return np.asarray(np.einsum("chwij,ocij->ohw", windows, weight))

    def activated(x: NDArray[np.float64], name: str, stride: int = 1) -> NDArray[np.float64]:
        x = normalised(filtered(x, f"{name}.conv", stride), f"{name}.bn")
        return np.where(x > 0, x, x * tensor(f"{name}.prelu.weight")[:, None, None])

    def bottleneck(x: NDArray[np.float64], name: str, stride: int = 1) -> NDArray[np.float64]:
        x = activated(activated(x, f"{name}.conv"), f"{name}.conv_dw", stride)
        x = normalised(filtered(x, f"{name}.project.conv"), f"{name}.project.bn")
        if f"module.{name}.se_module.fc1.weight" in tensors:
            mean = x.mean(axis=(1, 2), keepdims=True)
            inner = normalised(filtered(mean, f"{name}.se_module.fc1"), f"{name}.se_module.bn1").clip(0)
            x = x / (1 + np.exp(-normalised(filtered(inner, f"{name}.se_module.fc2"), f"{name}.se_module.bn2")))
        return x

    x = activated(activated(image, "conv1", 2), "conv2_dw")
    for reducing, repeated, repetitions in STAGES:
        x = bottleneck(x, reducing, 2)
        for index in range(repetitions):
            x = x + bottleneck(x, f"{repeated}.model.{index}")
    x = activated(x, "conv_6_sep")
    flat = normalised(filtered(x, "conv_6_dw.conv", pad=0), "conv_6_dw.bn").reshape(-1)
    scores = tensor("prob.weight") @ normalised(tensor("linear.weight") @ flat, "bn")
    raised = np.exp(scores - scores.max())
    return np.asarray(raised / raised.sum())


@pytest.mark.parametrize("excited", [False, True])
def test_the_graph_computes_the_architecture(tmp_path: Path, *, excited: bool) -> None:
    tensors = _Checkpoint(excited=excited).tensors
    model: Any = liveness_network(tensors)
    path = tmp_path / "liveness.onnx"
    onnx.save(model, str(path))
    images = np.random.default_rng(1).uniform(0, 2, (3, 3, INPUT_SIDE, INPUT_SIDE)).astype(np.float32)
    found = open_session(path, concurrency=1).run({"image": images})["probabilities"]
    wanted = np.stack([_plain(tensors, image.astype(np.float64)) for image in images])
    assert np.abs(found - wanted).max() < 2e-5
    assert wanted.max() - wanted.min() > 0.05  # the comparison says something
    assert sum(node.op_type == "Sigmoid" for node in model.graph.node) == (len(STAGES) if excited else 0)


def test_a_missing_tensor_is_named() -> None:
    tensors = _Checkpoint(excited=True).tensors
    del tensors["module.conv_4.model.3.project.bn.bias"]
    with pytest.raises(KeyError, match=r"conv_4\.model\.3\.project\.bn\.bias"):
        liveness_network(tensors)


@pytest.mark.parametrize("role", ["face_liveness_27", "face_liveness_40"])
def test_the_pulled_networks_take_any_number_of_faces(model_store: ModelStore, role: str) -> None:
    session = open_session(model_store.network(role).path, concurrency=1)
    images = np.random.default_rng(2).uniform(0, 255, (4, 3, INPUT_SIDE, INPUT_SIDE)).astype(np.float32)
    together = session.run({"image": images})["probabilities"]
    assert together.shape == (4, CLASSES)
    assert np.allclose(together.sum(axis=1), 1, atol=1e-5)
    for image, expected in zip(images, together, strict=True):
        assert np.allclose(session.run({"image": image[None]})["probabilities"][0], expected, atol=1e-5)
