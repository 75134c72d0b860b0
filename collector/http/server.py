"""
uvicorn inside our own event loop: the server of every HTTP port.
"""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn

from collector.errors import ConfigError
from collector.http.protocol import HttpProtocol
from collector.http.tls import Certificate, open_certificate
from collector.settings import TlsSettings

_KEEP_ALIVE_S = 75
_DRAIN_S = 10
_TICK_S = 0.1
_TICKS_A_LOOK = 10
# libuv accepts one connection for each descriptor each time the loop comes round: with one of them,
# new connections wait behind a round of work each
_DESCRIPTORS = 16


class _Server(uvicorn.Server):
    """A server whose process handles the signals itself. `is_up` is set once it listens."""

    def __init__(self, config: uvicorn.Config, certificate: Certificate | None) -> None:
        super().__init__(config)
        self._certificate = certificate
        self.is_up = asyncio.Event()
        self._is_stopping = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._certificate is not None:
            self.config.ssl = self._certificate.context
        await super().startup(sockets)
        self.is_up.set()

    async def main_loop(self) -> None:
        # uvicorn's own loop sleeps 100 ms at a time, which each stop would have to wait for
        for counter in itertools.count():
            await self.on_tick(counter % 864_000)
            if self._certificate is not None and counter % _TICKS_A_LOOK == 0:
                self._certificate.refresh()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S):
                    await self._is_stopping.wait()
                    return

    def stop(self) -> None:
        """Take no more connections and finish what is under way."""
        self.should_exit = True
        self._is_stopping.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def open_http_server(
    app: Any,
    bind: str,
    port: int,
    *,
    has_lifespan: bool = False,
    tls: TlsSettings | None = None,
    is_shared: bool = False,
) -> AsyncIterator[int]:
    """
    Serve *app* until the block is left, then finish the requests under way.

    With a certificate in *tls* only TLS is spoken, with one of the files as they are at the time.
    With *has_lifespan* the application is told of its start and its end. A port that *is_shared*
    takes more processes, each of which gets some of the connections.

    Returns:
        The port, chosen by the system when *port* is 0.

    Raises:
        ConfigError: the address cannot be bound, or the certificate cannot be used.
    """
    certificate = open_certificate(tls) if tls else None
    listener = bind_tcp(bind, port, is_shared=is_shared)
    config = uvicorn.Config(
        app,
        http=HttpProtocol,
        ws="none",
        lifespan="on" if has_lifespan else "off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_DRAIN_S,
    )
    server = _Server(config, certificate)
    listeners = [listener, *(listener.dup() for _ in range(_DESCRIPTORS - 1))]
    serving = asyncio.create_task(server.serve(sockets=listeners))
    try:
        await server.is_up.wait()
        yield listener.getsockname()[1]
    finally:
        server.stop()
        await serving
        for each in listeners:
            each.close()


def bind_tcp(bind: str, port: int, *, is_shared: bool = False) -> socket.socket:
    """Return a listening socket. Raises `ConfigError` when the address is taken or unknown."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((bind, port))
    except OSError as exc:
        listener.close()
        raise ConfigError(
            f"cannot listen on {bind} port {port}: {exc.strerror}",
            hint="set another port; 0 turns a door off",
        ) from exc
    listener.setblocking(False)
    return listener
