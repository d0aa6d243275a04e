"""Train the head that corrects the mean age of two networks, on UTKFace.

    python -m training.age --data FOLDER [--models FOLDER] [--cache FOLDER] [--measure]

The faces and their parts are those of `training.ethnicity`: four fifths are trained on, as they are and mirrored, and
how much of the input is left out at random is chosen among them by cross-validation; one fifth is reported on. The loss
is nearly the absolute error, so that the few old people do not outweigh the many others. The mean of MEMBERS networks
with one hidden layer, which is one such network, is kept. `--measure` trains nothing and measures what is there.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from lunaria.vision.estimators.age_head import AgeHead, inputs
from lunaria.vision.estimators.basic_attributes import OLDEST, BasicAttributeEstimator
from lunaria.vision.estimators.features import EMBEDDING
from lunaria.vision.landmarks import Landmarks
from lunaria.vision.packs.store import ModelStore
from training.ethnicity import FOLDS, arguments, is_reported, label_of
from training.features import Chain, Looked, load, mirrored, part_of, progress, rows
from training.labelled_faces import archive_files
from training.record import record

LEFT_OUT = (0.3, 0.5, 0.7)
MEMBERS, WIDTH, EPOCHS, BATCH, RATE, DECAY = 3, 32, 25, 128, 4e-3, 0.3
EMBEDDING_SHARE = 0.1
"""What a standard deviation of the embedding counts beside a decade of the ages."""
SQUARED_BELOW = 2.0
"""Years below which the loss is squared."""

ADULT = (18, 65)

Parameters = dict[str, NDArray[np.floating]]


class Seen(NamedTuple):
    """What is known of N faces: their embedding, the ages that both networks tell, and the true ones."""

    files: NDArray[np.str_]
    embedding: NDArray[np.float32]
    dlib: NDArray[np.float32]
    faceres: NDArray[np.float32]
    age: NDArray[np.float32]

    def take(self, chosen: NDArray[np.bool_]) -> Seen:
        return Seen(*(column[chosen] for column in self))

    @property
    def inputs(self) -> NDArray[np.float32]:
        return inputs(self.embedding, self.dlib, self.faceres)

    @property
    def mean(self) -> NDArray[np.float32]:
        return (self.dlib + self.faceres) / 2


def seen(chain: Chain, archive: Path, *, mirror: bool) -> Seen:
    """All faces of UTKFace that are found, or their mirror images."""
    name = "utkface_mirrored" if mirror else "utkface"
    kept = chain.cache / f"{name}_ages.npz"

    def looked() -> Iterator[Looked]:
        for file, pixels, face in chain.looked(archive, archive_files(archive)):
            if mirror:
                pixels, points = mirrored(pixels, face.points5)
                face = Landmarks(points, face.points68, 0.0)
            yield file, pixels, face

    files, features = chain.features(name, looked)
    if not kept.exists():
        told = BasicAttributeEstimator(*load(chain.store, "face_age"), *load(chain.store, "face_gender"), None)
        ages = [
            told.told_ages(chain.views(pixels, face, rows(features, [index])))
            for index, (_, pixels, face) in enumerate(progress(kept.stem, looked(), len(files)))
        ]
        dlib, faceres = np.concatenate(ages, axis=1)
        np.savez(kept, dlib=dlib, faceres=faceres)
    with np.load(kept) as data:
        true = np.array([label_of(file).age for file in files], np.float32)
        return Seen(np.array(files), features.embedding, data["dlib"], data["faceres"], true)


def fit(faces: Seen, left_out: float) -> Parameters:
    """The parameters of the head. `left_out`: the share of the input that is left out at random in each step."""
    mean, deviation = np.zeros(faces.inputs.shape[1], np.float32), np.ones(faces.inputs.shape[1], np.float32)
    mean[:EMBEDDING] = faces.embedding.mean(axis=0)
    deviation[:EMBEDDING] = faces.embedding.std(axis=0) / EMBEDDING_SHARE
    values = torch.from_numpy((faces.inputs - mean) / deviation)
    goals = torch.from_numpy((faces.age - faces.mean) / 10)
    members = [_member(values, goals, left_out, seed) for seed in range(MEMBERS)]
    hidden, bias, output, summand = (np.stack(part) for part in zip(*members, strict=True))
    # (MEMBERS, WIDTH, D) side by side, the standardisation folded in.
    weights = hidden.reshape(-1, len(mean)).T / deviation[:, None]
    return {
        "hidden": weights.astype(np.float16),
        "hidden_bias": (bias.reshape(-1) - mean @ weights).astype(np.float32),
        "output": (output.reshape(-1) * 10 / MEMBERS).astype(np.float32),
        "summand": np.asarray(summand.mean() * 10, np.float32),
    }


def _member(values: torch.Tensor, goals: torch.Tensor, left_out: float, seed: int) -> list[NDArray[np.float32]]:
    """Weights and biases of one network for decades."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Dropout(left_out), nn.Linear(values.shape[1], WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1))
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=DECAY)
    steps = len(values) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=EPOCHS * steps + 1)
    for _ in range(EPOCHS):
        order = torch.randperm(len(values))
        for step in range(steps):
            chosen = order[step * BATCH : (step + 1) * BATCH]
            optimizer.zero_grad()
            told = net(values[chosen])[:, 0]
            functional.smooth_l1_loss(told, goals[chosen], beta=SQUARED_BELOW / 10).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return [parameter.detach().numpy() for parameter in net.parameters()]


def both(faces: Seen, others: Seen) -> Seen:
    """Faces and their mirror images."""
    return Seen(*(np.concatenate(columns) for columns in zip(faces, others, strict=True)))


def years(head: AgeHead, faces: Seen) -> NDArray[np.float32]:
    """The ages that the head tells."""
    return np.clip(faces.mean + head.corrections(faces.embedding, faces.dlib, faces.faceres), 0, OLDEST)


def train(plain: Seen, mirror: Seen) -> tuple[Parameters, str, str]:
    """The parameters, and what cross-validation says of the head and of the mean of the networks."""
    folds = np.array([part_of(name[::-1], FOLDS) for name in plain.files])
    told = {left_out: np.zeros(len(folds), np.float32) for left_out in LEFT_OUT}
    for left_out, ages in told.items():
        for fold in range(FOLDS):
            out = folds == fold
            ages[out] = years(AgeHead(fit(both(plain.take(~out), mirror.take(~out)), left_out)), plain.take(out))
        print(f"left out {left_out}: {errors(ages, plain.age)}", flush=True)
    best = min(LEFT_OUT, key=lambda left_out: float(np.abs(told[left_out] - plain.age).mean()))
    return fit(both(plain, mirror), best), errors(told[best], plain.age), errors(plain.mean, plain.age)


def errors(told: NDArray[np.floating], true: NDArray[np.floating]) -> str:
    """Mean absolute errors."""
    apart, adult = np.abs(told - true), (true >= ADULT[0]) & (true <= ADULT[1])
    return (
        f"mean absolute error {apart.mean():.2f} years (n={len(true)}); "
        f"{ADULT[0]} to {ADULT[1]} years: {apart[adult].mean():.2f} (n={adult.sum()})"
    )


def main() -> None:
    """Train, measure and record."""
    options = arguments(__doc__)
    chain = Chain(ModelStore(options.models), options.cache)
    archive = options.data / "utkface.zip"
    plain = seen(chain, archive, mirror=False)
    used = np.array([not is_reported(file) for file in plain.files])
    reported = plain.take(~used)
    if options.measure:
        with np.load(chain.store.network("face_age_head").path, allow_pickle=False) as kept:
            print(errors(years(AgeHead(dict(kept)), reported), reported.age))
        return
    parameters, validated, without = train(plain.take(used), seen(chain, archive, mirror=True).take(used))
    measured = {
        "UTKFace, the fifth kept from training": errors(years(AgeHead(parameters), reported), reported.age),
        "UTKFace, cross-validation in the other four": validated,
        "the mean of both networks, the same fifth": errors(reported.mean, reported.age),
        "the mean of both networks, the other four": without,
    }
    print(measured)
    stream = io.BytesIO()
    np.savez_compressed(stream, **parameters)  # type: ignore[arg-type]
    record(
        "face_age_head",
        "face_age_head.npz",
        stream.getvalue(),
        {
            "kind": "age-head",
            "title": "Correction of the age by the features of a face: small network",
            "licence": "research",
            "licence_notes": "Our own weights; UTKFace, which they were trained on, is for non-commercial research.",
            "training_data": "four fifths of 3,000 faces of UTKFace, and their mirror images",
            "measured": measured,
        },
    )


if __name__ == "__main__":
    main()
