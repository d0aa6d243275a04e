"""A building's door, from end to end on a real server and real photographs.

Staff and VIPs are known by two lists; strangers are put into a third one and known when they come again. A subscriber, a
receiver of callbacks, the search and the statistics see what happened.
"""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.servers import PHOTOS, running_server

SURE = 0.9
NOON = datetime(2026, 3, 5, 12, 0, tzinfo=UTC)
VISITS = (
    ("astronaut.png", "vip"),
    ("biden.jpg", "staff"),
    ("obama.jpg", "stranger"),
    ("obama2.jpg", "again"),
    ("obama3.jpg", "again"),
    ("biden.jpg", "staff"),
)
"""Who comes, in this order, every forty minutes: photograph and role."""
TOLD_LABEL = {"vip": "vip", "staff": "staff", "again": "visitors"}
MALE = {"astronaut.png": 0, "biden.jpg": 1, "obama.jpg": 1, "obama2.jpg": 1, "obama3.jpg": 1}

pytestmark = pytest.mark.skipif(
    not PHOTOS.is_dir(), reason=f"no photographs in {PHOTOS} (lunaria models pull --photos)"
)


class Receiver(ThreadingHTTPServer):
    """Takes callbacks and keeps them."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.arrived = threading.Semaphore(0)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.received.append(json.loads(body))
                self.send_response(204)
                self.end_headers()
                outer.arrived.release()

            def log_message(self, *args: object) -> None:
                """Keep the output of the tests clean."""

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/door"


class Door:
    """The server with the lists, the handler and everything that has happened."""

    def __init__(self, client: httpx.Client, receiver: Receiver) -> None:
        self.client, self.receiver = client, receiver
        self.lists = {
            name: self._post("/6/lists", {"user_data": name})["list_id"] for name in ("vip", "staff", "visitors")
        }
        self.handler = self._post("/6/handlers", {"description": "door", "policies": self._policies()})["handler_id"]
        self.known = [self.enrol("astronaut.png", "vip", "eileen"), self.enrol("biden.jpg", "staff", "joe")]
        self.events: list[dict[str, Any]] = []
        self.told: list[dict[str, Any]] = []

    def _post(self, path: str, body: object) -> dict[str, Any]:
        reply = self.client.post(path, json=body)
        assert reply.status_code == 201, reply.text
        made: dict[str, Any] = reply.json()
        return made

    def _policies(self) -> dict[str, Any]:
        unknown = {"match": [{"label": label, "similarity__lte": SURE} for label in self.lists]}
        return {
            "detect_policy": {"detect_face": 1, "estimate_emotions": 1},
            "extract_policy": {"extract_basic_attributes": 1},
            "match_policy": [
                {"label": label, "candidates": {"origin": "faces", "list_id": list_id}, "limit": 1, "threshold": SURE}
                for label, list_id in self.lists.items()
            ],
            "conditional_tags_policy": [
                {"tag": "VIP", "filters": {"match": [{"label": "vip", "similarity__gte": SURE}]}},
                {"tag": "came again", "filters": {"match": [{"label": "visitors", "similarity__gte": SURE}]}},
                {"tag": "new", "filters": unknown},
            ],
            "storage_policy": {
                "face_policy": {
                    "store_face": 1,
                    "filters": unknown,
                    "link_to_lists_policy": [{"list_id": self.lists["visitors"]}],
                },
                "callbacks": [
                    {
                        "url": self.receiver.url,
                        "filters": {"match": [{"label": "vip", "similarity__gte": SURE}]},
                    }
                ],
            },
        }

    def enrol(self, photo: str, list_name: str, external_id: str) -> str:
        """A known person, made as integrators make them: by a handler that stores faces."""
        policies = {
            "storage_policy": {
                "face_policy": {"store_face": 1, "link_to_lists_policy": [{"list_id": self.lists[list_name]}]},
                "event_policy": {"store_event": 0},
                "notification_policy": {"send_notification": 0},
            }
        }
        handler = self._post("/6/handlers", {"policies": policies})["handler_id"]
        reply = self.client.post(
            f"/6/handlers/{handler}/events",
            params={"external_id": external_id},
            content=(PHOTOS / photo).read_bytes(),
            headers={"Content-Type": "image/png" if photo.endswith("png") else "image/jpeg"},
        )
        assert reply.status_code == 201, reply.text
        (event,) = reply.json()["events"]
        assert event["url"] is None
        face_id: str = event["face"]["face_id"]
        return face_id

    def visit(self, number: int, photo: str) -> dict[str, Any]:
        when = NOON + timedelta(minutes=40 * number)
        kind = "image/png" if photo.endswith("png") else "image/jpeg"
        form: dict[str, tuple[str, bytes, str]] = {
            "image": (photo, (PHOTOS / photo).read_bytes(), kind),
            "meta": (
                "meta.json",
                json.dumps({"visit": {"number": number, "gate": "north" if number % 2 else "south"}}).encode(),
                "application/json",
            ),
        }
        reply = self.client.post(
            f"/6/handlers/{self.handler}/events",
            params={
                "source": "door",
                "tags": "recorded",
                "city": "Oslo",
                "longitude": 10.75 + number,
                "latitude": 59.91,
                "track_id": f"track-{number}",
            },
            files=form,
            headers={"Luna-Event-Time": when.isoformat()},
        )
        assert reply.status_code == 201, reply.text
        assert reply.json()["images"][0]["status"] == 1, reply.text
        (event,) = reply.json()["events"]
        made: dict[str, Any] = event
        return made


@pytest.fixture(scope="module")
def door(open_folder: Path) -> Iterator[Door]:
    """All visits have taken place; what the subscriber to VIPs and returning visitors was told is kept."""
    receiver = Receiver()
    serving = threading.Thread(target=receiver.serve_forever)
    serving.start()
    try:
        with running_server(open_folder / "door", LUNARIA_OUTBOUND_ALLOW="127.0.0.1") as server:
            auth = server.new_account()
            with server.client(auth, timeout=120) as client:
                door = Door(client, receiver)
                address = f"ws://127.0.0.1:{server.port}/6/ws?matching_candidates_labels=vip,visitors&tags=recorded"
                header = {"Authorization": httpx.BasicAuth(*auth)._auth_header}
                with connect(address, additional_headers=header) as socket:
                    door.events = [door.visit(number, photo) for number, (photo, _) in enumerate(VISITS)]
                    wanted = [role for _, role in VISITS if role in ("vip", "again")]
                    door.told = [json.loads(socket.recv(timeout=60)) for _ in wanted]
                    with pytest.raises(TimeoutError):
                        socket.recv(timeout=1)
                yield door
    finally:
        receiver.shutdown()
        serving.join()
        receiver.server_close()


def ids(events: list[dict[str, Any]]) -> list[str]:
    return [event["event_id"] for event in events]


def of_roles(door: Door, *roles: str) -> list[str]:
    """Ids of the events of these roles, the oldest first."""
    return [event["event_id"] for event, (_, role) in zip(door.events, VISITS, strict=True) if role in roles]


def best_label(event: dict[str, Any]) -> str | None:
    found = [match for match in event["matches"] if match["candidates"]]
    return found[0]["label"] if found else None


def search(door: Door, **filters: str | float) -> list[str]:
    """Ids of the stored events with these filters, the oldest first."""
    window: dict[str, str | float] = {"create_time__gte": NOON.isoformat(), "order": "asc", "page_size": 100}
    reply = door.client.get("/6/events", params={**window, **filters})
    assert reply.status_code == 200, reply.text
    return ids(reply.json()["events"])


def statistics(door: Door, **wanted: object) -> list[list[Any]]:
    reply = door.client.post("/6/events/stats", json=wanted)
    assert reply.status_code == 200, reply.text
    rows: list[list[Any]] = reply.json()["stats"]
    return rows


def test_everybody_is_recognised_and_tagged(door: Door) -> None:
    expected = {"vip": ["VIP"], "staff": [], "stranger": ["new"], "again": ["came again"]}
    for event, (photo, role) in zip(door.events, VISITS, strict=True):
        assert best_label(event) == TOLD_LABEL.get(role), photo
        assert event["tags"] == ["recorded", *expected[role]], photo
        assert event["face_attributes"]["basic_attributes"]["gender"] == MALE[photo], photo
    known = [event["matches"][0]["candidates"][0]["face"] for event in door.events[:2]]
    assert [(face["face_id"], face["external_id"]) for face in known] == list(
        zip(door.known, ("eileen", "joe"), strict=True)
    )


def test_a_stranger_becomes_a_face_once_and_is_recognised_from_then_on(door: Door) -> None:
    stranger, second, third = (door.events[number] for number in (2, 3, 4))
    face = stranger["face"]
    assert face["lists"] == [door.lists["visitors"]]
    assert second["face"] is None
    assert third["face"] is None
    for event in (second, third):
        assert event["matches"][0]["label"] == "visitors"
        assert event["matches"][0]["candidates"][0]["face"]["face_id"] == face["face_id"]
    stored = door.client.get("/6/faces", params={"list_id": door.lists["visitors"]}).json()["faces"]
    assert [one["face_id"] for one in stored] == [face["face_id"]]
    assert stored[0]["event_id"] == stranger["event_id"]
    assert door.client.get(stored[0]["avatar"]).headers["content-type"] == "image/jpeg"


def test_the_subscriber_is_told_of_vips_and_returning_visitors_only(door: Door) -> None:
    assert ids([message["event"] for message in door.told]) == of_roles(door, "vip", "again")
    by_id = {event["event_id"]: event for event in door.events}
    for message in door.told:
        assert message["handler_id"] == door.handler
        assert message["event"] == by_id[message["event"]["event_id"]]


def test_the_receiver_of_callbacks_gets_vips(door: Door) -> None:
    assert door.receiver.arrived.acquire(timeout=60)
    assert ids([call["event"] for call in door.receiver.received]) == of_roles(door, "vip")
    assert door.receiver.received[0]["handler_id"] == door.handler


def test_statistics_by_hour_gender_and_label_add_up(door: Door) -> None:
    by_hour: dict[str, int] = {}
    for number in range(len(VISITS)):
        hour = (NOON + timedelta(minutes=40 * number)).strftime("%Y-%m-%dT%H:00:00Z")
        by_hour[hour] = by_hour.get(hour, 0) + 1
    period = [{"begin": NOON.isoformat(), "end": (NOON + timedelta(days=1)).isoformat()}]
    assert statistics(door, period=period, group_by="1h") == [[hour, count] for hour, count in by_hour.items()]
    count = {"column": "event_id", "aggregator": "count"}
    genders = statistics(door, targets=[{"column": "gender", "aggregator": "group_by"}, count])
    assert sorted(genders) == [[0, 1], [1, 5]]
    label = {"column": "top_matching_candidates_label", "aggregator": "group_by"}
    labels = statistics(door, targets=[label, count])
    assert dict(labels) == {None: 1, "vip": 1, "staff": 2, "visitors": 2}
    total = statistics(door)
    assert total == [[len(VISITS)]] == [[sum(row[1] for row in labels)]] == [[sum(row[1] for row in genders)]]


def test_events_are_found_by_meta_tag_place_and_similarity(door: Door) -> None:
    everything = ids(door.events)
    assert search(door) == everything
    assert search(door, **{"meta.visit.gate": "north"}) == everything[1::2]
    assert search(door, **{"meta.visit.number__gte:integer": 4}) == everything[4:]
    assert search(door, tags="recorded,came again") == of_roles(door, "again")
    assert search(door, cities="Oslo", origin_longitude=12.75, origin_latitude=59.91) == [everything[2]]
    assert search(door, top_similar_object_similarity__gte=SURE) == of_roles(door, "vip", "staff", "again")
    assert search(door, top_matching_candidates_label="staff") == of_roles(door, "staff")
    assert search(door, gender=0) == of_roles(door, "vip")
    assert search(door, track_ids="track-3") == [everything[3]]


def test_events_are_found_by_the_face_in_them(door: Door) -> None:
    """Who was the stranger? The events answer a search by descriptor."""
    stranger = door.events[2]["face"]["face_id"]
    body = {
        "references": [{"type": "face", "id": stranger}],
        "candidates": [{"filters": {"origin": "events", "sources": ["door"]}, "limit": 10, "threshold": SURE}],
    }
    reply = door.client.post("/6/matcher/faces", json=body)
    assert reply.status_code == 200, reply.text
    found = reply.json()[0]["matches"][0]["result"]
    assert found[0]["event"]["event_id"] == door.events[2]["event_id"]
    assert {hit["event"]["event_id"] for hit in found} == set(of_roles(door, "stranger", "again"))
