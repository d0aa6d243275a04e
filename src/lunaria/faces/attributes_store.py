"""SQL of faces' attributes."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import Uuid, delete, func, insert, literal, select
from sqlalchemy.exc import IntegrityError

from lunaria.attributes.service import NewAttribute
from lunaria.attributes.store import (
    DESCRIPTOR,
    ESTIMATES,
    DescriptorChoice,
    FoundAttribute,
    described,
    descriptor_rows,
)
from lunaria.faces.failures import MissingAttributeError, MissingFaceError, TakenAttributeError
from lunaria.faces.locks import lock_faces
from lunaria.storage.database import Database
from lunaria.storage.schema import attribute_descriptors, attributes, face_attributes, face_descriptors, faces
from lunaria.storage.scope import NewRows, Scope, ScopedConnection

_SOURCE_CONSTRAINT = "uq_face_attributes_source_attribute_id"


class FaceAttributesStore:
    """Rows of faces' attributes and descriptors."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def replace(self, scope: Scope, face_id: UUID, given: NewAttribute | UUID, now: datetime) -> None:
        """Give a face these attributes, or a copy of a temporary attribute's, instead of those that it has.

        Raises MissingFaceError, MissingAttributeError, TakenAttributeError.
        """
        async with self._database.scoped_transaction(scope) as connection:
            await _clear(connection, face_id)
            await add_attributes(connection, face_id, given, now)

    async def delete(self, scope: Scope, face_id: UUID) -> None:
        """Take a face's attributes away, if it has any. Raises MissingFaceError."""
        async with self._database.scoped_transaction(scope) as connection:
            await _clear(connection, face_id)

    async def find(self, scope: Scope, face_id: UUID, choice: DescriptorChoice | None) -> FoundAttribute | None:
        """A face's attributes with the chosen descriptor; None when it has none. Raises MissingFaceError."""
        async with self._database.scoped_connect(scope) as connection:
            found = await described(connection, face_attributes, face_descriptors, [face_id], choice)
            if not found:
                existing = connection.scoped(select(faces.c.face_id), faces).where(faces.c.face_id == face_id)
                if (await connection.execute(existing)).first() is None:
                    raise MissingFaceError(face_id)
        return found.get(face_id)

    async def count(self, scope: Scope) -> int:
        """How many faces have attributes."""
        async with self._database.scoped_connect(scope) as connection:
            statement = connection.scoped(select(func.count()).select_from(face_attributes), face_attributes)
            counted: int = (await connection.execute(statement)).scalar_one()
        return counted


async def add_attributes(
    connection: ScopedConnection, face_id: UUID, given: NewAttribute | UUID, now: datetime
) -> None:
    """Give attributes to a face that has none. Raises MissingAttributeError, TakenAttributeError."""
    if isinstance(given, UUID):
        await _copy(connection, face_id, given, now)
        return
    await connection.add(new_attributes(connection.scope, {face_id: given}, now))


def new_attributes(scope: Scope, given: Mapping[UUID, NewAttribute], now: datetime) -> list[NewRows]:
    """Rows of attributes for faces that have none."""
    rows = [{"face_id": face_id, "create_time": now, **own.columns} for face_id, own in given.items()]
    described_rows = descriptor_rows("face_id", {face_id: own.descriptors for face_id, own in given.items()})
    return [NewRows(scope, face_attributes, rows), NewRows(scope, face_descriptors, described_rows)]


async def _copy(connection: ScopedConnection, face_id: UUID, attribute_id: UUID, now: datetime) -> None:
    shared = [attributes.c[name] for name in ESTIMATES]
    living = connection.scoped(
        select(literal(face_id, Uuid), literal(now), attributes.c.attribute_id, *shared), attributes
    ).where(attributes.c.attribute_id == attribute_id, attributes.c.expires_at > now)
    # Held so that its descriptors cannot vanish before they are copied.
    held = living.with_for_update(read=True, key_share=True)
    columns = ["face_id", "create_time", "source_attribute_id", *ESTIMATES]
    try:
        copied = await connection.execute(insert(face_attributes).from_select(columns, held))
    except IntegrityError as error:
        if _SOURCE_CONSTRAINT in str(error.orig):
            raise TakenAttributeError from None
        raise
    if copied.rowcount == 0:
        raise MissingAttributeError(attribute_id)
    copies = select(literal(face_id, Uuid), *(attribute_descriptors.c[name] for name in DESCRIPTOR)).where(
        attribute_descriptors.c.attribute_id == attribute_id
    )
    source = connection.scoped(copies, attribute_descriptors)
    await connection.execute(insert(face_descriptors).from_select(["face_id", *DESCRIPTOR], source))


async def _clear(connection: ScopedConnection, face_id: UUID) -> None:
    if not await lock_faces(connection, [face_id], exclusively=True):
        raise MissingFaceError(face_id)
    for table in (face_descriptors, face_attributes):
        await connection.execute(connection.scoped(delete(table), table).where(table.c.face_id == face_id))
