"""How to call every operation at somebody's objects, what it needs, and what a stranger may see of it.

Written from the specification, not from the code: a new operation that is missing here fails the tests.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from uuid import uuid4

import httpx
import msgspec

from tests.isolation.things import BODY_WARP, FACE_WARP, JPEG, PHOTO, Call, Things, body_descriptor, descriptor

Rights = dict[str, list[str]]
Aim = Callable[[Things], Call]


class Access(Enum):
    """Whom an operation admits."""

    ALL = auto()
    """Anybody, without credentials."""
    ACCOUNT = auto()
    """Basic or account id, no token."""
    PRINCIPAL = auto()
    """Basic, token or account id."""


@dataclass(frozen=True)
class Entry:
    """One operation.

    `aim`: the request at the given objects. `own`: what the owner gets: statuses, or a code of the catalogue.
    `foreign`: the code that a stranger gets for it; None: a success that tells nothing of the objects. `shows`:
    whether a reply tells of the objects, for operations that do. `rights`: what a token needs.
    """

    aim: Aim
    own: tuple[int, ...] = (200,)
    foreign: int | None = None
    shows: Callable[[httpx.Response, Things], bool] | None = None
    rights: Rights = field(default_factory=dict)
    inner_rights: Rights = field(default_factory=dict)
    """Without these the token gets a success that shows nothing."""
    access: Access = Access.PRINCIPAL
    reading: bool = False
    private: bool = False
    """Whether even those who read everything see their own account only."""
    by_account: bool = False
    """Whether it takes the query parameter account_id."""


def says(name: str) -> Callable[[httpx.Response, Things], bool]:
    """Whether the text of the thing of this name stands in the reply."""
    return lambda reply, things: getattr(things, name) in reply.text


def counts(name: str) -> Callable[[httpx.Response, Things], bool]:
    return lambda reply, things: reply.json()[name] > 0


def has_bytes(reply: httpx.Response, things: Things) -> bool:
    return len(reply.content) > 0


def exists(reply: httpx.Response, things: Things) -> bool:
    return reply.status_code == 200


def url(method: str, template: str) -> Aim:
    """A request without a body; `{face}` and the like stand for the things' ids."""
    return lambda things: Call(method, template.format(**vars(things)))


def picture(method: str, address: str, data: bytes) -> Aim:
    return lambda things: Call(method, address, content=data, headers={"Content-Type": JPEG})


def by_url(address: str) -> Aim:
    """An estimation of an image that lies on this server."""
    return lambda things: Call("POST", address, json=[f"/6/images/{things.image}"])


def image_was_read(reply: httpx.Response, things: Things) -> bool:
    """Whether the estimation got at the bytes: no error about where the image lies."""
    body = reply.json()
    listed = body.get("images_estimations") or body.get("images") or []
    return any(image["error"]["error_code"] not in (13003, 11059) for image in listed)


def matching(things: Things) -> Call:
    """Everything similar to the descriptor that only these things have."""
    reference = {"type": "sdk_descriptor", "id": "query", "data": descriptor(things.seed)}
    faces = {"filters": {"origin": "faces"}, "limit": 100}
    attributes = {"filters": {"origin": "attributes", "attribute_ids": [things.attribute]}, "limit": 100}
    events = {"filters": {"origin": "events"}, "limit": 100}
    by_face = {"type": "face", "id": things.face}
    by_attribute = {"type": "attribute", "id": things.attribute}
    by_external = {"type": "face_external_id", "id": things.external_id}
    by_event = {"type": "event", "id": things.event}
    references = [reference, by_face, by_attribute, by_external, by_event]
    return Call("POST", "/6/matcher/faces", json={"references": references, "candidates": [faces, attributes, events]})


def body_matching(things: Things) -> Call:
    """Everybody who is dressed like the one whom only these things have seen."""
    reference = {"type": "sdk_descriptor", "id": "query", "data": body_descriptor(things.seed)}
    by_event = {"type": "event", "id": things.body_event}
    events = {"filters": {"origin": "events"}, "limit": 100}
    return Call("POST", "/6/matcher/bodies", json={"references": [reference, by_event], "candidates": [events]})


def matched(reply: httpx.Response, things: Things) -> bool:
    """Whether anything of the things was found, as candidate or as reference."""
    for result in reply.json():
        if result["reference"]["type"] != "sdk_descriptor" and "matches" in result:
            return True
        for matches in result.get("matches", ()):
            for match in matches["result"]:
                if any(
                    thing in str(match) for thing in (things.face, things.attribute, things.event, things.body_event)
                ):
                    return True
    return False


def event_statistics(things: Things) -> Call:
    """Every event that is seen, by its id."""
    targets = [{"column": "event_id", "aggregator": "group_by"}, {"column": "event_id", "aggregator": "count"}]
    return Call("POST", "/6/events/stats", json={"targets": targets})


def raw_matching(things: Things) -> Call:
    given = {"type": "sdk_descriptor", "id": "a", "data": descriptor(1)}
    return Call("POST", "/6/matcher/raw", json={"references": [given], "candidates": [given]})


def stream_generation(things: Things) -> Call:
    source = {"source_data": {}, "body": PHOTO, "body_meta": {"mimetype": JPEG}, "filename": "a.jpg"}
    body = msgspec.msgpack.encode({"aggregate_attributes": 0, "sources": [source]})
    headers = {"Content-Type": "application/msgpack"}
    return Call("POST", f"/6/handlers/{things.handler}/stream_events", content=body, headers=headers)


def verification(things: Things) -> Call:
    """Compares a descriptor with everything that can be a candidate."""
    candidates = f"face_ids={things.face}&event_ids={things.event}&attribute_ids={things.attribute}"
    return Call(
        "POST",
        f"/6/verifiers/{things.verifier}/verifications?{candidates}",
        content=base64.b64decode(descriptor(1)),
        headers={"Content-Type": "application/x-sdk-descriptor"},
    )


def raw_verification(things: Things) -> Call:
    given = {"type": "sdk_descriptor", "id": "a", "data": descriptor(1)}
    return Call("POST", f"/6/verifiers/{things.verifier}/raw", json={"references": [given], "candidates": [given]})


def new_login(things: Things) -> Call:
    body = {"login": f"u{uuid4().hex}@example.org", "password": "secret", "account_type": "user"}
    return Call("POST", "/6/accounts", json=body)


LASTING = "ttl=86400"
"""Keeps temporary attributes from expiring while the tests compare what an account has."""
TOKEN_BODY = {"expiration_time": None, "permissions": {}}
OPEN = {"access": Access.ALL, "reading": True}


def sample(method: str, template: str, kind: str) -> Entry:
    verb = "deletion" if method == "DELETE" else "view"
    shows = {"GET": has_bytes, "HEAD": exists}.get(method)
    return Entry(
        url(method, template),
        own=(204,) if method == "DELETE" else (200,),
        foreign=13003,
        shows=shows,
        rights={kind: [verb]},
        reading=method != "DELETE",
    )


ENTRIES: dict[tuple[str, str], Entry] = {
    # the server itself
    ("GET", "/version"): Entry(url("GET", "/version"), **OPEN),
    ("GET", "/6/healthcheck"): Entry(url("GET", "/6/healthcheck"), **OPEN),
    ("GET", "/healthcheck"): Entry(url("GET", "/healthcheck"), **OPEN),
    ("GET", "/6/config"): Entry(url("GET", "/6/config"), **OPEN),
    ("GET", "/6/features"): Entry(url("GET", "/6/features"), **OPEN),
    ("GET", "/6/plugins"): Entry(url("GET", "/6/plugins"), **OPEN),
    ("GET", "/metrics"): Entry(url("GET", "/metrics"), **OPEN),
    ("GET", "/docs/spec"): Entry(url("GET", "/docs/spec"), **OPEN),
    ("GET", "/docs/dev"): Entry(url("GET", "/docs/dev"), own=(302,), **OPEN),
    ("GET", "/docs/dev/{page:str}"): Entry(url("GET", "/docs/dev/index.html"), **OPEN),
    # accounts and tokens
    ("POST", "/6/accounts"): Entry(new_login, own=(201,), access=Access.ALL),
    ("POST", "/6/verify"): Entry(
        lambda things: Call("POST", "/6/verify", json={"account_id": things.account_id}), **OPEN
    ),
    ("GET", "/6/account"): Entry(
        url("GET", "/6/account"), shows=says("account_id"), access=Access.ACCOUNT, reading=True, private=True
    ),
    ("PATCH", "/6/account"): Entry(
        lambda things: Call("PATCH", "/6/account", json={"description": "changed"}),
        own=(204,),
        access=Access.ACCOUNT,
        private=True,
    ),
    ("POST", "/6/tokens"): Entry(
        lambda things: Call("POST", "/6/tokens", json=TOKEN_BODY), own=(201,), rights={"token": ["creation"]}
    ),
    ("GET", "/6/tokens"): Entry(
        url("GET", "/6/tokens?page_size=1000"),
        shows=says("token"),
        rights={"token": ["view"]},
        reading=True,
        private=True,
        by_account=True,
    ),
    ("PUT", "/6/tokens/{token_id:uuid}"): Entry(
        lambda things: Call("PUT", f"/6/tokens/{things.token}", json=TOKEN_BODY),
        foreign=41003,
        rights={"token": ["modification"]},
    ),
    ("GET", "/6/tokens/{token_id:uuid}"): Entry(
        url("GET", "/6/tokens/{token}"),
        foreign=41003,
        shows=says("jwt"),
        rights={"token": ["view"]},
        reading=True,
        private=True,
    ),
    ("DELETE", "/6/tokens/{token_id:uuid}"): Entry(
        url("DELETE", "/6/tokens/{token}"), own=(204,), foreign=41003, rights={"token": ["deletion"]}
    ),
    # samples
    ("POST", "/6/samples/faces"): Entry(
        picture("POST", "/6/samples/faces", FACE_WARP), own=(201,), rights={"face_sample": ["creation"]}
    ),
    ("POST", "/6/samples/bodies"): Entry(
        picture("POST", "/6/samples/bodies", BODY_WARP), own=(201,), rights={"body_sample": ["creation"]}
    ),
    **{
        (method, path): sample(method, aimed, kind)
        for path, aimed, kind in (
            ("/6/samples/faces/{sample_id:uuid}", "/6/samples/faces/{face_sample}", "face_sample"),
            ("/6/samples/bodies/{sample_id:uuid}", "/6/samples/bodies/{body_sample}", "body_sample"),
            ("/6/samples/{sample_id:uuid}", "/6/samples/{face_sample}", "face_sample"),
            ("/5/samples/{sample_id:uuid}", "/5/samples/{face_sample}", "face_sample"),
        )
        for method in ("GET", "HEAD", "DELETE")
    },
    # images
    ("POST", "/6/images"): Entry(picture("POST", "/6/images", PHOTO), own=(201,), rights={"image": ["creation"]}),
    ("GET", "/6/images/{image_id:uuid}"): Entry(
        url("GET", "/6/images/{image}"), foreign=13003, shows=has_bytes, rights={"image": ["view"]}, reading=True
    ),
    ("HEAD", "/6/images/{image_id:uuid}"): Entry(
        url("HEAD", "/6/images/{image}"), foreign=13003, shows=exists, rights={"image": ["view"]}, reading=True
    ),
    ("DELETE", "/6/images/{image_id:uuid}"): Entry(
        url("DELETE", "/6/images/{image}"), own=(204,), foreign=13003, rights={"image": ["deletion"]}
    ),
    # objects
    ("POST", "/6/objects"): Entry(
        lambda things: Call("POST", "/6/objects", content=b"x", headers={"Content-Type": "text/plain"}),
        own=(201,),
        rights={"object": ["creation"]},
    ),
    ("GET", "/6/objects/{object_id:uuid}"): Entry(
        url("GET", "/6/objects/{object}"),
        foreign=13007,
        shows=says("marker"),
        rights={"object": ["view"]},
        reading=True,
    ),
    ("HEAD", "/6/objects/{object_id:uuid}"): Entry(
        url("HEAD", "/6/objects/{object}"), foreign=13007, shows=exists, rights={"object": ["view"]}, reading=True
    ),
    ("DELETE", "/6/objects/{object_id:uuid}"): Entry(
        url("DELETE", "/6/objects/{object}"), own=(204,), foreign=13007, rights={"object": ["deletion"]}
    ),
    # estimation
    ("POST", "/6/sdk"): Entry(
        by_url("/6/sdk"),
        shows=image_was_read,
        rights={"resources": ["sdk"]},
        inner_rights={"image": ["view"]},
    ),
    ("POST", "/6/iso"): Entry(
        by_url("/6/iso"),
        shows=image_was_read,
        rights={"resources": ["iso"]},
        inner_rights={"image": ["view"]},
    ),
    ("POST", "/6/liveness"): Entry(
        by_url("/6/liveness"),
        shows=image_was_read,
        rights={"resources": ["liveness"]},
        inner_rights={"image": ["view"]},
    ),
    ("POST", "/6/detector"): Entry(picture("POST", "/6/detector", PHOTO), rights={"face_sample": ["creation"]}),
    ("POST", "/6/extractor"): Entry(
        lambda things: Call("POST", f"/6/extractor?{LASTING}", json=[things.face_sample]),
        own=(201,),
        foreign=13003,
        rights={"attribute": ["creation"]},
    ),
    # temporary attributes
    ("POST", "/6/attributes"): Entry(
        lambda things: Call("POST", f"/6/attributes?{LASTING}", json={"face_descriptors": [descriptor(2)]}),
        own=(201,),
        rights={"attribute": ["creation"]},
    ),
    ("GET", "/6/attributes"): Entry(
        url("GET", "/6/attributes?attribute_ids={attribute}"),
        shows=says("attribute"),
        rights={"attribute": ["view"]},
        reading=True,
        by_account=True,
    ),
    ("GET", "/6/attributes/{attribute_id:uuid}"): Entry(
        url("GET", "/6/attributes/{attribute}"),
        foreign=22011,
        shows=says("account_id"),
        rights={"attribute": ["view"]},
        reading=True,
    ),
    ("HEAD", "/6/attributes/{attribute_id:uuid}"): Entry(
        url("HEAD", "/6/attributes/{attribute}"),
        foreign=22011,
        shows=exists,
        rights={"attribute": ["view"]},
        reading=True,
    ),
    ("DELETE", "/6/attributes/{attribute_id:uuid}"): Entry(
        url("DELETE", "/6/attributes/{attribute}"), own=(204,), foreign=22011, rights={"attribute": ["deletion"]}
    ),
    ("GET", "/6/attributes/{attribute_id:uuid}/samples"): Entry(
        url("GET", "/6/attributes/{attribute}/samples"),
        foreign=22011,
        shows=says("face_sample"),
        rights={"attribute": ["view"]},
        reading=True,
    ),
    # faces
    ("POST", "/6/faces"): Entry(
        lambda things: Call("POST", "/6/faces", json={"lists": [things.list]}),
        own=(201,),
        foreign=22003,
        rights={"face": ["creation"], "list": ["modification"]},
    ),
    ("GET", "/6/faces"): Entry(
        url("GET", "/6/faces?page_size=1000"),
        shows=says("face"),
        rights={"face": ["view"]},
        reading=True,
        by_account=True,
    ),
    ("DELETE", "/6/faces"): Entry(
        lambda things: Call("DELETE", "/6/faces", json={"face_ids": [things.face]}),
        own=(204,),
        foreign=22004,
        rights={"face": ["deletion"]},
    ),
    ("GET", "/6/faces/count"): Entry(
        url("GET", "/6/faces/count"),
        shows=counts("faces_count"),
        rights={"face": ["view"]},
        reading=True,
        by_account=True,
    ),
    ("GET", "/6/faces/attributes/count"): Entry(
        url("GET", "/6/faces/attributes/count"),
        shows=counts("faces_count"),
        rights={"face": ["view"]},
        reading=True,
        by_account=True,
    ),
    ("GET", "/6/faces/{face_id:uuid}"): Entry(
        url("GET", "/6/faces/{face}"), foreign=22002, shows=says("marker"), rights={"face": ["view"]}, reading=True
    ),
    ("HEAD", "/6/faces/{face_id:uuid}"): Entry(
        url("HEAD", "/6/faces/{face}"), foreign=22002, shows=exists, rights={"face": ["view"]}, reading=True
    ),
    ("PATCH", "/6/faces/{face_id:uuid}"): Entry(
        lambda things: Call("PATCH", f"/6/faces/{things.face}", json={"user_data": "changed"}),
        own=(204,),
        foreign=22002,
        rights={"face": ["modification"]},
    ),
    ("DELETE", "/6/faces/{face_id:uuid}"): Entry(
        url("DELETE", "/6/faces/{face}"), own=(204,), foreign=22002, rights={"face": ["deletion"]}
    ),
    ("PUT", "/6/faces/{face_id:uuid}/attributes"): Entry(
        lambda things: Call("PUT", f"/6/faces/{things.face}/attributes", json={"attribute_id": things.attribute}),
        own=(204,),
        foreign=22002,
        rights={"face": ["modification"]},
    ),
    ("GET", "/6/faces/{face_id:uuid}/attributes"): Entry(
        url("GET", "/6/faces/{face}/attributes"),
        foreign=22002,
        shows=says("face_sample"),
        rights={"face": ["view"]},
        reading=True,
    ),
    ("DELETE", "/6/faces/{face_id:uuid}/attributes"): Entry(
        url("DELETE", "/6/faces/{face}/attributes"), own=(204,), foreign=22002, rights={"face": ["modification"]}
    ),
    ("GET", "/6/faces/{face_id:uuid}/attributes/samples"): Entry(
        url("GET", "/6/faces/{face}/attributes/samples"),
        foreign=22002,
        shows=says("face_sample"),
        rights={"face": ["view"]},
        reading=True,
    ),
    # handlers
    ("POST", "/6/handlers"): Entry(
        lambda things: Call("POST", "/6/handlers", json={"policies": {}}), own=(201,), rights={"handler": ["creation"]}
    ),
    ("GET", "/6/handlers"): Entry(
        url("GET", "/6/handlers?page_size=1000"),
        shows=says("marker"),
        rights={"handler": ["view"]},
        reading=True,
        by_account=True,
    ),
    ("GET", "/6/handlers/count"): Entry(
        url("GET", "/6/handlers/count"),
        shows=counts("handlers_count"),
        rights={"handler": ["view"]},
        reading=True,
        by_account=True,
    ),
    ("POST", "/6/handlers/validator"): Entry(
        lambda things: Call("POST", "/6/handlers/validator", json={"policies": {}}),
        own=(204,),
        rights={"handler": ["creation"]},
        reading=True,
    ),
    ("GET", "/6/handlers/{handler_id:uuid}"): Entry(
        url("GET", "/6/handlers/{handler}"),
        foreign=34000,
        shows=says("marker"),
        rights={"handler": ["view"]},
        reading=True,
    ),
    ("HEAD", "/6/handlers/{handler_id:uuid}"): Entry(
        url("HEAD", "/6/handlers/{handler}"), foreign=34000, shows=exists, rights={"handler": ["view"]}, reading=True
    ),
    ("PUT", "/6/handlers/{handler_id:uuid}"): Entry(
        lambda things: Call("PUT", f"/6/handlers/{things.handler}", json={"handler_type": 1}),
        own=(204,),
        foreign=34000,
        rights={"handler": ["modification"]},
    ),
    ("DELETE", "/6/handlers/{handler_id:uuid}"): Entry(
        url("DELETE", "/6/handlers/{handler}"), own=(204,), foreign=34000, rights={"handler": ["deletion"]}
    ),
    ("POST", "/6/handlers/{handler_id:uuid}/events"): Entry(
        lambda things: Call(
            "POST", f"/6/handlers/{things.handler}/events?image_type=1", json={"samples": [things.face_sample]}
        ),
        own=(201,),
        foreign=34000,
        shows=lambda reply, things: reply.json()["events"] != [],
        rights={"emit_events": ["allowed"]},
        inner_rights={"face_sample": ["view"]},
        private=True,
    ),
    # lists
    ("POST", "/6/lists"): Entry(
        lambda things: Call("POST", "/6/lists", json={"user_data": "new"}), own=(201,), rights={"list": ["creation"]}
    ),
    ("GET", "/6/lists"): Entry(
        url("GET", "/6/lists?page_size=1000"),
        shows=says("list"),
        rights={"list": ["view"]},
        reading=True,
        by_account=True,
    ),
    ("DELETE", "/6/lists"): Entry(
        lambda things: Call("DELETE", "/6/lists?with_faces=1", json={"list_ids": [things.list]}),
        own=(204,),
        foreign=22005,
        rights={"list": ["deletion"], "face": ["deletion"]},
    ),
    ("GET", "/6/lists/count"): Entry(
        url("GET", "/6/lists/count"),
        shows=counts("lists_count"),
        rights={"list": ["view"]},
        reading=True,
        by_account=True,
    ),
    ("GET", "/6/lists/{list_id:uuid}"): Entry(
        url("GET", "/6/lists/{list}"), foreign=22003, shows=says("marker"), rights={"list": ["view"]}, reading=True
    ),
    ("HEAD", "/6/lists/{list_id:uuid}"): Entry(
        url("HEAD", "/6/lists/{list}"), foreign=22003, shows=exists, rights={"list": ["view"]}, reading=True
    ),
    ("PATCH", "/6/lists/{list_id:uuid}"): Entry(
        lambda things: Call("PATCH", f"/6/lists/{things.list}", json={"user_data": "changed"}),
        own=(204,),
        foreign=22003,
        rights={"list": ["modification"]},
    ),
    ("DELETE", "/6/lists/{list_id:uuid}"): Entry(
        url("DELETE", "/6/lists/{list}?with_faces=1"),
        own=(204,),
        foreign=22003,
        rights={"list": ["deletion"], "face": ["deletion"]},
    ),
    ("PATCH", "/6/lists/{list_id:uuid}/faces"): Entry(
        lambda things: Call(
            "PATCH", f"/6/lists/{things.list}/faces", json={"action": "detach", "face_ids": [things.face]}
        ),
        own=(204,),
        foreign=22003,
        rights={"list": ["modification"]},
    ),
    # events
    ("POST", "/6/handlers/{handler_id:uuid}/stream_events"): Entry(
        stream_generation, own=(201,), foreign=34000, rights={"emit_events": ["allowed"]}
    ),
    ("POST", "/6/handlers/{handler_id:uuid}/events/raw"): Entry(
        lambda things: Call("POST", f"/6/handlers/{things.dynamic_handler}/events/raw", json={"source": "elsewhere"}),
        own=(201,),
        foreign=34000,
        rights={"event": ["creation"]},
    ),
    ("GET", "/6/events"): Entry(
        url("GET", "/6/events?page_size=1000"),
        shows=says("event"),
        rights={"event": ["view"]},
        reading=True,
        by_account=True,
    ),
    ("GET", "/6/events/{event_id:uuid}"): Entry(
        url("GET", "/6/events/{event}"), foreign=23001, shows=says("marker"), rights={"event": ["view"]}, reading=True
    ),
    ("HEAD", "/6/events/{event_id:uuid}"): Entry(
        url("HEAD", "/6/events/{event}"), foreign=23001, shows=exists, rights={"event": ["view"]}, reading=True
    ),
    ("POST", "/6/events/stats"): Entry(event_statistics, shows=says("event"), rights={"event": ["view"]}, reading=True),
    # whoever is let in and asks for no upgrade is told to
    ("GET", "/6/ws"): Entry(url("GET", "/6/ws"), own=(400,), rights={"event": ["view"]}, reading=True),
    # verifiers
    ("POST", "/6/verifiers"): Entry(
        lambda things: Call("POST", "/6/verifiers", json={}), own=(201,), rights={"verifier": ["creation"]}
    ),
    ("GET", "/6/verifiers"): Entry(
        url("GET", "/6/verifiers?page_size=1000"),
        shows=says("verifier"),
        rights={"verifier": ["view"]},
        reading=True,
        by_account=True,
    ),
    ("GET", "/6/verifiers/count"): Entry(
        url("GET", "/6/verifiers/count"),
        shows=counts("verifiers_count"),
        rights={"verifier": ["view"]},
        reading=True,
        by_account=True,
    ),
    ("GET", "/6/verifiers/{verifier_id:uuid}"): Entry(
        url("GET", "/6/verifiers/{verifier}"),
        foreign=34004,
        shows=says("marker"),
        rights={"verifier": ["view"]},
        reading=True,
    ),
    ("HEAD", "/6/verifiers/{verifier_id:uuid}"): Entry(
        url("HEAD", "/6/verifiers/{verifier}"),
        foreign=34004,
        shows=exists,
        rights={"verifier": ["view"]},
        reading=True,
    ),
    ("PUT", "/6/verifiers/{verifier_id:uuid}"): Entry(
        lambda things: Call("PUT", f"/6/verifiers/{things.verifier}", json={}),
        foreign=34004,
        rights={"verifier": ["modification"]},
    ),
    ("DELETE", "/6/verifiers/{verifier_id:uuid}"): Entry(
        url("DELETE", "/6/verifiers/{verifier}"), own=(204,), foreign=34004, rights={"verifier": ["deletion"]}
    ),
    ("POST", "/6/verifiers/{verifier_id:uuid}/raw"): Entry(
        raw_verification, foreign=34004, shows=exists, rights={"verifier": ["view"]}, reading=True
    ),
    ("POST", "/6/verifiers/{verifier_id:uuid}/verifications"): Entry(
        verification, foreign=34004, shows=says("marker"), rights={"verifier": ["view"]}, private=True
    ),
    # matching
    ("POST", "/6/matcher/faces"): Entry(
        matching,
        shows=matched,
        rights={"face": ["matching"], "attribute": ["matching"], "event": ["matching"]},
        reading=True,
        by_account=True,
    ),
    ("POST", "/6/matcher/bodies"): Entry(
        body_matching, shows=matched, rights={"event": ["matching"]}, reading=True, by_account=True
    ),
    ("POST", "/6/matcher/raw"): Entry(raw_matching, reading=True),
}
