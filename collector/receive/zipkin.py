"""
Zipkin v2 over HTTP: `POST /api/v2/spans`, JSON and protobuf.

Source: openzipkin/zipkin-api zipkin2-api.yaml (202, empty body); openzipkin/zipkin
ZipkinHttpCollector (a body without content type is JSON).
"""

from contextlib import AbstractAsyncContextManager

from collector.receive.doorway import Doorway
from collector.receive.span_http import SpanRoute, open_span_http

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


def open_zipkin(doorway: Doorway) -> AbstractAsyncContextManager[None]:
    """Serve the Zipkin port."""
    return open_span_http(ROUTE, doorway, doorway.settings.zipkin_port)
