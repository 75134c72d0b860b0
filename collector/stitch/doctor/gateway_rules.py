"""
Rules about what a gateway did with the trace context; each looks at one request.

Source: the problems cited at each rule.
"""

import re
from collections.abc import Iterator

from collector.identity.ids import parse_b3, parse_traceparent
from collector.stitch.doctor.fixes import (
    APIM_TRACEPARENT,
    APIM_W3C,
    ISTIO_OTEL,
    KONG_W3C,
    SAMPLE_ONCE,
)
from collector.stitch.doctor.reading import (
    entries_of,
    logged_contexts,
    logged_header,
    mesh_spans,
    name_of,
    reference_of,
    span_header,
    span_reference,
)
from collector.stitch.doctor.rule import RequestRule, Symptom
from collector.stitch.timeline import MergedRecord, Timeline

_ZERO_PARENT = re.compile(r"00-[0-9a-f]{32}-0{16}-[0-9a-f]{2}", re.IGNORECASE)
_B3 = "http.request.header.b3"
# With dashes as Envoy writes it, or the 32 digits that nginx makes: the bits are there in both.
_UUID = re.compile(
    r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32}", re.IGNORECASE | re.ASCII
)


def find_zero_parent(timeline: Timeline) -> Iterator[Symptom]:
    """A traceparent with an all-zero parent id is invalid: receivers drop it (Q&A 1343243)."""
    for merged in timeline.gateway_records:
        found = _ZERO_PARENT.search(merged.record.raw)
        if found:
            yield _symptom(merged, f"it sent {found[0]}")


def find_legacy_request_id(timeline: Timeline) -> Iterator[Symptom]:
    """Only the old hierarchical Request-Id was there, which no mesh reads."""
    for merged in timeline.gateway_records:
        record = merged.record
        hierarchical = next((i.value for i in record.ids if i.value.startswith("|")), "")
        hierarchical = hierarchical or logged_header(record, "request-id")
        if hierarchical.startswith("|") and not logged_header(record, "traceparent"):
            detail = f"it logged Request-Id {hierarchical} and no traceparent"
            yield _symptom(merged, detail)


def find_w3c_off(timeline: Timeline) -> Iterator[Symptom]:
    """API Management knows no trace id, and the trace begins behind it (fact 0.1)."""
    for merged in timeline.gateway_records:
        if merged.record.gateway != "azure-apim" or merged.record.trace_id:
            continue
        for span in entries_of(timeline, merged):
            if not span.raw_parent_span_id:
                detail = f"the trace begins at {span.service}, behind the gateway"
                yield _symptom(merged, detail, span_reference(span))
                break


def find_wait_policy(timeline: Timeline) -> Iterator[Symptom]:
    """Calls made at the same time by one request have no common parent (Apim-Samples#76)."""
    for merged in timeline.gateway_records:
        entries = sorted(entries_of(timeline, merged), key=lambda s: s.start_offset_ns)
        for first, second in zip(entries, entries[1:], strict=False):
            overlap = second.start_offset_ns < first.start_offset_ns + (first.duration_ns or 0)
            parents = {first.raw_parent_span_id, second.raw_parent_span_id}
            if overlap and (len(parents) > 1 or "" in parents):
                detail = f"{len(entries)} calls at the same time have different parents"
                refs = (span_reference(first), span_reference(second))
                yield _symptom(merged, detail, *refs)
                break


def find_b3_against_w3c(timeline: Timeline) -> Iterator[Symptom]:
    """One message carries two trace ids, and its readers choose differently."""
    for merged in timeline.gateway_records:
        b3 = parse_b3(logged_header(merged.record, "b3"))
        w3c = parse_traceparent(logged_header(merged.record, "traceparent"))
        if b3 and w3c and b3.trace_id != w3c.trace_id:
            detail = f"b3 says {b3.trace_id}, traceparent {w3c.trace_id}"
            yield _symptom(merged, detail)
    for span in mesh_spans(timeline):
        if _B3 not in span.attributes:
            continue
        b3 = parse_b3(span_header(span, "b3"))
        w3c = parse_traceparent(span_header(span, "traceparent"))
        if b3 and w3c and b3.trace_id != w3c.trace_id:
            detail = f"b3 says {b3.trace_id}, traceparent {w3c.trace_id}"
            yield Symptom(span.service, detail, refs=(span_reference(span),))


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
            yield Symptom(span.service, detail, merged.record.gateway, refs)
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
                yield _symptom(merged, detail, span_reference(span))
                break


def find_sampled_out(timeline: Timeline) -> Iterator[Symptom]:
    """The gateway sends the flag 00: everything behind it is dropped or starts again."""
    for merged in () if timeline.is_answered_at_gateway else timeline.gateway_records:
        if merged.record.is_sampled is False:
            count = sum(1 for _ in mesh_spans(timeline))
            detail = f"its traceparent says not sampled; {count} spans arrived"
            yield _symptom(merged, detail)


def find_odd_request_id(timeline: Timeline) -> Iterator[Symptom]:
    """Envoy decides on sampling by the UUID in x-request-id and skips others (istio#11696)."""
    for merged in timeline.gateway_records:
        for found in merged.record.ids:
            if found.kind == "x_request_id" and not _UUID.fullmatch(found.value.strip()):
                detail = f"x-request-id {found.value} is no UUID"
                yield _symptom(merged, detail)
                break


def find_truncated_id(timeline: Timeline) -> Iterator[Symptom]:
    """Half of the trace id is lost on the way (jaeger-client-csharp#146, b3-propagation#47)."""
    return _find_changed_id(timeline, is_zero_lost=False)


def find_lost_zero(timeline: Timeline) -> Iterator[Symptom]:
    """A zero at the start of the id is lost: somebody wrote it as a number."""
    return _find_changed_id(timeline, is_zero_lost=True)


def _find_changed_id(timeline: Timeline, *, is_zero_lost: bool) -> Iterator[Symptom]:
    seen: set[str] = set()
    for link in timeline.links:
        for one in link.evidence:
            left, right = one.left.replace("-", "").lower(), one.right.lower()
            if len(right) != 32 or not link.to:
                continue
            if left[-16:] != right[-16:] or left == right:
                continue
            place = _first_service(timeline, right)
            if (17 <= len(left) < 32) != is_zero_lost or place in seen:
                continue
            seen.add(place)
            yield Symptom(
                place,
                f"{one.left} here is {one.right} there",
                gateway=link.from_.partition("/")[0] if "/" in link.from_ else "",
                refs=(link.from_, link.to),
            )


def find_contradicted_join(timeline: Timeline) -> Iterator[Symptom]:
    """A record and a span are joined by an id, and say different things of the request."""
    services = {span_reference(span): span.service for span in timeline.spans}
    for link in timeline.links:
        # Of another time alone, a clock may be wrong: that is told by itself.
        said = [
            f"{one.field} {one.left} and {one.right}"
            for one in link.contradictions
            if one.field != "time"
        ]
        if said:
            place = services.get(link.to, link.to)
            detail = f"the gateway and the span behind it say {', '.join(said)}"
            gateway = link.from_.partition("/")[0]
            yield Symptom(place, detail, gateway, (link.from_, link.to))


def _first_service(timeline: Timeline, trace_id: str) -> str:
    spans = [span for span in timeline.spans if span.trace_id == trace_id]
    first = min(spans, key=lambda s: (s.start_offset_ns, s.span_id), default=None)
    return first.service if first is not None else ""


def _symptom(merged: MergedRecord, detail: str, *refs: str) -> Symptom:
    return Symptom(
        place=name_of(merged),
        detail=detail,
        gateway=merged.record.gateway,
        refs=(reference_of(merged), *refs),
    )


GATEWAY_RULES: tuple[RequestRule, ...] = (
    RequestRule(
        code="ZERO_PARENT",
        title="The gateway sends a traceparent that nobody may read",
        meaning="A parent id of zeros makes the header invalid: receivers drop it and begin a "
        "trace of their own.",
        find=find_zero_parent,
        fixes={
            "": "Write a random, non-zero parent id into traceparent; receivers drop the header "
            "otherwise.",
            "azure-apim": APIM_TRACEPARENT.replace('"skip"', '"override"'),
        },
    ),
    RequestRule(
        code="LEGACY_REQUEST_ID_ONLY",
        title="Only the old Request-Id travels, which no mesh reads",
        meaning="Nothing that the mesh understands connects its spans to the gateway's record.",
        find=find_legacy_request_id,
        fixes={
            "": "Have the client or the gateway send a W3C traceparent besides Request-Id.",
            "azure-apim": APIM_W3C,
        },
    ),
    RequestRule(
        code="APIM_W3C_OFF",
        title="API Management does not send a trace context",
        meaning="The trace begins behind the gateway, so that the two are joined by weaker signs.",
        find=find_w3c_off,
        fixes={"": APIM_W3C},
    ),
    RequestRule(
        code="WAIT_POLICY",
        title="Parallel calls of the gateway have no common parent",
        meaning="Each of the calls looks like a request of its own to whoever reads the trace.",
        find=find_wait_policy,
        fixes={
            "": "Give each parallel call a traceparent with the same trace id and its own parent "
            "id.",
            "azure-apim": "Inside <wait>, set traceparent on each send-request yourself:\n"
            '<set-header name="traceparent" exists-action="override">\n'
            '  <value>@("00-" + context.RequestId.ToString("N") + "-"\n'
            '    + Guid.NewGuid().ToString("N").Substring(16) + "-01")</value>\n'
            "</set-header>",
        },
    ),
    RequestRule(
        code="B3_W3C_DISAGREE",
        title="Two trace ids in one message",
        meaning="One header says this trace and the other says that one: the services that read "
        "it end up in two traces.",
        find=find_b3_against_w3c,
        fixes={
            "": "Write one format only, or both from the same context: remove the stale one where "
            f"the request enters.\n{ISTIO_OTEL}",
            "kong": KONG_W3C,
        },
    ),
    RequestRule(
        code="ID_TRUNCATED_64",
        title="Half of the trace id is lost",
        meaning="What comes before and what comes after this hop is stored under two trace ids, "
        "and two traces may share the half that is left.",
        find=find_truncated_id,
        fixes={
            "": "Switch the 64-bit tracer to 128 bits. Envoy Zipkin: trace_id_128bit: true; Jaeger "
            "clients: JAEGER_TRACEID_128BIT=true; Brave: supportsJoin(false).traceId128Bit(true)",
        },
    ),
    RequestRule(
        code="LEADING_ZERO_LOST",
        title="A zero at the start of the trace id is lost",
        meaning="One trace in sixteen falls into two, where its id begins with a zero.",
        find=find_lost_zero,
        fixes={
            "": "Pad trace ids to 32 digits before they are written or logged; the client library "
            "formats them as a number (jaeger-client-python#322 is fixed in later versions).",
        },
    ),
    RequestRule(
        code="JOIN_CONTRADICTED",
        title="A gateway record and its span contradict each other",
        meaning="They share an id and may still be of two requests: the join is uncertain.",
        find=find_contradicted_join,
        fixes={
            "": "Let the gateway make a span id of its own for each request that it passes on, and "
            "log it: an id that several requests carry proves none of them.",
            "azure-apim": APIM_W3C,
            "kong": KONG_W3C,
        },
    ),
    RequestRule(
        code="SAMPLED_00",
        title="The gateway switches tracing off",
        meaning="The flag 00 tells everybody behind the gateway not to record the request.",
        find=find_sampled_out,
        fixes={
            "": f"The flag 00 tells everybody behind it not to trace.\n{SAMPLE_ONCE}",
            "azure-apim": "Raise the sampling of the API's Application Insights diagnostic, or "
            f"send the flag 01 by policy.\n{APIM_TRACEPARENT}",
        },
    ),
    RequestRule(
        code="NON_UUID_REQUEST_ID",
        title="The request id is no UUID, so Envoy does not trace by it",
        meaning="Envoy writes its sampling decision into the UUID, and skips what is none.",
        find=find_odd_request_id,
        fixes={
            "": "Send a UUID as x-request-id, or do not let it decide on sampling:\n"
            "spec: {tracing: [{useRequestIdForTraceSampling: false}]}   # Telemetry",
            "ingress-nginx": 'Let Envoy make the id: proxy-set-headers with X-Request-ID "", or '
            "generate-request-id: false in the ConfigMap.",
        },
    ),
)
"""Rules about one request, except those that gateways and mesh share."""
