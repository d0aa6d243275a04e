"""The similarity calibration of a descriptor network, fitted on labelled photographs.

Every pair of photographs of different persons is an impostor pair; `similarity.fit_similarity` turns the distribution
of their cosines into the knots that the pack's manifest keeps, with the evidence.
"""

import math
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.analysis import Analyzer
from lunaria.vision.findings import FaceFinding
from lunaria.vision.images import Decoder, Image, ImageError
from lunaria.vision.plan import Plan
from lunaria.vision.similarity import fit_similarity

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".ppm", ".webp")
_NUMBER = re.compile(r"[_-]?\d+$")
_PLAN = Plan(descriptor=True)


class CalibrationError(Exception):
    """The photographs are not enough for a calibration, or cannot be read."""


@dataclass(frozen=True, slots=True)
class Photograph:
    person: str
    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Calibration:
    """Knots (cosine, similarity), the sentence that says what they rest on, and the photographs without a face."""

    knots: list[tuple[float, float]]
    evidence: str
    missed: list[str]


def photographs(source: Path) -> Iterator[Photograph]:
    """The photographs of a folder or a zip, one folder a person; without folders the file name less its number
    is the person. Raises CalibrationError when there are none."""
    found = 0
    for name, data in _files(source):
        path = PurePosixPath(name)
        person = path.parent.name if len(path.parts) > 1 else _NUMBER.sub("", path.stem)
        found += 1
        yield Photograph(person, name, data)
    if not found:
        raise CalibrationError(f"there are no photographs in {source}")


def _files(source: Path) -> Iterator[tuple[str, bytes]]:
    if source.is_dir():
        for file in sorted(source.rglob("*")):
            if file.suffix.lower() in SUFFIXES:
                yield file.relative_to(source).as_posix(), file.read_bytes()
        return
    try:
        with zipfile.ZipFile(source) as archive:
            for name in sorted(archive.namelist()):
                if name.lower().endswith(SUFFIXES):
                    yield name, archive.read(name)
    except (OSError, zipfile.BadZipFile) as error:
        raise CalibrationError(f"{source} is neither a folder nor a zip: {error}") from None


def calibrate(
    analyzer: Analyzer, decoder: Decoder, source: Path, progress: Callable[[int], None] | None = None
) -> Calibration:
    """Fit the similarity of the analyzer's descriptors on the photographs of `source`.

    The face nearest to the middle of each photograph counts: the others are bystanders. `progress` gets the
    number of photographs done. Raises CalibrationError.
    """
    vectors: list[NDArray[np.float32]] = []
    persons: list[str] = []
    missed: list[str] = []
    for number, photograph in enumerate(photographs(source), 1):
        try:
            image = decoder.decode(photograph.data)
            face = central_face(analyzer.analyze(image, _PLAN), image)
        except ImageError as error:
            raise CalibrationError(f"{photograph.name}: {error.detail}") from None
        if face is not None and face.descriptor is not None:
            vectors.append(face.descriptor.vector)
            persons.append(photograph.person)
        else:
            missed.append(photograph.name)
        if progress is not None:
            progress(number)
    if len(set(persons)) < 2:
        raise CalibrationError("photographs of at least two persons with a face are needed")
    described = (
        f"{source.name}: all pairs of different persons among {len(persons)} photographs of {len(set(persons))} persons"
        f" ({len(missed)} without a face), {date.today().isoformat()}, descriptor version {analyzer.descriptor_version}"
    )
    try:
        knots, evidence = fit_similarity(impostor_cosines(np.stack(vectors), persons), described)
    except ValueError as error:
        raise CalibrationError(str(error)) from None
    return Calibration(knots, evidence, missed)


def central_face(faces: Sequence[FaceFinding], image: Image) -> FaceFinding | None:
    """The face whose middle is nearest to that of the image; None without faces."""
    height, width = image.pixels.shape[:2]

    def distance(face: FaceFinding) -> float:
        x, y = face.rect.x + face.rect.width / 2, face.rect.y + face.rect.height / 2
        return math.hypot(x - width / 2, y - height / 2)

    return min(faces, key=distance, default=None)


def impostor_cosines(vectors: NDArray[np.float32], persons: list[str]) -> NDArray[np.float32]:
    """The cosine of every pair of different persons, once each, from unit vectors (n, D)."""
    _, labels = np.unique(persons, return_inverse=True)
    parts = [vectors[place + 1 :] @ vector for place, vector in enumerate(vectors)]
    kept = [part[labels[place + 1 :] != labels[place]] for place, part in enumerate(parts)]
    return np.concatenate(kept)
