"""
Rules about what proxies and applications did with the trace context; each looks at one request.

Source: the problems cited at each rule.
"""

from collections.abc import Iterator

from collector.stitch.doctor import gateway_rules
from collector.stitch.doctor.fixes import FORWARD, ISTIO_OTEL, KONG_W3C
from collector.stitch.doctor.reading import (
    gateway_of,
    mesh_spans,
    span_reference,
    spans_by_id,
)
from collector.stitch.doctor.rule import RequestRule, Symptom
from collector.stitch.time.placement import FITTED
from collector.stitch.timeline import Timeline, TimelineSpan

# Two ends of one connection see its end in either order; a record is known to the millisecond.
_CLOSE_NS = 2_000_000
_MAX_REFS = 5


def find_stale_b3(timeline: Timeline) -> Iterator[Symptom]:
    """The same parent at two hops and more: the header was never rewritten (envoy#47515)."""
    stale = _siblings_by_parent(timeline)
    for parent_id, spans in sorted(stale.items()):
        if len({span.hop for span in spans}) >= 2:
            services = sorted({span.service for span in spans})
            detail = f"{', '.join(services)} all name {parent_id} as their parent"
            yield _symptom(spans[0], detail, timeline)


def find_sibling(timeline: Timeline) -> Iterator[Symptom]:
    """A callee names its caller's parent: the proxy between them passed on the wrong id."""
    for spans in _siblings_by_parent(timeline).values():
        if len({span.hop for span in spans}) == 1:
            detail = f"it names {spans[0].raw_parent_span_id}, the parent of its caller's span"
            yield _symptom(spans[0], detail, timeline)


def find_phantom_parent(timeline: Timeline) -> Iterator[Symptom]:
    """A parent never arrives: ids are made and passed on, and no span is sent (otel#580)."""
    yield from gateway_rules.find_phantom_parent(timeline)
    for span in mesh_spans(timeline):
        if span.is_orphan and span.raw_parent_span_id and span.parent_span_id:
            if "sibling" in span.flags or "cycle" in span.flags:
                continue
            detail = f"its parent {span.raw_parent_span_id} never arrived"
            yield _symptom(span, detail, timeline)


def find_new_root(timeline: Timeline) -> Iterator[Symptom]:
    """The trace begins again where a server side did not read what its caller sent."""
    for span in _restarts(timeline):
        if not _is_caller(span):
            detail = f"trace {span.trace_id} begins at its inbound side"
            yield _symptom(span, detail, timeline)
    yield from gateway_rules.find_unread_context(timeline)


def find_stripped_headers(timeline: Timeline) -> Iterator[Symptom]:
    """The trace begins again at a client side: its application did not forward the headers."""
    for span in _restarts(timeline):
        if _is_caller(span):
            detail = f"trace {span.trace_id} begins at its outbound side"
            yield _symptom(span, detail, timeline)


def find_skew(timeline: Timeline) -> Iterator[Symptom]:
    """
    A host's clock is surely wrong; told once a host, however many spans it moved.

    That a gateway's clock and the mesh's are apart is told, but is no habit of a host.
    """
    moved: dict[str, list[TimelineSpan]] = {}
    for span in timeline.spans:
        # Less than that is within what two well kept clocks differ by.
        if abs(span.adjusted_by_ns) > _CLOSE_NS and span.adjusted_reason != FITTED:
            moved.setdefault(span.host or span.service, []).append(span)
    known = spans_by_id(timeline) if moved else {}
    for _, spans in sorted(moved.items()):
        parent = known.get(spans[0].parent_span_id)
        noun = "span" if len(spans) == 1 else "spans"
        least, *_, most = sorted(span.adjusted_by_ns for span in (*spans, *spans))
        by = f"{least / 1e6:.3f}" + (f" to {most / 1e6:.3f}" if most > least else "")
        bound = max(span.adjusted_bound_ns for span in spans)
        by += f" ± {bound / 1e6:.3f}" if bound else ""
        yield Symptom(
            place=spans[0].service,
            detail=f"{len(spans)} {noun} moved by {by} ms: {spans[0].adjusted_reason}",
            gateway=gateway_of(timeline),
            refs=tuple(span_reference(span) for span in spans[:_MAX_REFS]),
            hop=spans[0].hop,
            is_habit=parent is not None and parent.role != "gateway",
        )


def _restarts(timeline: Timeline) -> Iterator[TimelineSpan]:
    """Yield the spans with which a trace begins inside the mesh."""
    restarted = {link.to for link in timeline.links if link.from_ in timeline.trace_ids}
    for span in mesh_spans(timeline):
        begins = span.trace_id in restarted and span.is_orphan and not span.raw_parent_span_id
        starts_alone = (
            span.span_id == timeline.root_span_id
            and not span.raw_parent_span_id
            and span.role == "client_proxy"
        )
        if begins or starts_alone:
            yield span


def _is_caller(span: TimelineSpan) -> bool:
    return span.kind == "Client" or span.role == "client_proxy"


def _siblings_by_parent(timeline: Timeline) -> dict[str, list[TimelineSpan]]:
    found: dict[str, list[TimelineSpan]] = {}
    for span in mesh_spans(timeline):
        if "sibling" in span.flags:
            found.setdefault(span.raw_parent_span_id, []).append(span)
    return found


def _symptom(span: TimelineSpan, detail: str, timeline: Timeline) -> Symptom:
    return Symptom(
        place=span.service,
        detail=detail,
        gateway=gateway_of(timeline),
        refs=(span_reference(span),),
        hop=span.hop,
    )


MESH_RULES: tuple[RequestRule, ...] = (
    RequestRule(
        code="PHANTOM_PARENT",
        title="A parent that nobody ever reports",
        meaning="Somebody makes span ids, passes them on and sends no spans: what is below hangs "
        "in the air.",
        find=find_phantom_parent,
        fixes={
            "": "Let whoever makes the id export its spans, or pass the incoming context on "
            "untouched. OpenTelemetry SDK: set an exporter, or OTEL_SDK_DISABLED=true with a "
            "propagator that only forwards.",
            "kong": KONG_W3C,
        },
        is_told=False,
    ),
    RequestRule(
        code="B3_SINGLE_STALE",
        title="The b3 header is read and never rewritten",
        meaning="Every proxy passes on the first one's id: all hops look like calls of the first.",
        find=find_stale_b3,
        fixes={
            "": "Envoy reads b3 and writes X-B3-*: send X-B3-* (multi) instead of b3, or change to "
            f"W3C.\n{ISTIO_OTEL}",
        },
    ),
    RequestRule(
        code="SIBLING_NOT_CHILD",
        title="A callee is its caller's sibling",
        meaning="It names its caller's parent as its own; here it was placed by name and time.",
        find=find_sibling,
        fixes={
            "": "The proxy in between must write its own span id into the header it sends. "
            "Linkerd: update the proxy (linkerd2-proxy#2408). Istio: all workloads on one "
            f"provider.\n{ISTIO_OTEL}",
        },
    ),
    RequestRule(
        code="NEW_ROOT_AT_HOP",
        title="The trace begins again at a hop",
        meaning="The hop does not read the context that it is sent, so that one request has "
        "several traces.",
        find=find_new_root,
        fixes={
            "": "The receiver does not read the format that arrives. With OpenTelemetry a mesh "
            "reads traceparent and no B3: let a gateway that sends B3 send W3C (Kong: "
            "config.propagation.inject = [w3c]). Istio with Zipkin ignores "
            "traceparent unless traceContextOption is USE_B3_WITH_W3C_PROPAGATION; better:\n"
            f"{ISTIO_OTEL}",
        },
    ),
    RequestRule(
        code="HEADER_STRIPPED_BY_APP",
        title="An application does not forward the trace headers",
        meaning="Its calls begin traces of their own: who made them shows only by other signs.",
        find=find_stripped_headers,
        fixes={"": FORWARD},
    ),
    RequestRule(
        code="CLOCK",
        title="A host's clock is wrong",
        meaning="Its spans lie outside of the calls that caused them; they are shown moved into "
        "them, and the times as sent are kept.",
        find=find_skew,
        fixes={
            "": "Run NTP or PTP on the host (chronyc tracking shows its state); in virtual "
            "machines use the host's clock device (ptp_kvm, hv_utils).",
        },
    ),
)
"""Rules about one request: what proxies and applications did with the trace context."""
