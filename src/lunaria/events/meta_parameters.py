"""Query parameters on the user's own fields of events: `meta.<path>[__operator][:type]`."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, and_, cast, or_
from sqlalchemy.dialects.postgresql import JSONPATH

from lunaria.events.meta_filters import META_TYPES, MetaPath, MetaType, MetaValue, meta_condition, read_meta_path
from lunaria.storage.schema import events

Operator = Literal["eq", "neq", "like", "nlike", "in", "nin", "gt", "gte", "lt", "lte"]

VALUES_LIMIT = 1000
"""Most values in one parameter."""
NAME_PATTERN = rf"^meta\.[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*(:({'|'.join(META_TYPES)}))?$"
"""Names of such parameters, for the document; an operator looks like the end of a field's name."""

_EQUAL = ("eq", "in")
_TESTS: Mapping[Operator, str] = MappingProxyType({"gt": "> {}", "gte": ">= {}", "lt": "< {}", "lte": "<= {}"})
"""In the language of JSON paths."""
_LISTS = ("in", "nin")
_TEXT_ONLY = ("like", "nlike")
_WITH_NULL = ("eq", "neq", "in", "nin")
_OF_TYPE: Mapping[MetaType, str] = MappingProxyType(
    {"integer": r"[+-]?[0-9]{1,18}", "numeric": r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2})?"}
)
_NAME = re.compile(
    rf"(?P<path>.+?)(__(?P<operator>{'|'.join(get_args(Operator))}))?(:(?P<type>{'|'.join(META_TYPES)}))?"
)


@dataclass(frozen=True, slots=True)
class MetaFilter:
    """One condition. `value`: several for `in` and `nin`; None stands for a field that lacks."""

    path: MetaPath
    operator: Operator
    kind: MetaType
    value: MetaValue | tuple[MetaValue, ...]

    @property
    def condition(self) -> ColumnElement[bool]:
        """In SQL, for a statement on `events`."""
        return and_(*self._implied(), meta_condition(self.path, self.kind, self.operator, self.value))

    def _implied(self) -> Iterator[ColumnElement[bool]]:
        """What follows from the condition, and is known by an index or computed and estimated at little cost."""
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        if self.operator in _EQUAL:
            if None not in values:
                yield or_(*(events.c.meta.contains(self._containing(value)) for value in values))
            return
        yield events.c.meta.is_not(None)
        if self.operator == "like":  # of other types too, but so it takes half the time
            yield events.c.meta[self.path].astext.collate("C").contains(self.value, autoescape=True)
        test = _TESTS.get(self.operator)
        if test is not None:
            path = "".join(f".{json.dumps(name)}" for name in self.path)
            found = f"strict ${path} ? (@ {test.format(json.dumps(self.value))})"
            yield events.c.meta.path_exists(cast(found, JSONPATH))

    def _containing(self, value: MetaValue) -> Any:
        """The least meta that has the value at the path."""
        found: Any = value
        for name in reversed(self.path):
            found = {name: found}
        return found


def read_meta_filter(name: str, text: str) -> MetaFilter:
    """A condition from a parameter; `name` is what follows `meta.`. Raises ValueError."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError("expected a path, [__operator] and [:type] after 'meta.'")
    operator: Operator = match["operator"] or "eq"  # type: ignore[assignment]  # the pattern knows no others
    kind: MetaType = match["type"] or "string"  # type: ignore[assignment]
    path = read_meta_path(match["path"])
    if operator in _TEXT_ONLY and kind != "string":
        raise ValueError(f"{operator} is for strings only")
    if operator not in _LISTS:
        return MetaFilter(path, operator, kind, _read(text, operator, kind))
    parts = text.split(",")
    if len(parts) > VALUES_LIMIT:
        raise ValueError(f"more than {VALUES_LIMIT} values")
    return MetaFilter(path, operator, kind, tuple(_read(part.strip(), operator, kind) for part in parts))


def _read(text: str, operator: Operator, kind: MetaType) -> MetaValue:
    if text == "null":
        if operator not in _WITH_NULL:
            raise ValueError(f"{operator} does not take null")
        return None
    if kind != "string":
        if not re.fullmatch(_OF_TYPE[kind], text):
            raise ValueError(f"expected a value of type {kind}, got '{text[:40]}'")
        return int(text) if kind == "integer" else float(text)
    if "\x00" in text:
        raise ValueError("must not contain NUL")
    return text
