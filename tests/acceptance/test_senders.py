"""What real senders send comes back stitched."""

import json
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcSpanExporter,
)
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
    OTLPSpanExporter as HttpSpanExporter,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, format_span_id, format_trace_id

from tests.service import Service

EXPORTERS: dict[str, Callable[[Service], SpanExporter]] = {
    "grpc": lambda s: GrpcSpanExporter(endpoint=f"127.0.0.1:{s.grpc_port}", insecure=True),
    "http": lambda s: HttpSpanExporter(endpoint=f"{s.ingest_url}/v1/traces"),
    "http-gzip": lambda s: HttpSpanExporter(
        endpoint=f"{s.ingest_url}/v1/traces", compression=Compression.Gzip
    ),
}


def _send_order(exporter: SpanExporter) -> tuple[str, str]:
    """Make one request through two services; return its trace id and its first span's id."""
    providers = [
        TracerProvider(resource=Resource.create({"service.name": name}), shutdown_on_exit=False)
        for name in ("orders", "stock")
    ]
    for provider in providers:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    orders, stock = (provider.get_tracer("acceptance") for provider in providers)
    with orders.start_as_current_span("GET /orders/{id}", kind=SpanKind.SERVER) as first:
        first.set_attribute("http.response.status_code", 200)
        with (
            orders.start_as_current_span("GET", kind=SpanKind.CLIENT),
            stock.start_as_current_span("GET /stock/{id}", kind=SpanKind.SERVER),
        ):
            pass
        context = first.get_span_context()
    exporter.shutdown()
    return format_trace_id(context.trace_id), format_span_id(context.span_id)


@pytest.mark.parametrize("kind", EXPORTERS)
def test_spans_of_the_real_sdk_come_back_as_hops(service: Service, kind: str) -> None:
    """The OpenTelemetry SDK's exporters are understood, and the services become hops."""
    trace_id, _ = _send_order(EXPORTERS[kind](service))
    timeline = service.wait_for(
        f"/api/v1/requests/{trace_id}", lambda s, t: s == 200 and len(t["spans"]) == 3
    )
    assert [hop["service"] for hop in timeline["hops"]] == ["orders", "stock"]
    assert timeline["gateway_records"] == []
    _check_sums(timeline)


def test_one_port_shows_the_metrics_of_all_processes(service: Service) -> None:
    """What the ingest process accepts is counted on the query API's port too, in all digits."""
    _send_order(EXPORTERS["http"](service))
    accepted = (
        'hopline_intake_records_accepted_total{door="otlp-http",process="ingest",stream="trace"}'
    )
    text = service.wait_for("/metrics", lambda s, t: s == 200 and accepted.encode() in t).decode()
    assert 'hopline_api_requests_total{process="store",' in text
    assert 'process_cpu_seconds_total{process="ingest"}' in text
    kinds = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    assert sorted(kinds) == sorted(re.findall(r"^# HELP (\S+)", text, re.MULTILINE))
    assert not re.search(r"^[^#].* \S+e\+\d+$", text, re.MULTILINE)


def test_a_pushed_gateway_row_joins_the_spans_it_names(service: Service) -> None:
    """A GatewayLogs row that arrives after the spans is joined to them by trace id."""
    trace_id, _ = _send_order(EXPORTERS["grpc"](service))
    correlation_id = "5b0cf30e-7d3c-4a52-9d4a-" + secrets.token_hex(6)
    row = {
        "TimeGenerated": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "CorrelationId": correlation_id,
        "TotalTime": 120,
        "BackendTime": 90,
        "ClientTime": 10,
        "CacheTime": 0,
        "Cache": "none",
        "Method": "GET",
        "Url": "https://shop.example.test/orders/17",
        "ResponseCode": 200,
        "BackendResponseCode": 200,
        "ApiId": "orders",
        "OperationId": "get-order",
        "IsRequestSuccess": True,
        "BackendRequestHeaders": json.dumps(
            {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}
        ),
    }
    status, receipt = service.post("/v1/gateway/azure-apim", json.dumps([row]).encode())
    assert (status, receipt["accepted"]) == (200, 1), receipt
    timeline = service.wait_for(
        f"/api/v1/requests/{correlation_id.upper()}",
        lambda s, t: s == 200 and len(t["spans"]) == 4 and t["gateway_records"],
    )
    assert [hop["role"] for hop in timeline["hops"]] == ["gateway", "service", "service"]
    assert timeline["trace_id"] == trace_id
    assert timeline["duration_ms"] == 120.0
    assert timeline["links"][0]["tier"] <= 1
    _check_sums(timeline)
    found = service.get("/api/v1/requests?api=orders&min_duration_ms=100")[1]["requests"]
    assert trace_id in [summary["trace_id"] for summary in found]


def _check_sums(timeline: dict[str, Any]) -> None:
    """The two sums that every timeline has to keep, in whole nanoseconds."""
    total_ns = round(timeline["duration_ms"] * 1e6)
    assert sum(round(p["duration_ms"] * 1e6) for p in timeline["phases"]) == total_ns
    sections = sorted((p["from_ms"], p["to_ms"]) for p in timeline["critical_path"])
    for (_, end), (begin, _) in zip(sections, sections[1:], strict=False):
        assert end == begin
