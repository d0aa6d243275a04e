"""The query grammar: typed fields, comma lists, time bounds. Unknown names are ignored.

The word `null` stands for None among the items of a list that may be None, and for a field that may be unset and None.
A field that is a dictionary takes all parameters whose names begin with its own and a dot.
"""

import re
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from msgspec import Meta, Struct, UnsetType

from lunaria.http.errors import ApiError
from lunaria.kit.times import parse_time

T = TypeVar("T", bound=Struct)

Flag = Literal[0, 1]
"""0 or 1."""
Text = Annotated[str, Meta(pattern=r"^[^\x00]*$")]
"""Text that the database can hold: no NUL."""
Page = Annotated[int, Meta(ge=1, le=2**31 - 1, description="Page number.")]
PageSize = Annotated[int, Meta(ge=1, le=1000, description="Number of items on a page.")]

_INTEGER = re.compile(r"[+-]?\d{1,18}", flags=re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", flags=re.ASCII)


class Query(Struct, frozen=True, kw_only=True):
    """Base of an operation's query parameters; a field's name is the parameter's name."""


class NoQuery(Query, frozen=True, kw_only=True):
    """An operation without query parameters."""


class OfAccount(Query, frozen=True, kw_only=True):
    """The filter by account, without effect when Luna-Account-Id is the credential."""

    account_id: UUID | None = None


class PagedOfAccount(OfAccount, frozen=True, kw_only=True):
    """Parameters of a listing."""

    page: Page = 1
    page_size: PageSize = 10

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.page_size


def parse_query(text: str, kind: type[T]) -> T:
    """Read a query string into `kind`. Raises 400/12012 naming the parameter that is wrong."""
    given: dict[str, list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, encoding="utf-8", errors="replace"):
        given.setdefault(name, []).append(value)
    values: dict[str, Any] = {}
    for entry in _fields(kind):
        if get_origin(_base(entry.type)) is dict:
            prefix = entry.encode_name + "."
            values[entry.name] = {
                name.removeprefix(prefix): texts[-1] for name, texts in given.items() if name.startswith(prefix)
            }
            continue
        texts = given.get(entry.encode_name)
        if texts is None:
            if entry.required:
                raise ApiError(12012, entry.encode_name, "required parameter is missing")
            continue
        try:
            values[entry.name] = _read(texts, entry.type)
        except (ValueError, msgspec.ValidationError) as error:
            raise ApiError(12012, entry.encode_name, error) from None
    try:
        return kind(**values)
    except ValueError as error:
        raise ApiError(12012, ",".join(values), error) from None


@cache
def _fields(kind: type[Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Looked up once: it takes longer than reading the query."""
    return msgspec.structs.fields(kind)


def read_uuid(text: str) -> UUID:
    """A UUID as bodies take it, and no other form that Python knows: braces, `urn:uuid:`, `0x`. Raises ValueError."""
    try:
        return msgspec.convert(text, UUID)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


def _read(texts: list[str], declared: Any) -> Any:
    base = _base(declared)
    if get_origin(base) in (list, tuple, frozenset):
        item = get_args(base)[0]
        parts = [part.strip() for text in texts for part in text.split(",")]
        if parts == [""]:
            raise ValueError("must not be empty")
        converted: Any = [_scalar_or_null(part, item, nullable=type(None) in _parts(item)) for part in parts]
        return msgspec.convert(converted, declared)
    return msgspec.convert(_scalar_or_null(texts[-1], declared, nullable=is_nullable(declared)), declared)


def is_nullable(declared: Any) -> bool:
    """Whether a parameter can be given as null: only then does its type say what it is when it is not given."""
    parts = _parts(declared)
    return UnsetType in parts and type(None) in parts


def _parts(declared: Any) -> tuple[Any, ...]:
    """The members of a union, below Annotated."""
    while get_origin(declared) is Annotated:
        declared = get_args(declared)[0]
    return get_args(declared)


def _scalar_or_null(text: str, declared: Any, *, nullable: bool) -> Any:
    return None if nullable and text == "null" else _scalar(text, _base(declared))


def _base(declared: Any) -> Any:
    """The plain type below Annotated, `| None` and `| UnsetType`."""
    while True:
        if get_origin(declared) is Annotated:
            declared = get_args(declared)[0]
            continue
        arguments = get_args(declared)
        if type(None) in arguments or UnsetType in arguments:
            declared = next(argument for argument in arguments if argument not in (type(None), UnsetType))
            continue
        return declared


def _scalar(text: str, base: Any) -> Any:
    if get_origin(base) is Literal:
        base = type(get_args(base)[0])
    if base is int:
        if not _INTEGER.fullmatch(text):
            raise ValueError(f"expected an integer, got '{text[:40]}'")
        return int(text)
    if base is float:
        if not _NUMBER.fullmatch(text):
            raise ValueError(f"expected a number, got '{text[:40]}'")
        return float(text)
    if base is datetime:
        return parse_time(text)
    if base is UUID:
        try:
            return read_uuid(text)
        except ValueError:
            raise ValueError(f"expected a UUID, got '{text[:40]}'") from None
    if "\x00" in text:
        raise ValueError("must not contain NUL")
    return text
