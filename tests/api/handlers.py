"""Making handlers and sending pictures through them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.api.conftest import Account
from tests.estimation.pictures import JPEG, checked, files

Json = dict[str, Any]

NOTHING_KEPT: Json = {
    "face_sample_policy": {"store_sample": 0},
    "body_sample_policy": {"store_sample": 0},
    "event_policy": {"store_event": 0},
}
"""A storage policy with which a request leaves nothing behind."""


async def new_handler(account: Account, **policies: Any) -> str:
    """A static handler with these policies."""
    reply = await account.client.post("/6/handlers", json={"policies": policies})
    return str(checked(reply, 201)["handler_id"])


async def new_dynamic_handler(account: Account) -> str:
    return str(checked(await account.client.post("/6/handlers", json={"handler_type": 1}), 201)["handler_id"])


async def generate(
    account: Account,
    handler_id: str,
    *pictures: bytes,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    **parts: Any,
) -> Json:
    """The answer to pictures; several of them, or further parts of a form, go as a form."""
    url = f"/6/handlers/{handler_id}/events?{query}"
    if len(pictures) == 1 and not parts:
        reply = await account.client.post(url, content=pictures[0], headers={**JPEG, **(headers or {})})
    else:
        form: list[Any] = files(**{f"{number}_jpg": data for number, data in enumerate(pictures)})
        form += [(name, (None, json.dumps(part), "application/json")) for name, part in parts.items()]
        reply = await account.client.post(url, files=form, headers=dict(headers or {}))
    return dict(checked(reply, 201))


async def generate_from(account: Account, handler_id: str, body: Json, query: str = "") -> Json:
    """The answer to a JSON body."""
    return dict(checked(await account.client.post(f"/6/handlers/{handler_id}/events?{query}", json=body), 201))


async def count_rows(platform: Any, account: Account, *tables: str) -> dict[str, int]:
    """How many rows of the account there are in each table."""
    from sqlalchemy import text

    counts: dict[str, int] = {}
    async with platform.database.connect() as connection:
        for table in tables:
            statement = text(f"SELECT count(*) FROM {table} WHERE account_id = :id")
            counts[table] = (await connection.execute(statement, {"id": account.id})).scalar_one()
    return counts
