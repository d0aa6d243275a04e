"""What estimators look at: the faces of one image, and what several of them need, computed once at first use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from lunaria.vision.geometry import Matrix, Pixels, chain, crop, inverse, square_transform
from lunaria.vision.head_pose import FaceMesh, HeadPose, HeadPoseEstimator
from lunaria.vision.landmarks import Landmarks
from lunaria.vision.runtime import RuntimeUnavailableError
from lunaria.vision.warps import warp_transform


@dataclass(frozen=True, slots=True)
class FaceFeatures:
    """What the network faceres sees in each of N faces.

    `embedding` (N, 1024) float32: input of the heads that were trained on it; `ages` (N, 100): probabilities of an age
    of i..i+1 years; `male` (N,): probability.
    """

    embedding: NDArray[np.float32]
    ages: NDArray[np.float32]
    male: NDArray[np.float32]


class Meshes(Protocol):
    """Places the 478 points of MediaPipe's face mesh."""

    def locate_all(self, pixels: Pixels, faces: Sequence[Landmarks]) -> list[FaceMesh]: ...


class Blendshapes(Protocol):
    """Strengths of 52 facial movements from meshes."""

    def estimate(self, meshes: Sequence[FaceMesh]) -> NDArray[np.float32]:
        """(N, 52), 0..1, in the order of `lunaria.vision.estimators.blendshapes.NAMES`."""
        ...


class Features(Protocol):
    """The backbone that several heads share."""

    def extract(self, views: FaceViews) -> FaceFeatures: ...


class Shared(Protocol):
    """Networks whose answers several estimates need."""

    @property
    def mesh(self) -> Meshes: ...

    @property
    def pose(self) -> HeadPoseEstimator: ...

    @property
    def blendshapes(self) -> Blendshapes: ...

    @property
    def features(self) -> Features: ...


@dataclass(frozen=True, slots=True)
class SharedNetworks:
    """Shared networks that are loaded already."""

    mesh: Meshes
    pose: HeadPoseEstimator
    blendshapes: Blendshapes
    features: Features


class FaceViews:
    """N faces of one RGB image (H, W, 3). For one call in one thread.

    `is_warp`: the image is a 250x250 face warp. Crops are given in pixels of the warp, whatever the image is, so that a
    photo and the warp cut from it are seen alike.
    """

    def __init__(
        self, pixels: Pixels, landmarks: Sequence[Landmarks], shared: Shared, *, is_warp: bool = False
    ) -> None:
        self.pixels = pixels
        self.landmarks = list(landmarks)
        self.is_warp = is_warp
        self._shared = shared
        self._crops: dict[tuple[float, float, float, int, int], list[Pixels]] = {}

    def __len__(self) -> int:
        return len(self.landmarks)

    @cached_property
    def to_warp(self) -> list[Matrix]:
        """For each face the 2x3 matrix from the image to its warp."""
        return [warp_transform(face.points5) for face in self.landmarks]

    def crops(
        self, centre: tuple[float, float], side: float, size: int, *, border: int = cv2.BORDER_REPLICATE
    ) -> list[Pixels]:
        """Of each face the upright square of `side` around `centre`, both in pixels of the warp, as size x size RGB."""
        key = (*centre, side, size, border)
        if key not in self._crops:
            in_warp = square_transform(np.array(centre), side, 0, size)
            self._crops[key] = [
                crop(self.pixels, chain(inverse(to_warp), in_warp), size, border=border) for to_warp in self.to_warp
            ]
        return self._crops[key]

    @cached_property
    def meshes(self) -> list[FaceMesh]:
        """The mesh of each face, in pixels of the image."""
        return self._shared.mesh.locate_all(self.pixels, self.landmarks)

    @cached_property
    def poses(self) -> list[HeadPose | None]:
        """The pose of each head; None where the mesh hardly saw a face.

        Where no backend reads the network of the mesh, by the 68 landmarks.
        """
        try:
            return [self._shared.pose.from_mesh(mesh) for mesh in self.meshes]
        except RuntimeUnavailableError:
            return [self._shared.pose.from_landmarks(face.points68) for face in self.landmarks]

    @cached_property
    def blendshapes(self) -> NDArray[np.float32]:
        """(N, 52) strengths of facial movements."""
        return self._shared.blendshapes.estimate(self.meshes)

    @cached_property
    def features(self) -> FaceFeatures:
        """What the shared backbone sees in each face."""
        return self._shared.features.extract(self)
