"""
Gateway records put into the trees: under their caller, above the mesh spans they caused.

A request may pass several gateways (external, then internal), and a trace may hold several requests
(a client that makes five calls under one trace id). Span ids decide where they are known; else
containment in time does, with the two clocks taken to be within seconds of each other.

Source: formats.md 1d (a gateway's dependency id is the parent of the mesh's first span; without
Application Insights the client's header is passed through unchanged).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from collector.identity.ids import request_id_key
from collector.model import GatewayRecord
from collector.stitch.join.by_id import Match, Matches, TraceView, windows_meet
from collector.stitch.time.timeouts import has_given_up
from collector.stitch.timeline import Evidence, Link, MergedRecord, RejectedCandidate
from collector.stitch.tree.forest import Forest, attach
from collector.stitch.tree.nodes import Node, record_reference, walk_down

_NEAR_NS = 2_000_000_000
# How many spans are tried as the caller of a gateway; each costs a walk to the top of its tree.
_MAX_CALLERS = 32


@dataclass(slots=True)
class AttachedRecord:
    """A gateway record in the forest, with what it was joined to on the way."""

    node: Node
    record: GatewayRecord
    matches: Matches
    links: list[Link] = field(default_factory=list)
    is_nested: bool = False

    @property
    def merged(self) -> MergedRecord:
        assert self.node.record is not None
        return self.node.record


def join_gateways(
    records: Sequence[tuple[MergedRecord, Matches]], forest: Forest, traces: dict[str, TraceView]
) -> list[AttachedRecord]:
    """
    Hang each record into *forest* and each mesh entry under its record.

    Returns:
        One `AttachedRecord` a record, in order of start, with the links that were made or refused.
    """
    joints = [AttachedRecord(_gateway_node(merged), merged.record, m) for merged, m in records]
    for joint in joints:
        _attach_known_children(joint, forest)
    for joint in joints:
        if not (_attach_known_parent(joint, forest) or _attach_to_record(joint, joints)):
            _attach_inside_record(joint, joints)
    for trace_id in sorted({m.trace.trace_id for j in joints for m in j.matches.accepted}):
        _share_tops(traces[trace_id], joints)
    for joint in joints:
        _conclude(joint)
    return joints


def _gateway_node(merged: MergedRecord) -> Node:
    record = merged.record
    return Node(
        span_id=merged.span_id,
        trace_id=record.trace_id,
        raw_start=record.start_ns,
        raw_end=record.start_ns + max(record.duration_ns or 0, 0),
        record=merged,
        role="gateway",
        side="server",
        service=record.instance or record.gateway,
        instance=record.instance,
        host=f"{record.gateway}/{record.instance}",
        status_code=record.status,
        is_error=record.is_error or (record.status or 0) >= 500,
    )


def _attach_known_children(joint: AttachedRecord, forest: Forest) -> None:
    """Hang the spans whose parent is the span id that the gateway sent (tier 0) under it."""
    for match in joint.matches.accepted:
        if match.tier != 0:
            continue
        for node in match.trace.nodes:
            span = node.span
            if span is None or span.parent_span_id != joint.record.outgoing_span_id:
                continue
            if node.parent is not None and node.parent.role == "gateway" and node.parent.span:
                _wrap(joint, node.parent, match)
            elif node.parent is not None and node.parent.is_gateway:
                reason = f"claimed by {node.parent.reference}"
                joint.matches.rejected.append(_refused(node, match, reason))
            else:
                if node.parent is not None and joint.node.parent is None:
                    # The gateway passed its client's header on: the span it names is the caller.
                    caller = node.parent
                    attach(joint.node, caller)
                    _link_caller(joint, caller, 0, 1.0)
                _adopt(joint, node, match)


def _attach_known_parent(joint: AttachedRecord, forest: Forest) -> bool:
    """Hang the record under the span that called the gateway; siblings it passed on follow it."""
    parent_id = joint.record.parent_span_id
    if joint.node.parent is not None:
        return True
    if not parent_id:
        return False
    for match in joint.matches.accepted:
        parent = forest.find(match.trace.trace_id, parent_id)
        if parent is None or parent.role == "gateway":
            continue
        siblings = [n for n in parent.children if _is_entry(n) and _fits(n, joint)]
        attach(joint.node, parent)
        joint.is_nested = joint.node.parent is parent
        _link_caller(joint, parent, 0, 1.0)
        for node in siblings:
            _adopt(joint, node, match)
        return True
    return False


def _attach_to_record(joint: AttachedRecord, joints: Sequence[AttachedRecord]) -> bool:
    """Hang the record under the one whose outgoing span id is its parent."""
    for outer in joints:
        sent = outer.record.outgoing_span_id
        if outer is joint or not sent or sent != joint.record.parent_span_id:
            continue
        if outer.record.trace_id != joint.record.trace_id:
            continue
        _nest(joint, outer, 0, 1.0, Evidence(field="parent_span_id", left=sent, right=sent))
        return True
    return False


def _attach_inside_record(joint: AttachedRecord, joints: Sequence[AttachedRecord]) -> None:
    """Hang the record under the shortest one of another gateway that holds it in time."""
    fitting = [
        (outer.node.raw_end - outer.node.raw_start, outer.node.span_id, outer, evidence)
        for outer in joints
        if outer is not joint
        and _holds(outer, joint)
        and not (_holds(joint, outer) and _is_before(joint, outer))
        and (evidence := _shared_id(outer, joint)) is not None
    ]
    if fitting:
        _, _, outer, evidence = min(fitting, key=lambda f: f[:2])
        tier = 1 if evidence.field == "trace_id" else 3
        _nest(joint, outer, tier, 0.99 if tier == 1 else 0.95, evidence)


def _holds(outer: AttachedRecord, inner: AttachedRecord) -> bool:
    a, b = outer.record, inner.record
    if (a.gateway, a.instance) == (b.gateway, b.instance):
        # Two calls side by side look the same as one inside the other; only ids can tell.
        return False
    a_time = a.duration_ns if a.backend_ns is None else a.backend_ns
    if a_time is None:
        return False
    if a_time + a.resolution_ns < (b.duration_ns or 0) and not has_given_up(outer.node):
        return False
    end = b.start_ns + (b.duration_ns or 0)
    return windows_meet(a, b.start_ns, end, _NEAR_NS)


def _is_before(first: AttachedRecord, second: AttachedRecord) -> bool:
    """
    Tell which of two records that hold each other within their rounding is the outer one.

    The one that is known to have called the mesh is the inner one; else the later one is.
    """
    return _order_of(first) < _order_of(second)


def _order_of(joint: AttachedRecord) -> tuple[bool, int, str]:
    has_called_mesh = any(not child.is_gateway for child in joint.node.children)
    return (has_called_mesh, joint.record.start_ns, joint.node.span_id)


def _shared_id(outer: AttachedRecord, inner: AttachedRecord) -> Evidence | None:
    a, b = outer.record, inner.record
    if a.trace_id and a.trace_id == b.trace_id:
        return Evidence(field="trace_id", left=a.trace_id, right=b.trace_id)
    known = {request_id_key(i.value): i for i in a.ids}
    known.pop("", None)
    for found in b.ids:
        other = known.get(request_id_key(found.value))
        if other is not None:
            name = f"{other.kind} = {found.kind}"
            return Evidence(field=name, left=other.value, right=found.value)
    return None


def _nest(
    joint: AttachedRecord, outer: AttachedRecord, tier: int, confidence: float, evidence: Evidence
) -> None:
    attach(joint.node, outer.node)
    if joint.node.parent is not outer.node:
        return
    joint.is_nested = True
    outer.links.append(
        Link(
            from_=outer.node.reference,
            to=joint.node.reference,
            tier=tier,
            confidence=confidence,
            evidence=(evidence,),
        )
    )


def _share_tops(trace: TraceView, joints: Sequence[AttachedRecord]) -> None:
    """Give the trace's entries that nobody claimed by id to the records that match the trace."""
    owners = [(j, m) for j in joints for m in j.matches.accepted if m.trace is trace]
    for joint, match in owners:
        if match.entry is not None and match.entry.role == "gateway" and match.entry.span:
            _wrap(joint, match.entry, match)
        if joint.node.parent is None:
            _attach_to_caller(joint, match)
    known = [node for joint, _ in owners for node in joint.node.children if not node.is_gateway]
    entries = _entries(trace.tops, known)
    for top in entries:
        able = [(j, m) for j, m in owners if top is not _top_of(j.node)]
        chosen = _owner_of(top, able, is_one_of_many=len(entries) + len(known) > 1)
        if chosen is not None:
            _adopt(chosen[0], top, chosen[1])


def _entries(tops: Sequence[Node], known: Sequence[Node]) -> list[Node]:
    """Return the tops at which requests enter: the first, edges, what lies outside the first."""
    if not tops:
        return []
    main = min((*known, *tops), key=lambda n: (n.proxy != "router", *n.order()))
    return [
        top
        for top in tops
        if top is main
        or top.proxy == "router"
        or top.raw_end > main.raw_end
        or top.raw_start < main.raw_start
    ]


def _owner_of(
    top: Node, able: list[tuple[AttachedRecord, Match]], *, is_one_of_many: bool
) -> tuple[AttachedRecord, Match] | None:
    by_entry = [(j, m) for j, m in able if m.entry is not None and _top_of(m.entry) is top]
    pool = by_entry or able
    inside = [(j, m) for j, m in pool if _fits(top, j)]
    if inside:
        pool = inside
    elif is_one_of_many or len({id(_outermost(j)) for j, _ in pool}) != 1:
        return None
    # The innermost gateway called the mesh; of several requests the nearest in time did.
    return min(
        pool,
        key=lambda jm: (
            abs(top.raw_start - jm[0].record.start_ns) // _NEAR_NS,
            not _lies_inside(top, jm[0]),
            -_depth(jm[0].node),
            jm[0].record.duration_ns or 0,
            abs(top.raw_start - jm[0].record.start_ns),
            jm[0].node.span_id,
        ),
        default=None,
    )


def _attach_to_caller(joint: AttachedRecord, match: Match) -> None:
    """
    Hang the record under the client span that made the call, when the trace has one.

    Such a span belongs to an application, lies in a tree with a true root, holds the record in
    time, and is no shorter than the record. Nothing behind the gateway is that long.
    """
    record = joint.record
    least = (record.duration_ns or 0) - record.resolution_ns
    if record.duration_ns is None or match.tier == 0:
        return
    callers = [
        node
        for node in match.trace.nodes
        if node.side == "client"
        and not node.is_proxy
        and node.raw_end - node.raw_start >= least
        and node.raw_start <= joint.node.raw_start + _NEAR_NS
        and node.raw_end >= joint.node.raw_end - _NEAR_NS
    ]
    callers.sort(key=lambda n: (n.callee != record.host, n.raw_end - n.raw_start, n.span_id))
    rooted = (n for n in callers[:_MAX_CALLERS] if not _top_of(n).is_orphan)
    caller = next(rooted, None)
    if caller is None:
        return
    passed_on = [n for n in caller.children if _is_entry(n) and _fits(n, joint)]
    attach(joint.node, caller)
    _link_caller(joint, caller, match.tier, match.confidence)
    for node in passed_on:
        _adopt(joint, node, match)


def _wrap(joint: AttachedRecord, inner: Node, match: Match) -> None:
    """Put the record around the spans that the same gateway wrote of the same request."""
    while inner.parent is not None and inner.parent.role == "gateway":
        if inner.parent.is_gateway:
            return
        inner = inner.parent
    caller = inner.parent
    if caller is not None and joint.node.parent is None:
        attach(joint.node, caller)
    _adopt(joint, inner, match)


def _link_caller(joint: AttachedRecord, caller: Node, tier: int, confidence: float) -> None:
    named = joint.record.parent_span_id or joint.record.outgoing_span_id
    evidence = Evidence(
        field="parent_span_id" if tier == 0 else "trace_id, enclosing client span",
        left=caller.span_id if tier == 0 else caller.trace_id,
        right=named if tier == 0 else joint.record.trace_id,
    )
    joint.links.append(
        Link(
            from_=caller.reference,
            to=joint.node.reference,
            tier=tier,
            confidence=confidence,
            evidence=(evidence,),
        )
    )


def _adopt(joint: AttachedRecord, node: Node, match: Match) -> None:
    attach(node, joint.node)
    if node.parent is not joint.node:
        return
    node.is_orphan = False
    joint.links.append(
        Link(
            from_=joint.node.reference,
            to=node.reference,
            tier=match.tier,
            confidence=match.confidence,
            evidence=match.evidence,
        )
    )


def _conclude(joint: AttachedRecord) -> None:
    """Say what the record is joined to when no span was hung under it, and what was refused."""
    reached = {link.to.partition("/")[0] for link in joint.links}
    for match in joint.matches.accepted:
        below = {node.trace_id for node in walk_down(joint.node)[1:2]}
        if match.trace.trace_id not in reached | below:
            joint.links.append(
                Link(
                    from_=joint.node.reference,
                    to=match.trace.trace_id,
                    tier=match.tier,
                    confidence=match.confidence,
                    evidence=match.evidence,
                )
            )
    rejected = tuple(sorted(joint.matches.rejected, key=lambda r: (r.tier, r.to, r.reason)))
    if rejected:
        joint.links.append(
            Link(from_=joint.node.reference, to="", tier=5, confidence=0.0, rejected=rejected)
        )


def _refused(node: Node, match: Match, reason: str) -> RejectedCandidate:
    return RejectedCandidate(
        to=node.reference,
        tier=match.tier,
        confidence=match.confidence,
        reason=reason,
        evidence=match.evidence,
    )


def _is_entry(node: Node) -> bool:
    return not node.is_gateway and (node.side == "server" or node.role == "edge")


def _fits(node: Node, joint: AttachedRecord) -> bool:
    """Tell whether a span can lie inside the record, two clocks apart by seconds at most."""
    record = joint.record
    longest = max(record.duration_ns or 0, record.backend_ns or 0) + record.resolution_ns
    if record.duration_ns is not None and node.raw_end - node.raw_start > longest + _NEAR_NS:
        return False
    return (
        joint.node.raw_start - _NEAR_NS <= node.raw_start <= joint.node.raw_end + _NEAR_NS
        or record.duration_ns is None
    )


def _lies_inside(node: Node, joint: AttachedRecord) -> bool:
    """Tell whether a span lies inside the record as the clocks stand, but for rounding."""
    slack = 2 * joint.record.resolution_ns
    return (
        joint.node.raw_start - slack <= node.raw_start
        and node.raw_end <= joint.node.raw_end + slack
    )


def _top_of(node: Node) -> Node:
    while node.parent is not None:
        node = node.parent
    return node


def _outermost(joint: AttachedRecord) -> Node:
    """Return the outermost gateway of the chain that a record belongs to."""
    node = found = joint.node
    while node.parent is not None:
        node = node.parent
        if node.is_gateway:
            found = node
    return found


def _depth(node: Node) -> int:
    depth = 0
    while node.parent is not None:
        node = node.parent
        depth += 1
    return depth


def matches_subject(joint: AttachedRecord, key: str) -> bool:
    """Tell whether a record is the one that an id (as `request_id_key`) names."""
    record = joint.record
    texts = (record.record_id, record_reference(joint.merged), *(i.value for i in record.ids))
    return any(request_id_key(text) == key for text in texts)
