"""
The domain's values. No I/O, no third-party import.

Units: moments are Unix nanoseconds UTC (`_ns`), durations nanoseconds (`_ns`), sizes bytes. Ids are
lower-case hex text here (32 digits a trace, 16 a span); "" means there is none. `None` means the
source does not say, which is not the same as zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Stream(StrEnum):
    """The kinds of journal segment. Each loads into one landing table."""

    TRACE = "trace"
    LOG = "log"
    METRIC = "metric"
    RECORD = "record"


@dataclass(frozen=True, slots=True)
class Envelope:
    """
    One received request, as its door hands it to intake: decompressed, not yet decoded.

    `format` is `otlp-protobuf`, `otlp-json`, `zipkin-json`, `zipkin-protobuf`,
    `jaeger-thrift-binary`, `jaeger-thrift-compact`, `jaeger-protobuf`, `envoy-als` or `gateway`;
    `adapter` names the gateway for the last. `source` is what `/api/v1/sources` counts under when
    the records themselves do not say.
    `delivery_id` is the sender's own id of the delivery, the same when it sends it again; without
    one, equal bytes mean a resend.
    """

    signal: Stream
    format: str
    body: bytes
    received_ns: int
    door: str
    source: str = ""
    adapter: str = ""
    peer: str = ""
    tenant: str = ""
    delivery_id: str = ""


@dataclass(frozen=True, slots=True)
class RecordError:
    """Why one record of an envelope is not taken. `index` is its place, -1 when it has none."""

    index: int
    reason: str
    field: str = ""
    code: str = "invalid"


@dataclass(frozen=True, slots=True)
class Receipt:
    """
    What became of an envelope; it exists only once the accepted part is durable.

    `warning` is for records taken but repaired (`partial_success` with zero rejected).
    """

    accepted: int
    rejected: int
    errors: tuple[RecordError, ...] = ()
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """
    The canonical bytes of one envelope for one stream.

    `message` is one protobuf message without length prefix: ExportTraceServiceRequest,
    ExportLogsServiceRequest, ExportMetricsServiceRequest, or hopline.v1.GatewayRecords.
    """

    stream: Stream
    message: bytes
    accepted: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """
    What a gateway adapter read from one body: records in body order, and what it refused.

    `repaired` counts the records in which bytes that are not UTF-8 were replaced by U+FFFD.
    """

    records: Sequence["GatewayRecord"]
    rejected: Sequence[RecordError] = ()
    repaired: int = 0


@dataclass(frozen=True, slots=True)
class Id:
    """
    One id a person may hold, of a request.

    Kinds: `trace_id`, `span_id`, `apim_correlation_id`, `x_request_id`, `kong_request_id`,
    `aws_request_id`, `aws_extended_request_id`, `xray_trace_id`, `apigee_message_id`,
    `request_id` (hierarchical .NET), `correlation_id`, `transaction_id`, `tracking_id`.
    `value` is as the source wrote it; `decode.ids` gives the form to compare.
    """

    kind: str
    value: str


@dataclass(slots=True, kw_only=True)
class GatewayRecord:
    """
    One request as one gateway saw it, whatever product wrote it down.

    `record_id` is the gateway's own id of the request: two sources that report the same
    (gateway, record_id) speak of one request. `trace_id` is set only if the record carries a real
    trace id. `outgoing_span_id` is the span id the gateway sent upstream: a mesh span with that
    parent is the exact continuation. `duration_ns` and the parts are `None` when not recorded.
    `resolution_ns` is the step of the time fields: a value v stands for [v - r/2, v + r/2).
    `quality` holds the truth-check flags, `raw` the redacted original as JSON text.
    """

    gateway: str
    record_id: str
    start_ns: int
    instance: str = ""
    source: str = ""
    kind: str = "http"  # http, grpc, graphql, websocket, llm
    ids: tuple[Id, ...] = ()
    trace_id: str = ""
    trace_id_source: str = ""
    parent_span_id: str = ""
    outgoing_span_id: str = ""
    is_sampled: bool | None = None
    duration_ns: int | None = None
    client_ns: int | None = None
    gateway_ns: int | None = None
    cache_ns: int | None = None
    backend_ns: int | None = None
    resolution_ns: int = 1_000_000
    method: str = ""
    scheme: str = ""
    host: str = ""
    path: str = ""
    route: str = ""
    protocol: str = ""
    status: int | None = None
    is_error: bool = False
    api: str = ""
    api_revision: str = ""
    operation: str = ""
    product: str = ""
    consumer: str = ""
    user: str = ""
    region: str = ""
    client_address: str = ""
    backend_method: str = ""
    backend_host: str = ""
    backend_path: str = ""
    backend_status: int | None = None
    backend_id: str = ""
    attempts: int | None = None
    cache: str = ""  # hit, miss, none or ""
    request_bytes: int | None = None
    response_bytes: int | None = None
    error_source: str = ""
    error_scope: str = ""
    error_section: str = ""
    error_reason: str = ""
    error_message: str = ""
    error_elapsed_ns: int | None = None
    weight: float = 1.0
    quality: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    raw: str = ""
    received_ns: int = 0


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """A moment inside a span."""

    time_ns: int
    name: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SpanLink:
    """A reference from a span to another one that is not its parent."""

    trace_id: str
    span_id: str
    attributes: Mapping[str, str]


@dataclass(slots=True, kw_only=True)
class Span:
    """
    One span as stored: raw times, attribute values as text.

    `kind` is Server, Client, Internal, Producer, Consumer or Unspecified; `status` Unset, Ok or
    Error, as the OpenTelemetry exporter for ClickHouse writes them.
    """

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    service: str
    start_ns: int
    end_ns: int
    kind: str = "Unspecified"
    status: str = "Unset"
    status_message: str = ""
    trace_state: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    resource: Mapping[str, str] = field(default_factory=dict)
    scope: str = ""
    events: Sequence[SpanEvent] = ()
    links: Sequence[SpanLink] = ()
    received_ns: int = 0


@dataclass(slots=True, kw_only=True)
class LogRecord:
    """One log record as stored; access logs of proxies arrive as these."""

    time_ns: int
    trace_id: str = ""
    span_id: str = ""
    service: str = ""
    severity: str = ""
    body: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    resource: Mapping[str, str] = field(default_factory=dict)
    scope: str = ""
    event_name: str = ""
    received_ns: int = 0
