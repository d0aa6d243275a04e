"""Raw events as a client posts them that keeps the books of what was acknowledged."""

from uuid import UUID, uuid4

import httpx

from tests.isolation.things import descriptor


def new_dynamic_handler(client: httpx.Client) -> str:
    """The id of a handler that takes raw events."""
    reply = client.post("/6/handlers", json={"handler_type": 1, "description": "raw"})
    assert reply.status_code == 201, reply.text
    return str(reply.json()["handler_id"])


def post_raw_event(client: httpx.Client, handler_id: str, seed: int, *, wait: bool = True) -> UUID | None:
    """Save an event with a descriptor made of `seed`, its external id and a face id; its id, or None when the server
    cannot serve now.

    Raises AssertionError for any other answer, httpx.TransportError when the server is away.
    """
    body = {
        "external_id": f"raw-{seed}",
        "source": "faults",
        "face": {"face_id": str(uuid4())},
        "face_attributes": {"descriptor": descriptor(seed), "score": 0.9},
        "meta": {"seed": seed},
    }
    reply = client.post(f"/6/handlers/{handler_id}/events/raw?wait_saving={int(wait)}", json=body)
    if reply.status_code == 503:
        return None
    assert reply.status_code == (201 if wait else 202), reply.text
    return UUID(reply.json()["event_id"])
