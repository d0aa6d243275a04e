"""Detection and landmarks on photographs whose faces were marked by hand: a zip in the format of dlib.

`training.xml` and `testing.xml` hold boxes, `*_with_face_landmarks.xml` 68 points for the same boxes. Boxes marked
`ignore` are left out. Faces that nobody marked count as false detections, so precision is a lower bound.
"""

import xml.etree.ElementTree as Xml
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lunaria.evaluation.detection import Matched, average_precision, landmark_error, match, recall_and_precision
from lunaria.vision.analysis import Analyzer
from lunaria.vision.images import Decoder
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.plan import Plan

SEARCHED = 0.3
"""Lowest score of detections that enter the average precision."""
MARKS = ("training_with_face_landmarks.xml", "testing_with_face_landmarks.xml")


@dataclass(frozen=True)
class Groups:
    images: int
    faces: int
    average_precision: float
    at: dict[float, tuple[float, float]]
    """Score -> recall and precision."""
    landmark_errors: NDArray[np.float64]
    """Of each detected face, as a share of the distance of the outer eye corners."""


@dataclass(frozen=True)
class Marked:
    name: str
    boxes: NDArray[np.float64]
    points: NDArray[np.float64]


def read_marks(text: str) -> list[Marked]:
    """The images of a file in dlib's format."""
    images = []
    for element in Xml.fromstring(text).iter("image"):
        boxes, points = [], []
        for box in element.iter("box"):
            if box.get("ignore") == "1":
                continue
            left, top, width, height = (float(box.get(key, "nan")) for key in ("left", "top", "width", "height"))
            boxes.append([left, top, left + width, top + height])
            parts = sorted(box.iter("part"), key=lambda part: part.get("name", ""))
            points.append([[float(part.get("x", "nan")), float(part.get("y", "nan"))] for part in parts])
        shape = (len(boxes), 68, 2)
        images.append(Marked(element.get("file", ""), np.array(boxes).reshape(-1, 4), np.array(points).reshape(shape)))
    return images


def measure_groups(source: Path, store: ModelStore) -> Groups:
    analyzer, decoder = Analyzer(store, score_threshold=SEARCHED), Decoder()
    plan = Plan(landmarks68=True)
    results: list[Matched] = []
    errors = []
    with zipfile.ZipFile(source) as archive:
        marked = [image for name in MARKS for image in read_marks(archive.read(name).decode("latin-1"))]
        for image in marked:
            found = analyzer.analyze(decoder.decode(archive.read(image.name)), plan)
            boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in (one.rect for one in found)], float)
            scores = np.array([one.score for one in found])
            result = match(boxes.reshape(-1, 4), scores, image.boxes)
            results.append(result)
            for place, truth in zip(np.argsort(-scores, kind="stable"), result.truth_of, strict=True):
                points = found[place].landmarks68
                if truth >= 0 and points is not None:
                    errors.append(landmark_error(points, image.points[truth]))
    return Groups(
        len(marked),
        sum(len(image.boxes) for image in marked),
        average_precision(results),
        {score: recall_and_precision(results, score) for score in (0.6, 0.7)},
        np.array(errors),
    )
