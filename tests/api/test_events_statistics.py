"""Statistics of events through HTTP."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import yaml
from sqlalchemy import insert

from lunaria.app import Platform
from lunaria.storage.schema import events
from tests.api.conftest import Account, AccountFactory
from tests.api.test_attributes import refused
from tests.api.test_faces import with_token

URL = "/6/events/stats"
YAML = "application/x-yaml"
COUNT = {"column": "event_id", "aggregator": "count"}
Json = dict[str, Any]


async def add_event(platform: Platform, account: Account, time: str, **columns: Any) -> UUID:
    """A stored event of the account; its id."""
    moment = datetime.fromisoformat(time).replace(tzinfo=UTC)
    row = {"event_id": uuid4(), "account_id": account.id, "create_time": moment, "end_time": moment}
    async with platform.database.transaction() as connection:
        await connection.execute(insert(events), row | {"handler_id": uuid4()} | columns)
    return row["event_id"]  # type: ignore[return-value]


async def statistics(account: Account, **body: Any) -> Json:
    reply = await account.client.post(URL, json=body)
    assert reply.status_code == 200, reply.text
    found: Json = reply.json()
    assert found.keys() == {"fields", "stats"}
    return found


async def count(account: Account, **body: Any) -> int:
    found = await statistics(account, **body)
    assert found["fields"] == ["count(event_id)"]
    ((number,),) = found["stats"]
    assert isinstance(number, int)
    return number


@pytest.fixture(scope="module")
async def visited(platform: Platform, new_account: AccountFactory) -> Account:
    """An account with four events: Saturday morning, Saturday night, Sunday, and a year before."""
    account = await new_account()
    for time, columns in (
        ("2018-08-11T09:11:41.674", {"gender": 1, "age": 64, "source": "cam1", "tags": ["vip", "door"]}),
        ("2018-08-11T23:59:59.999999", {"gender": 0, "age": 30, "source": "cam1", "top_match_similarity": 0.97}),
        ("2018-08-12T00:00:00", {"gender": 1, "age": 51, "longitude": 36.616, "latitude": 55.752}),
        ("2017-08-13T12:00:00", {"source": "cam2", "meta": {"gate": {"heat": 36.6}, "name": "north"}}),
    ):
        await add_event(platform, account, time, **columns)
    return account


async def test_all_events_are_counted_without_any_wish(visited: Account) -> None:
    assert await statistics(visited) == {"fields": ["count(event_id)"], "stats": [[4]]}


async def test_nothing_to_count(new_account: AccountFactory) -> None:
    account = await new_account()
    targets = [COUNT, *({"column": "age", "aggregator": name} for name in ("max", "avg", "count"))]
    assert (await statistics(account, targets=targets))["stats"] == [[0, None, None, 0]]
    assert (await statistics(account, targets=targets, group_by="1d"))["stats"] == []


async def test_intervals(visited: Account) -> None:
    targets = [COUNT, {"column": "age", "aggregator": "max"}]
    period = [{"begin": "2018-08-11T00:00:00Z"}]
    assert await statistics(visited, targets=targets, period=period, group_by="1d") == {
        "fields": ["time", "count(event_id)", "max(age)"],
        "stats": [["2018-08-11T00:00:00Z", 2, 64], ["2018-08-12T00:00:00Z", 1, 51]],
    }
    assert (await statistics(visited, group_by="1y"))["stats"] == [
        ["2017-01-01T00:00:00Z", 1],
        ["2018-01-01T00:00:00Z", 3],
    ]
    assert [row[0] for row in (await statistics(visited, group_by="1w"))["stats"]] == [
        "2017-08-07T00:00:00Z",  # Mondays
        "2018-08-06T00:00:00Z",
    ]
    assert [row[0] for row in (await statistics(visited, group_by="3M"))["stats"]] == [
        "2017-07-01T00:00:00Z",
        "2018-07-01T00:00:00Z",
    ]


async def test_frequencies(visited: Account) -> None:
    assert await statistics(visited, group_by="dayOfWeek") == {
        "fields": ["time", "count(event_id)"],
        "stats": [[6, 2], [7, 2]],
    }
    assert (await statistics(visited, group_by="hourOfDay"))["stats"] == [[0, 1], [9, 1], [12, 1], [23, 1]]


async def test_columns_and_times_together(visited: Account) -> None:
    by_gender = {"column": "gender", "aggregator": "group_by"}
    assert await statistics(visited, targets=[COUNT, by_gender]) == {
        "fields": ["gender", "count(event_id)"],
        "stats": [[0, 1], [1, 2], [None, 1]],
    }
    assert await statistics(visited, targets=[COUNT, by_gender], group_by="1d") == {
        "fields": ["time", "gender", "count(event_id)"],
        "stats": [
            ["2017-08-13T00:00:00Z", None, 1],
            ["2018-08-11T00:00:00Z", 0, 1],
            ["2018-08-11T00:00:00Z", 1, 1],
            ["2018-08-12T00:00:00Z", 1, 1],
        ],
    }


async def test_figures_are_json_numbers_and_times(visited: Account) -> None:
    wanted = (
        ("avg", "age", (64 + 30 + 51) / 3),
        ("avg", "gender", 2 / 3),
        ("max", "top_similar_object_similarity", 0.97),
        ("min", "create_time", "2017-08-13T12:00:00Z"),
        ("max", "end_time", "2018-08-12T00:00:00Z"),
        ("count", "source", 3),
        ("count", "geo_position", 1),
        ("count", "tags", 1),
        ("max", "tags", 2),
        ("min", "tags", 0),
        ("count", "meta.gate", 1),
        ("max", "meta.gate.heat", 36.6),
        ("min", "meta.name", "north"),
        ("avg", "meta.gate.heat:numeric", 36.6),
        ("avg", "meta.gate.heat:integer", None),
        ("max", "meta.name:numeric", None),
    )
    found = await statistics(visited, targets=[{"column": column, "aggregator": name} for name, column, _ in wanted])
    assert found["fields"] == [f"{name}({column})" for name, column, _ in wanted]
    assert found["stats"] == [[pytest.approx(value) if isinstance(value, float) else value for *_, value in wanted]]


@pytest.mark.parametrize(
    ("period", "number"),
    [
        ([], 4),
        ([{}], 4),
        ([{"begin": "2018-08-11T09:11:41.674Z", "end": "2018-08-12T00:00:00Z"}], 2),
        ([{"begin": "2018-08-11T11:11:41.674+02:00", "end": None}], 3),
        ([{"end": "2018-08-12T00:00:00.000001"}], 4),
        ([{"create_time__gte": "2018-08-11T00:00:00Z", "create_time__lt": "2018-08-12T00:00:00Z"}], 2),
        ([{"column": "create_time", "operator": "gt", "value": "2018-08-11T09:11:41.674Z"}], 2),
        (
            [
                {"column": "create_time", "operator": "gte", "value": "2018-08-11T09:11:41.674Z"},
                {"column": "create_time", "operator": "lte", "value": "2018-08-12T00:00:00Z"},
            ],
            3,
        ),
    ],
)
async def test_periods(visited: Account, period: list[Json], number: int) -> None:
    assert await count(visited, period=period) == number


@pytest.mark.parametrize(
    ("column", "operator", "value", "number"),
    [
        ("age", "gte", 51, 2),
        ("age", "eq", None, 1),
        ("gender", "in", [0, 1], 3),
        ("source", "neq", "cam2", 2),
        ("source", "eq", None, 1),
        ("tags", "like", "oo", 1),
        ("tags", "nlike", "oo", 3),
        ("geo_position", "covered", {"origin_longitude": 36.61, "origin_latitude": 55.75}, 1),
        ("geo_position", "eq", None, 3),
        ("meta.gate.heat", "gt", 36, 1),
        ("meta.gate.heat:integer", "gt", 36, 0),
        ("meta.name:string", "like", "ort", 1),
        ("meta.name", "neq", None, 1),
        ("meta.name", "eq", None, 3),
        ("top_similar_object_similarity", "gte", 0.97, 1),
    ],
)
async def test_filters(visited: Account, column: str, operator: str, value: Any, number: int) -> None:
    assert await count(visited, filters=[{"column": column, "operator": operator, "value": value}]) == number


async def test_filters_hold_together(visited: Account) -> None:
    filters = [
        {"column": "source", "operator": "eq", "value": "cam1"},
        {"column": "age", "operator": "lt", "value": 64},
        {"column": "age", "operator": "gt", "value": 18},
    ]
    assert await count(visited, filters=filters) == 1


def of_filter(column: str, operator: str, value: Any) -> Json:
    return {"filters": [{"column": "age", "operator": "gt", "value": 1}, {"column": column, "operator": operator, "value": value}]}  # fmt: skip


def of_target(column: str, aggregator: str) -> Json:
    return {"targets": [COUNT, {"column": column, "aggregator": aggregator}]}


@pytest.mark.parametrize(
    ("body", "path", "told"),
    [
        ({"targets": []}, "targets", "at least one aggregator other than group_by is needed"),
        ({"targets": [{"column": "age", "aggregator": "group_by"}]}, "targets", "at least one"),
        ({"targets": [COUNT] * 101}, "targets", "length <= 100"),
        ({"targets": [{"column": "age"}]}, "targets.0.aggregator", "field required"),
        ({"targets": [{**COUNT, "as": "n"}]}, "targets.0.as", "extra fields not permitted"),
        (of_target("age", "sum"), "targets.1.aggregator", "Invalid enum value"),
        (of_target("ages", "max"), "targets.1.column", "'ages' is no column of statistics, valid: event_id"),
        (of_target("account_id", "count"), "targets.1.column", "no column"),
        (of_target("source", "max"), "targets.1.aggregator", "not available for 'source', available: count, group_by"),
        (of_target("create_time", "avg"), "targets.1.aggregator", "available: count, max, min"),
        (of_target("meta.a", "group_by"), "targets.1.aggregator", "not available for 'meta.a'"),
        (of_target("meta.a:string", "avg"), "targets.1.aggregator", "not available for texts"),
        (of_target("meta.a:float", "avg"), "targets.1.column", "'float' is no type, valid: string, integer, numeric"),
        (of_target("meta.a b", "max"), "targets.1.column", "latin letters"),
        (of_target("meta.a__b", "max"), "targets.1.column", "latin letters"),
        (of_target("meta.", "max"), "targets.1.column", "latin letters"),
        (of_filter("ages", "eq", 1), "filters.1.column", "'ages' is no column to filter by, valid: tags"),
        (of_filter("create_time", "gt", "2018-08-11T09:11:41Z"), "filters.1.column", "no column to filter by"),
        (
            of_filter("source", "gt", "a"),
            "filters.1.operator",
            "'gt' is not available for 'source', available: in, nin",
        ),
        (of_filter("tags", "eq", "a"), "filters.1.operator", "available: like, nlike"),
        (of_filter("upper_clothing_colors", "eq", "red"), "filters.1.operator", "available: in, nin, eq (with null)"),
        (of_filter("age", "between", 1), "filters.1.operator", "Invalid enum value"),
        (of_filter("age", "eq", "18"), "filters.1.value", "Expected `int`, got `str`"),
        (of_filter("age", "eq", 18.5), "filters.1.value", "Expected `int`, got `float`"),
        (of_filter("age", "eq", True), "filters.1.value", "got `bool`"),
        (of_filter("age", "gt", 2**31), "filters.1.value", "Expected `int` <= 2147483647"),
        (of_filter("age", "gt", None), "filters.1.value", "got `null`"),
        (of_filter("age", "neq", None), "filters.1.value", "got `null`"),
        (of_filter("user_data", "eq", None), "filters.1.value", "got `null`"),
        (of_filter("age", "in", 18), "filters.1.value", "Expected `array`, got `int`"),
        (of_filter("age", "in", [18, None]), "filters.1.value.1", "got `null`"),
        (of_filter("age", "in", []), "filters.1.value", "length >= 1"),
        (of_filter("age", "in", [1] * 1001), "filters.1.value", "length <= 1000"),
        (of_filter("age", "eq", [18]), "filters.1.value", "got `array`"),
        (of_filter("emotion", "in", [1, 8]), "filters.1.value.1", "Invalid enum value 8"),
        (of_filter("sleeve_length", "eq", "none"), "filters.1.value", "Invalid enum value 'none'"),
        (of_filter("event_id", "eq", "1"), "filters.1.value", "Invalid UUID"),
        (of_filter("source", "eq", "a\x00"), "filters.1.value", "matching regex"),
        (of_filter("city", "eq", "a" * 37), "filters.1.value", "length <= 36"),
        (of_filter("tags", "like", ""), "filters.1.value", "length >= 1"),
        (of_filter("top_similar_object_similarity", "gt", 2), "filters.1.value", "<= 1.0"),
        (of_filter("geo_position", "covered", 1), "filters.1.value", "Expected `object`, got `int`"),
        (of_filter("geo_position", "covered", {"origin_longitude": 1}), "filters.1.value.origin_latitude", "required"),
        (of_filter("age", "eq", {"origin_longitude": 1, "origin_latitude": 1}), "filters.1.value", "'covered' only"),
        (of_filter("meta.a", "covered", 1), "filters.1.operator", "'covered' is not available for 'meta.a'"),
        (of_filter("meta.a", "like", 1), "filters.1.operator", "'like' is not available for numbers"),
        (of_filter("meta.a", "gt", None), "filters.1.value", "null is possible with"),
        (of_filter("meta.a", "in", "x"), "filters.1.value", "an array is needed"),
        (of_filter("meta.a", "eq", ["x"]), "filters.1.value", "an array needs 'in' or 'nin'"),
        (of_filter("meta.a", "in", ["x", 1]), "filters.1.value", "texts and numbers in one array"),
        (of_filter("meta.a:integer", "eq", 1.5), "filters.1.value", "got `float`"),
        (of_filter("meta.a:integer", "eq", 2**63), "filters.1.value", "Expected `int` <= "),
        (of_filter("meta.a:numeric", "eq", "1"), "filters.1.value", "got `str`"),
        (of_filter("meta.a:date", "eq", "1"), "filters.1.column", "no type"),
        ({"period": [{"begin": "yesterday"}]}, "period.0.begin", "not an RFC 3339 date-time"),
        ({"period": [{"begin": "2018-01-01T00:00:00Z"}, {"end": "2018-01-01T00:00:00Z"}]}, "period", "only one period"),
        ({"period": [{}, {}, {}]}, "period", "length <= 2"),
        ({"period": [{"operator": "gt"}]}, "period.0", "operator and value belong together"),
        (
            {"period": [{"column": "end_time", "operator": "gt", "value": "2018-01-01T00:00:00Z"}]},
            "period.0.column",
            "Invalid",
        ),
        (
            {"period": [{"begin": "2018-01-01T00:00:00Z", "operator": "gt", "value": "2018-01-01T00:00:00Z"}]},
            "period",
            "one bound on each side",
        ),
        *(
            ({"group_by": text}, "group_by", "m, h, d, w, M or y, and none of monthOfYear")
            for text in ("1", "0d", "1D", "1 d", "-1d", "100000d", "day", "", "1d\n", "١d")
        ),
        ({"groupby": "1d"}, "groupby", "extra fields not permitted"),
    ],
)
async def test_refusals_name_the_field(account: Account, body: Json, path: str, told: str) -> None:
    detail = refused(await account.client.post(URL, json=body), 400, 12022)
    assert f"Path: '{path}', message: '" in detail
    assert told in detail


async def test_only_own_events(
    platform: Platform, visited: Account, new_account: AccountFactory, client: httpx.AsyncClient
) -> None:
    other, advanced = await new_account(), await new_account("advanced_user")
    await add_event(platform, other, "2018-08-11T00:00:00")
    assert (await count(visited), await count(other), await count(advanced) >= 5) == (4, 1, True)

    def of_account(*ids: UUID) -> list[Json]:
        return [{"column": "account_id", "operator": "in", "value": [str(one) for one in ids]}]

    assert await count(other, filters=of_account(visited.id)) == 0
    assert await count(advanced, filters=of_account(visited.id)) == 4
    assert await count(advanced, filters=of_account(visited.id, other.id)) == 5
    by_header = await client.post(URL, json={}, headers={"Luna-Account-Id": str(other.id)})
    assert by_header.json()["stats"] == [[1]]


async def test_a_token_needs_to_see_events(visited: Account, client: httpx.AsyncClient) -> None:
    blind = await with_token(visited, {"event": ["creation"], "face": ["view"]})
    assert "view" in refused(await client.post(URL, json={}, headers=blind), 403, 11059)
    seeing = await with_token(visited, {"event": ["view"]})
    assert (await client.post(URL, json={}, headers=seeing)).json()["stats"] == [[4]]


async def test_the_document_describes_the_body(client: httpx.AsyncClient) -> None:
    document: Mapping[str, Any] = yaml.load(
        (await client.get("/docs/spec", headers={"Accept": YAML})).text, yaml.CSafeLoader
    )
    schemas = document["components"]["schemas"]
    body = document["paths"][URL]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/StatisticsRequest"}
    assert schemas["StatisticsRequest"]["properties"].keys() == {"targets", "filters", "period", "group_by"}
    assert set(schemas["Target"]["properties"]["aggregator"]["enum"]) == {"count", "max", "min", "avg", "group_by"}
    assert "covered" in schemas["Filter"]["properties"]["operator"]["enum"]
    assert schemas["Statistics"]["properties"].keys() == {"fields", "stats"}
