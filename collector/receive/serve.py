"""
All doors of the ingest process, opened and closed together.

A door is an async context manager; to add one, write its module and put it into `_DOORS` under the
setting of its port.
"""

import asyncio
import contextlib
import gc
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

from collector.clock import Clock, SystemClock
from collector.config import Settings
from collector.intake import Intake
from collector.receive.allocator import give_memory_back, trim
from collector.receive.als import AccessLogDoor
from collector.receive.body import Admission
from collector.receive.doorway import Doorway, open_http_door
from collector.receive.grpc import OTLP_METHODS, GrpcDoor, open_grpc
from collector.receive.http import build_http_app
from collector.receive.jaeger import open_jaeger_grpc, open_jaeger_http, open_jaeger_udp
from collector.receive.zipkin import open_zipkin
from collector.telemetry import Metrics

# the journal's thread must not wait 5 ms for the interpreter behind a busy event loop
_SWITCH_INTERVAL_S = 0.0005
# requests make thousands of short-lived tuples and no cycles: collect rarely
_GC_THRESHOLD = 50_000
_TRIM_PAUSE_S = 3.0

Door = Callable[[Doorway], AbstractAsyncContextManager[object]]


def open_otlp_grpc(doorway: Doorway) -> AbstractAsyncContextManager[int]:
    """OTLP/gRPC and Envoy's access log service."""
    doors = [GrpcDoor(OTLP_METHODS, doorway), AccessLogDoor(doorway)]
    return open_grpc(doorway.settings, doorway.settings.otlp_grpc_port, doors)


def open_ingest_http(doorway: Doorway) -> AbstractAsyncContextManager[int]:
    """OTLP/HTTP, gateway push, health and metrics."""
    return open_http_door(doorway, build_http_app(doorway), doorway.settings.ingest_port)


_DOORS: Mapping[str, Door] = {
    "otlp_grpc_port": open_otlp_grpc,
    "ingest_port": open_ingest_http,
    "zipkin_port": open_zipkin,
    "jaeger_http_port": open_jaeger_http,
    "jaeger_grpc_port": open_jaeger_grpc,
    "jaeger_udp_port": open_jaeger_udp,
}


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
    doorway = Doorway.of(receive, intake, metrics, clock or SystemClock())
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.set_threshold(_GC_THRESHOLD)
    give_memory_back()
    async with contextlib.AsyncExitStack() as doors:
        for port, door in _DOORS.items():
            if getattr(receive, port):
                await doors.enter_async_context(door(doorway))
        # to look for cycles in all that was made at the start held acknowledgements up for 40 ms
        gc.collect()
        gc.freeze()
        if ready is not None:
            ready()
        trimming = asyncio.create_task(_trim_after_large_requests(doorway.admission))
        await stop.wait()
        trimming.cancel()


async def _trim_after_large_requests(admission: Admission) -> None:
    while True:
        await admission.large_one_ended.wait()
        admission.large_one_ended.clear()
        await asyncio.to_thread(trim)
        await asyncio.sleep(_TRIM_PAUSE_S)
