"""Where the faces are and which side of them is up: a detection network at two scales, and in four orientations.

YuNet finds faces from about 12 pixels of its input and loses those that are large in it, hence a second, small scale.

It also finds most faces that lie on their side or head, but with points as if they stood upright, and a descriptor
made from these is worthless (cosine 0.0 to 0.7 with the upright one). Its score says which faces surely stand; the
others are looked at in four positions, and where another may be right, a `Choice` decides: with SFace the longest raw
vector. Of 145 photographs of LFW that no limit was chosen on, turned by 90, 180 and 270 degrees, 3, 1 and 3 came out
wrong (cosine to the upright photo at most 0.7; median of all 0.998 or more), tilted by 20, 30, 45, -45, 60 and -60
degrees 0, 0, 1, 1, 4 and 1. Of 2,869 faces in 2,320 photographs as they are 2 were turned, both in the background. When
a face lies, the whole image is searched in its position too. A lying face among standing ones may be missed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from lunaria.vision.detections import DetectionNetwork, Detections, no_detections
from lunaria.vision.geometry import Pixels, Points, crop, overlap, resized, square_transform, suppress_overlaps

MERGED_OVERLAP = 0.4

LARGE_SIDE = 640
SMALL_SIDE = 240
NATIVE_SIDE = 400
SMALLEST_FACE_IN_INPUT = 12

BOX_INPUT_SIDE = 320
BOX_MARGIN = 2.5
BOX_OVERLAP = 0.2

ORIENTATION_INPUT_SIDE = 128
ORIENTATION_MARGIN = 2.0
POSSIBLE_LEAD = -0.02
"""How the score in another position must compare with that in the supposed one before the position is in doubt."""
CLEAR_LEAD = 0.06
"""The lead that decides when nothing but the detector can be asked."""

NEW_FACE_OVERLAP = 0.1

_TURNS = {
    90: cv2.ROTATE_90_COUNTERCLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_CLOCKWISE,
}


Choice = Callable[[Pixels, Detections], int]
"""Which of several candidates is the face: one face of an RGB image (H, W, 3), seen in different positions (`turns`).

The first candidate is the position in which it was found."""


class FaceDetector:
    """Finds faces with a detection network. Thread-safe.

    `minimum_face_size`: faces at least this many pixels wide and high in the image shall be found; it sets the large
    scale. None: long side 640, so from 1/53 of the long side of the image.
    """

    def __init__(self, network: DetectionNetwork, *, minimum_face_size: int | None = None) -> None:
        self._network = network
        self._minimum_face_size = minimum_face_size

    def detect(self, pixels: Pixels, choose: Choice | None = None) -> Detections:
        """All faces of an RGB image (H, W, 3). `choose` decides how doubtful ones lie; None: the detector's scores."""
        found = self._at_sides(pixels, self._sides(max(pixels.shape[:2])))
        if not len(found):
            return self._oriented(pixels, self._turned(pixels), choose)
        found = self._oriented(pixels, found, choose)
        for turn in sorted({int(turn) for turn in found.turns} - {0}):
            # A face that lies is found less surely than one that stands: where one does, others may have been missed.
            found = self._with_new(pixels, found, self._at_turn(pixels, turn), choose)
        return self._merge([found])

    def _with_new(self, pixels: Pixels, found: Detections, more: Detections, choose: Choice | None) -> Detections:
        """`found` and those of `more` that are elsewhere and whose position holds when looked at closely."""
        for index in range(len(more)):
            face = more.take([index])
            if len(found) and overlap(found.boxes, face.boxes[0]).max() > NEW_FACE_OVERLAP:
                continue
            checked = self._orient(pixels, face, choose)
            if checked.turns[0]:
                found = found.joined(checked)
        return found

    def detect_in_box(self, pixels: Pixels, box: Points, choose: Choice | None = None) -> Detections:
        """The face that a given box x1, y1, x2, y2 is meant to hold: zero or one detection. `choose`: as in detect."""
        height, width = pixels.shape[:2]
        box = np.clip(box, 0, [width, height, width, height])
        if (box[2:] - box[:2]).min() < 1:
            return no_detections()
        small, to_image = _around(pixels, box, BOX_MARGIN, BOX_INPUT_SIDE)
        candidates = _matching(self._network.run(small).moved(*to_image), box)
        if not len(candidates):
            candidates = _matching(self._turned(small).moved(*to_image), box)
        if not len(candidates):
            return candidates
        chosen = candidates.take([int(np.argmax(overlap(candidates.boxes, box) * candidates.scores))])
        return self._orient(pixels, chosen, choose)

    def _sides(self, long_side: int) -> list[int]:
        """Long sides of the network's input for an image with this long side."""
        if long_side <= NATIVE_SIDE:
            large = long_side
        elif self._minimum_face_size is None:
            large = min(long_side, LARGE_SIDE)
        else:
            wanted = round(long_side * SMALLEST_FACE_IN_INPUT / self._minimum_face_size)
            large = min(long_side, self._network.largest_side, max(wanted, SMALL_SIDE))
        return [large, SMALL_SIDE] if large > SMALL_SIDE else [large]

    def _at_sides(self, pixels: Pixels, sides: list[int]) -> Detections:
        """Faces found with the image shrunk to each of these long sides, the largest first."""
        parts: list[Detections] = []
        small = pixels
        for side in sides:
            # From the size before, not from the image: a large one is gone through only once.
            small = resized(small, side)
            parts.append(self._network.run(small).moved(max(pixels.shape[:2]) / side, np.zeros(2)))
        return self._merge(parts)

    def _turned(self, pixels: Pixels) -> Detections:
        """Faces of a photo that lies on its side or head: of the three turns the one with the highest sum of scores."""
        return max((self._at_turn(pixels, turn) for turn in _TURNS), key=lambda found: float(found.scores.sum()))

    def _at_turn(self, pixels: Pixels, degrees: int) -> Detections:
        """Faces that are turned clockwise by 90, 180 or 270 degrees."""
        long_side = max(pixels.shape[:2])
        sides = self._sides(long_side)
        small = resized(pixels, sides[0])
        found = self._at_sides(_turned_pixels(small, degrees), sides)
        return _turn_back(found, degrees, (small.shape[1], small.shape[0])).moved(long_side / sides[0], np.zeros(2))

    def _oriented(self, pixels: Pixels, faces: Detections, choose: Choice | None) -> Detections:
        """The same faces, with box and points replaced where one stands in another position."""
        return no_detections().joined(*[self._orient(pixels, faces.take([n]), choose) for n in range(len(faces))])

    def _orient(self, pixels: Pixels, face: Detections, choose: Choice | None) -> Detections:
        if face.scores[0] >= self._network.standing_score:
            return face
        candidates, scores = self._candidates(pixels, face)
        best = int(np.argmax(scores))
        lead = max(scores[1:]) - scores[0]
        if lead < POSSIBLE_LEAD:
            return face
        if choose is not None:
            best = choose(pixels, candidates)
        elif lead <= CLEAR_LEAD:
            return face
        return candidates.take([best])

    def _candidates(self, pixels: Pixels, face: Detections) -> tuple[Detections, list[float]]:
        """The face as it was found and in the three other positions, and the score of each in a small crop.

        Where the network sees nothing in a position, the candidate is the found box in that position.
        """
        box, supposed = face.boxes[0], int(face.turns[0])
        small, to_image = _around(pixels, box, ORIENTATION_MARGIN, ORIENTATION_INPUT_SIDE)
        candidates, scores = no_detections(), []
        for turn in [(supposed + step) % 360 for step in (0, 90, 180, 270)]:
            seen = self._network.run(_turned_pixels(small, turn))
            found = _matching(_turn_back(seen, turn, small.shape[:2]).moved(*to_image), box)
            scores.append(float(found.scores.max(initial=0)))
            if turn == supposed or not len(found):
                candidates = candidates.joined(replace(face, turns=np.array([turn])))
            else:
                candidates = candidates.joined(found.take([int(np.argmax(found.scores))]))
        return candidates, scores

    def _merge(self, parts: list[Detections]) -> Detections:
        merged = no_detections().joined(*parts)
        return merged.take(suppress_overlaps(merged.boxes, merged.scores, MERGED_OVERLAP))


def _turned_pixels(pixels: Pixels, degrees: int) -> Pixels:
    """The image turned counter-clockwise by 0, 90, 180 or 270 degrees."""
    return np.asarray(cv2.rotate(pixels, _TURNS[degrees]), np.uint8) if degrees else pixels


def _turn_back(found: Detections, degrees: int, size: tuple[int, ...]) -> Detections:
    """Map what was found in an image turned counter-clockwise by `degrees` to the unturned one of `size` (w, h)."""
    if not degrees:
        return found
    width, height = size

    def back(points: Points) -> Points:
        x, y = points[..., 0], points[..., 1]
        if degrees == 90:
            x, y = width - y, x
        elif degrees == 180:
            x, y = width - x, height - y
        else:
            x, y = y, height - x
        return np.stack([x, y], axis=-1)

    first, second = back(found.boxes[:, :2]), back(found.boxes[:, 2:])
    boxes = np.concatenate([np.minimum(first, second), np.maximum(first, second)], axis=1)
    return Detections(boxes, found.scores, back(found.points), np.full(len(found), degrees))


def _around(pixels: Pixels, box: Points, margin: float, size: int) -> tuple[Pixels, tuple[float, Points]]:
    """A square crop of `margin` times the longer side of a box, and scale and shift from its pixels to the image."""
    centre, side = (box[:2] + box[2:]) / 2, float((box[2:] - box[:2]).max()) * margin
    return crop(pixels, square_transform(centre, side, 0, size), size), (side / size, centre - side / 2)


def _matching(found: Detections, box: Points, least: float = BOX_OVERLAP) -> Detections:
    """Detections that are about the given box: they overlap it at least so much and their centre lies in it."""
    centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    inside = ((centres >= box[:2]) & (centres <= box[2:])).all(axis=1)
    return found.take(np.flatnonzero(inside & (overlap(found.boxes, box) >= least)))
