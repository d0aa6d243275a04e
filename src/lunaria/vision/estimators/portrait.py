"""The measures of a portrait that need no network of their own beyond the segmentation and the mesh.

See the modules portrait_color, portrait_background, portrait_geometry and portrait_distortion for each.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lunaria.vision.estimators.portrait_background import (
    CENTRE,
    PERSON,
    SIDE,
    STEP,
    Background,
    background,
    frame_to_image,
    head_region,
    inside_picture,
)
from lunaria.vision.estimators.portrait_color import (
    FaceColorType,
    dynamic_range,
    face_color_type,
    illumination_uniformity,
    natural_light,
)
from lunaria.vision.estimators.portrait_distortion import RadialDistortion
from lunaria.vision.estimators.portrait_geometry import Head, head
from lunaria.vision.estimators.portrait_segmentation import PortraitSegmentation
from lunaria.vision.estimators.quality import FaceSurface, surfaces
from lunaria.vision.geometry import Matrix, Pixels, inverse, transform
from lunaria.vision.landmarks import Landmarks
from lunaria.vision.views import FaceViews


@dataclass(frozen=True, slots=True)
class Portrait:
    """Measures of one face; None where one cannot be had or was not wanted.

    Numbers are 0 bad .. 1 good, the lightness of the background 0 black .. 1 white. `radial_distortion` and
    `natural_light` are True when all is well. `head`: in pixels of the image.
    """

    head: Head
    illumination_uniformity: float | None = None
    dynamic_range: float | None = None
    face_color_type: FaceColorType | None = None
    natural_light: bool | None = None
    background: Background | None = None
    radial_distortion: bool | None = None

    def values(self) -> dict[str, float | str | None]:
        """By the names of the checks, without those of the head's size, which depend on that of the picture."""
        return {
            "illumination_uniformity": self.illumination_uniformity,
            "dynamic_range": self.dynamic_range,
            "face_color_type": self.face_color_type,
            "natural_light": None if self.natural_light is None else int(self.natural_light),
            "background_lightness": self.background.lightness if self.background else None,
            "background_uniformity": self.background.uniformity if self.background else None,
            "radial_distortion": None if self.radial_distortion is None else int(self.radial_distortion),
        }


class PortraitEstimator:
    """Measures portraits. Thread-safe.

    `canonical` (468, 3): the canonical face; without `segmentation` background and head are judged by the landmarks.
    """

    def __init__(self, canonical: NDArray[np.float32], segmentation: PortraitSegmentation | None = None) -> None:
        self._distortion = RadialDistortion(canonical)
        self._segmentation = segmentation

    def estimate(self, views: FaceViews, *, segmentation: bool = True, mesh: bool = True) -> list[Portrait]:
        """Of each face its portrait. `segmentation` and `mesh`: whether what needs these networks is wanted."""
        frames = views.crops(CENTRE, SIDE * STEP, SIDE) if segmentation else []
        persons: list[NDArray[np.float32] | None] = [None] * len(views)
        if segmentation and self._segmentation is not None:
            persons = list(self._segmentation.person(frames))
        free = (
            [self._distortion.is_free(*found) for found in zip(views.meshes, views.poses, strict=True)]
            if mesh
            else [None] * len(views)
        )
        portraits = []
        for index, (surface, landmarks, to_warp) in enumerate(
            zip(surfaces(views), views.landmarks, views.to_warp, strict=True)
        ):
            to_image = frame_to_image(inverse(to_warp))
            behind = (
                _background(frames[index], persons[index], landmarks, to_warp, to_image, views.pixels.shape)
                if segmentation
                else None
            )
            portraits.append(_portrait(head(landmarks, persons[index], to_image), surface, behind, free[index]))
        return portraits


def _portrait(of_head: Head, surface: FaceSurface | None, behind: Background | None, free: bool | None) -> Portrait:
    if surface is None:
        return Portrait(of_head, background=behind, radial_distortion=free)
    return Portrait(
        of_head,
        illumination_uniformity=illumination_uniformity(surface),
        dynamic_range=dynamic_range(surface),
        face_color_type=face_color_type(surface),
        natural_light=natural_light(surface),
        background=behind,
        radial_distortion=free,
    )


def _background(
    frame: Pixels,
    person: NDArray[np.float32] | None,
    landmarks: Landmarks,
    to_warp: Matrix,
    to_image: Matrix,
    shape: tuple[int, ...],
) -> Background | None:
    if person is None:
        occupied = head_region(transform(to_warp, landmarks.points68))
    else:
        # One more pixel all round: the border of the network's answer is soft.
        occupied = cv2.dilate((person > PERSON / 2).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return background(frame, occupied, inside_picture(to_image, shape))
