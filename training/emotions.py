"""Train the emotion network on the training part of FER2013: teachers first, then a small network by their answers.

    python -m training.emotions --data FOLDER --frames FILE --out FOLDER --minutes 14

FER2013 (Goodfellow et al. 2013): 48x48 grey faces found by a web search for emotion words, labelled by people who agree
with each other in about two of three cases. `data` holds fer2013_training.jpg and .csv, `frames` is written by
`training.emotions_frames`. Nothing here sees the public test part: a tenth of the training part is held back, and what
there is to choose is chosen there. `training.emotions_pack` then measures the result and puts it into the pack.

Three residual networks with squeeze and excitation are trained on the labels. The product's network, a small one of the
same kind, never sees a label: it learns what the teachers think on the mean of the very picture that it is shown, which
is another one each time, so that it cannot learn the mistakes of the labels by heart. Faces are shown as they lie in
their tile or as the product cuts them out, in turns: turned, shifted, scaled, mirrored, darkened, blurred, partly
hidden, and mixed with others. What is kept is a running mean of the weights.

Each network gets its share of the minutes, and its rate of learning falls with the clock, so that there are usable
weights at the end on any machine. The minutes are those of a large GPU (on one shared with other work the teachers saw
the faces 63 to 89 times, the small network 113 times); a processor with a few cores needs days. On the faces held back,
as they lie, the teachers were right in 67.8 to 68.5 %, together in 69.1 %, and the small network in 68.2 %.
"""

from __future__ import annotations

import argparse
import csv
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

TILE = 48
TILES_IN_ROW = 100
WORDS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""The API's names, in the order of the network's outputs."""

INPUT_SIDE = 48
SHOWN = 44
"""Pixels of a tile that are shown on the mean in training, in its middle; these are scaled to the side of the input."""
VISIBLE = 46
"""So many the product looks at; chosen on the faces held back."""
LEAST_DEVIATION = 4.0
"""Added to the deviation of the grey values: keeps empty crops from becoming noise."""
BATCH = 256
AVERAGING = 0.998
WARMING = 0.05
"""The share of its time in which a network's rate of learning rises."""
SHARE_OF_TEACHERS = 0.6
SAVED_EVERY = 30.0
"""Seconds."""


class Shape(NamedTuple):
    """A network: channels of the first convolution and of each stage, which halves the side; blocks of a stage."""

    stem: int
    widths: tuple[int, ...]
    blocks: int
    side: int = INPUT_SIDE
    dropout: float = 0.0


STUDENT = Shape(32, (64, 128, 256), 2)
TEACHERS = (
    Shape(64, (128, 256, 512), 2, dropout=0.4),
    Shape(64, (128, 256, 512), 3, dropout=0.4),
    Shape(64, (128, 256, 512), 2, side=56, dropout=0.4),
)


class Lesson(NamedTuple):
    """How a network is trained. `mixing`: share of the batches in which faces are mixed with others; `plain`: the last
    share of the time, in which they are not; `temperature`: by which both answers are softened."""

    peak: float
    decay: float
    mixing: float
    plain: float = 0.0
    smoothing: float = 0.0
    temperature: float = 1.0


BY_LABELS = Lesson(peak=0.1, decay=5e-4, mixing=0.7, plain=0.1, smoothing=0.05)
BY_TEACHERS = Lesson(peak=0.1, decay=1e-4, mixing=0.6, temperature=2.0)


class Faces(NamedTuple):
    """Tiles (N, 48, 48) of bytes; `frames` (N, 2, 3): from the square that the product looks at to the tile, both from
    -1 to 1, the tile itself where it is not known; labels (N,)."""

    tiles: Tensor
    frames: Tensor
    labels: Tensor

    def take(self, index: Tensor) -> Faces:
        return Faces(self.tiles[index], self.frames[index], self.labels[index])


def load_tiles(data: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Faces (N, 48, 48) and labels (N,) of "training" or "public_test"."""
    mosaic = cv2.imread(str(data / f"fer2013_{part}.jpg"), cv2.IMREAD_GRAYSCALE)
    if mosaic is None:
        raise SystemExit(f"{data} holds no fer2013_{part}.jpg")
    with (data / f"fer2013_{part}.csv").open() as file:
        labels = [WORDS.index(row["emotion"]) for row in csv.DictReader(file)]
    rows, columns = mosaic.shape[0] // TILE, mosaic.shape[1] // TILE
    tiles = mosaic[: rows * TILE, : columns * TILE].reshape(rows, TILE, columns, TILE).swapaxes(1, 2)
    return tiles.reshape(-1, TILE, TILE)[: len(labels)], np.array(labels)


def split(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the faces that are held back, and of those that are used."""
    order = np.random.default_rng(0).permutation(count)
    return order[: count // 10], order[count // 10 :]


def convolution(inputs: int, outputs: int, side: int = 3, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False), nn.BatchNorm2d(outputs)]


class Excitation(nn.Module):
    """Weighs the channels by what the whole picture shows."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // 8, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels // 8, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        weighed: Tensor = x * self.weigh(x)
        return weighed


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.long = nn.Sequential(
            *convolution(inputs, outputs, 3, stride),
            nn.ReLU(inplace=True),
            *convolution(outputs, outputs),
            Excitation(outputs),
        )
        self.short = nn.Sequential()
        if stride > 1:
            self.short = nn.Sequential(nn.AvgPool2d(stride), *convolution(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.long(x) + self.short(x))


def network(shape: Shape = STUDENT) -> nn.Sequential:
    """From `varied` or `centred` faces to seven logits."""
    layers = [*convolution(1, shape.stem), nn.ReLU(inplace=True)]
    inputs = shape.stem
    for width in shape.widths:
        layers += [Block(inputs, width, 2), *(Block(width, width, 1) for _ in range(shape.blocks - 1))]
        inputs = width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(shape.dropout), nn.Linear(inputs, len(EMOTIONS))]
    return nn.Sequential(*layers)


def standardised(faces: Tensor) -> Tensor:
    """Grey values (N, 1, S, S), each face with mean 0 and deviation 1."""
    deviation, mean = torch.std_mean(faces, dim=(1, 2, 3), keepdim=True)
    return (faces - mean) / (deviation + LEAST_DEVIATION)


def centred(tiles: Tensor, visible: int = VISIBLE, side: int = INPUT_SIDE) -> Tensor:
    """Of tiles (N, 48, 48) so many pixels in the middle, scaled to the side of the input."""
    margin = (TILE - visible) // 2
    middle = tiles[:, None, margin : TILE - margin, margin : TILE - margin].float()
    return standardised(functional.interpolate(middle, (side, side), mode="area" if visible >= side else "bilinear"))


def sampled(tiles: Tensor, matrices: Tensor, side: int) -> Tensor:
    """Grey values (N, 1, side, side) of tiles at what matrices (N, 2, 3) say, the edges drawn out."""
    grid = functional.affine_grid(matrices, [len(tiles), 1, side, side], align_corners=False)
    return functional.grid_sample(tiles[:, None].float(), grid, padding_mode="border", align_corners=False)


def framed(faces: Faces, visible: int = VISIBLE, side: int = INPUT_SIDE) -> Tensor:
    """As `centred`, of faces as the product cuts them out."""
    scale = torch.tensor([visible / TILE, visible / TILE, 1.0], device=faces.frames.device)
    return standardised(sampled(faces.tiles, faces.frames * scale, side))


def varied(faces: Faces, side: int) -> Tensor:
    """Each face at random: as it lies or as the product cuts it out, mirrored, turned by up to 17 degrees, scaled,
    stretched and shifted, darker or lighter, some blurred, noisy or partly hidden."""
    count, device = len(faces.tiles), faces.tiles.device

    def between(low: float, high: float, *shape: int) -> Tensor:
        return torch.empty(count, *shape, device=device).uniform_(low, high)

    angle, mirror = between(-0.3, 0.3), torch.where(between(0, 1) < 0.5, -1.0, 1.0)
    scale = SHOWN / TILE * between(0.82, 1.18)
    stretch = between(0.95, 1.05)
    jitter = torch.zeros(count, 3, 3, device=device)
    jitter[:, 0, 0], jitter[:, 0, 1] = angle.cos() * scale * stretch * mirror, -angle.sin() * scale / stretch
    jitter[:, 1, 0], jitter[:, 1, 1] = angle.sin() * scale * stretch * mirror, angle.cos() * scale / stretch
    jitter[:, :2, 2], jitter[:, 2, 2] = between(-0.11, 0.11, 2), 1.0
    as_it_lies = torch.eye(2, 3, device=device)
    frames = torch.where(between(0, 1, 1, 1) < 0.5, faces.frames, as_it_lies)
    grey = sampled(faces.tiles, frames @ jitter, side)
    grey = 255 * (grey / 255).clamp(min=1e-3) ** between(-0.5, 0.5, 1, 1, 1).exp()
    blurred = count // 4
    smaller = functional.interpolate(grey[:blurred], (random.randint(18, 40),) * 2, mode="bilinear", antialias=True)
    grey = torch.cat([functional.interpolate(smaller, (side, side), mode="bilinear"), grey[blurred:]])
    views = standardised(grey)
    noise = between(-0.25, 0.15, 1, 1, 1).clamp(min=0)
    return hidden(views + noise * torch.randn_like(views), between)


def hidden(views: Tensor, between: Callable[..., Tensor]) -> Tensor:
    """Four of ten with a grey rectangle somewhere."""
    places = torch.arange(views.shape[2], device=views.device)[None] / views.shape[2]
    middles, halves = between(0, 1, 2, 1), between(0.05, 0.22, 2, 1)
    inside = (places[:, None] - middles).abs() < halves
    area = inside[:, 0, :, None] & inside[:, 1, None, :] & (between(0, 1, 1, 1) < 0.4)
    return views.masked_fill(area[:, None], 0.0)


def mixed(views: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Each face with another: laid over it, or a part of it in place of the same part."""
    count, _, _, side = views.shape
    if random.random() < 0.65:
        share = torch.distributions.Beta(0.4, 0.4).sample((count, 1)).to(views.device)
        of_views = share[:, :, None, None]
        return of_views * views + (1 - of_views) * views.flip(0), share * wanted + (1 - share) * wanted.flip(0)
    height, width = random.randint(side // 6, side * 2 // 3), random.randint(side // 6, side * 2 // 3)
    top, left = random.randint(0, side - height), random.randint(0, side - width)
    pasted = views.clone()
    pasted[:, :, top : top + height, left : left + width] = views.flip(0)[:, :, top : top + height, left : left + width]
    kept = 1 - height * width / side**2
    return pasted, kept * wanted + (1 - kept) * wanted.flip(0)


class Answering(NamedTuple):
    """Networks whose mean counts, each with the side of its input."""

    nets: Sequence[nn.Module]
    sides: Sequence[int]

    @torch.no_grad()
    def probabilities(self, views: Tensor) -> Tensor:
        """(N, 7) of views (N, 1, S, S) of any side."""
        told = []
        for net, side in zip(self.nets, self.sides, strict=True):
            net.eval()
            seen = views if views.shape[2] == side else functional.interpolate(views, (side, side), mode="bilinear")
            with precision(views):
                told.append(net(seen.contiguous(memory_format=torch.channels_last)).float().softmax(1))
        return torch.stack(told).mean(dim=0)

    def both_ways(self, views: Tensor) -> Tensor:
        """The mean over each view and its mirror image."""
        parts = [self.probabilities(part) + self.probabilities(part.flip(3)) for part in views.split(512)]
        return torch.cat(parts) / 2

    def accuracies(self, faces: Faces, visible: int = VISIBLE) -> tuple[float, float]:
        """Of faces as they lie and as the product cuts them out."""
        side = min(self.sides)
        views = (centred(faces.tiles, visible, side), framed(faces, visible, side))
        as_it_lies, as_cut = (float((self.both_ways(view).argmax(1) == faces.labels).float().mean()) for view in views)
        return as_it_lies, as_cut


def precision(views: Tensor) -> torch.autocast:
    """Half precision where it is quick."""
    return torch.autocast(views.device.type, torch.bfloat16, enabled=views.is_cuda)


@torch.no_grad()
def average(mean: nn.Module, net: nn.Module, keep: float) -> None:
    """Move the running mean of the weights towards the network's."""
    own = net.state_dict()
    means = [value for value in mean.state_dict().values() if value.is_floating_point()]
    torch._foreach_lerp_(means, [value for value in own.values() if value.is_floating_point()], 1 - keep)


def rate(progress: float) -> float:
    """Of learning, as a share of the peak, after this share of the time: rising first, then falling along a cosine."""
    if progress < WARMING:
        return max(progress / WARMING, 0.01)
    return float(0.5 + 0.5 * np.cos(np.pi * min((progress - WARMING) / (1 - WARMING), 1.0)))


def train(
    shape: Shape,
    lesson: Lesson,
    used: Faces,
    held: Faces,
    minutes: float,
    file: Path,
    teachers: Answering | None = None,
) -> nn.Module:
    """The running mean of a new network's weights after so many minutes, which is kept in `file` every now and then.

    Learns the labels, or what `teachers` answer."""
    device = used.tiles.device
    net, mean = network(shape).to(device), network(shape).to(device)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    mean.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    mean.load_state_dict(net.state_dict())
    optimizer = torch.optim.SGD(
        [
            {"params": [value for value in net.parameters() if value.ndim > 1], "weight_decay": lesson.decay},
            {"params": [value for value in net.parameters() if value.ndim <= 1], "weight_decay": 0.0},
        ],
        lesson.peak,
        momentum=0.9,
        nesterov=True,
    )
    started = saved = time.time()
    net.train()
    for step, index in enumerate(batches(len(used.tiles), device)):
        progress = (time.time() - started) / (60 * minutes)
        for group in optimizer.param_groups:
            group["lr"] = lesson.peak * rate(progress)
        faces = used.take(index)
        views = varied(faces, shape.side)
        wanted = functional.one_hot(faces.labels, len(EMOTIONS)).float()
        if random.random() < lesson.mixing and progress < 1 - lesson.plain:
            views, wanted = mixed(views, wanted)
        if teachers is not None:
            wanted = (teachers.probabilities(views).clamp(min=1e-6).log() / lesson.temperature).softmax(1)
        with precision(views):
            told = net(views.contiguous(memory_format=torch.channels_last))
        softened = told.float() / lesson.temperature
        loss = functional.cross_entropy(softened, wanted, label_smoothing=lesson.smoothing) * lesson.temperature**2
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        average(mean, net, min(AVERAGING, (step + 1) / (step + 51)))
        if time.time() - saved > SAVED_EVERY or progress >= 1:
            saved = time.time()
            torch.save(mean.state_dict(), file)
            as_it_lies, as_cut = Answering([mean], [shape.side]).accuracies(held)
            epochs = (step + 1) * BATCH / len(used.tiles)
            print(
                f"{file.stem}: {epochs:.1f} epochs in {saved - started:.0f} s, loss {float(loss.detach()):.3f}, "
                f"held back {as_it_lies:.4f} as they lie, {as_cut:.4f} as the product cuts them out",
                flush=True,
            )
        if progress >= 1:
            break
    return mean


def batches(count: int, device: torch.device) -> Iterator[Tensor]:
    """Indices of faces, each once before any comes again."""
    while True:
        yield from torch.randperm(count, device=device)[: max(1, count // BATCH) * BATCH].split(BATCH)


def load_faces(data: Path, frames: Path, device: torch.device) -> Faces:
    """The training part."""
    tiles, labels = load_tiles(data, "training")
    found = np.load(frames)
    found[~np.isfinite(found[:, 0, 0])] = np.eye(2, 3)
    return Faces(*(torch.from_numpy(part).to(device) for part in (tiles, found.astype(np.float32), labels)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--frames", type=Path, default=Path("out/training/emotions_frames.npy"))
    parser.add_argument("--out", type=Path, default=Path("out/training"))
    parser.add_argument("--minutes", type=float, default=14.0, help="for all networks together")
    parser.add_argument("--faces", type=int, help="train on so many only, for a trial")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    (options.out / "teachers").mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    random.seed(options.seed)
    torch.backends.cudnn.benchmark = True
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    started = time.time()
    faces = load_faces(options.data, options.frames, device)
    held, used = (faces.take(torch.from_numpy(part[: options.faces]).to(device)) for part in split(len(faces.tiles)))

    def tell(line: str) -> None:
        print(line, flush=True)
        with (options.out / "report.txt").open("a") as file:
            file.write(line + "\n")

    minutes_each = options.minutes * SHARE_OF_TEACHERS / len(TEACHERS)
    nets = []
    for number, shape in enumerate(TEACHERS):
        nets.append(train(shape, BY_LABELS, used, held, minutes_each, options.out / "teachers" / f"{number}.pt"))
        as_it_lies, as_cut = Answering([nets[-1]], [shape.side]).accuracies(held)
        tell(f"teacher {number}: held back {as_it_lies:.4f} as they lie, {as_cut:.4f} as the product cuts them out")
    teachers = Answering(nets, [shape.side for shape in TEACHERS])
    as_it_lies, as_cut = teachers.accuracies(held)
    tell(f"teachers together: held back {as_it_lies:.4f} as they lie, {as_cut:.4f} as the product cuts them out")
    minutes = options.minutes - (time.time() - started) / 60
    student = train(STUDENT, BY_TEACHERS, used, held, minutes, options.out / "emotions.pt", teachers)
    for visible in range(38, TILE + 1, 2):
        as_it_lies, as_cut = Answering([student], [STUDENT.side]).accuracies(held, visible)
        tell(f"network, {visible} of {TILE} pixels seen: held back {as_it_lies:.4f} as they lie, {as_cut:.4f} as cut")


if __name__ == "__main__":
    main()
