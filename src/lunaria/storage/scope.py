"""Account isolation: the one helper that every query of an account's data goes through.

A store gets a `ScopedConnection`, which refuses a statement that reads, changes or deletes owned rows without having
been limited by `scoped`. So a forgotten condition is an error in the first test that runs the statement, not a leak.
A table that occurs twice in one statement (aliases) must be limited by its writer each time; one limit satisfies the
check.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import (
    Alias,
    BindParameter,
    ColumnClause,
    CursorResult,
    Delete,
    FromClause,
    Insert,
    Select,
    Table,
    Update,
    Uuid,
    bindparam,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.dialects.postgresql.dml import OnConflictDoUpdate
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import ClauseElement, ColumnElement

_MARK = "lunaria_scoped_tables"
_LIMIT = "lunaria_scope_limit"
_ACCOUNT_PARAMETER = re.compile(r"account_id(_m\d+)?")
_Limited = TypeVar("_Limited", Select[Any], Update, Delete)
Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Scope:
    """Whose rows may be touched: one account's, or, with None, everybody's (the admin's and the system's view)."""

    account_id: UUID | None


EVERYTHING = Scope(None)
_DRIVER = asyncpg.dialect()  # type: ignore[no-untyped-call]
_ACCOUNT: BindParameter[Any] = bindparam("scope_account_id", type_=Uuid)


class UnscopedStatementError(RuntimeError):
    """A statement touches an account's data without being limited to a scope: a defect in our code."""


def scoped(statement: _Limited, table: FromClause, scope: Scope) -> _Limited:
    """Limits the rows of `table` (or an alias) in the statement to the scope's account, and notes that this was done.

    Rows without an `account_id` of their own (links, descriptors) are limited by the row that they hang from. Call it
    once for each owned table of a statement.

    Raises:
        ValueError: the table's rows belong to no account.
    """
    base, owner = _owned(table)
    if scope.account_id is not None:
        statement = statement.where(_belongs(table, base, owner, scope.account_id))
    return _marked(statement, base)


def scoped_later(statement: _Limited, table: FromClause) -> _Limited:
    """As `scoped`, for a `PreparedStatement`: the scope is that of the connection which runs it."""
    base, owner = _owned(table)
    return _marked(statement.where(or_(_ACCOUNT.is_(None), _belongs(table, base, owner, _ACCOUNT))), base)


class PreparedStatement:
    """A SELECT that is built once and then run by the driver alone (`Database.fetch_prepared`).

    Building one with SQLAlchemy, and running it, takes several times longer than the driver and PostgreSQL do. Limit it
    with `scoped_later`. Arguments and columns are as the driver has them.

    Raises UnscopedStatementError when it is not limited, ValueError for a list whose length is part of the SQL.
    """

    def __init__(self, statement: Select[Any]) -> None:
        refuse_unscoped(statement, None, EVERYTHING)
        compiled = statement.compile(dialect=_DRIVER)
        if compiled.post_compile_params:
            raise ValueError("The length of a list is part of this SQL; compare with an array instead")
        self.sql = str(compiled)
        self._arguments = {name: compiled.params[name] for name in compiled.positiontup or ()}

    def arguments(self, scope: Scope, given: Mapping[str, Any]) -> list[Any]:
        """What the SQL is to be run with, in its order."""
        known = {**self._arguments, **given, _ACCOUNT.key: scope.account_id}
        return [known[name] for name in self._arguments]


@dataclass(frozen=True, slots=True)
class NewRows:
    """Rows for a table, all with the same columns: each of the scope's account, or hanging from another row.

    Values are as `msgspec` encodes them; bytes only for columns of bytes.

    Raises UnscopedStatementError for rows of another account.
    """

    scope: Scope
    table: Table
    rows: Sequence[Mapping[str, Any]]

    def __post_init__(self) -> None:
        _refuse_other_accounts(self.table, (row.get("account_id") for row in self.rows), self.scope)


@dataclass(frozen=True, slots=True)
class Preface:
    """What is done in the same statement as additions: common table expressions, with their arguments from $1 on.

    Its writer limits it to an account.
    """

    sql: str = ""
    arguments: Sequence[Any] = ()


NO_PREFACE = Preface()


def addition(new: Iterable[NewRows], preface: Preface = NO_PREFACE) -> tuple[str, list[Any]] | None:
    """One statement that adds all these rows, with its arguments; None when there are none.

    Every table's rows are one argument, whatever their number, so that there are few different statements.
    """
    rows: dict[tuple[str, tuple[str, ...]], list[Mapping[str, Any]]] = {}
    for one in new:
        for row in one.rows:
            rows.setdefault((one.table.name, tuple(row)), []).append(_as_json(row))
    if not rows:
        return None
    sql = _added(tuple(rows), preface.sql, len(preface.arguments))
    return sql, [*preface.arguments, *(msgspec.json.encode(own).decode() for own in rows.values())]


@cache
def _added(tables: tuple[tuple[str, tuple[str, ...]], ...], preface: str, arguments: int) -> str:
    """An INSERT for each of these tables with their columns, in one statement: its parts are done all or none."""
    parts = [preface] if preface else []
    for number, (table, names) in enumerate(tables, arguments + 1):
        columns = ", ".join(names)
        values = f"SELECT {columns} FROM json_populate_recordset(NULL::{table}, ${number}::json)"  # noqa: S608
        parts.append(f"added_{number} AS (INSERT INTO {table} ({columns}) {values})")
    return f"WITH {', '.join(parts)} SELECT 1"


def _as_json(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Bytes become what PostgreSQL reads as such."""
    return {name: f"\\x{value.hex()}" if isinstance(value, bytes) else value for name, value in row.items()}


def _owned(table: FromClause) -> tuple[Table, Table]:
    """The table itself, and the one whose `account_id` decides about its rows. Raises ValueError."""
    base, owner = _base_table(table), owner_of(table)
    if base is None or owner is None:
        raise ValueError(f"The rows of {table} belong to no account")
    return base, owner


def _belongs(
    table: FromClause, base: Table, owner: Table, account_id: "UUID | BindParameter[Any]"
) -> ColumnElement[bool]:
    """The condition that rows are the account's."""
    if owner is base:
        own: ColumnElement[bool] = table.c.account_id == account_id
        return own
    (key,) = owner.primary_key.columns
    keys = select(key).where(owner.c.account_id == account_id).execution_options(**{_LIMIT: True})
    return table.c[key.name].in_(keys)


def _marked(statement: _Limited, base: Table) -> _Limited:
    done = statement.get_execution_options().get(_MARK, frozenset())
    return statement.execution_options(**{_MARK: done | {base.name}})


def select_owned(table: Table, scope: Scope) -> Select[Any]:
    """`SELECT` of all columns of a table's rows within the scope."""
    return scoped(select(table), table, scope)


def owner_of(table: FromClause) -> Table | None:
    """The table whose `account_id` decides about the rows: itself, the one that they hang from, or None (nobody's)."""
    base = _base_table(table)
    if base is None or "account_id" in base.c:
        return base
    owner = base.info.get("owner")
    return base.metadata.tables[owner] if owner else None


class ScopedConnection:
    """A connection in the hands of a store: knows the scope, runs nothing that ignores it."""

    def __init__(self, connection: AsyncConnection, scope: Scope) -> None:
        self._connection = connection
        self.scope = scope

    async def execute(self, statement: Executable, parameters: Parameters | None = None) -> CursorResult[Any]:
        """Runs the statement. Raises UnscopedStatementError when it could touch another account's rows."""
        refuse_unscoped(statement, parameters, self.scope)
        return await self._connection.execute(statement, parameters)

    async def add(self, new: Iterable[NewRows]) -> None:
        """Adds all these rows with one statement."""
        statement = addition(new)
        if statement is not None:
            sql, arguments = statement
            await self._connection.exec_driver_sql(sql, tuple(arguments))

    def select_owned(self, table: Table) -> Select[Any]:
        """See `select_owned`."""
        return select_owned(table, self.scope)

    def scoped(self, statement: _Limited, table: FromClause) -> _Limited:
        """See `scoped`."""
        return scoped(statement, table, self.scope)


def refuse_unscoped(statement: Executable, parameters: Parameters | None, scope: Scope) -> None:
    """Raises UnscopedStatementError when an owned table of the statement has not gone through `scoped`.

    New rows must carry the scope's account. New rows that hang from another row are free, as the store has found that
    row within the scope. Raw SQL is refused, as nobody can look into it.
    """
    looked_at: Executable | None = statement
    if isinstance(statement, Insert):
        _refuse_foreign_rows(statement, parameters, scope)
        looked_at = statement.select
    elif not isinstance(statement, Select | Update | Delete):
        raise UnscopedStatementError(f"A {type(statement).__name__} cannot be limited to an account")
    if not isinstance(looked_at, ClauseElement):
        return
    touched: set[str] = set()
    limited: set[str] = set()
    for element in _elements(looked_at):
        touched.update(table.name for table in _tables_of(element) if owner_of(table) is not None)
        if isinstance(element, Select | Update | Delete):
            limited |= element.get_execution_options().get(_MARK, frozenset())
    if touched - limited:
        raise UnscopedStatementError(f"Not limited to an account: {', '.join(sorted(touched - limited))}")


def _refuse_foreign_rows(statement: Insert, parameters: Parameters | None, scope: Scope) -> None:
    table = statement.table
    if scope.account_id is None or "account_id" not in table.c:
        return
    if isinstance(statement._post_values_clause, OnConflictDoUpdate):
        raise UnscopedStatementError(f"ON CONFLICT DO UPDATE could change another account's row of {table.name}")
    if statement.select is not None:
        raise UnscopedStatementError(f"New rows of {table.name} from a SELECT could belong to another account")
    rows: Sequence[Mapping[str, Any]]
    if parameters:
        rows = [parameters] if isinstance(parameters, Mapping) else parameters
        given = [row.get("account_id") for row in rows]
    else:
        values = statement.compile().params
        given = [value for name, value in values.items() if _ACCOUNT_PARAMETER.fullmatch(name)]
    if not given:
        raise UnscopedStatementError(f"New rows of {table.name} must carry the scope's account")
    _refuse_other_accounts(table, given, scope)


def _refuse_other_accounts(table: Any, given: Iterable[Any], scope: Scope) -> None:
    if scope.account_id is None or "account_id" not in table.c:
        return
    if any(account != scope.account_id for account in given):
        raise UnscopedStatementError(f"New rows of {table.name} must carry the scope's account")


def _elements(element: Any) -> Iterator[Any]:
    """The parts of a statement, without the conditions that `scoped` put in."""
    yield element
    for child in element.get_children():
        if not (isinstance(child, Select) and _LIMIT in child.get_execution_options()):
            yield from _elements(child)


def _tables_of(element: Any) -> Iterator[Table]:
    source = element.table if isinstance(element, ColumnClause | Update | Delete) else element
    base = _base_table(source)
    if base is not None:
        yield base


def _base_table(source: Any) -> Table | None:
    while isinstance(source, Alias):
        source = source.element
    return source if isinstance(source, Table) else None
