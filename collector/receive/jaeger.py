"""
Jaeger's collector ports: Thrift over HTTP and `PostSpans` over gRPC. UDP is in `udp.py`.

Source: jaegertracing.io APIs (`POST /api/traces?format=jaeger.thrift`, 202);
jaegertracing/jaeger-idl proto/api_v2/collector.proto.
"""

import contextlib
from collections.abc import AsyncIterator
from functools import partial
from urllib.parse import parse_qs

from collector.clock import Clock
from collector.errors import UnsupportedFormat
from collector.http.server import open_http_server
from collector.intake import Intake
from collector.model import Receipt, Stream
from collector.receive.body import Admission
from collector.receive.grpc import GrpcDoor, GrpcMethod, start_door_server
from collector.receive.span_http import SpanHttp, SpanRoute, keep_pages_out
from collector.receive.udp import open_udp
from collector.settings import ReceiveSettings
from collector.telemetry import Metrics

_DRAIN_S = 10
_QUERY_FORMATS = ("jaeger.thrift", "jaeger.thrift.binary")


def _check_query(query: str) -> None:
    for name in parse_qs(query).get("format", ()):
        if name not in _QUERY_FORMATS:
            msg = f"format {name[:80]!r} is not read here"
            raise UnsupportedFormat(msg, hint="use format=jaeger.thrift")


HTTP_ROUTE = SpanRoute(
    door="jaeger-http",
    source="jaeger",
    path="/api/traces",
    formats={
        "application/x-thrift": "jaeger-thrift-binary",
        "application/vnd.apache.thrift.binary": "jaeger-thrift-binary",
        "application/vnd.apache.thrift.compact": "jaeger-thrift-compact",
        "": "jaeger-thrift-binary",
    },
    hint="this is the collector's port, not the query API",
    check_query=_check_query,
)


def _answer(_: Receipt) -> bytes:
    # PostSpansResponse has no fields; what was rejected is in the metrics
    return b""


GRPC_METHODS = {
    "/jaeger.api_v2.CollectorService/PostSpans": GrpcMethod(
        signal=Stream.TRACE,
        format="jaeger-protobuf",
        door="jaeger-grpc",
        source="jaeger",
        answer=_answer,
    )
}


@contextlib.asynccontextmanager
async def open_jaeger_http(
    settings: ReceiveSettings, intake: Intake, metrics: Metrics, admission: Admission, clock: Clock
) -> AsyncIterator[None]:
    """Serve the Jaeger HTTP port, if it has a number."""
    if not settings.jaeger_http_port:
        yield
        return
    app = keep_pages_out(SpanHttp(HTTP_ROUTE, intake, settings, admission, clock), settings)
    async with open_http_server(app, settings.bind, settings.jaeger_http_port, tls=settings.tls):
        yield


@contextlib.asynccontextmanager
async def open_jaeger_grpc(
    settings: ReceiveSettings, intake: Intake, metrics: Metrics, admission: Admission, clock: Clock
) -> AsyncIterator[None]:
    """Serve the Jaeger gRPC port, if it has a number."""
    if not settings.jaeger_grpc_port:
        yield
        return
    door = GrpcDoor(GRPC_METHODS, intake, settings, admission, clock)
    server, _ = await start_door_server(settings, settings.jaeger_grpc_port, [door])
    try:
        yield
    finally:
        await server.stop(_DRAIN_S)


@contextlib.asynccontextmanager
async def open_jaeger_udp(
    settings: ReceiveSettings, intake: Intake, metrics: Metrics, admission: Admission, clock: Clock
) -> AsyncIterator[None]:
    """Serve the Jaeger agent ports, compact and one above it binary, if they have a number."""
    port = settings.jaeger_udp_port
    if not port:
        yield
        return
    own = intake.of(settings.pull_tenant)
    agent = partial(open_udp, intake=own, settings=settings, metrics=metrics, clock=clock)
    async with agent("compact", port), agent("binary", port + 1):
        yield
