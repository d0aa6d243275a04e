"""Train the deepfake estimate on forgeries made of true faces, and report on persons and forgeries it has not seen.

    python -m training.deepfake --data FOLDER     the folder with lfw.zip, masks.zip, utkface.zip and liveness.zip

There is no free set of deepfakes: true faces are forged by `training.forgeries`, and true and forged ones alike are
resized and compressed at random. Small networks learn to tell them by `lunaria.vision.estimators.residuals`.
Training: 450 persons of LFW, 110 faces without mask, 110 of UTKFace. Report: 250 other persons of LFW and the living
faces of CelebA-Spoof; one half of them only chooses the summand, at which few of the true faces of each set count as
forged. How it does on forgeries it was not shown is told by networks that are trained without the swaps.
"""

from __future__ import annotations

import argparse
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier

from lunaria.vision.estimators.deepfake import LIMIT, DeepfakeEstimator
from lunaria.vision.estimators.residuals import zone_values
from lunaria.vision.geometry import Pixels, Points
from lunaria.vision.images import Decoder
from lunaria.vision.packs.store import ModelStore
from training.forgeries import degraded, resynthesised, self_blended, swapped
from training.labelled_faces import FaceFinder, archive_files, person_of
from training.record import record

TRAINING = (("lfw", "", 450), ("masks", "without_mask/", 110), ("utkface", "", 110))
REPORT = (("lfw", "", 250), ("liveness", "live/", 110))
KINDS = ("self-blended", "resynthesised", "swapped")
UNSEEN = "swapped"
MEMBERS, WIDTH, DECAY, EPOCHS = 5, 32, 1.0, 20
"""So many networks with one hidden layer are averaged."""

Parameters = dict[str, NDArray[np.float32]]
FALSE_ALARMS = 0.04
"""On the choosing half; less than the 5 % that are wanted, as it holds few faces."""
YOUNGEST = 12
LARGEST_FACE = 180
"""Pixels from ear to ear; larger faces are shrunk before they are forged."""
DONORS = 12
"""A donor is drawn among so many faces that are turned alike."""

Face = tuple[Pixels, Points]


@dataclass(frozen=True)
class Samples:
    """`values` (N, VALUES), `kind` ("true" or one of KINDS), `source` (archive) and `face` (number) of N samples."""

    values: NDArray[np.float32]
    kind: NDArray[np.str_]
    source: NDArray[np.str_]
    face: NDArray[np.int64]

    def take(self, chosen: NDArray[np.bool_]) -> Samples:
        return Samples(self.values[chosen], self.kind[chosen], self.source[chosen], self.face[chosen])


def faces_of(data: Path, name: str, prefix: str, count: int, skip: int, finder: FaceFinder) -> list[Face]:
    """The surroundings of the main face and its 68 landmarks, one photograph a person, drawn at random."""
    archive = data / f"{name}.zip"
    persons = {person_of(file): file for file in reversed(archive_files(archive, prefix))}
    drawn = [persons[person] for person in np.random.default_rng(0).permutation(sorted(persons))]
    if name == "utkface":
        drawn = [file for file in drawn if int(Path(file).name.split("_")[0]) >= YOUNGEST]
    found: list[Face] = []
    decoder = Decoder()
    with zipfile.ZipFile(archive) as zipped:
        for file in drawn[skip : skip + count]:
            pixels = decoder.decode(zipped.read(file)).pixels
            face = finder.main_face(pixels)
            if face is not None:
                found.append(_around(pixels, face.points68))
    print(f"{name}: {len(found)} faces", flush=True)
    return found


def _around(pixels: Pixels, points68: Points) -> Face:
    low, high = points68.min(axis=0), points68.max(axis=0)
    side, middle = float((high - low).max()), (low + high) / 2
    left, top = np.maximum(np.floor(middle - 1.4 * side), 0).astype(int)
    right, bottom = np.minimum(np.ceil(middle + 1.4 * side), pixels.shape[1::-1]).astype(int)
    part, points = pixels[top:bottom, left:right], points68 - [left, top]
    scale = min(1.0, LARGEST_FACE / float(np.ptp(points[:, 0])))
    if scale < 1:
        part = np.asarray(cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    return part, points * scale


def collect(sources: list[tuple[str, list[Face]]], seed: int) -> Samples:
    """True faces as they are and degraded, and forgeries of each kind, degraded."""
    random = np.random.default_rng(seed)
    faces = [face for _, group in sources for face in group]
    names = [name for name, group in sources for _ in group]
    turned = np.array([(p[30, 0] - p[0, 0]) / (p[16, 0] - p[0, 0] + 1e-6) for _, p in faces])
    values, kinds, numbers = [], [], []
    for index, (pixels, points) in enumerate(faces):
        alike = [other for other in np.argsort(np.abs(turned - turned[index])) if other != index][:DONORS]
        donor, donor_points = faces[int(random.choice(alike))]
        variants = [("true", pixels), ("true", degraded(pixels, random))]
        forged = [
            ("self-blended", self_blended(pixels, points, random)),
            ("self-blended", self_blended(pixels, points, random)),
            ("resynthesised", resynthesised(pixels, points, random)),
            ("swapped", swapped(pixels, points, donor, donor_points, random)),
        ]
        variants += [(kind, degraded(image, random)) for kind, image in forged]
        for kind, image in variants:
            values.append(zone_values(image, points))
            kinds.append(kind)
            numbers.append(index)
        if index % 50 == 49:
            print(f"{index + 1} of {len(faces)} faces forged", flush=True)
    return Samples(np.stack(values), np.array(kinds), np.array(names)[numbers], np.array(numbers))


def fit(samples: Samples, kinds: tuple[str, ...]) -> Parameters:
    """The parameters of the estimator, with the summand of the training."""
    used = samples.take(np.isin(samples.kind, ("true", *kinds)))
    mean, deviation = used.values.mean(axis=0), used.values.std(axis=0) + 1e-6
    standard = np.clip((used.values - mean) / deviation, -LIMIT, LIMIT)
    members = [
        MLPClassifier((WIDTH,), alpha=DECAY, max_iter=EPOCHS, random_state=seed).fit(standard, used.kind != "true")
        for seed in range(MEMBERS)
    ]
    # The mean of the log-odds of networks with one hidden layer is one such network.
    found = {
        "mean": mean,
        "deviation": deviation,
        "hidden": np.concatenate([member.coefs_[0] for member in members], axis=1),
        "hidden_bias": np.concatenate([member.intercepts_[0] for member in members]),
        "output": np.concatenate([member.coefs_[1][:, 0] for member in members]) / MEMBERS,
        "summand": np.mean([member.intercepts_[1][0] for member in members]),
    }
    return {name: np.asarray(value, np.float32) for name, value in found.items()}


def log_odds(parameters: Parameters, samples: Samples) -> NDArray[np.float32]:
    """Of a forgery."""
    return DeepfakeEstimator(parameters).log_odds(samples.values)


def with_few_false_alarms(parameters: Parameters, samples: Samples) -> Parameters:
    """The summand moved so that of the true faces of no source more than FALSE_ALARMS count as forged."""
    found, true = log_odds(parameters, samples), samples.kind == "true"
    limits = [np.quantile(found[true & (samples.source == s)], 1 - FALSE_ALARMS) for s in np.unique(samples.source)]
    return parameters | {"summand": np.asarray(parameters["summand"] - max(limits), np.float32)}


def report(parameters: Parameters, samples: Samples) -> dict[str, str]:
    """By source and kind of forgery: area under the ROC curve, false alarms, detected forgeries, accuracy."""
    measured: dict[str, str] = {}
    odds = log_odds(parameters, samples)
    for source in np.unique(samples.source):
        true = odds[(samples.source == source) & (samples.kind == "true")]
        for kind in KINDS:
            forged = odds[(samples.source == source) & (samples.kind == kind)]
            area = roc_auc_score(np.r_[np.zeros(len(true)), np.ones(len(forged))], np.r_[true, forged])
            alarms, detected = float((true > 0).mean()), float((forged > 0).mean())
            measured[f"{source}, {kind}"] = (
                f"area {area:.3f}; called fake: {alarms:.3f} of {len(true)} true, {detected:.3f} of {len(forged)} "
                f"forged; balanced accuracy {(1 - alarms + detected) / 2:.3f}"
            )
    return measured


def keep(training: Samples, held: Samples) -> None:
    """Fit, report and record."""
    choosing, rest = held.take(held.face % 2 == 0), held.take(held.face % 2 == 1)
    blind = with_few_false_alarms(fit(training, tuple(kind for kind in KINDS if kind != UNSEEN)), choosing)
    parameters = with_few_false_alarms(fit(training, KINDS), choosing)
    unseen = {f"{name}, never shown": text for name, text in report(blind, rest).items() if name.endswith(UNSEEN)}
    measured = report(parameters, rest) | unseen
    for name, text in measured.items():
        print(f"{name}: {text}")
    stream = io.BytesIO()
    np.savez(stream, **parameters)  # type: ignore[arg-type]
    entry = {
        "kind": "deepfake",
        "title": "Small network on fine structure around the outline of the face: was a face blended in?",
        "licence": "research",
        "licence_notes": "Ours, trained on LFW and UTKFace, which were issued for research, and on faces of a free set "
        "of masks.",
        "training_data": "670 faces of LFW, UTKFace and a set of bare faces, and forgeries made of them: blended into "
        "themselves, resynthesised, swapped. Neither generated faces nor the output of face swap programs.",
        "measured": measured,
    }
    record("face_deepfake", "face_deepfake.npz", stream.getvalue(), entry)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=Path("data/models"))
    options = parser.parse_args()
    finder = FaceFinder(ModelStore(options.models))
    held = [(name, faces_of(options.data, name, prefix, count, 0, finder)) for name, prefix, count in REPORT]
    # The persons of LFW to report on come first in the draw, those to train on after them.
    training = [
        (name, faces_of(options.data, name, prefix, count, REPORT[0][2] if name == "lfw" else 0, finder))
        for name, prefix, count in TRAINING
    ]
    keep(collect(training, seed=1), collect(held, seed=2))


if __name__ == "__main__":
    main()
