"""Train the whole network of bodies on PETA: EfficientNet-Lite0 from the pack with heads for descriptor and attributes.

    python -m training.body_network --crops FILE --weights FILE --out FOLDER --seconds N

`--crops` is written by `training.body_crops`, `--weights` is the pulled body_features.onnx. Made for a GPU, where all
takes a quarter of an hour; a training ends after its steps or its share of `--seconds`, whichever comes first.

1. Recipes compete without PRID and i-LID: the best on these two goes on (`summary`).
2. The network that is kept: without i-LID, MIT's persons and the people of the groups 0 and 1 of ten.
3. Four more without two sets each, for the figures on unseen cameras. How much of the pack's weights is mixed into the
   trained ones (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models") is chosen on them.

Losses: over the words of each attribute; over the persons of the same set; triplets of the hardest pairs in the same
set. Cameras must not be what tells persons apart, so persons of other sets are no part of either.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.body_batches import SIZE, Batches, Crops, counted
from training.body_figures import pairs_within_sets, ranks, summary
from training.body_layers import Backbone, Pedestrians
from training.body_losses import losses_of_descriptors, losses_of_words
from training.body_variation import varied

HELD_SET, UNKNOWN_PERSONS = "i-LID", "MIT"
TEST_GROUPS = 2
COMPETITION = ("PRID", "i-LID")
FOLDS = (("PRID", "SARC3D"), ("CUHK", "i-LID"), ("MIT", "3DPeS"), ("TownCentre", "CAVIAR4REID"))
HEAD_RATE, DESCRIPTOR_DECAY, HEAD_DECAY = 2e-3, 0.2, 0.05
WARM, RISE = 0.1, 0.1
"""The first share of a training moves the heads alone, in the next the rate of the backbone rises."""

AVERAGING = 0.995
MIXES = (1.0, 0.75)
COMPETING, KEPT, FIGURING, LEAST = 0.35, 0.14, 8.0, 20.0
"""Shares of the time for the recipes and for the network that is kept; seconds for the figures of a fold and
the least that one trains."""

RECALIBRATION = 24


@dataclass(frozen=True)
class Recipe:
    """`steps`, if there is time; `rate` of the backbone and its weight decay; `mixing`: chance of a batch that crops
    lend each other the statistics of early maps (Zhou et al. 2021, "Domain generalization with MixStyle"); `still`:
    statistics of the batch normalisation stay as they were."""

    name: str
    steps: int = 450
    rate: float = 4e-4
    decay: float = 0.05
    mixing: float = 0.0
    still: bool = False


RECIPES = (
    Recipe("faster", rate=1.2e-3),
    Recipe("faster, styles mixed", rate=1.2e-3, mixing=0.5),
    Recipe("fastest, styles mixed", rate=2.5e-3, mixing=0.5),
    Recipe("faster, longer, styles mixed", steps=900, rate=1.2e-3, mixing=0.5),
)
"""A rate of 4e-4 with 450 steps, with 1000 and with styles mixed came one to eight hundredths behind these."""


def mix_styles(maps: Tensor, generator: torch.Generator) -> Tensor:
    """Each map with its mean and deviation moved towards those of another crop."""
    mean = maps.float().mean(dim=(2, 3), keepdim=True)
    deviation = maps.float().std(dim=(2, 3), keepdim=True) + 1e-3
    other = torch.randperm(len(maps), device=maps.device, generator=generator)
    share = 1 - 0.5 * torch.rand(len(maps), 1, 1, 1, device=maps.device, generator=generator)
    new_mean = (share * mean + (1 - share) * mean[other]).detach()
    new_deviation = (share * deviation + (1 - share) * deviation[other]).detach()
    mixed = (maps - mean.detach()) / deviation.detach() * new_deviation + new_mean
    return mixed.to(maps.dtype)


class Training:
    """One training, from the weights of the pack to the running mean of the trained ones."""

    def __init__(
        self,
        crops: Crops,
        weights: Path,
        recipe: Recipe,
        used: NDArray[np.bool_],
        identified: NDArray[np.bool_],
        seed: int = 0,
    ) -> None:
        torch.manual_seed(seed)
        self.crops, self.recipe, self.used = crops, recipe, used
        self.device = crops.images.device
        self._generator = torch.Generator(self.device).manual_seed(seed)
        self.batches = Batches(crops, used, identified, seed)
        words = sum(values.shape[1] for values in crops.targets.values())
        backbone = Backbone(weights).to(self.device)
        first = np.random.default_rng(seed).permutation(np.flatnonzero(used))[:512]
        backbone.normalise((self._varied(first) - 127) / 128)
        self.net = Pedestrians(backbone, words).to(self.device)
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.original = copy.deepcopy(backbone.state_dict())
        self.mean = copy.deepcopy(self.net)
        self.classes = nn.Parameter(0.05 * torch.randn(self.batches.persons, 256, device=self.device))
        names = np.unique(crops.sets)
        self._class_sets = self._tensor(np.searchsorted(names, self.batches.set_of))
        self._sets = self._tensor(np.searchsorted(names, crops.sets))
        self._labels = self._tensor(self.batches.label_of)
        self._goals = [self._tensor(values) for values in crops.targets.values()]
        self._weights = [
            self._tensor(counted(values, used, crops.evenness[task])) for task, values in crops.targets.items()
        ]
        for early in ("_conv_stem", "_blocks.2._project_conv"):
            backbone.layers()[early].norm.register_forward_hook(self._mixed)

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values).to(self.device)

    def _varied(self, index: NDArray[np.int64]) -> Tensor:
        return varied(self.crops.images[torch.from_numpy(index).to(self.device)], SIZE, self._generator)

    def _mixed(self, _: nn.Module, __: object, output: Tensor) -> Tensor:
        return mix_styles(output, self._generator) if self._mixing else output

    _mixing = False

    def run(self, seconds: float) -> None:
        recipe, net = self.recipe, self.net
        steps = recipe.steps
        optimizer = torch.optim.AdamW(
            [
                {"params": list(net.backbone.parameters()), "weight_decay": recipe.decay, "rate": recipe.rate},
                {
                    "params": [*net.descriptor.parameters(), self.classes],
                    "weight_decay": DESCRIPTOR_DECAY,
                    "rate": HEAD_RATE,
                },
                {"params": list(net.attributes.parameters()), "weight_decay": HEAD_DECAY, "rate": HEAD_RATE},
            ],
            lr=0.0,
            fused=self.device.type == "cuda",
        )
        rng = np.random.default_rng(1)
        started, step, shown = time.time(), 0, -1
        while True:
            elapsed = time.time() - started
            done = max(step / steps, elapsed / seconds)
            if done >= 1:
                break
            self._set_rates(optimizer, done)
            self._mixing = rng.random() < recipe.mixing
            loss = self._step(optimizer)
            step += 1
            if step == 3:
                started = time.time()  # on a GPU the first steps are slow: the fastest kernels are looked for
            self._average(min(AVERAGING, step / (step + 20)))
            if int(done * 8) > shown:
                shown = int(done * 8)
                print(f"  {recipe.name}: step {step} of {steps}, loss {float(loss):.3f}, {elapsed:.0f} s", flush=True)
        self._mixing = False
        print(f"  {recipe.name}: {step} steps in {time.time() - started:.0f} s", flush=True)

    def _set_rates(self, optimizer: torch.optim.Optimizer, done: float) -> None:
        backbone = 0.0 if done < WARM else min(1.0, (done - WARM) / RISE)
        falling = 0.5 * (1 + math.cos(math.pi * max(0.0, done - WARM - RISE) / (1 - WARM - RISE)))
        for place, group in enumerate(optimizer.param_groups):
            rising = backbone if place == 0 else min(1.0, done / (WARM / 2))
            group["lr"] = group["rate"] * rising * (falling + 0.003)
        still = self.recipe.still or backbone == 0.0
        self.net.train()
        if still:
            self.net.backbone.eval()
        for parameter in self.net.backbone.parameters():
            parameter.requires_grad_(backbone > 0)

    def _step(self, optimizer: torch.optim.Optimizer) -> Tensor:
        index = self.batches.draw()
        chosen = torch.from_numpy(index).to(self.device)
        raw, scores = self.net(varied(self.crops.images[chosen], SIZE, self._generator))
        loss = losses_of_descriptors(
            raw, self._labels[chosen], self._sets[chosen], self.classes, self._class_sets
        ) + losses_of_words(
            scores, [goal[chosen] for goal in self._goals], [weight[chosen] for weight in self._weights]
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        optimizer.step()
        return loss.detach()

    @torch.no_grad()
    def _average(self, keep: float) -> None:
        own, mean = self.net.state_dict(), self.mean.state_dict()
        pairs = [(mean[name], value) for name, value in own.items() if value.dtype.is_floating_point]
        torch._foreach_lerp_([target for target, _ in pairs], [value for _, value in pairs], 1 - keep)

    @torch.no_grad()
    def result(self, share: float) -> Pedestrians:
        """The running mean, its backbone mixed with the pack's: `share` 1 is the trained one alone."""
        net = copy.deepcopy(self.mean).eval()
        state = net.backbone.state_dict()
        for name, value in self.original.items():
            if value.dtype.is_floating_point:
                state[name].lerp_(value, 1 - share)
        if share < 1:
            self._recalibrate(net)
        return net.eval()

    def _recalibrate(self, net: Pedestrians) -> None:
        """Statistics of the batch normalisations of mixed weights."""
        norms = [part for part in net.modules() if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d))]
        kept = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
            norm.train()
        for _ in range(RECALIBRATION):
            net(self._varied(self.batches.draw()))
        for norm, momentum in zip(norms, kept, strict=True):
            norm.momentum = momentum
        net.eval()


@torch.no_grad()
def look(net: Pedestrians, crops: Crops) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32]]:
    """Probabilities for each task and unit descriptors of all crops as they are."""
    net.eval()
    points, scores = [], []
    for start in range(0, len(crops.sets), 256):
        index = torch.arange(start, min(start + 256, len(crops.sets)), device=crops.images.device)
        raw, words = net(crops.plain(index))
        points.append(functional.normalize(raw.float()).cpu())
        scores.append(words.float().cpu())
    parts = torch.cat(scores).split([values.shape[1] for values in crops.targets.values()], dim=1)
    answers = {task: part.softmax(dim=1).numpy() for task, part in zip(crops.targets, parts, strict=True)}
    return answers, torch.cat(points).numpy()


def figures(
    crops: Crops, tested: NDArray[np.bool_], answers: Mapping[str, NDArray[np.float32]], points: NDArray[np.float32]
) -> dict[str, float]:
    return summary(
        {task: values[tested] for task, values in answers.items()},
        {task: values[tested] for task, values in crops.targets.items()},
        points[tested],
        crops.persons[tested],
        crops.sets[tested],
        UNKNOWN_PERSONS,
    )


def mean_of(found: Mapping[str, float]) -> float:
    """One number to choose by: attributes, colours and the descriptor."""
    return float(np.nanmean([value for task, value in found.items() if task != "age"]))


class Protocol:
    """The trainings one after the other; what is known so far is written after each."""

    def __init__(self, crops: Crops, weights: Path, out: Path, seconds: float, most_steps: int | None) -> None:
        self.crops, self.weights, self.out = crops, weights, out
        self._end = time.time() + seconds
        self._seconds = seconds
        self._recipes = [replace(one, steps=min(one.steps, most_steps or one.steps)) for one in RECIPES]
        self._lines: list[str] = []
        self._scores: dict[str, dict[str, float]] = {}

    def say(self, text: str) -> None:
        print(text, flush=True)
        self._lines.append(text)
        (self.out / "report.txt").write_text("\n".join(self._lines) + "\n")

    def train(self, recipe: Recipe, used: NDArray[np.bool_], seconds: float) -> Training:
        identified = ~np.isin(self.crops.sets, [UNKNOWN_PERSONS])
        training = Training(self.crops, self.weights, recipe, used, identified)
        training.run(seconds)
        return training

    def mixes(self, title: str, training: Training, tested: NDArray[np.bool_]) -> dict[float, Any]:
        """Answers and descriptors with each share of the trained weights, and their figures said."""
        found = {}
        for share in MIXES:
            answers, points = look(training.result(share), self.crops)
            each = figures(self.crops, tested, answers, points)
            self._scores[f"{title}, {share}"] = each
            text = ", ".join(f"{task} {value:.3f}" for task, value in each.items())
            self.say(f"{title}, share {share}: mean {mean_of(each):.4f}; {text}")
            found[share] = answers, points
        return found

    def run(self) -> None:
        crops = self.crops
        tested = np.isin(crops.sets, COMPETITION)
        scores = {}
        every = sum(recipe.steps for recipe in self._recipes)
        for recipe in self._recipes:
            training = self.train(recipe, ~tested, COMPETING * self._seconds * recipe.steps / every)
            self.mixes(f"{recipe.name}, {' and '.join(COMPETITION)} unseen", training, tested)
            scores[recipe] = max(
                mean_of(self._scores[f"{recipe.name}, {' and '.join(COMPETITION)} unseen, {share}"]) for share in MIXES
            )
        recipe = max(scores, key=lambda one: scores[one])
        self.say(f"chosen: {json.dumps(asdict(recipe))}")

        held = crops.sets == HELD_SET
        tested = (crops.groups < TEST_GROUPS) & ~held
        final = self.train(replace(recipe, name="kept"), ~tested & ~held, KEPT * self._seconds)
        self.keep(final.result(1.0), 1.0)
        self.mixes("kept, people unseen", final, tested)
        self.descriptors(final, MIXES[0], tested, held)

        outcomes: dict[float, list[Any]] = {share: [] for share in MIXES}
        for place, names in enumerate(FOLDS):
            tested = np.isin(crops.sets, names)
            left = self._end - time.time() - 5
            fold = self.train(
                replace(recipe, name="+".join(names)), ~tested, max(LEAST, left / (len(FOLDS) - place) - FIGURING)
            )
            for share, outcome in self.mixes(f"{' and '.join(names)} unseen", fold, tested).items():
                outcomes[share].append((tested, *outcome))
            share = self.best_share()
            self.keep_unseen(outcomes[share], share)
        self.say(f"chosen share: {share}")
        self.keep(final.result(share), share)
        held = crops.sets == HELD_SET
        self.descriptors(final, share, (crops.groups < TEST_GROUPS) & ~held, held)
        self.say("finished")

    def best_share(self) -> float:
        """The share that is best on unseen cameras, in the mean of what was tried so far."""
        means = {
            share: np.mean(
                [
                    mean_of(f)
                    for title, f in self._scores.items()
                    if title.endswith(f"unseen, {share}") and not title.startswith("kept")
                ]
            )
            for share in MIXES
        }
        return max(means, key=lambda one: float(means[one]))

    def descriptors(self, training: Training, share: float, tested: NDArray[np.bool_], held: NDArray[np.bool_]) -> None:
        _, points = look(training.result(share), self.crops)
        for name in ("PRID", "CAVIAR4REID", "TownCentre", "3DPeS", HELD_SET):
            inside = held if name == HELD_SET else tested & (self.crops.sets == name)
            if np.unique(self.crops.persons[inside], return_counts=True)[1].max(initial=0) < 2:
                continue
            probes, gallery, first, precision = ranks(points[inside], self.crops.persons[inside])
            self.say(
                f"kept, share {share}, {name}: {probes} probes, gallery of {gallery}: rank 1 {np.mean(first < 1):.3f}, "
                f"rank 10 {np.mean(first < 10):.3f}, mAP {precision:.3f}"
            )
        both = (tested | held) & (self.crops.sets != UNKNOWN_PERSONS) & (self.crops.sets != "CUHK")
        genuine, impostor = pairs_within_sets(points[both], self.crops.persons[both], self.crops.sets[both])
        rates = [float(np.mean(genuine >= np.quantile(impostor, 1 - rate))) for rate in (1e-1, 1e-2, 1e-3)]
        self.say(f"kept, share {share}, pairs of unseen people: true match rate at 1e-1, 1e-2, 1e-3 {rates}")

    def keep(self, net: Pedestrians, share: float) -> None:
        """Write the network: the backbone in half precision, the heads, and what it says of all crops."""
        np.savez(self.out / "backbone.npz", **net.backbone.arrays())
        heads = net.heads()
        np.savez_compressed(
            self.out / "heads.npz",
            share=np.array(share),
            **{name: values.astype(np.float16 if values.ndim == 2 else np.float32) for name, values in heads.items()},
        )
        answers, points = look(net, self.crops)
        np.savez_compressed(
            self.out / "answers.npz",
            points=points.astype(np.float16),
            **{task: values.astype(np.float16) for task, values in answers.items()},
        )

    def keep_unseen(self, outcomes: Sequence[Any], share: float) -> None:
        """Write what the networks of the folds say of the crops whose cameras they did not see."""
        known = np.zeros(len(self.crops.sets), bool)
        answers = {task: np.zeros(values.shape, np.float16) for task, values in self.crops.targets.items()}
        points = np.zeros((len(known), 256), np.float16)
        for tested, said, own in outcomes:
            known |= tested
            points[tested] = own[tested]
            for task, values in said.items():
                answers[task][tested] = values[tested]
        np.savez_compressed(self.out / "unseen.npz", known=known, points=points, share=np.array(share), **answers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crops", type=Path, default=Path("out/training/body_crops.npz"))
    parser.add_argument("--weights", type=Path, default=Path("data/models/body_features.onnx"))
    parser.add_argument("--out", type=Path, default=Path("out/training/body_network"))
    parser.add_argument("--seconds", type=float, default=850.0)
    parser.add_argument("--most-steps", type=int, help="try it out with so few steps")
    parser.add_argument("--most", type=int, help="try it out with so many crops")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    crops = Crops.read(options.crops, device, options.most)
    print(f"{len(crops.sets)} crops on {device}", flush=True)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    Protocol(crops, options.weights, options.out, options.seconds, options.most_steps).run()


if __name__ == "__main__":
    main()
