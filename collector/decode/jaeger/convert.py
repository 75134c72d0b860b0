"""
Jaeger spans, Thrift and protobuf, to the canonical OTLP message.

Source: contrib pkg/translator/jaeger/jaegerproto_to_traces.go and jaegerthrift_to_traces.go;
OpenTelemetry specification trace/sdk_exporters/jaeger.md. Departures: an `error` tag with the text
"true" counts like the boolean, as some clients know no other tags than text.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from collector.attributes import SENT_END
from collector.decode.jaeger.model import (
    CHILD_OF,
    FOLLOWS_FROM,
    Batch,
    JaegerSpan,
    Process,
    Value,
)
from collector.decode.jaeger.protobuf import read_protobuf
from collector.decode.jaeger.thrift import read_binary, read_compact
from collector.decode.otlp.protobuf import MIN_TIME_NS
from collector.decode.otlp.writer import (
    MAX_EVENTS,
    MAX_LINKS,
    MAX_TIME_NS,
    SpanWriter,
    Text,
    UnusableSpanError,
    encode_event,
    encode_link,
    encode_resource,
    encode_scope,
    encode_span,
)
from collector.decode.protobuf.split import MAX_ATTRIBUTES
from collector.decode.result import DecodeResult

_KINDS: dict[Value, int] = {
    b"internal": 1,
    b"server": 2,
    b"client": 3,
    b"producer": 4,
    b"consumer": 5,
}
_CLIENT = 3
_OK, _ERROR = 1, 2
_DEBUG_FLAG = 2
_NO_PARENT = bytes(8)
_NO_SERVICE = b"OTLPResourceNoServiceName"
_REF_TYPE = "opentracing.ref_type"


def decode_thrift_binary(body: bytes, received_ns: int) -> DecodeResult:
    """
    Decode a Thrift `Batch` (or an agent's `emitBatch` call) in the binary protocol.

    Raises:
        Undecodable: the bytes are neither. Never retried.
    """
    return _convert(read_binary(body), received_ns)


def decode_thrift_compact(body: bytes, received_ns: int) -> DecodeResult:
    """
    Decode an agent's `emitBatch` call (or a bare `Batch`) in the compact protocol.

    Raises:
        Undecodable: the bytes are neither. Never retried.
    """
    return _convert(read_compact(body), received_ns)


def decode_protobuf(body: bytes, received_ns: int) -> DecodeResult:
    """
    Decode a `jaeger.api_v2.PostSpansRequest`.

    Raises:
        Undecodable: the bytes are not that message. Never retried.
    """
    return _convert(read_protobuf(body), received_ns)


def _convert(batch: Batch, received_ns: int) -> DecodeResult:
    writer = SpanWriter(received_ns)
    resource = _resource(writer, batch.process)
    for writer.index, span in enumerate(batch.spans):
        try:
            if span is None:
                raise UnusableSpanError("too_large")
            own = _resource(writer, span.process) if span.process else resource
            _write_span(writer, own, span)
        except UnusableSpanError as exc:
            writer.reject(exc.code)
    return writer.finish()


def _write_span(writer: SpanWriter, resource: bytes, span: JaegerSpan) -> None:
    _check(span)
    end_ns = min(span.start_ns + max(span.duration_ns, 0), MAX_TIME_NS)
    parent_id = _parent_id(span)
    tags: dict[bytes, Value] = dict(islice(span.tags, MAX_ATTRIBUTES))
    kind = _KINDS.get(tags.pop(b"span.kind", b""), 0)
    status_code, status_message = _status(writer, tags, kind)
    trace_state = writer.text(_text(tags.pop(b"w3c.tracestate", b"")))
    scope = _scope(writer, tags)
    attributes: dict[Text, bytes] = {
        key: writer.text_attribute(key, value)
        if type(value) is bytes
        else writer.attribute(key, value)
        for key, value in tags.items()
    }
    if span.duration_ns < 0:
        _keep_end(writer, span, attributes)
    if span.flags & _DEBUG_FLAG:
        attributes[b"jaeger.debug"] = writer.attribute("jaeger.debug", True)
    if span.warnings:
        warnings = b"; ".join(span.warnings)
        attributes[b"jaeger.warnings"] = writer.text_attribute("jaeger.warnings", warnings)
    encoded = encode_span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=parent_id,
        name=writer.text(span.name),
        kind=kind,
        start_ns=span.start_ns,
        end_ns=end_ns,
        attributes=attributes,
        events=_events(writer, span),
        links=_links(writer, span, parent_id),
        status_code=status_code,
        status_message=status_message,
        trace_state=trace_state,
        flags=span.flags & 1,
        dropped=_count_dropped(writer, span),
    )
    writer.add(resource, scope, encoded)


def _keep_end(writer: SpanWriter, span: JaegerSpan, attributes: dict[Text, bytes]) -> None:
    """Keep the end of a span that ended before it began, which is stored as ending at its start."""
    writer.repair("end_before_start")
    sent_end_ns = max(span.start_ns + span.duration_ns, 0)
    attributes[SENT_END.encode()] = writer.attribute(SENT_END, sent_end_ns)


def _count_dropped(writer: SpanWriter, span: JaegerSpan) -> tuple[int, int, int]:
    tags = max(len(span.tags) - MAX_ATTRIBUTES, 0)
    events = max(len(span.logs) - MAX_EVENTS, 0)
    links = max(len(span.references) - MAX_LINKS, 0)
    if tags:
        writer.repair("attributes", tags)
    if events or links:
        writer.repair("events", events + links)
    return tags, events, links


def _check(span: JaegerSpan) -> None:
    if not any(span.trace_id):
        raise UnusableSpanError("trace_id_zero")
    if not any(span.span_id):
        raise UnusableSpanError("span_id_zero")
    if span.start_ns < MIN_TIME_NS:
        raise UnusableSpanError("start_past" if span.start_ns else "start_missing")
    if span.start_ns > MAX_TIME_NS:
        raise UnusableSpanError("start_future")


def _parent_id(span: JaegerSpan) -> bytes:
    parent_id = span.parent_id
    if parent_id == _NO_PARENT:
        same = [ref for ref in span.references if ref.trace_id == span.trace_id]
        found = [ref.span_id for ref in same if ref.kind == CHILD_OF]
        if span.is_follower_parent_allowed:
            found += [ref.span_id for ref in same if ref.kind == FOLLOWS_FROM]
        parent_id = found[0] if found else _NO_PARENT
    return b"" if parent_id in (_NO_PARENT, span.span_id) else parent_id


def _status(writer: SpanWriter, tags: dict[bytes, Value], kind: int) -> tuple[int, bytes]:
    description = tags.get(b"otel.status_description")
    code_tag = tags.pop(b"otel.status_code", None)
    error = tags.get(b"error")
    if error is True or error == b"true":
        del tags[b"error"]
        tags.pop(b"otel.status_description", None)
        message = tags.get(b"http.status_message") if description is None else description
        return _ERROR, writer.text(_text(message))
    if code_tag is not None:
        tags.pop(b"otel.status_description", None)
        code = {b"OK": _OK, b"ERROR": _ERROR}.get(_text(code_tag).upper(), 0)
        return code, writer.text(_text(description))
    status = _http_status(tags.get(b"http.status_code"))
    if status >= 500 or (400 <= status < 500 and kind == _CLIENT):
        return _ERROR, writer.text(_text(tags.get(b"http.status_message")))
    return 0, b""


def _http_status(value: Value | None) -> int:
    if isinstance(value, int):
        return value
    if isinstance(value, bytes) and len(value) <= 3 and value.isdigit():
        return int(value)
    return 0


def _text(value: Value | None) -> bytes:
    if isinstance(value, bytes):
        return bytes(value)
    return b"" if value is None else str(value).encode()


def _scope(writer: SpanWriter, tags: dict[bytes, Value]) -> bytes:
    name = tags.pop(b"otel.scope.name", None) or tags.pop(b"otel.library.name", None)
    if not name:
        return b""
    version = tags.pop(b"otel.scope.version", None) or tags.pop(b"otel.library.version", None)
    return encode_scope(writer.text(_text(name)), writer.text(_text(version)))


def _resource(writer: SpanWriter, process: Process | None) -> bytes:
    if process is None or process.service_name == _NO_SERVICE:
        return b""
    tags: dict[bytes, Value] = dict(process.tags)
    if process.service_name:
        tags[b"service.name"] = process.service_name
    if b"hostname" in tags and b"host.name" not in tags:
        tags[b"host.name"] = tags.pop(b"hostname")
    if b"jaeger.version" in tags and b"opencensus.exporterversion" not in tags:
        version = _text(tags.pop(b"jaeger.version"))
        tags[b"opencensus.exporterversion"] = b"Jaeger-" + version
    return encode_resource(_encoded(writer, tags))


def _events(writer: SpanWriter, span: JaegerSpan) -> Iterator[bytes]:
    for time_ns, fields in islice(span.logs, MAX_EVENTS):
        values = dict(fields)
        name = writer.text(_text(values.pop(b"event", b"")))
        if not MIN_TIME_NS <= time_ns < MAX_TIME_NS:
            writer.repair("event_time")
            time_ns = span.start_ns  # noqa: PLW2901
        yield encode_event(time_ns, name, _encoded(writer, values))


def _links(writer: SpanWriter, span: JaegerSpan, parent_id: bytes) -> Iterator[bytes]:
    for ref in islice(span.references, MAX_LINKS):
        if ref.kind == CHILD_OF and ref.span_id == parent_id:
            continue
        if not any(ref.trace_id) or not any(ref.span_id):
            writer.repair("link_invalid")
            continue
        kind = "child_of" if ref.kind == CHILD_OF else "follows_from"
        attribute = writer.text_attribute(_REF_TYPE, kind)
        yield encode_link(ref.trace_id, ref.span_id, b"", [attribute])


def _encoded(writer: SpanWriter, tags: dict[bytes, Value]) -> Sequence[bytes]:
    return [writer.attribute(key, value) for key, value in tags.items()]
