"""
The stitching itself: the rules in their order, and their results as one `Timeline`.

records → merged → matched to traces → trees → one tree → hops → places in time → critical path →
phases → verdict. Each step is a rule in a file of its own; this one only passes things on.
"""

from collections.abc import Sequence

from collector.decode.ids import request_id_key
from collector.model import GatewayRecord, Id, LogRecord, Span
from collector.stitch.access_logs import add_evidence, read_entries, spans_from_entries
from collector.stitch.completeness import SPAN_SOURCE, SourceLags, judge_completeness
from collector.stitch.critical_path import find_critical_path, is_waited_for, measure_self_times
from collector.stitch.gateways import Joint, join_gateways
from collector.stitch.hops import HopDraft, group_hops
from collector.stitch.join import match_record, view_traces
from collector.stitch.merge import merge_records
from collector.stitch.nodes import Node
from collector.stitch.observations import observe
from collector.stitch.phases import PROXY_PHASES, phase_of, split_into_phases
from collector.stitch.placement import NO_OFFSETS, ClockOffsets, place
from collector.stitch.roots import Rooted, choose_root
from collector.stitch.timeline import (
    Hop,
    Link,
    MergedRecord,
    Section,
    Timeline,
    TimelineSpan,
)
from collector.stitch.tree import build_forest
from collector.stitch.verdict import is_failing, judge


def stitch(
    records: Sequence[GatewayRecord],
    spans: Sequence[Span],
    logs: Sequence[LogRecord] = (),
    *,
    now_ns: int,
    lags: SourceLags | None = None,
    subject: str = "",
    offsets: ClockOffsets = NO_OFFSETS,
    population: int = 0,
    is_raw: bool = False,
) -> Timeline:
    """
    Make one timeline of everything that may belong to one request.

    Gives the same answer for the same inputs in any order, and always gives one, however broken
    they are.

    Args:
        records: Every stored version of the records that may belong to it.
        spans: Every span of the traces that may belong to it.
        logs: Access logs of the same request; where no span arrived they stand in for spans.
        now_ns: The moment at which the question is asked.
        lags: How late the sources are, and which of them should know this request.
        subject: The id that was asked for, of a record, a trace or a span; "" for the first.
        offsets: Clock offsets between hosts that were learned over many requests.
        population: How many traces could share a 64-bit id by chance; 0 for those at hand.
        is_raw: Show every start as its sender wrote it. Phases and path stay as they are.

    Raises:
        ValueError: there is neither a record nor a span nor an access log.
    """
    entries = read_entries(logs)
    if not spans:
        spans = spans_from_entries(entries, subject)
    if not records and not spans:
        raise ValueError("nothing to stitch: no record, no span and no access log")
    forest = build_forest(spans)
    add_evidence(forest.nodes, entries)
    traces = view_traces(forest.nodes)
    merged = merge_records(records)
    matched = [(m, match_record(m, traces, population=population)) for m in merged]
    joints = join_gateways(matched, forest, traces)
    rooted = choose_root(joints, traces, subject)
    _stretch_unmeasured(rooted.members)
    hops = group_hops(rooted.members)
    place(rooted.members, offsets)
    path = find_critical_path(rooted.root)
    measure_self_times(rooted.members)
    return _describe(
        joints, rooted, hops, path, (records, spans, logs), lags=lags, now_ns=now_ns, is_raw=is_raw
    )


def _stretch_unmeasured(members: Sequence[Node]) -> None:
    """Give a record without a duration the time of what it called, or it would hide all below."""
    for node in reversed(members):
        if node.record is not None and node.record.record.duration_ns is None:
            below = [c.raw_end - c.raw_start for c in node.children if is_waited_for(c)]
            node.raw_end = node.raw_start + max(below, default=0)


def _describe(
    joints: Sequence[Joint],
    rooted: Rooted,
    hops: Sequence[HopDraft],
    path: Sequence[tuple[Node, int, int]],
    inputs: tuple[Sequence[GatewayRecord], Sequence[Span], Sequence[LogRecord]],
    *,
    lags: SourceLags | None,
    now_ns: int,
    is_raw: bool,
) -> Timeline:
    root = rooted.root
    own = [joint for joint in joints if joint.node.hop >= 0]
    outermost = _outermost_record(rooted)
    split = split_into_phases(root, hops, path)
    state, expected = judge_completeness(
        _arrived(own, rooted),
        lags,
        end_ns=root.raw_end,
        now_ns=now_ns,
        is_unsampled=any(joint.record.is_sampled is False for joint in own),
        is_answered_by_gateway=_is_answered_by_gateway(root),
    )
    return Timeline(
        id=outermost.record.record_id if outermost is not None else root.trace_id,
        trace_id=_trace_id(rooted, own),
        trace_ids=tuple(sorted({n.trace_id for n in rooted.members if n.trace_id})),
        ids=_ids(own, rooted),
        state=state,
        expected=expected,
        revision=_revision(rooted, own, inputs),
        start_ns=root.start,
        duration_ns=root.duration,
        status=root.status_code if root.status_code else _first_status(rooted),
        is_error=is_failing(root),
        root_span_id=root.span_id,
        gateway_records=tuple(joint.merged for joint in own),
        phases=tuple(split.phases),
        hops=tuple(_hop(hop, root) for hop in hops),
        spans=tuple(_span(node, root, is_raw=is_raw) for node in rooted.members),
        critical_path=tuple(
            Section(span_id=node.span_id, from_ns=low - root.start, to_ns=high - root.start)
            for node, low, high in path
        ),
        links=_links(own, rooted, joints),
        verdict=judge(root, hops),
        findings=tuple(observe(rooted, hops, split.contradictions)),
        callers=tuple(_span(node, root, is_raw=True) for node in rooted.callers),
        others=tuple(dict.fromkeys(rooted.others)),
        watermarks_ns={s: lag.watermark_ns for s, lag in sorted(lags.by_source.items())}
        if lags
        else {},
    )


def _outermost_record(rooted: Rooted) -> MergedRecord | None:
    return next((node.record for node in rooted.members if node.record is not None), None)


def _arrived(own: Sequence[Joint], rooted: Rooted) -> set[str]:
    arrived = {source for joint in own for source in joint.merged.sources}
    if any(node.span is not None for node in rooted.members):
        arrived.add(SPAN_SOURCE)
    return arrived


def _is_answered_by_gateway(root: Node) -> bool:
    if root.record is None or root.children:
        return False
    record = root.record.record
    return record.cache == "hit" or not (record.backend_host or record.backend_status)


def _trace_id(rooted: Rooted, own: Sequence[Joint]) -> str:
    """Return the trace that most of the tree is of; the gateway's own when there are no spans."""
    counts: dict[str, int] = {}
    for node in rooted.members:
        if node.span is not None:
            counts[node.trace_id] = counts.get(node.trace_id, 0) + 1
    if counts:
        return min(counts, key=lambda trace_id: (-counts[trace_id], trace_id))
    return next((joint.record.trace_id for joint in own if joint.record.trace_id), "")


def _ids(own: Sequence[Joint], rooted: Rooted) -> tuple[Id, ...]:
    found: dict[tuple[str, str], Id] = {}
    for joint in own:
        for one in joint.record.ids:
            found[(one.kind, one.value)] = one
        if joint.record.trace_id:
            found[("trace_id", joint.record.trace_id)] = Id("trace_id", joint.record.trace_id)
    seen = {request_id_key(one.value) for one in found.values()}
    for node in rooted.members:
        if node.trace_id and not node.is_gateway:
            found.setdefault(("trace_id", node.trace_id), Id("trace_id", node.trace_id))
        value = node.attributes.get("guid:x-request-id", "")
        if value and ("x_request_id", value) not in found:
            key = request_id_key(value)
            if key and key not in seen:
                seen.add(key)
                found[("x_request_id", value)] = Id("x_request_id", value)
    return tuple(found[key] for key in sorted(found))


def _revision(
    rooted: Rooted,
    own: Sequence[Joint],
    inputs: tuple[Sequence[GatewayRecord], Sequence[Span], Sequence[LogRecord]],
) -> int:
    """Count the moments at which something of this request became known."""
    traces = {node.trace_id for node in rooted.members}
    keys = {(joint.record.gateway, joint.record.record_id.lower()) for joint in own}
    records, spans, logs = inputs
    moments = {r.received_ns for r in records if (r.gateway, r.record_id.lower()) in keys}
    moments |= {s.received_ns for s in spans if s.trace_id in traces}
    moments |= {entry.received_ns for entry in logs if entry.trace_id in traces}
    return max(1, len(moments))


def _first_status(rooted: Rooted) -> int | None:
    """Return the outermost status that somebody recorded; a gateway may not have."""
    for node in rooted.members:
        if node.status_code:
            return node.status_code
        if node.hop > 1:
            break
    return None


def _hop(hop: HopDraft, root: Node) -> Hop:
    top = hop.top
    end = max(node.end for node in hop.nodes) if top.is_inferred else top.end
    covered = _covered_by_calls(hop)
    return Hop(
        index=hop.index,
        role=hop.role,
        service=hop.service,
        name=_hop_name(hop),
        parent=hop.parent.index if hop.parent is not None else -1,
        start_offset_ns=top.start - root.start,
        duration_ns=end - top.start,
        self_ns=end - top.start - covered,
        critical_ns=sum(node.critical_time for node in hop.nodes),
        proxy_ns=sum(n.self_time for n in hop.nodes if phase_of(n, hop)[0] in PROXY_PHASES),
        attempt=hop.attempt,
        attempts=hop.attempts,
        status=_status_of_hop(hop),
        instance=next((n.instance for n in hop.callee or hop.nodes if n.instance), ""),
        is_inferred=hop.is_inferred,
        is_mirrored=hop.is_mirrored,
        is_async=hop.is_async,
        span_ids=tuple(node.span_id for node in hop.nodes),
        notes=tuple(hop.notes),
    )


def _hop_name(hop: HopDraft) -> str:
    own = [node for node in hop.callee if not node.is_proxy]
    return (own or hop.nodes)[0].name


def _covered_by_calls(hop: HopDraft) -> int:
    """Return the time of a hop in which at least one call to another hop was running."""
    low, high = hop.top.start, hop.top.end
    covered, reach = 0, low
    for child in sorted(hop.children, key=lambda c: c.top.start):
        if not is_waited_for(child.top):
            continue
        start, end = max(child.top.start, reach), min(child.top.end, high)
        if end > start:
            covered += end - start
            reach = end
    return covered


def _status_of_hop(hop: HopDraft) -> str:
    for node in hop.nodes:
        if node.status_code:
            return str(node.status_code)
    if any(node.is_error for node in hop.nodes):
        return "error"
    return "ok" if any(n.span is not None and n.span.status == "Ok" for n in hop.nodes) else "unset"


def _span(node: Node, root: Node, *, is_raw: bool) -> TimelineSpan:
    span = node.span
    shift = 0 if is_raw else node.shift
    raw_span_id = span.span_id if span is not None else ""
    return TimelineSpan(
        span_id=node.span_id,
        parent_span_id=node.parent.span_id if node.parent is not None else "",
        raw_span_id=raw_span_id,
        raw_parent_span_id=span.parent_span_id if span is not None else _record_parent(node),
        trace_id=node.trace_id,
        hop=node.hop,
        role=node.role,
        service=node.service,
        name=node.name,
        kind=node.kind,
        start_offset_ns=node.raw_start + shift - root.start,
        raw_start_ns=node.raw_start,
        adjusted_by_ns=shift,
        adjusted_bound_ns=node.bound if shift else 0,
        adjusted_reason=node.shift_reason if shift else "",
        duration_ns=node.raw_end - node.raw_start,
        self_ns=node.self_time,
        is_on_critical_path=node.critical_time > 0,
        status=_status_of_span(node),
        status_message=span.status_message if span is not None else "",
        attributes=node.attributes,
        is_orphan=node.is_orphan,
        is_inferred=node.is_inferred,
        flags=node.flags,
    )


def _record_parent(node: Node) -> str:
    return node.record.record.parent_span_id if node.record is not None else ""


def _status_of_span(node: Node) -> str:
    if node.is_error:
        return "error"
    if node.span is not None and node.span.status == "Ok":
        return "ok"
    return "ok" if node.status_code is not None and 0 < node.status_code < 400 else "unset"


def _links(own: Sequence[Joint], rooted: Rooted, joints: Sequence[Joint]) -> tuple[Link, ...]:
    links = [link for joint in own for link in joint.links] + rooted.links
    return tuple(sorted(links, key=lambda link: (link.tier, link.from_, link.to)))
