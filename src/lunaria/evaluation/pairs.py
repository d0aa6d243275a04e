"""Labelled pairs of photographs, and photographs in a folder or a zip.

Two formats of pairs are read: the official file of Labeled Faces in the Wild (`pairs.txt`, tab separated, people and
image numbers), and a CSV file with the columns fold, same, image1, image2 (paths of images).
"""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


class EvaluationDataError(Exception):
    """The pairs or the photographs cannot be read, or do not belong together."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two photographs, whether they show the same person, and the fold (1, 2, ...) that the pair belongs to."""

    fold: int
    same: bool
    first: str
    second: str


def read_pairs(file: Path) -> list[Pair]:
    """The pairs of a file in either format. Raises EvaluationDataError naming the line that is wrong."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationDataError(f"{file}: {error}") from None
    if not lines:
        raise EvaluationDataError(f"{file} is empty")
    pairs = _from_csv(file, lines) if "," in lines[0] else _from_lfw(file, lines)
    if not pairs:
        raise EvaluationDataError(f"{file} holds no pairs")
    return pairs


def _from_csv(file: Path, lines: list[str]) -> list[Pair]:
    pairs = []
    for number, row in enumerate(csv.reader(lines), 1):
        if not row or (number == 1 and row[0].strip().lower() == "fold"):
            continue
        try:
            fold, same, first, second = (cell.strip() for cell in row[:4])
            pairs.append(Pair(int(fold), {"0": False, "1": True}[same], first, second))
        except (ValueError, KeyError):
            raise EvaluationDataError(f"{file}, line {number}: fold,same,image1,image2 is expected") from None
    return pairs


def _from_lfw(file: Path, lines: list[str]) -> list[Pair]:
    """The first line says how many folds there are and how many pairs of each kind a fold has."""
    try:
        header = [int(word) for word in lines[0].split()]
        folds, each = header if len(header) == 2 else (1, header[0])
    except (ValueError, IndexError):
        raise EvaluationDataError(f"{file}, line 1: the numbers of folds and of pairs are expected") from None
    body = [(number, line) for number, line in enumerate(lines[1:], 2) if line.strip()]
    if folds < 1 or each < 1 or len(body) != 2 * folds * each:
        raise EvaluationDataError(f"{file}: line 1 announces {2 * folds * each} pairs, there are {len(body)}")
    pairs = []
    for place, (number, line) in enumerate(body):
        words = line.split("\t") if "\t" in line else line.split()
        try:
            if len(words) == 3:
                person, one, other = words
                images = (_lfw_image(person, one), _lfw_image(person, other))
            else:
                person, one, stranger, other = words
                images = (_lfw_image(person, one), _lfw_image(stranger, other))
        except ValueError:
            raise EvaluationDataError(f"{file}, line {number}: a person and two numbers are expected") from None
        pairs.append(Pair(1 + place // (2 * each), len(words) == 3, *images))
    return pairs


def _lfw_image(person: str, number: str) -> str:
    return f"{person}/{person}_{int(number):04d}.jpg"


def person_of(image: str) -> str:
    """Who a photograph shows: the name of its folder, as in LFW."""
    return PurePosixPath(image).parent.name


class Photographs:
    """The photographs that pairs name, in a folder or a zip, at whatever depth their common folder lies.

    Raises EvaluationDataError when the source is neither, or a photograph is missing in it.
    """

    def __init__(self, source: Path, images: Iterable[str]) -> None:
        self._source = source
        self._archive: zipfile.ZipFile | None = None
        if source.is_dir():
            present = {file.relative_to(source).as_posix() for file in source.rglob("*") if file.is_file()}
        else:
            try:
                self._archive = zipfile.ZipFile(source)
            except (OSError, zipfile.BadZipFile) as error:
                raise EvaluationDataError(f"{source} is neither a folder nor a zip: {error}") from None
            present = set(self._archive.namelist())
        wanted = list(images)
        self._folder = self._common_folder(wanted[0], present) if wanted else ""
        missing = [image for image in wanted if self._folder + image not in present]
        if missing:
            raise EvaluationDataError(f"{len(missing)} photographs are not in {source}, the first: {missing[0]}")

    def _common_folder(self, image: str, present: set[str]) -> str:
        for name in sorted(present, key=len):
            if name == image or name.endswith(f"/{image}"):
                return name.removesuffix(image)
        raise EvaluationDataError(f"there is no {image} in {self._source}")

    def read(self, image: str) -> bytes:
        """The bytes of the file. Not for several threads at once."""
        name = self._folder + image
        return self._archive.read(name) if self._archive is not None else (self._source / name).read_bytes()
