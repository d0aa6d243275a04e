"""SQL of stored events."""

import operator
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import reduce
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Table, Text, and_, cast, delete, false, func, select
from sqlalchemy.dialects.postgresql import JSONB

from lunaria.events.columns import descriptors_of, details_of, row_of
from lunaria.events.event import NewEvent
from lunaria.events.filters import EventFilter, Order, event_conditions, ordering
from lunaria.events.paging import KEY, page_of
from lunaria.events.partitions import Partitions
from lunaria.events.stored import COLUMNS, DETAILS, EVENT_TARGETS
from lunaria.storage.arrays import among, packed
from lunaria.storage.database import Database
from lunaria.storage.schema import PARTITIONED_TABLES, event_descriptors, event_details, events
from lunaria.storage.scope import NewRows, Scope, ScopedConnection

Row = Mapping[str, Any]

BYTES = 64 * 1024 * 1024
"""Most bytes of meta, matches and detections that are read at one time."""
FEW = 16
"""So many events are read whatever they hold: each is bounded when it is written."""


class LargeEventsError(Exception):
    """The events have more bytes in `targets` than are read at one time."""

    def __init__(self, targets: Sequence[str]) -> None:
        super().__init__(f"more than {BYTES} bytes of {', '.join(targets)}: ask for fewer events, or without these")


def new_events(scope: Scope, new: Sequence[NewEvent]) -> list[NewRows]:
    """The rows of events of the scope's account. Await `EventsStore.make_room` before they are added."""
    return [
        NewRows(scope, events, [row_of(one) for one in new]),
        NewRows(scope, event_details, [details_of(one) for one in new]),
        NewRows(scope, event_descriptors, [row for one in new for row in descriptors_of(one)]),
    ]


class EventsStore:
    """Rows of events. `targets`: the fields to read (None: all), see `stored.stored_event`."""

    def __init__(self, database: Database, partitions: Partitions) -> None:
        self._database = database
        self._partitions = partitions

    async def make_room(self, times: Collection[datetime]) -> None:
        """See `Partitions.make_room`."""
        await self._partitions.make_room(times)

    async def find(
        self,
        scope: Scope,
        wanted: EventFilter,
        limit: int,
        offset: int,
        targets: Collection[str] | None = None,
        order: Order | None = None,
    ) -> list[Row]:
        """A page of the events that fulfil the filter. Raises LargeEventsError."""
        async with self._database.scoped_connect(scope) as connection:
            keys = await page_of(connection, wanted, ordering(wanted, order), limit, offset)
            rows = await _read(connection, keys, targets)
        return [rows[key["event_id"]] for key in keys if key["event_id"] in rows]

    async def get(self, scope: Scope, event_ids: Collection[UUID], targets: Collection[str] | None) -> dict[UUID, Row]:
        """Those of the events that are there. Raises LargeEventsError."""
        async with self._database.scoped_connect(scope) as connection:
            wanted = select(*KEY).where(among(events.c.event_id, event_ids))
            keys: list[Row] = [*(await connection.execute(connection.scoped(wanted, events))).mappings()]
            return await _read(connection, keys, targets)

    async def packed_ids(self, scope: Scope, wanted: EventFilter) -> bytes:
        """The ids of all events that fulfil the filter, in no order; see `arrays.unpack`."""
        async with self._database.scoped_connect(scope) as connection:
            statement = connection.scoped(select(packed(events.c.event_id)), events).where(*event_conditions(wanted))
            ids: bytes = (await connection.execute(statement)).scalar_one()
        return ids

    async def delete_some(self, scope: Scope, wanted: EventFilter, limit: int) -> int:
        """Delete the oldest events that fulfil the filter, at most `limit`; how many went. Call it until none does.

        Whole months go at less cost with `Partitions.drop_month`.
        """
        async with self._database.scoped_transaction(scope) as connection:
            oldest = connection.scoped(select(*KEY), events)
            oldest = oldest.where(*event_conditions(wanted)).order_by(events.c.create_time).limit(limit)
            keys: list[Row] = [*(await connection.execute(oldest.with_for_update())).mappings()]
            for table in PARTITIONED_TABLES:
                await connection.execute(connection.scoped(delete(table), table).where(*_among(table, keys)))
        return len(keys)


def _among(table: Table, rows: Sequence[Row]) -> list[ColumnElement[bool]]:
    """Whether rows of a table are of these events. Their times tell which partitions need to be looked at."""
    times = [row["create_time"] for row in rows]
    if not times:
        return [false()]
    return [
        among(table.c.event_id, [row["event_id"] for row in rows]),
        table.c.create_time.between(min(times), max(times)),
    ]


def _columns(targets: Collection[str] | None) -> tuple[list[ColumnElement[Any]], list[ColumnElement[Any]]]:
    """The columns of `events` and those of `event_details` that the targets need; the former with the key."""
    shown = [target for target in EVENT_TARGETS if targets is None or target in targets]
    names = {column.name for column in KEY}
    for target in shown:
        names.update(() if target in DETAILS else COLUMNS.get(target, (target,)))
    details: list[ColumnElement[Any]] = [event_details.c[target] for target in shown if target in DETAILS]
    return [column for column in events.c if column.name in names], details


async def _read(connection: ScopedConnection, keys: Sequence[Row], targets: Collection[str] | None) -> dict[UUID, Row]:
    """What the targets need of these events, of those that are still there. Raises LargeEventsError."""
    columns, details = _columns(targets)
    if len(columns) == len(KEY) and not details:
        return {key["event_id"]: key for key in keys}
    found = _of(connection, keys, with_details=bool(details))
    large = [column for column in (*columns, *details) if isinstance(column.type, JSONB)]
    if large and len(keys) > FEW:
        sizes = (func.coalesce(func.octet_length(cast(column, Text)), 0) for column in large)
        size = (await connection.execute(found.with_only_columns(func.sum(reduce(operator.add, sizes))))).scalar_one()
        if size is not None and size > BYTES:
            raise LargeEventsError([str(column.key) for column in large])
    rows: list[Row] = [*(await connection.execute(found.with_only_columns(*columns, *details))).mappings()]
    return {row["event_id"]: row for row in rows}


def _of(connection: ScopedConnection, keys: Sequence[Row], *, with_details: bool) -> Select[Any]:
    """These events, with what is only shown of them."""
    found = connection.scoped(select(*KEY), events).select_from(events).where(*_among(events, keys))
    if not with_details:
        return found
    same = [event_details.c[column.name] == column for column in KEY]
    return connection.scoped(found.join(event_details, and_(*same, *_among(event_details, keys))), event_details)
