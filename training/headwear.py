"""Fit the two regressions that tell headwear, to heads labelled for this project (`training/labels/`).

    python -m training.headwear --data FOLDER     the folder with lfw.zip, sunglasses.zip, utkface.zip and masks.zip

One regression tells whether anything is worn, the other its type. Headwear is rare in these sets, so all of it is used
for the weights, and the figures come from five-fold cross-validation by person: each head is judged by regressions that
saw no photograph of that person. Types with fewer than eight examples are merged (MERGED).
"""

from __future__ import annotations

import io
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, roc_auc_score
from sklearn.model_selection import GroupKFold

from lunaria.vision.estimators.headwear import NONE, TYPES
from training.labelled_faces import Options, fitted, folded, options_of, person_of, read_labels
from training.record import record

STRENGTH = 0.0003
FOLDS = 5
SOURCES = ("lfw", "sunglasses", "utkface", "masks")
WARPED = "lfw"
"""The source of which 250x250 warps are judged too."""

MERGED = {"peaked_cap": "baseball_cap", "hood": "shawl", "helmet": "other", "hat_with_ear_flaps": "other"}

Features = NDArray[np.float32]
Words = NDArray[np.str_]


def run(options: Options) -> None:
    parts: list[tuple[Features, Features, Words, Words, Words]] = []
    labelled: Counter[str] = Counter()
    for name in SOURCES:
        labels = {file: label for file, label in read_labels(f"headwear_{name}").items() if label in TYPES}
        faces = options.faces(name)
        found, photo = faces.upper_faces(list(labels))
        warps = faces.upper_faces(list(labels), of_warp=True)[1].head if name == WARPED else np.zeros_like(photo.head)
        words = [labels[file] for file in found]
        labelled.update(words)
        persons = [person_of(file) for file in found]
        merged = [MERGED.get(word, word) for word in words]
        parts.append((photo.head, warps, np.array(merged), np.array(persons), np.array([name] * len(found))))
    photos, warps, words, persons, sources = (np.concatenate(column) for column in zip(*parts, strict=True))
    measured = validated(photos, warps, words, persons, sources)
    counts = ", ".join(f"{count} {word}" for word, count in labelled.most_common())
    print(f"labels: {counts}")
    for title, text in measured.items():
        print(f"{title}: {text}")
    if options.keep:
        present = words != NONE
        keep(
            fitted(photos, present, STRENGTH),
            fitted(photos[present], words[present], STRENGTH),
            counts,
            measured,
        )


def validated(photos: Features, warps: Features, words: Words, persons: Words, sources: Words) -> dict[str, str]:
    """What cross-validation by person gives, in words."""
    present = words != NONE
    types = sorted(set(words[present].tolist()))
    in_photo, in_warp = np.zeros(len(words)), np.zeros(len(words))
    of_photo, of_warp = words.copy(), words.copy()
    for used, held in GroupKFold(FOLDS).split(photos, present, persons):
        presence = fitted(photos[used], present[used], STRENGTH)
        in_photo[held] = presence.predict_proba(photos[held])[:, 1]
        in_warp[held] = presence.predict_proba(warps[held])[:, 1]
        worn, held_worn = used[present[used]], held[present[held]]
        kind = fitted(photos[worn], words[worn], STRENGTH)
        of_photo[held_worn], of_warp[held_worn] = kind.predict(photos[held_worn]), kind.predict(warps[held_worn])
    warped = sources == WARPED
    measured = {
        "presence, all sources": presence_report(in_photo, present),
        "presence, LFW": presence_report(in_photo[warped], present[warped]),
        "presence, LFW as 250x250 warps": presence_report(in_warp[warped], present[warped]),
        "type where something is worn": f"accuracy {float((of_photo == words)[present].mean()):.3f} of "
        f"{int(present.sum())}; of {int((present & warped).sum())} of LFW "
        f"{float((of_photo == words)[present & warped].mean()):.3f}, as warps "
        f"{float((of_warp == words)[present & warped].mean()):.3f}",
    }
    table = confusion_matrix(words[present], of_photo[present], labels=types)
    rows = "; ".join(
        f"{word} ({row.sum()}): {dict(zip(types, row.tolist(), strict=True))}"
        for word, row in zip(types, table, strict=True)
    )
    measured["types given, by true type"] = rows.replace("'", "").replace("{", "").replace("}", "")
    return measured


def presence_report(probabilities: NDArray[np.float64], present: NDArray[np.bool_]) -> str:
    seen = probabilities > 0.5
    recall, specificity = float(seen[present].mean()), float((~seen)[~present].mean())
    return (
        f"AUC {roc_auc_score(present, probabilities):.3f}, balanced accuracy {(recall + specificity) / 2:.3f}, recall "
        f"{recall:.3f} of {int(present.sum())}, false alarms {1 - specificity:.3f} of {int((~present).sum())}"
    )


def keep(presence: Any, kind: Any, counts: str, measured: dict[str, str]) -> None:
    (presence_weights, presence_bias), (type_weights, type_bias) = folded(presence), folded(kind)
    labels = [str(word) for word in kind[-1].classes_]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        presence_weights=presence_weights,
        presence_bias=presence_bias,
        presence_labels=np.array([NONE, "present"]),
        type_weights=type_weights,
        type_bias=type_bias,
        type_labels=np.array(labels),
    )
    record(
        "face_headwear",
        "face_headwear.npz",
        buffer.getvalue(),
        {
            "kind": "headwear",
            "title": "Headwear: logistic regressions on EfficientNet-Lite0 features of the upper head",
            "licence": "research",
            "licence_notes": "Trained by this project. The photographs (LFW, UTKFace, selfies and faces with masks "
            "from the web) were issued for research or carry no licence; the labels are the project's own.",
            "training_data": f"heads of LFW, of selfies with sunglasses, of UTKFace and of a set with medical masks, "
            f"labelled for this project (training/labels): {counts}",
            "parameters": {"types": labels, "merged": MERGED, "features": "body_features"},
            "measured": {f"{title} (five-fold, by person)": text for title, text in measured.items()},
        },
    )


if __name__ == "__main__":
    run(options_of(__doc__))
