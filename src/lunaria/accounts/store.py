"""SQL of accounts and tokens."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from lunaria.storage.database import Database
from lunaria.storage.schema import accounts, database_settings, tokens
from lunaria.storage.scope import EVERYTHING, PreparedStatement, Scope, scoped_later

_ONE = PreparedStatement(scoped_later(select(accounts), accounts))

JWT_SECRET = "jwt_secret"  # noqa: S105 - the name under which the secret is kept


class AccountsStore:
    """Rows of accounts and tokens."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, row: Mapping[str, Any]) -> None:
        """Raises sqlalchemy IntegrityError when the login or the id is taken."""
        async with self._database.scoped_transaction(Scope(row["account_id"])) as connection:
            await connection.execute(insert(accounts), row)

    async def by_id(self, account_id: UUID) -> Mapping[str, Any] | None:
        """One account: what every request with its id begins with."""
        rows = await self._database.fetch_prepared(Scope(account_id), _ONE)
        return rows[0] if rows else None

    async def by_login(self, login: str) -> RowMapping | None:
        async with self._database.scoped_connect(EVERYTHING) as connection:
            found = await connection.execute(connection.select_owned(accounts).where(accounts.c.login == login))
        return found.mappings().one_or_none()

    async def all(self) -> list[RowMapping]:
        async with self._database.scoped_connect(EVERYTHING) as connection:
            found = await connection.execute(connection.select_owned(accounts).order_by(accounts.c.create_time))
        return list(found.mappings())

    async def change(self, account_id: UUID, values: Mapping[str, Any]) -> None:
        """Raises sqlalchemy IntegrityError when the login is taken."""
        async with self._database.scoped_transaction(Scope(account_id)) as connection:
            await connection.execute(connection.scoped(update(accounts), accounts).values(values))

    async def secret(self, fresh: str) -> str:
        """The key that signs tokens: the stored one, else `fresh` becomes it."""
        async with self._database.transaction() as connection:
            await connection.execute(
                upsert(database_settings).values(key=JWT_SECRET, value=fresh).on_conflict_do_nothing()
            )
            found = await connection.execute(
                select(database_settings.c.value).where(database_settings.c.key == JWT_SECRET)
            )
            value: str = found.scalar_one()
        return value

    async def add_token(self, row: Mapping[str, Any]) -> None:
        async with self._database.scoped_transaction(Scope(row["account_id"])) as connection:
            await connection.execute(insert(tokens), row)

    async def replace_token(self, scope: Scope, token_id: UUID, values: Mapping[str, Any]) -> bool:
        """Whether the token was there."""
        async with self._database.scoped_transaction(scope) as connection:
            statement = connection.scoped(update(tokens), tokens).where(tokens.c.token_id == token_id)
            changed = await connection.execute(statement.values(values))
        return changed.rowcount > 0

    async def delete_token(self, scope: Scope, token_id: UUID) -> bool:
        """Whether the token was there."""
        async with self._database.scoped_transaction(scope) as connection:
            statement = connection.scoped(tokens.delete(), tokens).where(tokens.c.token_id == token_id)
            deleted = await connection.execute(statement)
        return deleted.rowcount > 0

    async def token(self, scope: Scope, token_id: UUID) -> RowMapping | None:
        async with self._database.scoped_connect(scope) as connection:
            found = await connection.execute(connection.select_owned(tokens).where(tokens.c.token_id == token_id))
        return found.mappings().one_or_none()

    async def token_with_account(self, token_id: UUID) -> tuple[RowMapping, RowMapping] | None:
        """A token's record and its account's."""
        async with self._database.scoped_connect(EVERYTHING) as connection:
            token = (
                (await connection.execute(connection.select_owned(tokens).where(tokens.c.token_id == token_id)))
                .mappings()
                .one_or_none()
            )
            if token is None:
                return None
            account = await connection.execute(
                connection.select_owned(accounts).where(accounts.c.account_id == token["account_id"])
            )
            return token, account.mappings().one()

    async def tokens(
        self, scope: Scope, *, created_from: Any, created_before: Any, limit: int, offset: int
    ) -> list[RowMapping]:
        """A page of tokens, newest first."""
        async with self._database.scoped_connect(scope) as connection:
            statement = connection.select_owned(tokens)
            if created_from is not None:
                statement = statement.where(tokens.c.create_time >= created_from)
            if created_before is not None:
                statement = statement.where(tokens.c.create_time < created_before)
            statement = statement.order_by(tokens.c.create_time.desc(), tokens.c.token_id)
            found = await connection.execute(statement.limit(limit).offset(offset))
        return list(found.mappings())
