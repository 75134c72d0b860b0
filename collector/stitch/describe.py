"""
Working copies to the values of a `Timeline`: one function a part, nothing is decided here.
"""

from collections.abc import Sequence

from collector.decode.ids import request_id_key
from collector.model import GatewayRecord, Id, LogRecord, Span
from collector.stitch.critical_path import is_waited_for
from collector.stitch.gateways import Joint
from collector.stitch.hops import HopDraft
from collector.stitch.nodes import Node
from collector.stitch.phases import PROXY_PHASES, phase_of
from collector.stitch.roots import Rooted
from collector.stitch.timeline import Hop, Link, TimelineSpan

Inputs = tuple[Sequence[GatewayRecord], Sequence[Span], Sequence[LogRecord]]


def main_trace_id(rooted: Rooted, own: Sequence[Joint]) -> str:
    """Return the trace that most of the tree is of; the gateway's own when there are no spans."""
    counts: dict[str, int] = {}
    for node in rooted.members:
        if node.span is not None:
            counts[node.trace_id] = counts.get(node.trace_id, 0) + 1
    if counts:
        return min(counts, key=lambda trace_id: (-counts[trace_id], trace_id))
    return next((joint.record.trace_id for joint in own if joint.record.trace_id), "")


def collect_ids(own: Sequence[Joint], rooted: Rooted) -> tuple[Id, ...]:
    """Return every id of the request, spellings of one request id once."""
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


def count_revisions(
    rooted: Rooted,
    own: Sequence[Joint],
    inputs: Inputs,
) -> int:
    """Count the moments at which something of this request became known."""
    traces = {node.trace_id for node in rooted.members}
    keys = {(joint.record.gateway, joint.record.record_id.lower()) for joint in own}
    records, spans, logs = inputs
    moments = {r.received_ns for r in records if (r.gateway, r.record_id.lower()) in keys}
    moments |= {s.received_ns for s in spans if s.trace_id in traces}
    moments |= {entry.received_ns for entry in logs if entry.trace_id in traces}
    return max(1, len(moments))


def first_status(rooted: Rooted) -> int | None:
    """
    Return the status that the consumer got, `None` for no answer or an unknown one.

    It is the outermost that somebody recorded; a gateway's policy event may have none.
    """
    for node in rooted.members:
        if node.status_code is not None:
            return node.status_code or None
        if node.hop > 1:
            break
    return None


def describe_hop(hop: HopDraft, root: Node) -> Hop:
    """Return the values of a hop; its time is that of its outermost span."""
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


def describe_span(node: Node, root: Node, *, is_raw: bool) -> TimelineSpan:
    """Return the values of a node; with *is_raw* it stands where its own clock says."""
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
        host=node.host,
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


def collect_links(own: Sequence[Joint], rooted: Rooted) -> tuple[Link, ...]:
    """Return the links of the tree's records and traces, the surest first."""
    links = [link for joint in own for link in joint.links] + rooted.links
    return tuple(sorted(links, key=lambda link: (link.tier, link.from_, link.to)))
