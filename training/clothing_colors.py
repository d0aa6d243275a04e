"""Learn what people call the colours of clothes: a table from Lab bins to eleven names, from PETA.

    python -m training.clothing_colors --data FOLDER     the folder with peta.zip

How often a bin occurs in garments of a single labelled colour, every colour counting the same, no set of cameras more
than the others; neighbouring bins lend each other. Bright colours are rare on streets: what nobody wore in front of
these cameras is called by its nearest prototypes. People of the groups 0 and 1 are not trained on.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.estimators.clothing_colors import BINS, NAMED, ColorTable, Part, bin_centres, bins, lab_of
from training import peta
from training.record import record

LABELLED: dict[Part, str] = {"upper": "upperBody", "lower": "lowerBody"}
TEST_GROUPS = 2
LENT, SMOOTHED = 0.5, 0.02
AT_MOST = 100
"""Crops of one set that may speak for a colour: some sets show hundreds of black coats."""

PROTOTYPES = {
    "black": [(18, 18, 20), (40, 40, 44)],
    "blue": [(40, 60, 150), (30, 45, 95), (90, 135, 200), (60, 100, 180)],
    "brown": [(105, 68, 45), (75, 52, 40), (140, 105, 78)],
    "green": [(50, 130, 60), (40, 80, 50), (110, 150, 80)],
    "grey": [(125, 125, 125), (95, 96, 98), (160, 160, 162)],
    "orange": [(230, 120, 35), (205, 95, 40)],
    "pink": [(230, 150, 175), (215, 95, 140)],
    "purple": [(110, 60, 140), (80, 45, 95), (150, 110, 175)],
    "red": [(180, 30, 38), (130, 28, 36), (215, 60, 60)],
    "white": [(240, 240, 240), (212, 214, 218)],
    "yellow": [(230, 210, 70), (210, 185, 75)],
}
PROTOTYPE_SPREAD = (24.0, 9.0, 9.0)
PROTOTYPE_SHARE = 0.15
"""Of 0, 0.15, 0.4 and 1 the best: more takes recall from the colours that look other in a camera than in a picture."""


def single_colors(data: peta.Peta, part: Part) -> NDArray[np.int64]:
    """(N,): the colour of a part, -1 where it has none or several."""
    colors = data.colors(LABELLED[part])
    return np.where(colors.sum(axis=1) == 1, colors.argmax(axis=1), -1)


def garment_bins(data: peta.Peta) -> dict[Part, NDArray[np.int64]]:
    """For each labelled part the bins of its pixels in each crop (N, 400)."""
    return {part: np.stack([bins(warp, part) for warp in data.warps]) for part in LABELLED}


def learn(data: peta.Peta, pixels: dict[Part, NDArray[np.int64]], used: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The table (16, 16, 16, 11) from the crops that may be used: upper and lower garments together."""
    rng = np.random.default_rng(0)
    counts = np.zeros((len(NAMED), BINS**3))
    for part in LABELLED:
        colors = single_colors(data, part)
        for color in range(len(NAMED)):
            for name in np.unique(data.sets):
                chosen = np.flatnonzero(used & (colors == color) & (data.sets == name))
                chosen = rng.permutation(chosen)[:AT_MOST]
                counts[color] += np.bincount(pixels[part][chosen].ravel(), minlength=BINS**3)
    smooth = counts.reshape(len(NAMED), BINS, BINS, BINS)
    for axis in (1, 2, 3):
        # Lend along one axis; what would leave the table at one end must not come in at the other.
        padded = np.pad(smooth, [(1, 1) if axis == other else (0, 0) for other in range(4)], mode="edge")
        length = padded.shape[axis]
        smooth = smooth + LENT * (padded.take(range(length - 2), axis) + padded.take(range(2, length), axis))
    likely = smooth / smooth.sum(axis=(1, 2, 3), keepdims=True) + PROTOTYPE_SHARE * prototypes() + SMOOTHED / BINS**3
    return np.moveaxis(likely / likely.sum(axis=0), 0, -1)


def prototypes() -> NDArray[np.float64]:
    """(11, 16, 16, 16): around the prototypes of each colour, summing to 1."""
    centres = bin_centres()
    rows = []
    for color in NAMED:
        distances = [(centres - lab_of(rgb)) / PROTOTYPE_SPREAD for rgb in PROTOTYPES[color]]
        near = np.sum([np.exp(-(distance**2).sum(axis=-1) / 2) for distance in distances], axis=0)
        rows.append(near / near.sum())
    return np.stack(rows)


def measure(
    data: peta.Peta, pixels: dict[Part, NDArray[np.int64]], table: ColorTable, tested: NDArray[np.bool_], part: Part
) -> str:
    """Accuracy and mean recall of the colours on single-coloured garments, beige and khaki not being an answer."""
    colors = single_colors(data, part)
    chosen = np.flatnonzero(tested & (colors >= 0))
    found = np.array([table.name(pixels[part][index]).shares[: len(NAMED)].argmax() for index in chosen])
    wanted = colors[chosen]
    recalls = {k: float((found[wanted == k] == k).mean()) for k in range(len(NAMED)) if (wanted == k).sum() >= 5}
    each = ", ".join(f"{NAMED[k]} {recall:.2f}" for k, recall in recalls.items())
    return (
        f"{len(chosen)} garments: accuracy {np.mean(found == wanted):.3f}, mean recall of {len(recalls)} colours "
        f"{np.mean(list(recalls.values())):.3f} ({each})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    data = peta.load(options.data)
    pixels = garment_bins(data)
    measured = {}
    for held in ("PRID", "CUHK", "MIT", "i-LID"):
        unseen = data.sets == held
        table = ColorTable(learn(data, pixels, ~unseen))
        for part in LABELLED:
            measured[f"{part}, cameras of {held} unseen"] = measure(data, pixels, table, unseen, part)
            print(held, part, measured[f"{part}, cameras of {held} unseen"], flush=True)
    tested = data.groups < TEST_GROUPS
    learned = learn(data, pixels, ~tested).astype(np.float16)
    table = ColorTable(learned)
    for part in LABELLED:
        measured[f"{part}, unseen people"] = measure(data, pixels, table, tested, part)
        print(part, measured[f"{part}, unseen people"], flush=True)
    stream = io.BytesIO()
    np.savez_compressed(stream, table=learned)
    record(
        "clothing_colors",
        "clothing_colors.npz",
        stream.getvalue(),
        {
            "kind": "color-table",
            "title": "Names of the colours of clothes",
            "licence": "research",
            "licence_notes": "Learned from PETA, which its authors issued for research only.",
            "training_data": "PETA without VIPeR and GRID, people of 8 groups of 10, garments of one labelled colour",
            "measured": measured,
        },
    )


if __name__ == "__main__":
    main()
