"""Train the head for ethnicity on UTKFace, and measure gender and ethnicity on the part that is kept from it.

    python -m training.ethnicity --data FOLDER [--models FOLDER] [--cache FOLDER] [--measure]

FOLDER has utkface.zip: faces of the web with the age, gender and race that networks guessed and people corrected
(Zhang, Song, Qi 2017; for research only). In which part a face is follows from a hash of its file name: four in five
are trained on, and the strength of the regularisation is chosen among them by cross-validation; one in five is reported
on. UTKFace names no persons, so one may be in both parts. `--measure` trains nothing and measures what is there.

docs/accuracy.md says what else was tried: other features, varied faces, and training the whole network further.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.estimators.basic_attributes import (
    ETHNICITIES,
    BasicAttributeEstimator,
    Ethnicities,
    GearEthnicities,
    HeadEthnicities,
)
from lunaria.vision.estimators.features import LinearHead
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.views import FaceFeatures
from training.features import Chain, cross_validated, fit_head, load, part_of, progress, rows
from training.labelled_faces import archive_files
from training.record import record

RACES = ("caucasian", "african_american", "asian", "indian", "other")
"""What UTKFace's numbers stand for. The last is left out."""

STRENGTHS = (0.0003, 0.001, 0.003)
FOLDS = 5
PARTS, REPORTED = 5, 0
CHILD = 13
"""Below this age gender is not reported apart: it can hardly be told by the face."""


class Label(NamedTuple):
    """What UTKFace says of a face."""

    age: int
    male: bool
    race: str


def label_of(file: str) -> Label:
    """File names are age_gender_race_..., gender 0 male and 1 female."""
    age, gender, race = file.split("_")[:3]
    return Label(int(age), gender == "0", RACES[int(race)])


def is_reported(file: str) -> bool:
    """Whether a face is kept from the training and reported on."""
    return part_of(file, PARTS) == REPORTED


def measure(chain: Chain, archive: Path, ethnicities: Sequence[Ethnicities]) -> list[dict[str, str]]:
    """Figures on the reported part, by name: of gender, and of each way to tell the ethnicity."""
    files, features = utkface(chain, archive)
    known = {file: index for index, file in enumerate(files) if is_reported(file)}
    estimator = BasicAttributeEstimator(*load(chain.store, "face_age"), *load(chain.store, "face_gender"), None)
    labels, found, races = [], [], []
    for file, pixels, face in progress("reported part", chain.looked(archive, list(known)), len(known)):
        views = chain.views(pixels, face, rows(features, [known[file]]))
        labels.append(label_of(file))
        found.append(estimator.estimate(views)[0])
        races.append([ETHNICITIES[int(one.estimate(views)[0].argmax())] for one in ethnicities])
    right = np.array([(one.male >= 0.5) == label.male for label, one in zip(labels, found, strict=True)])
    ages, truth = np.array([label.age for label in labels]), np.array([label.race for label in labels])
    grown, named = ages >= CHILD, np.isin(truth, ETHNICITIES)
    wanted = sum(is_reported(file) for file in archive_files(archive))
    figures = {
        "UTKFace, faces found in the fifth kept from training": f"{len(found)} of {wanted}",
        "gender, UTKFace, the same fifth": f"{right[grown].mean():.1%} from {CHILD} years on (n={grown.sum()}), "
        f"{right.mean():.1%} of all",
    }
    return [figures, *({"ethnicity": balanced(truth[named], told[named])} for told in np.array(races).T)]


def utkface(chain: Chain, archive: Path) -> tuple[list[str], FaceFeatures]:
    """Names and features of all faces that are found."""
    return chain.features("utkface", lambda: chain.looked(archive, archive_files(archive)))


def balanced(truth: NDArray[np.str_], told: NDArray[np.str_]) -> str:
    """Recalls, their mean and the share that is right, of N faces."""
    recalls = {name: float((told[truth == name] == name).mean()) for name in ETHNICITIES}
    each = ", ".join(f"{name} {recall:.3f}" for name, recall in recalls.items())
    mean, accuracy = np.mean(list(recalls.values())), (truth == told).mean()
    return f"mean recall {mean:.1%} ({each}), accuracy {accuracy:.1%}, n={len(truth)}"


def train(chain: Chain, archive: Path) -> tuple[LinearHead, bytes, str]:
    """The head, its file and what cross-validation says of it."""
    files, features = utkface(chain, archive)
    races = np.array([label_of(file).race for file in files])
    chosen = np.array([not is_reported(file) for file in files]) & (races != "other")
    embedding, races, names = features.embedding[chosen], races[chosen], np.array(files)[chosen]
    folds = np.array([part_of(name[::-1], FOLDS) for name in names])
    order = np.unique(races)
    told = {s: order[cross_validated(embedding, races, folds, s).argmax(axis=1)] for s in STRENGTHS}
    recall = {s: np.mean([(told[s][races == name] == name).mean() for name in ETHNICITIES]) for s in STRENGTHS}
    best = max(STRENGTHS, key=recall.__getitem__)
    for strength in STRENGTHS:
        print(f"strength {strength}: mean recall {recall[strength]:.4f} (n={len(races)})", flush=True)
    weights, bias, labels = fit_head(embedding, races, best)
    file = io.BytesIO()
    np.savez_compressed(file, weights=weights.astype(np.float16), bias=bias, labels=np.array(labels))
    head = LinearHead(weights.astype(np.float16), bias, tuple(labels))
    return head, file.getvalue(), balanced(races, told[best])


def main() -> None:
    """Train, measure and record."""
    options = arguments(__doc__)
    chain = Chain(ModelStore(options.models), options.cache)
    archive = options.data / "utkface.zip"
    gear = GearEthnicities(*load(chain.store, "face_ethnicity_open"))
    if options.measure:
        kept = HeadEthnicities(LinearHead.load(chain.store.network("face_ethnicity").path))
        print(*measure(chain, archive, [kept, gear]), sep="\n")
        return
    head, data, validated = train(chain, archive)
    figures, by_head, by_gear = measure(chain, archive, [HeadEthnicities(head), gear])
    print(figures, validated, by_head, by_gear, sep="\n")
    record(
        "face_ethnicity",
        "face_ethnicity.npz",
        data,
        {
            "kind": "linear-head",
            "title": "Ethnicity of a face by its features: multinomial logistic regression",
            "licence": "research",
            "licence_notes": "Our own weights; UTKFace, which they were trained on, is for non-commercial research.",
            "training_data": "four fifths of 3,000 faces of UTKFace, without those of race 'other'",
            "measured": {
                "UTKFace, the fifth kept from training": by_head["ethnicity"],
                "UTKFace, cross-validation in the other four": validated,
                "GEAR instead, the same fifth": by_gear["ethnicity"],
            },
        },
    )


def arguments(text: str | None) -> argparse.Namespace:
    """Options that the trainings on face features share."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the archives of photographs")
    parser.add_argument("--models", type=Path, default=Path("data/models"), help="folder with the pulled networks")
    parser.add_argument("--cache", type=Path, default=Path("data/training"), help="folder for landmarks and features")
    parser.add_argument("--measure", action="store_true", help="measure the weights that are there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
