"""
The local JSON logs of a self-hosted API Management gateway, one entry a UDP datagram.

The gateway sends them when `telemetry.logs.local` is `json`, to its `….local.json.endpoint`
(127.0.0.1:8888 by default). It is the only path out of such a gateway: it sends no diagnostic
logs to Azure. UDP is not acknowledged; what is lost here is counted.

Source: azure-docs api-management self-hosted-gateway-settings-reference.md.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Sequence

from collector.config import is_loopback
from collector.decode.gateways import get_adapter
from collector.errors import ConfigError, TooLarge, Undecodable
from collector.model import GatewayRecord
from collector.pull.sink import RecordSink, count_ignored
from collector.retry import until_accepted
from collector.settings import GatewayLogSettings
from collector.telemetry import Metrics, SystemDrops

DOOR = "gateway-log-udp"
_QUEUE_DATAGRAMS = 5_000  # 2 kB each, 10 MB
_BATCH = 250  # 10 ms of decoding
_SOCKET_BUFFER_BYTES = 4 * 1024 * 1024
_DRAIN_S = 5.0

_log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def open_gateway_log(
    settings: GatewayLogSettings, intake: RecordSink, metrics: Metrics
) -> AsyncIterator[int]:
    """
    Take datagrams until the block is left; what is queued then is stored first.

    Returns:
        The port, chosen by the system when the setting is 0.

    Raises:
        ConfigError: the address cannot be bound, or tokens are asked for, which UDP has not.
    """
    if settings.are_tokens_asked and not is_loopback(settings.bind):
        raise ConfigError(
            "the UDP door for gateway logs cannot check tokens",
            hint="set HOPLINE_GATEWAY_LOG_UDP_PORT=0, or HOPLINE_BIND to loopback",
        )
    bound = _bind(settings)
    door = GatewayLogDoor(intake, metrics)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: door, sock=bound)
    worker = asyncio.create_task(door.work())
    system_drops = SystemDrops(bound, metrics, DOOR)
    watcher = asyncio.create_task(system_drops.watch())
    try:
        yield bound.getsockname()[1]
    finally:
        watcher.cancel()
        system_drops.count()
        transport.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(door.drained(), _DRAIN_S)
        worker.cancel()
        await asyncio.gather(watcher, worker, return_exceptions=True)
        door.drop_rest()


class GatewayLogDoor(asyncio.DatagramProtocol):
    """A bounded queue between the socket and the sink."""

    def __init__(self, intake: RecordSink, metrics: Metrics) -> None:
        self._intake = intake
        self._metrics = metrics
        self._decode = get_adapter("azure-apim").decode
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(_QUEUE_DATAGRAMS)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        """Queue one datagram, or drop it when there is no room."""
        try:
            self._queue.put_nowait(data)
        except asyncio.QueueFull:
            self._drop("queue_full", 1)

    def error_received(self, exc: Exception) -> None:
        """Note what the system says; a datagram socket goes on after it."""
        _log.warning("%s: %s", DOOR, exc)

    async def work(self) -> None:
        """Store what is queued, in batches, until cancelled."""
        while True:
            batch = [await self._queue.get()]
            while len(batch) < _BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            try:
                await self._store(self._read(batch))
            except asyncio.CancelledError:
                self._drop("closing", len(batch))
                raise
            except Exception:
                _log.exception("%s: %d datagrams failed", DOOR, len(batch))
                self._drop("internal", len(batch))
            finally:
                for _ in batch:
                    self._queue.task_done()

    async def drained(self) -> None:
        """Wait until every queued datagram is handled."""
        await self._queue.join()

    def drop_rest(self) -> None:
        """Count what is still queued as dropped; the door is closed."""
        if count := self._queue.qsize():
            self._drop("closing", count)

    def _read(self, batch: Sequence[bytes]) -> list[GatewayRecord]:
        records: list[GatewayRecord] = []
        for datagram in batch:
            try:
                decoded = self._decode(datagram)
            except (Undecodable, TooLarge) as exc:
                self._reject(exc.code)
                continue
            count_ignored(decoded, self._metrics, DOOR)
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
        self._metrics.count("hopline_intake_records_rejected_total", door=DOOR, reason=reason)

    def _drop(self, reason: str, count: int) -> None:
        self._metrics.count(
            "hopline_receive_datagrams_dropped_total", count, door=DOOR, reason=reason
        )


def _bind(settings: GatewayLogSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.bind else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM)
    with contextlib.suppress(OSError):
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER_BYTES)
    try:
        bound.bind((settings.bind, settings.port))
    except OSError as exc:
        bound.close()
        raise ConfigError(
            f"cannot listen on {settings.bind} UDP port {settings.port}: {exc.strerror}",
            hint="set another HOPLINE_GATEWAY_LOG_UDP_PORT; 0 turns the door off",
        ) from exc
    bound.setblocking(False)
    return bound
