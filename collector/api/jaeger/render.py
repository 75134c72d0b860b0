"""
Traces as Jaeger's query API writes them in JSON: Grafana, Kiali and Jaeger's own UI show them.

Source: jaegertracing/jaeger v2.20 internal/uimodel (JSON), cmd/jaeger/internal/extension/
jaegerquery (paths, parameters, envelope).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from collector.api.traces.shown import ShownSpan, ShownTrace, shown_span_id
from collector.api.traces.values import Value, type_values
from collector.identity.ids import normalise_trace_id

Document = dict[str, Any]

_NS_PER_US = 1_000
_STATUS_WORDS = {"error": "ERROR", "ok": "OK"}


def envelope(data: Sequence[Any] | None, *, limit: int = 0) -> Document:
    """Return the frame of every answer."""
    total = 0 if data is None else len(data)
    return {"data": data, "total": total, "limit": limit, "offset": 0, "errors": None}


def error_envelope(code: int, message: str, trace_id: str = "") -> Document:
    """Return the frame of every error."""
    error: Document = {"code": code, "msg": message}
    if trace_id:
        error["traceID"] = trace_id
    return {"data": None, "total": 0, "limit": 0, "offset": 0, "errors": [error]}


def render_trace(trace: ShownTrace) -> Document:
    """Return one trace with the processes that its spans belong to."""
    names: dict[tuple[str, int], str] = {}
    processes: Document = {}
    spans = []
    for span in trace.spans:
        sender = (span.service, id(span.resource) if span.resource else 0)
        if sender not in names:
            names[sender] = f"p{len(names) + 1}"
            processes[names[sender]] = {
                "serviceName": span.service or "unknown",
                "tags": _tags(span.resource),
            }
        spans.append(_render_span(span, trace.trace_id, names[sender]))
    return {"traceID": trace.trace_id, "spans": spans, "processes": processes, "warnings": None}


def _render_span(span: ShownSpan, trace_id: str, process: str) -> Document:
    references = [_reference("CHILD_OF", trace_id, span.parent_id)] if span.parent_id else []
    references += [
        _reference("FOLLOWS_FROM", normalise_trace_id(link.trace_id), shown_span_id(link.span_id))
        for link in span.links
    ]
    return {
        "traceID": trace_id,
        "spanID": span.span_id,
        "flags": 1,
        "operationName": span.name,
        "references": references,
        "startTime": span.start_ns // _NS_PER_US,
        "duration": span.duration_ns // _NS_PER_US,
        "tags": _tags(span_tags(span)),
        "logs": [
            {
                "timestamp": event.time_ns // _NS_PER_US,
                "fields": _tags({"event": event.name, **type_values(event.attributes)}),
            }
            for event in span.events
        ],
        "processID": process,
        "warnings": list(span.warnings) or None,
    }


def span_tags(span: ShownSpan) -> Mapping[str, Value]:
    """
    Return a span's attributes with its kind and outcome among them, as Jaeger's older model has it.

    What the outcome says stands instead of an attribute of the same name.

    Source: OpenTelemetry specification, "OpenTelemetry to Jaeger Transformation".
    """
    tags = dict(span.attributes)
    if span.kind:
        tags["span.kind"] = span.kind
    if span.status:
        tags["otel.status_code"] = _STATUS_WORDS[span.status]
    if span.is_error:
        tags["error"] = True
    if span.status_message:
        tags["otel.status_description"] = span.status_message
    return tags


def _reference(kind: str, trace_id: str, span_id: str) -> Document:
    return {"refType": kind, "traceID": trace_id, "spanID": span_id}


def _tags(values: Mapping[str, Value]) -> list[Document]:
    return [
        {"key": key, "type": kind_of_value(value), "value": value} for key, value in values.items()
    ]


def kind_of_value(value: Value) -> str:
    """Return the word that Jaeger has for the type of a value."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int64"
    return "float64" if isinstance(value, float) else "string"


def render_operations(operations: Iterable[tuple[str, str]]) -> list[Document]:
    """Return (name, kind) pairs as `GET /api/operations` lists them."""
    return [{"name": name, "spanKind": kind.lower()} for name, kind in operations]


def render_dependencies(edges: Iterable[tuple[str, str, int]]) -> list[Document]:
    """Return (caller, callee, calls) as `GET /api/dependencies` lists them."""
    return [
        {"parent": caller, "child": callee, "callCount": calls} for caller, callee, calls in edges
    ]
