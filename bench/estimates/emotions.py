"""Emotions and smiles on FER2013's public test part, or on photographs in folders named by emotions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.estimates.run import NO_FACE, Report, Run, Target, confusion_line, confusion_table, missed
from bench.estimates.sources import by_folder, mosaic, photograph
from lunaria.evaluation.classification import Confusion, area_under_curve
from lunaria.vision.estimators.emotions import EMOTIONS, SIDE, EmotionNetwork
from lunaria.vision.estimators.features import EMBEDDING, LinearHead
from lunaria.vision.findings import FaceFinding
from lunaria.vision.geometry import Pixels
from lunaria.vision.networks import NetworkLoader
from lunaria.vision.plan import Plan
from lunaria.vision.views import FaceFeatures, FaceViews

IN_FER2013 = dict(zip(("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"), EMOTIONS, strict=True))
"""The words of FER2013."""
TILE = 48
"""Pixels of a side of a tile."""
SMILING = 0.5
"""From here on a smile counts, as in the study that the figures to reach come from."""
FER2013 = "fer2013_public_test.jpg"
DATA = "FER2013, public test part, {count:,} grey tiles of 48 x 48 (issued for research), not trained on"


class Tiles:
    """Tiles as the emotion network's view of faces (`FaceViews.crops`): their middles, whatever centre is asked for."""

    def __init__(self, tiles: Sequence[Pixels]) -> None:
        self._tiles = tiles

    def __len__(self) -> int:
        return len(self._tiles)

    @property
    def features(self) -> FaceFeatures:
        """None: the second opinion on shared features is left out."""
        nothing = np.zeros((len(self), EMBEDDING), np.float32)
        return FaceFeatures(nothing, nothing, nothing[:, 0])

    def crops(self, centre: tuple[float, float], side: float, size: int) -> NDArray[np.uint8]:
        """(N, size, size, 3): as much of the middle as `side` is of the side of a whole tile."""
        visible = round(TILE * side / SIDE)
        margin = (TILE - visible) // 2
        middles = [tile[margin : TILE - margin, margin : TILE - margin] for tile in self._tiles]
        way = cv2.INTER_AREA if visible >= size else cv2.INTER_LINEAR
        scaled = [cv2.resize(middle, (size, size), interpolation=way) for middle in middles]
        return np.repeat(np.stack(scaled)[..., None], 3, axis=3)


def measure(run: Run) -> list[Report]:
    source = run.part(FER2013) or run.data
    role = "face_emotions" if run.store.allows("face_emotions") else "face_emotions_open"
    roles = ("face_detector", "face_landmarks68", role)
    if source.suffix != ".jpg":
        labelled = by_folder(source, (*EMOTIONS, *IN_FER2013))
        names = run.chosen(list(labelled))
        found = run.faces(((name, labelled[name][1]) for name in names), len(names), Plan(emotions=True))
        truth = [IN_FER2013.get(labelled[name][0], labelled[name][0]) for name in names]
        told = [told_of(face) for face in found.values()]
        whole = Confusion.of(truth, told, EMOTIONS)
        data = f"{source.name}, {len(names):,} photographs in folders of {len(whole.truths)} emotions"
        return [Report("emotions", data, roles, [confusion_line(whole, "Whole chain"), "", confusion_table(whole)])]
    return list(_of_tiles(run, mosaic(source), roles))


def _of_tiles(run: Run, tiles: list[tuple[str, Pixels]], roles: tuple[str, ...]) -> tuple[Report, Report]:
    """Emotions and smiles; each tile is looked at once."""
    chosen = [tiles[int(number)] for number in run.chosen([str(number) for number in range(len(tiles))])]
    pictures = ((str(number), photograph(tile)) for number, (_, tile) in enumerate(chosen))
    found = run.faces(pictures, len(chosen), Plan(emotions=True, mouth=True))
    words = [word for word, _ in chosen]
    whole = Confusion.of([IN_FER2013[word] for word in words], [told_of(face) for face in found.values()], EMOTIONS)
    lines = [confusion_line(whole, "Whole chain (tiles enlarged, their edges drawn out, the face looked for)")]
    targets = []
    if roles[-1] == "face_emotions":
        session = NetworkLoader(run.store, "auto", "cpu").session(roles[-1])
        silent = LinearHead(
            np.zeros((EMBEDDING, len(EMOTIONS)), np.float32), np.zeros(len(EMOTIONS), np.float32), EMOTIONS
        )
        network = EmotionNetwork(session, silent, weight=0.0)
        lying = cast(FaceViews, Tiles([tile for _, tile in tiles]))
        told = [max(one, key=one.__getitem__) for one in network.estimate(lying)]
        on_tiles = Confusion.of([IN_FER2013[word] for word, _ in tiles], told, EMOTIONS)
        each = ", ".join(f"{word} {recall:.2f}" for word, recall in on_tiles.recalls.items())
        lines += [
            f"- Network on the tile as it lies, without the second opinion of the head: n={len(tiles):,}, **accuracy "
            f"{on_tiles.accuracy:.3f}**, mean recall {on_tiles.balanced_accuracy:.3f} ({each})."
        ]
        targets.append(Target("accuracy on the tile as it lies: least of an own network", 0.65, on_tiles.accuracy))
        targets.append(Target("the same: what would be good", 0.70, on_tiles.accuracy))
    chain_accuracy = whole.without(NO_FACE).accuracy
    targets.append(Target("whole chain, faces found: what the packaged network has on tiles", 0.584, chain_accuracy))
    lines += ["", "Whole chain:", "", confusion_table(whole)]
    data = DATA.format(count=len(tiles)) + ("" if len(chosen) == len(tiles) else f", {len(chosen):,} of them searched")
    used = (*roles, "face_features", "face_emotions_head") if roles[-1] == "face_emotions" else roles
    return Report("emotions", data, used, lines, targets), _smiles(run, words, found, data)


def _smiles(run: Run, words: Sequence[str], found: Mapping[str, FaceFinding | None], data: str) -> Report:
    pairs = [
        (word == "happy", face.mouth.smile)
        for word, face in zip(words, found.values(), strict=True)
        if face is not None and face.mouth is not None
    ]
    happy = np.array([is_happy for is_happy, _ in pairs])
    smile = np.array([score for _, score in pairs])
    area = area_under_curve(smile[happy], smile[~happy])
    hits, alarms = float((smile[happy] >= SMILING).mean()), float((smile[~happy] >= SMILING).mean())
    run.roc("smile", "happy against the rest, FER2013", {"smile": (smile[happy], smile[~happy])}, SMILING)
    lines = [
        f"- Faces labelled happy against all others by the score of a smile: **area under the ROC curve {area:.3f}** "
        f"(n={happy.sum():,} and {(~happy).sum():,}); at {SMILING} {hits:.3f} of the happy and {alarms:.3f} of the "
        f"others count as smiling; {missed(found)}.",
    ]
    targets = [
        Target("area under the curve", 0.931, area, percent=False),
        Target(f"happy faces that count as smiling at {SMILING}", 0.69, hits),
        Target("others that do", 0.05, alarms, least=False),
    ]
    roles = ["face_detector", "face_landmarks68", "face_mesh", "face_blendshapes"]
    if run.store.allows("face_emotions_head"):
        roles += ["face_features", "face_emotions_head"]
    return Report("smile", data, roles, lines, targets)


def told_of(face: FaceFinding | None) -> str:
    if face is None or face.emotions is None:
        return NO_FACE
    return max(face.emotions, key=face.emotions.__getitem__)
