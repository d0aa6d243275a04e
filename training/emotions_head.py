"""Train the second opinion on emotions, a linear head on the shared face features (faceres), for `training.emotions`.

    python -m training.emotions_head --data FOLDER --models FOLDER

Trained on 16,000 faces of FER2013's training part that the network of `training.emotions` was trained on too; how
much it counts beside that network is chosen on the tenth that both held back, and both together are measured on the
public test part. Faces are cut out of the tiles where the product cuts them out of a warp.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from lunaria.vision.estimators.features import CHIP_CENTRE, CHIP_SIDE
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.runtime import InferenceSession, open_session
from lunaria.vision.tensors import as_tensor
from training.emotions import EMOTIONS, TILE, centred, load_tiles, split
from training.emotions_pack import trained
from training.record import record

FACES = 16_000
STRENGTHS = (0.001, 0.003, 0.01)
WEIGHTS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
BATCH = 8

TILE_CENTRE, TILE_SIDE = (124.3, 131.1), 171.0
"""What a whole tile shows, in pixels of the warp: the median of 106 faces."""


def embeddings(session: InferenceSession, store: ModelStore, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 1024) features of tiles (N, 48, 48)."""
    preprocessing = store.spec("face_features").preprocessing
    if preprocessing is None or preprocessing.width is None:
        raise SystemExit("the manifest says nothing about the preprocessing of face_features")
    side = preprocessing.width
    scale = CHIP_SIDE / TILE_SIDE * TILE / side
    centre = TILE / 2 + (np.array(CHIP_CENTRE) - TILE_CENTRE) * TILE / TILE_SIDE
    shift = centre - scale * side / 2 + scale / 2 - 0.5
    to_tile = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    found = np.zeros((len(tiles), 1024), np.float32)
    for start in range(0, len(tiles), BATCH):
        crops = [
            cv2.warpAffine(
                tile,
                to_tile,
                (side, side),
                flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
            for tile in tiles[start : start + BATCH]
        ]
        batch = np.stack([as_tensor(np.repeat(crop[:, :, None], 3, axis=2), preprocessing) for crop in crops])
        found[start : start + BATCH] = session.run({session.inputs[0]: batch})["embedding"].reshape(len(crops), -1)
        if start % 800 == 0:
            print(f"{start} of {len(tiles)} faces", flush=True)
    return found


def cached(file: Path, session: InferenceSession, store: ModelStore, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The embeddings, kept in a file."""
    if not file.exists():
        np.save(file, embeddings(session, store, tiles).astype(np.float16))
    return np.load(file).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=Path("data/models"))
    parser.add_argument(
        "--out", type=Path, default=Path("out/training"), help="where training.emotions left its weights"
    )
    options = parser.parse_args()
    store = ModelStore(options.models)
    session = open_session(store.network("face_features").path)
    tiles, labels = load_tiles(options.data, "training")
    public, public_labels = load_tiles(options.data, "public_test")
    held, used = split(len(tiles))
    used = used[:FACES]
    out: Path = options.out
    of_used = cached(out / "emotions_used.npy", session, store, tiles[used])
    of_held = cached(out / "emotions_held.npy", session, store, tiles[held])
    of_public = cached(out / "emotions_public.npy", session, store, public)
    net = trained(out)
    own_held, own_public = (
        np.log(net.both_ways(centred(torch.from_numpy(part))).numpy() + 1e-9) for part in (tiles[held], public)
    )
    scaler = StandardScaler().fit(of_used)
    best = (0.0, 0.0, 0.0)
    heads = {}
    for strength in STRENGTHS:
        heads[strength] = LogisticRegression(C=strength, max_iter=200).fit(scaler.transform(of_used), labels[used])
        told = heads[strength].predict_log_proba(scaler.transform(of_held))
        for weight in WEIGHTS:
            accuracy = float(((own_held + weight * told).argmax(1) == labels[held]).mean())
            best = max(best, (accuracy, strength, weight))
    _, strength, weight = best
    head = heads[strength]
    weights = (head.coef_ / scaler.scale_).T
    bias = head.intercept_ - scaler.mean_ @ weights
    told = head.predict_log_proba(scaler.transform(of_public))
    both = (own_public + weight * told).argmax(1)
    recalls = ", ".join(f"{name} {(both[public_labels == k] == k).mean():.2f}" for k, name in enumerate(EMOTIONS))
    stream = io.BytesIO()
    np.savez(
        stream, weights=weights.astype(np.float16), bias=bias.astype(np.float32), labels=np.array(EMOTIONS, dtype="U16")
    )
    measured = {
        "accuracy of both on the public test part of FER2013 (3,589 faces as they lie in it)": (
            f"{(both == public_labels).mean():.4f}"
        ),
        "recalls there": recalls,
        "accuracy of this head alone": f"{(told.argmax(1) == public_labels).mean():.4f}",
        "accuracy of the network alone": f"{(own_public.argmax(1) == public_labels).mean():.4f}",
        "accuracy of both on the held-back tenth, which the weight was chosen on": f"{best[0]:.4f}",
    }
    print(f"strength {strength}, weight {weight}: {measured}")
    record(
        "face_emotions_head",
        "face_emotions_head.npz",
        stream.getvalue(),
        {
            "kind": "linear-head",
            "title": "Emotions by the shared face features, a second opinion (Lunaria)",
            "licence": "research",
            "licence_notes": "The weights are the project's own. FER2013 was issued for research.",
            "training_data": f"FER2013, training part: {FACES:,} of 28,709 faces",
            "parameters": {"weight": weight},
            "measured": measured,
        },
    )


if __name__ == "__main__":
    main()
