"""
Rules about what proxies and applications did with the trace context; each looks at one request.

Source: algorithms.md 4.4 and the problems cited at each rule.
"""

from collections.abc import Iterator

from collector.stitch.doctor.symptoms import (
    Symptom,
    drawn_spans,
    gateway_of,
    mesh_spans,
    span_reference,
    spans_by_id,
)
from collector.stitch.timeline import Timeline, TimelineSpan


def find_stale_b3(timeline: Timeline) -> Iterator[Symptom]:
    """The same parent at two hops and more: the header was never rewritten (envoy#47515)."""
    stale = _siblings_by_parent(timeline)
    for parent_id, spans in sorted(stale.items()):
        if len({span.hop for span in spans}) >= 2:
            services = sorted({span.service for span in spans})
            detail = f"{', '.join(services)} all name {parent_id} as their parent"
            yield _symptom("B3_SINGLE_STALE", spans[0], detail, timeline)


def find_sibling(timeline: Timeline) -> Iterator[Symptom]:
    """A callee names its caller's parent: the proxy between them passed on the wrong id."""
    for spans in _siblings_by_parent(timeline).values():
        if len({span.hop for span in spans}) == 1:
            detail = f"it names {spans[0].raw_parent_span_id}, the parent of its caller's span"
            yield _symptom("SIBLING_NOT_CHILD", spans[0], detail, timeline)


def find_phantom_parent(timeline: Timeline) -> Iterator[Symptom]:
    """A span's parent never arrives: ids are made and passed on, and no span is sent (otel#580)."""
    for span in mesh_spans(timeline):
        if span.is_orphan and span.raw_parent_span_id and span.parent_span_id:
            if "sibling" in span.flags or "cycle" in span.flags:
                continue
            detail = f"its parent {span.raw_parent_span_id} never arrived"
            yield _symptom("PHANTOM_PARENT", span, detail, timeline)


def find_restart(timeline: Timeline) -> Iterator[Symptom]:
    """
    The trace begins again inside the mesh.

    Where a client side begins it, the application in front of it did not forward the headers; where
    a server side does, whoever received the request did not read them.
    """
    restarted = {link.to for link in timeline.links if link.from_ in timeline.trace_ids}
    for span in mesh_spans(timeline):
        begins = span.trace_id in restarted and span.is_orphan and not span.raw_parent_span_id
        starts_alone = (
            span.span_id == timeline.root_span_id
            and not span.raw_parent_span_id
            and span.role == "client_proxy"
        )
        if not begins and not starts_alone:
            continue
        is_caller = span.kind == "Client" or span.role == "client_proxy"
        rule = "HEADER_STRIPPED_BY_APP" if is_caller else "NEW_ROOT_AT_HOP"
        detail = (
            f"trace {span.trace_id} begins at its {'outbound' if is_caller else 'inbound'} side"
        )
        yield _symptom(rule, span, detail, timeline)


def find_skew(timeline: Timeline) -> Iterator[Symptom]:
    """A host's clock is surely wrong."""
    seen: set[str] = set()
    moved = [span for span in drawn_spans(timeline) if span.adjusted_by_ns]
    known = spans_by_id(timeline) if moved else {}
    for span in moved:
        parent = known.get(span.parent_span_id)
        if parent is None or parent.adjusted_by_ns == span.adjusted_by_ns:
            continue
        if parent.role == "gateway" or span.service in seen:
            continue
        seen.add(span.service)
        detail = f"moved by {span.adjusted_by_ns / 1e6:.3f} ms: {span.adjusted_reason}"
        yield _symptom("CLOCK", span, detail, timeline)


def _siblings_by_parent(timeline: Timeline) -> dict[str, list[TimelineSpan]]:
    found: dict[str, list[TimelineSpan]] = {}
    for span in mesh_spans(timeline):
        if "sibling" in span.flags:
            found.setdefault(span.raw_parent_span_id, []).append(span)
    return found


def _symptom(rule: str, span: TimelineSpan, detail: str, timeline: Timeline) -> Symptom:
    return Symptom(
        rule=rule,
        place=span.service,
        detail=detail,
        gateway=gateway_of(timeline),
        refs=(span_reference(span),),
    )
