"""JSON schemas as people read them: one line a field, nested fields below their parent."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]

_REFERENCE = "#/components/schemas/"
_RANGES = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
)
_NO_NUL = r"^[^\x00]*$"
_MANY = 3


@dataclass(frozen=True, slots=True)
class Field:
    """One line. `depth`: how far inside the outermost object it lies. Without a name: an alternative follows."""

    name: str
    depth: int
    kind: str
    required: bool
    limits: str
    default: str
    description: str

    @property
    def notes(self) -> str:
        """Limits and default in one phrase."""
        return ", ".join(filter(None, (self.limits, self.default and f"default {self.default}")))


class Schemas:
    """Reads schemas that refer to the components of an OpenAPI document."""

    def __init__(self, components: Mapping[str, Schema]) -> None:
        self._components = components

    def fields(self, schema: Schema) -> list[Field]:
        """The fields of an object, of the items of an array, or of each alternative."""
        return list(self._fields(schema, 0, frozenset()))

    def field(self, name: str, schema: Schema, *, depth: int = 0, required: bool = False) -> Field:
        """The line about one named value."""
        bare = _without_null(schema)
        description = str(schema.get("description") or bare.get("description") or "")
        return Field(name, depth, self.kind(schema), required, limits(bare), _default(schema), description)

    def kind(self, schema: Schema) -> str:
        """What a value is, in a few words: `integer`, `string (uuid)`, `array of Face`."""
        if "$ref" in schema:
            name, target = self._resolve(schema)
            # of types that share a name the document tells the module, which is of no use to readers
            return name.rpartition(".")[2] if _children(target) else self.kind(target)
        choices = _choices(schema)
        if choices:
            names = list(dict.fromkeys(map(self.kind, choices)))
            return " or ".join(names) if len(names) <= _MANY else f"one of {len(names)} kinds"
        if "enum" in schema or "const" in schema:
            return " | ".join(_text(value) for value in schema.get("enum", [schema.get("const")]))
        declared = schema.get("type", "any value")
        name = " or ".join(declared) if isinstance(declared, list) else str(declared)
        if name == "array":
            items = self.kind(schema["items"]) if schema.get("items") else ""
            return f"array of ({items})" if " or " in items else f"array of {items}" if items else "array"
        if name == "object" and isinstance(schema.get("additionalProperties"), Mapping):
            return f"object of {self.kind(schema['additionalProperties'])}"
        form = schema.get("format") or schema.get("contentEncoding")
        return f"{name} ({form})" if form else name

    def _fields(self, schema: Schema, depth: int, inside: frozenset[str]) -> Iterator[Field]:
        if "$ref" in schema:
            name, target = self._resolve(schema)
            if name not in inside:  # a type that holds itself is told once
                yield from self._fields(target, depth, inside | {name})
            return
        choices = [choice for choice in _choices(schema) if self._is_nested(choice)]
        if len(choices) > 1:
            for choice in choices:
                word = "either" if choice is choices[0] else "or"
                yield Field("", depth, self.kind(choice), False, "", "", word)
                yield from self._fields(choice, depth + 1, inside)
        elif choices:
            yield from self._fields(choices[0], depth, inside)
        required = schema.get("required", ())
        for name, nested in schema.get("properties", {}).items():
            yield self.field(name, nested, depth=depth, required=name in required)
            yield from self._fields(nested, depth + 1, inside)
        for key in ("items", "additionalProperties"):
            nested = schema.get(key)
            if isinstance(nested, Mapping):
                yield from self._fields(nested, depth, inside)

    def _is_nested(self, schema: Schema) -> bool:
        target = self._resolve(schema)[1] if "$ref" in schema else schema
        return _children(target)

    def _resolve(self, schema: Schema) -> tuple[str, Schema]:
        name = str(schema["$ref"]).removeprefix(_REFERENCE)
        return name, self._components[name]


def limits(schema: Schema) -> str:
    """The bounds of a value in words; empty when there are none."""
    words = [_range(schema.get(least), schema.get(most), unit) for least, most, unit in _RANGES]
    if "exclusiveMinimum" in schema:
        words.append(f"more than {schema['exclusiveMinimum']}")
    if "exclusiveMaximum" in schema:
        words.append(f"less than {schema['exclusiveMaximum']}")
    if schema.get("pattern", _NO_NUL) != _NO_NUL:  # that text holds no NUL needs no saying
        words.append(f"pattern {schema['pattern']}")
    return ", ".join(filter(None, words))


def _range(least: float | None, most: float | None, unit: str) -> str:
    if least is None:
        return "" if most is None else f"at most {most}{unit}"
    if most is None:
        return f"{least} or more{unit}"
    return f"{least}{unit}" if least == most else f"{least} to {most}{unit}"


def _children(schema: Schema) -> bool:
    nested = (schema.get("items"), schema.get("additionalProperties"))
    return bool(schema.get("properties") or _choices(schema)) or any(isinstance(one, Mapping) for one in nested)


def _choices(schema: Schema) -> list[Schema]:
    return [*schema.get("anyOf", ()), *schema.get("oneOf", ())]


def _without_null(schema: Schema) -> Schema:
    choices = [choice for choice in _choices(schema) if choice.get("type") != "null"]
    return choices[0] if len(choices) == 1 else schema


def _default(schema: Schema) -> str:
    value = schema.get("default")
    return "" if value is None or value in ("", [], {}) else _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return ", ".join(map(_text, value)) if isinstance(value, Iterable) and not isinstance(value, str) else str(value)
