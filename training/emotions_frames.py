"""Where the product looks in the faces of FER2013, for `training.emotions`.

    python -m training.emotions_frames --data FOLDER --models FOLDER --out FILE

The tiles of FER2013 are cut around faces as a detector of 2013 saw them; the product turns, scales and shifts a face by
its landmarks. Of each tile of the training part, the matrix from the tile to the square that the product looks at is
kept, so that the network is trained on faces as they will be shown to it. The tiles show faces only, so that nothing is
detected: the landmarks are looked for from the middle of the tile. Takes four minutes on one core.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.estimators.emotions import CENTRE, SIDE
from lunaria.vision.geometry import Matrix, chain, inverse, square_transform
from lunaria.vision.landmarks import LandmarkNetwork, five_points
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.runtime import open_session
from lunaria.vision.warps import warp_transform
from training.emotions import load_tiles
from training.smile import BOX_SIDE, MARGIN, enlarged
from training.smile import CENTRE as BOX_CENTRE
from training.smile import SIDE as ENLARGED_SIDE

SCALES = (0.7, 1.5)
MOST_SHIFT, MOST_TURN = 0.35, 45.0
"""Shares of half a tile, and degrees. Beyond these the landmarks are taken for wrong."""


def frame_of(network: LandmarkNetwork, tile: NDArray[np.uint8]) -> Matrix:
    """The 2x3 matrix from the square that the product looks at to the tile, both from -1 to 1 on either axis; NaN where
    the landmarks are implausible."""
    points, _ = network.refine(enlarged(tile), np.array([BOX_CENTRE]), np.array([BOX_SIDE]), np.zeros(1))
    square_to_large = chain(
        inverse(warp_transform(five_points(points[0]))), square_transform(np.array(CENTRE), SIDE, 0, 2)
    )
    unit_to_square = np.array([[1.0, 0, 1], [0, 1, 1]])
    half = ENLARGED_SIDE / 2
    large_to_unit = np.array([[1.0, 0, -MARGIN - half], [0, 1, -MARGIN - half]]) / half
    frame = chain(large_to_unit, chain(square_to_large, unit_to_square))
    scale = float(np.hypot(frame[0, 0], frame[1, 0]))
    turn = float(np.degrees(np.arctan2(frame[1, 0], frame[0, 0])))
    if not SCALES[0] < scale < SCALES[1] or np.abs(frame[:, 2]).max() > MOST_SHIFT or abs(turn) > MOST_TURN:
        return np.full((2, 3), np.nan)
    return frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=Path("data/models"))
    parser.add_argument("--out", type=Path, default=Path("out/training/emotions_frames.npy"))
    options = parser.parse_args()
    network = LandmarkNetwork(open_session(ModelStore(options.models).network("face_landmarks68").path))
    tiles, _ = load_tiles(options.data, "training")
    found = np.zeros((len(tiles), 2, 3), np.float32)
    for number, tile in enumerate(tiles):
        found[number] = frame_of(network, tile)
        if number % 1000 == 999:
            plausible = np.isfinite(found[: number + 1, 0, 0]).mean()
            print(f"{number + 1} of {len(tiles)} tiles, landmarks plausible in {plausible:.1%}", flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    np.save(options.out, found)


if __name__ == "__main__":
    main()
