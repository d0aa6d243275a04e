"""JSON schemas as readable lines."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
import pytest
from msgspec import Meta, Struct

from lunaria.documents.fields import Field, Schemas, limits

TEMPLATE = "#/components/schemas/{name}"


class Cat(Struct, tag_field="type", tag="cat"):
    lives: Annotated[int, Meta(ge=1, le=9, description="Lives that are left.")] = 9


class Dog(Struct, tag_field="type", tag="dog"):
    owner: UUID


class Node(Struct):
    name: str
    children: list["Node"] = []


class House(Struct):
    animals: Annotated[list[Cat | Dog], Meta(min_length=1)]
    tree: Node
    colour: Literal["red", "blue"] = "red"
    note: Annotated[str, Meta(max_length=5)] | None = None
    sizes: dict[str, int] = {}


def read(kind: type) -> list[Field]:
    (schema,), components = msgspec.json.schema_components([kind], ref_template=TEMPLATE)
    return Schemas(components).fields(schema)


def by_name(name: str) -> Field:
    return next(line for line in read(House) if line.name == name)


def test_fields_come_in_order_with_their_depth() -> None:
    assert [(line.name, line.depth) for line in read(House)] == [
        ("animals", 0),
        ("", 1),
        ("type", 2),
        ("lives", 2),
        ("", 1),
        ("type", 2),
        ("owner", 2),
        ("tree", 0),
        ("name", 1),
        ("children", 1),
        ("colour", 0),
        ("note", 0),
        ("sizes", 0),
    ]


def test_alternatives_are_named() -> None:
    assert [(line.description, line.kind) for line in read(House) if not line.name] == [
        ("either", "Cat"),
        ("or", "Dog"),
    ]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("animals", "array of (Cat or Dog)"),
        ("owner", "string (uuid)"),
        ("tree", "Node"),
        ("children", "array of Node"),
        ("colour", "red | blue"),
        ("note", "string or null"),
        ("sizes", "object of integer"),
    ],
)
def test_kinds(name: str, kind: str) -> None:
    assert sorted(by_name(name).kind.split(" | ")) == sorted(kind.split(" | "))


def test_a_line_tells_limits_default_and_meaning() -> None:
    lives = by_name("lives")
    assert (lives.limits, lives.default, lives.description) == ("1 to 9", "9", "Lives that are left.")
    assert lives.notes == "1 to 9, default 9"
    assert by_name("animals").limits == "1 or more items"
    assert by_name("note").limits == "at most 5 characters"


def test_required_fields_are_marked() -> None:
    assert [line.name for line in read(House) if line.required and line.depth == 0] == ["animals", "tree"]


def test_many_alternatives_are_counted() -> None:
    choices = [{"type": "string"}, {"type": "integer"}, {"type": "boolean"}, {"type": "array"}]
    assert Schemas({}).kind({"anyOf": choices}) == "one of 4 kinds"


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({}, ""),
        ({"minimum": 3, "maximum": 3}, "3"),
        ({"minLength": 1}, "1 or more characters"),
        ({"exclusiveMinimum": 0, "exclusiveMaximum": 1}, "more than 0, less than 1"),
        ({"pattern": "^a$"}, "pattern ^a$"),
        ({"pattern": "^[^\\x00]*$"}, ""),
    ],
)
def test_limits(schema: dict, words: str) -> None:
    assert limits(schema) == words
