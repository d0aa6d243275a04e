"""How long statistics of a million events take, in the embedded PostgreSQL as it is delivered.

    python -m bench.events_statistics [--events 1000000] [--rounds 5] [--folder FOLDER] [--markdown FILE]

Events of three months (`event_rows`), kept in the folder and used again, also by `bench.events`. Each request is about
the last thirty days of the largest account, of all accounts, and about everything. What is timed is the service: from
the request to the answer as JSON, without HTTP.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from bench.events import loaded, server
from bench.report import add_markdown_argument, conditions, progress, publish, table
from lunaria.events.statistics import StatisticsService
from lunaria.events.statistics_schemas import StatisticsRequest
from lunaria.kit.times import format_time
from lunaria.storage.scope import EVERYTHING, Scope

Json = dict[str, Any]

MONTH = timedelta(days=30)
COUNT = {"column": "event_id", "aggregator": "count"}
CODES = ("gender", "age", "emotion", "mask", "ethnic_group", "liveness", "apparent_age", "headwear_state")


def by(*columns: str) -> list[Json]:
    return [{"column": column, "aggregator": "group_by"} for column in columns]


def figures(column: str, *aggregators: str) -> list[Json]:
    return [{"column": column, "aggregator": one} for one in aggregators]


def where(column: str, operator: str, value: Any) -> Json:
    return {"column": column, "operator": operator, "value": value}


BOX = {"origin_longitude": 37.62, "origin_latitude": 55.75, "longitude_delta": 0.05, "latitude_delta": 0.05}
REQUESTS: dict[str, Json] = {
    "count": {},
    "count by day": {"group_by": "1d"},
    "count by minute": {"group_by": "1m"},
    "count by month": {"group_by": "1M"},
    "count by week of the year": {"group_by": "weekOfYear"},
    "count and average age by gender": {"targets": [COUNT, *figures("age", "avg"), *by("gender")]},
    "count by hour of the day and gender": {"targets": [COUNT, *by("gender")], "group_by": "hourOfDay"},
    "count by camera": {"targets": [COUNT, *by("source")]},
    "count by camera, gender and day": {
        "targets": [COUNT, *by("source", "gender")],
        "group_by": "1d",
    },
    "all figures of eight codes": {
        "targets": [one for column in CODES for one in figures(column, "count", "min", "max", "avg")]
    },
    "count of men of 20 to 30 with a tag like 'park'": {
        "filters": [
            where("gender", "eq", 1),
            where("age", "gte", 20),
            where("age", "lt", 30),
            where("tags", "like", "park"),
        ]
    },
    "count of 100 cameras, none of 1000 persons, by day": {
        "group_by": "1d",
        "filters": [
            where("source", "in", [f"camera {number}" for number in range(100)]),
            where("external_id", "nin", [f"person {number}" for number in range(1000)]),
        ],
    },
    "count in a box, clothed in red or blue, by district": {
        "targets": [COUNT, *by("district")],
        "filters": [where("geo_position", "covered", BOX), where("upper_clothing_colors", "in", ["red", "blue"])],
    },
    "average of a number in meta, where another is 3, by day": {
        "targets": [COUNT, *figures("meta.gate.temperature:numeric", "avg")],
        "filters": [where("meta.gate.number", "eq", 3)],
        "group_by": "1d",
    },
    "count where a text in meta is like '-77'": {"filters": [where("meta.ticket", "like", "-77")]},
}


@dataclass(frozen=True)
class Figure:
    """Least milliseconds of a request in each range, and the rows of its largest answer."""

    name: str
    rows: int
    milliseconds: Sequence[float]


async def measure(url: str, count: int, rounds: int) -> list[Figure]:
    async with loaded(url, count) as (database, made):
        month = [{"begin": format_time(made.until - MONTH)}]
        ranges: Sequence[tuple[Scope, list[Json]]] = (
            (Scope(made.accounts[0]), month),
            (EVERYTHING, month),
            (EVERYTHING, []),
        )
        service = StatisticsService(database, 500_000)
        return [await _figure(service, name, wanted, ranges, rounds) for name, wanted in REQUESTS.items()]


async def _figure(
    service: StatisticsService, name: str, wanted: Json, ranges: Sequence[tuple[Scope, list[Json]]], rounds: int
) -> Figure:
    rows, least = 0, []
    for scope, period in ranges:
        request = msgspec.convert({**wanted, "period": period}, StatisticsRequest)
        times = []
        for _ in range(rounds):
            started = time.perf_counter()
            answer = await service.compute(scope, request)
            msgspec.json.encode(answer)
            times.append(time.perf_counter() - started)
        rows = max(rows, len(answer.stats))
        least.append(min(times) * 1000)
    progress(f"{name}: {' / '.join(f'{one:.0f}' for one in least)} ms")
    return Figure(name, rows, least)


def report(figures: Sequence[Figure], count: int, rounds: int) -> str:
    told = (
        f"{count:,} events of 92 days, five accounts, the largest with 55% of them. "
        f"Least of {rounds} calls, in milliseconds."
    )
    header = ("request", "most rows", "30 days, largest account", "30 days, all accounts", "all 92 days, all accounts")
    rows = [(one.name, one.rows, *(f"{value:.0f}" for value in one.milliseconds)) for one in figures]
    return f"{conditions(told, 'sqlalchemy', 'asyncpg')}\n\n{table(header, rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    add_markdown_argument(parser)
    arguments = parser.parse_args()
    with server(arguments.folder) as url:
        found = asyncio.run(measure(url, arguments.events, arguments.rounds))
    publish("events statistics", report(found, arguments.events, arguments.rounds), arguments.markdown)


if __name__ == "__main__":
    main()
