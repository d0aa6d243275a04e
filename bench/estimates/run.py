"""What every measurement needs: where the data lie, the product's own chain, and the shape of a report."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from bench.faces import central, faces_of, files
from bench.plots import Curve, draw_roc
from bench.report import conditions, table
from lunaria.evaluation.classification import Confusion, Scores, area_under_curve, roc_points
from lunaria.vision.analysis import Analyzer
from lunaria.vision.findings import FaceFinding, Findings
from lunaria.vision.geometry import Pixels
from lunaria.vision.images import Decoder, Image
from lunaria.vision.packs.files import file_sha256
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.plan import ImageType, Plan

Picture = bytes | Pixels
"""A photograph as its file or as RGB pixels (H, W, 3)."""

NO_FACE = "no face"
"""The word for a photograph in which no face was found."""


class LeftOutError(Exception):
    """An estimate cannot be measured here: data, networks or packages are missing."""


@dataclass(frozen=True, slots=True)
class Target:
    """A figure to reach. `least`: whether the measured one must be at least, or at most, the wanted one."""

    figure: str
    wanted: float
    measured: float
    least: bool = True
    percent: bool = True

    @property
    def met(self) -> bool:
        return self.measured >= self.wanted if self.least else self.measured <= self.wanted

    def row(self) -> tuple[str, str, str, str]:
        def text(value: float) -> str:
            return f"{value:.1%}" if self.percent else f"{value:.3g}"

        return (
            self.figure,
            f"{'≥' if self.least else '≤'} {text(self.wanted)}",
            text(self.measured),
            ("yes" if self.met else "**no**"),
        )


@dataclass(frozen=True, slots=True)
class Report:
    """`name`: its place in the document; `data`: what was measured on, with size and licence; `roles`: the networks."""

    name: str
    data: str
    roles: Sequence[str]
    lines: Sequence[str]
    targets: Sequence[Target] = ()

    def text(self, store: ModelStore) -> str:
        stated = conditions(f"Data: {self.data}.", "onnxruntime", "openvino")
        parts = [stated, "", f"Networks: {_networks(store, self.roles)}.", ""]
        parts += self.lines
        if self.targets:
            header = ["figure to reach", "wanted", "measured", "met"]
            parts += ["", table(header, [target.row() for target in self.targets])]
        return "\n".join(parts)


@dataclass
class Run:
    """One call of the command. `data`: a folder with the named data sets, or one data set; `most`: how many pictures
    of each set are looked at, spread evenly over their names."""

    data: Path
    store: ModelStore
    most: int | None = None
    plots: Path | None = None
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)

    @cached_property
    def analyzer(self) -> Analyzer:
        return Analyzer(self.store)

    @cached_property
    def decoder(self) -> Decoder:
        return Decoder()

    def part(self, name: str) -> Path | None:
        """A data set of this name in the folder: a zip, a folder, or what the name with its ending says."""
        candidates = (self.data / f"{name}.zip", self.data / name)
        return next((path for path in candidates if path.exists()), None) if self.data.is_dir() else None

    def needed(self, name: str) -> Path:
        """As `part`. Raises LeftOutError when it is not there."""
        path = self.part(name)
        if path is None:
            raise LeftOutError(f"{self.data} holds no {name}")
        return path

    def pictures(self, source: Path, folder: str = "") -> dict[str, bytes]:
        """Photographs of a zip or folder whose names begin with `folder`, at most so many as are wanted."""
        found = {name: data for name, data in files(source).items() if name.startswith(folder)}
        return {name: found[name] for name in self.chosen(list(found))}

    def chosen(self, names: Sequence[str]) -> list[str]:
        """At most so many of the names as are wanted."""
        if self.most is None or len(names) <= self.most:
            return list(names)
        return [names[place] for place in np.linspace(0, len(names) - 1, self.most).astype(int)]

    def pixels(self, picture: Picture) -> Pixels:
        return self.decoder.decode(picture).pixels if isinstance(picture, bytes) else picture

    def faces(self, pictures: Iterable[tuple[str, Picture]], count: int, plan: Plan) -> dict[str, FaceFinding | None]:
        """What is found of the face in the middle of each picture, by the order of the pictures; None where none is."""
        names = []

        def noted() -> Iterator[tuple[str, Picture]]:
            for name, picture in pictures:
                names.append(name)
                yield name, picture

        found = faces_of(_Middle(self, plan), noted(), count, self.workers)
        return {name: found[name] for name in names}

    def find(self, picture: Picture, plan: Plan, image_type: ImageType = ImageType.RAW) -> Findings:
        return self.analyzer.find(image(self.pixels(picture)), plan, image_type=image_type)

    def roc(self, name: str, title: str, scores: Mapping[str, tuple[Scores, Scores]], threshold: float | None) -> None:
        """A picture of curves of scores of positives and negatives, with the point of a threshold."""
        if self.plots is None or not scores:
            return
        curves: dict[str, Curve] = {label: roc_points(*both) for label, both in scores.items()}
        marks = {}
        if threshold is not None:
            marks = {
                label: (float((negative >= threshold).mean()), float((positive >= threshold).mean()))
                for label, (positive, negative) in scores.items()
            }
        labels = {label: f"{label} (area {area_under_curve(*both):.3f})" for label, both in scores.items()}
        draw_roc(
            {labels[label]: curve for label, curve in curves.items()},
            {labels[label]: point for label, point in marks.items()},
            title,
            self.plots / f"{name}.svg",
        )


@dataclass(frozen=True, slots=True)
class _Middle:
    """Finds the face in the middle (bench.faces.Finder)."""

    run: Run
    plan: Plan

    def face(self, data: Picture) -> FaceFinding | None:
        pixels = self.run.pixels(data)
        found = self.run.find(pixels, self.plan).faces
        return central(found, [face.rect.corners for face in found], pixels.shape[1], pixels.shape[0])


def image(pixels: Pixels) -> Image:
    return Image(pixels=pixels, format="JPEG")


def confusion_table(found: Confusion, truth: str = "truth") -> str:
    """Counts, and the recall of each row."""
    recalls = found.recalls
    rows = [
        (word, *row, f"{recalls[word]:.3f}")
        for word, row in zip(found.truths, found.counts.tolist(), strict=True)
        if word in recalls
    ]
    return table([f"{truth} \\ told", *found.told, "recall"], rows)


def confusion_line(found: Confusion, what: str) -> str:
    """Accuracy and balanced accuracy in words, and how many faces were not found."""
    lost = int(found.counts[:, found.told.index(NO_FACE)].sum()) if NO_FACE in found.told else 0
    seen = found.without(NO_FACE)
    line = f"- {what}: n={len(found):,}, **accuracy {found.accuracy:.3f}**, mean recall {found.balanced_accuracy:.3f}"
    if not lost:
        return f"{line}; a face was found in all."
    return (
        f"{line}; no face was found in **{lost}**, which count as wrong. Of the {len(seen):,} found: accuracy "
        f"{seen.accuracy:.3f}, mean recall {seen.balanced_accuracy:.3f}."
    )


def missed(found: Mapping[str, FaceFinding | None]) -> str:
    """How many faces were not found, in words."""
    lost = [name for name, face in found.items() if face is None]
    return f"no face was found in {len(lost)} of {len(found):,}"


def recorded(store: ModelStore, role: str, *beginnings: str) -> list[str]:
    """Figures that the training recorded with the weights of a role; those that begin with one of the words."""
    figures = store.spec(role).measured
    return [
        f"- {name}: {text}"
        for name, text in figures.items()
        if not beginnings or any(name.startswith(beginning) for beginning in beginnings)
    ]


def _networks(store: ModelStore, roles: Sequence[str]) -> str:
    """Roles with the beginning of the hash of their file, and those that are for research only."""
    named = []
    for role in roles:
        found = store.network(role)
        licence = " (research)" if found.spec.licence == "research" else ""
        named.append(f"{role} {file_sha256(found.path)[:8]}{licence}")
    return ", ".join(named)
