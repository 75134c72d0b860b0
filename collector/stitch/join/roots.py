"""
The one tree that the timeline is about: its root, what is above it, what belongs elsewhere.

With a gateway record the outermost gateway is the root, and application spans above it are the
caller's. Without one it is the trace's own root; if that never arrived, an inferred span stands in
for it. Nothing is dropped: what has no place in the tree is placed by time, or listed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from collector.identity.ids import Candidate, request_id_key, trace_id_candidates
from collector.stitch.join.by_id import TraceView, continuation_of
from collector.stitch.join.gateways import AttachedRecord, matches_subject
from collector.stitch.timeline import Link
from collector.stitch.tree.forest import attach, place_orphans
from collector.stitch.tree.nodes import Node, derived_span_id, walk_down
from collector.stitch.tree.siblings import adopt_siblings


@dataclass(slots=True)
class Rooted:
    """The tree of one request. `members` are its nodes, each parent before its children."""

    root: Node
    members: list[Node] = field(default_factory=list)
    callers: list[Node] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    extra_roots: list[Node] = field(default_factory=list)


def choose_root(
    joints: Sequence[AttachedRecord], traces: dict[str, TraceView], subject: str
) -> Rooted:
    """
    Return the tree of the request that *subject* names.

    *subject* is any id of a record, a trace or a span; "" means the first request at hand. There is
    at least one record or one span.
    """
    start = _subject_node(joints, traces, subject)
    root = _outermost_gateway(start) if start is not None else None
    if root is None and start is not None:
        root = _root_without_gateway(start, traces)
    assert root is not None
    rooted = Rooted(root)
    rooted.callers = _ancestors(root)
    _detach(root)
    _place_rest(rooted, joints, traces)
    adopt_siblings(walk_down(root))
    rooted.members = _in_order(root)
    _tell_apart(rooted.members)
    if joints:
        held = set(rooted.members)
        rooted.others += sorted(j.node.reference for j in joints if j.node not in held)
    return rooted


def _in_order(root: Node) -> list[Node]:
    """Return the tree depth first, the children of each node in order of start."""
    found: list[Node] = []
    stack = [root]
    while stack:
        node = stack.pop()
        found.append(node)
        children = node.children
        if len(children) > 1:
            children.sort(key=Node.order)
        stack.extend(reversed(children))
    return found


def _tell_apart(members: Sequence[Node]) -> None:
    """Give a span whose id another trace of this request uses as well an id of its own."""
    seen: set[str] = set()
    for node in members:
        if node.span_id in seen:
            node.flag("duplicate_id")
            node.span_id = derived_span_id(node.trace_id, node.span_id, str(len(seen)))
        seen.add(node.span_id)


def _subject_node(
    joints: Sequence[AttachedRecord], traces: dict[str, TraceView], subject: str
) -> Node | None:
    key = request_id_key(subject)
    for joint in joints:
        if subject and matches_subject(joint, key):
            return joint.node
    keys = trace_id_candidates(subject) or (Candidate("", ""),)
    wanted = next((traces[c.key] for c in keys if c.key in traces), None)
    for joint in joints:
        linked = [match.trace for match in joint.matches.accepted]
        if wanted is None or wanted in linked or joint.record.trace_id == wanted.trace_id:
            return joint.node
    if wanted is None:
        wanted = _trace_of_span(traces, subject) or next(iter(traces.values()), None)
    if wanted is None:
        return None
    begun = _begun_in(wanted, traces)
    # All of it may hang in the tree of a record that names it, or of a trace that it goes on from.
    return min(begun.tops or [_top(node) for node in begun.nodes], key=_top_order)


def _begun_in(trace: TraceView, traces: dict[str, TraceView]) -> TraceView:
    """Return the trace in which the request began that *trace* is a later part of."""
    seen = {trace.trace_id}
    while True:
        earlier = (
            other
            for other in traces.values()
            if other.trace_id not in seen
            and _is_before(other, trace)
            and continuation_of(trace, [other])
        )
        begun = next(earlier, None)
        if begun is None:
            return trace
        trace = begun
        seen.add(trace.trace_id)


def _is_before(first: TraceView, second: TraceView) -> bool:
    """Tell which of two traces of one request is the earlier: by who names whom, else by time."""
    if _names_parent_in(second, first):
        return True
    if _names_parent_in(first, second):
        return False
    return (first.start, -first.end, first.trace_id) < (second.start, -second.end, second.trace_id)


def _names_parent_in(trace: TraceView, other: TraceView) -> bool:
    named = {top.sent_parent_id for top in trace.tops} - {""}
    return bool(named) and any(node.span_id in named for node in other.nodes)


def _trace_of_span(traces: dict[str, TraceView], subject: str) -> TraceView | None:
    if len(subject) != 16:
        return None
    holds = (t for t in traces.values() if any(n.span_id == subject for n in t.nodes))
    return next(holds, None)


def _top_order(node: Node) -> tuple[bool, bool, int, int, str]:
    return (not _is_router(node), node.is_orphan, node.raw_start, -node.raw_end, node.span_id)


def _outermost_gateway(node: Node) -> Node | None:
    """Return the root of a gateway's request, or `None` when no gateway record is above *node*."""
    found: Node | None = None
    edge: Node | None = None
    step: Node | None = node
    while step is not None:
        if step.is_gateway:
            found, edge = step, None
        elif found is not None and step.is_proxy:
            # The mesh above the gateway is part of the request: its outer record is missing.
            edge = step
        step = step.parent
    return edge or found


def _root_without_gateway(start: Node, traces: dict[str, TraceView]) -> Node:
    trace = traces[start.trace_id]
    tops = trace.tops
    main = min(tops, key=_top_order)
    # Several arrivals at the mesh's edge are several requests, each with its own timeline.
    rest = [t for t in tops if t is not main and not (_is_router(t) and _is_router(main))]
    siblings = [t for t in rest if t.is_orphan and t.sent_parent_id == main.sent_parent_id]
    if main.is_orphan and siblings:
        return _parent_of_siblings(main, siblings)
    true_roots = [top for top in tops if not top.is_orphan]
    is_whole = all(main.raw_start <= t.raw_start and t.raw_end <= main.raw_end for t in rest)
    if not rest or is_whole or (len(true_roots) == 1 and main is true_roots[0]):
        return main
    tops = [main, *rest]
    missing = {t.span.parent_span_id for t in tops if t.span is not None}
    return _inferred_root(tops, missing)


def _parent_of_siblings(main: Node, siblings: Sequence[Node]) -> Node:
    """
    Return what stands for the missing parent of spans that all name it.

    Where one of them shows that it called the others, they are not siblings: it is the root.
    """
    parent = _inferred_root([main, *siblings], {main.sent_parent_id})
    adopt_siblings([parent])
    if len(parent.children) > 1:
        return parent
    [first] = parent.children
    _detach(first)
    return first


def _inferred_root(tops: Sequence[Node], missing: set[str]) -> Node:
    only = next(iter(missing)) if len(missing) == 1 else ""
    trace_id = tops[0].trace_id
    root = Node(
        span_id=only or derived_span_id(trace_id, "root"),
        trace_id=trace_id,
        raw_start=min(top.raw_start for top in tops),
        raw_end=max(top.raw_end for top in tops),
        is_inferred=True,
        host=tops[0].host,
    )
    root.flag("missing_parent" if only else "several_roots")
    if only:
        root.service = _service_that_called(tops)
    for top in sorted(tops, key=Node.order):
        attach(top, root)
    return root


def _service_that_called(tops: Sequence[Node]) -> str:
    """Return whose span is missing above *tops*: a call is made by the service that tells of it."""
    callers = {top.service for top in tops if top.side == "client"}
    return callers.pop() if len(callers) == 1 else ""


def _ancestors(node: Node) -> list[Node]:
    above = []
    step = node.parent
    while step is not None:
        above.append(step)
        step = step.parent
    return above[::-1]


def _detach(root: Node) -> None:
    if root.parent is not None:
        root.parent.children.remove(root)
        root.parent = None


def _place_rest(
    rooted: Rooted, joints: Sequence[AttachedRecord], traces: dict[str, TraceView]
) -> None:
    """Place what is left of the request's traces, and traces that continue them."""
    members = walk_down(rooted.root)
    own = sorted({n.trace_id for n in members if n.span is not None})
    tops = {_top(joint.node) for joint in joints} - {rooted.root}
    views = [traces[trace_id] for trace_id in own if trace_id in traces]
    for view in traces.values():
        if view.trace_id in own:
            continue
        evidence = continuation_of(view, views) if views else ()
        if evidence:
            views.append(view)
            rooted.links.append(
                Link(from_=own[0], to=view.trace_id, tier=3, confidence=0.95, evidence=evidence)
            )
        elif not any(match.trace is view for joint in joints for match in joint.matches.accepted):
            rooted.others.append(view.trace_id)
        else:
            rooted.others += [top.span_id for top in view.tops if top.is_of_another]
    # What has no parent is loose, but for the top of each tree that is a request's.
    placed = {rooted.root, *tops, *rooted.callers[:1]}
    loose = [top for view in views for top in view.tops if top not in placed]
    loose = _without_known_parents(loose, views)
    rooted.others += [top.span_id for top in loose if _is_another_request(top)]
    loose = [top for top in loose if not _is_another_request(top)]
    rooted.extra_roots = [top for top in loose if not top.is_orphan]
    place_orphans(rooted.root, sorted(loose, key=Node.order))


def _without_known_parents(loose: Sequence[Node], views: Sequence[TraceView]) -> list[Node]:
    """
    Hang tops on their parents in another trace of the request, and return the others.

    Where only the trace id was cut or replaced, the parent's span id still came through.
    """
    if len(views) < 2:
        return list(loose)
    wanted = {top.span.parent_span_id for top in loose if top.span is not None}
    wanted.discard("")
    known = {n.span_id: n for view in views for n in view.nodes if n.span_id in wanted}
    rest = []
    for top in loose:
        parent = known.get(top.span.parent_span_id) if top.span is not None else None
        if parent is None or parent.trace_id == top.trace_id:
            rest.append(top)
            continue
        attach(top, parent)
        if top.parent is parent:
            top.is_orphan = False
        else:
            rest.append(top)
    return rest


def _is_another_request(top: Node) -> bool:
    return _is_router(top) or top.is_of_another


def _is_router(node: Node) -> bool:
    return node.proxy == "router"


def _top(node: Node) -> Node:
    while node.parent is not None:
        node = node.parent
    return node
