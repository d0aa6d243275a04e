"""Weights of the smile of lunaria.vision.estimators.mouth: happy against other faces of FER2013.

    python -m training.smile --data FOLDER --models FOLDER

`data` holds the mosaics of FER2013, `models` the pulled networks. Two smiles are fitted: by the strengths of movements
alone, and by these with the head for emotions on the shared features (`training.emotions_head`). Both are fitted on the
tenth of the training part that this head did not see. The summand lets OTHERS of the other faces among them count as
smiling. Prints weights and summands, and what they do on the public test part. The tiles show faces only, so that
nothing is detected: the landmarks are looked for from the middle of the tile. Takes ten minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from lunaria.vision.estimators.blendshapes import BlendshapeNetwork
from lunaria.vision.estimators.features import LinearHead
from lunaria.vision.estimators.mouth import SMILE_MOVEMENTS, happiness_log_odds, movement_strengths
from lunaria.vision.geometry import Pixels
from lunaria.vision.head_pose import PRESENCE_THRESHOLD, FaceMesh, MeshNetwork
from lunaria.vision.landmarks import LandmarkNetwork, Landmarks, five_points
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.runtime import open_session
from training.emotions import WORDS, load_tiles, split
from training.emotions_head import embeddings

FACES = 2250
"""So many of the public test part are looked at."""
OTHERS = 0.047
"""The share of faces with another label than happy that may count as smiling: a little less than the one in twenty that
are wanted."""
SIDE, MARGIN = 192, 48
"""A tile is enlarged to this side, and its border continued."""
CENTRE, BOX_SIDE = (144.0, 150.0), 170.0
"""Where the face lies in the result."""


class Faces(NamedTuple):
    """Of N faces in which a mesh was found: what a smile is told by (N, 6), and whether they are happy (N,)."""

    inputs: NDArray[np.float64]
    happy: NDArray[np.bool_]


class Meshes:
    """Finds the mesh of a tile."""

    def __init__(self, store: ModelStore) -> None:
        self._landmarks = LandmarkNetwork(open_session(store.network("face_landmarks68").path))
        self._mesh = MeshNetwork(open_session(store.network("face_mesh").path))

    def locate(self, tile: NDArray[np.uint8]) -> FaceMesh:
        pixels = enlarged(tile)
        points, rolls = self._landmarks.refine(pixels, np.array([CENTRE]), np.array([BOX_SIDE]), np.zeros(1))
        return self._mesh.locate(pixels, Landmarks(five_points(points[0]), points[0], float(rolls[0])))


def enlarged(tile: NDArray[np.uint8]) -> Pixels:
    large = cv2.resize(tile, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    framed = cv2.copyMakeBorder(large, MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_REPLICATE)
    return np.asarray(cv2.cvtColor(framed, cv2.COLOR_GRAY2RGB), np.uint8)


def look(tiles: NDArray[np.uint8], labels: NDArray[np.int64], store: ModelStore) -> Faces:
    """All faces of tiles (N, 48, 48)."""
    meshes, network = Meshes(store), BlendshapeNetwork(open_session(store.network("face_blendshapes").path))
    found: list[FaceMesh] = []
    for number, tile in enumerate(tiles, 1):
        found.append(meshes.locate(tile))
        if number % 250 == 0:
            print(f"{number} of {len(tiles)}", flush=True)
    seen = np.array([mesh.presence > PRESENCE_THRESHOLD for mesh in found])
    values = network.estimate([mesh for mesh, kept in zip(found, seen, strict=True) if kept])
    features = embeddings(open_session(store.network("face_features").path), store, tiles[seen])
    head = LinearHead.load(store.network("face_emotions_head").path)
    inputs = np.column_stack([movement_strengths(values), happiness_log_odds(head, features)])
    return Faces(inputs, labels[seen] == WORDS.index("happy"))


def fit(inputs: NDArray[np.float64], happy: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Weights and summand."""
    weights = LogisticRegression(C=30, class_weight="balanced").fit(inputs, happy).coef_[0].round(2)
    return weights, -round(float(np.quantile((inputs @ weights)[~happy], 1 - OTHERS)), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    options = parser.parse_args()
    store = ModelStore(options.models)
    tiles, labels = load_tiles(options.data, "training")
    held, _ = split(len(tiles))
    chosen = look(tiles[held], labels[held], store)
    tiles, labels = load_tiles(options.data, "public_test")
    drawn = np.random.default_rng(1).permutation(len(tiles))[:FACES]
    public = look(tiles[drawn], labels[drawn], store)
    for columns, name in ((len(SMILE_MOVEMENTS), "movements alone"), (len(SMILE_MOVEMENTS) + 1, "with the head")):
        weights, summand = fit(chosen.inputs[:, :columns], chosen.happy)
        print(f"{name}: weights {weights.tolist()}, summand {summand}")
        for part, faces in (("chosen on", chosen), ("public test", public)):
            smile = faces.inputs[:, :columns] @ weights + summand
            print(
                f"{part}: {len(smile)} faces, {faces.happy.sum()} happy; AUC {roc_auc_score(faces.happy, smile):.3f}; "
                f"at 0.5 found {(smile[faces.happy] > 0).mean():.3f}, false {(smile[~faces.happy] > 0).mean():.3f}"
            )


if __name__ == "__main__":
    main()
