"""Every operation, called by everybody: who gets in, who sees what, and that nobody changes another's things."""

from typing import Any

import httpx
import pytest

from lunaria.app import Platform
from lunaria.http.credentials import Auth
from lunaria.http.operation import Operation
from lunaria.http.principal import OBJECT_VERBS, RESOURCES
from lunaria.http.router import with_options
from tests.api.conftest import PASSWORD, Account, AccountFactory
from tests.isolation.conftest import Snapshot, TokenFactory
from tests.isolation.operations import ENTRIES, Access, Entry, Rights
from tests.isolation.things import Call, Things, make_things
from tests.servers import assert_envelope

ALL_RIGHTS: dict[str, Any] = {
    **{thing: list(verbs) for thing, verbs in OBJECT_VERBS.items()},
    "resources": [*RESOURCES],
    "emit_events": {"allowed": 1},
}
Key = tuple[str, str]


def chosen(*access: Access, changing: bool | None = None) -> Any:
    """Runs a test for the operations with one of these ways of access."""
    keys = [
        key
        for key, entry in ENTRIES.items()
        if entry.access in access and (changing is None or changing is not entry.reading)
    ]
    return pytest.mark.parametrize("key", keys, ids=[f"{method} {path}" for method, path in keys])


@pytest.fixture
async def holder(key: Key, owner: Account, new_account: AccountFactory) -> Account:
    """Whose things requests shall succeed with: a new account's where the operation changes something."""
    return owner if ENTRIES[key].reading else await new_account()


@pytest.fixture
async def own_things(key: Key, shared_things: Things, holder: Account) -> Things:
    """The things of `holder`."""
    return shared_things if ENTRIES[key].reading else await make_things(holder.client, str(holder.id))


def stranger(key: Key, without_things: Account, with_things: Account) -> Account:
    """Who plays the stranger: one who owns nothing, unless the operation would change that."""
    return with_things if ENTRIES[key].own == (201,) else without_things


def assert_allowed(entry: Entry, reply: httpx.Response, things: Things) -> None:
    """The operation was done, and where it shows things, it shows these."""
    code = reply.json()["error_code"] if reply.status_code >= 400 and reply.content else None
    assert reply.status_code in entry.own or code in entry.own, (reply.status_code, reply.text[:300])
    if entry.shows is not None:
        assert entry.shows(reply, things), reply.text[:500]


def assert_nothing_seen(key: Key, entry: Entry, call: Call, reply: httpx.Response, things: Things) -> None:
    """Not found with the thing's own code, or a success without a trace of these things."""
    if entry.foreign is not None:
        if key[0] == "HEAD":
            assert (reply.status_code, reply.content) == (404, b"")
        else:
            assert_envelope(reply, 404, entry.foreign)
    else:
        code = reply.json()["error_code"] if reply.status_code >= 400 and reply.content else None
        assert reply.status_code in entry.own or code in entry.own, (reply.status_code, reply.text[:300])
        if entry.shows is not None:
            assert not entry.shows(reply, things), reply.text[:500]
    for trace in things.traces(call):
        assert trace not in reply.text
        assert all(trace not in value for value in reply.headers.values())


def test_every_operation_is_known(platform: Platform) -> None:
    served = {(declared.method, declared.path) for declared in platform.operations()}
    assert served - set(ENTRIES) == set(), "say in tests/isolation/operations.py who may see what of it"
    assert set(ENTRIES) - served == set()


def test_credentials_are_declared_as_specified(platform: Platform) -> None:
    admitted = {
        Access.ALL: {Auth.NONE, Auth.OPTIONAL},
        Access.ACCOUNT: {Auth.NO_TOKEN},
        Access.PRINCIPAL: {Auth.ANY},
    }
    for declared in platform.operations():
        assert declared.auth in admitted[ENTRIES[declared.method, declared.path].access], declared.name


async def test_options_need_no_credentials(platform: Platform, client: httpx.AsyncClient) -> None:
    def address(declared: Operation) -> str:
        names = {"uuid": "00000000-0000-4000-8000-000000000000", "str": "x"}
        return "/".join(
            names[part.strip("{}").partition(":")[2]] if part.startswith("{") else part
            for part in declared.path.split("/")
        )

    for declared in with_options(platform.operations()):
        if declared.method == "OPTIONS":
            reply = await client.options(address(declared))
            assert (reply.status_code, reply.json()) == (200, {}), declared.path
            assert "OPTIONS" in reply.headers["Allow"]


@chosen(*Access)
async def test_owner_is_served(key: Key, holder: Account, own_things: Things) -> None:
    entry = ENTRIES[key]
    assert_allowed(entry, await entry.aim(own_things).send(holder.client), own_things)


@chosen(Access.PRINCIPAL, Access.ACCOUNT)
async def test_stranger_finds_nothing_and_changes_nothing(
    key: Key, owner: Account, outsider: Account, rival: Account, shared_things: Things, snapshot: Snapshot
) -> None:
    entry = ENTRIES[key]
    call = entry.aim(shared_things)
    before = await snapshot(owner)
    reply = await call.send(stranger(key, outsider, rival).client)
    assert_nothing_seen(key, entry, call, reply, shared_things)
    assert await snapshot(owner) == before


@chosen(Access.PRINCIPAL, Access.ACCOUNT)
async def test_advanced_user_reads_all_and_changes_its_own(
    key: Key, owner: Account, advanced: Account, advanced_rival: Account, shared_things: Things, snapshot: Snapshot
) -> None:
    entry = ENTRIES[key]
    call = entry.aim(shared_things)
    before = await snapshot(owner)
    reply = await call.send(stranger(key, advanced, advanced_rival).client)
    if entry.shows is not None and not entry.private:
        assert_allowed(entry, reply, shared_things)
    elif entry.reading and not entry.private:
        assert reply.status_code in entry.own
    else:
        assert_nothing_seen(key, entry, call, reply, shared_things)
    assert await snapshot(owner) == before


@chosen(Access.PRINCIPAL, Access.ACCOUNT)
async def test_nobody_gets_in_without_credentials(
    key: Key, client: httpx.AsyncClient, owner: Account, shared_things: Things, snapshot: Snapshot, bearer: TokenFactory
) -> None:
    call = ENTRIES[key].aim(shared_things)
    expired = await bearer(owner, ALL_RIGHTS, expiration_time="2001-01-01T00:00:00Z")
    before = await snapshot(owner)
    wrong_password = httpx.BasicAuth(owner.login, "not-it")
    unknown_login = httpx.BasicAuth("nobody@example.org", PASSWORD)
    unknown_account = {"Luna-Account-Id": "00000000-0000-4000-8000-000000000000"}
    nobody = {"Luna-Account-Id": "00000000-0000-0000-0000-000000000000"}
    for code, challenge, credentials in (
        (11065, "Basic", {}),
        (11065, "Basic", {"auth": wrong_password}),
        (11065, "Basic", {"auth": unknown_login}),
        (11065, "Basic", {"headers": unknown_account}),
        (11065, "Basic", {"headers": nobody}),
        (11065, "Basic", {"headers": {"Authorization": "Digest x"}}),
        (11065, "Bearer", {"headers": expired}),
        (11062, "Bearer", {"headers": {"Authorization": "Bearer e30.e30.e30"}}),
        (11062, "Bearer", {"headers": {"Authorization": f"Bearer {shared_things.jwt[:-2]}"}}),
    ):
        reply = await call.send(client, **credentials)
        assert reply.status_code == 401, (credentials, reply.status_code, reply.text[:200])
        assert reply.headers["WWW-Authenticate"].startswith(challenge)
        if key[0] != "HEAD":
            assert_envelope(reply, 401, code)
    reply = await call.send(client, headers={"Luna-Account-Id": "not-a-uuid"})
    assert reply.status_code == 400
    assert await snapshot(owner) == before


@chosen(Access.PRINCIPAL)
async def test_token_needs_exactly_its_rights(
    key: Key, client: httpx.AsyncClient, holder: Account, own_things: Things, snapshot: Snapshot, bearer: TokenFactory
) -> None:
    entry = ENTRIES[key]
    call = entry.aim(own_things)
    lacking = [{}, *(_without(ALL_RIGHTS, right) for right in _single(entry.rights))] if entry.rights else []
    tokens = [await bearer(holder, permissions) for permissions in lacking]
    exact = await bearer(holder, _merged(entry.rights, entry.inner_rights))
    before = await snapshot(holder)
    for token in tokens:
        reply = await call.send(client, headers=token)
        assert reply.status_code == 403, (reply.status_code, reply.text[:200])
        if key[0] != "HEAD":
            assert_envelope(reply, 403, 11059, 11060, 11068)
    assert await snapshot(holder) == before
    assert_allowed(entry, await call.send(client, headers=exact), own_things)


@pytest.mark.parametrize("key", [key for key, entry in ENTRIES.items() if entry.inner_rights])
async def test_rights_within_a_reply(
    key: Key, client: httpx.AsyncClient, owner: Account, shared_things: Things, bearer: TokenFactory
) -> None:
    entry = ENTRIES[key]
    token = await bearer(owner, _merged(entry.rights))
    call = entry.aim(shared_things)
    reply = await call.send(client, headers=token)
    assert reply.status_code in entry.own
    assert entry.shows is not None
    assert not entry.shows(reply, shared_things)


@chosen(Access.ACCOUNT)
async def test_account_is_closed_to_tokens(
    key: Key, client: httpx.AsyncClient, owner: Account, shared_things: Things, snapshot: Snapshot, bearer: TokenFactory
) -> None:
    token = await bearer(owner, ALL_RIGHTS)
    before = await snapshot(owner)
    assert_envelope(await ENTRIES[key].aim(shared_things).send(client, headers=token), 403, 11064)
    assert await snapshot(owner) == before


@chosen(Access.PRINCIPAL)
async def test_token_of_a_stranger_finds_nothing(
    key: Key,
    client: httpx.AsyncClient,
    owner: Account,
    outsider: Account,
    rival: Account,
    advanced: Account,
    advanced_rival: Account,
    shared_things: Things,
    snapshot: Snapshot,
    bearer: TokenFactory,
) -> None:
    entry = ENTRIES[key]
    call = entry.aim(shared_things)
    wide = await bearer(
        stranger(key, outsider, rival), ALL_RIGHTS, visibility_area="all"
    )  # a user's token is never wide
    narrow = await bearer(stranger(key, advanced, advanced_rival), ALL_RIGHTS, visibility_area="account")
    before = await snapshot(owner)
    for token in (wide, narrow):
        assert_nothing_seen(key, entry, call, await call.send(client, headers=token), shared_things)
    assert await snapshot(owner) == before


@chosen(Access.PRINCIPAL)
async def test_wide_token_of_an_advanced_user(
    key: Key,
    client: httpx.AsyncClient,
    owner: Account,
    advanced: Account,
    advanced_rival: Account,
    shared_things: Things,
    snapshot: Snapshot,
    bearer: TokenFactory,
) -> None:
    entry = ENTRIES[key]
    call = entry.aim(shared_things)
    token = await bearer(stranger(key, advanced, advanced_rival), ALL_RIGHTS, visibility_area="all")
    before = await snapshot(owner)
    reply = await call.send(client, headers=token)
    if entry.shows is not None and not entry.private:
        assert_allowed(entry, reply, shared_things)
    else:
        assert_nothing_seen(key, entry, call, reply, shared_things)
    assert await snapshot(owner) == before


@chosen(Access.PRINCIPAL, Access.ACCOUNT)
async def test_account_header_in_local_mode(
    key: Key,
    client: httpx.AsyncClient,
    holder: Account,
    outsider: Account,
    rival: Account,
    advanced: Account,
    advanced_rival: Account,
    own_things: Things,
    snapshot: Snapshot,
) -> None:
    entry = ENTRIES[key]
    call = entry.aim(own_things)
    before = await snapshot(holder)
    for account in (
        stranger(key, outsider, rival),
        stranger(key, advanced, advanced_rival),
    ):  # it limits even an advanced user to the account that it names
        reply = await call.send(client, headers={"Luna-Account-Id": str(account.id)})
        assert_nothing_seen(key, entry, call, reply, own_things)
    assert await snapshot(holder) == before
    assert_allowed(entry, await call.send(client, headers={"Luna-Account-Id": str(holder.id)}), own_things)


@chosen(*Access)
async def test_exposed_server(
    key: Key, exposed: httpx.AsyncClient, owner: Account, shared_things: Things, snapshot: Snapshot
) -> None:
    entry = ENTRIES[key]
    call = entry.aim(shared_things)
    before = await snapshot(owner)
    anonymous = await call.send(exposed)
    named = await call.send(exposed, headers={"Luna-Account-Id": str(owner.id)})
    if entry.access is not Access.ALL:
        assert named.status_code == 403
        assert anonymous.status_code == 401
        if key[0] != "HEAD":
            assert_envelope(named, 403, 11061)
            assert_envelope(anonymous, 401, 11065)
        if entry.reading:
            basic = httpx.BasicAuth(owner.login, PASSWORD)
            assert_allowed(entry, await call.send(exposed, auth=basic), shared_things)
        assert await snapshot(owner) == before
        return
    closed = {("POST", "/6/accounts"), ("GET", "/6/config"), ("GET", "/metrics")}
    for reply in (anonymous, named):
        if key in closed:
            assert_envelope(reply, 401, 11065)
        else:
            assert reply.status_code in entry.own
    if key in closed:
        user = await call.send(exposed, auth=httpx.BasicAuth(owner.login, PASSWORD))
        assert_envelope(user, 401, 11065)
    assert await snapshot(owner) == before


@chosen(Access.PRINCIPAL, Access.ACCOUNT)
async def test_where_reading_is_open(
    key: Key, open_reading: httpx.AsyncClient, owner: Account, shared_things: Things, snapshot: Snapshot
) -> None:
    entry = ENTRIES[key]
    call = entry.aim(shared_things)
    before = await snapshot(owner)
    reply = await call.send(open_reading)
    if entry.reading and not entry.private:
        assert_allowed(entry, reply, shared_things)
    else:
        assert reply.status_code in (401, 403), (reply.status_code, reply.text[:300])
        for trace in shared_things.traces(call):
            assert trace not in reply.text
        if not entry.reading:
            assert_envelope(reply, 403, 11036)
    assert await snapshot(owner) == before


def _single(rights: Rights) -> list[tuple[str, str]]:
    return [(thing, verb) for thing, verbs in rights.items() for verb in verbs]


def _without(rights: dict[str, Any], right: tuple[str, str]) -> dict[str, Any]:
    thing, verb = right
    if thing == "emit_events":
        return {**rights, thing: {verb: 0}}
    return {**rights, thing: [one for one in rights[thing] if one != verb]}


def _merged(*rights: Rights) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for thing, verb in (right for group in rights for right in _single(group)):
        if thing == "emit_events":
            merged[thing] = {verb: 1}
        else:
            merged.setdefault(thing, []).append(verb)
    return merged
