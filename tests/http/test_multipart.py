"""Parts of multipart bodies, and bodies that are none."""

from typing import Any

import httpx
import msgspec
import pytest

from lunaria.http.errors import ApiError
from lunaria.http.multipart import Part, by_name, decode_json_part, parse_multipart

BOUNDARY = "b0undary"
HEADER = f"multipart/form-data; boundary={BOUNDARY}"


def body(*parts: bytes) -> bytes:
    return b"".join(b"--b0undary\r\n" + part + b"\r\n" for part in parts) + b"--b0undary--\r\n"


def part(headers: str, data: bytes) -> bytes:
    return headers.replace("\n", "\r\n").encode() + b"\r\n\r\n" + data


def encoded(files: list[tuple[str, tuple[str | None, bytes, str | None]]]) -> tuple[str, bytes]:
    """As a well-known client sends it."""
    request = httpx.Request("POST", "http://host/", files=files)
    return request.headers["content-type"], request.read()


def test_parts_as_a_client_sends_them() -> None:
    every_byte = bytes(range(256)) * 100
    header, data = encoded(
        [
            ("image", ("a.jpg", every_byte, "image/jpeg")),
            ("image", ('б ".png', b"\r\n--", "image/PNG")),
            ("face_bounding_boxes", (None, b"[]", "application/json")),
            ("image", ("empty", b"", None)),
        ]
    )
    parts = parse_multipart(header, data)
    assert parts[0] == Part("image", "a.jpg", "image/jpeg", every_byte)
    assert parts[1] == Part("image", 'б ".png', "image/png", b"\r\n--")
    assert parts[2] == Part("face_bounding_boxes", None, "application/json", b"[]")
    assert (parts[3].filename, parts[3].data) == ("empty", b"")


def test_a_quoted_boundary_and_parameters_of_the_part() -> None:
    data = body(part('Content-Disposition: form-data; name="a"\nContent-Type: Text/Plain; charset=utf-8', b"x"))
    assert parse_multipart(f'Multipart/Form-Data; charset=utf-8; boundary="{BOUNDARY}"', data) == [
        Part("a", None, "text/plain", b"x")
    ]


def test_names_are_printable() -> None:
    data = body(part('Content-Disposition: form-data; name="a\x00b"; filename="c\x07d\x1b.jpg"', b"x"))
    (found,) = parse_multipart(HEADER, data)
    assert (found.name, found.filename) == ("ab", "cd.jpg")


def test_no_parts() -> None:
    assert parse_multipart(HEADER, b"--b0undary--\r\n") == []


@pytest.mark.parametrize(
    ("header", "data"),
    [
        ("multipart/form-data", body()),
        ("multipart/form-data; boundary=", body()),
        (HEADER, b"nothing like it"),
        (HEADER, body(part('Content-Disposition: form-data; name="a"', b"x"))[:-20]),
        (HEADER, body(part("Content-Type: text/plain", b"no disposition"))),
        (HEADER, body(part("Content-Disposition: attachment; filename=x", b"no form"))),
        (HEADER, body(part("no header", b"x"))),
        (HEADER, body(b'Content-Disposition: form-data; name="\xff\xfe"\r\n\r\nx')),
        (HEADER, body(part(f'Content-Disposition: form-data; name="{"n" * 5000}"', b"x"))),
        (HEADER, body(part('Content-Disposition: form-data; name="a"' + "\nX-A: b" * 20, b"x"))),
        (HEADER, body(*[part('Content-Disposition: form-data; name="a"', b"x")] * 1001)),
        ("application/json", b"{}"),
        ("multipart/mixed; boundary=b0undary", body()),
    ],
)
def test_bad_bodies(header: str, data: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        parse_multipart(header, data)
    assert (refused.value.code, refused.value.status) == (11049, 400)


def test_the_number_of_parts_is_bounded() -> None:
    data = body(*[part('Content-Disposition: form-data; name="a"', b"x")] * 3)
    assert len(parse_multipart(HEADER, data, parts_limit=3)) == 3
    with pytest.raises(ApiError):
        parse_multipart(HEADER, data, parts_limit=2)


class Point(msgspec.Struct, forbid_unknown_fields=True):
    x: int


def test_json_parts() -> None:
    assert decode_json_part(Part("p", None, "application/json", b'{"x": 1}'), Point) == Point(1)
    assert decode_json_part(Part("p", None, "", b'{"x": 1}'), Point) == Point(1)


@pytest.mark.parametrize(
    ("content_type", "data", "code", "detail"),
    [
        ("text/plain", b'{"x": 1}', 12041, "'p'"),
        ("application/json", b"{", 12002, "json"),
        ("application/json", b"\xff", 12002, "json"),
        ("application/json", b'{"x": "1"}', 12022, "p.x"),
        ("application/json", b'{"x": 1, "y": 2}', 12022, "p.y"),
    ],
)
def test_bad_json_parts(content_type: str, data: bytes, code: int, detail: str) -> None:
    with pytest.raises(ApiError) as refused:
        decode_json_part(Part("p", None, content_type, data), Point)
    assert (refused.value.code, refused.value.status) == (code, 400)
    assert detail in refused.value.detail


def test_deeply_nested_json_is_refused() -> None:
    with pytest.raises(ApiError) as refused:
        decode_json_part(Part("p", None, "application/json", b"[" * 100_000), Any)
    assert refused.value.code == 12002


def test_parts_by_name() -> None:
    first, second = Part("a", None, "", b""), Part("b", None, "", b"")
    assert by_name([first, second], ["a", "b", "c"]) == {"a": first, "b": second}
    for parts, code in (([first, first], 12040), ([first, second], 12039)):
        with pytest.raises(ApiError) as refused:
            by_name(parts, ["a"])
        assert refused.value.code == code
