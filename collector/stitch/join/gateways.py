"""
Gateway records put into the trees: under their caller, above the mesh spans they caused.

A request may pass several gateways (external, then internal), and a trace may hold several requests
(a client that makes five calls under one trace id, or sends one header again and again). Span ids
decide where a gateway made them; else containment in time does. API Management's dependency id is
the parent of the mesh's first span; without Application Insights it passes the client's header on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from collector.decode.outcome import grpc_status_of, has_client_left
from collector.decode.quality import STREAMING
from collector.identity.ids import request_id_key
from collector.model import GatewayRecord
from collector.stitch.join.agreement import (
    PASSED_ON,
    confidence_with,
    is_written_by_proxy_of,
    lies_inside,
    maker_of,
    sent_id,
    slack_of,
)
from collector.stitch.join.by_id import (
    NEAR_NS,
    Match,
    Matches,
    TraceView,
    continuation_of,
    windows_meet,
)
from collector.stitch.join.sharing import Claim, share_calls
from collector.stitch.time.placement import NO_OFFSETS, ClockOffsets
from collector.stitch.time.timeouts import has_given_up
from collector.stitch.timeline import Evidence, Link, MergedRecord, RejectedCandidate
from collector.stitch.tree.forest import Forest, attach
from collector.stitch.tree.nodes import Node, name_of_gateway, record_reference, walk_down

# How many spans are tried as the caller of a gateway; each costs a walk to the top of its tree.
_MAX_CALLERS = 32
# How many beginnings of a trace may be what the gateway itself wrote of the request.
_MAX_TOPS = 4
# Of the spans that one proxy writes of one request.
_OWN_ROLES = ("edge", "client_proxy", "app")
# A joint of equal ids that no gateway made for one request alone.
_SHARED_ID_CONFIDENCE = 0.99


@dataclass(slots=True)
class AttachedRecord:
    """A gateway record in the forest, with what it was joined to on the way."""

    node: Node
    record: GatewayRecord
    matches: Matches
    links: list[Link] = field(default_factory=list)

    @property
    def merged(self) -> MergedRecord:
        assert self.node.record is not None
        return self.node.record

    def match_of(self, trace: TraceView) -> Match | None:
        """Return by what the record was matched to *trace*."""
        return next((m for m in self.matches.accepted if m.trace is trace), None)


def join_gateways(
    records: Sequence[tuple[MergedRecord, Matches]],
    forest: Forest,
    traces: dict[str, TraceView],
    offsets: ClockOffsets = NO_OFFSETS,
) -> list[AttachedRecord]:
    """
    Hang each record into *forest* and each mesh entry under its record.

    Returns:
        One `AttachedRecord` a record, in order of start, with the links that were made or refused.
    """
    joints = [AttachedRecord(_gateway_node(merged), merged.record, m) for merged, m in records]
    accepted = sorted({m.trace.trace_id for j in joints for m in j.matches.accepted})
    views = [traces[trace_id] for trace_id in accepted]
    # Own spans first: what a gateway wrote of a request itself needs no rule about headers.
    for joint in joints:
        _wrap_own_spans(joint, forest)
    for joint in joints:
        _attach_to_record(joint, joints)
    for view in views:
        _attach_to_named_callers(view, joints, forest)
    for joint in joints:
        if joint.node.parent is None:
            _attach_inside_record(joint, joints)
    # Calls go to the innermost gateway, which shows once the records are nested.
    for view in views:
        _share_named_calls(view, joints, offsets)
    for view in views:
        _share_tops(view, joints)
    for joint in joints:
        _conclude(joint, traces)
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
        service=name_of_gateway(record),
        instance=record.instance,
        host=f"{record.gateway}/{record.instance}",
        # 0: there was no answer, and nobody further in answered for it
        status_code=0 if record.status is None and has_client_left(record) else record.status,
        grpc_status=grpc_status_of(record.attributes),
        is_error=record.is_error or (record.status or 0) >= 500,
    )


def _wrap_own_spans(joint: AttachedRecord, forest: Forest) -> None:
    """Put the record around the spans that its own gateway wrote, if it did."""
    for match in joint.matches.accepted:
        named = match.trace.children.get(joint.record.outgoing_span_id, ())
        inner = next((n.parent for n in named if n.parent and n.parent.role == "gateway"), None)
        if inner is None and match.entry is not None and match.entry.role == "gateway":
            inner = match.entry
        inner = inner or _span_of_its_proxy(joint, match, forest)
        if inner is not None and not inner.is_gateway:
            _wrap(joint, inner, match)


def _span_of_its_proxy(joint: AttachedRecord, match: Match, forest: Forest) -> Node | None:
    """
    Return the span of the very proxy that wrote the record, and mark it as a gateway's.

    A proxy logs the header that it sent on, which names the span of its own side or of its upstream
    side. Without the header the cluster that it called tells it from another proxy in front, or how
    long it took from what it called.
    """
    record = joint.record
    named = forest.find(match.trace.trace_id, record.outgoing_span_id)
    shown = (named, match.entry, *match.trace.tops[:_MAX_TOPS])
    tops = [_outermost_of_proxy(node) for node in shown if node is not None]
    top = next((node for node in tops if is_written_by_proxy_of(node, record)), None)
    if top is None:
        return None
    for node in walk_down(top):
        is_next = node is top or (node.parent is not None and node.parent.role == "gateway")
        is_same = (node.is_proxy, node.service) == (top.is_proxy, top.service)
        if is_next and is_same and node.role in _OWN_ROLES:
            node.role = "gateway"
    # A line of a proxy's log does not say whose it is; its span does.
    joint.node.service = record.instance or top.service
    joint.node.host = top.host or joint.node.host
    return top


def _outermost_of_proxy(node: Node) -> Node:
    """Return the first span that the proxy of *node* wrote of its request."""
    while (
        node.parent is not None
        and node.parent.is_proxy == node.is_proxy
        and node.parent.service == node.service
    ):
        node = node.parent
    return node


def _attach_to_record(joint: AttachedRecord, joints: Sequence[AttachedRecord]) -> None:
    """
    Hang the record under the one whose gateway made the id that it was sent.

    An id that both were sent by one caller makes them siblings, not parent and child.
    """
    for outer in joints:
        sent = outer.record.outgoing_span_id
        if outer is joint or not sent or sent != joint.record.parent_span_id:
            continue
        if outer.record.trace_id != joint.record.trace_id or maker_of(outer.record) == PASSED_ON:
            continue
        if not _could_hold(outer, joint):
            continue
        _nest(joint, outer, 0, 1.0, Evidence(field="parent_span_id", left=sent, right=sent))
        return


def _could_hold(outer: AttachedRecord, inner: AttachedRecord) -> bool:
    """Tell whether one record can lie in the other's time, two gateways' clocks apart."""
    a, b = outer.record, inner.record
    if a.duration_ns is None or b.duration_ns is None or has_given_up(outer.node):
        return True
    if b.duration_ns > a.duration_ns + slack_of(a) + slack_of(b):
        return False
    if (a.gateway, a.instance) == (b.gateway, b.instance):
        # One gateway has one clock.
        return lies_inside(inner.node, outer.node)
    return True


def _attach_inside_record(joint: AttachedRecord, joints: Sequence[AttachedRecord]) -> None:
    """Hang the record under the shortest one of another gateway that holds it in time."""
    fitting = [
        (
            not lies_inside(joint.node, outer.node),
            outer.node.raw_end - outer.node.raw_start,
            outer.node.span_id,
            outer,
            evidence,
        )
        for outer in joints
        if outer is not joint
        and _holds(outer, joint)
        and not (_holds(joint, outer) and _is_before(joint, outer))
        and (evidence := _shared_id(outer, joint)) is not None
    ]
    if fitting:
        *_, outer, evidence = min(fitting, key=lambda f: f[:3])
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
    return windows_meet(a, b.start_ns, end, NEAR_NS)


def _is_before(first: AttachedRecord, second: AttachedRecord) -> bool:
    """
    Tell which of two records that hold each other within their rounding is the outer one.

    The one that is known to have called the mesh is the inner one; else the later one is.
    """
    return _order_of(first) < _order_of(second)


def _order_of(joint: AttachedRecord) -> tuple[bool, int, str]:
    has_called_mesh = any(match.tier == 0 for match in joint.matches.accepted)
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
    outer.links.append(
        Link(
            from_=outer.node.reference,
            to=joint.node.reference,
            tier=tier,
            confidence=confidence,
            evidence=(evidence,),
        )
    )


def _attach_to_named_callers(
    trace: TraceView, joints: Sequence[AttachedRecord], forest: Forest
) -> None:
    """Hang records under the spans whose ids they were sent, where these spans arrived."""
    by_caller: dict[Node, list[AttachedRecord]] = {}
    for joint in joints:
        if joint.node.parent is not None or joint.match_of(trace) is None:
            continue
        caller = _named_caller(joint.record, trace, forest)
        if caller is not None and not _is_behind(caller, joint):
            by_caller.setdefault(caller, []).append(joint)
    for caller, called in by_caller.items():
        for joint in called:
            # Gateways in a row that pass one header on all name the caller of the first.
            _attach_inside_record(joint, called)
        called = [joint for joint in called if joint.node.parent is None]
        # One that was sent the same header long before or after is another request.
        near = [joint for joint in called if _meets(caller, joint)]
        for joint in near or (called if len(called) == 1 else ()):
            attach(joint.node, caller)
            _link_caller(joint, caller, 0, 1.0 if near else 0.6)


def _named_caller(record: GatewayRecord, trace: TraceView, forest: Forest) -> Node | None:
    for span_id in (record.parent_span_id, record.outgoing_span_id):
        caller = forest.find(trace.trace_id, span_id) if span_id else None
        if caller is not None and caller.role != "gateway":
            return caller
    return None


def _is_behind(named: Node, joint: AttachedRecord) -> bool:
    """
    Tell whether a gateway called the span that it names: its first one, begun and ended meanwhile.

    With B3 a server has the span id of its caller; and some log what the backend sends back.
    """
    if named.side != "server" or named.parent is not None or joint.record.duration_ns is None:
        return False
    is_shorter = named.raw_end - named.raw_start < joint.record.duration_ns
    return is_shorter and lies_inside(named, joint.node)


def _meets(caller: Node, joint: AttachedRecord) -> bool:
    return windows_meet(joint.record, caller.raw_start, caller.raw_end, NEAR_NS)


def _share_named_calls(
    trace: TraceView, joints: Sequence[AttachedRecord], offsets: ClockOffsets
) -> None:
    """Give the spans that name an id which a record sent to the record that made the call."""
    by_id: dict[str, list[AttachedRecord]] = {}
    for joint in joints:
        span_id = sent_id(joint.record)
        if span_id in trace.children and joint.match_of(trace) is not None:
            by_id.setdefault(span_id, []).append(joint)
    for span_id, senders in by_id.items():
        makers = {maker_of(joint.record) for joint in senders}
        maker = makers.pop() if len(makers) == 1 else ""
        calls = [node for node in trace.children[span_id] if _is_free_call(node)]
        by_node = {joint.node: joint for joint in _innermost(senders)}
        shares = share_calls(list(by_node), calls, maker, offsets)
        is_shared = maker == PASSED_ON or len(by_node) > 1
        for claim in shares.claims:
            _take(by_node[claim.record], claim, trace, is_shared=is_shared)
        for claim in shares.refused:
            match = by_node[claim.record].match_of(trace)
            if match is not None:
                by_node[claim.record].matches.rejected.append(_refused(claim, match))
        for node in shares.rest:
            node.is_of_another = node.parent is None


def _is_free_call(node: Node) -> bool:
    """Tell whether a span may be what a gateway called: no record's yet, nor inside its caller."""
    parent = node.parent
    if parent is None:
        return True
    return _is_entry(node) and not parent.is_gateway and parent.role != "gateway"


def _innermost(joints: Sequence[AttachedRecord]) -> list[AttachedRecord]:
    """Return the records that hold none of the others: their gateway made the call itself."""
    outer = {above for joint in joints for above in _above(joint.node)}
    return [joint for joint in joints if joint.node not in outer]


def _above(node: Node) -> Iterator[Node]:
    step = node.parent
    while step is not None:
        yield step
        step = step.parent


def _take(joint: AttachedRecord, claim: Claim, trace: TraceView, *, is_shared: bool) -> None:
    """
    Hang a call under the record that it is shared out to.

    *is_shared*: the id was passed on, so that it proves less than one made for this request.
    """
    match = joint.match_of(trace)
    assert match is not None
    record = joint.record
    name = "outgoing_span_id = parent_span_id" if record.outgoing_span_id else "parent_span_id"
    sent = sent_id(record)
    evidence = (
        Evidence(
            field=record.trace_id_source or "trace_id", left=record.trace_id, right=trace.trace_id
        ),
        Evidence(field=name, left=sent, right=sent),
    )
    base = min(match.confidence, _SHARED_ID_CONFIDENCE) if is_shared else match.confidence
    tier = max(match.tier, 1) if is_shared else match.tier
    _adopt(
        joint,
        claim.call,
        Match(trace, tier, confidence_with(base, claim.against), evidence, claim.call),
        claim.against,
    )


def _share_tops(trace: TraceView, joints: Sequence[AttachedRecord]) -> None:
    """Give the trace's entries that nobody claimed by id to the records that match the trace."""
    owners = [(j, m) for j in joints for m in j.matches.accepted if m.trace is trace]
    for joint, match in owners:
        if joint.node.parent is None:
            _attach_to_caller(joint, match)
    known = [node for joint, _ in owners for node in joint.node.children if not node.is_gateway]
    entries = _entries([top for top in trace.tops if not top.is_of_another], known)
    for top in entries:
        able = [(j, m) for j, m in owners if top is not _top_of(j.node)]
        chosen = _owner_of(top, able, is_one_of_many=len(entries) + len(known) > 1)
        if chosen is not None:
            _adopt(chosen[0], top, chosen[1])


def _entries(tops: Sequence[Node], known: Sequence[Node]) -> list[Node]:
    """
    Return the tops at which requests enter: the first, edges, what lies outside the first.

    Siblings of the first, which name the same parent, were called by the same caller.
    """
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
        or (top.is_orphan and top.sent_parent_id == main.sent_parent_id)
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
            abs(top.raw_start - jm[0].record.start_ns) // NEAR_NS,
            not lies_inside(top, jm[0].node),
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
    time, and is no shorter than the record. Nothing behind the gateway is that long, but for what
    another request under the same id caused.
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
        and node.raw_start <= joint.node.raw_start + NEAR_NS
        and node.raw_end >= joint.node.raw_end - NEAR_NS
    ]
    callers.sort(key=lambda n: (n.callee != record.host, n.raw_end - n.raw_start, n.span_id))
    rooted = (n for n in callers[:_MAX_CALLERS] if not _top_of(n).is_orphan)
    caller = next((n for n in rooted if not _is_of_twin(n, joint)), None)
    if caller is None:
        return
    passed_on = [n for n in caller.children if _is_entry(n) and _fits(n, joint)]
    attach(joint.node, caller)
    _link_caller(joint, caller, match.tier, match.confidence)
    for node in passed_on:
        _adopt(joint, node, match)


def _is_of_twin(caller: Node, joint: AttachedRecord) -> bool:
    """
    Tell whether *caller* works for a request that cannot have caused that of *joint*.

    Both were sent one header, or one gateway with one clock had the other when it had not yet begun
    or was over.
    """
    outer = next((node for node in _above(caller) if node.record is not None), None)
    if outer is None or outer.record is None:
        return False
    a, b = outer.record.record, joint.record
    if b.parent_span_id and (a.trace_id, a.parent_span_id) == (b.trace_id, b.parent_span_id):
        return True
    is_one_clock = (a.gateway, a.instance) == (b.gateway, b.instance)
    return is_one_clock and not lies_inside(joint.node, outer)


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


def _adopt(
    joint: AttachedRecord, node: Node, match: Match, against: tuple[Evidence, ...] = ()
) -> None:
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
            contradictions=against,
        )
    )


def _conclude(joint: AttachedRecord, traces: Mapping[str, TraceView]) -> None:
    """Say which traces none of whose spans came under the record, and what else was refused."""
    reached = {name.partition("/")[0] for link in joint.links for name in (link.from_, link.to)}
    reached |= {node.trace_id for node in walk_down(joint.node)[1:2]}
    held = [traces[trace_id] for trace_id in sorted(reached & traces.keys())]
    for match in joint.matches.accepted:
        if match.trace.trace_id in reached or continuation_of(match.trace, held):
            continue
        joint.matches.rejected.append(
            RejectedCandidate(
                to=match.trace.trace_id,
                tier=match.tier,
                confidence=match.confidence,
                reason="its spans are of other requests under the same id",
                evidence=match.evidence,
            )
        )
    rejected = tuple(sorted(joint.matches.rejected, key=lambda r: (r.tier, r.to, r.reason)))
    if rejected:
        joint.links.append(
            Link(from_=joint.node.reference, to="", tier=5, confidence=0.0, rejected=rejected)
        )


def _refused(claim: Claim, match: Match) -> RejectedCandidate:
    differing = " and ".join(one.field for one in claim.against)
    return RejectedCandidate(
        to=claim.call.reference,
        tier=match.tier,
        confidence=confidence_with(match.confidence, claim.against),
        reason=f"the same id, but another {differing}: it was passed on by several requests",
        evidence=claim.against,
    )


def _is_entry(node: Node) -> bool:
    return not node.is_gateway and (node.side == "server" or node.role == "edge")


def _fits(node: Node, joint: AttachedRecord) -> bool:
    """Tell whether a span can lie inside the record, two clocks apart by seconds at most."""
    record = joint.record
    longest = max(record.duration_ns or 0, record.backend_ns or 0) + record.resolution_ns
    is_longer = node.raw_end - node.raw_start > longest + NEAR_NS
    if record.duration_ns is not None and is_longer and STREAMING not in record.quality:
        return False
    return (
        joint.node.raw_start - NEAR_NS <= node.raw_start <= joint.node.raw_end + NEAR_NS
        or record.duration_ns is None
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
