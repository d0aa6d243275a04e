"""The pages: the API reference and the developers' manual as HTML that needs nothing from elsewhere."""

import base64
import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import groupby
from typing import Any, NamedTuple

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from lunaria.documents.fields import limits
from lunaria.documents.reference import Entry, Reference
from lunaria.http.errors import CATALOGUE, ErrorKind
from lunaria.settings import Setting, Settings, describe

_PACKAGE = "lunaria.documents"


@dataclass(frozen=True, slots=True)
class ManualPage:
    """A page of the manual: `manual/<name>.md`, followed by a generated part where `part` names its template."""

    name: str
    title: str
    part: str | None = None

    @property
    def file(self) -> str:
        return f"{self.name}.html"


MANUAL = (
    ManualPage("index", "Overview"),
    ManualPage("architecture", "Architecture"),
    ManualPage("requests", "The way of a request"),
    ManualPage("matching", "Matching index"),
    ManualPage("descriptors", "Descriptors and similarity"),
    ManualPage("nouns", "How to write a noun"),
    ManualPage("operations", "Operations", "operations.html"),
    ManualPage("errors", "Errors", "errors.html"),
    ManualPage("settings", "Settings", "settings.html"),
)


class DescribedError(NamedTuple):
    """An entry of the catalogue and the operations that can answer with it."""

    kind: ErrorKind
    given_by: list[Entry]


class DescribedSetting(NamedTuple):
    """A setting, and its admissible values in words."""

    setting: Setting
    values: str


class Pages:
    """Renders every page from what the server declares."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._environment = Environment(
            loader=PackageLoader(_PACKAGE),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {
            "manual": MANUAL,
            "version": reference.version,
            "style": Markup(_asset("style.css")),  # noqa: S704 - our own file
            "script": Markup(_asset("page.js")),  # noqa: S704 - our own file
        }

    def specification(self) -> bytes:
        """The API reference."""
        return self._render("specification.html", groups=self._reference.groups)

    def manual(self) -> dict[str, bytes]:
        """Every page of the developers' manual by the name of its file."""
        data = self._generated()
        return {page.file: self._manual_page(page, data) for page in MANUAL}

    def _manual_page(self, page: ManualPage, data: Mapping[str, Any]) -> bytes:
        text = (files(_PACKAGE) / "manual" / f"{page.name}.md").read_text("utf-8")
        body = Markup(_markdown().render(text))  # noqa: S704 - our own file
        return self._render("manual.html", page=page, body=body, **data)

    def _generated(self) -> dict[str, Any]:
        return {
            "groups": self._reference.groups,
            "errors": describe_errors(self._reference),
            "settings": describe_settings(),
        }

    def _render(self, template: str, **values: Any) -> bytes:
        return self._environment.get_template(template).render(**values).encode()


def describe_errors(reference: Reference) -> list[DescribedError]:
    """The whole catalogue; errors that every operation can give name none."""
    given_by: dict[int, list[Entry]] = defaultdict(list)
    entries = reference.entries
    for entry in entries:
        for kind in entry.errors:
            given_by[kind.code].append(entry)
    return [
        DescribedError(kind, [] if len(given_by[kind.code]) == len(entries) else given_by[kind.code])
        for kind in sorted(CATALOGUE.values())
    ]


def describe_settings() -> list[tuple[str, list[DescribedSetting]]]:
    """All settings by section."""
    definitions = msgspec.json.schema(Settings)["$defs"]
    sections = {entry.name: definitions[entry.type.__name__] for entry in msgspec.structs.fields(Settings)}
    described = (
        DescribedSetting(setting, _values(sections[setting.section]["properties"][setting.name]))
        for setting in describe()
    )
    return [(section, list(entries)) for section, entries in groupby(described, lambda one: one.setting.section)]


def _values(schema: Mapping[str, Any]) -> str:
    choices = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
    bare = choices[0] if choices else schema
    if "enum" in bare:
        return " | ".join(map(str, bare["enum"]))
    if bare.get("type") == "boolean":
        return "true | false"
    name = {"array": "comma list", "string": "text"}.get(bare["type"], bare["type"])
    bounds = limits(bare)
    return f"{name}, {bounds}" if bounds else name


def content_security_policy() -> str:
    """What a page may load: itself, with this style and this script; nothing from elsewhere."""
    style, script = (_digest(_asset(name)) for name in ("style.css", "page.js"))
    return (
        f"default-src 'none'; style-src '{style}'; script-src '{script}'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@cache
def _asset(name: str) -> str:
    return (files(_PACKAGE) / "templates" / name).read_text("utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")
