"""A bounded pool of worker threads: work beyond the queue is refused, never piled up."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class PoolFullError(Exception):
    """The queue of a pool is full: the caller should be told to come back later."""


class WorkerPool:
    """Run blocking work on `workers` threads, with at most `queue` calls waiting beside those that run."""

    def __init__(self, workers: int, queue: int, *, name: str = "worker") -> None:
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix=name)
        self._room = workers + queue
        self._admitted = 0

    @property
    def admitted(self) -> int:
        """Calls that run or wait now."""
        return self._admitted

    @property
    def full(self) -> bool:
        """Whether a call would be refused now."""
        return self._admitted >= self._room

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function` on a thread of the pool. Raises PoolFullError when the queue is full.

        A caller that is cancelled leaves at once; its work keeps its place until it ends, since a
        running thread cannot be stopped and the bound must count what really runs.
        """
        if self.full:
            raise PoolFullError
        self._admitted += 1
        future = asyncio.get_running_loop().run_in_executor(self._executor, partial(function, *args, **kwargs))
        future.add_done_callback(self._leave)
        return await asyncio.shield(future)

    def _leave(self, future: "asyncio.Future[T]") -> None:
        self._admitted -= 1
        if not future.cancelled():
            future.exception()  # an abandoned caller's error has been seen: no warning at collection

    def close(self) -> None:
        """Refuse nothing, start nothing new, and wait for what runs."""
        self._executor.shutdown(wait=True, cancel_futures=True)
