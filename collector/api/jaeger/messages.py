"""
Traces as the messages of Jaeger's gRPC API, and searches read from its requests.

Source: jaegertracing/jaeger-idl proto/api_v2 and proto/api_v3; jaegertracing/jaeger v2.20
jaegerquery grpc_handler.go and apiv3/grpc_handler.go.
"""

from collections.abc import Iterable, Iterator, Mapping

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from collector.api.jaeger.render import kind_of_value, span_tags
from collector.api.traces.otlp import build_traces_data
from collector.api.traces.shown import ShownSpan, ShownTrace, shown_span_id
from collector.api.traces.values import Value, type_values
from collector.errors import BadQuestion
from collector.identity.ids import normalise_trace_id
from collector.query.reports.trace_search import (
    DEFAULT_RANGE_NS,
    TraceSearch,
    clean_name,
    read_limit,
)
from collector.timestamps import NS_PER_S
from collector.wire import jaeger_pb2 as wire

# clients take messages of 4 MiB unless told otherwise
_CHUNK_BYTES = 1024 * 1024
_CHUNK_SPANS = 500
_MAX_NS = 9_223_372_036 * NS_PER_S
_TYPES = {"string": 0, "bool": 1, "int64": 2, "float64": 3}
_FOLLOWS_FROM = 1


def read_search(query: wire.TraceQueryParameters, now_ns: int, *, needs_range: bool) -> TraceSearch:
    """
    Return the search that *query* asks for; what is unset or 0 does not restrict.

    Raises:
        BadQuestion: the range is missing and needed, or there is a structured filter.
    """
    if query.filter:
        msg = "filter: structured filters are not supported"
        raise BadQuestion(msg)
    start_ns, end_ns = read_moment(query.start_time_min), read_moment(query.start_time_max)
    if needs_range and not (start_ns and end_ns):
        msg = "start time min and max are required parameters"
        raise BadQuestion(msg)
    end_ns = end_ns or now_ns
    return TraceSearch(
        service=clean_name(query.service_name),
        operation=clean_name(query.operation_name),
        start_ns=start_ns or max(end_ns - DEFAULT_RANGE_NS, 0),
        end_ns=end_ns,
        min_duration_ns=_read_duration(query.duration_min),
        max_duration_ns=_read_duration(query.duration_max),
        tags=dict(query.attributes),
        limit=read_limit(query.search_depth),
        is_raw=query.raw_traces,
    )


def read_moment(moment: Timestamp) -> int:
    """Return Unix nanoseconds, 0 for an unset time: Go's zero is the year 1."""
    return min(max(moment.seconds * NS_PER_S + moment.nanos, 0), _MAX_NS)


def _read_duration(duration: Duration) -> int | None:
    length_ns = duration.seconds * NS_PER_S + duration.nanos
    return min(length_ns, _MAX_NS) if length_ns > 0 else None


def chunk_spans(trace: ShownTrace) -> Iterator[bytes]:
    """Yield a trace as v2's chunks of spans, each as small as clients take."""
    chunk, size = wire.SpansResponseChunk(), 0
    processes: dict[tuple[str, int], wire.Process] = {}
    for span in trace.spans:
        message = _build_span(span, trace.trace_id, processes)
        length = message.ByteSize()
        if chunk.spans and size + length > _CHUNK_BYTES:
            yield chunk.SerializeToString()
            chunk, size = wire.SpansResponseChunk(), 0
        chunk.spans.append(message)
        size += length
    if chunk.spans:
        yield chunk.SerializeToString()


def chunk_otlp(trace: ShownTrace) -> Iterator[bytes]:
    """Yield a trace as v3's chunks: OTLP's `TracesData`, several of them for a large one."""
    for first in range(0, len(trace.spans), _CHUNK_SPANS):
        part = ShownTrace(trace.trace_id, trace.spans[first : first + _CHUNK_SPANS])
        yield from _halve(part)


def _halve(part: ShownTrace) -> Iterator[bytes]:
    body = build_traces_data([part]).SerializeToString()
    half = len(part.spans) // 2
    if len(body) <= 2 * _CHUNK_BYTES or not half:
        yield body
        return
    yield from _halve(ShownTrace(part.trace_id, part.spans[:half]))
    yield from _halve(ShownTrace(part.trace_id, part.spans[half:]))


def _build_span(
    span: ShownSpan, trace_id: str, processes: dict[tuple[str, int], wire.Process]
) -> wire.Span:
    sender = (span.service, id(span.resource) if span.resource else 0)
    if sender not in processes:
        processes[sender] = wire.Process(
            service_name=(span.service or "unknown").encode(), tags=_tags(span.resource)
        )
    own = bytes.fromhex(trace_id)
    message = wire.Span(
        trace_id=own,
        span_id=bytes.fromhex(span.span_id),
        operation_name=span.name.encode(),
        flags=1,
        start_time=_timestamp(span.start_ns),
        duration=Duration(seconds=span.duration_ns // NS_PER_S, nanos=span.duration_ns % NS_PER_S),
        tags=_tags(span_tags(span)),
        process=processes[sender],
        warnings=[warning.encode() for warning in span.warnings],
    )
    if span.parent_id:
        message.references.add(trace_id=own, span_id=bytes.fromhex(span.parent_id))
    for link in span.links:
        message.references.add(
            trace_id=bytes.fromhex(normalise_trace_id(link.trace_id)),
            span_id=bytes.fromhex(shown_span_id(link.span_id)),
            ref_type=_FOLLOWS_FROM,
        )
    for event in span.events:
        fields = {"event": event.name, **type_values(event.attributes)}
        message.logs.add(timestamp=_timestamp(event.time_ns), fields=_tags(fields))
    return message


def _timestamp(moment_ns: int) -> Timestamp:
    return Timestamp(seconds=moment_ns // NS_PER_S, nanos=moment_ns % NS_PER_S)


def _tags(values: Mapping[str, Value]) -> Iterable[wire.KeyValue]:
    return [_tag(key, value) for key, value in values.items()]


def _tag(key: str, value: Value) -> wire.KeyValue:
    tag = wire.KeyValue(key=key.encode(), v_type=_TYPES[kind_of_value(value)])
    if isinstance(value, bool):
        tag.v_bool = value
    elif isinstance(value, int):
        tag.v_int64 = value
    elif isinstance(value, float):
        tag.v_float64 = value
    else:
        tag.v_str = value.encode()
    return tag
