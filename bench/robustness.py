"""How much of a descriptor is left when the photograph gets worse: agreement with that of the same photograph unspoilt.

Cosines of photographs in which no face was found any more do not enter the mean; their share is a column of its own.
The last column says what it means for use: how often the spoilt photograph is still accepted as the same person as
ANOTHER photograph of that person, at the threshold that accepts 1 of 10,000 pairs of different persons.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.faces import Face, InProcess, image
from bench.report import progress
from lunaria.vision.images import encode_jpeg
from lunaria.vision.plan import ImageType, Plan

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Original:
    """A photograph with its face, and the descriptor of another photograph of the same person."""

    pixels: Pixels
    face: Face
    other: NDArray[np.float32]


@dataclass(frozen=True)
class Agreement:
    """What a kind of spoiling does. Cosines with the unspoilt photograph; `accepted`: see the module."""

    name: str
    photographs: int
    lost: int
    mean: float
    fifth_percentile: float
    accepted: float


Spoil = Callable[[Original], Pixels]


def shrunk(side: int) -> Spoil:
    """The face box gets this long side in pixels."""

    def spoil(original: Original) -> Pixels:
        longest = (original.face.box[2:] - original.face.box[:2]).max()
        scale = side / longest
        return np.asarray(cv2.resize(original.pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)

    return spoil


def turned(degrees: float) -> Spoil:
    """Turned clockwise around the middle, the border repeated."""

    def spoil(original: Original) -> Pixels:
        height, width = original.pixels.shape[:2]
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1)
        turned_pixels = cv2.warpAffine(original.pixels, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(turned_pixels, np.uint8)

    return spoil


def quarter_turned(times: int) -> Spoil:
    return lambda original: np.ascontiguousarray(np.rot90(original.pixels, -times))


def blurred(sigma: float) -> Spoil:
    """Gaussian blur; sigma in pixels of a photograph whose face is about 110 pixels high."""
    return lambda original: np.asarray(cv2.GaussianBlur(original.pixels, None, sigma), np.uint8)


def darkened(share: float) -> Spoil:
    return lambda original: (original.pixels * share).astype(np.uint8)


def noisy(deviation: float) -> Spoil:
    def spoil(original: Original) -> Pixels:
        noise = np.random.default_rng(1).normal(0, deviation, original.pixels.shape)
        return np.clip(original.pixels + noise, 0, 255).astype(np.uint8)

    return spoil


def compressed(quality: int) -> Spoil:
    def spoil(original: Original) -> Pixels:
        _, data = cv2.imencode(".jpg", original.pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)

    return spoil


def grey(original: Original) -> Pixels:
    flat = cv2.cvtColor(original.pixels, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.cvtColor(flat, cv2.COLOR_GRAY2RGB), np.uint8)


def covered(top: float, bottom: float) -> Spoil:
    """A grey bar over a part of the face box, from `top` to `bottom` of its height."""

    def spoil(original: Original) -> Pixels:
        left, upper, right, lower = original.face.box
        pixels = original.pixels.copy()
        rows = slice(int(upper + top * (lower - upper)), int(upper + bottom * (lower - upper)))
        pixels[rows, int(left) : int(right)] = 128
        return pixels

    return spoil


SMALL: Sequence[tuple[str, Spoil]] = [(f"face {side} px", shrunk(side)) for side in (80, 56, 40, 28, 20, 14)]
TURNED: Sequence[tuple[str, Spoil]] = [
    *((f"turned by {degrees}°", turned(degrees)) for degrees in (10, 20, 30, 45, 60)),
    *((f"turned by {90 * times}°", quarter_turned(times)) for times in (1, 2, 3)),
]
SPOILT: Sequence[tuple[str, Spoil]] = [
    *((f"blur, sigma {sigma:g} px", blurred(sigma)) for sigma in (1.5, 3, 5)),
    *((f"light {share:.0%}", darkened(share)) for share in (0.25, 0.08)),
    *((f"noise, deviation {deviation:g}", noisy(deviation)) for deviation in (15, 30)),
    *((f"JPEG quality {quality}", compressed(quality)) for quality in (30, 10)),
    ("grey", grey),
    ("eyes covered", covered(0.25, 0.5)),
    ("mouth and chin covered", covered(0.62, 1.0)),
]


def agreements(
    source: InProcess,
    originals: Sequence[Original],
    spoils: Sequence[tuple[str, Spoil]],
    threshold: float,
    workers: int,
) -> list[Agreement]:
    measured = []
    with ThreadPoolExecutor(workers) as pool:
        for name, spoil in spoils:
            faces = list(pool.map(lambda original, spoil=spoil: source.face_in(spoil(original)), originals))
            measured.append(_agreement(name, originals, faces, threshold))
            progress(f"{name}: {measured[-1].mean:.3f}")
    return measured


def warp_agreement(source: InProcess, originals: Sequence[Original], threshold: float) -> Agreement:
    """The descriptor of the stored sample, the 250x250 warp as JPEG of quality 95, instead of the photograph's."""
    faces: list[Face | None] = []
    for original in originals:
        found = source.analyzer.analyze(image(original.pixels), Plan(descriptor=True, warp=True))
        nearest = min(
            found, key=lambda one: abs(one.rect.x - original.face.box[0]) + abs(one.rect.y - original.face.box[1])
        )
        assert nearest.warp is not None
        stored = source.decoder.decode(encode_jpeg(nearest.warp))
        (again,) = source.analyzer.analyze(stored, Plan(descriptor=True), image_type=ImageType.FACE_WARP)
        assert again.descriptor is not None
        faces.append(Face(original.face.box, again.descriptor.vector))
    return _agreement("its stored sample (warp)", originals, faces, threshold)


def unspoilt(originals: Sequence[Original], threshold: float) -> Agreement:
    return _agreement("unspoilt", originals, [original.face for original in originals], threshold)


def _agreement(name: str, originals: Sequence[Original], faces: Sequence[Face | None], threshold: float) -> Agreement:
    found = [(original, face) for original, face in zip(originals, faces, strict=True) if face is not None]
    cosines = (
        np.array([original.face.vector @ face.vector for original, face in found]) if found else np.array([np.nan])
    )
    accepted = sum(float(original.other @ face.vector) > threshold for original, face in found)
    return Agreement(
        name,
        len(originals),
        len(originals) - len(found),
        float(cosines.mean()),
        float(np.percentile(cosines, 5)),
        accepted / len(originals),
    )
