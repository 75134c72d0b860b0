"""
The stitching itself: the rules in their order, and their results as one `Timeline`.

records → merged → matched to traces → trees → one tree → hops → places in time → critical path →
phases → verdict. Each step is a rule in a file of its own; this one only passes things on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from collector.decode.records.from_spans import SOURCE, ServiceRule, reconcile, views_from_spans
from collector.model import GatewayRecord, LogRecord, Span
from collector.stitch.completeness import SPAN_SOURCE, SourceLags, judge_completeness
from collector.stitch.describe import (
    Inputs,
    collect_ids,
    collect_links,
    count_revisions,
    describe_hop,
    describe_span,
    first_status,
    main_trace_id,
)
from collector.stitch.doctor.diagnose import findings_of
from collector.stitch.join.by_id import match_record, view_traces
from collector.stitch.join.gateways import AttachedRecord, join_gateways
from collector.stitch.join.likely import LikelyPair, add_likely
from collector.stitch.join.merge import merge_records
from collector.stitch.join.roots import Rooted, choose_root
from collector.stitch.observations import observe
from collector.stitch.time.critical_path import (
    find_critical_path,
    is_waited_for,
    measure_self_times,
)
from collector.stitch.time.phases import split_into_phases
from collector.stitch.time.placement import NO_OFFSETS, ClockOffsets, place
from collector.stitch.timeline import Expected, Section, Timeline
from collector.stitch.tree.access_logs import add_evidence, read_entries, spans_from_entries
from collector.stitch.tree.forest import build_forest
from collector.stitch.tree.hops import HopDraft, group_hops
from collector.stitch.tree.nodes import Node
from collector.stitch.verdict.first_failure import is_failing, judge
from collector.stitch.verdict.outcomes import add_outcome
from collector.stitch.verdict.overlap import audit_overlap, find_policy_actions

_PLAUSIBLE_LEAD_NS = 2_000_000_000


@dataclass(slots=True)
class _Stitched:
    """What the rules made of the inputs, before it is described."""

    rooted: Rooted
    own: list[AttachedRecord]
    hops: list[HopDraft]
    path: list[tuple[Node, int, int]]


def stitch(
    records: Sequence[GatewayRecord],
    spans: Sequence[Span],
    logs: Sequence[LogRecord] = (),
    *,
    now_ns: int,
    lags: SourceLags | None = None,
    subject: str = "",
    offsets: ClockOffsets = NO_OFFSETS,
    likely: Sequence[LikelyPair] = (),
    population: int = 0,
    gateway_services: Sequence[ServiceRule] = (),
    is_raw: bool = False,
    is_diagnosed: bool = True,
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
        likely: Pairs that `statistical_join` found; taken where no id decides.
        population: How many traces could share a 64-bit id by chance; 0 for those at hand.
        gateway_services: Services whose spans are a gateway's, beside those known by themselves.
        is_raw: Show every start as its sender wrote it. Phases and path stay as they are.
        is_diagnosed: Ask the doctor's rules too; they add findings and change nothing else.

    Raises:
        ValueError: there is neither a record nor a span nor an access log.
    """
    entries = read_entries(logs)
    if not spans:
        spans = spans_from_entries(entries, subject, records)
    if not records and not spans:
        raise ValueError("nothing to stitch: no record, no span and no access log")
    forest = build_forest(spans)
    records = _add_records_of_spans(spans, records, forest.nodes, gateway_services)
    add_evidence(forest.nodes, entries)
    traces = view_traces(forest.nodes)
    matched = [
        (merged, match_record(merged, traces, population=population))
        for merged in merge_records(records)
    ]
    add_likely(matched, likely, traces)
    joints = join_gateways(matched, forest, traces)
    rooted = choose_root(joints, traces, subject)
    _stretch_unmeasured(rooted.members)
    hops = group_hops(rooted.members)
    place(rooted.members, offsets)
    path = find_critical_path(rooted.root)
    measure_self_times(rooted.members)
    own = [joint for joint in joints if joint.node.hop >= 0]
    stitched = _Stitched(rooted, own, hops, path)
    state, expected = _judge_state(stitched, lags, now_ns)
    inputs = (records, spans, logs)
    timeline = _describe(
        stitched, inputs, state, expected, lags=lags or SourceLags(), is_raw=is_raw
    )
    if not is_diagnosed:
        return timeline
    return replace(timeline, findings=(*timeline.findings, *findings_of(timeline)))


def _add_records_of_spans(
    spans: Sequence[Span],
    records: Sequence[GatewayRecord],
    nodes: Sequence[Node],
    rules: Sequence[ServiceRule],
) -> list[GatewayRecord]:
    """
    Add records of the spans that gateways wrote, and mark these as the gateway's own.

    A stored record of spans gives way to the one made of the spans at hand, which are no fewer.
    """
    views = views_from_spans(spans, rules)
    own = {span_id for view in views for span_id in view.span_ids}
    for node in nodes if own else ():
        if (node.trace_id, node.span_id) in own:
            node.role = "gateway"
    made = {(view.record.gateway, view.record.record_id) for view in views}
    logs = [record for record in records if record.source != SOURCE]
    kept = [r for r in records if r.source == SOURCE and (r.gateway, r.record_id) not in made]
    of_spans = [*kept, *(view.record for view in views)]
    return [*logs, *(reconcile(record, logs) for record in of_spans)]


def _stretch_unmeasured(members: Sequence[Node]) -> None:
    """Give a record without a duration the time of what it called, or it would hide all below."""
    for node in reversed(members):
        if node.record is None or node.record.record.duration_ns is not None:
            continue
        for child in node.children:
            if is_waited_for(child):
                lead = child.raw_start - node.raw_start
                # Two clocks that are far apart say nothing of what went before the call.
                lead = lead if 0 <= lead <= _PLAUSIBLE_LEAD_NS else 0
                end = node.raw_start + lead + child.raw_end - child.raw_start
                node.raw_end = max(node.raw_end, end)


def _judge_state(
    stitched: _Stitched, lags: SourceLags | None, now_ns: int
) -> tuple[str, tuple[Expected, ...]]:
    root = stitched.rooted.root
    arrived = {source for joint in stitched.own for source in joint.merged.sources}
    if any(node.span is not None for node in stitched.rooted.members):
        arrived.add(SPAN_SOURCE)
    return judge_completeness(
        arrived,
        lags,
        end_ns=root.raw_end,
        now_ns=now_ns,
        is_unsampled=any(joint.record.is_sampled is False for joint in stitched.own),
        is_answered_by_gateway=_is_answered_by_gateway(root),
    )


def _is_answered_by_gateway(root: Node) -> bool:
    if root.record is None or root.children:
        return False
    record = root.record.record
    return record.cache == "hit" or not (record.backend_host or record.backend_status)


def _describe(
    stitched: _Stitched,
    inputs: Inputs,
    state: str,
    expected: tuple[Expected, ...],
    *,
    lags: SourceLags,
    is_raw: bool,
) -> Timeline:
    rooted, hops = stitched.rooted, stitched.hops
    root, members = rooted.root, rooted.members
    are_spans_due = any(e.source == SPAN_SOURCE and e.status == "never" for e in expected)
    verdict = add_outcome(judge(root, hops), root, members, hops, are_spans_due=are_spans_due)
    acts = find_policy_actions(members, hops, verdict)
    split = split_into_phases(root, hops, stitched.path)
    outermost = next((node.record for node in members if node.record is not None), None)
    return Timeline(
        id=outermost.record.record_id if outermost is not None else root.trace_id,
        trace_id=main_trace_id(rooted, stitched.own),
        trace_ids=tuple(sorted({node.trace_id for node in members if node.trace_id})),
        ids=collect_ids(stitched.own, rooted),
        state=state,
        expected=expected,
        revision=count_revisions(rooted, stitched.own, inputs),
        start_ns=root.start,
        duration_ns=root.duration,
        status=first_status(rooted),
        is_error=is_failing(root),
        root_span_id=root.span_id,
        gateway_records=tuple(joint.merged for joint in stitched.own),
        phases=tuple(split.phases),
        hops=tuple(describe_hop(hop, root) for hop in hops),
        spans=tuple(describe_span(node, root, is_raw=is_raw) for node in members),
        critical_path=tuple(
            Section(span_id=node.span_id, from_ns=low - root.start, to_ns=high - root.start)
            for node, low, high in stitched.path
        ),
        links=collect_links(stitched.own, rooted),
        verdict=verdict,
        findings=(
            *observe(rooted, hops, split.contradictions),
            *audit_overlap(members, hops, acts),
        ),
        callers=tuple(describe_span(node, root, is_raw=True) for node in rooted.callers),
        others=tuple(dict.fromkeys(rooted.others)),
        acts=tuple(acts),
        watermarks_ns={s: lag.watermark_ns for s, lag in sorted(lags.by_source.items())},
    )
