"""Fields of events' own `meta` in SQL: their values by type, and conditions on them.

A value counts only where its JSON type is the wanted one: the number 5 is no string, and 36.6 is no integer.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal, get_args

from sqlalchemy import ARRAY, ColumnElement, Numeric, Text, and_, any_, case, cast, func, literal, not_, null, or_

from lunaria.storage.schema import events

MetaType = Literal["string", "integer", "numeric"]
META_TYPES: tuple[MetaType, ...] = get_args(MetaType)
MetaPath = tuple[str, ...]
MetaValue = str | int | float | None

_PATH = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*", flags=re.ASCII)
_COMPARED: Mapping[str, Callable[[Any, Any], ColumnElement[bool]]] = MappingProxyType(
    {
        "eq": operator.eq,
        "neq": operator.ne,
        "gt": operator.gt,
        "gte": operator.ge,
        "lt": operator.lt,
        "lte": operator.le,
    }
)


def read_meta_path(text: str) -> MetaPath:
    """The names of `gate.temperature`. Raises ValueError."""
    if not _PATH.fullmatch(text) or "__" in text:
        raise ValueError("a path has names of latin letters, digits and single underscores, with dots between them")
    return tuple(text.split("."))


def meta_value(path: MetaPath, kind: MetaType) -> ColumnElement[Any]:
    """The field's value: text, in the order of its code points, or a number; null where it is of another type."""
    found = events.c.meta[path]
    if kind == "string":
        return case((func.jsonb_typeof(found) == "string", found.astext), else_=null()).collate("C")
    number: ColumnElement[Any] = cast(found, Numeric)
    if kind == "integer":  # inside, as the parts of an AND are computed in any order
        number = case((number == func.trunc(number), number), else_=null())
    return case((func.jsonb_typeof(found) == "number", number), else_=null())


def meta_missing(path: MetaPath) -> ColumnElement[bool]:
    """Whether the field is missing or null."""
    return func.coalesce(func.jsonb_typeof(events.c.meta[path]), "null") == "null"


def meta_condition(
    path: MetaPath, kind: MetaType, operator_name: str, value: MetaValue | Sequence[MetaValue]
) -> ColumnElement[bool]:
    """The condition in SQL. `value` is of the type, or null (eq, neq), or a list of such (in, nin), not empty.

    An event whose field is missing, or of another type, fulfils no condition except those that name null.
    """
    if operator_name in ("in", "nin"):
        assert isinstance(value, Sequence)
        return _among(path, kind, value, negated=operator_name == "nin")
    if value is None:
        missing = meta_missing(path)
        return missing if operator_name == "eq" else not_(missing)
    found = meta_value(path, kind)
    if operator_name in ("like", "nlike"):
        contained = func.strpos(found, value)
        return contained > 0 if operator_name == "like" else contained == 0
    return _COMPARED[operator_name](found, _bound(kind, value))


def _among(path: MetaPath, kind: MetaType, values: Sequence[Any], *, negated: bool) -> ColumnElement[bool]:
    missing = meta_missing(path)
    known = [_exact(kind, value) for value in values if value is not None]
    if not known:
        return not_(missing) if negated else missing
    column_type = Text() if kind == "string" else Numeric()
    same = meta_value(path, kind) == any_(literal(known, ARRAY(column_type)))
    if None not in values:
        return not_(same) if negated else same
    return and_(not_(missing), not_(same)) if negated else or_(missing, same)


def _bound(kind: MetaType, value: Any) -> ColumnElement[Any]:
    return literal(_exact(kind, value), Text() if kind == "string" else Numeric())


def _exact(kind: MetaType, value: Any) -> Any:
    """A number as it is written, so that 36.6 equals the 36.6 of a JSON document."""
    return value if kind == "string" else Decimal(str(value))
