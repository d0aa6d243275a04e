"""No store goes round the guarded connection, except where a named function has a reason to."""

import ast
from pathlib import Path

import lunaria

SOURCE = Path(lunaria.__file__).parent
UNGUARDED = {"transaction", "connect", "engine", "dedicated", "EVERYTHING"}
"""Ways to rows of every account."""
STATEMENTS = {f"sqlalchemy.{name}" for name in ("select", "insert", "update", "delete", "text")}
GUARDED = {"scoped_transaction", "scoped_connect", "fetch_prepared"}

ALLOWED = {
    # Who somebody is, is asked before there is an account to be limited to.
    "accounts/store.py: by_login",
    "accounts/store.py: token_with_account",
    # The command line lists every account, and the first start looks for an admin; no request can.
    "accounts/store.py: all",
    "accounts/store.py: secret",
    # An admin reads everybody's tokens.
    "accounts/service.py: _token_scope",
    # The removal of what has expired.
    "attributes/store.py: delete_expired",
    # The search index holds everybody's descriptors; a search is limited by the rows it may look at.
    "matching/store.py: prune",
    "matching/sources.py: position",
    "matching/sources.py: _read",
    "matching/sources.py: _read_some",
    "matching/sources.py: descriptors",
    # Tables of months hold everybody's events.
    "events/partitions.py: drop_month",
    "events/partitions.py: months",
    "events/partitions.py: _make",
    # Streams rows, which the guarded connection cannot; limits them to the scope by hand (see test_links).
    "matching/store.py: attribute_candidates",
}


def uses(file: Path) -> set[tuple[str, str]]:
    """(function, name) of every use of a way to the database."""
    found: set[tuple[str, str]] = set()

    def walk(node: ast.AST, function: str) -> None:
        for child in ast.iter_child_nodes(node):
            inside = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
            name = child.attr if isinstance(child, ast.Attribute) else child.id if isinstance(child, ast.Name) else ""
            if name in UNGUARDED | GUARDED or _reads_database(child):
                found.add((inside, name))
            walk(child, inside)

    walk(ast.parse(file.read_text()), "")
    return found


def _reads_database(node: ast.AST) -> bool:
    """Whether this is `read` or `fetch` of a database; many other things are read or fetched."""
    if not isinstance(node, ast.Attribute) or node.attr not in ("read", "fetch"):
        return False
    return ast.unparse(node.value).endswith("database")


def modules() -> list[Path]:
    """Everything of the nouns: storage makes the connections, and the networks' store is one of files."""
    apart = ("storage", "vision")
    return [file for file in sorted(SOURCE.rglob("*.py")) if file.relative_to(SOURCE).parts[0] not in apart]


def test_stores_use_the_guarded_connection() -> None:
    bypasses = {
        f"{file.relative_to(SOURCE)}: {function}"
        for file in modules()
        for function, attribute in uses(file)
        if attribute not in GUARDED
    }
    assert bypasses - ALLOWED == set()
    assert ALLOWED - bypasses == set(), "no longer needed"


def test_every_store_has_guarded_uses() -> None:
    stores = [file for file in modules() if file.name == "store.py"]
    assert {file.parent.name for file in stores} >= {"accounts", "blobs", "matching"}
    for file in stores:
        assert any(attribute in GUARDED for _, attribute in uses(file)), file


def test_rules_and_routes_write_no_sql() -> None:
    """A statement made there would not pass under the eyes of the test above."""
    for file in modules():
        if file.name in ("routes.py", "service.py"):
            imported = {
                f"{node.module}.{alias.name}"
                for node in ast.walk(ast.parse(file.read_text()))
                if isinstance(node, ast.ImportFrom)
                for alias in node.names
            }
            assert imported.isdisjoint(
                f"sqlalchemy.{name}" for name in ("select", "insert", "update", "delete", "text")
            )
            assert not any(name.startswith("lunaria.storage.schema.") for name in imported), file
