"""The route by which clients subscribe to events."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

from lunaria.events.publishing import EventMessage, EventPublisher, Reader
from lunaria.events.subscriptions import Subscription, SubscriptionQuery
from lunaria.http.operation import Call, Closing, Content, Routes, Serve, Upgrade, operation
from lunaria.http.principal import Need
from lunaria.kit.concurrency import first_of

TOO_SLOW = Closing(1013, "the client does not read as fast as events come")

_UPGRADED = Content(
    EventMessage, description="The connection is a websocket from now on. Each of its texts is one such message."
)


class WebsocketRoutes(Routes):
    """/6/ws."""

    def __init__(self, publisher: EventPublisher) -> None:
        self._publisher = publisher

    @operation(
        "GET",
        "/6/ws",
        "ws",
        "ws handshake",
        websocket=True,
        query=SubscriptionQuery,
        needs=(Need("event", "view"),),
        replies={101: _UPGRADED},
    )
    async def subscribe(self, call: Call[SubscriptionQuery, None]) -> Upgrade:
        """Subscribe to the account's own events as they are generated: the connection becomes a websocket, and the
        server sends a text for every event that fulfils all conditions. What a client sends is not read. Pings are
        sent every 20 s; who does not answer them, or does not read fast enough, is closed. Events that happen while a
        client is not connected are not sent later."""
        return Upgrade(conversation=self._conversation(call.principal.owner, Subscription(call.query)))

    @asynccontextmanager
    async def _conversation(self, account_id: UUID, subscription: Subscription) -> AsyncIterator[Serve]:
        async with self._publisher.reader(account_id, subscription) as reader:

            async def serve(send: Callable[[str], Awaitable[None]]) -> Closing:
                return await first_of(_pass_on(reader, send), _until_slow(reader))

            yield serve


async def _pass_on(reader: Reader, send: Callable[[str], Awaitable[None]]) -> Closing:
    while True:
        await send(await reader.next())


async def _until_slow(reader: Reader) -> Closing:
    await reader.slow.wait()
    return TOO_SLOW
