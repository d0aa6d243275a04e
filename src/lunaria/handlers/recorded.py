"""SQL of whether the records of events came to be, for when the answer to a commit was lost."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, Table, literal, select

from lunaria.blobs.service import BlobKind
from lunaria.events.event import NewEvent
from lunaria.storage.arrays import among
from lunaria.storage.schema import attributes, blobs, events, faces
from lunaria.storage.scope import ScopedConnection


async def is_recorded(
    connection: ScopedConnection,
    made: Sequence[NewEvent],
    *,
    face_ids: Collection[UUID] = (),
    attribute_ids: Collection[UUID] = (),
    blob_ids: Collection[UUID] = (),
) -> bool:
    """Whether any of these, which one transaction was to add, is there: then all were, whatever was deleted since."""
    looked_for: list[tuple[Table, list[ColumnElement[bool]]]] = []
    if made:
        times = [new.event.create_time for new in made]
        own = among(events.c.event_id, [new.event.event_id for new in made])
        looked_for.append((events, [own, events.c.create_time.between(min(times), max(times))]))
    if face_ids:
        looked_for.append((faces, [among(faces.c.face_id, face_ids)]))
    if attribute_ids:
        looked_for.append((attributes, [among(attributes.c.attribute_id, attribute_ids)]))
    if blob_ids:
        looked_for.append((blobs, [blobs.c.kind.in_(list(BlobKind)), among(blobs.c.blob_id, blob_ids)]))
    for table, conditions in looked_for:
        statement = connection.scoped(select(literal(1)).select_from(table), table).where(*conditions).limit(1)
        if (await connection.execute(statement)).first() is not None:
            return True
    return False
