"""Whom pictures are verified against: faces, events and temporary attributes, each with its descriptor."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lunaria.events.store import EventsStore
from lunaria.events.stored import StoredEvent, stored_event
from lunaria.faces.schemas import Face, shown_face
from lunaria.faces.store import FacesStore
from lunaria.handlers.verification_schemas import VerificationQuery
from lunaria.http.errors import ApiError
from lunaria.matching.schemas import MatchedAttribute
from lunaria.matching.service import Described, MatchingService
from lunaria.storage.scope import Scope

Origin = Literal["face", "event", "attribute"]
T = TypeVar("T")
Shown = Face | StoredEvent | MatchedAttribute

EVENT_FIELDS = (
    *("event_id", "account_id", "create_time", "end_time", "external_id", "handler_id", "stream_id", "source"),
    *("face_id", "tags", "user_data", "track_id"),
)
"""What is shown of an event: who and where it was, not what was estimated."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Objects with their descriptors of one version: `vectors` (N, D) float32, of unit length.

    `objects`: each as the field of a `Match` that shows it.
    """

    objects: Sequence[Mapping[str, Any]]
    vectors: NDArray[np.float32]


class CandidateReader:
    """Reads the candidates that a request names; `limit`: most of them."""

    def __init__(self, matching: MatchingService, faces: FacesStore, events: EventsStore, limit: int) -> None:
        self._matching = matching
        self._faces = faces
        self._events = events
        self._limit = limit

    async def read(self, scope: Scope, query: VerificationQuery, versions: Collection[int]) -> dict[int, Candidates]:
        """The candidates with their descriptors of each of the versions, each candidate once, in the query's order.

        Raises 404/22004, 404/11041, 404/23002, 404/22011 for one that is not there, 404/11032 and 404/22018 for one
        without descriptor, 400/31007 for too many.
        """
        described = {version: await self._described(scope, query, version) for version in versions}
        shown = await self._shown(scope, {(one.origin, one.key) for found in described.values() for one in found})
        return {
            version: Candidates(
                [{one.origin: shown[one.origin, one.key]} for one in found],
                np.stack([one.vector for one in found]),
            )
            for version, found in described.items()
        }

    async def _described(self, scope: Scope, query: VerificationQuery, version: int) -> list[Described]:
        found = await self._matching.descriptors_of(
            scope,
            face_ids=_each_once(query.face_ids),
            external_ids=_each_once(query.external_ids),
            event_ids=_each_once(query.event_ids),
            attribute_ids=_each_once(query.attribute_ids),
            version=version,
        )
        each_once = {(one.origin, one.key): one for one in found}
        if len(each_once) > self._limit:
            raise ApiError(31007, self._limit)
        return list(each_once.values())

    async def _shown(self, scope: Scope, keys: Collection[tuple[Origin, UUID]]) -> Mapping[tuple[Origin, UUID], Shown]:
        """The objects as the client gets them. Raises 404/22004 and 404/23002 for one that was deleted meanwhile."""
        faces = [key for origin, key in keys if origin == "face"]
        events = [key for origin, key in keys if origin == "event"]
        shown: dict[tuple[Origin, UUID], Shown] = {
            (origin, key): MatchedAttribute(attribute_id=key) for origin, key in keys if origin == "attribute"
        }
        if faces:
            rows = await self._faces.get(scope, faces, with_lists=True)
            shown |= {("face", row["face_id"]): shown_face(row, None) for row in rows}
        if events:
            found = await self._events.get(scope, events, EVENT_FIELDS)
            shown |= {("event", key): stored_event(row, EVENT_FIELDS) for key, row in found.items()}
        for origin, key in keys:
            if (origin, key) not in shown:
                raise ApiError(22004 if origin == "face" else 23002, key)
        return shown


def _each_once(named: Sequence[T] | None) -> list[T]:
    return list(dict.fromkeys(named or ()))
