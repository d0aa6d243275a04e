"""Bodies: what is wrong, and where."""

from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from lunaria.http.bodies import decode_body, is_msgpack, media_type
from lunaria.http.errors import ApiError


class Inner(Struct, forbid_unknown_fields=True):
    value: Annotated[int, Meta(ge=0)]
    data: bytes = b""


class Shares(Struct):
    shares: dict[Literal["a"], float]


class Outer(Struct, forbid_unknown_fields=True):
    items: list[Inner | str] = []
    inner: Inner | None = None


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        (b'{"extra_field": 1}', "extra_field", "extra fields not permitted"),
        (b'{"inner": {"x": 1, "value": 1}}', "inner.x", "extra fields not permitted"),
        (b'{"items": [{"value": 1}, {}]}', "items.1.value", "field required"),
        (b'{"items": [{"value": -1}]}', "items.0.value", "Expected `int` >= 0"),
        (b'{"inner": {"value": 1, "data": "!!!"}}', "inner.data", "Invalid base64 encoded string"),
        (b"[]", "", "Expected `object`, got `array`"),
    ],
)
def test_where_and_what(body: bytes, path: str, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        decode_body(body, Outer)
    assert caught.value.code == 12022
    assert caught.value.detail == f"Failed to validate input json. Path: '{path}', message: '{message}'"


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", 12030), (b"{", 12002), (b"\xff\xfe", 12002), (b'{"items": ["\\ud800"]}', 12002), (b"[" * 200_000, 12022),
     (b'{"items": ' + b"[" * 200_000, 12022), (b"nul", 12002)],
)  # fmt: skip
def test_broken_json(body: bytes, code: int) -> None:
    with pytest.raises(ApiError) as caught:
        decode_body(body, Outer)
    assert caught.value.code == code


def test_the_place_of_a_bad_key() -> None:
    with pytest.raises(ApiError) as caught:
        decode_body(b'{"shares": {"b": 1}}', Shares)
    assert caught.value.detail == "Failed to validate input json. Path: 'shares', message: 'Invalid enum value 'b''"


def test_msgpack_takes_bytes() -> None:
    packed = msgspec.msgpack.encode({"inner": {"value": 1, "data": b"\x00\xff"}})
    assert decode_body(packed, Outer, msgpack=True) == Outer(inner=Inner(1, b"\x00\xff"))
    with pytest.raises(ApiError) as caught:
        decode_body(b"\xc1", Outer, msgpack=True)
    assert caught.value.code == 12002


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_decoded_or_refused(body: bytes, msgpack: bool) -> None:
    try:
        decode_body(body, Outer, msgpack=msgpack)
    except ApiError as error:
        assert error.code in (12002, 12022, 12030)


def test_media_types() -> None:
    assert media_type("Application/JSON; charset=utf-8") == "application/json"
    assert media_type(None) == ""
    assert is_msgpack("application/x-msgpack")
