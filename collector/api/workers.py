"""
The threads in which blocking questions run, so that the event loop never waits for the store.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from collector.errors import Overloaded, QueryTimeout

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Workers:
    """
    A bounded pool: so many questions run, so many wait, the rest is told to retry.

    `/healthz` and `/readyz` do not come through here, so they answer while every thread is busy.
    """

    def __init__(self, *, threads: int = 4, queue: int = 64, timeout_s: float = 30.0) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="hopline-question")
        self._most = threads + queue
        self._timeout_s = timeout_s
        self._taken = 0

    async def run(self, ask: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """
        Run *ask* in a thread and return what it returns.

        Raises:
            Overloaded: too many questions are waiting. Retryable.
            QueryTimeout: no answer in time; the thread ends by the store's own limit. Retryable.
        """
        if self._taken >= self._most:
            msg = "too many questions at once"
            raise Overloaded(msg, hint="ask again in a moment", retry_after_s=1)
        loop = asyncio.get_running_loop()
        self._taken += 1
        job = self._pool.submit(ask, *args, **kwargs)
        # A place is free when the thread is, not when the asker has lost patience.
        job.add_done_callback(lambda done: self._release_in(loop, done))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(job), self._timeout_s)
        except TimeoutError as exc:
            msg = f"no answer within {self._timeout_s:g} s"
            raise QueryTimeout(msg, hint="narrow the range or add a filter") from exc

    async def close(self) -> None:
        """Drop what waits and see the rest to its end: the store is closed next."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    def _release_in(self, loop: asyncio.AbstractEventLoop, _: "Future[_T]") -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        self._taken -= 1
