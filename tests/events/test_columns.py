"""From a generated event to its rows and back to its stored form."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy import select

from lunaria.events.columns import descriptors_of, details_of, row_of
from lunaria.events.event import NewEvent
from lunaria.events.store import new_events
from lunaria.events.stored import EVENT_TARGETS, StoredEvent, stored_event
from lunaria.storage.database import Database
from lunaria.storage.schema import event_descriptors, event_details, events
from lunaria.storage.scope import Scope
from tests.events.making import TIME, basic, body_attributes, detection, emotions, face_sample, full_event, plain_event

ACCOUNT = uuid4()


def stored(new: NewEvent) -> Any:
    """The stored form as a client sees it; details go through JSON, as the database keeps them."""
    details = msgspec.json.decode(msgspec.json.encode(details_of(new)))
    row = {**details, **row_of(new)}
    return msgspec.to_builtins(stored_event(row))


def test_rows_have_the_columns_of_their_tables() -> None:
    new = full_event(ACCOUNT)
    (descriptor,) = descriptors_of(new)
    for row, table in (
        (row_of(new), events),
        (details_of(new), event_details),
        (descriptor, event_descriptors),
    ):
        assert row.keys() == {column.name for column in table.columns}


@pytest.mark.parametrize("moment", [TIME, datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
async def test_rows_go_there_and_back(clean_database: Database, moment: datetime) -> None:
    """Whatever the columns hold, with words that a careless writer would read as something else."""
    word = "\\x41 'a' \"b\" $1 {} \n \u2028 \U0001f319 \\u0041"
    empty = plain_event(ACCOUNT, create_time=moment - timedelta(seconds=2) if moment.year > 1 else moment, tags=[])
    full = full_event(ACCOUNT, create_time=moment - timedelta(seconds=2) if moment.year > 1 else moment, user_data=word)
    full = replace(full, event=msgspec.structs.replace(full.event, tags=[word, ""], meta={word: [word, 1.5, None]}))
    await clean_database.add(new_events(Scope(ACCOUNT), [full, empty]))
    for table, rows in (
        (events, [row_of(full), row_of(empty)]),
        (event_details, [details_of(full), details_of(empty)]),
        (event_descriptors, descriptors_of(full)),
    ):
        async with clean_database.read() as connection:
            found = [dict(row) for row in (await connection.execute(select(table))).mappings()]
        kept = {row["event_id"]: _plain(row) for row in found}
        assert kept == {row["event_id"]: _plain(row) for row in rows}


def _plain(row: Mapping[str, Any]) -> Any:
    """A row with its parts as JSON has them; a score has the digits of a short number."""
    parts = {name: msgspec.to_builtins(value) for name, value in row.items() if isinstance(value, list | dict)}
    return {**row, **parts, **({"score": round(row["score"], 5)} if "score" in row else {})}


def test_words_become_codes() -> None:
    new = full_event(ACCOUNT)
    found = stored(new)
    assert list(found) == list(EVENT_TARGETS)
    # of all images together where they were merged, else of the first face
    assert (found["emotion"], found["liveness"], found["mask"], found["deepfake"]) == (4, 2, 1, 0)
    assert (found["gender"], found["age"], found["ethnic_group"]) == (1, 27, 3)
    assert found["body_basic_attributes"] == {"apparent_age": 33, "apparent_gender": 2}
    assert found["upper_body"] == {
        "headwear": {"state": 1, "apparent_color": "white"},
        "sleeve": {"length": "short"},
        "upper_clothing": {"colors": ["black"]},
    }
    assert found["lower_body"] == {
        "lower_garment": {"type": "skirt", "colors": ["red"]},
        "shoes": {"apparent_color": "other"},
    }
    assert found["accessories"] == {"backpack": {"state": 0}}


def test_the_rest_is_kept() -> None:
    new = full_event(ACCOUNT)
    event = new.event
    assert event.face is not None
    found = stored(new)
    assert found["event_id"] == str(event.event_id)
    assert found["account_id"] == str(ACCOUNT)
    assert found["handler_id"] == str(new.handler_id)
    assert found["face_id"] == str(event.face.face_id)
    assert found["attach_result"] == [str(one) for one in event.face.lists or ()]
    assert found["create_time"] == "2026-02-03T04:05:06.789000Z"
    assert found["end_time"] == "2026-02-03T04:05:08.789000Z"
    assert found["location"] == msgspec.to_builtins(event.location)
    for name in ("external_id", "user_data", "source", "track_id", "tags", "meta"):
        assert found[name] == getattr(event, name)
    face, body = found["face_detections"][0], found["body_detections"][0]
    assert face["detection"] == {"rect": {"x": 1, "y": 2, "width": 30, "height": 40}}
    assert body["detection"] == {"rect": {"x": 5, "y": 6, "width": 7, "height": 8}}
    for one in (face, body):
        assert one["detect_ts"] == 12.5
        assert one["image_origin"] == "/6/images/1"


def test_matches_keep_what_is_shown_of_candidates() -> None:
    new = full_event(ACCOUNT)
    found = stored(new)
    vip = found["match_result"][1]
    assert [one["label"] for one in found["match_result"]] == ["empty", "vip"]
    assert vip["candidates"][0]["face"].keys() == {"face_id", "external_id", "user_data", "lists"}
    assert vip["candidates"][1]["event"].keys() == {"event_id", "create_time", "source", "handler_id", "external_id"}
    assert found["top_match"] == {
        "label": "vip",
        "similarity": 0.97,
        "face_id": vip["candidates"][0]["face"]["face_id"],
        "event_id": None,
        "external_id": "42",
    }


def test_top_match_may_be_an_event() -> None:
    event_id = uuid4()
    candidate = {"similarity": 0.5, "event": {"event_id": event_id, "external_id": "e"}}
    found = stored(plain_event(ACCOUNT, matches=[{"label": "seen", "candidates": [candidate]}]))
    assert found["top_match"] == {
        "label": "seen",
        "similarity": 0.5,
        "face_id": None,
        "event_id": str(event_id),
        "external_id": "e",
    }


def test_nothing_is_null() -> None:
    found = stored(plain_event(ACCOUNT))
    empty = {
        "external_id": "",
        "user_data": "",
        "tags": [],
        "attach_result": [],
        "face_detections": [],
        "body_detections": [],
    }
    place = {"city": None, "area": None, "district": None, "street": None, "house_number": None, "geo_position": None}
    always = {"event_id", "account_id", "create_time", "end_time", "handler_id", "location"}
    assert found["location"] == place
    for name in EVENT_TARGETS:
        if name not in always:
            assert found[name] == empty.get(name), name


def test_no_match_is_not_the_same_as_no_matching() -> None:
    found = stored(plain_event(ACCOUNT, matches=[]))
    assert found["match_result"] == []
    assert found["top_match"] is None


def test_first_detection_that_has_an_estimate_counts() -> None:
    seen = [
        detection(face=face_sample(), body=None),
        detection(face=face_sample(emotions=emotions("anger")), body=None),
        detection(face=face_sample(emotions=emotions("disgust")), body=None),
    ]
    assert stored(plain_event(ACCOUNT, detections=seen))["emotion"] == 1


def test_body_of_all_images_together() -> None:
    merged = {"face": None, "body": {"attributes": body_attributes(age=50, colors=("red", "blue"))}}
    found = stored(full_event(ACCOUNT, aggregate_estimations=merged))
    assert found["body_basic_attributes"]["apparent_age"] == 50
    assert found["upper_body"]["upper_clothing"]["colors"] == ["red", "blue"]


@pytest.mark.parametrize("target", EVENT_TARGETS)
def test_only_the_targets_are_shown(target: str) -> None:
    new = full_event(ACCOUNT, face_attributes=basic(1, 0))
    row = {**msgspec.json.decode(msgspec.json.encode(details_of(new))), **row_of(new)}
    shown = msgspec.to_builtins(stored_event(row, [target]))
    assert shown == {target: stored(new)[target]}
    assert msgspec.convert(shown, StoredEvent) == stored_event(row, [target])


def test_times_are_those_of_the_event() -> None:
    assert row_of(plain_event(ACCOUNT))["create_time"] == TIME
