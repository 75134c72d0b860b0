"""
Jaeger's collector ports: Thrift over HTTP and `PostSpans` over gRPC. UDP is in `udp.py`.

Source: jaegertracing.io APIs (`POST /api/traces?format=jaeger.thrift`, 202);
jaegertracing/jaeger-idl proto/api_v2/collector.proto.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from urllib.parse import parse_qs

from collector.errors import UnsupportedFormat
from collector.model import Receipt, Stream
from collector.receive.doorway import Doorway
from collector.receive.grpc import GrpcDoor, GrpcMethod, open_grpc
from collector.receive.span_http import SpanRoute, open_span_http
from collector.receive.udp import open_udp

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


def open_jaeger_http(doorway: Doorway) -> AbstractAsyncContextManager[None]:
    """Serve the Jaeger HTTP port."""
    return open_span_http(HTTP_ROUTE, doorway, doorway.settings.jaeger_http_port)


@asynccontextmanager
async def open_jaeger_grpc(doorway: Doorway) -> AsyncIterator[None]:
    """Serve the Jaeger gRPC port."""
    settings = doorway.settings
    async with open_grpc(settings, settings.jaeger_grpc_port, [GrpcDoor(GRPC_METHODS, doorway)]):
        yield


@asynccontextmanager
async def open_jaeger_udp(doorway: Doorway) -> AsyncIterator[None]:
    """Serve the Jaeger agent ports, compact and one above it binary."""
    settings = doorway.settings
    agent = partial(
        open_udp,
        intake=doorway.intake.of(settings.pull_tenant),
        settings=settings,
        metrics=doorway.metrics,
        clock=doorway.clock,
    )
    port = settings.jaeger_udp_port
    async with agent("compact", port), agent("binary", port + 1):
        yield
