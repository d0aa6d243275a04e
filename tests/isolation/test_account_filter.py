"""The query parameter account_id: for every operation that has it, what it shows to whom (one table for all)."""

from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from lunaria.app import Platform
from tests.api.conftest import Account
from tests.isolation.conftest import TokenFactory
from tests.isolation.operations import ENTRIES, Entry
from tests.isolation.test_matrix import ALL_RIGHTS, Key
from tests.isolation.things import Call, Things

FILTERED = [key for key, entry in ENTRIES.items() if entry.by_account]
each = pytest.mark.parametrize("key", FILTERED, ids=[f"{method} {path}" for method, path in FILTERED])


def test_the_table_knows_who_takes_it(platform: Platform) -> None:
    taking = {
        (declared.method, declared.path)
        for declared in platform.operations()
        if any(entry.encode_name == "account_id" for entry in msgspec.structs.fields(declared.query))
    }
    assert taking == set(FILTERED)


def filtered(call: Call, account_id: object) -> Call:
    if account_id is None:
        return call
    joint = "&" if "?" in call.url else "?"
    return Call(call.method, f"{call.url}{joint}account_id={account_id}", call.json, call.content, call.headers)


async def sees(entry: Entry, things: Things, client: httpx.AsyncClient, account_id: object, **credentials: Any) -> bool:
    """Whether the owner's things show in the reply."""
    reply = await filtered(entry.aim(things), account_id).send(client, **credentials)
    if entry.foreign is not None and reply.status_code == 404:
        assert reply.json()["error_code"] == entry.foreign
        return False
    assert reply.status_code == 200, reply.text
    assert entry.shows is not None
    return entry.shows(reply, things)


@each
async def test_user(key: Key, owner: Account, outsider: Account, shared_things: Things) -> None:
    entry = ENTRIES[key]
    assert await sees(entry, shared_things, owner.client, None)
    assert await sees(entry, shared_things, owner.client, owner.id)
    assert await sees(entry, shared_things, owner.client, str(owner.id).upper())
    assert not await sees(entry, shared_things, owner.client, outsider.id)
    for account_id in (None, outsider.id, owner.id):
        assert not await sees(entry, shared_things, outsider.client, account_id)


@each
async def test_advanced_user(
    key: Key,
    client: httpx.AsyncClient,
    owner: Account,
    advanced: Account,
    shared_things: Things,
    bearer: TokenFactory,
) -> None:
    entry = ENTRIES[key]
    wide = {"headers": await bearer(advanced, ALL_RIGHTS, visibility_area="all")}
    narrow = {"headers": await bearer(advanced, ALL_RIGHTS, visibility_area="account")}
    everything = not entry.private
    for by, credentials in ((advanced.client, {}), (client, wide)):
        assert await sees(entry, shared_things, by, None, **credentials) is everything
        assert await sees(entry, shared_things, by, owner.id, **credentials) is everything
        assert not await sees(entry, shared_things, by, advanced.id, **credentials)
        assert not await sees(entry, shared_things, by, uuid4(), **credentials)
    for account_id in (None, owner.id, advanced.id):
        assert not await sees(entry, shared_things, client, account_id, **narrow)


@each
async def test_account_header_overrules_it(
    key: Key, client: httpx.AsyncClient, owner: Account, advanced: Account, shared_things: Things
) -> None:
    entry = ENTRIES[key]
    for account_id in (None, owner.id, advanced.id):
        own = {"headers": {"Luna-Account-Id": str(owner.id)}}
        assert await sees(entry, shared_things, client, account_id, **own)
        foreign = {"headers": {"Luna-Account-Id": str(advanced.id)}}
        assert not await sees(entry, shared_things, client, account_id, **foreign)


@each
async def test_anonymous_where_reading_is_open(
    key: Key, open_reading: httpx.AsyncClient, owner: Account, outsider: Account, shared_things: Things
) -> None:
    entry = ENTRIES[key]
    if entry.private:
        reply = await entry.aim(shared_things).send(open_reading)
        assert reply.status_code in (401, 403)
        return
    assert await sees(entry, shared_things, open_reading, None)
    assert await sees(entry, shared_things, open_reading, owner.id)
    assert not await sees(entry, shared_things, open_reading, outsider.id)


@each
async def test_it_must_be_a_uuid(key: Key, owner: Account, shared_things: Things) -> None:
    reply = await filtered(ENTRIES[key].aim(shared_things), "me").send(owner.client)
    assert (reply.status_code, reply.json()["error_code"]) == (400, 12012)
