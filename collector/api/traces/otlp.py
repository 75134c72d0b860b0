"""
Traces as OTLP: the message for gRPC and protobuf, and its JSON.

Source: opentelemetry-proto trace/v1; OTLP specification 1.11.0, "JSON Protobuf Encoding" (ids in
hexadecimal, 64-bit numbers as texts, enums as numbers).
"""

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import (
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
        for scopes in _by_sender(trace):
            first = next(iter(scopes.values()))[0]
            sent = data.resource_spans.add(resource=_build_resource(first))
            for name, spans in scopes.items():
                scope = sent.scope_spans.add(scope=InstrumentationScope(name=name))
                for span in spans:
                    _fill_span(scope.spans.add(), span, bytes.fromhex(trace.trace_id))
    return data


def _by_sender(trace: ShownTrace) -> Iterable[dict[str, list[ShownSpan]]]:
    """Return the spans of each sender by their scope, in order of the first of each."""
    senders: dict[tuple[str, int], dict[str, list[ShownSpan]]] = {}
    for span in trace.spans:
        # equal resources are one object
        sender = (span.service, id(span.resource) if span.resource else 0)
        senders.setdefault(sender, {}).setdefault(span.scope, []).append(span)
    return senders.values()


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


@dataclass(frozen=True, slots=True)
class JsonForm:
    """How ids and enums are written in JSON."""

    write_id: Callable[[str], str]
    kinds: Mapping[str, int | str]
    statuses: Mapping[str, int | str]


def _as_base64(digits: str) -> str:
    return b64encode(bytes.fromhex(digits)).decode()


OTLP_JSON = JsonForm(
    write_id=str,
    kinds={name: int(number) for name, number in _KINDS.items()},
    statuses={name: int(number) for name, number in _STATUSES.items()},
)
"""The OTLP specification's own: ids in hexadecimal, enums as numbers."""

PROTOBUF_JSON = JsonForm(
    write_id=_as_base64,
    kinds={name: Span.SpanKind.Name(number) for name, number in _KINDS.items()},
    statuses={name: Status.StatusCode.Name(number) for name, number in _STATUSES.items()},
)
"""Protobuf's mapping to JSON: ids in base64, enums as names."""


def render_resource_spans(
    traces: Iterable[ShownTrace], form: JsonForm = OTLP_JSON
) -> list[Document]:
    """Return the `resourceSpans` of traces as JSON; what is empty is left out."""
    return [
        {
            "resource": {
                "attributes": [
                    {"key": "service.name", "value": {"stringValue": _name_of(scopes)}},
                    *_render_pairs(next(iter(scopes.values()))[0].resource),
                ]
            },
            "scopeSpans": [
                {
                    "scope": {"name": name} if name else {},
                    "spans": [_render_span(span, trace.trace_id, form) for span in spans],
                }
                for name, spans in scopes.items()
            ],
        }
        for trace in traces
        for scopes in _by_sender(trace)
    ]


def _name_of(scopes: Mapping[str, list[ShownSpan]]) -> str:
    return next(iter(scopes.values()))[0].service or "unknown"


def _render_span(span: ShownSpan, trace_id: str, form: JsonForm) -> Document:
    attributes = _render_pairs(span.attributes)
    if span.warnings:
        attributes += _render_pairs({_WARNINGS: "; ".join(span.warnings)})
    document: Document = {
        "traceId": form.write_id(trace_id),
        "spanId": form.write_id(span.span_id),
        "name": span.name,
        "startTimeUnixNano": str(max(span.start_ns, 0)),
        "endTimeUnixNano": str(max(span.end_ns, 0)),
        "attributes": attributes,
        "status": _render_status(span, form),
    }
    if span.parent_id:
        document["parentSpanId"] = form.write_id(span.parent_id)
    if span.trace_state:
        document["traceState"] = span.trace_state
    if span.kind in form.kinds:
        document["kind"] = form.kinds[span.kind]
    if span.events:
        document["events"] = [
            {
                "timeUnixNano": str(max(event.time_ns, 0)),
                "name": event.name,
                "attributes": _render_pairs(type_values(event.attributes)),
            }
            for event in span.events
        ]
    if span.links:
        document["links"] = [
            {
                "traceId": form.write_id(normalise_trace_id(link.trace_id)),
                "spanId": form.write_id(shown_span_id(link.span_id)),
                "attributes": _render_pairs(type_values(link.attributes)),
            }
            for link in span.links
        ]
    return document


def _render_status(span: ShownSpan, form: JsonForm) -> Document:
    document: Document = {}
    if span.status in form.statuses:
        document["code"] = form.statuses[span.status]
    if span.status_message:
        document["message"] = span.status_message
    return document


def _render_pairs(values: Mapping[str, Value]) -> list[Document]:
    return [{"key": key, "value": render_value(value)} for key, value in values.items()]


def render_value(value: Value) -> Document:
    """Return a value as OTLP's JSON writes it."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": value}
