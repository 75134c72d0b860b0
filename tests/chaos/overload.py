"""
More requests than a service can take: what it still takes, and how it refuses the rest.

Capacity is what some connections get through, each with its next request once the one before is
answered. Half of that is refused to nobody. Then requests come four times as fast, whether or not
the ones before are answered, over HTTP each on a connection that is idle or new.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
import grpc.aio
from google.rpc.status_pb2 import Status

from collector.receive.work_queue import MOST_WAIT_S
from tests.ingest import make_request, make_span
from tests.service import Service

_SPANS = 500
_TIMES = 4
_CONNECTIONS = 4
_MOST_CONNECTIONS = 3_000
_CHANNELS = 16
_LASTS_S = 10.0
_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
# also the trace id, so that no two requests are of one trace
_MARK = b"mark-00000000000"
_GIVEN_UP_S = 60.0
# what must hold: of the wait beside that in line, on a machine that the senders share
_MOST_BESIDE_S = 2.0
_LEAST_TAKEN = 0.7


@dataclass
class _Told:
    """
    What the senders were told; `without_hint` of those that were refused.

    `cancelled` were those that gRPC's library ended, which has no hints: OTLP has them retried.

    `own_lag_s` is how long the senders at most took to look at what had come.
    """

    accepted: int = 0
    refused: int = 0
    without_hint: int = 0
    failed: int = 0
    cancelled: int = 0
    own_lag_s: float = 0.0
    refusal_s: list[float] = field(default_factory=list)
    accepted_s: list[float] = field(default_factory=list)


class _Sender(Protocol):
    """Sends requests that differ; `open_count` is how many are not answered."""

    open_count: int

    async def send(self, told: _Told) -> None:
        """Send one request and note what came back."""


def overloaded(service: Service, door: str) -> tuple[str, int]:
    """
    Offer four times what *service* can take; return what came of it and how many it refused.

    Raises:
        AssertionError: an acknowledgement took too long, too little was taken, or a sender was not
            told when to come back.
    """
    return asyncio.run(_overload(service, door))


async def _overload(service: Service, door: str) -> tuple[str, int]:
    async with _open_sender(service, door) as sender:
        able = _Told()
        began, began_cpu_s = time.monotonic(), _ingest_cpu_s(service)
        await asyncio.gather(
            *(_one_by_one(sender, able, began + _LASTS_S) for _ in range(_CONNECTIONS))
        )
        rate = able.accepted / (time.monotonic() - began)
        cpu_rate = able.accepted / (_ingest_cpu_s(service) - began_cpu_s)
        half, told = _Told(), _Told()
        await _offer(sender, half, rate / 2)
        began, began_cpu_s = time.monotonic(), _ingest_cpu_s(service)
        offered = await _offer(sender, told, _TIMES * rate)
        taken = told.accepted / (time.monotonic() - began) / rate
        # the senders take four times as much of the machine as before, which the service misses
        cpu_taken = told.accepted / (_ingest_cpu_s(service) - began_cpu_s) / cpu_rate
    slowest_s = max(told.refusal_s + told.accepted_s, default=0.0)
    text = (
        f"{offered:,} requests of {_SPANS} spans, {offered / _LASTS_S / rate:.1f} × capacity; "
        f"taken {taken:.0%} of it, {cpu_taken:.0%} for each second of its CPU; acknowledged within "
        f"{_spread(told.accepted_s)}, refused within {_spread(told.refusal_s)}; "
        f"{told.without_hint} refusals without a hint, {told.cancelled} cancelled; "
        f"{told.failed} without an answer; at half the capacity {half.refused} of "
        f"{half.accepted + half.refused} refused"
    )
    # a sender comes round to connect, to send and to read
    assert slowest_s <= MOST_WAIT_S + _MOST_BESIDE_S + 3 * told.own_lag_s, text
    assert max(taken, cpu_taken) >= _LEAST_TAKEN, text
    assert not (
        told.without_hint or told.failed or half.refused or half.failed or half.cancelled
    ), text
    return text, told.refused + told.cancelled


def _spread(durations_s: list[float]) -> str:
    """Say within what half of them, and all, are."""
    ordered = sorted(durations_s) or [0.0]
    return f"{ordered[len(ordered) // 2]:.1f} s (half) and {ordered[-1]:.1f} s (all)"


def _ingest_cpu_s(service: Service) -> float:
    return service.cpu_seconds()["ingest"]


async def _offer(sender: _Sender, told: _Told, per_s: float) -> int:
    """Send so many a second, answered or not; return how many once all are answered."""
    offered = 0
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        while (passed_s := time.monotonic() - began) < _LASTS_S:
            while offered < per_s * passed_s and sender.open_count < _MOST_CONNECTIONS:
                group.create_task(sender.send(told))
                offered += 1
                await asyncio.sleep(0)
            slept_s = time.monotonic()
            await asyncio.sleep(0.005)
            told.own_lag_s = max(told.own_lag_s, time.monotonic() - slept_s - 0.005)
    return offered


@asynccontextmanager
async def _open_sender(service: Service, door: str) -> AsyncIterator[_Sender]:
    if door == "http":
        yield _HttpSender(service.http_port)
        return
    sender = _GrpcSender(service.grpc_port)
    try:
        yield sender
    finally:
        await sender.close()


async def _one_by_one(sender: _Sender, told: _Told, until: float) -> None:
    while time.monotonic() < until:
        await sender.send(told)


class _HttpSender:
    """Sends over idle connections and new ones."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._bodies = _bodies()
        self.open_count = 0

    async def send(self, told: _Told) -> None:
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


class _GrpcSender:
    """Sends over some connections in turn."""

    def __init__(self, port: int) -> None:
        self._channels = [
            grpc.aio.insecure_channel(f"127.0.0.1:{port}", [("number", number)])
            for number in range(_CHANNELS)
        ]
        self._sent = 0
        self._bodies = _bodies()
        self.open_count = 0

    async def send(self, told: _Told) -> None:
        self.open_count += 1
        self._sent += 1
        channel = self._channels[self._sent % _CHANNELS]
        began = time.monotonic()
        try:
            export = channel.unary_unary(_EXPORT, bytes, bytes)
            await export(next(self._bodies), timeout=_GIVEN_UP_S)
        except grpc.aio.AioRpcError as exc:
            if exc.code() is grpc.StatusCode.CANCELLED:
                told.cancelled += 1
                told.refusal_s.append(time.monotonic() - began)
                return
            if exc.code() is not grpc.StatusCode.UNAVAILABLE:
                told.failed += 1
                return
            trailers: dict[str, Any] = dict(exc.trailing_metadata() or ())  # type: ignore[arg-type]
            details = trailers.get("grpc-status-details-bin", b"")
            told.refused += 1
            told.without_hint += not Status.FromString(details).details
            told.refusal_s.append(time.monotonic() - began)
        else:
            told.accepted += 1
            told.accepted_s.append(time.monotonic() - began)
        finally:
            self.open_count -= 1

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close(None)


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
