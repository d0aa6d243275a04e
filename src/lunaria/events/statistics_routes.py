"""Operation 116: statistics of events."""

from lunaria.events.statistics import StatisticsService
from lunaria.events.statistics_schemas import Statistics, StatisticsRequest
from lunaria.http.operation import Call, Content, Reply, Routes, TypedBody, operation
from lunaria.http.principal import Need
from lunaria.http.query import NoQuery


class StatisticsRoutes(Routes):
    def __init__(self, statistics: StatisticsService) -> None:
        self._statistics = statistics

    @operation(
        "POST",
        "/6/events/stats",
        "events",
        "get statistics on events",
        needs=(Need("event", "view"),),
        body=TypedBody(StatisticsRequest),
        replies={200: Content(Statistics)},
        reading=True,
    )
    async def compute(self, call: Call[NoQuery, StatisticsRequest]) -> Reply:
        """Count events, and get the greatest, least and average values of their fields, of all or in groups.

        Groups are by creation time (`group_by`), by columns (targets with the aggregator group_by), or by both; empty
        ones are left out. The rows come in the order of the times and columns that they are grouped by.
        """
        return Reply(body=await self._statistics.compute(call.principal.reads(), call.body))
