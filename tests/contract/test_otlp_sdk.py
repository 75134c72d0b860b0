"""The official OpenTelemetry exporters, as they come, against the doors."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from collector.clock import SystemClock
from collector.model import Stream
from tests.ingest import Ingest, journaled_items, open_ingest

TOKEN = "a-token"
Build = Callable[[Ingest], SpanExporter]


@pytest.fixture
async def ingest(tmp_path: Path) -> AsyncIterator[Ingest]:
    async with open_ingest(tmp_path, SystemClock(), ingest_tokens=TOKEN) as opened:
        yield opened


def build_grpc(ingest: Ingest) -> SpanExporter:
    return GrpcExporter(
        endpoint=f"127.0.0.1:{ingest.grpc_port}",
        insecure=True,
        headers=(("authorization", f"Bearer {TOKEN}"),),
        compression=grpc.Compression.Gzip,
    )


def build_http(ingest: Ingest) -> SpanExporter:
    return HttpExporter(
        endpoint=f"{ingest.url}/v1/traces",
        headers={"authorization": f"Bearer {TOKEN}"},
        compression=Compression.Gzip,
    )


def trace_something(exporter: SpanExporter) -> None:
    """Make a parent and a child with attributes of every kind, an event and an error."""
    provider = TracerProvider(resource=Resource.create({"service.name": "sdk-test"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("tests")
    with tracer.start_as_current_span("parent", kind=SpanKind.SERVER) as parent:
        parent.set_attributes({"text": "a", "whole": 7, "real": 1.5, "flag": True, "list": ["a"]})
        with tracer.start_as_current_span("child") as child:
            child.add_event("something", {"n": 1})
            child.set_status(StatusCode.ERROR, "broke")
    provider.shutdown()


@pytest.mark.parametrize("build", [build_grpc, build_http])
async def test_sdk_exporter_with_gzip_and_token(ingest: Ingest, build: Build) -> None:
    """Spans of the SDK arrive whole, over gRPC and HTTP, compressed and with a token."""
    await asyncio.to_thread(trace_something, build(ingest))
    child, parent = journaled_items(ingest.journal, Stream.TRACE)
    assert (parent.name, child.name) == ("parent", "child")
    assert child.parent_span_id == parent.span_id
    assert child.trace_id == parent.trace_id
    assert {each.key for each in parent.attributes} == {"text", "whole", "real", "flag", "list"}
    assert child.events[0].name == "something"
    assert ingest.metrics.value("hopline_intake_envelopes_refused_total") == 0
