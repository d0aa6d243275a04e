"""SQL of temporary attributes, and what it has in common with that of faces' attributes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, Select, Table, delete, select
from sqlalchemy.dialects.postgresql import distinct_on

from lunaria.attributes.descriptors import CodedDescriptor
from lunaria.storage.arrays import among
from lunaria.storage.database import Database
from lunaria.storage.schema import attribute_descriptors, attributes
from lunaria.storage.scope import EVERYTHING, NewRows, Scope, ScopedConnection

ESTIMATES = ("age", "gender", "ethnicity", "has_basic", "descriptor_samples", "basic_samples")
"""The columns that temporary attributes and faces' attributes share."""
DESCRIPTOR = ("version", "coding", "data", "score")


@dataclass(frozen=True, slots=True)
class DescriptorChoice:
    """Which of an object's descriptors: that of `version`; with None that of `default`, else of the newest version."""

    version: int | None
    default: int


@dataclass(frozen=True, slots=True)
class FoundAttribute:
    """A row of attributes, of a temporary one or a face's, with the chosen descriptor."""

    row: RowMapping
    descriptor: CodedDescriptor | None


async def described(
    connection: ScopedConnection,
    owners: Table,
    descriptors: Table,
    keys: Collection[UUID],
    choice: DescriptorChoice | None,
    *conditions: ColumnElement[bool],
) -> dict[UUID, FoundAttribute]:
    """Those of the objects that fulfil the conditions, each with the chosen descriptor; none is read for None.

    `owners`: attributes or face_attributes, `descriptors`: the table of theirs. One statement, so that both are of
    one moment.
    """
    (key,) = owners.primary_key.columns
    statement = connection.select_owned(owners).where(among(key, keys), *conditions)
    if choice is not None:
        chosen = _chosen(connection, descriptors, keys, choice).subquery()
        joined = owners.outerjoin(chosen, chosen.c[key.name] == key)
        statement = statement.add_columns(*(chosen.c[name] for name in DESCRIPTOR)).select_from(joined)
    rows = (await connection.execute(statement)).mappings()
    return {row[key.name]: FoundAttribute(row, _descriptor(row) if choice is not None else None) for row in rows}


def _chosen(
    connection: ScopedConnection, table: Table, keys: Collection[UUID], choice: DescriptorChoice
) -> Select[Any]:
    key = table.primary_key.columns[0]
    statement = connection.scoped(select(key, *(table.c[name] for name in DESCRIPTOR)), table).where(among(key, keys))
    if choice.version is not None:
        return statement.where(table.c.version == choice.version)
    preferred = (table.c.version == choice.default).desc()
    return statement.ext(distinct_on(key)).order_by(key, preferred, table.c.version.desc())


def _descriptor(row: RowMapping) -> CodedDescriptor | None:
    return None if row["version"] is None else CodedDescriptor(*(row[name] for name in DESCRIPTOR))


def descriptor_rows(key: str, descriptors: Mapping[UUID, Iterable[CodedDescriptor]]) -> list[dict[str, Any]]:
    """Rows for a table of descriptors; `key` is the name of its column for the owner's id."""
    return [
        {
            key: owner,
            "version": descriptor.version,
            "coding": descriptor.coding,
            "data": descriptor.data,
            "score": descriptor.score,
        }
        for owner, owned in descriptors.items()
        for descriptor in owned
    ]


def new_temporary_attributes(
    scope: Scope, rows: Sequence[Mapping[str, Any]], descriptors: Mapping[UUID, Iterable[CodedDescriptor]]
) -> list[NewRows]:
    """The rows, and those of the descriptors by attribute."""
    described_rows = descriptor_rows("attribute_id", descriptors)
    return [NewRows(scope, attributes, rows), NewRows(scope, attribute_descriptors, described_rows)]


class AttributesStore:
    """Rows of temporary attributes. Expired ones are not found, whether the cleaner has been there or not."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, owner: UUID, rows: Sequence[Mapping[str, Any]], descriptors: Mapping[UUID, Iterable[CodedDescriptor]]
    ) -> None:
        """Add the rows, each of the account `owner`, and the descriptors by attribute, all or none."""
        await self._database.add(new_temporary_attributes(Scope(owner), rows, descriptors))

    async def find(
        self, scope: Scope, attribute_ids: Collection[UUID], now: datetime, choice: DescriptorChoice | None
    ) -> dict[UUID, FoundAttribute]:
        """Those of the attributes that live, each with the chosen descriptor; none is read for None."""
        living = attributes.c.expires_at > now
        async with self._database.scoped_connect(scope) as connection:
            return await described(connection, attributes, attribute_descriptors, attribute_ids, choice, living)

    async def delete(self, scope: Scope, attribute_id: UUID, now: datetime) -> bool:
        """Whether the attribute was there."""
        async with self._database.scoped_transaction(scope) as connection:
            statement = connection.scoped(delete(attributes), attributes).where(_living([attribute_id], now))
            deleted = await connection.execute(statement)
        return deleted.rowcount > 0

    async def delete_expired(self, now: datetime, limit: int) -> int:
        """Delete up to `limit` expired attributes, passing over those that a request holds. How many went."""
        expired = select(attributes.c.attribute_id).where(attributes.c.expires_at <= now)
        expired = expired.order_by(attributes.c.expires_at).limit(limit).with_for_update(skip_locked=True)
        async with self._database.scoped_transaction(EVERYTHING) as connection:
            doomed = list((await connection.execute(connection.scoped(expired, attributes))).scalars())
            if doomed:
                statement = connection.scoped(delete(attributes), attributes)
                await connection.execute(statement.where(among(attributes.c.attribute_id, doomed)))
        return len(doomed)


def _living(attribute_ids: Collection[UUID], now: datetime) -> ColumnElement[bool]:
    return among(attributes.c.attribute_id, attribute_ids) & (attributes.c.expires_at > now)
