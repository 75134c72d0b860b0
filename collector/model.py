"""
The domain's values. No I/O, and no import but of the annotations that name units.

Units: moments are Unix nanoseconds UTC (`_ns`), durations nanoseconds (`_ns`), sizes bytes. Ids are
lower-case hex text here (32 digits a trace, 16 a span); "" means there is none. `None` means the
source does not say, which is not the same as zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any

from collector.answers import RECORD_NAMES, Duration, Moment, RawRow


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

    `warning` is for records taken but repaired (`partial_success` with zero rejected). `ignored`
    counts what is no request of an API; its reasons stand behind the others in `errors`, one for
    each kind of reason.
    """

    accepted: int
    rejected: int
    errors: tuple[RecordError, ...] = ()
    warning: str = ""
    ignored: int = 0


@dataclass(frozen=True, slots=True)
class Decoded:
    """
    What a gateway adapter read from one body: records in body order, and what it refused.

    `ignored` are the entries that are no request of an API, each with its place and the reason.
    `repaired` counts the records in which bytes that are not UTF-8 were replaced by U+FFFD.
    """

    records: Sequence["GatewayRecord"]
    rejected: Sequence[RecordError] = ()
    repaired: int = 0
    ignored: Sequence[RecordError] = ()


@dataclass(frozen=True, slots=True)
class Id:
    """
    One id a person may hold, of a request.

    Kinds: `trace_id`, `span_id`, `apim_correlation_id`, `x_request_id`, `kong_request_id`,
    `aws_request_id`, `aws_extended_request_id`, `xray_trace_id`, `apigee_message_id`,
    `request_id` (hierarchical .NET), `correlation_id`, `transaction_id`, `tracking_id`.
    `value` is as the source wrote it; `identity.ids` gives the form to compare.
    """

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Stored:
    """
    How a field of a gateway record is kept: wire number, ClickHouse type, and what it means.

    `has_few_values` and `codec` are said where they are not what the type suggests: the journal's
    writer remembers fields of few values as they stand together.
    """

    number: int
    type: str
    meaning: str
    has_few_values: bool | None = None
    codec: str = ""

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:
        """Tell in the API's description what the field means."""
        return {**handler(schema), "description": self.meaning}


_TEXT = "String"
_WORD = "LowCardinality(String)"
_FLAG = "Nullable(Bool)"
_SMALL = "Nullable(Int32)"
_COUNT = "Nullable(Int64)"


@dataclass(slots=True, kw_only=True)
class GatewayRecord:
    """
    One request as one gateway saw it, whatever product wrote it down.

    Two records with the same (gateway, record_id) speak of one request.

    This is the one list of a record's fields: the wire schema, the tables, the journal's writer and
    the API's document are written from it by `make golden`. Add a field behind the last number,
    with a default; a number is never used again.
    """

    __pydantic_config__ = RECORD_NAMES

    gateway: Annotated[str, Stored(1, _WORD, "Name of the adapter that read it, or of a rule.")]
    record_id: Annotated[str, Stored(2, _TEXT, "The gateway's own id of the request.")]
    start_ns: Annotated[Moment, Stored(3, "Int64", "When the request began.", codec="T64, LZ4")]
    instance: Annotated[str, Stored(4, _WORD, "Which instance or pod of the gateway.")] = ""
    source: Annotated[str, Stored(5, _WORD, "Which of the gateway's logs tells of it.")] = ""
    kind: Annotated[str, Stored(6, _WORD, "http, grpc, graphql, websocket or llm.")] = "http"
    ids: Annotated[
        tuple[Id, ...],
        Stored(
            7,
            f"Array(Tuple(key {_WORD}, value String))",
            "Ids of the request as the source wrote them.",
        ),
    ] = ()
    trace_id: Annotated[str, Stored(8, _TEXT, "Only if the record carries a real trace id.")] = ""
    trace_id_source: Annotated[str, Stored(9, _WORD, "The key the trace id was found under.")] = ""
    parent_span_id: Annotated[
        str, Stored(10, _TEXT, "The caller's span, as the gateway received it.")
    ] = ""
    outgoing_span_id: Annotated[
        str,
        Stored(11, _TEXT, "Sent upstream: a span with this parent continues the request."),
    ] = ""
    is_sampled: Annotated[
        bool | None, Stored(12, _FLAG, "What the trace context says of sampling.")
    ] = None
    duration_ns: Annotated[
        Duration | None, Stored(13, _COUNT, "The whole as the gateway measures it.")
    ] = None
    client_ns: Annotated[
        Duration | None, Stored(14, _COUNT, "Sending to and receiving from the client.")
    ] = None
    gateway_ns: Annotated[Duration | None, Stored(15, _COUNT, "The gateway's own work.")] = None
    cache_ns: Annotated[Duration | None, Stored(16, _COUNT, "Its cache.")] = None
    backend_ns: Annotated[
        Duration | None, Stored(17, _COUNT, "Waiting for the backend, all tries.")
    ] = None
    resolution_ns: Annotated[
        Duration,
        Stored(
            18,
            "Int64",
            "Step r of the times: v stands for [v - r/2, v + r/2).",
            has_few_values=True,
        ),
    ] = 1_000_000
    method: Annotated[str, Stored(19, _WORD, "HTTP method.")] = ""
    scheme: Annotated[str, Stored(20, _WORD, "http, https, ws or wss.")] = ""
    host: Annotated[str, Stored(21, _WORD, "Host as the client asked for it.")] = ""
    path: Annotated[str, Stored(22, _TEXT, "Path as the client asked for it, without query.")] = ""
    route: Annotated[str, Stored(23, _WORD, "Path template or name of the matched route.")] = ""
    protocol: Annotated[str, Stored(24, _WORD, "Protocol of the client's side.")] = ""
    status: Annotated[
        int | None, Stored(25, _SMALL, "Status that was sent; none was if it is null.")
    ] = None
    is_error: Annotated[
        bool, Stored(26, "Bool", "Answered with 500 or more, or a gRPC failure; no client's doing.")
    ] = False
    api: Annotated[
        str, Stored(27, _WORD, "API, service or route that requests are counted by.")
    ] = ""
    api_revision: Annotated[str, Stored(28, _WORD, "Revision of the API.")] = ""
    operation: Annotated[str, Stored(29, _WORD, "Operation of the API.")] = ""
    product: Annotated[str, Stored(30, _WORD, "Product or plan it was called under.")] = ""
    consumer: Annotated[
        str,
        Stored(31, _WORD, "Subscription, key or application of the caller.", has_few_values=False),
    ] = ""
    user: Annotated[str, Stored(32, _TEXT, "User of the caller.")] = ""
    region: Annotated[str, Stored(33, _WORD, "Where the gateway stands.")] = ""
    client_address: Annotated[str, Stored(34, _TEXT, "Address of the client.")] = ""
    backend_method: Annotated[str, Stored(35, _WORD, "Method sent to the backend.")] = ""
    backend_host: Annotated[
        str, Stored(36, _WORD, "Host or address of the backend.", has_few_values=False)
    ] = ""
    backend_path: Annotated[str, Stored(37, _TEXT, "Path sent to the backend.")] = ""
    backend_status: Annotated[
        int | None, Stored(38, _SMALL, "Status that the backend answered.")
    ] = None
    backend_id: Annotated[str, Stored(39, _WORD, "The gateway's name for the backend.")] = ""
    attempts: Annotated[int | None, Stored(40, _SMALL, "Tries of the backend; 0: none.")] = None
    cache: Annotated[str, Stored(41, _WORD, "hit, miss, none or empty.")] = ""
    request_bytes: Annotated[int | None, Stored(42, _COUNT, "Size of the request.")] = None
    response_bytes: Annotated[int | None, Stored(43, _COUNT, "Size of the response.")] = None
    error_source: Annotated[
        str, Stored(44, _WORD, "Whose error: client, gateway, backend, or a policy's name.")
    ] = ""
    error_scope: Annotated[str, Stored(45, _WORD, "Scope of the policy that failed.")] = ""
    error_section: Annotated[str, Stored(46, _WORD, "Section of the policy that failed.")] = ""
    error_reason: Annotated[str, Stored(47, _WORD, "Reason in the gateway's own words.")] = ""
    error_message: Annotated[str, Stored(48, _TEXT, "What the gateway says about it.")] = ""
    error_elapsed_ns: Annotated[
        Duration | None, Stored(49, _COUNT, "From the start to the error.")
    ] = None
    weight: Annotated[
        float, Stored(50, "Float64", "How many requests it stands for, when sampled.")
    ] = 1.0
    quality: Annotated[
        tuple[str, ...], Stored(51, f"Array({_WORD})", "Truth-check flags: BACKEND_GT_TOTAL.")
    ] = ()
    attributes: Annotated[
        Mapping[str, str],
        Stored(52, f"Map({_WORD}, String)", "Everything else worth keeping."),
    ] = field(default_factory=dict)
    raw: Annotated[
        RawRow,
        Stored(53, _TEXT, "The redacted original row.", codec="ZSTD(3)"),
    ] = ""
    is_probe: Annotated[
        bool, Stored(54, "Bool", "A health probe: not in rates and percentiles.")
    ] = False
    received_ns: Moment = 0

    @property
    def has_stayed_at_gateway(self) -> bool:
        """Tell whether the gateway called no backend for it: nothing behind can know of it."""
        return self.attempts == 0 or self.cache == "hit"

    @property
    def reference(self) -> str:
        """The record as links and sentences name it."""
        return record_reference(self.gateway, self.record_id)


def record_reference(gateway: str, record_id: str) -> str:
    """Return how links and sentences name the record *record_id* of a gateway."""
    return f"{gateway}/{record_id}"


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """A moment inside a span."""

    time_ns: Moment
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
    start_ns: Moment
    end_ns: Moment
    kind: str = "Unspecified"
    status: str = "Unset"
    status_message: str = ""
    trace_state: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    resource: Mapping[str, str] = field(default_factory=dict)
    scope: str = ""
    events: Sequence[SpanEvent] = ()
    links: Sequence[SpanLink] = ()
    received_ns: Moment = 0


@dataclass(slots=True, kw_only=True)
class LogRecord:
    """One log record as stored; access logs of proxies arrive as these."""

    time_ns: Moment
    trace_id: str = ""
    span_id: str = ""
    service: str = ""
    severity: str = ""
    body: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    resource: Mapping[str, str] = field(default_factory=dict)
    scope: str = ""
    event_name: str = ""
    received_ns: Moment = 0
