"""Filters of subscriptions: each one passes the events that it is meant for, and no other."""

from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import msgspec
import pytest

from lunaria.events.event import NewEvent
from lunaria.events.subscriptions import Facts, Subscription, SubscriptionQuery, facts_of
from lunaria.http.errors import ApiError
from lunaria.http.query import parse_query
from tests.events.making import full_event, plain_event

STREAM = UUID("8950722f-3fd4-4223-b48f-03f95f0e8dfb")
HANDLER = UUID("346a5645-ec89-4806-820a-dbcb6e0dc381")
OTHER = "00000000-0000-4000-8000-000000000000"


def full(**changed: Any) -> NewEvent:
    made = full_event(uuid4(), stream_id=STREAM, **changed)
    return NewEvent(made.account_id, HANDLER, made.event, made.descriptors)


FULL = facts_of(full())
PLAIN = facts_of(plain_event(uuid4()))


def subscription(text: str) -> Subscription:
    return Subscription(parse_query(text, SubscriptionQuery))


PASSING = [
    "",
    "sources=gate",
    "sources=cam1,gate",
    f"stream_ids={STREAM}",
    "matching_candidates_labels=vip",
    "matching_candidates_labels=unknown,vip",
    "object_similarity__gte=0.97",
    "object_similarity__lt=0.98",
    "object_similarity__gte=0.5&object_similarity__lt=0.98",
    "age__gte=27",
    "age__lt=28",
    "gender=1",
    "ethnic_groups=3",
    "ethnic_groups=1,2,3",
    "liveness=2",
    "deepfake=0,1",
    "tags=vip",
    "tags=night,vip",
    "user_data=%D0%BB%D1%8E%D0%B4",
    "geo_position=origin_longitude,10.755,origin_latitude,59.905",
    "geo_position=origin_latitude,59,origin_longitude,10,longitude_delta,0.75,latitude_delta,0.91",
    "cities=Oslo",
    "areas=a,b",
    "districts=d",
    "streets=s",
    "house_numbers=1",
    f"handler_ids={OTHER},{HANDLER}",
    "masks=1",
    "emotions=4",
    "apparent_gender=2",
    "apparent_age__gte=33",
    "apparent_age__lt=34",
    "headwear_states=1",
    "headwear_apparent_colors=white",
    "sleeve_lengths=short",
    "upper_clothing_colors=red,black",
    "lower_garment_colors=red",
    "lower_garment_types=skirt,shorts",
    "shoes_apparent_colors=other",
    "backpack_states=0",
    "unknown_parameter=1",
]
FAILING = [
    "sources=GATE",
    f"stream_ids={OTHER}",
    "matching_candidates_labels=VIP",
    "matching_candidates_labels=empty",
    "object_similarity__gte=0.971",
    "object_similarity__lt=0.97",
    "age__gte=28",
    "age__lt=27",
    "gender=0",
    "ethnic_groups=1,2,4",
    "liveness=0,1",
    "deepfake=1",
    "tags=vip,day",
    "user_data=nobody",
    "geo_position=origin_longitude,10.77,origin_latitude,59.91",
    "geo_position=origin_longitude,10.75,origin_latitude,59.93,longitude_delta,90",
    "cities=Bergen",
    "areas=b",
    "districts=a",
    "streets=a",
    "house_numbers=2",
    f"handler_ids={OTHER}",
    "masks=2,3",
    "emotions=1,2,3,5,6,7",
    "apparent_gender=0,1",
    "apparent_age__gte=34",
    "apparent_age__lt=33",
    "headwear_states=0,2",
    "headwear_apparent_colors=black,undefined,other",
    "sleeve_lengths=long,undefined",
    "upper_clothing_colors=red",
    "lower_garment_colors=black,undefined",
    "lower_garment_types=trousers",
    "shoes_apparent_colors=white",
    "backpack_states=1,2",
]


def test_every_filter_is_tested() -> None:
    names = {text.partition("=")[0] for text in (*PASSING, *FAILING)}
    assert names >= set(SubscriptionQuery.__struct_fields__)


@pytest.mark.parametrize("text", PASSING)
def test_event_passes(text: str) -> None:
    assert subscription(text).passes(FULL)


@pytest.mark.parametrize("text", FAILING)
def test_event_does_not_pass(text: str) -> None:
    assert not subscription(text).passes(FULL)


@pytest.mark.parametrize("text", [text for text in PASSING if text and not text.startswith(("unknown", "handler"))])
def test_what_is_not_known_passes_no_filter(text: str) -> None:
    assert not subscription(text).passes(PLAIN)
    assert subscription("").passes(PLAIN)


def test_filters_hold_together() -> None:
    assert subscription("sources=gate&age__gte=20&tags=vip").passes(FULL)
    assert not subscription("sources=gate&age__gte=20&tags=day").passes(FULL)
    assert not subscription("sources=cam&age__gte=20&tags=vip").passes(FULL)


def test_best_candidate_of_all_labels_counts() -> None:
    matches = [
        {"label": "first", "candidates": [{"similarity": 0.4, "face": {"face_id": uuid4()}}]},
        {"label": "second", "candidates": [{"similarity": 0.8, "face": {"face_id": uuid4()}}]},
    ]
    facts = facts_of(plain_event(uuid4(), matches=matches))
    assert subscription("object_similarity__gte=0.8").passes(facts)
    assert not subscription("object_similarity__lt=0.8").passes(facts)


def test_event_without_candidates_has_neither_label_nor_similarity() -> None:
    facts = facts_of(plain_event(uuid4(), matches=[{"label": "vip", "candidates": []}]))
    assert not subscription("matching_candidates_labels=vip").passes(facts)
    assert not subscription("object_similarity__lt=2").passes(facts)


@pytest.mark.parametrize("facts", [FULL, PLAIN])
def test_facts_reach_other_processes_unchanged(facts: Facts) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(facts), type=Facts) == facts


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("stream_ids=cam1", "stream_ids"),
        ("stream_ids=null", "stream_ids"),
        ("gender=2", "gender"),
        ("gender=null", "gender"),
        ("ethnic_groups=0", "ethnic_groups"),
        ("ethnic_groups=1,,2", "ethnic_groups"),
        ("ethnic_groups=null", "ethnic_groups"),
        ("liveness=3", "liveness"),
        ("deepfake=2", "deepfake"),
        ("masks=4", "masks"),
        ("emotions=8", "emotions"),
        ("emotions=happiness", "emotions"),
        ("age__gte=young", "age__gte"),
        ("apparent_age__lt=101", "apparent_age__lt"),
        ("object_similarity__gte=high", "object_similarity__gte"),
        (f"tags={'x' * 37}", "tags"),
        ("headwear_states=3", "headwear_states"),
        ("upper_clothing_colors=pinkish", "upper_clothing_colors"),
        ("sleeve_lengths=", "sleeve_lengths"),
        ("user_data=%00", "user_data"),
        ("geo_position=", "geo_position"),
        ("geo_position=10,20", "geo_position"),
        ("geo_position=origin_longitude,10", "geo_position"),
        ("geo_position=origin_longitude,10,longitude_delta,1", "origin_latitude is missing"),
        ("geo_position=origin_longitude,181,origin_latitude,0", "origin_longitude must be from -180 to 180"),
        ("geo_position=origin_longitude,0,origin_latitude,0,latitude_delta,91", "latitude_delta must be from 0 to 90"),
        ("geo_position=origin_longitude,0,origin_latitude,0,origin_latitude,1", "given twice"),
        (f"geo_position=origin_longitude,0,origin_latitude,0,radius,{quote('1')}", "geo_position"),
    ],
)
def test_wrong_value_is_named(text: str, name: str) -> None:
    with pytest.raises(ApiError) as refused:
        subscription(text)
    assert (refused.value.status, refused.value.code) == (400, 12012)
    assert name in refused.value.detail
