"""
Spans to trees: parents found, duplicates merged, cycles cut, nothing dropped.

Works on whatever was sent: shared Zipkin ids, repeated ids with other content, parents that never
arrived, parents in a circle. Time grows with n log n, the call stack not at all.

Source: openzipkin/b3-propagation (a server may share its client's span id), OTLP (a span may be
sent more than once).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from collector.attributes import OTHER_NAME, PARTIAL, SENT_END, SHARED_ID, SHARED_PARENT_ID
from collector.model import Span
from collector.stitch.tree.access_logs import FROM_ACCESS_LOG
from collector.stitch.tree.nodes import Node, derived_span_id, walk_down
from collector.stitch.tree.reports import merge_reports
from collector.stitch.tree.roles import identify

# How many enclosing spans an orphan is compared with before it is put under the root.
_MAX_CANDIDATES = 48
# Two versions of one span may be a rounding apart.
_APART_NS = 1_000_000


@dataclass(slots=True)
class Forest:
    """
    The nodes of every trace at hand.

    `by_id` finds the first node of a span id within a trace, `same_id` all of them where there are
    several. `shared` finds the server sides that were sent under their client's id and stored under
    another. `tops` are the nodes without a parent, orphans among them, in order of start.
    """

    nodes: list[Node] = field(default_factory=list)
    by_id: dict[str, dict[str, Node]] = field(default_factory=dict)
    same_id: dict[tuple[str, str], list[Node]] = field(default_factory=dict)
    shared: dict[tuple[str, str], list[Node]] = field(default_factory=dict)
    tops: list[Node] = field(default_factory=list)

    def find(self, trace_id: str, span_id: str, child: Node | None = None) -> Node | None:
        """Return the node that *child*, which names *span_id*, hangs on, if it arrived."""
        of_trace = self.by_id.get(trace_id)
        first = of_trace.get(span_id) if of_trace is not None else None
        if first is None or not self.same_id:
            return first
        return parent_among(self.same_id.get((trace_id, span_id), (first,)), child)


def build_forest(spans: Sequence[Span]) -> Forest:
    """Return the spans as trees; the order of *spans* makes no difference."""
    forest = Forest()
    for span in _in_order(merge_reports(spans)):
        _add(forest, span)
    for node in forest.nodes:
        _connect(forest, node)
    _cut_cycles(forest.nodes)
    for node in forest.nodes:
        if node.parent is not None:
            node.parent.children.append(node)
    forest.tops = [node for node in forest.nodes if node.parent is None]
    return forest


def attach(child: Node, parent: Node) -> None:
    """Move *child* under *parent*, unless that would close a circle."""
    ancestor: Node | None = parent
    while ancestor is not None:
        if ancestor is child:
            return
        ancestor = ancestor.parent
    if child.parent is not None:
        child.parent.children.remove(child)
    child.parent = parent
    parent.children.append(child)


def place_orphans(root: Node, orphans: Sequence[Node]) -> None:
    """
    Put each of *orphans* where it most likely belongs in the tree of *root*.

    That is the shortest span that encloses it in time, a span of the same service if there is one,
    else a call to its service, else any; under the root if nothing encloses it. Those that name one
    missing parent stay together, under what encloses them all. Raw times: what lost its parent is
    compared within one mesh, whose clocks are mostly one.
    """
    if not orphans:
        return
    tree = walk_down(root)
    in_tree = set(tree)
    waiting = set(orphans)
    families = _families(orphans)
    holders: dict[tuple[str, str], Node] = {}
    rest = [node for orphan in orphans for node in walk_down(orphan)]
    open_nodes: list[Node] = []
    for node in sorted((*tree, *rest), key=Node.order):
        while open_nodes and open_nodes[-1].raw_end < node.raw_start:
            open_nodes.pop()
        if node in waiting:
            family = (node.trace_id, node.sent_parent_id)
            node.parent = holders.get(family) or _holder(open_nodes, node, families) or root
            if family in families:
                holders[family] = node.parent
            node.parent.children.append(node)
            node.is_orphan = True
            in_tree.add(node)
        elif node.parent is not None and node.parent in in_tree:
            # Only what already hangs on the root can take others in: no circle can close.
            in_tree.add(node)
        if node in in_tree and not node.is_gateway:
            open_nodes.append(node)


def parent_among(nodes: Sequence[Node], child: Node | None = None) -> Node | None:
    """
    Return which of the nodes that share an id has the children: the server, if there is one.

    Of several tries under one id it is the one that *child* ran in.
    """
    servers = [node for node in nodes if node.side == "server"]
    able = servers or nodes
    if len(able) < 2 or child is None:
        return able[0] if able else None
    return min(able, key=lambda node: _outside_ns(child, node))


def _outside_ns(child: Node, holder: Node) -> int:
    """Return for how long *child* ran outside of *holder*'s time."""
    before = max(holder.raw_start - child.raw_start, 0)
    return before + max(child.raw_end - holder.raw_end, 0)


def _families(orphans: Sequence[Node]) -> dict[tuple[str, str], int]:
    """Return when the last of those ended that name one missing parent, by trace and parent."""
    ends: dict[tuple[str, str], list[int]] = {}
    for orphan in orphans:
        if orphan.sent_parent_id:
            ends.setdefault((orphan.trace_id, orphan.sent_parent_id), []).append(orphan.raw_end)
    return {family: max(of_all) for family, of_all in ends.items() if len(of_all) > 1}


def _holder(
    open_nodes: list[Node], orphan: Node, families: dict[tuple[str, str], int]
) -> Node | None:
    """Return what encloses *orphan* and its siblings, or at least *orphan*."""
    end = families.get((orphan.trace_id, orphan.sent_parent_id), orphan.raw_end)
    found = _enclosing(open_nodes, orphan, end)
    return (
        found if found or end == orphan.raw_end else _enclosing(open_nodes, orphan, orphan.raw_end)
    )


def _enclosing(open_nodes: list[Node], orphan: Node, end: int) -> Node | None:
    nearest: Node | None = None
    calling: Node | None = None
    for node in reversed(open_nodes[-_MAX_CANDIDATES:]):
        if node.raw_end < end or node.is_async:
            continue
        if node.service == orphan.service and node.side != "client":
            return node
        if calling is None and node.side == "client" and node.callee == orphan.service:
            calling = node
        nearest = nearest or node
    return calling if calling is not None and orphan.side == "server" else nearest


def _add(forest: Forest, span: Span) -> None:
    start, end, trace_id = span.start_ns, span.end_ns, span.trace_id
    node = Node(span.span_id, trace_id, start, end if end > start else start, span)
    identify(node)
    if end < start or (end == start and SENT_END in span.attributes):
        node.flag("negative_duration")
    if start <= 0 or (PARTIAL in span.attributes and not span.events):
        node.flag("no_start")
    if FROM_ACCESS_LOG in span.attributes:
        node.flag("access_log")
    of_trace = forest.by_id.get(trace_id)
    if of_trace is None:
        of_trace = forest.by_id[trace_id] = {}
    first = of_trace.setdefault(span.span_id, node)
    if first is not node and not _add_same_id(forest, first, node, span):
        return
    if not span.span_id and first is node:
        _give_own_id(node, [])
    forest.nodes.append(node)
    if (sent_as := span.attributes.get(SHARED_ID)) is not None:
        forest.shared.setdefault((trace_id, sent_as), []).append(node)


def _add_same_id(forest: Forest, first: Node, node: Node, span: Span) -> bool:
    """Take in one more node of an id; false if it is a span that is known already."""
    same_id = forest.same_id.setdefault((span.trace_id, span.span_id), [first])
    for other in same_id:
        if other.kind != node.kind:
            continue
        if other.service == node.service and _meet(other, node):
            _keep_fuller(other, span)
            return False
        if other.service != node.service and _is_renamed(other, node):
            _keep_name(other, node)
            return False
    _give_own_id(node, same_id)
    same_id.append(node)
    return True


def _meet(first: Node, second: Node) -> bool:
    """
    Tell whether two spans of one id can be one span that was sent twice.

    One span has one time. Two that lie apart are two tries, whose sender used one id for both.
    """
    return (
        second.raw_start <= first.raw_end + _APART_NS
        and first.raw_start <= second.raw_end + _APART_NS
    )


def _is_renamed(first: Node, second: Node) -> bool:
    """
    Tell whether two spans of one id are one that was sent under two services' names.

    So it is where a collector renames what is also sent as it is: all but the resource is equal.
    """
    one, other = first.span, second.span
    return (
        one is not None
        and other is not None
        and (one.name, one.parent_span_id) == (other.name, other.parent_span_id)
        and abs(one.start_ns - other.start_ns) <= _APART_NS
        and abs(one.end_ns - other.end_ns) <= _APART_NS
    )


def _keep_name(node: Node, again: Node) -> None:
    """Keep one node of a span that came under two names: the one whose resource tells more."""
    held, span = node.span, again.span
    assert held is not None
    assert span is not None
    kept, other = sorted((held, span), key=_naming)
    others = {node.attributes.get(OTHER_NAME, ""), other.service} - {"", kept.service}
    node.span = kept
    node.attributes = {**other.attributes, **kept.attributes, OTHER_NAME: ", ".join(sorted(others))}
    node.raw_start, node.raw_end = kept.start_ns, max(kept.start_ns, kept.end_ns)
    identify(node)
    node.flag("two_names")


def _naming(span: Span) -> tuple[bool, int, str]:
    # OpenTelemetry's word for a service that nobody named
    is_unnamed = not span.service or span.service.startswith("unknown_service")
    return (is_unnamed, -len(span.resource), span.service)


def _give_own_id(node: Node, same_id: list[Node]) -> None:
    # A client and a server under one id are Zipkin's shared span; anything else is a mistake.
    is_shared = len(same_id) == 1 and {same_id[0].side, node.side} == {"client", "server"}
    for one in (*same_id, node):
        one.flag("shared_id" if is_shared else "duplicate_id")
    span = node.span
    if span is not None:
        node.span_id = derived_span_id(
            span.trace_id, span.span_id, span.kind, node.service, str(len(same_id))
        )


def _keep_fuller(node: Node, span: Span) -> None:
    """
    Merge a span that came twice: the longer version, then the one that says more, wins.

    Attributes that only the other one has are kept.
    """
    held = node.span
    if held is None or _content(held) == _content(span):
        return
    fuller, other = (span, held) if _fullness(span) > _fullness(held) else (held, span)
    node.span = fuller
    node.attributes = {**node.attributes, **other.attributes, **fuller.attributes}
    node.raw_start, node.raw_end = fuller.start_ns, max(fuller.start_ns, fuller.end_ns)
    identify(node)
    node.flag("duplicate")


def _connect(forest: Forest, node: Node) -> None:
    span = node.span
    if span is None:
        return
    if node.side == "server" and "shared_id" in node.flags:
        same_id = forest.same_id[(span.trace_id, span.span_id)]
        node.parent = next((n for n in same_id if n.side == "client"), None)
        return
    trace_id, parent_id = span.trace_id, span.parent_span_id
    if not parent_id:
        return
    servers = forest.shared.get((trace_id, parent_id)) if forest.shared else None
    if servers and SHARED_ID not in span.attributes:
        # What names a shared id as its parent was caused by the server, not by its caller.
        node.parent = _server_of(node, servers)
    else:
        node.parent = forest.find(trace_id, parent_id, node)
    if node.parent is None and SHARED_ID in span.attributes:
        # The client's half is lost; its parent is known all the same.
        node.parent = forest.find(trace_id, span.attributes.get(SHARED_PARENT_ID, ""), node)
    if node.parent is None:
        node.is_orphan = True


def _server_of(node: Node, servers: Sequence[Node]) -> Node:
    """Return the server side that made a call: the same service, running at that time."""
    return min(
        servers,
        key=lambda s: (
            s.service != node.service,
            not s.raw_start <= node.raw_start <= s.raw_end,
            s.order(),
        ),
    )


def _cut_cycles(nodes: list[Node]) -> None:
    done: set[Node] = set()
    for start in nodes:
        if start.parent is None or start.parent in done:
            # Most parents started first.
            done.add(start)
            continue
        path: list[Node] = []
        on_path: set[Node] = set()
        node: Node | None = start
        while node is not None and node not in done and node not in on_path:
            path.append(node)
            on_path.add(node)
            node = node.parent
        if node is not None and node in on_path:
            circle = path[path.index(node) :]
            first = min(circle, key=Node.order)
            first.parent = None
            first.is_orphan = True
            first.flag("cycle")
        done |= on_path


def _in_order(spans: Sequence[Span]) -> list[Span]:
    """Sort by start; spans of one id that began at one time by all that they say."""
    ordered = sorted(spans, key=_span_order)
    if any(a.span_id == b.span_id and a.start_ns == b.start_ns for a, b in pairwise(ordered)):
        ordered.sort(key=lambda span: (_span_order(span), repr(_content(span))))
    return ordered


def _span_order(span: Span) -> tuple[int, int, str, str, str, str, str]:
    return (
        span.start_ns,
        -span.end_ns,
        span.trace_id,
        span.span_id,
        span.kind,
        span.service,
        span.parent_span_id,
    )


def _content(span: Span) -> tuple[object, ...]:
    return (
        span.name,
        span.parent_span_id,
        span.start_ns,
        span.end_ns,
        span.status,
        span.status_message,
        sorted(span.attributes.items()),
        sorted(span.resource.items()),
        span.trace_state,
        span.scope,
        repr(span.events),
        repr(span.links),
    )


def _fullness(span: Span) -> tuple[int, int, str]:
    return (span.end_ns - span.start_ns, len(span.attributes), repr(_content(span)))
