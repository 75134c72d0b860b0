"""
What the rules of the doctor read in a timeline.
"""

import re
from collections.abc import Iterator

from collector.identity.ids import TraceContext, parse_b3, parse_b3_multi, parse_traceparent
from collector.model import GatewayRecord
from collector.stitch.timeline import MergedRecord, Timeline, TimelineSpan
from collector.stitch.tree.nodes import name_of_gateway


def places_of(timeline: Timeline) -> set[str]:
    """Return every component that a request passed: what a share of traffic is a share of."""
    return {hop.service for hop in timeline.hops} | {span.service for span in timeline.spans}


def gateway_of(timeline: Timeline) -> str:
    """Return the product of the innermost gateway in front of the mesh, "" without a record."""
    return timeline.gateway_records[-1].record.gateway if timeline.gateway_records else ""


def name_of(merged: MergedRecord) -> str:
    """Return a gateway's name as hops have it."""
    return name_of_gateway(merged.record)


def reference_of(merged: MergedRecord) -> str:
    """Return `<gateway>/<record id>`."""
    return merged.record.reference


def span_reference(span: TimelineSpan) -> str:
    """Return `<trace id>/<span id>`."""
    return f"{span.trace_id}/{span.span_id}"


def entries_of(timeline: Timeline, merged: MergedRecord) -> list[TimelineSpan]:
    """Return the mesh spans directly below a gateway record."""
    return [span for span in mesh_spans(timeline) if span.parent_span_id == merged.span_id]


def logged_header(record: GatewayRecord, name: str) -> str:
    """
    Return the value of a header as the record's original has it, or "".

    The original is JSON, at times JSON text within JSON: quotes may be escaped.
    """
    pattern = rf'"{re.escape(name)}\\*"\s*:\s*\[?\s*\\*"([^"\\]*)'
    found = re.search(pattern, record.raw, re.IGNORECASE)
    return found[1] if found else record.attributes.get(f"http.request.header.{name}", "")


def logged_contexts(record: GatewayRecord) -> list[TraceContext]:
    """Return each trace context among the headers of the record's original."""
    multi = {name: logged_header(record, name) for name in ("x-b3-traceid", "x-b3-spanid")}
    found = (
        parse_traceparent(logged_header(record, "traceparent")),
        parse_b3(logged_header(record, "b3")),
        parse_b3_multi(multi),
    )
    return [context for context in found if context is not None]


def span_header(span: TimelineSpan, name: str) -> str:
    """Return the value of a request header that a span has recorded, or ""."""
    value = span.attributes.get(f"http.request.header.{name}", "")
    return value[2:-2] if value.startswith('["') else value


def spans_by_id(timeline: Timeline) -> dict[str, TimelineSpan]:
    """Return the spans by their id in this timeline."""
    return {span.span_id: span for span in timeline.spans}


def mesh_spans(timeline: Timeline) -> Iterator[TimelineSpan]:
    """
    Yield every span that somebody behind the gateway sent.

    Lines of access logs that are drawn as spans are none: they say nothing of the trace context.
    """
    return (span for span in drawn_spans(timeline) if "access_log" not in span.flags)


def drawn_spans(timeline: Timeline) -> Iterator[TimelineSpan]:
    """Yield every span behind the gateway, those drawn from access logs as well."""
    return (span for span in timeline.spans if span.role != "gateway" and not span.is_inferred)
