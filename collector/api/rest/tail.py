"""
`GET /api/v1/tail`: requests as they become known, as server-sent events.

A reader has a queue of bounded length. While it does not read, the oldest events make room for new
ones, and it is told how many it missed.

Source: WHATWG HTML, server-sent events.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.responses import StreamingResponse

from collector.answers import Answer, encode
from collector.api.workers import Workers
from collector.errors import CollectorError, Overloaded
from collector.http.errors import error_answer_of
from collector.query.search.tail import Missed, Tail

MAX_READERS = 8
_MAX_EVENTS = 1_000
_EVERY_S = 1.0
_KEEP_ALIVE_S = 15.0
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Tails:
    """The readers of the tail. *stop* ends them all; polls share one thread of their own."""

    def __init__(self, stop: asyncio.Event, *, every_s: float = _EVERY_S) -> None:
        self._stop = stop
        self._every_s = every_s
        self._workers = Workers(threads=1, queue=MAX_READERS)
        self._readers = 0

    async def open(self, make: Callable[[], Tail]) -> StreamingResponse:
        """
        Return the stream of one reader.

        Raises:
            BadQuestion: a parameter cannot be understood.
            Overloaded: there are too many readers already. Retryable.
        """
        if self._readers >= MAX_READERS:
            msg = f"no more than {MAX_READERS} readers of the tail are served at a time"
            raise Overloaded(msg, hint="close one, or list with GET /api/v1/requests")
        # it has its place from here on: others ask while it is made
        self._readers += 1
        try:
            tail = await self._workers.run(make)
        finally:
            self._readers -= 1
        stream = self._stream(_Reader(tail, self._workers, self._every_s))
        return StreamingResponse(stream, media_type="text/event-stream", headers=_HEADERS)

    async def close(self) -> None:
        """Wait for the polls that are under way."""
        await self._workers.close()

    async def _stream(self, reader: "_Reader") -> AsyncIterator[bytes]:
        self._readers += 1
        polling = asyncio.create_task(reader.poll(), name="tail")
        stopping = asyncio.create_task(self._stop.wait(), name="tail-stop")
        running: set[asyncio.Task[Any]] = {polling, stopping}
        try:
            # Something at once: a proxy or a client that waits for the first byte sees it is open.
            yield b": open\n\n"
            while not self._stop.is_set():
                waiting = asyncio.create_task(reader.wait(), name="tail-wait")
                running.add(waiting)
                await asyncio.wait(
                    running, timeout=_KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED
                )
                running.discard(waiting)
                waiting.cancel()
                yield reader.take() or b": waiting\n\n"
                if polling.done():
                    return
        finally:
            # A reader leaves in the middle of anything: no task of its own may outlive it.
            self._readers -= 1
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


class _Reader:
    """The events that one reader has not taken yet."""

    def __init__(self, tail: Tail, workers: Workers, every_s: float) -> None:
        self._tail = tail
        self._workers = workers
        self._every_s = every_s
        self._events: deque[bytes] = deque()
        self._missed = 0
        self._is_cut = False
        self._has_some = asyncio.Event()

    async def poll(self) -> None:
        """Ask for what is new until something is wrong that asking again does not mend."""
        while True:
            try:
                polled = await self._workers.run(self._tail.poll)
            except CollectorError as error:
                self._add(_write("error", error_answer_of(error)))
                if not error.retryable:
                    return
            else:
                self._is_cut |= polled.is_cut
                for event in polled.events:
                    self._add(_write(event.kind, event.request, event.request.id))
            await asyncio.sleep(self._every_s)

    async def wait(self) -> None:
        """Wait until there is something to take."""
        await self._has_some.wait()

    def take(self) -> bytes:
        """Return what there is to tell, with what was missed in front of it."""
        told = []
        if self._missed or self._is_cut:
            told.append(_write("missed", Missed(self._missed or None)))
        told += self._events
        self._events.clear()
        self._missed, self._is_cut = 0, False
        self._has_some.clear()
        return b"".join(told)

    def _add(self, event: bytes) -> None:
        if len(self._events) >= _MAX_EVENTS:
            self._events.popleft()
            self._missed += 1
        self._events.append(event)
        self._has_some.set()


def _write(name: str, answer: Answer, id_: str = "") -> bytes:
    # An id is one line of printable text; what is not could end the event.
    line = f"id: {id_}\n".encode() if id_.isprintable() and id_ else b""
    return b"event: " + name.encode() + b"\n" + line + b"data: " + encode(answer) + b"\n\n"
