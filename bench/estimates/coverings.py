"""Masks, glasses and headwear."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from bench.estimates import held_out
from bench.estimates.run import (
    NO_FACE,
    Picture,
    Report,
    Run,
    Target,
    confusion_line,
    confusion_table,
    missed,
    recorded,
)
from bench.estimates.sources import by_folder, by_table
from bench.faces import files
from bench.report import table
from lunaria.evaluation.classification import Confusion, area_under_curve
from lunaria.evaluation.pairs import person_of
from lunaria.vision.estimators.glasses import STATES
from lunaria.vision.estimators.headwear import NONE, TYPES
from lunaria.vision.estimators.mask import OCCLUSIONS
from lunaria.vision.findings import FaceFinding
from lunaria.vision.plan import Plan

CHAIN = ("face_detector", "face_landmarks68")
MASKED, BARE = "with_mask", "without_mask"
GLASSES_SOURCES = {
    "lfw": "LFW, three tenths of the persons",
    "sunglasses": "selfies with sunglasses, three tenths",
    "utkface": "UTKFace, three tenths of those labelled",
    "masks": "faces with and without masks, three tenths of those labelled",
}
PAINTED_EVERY = 10
"""Of the persons whose bare faces are looked at, every so many are painted on."""


def measure_mask(run: Run) -> list[Report]:
    return [_own_masks(run) if run.part("masks") is None else _masks_on_lfw(run)]


def _own_masks(run: Run) -> Report:
    labelled = by_folder(run.data, (MASKED, BARE))
    names = run.chosen(list(labelled))
    found = run.faces(((name, labelled[name][1]) for name in names), len(names), Plan(mask=True))
    masked = {name: labelled[name][0] == MASKED for name in names}
    truth = ["medical_mask" if masked[name] else "missing" for name in names]
    states = Confusion.of(truth, [_state(face) for face in found.values()], ("missing", "medical_mask", "occluded"))
    seen = {name: _masked(face) for name, face in found.items() if face is not None}
    positive = np.array([score for name, score in seen.items() if masked[name]])
    negative = np.array([score for name, score in seen.items() if not masked[name]])
    lines = [confusion_line(states, "State")]
    if len(positive) and len(negative):
        lines.append(f"- Area under the ROC curve of medical_mask: {area_under_curve(positive, negative):.3f}.")
        run.roc("mask", run.data.name, {"medical_mask": (positive, negative)}, 0.5)
    data = f"{run.data.name}, {len(names):,} photographs in folders {MASKED} and {BARE}"
    return Report("mask", data, (*CHAIN, "face_features", "face_mask"), [*lines, "", confusion_table(states)])


@held_out.by_training
def _masks_on_lfw(run: Run) -> Report:
    """False alarms on bare faces, and coverings painted on bare faces and found anew, of persons not trained on."""
    from training.features import part_of
    from training.mask import PAINTERS, SEED

    pictures = files(run.needed("lfw"))
    names = run.chosen(one_a_person(held_out.mask(list(pictures))))
    bare = run.faces(((name, pictures[name]) for name in names), len(names), Plan(mask=True, landmarks68=True))
    painted_on = [name for name in names[::PAINTED_EVERY] if bare[name] is not None]

    def painted() -> Iterator[tuple[str, Picture]]:
        for name in painted_on:
            face, pixels = bare[name], run.pixels(pictures[name])
            assert face is not None and face.landmarks68 is not None
            for kind, (_, paint) in PAINTERS.items():
                random = np.random.default_rng([SEED, part_of(name, 2**31), part_of(kind, 2**31)])
                yield f"{name}|{kind}", paint(pixels, face.landmarks68, random)

    covered = run.faces(painted(), len(painted_on) * len(PAINTERS), Plan(mask=True))
    kinds = [name.partition("|")[2] for name in covered]
    counts = Counter(_state(face) for face in bare.values())
    seen = len(bare) - counts[NO_FACE]
    alarms = counts["medical_mask"] / max(seen, 1)
    negative = np.array([_masked(face) for face in bare.values() if face is not None])
    scores = {
        f"painted, {kind}": (
            np.array([_masked(face) for name, face in covered.items() if face and name.endswith(f"|{kind}")]),
            negative,
        )
        for kind in ("mask", "mouth")
    }
    run.roc("mask", "painted masks against bare faces of LFW", scores, 0.5)
    areas = ", ".join(f"{kind} {area_under_curve(*both):.3f}" for kind, both in scores.items())
    told = {kind: _states_of(covered, kind) for kind in PAINTERS}
    rows = []
    for kind, (stands_for, _) in PAINTERS.items():
        parts = Counter(_occlusion(face) for face, other in zip(covered.values(), kinds, strict=True) if other == kind)
        rows.append((kind, stands_for, *(parts[word] for word in (*OCCLUSIONS, NO_FACE))))
    lines = [
        f"- False alarms on bare faces of LFW, one photograph a person (n={seen:,}; {missed(bare)}): **medical_mask "
        f"{alarms:.2%}**, occluded {counts['occluded'] / max(seen, 1):.2%}.",
        f"- Coverings painted on {len(painted_on)} of these faces and looked for anew ({missed(covered)}); area under "
        f"the ROC curve of medical_mask: {areas}.",
        "- Told as medical_mask: "
        + ", ".join(f"{kind} {states['medical_mask']} of {sum(states.values())}" for kind, states in told.items())
        + ".",
        "- Recorded with the weights by their training (cross-validated on real masks; all of them serve):",
        *(f"  {line}" for line in recorded(run.store, "face_mask", "masks.zip", "selfies")),
        "",
        "Painted coverings, and the parts of the face that are told to be covered:",
        "",
        table(["painted", "stands for", *OCCLUSIONS, NO_FACE], rows, text_columns=2),
    ]
    data = (
        f"LFW (research), {len(names):,} persons not trained on; the painters are those of the training, so that "
        "real masks below the nose or on the chin may be told less well"
    )
    targets = [Target("false alarms on LFW", 0.004, alarms, least=False)]
    return Report("mask", data, (*CHAIN, "face_features", "face_mask"), lines, targets)


def measure_glasses(run: Run) -> list[Report]:
    known = {name: path for name in GLASSES_SOURCES if (path := run.part(name))}
    sources: dict[str, dict[str, tuple[str, bytes]]] = {}
    for name, path in known.items():
        pictures = files(path)
        sources[GLASSES_SOURCES[name]] = {
            file: (word, pictures[file]) for file, word in held_out.glasses(name).items() if file in pictures
        }
    if not known:
        sources[run.data.name] = by_table(run.data, STATES)
    lines, tables, scores, targets = [], [], {}, []
    for title, labelled in sources.items():
        names = run.chosen(sorted(labelled))
        found = run.faces(((name, labelled[name][1]) for name in names), len(names), Plan(glasses=True))
        told = [face.glasses.predominant if face and face.glasses else NO_FACE for face in found.values()]
        confusion = Confusion.of([labelled[name][0] for name in names], told, STATES)
        lines.append(confusion_line(confusion, title))
        tables += ["", f"{title}:", "", confusion_table(confusion)]
        worn = {name: 1 - face.glasses.no_glasses for name, face in found.items() if face is not None and face.glasses}
        positive = np.array([score for name, score in worn.items() if labelled[name][0] != STATES[0]])
        negative = np.array([score for name, score in worn.items() if labelled[name][0] == STATES[0]])
        if len(positive) >= 10 and len(negative) >= 10:
            scores[title] = positive, negative
            lines.append(f"  - any glasses: area under the ROC curve {area_under_curve(positive, negative):.3f}")
        if title == GLASSES_SOURCES["lfw"]:
            eyeglasses = confusion.without(NO_FACE).recalls["eyeglasses"]
            targets.append(Target("recall of eyeglasses on LFW (expected of an own head)", 0.95, eyeglasses))
    run.roc("glasses", "any glasses or none", scores, 0.5)
    data = (
        "labels of the project itself (training/labels: made by looking, not checked by a person); LFW, UTKFace and "
        "selfies (research or without a licence), masks (MIT); persons or photographs that were not trained on"
        if known
        else f"{run.data.name}, labels.csv"
    )
    return [Report("glasses", data, (*CHAIN, "body_features", "face_glasses"), [*lines, *tables], targets)]


def measure_headwear(run: Run) -> list[Report]:
    roles = (*CHAIN, "body_features", "face_headwear")
    if run.part("lfw"):
        lines = [
            "All labelled heads serve in the weights, as headwear is rare. Each was judged by weights that saw no "
            "photograph of its person (five-fold cross-validation, recorded by `training.headwear`):",
            "",
            *recorded(run.store, "face_headwear"),
        ]
        data = "LFW, UTKFace, selfies and masks with labels of the project itself (training/labels)"
        return [Report("headwear", data, roles, lines)]
    labelled = by_table(run.data, TYPES)
    names = run.chosen(sorted(labelled))
    plan = Plan(checks=frozenset({"headwear_type"}))
    found = run.faces(((name, labelled[name][1]) for name in names), len(names), plan)
    told = [str(face.measured.get("headwear_type", NONE)) if face else NO_FACE for face in found.values()]
    truth = [labelled[name][0] for name in names]
    types = Confusion.of(truth, told, TYPES)
    worn = Confusion.of(*([word if word in (NONE, NO_FACE) else "worn" for word in words] for words in (truth, told)))
    lines = [confusion_line(worn, "Worn or not"), confusion_line(types, "Type"), "", confusion_table(types)]
    return [Report("headwear", f"{run.data.name}, labels.csv", roles, lines)]


def one_a_person(names: list[str]) -> list[str]:
    """The first photograph of each person: of each folder."""
    return list({person_of(name): name for name in sorted(names, reverse=True)}.values())[::-1]


def _state(face: FaceFinding | None) -> str:
    return face.mask.predominant_state if face and face.mask else NO_FACE


def _occlusion(face: FaceFinding | None) -> str:
    return face.mask.predominant_occlusion if face and face.mask else NO_FACE


def _masked(face: FaceFinding) -> float:
    assert face.mask is not None
    return face.mask.states["medical_mask"]


def _states_of(found: dict[str, FaceFinding | None], kind: str) -> Counter[str]:
    return Counter(_state(face) for name, face in found.items() if name.endswith(f"|{kind}"))
