"""The real application on a real database, called through HTTP without a socket."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from lunaria.app import Platform, running
from lunaria.settings import load

REPOSITORY = Path(__file__).parents[2]
PASSWORD = "secret"


@dataclass
class Account:
    """An account with a client that carries its credentials."""

    id: UUID
    login: str
    client: httpx.AsyncClient


AccountFactory = Callable[..., Awaitable[Account]]


async def fresh_database(server_url: str, name: str) -> str:
    """Make an empty database on the server and return its URL."""
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
    parts = urlsplit(server_url)
    return urlunsplit(parts._replace(path=f"/{name}"))


def settings_of(data_folder: Path) -> dict[str, str]:
    """The environment of a platform that the tests start."""
    return {
        "LUNARIA_DATA_FOLDER": str(data_folder),
        "LUNARIA_MODELS_FOLDER": os.environ.get("LUNARIA_TEST_MODELS") or str(REPOSITORY / "data" / "models"),
        "LUNARIA_ACCESS_ADMIN_PASSWORD": PASSWORD,
        "LUNARIA_LOG_LEVEL": "warning",
        "LUNARIA_MODELS_PRELOAD": "false",
        "LUNARIA_SERVER_HOSTS": "lunaria",
        **{name: value for name, value in os.environ.items() if name.startswith("LUNARIA_BLOBS_")},
    }


@pytest.fixture(scope="session")
async def platform(server_url: str, open_folder: Path) -> AsyncIterator[Platform]:
    """A started platform with a database and a blob store of its own."""
    url = await fresh_database(server_url, f"lunaria_api_{uuid4().hex[:8]}")
    async with running(load(settings_of(open_folder / "data")), url) as started:
        yield started


@pytest.fixture(scope="session")
def transport(platform: Platform) -> httpx.ASGITransport:
    return httpx.ASGITransport(platform.application(), raise_app_exceptions=False)


@pytest.fixture(scope="session")
async def client(transport: httpx.ASGITransport) -> AsyncIterator[httpx.AsyncClient]:
    """A client without credentials."""
    async with httpx.AsyncClient(transport=transport, base_url="http://lunaria") as anonymous:
        yield anonymous


@pytest.fixture(scope="session")
async def new_account(client: httpx.AsyncClient, transport: httpx.ASGITransport) -> AsyncIterator[AccountFactory]:
    """Make an account: `await new_account()` or `await new_account("advanced_user")`."""
    clients: list[httpx.AsyncClient] = []

    async def make(account_type: str = "user") -> Account:
        login = f"u{uuid4().hex}@example.org"
        body = {"login": login, "password": PASSWORD, "account_type": account_type}
        reply = await client.post("/6/accounts", json=body)
        assert reply.status_code == 201, reply.text
        signed = httpx.AsyncClient(transport=transport, base_url="http://lunaria", auth=(login, PASSWORD))
        clients.append(signed)
        return Account(UUID(reply.json()["account_id"]), login, signed)

    yield make
    for signed in clients:
        await signed.aclose()


@pytest.fixture(scope="session")
async def account(new_account: AccountFactory) -> Account:
    """A user shared by the whole run; tests that count things make their own."""
    return await new_account()


@pytest.fixture(scope="session")
async def stranger(new_account: AccountFactory) -> Account:
    """Another user, who must never see what `account` owns."""
    return await new_account()
