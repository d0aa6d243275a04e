"""Outgoing requests: what they reach, what they refuse, and what a hostile server can do to them."""

import asyncio
import gzip
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lunaria.kit.outbound import AddressRules, OutboundClient, OutboundError, resolve

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
LIMIT = 100_000
CATCHALL = ["127.0.0.0/8"]


@asynccontextmanager
async def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on a loopback port: `answer` gets the head of a request with its body."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                ),
                0,
            )
            await answer(head + await reader.readexactly(length), writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def replying(body: bytes, status: str = "200 OK", *headers: str) -> Answer:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()

    return answer


@asynccontextmanager
async def client(*allow: str, **options: object) -> AsyncIterator[OutboundClient]:
    made = OutboundClient(allow or CATCHALL, **options)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.close()


async def refusal(url: str, *allow: str, **options: object) -> str:
    async with client(*allow, **options) as made:
        with pytest.raises(OutboundError) as refused:
            await made.fetch(url, LIMIT)
    return refused.value.reason


def named(
    addresses: dict[str, list[str]], asked: list[str] | None = None
) -> Callable[[str, int], Awaitable[list[str]]]:
    async def answer(host: str, port: int) -> list[str]:
        if asked is not None:
            asked.append(host)
        if host not in addresses:
            raise OSError("unknown")
        return addresses[host]

    return answer


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
        *("100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "198.18.0.1", "224.0.0.1", "239.1.1.1"),
        *("240.0.0.1", "255.255.255.255", "192.0.2.1", "198.51.100.1", "203.0.113.1", "192.88.99.1"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1"),
        *("64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::8.8.8.8", "2002:7f00:1::", "2002:a00:1::"),
        *("2001:0:7f00:1::", "100::1"),
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not AddressRules([]).allows("host", ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::"]
)
def test_public_addresses(address: str) -> None:
    assert AddressRules([]).allows("host", ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("entry", "host", "address", "allowed"),
    [
        ("Camera.Local", "camera.local.", "10.0.0.9", True),
        ("camera.local", "other.camera.local", "10.0.0.9", False),
        ("10.0.0.9", "x", "10.0.0.9", True),
        ("10.0.0.9", "x", "::ffff:10.0.0.9", True),
        ("10.0.0.9", "x", "10.0.0.8", False),
        ("10.0.0.0/24", "x", "10.0.0.8", True),
        ("10.0.0.5/24", "x", "10.0.0.8", True),
        ("10.0.0.0/24", "x", "10.0.1.8", False),
        ("fd00::/8", "x", "fd12::1", True),
        ("[fd12::1]", "x", "fd12::1", True),
        ("fd00::/8", "x", "10.0.0.1", False),
        (" ", "x", "10.0.0.1", False),
    ],
)
def test_the_allow_list(entry: str, host: str, address: str, allowed: bool) -> None:
    assert AddressRules([entry]).allows(host, ipaddress.ip_address(address)) is allowed


@pytest.mark.parametrize("entry", ["10.0.0.0/40", "http://host", "host:80", "a b", "user@host"])
def test_bad_entries_of_the_allow_list(entry: str) -> None:
    with pytest.raises(ValueError, match="is no host name, address or network"):
        AddressRules([entry])


async def test_fetch() -> None:
    seen: list[bytes] = []

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        await replying(b"picture")(request, writer)

    async with serving(answer) as port, client() as made:
        assert await made.fetch(f"http://127.0.0.1:{port}/a%20b?c=d#e", LIMIT) == b"picture"
    assert seen[0].startswith(b"GET /a%20b?c=d HTTP/1.1\r\n")
    assert f"\r\nHost: 127.0.0.1:{port}\r\n".encode() in seen[0]
    assert b"\r\nAccept-Encoding: identity\r\n" in seen[0]


async def test_a_private_address_is_never_connected_to() -> None:
    reached = False

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal reached
        reached = True
        await replying(b"secret")(request, writer)

    async with serving(answer) as port:
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1", "0"):
            assert "not allowed" in await refusal(f"http://{host}:{port}/", "10.0.0.0/8"), host
    assert not reached


async def test_a_name_that_leads_to_a_private_address() -> None:
    resolver = named({"inside.test": ["10.0.0.1", "::1"], "nothing.test": []})
    assert "not allowed" in await refusal("http://inside.test/", resolver=resolver)
    assert "no address" in await refusal("http://nothing.test/", resolver=resolver)
    assert "cannot be resolved" in await refusal("http://unknown.test/", resolver=resolver)


async def test_the_name_is_resolved_once() -> None:
    """The second answer of a rebinding name server is never asked for, and would not be used."""
    asked = 0

    async def rebinding(host: str, port: int) -> list[str]:
        nonlocal asked
        asked += 1
        return ["127.0.0.2"] if asked == 1 else ["127.0.0.1"]

    async with serving(replying(b"secret")) as port, client("127.0.0.2", resolver=rebinding, timeout=2.0) as made:
        # nothing listens on the first address; the second has the server
        with pytest.raises(OutboundError, match="connection failed"):
            await made.fetch(f"http://rebinding.test:{port}/", LIMIT)
        assert asked == 1
        with pytest.raises(OutboundError, match="not allowed"):
            await made.fetch(f"http://rebinding.test:{port}/", LIMIT)


async def test_allowed_addresses_of_a_mixed_name_are_tried_in_turn() -> None:
    resolver = named({"mixed.test": ["10.0.0.1", "127.0.0.3", "127.0.0.1"]})
    async with serving(replying(b"picture")) as port, client(resolver=resolver) as made:
        assert await made.fetch(f"http://mixed.test:{port}/", LIMIT) == b"picture"


async def test_an_allowed_host_name() -> None:
    resolver = named({"camera.test": ["127.0.0.1"], "other.test": ["127.0.0.1"]})
    async with serving(replying(b"picture")) as port, client("camera.test", resolver=resolver) as made:
        assert await made.fetch(f"http://Camera.TEST:{port}/", LIMIT) == b"picture"
        with pytest.raises(OutboundError, match="not allowed"):
            await made.fetch(f"http://other.test:{port}/", LIMIT)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///etc/passwd", "only http and https"),
        ("ftp://host/", "only http and https"),
        ("gopher://127.0.0.1/", "only http and https"),
        ("/relative", "only http and https"),
        ("", "only http and https"),
        ("http://", "names no host"),
        ("http:///path", "names no host"),
        ("http://user:password@host/", "credentials"),
        ("http://host:99999/", "not well-formed"),
        ("http://127.0.0.1:70000/", "not well-formed"),
        ("http://127.0.0.1:0/", "not well-formed"),
        ("http://ho\x00st/", "not well-formed"),
        ("http://[::1", "not well-formed"),
        ("http://host/" + "a" * 9000, "longer than"),
    ],
)
async def test_urls_that_are_not_supported(url: str, reason: str) -> None:
    assert reason in await refusal(url)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Again", "308 Moved"])
async def test_redirects_are_followed(status: str) -> None:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        if request.startswith(b"GET /end"):
            await replying(b"picture")(request, writer)
        else:
            await replying(b"", status, "Location: ../end")(request, writer)

    async with serving(answer) as port, client() as made:
        assert await made.fetch(f"http://127.0.0.1:{port}/a/b", LIMIT) == b"picture"


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://10.0.0.1/", "not allowed"),
        ("http://169.254.169.254/latest/meta-data/", "not allowed"),
        ("//[::1]/", "not allowed"),
        ("http://inside.test/", "not allowed"),
        ("file:///etc/passwd", "only http and https"),
        ("http://user:password@127.0.0.1/", "credentials"),
        ("http://[::1", "no URL"),
    ],
)
async def test_redirects_are_checked(location: str, reason: str) -> None:
    resolver = named({"inside.test": ["192.168.0.1"]})
    async with serving(replying(b"", "302 Found", f"Location: {location}")) as port:
        assert reason in await refusal(f"http://127.0.0.1:{port}/", resolver=resolver)


async def test_redirects_are_counted() -> None:
    requests = 0

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        requests += 1
        await replying(b"", "302 Found", f"Location: /{requests}")(request, writer)

    async with serving(answer) as port:
        assert "more than 3 redirects" in await refusal(f"http://127.0.0.1:{port}/")
    assert requests == 4


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oops", "302 Found", "304 Not Modified"])
async def test_what_is_no_success(status: str) -> None:
    async with serving(replying(b"", status)) as port:
        assert f"answered {status[:3]}" in await refusal(f"http://127.0.0.1:{port}/")


async def test_a_declared_length_that_is_too_large() -> None:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(5)

    async with serving(answer) as port:
        before = asyncio.get_running_loop().time()
        assert "larger than 100000" in await refusal(f"http://127.0.0.1:{port}/")
        assert asyncio.get_running_loop().time() - before < 2


async def test_a_body_without_end() -> None:
    sent = 0

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while sent < 100_000_000:
            writer.write(b"2710\r\n" + bytes(10_000) + b"\r\n")
            sent += 10_000
            await writer.drain()

    async with serving(answer) as port:
        assert "larger than 100000" in await refusal(f"http://127.0.0.1:{port}/")
    assert sent < 20_000_000


@pytest.mark.parametrize(
    "start", [b"", b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"]
)
async def test_a_slow_server(start: bytes) -> None:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        for _ in range(100):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with serving(answer) as port:
        before = asyncio.get_running_loop().time()
        reason = await refusal(f"http://127.0.0.1:{port}/", timeout=0.4)
        assert asyncio.get_running_loop().time() - before < 2
    assert "no answer within 0.4 s" in reason


async def test_the_time_covers_all_redirects_and_the_resolver() -> None:
    async def slow(host: str, port: int) -> list[str]:
        await asyncio.sleep(5)
        return []

    assert "no answer" in await refusal("http://slow.test/", timeout=0.2, resolver=slow)

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        await replying(b"", "302 Found", "Location: /")(request, writer)

    async with serving(answer) as port:
        assert "no answer" in await refusal(f"http://127.0.0.1:{port}/", timeout=0.5, redirects=10)


async def test_packed_answers_are_refused() -> None:
    bomb = gzip.compress(bytes(10_000_000))
    assert len(bomb) < LIMIT
    async with serving(replying(bomb, "200 OK", "Content-Encoding: gzip")) as port:
        assert "compressed" in await refusal(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("answer", [b"", b"no http\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"])
async def test_a_broken_server(answer: bytes) -> None:
    async def broken(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    async with serving(broken) as port:
        assert "connection failed" in await refusal(f"http://127.0.0.1:{port}/")


async def test_endless_headers() -> None:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        for _ in range(5000):
            writer.write(b"X-A: " + b"b" * 1000 + b"\r\n")
            await writer.drain()

    async with serving(answer) as port:
        assert "connection failed" in await refusal(f"http://127.0.0.1:{port}/")


async def test_post() -> None:
    seen: list[bytes] = []

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        if request.startswith(b"POST /again"):
            await replying(b"", "307 Again", "Location: /end")(request, writer)
        else:
            await replying(b"no", "503 Busy")(request, writer)

    async with serving(answer) as port, client() as made:
        headers = {"Content-Type": "application/json", "Authorization": "Basic eA=="}
        reply = await made.post(f"http://127.0.0.1:{port}/again", b'{"a": 1}', headers)
    assert (reply.status, reply.body) == (503, b"no")
    assert len(seen) == 2
    for request in seen:
        assert request.endswith(b'\r\n\r\n{"a": 1}')
        assert b"Content-Type: application/json\r\n" in request
        assert b"Authorization: Basic eA==\r\n" in request


async def test_credentials_stay_with_their_host() -> None:
    seen: list[bytes] = []

    async def other(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        await replying(b"")(request, writer)

    async with serving(other) as second:
        redirect = replying(b"", "308 There", f"Location: http://127.0.0.1:{second}/")
        async with serving(redirect) as first, client() as made:
            headers = {"Content-Type": "application/json", "Authorization": "Basic eA=="}
            assert (await made.post(f"http://127.0.0.1:{first}/", b"{}", headers)).status == 200
    assert b"Authorization" not in seen[0]
    assert b"Content-Type: application/json" in seen[0]


async def test_a_post_is_not_turned_into_another_request() -> None:
    async with serving(replying(b"", "302 Found", "Location: http://10.0.0.1/")) as port, client() as made:
        assert (await made.post(f"http://127.0.0.1:{port}/", b"{}")).status == 302
        with pytest.raises(OutboundError, match="a header"):
            await made.post(f"http://127.0.0.1:{port}/", b"{}", {"X-A": "Привет"})
        with pytest.raises(OutboundError, match="connection failed"):
            await made.post(f"http://127.0.0.1:{port}/", b"{}", {"X-A": "b\r\nX-C: d"})


def certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate of `name` with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + made.public_bytes(encoding))
    return file


async def test_tls_verifies_the_name(tmp_path: Path) -> None:
    """The connection goes to an address, yet the certificate must be that of the name."""
    file = certificate(tmp_path, "camera.test")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    trusting = ssl.create_default_context(cafile=str(file))
    resolver = named({"camera.test": ["127.0.0.1"], "other.test": ["127.0.0.1"]})
    async with serving(replying(b"picture"), server) as port:
        async with client(resolver=resolver, tls=trusting) as made:
            assert await made.fetch(f"https://camera.test:{port}/", LIMIT) == b"picture"
            with pytest.raises(OutboundError, match="TLS could not be established"):
                await made.fetch(f"https://other.test:{port}/", LIMIT)
        assert "TLS could not be established" in await refusal(f"https://camera.test:{port}/", resolver=resolver)


async def test_the_system_resolver() -> None:
    assert "127.0.0.1" in await resolve("localhost", 80)
    assert "cannot be resolved" in await refusal("http://no-such-name.invalid/")
