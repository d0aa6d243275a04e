"""SQL of handlers."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, Text, bindparam, cast, delete, func, insert, literal, select, update

from lunaria.storage.database import Database
from lunaria.storage.schema import handlers
from lunaria.storage.scope import PreparedStatement, Scope, scoped_later

BYTES = 64 * 1024 * 1024
"""Most bytes of policies that are read at one time."""

_COLUMNS = (
    *(column for column in handlers.c if column.name != "policies"),
    cast(handlers.c.policies, Text).label("policies"),
)
"""The policies as a text, which is decoded into its type at once."""
_ONE = PreparedStatement(
    scoped_later(select(*_COLUMNS).where(handlers.c.handler_id == bindparam("handler_id")), handlers)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerFilter:
    """Conditions that handlers fulfil all together; None: no such condition."""

    types: Collection[int] | None = None
    description: str | None = None
    """Part of the description, in capitals or not."""


class LargeHandlersError(Exception):
    """The handlers of a page have more policies than are read at one time."""

    def __init__(self) -> None:
        super().__init__(f"more than {BYTES} bytes of policies: ask for fewer handlers")


class HandlersStore:
    """Rows of handlers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, owner: UUID, row: Mapping[str, Any]) -> None:
        async with self._database.scoped_transaction(Scope(owner)) as connection:
            await connection.execute(insert(handlers), row)

    async def get(self, scope: Scope, handler_id: UUID) -> Mapping[str, Any] | None:
        """One handler: what every request that goes through it begins with."""
        rows = await self._database.fetch_prepared(scope, _ONE, handler_id=handler_id)
        return rows[0] if rows else None

    async def find(self, scope: Scope, wanted: HandlerFilter, limit: int, offset: int) -> Sequence[RowMapping]:
        """A page of the handlers that fulfil the filter, the newest first. Raises LargeHandlersError."""
        async with self._database.scoped_connect(scope) as connection:
            statement = connection.scoped(select(*_COLUMNS), handlers).where(*_conditions(wanted))
            ordered = statement.order_by(handlers.c.create_time.desc(), handlers.c.handler_id.desc())
            page = ordered.limit(limit).offset(offset)
            size = select(func.sum(func.octet_length(page.subquery().c.policies)))
            if ((await connection.execute(size)).scalar_one() or 0) > BYTES:
                raise LargeHandlersError
            return (await connection.execute(page)).mappings().all()

    async def count(self, scope: Scope, wanted: HandlerFilter) -> int:
        """How many handlers fulfil the filter."""
        async with self._database.scoped_connect(scope) as connection:
            statement = connection.scoped(select(func.count()).select_from(handlers), handlers)
            counted: int = (await connection.execute(statement.where(*_conditions(wanted)))).scalar_one()
        return counted

    async def replace(self, scope: Scope, handler_id: UUID, values: Mapping[str, Any], now: datetime) -> bool:
        """Set the given columns. Whether the handler was there."""
        async with self._database.scoped_transaction(scope) as connection:
            statement = connection.scoped(update(handlers), handlers).where(handlers.c.handler_id == handler_id)
            moved = func.greatest(handlers.c.last_update_time, literal(now))
            replaced = await connection.execute(statement.values(**values, last_update_time=moved))
        return replaced.rowcount > 0

    async def delete(self, scope: Scope, handler_id: UUID) -> bool:
        """Whether the handler was there."""
        async with self._database.scoped_transaction(scope) as connection:
            statement = connection.scoped(delete(handlers), handlers).where(handlers.c.handler_id == handler_id)
            deleted = await connection.execute(statement)
        return deleted.rowcount > 0


def _conditions(wanted: HandlerFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.types is not None:
        conditions.append(handlers.c.handler_type.in_(wanted.types))
    if wanted.description is not None:
        conditions.append(handlers.c.description.icontains(wanted.description, autoescape=True))
    return conditions
