"""Talking to a server, and keeping what was said for the page."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

PASSWORD = "quickstart"  # noqa: S105 - of an account that the demo makes for itself


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request with its reply, as a person would read them."""

    request: str
    reply: str


@dataclass(frozen=True, slots=True)
class Photograph:
    """An image file: JPEG, or PNG by its name."""

    name: str
    data: bytes

    @classmethod
    def read(cls, file: Path) -> "Photograph":
        return cls(file.name, file.read_bytes())

    @property
    def media_type(self) -> str:
        return "image/png" if self.name.endswith(".png") else "image/jpeg"


class Conversation:
    """Requests to one server. Every call raises httpx.HTTPStatusError when the server refuses."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._exchanges: list[Exchange] = []

    def register(self) -> None:
        """Make an account and go on as it."""
        login = f"demo-{uuid4().hex[:8]}@example.org"
        body = {"login": login, "password": PASSWORD, "account_type": "user"}
        self.call("POST", "/6/accounts", json=body)
        self._client.auth = httpx.BasicAuth(login, PASSWORD)

    def send(self, path: str, photo: Photograph, params: dict[str, int]) -> Any:
        """POST a photograph; the reply."""
        headers = {"Content-Type": photo.media_type}
        return self.call("POST", path, shown=photo.name, params=params, content=photo.data, headers=headers)

    def call(self, method: str, path: str, shown: str = "", **request: Any) -> Any:
        """The body of the reply; `shown` stands for a body that nobody can read."""
        reply = self._client.request(method, path, **request)
        if reply.is_error:
            raise httpx.HTTPStatusError(reply.text, request=reply.request, response=reply)
        sent = f"< {shown}" if shown else _readable(request.get("json"))
        url = reply.request.url.raw_path.decode()
        body = reply.json() if reply.content else None
        self._exchanges.append(Exchange(f"{method} {url}\n{sent}", f"{reply.status_code}\n{_readable(body)}"))
        return body

    def taken(self) -> list[Exchange]:
        """What was said since the last time."""
        taken, self._exchanges = self._exchanges, []
        return taken


def _readable(body: Any) -> str:
    return json.dumps(_shortened(body), indent=1, ensure_ascii=False) if body is not None else ""


def _shortened(value: Any) -> Any:
    """Long texts and arrays cut, so that a reply can be taken in at a glance."""
    if isinstance(value, dict):
        return {name: _shortened(item) for name, item in value.items()}
    if isinstance(value, list):
        kept = [_shortened(item) for item in value[:3]]
        return [*kept, f"... {len(value)} in all"] if len(value) > 5 else [_shortened(item) for item in value]
    if isinstance(value, str) and len(value) > 80:
        return f"{value[:32]}... ({len(value)} characters)"
    return value
