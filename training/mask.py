"""Train the heads that tell masks and other coverings of a face.

    python -m training.mask --data FOLDER [--models FOLDER] [--cache FOLDER] [--measure]

FOLDER has masks.zip (faces with and without a mask, MIT licence), lfw.zip and sunglasses.zip. Real masks and real bare
faces come from the first; masks below the nose and on the chin, hands, scarves, sheets and sunglasses are painted onto
its bare faces (`training.face_coverings`). Half of the people of LFW, which is for research, are further bare faces:
with them far fewer bare faces of others come out as occluded. A second head, `face_mask_open`, is trained without them.

Persons of LFW are on one side of every split. masks.zip names no persons: there a painted or varied face lies in the
same fold of the cross-validation as the photograph under it. Nothing is trained on the selfies with sunglasses.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.estimators.features import LinearHead, softmax
from lunaria.vision.estimators.mask import OCCLUSIONS, STATE_PARTS
from lunaria.vision.geometry import Pixels, Points
from lunaria.vision.packs.store import ModelStore
from training import face_coverings
from training.ethnicity import arguments
from training.features import Chain, Looked, cross_validated, displaced, fit_head, in_warp, part_of, varied
from training.labelled_faces import archive_files, person_of
from training.record import record

PAINTERS: dict[str, tuple[str, Callable[[Pixels, Points, face_coverings.Random], Pixels]]] = {
    "mask": ("correct", face_coverings.paint_correct),
    "mouth": ("mouth", face_coverings.paint_mouth),
    "chin": ("chin", face_coverings.paint_chin),
    "sunglasses": ("clear", face_coverings.paint_sunglasses),
    "partially": ("partially", face_coverings.paint_partially),
    "full": ("full", face_coverings.paint_full),
}
"""What is painted: the class that it makes, and how."""

SEEN_OTHERWISE = {
    **{f"without_mask/{number:04}.jpg": "partially" for number in (558, 559)},
    **{f"without_mask/{number:04}.jpg": "mouth" for number in (560, 561, 562, 563)},
}
"""Photographs of one man in the folder without masks: his hand is over his mouth, or a mask below his nose."""

STRENGTH = 0.003
IMPORTANCE = {"clear": 30.0, "correct": 30.0}
"""Of the classes in training. Most faces are bare, and most masks are worn as they should be: what is painted, of which
there is as much as one likes, must not take faces from these two."""
FOLDS = 5
SEED = 20
PAINTED_EVERY = 24
"""One in so many photographs of LFW is painted on and then looked at as any other: found, placed, told."""


def painted(looked: Iterator[Looked]) -> Iterator[Looked]:
    """Each face in its warp under every second covering, with landmarks a little off, as they are on covered faces."""
    kinds = list(PAINTERS)
    for index, (file, pixels, face) in enumerate(looked):
        warp, face = in_warp(pixels, face)
        for kind in kinds[index % 2 :: 2]:
            random = np.random.default_rng([SEED, part_of(file, 2**31), part_of(kind, 2**31)])
            covered = PAINTERS[kind][1](warp, face.points68, random)
            yield f"{file}|{kind}", covered, displaced(face, random, 3.0)


def class_of(name: str) -> str:
    """The class of a face by its name: what was painted, or what is in the photograph."""
    file, _, kind = name.partition("|")
    if kind in PAINTERS:
        return PAINTERS[kind][0]
    return SEEN_OTHERWISE.get(file, "correct" if file.startswith("with_mask") else "clear")


class Faces(NamedTuple):
    """Names and embeddings (N, 1024) of faces."""

    names: list[str]
    embedding: NDArray[np.float32]

    def only(self, keep: Callable[[str], bool]) -> Faces:
        """Those whose name is to be kept."""
        chosen = [index for index, name in enumerate(self.names) if keep(name)]
        return Faces([self.names[index] for index in chosen], self.embedding[chosen])

    def joined(self, *others: Faces) -> Faces:
        """These and others."""
        names = [name for faces in (self, *others) for name in faces.names]
        return Faces(names, np.concatenate([faces.embedding for faces in (self, *others)]))


def mask_faces(chain: Chain, archive: Path) -> Faces:
    """The real, the varied and the painted faces of masks.zip."""
    files = archive_files(archive)
    bare = [file for file in files if file.startswith("without_mask") and file not in SEEN_OTHERWISE]
    # Varied: or landmarks a little off would tell that a face is covered.
    return seen(chain, "masks", lambda: chain.looked(archive, files)).joined(
        seen(chain, "masks_varied", lambda: varied(chain.looked(archive, files), 1)),
        seen(chain, "masks_painted", lambda: painted(chain.looked(archive, bare))),
    )


def seen(chain: Chain, name: str, looked: Callable[[], Iterator[Looked]]) -> Faces:
    """Names and embeddings of photographs; `name` as in Chain.features."""
    names, features = chain.features(name, looked)
    return Faces(names, features.embedding)


def is_reported(name: str) -> bool:
    """Whether the person of a photograph of LFW is kept from the training."""
    return part_of(person_of(name.partition("|")[0]), 2) == 1


class Told(NamedTuple):
    """The predominant state and occlusion of N faces."""

    states: NDArray[np.str_]
    occlusions: NDArray[np.str_]


def told_by(probabilities: NDArray[np.float32], labels: Sequence[str]) -> Told:
    """What probabilities (N, 6) of the classes `labels` say."""
    states = list(STATE_PARTS)
    sums = np.stack([probabilities[:, [labels.index(part) for part in STATE_PARTS[one]]].sum(axis=1) for one in states])
    return Told(np.array(states)[sums.argmax(axis=0)], np.array(labels)[probabilities.argmax(axis=1)])


def train(faces: Faces) -> tuple[LinearHead, bytes, dict[str, str]]:
    """The head, its file and what cross-validation says of it."""
    classes = np.array([class_of(name) for name in faces.names])
    folds = np.array([part_of(person_of(name.partition("|")[0]), FOLDS) for name in faces.names])
    print(Counter(classes.tolist()), flush=True)
    logits = cross_validated(faces.embedding, classes, folds, STRENGTH, IMPORTANCE)
    told = told_by(softmax(logits), np.unique(classes).tolist())
    weights, bias, labels = fit_head(faces.embedding, classes, STRENGTH, IMPORTANCE)
    file = io.BytesIO()
    np.savez_compressed(file, weights=weights.astype(np.float16), bias=bias, labels=np.array(labels))
    head = LinearHead(weights.astype(np.float16), bias, tuple(labels))
    kinds = np.array([name.partition("|")[2] for name in faces.names])
    real = (kinds == "") & np.array(["mask/" in name for name in faces.names])
    covered = np.isin(kinds, list(PAINTERS)) & (kinds != "sunglasses")
    figures = {
        "masks.zip, photographs, 5 folds": two_states(classes[real], told.states[real]),
        "painted coverings, 5 folds over the faces below": confusion(classes[covered], told.occlusions[covered]),
        "painted sunglasses, 5 folds": shares(told.states[kinds == "sunglasses"]),
    }
    return head, file.getvalue(), figures


def measure(chain: Chain, data: Path, head: LinearHead) -> dict[str, str]:
    """Figures on faces that nothing was trained on."""
    lfw, sunglasses = data / "lfw.zip", data / "sunglasses.zip"
    again = archive_files(lfw)[::PAINTED_EVERY]
    painted_on = seen(chain, "lfw_painted", lambda: seen_again(chain, chain.looked(lfw, again))).only(is_reported)
    glasses = painted_on.only(lambda name: name.endswith("|sunglasses"))
    covered = painted_on.only(lambda name: not name.endswith("|sunglasses"))
    selfies = seen(chain, "sunglasses", lambda: chain.looked(sunglasses, archive_files(sunglasses)))

    def told(faces: Faces) -> Told:
        return told_by(head.probabilities(faces.embedding), head.labels)

    return {
        "LFW, no masks, the people not trained on": shares(told(lfw_faces(chain, data).only(is_reported)).states),
        f"LFW under painted coverings, found anew, of {sum(map(is_reported, again))} each": confusion(
            np.array([class_of(name) for name in covered.names]), told(covered).occlusions
        ),
        "LFW under painted sunglasses": shares(told(glasses).states),
        "selfies with sunglasses": shares(told(selfies).states),
    }


def lfw_faces(chain: Chain, data: Path) -> Faces:
    """All bare faces of LFW."""
    return seen(chain, "lfw", lambda: chain.looked(data / "lfw.zip", archive_files(data / "lfw.zip")))


def seen_again(chain: Chain, looked: Iterator[Looked]) -> Iterator[Looked]:
    """Photographs with painted faces, in which the face is found as in any other; those where none is are left out."""
    for file, pixels, face in looked:
        for kind, (_, paint) in PAINTERS.items():
            random = np.random.default_rng([SEED, part_of(file, 2**31), part_of(kind, 2**31)])
            covered = paint(pixels, face.points68, random)
            found = chain.finder.main_face(covered)
            if found is not None:
                yield f"{file}|{kind}", covered, found


def two_states(classes: NDArray[np.str_], states: NDArray[np.str_]) -> str:
    """Of faces with and without a mask: how many come out so."""
    masked = np.isin(classes, STATE_PARTS["medical_mask"])
    right = ((states == "medical_mask") == masked).mean()
    return (
        f"medical_mask or not: {right:.2%} right; with a mask: {shares(states[masked])}; "
        f"without: {shares(states[~masked])}"
    )


def shares(states: NDArray[np.str_]) -> str:
    """How many come out in each state."""
    return ", ".join(f"{state} {(states == state).mean():.2%}" for state in STATE_PARTS) + f" (n={len(states)})"


def confusion(truth: NDArray[np.str_], told: NDArray[np.str_]) -> str:
    """Of each class, what its faces come out as."""
    lines = []
    for name in OCCLUSIONS:
        counts = Counter(told[truth == name].tolist())
        if counts:
            shares = ", ".join(f"{other} {count}" for other, count in counts.most_common())
            lines.append(f"{name}: {shares}")
    return "; ".join(lines)


def main() -> None:
    """Train, measure and record both heads."""
    options = arguments(__doc__)
    chain = Chain(ModelStore(options.models), options.cache)
    if options.measure:
        for role in ("face_mask", "face_mask_open"):
            print(role, measure(chain, options.data, LinearHead.load(chain.store.network(role).path)), sep="\n")
        return
    faces = mask_faces(chain, options.data / "masks.zip")
    more = lfw_faces(chain, options.data).only(lambda name: not is_reported(name))
    origin = "1,600 photographs of faces with and without a mask (chandrikadeb7/Face-Mask-Detection, MIT), and masks, "
    origin += "hands, scarves, sheets and sunglasses painted onto those without"
    ours = "Our own weights. The photographs of masks come from a repository under the MIT licence"
    keep(chain, options.data, "face_mask_open", faces, "open", f"{ours}.", origin)
    notes = f"{ours}; LFW is for research."
    keep(chain, options.data, "face_mask", faces.joined(more), "research", notes, f"{origin}; half the people of LFW")


def keep(chain: Chain, data: Path, role: str, faces: Faces, licence: str, notes: str, origin: str) -> None:
    """Train a head, measure and record it."""
    head, file, figures = train(faces)
    figures |= measure(chain, data, head)
    print(role, *figures.items(), sep="\n", flush=True)
    entry = {
        "kind": "linear-head",
        "title": (
            "Mask and other coverings by the features, trained on free photographs alone"
            if licence == "open"
            else "Mask and other coverings of a face by its features: multinomial logistic regression"
        ),
        "licence": licence,
        "licence_notes": notes,
        "training_data": origin,
        "measured": figures,
    }
    record(role, f"{role}.npz", file, entry)


if __name__ == "__main__":
    main()
