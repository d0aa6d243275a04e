"""The shared face features of labelled photographs, through the product's chain: detector, landmarks, crop, network.

What takes long is kept in a cache folder: the landmarks of an archive, and features by a name.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from lunaria.vision.estimators.features import FaceFeatureNetwork
from lunaria.vision.geometry import Pixels, Points, crop, inverse, square_transform, transform
from lunaria.vision.images import Decoder
from lunaria.vision.landmarks import Landmarks
from lunaria.vision.packs.manifest import Preprocessing
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.runtime import InferenceSession, open_session
from lunaria.vision.views import FaceFeatures, FaceViews, Features, SharedNetworks
from lunaria.vision.warps import WARP_SIDE, warp_transform
from training.labelled_faces import FaceFinder

PROGRESS = 200
SEED = 4

Thing = TypeVar("Thing")

Looked = tuple[str, Pixels, Landmarks]
"""A photograph: its name, its pixels (H, W, 3) RGB and the face in it."""


@dataclass(frozen=True, slots=True)
class _OnlyFeatures:
    """All that views need behind them here."""

    features: Features


@dataclass(frozen=True, slots=True)
class _Known:
    """Features that were extracted before."""

    known: FaceFeatures

    def extract(self, views: FaceViews) -> FaceFeatures:
        return self.known


class Chain:
    """The product's way from a photograph to the features of its main face. `cache`: a folder for what takes long."""

    def __init__(self, store: ModelStore, cache: Path) -> None:
        self.store, self.finder, self.cache = store, FaceFinder(store), cache
        self._network = FaceFeatureNetwork(*load(store, "face_features"))

    def views(self, pixels: Pixels, face: Landmarks, known: FaceFeatures | None = None) -> FaceViews:
        """One face with its features behind it: those that are known, or of the network."""
        features = self._network if known is None else _Known(known)
        return FaceViews(pixels, [face], cast(SharedNetworks, _OnlyFeatures(features)))

    def landmarks(self, archive: Path, files: Sequence[str]) -> dict[str, Landmarks]:
        """The main face of each photograph of an archive that has one."""
        kept = self.cache / f"{archive.stem}_landmarks.npz"
        known: dict[str, Landmarks | None] = {}
        if kept.exists():
            with np.load(kept, allow_pickle=False) as data:
                for file, seen, five, many, roll in zip(*(data[name] for name in _KEPT), strict=True):
                    known[str(file)] = Landmarks(five, many, float(roll)) if seen else None
        new = [file for file in files if file not in known]
        if new:
            for file, pixels in progress(archive.name, photographs(archive, new), len(new)):
                known[file] = self.finder.main_face(pixels)
            self._keep(kept, known)
        return {file: face for file in files if (face := known[file]) is not None}

    def _keep(self, kept: Path, known: dict[str, Landmarks | None]) -> None:
        self.cache.mkdir(parents=True, exist_ok=True)
        none = Landmarks(np.zeros((5, 2)), np.zeros((68, 2)), 0.0)
        faces = [face or none for face in known.values()]
        columns = (
            np.array(list(known)),
            np.array([face is not None for face in known.values()]),
            np.stack([face.points5 for face in faces]),
            np.stack([face.points68 for face in faces]),
            np.array([face.roll for face in faces]),
        )
        np.savez(kept, **dict(zip(_KEPT, columns, strict=True)))  # type: ignore[arg-type]

    def looked(self, archive: Path, files: Sequence[str]) -> Iterator[Looked]:
        """The photographs with a face, and where it is."""
        found = self.landmarks(archive, files)
        for file, pixels in photographs(archive, list(found)):
            yield file, pixels, found[file]

    def features(self, name: str, looked: Callable[[], Iterable[Looked]]) -> tuple[list[str], FaceFeatures]:
        """Features of photographs, and the names of these. `name` is that of the file in the cache."""
        kept = self.cache / f"{name}_features.npz"
        if not kept.exists():
            files, found = [], []
            for file, pixels, face in progress(name, looked()):
                files.append(file)
                found.append(self.views(pixels, face).features)
            parts = {part: np.concatenate([getattr(one, part) for one in found]) for part in _PARTS}
            self.cache.mkdir(parents=True, exist_ok=True)
            np.savez(kept, files=np.array(files), **parts)  # type: ignore[arg-type]
        with np.load(kept, allow_pickle=False) as data:
            return [str(file) for file in data["files"]], FaceFeatures(*(data[part] for part in _PARTS))


_KEPT = ("files", "found", "points5", "points68", "rolls")
_PARTS = ("embedding", "ages", "male")


def load(store: ModelStore, role: str) -> tuple[InferenceSession, Preprocessing]:
    """The network of a role and its preprocessing."""
    network = store.network(role)
    if network.spec.preprocessing is None:
        raise SystemExit(f"the manifest says nothing about the preprocessing of {role}")
    return open_session(network.path), network.spec.preprocessing


def photographs(archive: Path, files: Sequence[str]) -> Iterator[tuple[str, Pixels]]:
    """Names and pixels of photographs in an archive."""
    decoder = Decoder()
    with zipfile.ZipFile(archive) as zipped:
        for file in files:
            yield file, decoder.decode(zipped.read(file)).pixels


def progress(name: str, things: Iterable[Thing], total: int | None = None) -> Iterator[Thing]:
    """Pass things on and print how far they are."""
    for index, thing in enumerate(things, 1):
        yield thing
        if index % PROGRESS == 0:
            print(f"{name}: {index}" + (f" of {total}" if total else ""), flush=True)


def varied(looked: Iterable[Looked], variations: int) -> Iterator[Looked]:
    """Each face in its warp, mirrored or not, in other light and with landmarks a little off: `variations` times.

    The number of the variation is added to the name of the photograph, after a bar.
    """
    for file, pixels, face in looked:
        warp, face = in_warp(pixels, face)
        for index in range(variations):
            random = np.random.default_rng([SEED, part_of(file, 2**31), index])
            tones = 255 * (np.arange(256) / 255) ** np.exp(random.normal(0, 0.25, (3, 1)) * 0.3 + random.normal(0, 0.3))
            table = np.rint(tones.T[:, None]).astype(np.uint8)
            other, points = np.asarray(cv2.LUT(warp, table), np.uint8), face.points5
            if index % 2 == 0:
                other, points = mirrored(other, points)
            yield f"{file}|{index}", other, displaced(Landmarks(points, face.points68, 0.0), random, 2.0)


def mirrored(pixels: Pixels, points5: Points) -> tuple[Pixels, Points]:
    """The mirror image of a photograph and the five points in it."""
    other = np.ascontiguousarray(pixels[:, ::-1])
    return other, ([pixels.shape[1] - 1, 0] + points5 * [-1, 1])[[1, 0, 2, 4, 3]]


def in_warp(pixels: Pixels, face: Landmarks) -> tuple[Pixels, Landmarks]:
    """The warp of a face, whose edge is continued where the photograph ends, and its landmarks there."""
    to_warp = warp_transform(face.points5)
    warp = crop(pixels, inverse(to_warp), WARP_SIDE, border=cv2.BORDER_REPLICATE)
    return warp, Landmarks(transform(to_warp, face.points5), transform(to_warp, face.points68), 0.0)


def displaced(face: Landmarks, random: np.random.Generator, shift: float) -> Landmarks:
    """Landmarks in a warp that are off as a whole: shifted (standard deviation in pixels), scaled and turned."""
    off = square_transform(
        np.full(2, WARP_SIDE / 2) + random.normal(0, shift, 2),
        WARP_SIDE * float(np.exp(random.normal(0, 0.03))),
        float(random.normal(0, 2)),
        WARP_SIDE,
    )
    return Landmarks(transform(off, face.points5), transform(off, face.points68), 0.0)


def rows(features: FaceFeatures, indices: Sequence[int]) -> FaceFeatures:
    """The features of some of the faces."""
    chosen = list(indices)
    return FaceFeatures(features.embedding[chosen], features.ages[chosen], features.male[chosen])


def fit_head(
    embedding: NDArray[np.float32],
    labels: NDArray[np.str_],
    strength: float,
    importance: Mapping[str, float] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32], list[str]]:
    """Weights (1024, K), bias (K,) and the K labels of a linear head, the standardisation folded into them.

    Multinomial logistic regression on the standardised embedding. Classes count alike, whatever their size, or by their
    `importance`, 1 where it says nothing. `strength` is the inverse of the regularisation.
    """
    names, counts = np.unique(labels, return_counts=True)
    weigh = {
        name: (importance or {}).get(str(name), 1.0) * len(labels) / len(names) / count
        for name, count in zip(names, counts, strict=True)
    }
    scaler = StandardScaler().fit(embedding)
    model = LogisticRegression(C=strength, class_weight=weigh, max_iter=400)
    model.fit(scaler.transform(embedding), labels)
    weights = (model.coef_ / scaler.scale_).T
    bias = model.intercept_ - scaler.mean_ @ weights
    return weights.astype(np.float32), bias.astype(np.float32), [str(label) for label in model.classes_]


def cross_validated(
    embedding: NDArray[np.float32],
    labels: NDArray[np.str_],
    folds: NDArray[np.int64],
    strength: float,
    importance: Mapping[str, float] | None = None,
) -> NDArray[np.float32]:
    """Logits (N, K), classes in the order of the alphabet, by heads that were trained without the fold of a face."""
    logits = np.zeros((len(labels), len(np.unique(labels))), np.float32)
    for fold in np.unique(folds):
        out = folds == fold
        weights, bias, _ = fit_head(embedding[~out], labels[~out], strength, importance)
        logits[out] = embedding[out] @ weights + bias
    return logits


def part_of(name: str, parts: int) -> int:
    """In which of so many parts something falls: by its name, so that it stays there."""
    return zlib.crc32(name.encode()) % parts
