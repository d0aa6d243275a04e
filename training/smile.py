"""Weights of the smile of lunaria.vision.estimators.mouth: happy against other faces of FER2013 by blendshapes.

    python -m training.smile --data FOLDER --models FOLDER

`data` holds the mosaics of FER2013, `models` the pulled networks. Prints the weights, fitted to 2,250 faces of the
training part, and what they do on the public test part. The tiles show faces only, so that nothing is detected: the
landmarks are looked for from the middle of the tile. Takes two minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from lunaria.vision.estimators.blendshapes import BlendshapeNetwork, strength
from lunaria.vision.geometry import Pixels
from lunaria.vision.head_pose import PRESENCE_THRESHOLD, FaceMesh, MeshNetwork
from lunaria.vision.landmarks import LandmarkNetwork, Landmarks, five_points
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.runtime import open_session
from training.emotions import WORDS, load_tiles

FACES = 2250
MOVEMENTS = (
    ("mouthSmileLeft", "mouthSmileRight"),
    ("mouthStretchLeft", "mouthStretchRight"),
    ("mouthFrownLeft", "mouthFrownRight"),
    ("jawOpen",),
    ("mouthPucker",),
)
SIDE, MARGIN = 192, 48
"""A tile is enlarged to this side, and its border continued."""
CENTRE, BOX_SIDE = (144.0, 150.0), 170.0
"""Where the face lies in the result."""


class Meshes:
    """Finds the mesh of a tile."""

    def __init__(self, store: ModelStore) -> None:
        self._landmarks = LandmarkNetwork(open_session(store.network("face_landmarks68").path))
        self._mesh = MeshNetwork(open_session(store.network("face_mesh").path))

    def locate(self, tile: NDArray[np.uint8]) -> FaceMesh:
        pixels = _enlarged(tile)
        points, rolls = self._landmarks.refine(pixels, np.array([CENTRE]), np.array([BOX_SIDE]), np.zeros(1))
        return self._mesh.locate(pixels, Landmarks(five_points(points[0]), points[0], float(rolls[0])))


def _enlarged(tile: NDArray[np.uint8]) -> Pixels:
    large = cv2.resize(tile, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    framed = cv2.copyMakeBorder(large, MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_REPLICATE)
    return np.asarray(cv2.cvtColor(framed, cv2.COLOR_GRAY2RGB), np.uint8)


def movements(data: Path, part: str, store: ModelStore) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Strengths (N, 5) and whether the faces are happy (N,), of faces in which a mesh was found."""
    tiles, labels = load_tiles(data, part)
    meshes, network = Meshes(store), BlendshapeNetwork(open_session(store.network("face_blendshapes").path))
    order = np.random.default_rng(1).permutation(len(tiles))[:FACES]
    found: list[FaceMesh] = []
    for number, index in enumerate(order, 1):
        found.append(meshes.locate(tiles[index]))
        if number % 250 == 0:
            print(f"{part}: {number} of {len(order)}", flush=True)
    seen = np.array([mesh.presence > PRESENCE_THRESHOLD for mesh in found])
    values = network.estimate([mesh for mesh, kept in zip(found, seen, strict=True) if kept])
    columns = np.stack([strength(values, *names) for names in MOVEMENTS], axis=1)
    return columns, labels[order][seen] == WORDS.index("happy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    options = parser.parse_args()
    store = ModelStore(options.models)
    strengths, happy = movements(options.data, "training", store)
    model = LogisticRegression(C=30, class_weight="balanced").fit(strengths, happy)
    print(
        "weights",
        dict(zip(MOVEMENTS, model.coef_[0].astype(float).round(2).tolist(), strict=True)),
        "bias",
        model.intercept_.round(2),
    )
    strengths, happy = movements(options.data, "public_test", store)
    smile = model.predict_proba(strengths)[:, 1]
    print(
        f"public test: {len(happy)} faces, {happy.sum()} happy; AUC {roc_auc_score(happy, smile):.3f}; at 0.5 found "
        f"{(smile[happy] > 0.5).mean():.3f}, false {(smile[~happy] > 0.5).mean():.3f}"
    )


if __name__ == "__main__":
    main()
