"""The network of bodies in torch: EfficientNet-Lite0, what is taken of its maps and of the colours, and two heads.

The features are those of `lunaria.vision.estimators.body_views`, so that trained heads are projections of its vectors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from lunaria.vision.packs.efficientnet import BATCH_NORM_EPSILON, HEIGHT, OUTPUT_STAGES, STAGES, WIDTH

STRIPES = 8
LIMIT = 6.0
"""Of standardised features, as lunaria.vision.projection."""

DIMENSION, HIDDEN = 256, 192
COLORS, HUES, CHROMAS, LIGHTNESSES = 328, 9, (8.0, 20.0), 8
CAST_SHARE, LARGEST_CAST = 0.7, 18.0
SMALLEST_DEVIATION = 0.02


class Convolution(nn.Module):
    """A convolution padded as TensorFlow does it, and its batch normalisation."""

    def __init__(self, inputs: int, outputs: int, size: int, *, stride: int = 1, each: bool = False) -> None:
        super().__init__()
        before = (size - stride) // 2
        self.padding = (before, size - stride - before) * 2
        groups = inputs if each else 1
        even = stride == 1
        self.convolution = nn.Conv2d(inputs, outputs, size, stride, before if even else 0, groups=groups, bias=False)
        self.even = even
        self.norm = nn.BatchNorm2d(outputs, eps=BATCH_NORM_EPSILON, momentum=0.05)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.convolution(x if self.even else functional.pad(x, self.padding)))
        return y

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weights and bias of a convolution that does the same."""
        assert self.norm.running_mean is not None and self.norm.running_var is not None
        factor = self.norm.weight / torch.sqrt(self.norm.running_var + self.norm.eps)
        bias = self.norm.bias - self.norm.running_mean * factor
        return self.convolution.weight * factor[:, None, None, None], bias


class Block(nn.Module):
    """An inverted residual: widen, filter each channel, narrow."""

    def __init__(self, inputs: int, outputs: int, size: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = Convolution(inputs, wide, 1) if expansion != 1 else None
        self.depthwise = Convolution(wide, wide, size, stride=stride, each=True)
        self.project = Convolution(wide, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu6(self.expand(x)) if self.expand is not None else x
        y = functional.relu6(self.depthwise(y))
        y = self.project(y)
        return x + y if self.residual else y


class Backbone(nn.Module):
    """EfficientNet-Lite0 to the three maps of BodyFeatures, with the names of the tensors in the file of the pack."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        tensors = {
            constant.name.removesuffix("_half"): torch.from_numpy(
                numpy_helper.to_array(constant).astype(np.float32).copy()
            )
            for constant in onnx.load(file).graph.initializer
        }
        self.stem = Convolution(3, 32, 3, stride=2)
        blocks: list[Block] = []
        width = 32
        self.outputs: dict[int, str] = {}
        for stage, (expansion, channels, repetitions, first_stride) in enumerate(STAGES):
            for repetition in range(repetitions):
                size = tensors[f"_blocks.{len(blocks)}._depthwise_conv.weight"].shape[2]
                blocks.append(Block(width, channels, size, expansion, first_stride if repetition == 0 else 1))
                width = channels
            if stage in OUTPUT_STAGES:
                self.outputs[len(blocks) - 1] = OUTPUT_STAGES[stage]
        self.blocks = nn.ModuleList(blocks)
        with torch.no_grad():
            for name, layer in self.layers().items():
                layer.convolution.weight.copy_(tensors[f"{name}.weight"])
                assert layer.norm.running_mean is not None and layer.norm.running_var is not None
                layer.norm.running_mean.copy_(-tensors[f"{name}.bias"])
                layer.norm.running_var.fill_(1 - BATCH_NORM_EPSILON)

    def layers(self) -> dict[str, Convolution]:
        """Each convolution by its name in the file of the pack."""
        found = {"_conv_stem": self.stem}
        for index, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            if block.expand is not None:
                found[f"_blocks.{index}._expand_conv"] = block.expand
            found[f"_blocks.{index}._depthwise_conv"] = block.depthwise
            found[f"_blocks.{index}._project_conv"] = block.project
        return found

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = functional.relu6(self.stem(x))
        maps = {}
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.outputs:
                maps[self.outputs[index]] = x
        return maps

    @torch.no_grad()
    def normalise(self, images: Tensor) -> None:
        """Give each batch normalisation the statistics of these images, without changing what the network computes."""
        caught: dict[str, tuple[Tensor, Tensor]] = {}
        hooks = []
        for name, layer in self.layers().items():

            def catch(_: nn.Module, __: object, output: Tensor, name: str = name) -> None:
                values = output.float()
                caught[name] = values.mean(dim=(0, 2, 3)), values.std(dim=(0, 2, 3))

            hooks.append(layer.norm.register_forward_hook(catch))
        self.eval()
        self(images)
        for hook in hooks:
            hook.remove()
        for name, layer in self.layers().items():
            mean, deviation = caught[name]
            deviation = deviation.clamp(min=SMALLEST_DEVIATION)
            norm = layer.norm
            assert norm.running_mean is not None and norm.running_var is not None
            # What was  W x + b  with running mean -b becomes  deviation * (W x / deviation - m) + mean.
            layer.convolution.weight.div_(deviation[:, None, None, None])
            norm.running_mean.copy_((mean + norm.running_mean) / deviation)
            norm.running_var.fill_(1 - BATCH_NORM_EPSILON)
            norm.weight.copy_(deviation)
            norm.bias.copy_(mean)

    def arrays(self) -> dict[str, NDArray[np.float16]]:
        """The weights with folded normalisation by the names of the file of the pack, in half precision."""
        found = {}
        for name, layer in self.layers().items():
            weight, bias = layer.folded()
            found[f"{name}.weight"] = weight.detach().cpu().numpy().astype(np.float16)
            found[f"{name}.bias"] = bias.detach().cpu().numpy().astype(np.float16)
        return found


def stripes(maps: Mapping[str, Tensor]) -> Tensor:
    """(N, 4992): as body_views.network_vectors."""
    parts = []
    for name in ("stride8", "stride16", "stride32"):
        values = maps[name].float()
        rows = values.reshape(len(values), values.shape[1], STRIPES, -1)
        parts.append(rows.mean(dim=3).flatten(1))
        if name != "stride32":
            parts.append(rows.amax(dim=3).flatten(1))
    return torch.cat(parts, dim=1)


def color_vectors(images: Tensor) -> Tensor:
    """(N, 328) of images (N, 3, 256, 128), 0..255: as body_views.color_vector."""
    coarse = functional.avg_pool2d(images, 4)
    lab = lab_of(coarse)
    height, width = HEIGHT // 4, WIDTH // 4
    margin = max(1, width // 12)
    sides = torch.cat([lab[:, 1:, :, :margin], lab[:, 1:, :, -margin:]], dim=3).flatten(2)
    cast = sides.quantile(0.5, dim=2) - 128
    length = cast.norm(dim=1, keepdim=True).clamp(min=1e-6)
    cast = CAST_SHARE * cast * (LARGEST_CAST / length).clamp(max=1)
    lab = torch.cat([lab[:, :1], lab[:, 1:] - cast[:, :, None, None]], dim=1)
    middle = lab[:, :, :, width // 4 : width * 3 // 4]
    pixels = middle.reshape(len(images), 3, STRIPES, height // STRIPES * width // 2)
    a, b = pixels[:, 1] - 128, pixels[:, 2] - 128
    turn = ((torch.atan2(b, a) / (2 * math.pi) + 0.5) * HUES).long() % HUES
    chroma = torch.bucketize(torch.hypot(a, b), torch.tensor(CHROMAS, device=images.device), right=True)
    lightness = (pixels[:, 0] / 256 * LIGHTNESSES).long().clamp(0, LIGHTNESSES - 1)
    parts = [
        _shares(lightness, LIGHTNESSES),
        _shares(turn * (len(CHROMAS) + 1) + chroma, HUES * (len(CHROMAS) + 1)),
        pixels.mean(dim=3).transpose(1, 2) / 255,
        pixels.std(dim=3, correction=0).transpose(1, 2) / 64,
    ]
    return torch.cat(parts, dim=2).flatten(1)


def _shares(kinds: Tensor, count: int) -> Tensor:
    """How much of the last axis of (N, S, P) is of each kind: (N, S, count)."""
    sums = torch.zeros(*kinds.shape[:2], count, device=kinds.device)
    return sums.scatter_add_(2, kinds, torch.ones_like(kinds, dtype=torch.float32)) / kinds.shape[2]


def lab_of(images: Tensor) -> Tensor:
    """sRGB (N, 3, H, W), 0..255, in CIE Lab as OpenCV scales it for bytes."""
    values = images / 255
    linear = torch.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055).clamp(min=0) ** 2.4)
    matrix = torch.tensor(
        [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]],
        device=images.device,
    )
    white = torch.tensor([0.950456, 1.0, 1.088754], device=images.device)
    xyz = torch.einsum("nchw,dc->ndhw", linear, matrix) / white[None, :, None, None]
    f = torch.where(xyz > 0.008856, xyz.clamp(min=1e-6) ** (1 / 3), 7.787 * xyz + 16 / 116)
    lightness = torch.where(xyz[:, 1] > 0.008856, 116 * f[:, 1] - 16, 903.3 * xyz[:, 1])
    return torch.stack([lightness * 2.55, 500 * (f[:, 0] - f[:, 1]) + 128, 200 * (f[:, 1] - f[:, 2]) + 128], dim=1)


class Pedestrians(nn.Module):
    """Images (N, 3, 256, 128) RGB, 0..255, to descriptors before normalisation (N, 256) and scores of all words."""

    def __init__(self, backbone: Backbone, words: int) -> None:
        super().__init__()
        self.backbone = backbone
        features = STRIPES * (2 * 40 + 2 * 112 + 320) + COLORS
        self.standard = nn.BatchNorm1d(features, affine=False, momentum=0.05, eps=SMALLEST_DEVIATION**2)
        self.descriptor = nn.Sequential(
            nn.Dropout(0.1), nn.Linear(features, DIMENSION, bias=False), nn.BatchNorm1d(DIMENSION)
        )
        self.attributes = nn.Sequential(
            nn.Dropout(0.2),
            nn.Linear(features, HIDDEN),
            nn.BatchNorm1d(HIDDEN),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(HIDDEN, words),
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            colors = color_vectors(images)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.training and images.is_cuda):
            maps = self.backbone(((images - 127) / 128).contiguous(memory_format=torch.channels_last))
        features = self.standard(torch.cat([stripes(maps), colors], dim=1)).clamp(-LIMIT, LIMIT)
        return self.descriptor(features), self.attributes(features)

    def heads(self) -> dict[str, NDArray[np.float32]]:
        """What lunaria.vision.projection needs: mean and deviation of the features, and for each head weights (H, D)
        and bias with batch normalisation taken in; of the attributes also the last layer."""
        assert self.standard.running_mean is not None and self.standard.running_var is not None
        found = {
            "mean": self.standard.running_mean,
            "deviation": torch.sqrt(self.standard.running_var + self.standard.eps),
        }
        for name, head in (("descriptor", self.descriptor), ("attributes", self.attributes)):
            layer, norm = head[1], head[2]
            assert isinstance(layer, nn.Linear) and isinstance(norm, nn.BatchNorm1d)
            assert norm.running_mean is not None and norm.running_var is not None
            factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            shift = -norm.running_mean if layer.bias is None else layer.bias - norm.running_mean
            found[f"{name}_weights"] = layer.weight * factor[:, None]
            found[f"{name}_bias"] = shift * factor + norm.bias
        last = self.attributes[5]
        assert isinstance(last, nn.Linear)
        found["last_weights"], found["last_bias"] = last.weight, last.bias
        return {name: values.detach().cpu().numpy().astype(np.float32) for name, values in found.items()}
