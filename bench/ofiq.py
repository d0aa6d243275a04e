"""Our portrait measures beside those of ofiqpy, a Python implementation of OFIQ 1.1, on the same faces.

Of its measures those of pixels run without the networks that have to be downloaded: they are given our 68 landmarks in
the places of its 98 from which they read, and the region inside them in place of its mask of occlusions. What differs
then is the frame (OFIQ's has 1.8 times as many pixels a side) and the pixels of the region; not the formulas. On 100
photographs of LFW with ofiqpy 0.2.2 the correlation is 0.999 for under-exposure and dynamic range, 0.998 for natural
colour, 0.990 for over-exposure and 0.985 for the uniformity of the light; the median difference is 0.003 of full scale
or less, and 0.017 for the last. On photographs spoilt in light and colour (60) it is 0.986 or more.
"""

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from bench.report import table
from lunaria.vision.estimators import portrait_color
from lunaria.vision.estimators.quality import FaceSurface, quality, surfaces
from lunaria.vision.geometry import Pixels
from lunaria.vision.landmarks import Landmarks
from lunaria.vision.views import FaceViews

_PLACES = {60: 36, 64: 39, 68: 42, 72: 45, 54: 30, 76: 48, 82: 54, 16: 8, 90: 62, 94: 66}
"""Of OFIQ's 98 landmarks those that its measures of pixels read, and which of the 68 stand there."""

_OURS: dict[str, Callable[[FaceSurface], float]] = {
    "under_exposure": lambda surface: quality(surface).dark,
    "over_exposure": lambda surface: quality(surface).light,
    "dynamic_range": portrait_color.dynamic_range,
    "illumination_uniformity": portrait_color.illumination_uniformity,
    "natural_colour": lambda surface: portrait_color.natural_color_score(
        portrait_color.natural_color_distance(surface)
    ),
}


def compare(faces: Sequence[tuple[Pixels, Landmarks]]) -> str:
    """A table, or why there is none."""
    if importlib.util.find_spec("ofiqpy") is None:
        return "ofiqpy is not installed: nothing to compare with"
    theirs = importlib.import_module("ofiqpy.measures.pixel")
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in _OURS}
    for pixels, face in faces:
        session = _session(pixels, face)
        surface = surfaces(FaceViews(pixels, [face], None))[0]  # type: ignore[arg-type]
        if surface is None:
            continue
        for name, ours in _OURS.items():
            found = getattr(theirs, name)(session)
            if found.scalar is not None:
                pairs[name].append((ours(surface), found.scalar / 100))
    rows = []
    for name, values in pairs.items():
        ours_, theirs_ = np.array(values).T
        apart = np.abs(ours_ - theirs_)
        correlation = float(np.corrcoef(ours_, theirs_)[0, 1]) if ours_.std() and theirs_.std() else float("nan")
        rows.append(
            [name, str(len(values)), f"{correlation:.3f}", f"{np.median(apart):.3f}", f"{np.quantile(apart, 0.95):.3f}"]
        )
    return table(["measure of OFIQ", "faces", "correlation", "median difference", "95 % below"], rows)


def _session(pixels: Pixels, face: Landmarks) -> Any:
    """What the measures read of ofiqpy's session."""
    align = importlib.import_module("ofiqpy.align")
    landmarks = np.tile(face.points68.mean(axis=0), (98, 1))
    for place, ours in _PLACES.items():
        landmarks[place] = face.points68[ours]
    bgr = np.ascontiguousarray(pixels[:, :, ::-1])
    aligned, aligned_landmarks, affine = align.align(bgr, landmarks)
    hull = cv2.transform(face.points68[None], affine)[0]
    region = align.landmarked_region(np.round(hull))
    return SimpleNamespace(
        image=bgr,
        landmarks=landmarks,
        aligned_face=aligned,
        aligned_landmarks=aligned_landmarks,
        affine=affine,
        landmarked_region=region,
        occlusion_mask=np.ones_like(region),
    )
