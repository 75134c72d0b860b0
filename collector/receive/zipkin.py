"""
Zipkin v2 over HTTP: `POST /api/v2/spans`, JSON and protobuf.

Source: openzipkin/zipkin-api zipkin2-api.yaml (202, empty body); openzipkin/zipkin
ZipkinHttpCollector (a body without content type is JSON).
"""

import contextlib
from collections.abc import AsyncIterator

from collector.clock import Clock
from collector.http.server import open_http_server
from collector.intake import Intake
from collector.receive.body import Admission
from collector.receive.span_http import SpanHttp, SpanRoute, keep_pages_out
from collector.settings import ReceiveSettings
from collector.telemetry import Metrics

ROUTE = SpanRoute(
    door="zipkin-http",
    source="zipkin",
    path="/api/v2/spans",
    formats={
        "application/json": "zipkin-json",
        "application/x-protobuf": "zipkin-protobuf",
        "application/protobuf": "zipkin-protobuf",
        "": "zipkin-json",
    },
    hint="Zipkin v1 is not read; configure the sender for v2",
)


@contextlib.asynccontextmanager
async def open_zipkin(
    settings: ReceiveSettings, intake: Intake, metrics: Metrics, admission: Admission, clock: Clock
) -> AsyncIterator[None]:
    """Serve the Zipkin port, if it has a number."""
    if not settings.zipkin_port:
        yield
        return
    app = keep_pages_out(SpanHttp(ROUTE, intake, settings, admission, clock), settings)
    async with open_http_server(app, settings.bind, settings.zipkin_port, tls=settings.tls):
        yield
