"""The same work on many items, a bounded number at a time; several works of which the first to end counts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

A = TypeVar("A")
T = TypeVar("T")


async def map_concurrently(function: Callable[[A], Awaitable[T]], items: Iterable[A], at_once: int) -> list[T]:
    """The results of `function` on every item, in the items' order, `at_once` running at a time.

    The first failure is raised as it is (no group of exceptions), after the others have been cancelled and have ended.
    """
    wanted = list(items)
    if len(wanted) == 1:  # without the price of a task
        return [await function(wanted[0])]
    room = asyncio.Semaphore(at_once)

    async def bounded(item: A) -> T:
        async with room:
            return await function(item)

    tasks = [asyncio.ensure_future(bounded(item)) for item in wanted]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


@asynccontextmanager
async def turn_within(turns: asyncio.Semaphore, patience: float) -> AsyncIterator[None]:
    """One of the turns, given back at the end. Raises TimeoutError when none comes free within `patience` seconds."""
    await acquire_within(turns, patience)
    try:
        yield
    finally:
        turns.release()


async def acquire_within(turns: asyncio.Semaphore, patience: float) -> None:
    """Takes a turn, which the caller gives back. Raises TimeoutError as `turn_within` does."""
    if not turns.locked():  # without the price of a timer
        await turns.acquire()
        return
    async with asyncio.timeout(patience):
        await turns.acquire()


async def first_of(*works: Awaitable[T]) -> T:
    """The result (or failure) of whichever ends first; the others have been cancelled and have ended."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task.done()).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
