"""What an event's own fields may hold."""

from datetime import UTC, datetime
from typing import Any

import pytest

from lunaria.events.meta import META_DEPTH, META_LIMIT, check_meta
from lunaria.http.errors import ApiError


def nested(depth: int) -> dict[str, Any]:
    """An object with `depth` objects, the innermost empty."""
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "meta",
    [
        {},
        {"a": None, "B": True, "c_1": 1, "_d": -1.5, "e": "text", "f": [1, "a", None, {"g": []}], "0": {"1": 2}},
        {"smallest": -(2**63), "largest": 2**63 - 1, "e": 1e308},
        nested(META_DEPTH),
        {"a": "x" * (META_LIMIT - 8)},
    ],
)
def test_what_is_kept(meta: dict[str, Any]) -> None:
    check_meta(meta)


@pytest.mark.parametrize(
    ("meta", "path", "problem"),
    [
        ({"a b": 1}, "meta", "'a b' is no name"),
        ({"": 1}, "meta", "'' is no name"),
        ({"a": {"b__c": 1}}, "meta.a", "'b__c' is no name"),
        ({"ключ": 1}, "meta", "is no name"),
        ({"a\n": 1}, "meta", "is no name"),
        ({"a": [{"x": 0}, {"b-c": 1}]}, "meta.a.1", "'b-c' is no name"),
        ({"a": {1: 2}}, "meta.a", "1 is no name"),
        ({"a": ["x", "\x00"]}, "meta.a.1", "must not contain NUL"),
        ({"a": 2**63}, "meta.a", "at most 64 bits"),
        ({"a": -(2**63) - 1}, "meta.a", "at most 64 bits"),
        ({"a": float("nan")}, "meta.a", "must be finite"),
        ({"a": float("-inf")}, "meta.a", "must be finite"),
        ({"a": b"bytes"}, "meta.a", "neither text"),
        ({"a": datetime(2024, 1, 1, tzinfo=UTC)}, "meta.a", "neither text"),
        (nested(META_DEPTH + 1), "meta" + ".a" * META_DEPTH, f"more than {META_DEPTH} deep"),
        ({"a": "x" * (META_LIMIT - 7)}, "meta", f"larger than {META_LIMIT} bytes"),
        ({"a": [0] * META_LIMIT}, "meta", f"larger than {META_LIMIT} bytes"),
        ({"x" * 100_000: {"b": "\x00"}}, "meta." + "x" * 80 + ".b", "NUL"),
    ],
)
def test_what_is_refused(meta: dict[str, Any], path: str, problem: str) -> None:
    with pytest.raises(ApiError) as refused:
        check_meta(meta)
    assert refused.value.code == 12022
    assert refused.value.detail.startswith(f"Failed to validate input json. Path: '{path}', message: '")
    assert problem in refused.value.detail
    assert len(refused.value.detail) < 1000


def test_the_place_of_the_meta_is_told() -> None:
    with pytest.raises(ApiError, match=r"sources\.3\.source_data\.meta\.a"):
        check_meta({"a": "\x00"}, "sources.3.source_data.meta")
