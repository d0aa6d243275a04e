"""The guard against statements that forget the account."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy import Select, bindparam, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.exc import IntegrityError

from lunaria.storage.database import Database
from lunaria.storage.schema import blobs, database_settings, face_attributes, faces, list_faces, lists
from lunaria.storage.scope import (
    EVERYTHING,
    NewRows,
    PreparedStatement,
    Scope,
    UnscopedStatementError,
    refuse_unscoped,
    scoped,
    scoped_later,
    select_owned,
)

MINE = Scope(uuid4())
OTHER = uuid4()
ALIAS = faces.alias("other")

FORGOTTEN = {
    "all columns": select(faces),
    "one column": select(faces.c.face_id),
    "count": select(func.count()).select_from(faces),
    "alias": select(ALIAS.c.face_id),
    "child": select(face_attributes.c.age),
    "subquery": select(database_settings.c.key).where(select(faces.c.face_id).exists()),
    "common table expression": select(select(faces.c.face_id).cte().c.face_id),
    "join with one side forgotten": scoped(
        select(list_faces.c.face_id).join(faces, faces.c.face_id == list_faces.c.face_id), list_faces, MINE
    ),
    "owner joined to a limited child": scoped(select(face_attributes, faces), face_attributes, MINE),
    "update": update(faces).values(user_data="x"),
    "delete": delete(faces).where(faces.c.face_id == OTHER),
    "delete of a child": delete(list_faces),
    "insert without account": insert(faces).values(face_id=uuid4()),
    "insert for another": insert(faces).values(face_id=uuid4(), account_id=OTHER),
    "one of several rows for another": insert(faces).values(
        [{"face_id": uuid4(), "account_id": MINE.account_id}, {"face_id": uuid4(), "account_id": OTHER}]
    ),
    "insert from select": insert(faces).from_select(["face_id"], select_owned(faces, MINE)),
    "child from an unscoped select": insert(list_faces).from_select(["face_id"], select(faces.c.face_id)),
    "upsert": postgresql_insert(faces)
    .values(face_id=uuid4(), account_id=MINE.account_id)
    .on_conflict_do_update(index_elements=["face_id"], set_={"user_data": "x"}),
    "raw text": text("SELECT 1"),
}

REMEMBERED = {
    "all columns": select_owned(faces, MINE),
    "child": scoped(select(face_attributes.c.age), face_attributes, MINE),
    "join": scoped(scoped(select(lists, list_faces).join(list_faces), lists, MINE), list_faces, MINE),
    "alias": scoped(select(ALIAS.c.face_id), ALIAS, MINE),
    "update": scoped(update(faces).values(user_data="x"), faces, MINE),
    "delete": scoped(delete(list_faces), list_faces, MINE),
    "everything": select_owned(faces, EVERYTHING),
    "nobody's table": select(database_settings),
    "insert": insert(faces).values(face_id=uuid4(), account_id=MINE.account_id),
    "child row": insert(list_faces).values(list_id=uuid4(), face_id=uuid4()),
    "child rows from a scoped select": insert(list_faces).from_select(
        ["face_id"], scoped(select(faces.c.face_id), faces, MINE)
    ),
}


@pytest.mark.parametrize("name", FORGOTTEN)
def test_statement_that_forgets_the_account_is_refused(name: str) -> None:
    with pytest.raises(UnscopedStatementError):
        refuse_unscoped(FORGOTTEN[name], None, MINE)


@pytest.mark.parametrize("name", REMEMBERED)
def test_limited_statement_passes(name: str) -> None:
    refuse_unscoped(REMEMBERED[name], None, MINE)


def test_rows_given_as_parameters_are_looked_at() -> None:
    rows = [{"face_id": uuid4(), "account_id": MINE.account_id}]
    refuse_unscoped(insert(faces), rows, MINE)
    with pytest.raises(UnscopedStatementError):
        refuse_unscoped(insert(faces), [*rows, {"face_id": uuid4(), "account_id": OTHER}], MINE)


@pytest.mark.parametrize("name", [name for name, statement in FORGOTTEN.items() if isinstance(statement, Select)])
def test_statement_that_forgets_the_account_cannot_be_prepared(name: str) -> None:
    with pytest.raises(UnscopedStatementError):
        PreparedStatement(FORGOTTEN[name])


async def test_rows_of_others_cannot_be_inserted(clean_database: Database) -> None:
    """Neither by themselves nor among others, which come to be all or none."""
    own, foreign, second = (
        {"face_id": uuid4(), "account_id": account, "create_time": datetime.now(UTC)}
        for account in (MINE.account_id, OTHER, MINE.account_id)
    )
    for rows in ([foreign], [own, foreign], [{**own, "account_id": None}], [{"face_id": uuid4()}]):
        with pytest.raises(UnscopedStatementError):
            NewRows(MINE, faces, rows)
    await clean_database.add([NewRows(MINE, faces, [own]), NewRows(Scope(OTHER), faces, [foreign])])
    attributes = NewRows(MINE, face_attributes, [{"face_id": own["face_id"], "create_time": datetime.now(UTC)}])
    with pytest.raises(IntegrityError):
        await clean_database.add([attributes, NewRows(MINE, faces, [second, own])])
    async with clean_database.scoped_transaction(MINE) as connection:
        await connection.add([])
        await connection.add([NewRows(MINE, faces, [second]), attributes])
    async with clean_database.read() as connection:
        for table, number in ((faces, 3), (face_attributes, 1)):
            assert (await connection.execute(select(func.count()).select_from(table))).scalar_one() == number


def test_table_of_nobody_cannot_be_scoped() -> None:
    with pytest.raises(ValueError, match="belong to no account"):
        scoped(select(database_settings), database_settings, MINE)
    with pytest.raises(ValueError, match="belong to no account"):
        scoped_later(select(database_settings), database_settings)


async def test_scope_decides_what_is_seen(clean_database: Database) -> None:
    mine, other = uuid4(), uuid4()
    for account, face in ((MINE.account_id, mine), (OTHER, other)):
        async with clean_database.scoped_transaction(Scope(account)) as connection:
            row = {"face_id": face, "account_id": account, "create_time": func.now()}
            await connection.execute(insert(faces).values(row))
            await connection.execute(insert(face_attributes).values(face_id=face, create_time=func.now()))
    for scope, expected in (
        (MINE, {mine}),
        (Scope(OTHER), {other}),
        (EVERYTHING, {mine, other}),
        (Scope(uuid4()), set()),
    ):
        async with clean_database.scoped_connect(scope) as connection:
            for table in (faces, face_attributes):
                rows = await connection.execute(connection.select_owned(table))
                assert {row.face_id for row in rows} == expected
                later = PreparedStatement(
                    scoped_later(select(table.c.face_id).where(table.c.face_id.in_([mine, bindparam("other")])), table)
                )
                found = await clean_database.fetch_prepared(scope, later, other=other)
                assert {row["face_id"] for row in found} == expected
    async with clean_database.scoped_transaction(MINE) as connection:
        removed = await connection.execute(connection.scoped(delete(faces), faces))
        assert removed.rowcount == 1


def test_every_table_of_an_account_is_known() -> None:
    """A new table must say whose rows it holds: a column account_id, an owner, or a place in this list."""
    from lunaria.storage.schema import metadata
    from lunaria.storage.scope import owner_of

    nobodys = {table.name for table in metadata.sorted_tables if owner_of(table) is None}
    assert nobodys == {"face_changes", "event_changes", "broadcasts", "database_settings"}
    assert owner_of(blobs) is blobs
