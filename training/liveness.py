"""Calibrate the liveness estimate on one half of the sample of CelebA-Spoof and a part of LFW; report on the rest.

    python -m training.liveness --data FOLDER     the folder with liveness.zip and lfw.zip

Nothing is trained: the two networks are taken as published, with a slope and a summand for their log-odds. The slope is
that of a logistic regression; the summand puts the point at which no more than ACCEPTED of the forgeries are accepted
at 0.5. Every second photograph of each class, in the order of the names, is for choosing, and so are 100
persons of LFW, all of them alive. Slope and summand are constants of `lunaria.vision.estimators.liveness`.
"""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from lunaria.vision.estimators import liveness
from lunaria.vision.geometry import Pixels
from lunaria.vision.head_pose import HeadPoseEstimator, MeshNetwork
from lunaria.vision.images import Decoder
from lunaria.vision.landmarks import Landmarks
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.runtime import open_session
from training.labelled_faces import FaceFinder, archive_files, person_of

LFW_PERSONS, LFW_CHOOSING = 250, 100
"""Of so many persons, drawn at random, the first photograph; so many of them are for choosing."""

ACCEPTED = 0.12
"""Share of the forgeries for choosing that may be accepted: some more than of living faces refused, as the half is
small and what is wanted elsewhere are no more than 13.9 % accepted and 7.3 % refused."""

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Rater:
    """Log-odds and quality of the main face of photographs."""

    def __init__(self, models: Path) -> None:
        store = ModelStore(models)
        self._finder = FaceFinder(store)
        self._mesh = MeshNetwork(open_session(store.network("face_mesh").path))
        self._pose = HeadPoseEstimator(np.load(store.network("canonical_face_mesh").path, allow_pickle=False))
        self._estimator = liveness.LivenessEstimator(
            open_session(store.network("face_liveness_27").path), open_session(store.network("face_liveness_40").path)
        )

    def rate(
        self, archive: Path, files: list[str], *, grey: bool = False, blur: float = 0.0
    ) -> tuple[Numbers, Numbers]:
        """Both (N,), of the photographs in which a face is found; it is looked for before they are spoilt."""
        log_odds: list[float] = []
        qualities: list[float] = []
        decoder = Decoder()
        with zipfile.ZipFile(archive) as zipped:
            for index, file in enumerate(files):
                pixels = decoder.decode(zipped.read(file)).pixels
                face = self._finder.main_face(pixels)
                if face is None:
                    print(f"{file}: no face", flush=True)
                    continue
                if grey:
                    pixels = np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
                if blur:
                    pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), blur), np.uint8)
                box = liveness.face_box(face.points68)
                log_odds.append(float(self._estimator.log_odds(pixels, [box])[0]))
                qualities.append(liveness.quality(pixels, box, self._yaw(pixels, face)).product)
                if index % 50 == 49:
                    print(f"{archive.name}: {index + 1} of {len(files)}", flush=True)
        return np.array(log_odds), np.array(qualities)

    def _yaw(self, pixels: Pixels, face: Landmarks) -> float | None:
        pose = self._pose.from_mesh(self._mesh.locate(pixels, face))
        return None if pose is None else pose.yaw


def chosen_point(spoof: Numbers) -> float:
    """The log-odds from which no more than ACCEPTED of the forgeries lie, in the middle of two of them."""
    falling = np.sort(spoof)[::-1]
    accepted = int(ACCEPTED * len(falling))
    return float(falling[accepted - 1 : accepted + 1].mean())


def report(name: str, live: tuple[Numbers, Numbers], spoof: tuple[Numbers, Numbers] | None, threshold: float) -> None:
    """Errors of all faces, and of those whose quality is enough."""
    for least in (0.0, liveness.RECOMMENDED_QUALITY):
        real = live[0][live[1] >= least]
        text = f"{name}, quality >= {least}: live n={len(real)} refused {(real < threshold).mean():.3f}"
        if spoof is not None:
            false = spoof[0][spoof[1] >= least]
            area = roc_auc_score(np.r_[np.ones(len(real)), np.zeros(len(false))], np.r_[real, false])
            text += f", spoof n={len(false)} accepted {(false >= threshold).mean():.3f}, area {area:.3f}"
        print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=Path("data/models"))
    options = parser.parse_args()
    rater = Rater(options.models)
    archive, lfw = options.data / "liveness.zip", options.data / "lfw.zip"
    classes = {name: [f for f in archive_files(archive) if name in Path(f).parts] for name in ("live", "spoof")}
    (live, spoof), (live_rest, spoof_rest) = (
        tuple(rater.rate(archive, classes[name][start::2]) for name in ("live", "spoof")) for start in (0, 1)
    )
    persons = {person_of(file): file for file in reversed(archive_files(lfw))}
    drawn = np.random.default_rng(0).permutation(sorted(persons))[:LFW_PERSONS]
    files = [persons[person] for person in drawn]
    press, press_rest = rater.rate(lfw, files[:LFW_CHOOSING]), rater.rate(lfw, files[LFW_CHOOSING:])
    alive = np.r_[live[0], press[0]]
    fitted = LogisticRegression(C=1.0, class_weight="balanced").fit(
        np.r_[alive, spoof[0]][:, None], np.r_[np.ones(len(alive)), np.zeros(len(spoof[0]))]
    )
    slope, threshold = float(fitted.coef_[0, 0]), chosen_point(spoof[0])
    print(f"SLOPE, BIAS = {slope:.3f}, {-slope * threshold:.3f}")
    report("chosen on", live, spoof, threshold)
    report("other half", live_rest, spoof_rest, threshold)
    report("LFW, chosen on", press, None, threshold)
    report("LFW, other persons", press_rest, None, threshold)
    report("LFW, sigma 1.5 pixels", rater.rate(lfw, files[LFW_CHOOSING:180], blur=1.5), None, threshold)
    _, quality = rater.rate(lfw, files[LFW_CHOOSING:180], grey=True)
    print(f"LFW in grey: quality at most {quality.max():.3f}")


if __name__ == "__main__":
    main()
