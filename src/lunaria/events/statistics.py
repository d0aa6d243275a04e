"""Statistics of events: figures of all that fulfil the filters, in groups by time and by columns."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from lunaria.events.statistics_fields import Field, target_field, time_field
from lunaria.events.statistics_filters import filter_conditions, period_conditions
from lunaria.events.statistics_schemas import Statistics, StatisticsRequest
from lunaria.http.errors import ApiError
from lunaria.storage.database import Database
from lunaria.storage.schema import events
from lunaria.storage.scope import Scope


class StatisticsService:
    """Computes statistics. One answer holds at most `values` values, rows times fields."""

    def __init__(self, database: Database, values: int) -> None:
        self._database = database
        self._values = values

    async def compute(self, scope: Scope, wanted: StatisticsRequest) -> Statistics:
        """The figures of the scope's events that fulfil all filters.

        Groups come in the order of their times and columns, those without a value last; empty ones are left out.

        Raises:
            ApiError: 400/12022 naming the field that is wrong, or what makes too many groups.
        """
        fields = _fields(wanted)
        most = max(1, self._values // len(fields))
        labels = [f"field_{number}" for number in range(len(fields))]
        grouped = [label for label, field in zip(labels, fields, strict=True) if field.grouped]
        statement = (
            select(*(field.value.label(label) for label, field in zip(labels, fields, strict=True)))
            .select_from(events)
            .where(*period_conditions(wanted.period), *filter_conditions(wanted.filters))
            .group_by(*grouped)
            .order_by(*grouped)
            .limit(most + 1)
        )
        async with self._database.scoped_connect(scope) as connection:
            rows = (await connection.execute(connection.scoped(statement, events))).all()
        if len(rows) > most:
            path = "targets" if wanted.group_by is None else "group_by"
            told = f"more than {most} groups: make them larger, or the period shorter"
            raise ApiError(12022, path, told)
        return Statistics([field.name for field in fields], _shown(fields, rows))


def _fields(wanted: StatisticsRequest) -> list[Field]:
    """Time first, then the columns to group by, then the figures."""
    targets = [target_field(target, f"targets.{number}") for number, target in enumerate(wanted.targets)]
    figures = [field for field in targets if not field.grouped]
    if not figures:
        raise ApiError(12022, "targets", "at least one aggregator other than group_by is needed")
    times = [] if wanted.group_by is None else [time_field(wanted.group_by)]
    return [*times, *(field for field in targets if field.grouped), *figures]


def _shown(fields: Sequence[Field], rows: Sequence[Any]) -> list[list[Any]]:
    if all(field.shown is None for field in fields):
        return [list(row) for row in rows]
    return [
        [value if field.shown is None else field.shown(value) for field, value in zip(fields, row, strict=True)]
        for row in rows
    ]
