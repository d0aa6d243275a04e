"""Accounts that own things, strangers, and the same server under other rules of entry."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import CompoundSelect, Text, cast, func, literal, literal_column, select, union_all
from sqlalchemy.dialects.postgresql import aggregate_order_by

from lunaria.app import Platform
from lunaria.settings import load
from lunaria.storage.schema import metadata
from lunaria.storage.scope import Scope, owner_of, select_owned
from tests.api.conftest import (  # noqa: F401
    PASSWORD,
    Account,
    AccountFactory,
    client,
    new_account,
    platform,
    transport,
)
from tests.isolation.things import Things, make_things
from tests.servers import MODELS

Snapshot = Callable[[Account], Awaitable[dict[str, tuple[int, str]]]]
TokenFactory = Callable[..., Awaitable[dict[str, str]]]


@pytest.fixture(scope="session")
async def owner(new_account: AccountFactory) -> Account:  # noqa: F811
    return await new_account()


@pytest.fixture(scope="session")
async def outsider(new_account: AccountFactory) -> Account:  # noqa: F811
    """A user who owns nothing."""
    return await new_account()


@pytest.fixture(scope="session")
async def rival(new_account: AccountFactory) -> Account:  # noqa: F811
    """A user with things of its own."""
    return await new_account()


@pytest.fixture(scope="session")
async def advanced_rival(new_account: AccountFactory) -> Account:  # noqa: F811
    """An advanced user with things of its own."""
    return await new_account("advanced_user")


@pytest.fixture(scope="session")
async def advanced(new_account: AccountFactory) -> Account:  # noqa: F811
    """An advanced user: reads everything, changes its own only. Owns nothing."""
    return await new_account("advanced_user")


@pytest.fixture(scope="session")
async def shared_things(owner: Account) -> Things:
    """For requests that change nothing."""
    return await make_things(owner.client, str(owner.id))


@cache
def digests(account: UUID) -> CompoundSelect[Any]:
    """How many rows of each table are an account's, and a digest of them all."""
    scope = Scope(account)
    parts = []
    for table in metadata.sorted_tables:
        if owner_of(table) is not None:
            owned = select_owned(table, scope).subquery("owned")
            row = cast(literal_column("owned"), Text)
            together = func.string_agg(row, aggregate_order_by(literal("\n"), row))
            parts.append(select(literal(table.name), func.count(), func.md5(together)).select_from(owned))
    return union_all(*parts)


@pytest.fixture(scope="session")
def snapshot(platform: Platform) -> Snapshot:  # noqa: F811
    """What differs, by table, when any row of an account does. The database digests them: they are many."""

    async def take(account: Account) -> dict[str, tuple[int, str]]:
        async with platform.database.connect() as connection:
            rows = await connection.execute(digests(UUID(str(account.id))))
            return {name: (number, digest) for name, number, digest in rows}

    return take


@pytest.fixture(scope="session")
def bearer() -> TokenFactory:
    """The header of a new token with these rights."""

    async def make(account: Account, permissions: dict[str, Any], **fields: Any) -> dict[str, str]:
        body = {"expiration_time": None, "permissions": permissions, **fields}
        reply = await account.client.post("/6/tokens", json=body)
        assert reply.status_code == 201, reply.text
        return {"Authorization": f"Bearer {reply.json()['token']}"}

    return make


@asynccontextmanager
async def another_server(platform: Platform, folder: Path, **settings: str) -> AsyncIterator[httpx.AsyncClient]:  # noqa: F811
    """A client without credentials of a second server on the same database and files."""
    environment = {
        "LUNARIA_DATA_FOLDER": str(folder),
        "LUNARIA_MODELS_FOLDER": str(MODELS),
        "LUNARIA_BLOBS_URL": platform.settings.blobs_url,
        "LUNARIA_ACCESS_ADMIN_PASSWORD": PASSWORD,
        "LUNARIA_MODELS_PRELOAD": "false",
        "LUNARIA_SERVER_HOSTS": "lunaria",
        **settings,
    }
    second = Platform(load(environment), str(platform.database._url))
    await second.start()
    try:
        transport = httpx.ASGITransport(second.application(), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://lunaria") as anonymous:
            yield anonymous
    finally:
        await second.stop()


@pytest.fixture(scope="session")
async def exposed(platform: Platform, open_folder: Path) -> AsyncIterator[httpx.AsyncClient]:  # noqa: F811
    """A server that other machines can reach."""
    async with another_server(platform, open_folder / "exposed", LUNARIA_SERVER_HOST="0.0.0.0") as anonymous:
        yield anonymous


@pytest.fixture(scope="session")
async def open_reading(platform: Platform, open_folder: Path) -> AsyncIterator[httpx.AsyncClient]:  # noqa: F811
    """A server where anybody may read."""
    async with another_server(platform, open_folder / "open", LUNARIA_ACCESS_ANONYMOUS_READING="true") as anonymous:
        yield anonymous
