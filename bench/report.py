"""What all benchmarks share: the machine in words, tables, and their place in a document.

A document holds each table between `<!-- measured: NAME -->` and `<!-- end -->`; a benchmark called with
`--markdown FILE` replaces its own and leaves the rest alone.
"""

import argparse
import datetime
import importlib.metadata
import platform
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path


def processor() -> str:
    """Model and number of processor cores."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        if names:
            return f"{names[0]}, {len(names)} cores"
    return platform.processor() or platform.machine()


def versions(*packages: str) -> str:
    """Python and these packages with their versions."""
    return ", ".join(
        [f"Python {platform.python_version()}", *(f"{name} {importlib.metadata.version(name)}" for name in packages)]
    )


def command() -> str:
    """The command as it was given, with folders left out of the paths: they are of this machine only."""
    called = Path(sys.argv[0])
    module = called.parent.name if called.stem == "__main__" else called.stem
    words = [
        word if word.startswith("http") else re.sub(r"(?<=[=/])?/?(?:[^/=\s]+/)+", "", word) for word in sys.argv[1:]
    ]
    return " ".join([f"python -m bench.{module}", *(shlex.quote(word) for word in _without_output(words))])


def _without_output(words: Sequence[str]) -> Iterable[str]:
    """The arguments less those that only say where things lie, and secrets."""
    skip = False
    for word in words:
        if skip or word.split("=")[0] in (
            "--markdown",
            "--folder",
            "--roc",
            "--plots",
            "--peer-python",
            "--peer-node",
            "--models",
            "--password",
        ):
            skip = not skip and "=" not in word
            continue
        yield word


def conditions(data: str, *packages: str) -> str:
    """The paragraph under a title: when, on what, with what."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return f"{today}, {processor()}; {versions(*packages)}. `{command()}`. {data}"


def table(header: Sequence[str], rows: Iterable[Sequence[object]], *, text_columns: int = 1) -> str:
    """A Markdown table; columns after the first `text_columns` are numbers."""
    lines = [
        f"| {' | '.join(header)} |",
        f"| {' | '.join('---' if place < text_columns else '---:' for place in range(len(header)))} |",
    ]
    lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)


def add_markdown_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--markdown", type=Path, help="document whose part of this benchmark is replaced")


def publish(name: str, text: str, document: Path | None) -> None:
    """Print the text, and put it into the document, at its end when it has no place for it yet."""
    print(f"\n{text}", flush=True)
    if document is None:
        return
    part = f"<!-- measured: {name} -->\n{text.strip()}\n<!-- end -->"
    old = document.read_text() if document.exists() else ""
    place = re.compile(rf"<!-- measured: {re.escape(name)} -->\n.*?<!-- end -->", flags=re.DOTALL)
    new = place.sub(lambda _: part, old) if place.search(old) else f"{old.rstrip()}\n\n{part}\n".lstrip()
    document.write_text(new)


def main() -> None:
    """`python -m bench.report NAME TABLE DOCUMENT`: put a table that a benchmark wrote to a file into a document."""
    name, text, document = sys.argv[1:]
    publish(name, Path(text).read_text(), Path(document))


def progress(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
