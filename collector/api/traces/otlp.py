"""
Traces as OTLP: the message for gRPC and protobuf, and its JSON.

Source: opentelemetry-proto trace/v1; OTLP specification 1.11.0, "JSON Protobuf Encoding" (ids in
hexadecimal, 64-bit numbers as texts, enums as numbers).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import (
    ResourceSpans,
    ScopeSpans,
    Span,
    Status,
    TracesData,
)

from collector.api.traces.shown import ShownSpan, ShownTrace, shown_span_id
from collector.api.traces.values import Value, type_values
from collector.identity.ids import normalise_trace_id

Document = dict[str, Any]

_KINDS: Mapping[str, Span.SpanKind.ValueType] = {
    "internal": Span.SPAN_KIND_INTERNAL,
    "server": Span.SPAN_KIND_SERVER,
    "client": Span.SPAN_KIND_CLIENT,
    "producer": Span.SPAN_KIND_PRODUCER,
    "consumer": Span.SPAN_KIND_CONSUMER,
}
_STATUSES: Mapping[str, Status.StatusCode.ValueType] = {
    "ok": Status.STATUS_CODE_OK,
    "error": Status.STATUS_CODE_ERROR,
}
_WARNINGS = "hopline.warnings"


def build_traces_data(traces: Iterable[ShownTrace]) -> TracesData:
    """Return traces as OTLP's message: spans by what sent them, in their order."""
    data = TracesData()
    for trace in traces:
        places: dict[tuple[str, int, str], ScopeSpans] = {}
        resources: dict[tuple[str, int], ResourceSpans] = {}
        for span in trace.spans:
            sender = (span.service, id(span.resource) if span.resource else 0)  # equal ones are one
            key = (*sender, span.scope)
            if key not in places:
                if sender not in resources:
                    resource = _build_resource(span)
                    resources[sender] = data.resource_spans.add(resource=resource)
                scope = InstrumentationScope(name=span.scope)
                places[key] = resources[sender].scope_spans.add(scope=scope)
            _fill_span(places[key].spans.add(), span, bytes.fromhex(trace.trace_id))
    return data


def _build_resource(span: ShownSpan) -> Resource:
    service = _pair("service.name", span.service or "unknown")
    return Resource(attributes=[service, *_pairs(span.resource)])


def _fill_span(message: Span, span: ShownSpan, trace_id: bytes) -> None:
    message.trace_id = trace_id
    message.span_id = bytes.fromhex(span.span_id)
    message.parent_span_id = bytes.fromhex(span.parent_id)
    message.trace_state = span.trace_state
    message.name = span.name
    message.kind = _KINDS.get(span.kind, Span.SPAN_KIND_UNSPECIFIED)
    message.start_time_unix_nano = max(span.start_ns, 0)
    message.end_time_unix_nano = max(span.end_ns, 0)
    message.attributes.extend(_pairs(span.attributes))
    if span.warnings:
        message.attributes.append(_pair(_WARNINGS, "; ".join(span.warnings)))
    if span.status or span.status_message:
        message.status.code = _STATUSES.get(span.status, Status.STATUS_CODE_UNSET)
        message.status.message = span.status_message
    for event in span.events:
        message.events.add(
            time_unix_nano=max(event.time_ns, 0),
            name=event.name,
            attributes=_pairs(type_values(event.attributes)),
        )
    for link in span.links:
        message.links.add(
            trace_id=bytes.fromhex(normalise_trace_id(link.trace_id) or ""),
            span_id=bytes.fromhex(shown_span_id(link.span_id)),
            attributes=_pairs(type_values(link.attributes)),
        )


def _pairs(values: Mapping[str, Value]) -> list[KeyValue]:
    return [_pair(key, value) for key, value in values.items()]


def _pair(key: str, value: Value) -> KeyValue:
    if isinstance(value, bool):
        return KeyValue(key=key, value=AnyValue(bool_value=value))
    if isinstance(value, int):
        return KeyValue(key=key, value=AnyValue(int_value=value))
    if isinstance(value, float):
        return KeyValue(key=key, value=AnyValue(double_value=value))
    return KeyValue(key=key, value=AnyValue(string_value=value))


def render_resource_spans(data: TracesData) -> list[Document]:
    """Return the `resourceSpans` of a message in OTLP's JSON; what is empty is left out."""
    return [
        {
            "resource": {"attributes": _render_pairs(sent.resource.attributes)},
            "scopeSpans": [
                {
                    "scope": {"name": scope.scope.name} if scope.scope.name else {},
                    "spans": [_render_span(span) for span in scope.spans],
                }
                for scope in sent.scope_spans
            ],
        }
        for sent in data.resource_spans
    ]


def _render_span(span: Span) -> Document:
    document: Document = {
        "traceId": span.trace_id.hex(),
        "spanId": span.span_id.hex(),
        "name": span.name,
        "startTimeUnixNano": str(span.start_time_unix_nano),
        "endTimeUnixNano": str(span.end_time_unix_nano),
        "attributes": _render_pairs(span.attributes),
        "status": _render_status(span.status),
    }
    if span.parent_span_id:
        document["parentSpanId"] = span.parent_span_id.hex()
    if span.trace_state:
        document["traceState"] = span.trace_state
    if span.kind:
        document["kind"] = int(span.kind)
    if span.events:
        document["events"] = [
            {
                "timeUnixNano": str(event.time_unix_nano),
                "name": event.name,
                "attributes": _render_pairs(event.attributes),
            }
            for event in span.events
        ]
    if span.links:
        document["links"] = [
            {
                "traceId": link.trace_id.hex(),
                "spanId": link.span_id.hex(),
                "attributes": _render_pairs(link.attributes),
            }
            for link in span.links
        ]
    return document


def _render_status(status: Status) -> Document:
    document: Document = {}
    if status.code:
        document["code"] = int(status.code)
    if status.message:
        document["message"] = status.message
    return document


def _render_pairs(pairs: Iterable[KeyValue]) -> list[Document]:
    return [{"key": pair.key, "value": render_value(pair.value)} for pair in pairs]


def value_document(value: Value) -> Document:
    """Return a value as OTLP's JSON writes it."""
    return render_value(_pair("", value).value)


def render_value(value: AnyValue) -> Document:
    """Return a message's value as OTLP's JSON writes it."""
    kind = value.WhichOneof("value")
    if kind == "bool_value":
        return {"boolValue": value.bool_value}
    if kind == "int_value":
        return {"intValue": str(value.int_value)}
    if kind == "double_value":
        return {"doubleValue": value.double_value}
    return {"stringValue": value.string_value}
