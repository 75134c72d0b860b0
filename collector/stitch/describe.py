"""
Working copies to the values of a `Timeline`: one function a part, nothing is decided here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from collector.decode.outcome import is_grpc_error
from collector.identity.ids import is_64bit, low_64, request_id_key
from collector.model import GatewayRecord, Id, LogRecord, Span
from collector.stitch.completeness import is_answered_at_gateway
from collector.stitch.inputs import StitchInputs
from collector.stitch.join.gateways import AttachedRecord
from collector.stitch.join.roots import Rooted
from collector.stitch.time.critical_path import is_waited_for
from collector.stitch.time.phases import PROXY_PHASES, Split, phase_of
from collector.stitch.timeline import (
    Expected,
    Hop,
    Link,
    LinkedRequest,
    PolicyAction,
    Section,
    Timeline,
    TimelineSpan,
    Verdict,
)
from collector.stitch.tree.hops import HopDraft
from collector.stitch.tree.nodes import Node
from collector.stitch.verdict.first_failure import counts_as_error

# A batch consumer may link thousands of messages.
_MAX_LINKS = 50


@dataclass(frozen=True, slots=True)
class Stitched:
    """What the rules found out about one request, before it is described."""

    rooted: Rooted
    own: Sequence[AttachedRecord]
    hops: Sequence[HopDraft]
    path: Sequence[tuple[Node, int, int]]
    split: Split
    state: str
    expected: tuple[Expected, ...]
    verdict: Verdict
    acts: Sequence[PolicyAction]
    # what it was stitched of
    records: Sequence[GatewayRecord]
    spans: Sequence[Span]


def describe(stitched: Stitched, inputs: StitchInputs) -> Timeline:
    """Return the values of a request; its findings are added by whoever looks for them."""
    rooted, own = stitched.rooted, stitched.own
    root, members = rooted.root, rooted.members
    start_ns = root.start
    outermost = next((node.record for node in members if node.record is not None), None)
    ids = _collect_ids(own, rooted)
    # What access logs alone tell of may have been given nothing but a request id.
    alone = root.trace_id or next((each.value for each in ids), "")
    return Timeline(
        id=outermost.record.record_id if outermost is not None else alone,
        trace_id=_main_trace_id(rooted, own),
        trace_ids=tuple(sorted({node.trace_id for node in members if node.trace_id})),
        ids=ids,
        state=stitched.state,
        expected=stitched.expected,
        revision=_count_revisions(stitched, inputs.logs),
        start_ns=start_ns,
        duration_ns=root.measured_duration,
        status=_first_status(rooted),
        is_error=counts_as_error(root),
        root_span_id=root.span_id,
        gateway_records=tuple(joint.merged for joint in own),
        phases=tuple(stitched.split.phases),
        hops=tuple([describe_hop(hop, root) for hop in stitched.hops]),
        spans=tuple([_describe_span(node, root, is_raw=inputs.is_raw) for node in members]),
        critical_path=tuple(
            [
                Section(span_id=node.span_id, from_ns=low - start_ns, to_ns=high - start_ns)
                for node, low, high in stitched.path
            ]
        ),
        links=_collect_links(own, rooted),
        verdict=stitched.verdict,
        findings=(),
        callers=tuple(_describe_span(node, root, is_raw=True) for node in rooted.callers),
        others=tuple(dict.fromkeys(rooted.others)),
        acts=tuple(stitched.acts),
        links_to=tuple(islice(_linked_requests(rooted), _MAX_LINKS)),
        is_answered_at_gateway=is_answered_at_gateway(members),
        watermarks_ns={s: lag.watermark_ns for s, lag in sorted(inputs.lags.by_source.items())},
    )


def _main_trace_id(rooted: Rooted, own: Sequence[AttachedRecord]) -> str:
    """Return the trace that most of the tree is of; the gateway's own when there are no spans."""
    counts: dict[str, int] = {}
    for node in rooted.members:
        if node.span is not None:
            counts[node.trace_id] = counts.get(node.trace_id, 0) + 1
    if counts:
        most = min(counts, key=lambda trace_id: (-counts[trace_id], trace_id))
        # Of a trace whose id was cut on the way, the whole id is the name.
        whole = (each for each in counts if is_64bit(most) and low_64(each) == low_64(most))
        return max(whole, default=most)
    return next((joint.record.trace_id for joint in own if joint.record.trace_id), "")


def _collect_ids(own: Sequence[AttachedRecord], rooted: Rooted) -> tuple[Id, ...]:
    """Return every id of the request, spellings of one request id once."""
    found: dict[tuple[str, str], Id] = {}
    for joint in own:
        for one in joint.record.ids:
            found[(one.kind, one.value)] = one
        if joint.record.trace_id:
            found[("trace_id", joint.record.trace_id)] = Id("trace_id", joint.record.trace_id)
    seen = {request_id_key(one.value) for one in found.values()}
    for trace_id in {node.trace_id for node in rooted.members if not node.is_gateway}:
        if trace_id:
            found.setdefault(("trace_id", trace_id), Id("trace_id", trace_id))
    for node in rooted.members:
        value = node.attributes.get("guid:x-request-id", "")
        if value and ("x_request_id", value) not in found:
            key = request_id_key(value)
            if key and key not in seen:
                seen.add(key)
                found[("x_request_id", value)] = Id("x_request_id", value)
    return tuple(found[key] for key in sorted(found))


def _count_revisions(stitched: Stitched, logs: Sequence[LogRecord]) -> int:
    """Count the moments at which something of this request became known."""
    traces = {node.trace_id for node in stitched.rooted.members}
    keys = {(joint.record.gateway, joint.record.record_id.lower()) for joint in stitched.own}
    moments = {r.received_ns for r in stitched.records if (r.gateway, r.record_id.lower()) in keys}
    moments |= {s.received_ns for s in stitched.spans if s.trace_id in traces}
    moments |= {entry.received_ns for entry in logs if entry.trace_id in traces}
    return max(1, len(moments))


def _first_status(rooted: Rooted) -> int | None:
    """
    Return the status that the consumer got, `None` for no answer or an unknown one.

    It is the outermost that somebody recorded; a gateway's policy event may have none. What stands
    in for a first span that never arrived has that of its one call, of several none. A service's
    own span that has none is not answered for by the calls that it made.
    """
    root = rooted.root
    if root.is_span_missing and len(root.children) > 1:
        return None
    is_service = root.span is not None and root.side != "client" and root.role == "app"
    last = root.hop if is_service else 1
    for node in rooted.members:
        if node.hop > last:
            break
        if node.status_code is not None:
            return node.status_code or None
    return None


def describe_hop(hop: HopDraft, root: Node) -> Hop:
    """Return the values of a hop; its time is that of its outermost span."""
    top, nodes = hop.top, hop.nodes
    end = max(node.end for node in nodes) if top.is_inferred else top.end
    critical = proxies = 0
    is_measured = top.measured_duration is not None
    for node in nodes:
        critical += node.critical_time
        # What is nobody's proxy and plays no other part spends no time of a proxy.
        if (node.is_proxy or node.role != "app") and phase_of(node, hop)[0] in PROXY_PHASES:
            proxies += node.self_time
    return Hop(
        index=hop.index,
        role=hop.role,
        service=hop.service,
        name=_hop_name(hop),
        parent=hop.parent.index if hop.parent is not None else -1,
        start_offset_ns=top.start - root.start,
        duration_ns=end - top.start if is_measured else None,
        self_ns=end - top.start - _covered_by_calls(hop) if is_measured else None,
        critical_ns=critical,
        proxy_ns=proxies,
        attempt=hop.attempt,
        attempts=hop.attempts,
        status=_status_of_hop(hop),
        instance=_instance_of_hop(hop.callee or nodes),
        is_inferred=hop.is_inferred,
        is_mirrored=hop.is_mirrored,
        is_async=hop.is_async,
        span_ids=tuple([node.span_id for node in nodes]),
        notes=hop.notes,
    )


def _hop_name(hop: HopDraft) -> str:
    for node in hop.callee:
        if not node.is_proxy:
            return node.name
    return hop.top.name


def _instance_of_hop(nodes: Sequence[Node]) -> str:
    for node in nodes:
        if node.instance:
            return node.instance
    return ""


def _covered_by_calls(hop: HopDraft) -> int:
    """Return the time of a hop in which at least one call to another hop was running."""
    reach, high = hop.top.start, hop.top.end
    covered = 0
    tops = [child.top for child in hop.children]
    if len(tops) > 1:
        tops.sort(key=lambda top: top.start)
    for top in tops:
        start, end = max(top.start, reach), min(top.end, high)
        if end > start and is_waited_for(top):
            covered += end - start
            reach = end
    return covered


def _status_of_hop(hop: HopDraft) -> str:
    status = "unset"
    for node in hop.nodes:
        if is_grpc_error(node.grpc_status):
            return "error"
        if node.status_code:
            return str(node.status_code)
        if node.is_error:
            status = "error"
        elif status == "unset" and node.span is not None and node.span.status == "Ok":
            status = "ok"
    return status


def _describe_span(node: Node, root: Node, *, is_raw: bool) -> TimelineSpan:
    """Return the values of a node; with *is_raw* it stands where its own clock says."""
    span, parent, start = node.span, node.parent, node.raw_start
    shift = 0 if is_raw else node.shift
    return TimelineSpan(
        span_id=node.span_id,
        parent_span_id=parent.span_id if parent is not None else "",
        raw_span_id=span.span_id if span is not None else "",
        raw_parent_span_id=span.parent_span_id if span is not None else _record_parent(node),
        trace_id=node.trace_id,
        hop=node.hop,
        role=node.role,
        service=node.service,
        host=node.host,
        name=span.name if span is not None else node.name,
        kind=node.kind,
        start_offset_ns=start + shift - root.start,
        raw_start_ns=start,
        adjusted_by_ns=shift,
        adjusted_bound_ns=node.bound if shift else 0,
        adjusted_reason=node.shift_reason if shift else "",
        duration_ns=(duration := node.measured_duration),
        self_ns=node.self_time if duration is not None else None,
        is_on_critical_path=node.critical_time > 0,
        status=_status_of_span(node),
        status_message=span.status_message if span is not None else "",
        attributes=node.attributes,
        is_orphan=node.is_orphan,
        is_inferred=node.is_inferred,
        flags=node.flags,
        events=span.events if span is not None else (),
    )


def _linked_requests(rooted: Rooted) -> Iterator[LinkedRequest]:
    """Return what spans link to outside of the tree, each once, in order of the tree."""
    linking = [node for node in rooted.members if node.span is not None and node.span.links]
    if not linking:
        return
    told = {(node.trace_id, node.span.span_id) for node in rooted.members if node.span is not None}
    for node in linking:
        for link in node.span.links if node.span is not None else ():
            place = (link.trace_id, link.span_id)
            if link.trace_id and place not in told:
                told.add(place)
                yield LinkedRequest(
                    from_span_id=node.span_id,
                    trace_id=link.trace_id,
                    span_id=link.span_id,
                    attributes=link.attributes,
                )


def _record_parent(node: Node) -> str:
    return node.record.record.parent_span_id if node.record is not None else ""


def _status_of_span(node: Node) -> str:
    if node.is_error or is_grpc_error(node.grpc_status):
        return "error"
    if node.span is not None and node.span.status == "Ok":
        return "ok"
    return "ok" if node.status_code is not None and 0 < node.status_code < 400 else "unset"


def _collect_links(own: Sequence[AttachedRecord], rooted: Rooted) -> tuple[Link, ...]:
    """Return the links of the tree's records and traces, the surest first."""
    links = [link for joint in own for link in joint.links] + rooted.links
    return tuple(sorted(links, key=lambda link: (link.tier, link.from_, link.to)))
