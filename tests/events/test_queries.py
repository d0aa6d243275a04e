"""Whatever is asked for is understood or refused with the name of the parameter, and becomes SQL."""

from typing import get_args
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields
from sqlalchemy.dialects import postgresql

from lunaria.events.filters import event_conditions
from lunaria.events.meta_parameters import Operator
from lunaria.events.queries import EventsQuery
from lunaria.http.errors import ApiError
from lunaria.http.query import parse_query

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
