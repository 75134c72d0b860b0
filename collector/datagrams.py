"""
UDP doors: a bounded queue between the socket and whoever stores what comes.

UDP is not acknowledged, so a datagram can be lost without its sender knowing. What is lost here is
counted: datagrams that arrive while the queue is full, those that still wait when the door closes,
and those that the system dropped because the socket's buffer was full.
"""

import asyncio
import contextlib
import logging
import socket
import struct
from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from collector.errors import ConfigError
from collector.settings import is_loopback
from collector.telemetry import Counter, Metrics

_SOCKET_BUFFER_BYTES = 4 * 1024 * 1024
_SYSTEM_DROPS_EVERY_S = 1.0
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("9I")
_DROPPED: Counter = "hopline_receive_datagrams_dropped_total"
_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class DatagramDoor(asyncio.DatagramProtocol, Generic[_T]):
    """A door called *name*, with a queue of at most *room*; a subclass fills and empties it."""

    def __init__(self, name: str, metrics: Metrics, room: int) -> None:
        self.name = name
        self.metrics = metrics
        self.queue: asyncio.Queue[_T] = asyncio.Queue(room)

    def error_received(self, exc: Exception) -> None:
        """Note what the system says; a datagram socket goes on after it."""
        _log.warning("%s: %s", self.name, exc)

    @abstractmethod
    async def work(self) -> None:
        """Store what is queued, until cancelled."""

    async def drained(self) -> None:
        """Wait until every queued datagram is handled."""
        await self.queue.join()

    def drop(self, reason: str, count: int = 1) -> None:
        """Count datagrams as lost."""
        self.metrics.count(_DROPPED, count, door=self.name, reason=reason)

    def drop_rest(self) -> None:
        """Count what is still queued as lost; the door is closed."""
        if count := self.queue.qsize():
            self.drop("closing", count)


@contextlib.asynccontextmanager
async def open_door(
    door: DatagramDoor[_T],
    bind: str,
    port: int,
    *,
    setting: str,
    are_tokens_asked: bool,
    workers: int,
    drain_s: float,
) -> AsyncIterator[int]:
    """
    Take datagrams until the block is left, and finish what is queued then within *drain_s*.

    *setting* is the variable that errors name.

    Returns:
        The port, chosen by the system when *port* is 0.

    Raises:
        ConfigError: the address cannot be bound, or tokens are asked for, which UDP has not.
    """
    if are_tokens_asked and not is_loopback(bind):
        raise ConfigError(
            f"{door.name}: a UDP door cannot check tokens",
            hint=f"set {setting}=0, or HOPLINE_BIND to loopback",
        )
    bound = _bind(bind, port, setting)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: door, sock=bound)
    system_drops = _SystemDrops(bound, door)
    watcher = asyncio.create_task(system_drops.watch())
    working = [asyncio.create_task(door.work()) for _ in range(workers)]
    try:
        yield bound.getsockname()[1]
    finally:
        watcher.cancel()
        system_drops.count()
        transport.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_s):
                await door.drained()
        for worker in working:
            worker.cancel()
        await asyncio.gather(watcher, *working, return_exceptions=True)
        door.drop_rest()


class _SystemDrops:
    """Counts the datagrams that did not fit the buffer of a door's socket (Linux tells)."""

    def __init__(self, bound: socket.socket, door: DatagramDoor[_T]) -> None:
        self._bound = bound
        self._drop = door.drop
        self._counted = 0

    async def watch(self) -> None:
        """Count each second, until cancelled."""
        while True:
            await asyncio.sleep(_SYSTEM_DROPS_EVERY_S)
            self.count()

    def count(self) -> None:
        """Count what the system dropped since the last call."""
        try:
            info = self._bound.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
            total = _MEMINFO.unpack(info)[8]
        except (OSError, struct.error):
            return
        if new := total - self._counted:
            self._drop("socket_buffer_full", new)
            self._counted = total


def _bind(bind: str, port: int, setting: str) -> socket.socket:
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
            hint=f"set another {setting}; 0 turns the door off",
        ) from exc
    bound.setblocking(False)
    return bound
