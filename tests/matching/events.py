"""Events with descriptors, written as the store of events writes them, and searches without HTTP."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert

from lunaria.events.partitions import Partitions
from lunaria.events.store import EventsStore
from lunaria.faces.store import FacesStore
from lunaria.kit.pool import WorkerPool
from lunaria.kit.times import SystemClock
from lunaria.matching.index import MatchingIndex
from lunaria.matching.service import Indexes, MatchingService, Model, Models
from lunaria.matching.sources import EventDescriptors, FaceDescriptors
from lunaria.matching.store import MatchingStore
from lunaria.storage.database import Database
from lunaria.storage.schema import CODING_FLOAT16, event_descriptors, event_details, events
from lunaria.vision.similarity import Similarity

Vector = NDArray[np.float32]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
FACES = Model(1001, Similarity([(-1.0, 0.0), (0.3, 0.5), (1.0, 1.0)]))
BODIES = Model(2001, Similarity([(-1.0, 0.0), (0.6, 0.5), (1.0, 1.0)]))


def make_indexes(database: Database) -> Indexes:
    return Indexes(
        MatchingIndex(FaceDescriptors(database)),
        MatchingIndex(EventDescriptors(database, "face")),
        MatchingIndex(EventDescriptors(database, "body")),
    )


def make_service(database: Database, pool: WorkerPool) -> MatchingService:
    clock = SystemClock()
    events_store = EventsStore(database, Partitions(database, clock))
    store = MatchingStore(database)
    models: Models = {"face": FACES, "body": BODIES}
    return MatchingService(make_indexes(database), store, FacesStore(database), events_store, models, pool, clock)


def unit(random: np.random.Generator, dimension: int) -> Vector:
    vector = random.standard_normal(dimension)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


async def add_event(
    database: Database,
    account_id: UUID,
    descriptors: Sequence[tuple[str, int, Vector]],
    **columns: Any,
) -> UUID:
    """Add an event with descriptors (kind, version, vector) and these columns."""
    event_id = uuid4()
    key = {"event_id": event_id, "account_id": account_id, "create_time": columns.pop("create_time", NOW)}
    row: Mapping[str, Any] = {**key, "end_time": key["create_time"], "handler_id": uuid4(), **columns}
    details: Mapping[str, Any] = {**key, "face_detections": [], "body_detections": [], "attach_result": []}
    async with database.transaction() as connection:
        await connection.execute(insert(events), row)
        await connection.execute(insert(event_details), details)
        for kind, version, vector in descriptors:
            data = vector.astype("<f2").tobytes()
            coded = {"kind": kind, "version": version, "coding": CODING_FLOAT16, "data": data}
            await connection.execute(insert(event_descriptors), {**key, **coded})
    return event_id
