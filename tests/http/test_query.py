"""The query grammar."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Meta, UnsetType, field

from lunaria.http.credentials import Auth
from lunaria.http.errors import ApiError
from lunaria.http.openapi import build_document
from lunaria.http.operation import Operation, Reply
from lunaria.http.query import Flag, PagedOfAccount, Query, Text, parse_query


class Example(PagedOfAccount, frozen=True, kw_only=True):
    flag: Flag = 0
    score: Annotated[float, Meta(ge=0, le=1)] = 0.0
    ids: list[UUID] | None = None
    states: list[Annotated[int, Meta(ge=1, le=3)]] | None = None
    names: list[str] | None = None
    text: Text | None = None
    after: datetime | None = None


class Required(PagedOfAccount, frozen=True, kw_only=True):
    ids: list[UUID]


def test_defaults() -> None:
    assert parse_query("", Example) == Example()


def test_unknown_names_are_ignored() -> None:
    assert parse_query("create_time_gte=x&&&=1&flag", Example.__mro__[1]) == PagedOfAccount()


def test_values() -> None:
    one, other = uuid4(), uuid4()
    text = urlencode(
        {"page": 2, "page_size": 7, "flag": 1, "score": "0.5", "ids": f"{one}, {other}", "text": "ä b", "names": "a,b"}
    )
    parsed = parse_query(text + "&after=2020-01-01T00:00:00Z&states=2&states=3", Example)
    assert parsed == Example(
        page=2,
        page_size=7,
        flag=1,
        score=0.5,
        ids=[one, other],
        states=[2, 3],
        names=["a", "b"],
        text="ä b",
        after=datetime(2020, 1, 1, tzinfo=UTC),
    )
    assert parsed.offset == 7


@pytest.mark.parametrize(
    "text",
    ["page=0", "page=x", "page=1.0", "page=", "page=99999999999999999999", "page_size=1001", "flag=2", "flag=true",
     "score=nan", "score=inf", "score=1.1", "score=1e400", "ids=x", "ids=", "states=4", "states=1,x", "text=%00",
     "after=123", "after=yesterday", "account_id=1", "page=%D9%A1",
     "account_id={10bc2cb4-db84-410d-adc7-ff2ac17e4b2d}", "ids=urn:uuid:10bc2cb4-db84-410d-adc7-ff2ac17e4b2d",
     "account_id=0xbc2cb4-db84-410d-adc7-ff2ac17e4b2d", "account_id=10b_2cb4-db84-410d-adc7-ff2ac17e4b2d"],
)  # fmt: skip
def test_errors_name_the_parameter(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_query(text, Example)
    assert caught.value.code == 12012
    assert f"'{text.partition('=')[0]}'" in caught.value.detail


def test_required() -> None:
    with pytest.raises(ApiError) as caught:
        parse_query("page=1", Required)
    assert (caught.value.code, "'ids'" in caught.value.detail) == (12012, True)


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        parse_query(text, Example)
    except ApiError as error:
        assert error.code == 12012


@given(st.sampled_from(["page", "flag", "score", "ids", "states", "names", "text", "after"]), st.text(max_size=30))
def test_any_value_is_parsed_or_refused(name: str, value: str) -> None:
    try:
        parse_query(urlencode({name: value.encode("utf-8", "surrogatepass")}), Example)
    except ApiError as error:
        assert error.code == 12012


class WithNull(Query, frozen=True, kw_only=True):
    """Null where it is a value, and parameters of names that are not known before."""

    states: Annotated[list[Literal[1, 2] | None], Meta(min_length=1)] | None = None
    ids: list[UUID | None] | None = None
    names: list[Text | None] | None = None
    plain: list[Text] | None = None
    degrees: Annotated[float, Meta(le=90)] | UnsetType | None = UNSET
    number: int | None = None
    meta: dict[str, str] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("states=null", WithNull(states=[None])),
        ("states=1,null", WithNull(states=[1, None])),
        ("ids=null", WithNull(ids=[None])),
        ("names=a,null,None", WithNull(names=["a", None, "None"])),
        ("plain=null", WithNull(plain=["null"])),
        ("degrees=null", WithNull(degrees=None)),
        ("degrees=1.5", WithNull(degrees=1.5)),
        ("", WithNull()),
        ("meta.a=1&meta.a.b__gt:integer=2&meta.=3", WithNull(meta={"a": "1", "a.b__gt:integer": "2", "": "3"})),
        ("meta.a=1&meta.a=2", WithNull(meta={"a": "2"})),
        ("meta=1&metal.a=2", WithNull()),
    ],
)
def test_null_and_names_with_dots(text: str, expected: WithNull) -> None:
    assert parse_query(text, WithNull) == expected


@pytest.mark.parametrize("text", ["states=none", "states=1,", "degrees=91", "degrees=NULL", "number=null", "ids=nil"])
def test_what_is_not_null(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_query(text, WithNull)
    assert caught.value.code == 12012


def test_null_in_the_document() -> None:
    async def handler(call: Any) -> Reply:
        return Reply()

    declared = Operation("GET", "/x", "x", "x", "x", auth=Auth.NONE, query=WithNull, replies={}, handler=handler)
    document = build_document([declared], "1")
    parameters = {one["name"]: one for one in document["paths"]["/x"]["get"]["parameters"] if one["in"] == "query"}
    assert parameters["states"]["schema"]["items"] == {"anyOf": [{"enum": [1, 2]}, {"enum": ["null"]}]}
    assert {"enum": ["null"]} in parameters["degrees"]["schema"]["anyOf"]
    assert parameters["number"]["schema"] == {"type": "integer"}
    assert parameters["plain"]["schema"]["items"]["type"] == "string"
    assert (parameters["meta"]["schema"]["type"], parameters["meta"]["explode"]) == ("object", True)
