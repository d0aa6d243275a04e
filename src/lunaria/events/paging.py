"""Which events make a page: found in a bounded time, whether many fulfil the conditions or none.

There are two good ways to the newest ten of a million events. Where many fulfil the conditions, going back from the
newest finds them at once; where few do, indexes name these few. The database has to guess which it is, and takes
values that it has never seen for frequent enough: then it walks through everything. So the newest events are walked
through first, and unless they fill the page, all that fulfil the conditions are collected, in whatever order is
cheapest, and sorted.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import FromClause, Select, func, select

from lunaria.events.filters import EventFilter, Ordering, bounds, contains_text, event_conditions, words_of
from lunaria.storage.schema import events
from lunaria.storage.scope import ScopedConnection

KEY = (events.c.event_id, events.c.create_time)
"""What the rest of an event is found by, with little effort thanks to the time."""
NEAR = 5000
NEAR_PER_EVENT = 20
"""How many events are walked through first: at least, and for each event of the pages up to the wanted one."""
FAR = 20_000
"""From so many events on, pages are only ever walked to."""
SAMPLED = 1000
COMMON = 30
"""Words are common when more than so many of the sampled user data have them."""

Row = Mapping[str, Any]


async def page_of(
    connection: ScopedConnection, wanted: EventFilter, ordering: Ordering, limit: int, offset: int
) -> Sequence[Row]:
    """The keys of the events on a page, in order."""
    matching = connection.scoped(select(*KEY), events).where(*event_conditions(wanted))
    if offset + limit > FAR:
        return await _rows(connection, _cut(matching, ordering, limit, offset))
    if wanted.event_ids is None:
        edge = await _edge(connection, wanted, ordering, max(NEAR, NEAR_PER_EVENT * (offset + limit)))
        near = matching if edge is None else matching.where(ordering.until(edge))
        found = await _rows(connection, _cut(near, ordering, limit, offset))
        if edge is None or len(found) == limit:
            return found
    if await _has_common_words(connection, wanted):
        matching = connection.scoped(select(*KEY), events).where(*event_conditions(wanted, by_trigrams=False))
    collected = matching.cte("collected").prefix_with("MATERIALIZED")
    return await _rows(connection, _cut(select(collected), ordering, limit, offset, collected))


async def _edge(connection: ScopedConnection, wanted: EventFilter, ordering: Ordering, count: int) -> Any:
    """Where the first `count` events end, without regard to most conditions; None when there are not so many."""
    column = ordering.column
    walked = connection.scoped(select(column), events).where(*bounds(wanted, column.name))
    statement = walked.order_by(column.desc() if ordering.descending else column).offset(count).limit(1)
    return (await connection.execute(statement)).scalar_one_or_none()


async def _has_common_words(connection: ScopedConnection, wanted: EventFilter) -> bool:
    """Whether many of the newest user data have all words of the wanted part, though not in a row.

    Then the index of trigrams names many events for nothing, and reading all user data from their own index is faster.
    """
    words = words_of(wanted.user_data or "")
    if not words:
        return False
    texts = connection.scoped(select(events.c.user_data), events)
    texts = texts.where(events.c.user_data != "", *bounds(wanted, "create_time"))
    newest = texts.order_by(events.c.create_time.desc()).limit(SAMPLED).subquery()
    having = select(func.count()).select_from(newest)
    having = having.where(*(contains_text(newest.c.user_data, word) for word in words))
    counted: int = (await connection.execute(having)).scalar_one()
    return counted > COMMON


def _cut(
    statement: Select[Any], ordering: Ordering, limit: int, offset: int, source: FromClause = events
) -> Select[Any]:
    return statement.order_by(*ordering.by(source)).limit(limit).offset(offset)


async def _rows(connection: ScopedConnection, statement: Select[Any]) -> Sequence[Row]:
    return [*(await connection.execute(statement)).mappings()]
