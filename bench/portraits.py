"""Whether the measures of portraits follow what is wrong with a photograph: LFW spoilt in steps.

    python -m bench.portraits --images FOLDER [--persons 100] [--half 1] [--anew]

`--images`: folder with one folder a person, of which the first photograph is used; persons fall into half 0, on which
the curves were chosen, or 1 by a hash of their name. Landmarks are those of the photograph unspoilt; with `--anew` each
spoilt photograph is searched for its face again. Where the library ofiqpy is importable (its measures of pixels need no
downloaded networks), the same faces are measured with it as well.
"""

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bench.degradations import DEGRADATIONS, bulged
from bench.faces import models_folder
from bench.ofiq import compare
from bench.report import progress, table
from lunaria.evaluation.classification import area_under_curve
from lunaria.vision.analysis import Analyzer
from lunaria.vision.checks import BY_NAME, Bounds
from lunaria.vision.estimators.portrait import PortraitEstimator
from lunaria.vision.estimators.portrait_distortion import RadialDistortion
from lunaria.vision.estimators.portrait_segmentation import PortraitSegmentation
from lunaria.vision.estimators.quality import QualityEstimator
from lunaria.vision.findings import FaceFinding
from lunaria.vision.geometry import Pixels
from lunaria.vision.head_pose import HeadPoseEstimator, MeshNetwork
from lunaria.vision.images import Decoder, Image
from lunaria.vision.landmarks import Landmarks, roll_of
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.plan import Plan
from lunaria.vision.runtime import open_session
from lunaria.vision.views import FaceViews, SharedNetworks

Values = Mapping[str, float]


class Measures:
    """The product's own chain to the values of one face."""

    def __init__(self, store: ModelStore) -> None:
        canonical = np.load(store.network("canonical_face_mesh").path)
        self.analyzer = Analyzer(store)
        self.pose = HeadPoseEstimator(canonical)
        self.distortion = RadialDistortion(canonical)
        self.mesh = MeshNetwork(open_session(store.network("face_mesh").path))
        self._segmentation = PortraitSegmentation(open_session(store.network("portrait_segmentation").path))
        self._portrait = PortraitEstimator(canonical, self._segmentation)
        self._portrait_without = PortraitEstimator(canonical)
        # Neither blendshapes nor the shared backbone are asked for.
        self._shared = SharedNetworks(self.mesh, self.pose, cast(Any, None), cast(Any, None))

    def landmarks(self, pixels: Pixels) -> Landmarks | None:
        """Of the face nearest to the middle."""
        found = self.analyzer.analyze(Image(pixels=pixels, format="JPEG"), Plan(landmarks68=True, landmarks5=True))
        middle = np.array(pixels.shape[1::-1]) / 2

        def distance(face: FaceFinding) -> float:
            rect = face.rect
            return float(np.linalg.norm([rect.x + rect.width / 2, rect.y + rect.height / 2] - middle))

        face = min(found, key=distance, default=None)
        if face is None or face.landmarks5 is None or face.landmarks68 is None:
            return None
        return Landmarks(face.landmarks5, face.landmarks68, roll_of(face.landmarks68))

    def person(self, pixels: Pixels) -> NDArray[np.float32]:
        """(H, W): what is of a person in a photograph of head and shoulders."""
        return self._segmentation.person([pixels])[0]

    def views(self, pixels: Pixels, face: Landmarks) -> FaceViews:
        return FaceViews(pixels, [face], self._shared)

    def values(self, pixels: Pixels, face: Landmarks, *, background: bool = False) -> dict[str, float]:
        """By the names of the checks. NaN where there is none."""
        views = self.views(pixels, face)
        quality = QualityEstimator().estimate(views)[0]
        portrait = self._portrait.estimate(views, segmentation=background, mesh=False)[0]
        values: dict[str, Any] = (
            {f"{name}_quality": value for name, value in quality._asdict().items()} if quality else {}
        )
        values |= {name: value for name, value in portrait.values().items() if not isinstance(value, str)}
        if background:
            without = self._portrait_without.estimate(views, mesh=False)[0].background
            values["without segmentation"] = without.uniformity if without else None
        return {name: float("nan") if value is None else float(value) for name, value in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.portraits", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--persons", type=int, default=100)
    parser.add_argument("--half", type=int, choices=(0, 1), default=1)
    parser.add_argument("--anew", action="store_true")
    parser.add_argument("--models", type=Path)
    given = parser.parse_args()
    measures = Measures(ModelStore(models_folder(given.models)))
    faces = photographs(measures, given.images, given.half, given.persons)
    progress(f"{len(faces)} photographs of as many persons")
    print(_degradations(measures, faces, anew=given.anew))
    print(_distortion(measures, faces))
    print(_backgrounds(measures, faces))
    print(compare([(pixels, face) for pixels, face in faces]))


def photographs(measures: Measures, folder: Path, half: int, persons: int) -> list[tuple[Pixels, Landmarks]]:
    """One photograph of each of so many persons of a half, in a fixed random order."""
    names = [person for person in sorted(folder.iterdir()) if person.is_dir() and _half(person.name) == half]
    np.random.default_rng(7).shuffle(cast(Any, names))
    found = []
    for person in names:
        pixels = Decoder().decode(min(person.iterdir()).read_bytes()).pixels
        face = measures.landmarks(pixels)
        if face is not None:
            found.append((pixels, face))
        if len(found) == persons:
            break
    return found


def spearman(values: NDArray[np.float64]) -> float:
    """Mean rank correlation of rows of values (N, steps) with their order; ties share their rank."""
    steps = np.arange(values.shape[1])
    ranks = np.stack([[(row < value).sum() + ((row == value).sum() - 1) / 2 for value in row] for row in values])
    ranks = ranks[ranks.std(axis=1) > 0]
    return float(np.mean([np.corrcoef(row, steps)[0, 1] for row in ranks]))


def _half(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 2


def _passes(name: str, values: NDArray[np.float64]) -> float:
    limit = BY_NAME[name].default
    least = limit.min if isinstance(limit, Bounds) and limit.min is not None else float(cast(int, limit))
    return float((values[~np.isnan(values)] >= least).mean())


def _degradations(measures: Measures, faces: Sequence[tuple[Pixels, Landmarks]], *, anew: bool) -> str:
    clean = [measures.values(pixels, face) for pixels, face in faces]
    cache: dict[tuple[Any, float], list[Values]] = {}
    rows = []
    for kind in DEGRADATIONS:
        random = np.random.default_rng(11)
        good = np.array([values[kind.measure] for values in clean])
        columns, cells = [good], [f"{_passes(kind.measure, good):.2f}"]
        for strength in kind.strengths:
            key = (kind.spoil, strength)
            if key not in cache:
                cache[key] = []
                for pixels, face in faces:
                    spoilt = kind.spoil(pixels, face, strength, random)
                    seen = measures.landmarks(spoilt) if anew else face
                    cache[key].append(measures.values(spoilt, seen) if seen else {})
            bad = np.array([values.get(kind.measure, np.nan) for values in cache[key]])
            columns.append(bad)
            seen_bad = bad[~np.isnan(bad)]
            figure = area_under_curve(good[~np.isnan(good)], seen_bad) if len(seen_bad) else float("nan")
            cells.append(f"{strength:g}: {figure:.3f}, {_passes(kind.measure, bad):.2f}")
        whole = np.stack(columns, axis=1)
        rank = spearman(whole[~np.isnan(whole).any(axis=1)])
        rows.append([kind.measure, kind.name, *cells, f"{rank:.2f}"])
        progress(" | ".join(rows[-1]))
    heads = ["measure", "spoilt", "passes unspoilt", *["strength: AUC, passes"] * 4, "mean rank correlation"]
    return table(heads, rows)


def _distortion(measures: Measures, faces: Sequence[tuple[Pixels, Landmarks]]) -> str:
    rows = []
    good: NDArray[np.float64] | None = None
    for strength in (0.0, 0.08, 0.15, 0.25, 0.4):
        bulges = []
        free = []
        for pixels, face in faces:
            mesh = measures.mesh.locate(bulged(pixels, face, strength, np.random.default_rng(0)), face)
            passed = measures.distortion.is_free(mesh, measures.pose.from_mesh(mesh))
            if passed is not None:
                free.append(passed)
                bulges.append(measures.distortion.bulge(mesh.points))
        found = np.array(bulges)
        good = found if good is None else good
        rows.append(
            [
                f"{strength:g}",
                str(len(found)),
                f"{np.median(found):.3f}",
                f"{area_under_curve(good, found):.3f}",
                f"{np.mean(free):.2f}",
            ]
        )
    return table(["radial distortion", "faces", "median bulge", "AUC", "passes"], rows)


def _backgrounds(measures: Measures, faces: Sequence[tuple[Pixels, Landmarks]]) -> str:
    """Persons pasted on made backgrounds: plain, shaded, striped weaker and stronger, and pictures of others."""
    others = [pixels for pixels, _ in faces]
    kinds: dict[str, list[Values]] = {}
    for index, (pixels, face) in enumerate(faces):
        views = measures.views(pixels, face)
        for name, behind in made_backgrounds(pixels.shape, others[index - 1], index).items():
            pasted = paste(measures, views, behind)
            kinds.setdefault(name, []).append(measures.values(pasted, face, background=True))
    rows = []
    for name, values in kinds.items():
        cells = [name]
        for measure in ("background_uniformity", "without segmentation", "background_lightness"):
            found = np.array([value[measure] for value in values])
            seen = found[~np.isnan(found)]
            cells.append(f"{np.median(seen):.2f} ({np.quantile(seen, 0.1):.2f} to {np.quantile(seen, 0.9):.2f})")
        uniform = np.array([value["background_uniformity"] for value in values])
        rows.append([*cells, f"{_passes('background_uniformity', uniform):.2f}"])
    return table(["background", "uniformity", "without segmentation", "lightness", "uniformity passes"], rows)


def made_backgrounds(shape: tuple[int, ...], other: Pixels, seed: int) -> dict[str, Pixels]:
    """Pictures of a shape (H, W, 3) to stand behind a person."""
    random = np.random.default_rng(seed)
    columns = np.arange(shape[1])[None, :, None] * np.ones(shape)
    stripes = np.sign(np.sin(columns * 2 * np.pi / 16))
    level = float(random.uniform(100, 230))
    made = {
        "black": np.full(shape, 5.0),
        "white": np.full(shape, 250.0),
        "plain grey": np.full(shape, level) + random.normal(0, 1.5, shape),
        "shaded": level + 40 * (columns / shape[1] - 0.5),
        "faint stripes": 170 + 8 * stripes,
        "stripes": 150 + 40 * stripes,
        "strong stripes": 128 + 100 * stripes,
        "another photograph": other[: shape[0], : shape[1]].astype(float),
    }
    return {name: np.clip(picture, 0, 255).astype(np.uint8) for name, picture in made.items() if picture.shape == shape}


def paste(measures: Measures, views: FaceViews, behind: Pixels) -> Pixels:
    """The person of a photograph before another background, cut out by the segmentation of the whole photograph."""
    person = measures.person(views.pixels)[..., None]
    return np.asarray(np.round(views.pixels * person + behind * (1 - person)), np.uint8)


if __name__ == "__main__":
    main()
