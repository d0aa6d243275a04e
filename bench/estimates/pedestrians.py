"""Attributes, colours and descriptors of bodies on PETA: crops of pedestrians with attributes and persons."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.estimates.held_out import by_training
from bench.estimates.run import LeftOutError, Report, Run, Target, confusion_table, recorded
from bench.plots import draw_ranks
from bench.report import progress, table
from lunaria.evaluation.classification import Confusion, area_under_curve
from lunaria.evaluation.ranking import one_probe_each, ranking
from lunaria.vision.estimators.body_attributes import BodyAttributes
from lunaria.vision.findings import BodyFinding
from lunaria.vision.plan import ImageType, Plan

if TYPE_CHECKING:
    from training.peta import Peta

UNDEFINED = "undefined"
RANKS = 20
SAMPLED = 1500
"""So many crops of the people that were not trained on are looked at for attributes, spread evenly."""

WORDS: Mapping[str, tuple[str, tuple[str, ...], Callable[[BodyAttributes], str]]] = {
    "gender": ("gender", ("female", "male"), lambda one: one.gender),
    "sleeve": ("sleeve", ("long", "short"), lambda one: one.sleeve),
    "lower garment": ("garment", ("trousers", "shorts", "skirt"), lambda one: one.lower_garment),
    "headwear": ("headwear", ("absent", "present"), lambda one: one.headwear),
    "backpack": ("backpack", ("absent", "present"), lambda one: one.backpack),
    "shoes": ("shoes", ("black", "white", "other"), lambda one: one.shoes_color),
}
"""Of each attribute: its task in the training, its words there, and the word of the estimate."""

STUDY = {"gender": 0.832, "sleeve": 0.862, "backpack": 0.767, "headwear": 0.612, "lower garment": 0.570, "shoes": 0.553}
"""Mean recall on people not trained on, everybody being answered."""
STUDY_COLOURS = {"upper": 0.690, "lower": 0.651}
AGES = ((0, 30), (30, 45), (45, 60), (60, 120))


@by_training
def measure_attributes(run: Run) -> list[Report]:
    from training import peta
    from training.body_attributes import TEST_GROUPS, targets

    data = peta.load(_folder(run))
    known = run.part("peta") is not None
    unseen = np.flatnonzero(data.groups < TEST_GROUPS) if known else np.arange(len(data.sets))
    chosen = unseen[np.unique(np.linspace(0, len(unseen) - 1, min(SAMPLED, run.most or SAMPLED)).astype(int))]
    plan = Plan(body_basic_attributes=True, upper_body=True, lower_body=True, accessories=True)
    found = [one.attributes for one in look(run, data, chosen, plan)]
    wanted = {task: values[chosen] for task, values in targets(data).items()}
    rows, reached, tables = [], [], []
    for name, (task, words, word) in WORDS.items():
        clear = wanted[task].max(axis=1) == 1
        pairs = [
            (words[int(row.argmax())], word(one))
            for row, one, is_clear in zip(wanted[task], found, clear, strict=True)
            if is_clear and one is not None
        ]
        if len({truth for truth, _ in pairs}) < 2:
            continue
        every = Confusion.of([truth for truth, _ in pairs], [told for _, told in pairs], words)
        decided = every.without(UNDEFINED)
        rows.append(
            (
                name,
                len(every),
                f"{len(decided) / len(every):.3f}",
                f"{decided.accuracy:.3f}",
                f"{decided.balanced_accuracy:.3f}",
                ", ".join(f"{own} {recall:.2f}" for own, recall in decided.recalls.items()),
            )
        )
        reached.append(
            Target(
                f"{name}, mean recall of the answered (the study answers all)", STUDY[name], decided.balanced_accuracy
            )
        )
        tables += ["", confusion_table(every, name)]
    lines = [
        table(["attribute", "crops", "answered", "of these right", "mean recall", "recall"], rows),
        "",
        _ages(wanted["age"], found),
    ]
    colours, colour_targets = _colours(data, chosen, found)
    lines += [*colours, *tables]
    if known:
        lines += [
            "",
            "Cameras that were not trained on, recorded by the training (the figures that a camera of your own "
            "is nearest to):",
            "",
            *recorded(run.store, "body_attributes", "unseen cameras"),
        ]
    text = (
        f"PETA (research only) without VIPeR and GRID, {len(chosen):,} crops of people that were not trained on, from "
        "cameras that were (i-LID's were not)"
        if known
        else f"{run.data.name}, {len(chosen):,} crops"
    )
    roles = ("body_pedestrians", "body_attributes", "clothing_colors")
    return [Report("body attributes", text, roles, lines, [*reached, *colour_targets] if known else ())]


def _ages(wanted: NDArray[np.float32], found: Sequence[BodyAttributes | None]) -> str:
    inside = [
        AGES[int(row.argmax())][0] <= one.age < AGES[int(row.argmax())][1]
        for row, one in zip(wanted, found, strict=True)
        if row.max() == 1 and one is not None
    ]
    share = np.mean(inside)
    return f"- Age: in the labelled range (under 30, 30 to 45, 45 to 60, over 60) {share:.3f} of {len(inside)}."


def _colours(
    data: Peta, chosen: NDArray[np.int64], found: Sequence[BodyAttributes | None]
) -> tuple[list[str], list[Target]]:
    """First colour of garments of one labelled colour."""
    from training.peta import COLORS

    lines, reached = [], []
    for part in ("upper", "lower"):
        labelled = data.colors(f"{part}Body")[chosen]
        pairs = [
            (COLORS[int(row.argmax())], getattr(one, f"{part}_colors"))
            for row, one in zip(labelled, found, strict=True)
            if row.sum() == 1 and one is not None
        ]
        first = Confusion.of([truth for truth, _ in pairs], [told[0] for _, told in pairs], COLORS)
        among = float(np.mean([truth in told for truth, told in pairs]))
        lines.append(
            f"- Colour of the {part} garment where one is labelled: n={len(first)}, first colour right "
            f"{first.accuracy:.3f}, mean recall of {len(first.recalls)} colours {first.balanced_accuracy:.3f}, among "
            f"the told ones {among:.3f}."
        )
        reached.append(Target(f"colour of the {part} garment", STUDY_COLOURS[part], first.accuracy))
    return lines, reached


@by_training
def measure_descriptor(run: Run) -> list[Report]:
    from training import peta
    from training.body_descriptor import HELD_SET, TEST_GROUPS, UNKNOWN_PERSONS, identities

    data = peta.load(_folder(run))
    persons = identities(data)
    parts = {f"{HELD_SET}: cameras and people not trained on": data.sets == HELD_SET}
    tested = (data.groups < TEST_GROUPS) & ~np.isin(data.sets, [HELD_SET, UNKNOWN_PERSONS, "CUHK"])
    for name in np.unique(data.sets[tested]):
        parts[f"{name}: people not trained on"] = tested & (data.sets == name)
    rows, curves, lines, targets = [], {}, [], []
    for title, inside in parts.items():
        index = np.flatnonzero(inside)
        if run.most is not None:
            index = index[: run.most]
        _, counts = np.unique(persons[index], return_counts=True)
        if (counts > 1).sum() < 10:
            continue
        found = look(run, data, index, Plan(body_descriptor=True))
        vectors = np.stack([one.descriptor.vector for one in found if one.descriptor is not None])
        names = persons[index]
        probes, gallery = one_probe_each(names.tolist())
        ranked = ranking(vectors[probes], names[probes].tolist(), vectors[gallery], names[gallery].tolist())
        cosines = (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]
        same = (names[:, None] == names[None])[np.triu_indices(len(vectors), 1)]
        area = area_under_curve(cosines[same], cosines[~same])
        rows.append(
            (
                title,
                len(probes),
                ranked.gallery,
                *(f"{ranked.matches(rank):.3f}" for rank in (1, 5, 10)),
                f"{ranked.mean_average_precision:.3f}",
                f"{area:.3f}",
            )
        )
        curves[title.partition(":")[0]] = ranked.curve(RANKS)
        if title.startswith(HELD_SET) and run.most is None:  # a smaller gallery is easier to search in
            targets = [
                Target(f"{HELD_SET}, rank 1", 0.50, ranked.matches(1)),
                Target(f"{HELD_SET}, rank 10", 0.74, ranked.matches(10)),
            ]
    header = ["crops", "probes", "gallery", "rank 1", "rank 5", "rank 10", "mAP", "area of pairs"]
    lines = [table(header, rows), "", "One probe of each person, drawn at random, against all other crops of the set."]
    if run.part("peta") is not None:
        lines += [
            "",
            "Whole sets that networks of the same kind did not see, recorded by the training:",
            "",
            *recorded(run.store, "body_descriptor", "unseen cameras"),
        ]
    if run.plots and curves:
        draw_ranks(curves, "body descriptors: the right person among the first", run.plots / "body-ranks.svg")
    text = "PETA (research only) without VIPeR, GRID, MIT and CUHK, crops as they are"
    return [Report("body descriptor", text, ("body_pedestrians", "body_descriptor"), lines, targets)]


def look(run: Run, data: Peta, chosen: NDArray[np.int64], plan: Plan) -> list[BodyFinding]:
    """What the plan tells of crops, which are body warps as they are."""

    def one(place: int) -> BodyFinding:
        if place % 500 == 499:
            progress(f"{place + 1} of {len(chosen)} crops")
        return run.find(data.warps[chosen[place]], plan, ImageType.BODY_WARP).bodies[0]

    with ThreadPoolExecutor(run.workers) as pool:
        return list(pool.map(one, range(len(chosen))))


def _folder(run: Run) -> Path:
    """The folder that holds peta.zip. Raises LeftOutError when there is none, or no labels are in it."""
    archive = run.data if run.data.name == "peta.zip" else run.needed("peta")
    if not zipfile.is_zipfile(archive):
        raise LeftOutError(f"{archive.name} must be a zip of folders with Label.txt and crops")
    with zipfile.ZipFile(archive) as opened:
        if not any(name.endswith("/Label.txt") for name in opened.namelist()):
            raise LeftOutError(f"{archive.name} holds no Label.txt")
    return archive.parent
