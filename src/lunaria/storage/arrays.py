"""Conditions with many values."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ARRAY, Column, ColumnElement, any_, literal


def among(column: Column[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """`column = ANY (array)`: one parameter, however many values."""
    return column == any_(literal(list(values), ARRAY(column.type)))
