"""SQL of faces."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, bindparam, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.exc import IntegrityError

from lunaria.attributes.service import NewAttribute
from lunaria.faces.attributes_store import add_attributes, new_attributes
from lunaria.faces.failures import MissingFaceError, MissingListError
from lunaria.faces.filters import FaceFilter, face_conditions, in_order
from lunaria.faces.links import add_links, links_of_new, lists_of
from lunaria.faces.locks import allow_linking, lock_faces, lock_lists, touch_lists
from lunaria.storage.arrays import among
from lunaria.storage.database import Database
from lunaria.storage.schema import faces, list_faces, lists
from lunaria.storage.scope import NO_PREFACE, NewRows, PreparedStatement, Scope, ScopedConnection, scoped_later

Row = Mapping[str, Any]

DELETION_PART = 20_000
"""Faces that one statement deletes: about 1.4 s on two slow cores."""


_chosen = scoped_later(select(faces).where(faces.c.face_id == any_(bindparam("face_ids", type_=ARRAY(Uuid)))), faces)
_in_order_of_links = aggregate_order_by(list_faces.c.list_id, list_faces.c.link_time, list_faces.c.list_id)
_links = scoped_later(
    select(func.coalesce(func.array_agg(_in_order_of_links), literal([], ARRAY(Uuid)))).where(
        list_faces.c.face_id == faces.c.face_id
    ),
    list_faces,
)
_EXISTING = PreparedStatement(
    scoped_later(
        select(lists.c.list_id).where(lists.c.list_id == any_(bindparam("list_ids", type_=ARRAY(Uuid)))), lists
    )
)
_WITHOUT_LISTS = PreparedStatement(_chosen)
_WITH_LISTS = PreparedStatement(_chosen.add_columns(_links.scalar_subquery().label("lists")))


@dataclass(frozen=True, slots=True)
class NewFace:
    """A face that is about to be stored. Its attributes are its own, or a copy of a temporary attribute's."""

    row: Row
    attribute: NewAttribute | UUID | None = None
    list_ids: Sequence[UUID] = ()

    @property
    def copies(self) -> bool:
        """Whether its attributes are a copy of others', which are to be looked for first."""
        return isinstance(self.attribute, UUID)


class FacesStore:
    """Rows of faces and their links to lists."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, owner: UUID, row: Row, attribute: NewAttribute | UUID | None, list_ids: Sequence[UUID], now: datetime
    ) -> None:
        """Add a face with its attributes (its own, or a copy of a temporary attribute's) and links.

        Raises MissingAttributeError, TakenAttributeError, MissingListError.
        """
        await add_faces(self._database, owner, [NewFace(row, attribute, list_ids)], now)

    async def find(self, scope: Scope, wanted: FaceFilter, limit: int, offset: int, *, with_lists: bool) -> list[Row]:
        """A page of the faces that fulfil the filter; `lists` of each is empty unless asked for."""
        async with self._database.scoped_connect(scope) as connection:
            statement = connection.select_owned(faces).where(*face_conditions(wanted, scope))
            ordered = in_order(statement, faces, wanted).limit(limit).offset(offset)
            rows = (await connection.execute(ordered)).mappings().all()
            links = await lists_of(connection, [row["face_id"] for row in rows]) if with_lists else {}
        return [{**row, "lists": links.get(row["face_id"], [])} for row in rows]

    async def get(self, scope: Scope, face_ids: Collection[UUID], *, with_lists: bool) -> Sequence[Row]:
        """Those of the faces that there are; `lists` of each only if asked for."""
        prepared = _WITH_LISTS if with_lists else _WITHOUT_LISTS
        return await self._database.fetch_prepared(scope, prepared, face_ids=list(face_ids))

    async def count(self, scope: Scope, wanted: FaceFilter) -> int:
        """How many faces fulfil the filter."""
        async with self._database.scoped_connect(scope) as connection:
            statement = connection.scoped(select(func.count()).select_from(faces), faces)
            counted: int = (await connection.execute(statement.where(*face_conditions(wanted, scope)))).scalar_one()
        return counted

    async def change(self, scope: Scope, face_id: UUID, values: Row) -> bool:
        """Set columns of a face. Whether it was there."""
        async with self._database.scoped_transaction(scope) as connection:
            statement = connection.scoped(update(faces), faces).where(faces.c.face_id == face_id)
            # Nothing to set: the face is only looked for.
            changed = await connection.execute(statement.values(values or {"face_id": face_id}))
        return changed.rowcount > 0

    async def delete(self, scope: Scope, face_ids: Sequence[UUID], now: datetime, *, ignore_missing: bool) -> None:
        """Delete faces with their attributes and links. Raises MissingFaceError unless `ignore_missing`."""
        async with self._database.scoped_transaction(scope) as connection:
            locked = await lock_faces(connection, face_ids, exclusively=True)
            if not ignore_missing:
                for face_id in face_ids:
                    if face_id not in locked:
                        raise MissingFaceError(face_id)
            linked = await linked_lists(connection, locked)
            await lock_lists(connection, linked)
            await touch_lists(connection, linked, now)
            await delete_locked(connection, locked)


async def add_faces(
    database: Database, owner: UUID, made: Sequence[NewFace], now: datetime, others: Sequence[NewRows] = ()
) -> None:
    """Add faces with their attributes and links, and rows of others, all or none.

    Raises MissingAttributeError, TakenAttributeError, MissingListError.
    """
    scope = Scope(owner)
    if any(face.copies for face in made):
        async with database.scoped_transaction(scope) as connection:
            await _add_copies(connection, owner, made, now)
            await connection.add(others)
        return
    links = [(list_id, face.row["face_id"]) for face in made for list_id in face.list_ids]
    try:
        await database.add(
            [*new_faces(scope, made, now), *others], links_of_new(owner, links, now) if links else NO_PREFACE
        )
    except IntegrityError:
        wanted = [list_id for list_id, _ in links]
        there = await existing_lists(database, scope, wanted) if wanted else set()
        for list_id in wanted:
            if list_id not in there:
                raise MissingListError(list_id) from None
        raise


async def existing_lists(database: Database, scope: Scope, list_ids: Collection[UUID]) -> set[UUID]:
    """Those of the lists that there are."""
    found = await database.fetch_prepared(scope, _EXISTING, list_ids=list(list_ids))
    return {row["list_id"] for row in found}


async def _add_copies(connection: ScopedConnection, owner: UUID, made: Sequence[NewFace], now: datetime) -> None:
    linked: dict[tuple[UUID, ...], list[UUID]] = {}
    for face in made:
        if face.list_ids:
            linked.setdefault(tuple(face.list_ids), []).append(face.row["face_id"])
    if linked:
        await allow_linking(connection, owner)
    await connection.add(new_faces(connection.scope, made, now))
    for face in made:
        if isinstance(face.attribute, UUID):
            await add_attributes(connection, face.row["face_id"], face.attribute, now)
    if len(linked) > 1:  # all at once, so that the order of locks does not depend on the order of faces
        await lock_lists(connection, {list_id for list_ids in linked for list_id in list_ids})
    for list_ids, face_ids in linked.items():
        await add_links(connection, list_ids, face_ids, now)


def new_faces(scope: Scope, made: Sequence[NewFace], now: datetime) -> list[NewRows]:
    """The rows of faces, with attributes of their own where they have such, without links."""
    own = {face.row["face_id"]: face.attribute for face in made if isinstance(face.attribute, NewAttribute)}
    return [NewRows(scope, faces, [face.row for face in made]), *new_attributes(scope, own, now)]


async def linked_lists(connection: ScopedConnection, face_ids: Collection[UUID]) -> set[UUID]:
    """The lists that any of the faces is in."""
    statement = select(list_faces.c.list_id).distinct().where(among(list_faces.c.face_id, face_ids))
    return set((await connection.execute(connection.scoped(statement, list_faces))).scalars())


async def delete_locked(connection: ScopedConnection, face_ids: Collection[UUID]) -> None:
    """Delete faces that are locked, as their lists are. In parts, so that no statement runs into its time limit."""
    doomed = list(face_ids)
    for start in range(0, len(doomed), DELETION_PART):
        part = among(faces.c.face_id, doomed[start : start + DELETION_PART])
        await connection.execute(connection.scoped(delete(faces), faces).where(part))
