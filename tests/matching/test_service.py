"""Searches for callers inside the server, against brute force in float64."""

import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from sqlalchemy import delete, insert
from tests.matching.events import BODIES, FACES, NOW, Vector, add_event, make_service, unit

from lunaria.events.schemas import DescriptorKind
from lunaria.faces.store import FacesStore
from lunaria.http.errors import ApiError
from lunaria.kit.pool import WorkerPool
from lunaria.kit.times import format_time
from lunaria.matching import index as index_module
from lunaria.matching import service as service_module
from lunaria.matching.schemas import AttributeFilters, Candidates, EventFilters, FaceFilters, GeoFilter, Match
from lunaria.matching.service import MatchingService, Search
from lunaria.matching.store import MatchingStore
from lunaria.storage.changes import EVENT_CHANGES
from lunaria.storage.database import Database
from lunaria.storage.schema import (
    CODING_FLOAT16,
    attribute_descriptors,
    attributes,
    event_descriptors,
    event_details,
    events,
    face_descriptors,
    faces,
)
from lunaria.storage.scope import EVERYTHING, Scope

DIMENSIONS = {"face": 64, "body": 32}
MODELS = {"face": FACES, "body": BODIES}
NEVER = datetime(9000, 1, 1, tzinfo=NOW.tzinfo)


@pytest.fixture
async def service(clean_database: Database) -> AsyncIterator[MatchingService]:
    pool = WorkerPool(2, 16)
    yield make_service(clean_database, pool)
    pool.close()


@dataclass
class Known:
    """An event as the test knows it."""

    account_id: UUID
    vectors: dict[str, Vector]
    columns: dict[str, Any]
    event_id: UUID = field(default_factory=uuid4)


async def add_known(database: Database, random: np.random.Generator, account_id: UUID) -> Known:
    kinds = [kind for kind in DIMENSIONS if random.random() < 0.8]
    known = Known(
        account_id,
        {kind: unit(random, DIMENSIONS[kind]) for kind in kinds},
        {
            "create_time": NOW + timedelta(days=int(random.integers(-60, 60))),
            "source": [None, "cam1", "cam2"][random.integers(3)],
            "gender": [None, 0, 1][random.integers(3)],
            "age": [None, 20, 40][random.integers(3)],
            "tags": [["red"], ["red", "blue"], []][random.integers(3)],
            "upper_clothing_colors": [None, ["red", "black"], ["white"]][random.integers(3)],
            "longitude": [None, 10.0, 10.005][random.integers(3)],
        },
    )
    known.columns["latitude"] = None if known.columns["longitude"] is None else 50.0
    described = [(kind, MODELS[kind].version, vector) for kind, vector in known.vectors.items()]
    known.event_id = await add_event(database, account_id, described, **known.columns)
    return known


async def remove_event(database: Database, event_id: UUID) -> None:
    async with database.transaction() as connection:
        for table in (events, event_details, event_descriptors):
            await connection.execute(delete(table).where(table.c.event_id == event_id))


def brute_force(
    existing: Sequence[Known], kind: DescriptorKind, query: Vector, limit: int, threshold: float
) -> list[tuple[UUID, float]]:
    """Ids and similarities of the best, in float64 over what the database holds."""
    found = []
    for known in existing:
        stored = known.vectors[kind].astype(np.float16).astype(np.float64)
        cosine = stored @ query.astype(np.float64) / np.linalg.norm(stored) / np.linalg.norm(query.astype(np.float64))
        similarity = float(MODELS[kind].similarity.from_cosine(cosine))
        if similarity >= threshold:
            found.append((known.event_id, similarity))
    return sorted(found, key=lambda one: (-one[1], one[0]))[:limit]


def assert_equal(matches: Sequence[Match], expected: Sequence[tuple[UUID, float]]) -> None:
    assert [match.event.event_id for match in matches] == [event_id for event_id, _ in expected]  # type: ignore[union-attr]
    np.testing.assert_allclose([match.similarity for match in matches], [value for _, value in expected], atol=1e-6)


def is_event(event_id: UUID, known: Known) -> bool:
    return known.event_id == event_id


FILTERS: list[tuple[EventFilters, Callable[[Known], bool]]] = [
    (EventFilters(), lambda known: True),
    (EventFilters(sources=["cam1", None]), lambda known: known.columns["source"] in ("cam1", None)),
    (EventFilters(gender=1), lambda known: known.columns["gender"] == 1),
    (EventFilters(gender=[0, None]), lambda known: known.columns["gender"] in (0, None)),
    (EventFilters(age__gte=30), lambda known: (known.columns["age"] or 0) >= 30),
    (EventFilters(tags=["red", "blue"]), lambda known: {"red", "blue"} <= set(known.columns["tags"])),
    (
        EventFilters(upper_clothing_colors=["black", None]),
        lambda known: known.columns["upper_clothing_colors"] != ["white"],
    ),
    (
        EventFilters(create_time__gte=format_time(NOW - timedelta(days=10)), sources=["cam2"]),
        lambda known: known.columns["create_time"] >= NOW - timedelta(days=10) and known.columns["source"] == "cam2",
    ),
    (
        EventFilters(geo_position=GeoFilter(10.0, 50.0, 0.001, 0.001)),
        lambda known: known.columns["longitude"] == 10.0,
    ),
    (EventFilters(geo_position=GeoFilter(None)), lambda known: known.columns["longitude"] is None),
]


@pytest.mark.parametrize(("seed", "small"), [(1, index_module.SMALL), (2, 0)])
async def test_finds_the_true_best_events_while_they_come_and_go(
    service: MatchingService, clean_database: Database, monkeypatch: pytest.MonkeyPatch, seed: int, small: int
) -> None:
    """At once, and by workers."""
    monkeypatch.setattr(index_module, "SMALL", small)
    random = np.random.default_rng(seed)
    accounts = [uuid4(), uuid4()]
    existing: list[Known] = []
    for _ in range(6):
        existing += [await add_known(clean_database, random, accounts[random.integers(2)]) for _ in range(20)]
        for _ in range(5):
            await remove_event(clean_database, existing.pop(random.integers(len(existing))).event_id)
        scope = [EVERYTHING, Scope(accounts[0])][random.integers(2)]
        kind: DescriptorKind = "face" if random.random() < 0.5 else "body"
        picked = existing[random.integers(len(existing))].event_id
        cases: list[tuple[EventFilters, Callable[[Known], bool]]] = [
            *FILTERS,
            (EventFilters(account_id=accounts[0]), lambda known: known.account_id == accounts[0]),
            (EventFilters(account_id=accounts[1]), lambda known: known.account_id == accounts[1]),
            (EventFilters(event_ids=[picked, uuid4()]), partial(is_event, picked)),
        ]
        queries = [unit(random, DIMENSIONS[kind]) for _ in range(3)]
        bounds = [(3, 0.0), (1000, 0.3), (1, 0.0)]
        searches = [
            Search(Candidates(filters, limit, threshold), queries, MODELS[kind].version, kind)
            for filters, _ in cases
            for limit, threshold in bounds
        ]
        results = iter(await service.search(scope, searches))
        for _, admits in cases:
            wanted = [
                known
                for known in existing
                if kind in known.vectors and admits(known) and scope.account_id in (None, known.account_id)
            ]
            for limit, threshold in bounds:
                for matches, query in zip(next(results), queries, strict=True):
                    assert_equal(matches, brute_force(wanted, kind, query, limit, threshold))


async def test_a_search_shows_the_targets(service: MatchingService, clean_database: Database) -> None:
    account = uuid4()
    vector = unit(np.random.default_rng(1), 64)
    event_id = await add_event(clean_database, account, [("face", 1001, vector)], source="cam", age=30)
    few = Candidates(EventFilters(), targets=["source", "similarity"])
    everything = Candidates(EventFilters())
    first, second = await service.search(
        Scope(account), [Search(few, [vector], 1001), Search(everything, [vector], 1001)]
    )
    (match,), (full,) = first[0], second[0]
    assert match.event.source == "cam"  # type: ignore[union-attr]
    assert match.event.event_id is not event_id  # type: ignore[union-attr]
    assert (full.event.event_id, full.event.age, full.event.face_detections) == (event_id, 30, [])  # type: ignore[union-attr]


async def test_searches_of_all_origins_at_once(service: MatchingService, clean_database: Database) -> None:
    account, random = uuid4(), np.random.default_rng(1)
    vectors = [unit(random, 64) for _ in range(3)]
    face_id, attribute_id = uuid4(), uuid4()
    event_id = await add_event(clean_database, account, [("face", 1001, vectors[1])])
    coded = {"version": 1001, "coding": CODING_FLOAT16}
    async with clean_database.transaction() as connection:
        row: dict[str, Any] = {"account_id": account, "create_time": NOW}
        await connection.execute(insert(faces), {**row, "face_id": face_id})
        data = vectors[0].astype("<f2").tobytes()
        await connection.execute(insert(face_descriptors), {**coded, "face_id": face_id, "data": data})
        await connection.execute(insert(attributes), {**row, "attribute_id": attribute_id, "expires_at": NEVER})
        data = vectors[2].astype("<f2").tobytes()
        await connection.execute(insert(attribute_descriptors), {**coded, "attribute_id": attribute_id, "data": data})
    searches = [
        Search(Candidates(filters), vectors, 1001)
        for filters in (FaceFilters(), EventFilters(), AttributeFilters(), FaceFilters(account_id=uuid4()))
    ]
    of_faces, of_events, of_attributes, foreign = await service.search(Scope(account), searches)
    for number, (results, name) in enumerate(((of_faces, "face"), (of_events, "event"), (of_attributes, "attribute"))):
        assert [len(matches) for matches in results] == [1, 1, 1]
        assert results[number][0].similarity == pytest.approx(1, abs=1e-3)
        assert getattr(results[0][0], name) is results[1][0].__getattribute__(name)
    assert of_faces[0][0].face.face_id == face_id  # type: ignore[union-attr]
    assert of_events[0][0].event.event_id == event_id  # type: ignore[union-attr]
    assert of_attributes[0][0].attribute.attribute_id == attribute_id  # type: ignore[union-attr]
    assert foreign == [[], [], []]


async def test_bodies_are_compared_with_events_only(service: MatchingService) -> None:
    for filters in (FaceFilters(), AttributeFilters()):
        with pytest.raises(ValueError, match="have no body descriptors"):
            await service.search(EVERYTHING, [Search(Candidates(filters), [np.ones(32, np.float32)], 2001, "body")])


async def test_indexes_of_events_are_loaded_when_needed(service: MatchingService, clean_database: Database) -> None:
    random = np.random.default_rng(1)
    await add_event(clean_database, uuid4(), [("face", 1001, unit(random, 64)), ("body", 2001, unit(random, 32))])
    query = unit(random, 64)
    await service.search(EVERYTHING, [Search(Candidates(FaceFilters()), [query], 1001)])
    await service.indexes.keep_up()
    assert (len(service.indexes.event_faces), len(service.indexes.event_bodies)) == (0, 0)
    await service.search(EVERYTHING, [Search(Candidates(EventFilters()), [query], 1001)])
    assert (len(service.indexes.event_faces), len(service.indexes.event_bodies)) == (1, 0)
    await add_event(clean_database, uuid4(), [("face", 1001, unit(random, 64))])
    await service.indexes.keep_up()
    assert (len(service.indexes.event_faces), len(service.indexes.event_bodies)) == (2, 0)


async def test_loading_goes_on_when_a_search_does_not_wait_for_it(
    service: MatchingService, clean_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(1)
    query = unit(random, 64)
    event_id = await add_event(clean_database, uuid4(), [("face", 1001, query)])
    search = [Search(Candidates(EventFilters()), [query], 1001)]
    fill, release, times = index_module._fill, threading.Event(), []

    def slow(*arguments: Any) -> None:
        times.append(len(arguments))
        release.wait(10)
        fill(*arguments)

    monkeypatch.setattr(index_module, "_fill", slow)
    with monkeypatch.context() as patched:
        patched.setattr(service_module, "PATIENCE", 0.05)
        for _ in range(3):
            with pytest.raises(ApiError) as refused:
                await service.search(EVERYTHING, search)
            assert (refused.value.code, refused.value.headers) == (11, {"Retry-After": "10"})
    release.set()
    ((found,),) = await service.search(EVERYTHING, search)
    assert [match.event.event_id for match in found] == [event_id]  # type: ignore[union-attr]
    assert len(times) == 1


async def test_what_no_trigger_saw_is_loaded_anew(service: MatchingService, clean_database: Database) -> None:
    random = np.random.default_rng(1)
    query = unit(random, 64)
    gone = await add_event(clean_database, uuid4(), [("face", 1001, query)])
    search = [Search(Candidates(EventFilters()), [query], 1001)]
    assert len((await service.search(EVERYTHING, search))[0][0]) == 1
    async with clean_database.transaction() as connection:
        own = event_descriptors.c.event_id == gone
        await connection.exec_driver_sql("ALTER TABLE event_descriptors DISABLE TRIGGER USER")
        await connection.execute(delete(event_descriptors).where(own))
        await connection.exec_driver_sql("ALTER TABLE event_descriptors ENABLE TRIGGER USER")
        await EVENT_CHANGES.note_everything(connection)
    assert (await service.search(EVERYTHING, search)) == [[[]]]
    assert len(service.indexes.event_faces) == 0


async def test_deleted_objects_drop_out(service: MatchingService, clean_database: Database) -> None:
    """The record goes, its descriptor is still in memory: as when it is deleted while the search runs."""
    query = unit(np.random.default_rng(1), 64)
    gone = await add_event(clean_database, uuid4(), [("face", 1001, query)])
    async with clean_database.transaction() as connection:
        await connection.execute(delete(events).where(events.c.event_id == gone))
    search = [Search(Candidates(EventFilters()), [query], 1001)]
    assert (await service.search(EVERYTHING, search)) == [[[]]]


@pytest.mark.parametrize("origin", ["faces", "attributes"])
async def test_found_objects_are_read_in_parts(
    service: MatchingService, clean_database: Database, monkeypatch: pytest.MonkeyPatch, origin: str
) -> None:
    account, vector = uuid4(), unit(np.random.default_rng(1), 64)
    ids = [uuid4() for _ in range(5)]
    owners, descriptors, key, filters, extra = {
        "faces": (faces, face_descriptors, "face_id", FaceFilters(), {}),
        "attributes": (attributes, attribute_descriptors, "attribute_id", AttributeFilters(), {"expires_at": NEVER}),
    }[origin]
    row = {"account_id": account, "create_time": NOW, **extra}
    coded = {"version": 1001, "coding": CODING_FLOAT16, "data": vector.astype("<f2").tobytes()}
    async with clean_database.transaction() as connection:
        await connection.execute(insert(owners), [{**row, key: one} for one in ids])
        await connection.execute(insert(descriptors), [{**coded, key: one} for one in ids])
    sizes: list[int] = []
    store: Any = FacesStore if origin == "faces" else MatchingStore
    name = "get" if origin == "faces" else "found_attributes"
    read = getattr(store, name)

    async def counted(self: Any, scope: Scope, keys: Sequence[UUID], **options: Any) -> Any:
        sizes.append(len(keys))
        return await read(self, scope, keys, **options)

    monkeypatch.setattr(store, name, counted)
    monkeypatch.setattr(service_module, "PART", 2)
    ((found,),) = await service.search(Scope(account), [Search(Candidates(filters, limit=10), [vector], 1001)])
    shown = [getattr(match, origin.removesuffix("s")) for match in found]
    assert [getattr(one, key) for one in shown] == sorted(ids)
    assert sizes == [2, 2, 1]


async def test_nothing_to_search(service: MatchingService) -> None:
    assert await service.search(EVERYTHING, []) == []
    assert await service.search(EVERYTHING, [Search(Candidates(EventFilters()), [], 1001)]) == [[]]


async def test_descriptors_to_verify_with(service: MatchingService, clean_database: Database) -> None:
    account, random = uuid4(), np.random.default_rng(1)
    vector, other = unit(random, 64), unit(random, 64)
    event_id = await add_event(clean_database, account, [("face", 1001, vector), ("face", 59, other)])
    without = await add_event(clean_database, account, [("body", 2001, unit(random, 32))])
    face_ids = [uuid4(), uuid4()]
    async with clean_database.transaction() as connection:
        rows = [
            {"account_id": account, "create_time": NOW, "face_id": face_id, "external_id": "7"} for face_id in face_ids
        ]
        await connection.execute(insert(faces), rows)
        data = vector.astype("<f2").tobytes()
        described = {"version": 1001, "coding": CODING_FLOAT16, "face_id": face_ids[0], "data": data}
        await connection.execute(insert(face_descriptors), described)
    scope = Scope(account)
    found = await service.descriptors_of(scope, face_ids=face_ids[:1], event_ids=[event_id])
    assert [(one.origin, one.key, one.version) for one in found] == [
        ("face", face_ids[0], 1001),
        ("event", event_id, 1001),
    ]
    stacked = np.stack([one.vector for one in found])
    np.testing.assert_allclose(service.compare("face", vector[None], stacked), [[1, 1]], atol=1e-3)
    (foreign,) = await service.descriptors_of(scope, event_ids=[event_id], version=59)
    np.testing.assert_allclose(foreign.vector, other, atol=1e-3)
    missing = uuid4()
    wrong: list[tuple[int, Scope, dict[str, Any]]] = [
        (22004, scope, {"face_ids": [face_ids[0], missing]}),
        (22004, Scope(uuid4()), {"face_ids": face_ids}),
        (31007, scope, {"external_ids": ["7"], "limit": 1}),
        (11041, scope, {"external_ids": ["8"]}),
        (11041, scope, {"external_ids": [""]}),
        (11032, scope, {"external_ids": ["7"]}),
        (11032, scope, {"face_ids": face_ids}),
        (23002, scope, {"event_ids": [missing]}),
        (23002, Scope(uuid4()), {"event_ids": [event_id]}),
        (22018, scope, {"event_ids": [without]}),
        (22018, scope, {"face_ids": face_ids[:1], "version": 60}),
        (22011, scope, {"attribute_ids": [missing]}),
    ]
    for code, whose, named in wrong:
        with pytest.raises(ApiError) as raised:
            await service.descriptors_of(whose, **named)
        assert raised.value.code == code, named
