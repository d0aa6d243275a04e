"""Operations 185-188: the OpenAPI document and the developers' manual."""

import asyncio
import base64
import hashlib
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
import yaml

from lunaria.app import Platform
from lunaria.documents.pages import MANUAL
from lunaria.documents.reference import plain_path
from lunaria.documents.routes import DocumentRoutes
from lunaria.http.errors import CATALOGUE
from lunaria.http.openapi import error_codes
from lunaria.http.operation import Operation
from lunaria.http.router import with_options
from lunaria.settings import describe

REPOSITORY = Path(__file__).parents[2]
TEXTS = [
    REPOSITORY / "docs" / "user-guide.md",
    REPOSITORY / "docs" / "operations-guide.md",
    *sorted((REPOSITORY / "src" / "lunaria" / "documents" / "manual").glob("*.md")),
]
YAML = "application/x-yaml"
PAGES = ["/docs/spec", *(f"/docs/dev/{page.file}" for page in MANUAL)]
INVENTED = {("GET", "/6/bookmarks/{bookmark_id}")}
"""The operation that the manual makes up to show how one is written."""

_REQUESTS = (
    re.compile(r"\b(GET|HEAD|POST|PUT|PATCH|DELETE) (/[\w{}/.-]*[\w}])"),
    re.compile(r"curl (?:-X ([A-Z]+) )?'?http://127\.0\.0\.1:5000(/[\w/.-]+)"),
    re.compile(r'ask\(\s*"([A-Z]+)",\s*"(/[\w/.-]+)'),
)
_ID = re.compile(r"\{\w+\}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Page(HTMLParser):
    """What a browser would take from a page."""

    def __init__(self, reply: httpx.Response) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.inline: dict[str, str] = {}
        self._texts: list[str] = []
        self._inside = ""
        self.feed(reply.text)
        self.text = "".join(self._texts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._inside = tag if tag in ("style", "script") else ""
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if tag == "a" else []
        self.loads += [given[name] for name in ("src", "data", "action") if name in given]
        self.loads += [given["href"]] if tag == "link" else []

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.inline[self._inside] = self.inline.get(self._inside, "") + data
        else:
            self._texts.append(data)


async def page(client: httpx.AsyncClient, address: str) -> Page:
    reply = await client.get(address, headers={"Accept": "text/html"})
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    return Page(reply)


async def document(client: httpx.AsyncClient) -> dict:
    reply = await client.get("/docs/spec", headers={"Accept": YAML})
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == YAML
    return yaml.load(reply.content, yaml.CSafeLoader)


# The document


async def test_the_document_holds_every_operation(client: httpx.AsyncClient, platform: Platform) -> None:
    found = await document(client)
    assert found["openapi"] == "3.1.0"
    documented = {(method.upper(), path) for path, methods in found["paths"].items() for method in methods}
    assert documented == {(one.method, plain_path(one)) for one in with_options(platform.operations())}
    assert ("GET", "/docs/spec") in documented


async def test_operation_ids_are_unique(client: httpx.AsyncClient) -> None:
    found = await document(client)
    ids = [described["operationId"] for methods in found["paths"].values() for described in methods.values()]
    assert len(ids) == len(set(ids))


async def test_references_of_the_document_resolve(client: httpx.AsyncClient) -> None:
    found = await document(client)
    names = re.findall(r"#/components/schemas/([\w.-]+)", str(found))
    assert names
    assert set(names) <= set(found["components"]["schemas"])


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/html", "text/html; charset=utf-8"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"),
        ("*/*", "text/html; charset=utf-8"),
        ("", "text/html; charset=utf-8"),
        ("text/*", "text/html; charset=utf-8"),
        ("image/png, TEXT/HTML;q=0.1", "text/html; charset=utf-8"),
        (YAML, YAML),
        (f"{YAML};q=0.9, */*", YAML),
        ("application/*", YAML),
    ],
)
async def test_accept_decides(client: httpx.AsyncClient, accept: str, kind: str) -> None:
    reply = await client.get("/docs/spec", headers={"Accept": accept})
    assert reply.status_code == 200
    assert reply.headers["content-type"] == kind
    assert reply.headers["vary"] == "Accept"


@pytest.mark.parametrize("accept", ["application/json", "image/*", "text/plain, application/xml", "nonsense"])
async def test_other_types_are_refused(client: httpx.AsyncClient, accept: str) -> None:
    reply = await client.get("/docs/spec", headers={"Accept": accept})
    assert reply.status_code == 415
    assert reply.json()["error_code"] == 12024
    assert YAML in reply.json()["detail"]


async def test_documents_need_no_credentials(client: httpx.AsyncClient) -> None:
    reply = await client.get("/docs/spec", headers={"Authorization": "Basic nonsense"})
    assert reply.status_code == 200


@pytest.mark.parametrize("address", ["/docs/spec", "/docs/dev", "/docs/dev/index.html"])
async def test_options(client: httpx.AsyncClient, address: str) -> None:
    reply = await client.options(address)
    assert (reply.status_code, reply.content, reply.headers["allow"]) == (200, b"{}", "GET,OPTIONS")


async def test_everything_is_made_once() -> None:
    calls = 0
    routes: DocumentRoutes

    def operations() -> Sequence[Operation]:
        nonlocal calls
        calls += 1
        return routes.operations()

    routes = DocumentRoutes(operations, "1.2.3")
    assert calls == 0
    await asyncio.gather(*(routes.prepare() for _ in range(5)))
    assert calls == 1


# The pages


@pytest.mark.parametrize("address", PAGES)
async def test_a_page_needs_nothing_from_elsewhere(client: httpx.AsyncClient, address: str) -> None:
    reply = await client.get(address, headers={"Accept": "text/html"})
    shown = Page(reply)
    assert shown.loads == []
    assert "@import" not in shown.inline["style"]
    assert "url(" not in shown.inline["style"]
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    for name in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(shown.inline[name].encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy


async def test_links_of_all_pages_lead_somewhere(client: httpx.AsyncClient) -> None:
    pages = {address: await page(client, address) for address in PAGES}
    for address, shown in pages.items():
        assert len(shown.ids) == len(set(shown.ids)), f"{address} has an id twice"
        for link in shown.links:
            target, _, anchor = (
                str(httpx.URL(f"http://host{address}").join(link)).removeprefix("http://host").partition("#")
            )
            assert target in pages, f"{address} links to {link}"
            if anchor:
                assert anchor in pages[target].ids, f"{address} links to {link}"


async def test_the_reference_shows_every_operation(client: httpx.AsyncClient, platform: Platform) -> None:
    found = await document(client)
    shown = await page(client, "/docs/spec")
    for declared in platform.operations():
        path = plain_path(declared)
        assert found["paths"][path][declared.method.lower()]["operationId"] in shown.ids
        assert path in shown.text
        for need in declared.needs:
            assert (f"{need.thing}: {need.verb}" if need.verb else need.thing) in shown.text


async def test_the_operations_page_shows_every_operation(client: httpx.AsyncClient, platform: Platform) -> None:
    shown = await page(client, "/docs/dev/operations.html")
    for declared in platform.operations():
        assert plain_path(declared) in shown.text
        assert all(f"errors.html#code-{code}" in shown.links for code in error_codes(declared))


async def test_every_error_has_its_place(client: httpx.AsyncClient) -> None:
    shown = await page(client, "/docs/dev/errors.html")
    assert {f"code-{code}" for code in CATALOGUE} <= set(shown.ids)


async def test_the_link_of_an_error_leads_to_its_place(client: httpx.AsyncClient) -> None:
    error = (await client.get("/docs/dev/nowhere.html")).json()
    address, _, anchor = error["link"].partition("#")
    shown = await page(client, address)
    assert anchor == f"code-{error['error_code']}"
    assert anchor in shown.ids


async def test_the_settings_page_shows_every_setting(client: httpx.AsyncClient) -> None:
    shown = await page(client, "/docs/dev/settings.html")
    for setting in describe():
        assert setting.variable in shown.text
        assert setting.description in shown.text


async def test_the_manual_begins_at_its_index(client: httpx.AsyncClient) -> None:
    reply = await client.get("/docs/dev")
    assert (reply.status_code, reply.headers["location"]) == (302, "/docs/dev/index.html")
    followed = await client.get("/docs/dev", follow_redirects=True)
    assert followed.status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        "nowhere.html",
        "index",
        "index.md",
        "style.css",
        "INDEX.html",
        "..%2fmanual%2findex.md",
        "%2e%2e%2ftemplates%2fstyle.css",
        "..%5cindex.html",
        "index.html%00",
        "%2fetc%2fpasswd",
    ],
)
async def test_unknown_pages_are_not_found(client: httpx.AsyncClient, name: str) -> None:
    reply = await client.get(f"/docs/dev/{name}")
    assert reply.status_code == 404
    assert reply.json()["error_code"] == 12013


# The texts


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: file.name)
def test_every_operation_that_is_named_exists(file: Path, platform: Platform) -> None:
    text = file.read_text("utf-8")
    named = {(method or "GET", path) for pattern in _REQUESTS for method, path in pattern.findall(text)}
    known = {(one.method, _ID.sub("{}", plain_path(one))) for one in platform.operations()}
    assert not {(method, path) for method, path in named - INVENTED if (method, _ID.sub("{}", path)) not in known}
