"""Many values at once: in a condition, and as a result."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Column, ColumnElement, LargeBinary, any_, func, literal

ID_BYTES = 16


def among(column: Column[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """`column = ANY (array)`: one parameter, however many values."""
    return column == any_(literal(list(values), ARRAY(column.type)))


def packed(column: Column[Any]) -> ColumnElement[bytes]:
    """All ids of a column as one value, as `pack` makes it; 67 million at most.

    A million costs 16 MB this way, and ten times that as rows.
    """
    return func.coalesce(func.string_agg(func.uuid_send(column), literal(b"")), literal(b""), type_=LargeBinary)


def pack(ids: Iterable[UUID]) -> bytes:
    """The bytes of ids, one after the other."""
    return b"".join(one.bytes for one in ids)


def unpack(ids: bytes) -> Iterator[bytes]:
    """The bytes of each id."""
    return (ids[start : start + ID_BYTES] for start in range(0, len(ids), ID_BYTES))
