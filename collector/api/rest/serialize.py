"""
Timelines and records as the documents of the API: RFC 3339 and milliseconds from nanoseconds.

Everything here is plain building of dictionaries; orjson writes them as they are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import orjson

from collector.model import GatewayRecord, Id, LogRecord, Span
from collector.query.learned.clocks import ClockReport
from collector.query.results import ApiReport, Found, SourceReport, Stored, Summary
from collector.query.timelines.explanation import Explanation
from collector.query.timestamps import format_timestamp, to_ms
from collector.stitch.timeline import (
    Direction,
    Evidence,
    Expected,
    Finding,
    Hop,
    Link,
    MergedRecord,
    Phase,
    PolicyAction,
    Section,
    Timeline,
    TimelineSpan,
    Verdict,
)

Document = dict[str, Any]

_RECORD_MOMENTS = {"start_ns": "start", "received_ns": "received"}
_RECORD_FIELDS = tuple(
    field.name for field in fields(GatewayRecord) if field.name not in ("ids", "raw", "quality")
)


def render_timeline(timeline: Timeline) -> Document:
    """Return the document of `GET /api/v1/requests/{id}`."""
    return {
        "id": timeline.id,
        "trace_id": timeline.trace_id or None,
        "trace_ids": timeline.trace_ids,
        "ids": [_render_id(item) for item in timeline.ids],
        "state": timeline.state,
        "expected": [_render_expected(item) for item in timeline.expected],
        "revision": timeline.revision,
        "start": format_timestamp(timeline.start_ns),
        "duration_ms": to_ms(timeline.duration_ns),
        "status": timeline.status,
        "error": timeline.is_error,
        "root_span_id": timeline.root_span_id,
        "gateway_records": [_render_merged(item) for item in timeline.gateway_records],
        "phases": [_render_phase(item) for item in timeline.phases],
        "hops": [_render_hop(item) for item in timeline.hops],
        "spans": [_render_span(item) for item in timeline.spans],
        "critical_path": [_render_section(item) for item in timeline.critical_path],
        "links": [_render_link(item) for item in timeline.links],
        "verdict": _render_verdict(timeline.verdict),
        "findings": [_render_finding(item) for item in timeline.findings],
        "acts": [_render_policy_action(item) for item in timeline.acts],
        "callers": [_render_span(item) for item in timeline.callers],
        "other_matches": timeline.others,
        "watermarks": _render_moments(timeline.watermarks_ns),
    }


def _render_verdict(verdict: Verdict) -> Document:
    """Return the `verdict` of a timeline."""
    return {
        "layer": verdict.layer,
        "component": verdict.component,
        "class": verdict.class_,
        "reason": verdict.reason,
        "confidence": verdict.confidence,
        "rule": verdict.rule,
        "hop": verdict.hop,
        "first_offset_ms": _optional_ms(verdict.first_offset_ns),
        "who_closed": verdict.who_closed,
        "outcome": verdict.outcome,
        "wasted_ms": to_ms(verdict.wasted_ns),
        "chain": [
            {
                "layer": step.layer,
                "component": step.component,
                "what": step.what,
                "offset_ms": _optional_ms(step.offset_ns),
                "refs": step.refs,
            }
            for step in verdict.chain
        ],
    }


def _render_record(record: GatewayRecord) -> Document:
    """Return a gateway record under its canonical names, `raw` as the object it is."""
    document: Document = {"ids": [_render_id(item) for item in record.ids]}
    for name in _RECORD_FIELDS:
        value = getattr(record, name)
        if name in _RECORD_MOMENTS:
            document[_RECORD_MOMENTS[name]] = format_timestamp(value)
        elif name.endswith("_ns"):
            document[f"{name[:-3]}_ms"] = _optional_ms(value)
        else:
            document[name] = value
    document["attributes"] = dict(record.attributes)
    document["quality"] = record.quality
    document["raw"] = _parse_raw(record.raw)
    return document


def _render_stored_span(span: Span) -> Document:
    """Return a span as it is stored: raw times, every attribute."""
    return {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id,
        "name": span.name,
        "service": span.service,
        "kind": span.kind,
        "start": format_timestamp(span.start_ns),
        "end": format_timestamp(span.end_ns),
        "duration_ms": to_ms(span.end_ns - span.start_ns),
        "status": span.status,
        "status_message": span.status_message,
        "trace_state": span.trace_state,
        "attributes": dict(span.attributes),
        "resource": dict(span.resource),
        "scope": span.scope,
        "events": [
            {
                "time": format_timestamp(event.time_ns),
                "name": event.name,
                "attributes": dict(event.attributes),
            }
            for event in span.events
        ],
        "links": [
            {
                "trace_id": link.trace_id,
                "span_id": link.span_id,
                "attributes": dict(link.attributes),
            }
            for link in span.links
        ],
        "received": format_timestamp(span.received_ns),
    }


def _render_log(log: LogRecord) -> Document:
    """Return a log record as it is stored."""
    return {
        "time": format_timestamp(log.time_ns),
        "trace_id": log.trace_id,
        "span_id": log.span_id,
        "service": log.service,
        "severity": log.severity,
        "body": log.body,
        "event_name": log.event_name,
        "attributes": dict(log.attributes),
        "resource": dict(log.resource),
        "scope": log.scope,
        "received": format_timestamp(log.received_ns),
    }


def render_found(found: Found) -> Document:
    """Return the document of `GET /api/v1/requests`."""
    return {
        "requests": [_render_summary(item) for item in found.requests],
        "next_cursor": found.next_cursor or None,
        "range": {"start": format_timestamp(found.start_ns), "end": format_timestamp(found.end_ns)},
        "watermarks": _render_moments(found.watermarks_ns),
        "note": found.note,
    }


def render_explanation(account: Explanation) -> Document:
    """Return the document of `GET /api/v1/requests/{id}/explain`."""
    return {
        "id": account.id,
        "title": account.title,
        "state": account.state,
        "revision": account.revision,
        "sentences": [
            {"section": each.section, "text": each.text, "rule": each.rule, "refs": each.refs}
            for each in account.sentences
        ],
    }


def render_stored(stored: Stored) -> Document:
    """Return the document of `GET /api/v1/requests/{id}/spans`."""
    return {
        "id": stored.id,
        "records": [_render_record(record) for record in stored.records],
        "spans": [_render_stored_span(span) for span in stored.spans],
        "logs": [_render_log(log) for log in stored.logs],
        "cut": stored.is_cut,
    }


def render_sources(sources: Iterable[SourceReport]) -> Document:
    """Return the document of `GET /api/v1/sources`."""
    return {
        "sources": [
            {
                "source": item.source,
                "stream": item.stream,
                "doors": item.doors,
                "rows": item.rows,
                "last_event": _optional_moment(item.last_event_ns),
                "last_received": _optional_moment(item.last_received_ns),
                "lag_p50_ms": _optional_ms(item.lag_p50_ns),
                "lag_p90_ms": _optional_ms(item.lag_p90_ns),
                "lag_p99_ms": _optional_ms(item.lag_p99_ns),
                "watermark": _optional_moment(item.watermark_ns),
                "accepted": item.accepted,
                "rejected": item.rejected,
                "last_error": item.last_error,
            }
            for item in sources
        ]
    }


def render_apis(apis: Iterable[ApiReport]) -> Document:
    """Return the document of `GET /api/v1/apis`."""
    return {
        "apis": [
            {
                "gateway": item.gateway,
                "api": item.api,
                "requests": item.requests,
                "requests_per_s": item.requests_per_s,
                "errors": item.errors,
                "error_ratio": item.errors / item.requests if item.requests else 0.0,
                "p50_ms": to_ms(item.p50_ns),
                "p95_ms": to_ms(item.p95_ns),
                "p99_ms": to_ms(item.p99_ns),
                "join_coverage": item.join_coverage,
            }
            for item in apis
        ]
    }


def render_clocks(report: ClockReport) -> Document:
    """Return the document of `GET /api/v1/clocks`."""
    return {
        "pairs": [
            {
                "first": pair.first,
                "second": pair.second,
                "offset_ms": to_ms(pair.offset_ns),
                "bound_ms": to_ms(pair.bound_ns),
                "samples": pair.samples,
                "drift_ppm": pair.drift_ppm,
                "health": pair.health,
            }
            for pair in report.pairs
        ],
        "calls": report.calls,
        "start": _optional_moment(report.start_ns),
        "end": _optional_moment(report.end_ns),
    }


def _render_summary(item: Summary) -> Document:
    return {
        "id": item.id,
        "trace_id": item.trace_id or None,
        "start": format_timestamp(item.start_ns),
        "duration_ms": to_ms(item.duration_ns),
        "gateway": item.gateway,
        "api": item.api,
        "operation": item.operation,
        "route": item.route,
        "method": item.method,
        "status": item.status,
        "error": item.is_error,
        "consumer": item.consumer,
        "backend_ms": _optional_ms(item.backend_ns),
        "unexplained_ms": _optional_ms(item.unexplained_ns),
        "hops": item.hops,
        "services": item.services,
        "joined": item.is_joined,
        "state": item.state,
        "verdict": item.verdict,
    }


def _render_moments(moments: Mapping[str, int]) -> dict[str, str]:
    return {name: format_timestamp(moment) for name, moment in sorted(moments.items())}


def _render_id(item: Id) -> Document:
    return {"kind": item.kind, "value": item.value}


def _render_expected(item: Expected) -> Document:
    return {
        "source": item.source,
        "status": item.status,
        "deadline": _optional_moment(item.deadline_ns),
    }


def _render_merged(item: MergedRecord) -> Document:
    document = _render_record(item.record)
    document["sources"] = item.sources
    document["versions"] = item.versions
    document["span_id"] = item.span_id
    return document


def _render_phase(phase: Phase) -> Document:
    return {
        **_render_slice(phase),
        "directions": [_render_slice(way) for way in phase.directions],
    }


def _render_slice(item: Phase | Direction) -> Document:
    return {
        "name": item.name,
        "duration_ms": to_ms(item.duration_ns),
        "lower_ms": to_ms(item.lower_ns),
        "upper_ms": to_ms(item.upper_ns),
        "source": item.source,
    }


def _render_hop(hop: Hop) -> Document:
    return {
        "index": hop.index,
        "role": hop.role,
        "service": hop.service,
        "name": hop.name,
        "parent": hop.parent,
        "start_offset_ms": to_ms(hop.start_offset_ns),
        "duration_ms": to_ms(hop.duration_ns),
        "self_ms": to_ms(hop.self_ns),
        "critical_ms": to_ms(hop.critical_ns),
        "proxy_ms": to_ms(hop.proxy_ns),
        "attempt": hop.attempt,
        "attempts": hop.attempts,
        "status": hop.status,
        "instance": hop.instance,
        "inferred": hop.is_inferred,
        "mirrored": hop.is_mirrored,
        "async": hop.is_async,
        "span_ids": hop.span_ids,
        "notes": hop.notes,
    }


def _render_span(span: TimelineSpan) -> Document:
    return {
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id,
        "raw_span_id": span.raw_span_id,
        "raw_parent_span_id": span.raw_parent_span_id,
        "trace_id": span.trace_id,
        "hop": span.hop,
        "role": span.role,
        "service": span.service,
        "name": span.name,
        "kind": span.kind,
        "start_offset_ms": to_ms(span.start_offset_ns),
        "raw_start": format_timestamp(span.raw_start_ns),
        "adjusted_by_ms": to_ms(span.adjusted_by_ns),
        "adjusted_bound_ms": to_ms(span.adjusted_bound_ns),
        "adjusted_reason": span.adjusted_reason,
        "duration_ms": to_ms(span.duration_ns),
        "self_ms": to_ms(span.self_ns),
        "on_critical_path": span.is_on_critical_path,
        "status": span.status,
        "status_message": span.status_message,
        "attributes": dict(span.attributes),
        "orphan": span.is_orphan,
        "inferred": span.is_inferred,
        "flags": span.flags,
    }


def _render_section(section: Section) -> Document:
    return {
        "span_id": section.span_id,
        "from_ms": to_ms(section.from_ns),
        "to_ms": to_ms(section.to_ns),
    }


def _render_link(link: Link) -> Document:
    return {
        "from": link.from_,
        "to": link.to,
        "tier": link.tier,
        "confidence": link.confidence,
        "evidence": [_render_evidence(item) for item in link.evidence],
        "rejected": [
            {
                "to": item.to,
                "tier": item.tier,
                "confidence": item.confidence,
                "reason": item.reason,
                "evidence": [_render_evidence(proof) for proof in item.evidence],
            }
            for item in link.rejected
        ],
    }


def _render_evidence(item: Evidence) -> Document:
    return {"field": item.field, "left": item.left, "right": item.right}


def _render_policy_action(item: PolicyAction) -> Document:
    return {
        "feature": item.feature,
        "layer": item.layer,
        "component": item.component,
        "detail": item.detail,
        "refs": item.refs,
    }


def _render_finding(item: Finding) -> Document:
    return {
        "rule": item.rule,
        "title": item.title,
        "meaning": item.meaning,
        "hop": item.hop if item.hop >= 0 else None,
        "message": item.message,
        "fix": item.fix,
        "refs": item.refs,
    }


def _optional_ms(value: int | None) -> float | None:
    return None if value is None else to_ms(value)


def _optional_moment(value: int | None) -> str | None:
    return None if value is None else format_timestamp(value)


def _parse_raw(text: str) -> Any:
    """Return the original row as JSON; one that is no JSON (a log line) stays text."""
    if not text:
        return {}
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
