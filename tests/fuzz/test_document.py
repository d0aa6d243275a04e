"""Generated requests for every operation of the published document, good and bad: no server error, and every answer is
one that the document describes (status, content type, headers, schema)."""

import base64
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode, SerializationContext
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.estimation.pictures import encode, read
from tests.isolation.things import BODY_WARP, FACE_WARP, descriptor
from tests.servers import PHOTOS, Server, running_server

EXAMPLES = 25
FEW_EXAMPLES = 4
"""For operations that look at nothing but the request's id: their requests are nearly the same."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
REPRODUCIBLE = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
DESCRIPTOR = descriptor(1)
ESTIMATING = {
    *("POST /6/sdk", "POST /6/iso", "POST /6/detector", "POST /6/liveness"),
    "POST /6/handlers/{handler_id}/events",
    "POST /6/verifiers/{verifier_id}/verifications",
}
"""Operations whose good requests get a picture for the bytes that were made up."""
WARPS = {"1": FACE_WARP, "2": BODY_WARP}
"""What is sent in place of a photograph, by the query parameter that says so."""
HARD_TO_SERVE = {
    *("POST /6/samples/faces", "POST /6/samples/bodies", "POST /6/images"),
    "PATCH /6/lists/{list_id}/faces",
    "POST /6/accounts",
    "POST /6/attributes",
    "POST /6/extractor",
    "POST /6/verify",
    "PUT /6/faces/{face_id}/attributes",
    "GET /6/ws",
}
"""Operations that generated requests get no success from: their bodies would have to be pictures or name the right one
of the existing things, or they would have to ask for an upgrade."""
LAST = ("DELETE",)
"""Methods that take away what the others need."""


@schemathesis.serializer("application/msgpack")
def packed(context: SerializationContext, value: Any) -> bytes:
    """MessagePack, with a picture for the bytes of a body that were made up."""
    return msgspec.msgpack.encode(_packable(value))


def _packable(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            str(key): FACE_WARP if key == "body" and isinstance(item, str) else _packable(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_packable(item) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return 2**64 - 1  # MessagePack has no greater one
    return str(value) if isinstance(value, str) else value


@pytest.fixture(scope="module")
def server(open_folder: Path) -> Iterator[Server]:
    with running_server(open_folder / "fuzz") as started:
        yield started


@pytest.fixture(scope="module")
def schema(server: Server) -> Any:
    reply = httpx.get(f"{server.url}/docs/spec", headers={"Accept": "application/x-yaml"}, timeout=30)
    assert reply.status_code == 200, reply.text
    return schemathesis.openapi.from_dict(yaml.load(reply.text, yaml.CSafeLoader))


class Things:
    """Existing objects, put in the place of made-up ids so that requests reach what lies behind the lookup."""

    def __init__(self, server: Server) -> None:
        login, password = server.new_account()
        with server.client((login, password)) as client:
            self.account_id = client.get("/6/account").json()["account_id"]
            image = {"Content-Type": "image/jpeg"}
            photo = (PHOTOS / "obama.jpg").read_bytes()
            found = _made(client.post("/6/detector", content=photo, headers=image))["images"][0]
            sample = found["detections"]["samples"][0]["face"]["sample_id"]
            list_id = _made(client.post("/6/lists", json={"user_data": "fuzz"}))["list_id"]
            attributes = [_made(client.post("/6/extractor?ttl=86400", json=[sample]))[0] for _ in range(3)]
            face = {
                "attribute": {"attribute_id": attributes[0]["attribute_id"]},
                "lists": [list_id],
                "external_id": "fuzz",
            }
            warp = _made(client.post("/6/samples/bodies", content=BODY_WARP, headers=image))
            dynamic = _made(client.post("/6/handlers", json={"handler_type": 1}))
            handler = _made(client.post("/6/handlers", json={"policies": {}}))["handler_id"]
            self.of_paths = {
                ("/bodies/", "sample_id"): warp["sample_id"],
                ("/events/raw", "handler_id"): dynamic["handler_id"],
                ("events", "handler_id"): handler,  # one that keeps its policies
            }
            seen = {"raw_descriptors": [{"type": "sdk_descriptor", "id": "fuzz", "data": DESCRIPTOR}]}
            (event,) = _made(client.post(f"/6/handlers/{handler}/events", json=seen))["events"]
            self.by_name = {
                "page": "index.html",
                "account_id": self.account_id,
                "sample_id": sample,
                "list_id": list_id,
                "attribute_id": attributes[1]["attribute_id"],
                "face_id": _made(client.post("/6/faces", json=face))["face_id"],
                "image_id": _made(client.post("/6/images", content=photo, headers=image))["image_id"],
                "object_id": _made(client.post("/6/objects", json={}))["object_id"],
                "handler_id": _made(client.post("/6/handlers", json={"policies": {}}))["handler_id"],
                "event_id": event["event_id"],
                "verifier_id": _made(client.post("/6/verifiers", json={}))["verifier_id"],
                "token_id": _made(client.post("/6/tokens", json={"expiration_time": None, "permissions": {}}))[
                    "token_id"
                ],
            }
        self._ids = sorted(value for name, value in self.by_name.items() if name != "page")

    def in_path(self, path: str, name: str, value: Any) -> Any:
        """What stands in a path for a parameter: an existing object of the kind that the path is about."""
        for (part, parameter), known in self.of_paths.items():
            if part in path and parameter == name:
                return known
        return self.by_name.get(name, value)

    def in_query(self, name: str, value: Any) -> Any:
        """What stands in a query for a parameter: an existing object where only an existing one is accepted."""
        known = {"external_ids": "fuzz", **{f"{one}s": own for one, own in self.by_name.items()}}
        return [known[name]] if name in known else value

    def put_into(self, value: Any) -> Any:
        """The value with half of its UUIDs replaced by existing ones, of the right kind where the key tells it.

        Descriptors give way to one that is one.
        """
        if isinstance(value, dict):
            return {key: self._named(key, item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.put_into(item) for item in value]
        if isinstance(value, str) and (known := _as_uuid(value)) is not None and known.int % 2:
            return self._ids[known.int % len(self._ids)]
        return value

    def _named(self, key: str, value: Any) -> Any:
        if key in ("data", "descriptor") and isinstance(value, str):
            return DESCRIPTOR
        if key == "face_descriptors" and isinstance(value, list):
            return [DESCRIPTOR if isinstance(item, str) else self.put_into(item) for item in value]
        known = self.by_name.get(key.removesuffix("s"))
        if isinstance(value, str) and known and (given := _as_uuid(value)) is not None and given.int % 2:
            return known
        return self.put_into(value)


def _made(reply: httpx.Response) -> Any:
    assert reply.status_code in (200, 201), reply.text
    return reply.json()


def _as_uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


@pytest.fixture(scope="module")
def things(server: Server) -> Things:
    return Things(server)


def test_generated_requests(
    subtests: pytest.Subtests, server: Server, schema: schemathesis.schemas.BaseSchema, things: Things
) -> None:
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 50
    served: set[str] = set()
    for operation in sorted(operations, key=lambda one: one.method.upper() in LAST):
        for mode in GenerationMode:
            with subtests.test(operation=operation.label, mode=mode.value):
                _fuzz(operation, mode, server, things, served)
    # what was deleted first is missing for the other deletions; everything else has shown its success too
    expected = {operation.label for operation in operations if operation.method.upper() not in LAST}
    never = sorted(expected - served - HARD_TO_SERVE)
    assert not never, ", ".join(never)
    assert httpx.get(f"{server.url}/healthcheck").status_code == 200


def _fuzz(operation: Any, mode: GenerationMode, server: Server, things: Things, served: set[str]) -> None:
    try:
        cases: st.SearchStrategy[Case] = operation.as_strategy(generation_mode=mode)
        cases.validate()
    except Exception as error:  # nothing in the operation could be wrong
        assert "Impossible to generate negative" in str(error) or type(error).__name__ == "Unsatisfiable", error
        return

    @settings(REPRODUCIBLE, max_examples=FEW_EXAMPLES if _is_plain(operation) else EXAMPLES)
    @given(case=cases)
    def check(case: Case) -> None:
        if _answer(case, mode, server, things) < 400:
            served.add(operation.label)

    check()


def _is_plain(operation: Any) -> bool:
    """Whether nothing of a request but its id matters, as for all OPTIONS: they never look at what the path names."""
    if operation.method.upper() == "OPTIONS":
        return True
    return len(operation.headers) < 2 and not (operation.path_parameters or operation.query or operation.body)


@cache
def _small_photo() -> bytes:
    return encode(read(PHOTOS / "astronaut.png")[:280, 60:340])


def _put_picture(case: Case) -> None:
    """A small photograph with a face, or a warp where the query says that it is one, in the form that is announced."""
    query = case.query or {}
    kind = str(query.get("image_type") or query.get("warped_image") or "")
    data = WARPS.get(kind) or _small_photo()
    case.body = base64.b64encode(data) if str(case.media_type).endswith("-base64") else data


def _answer(case: Case, mode: GenerationMode, server: Server, things: Things) -> int:
    """Sends the case and checks the reply; its status."""
    case.headers.pop("Authorization", None)
    if mode is GenerationMode.POSITIVE:
        case.path_parameters = {
            name: things.in_path(case.path, name, value) for name, value in (case.path_parameters or {}).items()
        }
        if "/verifications" in case.path and case.query:
            case.query = {name: things.in_query(name, value) for name, value in case.query.items()}
        if case.operation.label in ESTIMATING and str(case.media_type).startswith("image/"):
            _put_picture(case)
        elif isinstance(case.body, dict | list):
            case.body = things.put_into(case.body)
    # the one credential that survives whatever PATCH /6/account is told
    reply = case.call(base_url=server.url, headers={"Luna-Account-Id": things.account_id}, timeout=60)
    case.validate_response(reply, checks=CHECKS)
    status: int = reply.status_code
    return status
