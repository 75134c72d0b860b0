"""Segments made by hand, and stores to load them into: embedded, and behind HTTP."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    KeyValue,
    KeyValueList,
)

from collector.clock import Clock
from collector.config import load_settings
from collector.decode.records.codec import encode_records
from collector.journal import add_checksum
from collector.model import GatewayRecord, Span, Stream
from collector.settings import StoreSettings
from collector.store import Store, open_store
from collector.telemetry import Metrics
from collector.wire.varint import encode_varint
from tests.doubles.clickhouse_users import write_config
from tests.manual_clock import ManualClock

NS = 1_000_000_000
NOW_NS = 1_790_000_000 * NS
"""2026-09-21T14:13:20Z; 13:20 minutes past a multiple of five."""
_KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
_STATUSES = ("Unset", "Ok", "Error")


@dataclass(frozen=True, slots=True)
class MadeSegment:
    """A sealed segment."""

    id: str
    stream: Stream
    path: Path


def any_value(value: object) -> AnyValue:
    """Return a Python value as OTLP carries it; `None` is a value that is not set."""
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=[any_value(each) for each in value]))
        case dict():
            pairs = [KeyValue(key=key, value=any_value(each)) for key, each in value.items()]
            return AnyValue(kvlist_value=KeyValueList(values=pairs))
    raise TypeError(type(value))


def trace_id(number: int) -> str:
    """Return a trace id in which every half is distinct."""
    return f"{number + 0xA0000000:016x}{number + 0xB0000000:016x}"


def span_id(number: int) -> str:
    """Return a span id."""
    return f"{number + 0xC0000000:016x}"


def make_span(number: int = 1, *, trace: int = 1, **given: Any) -> Span:
    """Return an ordinary server span of 20 ms; what is given wins."""
    values: dict[str, Any] = {
        "trace_id": trace_id(trace),
        "span_id": span_id(number),
        "parent_span_id": "",
        "name": f"operation {number}",
        "service": "orders",
        "start_ns": NOW_NS - 60 * NS + number * 1_000_000,
        "kind": "Server",
        "attributes": {},
        "resource": {},
        "received_ns": NOW_NS,
    }
    values |= given
    values.setdefault("end_ns", values["start_ns"] + 20_000_000)
    values["resource"] = {"service.name": values["service"], **values["resource"]}
    return Span(**values)


def make_record(number: int = 1, **given: Any) -> GatewayRecord:
    """Return an ordinary record of 30 ms without any trace; what is given wins."""
    values: dict[str, Any] = {
        "gateway": "azure-apim",
        "record_id": f"00000000-0000-4000-8000-{number:012x}",
        "start_ns": NOW_NS - 60 * NS + number * 1_000_000,
        "source": "log-analytics",
        "duration_ns": 30_000_000,
        "method": "GET",
        "host": "api.test",
        "path": f"/orders/{number}",
        "status": 200,
        "api": "orders",
    }
    return GatewayRecord(**{**values, **given})


def encode_spans(spans: Sequence[Span]) -> bytes:
    """Return spans as one ExportTraceServiceRequest; attribute values may be any Python value."""
    request = ExportTraceServiceRequest()
    for span in spans:
        group = request.resource_spans.add()
        group.resource.attributes.extend(_pairs(span.resource))
        scope = group.scope_spans.add()
        scope.scope.name = span.scope
        item = scope.spans.add(
            trace_id=bytes.fromhex(span.trace_id),
            span_id=bytes.fromhex(span.span_id),
            parent_span_id=bytes.fromhex(span.parent_span_id),
            trace_state=span.trace_state,
            name=span.name,
            start_time_unix_nano=span.start_ns,
            end_time_unix_nano=span.end_ns,
            attributes=_pairs(span.attributes),
        )
        item.kind = _KINDS.index(span.kind)  # type: ignore[assignment]  # an enum's number
        item.status.code = _STATUSES.index(span.status)  # type: ignore[assignment]  # the same
        item.status.message = span.status_message
        for event in span.events:
            item.events.add(
                time_unix_nano=event.time_ns, name=event.name, attributes=_pairs(event.attributes)
            )
        for link in span.links:
            item.links.add(
                trace_id=bytes.fromhex(link.trace_id),
                span_id=bytes.fromhex(link.span_id),
                attributes=_pairs(link.attributes),
            )
    return request.SerializeToString()


def encode_log(**fields: Any) -> bytes:
    """Return one log record as an ExportLogsServiceRequest."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.extend(_pairs(fields.pop("resource", {})))
    scope = group.scope_logs.add()
    attributes = _pairs(fields.pop("attributes", {}))
    scope.log_records.add(attributes=attributes, **fields)
    return request.SerializeToString()


class Loading:
    """Makes segments in a folder and loads them into a store."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self._folder = folder
        self._count = 0

    def spans(self, *spans: Span, received_ns: int = NOW_NS) -> MadeSegment:
        """Load spans as one segment of one message."""
        return self.messages(Stream.TRACE, encode_spans(spans), received_ns=received_ns)

    def records(self, *records: GatewayRecord, received_ns: int = NOW_NS) -> MadeSegment:
        """Load gateway records as one segment of one message."""
        return self.messages(Stream.RECORD, encode_records(records), received_ns=received_ns)

    def messages(
        self, stream: Stream, *messages: bytes, received_ns: int = NOW_NS, id: str = ""
    ) -> MadeSegment:
        """Load messages as one segment."""
        segment = self.make(stream, *messages, received_ns=received_ns, id=id)
        self.store.load(segment)
        return segment

    def make(
        self, stream: Stream, *messages: bytes, received_ns: int = NOW_NS, id: str = ""
    ) -> MadeSegment:
        """Write a segment and do not load it."""
        self._count += 1
        name = id or f"{self._count:020d}-00000000"
        path = self._folder / f"{stream}-{name}.seg"
        write_segment(path, *messages, received_ns=received_ns)
        return MadeSegment(name, stream, path)


def write_segment(path: Path, *messages: bytes, received_ns: int = NOW_NS) -> None:
    """Write canonical messages the way intake and journal do."""
    tag = encode_varint(2001 << 3 | 1)
    trailer = tag + received_ns.to_bytes(8, "little")
    whole = [add_checksum(message, trailer) for message in messages]
    path.write_bytes(b"".join(encode_varint(len(each)) + each for each in whole))


def store_settings(folder: Path, **given: Any) -> StoreSettings:
    """Return the settings of an embedded store in *folder*; what is given wins."""
    # hand-made data is older than any time to live that the wall clock applies
    return replace(load_settings(data_dir=folder, ttl_days=0).store(), **given)


@contextmanager
def opened(settings: StoreSettings, clock: Clock | None = None) -> Iterator[Store]:
    """Open a store with its tables, and close it."""
    store = open_store(settings, clock or ManualClock(NOW_NS), Metrics())
    try:
        store.migrate()
        yield store
    finally:
        store.close()


def query_rows(store: Store, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """Ask the tables something that the store has no read for."""
    with store.connections.reading() as client:
        return [tuple(row) for row in client.query(sql, parameters=parameters).result_rows]


def start_clickhouse(
    folder: Path, *, password: str = "", user: str = "", port: int = 0
) -> tuple[subprocess.Popen[str], int]:
    """
    Start the small HTTP server as a process of its own; return it and its port.

    With *user* one may do what deploy/clickhouse/users.sql grants that user, else anything. It ends
    when its standard input is closed.
    """
    work = folder / "work"
    work.mkdir(exist_ok=True)
    path = f"{folder / 'db'}" + (f"?config-file={write_config(work, user)}" if user else "")
    command = [sys.executable, "-m", "tests.doubles.clickhouse_http", "--path", path]
    process = subprocess.Popen(
        [*command, "--password", password, "--port", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=work,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert process.stdout
    return process, int(process.stdout.readline())


@contextmanager
def clickhouse_server(folder: Path, *, password: str = "", user: str = "") -> Iterator[str]:
    """Run what `start_clickhouse` starts; the value is its URL."""
    process, port = start_clickhouse(folder, password=password, user=user)
    assert process.stdin and process.stdout
    try:
        yield f"http://default:{password}@127.0.0.1:{port}"
    finally:
        process.stdin.close()
        assert process.wait(timeout=30) == 0
        process.stdout.close()


def _pairs(values: Any) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in values.items()]
