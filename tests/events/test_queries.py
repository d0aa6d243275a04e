"""Whatever is asked for is understood or refused with the name of the parameter, and becomes SQL."""

import operator as operators
from collections.abc import Callable
from typing import Any, get_args
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields
from sqlalchemy.dialects import postgresql

from lunaria.events.filters import EventFilter, event_conditions
from lunaria.events.meta_parameters import Operator, read_meta_filter
from lunaria.events.partitions import Partitions
from lunaria.events.queries import EventsQuery
from lunaria.events.store import EventsStore, new_events
from lunaria.http.errors import ApiError
from lunaria.http.query import parse_query
from lunaria.kit.times import SystemClock
from lunaria.storage.arrays import unpack
from lunaria.storage.database import Database
from lunaria.storage.scope import Scope
from tests.events.making import plain_event

NAMES = [entry.encode_name for entry in fields(EventsQuery)]
OPERATORS = ["", *(f"__{name}" for name in get_args(Operator)), "__x"]
TYPES = ["", ":string", ":integer", ":numeric", ":x"]
VALUES = st.one_of(st.text(max_size=30), st.sampled_from(["null", "1", "0", "1,null", "36.6", "-5", "a,b", "1e99"]))


def read(text: str) -> None:
    try:
        conditions = event_conditions(parse_query(text, EventsQuery).filter)
    except ApiError as error:
        assert error.code in (12012, 23005)
        return
    for condition in conditions:
        condition.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]


@given(st.sampled_from(NAMES), VALUES)
def test_any_value(name: str, value: str) -> None:
    read(urlencode({name: value.encode("utf-8", "surrogatepass")}))


@given(st.text(max_size=20), st.sampled_from(OPERATORS), st.sampled_from(TYPES), VALUES)
def test_any_field_of_meta(path: str, operator: str, kind: str, value: str) -> None:
    name = f"meta.{path}{operator}{kind}".encode("utf-8", "surrogatepass")
    read(urlencode({name: value.encode("utf-8", "surrogatepass")}))


@pytest.mark.parametrize(
    ("name", "path", "operator", "kind"),
    [
        ("a", ("a",), "eq", "string"),
        ("a.b_c.D1", ("a", "b_c", "D1"), "eq", "string"),
        ("a__gte:numeric", ("a",), "gte", "numeric"),
        ("a.b__nin:integer", ("a", "b"), "nin", "integer"),
        ("a___lt", ("a_",), "lt", "string"),
        ("gt", ("gt",), "eq", "string"),
        ("a_gt", ("a_gt",), "eq", "string"),
    ],
)
def test_names_of_fields_of_meta(name: str, path: tuple[str, ...], operator: str, kind: str) -> None:
    (found,) = parse_query(f"meta.{name}=1", EventsQuery).filter.meta
    assert (found.path, found.operator, found.kind) == (path, operator, kind)


TEXTS = [
    "",
    "a",
    "b",
    "ab",
    'say "a"',
    "back\\slash",
    "a.*",
    "%_",
    "ünï",
    "\n\t",
    "😀",
    "é",
    "A",
    "$",
    "(a",
    "36.6",
    "5",
]
NUMBERS = [5, -5, 36.6, 5.5, 0, 10**15, 1e-7]


@pytest.mark.parametrize("operator", ["eq", "neq", "like", "nlike", "gt", "gte", "lt", "lte"])
async def test_fields_of_meta_are_compared_as_in_python(clean_database: Database, operator: str) -> None:
    account = uuid4()
    values = [*TEXTS, *NUMBERS]
    new = [plain_event(account, meta={"deep": {"field": value}}) for value in values]
    new_ones = [*new, plain_event(account), plain_event(account, meta={"field": "a"})]
    await clean_database.add(new_events(Scope(account), new_ones))
    store = EventsStore(clean_database, Partitions(clean_database, SystemClock()))
    compare = COMPARED[operator]
    for wanted in values:
        kind = "string" if isinstance(wanted, str) else "numeric"
        if kind == "numeric" and operator in ("like", "nlike"):
            continue
        condition = read_meta_filter(f"deep.field__{operator}:{kind}", str(wanted))
        found = unpack(await store.packed_ids(Scope(account), EventFilter(meta=[condition])))
        same = [isinstance(value, str) == isinstance(wanted, str) and compare(value, wanted) for value in values]
        expected = {one.event.event_id.bytes for one, holds in zip(new, same, strict=True) if holds}
        assert set(found) == expected, (operator, wanted)


COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    **{
        name: getattr(operators, name.replace("gte", "ge").replace("lte", "le"))
        for name in ("eq", "gt", "gte", "lt", "lte")
    },
    "neq": operators.ne,
    "like": lambda value, part: part in value,
    "nlike": lambda value, part: part not in value,
}
