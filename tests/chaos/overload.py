"""
More requests than a service can take: what it still takes, and how it refuses the rest.

Capacity is what a few connections get through, each with its next request once the one before is
answered. Then requests come four times as fast, whether or not the ones before are answered, each
on a connection that is idle or new.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.ingest import make_request, make_span
from tests.service import Service

_SPANS = 500
_TIMES = 4
_CONNECTIONS = 4
_MOST_CONNECTIONS = 3_000
_LASTS_S = 10.0
# also the trace id, so that no two requests are of one trace
_MARK = b"mark-00000000000"
_GIVEN_UP_S = 60.0


@dataclass
class _Told:
    """What the senders were told; `without_hint` of those that were refused."""

    accepted: int = 0
    refused: int = 0
    without_hint: int = 0
    failed: int = 0
    refusal_s: list[float] = field(default_factory=list)
    accepted_s: list[float] = field(default_factory=list)


def overloaded(service: Service) -> tuple[str, int]:
    """Offer four times what *service* can take; return what came of it and how many it refused."""
    return asyncio.run(_overload(service.http_port))


async def _overload(port: int) -> tuple[str, int]:
    sender = _Sender(port)
    able = _Told()
    began = time.monotonic()
    await asyncio.gather(
        *(_one_by_one(sender, able, began + _LASTS_S) for _ in range(_CONNECTIONS))
    )
    rate = able.accepted / (time.monotonic() - began)
    told = _Told()
    offered = 0
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        while (passed_s := time.monotonic() - began) < _LASTS_S:
            while offered < _TIMES * rate * passed_s and sender.open_count < _MOST_CONNECTIONS:
                group.create_task(sender.send(told))
                offered += 1
                await asyncio.sleep(0)
            await asyncio.sleep(0.005)
        offered_s = time.monotonic() - began
    took_s = time.monotonic() - began
    slowest_s = max(told.refusal_s, default=0.0)
    waited = sorted(told.accepted_s) or [0.0]
    text = (
        f"{offered:,} requests of {_SPANS} spans, {offered / offered_s / rate:.1f} × capacity; "
        f"taken {told.accepted / took_s / rate:.0%} of it, half within "
        f"{waited[len(waited) // 2]:.1f} s, all within {waited[-1]:.1f} s; {told.without_hint} "
        f"refusals without a hint, the slowest after {slowest_s:.1f} s; {told.failed} without an "
        f"answer"
    )
    return text, told.refused


async def _one_by_one(sender: "_Sender", told: _Told, until: float) -> None:
    while time.monotonic() < until:
        await sender.send(told)


class _Sender:
    """Sends requests that differ, over idle connections and new ones."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._bodies = _bodies()
        self.open_count = 0

    async def send(self, told: _Told) -> None:
        """Send one request and note what came back."""
        self.open_count += 1
        began = time.monotonic()
        try:
            async with asyncio.timeout(_GIVEN_UP_S), self._connection() as (reader, writer):
                body = next(self._bodies)
                writer.write(
                    b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf"
                    b"\r\ncontent-length: %d\r\n\r\n" % len(body)
                )
                writer.write(body)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                await reader.readexactly(length)
        except (OSError, EOFError, TimeoutError):
            told.failed += 1
            return
        finally:
            self.open_count -= 1
        if head.startswith(b"http/1.1 200 "):
            told.accepted += 1
            told.accepted_s.append(time.monotonic() - began)
        else:
            told.refused += 1
            told.without_hint += b"\r\nretry-after: " not in head
            told.refusal_s.append(time.monotonic() - began)

    @asynccontextmanager
    async def _connection(
        self,
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        if self._idle:
            pair = self._idle.pop()
        else:
            pair = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            yield pair
        except BaseException:
            pair[1].close()
            raise
        self._idle.append(pair)


def _bodies() -> Iterator[bytes]:
    now_ns = time.time_ns()
    spans = [
        make_span(
            number,
            trace_id=_MARK,
            start_time_unix_nano=now_ns,
            end_time_unix_nano=now_ns + 1_000_000,
        )
        for number in range(1, _SPANS + 1)
    ]
    template = make_request(*spans, service="offered")
    number = 0
    while True:
        number += 1
        yield template.replace(_MARK, b"mark-%011d" % number)
