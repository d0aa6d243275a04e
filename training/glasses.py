"""Fit the regression that tells glasses, to faces labelled for this project (`training/labels/`).

    python -m training.glasses --data FOLDER     the folder with lfw.zip, sunglasses.zip, utkface.zip and masks.zip

Three tenths of the persons of LFW, drawn at random, are the test set: no photograph of them is trained on. So are three
tenths of the photographs of the other sets. What is fitted is multinomial logistic regression on standardised features
of the band of the eyes (`lunaria.vision.estimators.upper_face`). Of two strengths of regularisation that were tried by
cross-validation over LFW (accuracy 98.6 and 98.7 %, wearing glasses or not) the weaker was taken.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.estimators.glasses import STATES
from training.labelled_faces import (
    LabelledFaces,
    Options,
    fitted,
    folded,
    options_of,
    read_labels,
    split_by_person,
)
from training.record import record

TEST_SHARE = 0.3
STRENGTH = 0.003
SOURCES = {
    "lfw": "LFW, persons not trained on",
    "sunglasses": "selfies with sunglasses, not trained on",
    "utkface": "UTKFace, not trained on",
    "masks": "faces with and without masks, not trained on",
}
"""Archives, and what their test parts are called."""

Labelled = tuple[NDArray[np.float32], NDArray[np.int64]]


def load(faces: LabelledFaces, labels: dict[str, str], *, of_warp: bool = False) -> Labelled:
    """Features (N, 3584) and indices into STATES (N,) of faces of one archive."""
    found, features = faces.upper_faces(list(labels), of_warp=of_warp)
    return features.eyes, np.array([STATES.index(labels[file]) for file in found])


def report(found: NDArray[np.int64], labels: NDArray[np.int64]) -> str:
    """What was measured, in words."""
    worn, seen = labels > 0, found > 0
    counts = ", ".join(f"{int((labels == state).sum())} {name}" for state, name in enumerate(STATES))
    recalls = ", ".join(
        f"{name} {float((found[labels == state] == state).mean()):.3f}"
        for state, name in enumerate(STATES)
        if (labels == state).any()
    )
    text = f"accuracy {float((found == labels).mean()):.3f} of {len(labels)} ({counts}); recalls: {recalls}"
    if not worn.any() or worn.all() or not seen.any():
        return text
    balanced = (seen[worn].mean() + (~seen)[~worn].mean()) / 2
    return (
        f"{text}; any glasses: precision {float(worn[seen].mean()):.3f}, recall {float(seen[worn].mean()):.3f}, "
        f"balanced accuracy {float(balanced):.3f}"
    )


def run(options: Options) -> None:
    trained: list[Labelled] = []
    tested: dict[str, Labelled] = {}
    for name, title in SOURCES.items():
        clear = {file: label for file, label in read_labels(f"glasses_{name}").items() if label in STATES}
        to_train, to_test = split_by_person(clear, TEST_SHARE)
        faces = options.faces(name)
        trained.append(load(faces, to_train))
        tested[title] = load(faces, to_test)
        if name == "lfw":
            tested["the same faces of LFW as 250x250 warps"] = load(faces, to_test, of_warp=True)
    features, labels = (np.concatenate(parts) for parts in zip(*trained, strict=True))
    model = fitted(features, labels, STRENGTH)
    measured = {title: report(model.predict(part), wanted) for title, (part, wanted) in tested.items()}
    counts = ", ".join(f"{int((labels == state).sum())} {name}" for state, name in enumerate(STATES))
    print(f"trained on {len(labels)} faces ({counts})")
    for title, text in measured.items():
        print(f"{title}: {text}")
    if options.keep:
        keep(model, f"{len(labels)} faces ({counts})", measured)


def keep(model: Any, counts: str, measured: dict[str, str]) -> None:
    weights, bias = folded(model)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, glasses_weights=weights, glasses_bias=bias, glasses_labels=np.array(STATES))
    record(
        "face_glasses",
        "face_glasses.npz",
        buffer.getvalue(),
        {
            "kind": "glasses",
            "title": "Glasses: logistic regression on EfficientNet-Lite0 features of the band of the eyes",
            "licence": "research",
            "licence_notes": "Trained by this project. The photographs (LFW, UTKFace, selfies and faces with masks "
            "from the web) were issued for research or carry no licence; the labels are the project's own.",
            "training_data": f"{counts} of LFW, of selfies with sunglasses, of UTKFace and of a set with medical "
            "masks, labelled for this project (training/labels)",
            "parameters": {"states": list(STATES), "features": "body_features"},
            "measured": measured,
        },
    )


if __name__ == "__main__":
    run(options_of(__doc__))
