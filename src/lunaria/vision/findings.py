"""What an analysis finds in an image."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.checks import Value
from lunaria.vision.descriptors import Descriptor
from lunaria.vision.estimators.basic_attributes import BasicAttributes
from lunaria.vision.estimators.body_attributes import BodyAttributes
from lunaria.vision.estimators.emotions import Emotions
from lunaria.vision.estimators.eyes import Eyes
from lunaria.vision.estimators.gaze import Gaze
from lunaria.vision.estimators.glasses import Glasses
from lunaria.vision.estimators.liveness import Liveness
from lunaria.vision.estimators.mask import MaskEstimate
from lunaria.vision.estimators.mouth import Mouth
from lunaria.vision.estimators.quality import Quality
from lunaria.vision.geometry import Pixels
from lunaria.vision.head_pose import HeadPose
from lunaria.vision.plan import Box


@dataclass(slots=True)
class FaceFinding:
    """One face. What the plan did not ask for, or what cannot be had of this face, is None.

    `rect` lies inside the image; `score` is that of the detector, 0..1, and 1 for a warp, where nothing is detected;
    landmarks (N, 2) in pixels of the image; `warp` (250, 250, 3) uint8 RGB; `deepfake`: the probability that the face
    is none; `measured`: values of portrait checks by name, without those that cannot be had.
    """

    rect: Box
    score: float
    landmarks5: NDArray[np.float64] | None = None
    landmarks68: NDArray[np.float64] | None = None
    head_pose: HeadPose | None = None
    warp: Pixels | None = None
    descriptor: Descriptor | None = None
    emotions: Emotions | None = None
    mask: MaskEstimate | None = None
    glasses: Glasses | None = None
    liveness: Liveness | None = None
    deepfake: float | None = None
    quality: Quality | None = None
    gaze: Gaze | None = None
    eyes: Eyes | None = None
    mouth: Mouth | None = None
    basic_attributes: BasicAttributes | None = None
    measured: dict[str, Value] = field(default_factory=dict)


@dataclass(slots=True)
class BodyFinding:
    """One body. What the plan did not ask for is None.

    `rect` lies inside the image; `score` as of a face; `warp` (256, 128, 3) uint8 RGB.
    """

    rect: Box
    score: float
    warp: Pixels | None = None
    descriptor: Descriptor | None = None
    attributes: BodyAttributes | None = None


@dataclass(slots=True)
class Findings:
    """Faces best detection score first, bodies likewise.

    `persons`: for each person the index of the face and that of the body, either of which may be None: first those with
    a face in the order of the faces, then lone bodies. `people`: where heads are (N, 2), if they were to be counted.
    """

    faces: list[FaceFinding] = field(default_factory=list)
    bodies: list[BodyFinding] = field(default_factory=list)
    persons: list[tuple[int | None, int | None]] = field(default_factory=list)
    people: NDArray[np.float64] | None = None
