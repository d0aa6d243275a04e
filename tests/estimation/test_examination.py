"""The pool's share of an examination: order, errors, refusal, and work that nobody waits for."""

import asyncio
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from lunaria.estimation.decisions import Decisions, WantedChecks
from lunaria.estimation.estimates import FilterReason
from lunaria.estimation.examination import Examiner, Order, of_one_person
from lunaria.estimation.filters import WantedStates
from lunaria.estimation.inputs import InputImage
from lunaria.http.errors import ApiError, ErrorLinks
from lunaria.kit.pool import PoolFullError, WorkerPool
from lunaria.vision.analysis import Analyzer
from lunaria.vision.checks import Bounds, Threshold
from lunaria.vision.descriptor_coding import DescriptorCoding
from lunaria.vision.findings import BodyFinding, FaceFinding, Findings
from lunaria.vision.images import Decoder
from lunaria.vision.plan import Box, MultifacePolicy, Plan
from tests.estimation.pictures import encode, grey

DECISIONS = Decisions(liveness_threshold=0.5, liveness_quality=0.5, deepfake_threshold=0.5)


class Recorder:
    """Stands for the networks: tells which thread analysed how many images, and waits when told to."""

    def __init__(self) -> None:
        self.threads: list[str] = []
        self.go = threading.Event()
        self.go.set()

    def find(self, image: Any, plan: Plan, **options: Any) -> Findings:
        self.threads.append(threading.current_thread().name)
        self.go.wait(10)
        if image.pixels.shape[0] == 9:
            raise RuntimeError("a defect")
        face = FaceFinding(
            Box(0, 0, image.pixels.shape[1], 1),
            1.0,
            warp=np.zeros((250, 250, 3), np.uint8),
            deepfake=0.1,
            measured={"head_yaw": 7.0, "glasses": "sunglasses", "image_width": 200.0},
        )
        bodies = [BodyFinding(Box(0, 0, 2, 2), 1.0), BodyFinding(Box(5, 0, 2, 2), 0.5)]
        return Findings([face], bodies, [(0, 0), (None, 1)])


@pytest.fixture
def world() -> Iterator[SimpleNamespace]:
    recorder, pool = Recorder(), WorkerPool(2, 2, name="vision")
    examiner = Examiner(cast(Analyzer, recorder), Decoder(), DescriptorCoding({}), pool, ErrorLinks("#"), DECISIONS)
    yield SimpleNamespace(recorder=recorder, pool=pool, examiner=examiner)
    recorder.go.set()
    pool.close()


def picture(width: int, height: int = 20) -> bytes:
    return encode(grey()[:height, :width])


async def test_results_keep_the_order_and_the_work_is_done_on_the_pool(world: SimpleNamespace) -> None:
    error = ApiError(11027, "http://x", "gone")
    images = [InputImage("a", picture(10)), InputImage("b", error=error), InputImage("c", picture(30))]
    found = await world.examiner.examine(images, Order(Plan()))
    assert [image.filename for image in found] == ["a", "b", "c"]
    assert [face.detection.rect.width for image in found for face in image.faces] == [10, 30]
    assert found[1].error is error
    assert all(name.startswith("vision") for name in world.recorder.threads)
    assert (world.examiner.error_of(found[0]).error_code, world.examiner.error_of(found[1]).error_code) == (0, 11027)


async def test_warps_are_encoded_once_for_accepted_faces(world: SimpleNamespace) -> None:
    (image,) = await world.examiner.examine([InputImage("a", picture(10))], Order(Plan(warp=True)))
    assert image.faces[0].warp is not None
    assert image.faces[0].warp.startswith(b"\xff\xd8")


async def test_images_beyond_the_queue_refuse_the_request_and_what_waits_is_dropped(world: SimpleNamespace) -> None:
    world.recorder.go.clear()
    images = [InputImage(str(number), picture(10)) for number in range(5)]
    with pytest.raises(PoolFullError):
        await world.examiner.examine(images, Order(Plan()))
    world.recorder.go.set()
    await _until_idle(world.pool)
    assert len(world.recorder.threads) <= 2  # those that were running


async def test_a_client_that_leaves_leaves_no_work_behind(world: SimpleNamespace) -> None:
    world.recorder.go.clear()
    images = [InputImage(str(number), picture(10)) for number in range(4)]
    task = asyncio.create_task(world.examiner.examine(images, Order(Plan())))
    while len(world.recorder.threads) < 2:  # noqa: ASYNC110 - other threads fill it
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    world.recorder.go.set()
    await _until_idle(world.pool)
    assert len(world.recorder.threads) == 2


async def test_a_defect_is_no_error_of_an_image(world: SimpleNamespace) -> None:
    with pytest.raises(RuntimeError, match="a defect"):
        await world.examiner.examine([InputImage("a", picture(10, 9))], Order(Plan()))


@pytest.mark.parametrize("policy", MultifacePolicy)
async def test_the_body_of_a_filtered_face(world: SimpleNamespace, policy: MultifacePolicy) -> None:
    """It stays where bodies without a face are wanted, else it is filtered with the face; other bodies stay."""
    order = Order(Plan(multiface=policy), states=WantedStates(deepfake=[1]))
    (image,) = await world.examiner.examine([InputImage("a", picture(10))], order)
    assert image.faces == []
    (face,) = image.filtered_faces
    assert [reason.filter_name for reason in face.reasons] == ["deepfake_states"]
    assert face.warp is None
    kept = [body.detection.rect.x for body in image.bodies]
    filtered = [(body.detection.rect.x, body.reasons) for body in image.filtered_bodies]
    if policy is MultifacePolicy.ALLOWED:
        assert (kept, filtered) == ([0, 5], [])
    else:
        assert (kept, filtered) == ([5], [(0, face.reasons)])


async def test_a_request_decides_by_its_own_thresholds(world: SimpleNamespace) -> None:
    (usual,) = await world.examiner.examine([InputImage("a", picture(10))], Order(Plan()))
    assert usual.faces[0].detection.attributes.deepfake.prediction == "fake"
    (own,) = await world.examiner.examine([InputImage("a", picture(10))], Order(Plan(), decisions=Decisions(0, 0, 0.1)))
    assert own.faces[0].detection.attributes.deepfake.prediction == "real"


@pytest.mark.parametrize("filtering", [False, True])
async def test_faces_that_fail_a_check(world: SimpleNamespace, filtering: bool) -> None:
    """They are filtered where that is wanted, and show which checks failed."""
    limits = {"head_yaw": Bounds(-5, 5), "image_width": Bounds(180, None)}
    order = Order(Plan(warp=True), checks=WantedChecks("face_quality", limits, filtering))
    (image,) = await world.examiner.examine([InputImage("a", picture(10))], order)
    (face,) = image.filtered_faces if filtering else image.faces
    assert face.reasons == ([FilterReason("face_quality", 0, 1)] if filtering else [])
    assert (face.warp is None) is filtering
    quality = face.detection.face_quality
    assert quality.status == 0
    assert [(check.name, check.result) for check in quality.checks] == [("image_width", 1), ("head_yaw", 0)]


async def test_faces_that_pass_all_checks_are_not_filtered(world: SimpleNamespace) -> None:
    limits: dict[str, Threshold] = {"head_yaw": Bounds(-9, 9), "glasses": ("sunglasses",)}
    order = Order(Plan(), checks=WantedChecks("face_quality", limits, filtering=True))
    (image,) = await world.examiner.examine([InputImage("a", picture(10))], order)
    assert [face.detection.face_quality.status for face in image.faces] == [1]
    assert image.filtered_faces == []


def test_images_of_one_person() -> None:
    refused, best = MultifacePolicy.NOT_ALLOWED, MultifacePolicy.BEST
    assert of_one_person(MultifacePolicy.ALLOWED, detect_faces=True) is refused
    assert of_one_person(MultifacePolicy.ALLOWED, detect_faces=False) is MultifacePolicy.ALLOWED
    assert {of_one_person(policy, detect_faces=True) for policy in (refused, best)} == {refused, best}


async def test_persons_keep_face_and_body_together(world: SimpleNamespace) -> None:
    (image,) = await world.examiner.examine([InputImage("a", picture(10))], Order(Plan()))
    first, second = image.persons
    assert first.face is not None
    assert first.body is not None
    assert (first.body.detection.rect.x, second.face) == (0, None)
    assert image.people is None


async def _until_idle(pool: WorkerPool) -> None:
    deadline = time.monotonic() + 10
    while pool.admitted:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
