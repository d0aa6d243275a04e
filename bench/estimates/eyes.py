"""Eyes open or closed; head pose and gaze of photographs that are turned and mirrored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.estimates import held_out
from bench.estimates.coverings import one_a_person
from bench.estimates.run import NO_FACE, Picture, Report, Run, Target, confusion_line, confusion_table, missed
from bench.estimates.sources import by_table, mosaic, photograph
from bench.faces import files
from bench.report import table
from lunaria.evaluation.classification import Confusion, area_under_curve
from lunaria.evaluation.numbers import Errors
from lunaria.vision.findings import FaceFinding
from lunaria.vision.geometry import Pixels
from lunaria.vision.plan import Plan

STATES = ("open", "closed", "occluded")
SIDES = ("left", "right")
TURNS = (-30, -15, 15, 30)
"""Degrees, positive as the roll of the product: clockwise as the picture is seen."""
FIRST = 200
"""So many persons of LFW are turned and mirrored."""
MESH = ("face_detector", "face_landmarks68", "face_mesh")


def measure_eyes(run: Run) -> list[Report]:
    """Each labelled eye by the side of the picture that it is on."""
    if not run.part("lfw"):
        return [_own_eyes(run)]
    labels = held_out.eyes()
    pictures = dict(_labelled_pictures(run, labels))
    chosen = run.chosen(sorted(pictures))
    found = run.faces(((name, pictures[name]) for name in chosen), len(chosen), Plan(eyes=True))
    lines, scores = [], {}
    every: tuple[list[str], list[str]] = [], []
    for source in dict.fromkeys(row["set"] for row in labels):
        rows = [row for row in labels if row["set"] == source and f"{source}/{row['image']}" in found]
        if not rows:
            continue
        truth = [row["state"] for row in rows]
        told = [_state(found[f"{source}/{row['image']}"], row["eye"]) for row in rows]
        lines.append(confusion_line(Confusion.of(truth, told, STATES), source))
        every[0].extend(truth)
        every[1].extend(told)
        openness = [(row["state"], _openness(found[f"{source}/{row['image']}"], row["eye"])) for row in rows]
        both = [
            np.array([value for own, value in openness if own == state and value is not None], np.float64)
            for state in ("open", "closed")
        ]
        if min(map(len, both)) >= 5:
            scores[source] = both[0], both[1]
            lines.append(f"  - openness: area under the ROC curve {area_under_curve(*both):.3f}")
    run.roc("eyes", "open against closed eyes", scores, None)
    whole = Confusion.of(*every, STATES)
    lines += [confusion_line(whole, "All"), "", confusion_table(whole)]
    data = (
        f"{len(whole)} eyes of {len(found)} faces of FER2013 (training part), LFW and UTKFace (all research), labels "
        "of the project itself; the half on which no threshold was chosen. Many of the faces were picked because the "
        "estimate was low, to have closed eyes at all"
    )
    targets = [
        Target(
            "accuracy of open or closed (a small network on cut out eyes, another set)",
            0.992,
            whole.without(NO_FACE).accuracy,
        )
    ]
    return [Report("eyes", data, (*MESH, "face_blendshapes"), lines, targets)]


def _own_eyes(run: Run) -> Report:
    labelled = by_table(run.data, STATES)
    names = run.chosen(sorted(labelled))
    found = run.faces(((name, labelled[name][1]) for name in names), len(names), Plan(eyes=True))
    truth = [labelled[name][0] for name in names for _ in SIDES]
    told = [_state(found[name], side) for name in names for side in SIDES]
    states = Confusion.of(truth, told, STATES)
    lines = [confusion_line(states, "Both eyes of each face"), "", confusion_table(states)]
    return Report("eyes", f"{run.data.name}, labels.csv", (*MESH, "face_blendshapes"), lines)


def _labelled_pictures(run: Run, labels: Sequence[dict[str, str]]) -> Iterator[tuple[str, Picture]]:
    """Of the sets that lie in the folder, by set and image."""
    wanted = {(row["set"], row["image"]) for row in labels}
    for source in dict.fromkeys(row["set"] for row in labels):
        if tiles_file := run.part(f"{source}.jpg"):
            tiles = mosaic(tiles_file)
            for name in sorted(image for own, image in wanted if own == source):
                yield f"{source}/{name}", photograph(tiles[int(name)][1])
        elif archive := run.part(source):
            for name, data in files(archive).items():
                if (source, PurePosixPath(name).name) in wanted:
                    yield f"{source}/{PurePosixPath(name).name}", data


def _state(face: FaceFinding | None, side: str) -> str:
    return str(getattr(face.eyes, side).state) if face and face.eyes else NO_FACE


def _openness(face: FaceFinding | None, side: str) -> float | None:
    return float(getattr(face.eyes, side).openness) if face and face.eyes else None


def measure_turned(run: Run) -> list[Report]:
    """Head pose and gaze: how they follow a photograph that is turned, and agree with its mirror image."""
    archive = run.part("lfw") or run.data
    pictures = files(archive)
    names = run.chosen(one_a_person(list(pictures)) if run.part("lfw") else sorted(pictures))[:FIRST]
    plan = Plan(head_pose=True, gaze=True)

    def turned_pictures() -> Iterator[tuple[str, Picture]]:
        for name in names:
            pixels = run.pixels(pictures[name])
            yield f"{name}|plain", pixels
            yield f"{name}|mirrored", np.ascontiguousarray(pixels[:, ::-1])
            for turn in TURNS:
                yield f"{name}|{turn}", turned(pixels, turn)

    found = run.faces(turned_pictures(), len(names) * (2 + len(TURNS)), plan)

    def angles(kind: str, of: str, which: str) -> NDArray[np.float64]:
        """(N,) with NaN where there is none."""
        values = []
        for name in names:
            face = found[f"{name}|{kind}"]
            value = getattr(getattr(face, of, None), which, None)
            values.append(np.nan if value is None else float(value))
        return np.array(values)

    rows = []
    plain = angles("plain", "head_pose", "roll")
    worst = 0.0
    for turn in TURNS:
        now = angles(str(turn), "head_pose", "roll")
        both = ~np.isnan(plain) & ~np.isnan(now)
        errors = Errors.of_angles(now[both] - plain[both], np.full(both.sum(), float(turn)))
        worst = max(worst, errors.mean_absolute)
        rows.append(
            (
                f"{turn:+d}°",
                int(both.sum()),
                f"{turn + errors.bias:+.2f}",
                f"{errors.values.std():.2f}",
                f"{errors.mean_absolute:.2f}",
                f"{errors.percentile(95):.2f}",
            )
        )
    header = ["turned by", "photographs", "mean change of roll", "deviation", "mean absolute error", "95th percentile"]
    mirrored, flips = [], {}
    for of, which, sign in (
        ("head_pose", "yaw", -1),
        ("head_pose", "pitch", 1),
        ("head_pose", "roll", -1),
        ("gaze", "yaw", -1),
        ("gaze", "pitch", 1),
    ):
        one, other = angles("plain", of, which), sign * angles("mirrored", of, which)
        both = ~np.isnan(one) & ~np.isnan(other)
        if not both.any():
            continue
        errors = Errors.of_angles(other[both], one[both])
        far = both & (np.abs(one) > 10)
        agree = (
            f"{float((np.sign(one[far]) == np.sign(other[far])).mean()):.3f} of {far.sum()}" if far.any() else "none"
        )
        flips[f"{of} {which}"] = errors.mean_absolute
        mirrored.append(
            (
                f"{of.replace('_', ' ')}, {which}",
                int(both.sum()),
                f"{errors.mean_absolute:.2f}",
                f"{errors.percentile(95):.2f}",
                f"{np.corrcoef(one[both], other[both])[0, 1]:.3f}",
                agree,
            )
        )
    pose = [
        f"- Turned photographs; {missed(found)} turned and mirrored ones.",
        "",
        table(header, rows),
        "",
        "The mirror image must have the same angles with the other sign (yaw, roll), or the same (pitch):",
        "",
        table(
            ["angle", "photographs", "mean difference", "95th percentile", "correlation", "same sign beyond 10°"],
            mirrored,
        ),
    ]
    data = (
        f"LFW (research), one photograph of each of {len(names)} persons, turned and mirrored"
        if run.part("lfw")
        else f"{run.data.name}, {len(names)} photographs, turned and mirrored"
    )
    targets = [
        Target("roll, mean absolute error of the worst turn, degrees", 0.55, worst, least=False, percent=False),
        Target(
            "yaw of the head, mean difference to the mirror image, degrees",
            1.0,
            flips.get("head_pose yaw", float("nan")),
            least=False,
            percent=False,
        ),
    ]
    return [Report("head pose and gaze", data, MESH, pose, targets)]


def turned(pixels: Pixels, degrees: float) -> Pixels:
    """A photograph turned clockwise about its middle, its edge drawn out."""
    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1.0)
    return np.asarray(cv2.warpAffine(pixels, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def measure_shoulders(run: Run) -> list[Report]:
    words = ("parallel", "non_parallel", "hidden")
    known = run.part("lfw")
    if known:
        pictures, labels = files(known), held_out.shoulders()
        labelled = {name: (word, pictures[name]) for name, word in labels.items() if name in pictures}
    else:
        labelled = by_table(run.data, words)
    names = run.chosen(sorted(labelled))
    plan = Plan(checks=frozenset({"shoulders_position"}))
    found = run.faces(((name, labelled[name][1]) for name in names), len(names), plan)
    told = [str(face.measured.get("shoulders_position", "hidden")) if face else NO_FACE for face in found.values()]
    states = Confusion.of([labelled[name][0] for name in names], told, words)
    always = float((np.array([labelled[name][0] for name in names]) == "parallel").mean())
    lines = [
        confusion_line(states, "Shoulders"),
        f"- Always saying parallel would be right in {always:.3f}.",
        "",
        confusion_table(states),
    ]
    data = (
        f"LFW (research), {len(names)} photographs with labels of the project itself, on which the limits were looked "
        "at too"
        if known
        else f"{run.data.name}, labels.csv"
    )
    return [Report("shoulders", data, ("face_detector", "face_landmarks68", "body_keypoints"), lines)]
