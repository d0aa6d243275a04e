"""SQL of stored events."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert

from lunaria.events.columns import descriptors_of, details_of, row_of
from lunaria.events.event import NewEvent
from lunaria.events.partitions import Partitions
from lunaria.storage.database import Database
from lunaria.storage.schema import event_descriptors, event_details, events
from lunaria.storage.scope import ScopedConnection

Row = Mapping[str, Any]


async def add_events(connection: ScopedConnection, new: Sequence[NewEvent]) -> None:
    """Add events of the scope's account in the caller's transaction. Await `EventsStore.make_room` before it."""
    if not new:
        return
    await connection.execute(insert(events), [row_of(one) for one in new])
    await connection.execute(insert(event_details), [details_of(one) for one in new])
    descriptors = [row for one in new for row in descriptors_of(one)]
    if descriptors:
        await connection.execute(insert(event_descriptors), descriptors)


class EventsStore:
    """Rows of events."""

    def __init__(self, database: Database, partitions: Partitions) -> None:
        self._database = database
        self._partitions = partitions

    async def make_room(self, times: Collection[datetime]) -> None:
        """See `Partitions.make_room`."""
        await self._partitions.make_room(times)
