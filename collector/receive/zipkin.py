"""
Zipkin v2 over HTTP: `POST /api/v2/spans`, JSON and protobuf.

Source: openzipkin/zipkin-api zipkin2-api.yaml (202, empty body); openzipkin/zipkin
ZipkinHttpCollector (a body without content type is JSON).
"""

from collector.clock import Clock
from collector.config import ReceiveSettings
from collector.intake import Intake
from collector.receive.body import Admission
from collector.receive.span_http import SpanHttp, SpanRoute

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


def build_zipkin_app(
    intake: Intake, settings: ReceiveSettings, admission: Admission, clock: Clock
) -> SpanHttp:
    """Build the ASGI application of the Zipkin port."""
    return SpanHttp(ROUTE, intake, settings, admission, clock)
