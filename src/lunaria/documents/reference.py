"""The API reference as a page shows it, from the declared operations and their OpenAPI document."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from lunaria.documents.fields import Field, Schemas
from lunaria.http.credentials import Auth
from lunaria.http.errors import CATALOGUE, ErrorKind
from lunaria.http.openapi import build_document, error_codes
from lunaria.http.operation import Operation
from lunaria.http.request_id import HEADER
from lunaria.http.router import with_options

CREDENTIALS = {
    Auth.NONE: "no credentials needed",
    Auth.OPTIONAL: "credentials only where the server asks for them",
    Auth.ANY: "Basic, token or Luna-Account-Id",
    Auth.NO_TOKEN: "Basic or Luna-Account-Id, no token",
}
_SEGMENT = re.compile(r"\{(\w+):\w+\}")
_RIGHT_MISSING = 11059


@dataclass(frozen=True, slots=True)
class Media:
    """One form of a body or a reply."""

    types: tuple[str, ...]
    kind: str
    fields: list[Field]


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful reply."""

    status: int
    description: str
    media: list[Media]


@dataclass(frozen=True, slots=True)
class Entry:
    """An operation as a reader sees it."""

    id: str
    method: str
    path: str
    name: str
    description: str
    deprecated: bool
    credentials: str
    rights: tuple[str, ...]
    parameters: Mapping[str, list[Field]]
    """By place: path, query, header."""
    body_required: bool
    body: list[Media]
    answers: list[Answer]
    errors: list[ErrorKind]


@dataclass(frozen=True, slots=True)
class Group:
    """The operations of a tag."""

    name: str
    entries: list[Entry]

    @property
    def anchor(self) -> str:
        return "tag-" + re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


class Reference:
    """Everything that the server answers to: as an OpenAPI document, and grouped for a page.

    The document holds the OPTIONS operation of every path; the groups leave it to a sentence of the page.
    """

    def __init__(self, operations: Sequence[Operation], version: str) -> None:
        self.version = version
        self.document = build_document(with_options(operations), version)
        schemas = Schemas(self.document["components"]["schemas"])
        grouped: dict[str, list[Entry]] = {}
        for declared in operations:
            described = self.document["paths"][plain_path(declared)][declared.method.lower()]
            grouped.setdefault(declared.tag, []).append(_entry(declared, described, schemas))
        self.groups = [Group(name, entries) for name, entries in grouped.items()]

    @property
    def entries(self) -> list[Entry]:
        return [entry for group in self.groups for entry in group.entries]

    def yaml(self) -> bytes:
        """The document as YAML."""
        return yaml.dump(self.document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110).encode()


def plain_path(declared: Operation) -> str:
    """The path as clients write it: `/6/faces/{face_id}`."""
    return _SEGMENT.sub(r"{\1}", declared.path)


class _Dumper(yaml.CSafeDumper):
    """Repeats what occurs twice: anchors are hard to read and some tools choke on them."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _entry(declared: Operation, described: Mapping[str, Any], schemas: Schemas) -> Entry:
    codes = error_codes(declared)
    body = described.get("requestBody", {})
    return Entry(
        id=described["operationId"],
        method=declared.method,
        path=plain_path(declared),
        name=declared.name,
        description=declared.description,
        deprecated=declared.deprecated,
        credentials=CREDENTIALS[declared.auth],
        rights=_rights(declared, codes),
        parameters=_parameters(described["parameters"], schemas),
        body_required=bool(body.get("required")),
        body=_media(body.get("content", {}), schemas),
        answers=[_answer(status, described["responses"][str(status)], schemas) for status in declared.replies],
        errors=[CATALOGUE[code] for code in codes],
    )


def _rights(declared: Operation, codes: Iterable[int]) -> tuple[str, ...]:
    rights = tuple(f"{need.thing}: {need.verb}" if need.verb else need.thing for need in declared.needs)
    if not rights and _RIGHT_MISSING in codes:
        return ("depends on the request",)
    return rights


def _parameters(described: Sequence[Mapping[str, Any]], schemas: Schemas) -> Mapping[str, list[Field]]:
    places: dict[str, list[Field]] = {}
    for parameter in described:
        if parameter["name"] == HEADER:  # every operation takes it; the page says so once
            continue
        schema = {"description": parameter.get("description", ""), **parameter["schema"]}
        line = schemas.field(parameter["name"], schema, required=bool(parameter.get("required")))
        places.setdefault(parameter["in"], []).append(line)
    return places


def _media(content: Mapping[str, Any], schemas: Schemas) -> list[Media]:
    """Media types of one schema stand together."""
    grouped: list[tuple[Any, list[str]]] = []
    for kind, described in content.items():
        for schema, kinds in grouped:
            if schema == described["schema"]:
                kinds.append(kind)
                break
        else:
            grouped.append((described["schema"], [kind]))
    return [Media(tuple(kinds), schemas.kind(schema), schemas.fields(schema)) for schema, kinds in grouped]


def _answer(status: int, described: Mapping[str, Any], schemas: Schemas) -> Answer:
    return Answer(status, described["description"], _media(described.get("content", {}), schemas))
