"""
Rules about what a gateway did with the trace context; each looks at one request.

Source: algorithms.md 4.4 and the problems cited at each rule.
"""

import re
from collections.abc import Iterator

from collector.identity.ids import parse_b3, parse_traceparent
from collector.stitch.doctor.symptoms import (
    Symptom,
    entries_of,
    logged_contexts,
    logged_header,
    mesh_spans,
    name_of,
    reference_of,
    span_header,
    span_reference,
)
from collector.stitch.timeline import MergedRecord, Timeline

_ZERO_PARENT = re.compile(r"00-[0-9a-f]{32}-0{16}-[0-9a-f]{2}", re.IGNORECASE)
_B3 = "http.request.header.b3"
_UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)


def find_zero_parent(timeline: Timeline) -> Iterator[Symptom]:
    """A traceparent with an all-zero parent id is invalid: receivers drop it (Q&A 1343243)."""
    for merged in timeline.gateway_records:
        found = _ZERO_PARENT.search(merged.record.raw)
        if found:
            yield _symptom("ZERO_PARENT", merged, f"it sent {found[0]}")


def find_legacy_request_id(timeline: Timeline) -> Iterator[Symptom]:
    """Only the old hierarchical Request-Id was there, which no mesh reads."""
    for merged in timeline.gateway_records:
        record = merged.record
        hierarchical = next((i.value for i in record.ids if i.value.startswith("|")), "")
        hierarchical = hierarchical or logged_header(record, "request-id")
        if hierarchical.startswith("|") and not logged_header(record, "traceparent"):
            detail = f"it logged Request-Id {hierarchical} and no traceparent"
            yield _symptom("LEGACY_REQUEST_ID_ONLY", merged, detail)


def find_w3c_off(timeline: Timeline) -> Iterator[Symptom]:
    """API Management knows no trace id, and the trace begins behind it (fact 0.1)."""
    for merged in timeline.gateway_records:
        if merged.record.gateway != "azure-apim" or merged.record.trace_id:
            continue
        for span in entries_of(timeline, merged):
            if not span.raw_parent_span_id:
                detail = f"the trace begins at {span.service}, behind the gateway"
                yield _symptom("APIM_W3C_OFF", merged, detail, span_reference(span))
                break


def find_wait_policy(timeline: Timeline) -> Iterator[Symptom]:
    """Calls made at the same time by one request have no common parent (Apim-Samples#76)."""
    for merged in timeline.gateway_records:
        entries = sorted(entries_of(timeline, merged), key=lambda s: s.start_offset_ns)
        for first, second in zip(entries, entries[1:], strict=False):
            overlap = second.start_offset_ns < first.start_offset_ns + first.duration_ns
            parents = {first.raw_parent_span_id, second.raw_parent_span_id}
            if overlap and (len(parents) > 1 or "" in parents):
                detail = f"{len(entries)} calls at the same time have different parents"
                refs = (span_reference(first), span_reference(second))
                yield _symptom("WAIT_POLICY", merged, detail, *refs)
                break


def find_b3_against_w3c(timeline: Timeline) -> Iterator[Symptom]:
    """One message carries two trace ids, and its readers choose differently."""
    for merged in timeline.gateway_records:
        b3 = parse_b3(logged_header(merged.record, "b3"))
        w3c = parse_traceparent(logged_header(merged.record, "traceparent"))
        if b3 and w3c and b3.trace_id != w3c.trace_id:
            detail = f"b3 says {b3.trace_id}, traceparent {w3c.trace_id}"
            yield _symptom("B3_W3C_DISAGREE", merged, detail)
    for span in mesh_spans(timeline):
        if _B3 not in span.attributes:
            continue
        b3 = parse_b3(span_header(span, "b3"))
        w3c = parse_traceparent(span_header(span, "traceparent"))
        if b3 and w3c and b3.trace_id != w3c.trace_id:
            detail = f"b3 says {b3.trace_id}, traceparent {w3c.trace_id}"
            yield Symptom("B3_W3C_DISAGREE", span.service, detail, refs=(span_reference(span),))


def find_unread_context(timeline: Timeline) -> Iterator[Symptom]:
    """
    The mesh begins a trace of its own although the gateway sends a context: another format.

    B3 in front of a mesh that reads W3C, or the other way round (Envoy Zipkin USE_B3).
    """
    for merged in timeline.gateway_records:
        begun = [span for span in entries_of(timeline, merged) if not span.raw_parent_span_id]
        # Without a trace id of the gateway's own, the headers are the client's.
        if not begun or not merged.record.trace_id:
            continue
        contexts = [c for c in logged_contexts(merged.record) if not c.is_parent_invalid]
        known = {context.trace_id[-16:] for context in contexts}
        for span in begun:
            if not contexts or span.trace_id[-16:] in known:
                continue
            sent = contexts[0]
            said = f"{sent.carrier} at the gateway says {sent.trace_id}"
            detail = f"trace {span.trace_id} begins here, {said}"
            refs = (reference_of(merged), span_reference(span))
            yield Symptom("NEW_ROOT_AT_HOP", span.service, detail, merged.record.gateway, refs)
            break


def find_phantom_parent(timeline: Timeline) -> Iterator[Symptom]:
    """The gateway sends the id of a span that nobody reports (Kong#11294, elastic/apm#458)."""
    for merged in timeline.gateway_records:
        record = merged.record
        # API Management's dependency goes to Application Insights; that it is not here is normal.
        if record.gateway == "azure-apim" or record.outgoing_span_id:
            continue
        for span in entries_of(timeline, merged):
            if span.raw_parent_span_id:
                detail = f"{span.service} names {span.raw_parent_span_id} as its parent"
                yield _symptom("PHANTOM_PARENT", merged, detail, span_reference(span))
                break


def find_sampled_out(timeline: Timeline) -> Iterator[Symptom]:
    """The gateway sends the flag 00: everything behind it is dropped or starts again."""
    for merged in timeline.gateway_records:
        if merged.record.is_sampled is False:
            count = sum(1 for _ in mesh_spans(timeline))
            detail = f"its traceparent says not sampled; {count} spans arrived"
            yield _symptom("SAMPLED_00", merged, detail)


def find_odd_request_id(timeline: Timeline) -> Iterator[Symptom]:
    """Envoy decides on sampling by the UUID in x-request-id and skips others (istio#11696)."""
    for merged in timeline.gateway_records:
        for found in merged.record.ids:
            if found.kind == "x_request_id" and not _UUID.fullmatch(found.value.strip()):
                detail = f"x-request-id {found.value} is no UUID"
                yield _symptom("NON_UUID_REQUEST_ID", merged, detail)
                break


def find_truncated_id(timeline: Timeline) -> Iterator[Symptom]:
    """Half of the trace id is lost on the way (jaeger-client-csharp#146, b3-propagation#47)."""
    seen: set[tuple[str, str]] = set()
    for link in timeline.links:
        for one in link.evidence:
            left, right = one.left.replace("-", "").lower(), one.right.lower()
            if len(right) != 32 or not link.to:
                continue
            if left[-16:] == right[-16:] and left != right:
                is_lost_zero = 17 <= len(left) < 32
                rule = "LEADING_ZERO_LOST" if is_lost_zero else "ID_TRUNCATED_64"
                place = _first_service(timeline, right)
                if (rule, place) in seen:
                    continue
                seen.add((rule, place))
                yield Symptom(
                    rule,
                    place,
                    f"{one.left} here is {one.right} there",
                    gateway=link.from_.partition("/")[0] if "/" in link.from_ else "",
                    refs=(link.from_, link.to),
                )


def _first_service(timeline: Timeline, trace_id: str) -> str:
    spans = [span for span in timeline.spans if span.trace_id == trace_id]
    first = min(spans, key=lambda s: (s.start_offset_ns, s.span_id), default=None)
    return first.service if first is not None else ""


def _symptom(rule: str, merged: MergedRecord, detail: str, *refs: str) -> Symptom:
    return Symptom(
        rule=rule,
        place=name_of(merged),
        detail=detail,
        gateway=merged.record.gateway,
        refs=(reference_of(merged), *refs),
    )
