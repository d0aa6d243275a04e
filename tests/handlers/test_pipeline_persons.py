"""From findings to persons, and the match policy on them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import numpy as np
import pytest

from lunaria.attributes.descriptors import CodedDescriptor
from lunaria.estimation.decisions import Decisions
from lunaria.estimation.estimates import (
    BasicAttributes,
    BodyDetection,
    Emotions,
    Ethnicities,
    FaceAttributes,
    FaceDetection,
    FaceOcclusion,
    Liveness,
    LivenessScores,
    Mask,
    Rect,
)
from lunaria.estimation.examination import ExaminedBody, ExaminedFace, ExaminedImage, ExaminedPerson
from lunaria.events.columns import row_of
from lunaria.events.event import NewEvent
from lunaria.events.schemas import Event
from lunaria.events.stored import StoredEvent
from lunaria.faces.schemas import Face
from lunaria.handlers.event_context import EventContext
from lunaria.handlers.filters import Subject
from lunaria.handlers.match_policy import MatchEntry
from lunaria.handlers.matching_step import best_match, best_similarities, match_persons, shown_matches
from lunaria.handlers.persons import merged_person, single_persons
from lunaria.handlers.sources import SourceDescriptor, SourceImage
from lunaria.http.errors import ApiError
from lunaria.matching.schemas import Match
from lunaria.matching.service import Search
from lunaria.storage.schema import CODING_CLIENT
from lunaria.storage.scope import Scope
from lunaria.vision.descriptors import Descriptor

NOW = datetime(2026, 1, 2, tzinfo=UTC)
CONTEXT = EventContext(NOW, NOW, source="request")
DECISIONS = Decisions(0.5, 0.5, 0.5)
RECT = Rect(1, 2, 30, 40)


def unit(*values: float) -> Any:
    vector = np.array(values, np.float32)
    return vector / np.linalg.norm(vector)


def face(*vector: float, score: float = 0.8, age: int = 30, version: int = 1001) -> ExaminedFace:
    shares = {"asian": 0.1, "indian": 0.1, "caucasian": 0.7, "african_american": 0.1}
    attributes = FaceAttributes(basic_attributes=BasicAttributes(age, 1, Ethnicities("caucasian", shares)))
    descriptor = Descriptor(unit(*vector), version, score) if vector else None
    return ExaminedFace(FaceDetection(RECT, attributes=attributes), [], descriptor=descriptor)


def body(*vector: float) -> ExaminedBody:
    descriptor = Descriptor(unit(*vector), 2001, 0.6) if vector else None
    return ExaminedBody(BodyDetection(RECT), descriptor=descriptor)


def image(name: str, *persons: ExaminedPerson, error: ApiError | None = None) -> tuple[SourceImage, ExaminedImage]:
    return SourceImage(name, b"x"), ExaminedImage(name, list(persons), error=error)


def given(*numbers: int, kind: Any = "face", score: float | None = None, version: int = 59) -> SourceDescriptor:
    return SourceDescriptor("d", kind, CodedDescriptor(version, CODING_CLIENT, bytes(numbers), score))


def test_a_person_for_each_face_body_and_descriptor() -> None:
    images = [
        image("a", ExaminedPerson(face(1, 0), body(0, 1)), ExaminedPerson(face(0, 1))),
        image("b", ExaminedPerson(body=body())),
    ]
    own = EventContext(NOW, NOW, source="image")
    images[1][0].context = own
    persons = single_persons(CONTEXT, images, [given(255, 128), given(128, 255, kind="body")], 0.0)
    shape = [(person.face is not None, person.body is not None, len(person.sightings)) for person in persons]
    assert shape == [(True, True, 1), (True, False, 1), (False, True, 1), (True, False, 0), (False, True, 0)]
    assert [person.context.source for person in persons] == ["request", "request", "image", "request", "request"]
    assert persons[2].body is not None
    assert persons[2].body.descriptor is None
    described = persons[3].face
    assert described is not None
    assert described.descriptor is not None
    np.testing.assert_allclose(described.descriptor.vector, [1, 0])
    assert described.score is None


def test_scores_below_the_threshold_drop_the_descriptor() -> None:
    images = [image("a", ExaminedPerson(face(1, 0, score=0.4), body(1, 0)), ExaminedPerson(face(1, 0, score=0.5)))]
    low, good = single_persons(CONTEXT, images, [given(255, 128)], 0.5)[:2]
    assert low.face is not None
    assert (low.face.descriptor, low.face.score) == (None, 0.4)
    assert low.face.reasons[0].filter_name == "score_threshold"
    assert low.body is not None
    assert low.body.descriptor is not None
    assert good.face is not None
    assert good.face.descriptor is not None


def test_what_filters_look_at() -> None:
    attributes = FaceAttributes(
        emotions=Emotions("neutral", {}),  # type: ignore[typeddict-item]
        mask=Mask("medical_mask", {}, FaceOcclusion("clear", {})),  # type: ignore[typeddict-item]
        liveness=Liveness("unknown", LivenessScores(0.1, 0.9)),
    )
    found = face(1, 0, age=41)
    detection = msgspec.structs.replace(
        found.detection,
        attributes=msgspec.structs.replace(attributes, basic_attributes=found.detection.attributes.basic_attributes),
    )
    (person,) = single_persons(CONTEXT, [image("a", ExaminedPerson(ExaminedFace(detection, [])))], [], 0.0)
    assert person.subject == Subject(gender=1, age=41, emotion=5, ethnicity=4, mask=2, liveness=2)
    (nobody,) = single_persons(CONTEXT, [], [given(255, 128)], 0.0)
    assert nobody.subject == Subject()


def test_merged_descriptors_and_estimates() -> None:
    images = [
        image("a", ExaminedPerson(face(1, 0, score=0.9, age=20), body(1, 0))),
        image("b", ExaminedPerson(face(0, 1, score=0.3, age=40))),
        image("c", error=ApiError(100010, "broken")),
        image("d", ExaminedPerson(face(0, 1, score=0.1, age=60))),
    ]
    person = merged_person(CONTEXT, images, [], 0.2, DECISIONS)
    assert person is not None
    assert len(person.sightings) == 3
    assert person.face is not None
    assert person.face.descriptor is not None
    np.testing.assert_allclose(person.face.descriptor.vector, unit(0.9, 0.3), atol=1e-6)
    assert person.face.score == pytest.approx(0.6)
    assert person.face.basic is not None
    assert person.face.basic.age == 40
    assert person.body is not None
    assert person.body.score == 0.6
    assert person.merged_face is not None
    assert person.merged_body is not None


def test_merging_drops_nothing_but_the_unusable() -> None:
    images = [image("a", ExaminedPerson(face(1, 0, score=0.1))), image("b", ExaminedPerson(face(0, 1, score=0.3)))]
    none = merged_person(CONTEXT, images, [], 0.5, DECISIONS)
    assert none is not None
    assert none.face is not None
    assert (none.face.descriptor, none.face.score, len(none.face.reasons)) == (None, 0.3, 1)
    assert none.face.basic is not None
    one = merged_person(CONTEXT, images, [given(255, 128, version=1001)], 0.5, DECISIONS)
    assert one is not None
    assert one.face is not None
    assert one.face.descriptor is not None
    assert one.face.descriptor.coded.coding == CODING_CLIENT
    assert merged_person(CONTEXT, [image("a")], [], 0.5, DECISIONS) is None


def test_what_cannot_be_merged_is_refused() -> None:
    several = ApiError(11038, "a", "[]")
    with pytest.raises(ApiError) as refused:
        merged_person(CONTEXT, [image("a", error=several)], [], 0.0, DECISIONS)
    assert refused.value.code == 11038
    bodies = image("a", ExaminedPerson(body=body()), ExaminedPerson(body=body()))
    with pytest.raises(ApiError) as refused:
        merged_person(CONTEXT, [bodies], [], 0.0, DECISIONS)
    assert refused.value.code == 34008
    mixed = [image("a", ExaminedPerson(face(1, 0)))]
    with pytest.raises(ApiError) as refused:
        merged_person(CONTEXT, mixed, [given(255, 128)], 0.0, DECISIONS)
    assert refused.value.code == 11034


class FakeMatching:
    """Answers each vector with its first component as the similarity, unless that is 0."""

    def __init__(self) -> None:
        self.calls: list[tuple[Scope, Sequence[Search]]] = []

    async def search(self, scope: Scope, searches: Sequence[Search]) -> list[list[list[Match]]]:
        self.calls.append((scope, searches))
        return [
            [[Match(float(vector[0]), face=Face(face_id=uuid4()))] if vector[0] else [] for vector in search.vectors]
            for search in searches
        ]


def entry(label: str, **fields: Any) -> MatchEntry:
    return msgspec.convert({"label": label, "candidates": {"origin": "faces"}, **fields}, MatchEntry)


async def test_all_descriptors_go_in_one_search() -> None:
    owner = UUID(int=5)
    images = [
        image("a", ExaminedPerson(face(0, 1, age=10), body(1, 0)), ExaminedPerson(face(1, 0)), ExaminedPerson(face()))
    ]
    persons = single_persons(CONTEXT, images, [given(255, 128)], 0.0)
    policy = [
        entry("adults", filters={"age__gte": 18}),
        entry("bodies", candidates={"origin": "events"}, descriptor={"descriptor_type": "body"}),
        entry("all", candidates={"origin": "faces", "create_time__gte": "now-1d"}),
    ]
    matching: Any = FakeMatching()
    subjects = [person.subject for person in persons]
    found = await match_persons(matching, owner, policy, persons, subjects, NOW, 15)
    ((scope, searches),) = matching.calls
    assert scope == Scope(owner)
    told = [(search.kind, search.version, len(search.vectors)) for search in searches]
    assert told == [("face", 1001, 1), ("body", 2001, 1), ("face", 1001, 2), ("face", 59, 1)]
    assert searches[2].candidates.filters.create_time__gte == "2026-01-01T00:00:00.000000Z"
    assert [list(labels) for labels in found] == [["bodies", "all"], ["adults", "all"], [], ["all"]]
    assert best_similarities(found[0]) == {"bodies": 1.0}
    shown = shown_matches(policy, found[0])
    assert shown is not None
    assert [(one.label, len(one.candidates)) for one in shown] == [("bodies", 1), ("all", 0)]
    assert shown_matches(policy, found[2]) == []
    assert shown_matches([], {}) is None
    with pytest.raises(ApiError) as refused:
        await match_persons(matching, owner, policy, persons, subjects, NOW, 14)
    assert (refused.value.code, len(matching.calls)) == (34005, 1)


@pytest.mark.parametrize(("origin", "part", "key"), [("faces", "face", "face_id"), ("events", "event", "event_id")])
async def test_the_best_match_is_known_though_its_id_is_not_shown(origin: str, part: str, key: str) -> None:
    found_id = uuid4()

    class Matching(FakeMatching):
        async def search(self, scope: Scope, searches: Sequence[Search]) -> list[list[list[Match]]]:
            (search,) = searches
            assert set(search.candidates.shown) == {"user_data", key, "external_id"}
            found: Any = {key: found_id, "external_id": "7", "user_data": "x"}
            shown = Face(**found) if part == "face" else StoredEvent(**found)
            return [[[Match(0.9, **{part: shown})]]]

    matching: Any = Matching()
    persons = single_persons(CONTEXT, [image("a", ExaminedPerson(face(0, 1)))], [], 0.0)
    policy = [entry("all", candidates={"origin": origin}, targets=["user_data", "similarity"])]
    (found,) = await match_persons(matching, UUID(int=5), policy, persons, [persons[0].subject], NOW, 10)
    assert msgspec.to_builtins(shown_matches(policy, found)) == [
        {"label": "all", "candidates": [{"similarity": 0.9, part: {"user_data": "x"}}]}
    ]
    best = best_match(found)
    event = Event(event_id=uuid4(), url=None, create_time=NOW, end_time=NOW)
    row = row_of(NewEvent(UUID(int=5), uuid4(), event, best=best))
    assert (row["top_match_label"], row["top_match_similarity"]) == ("all", 0.9)
    assert (row["top_match_object_id"], row["top_match_external_id"]) == (found_id, "7")
    assert row["top_match_is_event"] is (part == "event")


async def test_nothing_is_searched_without_descriptors() -> None:
    matching: Any = FakeMatching()
    persons = single_persons(CONTEXT, [image("a", ExaminedPerson(face()))], [], 0.0)
    assert await match_persons(matching, UUID(int=5), [entry("all")], persons, [persons[0].subject], NOW, 0) == [{}]
    assert matching.calls == []
