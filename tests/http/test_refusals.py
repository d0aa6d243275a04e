"""Those who are refused for lack of room are held back a moment: so many at a time, and not while the server stops."""

import asyncio

from lunaria.http.edge import Refusals


async def test_some_are_held_and_the_end_lets_them_go() -> None:
    refusals = Refusals(seconds=3600, most=2)
    held = [asyncio.create_task(refusals.hold()) for _ in range(2)]
    await asyncio.sleep(0)
    assert refusals.held == 2
    await refusals.hold()  # no room: at once
    refusals.end()
    await asyncio.gather(*held)
    await refusals.hold()  # the server stops: at once
    assert refusals.held == 0


async def test_nobody_is_held_for_ever() -> None:
    refusals = Refusals(seconds=0.001)
    await refusals.hold()
    assert refusals.held == 0


async def test_who_leaves_makes_room() -> None:
    refusals = Refusals(seconds=3600, most=1)
    held = asyncio.create_task(refusals.hold())
    await asyncio.sleep(0)
    held.cancel()
    await asyncio.gather(held, return_exceptions=True)
    assert refusals.held == 0
