"""What is wanted of an image."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from lunaria.vision.geometry import Pixels, Points


class MultifacePolicy(IntEnum):
    """What to do with several faces in one image: refuse, take all, take the one with the highest detection score.

    Only with ALLOWED are bodies found that belong to no face.
    """

    NOT_ALLOWED = 0
    ALLOWED = 1
    BEST = 2


class ImageType(IntEnum):
    """What an image shows: anything, or a face or body that was already brought into the standard position."""

    RAW = 0
    FACE_WARP = 1
    BODY_WARP = 2


class Box(NamedTuple):
    """A rectangle in whole pixels of the image."""

    x: int
    y: int
    width: int
    height: int

    @property
    def corners(self) -> Points:
        """x1, y1, x2, y2."""
        return np.array([self.x, self.y, self.x + self.width, self.y + self.height], np.float64)

    @classmethod
    def clipped(cls, corners: Points, pixels: Pixels) -> Box:
        """The part of x1, y1, x2, y2 inside an image (H, W, 3), at least one pixel."""
        height, width = pixels.shape[:2]
        left, top = np.clip(np.rint(corners[:2]), 0, [width - 1, height - 1]).astype(int).tolist()
        right, bottom = np.clip(np.rint(corners[2:]), [left + 1, top + 1], [width, height]).astype(int).tolist()
        return cls(left, top, right - left, bottom - top)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is wanted of the image and of each face and body in it; it decides which networks run.

    `checks`: names of portrait checks (`lunaria.vision.checks`) whose values are measured.
    """

    multiface: MultifacePolicy = MultifacePolicy.ALLOWED
    detect_faces: bool = True
    detect_bodies: bool = False
    people_count: bool = False

    landmarks68: bool = False
    landmarks5: bool = False
    head_pose: bool = False
    descriptor: bool = False
    warp: bool = False
    emotions: bool = False
    mask: bool = False
    glasses: bool = False
    liveness: bool = False
    deepfake: bool = False
    quality: bool = False
    gaze: bool = False
    eyes: bool = False
    mouth: bool = False
    basic_attributes: bool = False
    checks: frozenset[str] = frozenset()

    body_descriptor: bool = False
    body_basic_attributes: bool = False
    upper_body: bool = False
    lower_body: bool = False
    accessories: bool = False
    body_warp: bool = False

    @property
    def looks_at_faces(self) -> bool:
        """Whether more is wanted of faces than where they are."""
        flags = (
            *(self.landmarks68, self.landmarks5, self.head_pose, self.descriptor, self.warp, self.emotions, self.mask),
            *(self.glasses, self.liveness, self.deepfake, self.quality, self.gaze, self.eyes, self.mouth),
            *(self.basic_attributes, self.faces_tell_of_bodies),
        )
        return any(flags) or bool(self.checks)

    @property
    def faces_tell_of_bodies(self) -> bool:
        """Whether age and gender of bodies are wanted and may be told from their faces."""
        return self.detect_bodies and self.body_basic_attributes

    @property
    def body_attributes(self) -> bool:
        """Whether anything is wanted that the attribute heads of bodies tell."""
        return self.body_basic_attributes or self.upper_body or self.lower_body or self.accessories
