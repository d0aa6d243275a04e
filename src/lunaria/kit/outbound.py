"""HTTP requests to addresses that users name, kept away from this machine and its private neighbours.

A name is resolved once; each of its addresses is checked, and the connection goes to an address that passed, so that a
name server cannot answer twice. TLS still verifies the name. Redirects go through the same check.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import httpcore
import httpx

Address = IPv4Address | IPv6Address
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the addresses of a host name, as text. Raises OSError."""

URL_LIMIT = 8192
_ATTEMPTS = 3
"""Addresses of one name that are tried."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEPING_METHOD = frozenset({307, 308})

_FORBIDDEN = tuple(
    ipaddress.ip_network(text)
    for text in (
        "100.64.0.0/10",  # shared by carriers; a cloud's metadata at 100.100.100.200
        "168.63.129.16/32",  # a cloud's host agent, although globally routed
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata at 192.0.0.192
        "192.88.99.0/24",  # relays of 6to4
        "64:ff9b:1::/48",  # NAT64 of a local network
        "fec0::/10",  # site-local
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")


class OutboundError(Exception):
    """The request was refused or failed; `reason` tells why, for the user."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RefusedError(OutboundError):
    """No request can be made to this URL, now or later: it or the address of its host is not allowed."""


@dataclass(frozen=True, slots=True)
class OutboundReply:
    """An answer with its whole body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    """By lower-case name."""
    body: bytes = b""


class AddressRules:
    """Which addresses may be reached: public ones, and what `allow` names (host names, addresses, networks).

    Raises ValueError for an entry that is none of these.
    """

    def __init__(self, allow: Iterable[str]) -> None:
        self._networks: list[IPv4Network | IPv6Network] = []
        self._hosts: set[str] = set()
        for entry in filter(None, (text.strip() for text in allow)):
            try:
                self._networks.append(ipaddress.ip_network(entry.strip("[]"), strict=False))
            except ValueError:
                if any(character in entry for character in "/:@ "):
                    raise ValueError(f"'{entry}' is no host name, address or network") from None
                self._hosts.add(_bare(entry))

    def allows(self, host: str, address: Address) -> bool:
        """Whether a request to `host` may go to `address`, one of the host's addresses."""
        if _bare(host) in self._hosts:
            return True
        forms = [address, *_embedded(address)]
        if any(form in network for form in forms for network in self._networks):
            return True
        return all(map(_is_public, forms))


def _bare(host: str) -> str:
    return host.lower().rstrip(".")


def _embedded(address: Address) -> Iterable[IPv4Address]:
    """The IPv4 addresses that a packet to an IPv6 address may end at."""
    if isinstance(address, IPv4Address):
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in _NAT64 or address in _COMPATIBLE:
        yield IPv4Address(int(address) & 0xFFFFFFFF)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and (address.ipv4_mapped is not None or address in _NAT64):
        return True  # the address inside decides
    if address.is_multicast or address.is_reserved or not address.is_global:
        return False
    return not any(address in network for network in _FORBIDDEN)


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name as the system knows them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class _GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses only. What lies above (TLS, HTTP) goes on seeing the name."""

    def __init__(self, rules: AddressRules, resolver: Resolver) -> None:
        self._rules = rules
        self._resolver = resolver
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception = OutboundError(f"the host '{host}' has no address")
        for address in (await self._allowed(host, port))[:_ATTEMPTS]:
            try:
                return await self._network.connect_tcp(
                    str(address), port, timeout, local_address=local_address, socket_options=socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface's
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise OutboundError("local sockets are not reachable")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _allowed(self, host: str, port: int) -> list[Address]:
        try:
            found = [ipaddress.ip_address(host.strip("[]"))]
        except ValueError:
            try:
                found = [ipaddress.ip_address(text) for text in await self._resolver(host, port)]
            except (OSError, UnicodeError):
                raise OutboundError(f"the host '{host}' cannot be resolved") from None
        allowed = [address for address in found if self._rules.allows(host, address)]
        if found and not allowed:
            raise RefusedError(f"the address of the host '{host}' is not allowed")
        return allowed


@cache
def _public_tls() -> ssl.SSLContext:
    """One for all clients: it reads many certificates."""
    return httpx.create_ssl_context(trust_env=False)


class OutboundClient:
    """Sends requests to URLs that users name. Make one per process, close it at the end.

    `timeout` is in seconds for a whole request with its redirects and body. `allow`: see AddressRules. `connections`
    bounds all requests of the process; who finds none free waits within his time.
    """

    def __init__(
        self,
        allow: Iterable[str] = (),
        timeout: float = 15.0,
        redirects: int = 3,
        *,
        connections: int = 64,
        resolver: Resolver = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._timeout = timeout
        self._redirects = redirects
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or _public_tls(),
            max_connections=connections,
            max_keepalive_connections=8,
            keepalive_expiry=5.0,
            network_backend=_GuardedNetwork(AddressRules(allow), resolver),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    async def fetch(self, url: str, max_bytes: int) -> bytes:
        """GET: the body of a successful answer, at most `max_bytes` long. Raises OutboundError."""
        reply = await self._send("GET", url, {}, b"", max_bytes, self._timeout)
        if not 200 <= reply.status < 300:
            raise OutboundError(f"the server answered {reply.status}")
        return reply.body

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        max_bytes: int = 65536,
        timeout: float | None = None,  # noqa: ASYNC109 - instead of the client's
    ) -> OutboundReply:
        """POST: the answer, whatever its status. Raises OutboundError when there is none within the bounds.

        `headers` must name the Content-Type; Host and Content-Length among them are not sent. Of redirects only those
        are followed that keep the method, and credentials among the headers are not carried to another host.
        """
        return await self._send("POST", url, dict(headers or {}), body, max_bytes, timeout or self._timeout)

    async def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        max_bytes: int,
        timeout: float,  # noqa: ASYNC109 - told in the error
    ) -> OutboundReply:
        target = check_url(url)
        try:
            async with asyncio.timeout(timeout):
                for _ in range(self._redirects + 1):
                    reply = await self._exchange(method, target, headers, body, max_bytes, timeout)
                    following = reply.status in (_REDIRECTS if method == "GET" else _KEEPING_METHOD)
                    location = reply.headers.get("location")
                    if not following or location is None:
                        return reply
                    previous, target = target, _joined(target, location)
                    if _origin(previous) != _origin(target):
                        headers = {name: text for name, text in headers.items() if name.lower() == "content-type"}
        except TimeoutError:
            raise OutboundError(f"no answer within {timeout:g} s") from None
        raise OutboundError(f"more than {self._redirects} redirects")

    async def _exchange(
        self,
        method: str,
        target: httpx.URL,
        headers: Mapping[str, str],
        body: bytes,
        max_bytes: int,
        timeout: float,  # noqa: ASYNC109 - of each step; `_send` bounds them all
    ) -> OutboundReply:
        own = {
            "Host": target.netloc.decode("ascii"),
            # An answer is never unpacked: what is small on the way cannot grow here.
            "Accept-Encoding": "identity",
            **({"Content-Length": str(len(body))} if method == "POST" else {}),
        }
        sent = _merged(own, {"Accept": "*/*", "User-Agent": "lunaria"}, headers, own)
        limits = dict.fromkeys(("connect", "read", "write", "pool"), timeout)
        try:
            async with self._pool.stream(
                method,
                httpcore.URL(
                    scheme=target.raw_scheme,
                    host=target.raw_host,
                    port=target.port,
                    target=target.raw_path,
                ),
                headers=[(name.encode("ascii"), text.encode("latin-1")) for name, text in sent.items()],
                content=body or None,
                extensions={"timeout": limits},
            ) as response:
                received = {name.decode("latin-1").lower(): text.decode("latin-1") for name, text in response.headers}
                if response.status in _REDIRECTS:
                    return OutboundReply(response.status, received)
                return OutboundReply(response.status, received, await _read(response, received, max_bytes))
        except OutboundError:
            raise
        except httpcore.TimeoutException:
            raise TimeoutError from None
        except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError, OSError) as error:
            raise OutboundError(f"the connection failed: {_told(error)}") from None
        except UnicodeError:
            raise OutboundError("a header has characters that HTTP cannot carry") from None


def _merged(*headers: Mapping[str, str]) -> dict[str, str]:
    """All headers; the last of those with one name in whatever capitals."""
    merged = {name.lower(): (name, text) for some in headers for name, text in some.items()}
    return dict(merged.values())


async def _read(response: httpcore.Response, headers: Mapping[str, str], max_bytes: int) -> bytes:
    """The body; the stream is given up as soon as it is known to be too long."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise OutboundError("the answer is compressed, which was not asked for")
    length = headers.get("content-length", "0")
    if length.isdigit() and int(length) > max_bytes:
        raise OutboundError(f"the answer is larger than {max_bytes} bytes")
    parts: list[bytes] = []
    size = 0
    stream: AsyncIterator[bytes] = response.aiter_stream()
    async for part in stream:
        size += len(part)
        if size > max_bytes:
            raise OutboundError(f"the answer is larger than {max_bytes} bytes")
        parts.append(part)
    return b"".join(parts)


def check_url(url: str) -> httpx.URL:
    """The URL, if requests to it can be tried at all; its address is checked only then. Raises RefusedError."""
    if len(url) > URL_LIMIT:
        raise RefusedError(f"the URL is longer than {URL_LIMIT} characters")
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise RefusedError("the URL is not well-formed") from None
    return _supported(parsed)


def _joined(base: httpx.URL, location: str) -> httpx.URL:
    try:
        return _supported(base.join(location))
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise RefusedError("the server redirected to what is no URL") from None


def _supported(url: httpx.URL) -> httpx.URL:
    if url.scheme not in ("http", "https"):
        raise RefusedError("only http and https are supported")
    if not url.host:
        raise RefusedError("the URL names no host")
    if url.port is not None and not 1 <= url.port <= 65535:
        raise RefusedError("the URL is not well-formed")
    if url.userinfo:
        raise RefusedError("credentials in the URL are not supported")
    return url


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _told(error: Exception) -> str:
    """The cause of a failure in few words; system errors may name addresses, so only their kind is told."""
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError) or "CERTIFICATE" in str(error):
        return "TLS could not be established"
    return type(error).__name__
