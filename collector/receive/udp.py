"""
Jaeger's agent ports: Thrift `emitBatch` calls, one a UDP datagram.

Source: jaegertracing.io Agent (6831 compact, 6832 binary, datagrams up to 65,000 bytes).
"""

import asyncio
import logging
from contextlib import AbstractAsyncContextManager

from collector.clock import Clock
from collector.datagrams import DatagramDoor, open_door
from collector.errors import CollectorError
from collector.intake import Intake
from collector.model import Envelope, Stream
from collector.retry import until_accepted
from collector.settings import ReceiveSettings
from collector.telemetry import Metrics

# 1,000 datagrams of ordinary size (10 spans, 5 kB) are 5 MB; 16 MiB caps the largest ones.
_QUEUE_DATAGRAMS = 1000
_QUEUE_BYTES = 16 * 1024 * 1024
# Workers share the journal's group commit: with one, each datagram would wait for its own fsync.
_WORKERS = 16
_DRAIN_S = 2.0
_log = logging.getLogger(__name__)


def open_udp(
    name: str,
    port: int,
    *,
    intake: Intake,
    settings: ReceiveSettings,
    metrics: Metrics,
    clock: Clock,
) -> AbstractAsyncContextManager[int]:
    """Take datagrams of the Thrift protocol *name*, `compact` or `binary`: see `open_door`."""
    return open_door(
        UdpDoor(name, intake, metrics, clock),
        settings.bind,
        port,
        setting="HOPLINE_JAEGER_UDP_PORT",
        are_tokens_asked=bool(settings.tokens or settings.token_file),
        workers=_WORKERS,
        drain_s=_DRAIN_S,
    )


class UdpDoor(DatagramDoor[Envelope]):
    """Queues datagrams for intake."""

    def __init__(self, name: str, intake: Intake, metrics: Metrics, clock: Clock) -> None:
        super().__init__(f"jaeger-udp-{name}", metrics, _QUEUE_DATAGRAMS)
        self._format = f"jaeger-thrift-{name}"
        self._intake = intake
        self._clock = clock
        self._queued_bytes = 0

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        """Queue one datagram, or drop it when there is no room."""
        if self.queue.full() or self._queued_bytes + len(data) > _QUEUE_BYTES:
            self.drop("queue_full")
            return
        self._queued_bytes += len(data)
        self.queue.put_nowait(
            Envelope(
                signal=Stream.TRACE,
                format=self._format,
                body=data,
                received_ns=self._clock.now_ns(),
                door=self.name,
                source="jaeger",
                peer=str(addr[0]) if addr else "",
            )
        )

    async def work(self) -> None:
        """Hand queued datagrams to intake, one after the other, until cancelled."""
        while True:
            envelope = await self.queue.get()
            try:
                await self._accept(envelope)
            except asyncio.CancelledError:
                self.drop("closing")
                raise
            except CollectorError:
                pass  # intake has counted it, and there is nobody to tell
            except Exception:
                _log.exception("%s: a datagram failed", self.name)
                self.drop("internal")
            finally:
                self._queued_bytes -= len(envelope.body)
                self.queue.task_done()

    async def _accept(self, envelope: Envelope) -> None:
        # Nobody sends a datagram twice: while intake is busy or the disk is full it waits here, the
        # queue fills behind it, and what no longer fits is counted.
        await until_accepted(lambda: self._intake.accept(envelope))
