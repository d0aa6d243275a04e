"""Work on many items at a time."""

import asyncio

import pytest

from lunaria.kit.concurrency import map_concurrently


async def test_order_and_bound() -> None:
    running = most = 0

    async def work(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01 if item % 2 else 0.03)
        running -= 1
        return item * item

    assert await map_concurrently(work, range(10), 3) == [item * item for item in range(10)]
    assert most == 3
    assert await map_concurrently(work, [], 3) == []


async def test_a_failure_ends_the_others() -> None:
    ended: list[int] = []

    async def work(item: int) -> None:
        try:
            await asyncio.sleep(0 if item == 1 else 10)
            raise LookupError(item)
        finally:
            ended.append(item)

    with pytest.raises(LookupError, match="1"):
        await asyncio.wait_for(map_concurrently(work, range(5), 3), 2)
    # the fourth may have got the room that the failing one left, before all were cancelled
    assert {0, 1, 2} <= set(ended) <= {0, 1, 2, 3}


async def test_cancellation_reaches_the_work() -> None:
    ended: list[int] = []

    async def work(item: int) -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ended.append(item)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(map_concurrently(work, range(3), 2), 0.05)
    assert sorted(ended) == [0, 1]
