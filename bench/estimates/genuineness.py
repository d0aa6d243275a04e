"""Liveness on faces in folders live and spoof, and deepfakes on forgeries made of true faces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bench.estimates import held_out
from bench.estimates.run import NO_FACE, Picture, Report, Run, Target, missed, recorded
from bench.estimates.sources import by_folder
from bench.faces import files
from bench.report import table
from lunaria.evaluation.classification import area_under_curve, balanced_accuracy_at
from lunaria.settings import Estimation
from lunaria.vision.findings import FaceFinding
from lunaria.vision.geometry import Pixels
from lunaria.vision.plan import Plan

LIVE, SPOOF = "live", "spoof"
CHAIN = ("face_detector", "face_landmarks68")
DEFAULTS = Estimation()
"""The thresholds that a server has when nothing else is set."""


def measure_liveness(run: Run) -> list[Report]:
    known = run.part("liveness")
    labelled = by_folder(known or run.data, (LIVE, SPOOF))
    classes = {word: sorted(name for name, (own, _) in labelled.items() if own == word) for word in (LIVE, SPOOF)}
    if known:
        classes = {word: held_out.liveness(names) for word, names in classes.items()}
    classes = {word: run.chosen(names) for word, names in classes.items()}
    found = {
        word: run.faces(((name, labelled[name][1]) for name in names), len(names), Plan(liveness=True))
        for word, names in classes.items()
    }
    press: dict[str, FaceFinding | None] = {}
    if known and (lfw := run.part("lfw")):
        pictures = files(lfw)
        persons = run.chosen(held_out.liveness_persons(list(pictures)))
        press = run.faces(((name, pictures[name]) for name in persons), len(persons), Plan(liveness=True))
        found["press photographs (LFW)"] = press
    scores = {word: _scores(faces, 0.0) for word, faces in found.items()}
    relied = {word: _scores(faces, DEFAULTS.liveness_quality) for word, faces in found.items()}
    rows = []
    for word, faces in found.items():
        counts = Counter(_liveness(face) for face in faces.values())
        rows.append((word, len(faces), *(counts[state] for state in ("real", SPOOF, "unknown", NO_FACE))))
    threshold = DEFAULTS.liveness_threshold
    lines = []
    for title, of in (("all faces found", scores), (f"quality of at least {DEFAULTS.liveness_quality:g}", relied)):
        if len(of[LIVE]) and len(of[SPOOF]):
            lines.append(
                f"- {title}: **APCER {float((of[SPOOF] >= threshold).mean()):.1%}** (forgeries taken for live, "
                f"n={len(of[SPOOF])}), **BPCER {float((of[LIVE] < threshold).mean()):.1%}** (live faces refused, "
                f"n={len(of[LIVE])}) at the default threshold {threshold:g}, area under the ROC curve "
                f"{area_under_curve(of[LIVE], of[SPOOF]):.3f}."
            )
    run.roc(
        "liveness",
        "live against spoof",
        {"all": (scores[LIVE], scores[SPOOF]), "quality enough": (relied[LIVE], relied[SPOOF])},
        threshold,
    )
    every = [face for word in (LIVE, SPOOF) for face in found[word].values()]
    unknown = sum(_liveness(face) == "unknown" for face in every) / len(every)
    lines.append(
        f"- Unknown, as the quality is too low: {unknown:.1%} of all; faces: "
        + "; ".join(f"{word}: {missed(faces)}" for word, faces in found.items())
        + "."
    )
    lines += ["", table(["photographs", "n", "real", SPOOF, "unknown", NO_FACE], rows)]
    targets = [
        Target("area under the ROC curve, all", 0.925, area_under_curve(scores[LIVE], scores[SPOOF]), percent=False),
        Target("APCER, all", 0.139, float((scores[SPOOF] >= threshold).mean()), least=False),
        Target("BPCER, all", 0.073, float((scores[LIVE] < threshold).mean()), least=False),
    ]
    if press:
        accepted = float((scores["press photographs (LFW)"] >= threshold).mean())
        targets.append(Target("faces of LFW accepted", 0.887, accepted))
    data = (
        f"half of a sample of CelebA-Spoof (non-commercial research), on which nothing was chosen: "
        f"{len(classes[LIVE])} live and {len(classes[SPOOF])} spoof; {len(press)} persons of LFW"
        if known
        else f"{run.data.name}, {len(classes[LIVE])} live and {len(classes[SPOOF])} spoof"
    )
    roles = (*CHAIN, "face_mesh", "face_liveness_27", "face_liveness_40")
    return [Report("liveness", data, roles, lines, targets if known else ())]


def _scores(found: dict[str, FaceFinding | None], quality: float) -> NDArray[np.float64]:
    """Of the faces with at least this quality."""
    known = [face.liveness for face in found.values() if face is not None and face.liveness is not None]
    return np.array([one.score for one in known if one.quality >= quality], np.float64)


def _liveness(face: FaceFinding | None) -> str:
    if face is None or face.liveness is None:
        return NO_FACE
    if face.liveness.quality < DEFAULTS.liveness_quality:
        return "unknown"
    return "real" if face.liveness.score >= DEFAULTS.liveness_threshold else SPOOF


def measure_deepfake(run: Run) -> list[Report]:
    if not run.part("lfw"):
        return [_false_alarms(run)]
    return [_forgeries(run)]


def _false_alarms(run: Run) -> Report:
    pictures = run.pictures(run.data)
    found = run.faces(pictures.items(), len(pictures), Plan(deepfake=True))
    scores = _untouched(found)
    alarms = float((scores < DEFAULTS.deepfake_threshold).mean())
    line = f"- Of true photographs **{alarms:.1%}** count as forged (n={len(scores)}; {missed(found)})."
    return Report("deepfake", f"{run.data.name}, taken as true", (*CHAIN, "face_deepfake"), [line])


@held_out.by_training
def _forgeries(run: Run) -> Report:
    """Forgeries of the persons that nothing was trained or chosen on, found anew."""
    from training.deepfake import KINDS, REPORT, faces_of
    from training.forgeries import degraded, resynthesised, self_blended, swapped
    from training.labelled_faces import FaceFinder

    finder = FaceFinder(run.store)
    groups = [(name, faces_of(run.data, name, prefix, count, 0, finder)) for name, prefix, count in REPORT]
    faces = [(name, face) for name, own in groups for face in own]
    reported = [int(place) for place in run.chosen([str(place) for place in range(1, len(faces), 2)])]

    def samples() -> Iterator[tuple[str, Picture]]:
        random = np.random.default_rng(7)
        for index in reported:
            source, (pixels, points) = faces[index]
            others = [index + step for step in (2, 4, 6) if index + step < len(faces)] or [1]
            donor, donor_points = faces[int(random.choice(others))][1]
            made: dict[str, Pixels] = {
                "true": pixels,
                "self-blended": self_blended(pixels, points, random),
                "resynthesised": resynthesised(pixels, points, random),
                "swapped": swapped(pixels, points, donor, donor_points, random),
            }
            for kind, picture in made.items():
                yield f"{source}|{index}|{kind}", degraded(picture, random)

    found = run.faces(samples(), 4 * len(reported), Plan(deepfake=True))
    threshold = DEFAULTS.deepfake_threshold
    rows, curves = [], {}
    for source, _ in groups:
        true = _untouched(_of(found, source, "true"))
        for kind in KINDS:
            forged = _untouched(_of(found, source, kind))
            curves[f"{source}, {kind}"] = 1 - forged, 1 - true
            rows.append(
                (
                    f"{source}, {kind}",
                    len(forged),
                    f"{area_under_curve(1 - forged, 1 - true):.3f}",
                    f"{float((forged < threshold).mean()):.3f}",
                    f"{float((true < threshold).mean()):.3f}",
                    f"{balanced_accuracy_at(true, forged, threshold):.3f}",
                )
            )
    run.roc("deepfake", "forgeries against true faces", curves, None)
    lines = [
        f"- Each of {len(reported)} true faces and its three forgeries, all resized and compressed at random, at the "
        f"default threshold {threshold:g}; {missed(found)}.",
        "",
        table(["forgeries", "n", "area", "called fake", "true called fake", "balanced accuracy"], rows),
        "",
        "Recorded by the training, of networks that were never shown swaps:",
        "",
        *[line for line in recorded(run.store, "face_deepfake") if "never shown" in line],
    ]
    data = (
        "persons of LFW and living faces of CelebA-Spoof (both research) that were neither trained nor chosen on, and "
        "forgeries made of them by the project itself; no output of a face swap program, no generated faces"
    )
    return Report("deepfake", data, (*CHAIN, "face_deepfake"), lines)


def _of(found: dict[str, FaceFinding | None], source: str, kind: str) -> dict[str, FaceFinding | None]:
    return {name: face for name, face in found.items() if name.startswith(f"{source}|") and name.endswith(f"|{kind}")}


def _untouched(found: dict[str, FaceFinding | None]) -> NDArray[np.float64]:
    return np.array([face.deepfake for face in found.values() if face is not None and face.deepfake is not None])
