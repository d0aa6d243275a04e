"""Statistics of random events against an independent computation, over many random requests."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import insert

from lunaria.events.statistics import StatisticsService
from lunaria.events.statistics_columns import AGGREGATORS, BOUNDS, COMPARISONS, LISTED
from lunaria.events.statistics_schemas import FREQUENCIES, StatisticsRequest
from lunaria.http.errors import ApiError
from lunaria.storage.database import Database
from lunaria.storage.schema import events
from lunaria.storage.scope import EVERYTHING, Scope
from tests.events.statistics_oracle import COLORS, Json, Row, shown, statistics_of, value_of

ACCOUNTS = [UUID(int=number) for number in (1, 2)]
CODES = {
    "gender": (0, 1),
    "age": (7, 18, 18, 40, 99),
    "emotion": (1, 4, 7),
    "mask": (1, 2, 3),
    "ethnic_group": (1, 4),
    "liveness": (0, 1, 2),
    "deepfake": (0, 1),
    "apparent_gender": (0, 1, 2),
    "apparent_age": (0, 33, 100),
    "headwear_state": (0, 1, 2),
    "backpack_state": (0, 1),
}
TEXTS = {
    "source": ("cam", "Cam", "кам", "3rd %_Avenue"),
    "track_id": ("a", "b"),
    "city": ("Москва", "Paris"),
    "area": ("x", "y"),
    "district": ("x",),
    "street": ("Arbat", "arbat"),
    "house_number": ("1", "10", "2"),
    "headwear_apparent_color": ("black", "other"),
    "sleeve_length": ("short", "long"),
    "lower_garment_type": ("trousers", "skirt"),
    "shoes_apparent_color": ("white", "undefined"),
    "top_match_label": ("vip", "staff"),
    "top_match_external_id": ("", "Z", "a", "é"),
}
TAGS = ("door", "outdoor", "a,b", "do", "or")
COLOR_NAMES = ("black", "red", "white")
META_PATHS = ("n", "s", "mixed", "deep.value", "absent", "deep")
META_TEXTS = ("5", "low", "High", "é", "")
META_NUMBERS = (5, -2, 36.6, 5.0, 10**15)
BEGIN = datetime(2024, 12, 20, tzinfo=UTC)
INTERVALS = ("1m", "7m", "1h", "5h", "1d", "3d", "1w", "2w", "1M", "3M", "5M", "1y", "10y", "3000y")


def an_id(chance: random.Random) -> UUID:
    return UUID(int=chance.randrange(4) << 120)


def maybe(chance: random.Random, value: Any) -> Any:
    return None if chance.random() < 0.3 else value


def an_event(chance: random.Random, number: int) -> Row:
    moment = BEGIN + timedelta(seconds=chance.randrange(500 * 86400), microseconds=chance.choice((0, 1, 999999)))
    if chance.random() < 0.3:  # on the borders of intervals
        moment = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    placed = chance.random() < 0.7
    meta = {
        "n": chance.choice(META_NUMBERS),
        "s": chance.choice(META_TEXTS),
        "mixed": chance.choice((*META_TEXTS, *META_NUMBERS, None, True, [1])),
        "deep": {"value": maybe(chance, chance.choice(META_NUMBERS))},
    }
    return {
        "event_id": UUID(int=number << 100),
        "account_id": chance.choice(ACCOUNTS),
        "create_time": moment,
        "end_time": moment + timedelta(seconds=chance.randrange(60)),
        "handler_id": an_id(chance),
        "face_id": maybe(chance, an_id(chance)),
        "stream_id": maybe(chance, an_id(chance)),
        "top_match_object_id": maybe(chance, an_id(chance)),
        "top_match_similarity": maybe(chance, chance.choice((0.7, 0.97, 1.0))),
        "external_id": chance.choice(("", "Z", "a")),
        "user_data": chance.choice(("", "fox", "Лиса")),
        "tags": chance.sample(TAGS, chance.randrange(4)),
        "longitude": chance.choice((36.61, 36.616, -10.0)) if placed else None,
        "latitude": chance.choice((55.75, 55.752, 10.0)) if placed else None,
        "upper_clothing_colors": maybe(chance, chance.sample(COLOR_NAMES, chance.randrange(3))),
        "lower_garment_colors": maybe(chance, chance.sample(COLOR_NAMES, chance.randrange(3))),
        "meta": maybe(chance, {name: value for name, value in meta.items() if chance.random() < 0.7}),
        **{name: maybe(chance, chance.choice(values)) for name, values in (CODES | TEXTS).items()},
    }


def a_request(chance: random.Random, rows: Sequence[Row]) -> Json:
    targets = [a_target(chance) for _ in range(chance.randrange(1, 4))]
    targets += [{"column": column, "aggregator": "group_by"} for column in a_grouping(chance)]
    chance.shuffle(targets)
    request: Json = {
        "targets": targets,
        "filters": [a_filter(chance, rows) for _ in range(chance.choice((0, 0, 1, 1, 2)))],
        "period": [],
    }
    if chance.random() < 0.5:
        bounds = sorted(shown(chance.choice(rows)["create_time"]) for _ in range(2))
        period = {"begin": bounds[0], "end": bounds[1]}
        request["period"] = [period if chance.random() < 0.6 else dict([chance.choice([*period.items()])])]
    if chance.random() < 0.5:
        request["group_by"] = chance.choice((*INTERVALS, *FREQUENCIES))
    return request


def a_target(chance: random.Random) -> Json:
    if chance.random() < 0.3:
        kind = chance.choice(("", ":integer", ":numeric", ":string"))
        possible = ("count", "max", "min") if kind == ":string" else ("count", "max", "min", "avg")
        return {"column": f"meta.{chance.choice(META_PATHS)}{kind}", "aggregator": chance.choice(possible)}
    column = chance.choice([*AGGREGATORS])
    return {
        "column": column,
        "aggregator": chance.choice([name for name in AGGREGATORS[column] if name != "group_by"]),
    }


def a_grouping(chance: random.Random) -> list[str]:
    possible = [column for column, names in AGGREGATORS.items() if "group_by" in names]
    return chance.sample(possible, chance.choice((0, 0, 1, 1, 2)))


def a_filter(chance: random.Random, rows: Sequence[Row]) -> Json:
    if chance.random() < 0.3:
        return a_meta_filter(chance)
    column = chance.choice([*COMPARISONS])
    comparison = COMPARISONS[column]
    if comparison.nullable and chance.random() < 0.2:
        return {"column": column, "operator": "eq", "value": None}
    operator = chance.choice(comparison.operators)
    known = [value for row in rows if (value := value_of(row, column)) is not None]
    value: Any
    if operator == "covered":
        longitude, latitude = chance.choice(known)
        value = {"origin_longitude": longitude, "origin_latitude": latitude}
        if chance.random() < 0.5:
            value["longitude_delta"] = chance.choice((0, 0.005, 90))
    elif column == "tags":
        value = chance.choice(("oo", "door", ",", "none", "d"))
    elif operator in LISTED:
        value = [shown(chance.choice(known)) for _ in range(chance.randrange(1, 3))]
        if column in COLORS:
            value = [chance.choice(COLOR_NAMES) for _ in value]
    else:
        value = shown(chance.choice(known))
        if operator in BOUNDS and isinstance(value, int):
            value = chance.choice((value, -70000, 70000))
    return {"column": column, "operator": operator, "value": value}


def a_meta_filter(chance: random.Random) -> Json:
    kind = chance.choice(("", ":string", ":integer", ":numeric"))
    texts = kind == ":string" or (kind == "" and chance.random() < 0.5)
    possible: Sequence[Any] = META_TEXTS if texts else META_NUMBERS[:2] if kind == ":integer" else META_NUMBERS
    names = ["eq", "neq", "gt", "gte", "lt", "lte", *LISTED]
    operator = chance.choice([*names, "like", "nlike"] if texts else names)
    value: Any = chance.choice(possible)
    if operator in LISTED:
        value = [chance.choice((*possible, None)) for _ in range(chance.randrange(1, 4))]
    elif operator in ("eq", "neq") and chance.random() < 0.3:
        value = None
    return {"column": f"meta.{chance.choice(META_PATHS)}{kind}", "operator": operator, "value": value}


async def insert_events(database: Database, rows: Sequence[Row]) -> None:
    async with database.scoped_transaction(EVERYTHING) as connection:
        await connection.execute(insert(events), rows)


async def answer(service: StatisticsService, scope: Scope, request: Json) -> Json:
    found = await service.compute(scope, msgspec.convert(request, StatisticsRequest))
    told: Json = msgspec.json.decode(msgspec.json.encode(found))
    return told


def same(found: Any, expected: Any) -> bool:
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float) and isinstance(found, int | float):
        return found == pytest.approx(expected, rel=1e-12)
    return bool(found == expected)


async def test_random_requests(clean_database: Database) -> None:
    chance = random.Random(4)
    rows = [an_event(chance, number) for number in range(600)]
    await insert_events(clean_database, rows)
    service = StatisticsService(clean_database, 500_000)
    told = 0
    for number in range(1500):
        account = chance.choice((*ACCOUNTS, None))
        mine = [row for row in rows if account in (None, row["account_id"])]
        request = a_request(chance, mine)
        found, expected = await answer(service, Scope(account), request), statistics_of(mine, request)
        assert found["fields"] == expected["fields"], request
        assert same(found["stats"], expected["stats"]), f"{number} {request}"
        told += len(found["stats"]) > 0
    assert told > 1000, "the requests are about something"


async def test_every_column_and_operator_alone(clean_database: Database) -> None:
    chance = random.Random(5)
    rows = [an_event(chance, number) for number in range(200)]
    await insert_events(clean_database, rows)
    service = StatisticsService(clean_database, 500_000)
    filters = [
        one
        for column, comparison in COMPARISONS.items()
        for operator in (*comparison.operators, *(("eq",) if comparison.nullable else ()))
        for one in [a_filter_of(column, operator, rows)]
    ]
    kept = set()
    for one in filters:
        request = {"targets": [{"column": "event_id", "aggregator": "count"}], "filters": [one], "period": []}
        found, expected = await answer(service, EVERYTHING, request), statistics_of(rows, request)
        assert found == expected, one
        kept.add(0 < found["stats"][0][0] < len(rows))
    assert kept == {True, False}
    for column, names in AGGREGATORS.items():
        for aggregator in names:
            targets = [{"column": column, "aggregator": aggregator}, {"column": "event_id", "aggregator": "count"}]
            request = {"targets": targets, "filters": [], "period": []}
            found, expected = await answer(service, EVERYTHING, request), statistics_of(rows, request)
            assert found["fields"] == expected["fields"]
            assert same(found["stats"], expected["stats"]), request


def a_filter_of(column: str, operator: str, rows: Sequence[Row]) -> Json:
    """A filter that some of the events fulfil."""
    known = [value for row in rows if (value := value_of(row, column)) is not None]
    value: Any = shown(known[0])
    if operator == "covered":
        value = {"origin_longitude": known[0][0], "origin_latitude": known[0][1]}
    elif column == "tags":
        value = "oor"
    elif column in COLORS:
        value = ["black"]
    elif operator in LISTED:
        value = [value]
    if operator not in COMPARISONS[column].operators:
        value = None
    return {"column": column, "operator": operator, "value": value}


async def test_too_many_groups_are_refused_not_cut(clean_database: Database) -> None:
    chance = random.Random(6)
    rows = [an_event(chance, number) for number in range(40)]
    await insert_events(clean_database, rows)
    count = {"column": "event_id", "aggregator": "count"}
    by_id = {"targets": [{"column": "event_id", "aggregator": "group_by"}, count]}
    assert len((await answer(StatisticsService(clean_database, 80), EVERYTHING, by_id))["stats"]) == 40
    with pytest.raises(ApiError, match="targets") as refused:
        await answer(StatisticsService(clean_database, 79), EVERYTHING, by_id)
    assert refused.value.code == 12022
    with pytest.raises(ApiError, match=r"group_by.*more than 15 groups"):
        await answer(StatisticsService(clean_database, 30), EVERYTHING, {"targets": [count], "group_by": "1m"})
    assert (await answer(StatisticsService(clean_database, 2), EVERYTHING, {"group_by": "3000y"}))["stats"] == [
        ["0001-01-01T00:00:00Z", 40]
    ]


@pytest.mark.parametrize("group_by", [*INTERVALS, *FREQUENCIES, "99999m", "99999w", "99999M", "99999y"])
async def test_first_and_last_times_of_all(clean_database: Database, group_by: str) -> None:
    chance = random.Random(7)
    moments = [datetime.min, datetime.min + timedelta(microseconds=1), datetime.max]
    rows = [an_event(chance, number) | {"create_time": moments[number].replace(tzinfo=UTC)} for number in range(3)]
    await insert_events(clean_database, rows)
    found = await answer(StatisticsService(clean_database, 500_000), EVERYTHING, {"group_by": group_by})
    assert sum(row[1] for row in found["stats"]) == 3
    assert None not in [row[0] for row in found["stats"]]
