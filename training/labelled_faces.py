"""The faces of labelled photographs, found and cropped as the product finds and crops them.

Photographs are read out of the zip archives of the data folder; labels lie in `training/labels/` as CSV files with the
name inside the archive and the label.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lunaria.vision.descriptors import DescriptorNetwork
from lunaria.vision.detections import Detections
from lunaria.vision.estimators.upper_face import (
    EYE_FEATURES,
    HEAD_FEATURES,
    UpperFace,
    UpperFaceNetwork,
    mosaics,
)
from lunaria.vision.faces import FaceDetector
from lunaria.vision.geometry import Pixels
from lunaria.vision.images import Decoder
from lunaria.vision.landmarks import LandmarkNetwork, Landmarks
from lunaria.vision.looks import Looks
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.runtime import open_session
from lunaria.vision.views import FaceViews, SharedNetworks
from lunaria.vision.warps import ALIGNED_SIDE, ALIGNED_TEMPLATE, cut_warp
from lunaria.vision.yunet import YuNet

LABELS = Path(__file__).parent / "labels"
WORKERS = 4
SAVED_EVERY = 200
FEATURE_BATCH = 32
MUCH_SMALLER = 0.5
Item = TypeVar("Item")
Result = TypeVar("Result")

NO_NETWORKS = cast(SharedNetworks, None)
"""Crops need no network behind the views."""


class FaceFinder:
    """The product's way from a photograph to landmarks, and `network`, which gives the features of the upper face."""

    def __init__(self, store: ModelStore) -> None:
        self._detector = FaceDetector(YuNet(open_session(store.network("face_detector").path)))
        self._landmarks = LandmarkNetwork(open_session(store.network("face_landmarks68").path))
        descriptor = store.network("face_descriptor")
        preprocessing, template = descriptor.spec.preprocessing, descriptor.spec.parameters.get("template")
        if preprocessing is None or descriptor.spec.descriptor is None:
            raise SystemExit("the descriptor network of the pack is not described")
        self._descriptors = DescriptorNetwork(
            open_session(descriptor.path), preprocessing, descriptor.spec.descriptor.dimension
        )
        self._template = np.array(template or ALIGNED_TEMPLATE, np.float64)
        features = store.network("body_features")
        if features.spec.preprocessing is None:
            raise SystemExit("the preprocessing of the features is not described")
        self.network = UpperFaceNetwork(open_session(features.path), features.spec.preprocessing)

    def main_face(self, pixels: Pixels) -> Landmarks | None:
        """The face nearest to the middle of an RGB image among those not much smaller than the largest."""
        looks = Looks(self._landmarks, self._descriptors, self._template, ALIGNED_SIDE)
        faces = self._detector.detect(pixels, looks.choose)
        return looks.landmarks(pixels, faces.take([_main(pixels, faces)]))[0] if len(faces) else None

    def in_warp(self, warp: Pixels) -> Landmarks:
        return self._landmarks.locate_in_warp(warp)


def _main(pixels: Pixels, faces: Detections) -> int:
    sides = (faces.boxes[:, 2:] - faces.boxes[:, :2]).max(axis=1)
    middle = np.array(pixels.shape[1::-1]) / 2
    away = np.linalg.norm((faces.boxes[:, 2:] + faces.boxes[:, :2]) / 2 - middle, axis=1)
    return int(np.where(sides > MUCH_SMALLER * sides.max(), away, np.inf).argmin())


def read_labels(name: str) -> dict[str, str]:
    """Labels by name inside the archive, of the file `labels/<name>.csv`."""
    with (LABELS / f"{name}.csv").open(newline="") as file:
        return {row["file"]: row["label"] for row in csv.DictReader(file)}


def person_of(file: str) -> str:
    """LFW keeps the photographs of a person in a folder; elsewhere each photograph is taken for another person."""
    parts = Path(file).parts
    return parts[1] if parts[0] == "images" and len(parts) == 3 else file


def split_by_person(labels: dict[str, str], share: float) -> tuple[dict[str, str], dict[str, str]]:
    """Labels of those to train on and, of a share of the persons drawn at random, to test on."""
    persons = np.random.default_rng(20).permutation(sorted({person_of(file) for file in labels}))
    tested = set(persons[: round(share * len(persons))].tolist())
    return (
        {file: label for file, label in labels.items() if person_of(file) not in tested},
        {file: label for file, label in labels.items() if person_of(file) in tested},
    )


def archive_files(archive: Path, prefix: str = "") -> list[str]:
    """Names of the photographs in an archive that begin with `prefix`."""
    with zipfile.ZipFile(archive) as zipped:
        return sorted(name for name in zipped.namelist() if name.startswith(prefix) and name.lower().endswith(".jpg"))


class LabelledFaces:
    """The main faces of the photographs of one archive. Where they are is kept in the folder `cache`."""

    def __init__(self, archive: Path, finder: FaceFinder, cache: Path) -> None:
        self._archive, self._finder = archive, finder
        self._kept = cache / f"{archive.stem}_landmarks.npz"
        self._known: dict[str, NDArray[np.float64]] = {}
        if self._kept.exists():
            with np.load(self._kept, allow_pickle=False) as data:
                self._known = dict(zip(data["files"].tolist(), data["points"], strict=True))

    def upper_faces(self, files: Sequence[str], *, of_warp: bool = False) -> tuple[list[str], UpperFace]:
        """Those of the photographs that show a face, and their features.

        `of_warp`: of the 250x250 warp of the face in place of the photograph.
        """
        self._find([file for file in sorted(files) if file not in self._known])
        found = [file for file in sorted(files) if np.isfinite(self._known[file]).all()]
        decoder = Decoder()

        def mosaic(file: str) -> Pixels:
            face, face_in_warp = (_landmarks(array) for array in self._known[file])
            pixels = decoder.decode(contents[file]).pixels
            if of_warp:
                return mosaics(FaceViews(cut_warp(pixels, face.points5), [face_in_warp], NO_NETWORKS, is_warp=True))[0]
            return mosaics(FaceViews(pixels, [face], NO_NETWORKS))[0]

        with zipfile.ZipFile(self._archive) as zipped:
            contents = {file: zipped.read(file) for file in found}
        return found, self._features(in_parallel(mosaic, found))

    def _features(self, images: Sequence[Pixels]) -> UpperFace:
        """Features of inputs of the network; those seen before are kept in the cache, by the hash of the input."""
        kept = self._kept.with_name(f"{self._archive.stem}_features_{HEAD_FEATURES}_{EYE_FEATURES}.npz")
        known: dict[str, tuple[NDArray[np.float16], NDArray[np.float16]]] = {}
        if kept.exists():
            with np.load(kept, allow_pickle=False) as data:
                known = dict(zip(data["hashes"].tolist(), zip(data["head"], data["eyes"], strict=True), strict=True))
        hashes = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
        new = {digest: image for digest, image in zip(hashes, images, strict=True) if digest not in known}
        if new:
            inputs = list(new.values())
            parts = [inputs[start : start + FEATURE_BATCH] for start in range(0, len(inputs), FEATURE_BATCH)]
            rows = [
                pair for part in in_parallel(self._finder.network.of_mosaics, parts) for pair in zip(*part, strict=True)
            ]
            known |= {
                digest: (head.astype(np.float16), eyes.astype(np.float16))
                for digest, (head, eyes) in zip(new, rows, strict=True)
            }
            head, eyes = (np.stack(column) for column in zip(*known.values(), strict=True))
            np.savez(kept, hashes=np.array(list(known)), head=head, eyes=eyes)
            print(f"{self._archive.name}: features of {len(new)} faces", flush=True)
        head, eyes = (
            np.stack(column).astype(np.float32) for column in zip(*(known[digest] for digest in hashes), strict=True)
        )
        return UpperFace(head, eyes)

    def _find(self, files: Sequence[str]) -> None:
        """Look for the faces of photographs that are not known yet."""
        decoder = Decoder()

        def find(data: bytes) -> NDArray[np.float64]:
            pixels = decoder.decode(data).pixels
            face = self._finder.main_face(pixels)
            if face is None:
                return np.full((2, 74, 2), np.nan)
            return np.stack([_array(face), _array(self._finder.in_warp(cut_warp(pixels, face.points5)))])

        for start in range(0, len(files), SAVED_EVERY):
            part = files[start : start + SAVED_EVERY]
            with zipfile.ZipFile(self._archive) as zipped:
                contents = [zipped.read(file) for file in part]
            self._known.update(zip(part, in_parallel(find, contents), strict=True))
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            np.savez(self._kept, files=np.array(list(self._known)), points=np.stack(list(self._known.values())))
            print(f"{self._archive.name}: faces of {start + len(part)} of {len(files)} photographs", flush=True)


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line. `keep`: write the weights and their entry into the pack."""

    data: Path
    cache: Path
    keep: bool
    finder: FaceFinder

    def faces(self, archive: str) -> LabelledFaces:
        return LabelledFaces(self.data / f"{archive}.zip", self.finder, self.cache)


def options_of(description: str | None) -> Options:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=Path("data/models"), help="the pulled networks")
    parser.add_argument("--cache", type=Path, default=Path("out/training/faces"), help="where faces found are kept")
    parser.add_argument("--keep", action="store_true", help="write the weights and their entry into the pack")
    given = parser.parse_args()
    return Options(given.data, given.cache, given.keep, FaceFinder(ModelStore(given.models)))


def fitted(features: NDArray[np.float32], labels: NDArray[Any], strength: float) -> Any:
    """Logistic regression on standardised features; classes count alike, however many faces each has."""
    regression = LogisticRegression(C=strength, class_weight="balanced", max_iter=500)
    return make_pipeline(StandardScaler(), regression).fit(features, labels)


def folded(model: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (D, K) and bias (K,) of softmax on the plain features; with two classes the first has the logit 0."""
    scaler, regression = model[0], model[-1]
    weights = regression.coef_.T / scaler.scale_[:, None]
    bias = regression.intercept_ - scaler.mean_ @ weights
    if weights.shape[1] == 1:
        weights, bias = np.pad(weights, ((0, 0), (1, 0))), np.pad(bias, (1, 0))
    return weights.astype(np.float32), bias.astype(np.float32)


def in_parallel(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(function, items))


def _array(face: Landmarks) -> NDArray[np.float64]:
    """Landmarks as (74, 2): five points, 68 points, the roll twice."""
    return np.concatenate([face.points5, face.points68, np.full((1, 2), face.roll)])


def _landmarks(array: NDArray[np.float64]) -> Landmarks:
    return Landmarks(points5=array[:5], points68=array[5:73], roll=float(array[73, 0]))
