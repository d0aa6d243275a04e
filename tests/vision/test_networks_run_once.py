"""Which networks a plan runs, and how often: each once over all faces or bodies, none that nobody asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.estimation.pictures import beside, encode, read

from lunaria.estimation.catalogue import ESTIMATES
from lunaria.vision.analysis import Analyzer
from lunaria.vision.checks import CHECKS, chosen
from lunaria.vision.images import Decoder, Image
from lunaria.vision.networks import NetworkLoader
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.plan import ImageType, Plan
from lunaria.vision.warps import cut_body_warp

ALL_CHECKS = frozenset(check.name for check in CHECKS)
OF_FACES = (
    *("landmarks68", "landmarks5", "head_pose", "descriptor", "warp", "emotions", "mask", "glasses", "liveness"),
    *("deepfake", "quality", "gaze", "eyes", "mouth", "basic_attributes"),
)
OF_BODIES = ("body_descriptor", "body_basic_attributes", "upper_body", "lower_body", "accessories", "body_warp")

DETECTION = {"face_detector", "face_landmarks68", "face_descriptor"}
"""How a face lies may be decided by what its descriptor says; so both may run before anything is estimated."""
BODY_DETECTION = {"body_detector_nanodet", "body_detector_centernet"}
MESH = {"face_mesh"}
EYES = MESH | {"body_features"}  # sunglasses hide eyes
RUN: dict[str, set[str]] = {
    "landmarks68": set(),
    "landmarks5": set(),
    "head_pose": MESH,
    "descriptor": set(),
    "warp": set(),
    "emotions": {"face_emotions", "face_features"},
    "mask": {"face_features"},
    "glasses": {"body_features"},
    "liveness": MESH | {"face_liveness_27", "face_liveness_40"},
    "deepfake": set(),
    "quality": set(),
    "gaze": EYES | {"face_blendshapes"},
    "eyes": EYES,
    "mouth": MESH | {"face_blendshapes", "face_features"},
    "basic_attributes": {"face_features", "face_age", "face_gender"},
    "body_descriptor": {"body_pedestrians"},
    "body_basic_attributes": {"body_pedestrians"},
    "upper_body": {"body_pedestrians"},
    "lower_body": {"body_pedestrians"},
    "accessories": {"body_pedestrians"},
    "body_warp": set(),
}
"""The networks that an estimate runs beside those of the detection."""

Ran = Counter[str]


class Counting:
    """A network that counts how often it runs."""

    def __init__(self, session: Any, role: str, ran: Ran) -> None:
        self._session, self._role, self._ran = session, role, ran

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, feeds: Any) -> Any:
        self._ran[self._role] += 1
        return self._session.run(feeds)


class Machine:
    """An analyzer whose networks are counted."""

    def __init__(self, store: ModelStore, ran: Ran) -> None:
        self.analyzer = Analyzer(store)
        self._ran = ran

    @contextmanager
    def counted(self) -> Iterator[Ran]:
        """What runs meanwhile."""
        before = self._ran.copy()
        found: Ran = Counter()
        yield found
        found.update(self._ran - before)


@pytest.fixture(scope="module")
def machine(model_store: ModelStore) -> Iterator[Machine]:
    ran: Ran = Counter()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("session", "portable_session"):
            original = getattr(NetworkLoader, name)

            def counting(loader: NetworkLoader, role: str, original: Any = original) -> Any:
                return Counting(original(loader, role), role, ran)

            patch.setattr(NetworkLoader, name, counting)
        yield Machine(model_store, ran)


@pytest.fixture(scope="module")
def image(photos: Path) -> Image:
    """Two persons, upright and large: nothing has to be looked for twice."""
    return Decoder().decode(encode(beside(read(photos / "obama.jpg"), read(photos / "biden.jpg"))))


@pytest.fixture(scope="module")
def everything() -> Plan:
    flags = dict.fromkeys((*OF_FACES, *OF_BODIES, "detect_bodies", "people_count"), True)
    return Plan(checks=ALL_CHECKS, **flags)


def test_every_flag_of_a_plan_is_in_the_table() -> None:
    others = {"multiface", "detect_faces", "detect_bodies", "people_count", "checks"}
    assert {field.name for field in fields(Plan)} - others == set(RUN)


@pytest.mark.parametrize("flag", OF_FACES)
def test_an_estimate_of_faces_runs_its_networks_alone(machine: Machine, image: Image, flag: str) -> None:
    with machine.counted() as ran:
        found = machine.analyzer.find(image, Plan(**{flag: True}))
    assert len(found.faces) == 2
    assert ran.keys() - DETECTION == RUN[flag]
    assert all(ran[role] == 1 for role in RUN[flag] - {"face_blendshapes"}), ran
    assert ran["face_blendshapes"] <= 2  # it takes one face at a time


@pytest.mark.parametrize("flag", OF_BODIES)
def test_an_estimate_of_bodies_runs_its_networks_alone(machine: Machine, image: Image, flag: str) -> None:
    with machine.counted() as ran:
        found = machine.analyzer.find(image, Plan(detect_faces=False, detect_bodies=True, **{flag: True}))
    assert len(found.bodies) >= 2
    assert ran.keys() == BODY_DETECTION | RUN[flag]
    assert all(ran[role] == 1 for role in RUN[flag])


def test_where_faces_and_bodies_are(machine: Machine, image: Image) -> None:
    """What is not detected is not looked for; counting people looks for bodies only."""
    for plan, roles in (
        (Plan(detect_faces=False), set()),
        (Plan(detect_faces=False, detect_bodies=True), BODY_DETECTION),
        (Plan(detect_faces=False, people_count=True), BODY_DETECTION),
        (Plan(detect_faces=False, **dict.fromkeys((*OF_FACES, *OF_BODIES), True)), set()),
    ):
        with machine.counted() as ran:
            machine.analyzer.find(image, plan)
        assert ran.keys() == roles
    with machine.counted() as ran:
        machine.analyzer.find(image, Plan())
    assert ran.keys() <= DETECTION


def test_everything_at_once_runs_each_network_once(machine: Machine, image: Image, everything: Plan) -> None:
    with machine.counted() as alone:
        machine.analyzer.find(image, Plan(landmarks68=True, descriptor=True))
    with machine.counted() as bodies:
        machine.analyzer.find(image, Plan(detect_faces=False, detect_bodies=True, people_count=True))
    with machine.counted() as ran:
        found = machine.analyzer.find(image, everything)
    assert len(found.faces) == 2
    for role in DETECTION:
        assert ran[role] == alone[role], role
    for role in BODY_DETECTION:
        assert ran[role] == bodies[role], role
    twice = {"face_blendshapes": 2, "portrait_segmentation": 2, "body_keypoints": 2}
    others = ran.keys() - DETECTION - BODY_DETECTION
    assert others == set().union(*RUN.values()) | {"portrait_segmentation", "body_keypoints"}
    for role in others:
        assert ran[role] <= twice.get(role, 1), (role, ran[role])


def test_checks_run_what_they_need(machine: Machine, image: Image) -> None:
    for needed in {check.needs for check in CHECKS}:
        names = frozenset(check.name for check in CHECKS if check.needs == needed)
        with machine.counted() as ran:
            found = machine.analyzer.find(image, Plan(checks=names))
        assert all(any(name in face.measured for face in found.faces) for name in names), names
        allowed = set().union(*(NEEDED[need] for need in needed)) if needed else set()
        assert ran.keys() - DETECTION <= allowed, names


NEEDED: dict[str, set[str]] = {
    "quality": set(),
    "portrait": set(),
    "segmentation": {"portrait_segmentation"},
    "mesh": MESH,
    "head_pose": MESH,
    "gaze": RUN["gaze"],
    "mouth": RUN["mouth"],
    "glasses": RUN["glasses"],
    "eyes": RUN["eyes"],
    "red_eyes": EYES,
    "eyebrows": MESH | {"face_blendshapes"},
    "headwear": {"body_features"},
    "shoulders": {"body_keypoints"},
}
"""The networks behind each need of a check."""


def test_warps_run_neither_detection_nor_what_they_cannot_tell(
    machine: Machine, image: Image, everything: Plan
) -> None:
    (face, _) = machine.analyzer.find(image, Plan(warp=True, landmarks68=True)).faces
    assert face.warp is not None
    warp = Decoder().decode(encode(face.warp))
    with machine.counted() as ran:
        machine.analyzer.find(warp, everything, image_type=ImageType.FACE_WARP)
    assert not ran.keys() & {"face_detector", "face_liveness_27", "face_liveness_40", *BODY_DETECTION}
    checks = frozenset(check.name for check in chosen(is_warp=True))
    with machine.counted() as ran:
        machine.analyzer.find(warp, Plan(checks=checks), image_type=ImageType.FACE_WARP)
    assert "body_keypoints" not in ran
    assert max(count for role, count in ran.items() if role != "face_landmarks68") == 1
    body = Decoder().decode(encode(cut_body_warp(image.pixels, np.array([0.0, 0, 600, 800]))))
    with machine.counted() as ran:
        machine.analyzer.find(body, everything, image_type=ImageType.BODY_WARP)
    assert ran == {"body_pedestrians": 1}


def test_the_catalogue_names_the_networks_that_run() -> None:
    """What /6/features says an estimate is computed with, runs for it. The mesh of the liveness serves its quality."""
    estimates = {"eyes": "eyes_attributes", "mouth": "mouth_attributes"}
    bodies = {"body_basic_attributes", "upper_body", "lower_body", "accessories"}
    of_plans = {flag: "body_attributes" if flag in bodies else estimates.get(flag, flag) for flag in RUN}
    for flag, estimate in of_plans.items():
        if estimate in ESTIMATES:
            assert RUN[flag] - ({"face_mesh"} if flag == "liveness" else set()) <= set(ESTIMATES[estimate][0]), flag
