"""Conditions on faces and lists, and the order in which they are listed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Table, select

from lunaria.storage.arrays import among
from lunaria.storage.schema import faces, list_faces, lists
from lunaria.storage.scope import Scope, scoped


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bounds:
    """Conditions that faces and lists have in common; None: no such condition."""

    created_from: datetime | None = None
    created_before: datetime | None = None
    id_from: UUID | None = None
    id_before: UUID | None = None
    user_data: str | None = None
    """Part of the user data, in capitals or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceFilter(_Bounds):
    """Conditions that faces fulfil all together."""

    face_ids: Sequence[UUID] | None = None
    external_ids: Sequence[str] | None = None
    event_id: UUID | None = None
    list_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFilter(_Bounds):
    """Conditions that lists fulfil all together."""

    list_ids: Sequence[UUID] | None = None
    updated_from: datetime | None = None
    updated_before: datetime | None = None
    same_user_data: str | None = None


def face_conditions(wanted: FaceFilter, scope: Scope) -> list[ColumnElement[bool]]:
    """The filter in SQL, for a statement on `faces`."""
    conditions = _bounds(faces, faces.c.face_id, wanted)
    if wanted.face_ids is not None:
        conditions.append(among(faces.c.face_id, wanted.face_ids))
    if wanted.external_ids is not None:
        # The second condition lets the partial index serve.
        conditions += [among(faces.c.external_id, wanted.external_ids), faces.c.external_id != ""]
    if wanted.event_id is not None:
        conditions.append(faces.c.event_id == wanted.event_id)
    if wanted.list_id is not None:
        linked = select(list_faces.c.face_id).where(list_faces.c.list_id == wanted.list_id)
        conditions.append(faces.c.face_id.in_(scoped(linked, list_faces, scope)))
    return conditions


def list_conditions(wanted: ListFilter) -> list[ColumnElement[bool]]:
    """The filter in SQL, for a statement on `lists`."""
    conditions = _bounds(lists, lists.c.list_id, wanted)
    if wanted.list_ids is not None:
        conditions.append(among(lists.c.list_id, wanted.list_ids))
    if wanted.updated_from is not None:
        conditions.append(lists.c.last_update_time >= wanted.updated_from)
    if wanted.updated_before is not None:
        conditions.append(lists.c.last_update_time < wanted.updated_before)
    if wanted.same_user_data is not None:
        conditions.append(lists.c.user_data == wanted.same_user_data)
    return conditions


def in_order(statement: Select[Any], table: Table, wanted: _Bounds) -> Select[Any]:
    """Newest first; by id, ascending, when ids are bounded, so that a client can walk over all of them."""
    (key,) = table.primary_key.columns
    if wanted.id_from is not None or wanted.id_before is not None:
        return statement.order_by(key)
    return statement.order_by(table.c.create_time.desc(), key.desc())


def _bounds(table: Table, key: Any, wanted: _Bounds) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.created_from is not None:
        conditions.append(table.c.create_time >= wanted.created_from)
    if wanted.created_before is not None:
        conditions.append(table.c.create_time < wanted.created_before)
    if wanted.id_from is not None:
        conditions.append(key >= wanted.id_from)
    if wanted.id_before is not None:
        conditions.append(key < wanted.id_before)
    if wanted.user_data is not None:
        conditions.append(table.c.user_data.icontains(wanted.user_data, autoescape=True))
    return conditions
