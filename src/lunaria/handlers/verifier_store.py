"""SQL of verifiers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, delete, func, insert, literal, select, update

from lunaria.storage.database import Database
from lunaria.storage.schema import verifiers
from lunaria.storage.scope import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierFilter:
    """Conditions that verifiers fulfil all together; None: no such condition."""

    verifier_id: UUID | None = None
    description: str | None = None
    """Part of the description, in capitals or not."""


class VerifiersStore:
    """Rows of verifiers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, owner: UUID, row: Mapping[str, Any]) -> None:
        async with self._database.scoped_transaction(Scope(owner)) as connection:
            await connection.execute(insert(verifiers), row)

    async def find(self, scope: Scope, wanted: VerifierFilter, limit: int, offset: int) -> Sequence[RowMapping]:
        """A page of the verifiers that fulfil the filter, the newest first."""
        async with self._database.scoped_connect(scope) as connection:
            statement = connection.select_owned(verifiers).where(*_conditions(wanted))
            ordered = statement.order_by(verifiers.c.create_time.desc(), verifiers.c.verifier_id.desc())
            return (await connection.execute(ordered.limit(limit).offset(offset))).mappings().all()

    async def count(self, scope: Scope, wanted: VerifierFilter) -> int:
        """How many verifiers fulfil the filter."""
        async with self._database.scoped_connect(scope) as connection:
            statement = connection.scoped(select(func.count()).select_from(verifiers), verifiers)
            counted: int = (await connection.execute(statement.where(*_conditions(wanted)))).scalar_one()
        return counted

    async def replace(self, scope: Scope, verifier_id: UUID, values: Mapping[str, Any], now: datetime) -> int | None:
        """Set the given columns and count the version up. The new version; None when the verifier is not there."""
        async with self._database.scoped_transaction(scope) as connection:
            statement = connection.scoped(update(verifiers), verifiers).where(verifiers.c.verifier_id == verifier_id)
            moved = func.greatest(verifiers.c.last_update_time, literal(now))
            changed = statement.values(**values, version=verifiers.c.version + 1, last_update_time=moved)
            version: int | None = (await connection.execute(changed.returning(verifiers.c.version))).scalar()
        return version

    async def delete(self, scope: Scope, verifier_id: UUID) -> bool:
        """Whether the verifier was there."""
        async with self._database.scoped_transaction(scope) as connection:
            statement = connection.scoped(delete(verifiers), verifiers).where(verifiers.c.verifier_id == verifier_id)
            deleted = await connection.execute(statement)
        return deleted.rowcount > 0


def _conditions(wanted: VerifierFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.verifier_id is not None:
        conditions.append(verifiers.c.verifier_id == wanted.verifier_id)
    if wanted.description is not None:
        conditions.append(verifiers.c.description.icontains(wanted.description, autoescape=True))
    return conditions
