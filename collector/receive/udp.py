"""
Jaeger's agent ports: Thrift `emitBatch` calls, one a UDP datagram.

UDP is not acknowledged, so a datagram can be lost without its sender knowing. What this door loses
it counts: datagrams that arrive while its queue is full, those that wait for a journal that is full
when the door closes, and those that the system dropped because the socket's buffer was full.

Source: jaegertracing.io Agent (6831 compact, 6832 binary, datagrams up to 65,000 bytes).
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator

from collector.clock import Clock
from collector.config import is_loopback
from collector.errors import CollectorError, ConfigError
from collector.intake import Intake
from collector.model import Envelope, Stream
from collector.retry import until_accepted
from collector.settings import ReceiveSettings
from collector.telemetry import Metrics, SystemDrops

# 1,000 datagrams of ordinary size (10 spans, 5 kB) are 5 MB; 16 MiB caps the largest ones.
_QUEUE_DATAGRAMS = 1000
_QUEUE_BYTES = 16 * 1024 * 1024
# Workers share the journal's group commit: with one, each datagram would wait for its own fsync.
_WORKERS = 16
_SOCKET_BUFFER_BYTES = 4 * 1024 * 1024
_DRAIN_S = 2.0
_log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def open_udp(
    name: str,
    port: int,
    *,
    intake: Intake,
    settings: ReceiveSettings,
    metrics: Metrics,
    clock: Clock,
) -> AsyncIterator[int]:
    """
    Take datagrams of the Thrift protocol *name* (`compact` or `binary`) until the block is left.

    Returns:
        The port, chosen by the system when *port* is 0.

    Raises:
        ConfigError: the address cannot be bound, or tokens are asked for, which UDP has not.
    """
    if (settings.tokens or settings.token_file) and not is_loopback(settings.bind):
        raise ConfigError(
            "the Jaeger UDP door cannot check tokens",
            hint="set HOPLINE_JAEGER_UDP_PORT=0, or HOPLINE_BIND to loopback",
        )
    bound = _bind(settings.bind, port)
    door = UdpDoor(name, intake, metrics, clock)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: door, sock=bound)
    workers = [asyncio.create_task(door.work()) for _ in range(_WORKERS)]
    system_drops = SystemDrops(bound, metrics, door.door)
    watcher = asyncio.create_task(system_drops.watch())
    try:
        yield bound.getsockname()[1]
    finally:
        watcher.cancel()
        system_drops.count()
        transport.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                await door.drained()
        for worker in workers:
            worker.cancel()
        await asyncio.gather(watcher, *workers, return_exceptions=True)
        door.drop_rest()


class UdpDoor(asyncio.DatagramProtocol):
    """A bounded queue between the socket and intake."""

    def __init__(self, name: str, intake: Intake, metrics: Metrics, clock: Clock) -> None:
        self.door = f"jaeger-udp-{name}"
        self._format = f"jaeger-thrift-{name}"
        self._intake = intake
        self._metrics = metrics
        self._clock = clock
        self._queue: asyncio.Queue[Envelope] = asyncio.Queue(_QUEUE_DATAGRAMS)
        self._queued_bytes = 0

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        """Queue one datagram, or drop it when there is no room."""
        if self._queue.full() or self._queued_bytes + len(data) > _QUEUE_BYTES:
            self._drop("queue_full")
            return
        self._queued_bytes += len(data)
        self._queue.put_nowait(
            Envelope(
                signal=Stream.TRACE,
                format=self._format,
                body=data,
                received_ns=self._clock.now_ns(),
                door=self.door,
                source="jaeger",
                peer=str(addr[0]) if addr else "",
            )
        )

    def error_received(self, exc: Exception) -> None:
        """Note what the system says; a datagram socket goes on after it."""
        _log.warning("%s: %s", self.door, exc)

    async def work(self) -> None:
        """Hand queued datagrams to intake, one after the other, until cancelled."""
        while True:
            envelope = await self._queue.get()
            try:
                await self._accept(envelope)
            except asyncio.CancelledError:
                self._drop("closing")
                raise
            except CollectorError:
                pass  # intake has counted it, and there is nobody to tell
            except Exception:
                _log.exception("%s: a datagram failed", self.door)
                self._drop("internal")
            finally:
                self._queued_bytes -= len(envelope.body)
                self._queue.task_done()

    async def drained(self) -> None:
        """Wait until every queued datagram is handled."""
        await self._queue.join()

    def drop_rest(self) -> None:
        """Count what is still queued as dropped; the door is closed."""
        while not self._queue.empty():
            self._queue.get_nowait()
            self._drop("closing")

    async def _accept(self, envelope: Envelope) -> None:
        # Nobody sends a datagram twice: while intake is busy or the disk is full it waits here, the
        # queue fills behind it, and what no longer fits is counted.
        await until_accepted(lambda: self._intake.accept(envelope))

    def _drop(self, reason: str) -> None:
        self._metrics.count(
            "hopline_receive_datagrams_dropped_total", door=self.door, reason=reason
        )


def _bind(bind: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM)
    with contextlib.suppress(OSError):
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER_BYTES)
    try:
        bound.bind((bind, port))
    except OSError as exc:
        bound.close()
        raise ConfigError(
            f"cannot listen on {bind} UDP port {port}: {exc.strerror}",
            hint="set another HOPLINE_JAEGER_UDP_PORT; 0 turns the door off",
        ) from exc
    bound.setblocking(False)
    return bound
