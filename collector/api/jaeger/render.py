"""
Timelines as Jaeger's query API writes traces: Grafana, Kiali and Jaeger's own UI show them.

The gateway record is a span like the others, corrected clocks carry a warning, and what Hopline
adds stands in tags that begin with `hopline.`.

Source: jaegertracing/jaeger v2.20 internal/uimodel (JSON), cmd/jaeger/internal/extension/
jaegerquery (paths, parameters, envelope).
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from collector.identity.ids import normalise_trace_id
from collector.model import Span
from collector.query.results import Stitched
from collector.stitch.timeline import Timeline, TimelineSpan

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


def render_trace(stitched: Stitched, *, is_raw: bool = False) -> Document:
    """
    Return one trace: the timeline's spans, and those of the same traces that it leaves out.

    Raw means as it was sent: no gateway record, no corrected clock.
    """
    timeline = stitched.timeline
    stored = {(span.trace_id, span.span_id): span for span in stitched.spans}
    writer = _Writer(jaeger_trace_id(timeline))
    if is_raw:
        for span in stitched.spans:
            writer.add_stored(span)
        return writer.document()
    seen = set()
    for placed in (*timeline.callers, *timeline.spans):
        key = (placed.trace_id, placed.raw_span_id)
        seen.add(key)
        writer.add_placed(placed, timeline, stored.get(key))
    for key, span in stored.items():
        if key not in seen:
            writer.add_stored(span)
    return writer.document()


def jaeger_trace_id(timeline: Timeline) -> str:
    """Return the trace id, or 32 digits made from the request's id when it has no trace."""
    if timeline.trace_id:
        return timeline.trace_id
    digits = normalise_trace_id(timeline.id)
    return digits or hashlib.blake2b(timeline.id.encode(), digest_size=16).hexdigest()


class _Writer:
    """Collects spans and the processes they belong to."""

    def __init__(self, trace_id: str) -> None:
        self._trace_id = trace_id
        self._spans: list[Document] = []
        self._processes: dict[tuple[Any, ...], str] = {}
        self._process_documents: dict[str, Document] = {}

    def document(self) -> Document:
        self._spans.sort(key=lambda span: (span["startTime"], span["spanID"]))
        return {
            "traceID": self._trace_id,
            "spans": self._spans,
            "processes": self._process_documents,
            "warnings": None,
        }

    def add_placed(self, span: TimelineSpan, timeline: Timeline, stored: Span | None) -> None:
        start_ns = span.raw_start_ns + span.adjusted_by_ns
        tags = _tags(span.attributes)
        tags += _outcome_tags(span.kind, span.status, span.status_message)
        tags.append(_tag("hopline.role", span.role))
        tags.append(_tag("hopline.hop", span.hop))
        tags.append(_tag("hopline.self_us", (span.self_ns or 0) // _NS_PER_US))
        tags.append(_tag("hopline.critical_path", span.is_on_critical_path))
        if span.trace_id and span.trace_id != self._trace_id:
            tags.append(_tag("hopline.trace_id", span.trace_id))
        warnings = [f"the span is marked {flag}" for flag in span.flags]
        if span.adjusted_by_ns:
            moved = f"moved by {span.adjusted_by_ns / 1e6:+.3f} ms"
            bound = f" ± {span.adjusted_bound_ns / 1e6:.3f} ms" if span.adjusted_bound_ns else ""
            warnings.append(f"clock: {moved}{bound} ({span.adjusted_reason})")
        if span.is_orphan:
            warnings.append(f"the parent {span.raw_parent_span_id} never arrived")
        resource = stored.resource if stored is not None else {}
        self._add(
            span.span_id,
            span.parent_span_id,
            span.name,
            (start_ns, span.duration_ns or 0),
            tags,
            self._process(span.service, resource),
            stored,
            warnings,
        )

    def add_stored(self, span: Span) -> None:
        tags = _tags(span.attributes) + _outcome_tags(span.kind, span.status, span.status_message)
        process = self._process(span.service, span.resource)
        times = (span.start_ns, span.end_ns - span.start_ns)
        self._add(span.span_id, span.parent_span_id, span.name, times, tags, process, span, [])

    def _add(
        self,
        span_id: str,
        parent_id: str,
        name: str,
        times_ns: tuple[int, int],
        tags: list[Document],
        process: str,
        stored: Span | None,
        warnings: list[str],
    ) -> None:
        references = [_reference("CHILD_OF", self._trace_id, parent_id)] if parent_id else []
        links = stored.links if stored is not None else ()
        references += [_reference("FOLLOWS_FROM", link.trace_id, link.span_id) for link in links]
        self._spans.append(
            {
                "traceID": self._trace_id,
                "spanID": span_id,
                "flags": 1,
                "operationName": name,
                "references": references,
                "startTime": times_ns[0] // _NS_PER_US,
                "duration": max(times_ns[1], 0) // _NS_PER_US,
                "tags": tags,
                "logs": _logs(stored),
                "processID": process,
                "warnings": warnings or None,
            }
        )

    def _process(self, service: str, resource: Mapping[str, str]) -> str:
        key = (service, tuple(sorted(resource.items())))
        found = self._processes.get(key)
        if found is None:
            found = self._processes[key] = f"p{len(self._processes) + 1}"
            tags = _tags({k: v for k, v in resource.items() if k != "service.name"})
            self._process_documents[found] = {"serviceName": service or "unknown", "tags": tags}
        return found


def _logs(stored: Span | None) -> list[Document]:
    if stored is None:
        return []
    return [
        {
            "timestamp": event.time_ns // _NS_PER_US,
            "fields": [_tag("event", event.name), *_tags(event.attributes)],
        }
        for event in stored.events
    ]


def _reference(kind: str, trace_id: str, span_id: str) -> Document:
    return {"refType": kind, "traceID": trace_id, "spanID": span_id}


def _outcome_tags(kind: str, status: str, message: str) -> list[Document]:
    tags = []
    if kind and kind != "Unspecified":
        tags.append(_tag("span.kind", kind.lower()))
    word = _STATUS_WORDS.get(status.lower())
    if word:
        tags.append(_tag("otel.status_code", word))
    if word == "ERROR":
        tags.append(_tag("error", True))
    if message:
        tags.append(_tag("otel.status_description", message))
    return tags


def _tags(attributes: Mapping[str, str]) -> list[Document]:
    return [_tag(key, value) for key, value in sorted(attributes.items())]


def _tag(key: str, value: object) -> Document:
    kind = "bool" if isinstance(value, bool) else "int64" if isinstance(value, int) else "string"
    return {"key": key, "type": kind, "value": value}


def render_operations(operations: Iterable[tuple[str, str]]) -> list[Document]:
    """Return (name, kind) pairs as `GET /api/operations` lists them."""
    return [{"name": name, "spanKind": kind.lower()} for name, kind in operations]


def render_dependencies(edges: Iterable[tuple[str, str, int]]) -> list[Document]:
    """Return (caller, callee, calls) as `GET /api/dependencies` lists them."""
    return [
        {"parent": caller, "child": callee, "callCount": calls} for caller, callee, calls in edges
    ]
