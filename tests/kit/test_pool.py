"""The bounded pool: what runs, what waits, what is refused."""

import asyncio
import threading

import pytest

from lunaria.kit.pool import PoolFullError, WorkerPool


async def test_runs_on_a_thread() -> None:
    pool = WorkerPool(1, 0, name="test")
    assert (await pool.run(threading.current_thread)).name.startswith("test")
    pool.close()


async def test_refuses_beyond_the_queue_and_recovers() -> None:
    pool = WorkerPool(1, 1)
    release = threading.Event()
    waiting = [asyncio.ensure_future(pool.run(release.wait, 10)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(PoolFullError):
        await pool.run(int)
    release.set()
    assert await asyncio.gather(*waiting) == [True, True]
    assert await pool.run(int) == 0
    assert pool.admitted == 0
    pool.close()


async def test_a_cancelled_caller_leaves_its_work_in_its_place() -> None:
    pool = WorkerPool(1, 0)
    release = threading.Event()
    caller = asyncio.ensure_future(pool.run(release.wait, 10))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    with pytest.raises(PoolFullError):  # the thread is still busy
        await pool.run(int)
    release.set()
    for _ in range(100):
        if not pool.admitted:
            break
        await asyncio.sleep(0.01)
    assert await pool.run(int) == 0
    pool.close()


async def test_errors_reach_the_caller() -> None:
    pool = WorkerPool(1, 0)
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 / 0)
    pool.close()
