"""Readers of the formats that labelled data come in."""

from __future__ import annotations

import csv
import io
import json
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.faces import files
from lunaria.evaluation.pairs import EvaluationDataError
from lunaria.vision.geometry import Pixels

TILE, TILES_IN_ROW = 48, 100

_ENLARGED, _BORDER = 4, 24
"""How often a tile is enlarged before its face is looked for, and the border that is put around it, in its pixels."""


def by_folder(source: Path, words: tuple[str, ...]) -> dict[str, tuple[str, bytes]]:
    """Photographs that lie in folders named by words: name to word and file. Raises EvaluationDataError for none."""
    found = {
        name: (word, data)
        for name, data in files(source).items()
        if (word := next((part for part in PurePosixPath(name).parts[:-1] if part in words), None)) is not None
    }
    if not found:
        raise EvaluationDataError(f"{source} has no photographs in folders named {', '.join(words)}")
    return found


def by_table(source: Path, words: tuple[str, ...]) -> dict[str, tuple[str, bytes]]:
    """Photographs with a file `labels.csv` (file,label) beside them: name to word and file.

    Photographs with other words are left out. Raises EvaluationDataError for a file that is missing or names
    photographs that are not there.
    """
    text = _read(source, "labels.csv")
    try:
        labels = {row["file"]: row["label"] for row in csv.DictReader(io.StringIO(text))}
    except KeyError as error:
        raise EvaluationDataError(f"labels.csv in {source} has no column {error}") from None
    pictures = files(source)
    wanted = {name: label for name, label in labels.items() if label in words}
    if missing := sorted(wanted.keys() - pictures.keys()):
        raise EvaluationDataError(f"{len(missing)} photographs are not in {source}, the first: {missing[0]}")
    if not wanted:
        raise EvaluationDataError(f"labels.csv in {source} names no {' or '.join(words)}")
    return {name: (label, pictures[name]) for name, label in wanted.items()}


def mosaic(picture: Path) -> list[tuple[str, Pixels]]:
    """FER2013 as one picture of grey tiles, 100 a row, with a CSV file of the same name (emotion): words and tiles
    (48, 48)."""
    table = picture.with_suffix(".csv")
    if not table.exists():
        raise EvaluationDataError(f"there is no {table.name} beside {picture.name}")
    with table.open(newline="") as file:
        words = [row["emotion"] for row in csv.DictReader(file)]
    grey = cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)
    rows = -(-len(words) // TILES_IN_ROW)
    if grey is None or grey.shape[0] < rows * TILE or grey.shape[1] < min(len(words), TILES_IN_ROW) * TILE:
        raise EvaluationDataError(f"{picture} does not hold {len(words)} tiles of {TILE} pixels")
    found = []
    for index, word in enumerate(words):
        top, left = TILE * (index // TILES_IN_ROW), TILE * (index % TILES_IN_ROW)
        found.append((word, np.asarray(grey[top : top + TILE, left : left + TILE], np.uint8)))
    return found


def photograph(tile: Pixels) -> Pixels:
    """A tile as a photograph (H, W, 3) in which a face can be looked for: enlarged, with its edge drawn out."""
    framed = cv2.copyMakeBorder(tile, *(_BORDER,) * 4, cv2.BORDER_REPLICATE)
    large = cv2.resize(framed, None, fx=_ENLARGED, fy=_ENLARGED, interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(np.repeat(large[:, :, None], 3, axis=2))


@dataclass(frozen=True)
class MarkedPerson:
    """`box`: x1, y1, x2, y2; `area` of the outline; `keypoints` (17, 3): x, y, visibility, 0 where none is marked."""

    box: NDArray[np.float64]
    area: float
    crowd: bool
    keypoints: NDArray[np.float64]


def coco_persons(source: Path) -> dict[str, tuple[bytes, list[MarkedPerson]]]:
    """Images with their persons, of a zip or folder with `annotations/person_keypoints*.json` in COCO's format."""
    text = _read(source, "person_keypoints")
    data = json.loads(text)
    pictures = {PurePosixPath(name).name: content for name, content in files(source).items()}
    names = {entry["id"]: entry["file_name"] for entry in data["images"]}
    persons: dict[str, list[MarkedPerson]] = {name: [] for name in names.values() if name in pictures}
    if not persons:
        raise EvaluationDataError(f"{source} holds none of the {len(names)} images that its annotations name")
    for entry in data["annotations"]:
        name = names.get(entry["image_id"], "")
        if name in persons and entry.get("category_id", 1) == 1:
            x, y, width, height = entry["bbox"]
            points = np.array(entry.get("keypoints") or [0] * 51, np.float64).reshape(17, 3)
            box = np.array([x, y, x + width, y + height], np.float64)
            persons[name].append(MarkedPerson(box, float(entry["area"]), bool(entry.get("iscrowd")), points))
    return {name: (pictures[name], marked) for name, marked in sorted(persons.items())}


def head_counts(source: Path) -> dict[str, tuple[bytes, int]]:
    """Images `NAME.jpg` with marked heads in `GT_NAME.mat` (the format of ShanghaiTech): file and number of heads."""
    pictures = {PurePosixPath(name).stem: data for name, data in files(source).items()}
    marks = {PurePosixPath(name).stem.removeprefix("GT_"): data for name, data in files(source, (".mat",)).items()}
    both = sorted(pictures.keys() & marks.keys())
    if not both:
        raise EvaluationDataError(f"{source} has no photographs with marked heads (GT_*.mat)")
    return {name: (pictures[name], len(head_points(marks[name]))) for name in both}


def head_points(data: bytes) -> NDArray[np.float64]:
    """The points (N, 2) of a MATLAB file of level 5: its first array of numbers with two columns."""
    found = _first_points(data[128:])
    if found is None:
        raise EvaluationDataError("a MATLAB file holds no points")
    return found


_COMPRESSED, _MATRIX = 15, 14
_CELL, _STRUCT = 1, 2
_NUMBERS = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}


def _first_points(data: bytes) -> NDArray[np.float64] | None:
    for kind, content in _elements(data):
        if kind == _COMPRESSED:
            content = zlib.decompress(content)
        elif kind == _MATRIX:
            parts = _elements(content)
            holds = parts[0][1][0] if parts else 0
            if holds not in (_CELL, _STRUCT):
                shape = np.frombuffer(parts[1][1], "<i4") if len(parts) > 3 else np.zeros(0)
                if len(shape) == 2 and shape[1] == 2 and parts[3][0] in _NUMBERS:
                    return np.frombuffer(parts[3][1], _NUMBERS[parts[3][0]]).reshape(2, -1).T.astype(np.float64)
                continue
        else:
            continue
        found = _first_points(content)
        if found is not None:
            return found
    return None


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    """Type and content of the elements that follow each other; small ones carry both in their first word."""
    found, place = [], 0
    while place + 8 <= len(data):
        kind, size = struct.unpack_from("<II", data, place)
        if kind >> 16:
            kind, size = kind & 0xFFFF, kind >> 16
            found.append((kind, data[place + 4 : place + 4 + size]))
            place += 8
            continue
        found.append((kind, data[place + 8 : place + 8 + size]))
        place += 8 + (size if kind == _COMPRESSED else -(-size // 8) * 8)
    return found


def _read(source: Path, beginning: str) -> str:
    """The text of the file whose name begins so."""
    if source.is_dir():
        paths = sorted(path for path in source.rglob(f"{beginning}*") if path.is_file())
        if paths:
            return paths[0].read_text()
    elif zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            for name in sorted(archive.namelist()):
                if PurePosixPath(name).name.startswith(beginning):
                    return archive.read(name).decode()
    raise EvaluationDataError(f"there is no {beginning} in {source}")
