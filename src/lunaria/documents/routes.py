"""Operations 185-188: the OpenAPI document and the developers' manual."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lunaria.http.bodies import media_type
from lunaria.http.credentials import Auth
from lunaria.http.errors import ApiError
from lunaria.http.operation import Call, Content, Operation, Reply, Routes, operation
from lunaria.http.query import NoQuery

HTML = "text/html"
YAML = "application/x-yaml"
FIRST_PAGE = "/docs/dev/index.html"

_OFFERED = {HTML: HTML, YAML: YAML, "*/*": HTML, "text/*": HTML, "application/*": YAML}


@dataclass(frozen=True, slots=True)
class _Built:
    """The finished bytes."""

    specification: Mapping[str, bytes]
    """By media type."""
    manual: Mapping[str, bytes]
    """By file name."""
    headers: Mapping[str, str]


class DocumentRoutes(Routes):
    """Serves the documentation of `operations`, made once, when first asked for or by `prepare`.

    `operations` is called then; it must name every operation, these ones included.
    """

    def __init__(self, operations: Callable[[], Sequence[Operation]], version: str) -> None:
        self._operations = operations
        self._version = version
        self._built: _Built | None = None
        self._building = asyncio.Lock()

    async def prepare(self) -> None:
        """Make all pages now, beside the event loop."""
        await self._documents()

    @operation(
        "GET",
        "/docs/spec",
        "documents",
        "get openapi documentation",
        auth=Auth.NONE,
        replies={
            200: Content(
                types=(YAML, HTML),
                schema={"type": ["object", "string"]},
                description="The document, or a page made of it",
            )
        },
        errors=(12024,),
        headers={"Accept": f"`{YAML}` or `{HTML}`; anything, or nothing, gives HTML."},
    )
    async def specification(self, call: Call[NoQuery, None]) -> Reply:
        """Get the OpenAPI document of everything that this server answers to, as YAML or as a page for people."""
        kind = _wanted(call.headers.get("accept", ""))
        documents = await self._documents()
        return Reply(
            body=documents.specification[kind], headers={**documents.headers, "Vary": "Accept"}, media_type=kind
        )

    @operation(
        "GET",
        "/docs/dev",
        "documents",
        "get development manual",
        auth=Auth.NONE,
        replies={302: Content(description="The first page is at the address in the Location header")},
    )
    async def manual(self, call: Call[NoQuery, None]) -> Reply:
        """Go to the first page of the developers' manual."""
        return Reply(302, headers={"Location": FIRST_PAGE})

    @operation(
        "GET",
        "/docs/dev/{page:str}",
        "documents",
        "get page of development manual",
        auth=Auth.NONE,
        replies={200: Content(types=(HTML,), schema={"type": "string"})},
    )
    async def page(self, call: Call[NoQuery, None]) -> Reply:
        """Get a page of the developers' manual."""
        documents = await self._documents()
        found = documents.manual.get(call.path["page"])
        if found is None:
            raise ApiError(12013)
        return Reply(body=found, headers=documents.headers, media_type=HTML)

    async def _documents(self) -> _Built:
        async with self._building:
            if self._built is None:
                self._built = await asyncio.to_thread(self._build)
            return self._built

    def _build(self) -> _Built:
        # What makes pages takes its time to load, and many servers never show one.
        from lunaria.documents.pages import Pages, content_security_policy
        from lunaria.documents.reference import Reference

        reference = Reference(self._operations(), self._version)
        pages = Pages(reference)
        return _Built(
            {HTML: pages.specification(), YAML: reference.yaml()},
            pages.manual(),
            {"Content-Security-Policy": content_security_policy(), "X-Content-Type-Options": "nosniff"},
        )


def _wanted(accept: str) -> str:
    """The media type for an Accept header; the one named first wins. Raises 415/12024."""
    names = [media_type(part) for part in accept.split(",")]
    exact = [name for name in names if name in (HTML, YAML)]
    for name in exact or names:
        if name in _OFFERED:
            return _OFFERED[name]
    if not accept.strip():
        return HTML
    raise ApiError(12024, accept[:200], f"{YAML}, {HTML}")
