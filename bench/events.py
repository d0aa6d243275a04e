"""Searching stored events: every condition of GET /6/events on a million events, and what the database does for it.

    python -m bench.events [--events 1000000] [--folder FOLDER] [--markdown FILE]

An embedded PostgreSQL with its usual settings holds the events of five accounts over three months (`event_rows`). The
largest account asks for its newest ten events with a condition, in the last month (as when no time is given) and in all
three, and so does somebody who sees all accounts: every condition once with a value that is common, once with a rare
one and once with one that no event has. The time is that of the store: statements, rows, and details of the events that
are shown. A folder is kept and used again.
"""

import argparse
import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy import event

from bench.event_rows import DAYS, EventRows, load
from bench.report import add_markdown_argument, conditions, progress, publish, table
from lunaria.events.filters import EventFilter, GeoBox, Order
from lunaria.events.meta_parameters import read_meta_filter
from lunaria.events.partitions import Partitions
from lunaria.events.store import EventsStore
from lunaria.kit.times import SystemClock, resolve_time
from lunaria.storage import migrate
from lunaria.storage.database import Database
from lunaria.storage.embedded import EmbeddedPostgres
from lunaria.storage.scope import EVERYTHING, Scope

ROUNDS = 8
PAGE = 10
LIMIT_MS = 300
NOBODY = UUID(int=1)


@dataclass(frozen=True)
class Case:
    """A condition. `wanted` has no time; `order` as the API names it."""

    name: str
    value: str
    wanted: EventFilter
    order: Order | None = None


@dataclass(frozen=True)
class Measured:
    """Least milliseconds, events found on the page, and how the database found them."""

    milliseconds: float
    found: int
    plan: str
    scans: bool


def cases(made: EventRows) -> Iterator[Case]:
    """Every condition with a common, a rare and an absent value."""

    def of(name: str, **values: Any) -> Iterator[Case]:
        for value, given in values.items():
            wanted = given if isinstance(given, dict) else {name: given}
            yield Case(name, value, EventFilter(**wanted))

    cameras, handlers = made.cameras[0], made.handlers[0]
    yield Case("none", "", EventFilter())
    yield Case("none", "oldest first", EventFilter(), "asc")
    late, later = made.until - timedelta(minutes=5), made.until + timedelta(days=1)
    yield from of("end_time__gte", common=made.until - timedelta(days=200), rare=late, absent=later)
    yield from of("sources", common=["main entrance"], rare=[cameras[-1][0]], absent=["nowhere"])
    yield from of("sources, several", common={"sources": ["camera 1", "camera 2"]}, absent={"sources": ["x", "y"]})
    yield from of("sources, null", common={"sources": [None]}, both={"sources": ["nowhere", None]})
    yield from of("stream_ids", common=[cameras[0][1]], rare=[cameras[-1][1]], absent=[NOBODY])
    yield from of("handler_ids", common=[handlers[0]], rare=[handlers[2]], absent=[NOBODY])
    yield from of("face_ids", absent=[NOBODY], several=made.people[:500])
    yield from of("external_ids", common=["person 7"], absent=["nobody"], several=[f"person {n}" for n in range(500)])
    yield from of("track_ids", null=[None], absent=["nowhere"])
    yield from of("user_data", common="gate 5", rare="gate 3 at", absent="elsewhere", short="zq")
    yield from of("tags", common=["entrance"], rare=["roof", "parking"], absent=["nothing"])
    yield from of("cities", common=["Moscow"], null=[None], absent=["Atlantis"])
    yield from of("areas", common=["area 0"], rare=["area 11"], absent=["nowhere"])
    yield from of("districts", common=["district 0"], null=[None], absent=["nowhere"])
    yield from of("streets", common=["street 0"], rare=["street 49"], absent=["nowhere"])
    yield from of("house_numbers", common=["1"], several=["1", "2", None], absent=["1000"])
    yield from of(
        "geo_position",
        common={"geo_position": GeoBox(37.62, 55.75, 1, 1)},
        small={"geo_position": GeoBox(37.62, 55.75)},
        rare={"geo_position": GeoBox(37.8, 55.9, 0.003, 0.003)},
        absent={"geo_position": GeoBox(0, 0, 5, 5)},
        null={"without_geo_position": True},
    )
    yield from of("top_matching_candidates_label", common="staff", absent="nobody")
    yield from of("top_similar_object_ids", common=[made.people[0]], absent=[NOBODY], several=made.people[:500])
    yield from of("top_similar_external_ids", common=["person 7"], absent=["nobody"])
    yield from of("top_similar_object_similarity__gte", common=0.3, rare=0.98, absent=1.0)
    yield from of("top_similar_object_similarity__lt", common=0.5, absent=0.0)
    yield from of("gender", common=[1], null=[None], several=[0, None])
    yield from of("age__gte", common=30, rare=94, absent=120)
    yield from of("age__lt", common=30, rare=2, absent=0)
    yield from of("emotions", common=[4], rare=[2], several=[2, 3, None])
    yield from of("masks", common=[1], rare=[3], null=[None])
    yield from of("ethnic_groups", common=[4], rare=[1], null=[None])
    yield from of("liveness", common=[1], rare=[0], null=[None])
    yield from of("deepfake", common=[1], absent=[0], null=[None])
    yield from of("apparent_gender", common=[1], rare=[2], null=[None])
    yield from of("apparent_age__gte", common=30, rare=89, absent=100)
    yield from of("headwear_states", common=[0], several=[1, 2], absent=[9])
    yield from of("headwear_apparent_colors", common=["black"], several=["undefined", "other"], absent=["green"])
    yield from of("sleeve_lengths", common=["long"], null=[None], absent=["none"])
    yield from of("upper_clothing_colors", common=["black"], rare=["khaki"], absent=["pink"], null=[None])
    yield from of("lower_garment_types", common=["trousers"], rare=["shorts"], absent=["kilt"])
    yield from of("lower_garment_colors", common=["black"], absent=["pink"], null=[None])
    yield from of("shoes_apparent_colors", common=["black"], absent=["green"])
    yield from of("backpack_states", common=[0], rare=[2], absent=[9])
    for value, text in (
        ("common", "shift=night"),
        ("rare", "gate.number:integer=7"),
        ("absent", "shift=noon"),
        ("absent", "gate.number__gt:integer=99"),
        ("absent", "ticket__like=Z-"),
        ("null", "shift=null"),
        ("not equal", "shift__neq=day"),
        ("several", "shift__in=noon,morning"),
    ):
        name, _, given = text.partition("=")
        yield Case(f"meta.{name}", value, EventFilter(meta=[read_meta_filter(name, given)]))
    yield Case("several at once", "common", EventFilter(sources=["main entrance"], gender=[0], age__lt=30))
    yield Case("several at once", "rare", EventFilter(sources=["camera 200"], emotions=[2], tags=["vip"]))
    ids = sorted(made.people)
    yield Case("event_id__gte", "", EventFilter(event_id__gte=ids[1000]))
    yield Case("event_id__lt", "descending", EventFilter(event_id__lt=ids[1000]), "desc")
    yield Case("event_id__gte and _lt", "absent", EventFilter(event_id__gte=NOBODY, event_id__lt=UUID(int=2)))
    yield Case("event_ids", "absent", EventFilter(event_ids=[uuid4() for _ in range(1000)]))


class Search:
    """Searches through the store, and asks the database for its plans of the very same statements."""

    def __init__(self, database: Database, store: EventsStore) -> None:
        self._database = database
        self._store = store
        self._statements: list[tuple[str, Any]] = []
        event.listen(database.engine.sync_engine, "before_cursor_execute", self._note)

    def _note(self, connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        self._statements.append((statement, parameters))

    async def measure(self, scope: Scope, wanted: EventFilter, order: Order | None) -> Measured:
        least = float("inf")
        for _ in range(ROUNDS):
            self._statements.clear()
            begin = time.perf_counter()
            rows = await self._store.find(scope, wanted, PAGE, 0, None, order)
            least = min(least, time.perf_counter() - begin)
        # with event ids there is no first look at how far the newest events reach
        searches = [one for one in self._statements if "LIMIT" in one[0]][0 if wanted.event_ids else 1 :]
        used, scanned = await self._plan(*searches[-1])
        by = [f"the newest by {' and '.join(used)}"] if "MATERIALIZED" not in searches[-1][0] else used
        plan = ", ".join([*by, *(f"all of {name}" for name in scanned)])
        return Measured(least * 1000, len(rows), plan, bool(scanned))

    async def _plan(self, statement: str, parameters: Any) -> tuple[list[str], list[str]]:
        """The indexes that a statement uses, and the partitions that it reads as a whole."""
        async with self._database.engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            found = await raw.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *parameters)
            names = await raw.fetch(
                "SELECT inhrelid::regclass::text, inhparent::regclass::text FROM pg_inherits WHERE inhparent IN "
                "(SELECT indexrelid FROM pg_index WHERE indrelid = 'events'::regclass)"
            )
            empty = {
                row["name"]
                for row in await raw.fetch(
                    "SELECT inhrelid::regclass::text AS name FROM pg_inherits "
                    "WHERE inhparent = 'events'::regclass AND pg_relation_size(inhrelid) = 0"
                )
            }
        parents = dict(names)
        nodes = list(_nodes(found[0]["Plan"]))
        used = {
            parents[node["Index Name"]]
            for node in nodes
            if "Index Name" in node and not any(node["Index Name"].startswith(name) for name in empty)
        }
        scanned = {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}
        return sorted(used), sorted(scanned - empty)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


@contextmanager
def server(folder: Path | None) -> Iterator[str]:
    """The URL of an embedded PostgreSQL in a folder, which is a temporary one unless it is given."""
    place = folder or Path(tempfile.mkdtemp(prefix="lunaria-bench-"))
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o755)  # root's PostgreSQL runs as another account
    started = EmbeddedPostgres(place / "postgres")
    try:
        yield started.start()
    finally:
        started.stop()
        if folder is None:
            shutil.rmtree(place)


@asynccontextmanager
async def loaded(url: str, count: int) -> AsyncIterator[tuple[Database, EventRows]]:
    """A database with the events; they are loaded unless it has them already."""
    await migrate.upgrade(url)
    database = Database(url, statement_timeout=600)
    connection = await asyncpg.connect(url)
    try:
        newest = await connection.fetchval("SELECT max(create_time) FROM events")
        made = EventRows(count) if newest is None else EventRows(count, until=newest)
        if newest is None:
            progress(f"loading {count} events")
            days = (made.until - timedelta(days=number) for number in range(DAYS + 1))
            await Partitions(database, SystemClock()).make_room(set(days))
            begin = time.perf_counter()
            await load(connection, made)
            progress(f"loaded at {count / (time.perf_counter() - begin):.0f} a second")
        yield database, made
    finally:
        await connection.close()
        await database.close()


@dataclass(frozen=True)
class Result:
    """A case in the last month, in three months, and in three months of all accounts."""

    case: Case
    month: Measured
    months: Measured
    everybody: Measured

    @property
    def all(self) -> tuple[Measured, ...]:
        return self.month, self.months, self.everybody


async def measure(url: str, count: int) -> tuple[list[Result], int]:
    async with loaded(url, count) as (database, made):
        search = Search(database, EventsStore(database, Partitions(database, SystemClock())))
        largest = Scope(made.accounts[0])
        month = resolve_time("now-1M", made.until)
        found = []
        for case in cases(made):
            lately = replace(case.wanted, create_time__gte=month, create_time__lt=made.until)
            result = Result(
                case,
                await search.measure(largest, lately, case.order),
                await search.measure(largest, case.wanted, case.order),
                await search.measure(EVERYTHING, case.wanted, case.order),
            )
            times = " ".join(f"{one.milliseconds:8.1f}" for one in result.all)
            progress(f"{case.name:36} {case.value:12} {times} {result.months.found:3} {result.months.plan}")
            found.append(result)
        async with database.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            size = await raw.fetchval(
                "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'events'::regclass"
            )
        return found, size


def report(found: list[Result], count: int, size: int) -> str:
    slowest = max(one.milliseconds for result in found for one in result.all)
    scans = sum(one.scans for result in found for one in result.all)
    rows = [
        (
            result.case.name,
            result.case.value,
            *(f"{one.milliseconds:.1f}" for one in result.all),
            result.months.found,
            result.months.plan,
        )
        for result in found
    ]
    header = ("condition", "value", "last month, ms", "three months, ms", "of all accounts, ms", "found", "by")
    data = (
        f"PostgreSQL 18, embedded, with its usual settings: {count} events of five accounts over {DAYS} days, "
        f"{size / 2**20:.0f} MB with indexes, without details."
    )
    explained = (
        f"The largest account asks for {PAGE} events with all that is shown of them, in three months all accounts as "
        f"well; the least of {ROUNDS} times. *found*: of at most {PAGE} of the largest account in three months; *by*: "
        "what told which ones."
    )
    summary = f"Slowest: {slowest:.0f} ms. {scans} of {3 * len(found)} searches read a whole partition."
    return "\n".join(
        [conditions(data, "sqlalchemy", "asyncpg"), explained, "", summary, "", table(header, rows, text_columns=2)]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    add_markdown_argument(parser)
    arguments = parser.parse_args()
    with server(arguments.folder) as url:
        found, size = asyncio.run(measure(url, arguments.events))
    publish("events", report(found, arguments.events, size), arguments.markdown)


if __name__ == "__main__":
    main()
