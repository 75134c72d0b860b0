"""
The query API on its socket.
"""

import asyncio
import gc
import sys
from collections.abc import Callable

from collector.api.rest.app import Health, build_api
from collector.config import ApiSettings
from collector.http.server import open_http_server
from collector.query.service import QueryService

# A read that is done must not wait 5 ms for the interpreter behind a thread that stitches.
_SWITCH_INTERVAL_S = 0.0005


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
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    # To look for cycles in all that was made at the start stopped every hundredth search for 60 ms.
    gc.collect()
    gc.freeze()
    app = build_api(questions, settings, health, stop=stop)
    try:
        async with open_http_server(
            app, settings.bind, settings.port, has_lifespan=True, tls=settings.tls
        ):
            ready()
            await stop.wait()
    finally:
        await asyncio.to_thread(questions.close)
