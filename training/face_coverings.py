"""Painting masks, hands, scarves, sheets and sunglasses onto photographs of bare faces, by 68 landmarks.

There is no free data set of masks below the nose or on the chin, nor of covered faces. Colours, shapes, textures and
places are drawn at random; the light of the face shines through onto what is painted, and edges are soft.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from lunaria.vision.geometry import Pixels, Points

Random = np.random.Generator
Cover = NDArray[np.float32]

MASK_COLOURS = ((235, 238, 240), (150, 195, 220), (120, 180, 200), (28, 28, 32), (60, 62, 70), (225, 190, 200))
SOFTNESS = 0.0035
"""Standard deviation of the blur of edges, in heights of the face."""


def paint_correct(pixels: Pixels, points: Points, random: Random) -> Pixels:
    """A mask from the bridge of the nose to below the chin."""
    top = _between(points[27], points[30], random.uniform(0.35, 0.75))
    return _mask(pixels, points, random, top, first=int(random.integers(1, 4)))


def paint_mouth(pixels: Pixels, points: Points, random: Random) -> Pixels:
    """A mask that covers mouth and chin, and leaves the nose free."""
    top = _between(points[33], points[51], random.uniform(0.1, 0.7))
    return _mask(pixels, points, random, top, first=int(random.integers(2, 5)))


def paint_chin(pixels: Pixels, points: Points, random: Random) -> Pixels:
    """A mask pulled down onto the chin: nose and mouth are free."""
    top = _between(points[57], points[8], random.uniform(0.1, 0.55))
    return _mask(pixels, points, random, top, first=int(random.integers(4, 6)), drop=random.uniform(0.12, 0.3))


def paint_sunglasses(pixels: Pixels, points: Points, random: Random) -> Pixels:
    """Dark or coloured lenses with bridge and temples: the face still counts as clear."""
    cover = np.zeros(pixels.shape[:2], np.float32)
    width = np.linalg.norm(points[45] - points[36])
    across, down = _axes(points)
    size = (width * random.uniform(0.24, 0.34), width * random.uniform(0.18, 0.29))
    centres = [points[part].mean(axis=0) + down * width * 0.03 for part in (slice(36, 42), slice(42, 48))]
    angle = float(np.degrees(np.arctan2(across[1], across[0])))
    box = bool(random.random() < 0.4)
    for centre in centres:
        if box:
            corners = cv2.boxPoints((_pair(centre), (2 * size[0], 2 * size[1]), angle))
            cv2.fillPoly(cover, [_whole(corners)], 1.0, cv2.LINE_AA)
        else:
            axes = (max(1, round(size[0])), max(1, round(size[1])))
            cv2.ellipse(cover, _pixel(centre), axes, angle, 0, 360, 1.0, -1, cv2.LINE_AA)
    thickness = max(1, round(width * random.uniform(0.02, 0.06)))
    for start, end in ((centres[0], centres[1]), (centres[0], points[0]), (centres[1], points[16])):
        cv2.line(cover, _pixel(start), _pixel(end), 1.0, thickness, cv2.LINE_AA)
    colour = random.uniform(0, 50, 3) if random.random() < 0.75 else random.uniform(20, 220, 3)
    return _blend(pixels, points, cover * random.uniform(0.8, 1.0), _shade(pixels.shape[:2], colour, random))


def paint_partially(pixels: Pixels, points: Points, random: Random) -> Pixels:
    """A hand, a scarf, a telephone or a sheet over a third to a half of the face."""
    ways: list[Callable[[Pixels, Points, Random], Pixels]] = [_hand, _hand, _scarf, _side, _side]
    return ways[int(random.integers(len(ways)))](pixels, points, random)


def paint_full(pixels: Pixels, points: Points, random: Random) -> Pixels:
    """Nearly the whole face is covered: a balaclava with an opening for the eyes, two hands, a sheet."""
    choice = random.random()
    if choice < 0.45:
        return _balaclava(pixels, points, random)
    if choice < 0.7:
        skin = _skin(pixels, points, random)
        for side in (-1.0, 1.0):
            at = _place(points, side * 0.24, random.uniform(-0.15, 0.1))
            pixels = _hand(pixels, points, random, at=at, skin=skin, size=1.4)
        return pixels
    middle = _place(points, random.uniform(-0.1, 0.1), random.uniform(-0.1, 0.1))
    return _sheet(pixels, points, random, middle, random.uniform(0.85, 1.2), random.uniform(0.8, 1.1))


def _mask(pixels: Pixels, points: Points, random: Random, top: Points, first: int, drop: float | None = None) -> Pixels:
    """A mask from `top` in the middle to the jaw, from the jaw's point `first` to the one opposite."""
    _, down = _axes(points)
    height = _height(points)
    jaw = points[first : 17 - first].copy()
    middle = jaw.mean(axis=0)
    jaw = middle + (jaw - middle) * random.uniform(0.98, 1.08)
    lower = drop if drop is not None else random.uniform(0.0, 0.08)
    deep = np.sin(np.linspace(0, np.pi, len(jaw)))[:, None]
    jaw = jaw + down * height * lower * deep
    rise = random.uniform(-0.02, 0.05) * height
    left = _between(jaw[0], top, 0.55) - down * rise
    right = _between(jaw[-1], top, 0.55) - down * rise
    outline = np.concatenate([jaw, [right, top, left]])
    cover = np.zeros(pixels.shape[:2], np.float32)
    cv2.fillPoly(cover, [_whole(outline)], 1.0, cv2.LINE_AA)
    colour = np.array(MASK_COLOURS[int(random.integers(len(MASK_COLOURS)))], np.float64)
    colour = random.uniform(0, 255, 3) if random.random() < 0.15 else np.clip(colour + random.normal(0, 12, 3), 0, 255)
    surface = _shade(pixels.shape[:2], colour, random)
    if random.random() < 0.5:
        for share in (0.3, 0.5, 0.7):
            fold = [_between(a, b, share) for a, b in ((top, jaw[len(jaw) // 2]), (jaw[0], jaw[0]), (jaw[-1], jaw[-1]))]
            line = _whole(np.stack([fold[1], fold[0], fold[2]]))
            cv2.polylines(surface, [line], False, tuple(colour * 0.85), max(1, round(height / 90)), cv2.LINE_AA)
    painted = _blend(pixels, points, cover, surface)
    if random.random() < 0.7:
        straps = np.zeros(pixels.shape[:2], np.float32)
        for start, end in ((jaw[0], points[0]), (jaw[-1], points[16])):
            cv2.line(straps, _pixel(start), _pixel(end - down * height * 0.05), 1.0, max(1, round(height / 60)))
        painted = _blend(painted, points, straps, surface)
    return painted


def _hand(
    pixels: Pixels,
    points: Points,
    random: Random,
    at: Points | None = None,
    skin: Points | None = None,
    size: float = 1.0,
) -> Pixels:
    """A palm with four fingers in the colour of the face, mostly over the mouth or a cheek."""
    height = _height(points)
    if at is None:
        at = _place(points, random.uniform(-0.25, 0.25), random.uniform(-0.05, 0.3))
    skin = _skin(pixels, points, random) if skin is None else skin
    turn = random.uniform(-np.pi, np.pi)
    along, aside = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    finger = height * random.uniform(0.12, 0.16) * size
    for index in range(5):
        cover = np.zeros(pixels.shape[:2], np.float32)
        if index == 4:
            axes = (round(finger * 1.8), round(finger * 2.1))
            cv2.ellipse(cover, _pixel(at), axes, np.degrees(turn), 0, 360, 1.0, -1, cv2.LINE_AA)
        else:
            root = at + aside * finger * (index - 1.5) * 1.05 + along * finger
            tip = root + along * height * random.uniform(0.28, 0.42) * size
            cv2.line(cover, _pixel(root), _pixel(tip), 1.0, max(1, round(finger)), cv2.LINE_AA)
        tone = np.clip(skin * random.uniform(0.9, 1.06), 0, 255)
        pixels = _blend(pixels, points, cover, _shade(pixels.shape[:2], tone, random))
    return pixels


def _scarf(pixels: Pixels, points: Points, random: Random) -> Pixels:
    """Cloth with a pattern from the nose or the mouth down to the neck, wider than the face."""
    across, down = _axes(points)
    width, height = np.linalg.norm(points[16] - points[0]), _height(points)
    top = _between(points[29], points[51], random.uniform(0.0, 1.0))
    steps = np.linspace(-0.75, 0.75, 9)
    wave = random.normal(0, 0.02, 9) + random.uniform(-0.15, 0.15) * steps
    edge = [top + across * width * step + down * height * rise for step, rise in zip(steps, wave, strict=True)]
    bottom = [point + down * height * 1.0 for point in (edge[-1], edge[0])]
    cover = np.zeros(pixels.shape[:2], np.float32)
    cv2.fillPoly(cover, [_whole(np.stack(edge + bottom))], 1.0, cv2.LINE_AA)
    return _blend(pixels, points, cover, _cloth(pixels.shape[:2], height, random))


def _side(pixels: Pixels, points: Points, random: Random) -> Pixels:
    """A telephone, a cup or a sheet over the left, right or lower half."""
    side = random.choice(np.array([-1.0, 0.0, 1.0]))
    right, lower = (side * random.uniform(0.3, 0.42), random.uniform(-0.1, 0.15))
    if side == 0:
        right, lower = random.uniform(-0.1, 0.1), random.uniform(0.25, 0.36)
    at = _place(points, right, lower)
    return _sheet(pixels, points, random, at, random.uniform(0.5, 0.75), random.uniform(0.6, 1.0))


def _sheet(pixels: Pixels, points: Points, random: Random, middle: Points, width: float, height: float) -> Pixels:
    """A rectangle around `middle`; its sides in heights of the face."""
    across, _ = _axes(points)
    unit = _height(points)
    angle = float(np.degrees(np.arctan2(across[1], across[0])) + random.normal(0, 12))
    cover = np.zeros(pixels.shape[:2], np.float32)
    corners = cv2.boxPoints((_pair(middle), (width * unit, height * unit), angle))
    cv2.fillPoly(cover, [_whole(corners)], 1.0, cv2.LINE_AA)
    plain = random.random() < 0.6
    colour = random.uniform(0, 255, 3) if random.random() < 0.5 else np.full(3, random.uniform(10, 245))
    surface = _shade(pixels.shape[:2], colour, random) if plain else _cloth(pixels.shape[:2], unit, random)
    return _blend(pixels, points, cover, surface)


def _balaclava(pixels: Pixels, points: Points, random: Random) -> Pixels:
    """Cloth over head and neck with one opening for the eyes, or a veil from the nose with a hood."""
    across, down = _axes(points)
    width, height = np.linalg.norm(points[16] - points[0]), _height(points)
    angle = float(np.degrees(np.arctan2(across[1], across[0])))
    cover = np.zeros(pixels.shape[:2], np.float32)
    middle = points[30] - down * height * 0.05
    cv2.ellipse(cover, _pixel(middle), (round(width * 0.68), round(height * 0.95)), angle, 0, 360, 1.0, -1, cv2.LINE_AA)
    eyes = (points[36:48].mean(axis=0)) + down * height * random.uniform(-0.02, 0.04)
    opening = (round(width * random.uniform(0.36, 0.48)), max(1, round(height * random.uniform(0.1, 0.19))))
    cv2.ellipse(cover, _pixel(eyes), opening, angle, 0, 360, 0.0, -1, cv2.LINE_AA)
    dark = random.random() < 0.6
    surface = (
        _shade(pixels.shape[:2], random.uniform(0, 70, 3), random) if dark else _cloth(pixels.shape[:2], height, random)
    )
    return _blend(pixels, points, cover, surface)


def _cloth(shape: tuple[int, int], unit: float, random: Random) -> Pixels:
    """Stripes, checks or blotches of two colours."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    step, turn = unit * random.uniform(0.04, 0.25), random.uniform(0, np.pi)
    along = np.sin((rows * np.sin(turn) + columns * np.cos(turn)) / step * np.pi)
    kind = random.integers(3)
    if kind == 1:
        along *= np.sin((rows * np.cos(turn) - columns * np.sin(turn)) / step * np.pi)
    elif kind == 2:
        small = random.normal(size=(12, 12)).astype(np.float32)
        along = cv2.resize(small, shape[::-1], interpolation=cv2.INTER_CUBIC)
    share = (1 / (1 + np.exp(-4 * along)))[:, :, None]
    first, second = random.uniform(0, 255, (2, 3))
    noise = random.normal(0, random.uniform(2, 14), (*shape, 1))
    return np.clip(share * first + (1 - share) * second + noise, 0, 255).astype(np.uint8)


def _shade(shape: tuple[int, int], colour: Points, random: Random) -> Pixels:
    """A plain surface under uneven light, with a little noise."""
    rows, columns = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    slope = random.uniform(-0.15, 0.15, 2)
    light = (1 + slope[0] * rows + slope[1] * columns)[:, :, None]
    noise = random.normal(0, random.uniform(1, 6), (*shape, 1))
    return np.ascontiguousarray(np.clip(light * colour + noise, 0, 255).astype(np.uint8))


def _blend(pixels: Pixels, points: Points, cover: Cover, surface: Pixels) -> Pixels:
    """Put `surface` over `pixels` where `cover` is 1, softly, in a third of the light and dark below it."""
    height = _height(points)
    soft = cv2.GaussianBlur(cover, (0, 0), max(0.3, height * SOFTNESS))[:, :, None]
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    light = cv2.GaussianBlur(grey, (0, 0), max(1.0, height / 12))
    light = 1 + 0.33 * (light / max(1.0, float(light[cover > 0.5].mean()) if (cover > 0.5).any() else 1.0) - 1)
    lit = np.clip(surface.astype(np.float32) * np.clip(light, 0.5, 1.5)[:, :, None], 0, 255)
    return np.asarray(np.rint(pixels * (1 - soft) + lit * soft), np.uint8)


def _skin(pixels: Pixels, points: Points, random: Random) -> Points:
    """About the colour of the nose and the cheeks."""
    column, row = np.clip(points[[29, 2, 14]].mean(axis=0), 0, np.array(pixels.shape[1::-1]) - 1).astype(int)
    reach = max(1, round(_height(points) * 0.05))
    patch = pixels[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
    return np.clip(np.median(patch.reshape(-1, 3), axis=0) * random.uniform(0.8, 1.15), 0, 255)


def _place(points: Points, right: float, lower: float) -> Points:
    """A point relative to the nose tip, in heights of the face."""
    across, down = _axes(points)
    return np.asarray(points[30] + (across * right + down * lower) * _height(points), np.float64)


def _height(points: Points) -> float:
    """From the brows to the chin."""
    return max(8.0, float(np.linalg.norm(points[8] - points[17:27].mean(axis=0))))


def _axes(points: Points) -> tuple[Points, Points]:
    """Unit vectors to the right and down the face, by the eyes."""
    across = points[42:48].mean(axis=0) - points[36:42].mean(axis=0)
    across = across / max(1e-6, float(np.linalg.norm(across)))
    return across, np.array([-across[1], across[0]])


def _between(first: Points, second: Points, share: float) -> Points:
    return np.asarray(first + (second - first) * share, np.float64)


def _whole(points: Points) -> NDArray[np.int32]:
    return np.rint(points).astype(np.int32)


def _pixel(point: Points) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def _pair(point: Points) -> tuple[float, float]:
    return float(point[0]), float(point[1])
