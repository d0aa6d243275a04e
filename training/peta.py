"""PETA: crops of pedestrians from street and station cameras with attributes (Deng et al. 2014). For research only.

The set is itself made of sets, each from other cameras; a person belongs to one of them. Of the ten, `peta.zip` holds
eight: VIPeR and GRID are kept for checking the product from outside.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from lunaria.vision.estimators.body_views import HEIGHT, WIDTH
from lunaria.vision.geometry import Pixels

COLORS = ("black", "blue", "brown", "green", "grey", "orange", "pink", "purple", "red", "white", "yellow")
"""The colours that PETA names."""

SEVERAL_CAMERAS = ("3DPeS", "CAVIAR4REID", "PRID", "SARC3D", "i-LID")
"""The sets whose people were seen by more than one camera or from more than one side."""

NEIGHBOURS = {"CUHK": 20, "MIT": 10}
"""In these two sets a name stands for one picture, and pictures of a person follow each other: so many numbers in a row
are kept together and count as one person when people are split."""

GROUPS = 10


@dataclass(frozen=True)
class Peta:
    """N crops as body warps (N, 256, 128, 3) RGB, with the set, the person and the attributes of each."""

    warps: NDArray[np.uint8]
    sets: NDArray[np.str_]
    persons: NDArray[np.str_]
    labels: list[frozenset[str]]

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """A number 0..9 for each crop that follows from its person: people are split by it."""
        return np.array([zlib.crc32(str(person).encode()) % GROUPS for person in self.persons])

    def has(self, *names: str) -> NDArray[np.bool_]:
        """Which crops have one of the attributes."""
        return np.array([not labels.isdisjoint(names) for labels in self.labels])

    def colors(self, part: str) -> NDArray[np.bool_]:
        """(N, 11): which colours `part` ("upperBody", "lowerBody", "footwear") is said to have."""
        return np.stack([self.has(part + color.capitalize()) for color in COLORS], axis=1)


@dataclass(frozen=True)
class Crop:
    """A crop as its JPEG file, with its set, its person and its attributes."""

    jpeg: bytes
    set_name: str
    person: str
    labels: frozenset[str]


def crops(data: Path) -> Iterator[Crop]:
    """The labelled crops of `peta.zip` in the folder, in a fixed order."""
    with zipfile.ZipFile(data / "peta.zip") as archive:
        known = {name: archive.read(name) for name in archive.namelist() if name.endswith("/Label.txt")}
        attributes = {PurePosixPath(name).parent.name: _label_table(text) for name, text in known.items()}
        for name in sorted(archive.namelist()):
            path = PurePosixPath(name)
            if path.suffix != ".jpg":
                continue
            table = attributes[path.parent.name]
            # A line stands for a person, or for a file whose name had another ending before.
            candidates = (path.name, path.stem, f"{path.stem}.png", path.stem.split("_")[0])
            key = next((candidate for candidate in candidates if candidate in table), None)
            if key is None:
                continue
            together = NEIGHBOURS.get(path.parent.name)
            person = str(int(path.stem.split("_")[0]) // together) if together else key
            yield Crop(archive.read(name), path.parent.name, f"{path.parent.name}/{person}", table[key])


def load(data: Path) -> Peta:
    """Read `peta.zip` in the folder."""
    found = list(crops(data))
    warps = []
    for crop in found:
        image = cv2.imdecode(np.frombuffer(crop.jpeg, np.uint8), cv2.IMREAD_COLOR)
        warps.append(cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)[:, :, ::-1])
    return Peta(
        np.stack(warps),
        np.array([crop.set_name for crop in found]),
        np.array([crop.person for crop in found]),
        [crop.labels for crop in found],
    )


def _label_table(text: bytes) -> dict[str, frozenset[str]]:
    lines = [line.split() for line in text.decode(errors="replace").splitlines()]
    return {words[0]: frozenset(words[1:]) for words in lines if words}


def varied(warp: Pixels, rng: np.random.Generator) -> Pixels:
    """The warp as another camera or another box would give it: mirrored, shifted, scaled, in other light, coarser."""
    scale = rng.uniform(0.88, 1.12, 2) * rng.uniform(0.93, 1.07)
    if rng.random() < 0.5:
        scale[0] = -scale[0]
    centre = np.array([WIDTH, HEIGHT]) / 2
    shift = rng.uniform(-0.06, 0.06, 2) * [WIDTH, HEIGHT]
    matrix = np.array([[scale[0], 0, centre[0] * (1 - scale[0])], [0, scale[1], centre[1] * (1 - scale[1])]])
    matrix[:, 2] += shift
    size = (WIDTH, HEIGHT)
    image = cv2.warpAffine(warp, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    values = (image.astype(np.float32) / 255) ** rng.uniform(0.7, 1.4)
    values *= rng.uniform(0.8, 1.15) * rng.uniform(0.92, 1.08, 3)
    values = (values - values.mean()) * rng.uniform(0.75, 1.25) + values.mean() + rng.uniform(-0.06, 0.06)
    if rng.random() < 0.5:
        factor = rng.uniform(0.22, 0.7)
        small = (max(8, int(WIDTH * factor)), max(16, int(HEIGHT * factor)))
        values = cv2.resize(cv2.resize(values, small, interpolation=cv2.INTER_AREA), size)
    if rng.random() < 0.4:
        values = values + rng.normal(0, rng.uniform(0.01, 0.05), values.shape)
    return np.clip(values * 255, 0, 255).astype(np.uint8)


def varied_crop(warps: NDArray[np.uint8], index: int, seed: int) -> Pixels:
    """A crop varied; the same for the same seed, in whatever order crops are asked for."""
    return varied(warps[index], np.random.default_rng((seed, index)))
