"""Requests made to hurt, mostly byte by byte: always the API's error with a right code, and soon."""

import base64
import contextlib
import json
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.hostile.conftest import BODY_LIMIT, BODY_TIMEOUT
from tests.servers import PHOTOS, Server, assert_envelope

JSON = {"Content-Type": "application/json"}
MSGPACK = {"Content-Type": "application/msgpack"}
ID = "00000000-0000-4000-8000-000000000000"


class Wire:
    """A bare connection: says exactly what it is told, and reads one reply."""

    def __init__(self, server: Server, credentials: tuple[str, str]) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        basic = base64.b64encode(":".join(credentials).encode()).decode()
        self.ordinary = f"Host: localhost\r\nAuthorization: Basic {basic}\r\n".encode()

    def say(self, data: bytes) -> None:
        # a server that has heard enough may close while we still talk
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(data)

    def request(self, line: str, headers: bytes = b"", body: bytes = b"") -> httpx.Response:
        self.say(line.encode("latin-1") + b" HTTP/1.1\r\n" + self.ordinary + headers + b"\r\n" + body)
        return self.hear()

    def hear(self) -> httpx.Response:
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, body = received.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = httpx.Headers([tuple(line.split(": ", 1)) for line in lines])  # type: ignore[misc]
        length = int(headers.get("content-length", 0))
        while len(body) < length:
            body += self._more()
        return httpx.Response(int(status_line.split()[1]), headers=headers, content=body[:length])

    def _more(self) -> bytes:
        part = self._socket.recv(65536)
        assert part, "the connection was closed without a reply"
        return part

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def wire(server: Server, credentials: tuple[str, str]) -> Iterator[Wire]:
    connection = Wire(server, credentials)
    yield connection
    connection.close()


# Bodies that are no JSON, or too much of it


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        (b"", (12030,)),
        (b"{", (12002,)),
        (b"null", (12022,)),
        (b"NaN", (12002,)),
        (b"\x00", (12002,)),
        (b"\xff\xfe{}", (12002,)),
        (b'{"references": "\xed\xa0\x80"}', (12002, 12022)),
        (b'{"references": [' + b"1," * 1_000_000 + b"1]}", (12022,)),
        (b"[" * 1_000_000, (12002, 12022)),
        (b'{"a":' * 200_000, (12002, 12022)),
        (b'{"references": ' + b"[" * 500_000 + b"]" * 500_000 + b', "candidates": []}', (12002, 12022)),
        (b'{"references": 1e999999, "candidates": []}', (12002, 12022)),
        (b'{"references": ' + b"9" * 100_000 + b', "candidates": []}', (12002, 12022)),
        (b'{"references": [], "references": [], "candidates": []}', (12022,)),
        (b"{}" + b" " * (8 * 1024 * 1024), (12022,)),
        (b"{} {}", (12002, 12022)),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else "",
)
def test_bad_json(body: bytes, codes: tuple[int, ...], client: httpx.Client) -> None:
    began = time.monotonic()
    assert_envelope(client.post("/6/matcher/raw", content=body, headers=JSON), 400, *codes)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "body",
    [
        b"\xc1",
        b"\x91" * 1_000_000,
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\x7f\xff\xff\xff",
        b"\x80\x80",
    ],
    ids=repr,
)
def test_bad_msgpack(body: bytes, client: httpx.Client) -> None:
    reply = client.post("/6/matcher/raw", content=body[:1_000_000], headers=MSGPACK)
    assert_envelope(reply, 400, 12002, 12022)


TEXTS = {
    "NUL": '"a\\u0000b"',
    "raw NUL": '"a\x00b"',
    "lone high surrogate": '"\\ud800"',
    "lone low surrogate": '"\\udc00"',
    "surrogates in the wrong order": '"\\udc00\\ud800"',
    "too long": json.dumps("x" * 129),
    "a number": "7",
    "null": "null",
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize(
    ("method", "address", "body"),
    [
        ("POST", "/6/lists", '{"user_data": %s}'),
        ("POST", "/6/faces", '{"user_data": %s}'),
        ("POST", "/6/faces", '{"external_id": %s}'),
        ("POST", "/6/tokens", '{"expiration_time": null, "permissions": {}, "description": %s}'),
        ("PATCH", "/6/account", '{"description": %s}'),
        ("POST", "/6/verify", '{"login": %s, "password": "secret"}'),
        ("POST", "/6/matcher/faces", '{"references": [{"type": "face_external_id", "id": %s}], "candidates": []}'),
    ],
)  # fmt: skip
def test_texts_that_no_database_holds(name: str, method: str, address: str, body: str, client: httpx.Client) -> None:
    content = (body % TEXTS[name]).encode("utf-8")
    assert_envelope(client.request(method, address, content=content, headers=JSON), 400, 12002, 12022)


@pytest.mark.parametrize(
    "text", ["\u200b\u202e", "\U0001f600" * 64, "'; DROP TABLE faces; --", "%", "\\", "\r\n\t\x01"]
)
def test_odd_texts_are_kept_as_they_are(text: str, client: httpx.Client) -> None:
    made = client.post("/6/lists", json={"user_data": text})
    assert made.status_code == 201, made.text
    assert client.get(made.json()["url"]).json()["user_data"] == text
    found = client.get("/6/lists", params={"user_data__eq": text, "page_size": 1000}).json()["lists"]
    assert made.json()["list_id"] in [one["list_id"] for one in found]
    part = client.get("/6/lists", params={"user_data": text, "page_size": 1000}).json()["lists"]
    assert made.json()["list_id"] in [one["list_id"] for one in part]


@pytest.mark.parametrize(
    "number", ["-1", "0", "1001", "1.5", "1e3", "9" * 18, "9" * 19, "9" * 5000, "０", "", "NaN", "0x10"]
)
def test_numbers_out_of_range(number: str, client: httpx.Client) -> None:
    assert_envelope(client.get("/6/faces", params={"page_size": number}), 400, 12012)
    if number not in ("1001",):
        assert_envelope(client.get("/6/faces", params={"page": number}), 400, 12012)


@pytest.mark.parametrize("time_text", ["", "now", "2020-13-01T00:00:00Z", "0000-01-01T00:00:00Z", "99999-01-01T00:00:00Z", "2020-01-01T00:00:00+99:99", "\x00"])  # fmt: skip
def test_times_that_are_none(time_text: str, client: httpx.Client) -> None:
    assert_envelope(client.get("/6/faces", params={"create_time__gte": time_text}), 400, 12012)


@pytest.mark.parametrize("time_text", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])  # fmt: skip
def test_first_and_last_times(time_text: str, client: httpx.Client) -> None:
    reply = client.get("/6/faces", params={"create_time__gte": time_text})
    assert reply.status_code == 200 or assert_envelope(reply, 400, 12012)


def test_last_page(client: httpx.Client) -> None:
    reply = client.get("/6/faces", params={"page": 2**31 - 1, "page_size": 1000})
    assert (reply.status_code, reply.json()) == (200, {"faces": []})


@pytest.mark.parametrize(
    "query", ["user_data=%00", "user_data=%ff%fe", "user_data=%ED%A0%80", "user_data=%", "user_data=%zz", "&&&=&=&", "a" * 8000, "=" * 500]
)  # fmt: skip
def test_odd_queries(query: str, client: httpx.Client) -> None:
    reply = client.get(f"/6/faces?{query}")
    assert reply.status_code == 200 or assert_envelope(reply, 400, 12012)


@pytest.mark.parametrize(
    ("path", "codes"),
    [
        (f"/6/faces/{ID}%00", (12013,)),
        ("/6/faces/%ff", (12013,)),
        ("/6/faces/../../etc/passwd", (12013,)),
        ("/docs/dev/..%2f..%2fetc%2fpasswd", (12013,)),
        ("/docs/dev/%00", (12013,)),
        ("/6/faces/" + "a" * 8000, (12013,)),
        ("/6/FACES", (12013,)),
        ("*", (12013, 12046)),
        ("http://elsewhere/6/nothing", (12013,)),
    ],
)
def test_odd_paths(path: str, codes: tuple[int, ...], wire: Wire) -> None:
    reply = wire.request(f"GET {path}")
    assert_envelope(reply, 400 if reply.status_code == 400 else 404, *codes)


@pytest.mark.parametrize("method", ["TRACE", "PUT", "PROPFIND", "HEAD"])
def test_odd_methods(method: str, wire: Wire) -> None:
    wire.say(f"{method} /6/faces HTTP/1.1\r\n".encode() + wire.ordinary + b"Content-Length: 0\r\n\r\n")
    reply = wire.hear() if method != "HEAD" else None
    if reply is not None:
        assert_envelope(reply, 405, 12021)
        assert set(reply.headers["Allow"].split(",")) == {"GET", "POST", "DELETE", "OPTIONS"}


# Content types, headers


@pytest.mark.parametrize(
    ("address", "kind", "status", "code"),
    [
        ("/6/lists", "text/html", 400, 12017),
        ("/6/lists", "application/json-patch+json", 400, 12017),
        ("/6/lists", "x" * 5000, 400, 12017),
        ("/6/images", "image/svg+xml", 400, 12017),
        ("/6/images", "", 400, 12017),
        ("/6/objects", "no type", 400, 12017),
        ("/6/objects", "text/plain\x01", 400, 12017),
        ("/6/sdk", "multipart/form-data", 400, 11049),
        ("/6/sdk", "multipart/form-data; boundary=", 400, 11049),
        ("/6/sdk", "multipart/form-data; boundary=" + "b" * 4000, 400, 11049),
        ("/6/sdk", "multipart/mixed; boundary=x", 400, 12017),
    ],
)
def test_wrong_content_types(address: str, kind: str, status: int, code: int, wire: Wire) -> None:
    body = b'{"user_data": "x"}'
    reply = wire.request(
        f"POST {address}", b"Content-Type: " + kind.encode("latin-1") + b"\r\nContent-Length: 18\r\n", body
    )
    assert_envelope(reply, status, code, 12046)


@pytest.mark.parametrize(
    "value", ["", "x", "1536751345", "1536751345," + "g" * 36, "1" * 10_000, "1536751345,8b8b5937-2e9c-4e8b-a7a7-5caf86621b5a x"]
)  # fmt: skip
def test_bad_request_ids_are_replaced(value: str, client: httpx.Client) -> None:
    reply = client.get("/6/account", headers={"Luna-Request-Id": value})
    assert reply.status_code == 200
    assert reply.headers["Luna-Request-Id"] != value
    assert len(reply.headers["Luna-Request-Id"]) == 47


def test_request_id_is_returned_even_with_errors(client: httpx.Client) -> None:
    given = "1536751345,8b8b5937-2e9c-4e8b-a7a7-5caf86621b5a"
    for address in ("/6/account", "/6/nothing", f"/6/faces/{ID}"):
        assert client.get(address, headers={"Luna-Request-Id": given}).headers["Luna-Request-Id"] == given


def test_many_headers(wire: Wire) -> None:
    reply = wire.request("GET /6/account", b"".join(b"X-%d: y\r\n" % number for number in range(500)))
    assert reply.status_code == 200 or assert_envelope(reply, 400, 12046)


def test_endless_headers(server: Server, wire: Wire) -> None:
    """The connection ends, or an error comes, before the server holds much of it."""
    server.reset_peak()
    before = server.memory()
    wire.say(b"GET /6/account HTTP/1.1\r\nX: ")
    for _ in range(64):
        wire.say(b"y" * 1024 * 1024)
    wire.say(b"\r\n\r\n")
    with contextlib.suppress(AssertionError, ConnectionError):
        assert_envelope(wire.hear(), 400, 12046)
    assert server.memory("VmHWM") - before < 32 * 1024 * 1024


def test_endless_trailers(server: Server, wire: Wire) -> None:
    """Headers behind a body that comes in chunks are bounded as well."""
    server.reset_peak()
    before = server.memory()
    wire.say(b"POST /6/lists HTTP/1.1\r\n" + wire.ordinary)
    wire.say(b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
    for _ in range(64):
        wire.say(b"X: " + b"y" * 1024 * 1024 + b"\r\n")
    assert server.memory("VmHWM") - before < 32 * 1024 * 1024


@pytest.mark.parametrize("start", [b"", b"G", b"GET /6/account HTTP/1.1\r\nX: "])
def test_slow_head(start: bytes, wire: Wire) -> None:
    wire.say(start)
    began = time.monotonic()
    assert_envelope(wire.hear(), 408, 13)
    assert BODY_TIMEOUT - 0.5 < time.monotonic() - began < BODY_TIMEOUT + 4


def test_tiny_chunks(wire: Wire) -> None:
    """A body that comes byte by byte costs many times its length on the way, and is still a good one."""
    body = b'{"user_data": "' + b"x" * 100 + b'"}'
    wire.say(b"POST /6/lists HTTP/1.1\r\n" + wire.ordinary)
    wire.say(b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    for byte in body + b" " * 5000:
        wire.say(b"1;" + b"x" * 60 + b"\r\n%c\r\n" % byte)
    wire.say(b"0\r\n\r\n")
    assert wire.hear().status_code == 201


@pytest.mark.parametrize(
    "head",
    [
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /6/account HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /6/account HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999999999999\r\n\r\n",
        b"POST /6/lists HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST /6/lists HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /6/account HTTP/1.1\r\nHost: x\r\nBad Name: y\r\n\r\n",
    ],
    ids=lambda value: repr(value[:60]),
)
def test_what_is_no_http(head: bytes, wire: Wire) -> None:
    wire.say(head)
    assert_envelope(wire.hear(), 400, 12046)


def test_smuggled_request_is_not_answered(wire: Wire, credentials: tuple[str, str]) -> None:
    """Two ways of telling the length: refused, so that nobody between us can have taken the other one."""
    body = b"0\r\n\r\nGET /6/account HTTP/1.1\r\n" + wire.ordinary + b"\r\n"
    headers = b"Content-Type: application/json\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n" % len(body)
    reply = wire.request("POST /6/verify", headers, body)
    assert_envelope(reply, 400)


# Bodies that are slow, or large


@pytest.mark.parametrize("address", ["/6/lists", "/6/objects", "/6/sdk"])
def test_slow_body(address: str, wire: Wire) -> None:
    began = time.monotonic()
    wire.say(f"POST {address} HTTP/1.1\r\n".encode() + wire.ordinary)
    wire.say(b"Content-Type: image/jpeg\r\n" if address != "/6/lists" else b"Content-Type: application/json\r\n")
    wire.say(b"Content-Length: 1000\r\n\r\n")
    for _ in range(int(BODY_TIMEOUT * 2) + 3):  # a byte now and then must not keep it waiting
        wire.say(b"{")
        time.sleep(0.4)
    assert_envelope(wire.hear(), 408, 13)
    assert time.monotonic() - began < BODY_TIMEOUT + 4


def test_many_slow_bodies_hold_nobody_up(server: Server, credentials: tuple[str, str], client: httpx.Client) -> None:
    slow = [Wire(server, credentials) for _ in range(200)]
    try:
        for wire in slow:
            wire.say(b"POST /6/objects HTTP/1.1\r\n" + wire.ordinary)
            wire.say(b"Content-Type: text/plain\r\nContent-Length: 1000000\r\n\r\nx")
        began = time.monotonic()
        assert client.get("/6/account").status_code == 200
        assert time.monotonic() - began < BODY_TIMEOUT
        assert_envelope(slow[-1].hear(), 408, 13)
    finally:
        for wire in slow:
            wire.close()


def test_declared_length_beyond_the_limit(wire: Wire) -> None:
    headers = b"Content-Type: text/plain\r\nContent-Length: %d\r\n" % (BODY_LIMIT + 1)
    assert_envelope(wire.request("POST /6/objects", headers), 413, 14)


def test_length_that_no_number_holds(wire: Wire) -> None:
    headers = b"Content-Type: text/plain\r\nContent-Length: 99999999999999999\r\n"
    assert_envelope(wire.request("POST /6/objects", headers), 413, 14)


def test_undeclared_length_beyond_the_limit(server: Server, wire: Wire) -> None:
    server.reset_peak()
    before = server.memory()
    wire.say(b"POST /6/objects HTTP/1.1\r\n" + wire.ordinary)
    wire.say(b"Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
    part = b"100000\r\n" + bytes(0x100000) + b"\r\n"
    for _ in range(BODY_LIMIT // 0x100000 + 2):
        wire.say(part)
    assert_envelope(wire.hear(), 413, 14)
    assert server.memory("VmHWM") - before < 4 * BODY_LIMIT


def test_large_body_without_credentials_is_not_waited_for(server: Server) -> None:
    began = time.monotonic()
    wire = Wire(server, ("nobody@example.org", "wrong"))
    reply = wire.request("POST /6/objects", b"Content-Type: text/plain\r\nContent-Length: 20000000\r\n", b"x")
    assert_envelope(reply, 401, 11065)
    assert time.monotonic() - began < BODY_TIMEOUT
    wire.close()


def test_client_that_leaves(server: Server, credentials: tuple[str, str], client: httpx.Client) -> None:
    for _ in range(50):
        wire = Wire(server, credentials)
        wire.say(
            b"POST /6/sdk HTTP/1.1\r\n" + wire.ordinary + b"Content-Type: image/jpeg\r\nContent-Length: 500\r\n\r\nab"
        )
        wire.close()
    photo = (PHOTOS / "obama.jpg").read_bytes()
    for _ in range(3):
        wire = Wire(server, credentials)
        wire.say(b"POST /6/sdk HTTP/1.1\r\n" + wire.ordinary)
        wire.say(b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(photo) + photo)
        wire.close()
    assert client.post("/6/sdk", content=photo, headers={"Content-Type": "image/jpeg"}).status_code == 200
    assert "unhandled" not in server.log_text()


# Forms


def form(*parts: tuple[str, bytes], boundary: str = "b") -> tuple[dict[str, str], bytes]:
    body = b"".join(f"--{boundary}\r\n{head}\r\n\r\n".encode() + data + b"\r\n" for head, data in parts)
    return {"Content-Type": f"multipart/form-data; boundary={boundary}"}, body + f"--{boundary}--\r\n".encode()


IMAGE = 'Content-Disposition: form-data; name="image"; filename="a.jpg"\r\nContent-Type: image/jpeg'
BOXES = 'Content-Disposition: form-data; name="face_bounding_boxes"\r\nContent-Type: application/json'


def boxes(*boxes_of_files: Any) -> bytes:
    return json.dumps(list(boxes_of_files)).encode()


BOX = {"x": 0, "y": 0, "width": 10, "height": 10}
FORMS: dict[str, tuple[tuple[dict[str, str], bytes], tuple[int, ...]]] = {
    "nothing": (({"Content-Type": "multipart/form-data; boundary=b"}, b""), (12030,)),
    "only its end": (form(), (12022, 11049)),
    "no end": (({"Content-Type": "multipart/form-data; boundary=b"}, form((IMAGE, b"x"))[1][:-6]), (11049,)),
    "another boundary": (({"Content-Type": "multipart/form-data; boundary=c"}, form((IMAGE, b"x"))[1]), (11049,)),
    "unknown part": (form((IMAGE, b"x"), ('Content-Disposition: form-data; name="other"', b"x")), (12039,)),
    "boxes twice": (form((IMAGE, b"x"), (BOXES, boxes()), (BOXES, boxes())), (12040,)),
    "boxes of no image": (
        form((IMAGE, b"x"), (BOXES, boxes({"filename": "no", "face_bounding_boxes": [BOX]}))),
        (12022,),
    ),
    "boxes of one image twice": (
        form((IMAGE, b"x"), (BOXES, boxes(*[{"filename": "a.jpg", "face_bounding_boxes": [BOX]}] * 2))),
        (11048,),
    ),
    "boxes out of range": (
        form((IMAGE, b"x"), (BOXES, boxes({"filename": "a.jpg", "face_bounding_boxes": [{**BOX, "x": 2**63}]}))),
        (12022,),
    ),
    "boxes that are no JSON": (form((IMAGE, b"x"), (BOXES, b"[" * 100_000)), (12002, 12022)),
    "boxes of another type": (form((IMAGE, b"x"), (BOXES.replace("json", "xml"), b"[]")), (12041,)),
    "image of another type": (form((IMAGE.replace("image/jpeg", "text/html"), b"x")), (11029,)),
    "too many images": (form(*[(IMAGE, b"x")] * 21), (12022,)),
    "a million parts": (form(*[(IMAGE, b"")] * 5000), (11049, 12022)),
    "long header": (form((IMAGE + "\r\nX: " + "y" * 100_000, b"x")), (11049,)),
    "part without a name": (form(("Content-Type: image/jpeg", b"x")), (11049, 12039)),
    "nested form": (form(('Content-Disposition: form-data; name="image"\r\nContent-Type: multipart/mixed; boundary=c', b"--c--")), (11029, 11049)),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("address", ["/6/sdk", "/6/detector"])
def test_bad_forms(name: str, address: str, client: httpx.Client) -> None:
    (headers, body), codes = FORMS[name]
    assert_envelope(client.post(address, content=body, headers=headers), 400, *codes)


def test_boundary_inside_an_image(client: httpx.Client) -> None:
    """Bytes that look like the boundary but are not at the start of a line belong to the image."""
    photo = (PHOTOS / "obama.jpg").read_bytes() + b"--b--b\r\n--bb\r\n-b"
    headers, body = form((IMAGE, photo))
    reply = client.post("/6/sdk?detect_face=1", content=body, headers=headers)
    assert reply.status_code == 200 or assert_envelope(reply, 400, 11049)


def test_file_names_come_back_harmless(client: httpx.Client) -> None:
    head = 'Content-Disposition: form-data; name="image"; filename="../../etc/\x01pass\u202ewd"\r\nContent-Type: image/jpeg'
    headers, body = form((head, b"x"))
    reply = client.post("/6/sdk", content=body, headers=headers)
    assert reply.status_code == 200, reply.text
    assert "\x01" not in reply.json()["images_estimations"][0]["filename"]


# Addresses that a server must not fetch for a stranger


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:{port}/6/config", "http://localhost:{port}/6/config", "http://[::1]/", "http://169.254.169.254/latest/",
     "http://0.0.0.0:{port}/", "http://2130706433/", "file:///etc/passwd", "gopher://127.0.0.1/", "http://", "http://a b/", "http://[", "\u0000",
     "http://user:secret@127.0.0.1/", "http://10.0.0.1/", "http://100.64.0.1/", "http://[::ffff:127.0.0.1]/", "http://0x7f.1/"],
)  # fmt: skip
def test_addresses_inside_are_not_fetched(address: str, server: Server, client: httpx.Client) -> None:
    reply = client.post("/6/sdk", json=[address.format(port=server.port)])
    if reply.status_code == 400:
        assert_envelope(reply, 400, 12022)
        return
    assert reply.status_code == 200, reply.text
    (image,) = reply.json()["images_estimations"]
    assert image["error"]["error_code"] == 11027


# Descriptors


@pytest.mark.parametrize(
    "data",
    [b"", b"dp\0\0", b"dp\0\0" + struct.pack("<I", 1001), b"dp\0\0" + struct.pack("<I", 1001) + bytes(127),
     b"dp\0\0" + struct.pack("<I", 2**32 - 1) + bytes(128), bytes(100_000), b"xx\0\0" + struct.pack("<I", 1001) + bytes(128)],
    ids=lambda data: f"{len(data)} bytes {data[:8].hex()}",
)  # fmt: skip
@pytest.mark.parametrize("kind", ["raw_descriptor", "sdk_descriptor", "xpk_file"])
def test_bad_descriptors(kind: str, data: bytes, client: httpx.Client) -> None:
    good = {"type": "raw_descriptor", "id": "a", "version": 1001, "data": base64.b64encode(bytes([200] * 128)).decode()}
    bad = {"type": kind, "id": "b", "data": base64.b64encode(data).decode()}
    assert_envelope(client.post("/6/matcher/raw", json={"references": [good], "candidates": [bad]}), 400)
    reply = client.post("/6/attributes", json={"face_descriptors": [bad["data"]]})
    assert_envelope(reply, 400)


@pytest.mark.parametrize("byte", [0, 128, 255])
def test_descriptors_of_one_value(byte: int, client: httpx.Client) -> None:
    """All bytes alike, even all zero: no division by the length of nothing."""
    same = {
        "type": "raw_descriptor",
        "id": "a",
        "version": 1001,
        "data": base64.b64encode(bytes([byte] * 128)).decode(),
    }
    reply = client.post("/6/matcher/raw", json={"references": [same], "candidates": [same]})
    if reply.status_code != 400:
        assert reply.status_code == 200, reply.text
        assert 0 <= reply.json()["matches"][0]["matches"][0]["similarity"] <= 1
