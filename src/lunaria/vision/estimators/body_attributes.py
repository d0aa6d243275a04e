"""Apparent age and gender, clothes, headwear and backpack of bodies, from their warps.

A hidden layer over the features of the network of pedestrians and colour histograms, trained together with that network
(`training/body_network.py`), and a table of colour names (`training.clothing_colors`), all on PETA: crops of 64 x 128
pixels from street and station cameras. Colours are the mean of both: the head follows frequent colours, the table is
even over all.

Each yes or no has two thresholds; between them it is undefined. The colour of headwear was never measured: PETA names
none. Beige, khaki and multicolored are rules (clothing_colors), not labelled either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.estimators.body_views import BodyViews
from lunaria.vision.estimators.clothing_colors import MULTICOLORED, NAMED, NAMES, ColorTable, Part
from lunaria.vision.geometry import Pixels
from lunaria.vision.projection import Projection

TASKS: Final[dict[str, tuple[str, ...]]] = {
    "gender": ("female", "male"),
    "headwear": ("absent", "present"),
    "backpack": ("absent", "present"),
    "sleeve": ("long", "short"),
    "garment": ("trousers", "shorts", "skirt"),
    "age": ("under 30", "30 to 45", "45 to 60", "over 60"),
    "upper": NAMED,
    "lower": NAMED,
    "shoes": ("black", "white", "other"),
}
"""What the head tells apart, in the order of its outputs: a probability for each word of a task."""

AGES = np.array([22.0, 37.0, 52.0, 67.0])
"""The middle of each age, in years."""

FURTHER_COLOR = 0.75
"""A garment's second and third colour must be so likely, in shares of the first one's probability (chosen on PETA's
people of group 1, with an earlier head). On people not trained on 68 % of the listed colours are labelled and 71 % of
the labelled ones listed for upper garments, 69 and 78 % for lower ones."""

MOST_COLORS = 3

State = Literal["absent", "present", "undefined"]
Gender = Literal["female", "male", "undefined"]
Sleeve = Literal["short", "long", "undefined"]
Garment = Literal["trousers", "shorts", "skirt", "undefined"]
PlainColor = Literal["black", "white", "other", "undefined"]


@dataclass(frozen=True, slots=True)
class BodyAttributes:
    """What one body looks like. Ages in years; colours best first, in words of NAMES, or "multicolored" alone."""

    age: int
    gender: Gender
    headwear: State
    headwear_color: PlainColor
    sleeve: Sleeve
    upper_colors: tuple[str, ...]
    lower_garment: Garment
    lower_colors: tuple[str, ...]
    shoes_color: PlainColor
    backpack: State


class BodyAttributesHead:
    """Features to probabilities. `hidden` D to H, `weights` (K, H), `bias` (K,): K words of all TASKS in order.

    `bands`: for each two-worded task the probabilities of its second word below which the first is said and from which
    the second is; for "garment" and "shoes" the probability that the likeliest word needs.
    """

    def __init__(
        self,
        hidden: Projection,
        weights: NDArray[np.float32],
        bias: NDArray[np.float32],
        bands: Mapping[str, NDArray[Any]],
    ) -> None:
        self._hidden = hidden
        self._weights = weights
        self._bias = bias
        self.bands = {task: tuple(float(value) for value in band) for task, band in bands.items()}

    @classmethod
    def read(cls, path: Path) -> BodyAttributesHead:
        """From the .npz file of the pack. Raises KeyError when an array is missing."""
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        bands = {name.removeprefix("band_"): band for name, band in arrays.items() if name.startswith("band_")}
        weights, bias = (arrays[f"last_{name}"].astype(np.float32) for name in ("weights", "bias"))
        return cls(Projection.from_arrays(arrays), weights, bias, bands)

    def probabilities(self, vectors: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """For each task (N, words), from the vectors (N, D) of N bodies."""
        scores = np.maximum(self._hidden.apply(vectors), 0) @ self._weights.T + self._bias
        found, start = {}, 0
        for task, words in TASKS.items():
            part = scores[:, start : start + len(words)]
            exponents = np.exp(part - part.max(axis=1, keepdims=True))
            found[task] = exponents / exponents.sum(axis=1, keepdims=True)
            start += len(words)
        return found


class BodyAttributesEstimator:
    """Attributes of every body of some views, the head in one run. Thread-safe."""

    def __init__(self, head: BodyAttributesHead, colors: ColorTable) -> None:
        self._head = head
        self._colors = colors

    def estimate(self, views: BodyViews) -> list[BodyAttributes]:
        """One for each body, in order."""
        if not len(views):
            return []
        found = self._head.probabilities(views.vectors)
        return [
            self._attributes({task: values[index] for task, values in found.items()}, warp)
            for index, warp in enumerate(views.warps)
        ]

    def _attributes(self, found: Mapping[str, NDArray[np.float32]], warp: Pixels) -> BodyAttributes:
        headwear = cast(State, self._decided("headwear", found))
        return BodyAttributes(
            age=round(float(found["age"] @ AGES)),
            gender=cast(Gender, self._decided("gender", found)),
            headwear=headwear,
            headwear_color=self._headwear_color(warp) if headwear == "present" else "undefined",
            sleeve=cast(Sleeve, self._decided("sleeve", found)),
            upper_colors=self._garment_colors("upper", found["upper"], warp),
            lower_garment=cast(Garment, self._decided("garment", found)),
            lower_colors=self._garment_colors("lower", found["lower"], warp),
            shoes_color=cast(PlainColor, self._decided("shoes", found)),
            backpack=cast(State, self._decided("backpack", found)),
        )

    def _decided(self, task: str, found: Mapping[str, NDArray[np.float32]]) -> str:
        probabilities, words, band = found[task], TASKS[task], self._head.bands[task]
        if len(words) == 2:
            if band[0] <= probabilities[1] < band[1]:
                return "undefined"
            return words[int(probabilities[1] >= band[1])]
        best = int(probabilities.argmax())
        return words[best] if probabilities[best] >= band[0] else "undefined"

    def _garment_colors(self, part: Part, named: NDArray[np.float32], warp: Pixels) -> tuple[str, ...]:
        region = self._colors.look(warp, part)
        if region.multicolored:
            return (MULTICOLORED,)
        return color_names(mixed(named, region.shares))

    def _headwear_color(self, warp: Pixels) -> PlainColor:
        best = NAMES[int(self._colors.look(warp, "headwear").shares.argmax())]
        return cast(PlainColor, best if best in ("black", "white") else "other")


def mixed(named: NDArray[Any], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 13): the mean of what the head (..., 11) and the table (..., 13) say."""
    padding = [(0, 0)] * (named.ndim - 1) + [(0, len(NAMES) - len(NAMED))]
    return (np.pad(named.astype(np.float64), padding) + shares) / 2


def color_names(shares: Sequence[float] | NDArray[np.float64]) -> tuple[str, ...]:
    """The likeliest colour and those that are nearly as likely, from shares in the order of NAMES."""
    order = np.argsort(-np.asarray(shares), kind="stable")[:MOST_COLORS]
    return tuple(NAMES[index] for index in order if shares[index] >= FURTHER_COLOR * shares[order[0]])
