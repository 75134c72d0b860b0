"""
The local JSON logs of a self-hosted API Management gateway, one entry a UDP datagram.

The gateway sends them when `telemetry.logs.local` is `json`, to its `….local.json.endpoint`
(127.0.0.1:8888 by default). It is the only path out of such a gateway: it sends no diagnostic
logs to Azure.

Source: azure-docs api-management self-hosted-gateway-settings-reference.md.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from collector.datagrams import DatagramDoor, open_door
from collector.decode.gateways import get_adapter
from collector.errors import TooLarge, Undecodable
from collector.model import GatewayRecord
from collector.pull.sink import RecordSink, count_ignored
from collector.retry import until_accepted
from collector.settings import GatewayLogSettings
from collector.telemetry import Metrics

DOOR = "gateway-log-udp"
_QUEUE_DATAGRAMS = 5_000  # 2 kB each, 10 MB
_BATCH = 250  # 10 ms of decoding
_DRAIN_S = 5.0

_log = logging.getLogger(__name__)


def open_gateway_log(
    settings: GatewayLogSettings, intake: RecordSink, metrics: Metrics
) -> AbstractAsyncContextManager[int]:
    """Take datagrams until the block is left: see `open_door`."""
    return open_door(
        GatewayLogDoor(intake, metrics),
        settings.bind,
        settings.port,
        setting="HOPLINE_GATEWAY_LOG_UDP_PORT",
        are_tokens_asked=settings.are_tokens_asked,
        workers=1,
        drain_s=_DRAIN_S,
    )


class GatewayLogDoor(DatagramDoor[bytes]):
    """Queues datagrams for the sink."""

    def __init__(self, intake: RecordSink, metrics: Metrics) -> None:
        super().__init__(DOOR, metrics, _QUEUE_DATAGRAMS)
        self._intake = intake
        self._decode = get_adapter("azure-apim").decode

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        """Queue one datagram, or drop it when there is no room."""
        try:
            self.queue.put_nowait(data)
        except asyncio.QueueFull:
            self.drop("queue_full")

    async def work(self) -> None:
        """Store what is queued, in batches, until cancelled."""
        while True:
            batch = [await self.queue.get()]
            while len(batch) < _BATCH and not self.queue.empty():
                batch.append(self.queue.get_nowait())
            try:
                await self._store(self._read(batch))
            except asyncio.CancelledError:
                self.drop("closing", len(batch))
                raise
            except Exception:
                _log.exception("%s: %d datagrams failed", DOOR, len(batch))
                self.drop("internal", len(batch))
            finally:
                for _ in batch:
                    self.queue.task_done()

    def _read(self, batch: Sequence[bytes]) -> list[GatewayRecord]:
        records: list[GatewayRecord] = []
        for datagram in batch:
            try:
                decoded = self._decode(datagram)
            except (Undecodable, TooLarge) as exc:
                self._reject(exc.code)
                continue
            count_ignored(decoded, self.metrics, DOOR)
            records.extend(decoded.records)
            for error in decoded.rejected:
                self._reject(error.code)
        return records

    async def _store(self, records: Sequence[GatewayRecord]) -> None:
        # Nobody sends a datagram twice: while the disk is full the batch waits here, the queue
        # fills behind it, and what no longer fits is counted.
        if records:
            await until_accepted(
                lambda: self._intake.accept_records(records, door=DOOR, source="azure-apim")
            )

    def _reject(self, reason: str) -> None:
        self.metrics.count("hopline_intake_records_rejected_total", door=DOOR, reason=reason)
