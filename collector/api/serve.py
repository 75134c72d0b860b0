"""
The query API on its sockets.
"""

import asyncio
import contextlib
import gc
import sys
from collections.abc import Callable, Mapping

from collector.api.jaeger.server import open_query_port
from collector.api.rest.app import Health, build_api
from collector.http.server import open_http_server
from collector.query.service import QueryService
from collector.settings import ApiSettings

# A read that is done must not wait 5 ms for the interpreter behind a thread that stitches.
_SWITCH_INTERVAL_S = 0.0005
# A timeline is made of many small objects and hardly a cycle: collecting them at the default pace
# took a fifth of the 0.45 s that one of 10,000 spans takes.
_GC_THRESHOLD = 50_000


async def run_api(
    questions: QueryService,
    settings: ApiSettings,
    health: Health,
    stop: asyncio.Event,
    ready: Callable[[], None],
    *,
    others: Mapping[str, QueryService] | None = None,
) -> None:
    """
    Serve until *stop* is set; *ready* is called once the sockets listen.

    *questions* are the default tenant's, *others* those of the others by name.

    With both ports 0 the API is off: then this only waits.

    Raises:
        ConfigError: the address or a port cannot be used.
    """
    if not (settings.port or settings.jaeger_query_port):
        ready()
        await stop.wait()
        return
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.set_threshold(_GC_THRESHOLD)
    # To look for cycles in all that was made at the start stopped every hundredth search for 60 ms.
    gc.collect()
    gc.freeze()
    try:
        async with contextlib.AsyncExitStack() as ports:
            await ports.enter_async_context(open_query_port(questions, settings, others))
            if settings.port:
                app = build_api(questions, settings, health, stop=stop, others=others)
                server = open_http_server(
                    app, settings.bind, settings.port, has_lifespan=True, tls=settings.tls
                )
                await ports.enter_async_context(server)
            ready()
            await stop.wait()
    finally:
        for each in (questions, *(others or {}).values()):
            await asyncio.to_thread(each.close)
