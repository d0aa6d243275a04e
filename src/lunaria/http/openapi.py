"""The OpenAPI 3.1 document, made from the declared operations."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from lunaria.http.bodies import JSON, MSGPACK
from lunaria.http.credentials import Auth
from lunaria.http.errors import CATALOGUE, ErrorBody
from lunaria.http.operation import Content, NoBody, Operation, RawBody, TypedBody
from lunaria.http.query import is_nullable
from lunaria.http.request_id import HEADER, PATTERN

REFERENCE = "#/components/schemas/{name}"
Json = dict[str, Any]

_SEGMENT = re.compile(r"\{(\w+):(\w+)\}")
_SEGMENT_SCHEMAS: dict[str, Json] = {"uuid": {"type": "string", "format": "uuid"}, "str": {"type": "string"}}

_ALWAYS = (1, 10, 11, 12)
_WITH_BODY = (12017, 12030, 13, 14)
_WITH_TYPED_BODY = (12002, 12022)
_WITH_AUTHORIZATION = (11036, 11037, 11061, 11062, 11065)

_SECURITY: Json = {
    "BasicAuth": {"type": "http", "scheme": "basic"},
    "BearerAuth": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "LunaAccountIdAuth": {"type": "apiKey", "in": "header", "name": "Luna-Account-Id"},
}


def build_document(operations: Sequence[Operation], version: str) -> Json:
    """The whole document as plain data."""
    kinds = list(_kinds(operations))
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    known = dict(zip(map(_key, kinds), schemas, strict=True))
    paths: dict[str, Json] = {}
    for declared in operations:
        path = _SEGMENT.sub(r"{\1}", declared.path)
        paths.setdefault(path, {})[declared.method.lower()] = _operation(declared, known)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Lunaria",
            "version": version,
            "description": "Face recognition behind the HTTP API of LUNA PLATFORM 5 (v.6.20.1).",
        },
        "tags": [{"name": tag} for tag in dict.fromkeys(declared.tag for declared in operations)],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SECURITY},
    }


def _key(kind: Any) -> str:
    return repr(kind)


def _kinds(operations: Iterable[Operation]) -> Iterable[Any]:
    """Every type that a body or a reply names, once each."""
    found: dict[str, Any] = {_key(ErrorBody): ErrorBody}
    for declared in operations:
        bodies = [] if isinstance(declared.body, NoBody) else [declared.body.kind]
        for kind in [*bodies, *(content.kind for content in declared.replies.values())]:
            if kind is not None:
                found[_key(kind)] = kind
    return found.values()


def _operation(declared: Operation, known: dict[str, Json]) -> Json:
    made: Json = {
        "tags": [declared.tag],
        "summary": declared.name,
        "description": declared.description,
        "operationId": f"{declared.method.lower()}_{re.sub(r'[^a-z0-9]+', '_', declared.path.lower()).strip('_')}",
        "parameters": [
            *_path_parameters(declared),
            *_query_parameters(declared),
            *_header_parameters(declared),
        ],
        "responses": _responses(declared, known),
    }
    if declared.deprecated:
        made["deprecated"] = True
    security = _security(declared)
    if security:
        made["security"] = security
    body = _body(declared, known)
    if body:
        made["requestBody"] = body
    return made


def _security(declared: Operation) -> list[Json]:
    schemes = {
        Auth.NONE: (),
        Auth.OPTIONAL: ("BasicAuth",),
        Auth.ANY: ("BasicAuth", "BearerAuth", "LunaAccountIdAuth"),
        Auth.NO_TOKEN: ("BasicAuth", "LunaAccountIdAuth"),
    }[declared.auth]
    open_to_all: list[Json] = [{}] if declared.auth is Auth.OPTIONAL else []
    return [*({scheme: []} for scheme in schemes), *open_to_all]


def _path_parameters(declared: Operation) -> Iterable[Json]:
    for name, kind in _SEGMENT.findall(declared.path):
        yield {"name": name, "in": "path", "required": True, "schema": _SEGMENT_SCHEMAS[kind]}


def _query_parameters(declared: Operation) -> Iterable[Json]:
    document = msgspec.json.schema(declared.query)
    schema = document["$defs"][declared.query.__name__]
    nullable = {entry.encode_name for entry in msgspec.structs.fields(declared.query) if is_nullable(entry.type)}
    for name, described in schema["properties"].items():
        shown = _null_as_word(described) if name in nullable else _without_null(described)
        parameter: Json = {"name": name, "in": "query", "schema": shown}
        if name in schema.get("required", ()):
            parameter["required"] = True
        if "description" in described:
            parameter["description"] = described["description"]
        if shown.get("type") == "array":
            shown["items"] = _null_as_word(shown["items"])
            parameter |= {"style": "form", "explode": False}
        if shown.get("type") == "object":  # its members are the parameters
            parameter |= {"style": "form", "explode": True}
        yield parameter


def _without_null(schema: Json) -> Json:
    """A query parameter cannot be null: it is there or not."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
    bare = {key: value for key, value in schema.items() if key != "anyOf" and value is not None}
    if len(choices) == 1:
        return {**choices[0], **bare}
    if "enum" in bare:
        bare["enum"] = [value for value in bare["enum"] if value is not None]
    return {**bare, "anyOf": choices} if choices else bare


def _null_as_word(schema: Json) -> Json:
    """In a query null is a word like any other."""
    choices = schema.get("anyOf", ())
    if {"type": "null"} not in choices:
        return schema
    return {**schema, "anyOf": [{"enum": ["null"]} if choice == {"type": "null"} else choice for choice in choices]}


def _header_parameters(declared: Operation) -> Iterable[Json]:
    yield {
        "name": HEADER,
        "in": "header",
        "description": "External request id; returned with the reply. One of another form is replaced.",
        "schema": {"type": "string", "pattern": PATTERN},
    }
    for name, description in declared.headers.items():
        yield {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


def _body(declared: Operation, known: dict[str, Json]) -> Json:
    body = declared.body
    if isinstance(body, TypedBody):
        schema = known[_key(body.kind)]
        return {
            "required": not body.optional,
            "content": {kind: {"schema": schema} for kind in declared.accepts},
        }
    if isinstance(body, RawBody):
        kinds = declared.accepts or ("application/octet-stream",)
        described = body.schema if body.kind is None else known[_key(body.kind)]
        return {
            "required": True,
            "content": {kind: {"schema": body.schemas.get(kind, described)} for kind in kinds},
        }
    return {}


def _responses(declared: Operation, known: dict[str, Json]) -> Json:
    made: Json = {str(status): _reply(declared, content, known) for status, content in declared.replies.items()}
    by_status: dict[int, list[int]] = {}
    for code in error_codes(declared):
        by_status.setdefault(CATALOGUE[code].status, []).append(code)
    for status, codes in sorted(by_status.items()):
        described = "; ".join(f"{code}: {CATALOGUE[code].detail}" for code in codes)
        made[str(status)] = {"description": described, "headers": _id_header()}
        if declared.method != "HEAD":
            made[str(status)]["content"] = {JSON: {"schema": known[_key(ErrorBody)]}}
    return made


def error_codes(declared: Operation) -> list[int]:
    """Every code of the catalogue that an operation can answer with, in order."""
    return sorted({*declared.errors, *_common(declared)})


def _common(declared: Operation) -> Iterable[int]:
    """Codes that every operation with such inputs can give."""
    yield from _ALWAYS
    if declared.query is not None and msgspec.structs.fields(declared.query):
        yield 12012
    if not isinstance(declared.body, NoBody):
        yield from _WITH_BODY
    if isinstance(declared.body, TypedBody):
        yield from _WITH_TYPED_BODY
    if declared.auth is not Auth.NONE:
        yield from _WITH_AUTHORIZATION
    if declared.auth is Auth.NO_TOKEN:
        yield 11064
    if any(need.verb is None for need in declared.needs):
        yield 11060
    if any(need.verb is not None for need in declared.needs):
        yield 11059
    if _SEGMENT.search(declared.path):
        yield 12013
    if declared.msgpack_reply:
        yield 12023
    if declared.websocket:
        yield 12046


def _reply(declared: Operation, content: Content, known: dict[str, Json]) -> Json:
    made: Json = {"description": content.description or "Success", "headers": _id_header()}
    schema = content.schema if content.kind is None else known[_key(content.kind)]
    if schema is not None and declared.method != "HEAD":
        kinds = (JSON, MSGPACK) if declared.msgpack_reply else content.types
        made["content"] = {kind: {"schema": schema} for kind in kinds}
    return made


def _id_header() -> Json:
    return {HEADER: {"schema": {"type": "string", "pattern": PATTERN}}}
