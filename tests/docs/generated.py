"""The generated parts of `docs/`: `python -m tests.docs.generated` writes them, a test compares them."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer.main

from lunaria.cli import main
from lunaria.documents.pages import describe_settings
from lunaria.estimation.catalogue import ESTIMATES, Catalogue
from lunaria.vision.packs.manifest import built_in_pack
from lunaria.vision.packs.store import ModelStore

DOCS = Path(__file__).parents[2] / "docs"
_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", flags=re.DOTALL)


def settings_table() -> str:
    """Every setting by its environment variable."""
    lines = ["| Variable | Values | Default | Meaning |", "| --- | --- | --- | --- |"]
    for _, entries in describe_settings():
        for setting, values in entries:
            description = setting.description + (" Secret." if setting.secret else "")
            cells = (f"`{setting.variable}`", values, _default(setting.default), description)
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def _default(value: Any) -> str:
    if value is None:
        return "unset"
    if value in ("", []):
        return "empty"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name: `lunaria models pull`."""

    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        nested = getattr(command, "commands", None)
        if nested is None:
            yield name, command
        for word, inner in (nested or {}).items():
            yield from walk(f"{name} {word}", inner)

    return walk("lunaria", typer.main.get_command(main))


def commands_table() -> str:
    """Every command with its options."""
    lines = ["| Command | What it does | Options |", "| --- | --- | --- |"]
    for name, command in commands():
        arguments = "".join(f" {one.name.upper()}" for one in _parameters(command, "argument"))
        options = "; ".join(f"`{max(one.opts, key=len)}`{_help(one)}" for one in _parameters(command, "option"))
        lines.append(f"| `{name}{arguments}` | {(command.help or '').strip()} | {options} |")
    return "\n".join(lines)


def _parameters(command: Any, kind: str) -> list[Any]:
    return [one for one in command.params if one.param_type_name == kind and one.name != "help"]


def _help(option: Any) -> str:
    return f" {option.help[0].lower()}{option.help[1:].rstrip('.')}" if option.help else ""


def decisions_table() -> str:
    """Every decision by its title."""
    lines = ["| Number | Decision |", "| --- | --- |"]
    for file in sorted((DOCS / "decisions").glob("[0-9]*.md")):
        title = file.read_text("utf-8").splitlines()[0].removeprefix("# ")
        number, _, words = title.partition(". ")
        lines.append(f"| {number} | [{words}]({file.name}) |")
    return "\n".join(lines)


def networks_table() -> str:
    """Every network of the default pack by its role."""
    lines = ["| role | file | network | source | licence | mark |", "| --- | --- | --- | --- | --- | --- |"]
    for role, network in built_in_pack("default").networks.items():
        first = network.sources[0]
        source = "Lunaria" if first.registry == "built-in" else f"{_REGISTRIES[first.registry]} `{first.package}`"
        cells = (
            *(f"`{role}`", f"`{network.file}`", network.title, f"{source} {first.version}".strip()),
            *(network.licence_notes, network.licence),
        )
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


_REGISTRIES = {"pypi-wheel": "PyPI", "pypi-sdist": "PyPI", "npm": "npm"}


def estimates_table() -> str:
    """Every estimate, and what serves with each licence setting."""
    lines = ["| estimate | by default | with `LUNARIA_MODELS_LICENCE=open` |", "| --- | --- | --- |"]
    folder = Path("models")
    everything, open_ones = Catalogue(ModelStore(folder)), Catalogue(ModelStore(folder, "open"))
    for name in ESTIMATES:
        default, open_one = everything.sources[name], open_ones.sources.get(name)
        mark = " (research)" if default.licence == "research" else ""
        other = "refused" if open_one is None else "the same" if open_one == default else open_one.network
        lines.append(f"| `{name}` | {default.network}{mark} | {other} |")
    return "\n".join(lines)


PARTS: dict[str, Callable[[], str]] = {
    "networks": networks_table,
    "estimates": estimates_table,
    "settings": settings_table,
    "commands": commands_table,
    "decisions": decisions_table,
}


def fresh(text: str) -> str:
    """The text of a file with every generated part made anew. Raises KeyError for a part that nobody makes."""
    return _PART.sub(lambda match: f"{match[1]}{PARTS[match[2]]()}\n{match[3]}", text)


def write_all() -> None:
    for file in DOCS.rglob("*.md"):
        text = file.read_text("utf-8")
        made = fresh(text)
        if made != text:
            file.write_text(made, "utf-8")
            print(file.relative_to(DOCS.parent))  # noqa: T201


if __name__ == "__main__":
    write_all()
