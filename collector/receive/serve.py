"""
All doors of the ingest process, opened and closed together.

A door is an async context manager; to add one, write its module and put it into `_DOORS`.
"""

import asyncio
import contextlib
import gc
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

from collector.clock import Clock, SystemClock
from collector.config import Settings
from collector.http.server import open_http_server
from collector.intake import Intake
from collector.receive.allocator import give_memory_back, trim
from collector.receive.als import AccessLogDoor
from collector.receive.body import Admission
from collector.receive.grpc import start_grpc
from collector.receive.http import build_http_app
from collector.receive.jaeger import open_jaeger_grpc, open_jaeger_http, open_jaeger_udp
from collector.receive.span_http import keep_pages_out
from collector.receive.zipkin import open_zipkin
from collector.settings import ReceiveSettings
from collector.telemetry import Metrics

# the journal's thread must not wait 5 ms for the interpreter behind a busy event loop
_SWITCH_INTERVAL_S = 0.0005
# requests make thousands of short-lived tuples and no cycles: collect rarely
_GC_THRESHOLD = 50_000
_DRAIN_S = 10
_TRIM_PAUSE_S = 3.0

Door = Callable[
    [ReceiveSettings, Intake, Metrics, Admission, Clock], AbstractAsyncContextManager[None]
]


@contextlib.asynccontextmanager
async def open_otlp_grpc(
    settings: ReceiveSettings, intake: Intake, metrics: Metrics, admission: Admission, clock: Clock
) -> AsyncIterator[None]:
    """OTLP/gRPC and Envoy's access log service."""
    if not settings.otlp_grpc_port:
        yield
        return
    access_logs = AccessLogDoor(intake, settings, admission, clock)
    server, _ = await start_grpc(intake, settings, metrics, admission, clock, [access_logs])
    try:
        yield
    finally:
        await server.stop(_DRAIN_S)


@contextlib.asynccontextmanager
async def open_ingest_http(
    settings: ReceiveSettings, intake: Intake, metrics: Metrics, admission: Admission, clock: Clock
) -> AsyncIterator[None]:
    """OTLP/HTTP, gateway push, health and metrics."""
    if not settings.ingest_port:
        yield
        return
    app = keep_pages_out(build_http_app(intake, settings, metrics, admission, clock), settings)
    async with open_http_server(app, settings.bind, settings.ingest_port, tls=settings.tls):
        yield


_DOORS: tuple[Door, ...] = (
    open_otlp_grpc,
    open_ingest_http,
    open_zipkin,
    open_jaeger_http,
    open_jaeger_grpc,
    open_jaeger_udp,
)


async def run_doors(
    settings: Settings,
    intake: Intake,
    metrics: Metrics,
    stop: asyncio.Event,
    ready: Callable[[], None] | None = None,
    clock: Clock | None = None,
) -> None:
    """
    Open every door that has a port, call *ready*, wait for *stop*, finish requests under way.

    Raises:
        ConfigError: a port cannot be bound; doors already open are closed again.
    """
    receive = settings.receive()
    admission = Admission(receive.max_inflight_bytes, metrics)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.set_threshold(_GC_THRESHOLD)
    give_memory_back()
    async with contextlib.AsyncExitStack() as doors:
        for door in _DOORS:
            await doors.enter_async_context(
                door(receive, intake, metrics, admission, clock or SystemClock())
            )
        # to look for cycles in all that was made at the start held acknowledgements up for 40 ms
        gc.collect()
        gc.freeze()
        if ready is not None:
            ready()
        trimming = asyncio.create_task(_trim_after_large_requests(admission))
        await stop.wait()
        trimming.cancel()


async def _trim_after_large_requests(admission: Admission) -> None:
    while True:
        await admission.large_one_ended.wait()
        admission.large_one_ended.clear()
        await asyncio.to_thread(trim)
        await asyncio.sleep(_TRIM_PAUSE_S)
