"""The ingest process's rooms, real and on free ports, inside a test's own event loop."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.clock import Clock
from collector.config import Settings, load_settings
from collector.decode.records.codec import decode_records
from collector.http.server import open_http_server
from collector.intake import Intake, build_intake
from collector.journal import read_messages
from collector.model import GatewayRecord, Stream
from collector.receive.body import Admission
from collector.receive.doorway import Doorway
from collector.receive.grpc import OTLP_METHODS, GrpcDoor, open_grpc
from collector.receive.http import build_http_app
from collector.telemetry import Metrics
from tests.manual_clock import ManualClock

NOW_NS = 1_760_000_000_000_000_000
_REQUESTS: dict[Stream, type[Any]] = {
    Stream.TRACE: ExportTraceServiceRequest,
    Stream.LOG: ExportLogsServiceRequest,
    Stream.METRIC: ExportMetricsServiceRequest,
}


def make_span(number: int = 1, **fields: Any) -> Span:
    """Return a valid span whose ids follow from *number*; fields override."""
    defaults: dict[str, Any] = {
        "trace_id": (0xABC000 + number).to_bytes(16),
        "span_id": (0xDEF000 + number).to_bytes(8),
        "name": f"GET /parts/{number}",
        "kind": Span.SPAN_KIND_SERVER,
        "start_time_unix_nano": NOW_NS - 2_000_000,
        "end_time_unix_nano": NOW_NS - 1_000_000,
        "attributes": [text("http.route", "/parts/{id}")],
    }
    return Span(**(defaults | fields))


def make_log(number: int = 1, **fields: Any) -> LogRecord:
    """Return a valid log record; fields override."""
    defaults: dict[str, Any] = {
        "time_unix_nano": NOW_NS - 1_000_000,
        "body": AnyValue(string_value=f"line {number}"),
    }
    return LogRecord(**(defaults | fields))


def make_metric(number: int = 1, **fields: Any) -> Metric:
    """Return a valid gauge with one data point; fields of the point override."""
    metric = Metric(name=f"queue.depth.{number}")
    metric.gauge.data_points.add(**({"time_unix_nano": NOW_NS, "as_int": number} | fields))
    return metric


def make_request(*items: Span | LogRecord | Metric, service: str = "parts") -> bytes:
    """Return the serialized export request of *items*, which are of one kind."""
    attributes = [text("service.name", service)]
    if all(isinstance(item, Span) for item in items):
        traces = ExportTraceServiceRequest()
        spans = traces.resource_spans.add(resource={"attributes": attributes})
        spans.scope_spans.add(spans=items)
        return traces.SerializeToString()
    if isinstance(items[0], LogRecord):
        logs = ExportLogsServiceRequest()
        records = logs.resource_logs.add(resource={"attributes": attributes})
        records.scope_logs.add(log_records=items)
        return logs.SerializeToString()
    metrics = ExportMetricsServiceRequest()
    group = metrics.resource_metrics.add(resource={"attributes": attributes})
    group.scope_metrics.add(metrics=items)
    return metrics.SerializeToString()


def text(key: str, value: str) -> KeyValue:
    """Return a text attribute."""
    return KeyValue(key=key, value=AnyValue(string_value=value))


def journaled_bytes(directory: Path) -> bytes:
    """Return everything that is on the disk below *directory*."""
    return b"".join(path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file())


def journaled_messages(directory: Path, stream: Stream) -> list[bytes]:
    """Return the messages of a stream, sealed or not, in order."""
    paths = sorted((directory / stream).iterdir())
    return [message for path in paths for _, message in read_messages(path)]


def journaled_items(directory: Path, stream: Stream) -> list[Any]:
    """Return the spans, log records or metrics that the journal holds, in order."""
    group, scope, item = {
        Stream.TRACE: ("resource_spans", "scope_spans", "spans"),
        Stream.LOG: ("resource_logs", "scope_logs", "log_records"),
        Stream.METRIC: ("resource_metrics", "scope_metrics", "metrics"),
    }[stream]
    return [
        each
        for message in journaled_messages(directory, stream)
        for resource in getattr(_REQUESTS[stream].FromString(message), group)
        for scoped in getattr(resource, scope)
        for each in getattr(scoped, item)
    ]


def journaled_records(directory: Path) -> list[GatewayRecord]:
    """Return the gateway records that the journal holds, in order."""
    return [
        record
        for message in journaled_messages(directory, Stream.RECORD)
        for record in decode_records(message)
    ]


@dataclass(frozen=True)
class Ingest:
    """What runs: the journal's folder, the doors' ports, and what to look at."""

    settings: Settings
    intake: Intake
    metrics: Metrics
    admission: Admission
    http_port: int
    grpc_port: int

    @property
    def journal(self) -> Path:
        return self.settings.journal().directory

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"


@contextlib.asynccontextmanager
async def open_ingest(
    folder: Path, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[Ingest]:
    """Run journal, intake, OTLP/HTTP, gateway push and OTLP/gRPC until the block is left."""
    clock = clock or ManualClock(NOW_NS)
    loaded = load_settings(**({"data_dir": folder, "flush_interval_ms": 60_000} | settings))
    receive = loaded.receive()
    metrics = Metrics()
    async with build_intake(loaded, clock, metrics) as intake:
        doorway = Doorway.of(receive, intake, metrics, clock)
        otlp = GrpcDoor(OTLP_METHODS, doorway)
        async with (
            open_grpc(receive, 0, [otlp], drain_s=1) as grpc_port,
            open_http_server(build_http_app(doorway), "127.0.0.1", 0) as http_port,
        ):
            yield Ingest(loaded, intake, metrics, doorway.admission, http_port, grpc_port)
