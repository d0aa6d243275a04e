"""EfficientNet-Lite0 is written from a checkpoint as its authors computed it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from lunaria.vision.packs.efficientnet import BATCH_NORM_EPSILON, STAGES, feature_network
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.runtime import open_session


def _random_weights() -> dict[str, NDArray[np.float32]]:
    """Tensors of the checkpoint's names and shapes with random values."""
    rng = np.random.default_rng(0)
    weights: dict[str, NDArray[np.float32]] = {}

    def layer(convolution: str, norm: str, outputs: int, inputs: int, size: int) -> None:
        weights[f"{convolution}.weight"] = rng.normal(0, (inputs * size * size) ** -0.5, (outputs, inputs, size, size))
        for part, low, high in (
            ("weight", 0.5, 1.5),
            ("bias", -0.3, 0.3),
            ("running_mean", -0.3, 0.3),
            ("running_var", 0.5, 2),
        ):
            weights[f"{norm}.{part}"] = rng.uniform(low, high, outputs)

    layer("_conv_stem", "_bn0", 32, 3, 3)
    index, width = 0, 32
    for stage, (expansion, channels, repetitions, _) in enumerate(STAGES):
        for _ in range(repetitions):
            name, wide = f"_blocks.{index}", width * expansion
            if expansion != 1:
                layer(f"{name}._expand_conv", f"{name}._bn0", wide, width, 1)
            layer(f"{name}._depthwise_conv", f"{name}._bn1", wide, 1, 5 if stage in (2, 4, 5) else 3)
            layer(f"{name}._project_conv", f"{name}._bn2", channels, wide, 1)
            index, width = index + 1, channels
    layer("_conv_head", "_bn1", 1280, 320, 1)
    return {name: value.astype(np.float32) for name, value in weights.items()}


def _first_block(weights: dict[str, NDArray[np.float32]], image: NDArray[np.float32]) -> NDArray[np.float64]:
    """The stem by hand: stride 2, the odd row and column of padding below and right, ReLU6. Output 32 x 128 x 64."""
    padded = np.pad(image.astype(np.float64), ((0, 0), (0, 1), (0, 1)))
    kernel = weights["_conv_stem.weight"].astype(np.float64)
    total = np.zeros((32, 128, 64))
    for row in range(3):
        for column in range(3):
            part = padded[:, row : row + 255 : 2, column : column + 127 : 2]
            total += np.einsum("oc,chw->ohw", kernel[:, :, row, column], part)
    scale, shift, mean, variance = (
        weights[f"_bn0.{part}"].astype(np.float64)[:, None, None]
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    return np.clip((total - mean) / np.sqrt(variance + BATCH_NORM_EPSILON) * scale + shift, 0, 6)


def test_the_stem_pads_below_and_right_and_folds_its_normalisation(tmp_path: Path) -> None:
    weights = _random_weights()
    model = feature_network(weights)
    model.graph.output.append(onnx.helper.make_tensor_value_info("_conv_stem.relu6", onnx.TensorProto.FLOAT, None))
    path = tmp_path / "features.onnx"
    onnx.save(model, path)
    image = np.random.default_rng(1).uniform(-1, 1, (2, 3, 256, 128)).astype(np.float32)
    found = open_session(path, backend="onnxruntime").run({"image": image})
    assert np.abs(found["_conv_stem.relu6"][1] - _first_block(weights, image[1])).max() < 1e-4
    assert {name: values.shape[1:] for name, values in found.items() if "stem" not in name} == {
        "stride8": (40, 32, 16),
        "stride16": (112, 16, 8),
        "stride32": (320, 8, 4),
    }


def test_a_checkpoint_that_lacks_a_tensor_is_refused() -> None:
    weights = _random_weights()
    del weights["_blocks.7._project_conv.weight"]
    with pytest.raises(KeyError, match=r"_blocks\.7\._project_conv"):
        feature_network(weights)


def test_the_pulled_backbone_answers_each_image_of_a_batch_alone(model_store: ModelStore) -> None:
    session = open_session(model_store.network("body_features").path)
    images = np.random.default_rng(2).uniform(-1, 1, (3, 3, 256, 128)).astype(np.float32)
    together = session.run({"image": images})
    alone = session.run({"image": images[2:]})
    for name, values in together.items():
        assert np.abs(values[2:] - alone[name]).max() < 1e-3 * np.abs(values).max(), name
