"""
The query API on its socket.
"""

import asyncio
import contextlib
import gc
import socket
import sys
from collections.abc import Callable, Iterator

import uvicorn

from collector.api.rest.app import Health, build_api
from collector.config import ApiSettings
from collector.errors import ConfigError
from collector.query.service import QueryService

_DRAIN_S = 5
_BACKLOG = 512
# A read that is done must not wait 5 ms for the interpreter behind a thread that stitches.
_SWITCH_INTERVAL_S = 0.0005


class _Server(uvicorn.Server):
    """Tells when it listens, and leaves signals to the process, which has more to stop."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell_ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._tell_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run_api(
    questions: QueryService,
    settings: ApiSettings,
    health: Health,
    stop: asyncio.Event,
    ready: Callable[[], None],
) -> None:
    """
    Serve until *stop* is set; *ready* is called once the socket listens.

    With port 0 the API is off: then this only waits.

    Raises:
        ConfigError: the address or the port cannot be used.
    """
    if not settings.port:
        ready()
        await stop.wait()
        return
    config = uvicorn.Config(
        build_api(questions, settings, health),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_S,
    )
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    # To look for cycles in all that was made at the start stopped every hundredth search for 60 ms.
    gc.collect()
    gc.freeze()
    with _listen(settings) as listener:
        server = _Server(config, ready)
        serving = asyncio.create_task(server.serve([listener]), name="query-api")
        stopping = asyncio.create_task(stop.wait(), name="query-api-stop")
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            server.should_exit = True
            await serving
            await asyncio.to_thread(questions.close)


def _listen(settings: ApiSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.bind else socket.AF_INET
    try:
        return socket.create_server((settings.bind, settings.port), family=family, backlog=_BACKLOG)
    except OSError as exc:
        msg = f"the query API cannot listen on {settings.bind} port {settings.port}: {exc}"
        raise ConfigError(msg, hint="set HOPLINE_API_PORT or HOPLINE_BIND") from exc
