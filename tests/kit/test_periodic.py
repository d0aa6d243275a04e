"""Background work goes on after a failure and ends when told."""

import asyncio

from lunaria.kit.periodic import Periodic


async def test_goes_on_after_a_failure_and_stops() -> None:
    rounds = 0
    third = asyncio.Event()

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            third.set()
        raise RuntimeError("storage is away")

    periodic = Periodic("test", 0.001, work)
    periodic.start()
    await asyncio.wait_for(third.wait(), 5)
    await periodic.stop()
    ended_at = rounds
    await asyncio.sleep(0.02)
    assert rounds == ended_at
    await periodic.stop()  # harmless when nothing runs
