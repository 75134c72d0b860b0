"""
The threads in which blocking questions run, so that the event loop never waits for the store.
"""

import asyncio
import copy
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from collector.asking import Asking
from collector.errors import Overloaded, QueryTimeout

_P = ParamSpec("_P")
_T = TypeVar("_T")
_END_PAUSES_S = (0.1, 0.5, 2.0, 5.0)


class Workers:
    """
    A bounded pool: so many questions run, so many wait, the rest is told to retry.

    Each class of questions has a pool of its own, so that a cheap one never waits behind heavy
    ones. `/healthz` and `/readyz` do not come through here: they answer while every thread is busy.
    """

    def __init__(
        self,
        *,
        threads: int = 4,
        queue: int = 64,
        timeout_s: float = 30.0,
        line_s: float = 30.0,
        name: str = "question",
    ) -> None:
        self._threads = threads
        self._whole: Workers | None = None
        self._turns = asyncio.Semaphore(threads)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"hopline-{name}")
        self._most = threads + queue
        self._timeout_s = timeout_s
        self._line_s = line_s
        self._taken = 0
        self._ending: set[asyncio.Task[None]] = set()

    def share(self) -> "Workers":
        """
        Return this pool as one of several tenants sees it.

        A tenant has all threads but one and half of the places at most, and what it asks beyond
        that waits in a line of its own: the others find a thread however much it asks.
        """
        mine = copy.copy(self)
        mine._whole = self
        mine._turns = asyncio.Semaphore(max(1, self._threads - 1))
        mine._most = max(1, self._most // 2)
        return mine

    def divide(self, tenants: Iterable[str]) -> "dict[str, Workers]":
        """Return each tenant's view of this pool by its name; one alone has the pool itself."""
        names = list(tenants)
        return {name: self.share() if len(names) > 1 else self for name in names}

    async def run(self, ask: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """
        Run *ask* in a thread and return what it returns.

        When it takes too long or the caller is cancelled, its queries are ended.

        Raises:
            Overloaded: too many questions are waiting, or this one waited too long for its turn.
                Retryable.
            QueryTimeout: no answer in time. Retryable.
        """
        if self._taken >= self._most:
            raise _busy()
        if self._whole is not None:
            return await self._run_in_turn(self._whole, ask, *args, **kwargs)
        loop = asyncio.get_running_loop()
        self._taken += 1
        asking, begun = Asking(), asyncio.Event()

        def answer() -> _T:
            loop.call_soon_threadsafe(begun.set)
            return asking.run(ask, *args, **kwargs)

        job = self._pool.submit(answer)
        # A place is free when the thread is, not when the asker has lost patience.
        job.add_done_callback(lambda done: self._release_in(loop, done))
        try:
            if not job.done() and self._line_s < self._timeout_s:
                await self._wait_in_line(begun)
            # Not `wait_for`: until Python 3.12 it loses a cancellation that meets the answer.
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.wrap_future(job)
        except TimeoutError as exc:
            msg = f"no answer within {self._timeout_s:g} s"
            raise QueryTimeout(msg, hint="narrow the range or add a filter") from exc
        finally:
            if not job.done() and not job.cancel():
                ending = loop.create_task(_end(asking, job))
                self._ending.add(ending)
                ending.add_done_callback(self._ending.discard)

    async def _run_in_turn(
        self, whole: "Workers", ask: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        self._taken += 1
        try:
            try:
                async with asyncio.timeout(self._line_s):
                    await self._turns.acquire()
            except TimeoutError:
                raise _busy() from None
            try:
                return await whole.run(ask, *args, **kwargs)
            finally:
                self._turns.release()
        finally:
            self._taken -= 1

    async def _wait_in_line(self, begun: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(self._line_s):
                await begun.wait()
        except TimeoutError:
            raise _busy() from None

    async def close(self) -> None:
        """Drop what waits and see the rest to its end: the store is closed next."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)
        for ending in self._ending:
            ending.cancel()

    def _release_in(self, loop: asyncio.AbstractEventLoop, _: "Future[_T]") -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        self._taken -= 1


def _busy() -> Overloaded:
    msg = "too many questions at once"
    return Overloaded(msg, hint="ask again in a moment", retry_after_s=1)


async def _end(asking: Asking, job: "Future[_T]") -> None:
    """End the queries of a question that nobody waits for, and those that begin meanwhile."""
    for pause_s in _END_PAUSES_S:
        await asyncio.to_thread(asking.end)
        await asyncio.sleep(pause_s)
        if job.done():
            return
