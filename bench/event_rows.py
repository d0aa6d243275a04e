"""A million events as a few installations might leave them: made of random numbers, loaded into the tables directly.

Accounts of different sizes; cameras that see many people and cameras that see few; people who come again, some of them
known; faces, bodies and both; positions, tags and the user's own fields on a part of them. The same seed gives the
same events, apart from the times, which end now.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import numpy as np
from numpy.typing import NDArray

from lunaria.storage.schema import event_details, events

DAYS = 92
PART = 20_000
SHARES = (0.55, 0.25, 0.12, 0.05, 0.03)
"""Of the accounts in the events."""
CAMERAS = (240, 120, 60, 20, 4)
"""Of the accounts."""
PEOPLE = 60_000
CITIES = (("Moscow", 37.62, 55.75), ("Tver", 35.91, 56.86), ("Oslo", 10.75, 59.91), ("Lima", -77.04, -12.05))
LABELS = ("staff", "guests", "wanted")
TAGS = ("entrance", "exit", "vip", "staff", "visitor", "night", "crowd", "lift", "parking", "roof")
CLOTHING = ("black", "blue", "gray", "white", "red", "green", "brown", "beige", "multicolored", "khaki")
ACCESSORY = ("black", "white", "other", "undefined")

Numbers = NDArray[Any]
Columns = dict[str, list[Any]]


@dataclass
class EventRows:
    """Random events. `accounts` in the order of their sizes, the largest first."""

    count: int
    seed: int = 1
    until: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)
        self.accounts = self._ids(len(SHARES))
        self.handlers = [self._ids(3) for _ in self.accounts]
        self.people = self._ids(PEOPLE)
        self.cameras = [
            [(f"camera {number}" if number else "main entrance", *self._ids(1)) for number in range(count)]
            for count in CAMERAS
        ]
        """Names and streams; every account has a main entrance."""

    def parts(self) -> Iterator[tuple[Columns, Columns]]:
        """Rows of `events` and of `event_details` by column, some at a time, oldest first."""
        moments = np.sort(self._random.random(self.count)) * DAYS * 86400
        for start in range(0, self.count, PART):
            yield self._part(self.until - timedelta(days=DAYS), moments[start : start + PART])

    def _ids(self, count: int) -> list[UUID]:
        data = self._random.bytes(16 * count)
        return [UUID(bytes=data[place : place + 16], version=4) for place in range(0, len(data), 16)]

    def _some(self, share: float, values: list[Any]) -> list[Any]:
        """The values, but null except in a share of the rows."""
        return [
            value if kept else None
            for value, kept in zip(values, self._random.random(len(values)) < share, strict=True)
        ]

    def _where(self, condition: Numbers, values: Numbers) -> list[Any]:
        return [value if holds else None for value, holds in zip(values.tolist(), condition.tolist(), strict=True)]

    def _codes(self, count: int, shares: dict[int, float]) -> Numbers:
        return self._random.choice(list(shares), count, p=list(shares.values()))

    def _words(self, count: int, words: tuple[str, ...]) -> Numbers:
        """Words, the first ones more often."""
        weights = 1 / np.arange(1, len(words) + 1)
        return self._random.choice(np.array(words, dtype=object), count, p=weights / weights.sum())

    def _part(self, begin: datetime, moments: Numbers) -> tuple[Columns, Columns]:
        count = len(moments)
        owners = self._random.choice(len(SHARES), count, p=SHARES).tolist()
        key = {
            "event_id": self._ids(count),
            "account_id": [self.accounts[owner] for owner in owners],
            "create_time": [begin + timedelta(seconds=moment) for moment in moments.tolist()],
        }
        face = self._random.random(count) < 0.9
        body = ~face | (self._random.random(count) < 0.25)
        similarities = self._random.beta(2, 3, count)
        matched = face & (self._random.random(count) < 0.6)
        rows: Columns = {
            **key,
            "end_time": [time + timedelta(seconds=3) for time in key["create_time"]],
            **self._origins(count, owners),
            **self._face_columns(count, face),
            **self._body_columns(count, body),
            "top_match_label": self._where(matched, self._words(count, LABELS)),
            "top_match_similarity": self._where(matched, similarities),
            "top_match_object_id": self._where(matched, self._persons(count)),
            "top_match_is_event": self._where(matched, np.zeros(count, bool)),
            "top_match_external_id": [
                None if one is None else f"person {one}"
                for one in self._where(matched, self._random.integers(PEOPLE, size=count))
            ],
        }
        return rows, {**key, **self._details(count, face, body, rows)}

    def _persons(self, count: int) -> Numbers:
        return np.array(self.people, dtype=object)[self._random.integers(PEOPLE, size=count)]

    def _origins(self, count: int, owners: list[int]) -> Columns:
        cameras = (self._random.random(count) ** 2).tolist()  # some see much more than others
        seen = [self.cameras[owner][int(place * CAMERAS[owner])] for owner, place in zip(owners, cameras, strict=True)]
        cities = [CITIES[(owner + int(place * 8)) % len(CITIES)] for owner, place in zip(owners, cameras, strict=True)]
        spread = (self._random.standard_normal((count, 2)) * 0.05).tolist()
        located = self._random.random(count) < 0.7
        streets = [f"street {int(place * 50)}" for place in cameras]
        persons = self._random.integers(PEOPLE, size=count).tolist()
        numbers = self._random.integers(10**9, size=count).tolist()
        return {
            "handler_id": [self.handlers[owner][int(place * 3)] for owner, place in zip(owners, cameras, strict=True)],
            "face_id": self._some(0.2, self._ids(count)),
            "external_id": [person or "" for person in self._some(0.15, [f"person {one}" for one in persons])],
            "user_data": [
                text or "" for text in self._some(0.3, [f"visitor {one} at gate {one % 7}" for one in numbers])
            ],
            "source": self._some(0.95, [name for name, _ in seen]),
            "stream_id": self._some(0.8, [stream for _, stream in seen]),
            "track_id": self._some(0.6, [f"track-{one}" for one in numbers]),
            "tags": [
                list(dict.fromkeys(TAGS[int(place * len(TAGS))] for place in places[: one % 4]))
                for one, places in zip(persons, (self._random.random((count, 3)) ** 3).tolist(), strict=True)
            ],
            "city": self._where(located, np.array([city for city, _, _ in cities], dtype=object)),
            "area": self._where(located, np.array([f"area {int(place * 12)}" for place in cameras], dtype=object)),
            "district": self._some(0.4, [f"district {int(place * 30)}" for place in cameras]),
            "street": self._some(0.5, streets),
            "house_number": self._some(0.4, [str(one % 200) for one in numbers]),
            "longitude": self._where(
                located, np.array([city[1] + away[0] for city, away in zip(cities, spread, strict=True)])
            ),
            "latitude": self._where(
                located, np.array([city[2] + away[1] for city, away in zip(cities, spread, strict=True)])
            ),
            "meta": self._some(
                0.25,
                [
                    msgspec.json.encode(
                        {
                            "gate": {"number": one % 12, "temperature": 36 + one % 30 / 10},
                            "shift": "night" if one % 5 == 0 else "day",
                            "ticket": f"T-{one}",
                        }
                    ).decode()
                    for one in numbers
                ],
            ),
        }

    def _face_columns(self, count: int, face: Numbers) -> Columns:
        ages = np.clip(self._random.normal(36, 14, count), 1, 95).astype(int)
        emotions = {1: 0.04, 2: 0.005, 3: 0.01, 4: 0.25, 5: 0.6, 6: 0.06, 7: 0.035}
        return {
            "gender": self._where(face, self._codes(count, {0: 0.45, 1: 0.55})),
            "age": self._where(face, ages),
            "emotion": self._where(face, self._codes(count, emotions)),
            "mask": self._where(face, self._codes(count, {1: 0.9, 2: 0.08, 3: 0.02})),
            "ethnic_group": self._where(face, self._codes(count, {1: 0.05, 2: 0.1, 3: 0.25, 4: 0.6})),
            "liveness": self._where(face, self._codes(count, {0: 0.002, 1: 0.958, 2: 0.04})),
            "deepfake": self._where(face & (self._random.random(count) < 0.3), self._codes(count, {1: 1.0})),
        }

    def _body_columns(self, count: int, body: Numbers) -> Columns:
        def colors() -> list[list[str] | None]:
            pairs = zip(self._words(count, CLOTHING), self._words(count, CLOTHING), body.tolist(), strict=True)
            return [list({one, other}) if seen else None for one, other, seen in pairs]

        presence = {0: 0.8, 1: 0.15, 2: 0.05}
        return {
            "apparent_gender": self._where(body, self._codes(count, {0: 0.4, 1: 0.5, 2: 0.1})),
            "apparent_age": self._where(body, np.clip(self._random.normal(38, 12, count), 3, 90).astype(int)),
            "headwear_state": self._where(body, self._codes(count, presence)),
            "headwear_apparent_color": self._where(body, self._words(count, ACCESSORY)),
            "sleeve_length": self._where(body, self._words(count, ("long", "short", "undefined"))),
            "upper_clothing_colors": colors(),
            "lower_garment_type": self._where(body, self._words(count, ("trousers", "undefined", "skirt", "shorts"))),
            "lower_garment_colors": colors(),
            "shoes_apparent_color": self._where(body, self._words(count, ACCESSORY)),
            "backpack_state": self._where(body, self._codes(count, presence)),
        }

    def _details(self, count: int, face: Numbers, body: Numbers, rows: Columns) -> Columns:
        """What is shown only: of the usual length."""
        samples = self._ids(count)

        def detections(seen: list[bool]) -> list[str]:
            return [
                msgspec.json.encode(
                    [
                        {
                            "sample_id": sample,
                            "detect_time": time,
                            "detect_ts": None,
                            "image_origin": None,
                            "detection": {"rect": {"x": 100, "y": 80, "width": 120, "height": 160}},
                        }
                    ]
                    if there
                    else []
                ).decode()
                for there, sample, time in zip(seen, samples, rows["create_time"], strict=True)
            ]

        results = [
            None
            if label is None
            else msgspec.json.encode(
                [
                    {
                        "label": label,
                        "candidates": [
                            {
                                "similarity": similarity,
                                "face": {"face_id": face_id, "external_id": name, "user_data": ""},
                            }
                        ]
                        * 3,
                    }
                ]
            ).decode()
            for label, similarity, face_id, name in zip(
                rows["top_match_label"],
                rows["top_match_similarity"],
                rows["top_match_object_id"],
                rows["top_match_external_id"],
                strict=True,
            )
        ]
        return {
            "match_result": results,
            "face_detections": detections(face.tolist()),
            "body_detections": detections(body.tolist()),
            "attach_result": [[] for _ in range(count)],
        }


async def load(connection: "asyncpg.Connection[Any]", made: EventRows) -> None:
    """Copy the events into their tables, which need partitions for the time; then let the planner know them."""
    for rows, details in made.parts():
        for table, columns in ((events, rows), (event_details, details)):
            names = [column.name for column in table.columns]
            records = zip(*(columns[name] for name in names), strict=True)
            await connection.copy_records_to_table(table.name, records=list(records), columns=names)
    for table in (events, event_details):
        await connection.execute(f"VACUUM ANALYZE {table.name}")
