"""
Nodes to hops: everything that belongs to one visit to one service.

A visit begins where the caller sends (its client span, its sidecar's client span) and ends in the
callee's own spans. A gateway record is a hop, the mesh's edge proxy is one, a call to a database or
to something without spans of its own is drawn from the client span that made it.

Some visits have no span of their own and are told by others: whoever began a trace with a client
span (a nightly job, a browser), a service whose server span was lost and whose calls arrived, the
queue that a consumer names. They are drawn with no spans.

Source: Istio pilot tracing.go (sidecars emit one span a traversal, gateways one server span and a
client span a try since 1.28, a single client span before), linkerd2-proxy (a server and a client
span in each proxy), envoy router (`retry.count`, `-shadow` authorities).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from collector.stitch.time.critical_path import is_waited_for
from collector.stitch.tree.access_logs import FROM_ACCESS_LOG
from collector.stitch.tree.nodes import Node
from collector.stitch.tree.roles import broker_name, dependency_system, is_external_cluster
from collector.stitch.tree.tries import Key, call_key, is_try_again, mark_outrun

_OUTER_ROLES = ("gateway", "edge")
# Suffixes by which people name a sidecar after its service.
_PROXY_SUFFIXES = ("-envoy", "-proxy", "-sidecar", "-linkerd-proxy", "-istio")


@dataclass(slots=True, eq=False)
class HopDraft:
    """
    A hop while it is being put together.

    `nodes` are in tree order, so the first is the outermost: `top`. `callee` are those of the
    service that was called: its proxy's and its own. A hop that other spans tell of has no nodes;
    its `top` is the first of these spans, and its times are that one's. `drawn` are such hops that
    this one called, by service and by the span that they hang under.
    """

    index: int
    parent: "HopDraft | None"
    top: Node
    role: str = ""
    nodes: list[Node] = field(default_factory=list)
    children: list["HopDraft"] = field(default_factory=list)
    service: str = ""
    attempt: int = 1
    attempts: int = 1
    is_inferred: bool = False
    is_mirrored: bool = False
    is_async: bool = False
    notes: tuple[str, ...] = ()
    callee: list[Node] = field(default_factory=list)
    drawn: dict[tuple[str, Node | None], "HopDraft"] = field(default_factory=dict)

    @property
    def record_node(self) -> Node | None:
        return next((node for node in self.nodes if node.is_gateway), None)

    def add(self, node: Node) -> None:
        if not node.is_caller_side and node.role != "waypoint":
            parent = node.parent
            is_client_internal = (
                node.side == ""
                and parent is not None
                and parent.hop == self.index
                and not self.callee
                and parent.service == node.service
            )
            if not is_client_internal:
                self.callee.append(node)
        node.is_inside = bool(self.callee)
        self.nodes.append(node)
        node.hop = self.index
        self.is_mirrored = self.is_mirrored or node.is_mirrored


def group_hops(members: Sequence[Node]) -> list[HopDraft]:
    """
    Return the hops of a tree, in tree order; each node of *members* gets its `hop` and final role.

    *members* has each parent before its children.
    """
    hops: list[HopDraft] = []
    put_off: set[Node] = set()
    _promote_edge(members)
    _find_tries(members)
    for node in members:
        if not node.service and node.side != "server" and node.parent is not None:
            # What does not say whose it is, is its parent's.
            node.service = node.parent.service
        above = hops[node.parent.hop] if node.parent is not None else None
        is_apart = not (node.is_mirrored or is_waited_for(node))
        if above and (is_apart or node.parent in put_off):
            put_off.add(node)
        hop = above if above is not None and _continues(above, node) else None
        if hop is None:
            caller = _caller_of(above, node)
            hop = _open(hops, _told_caller(hops, caller, above, node), node)
            # What a service puts off inside itself does not make its visit one to wait for nobody.
            hop.is_async = node in put_off
        hop.add(node)
    _finish(hops)
    return hops


def _open(hops: list[HopDraft], caller: HopDraft | None, top: Node) -> HopDraft:
    hop = HopDraft(len(hops), caller, top)
    hops.append(hop)
    if caller is not None:
        caller.children.append(hop)
    return hop


def _told_caller(
    hops: list[HopDraft], caller: HopDraft | None, above: HopDraft | None, node: Node
) -> HopDraft | None:
    """Return who calls the hop that *node* opens, drawn from what *node* tells of it if need be."""
    if node.kind == "Consumer":
        return _queue_before(hops, caller, node)
    if node.is_gateway or node.is_proxy or node.role == "gateway":
        return caller
    if node.parent is None:
        return _beginner(hops, node)
    if is_call_of_lost_service(node):
        if node.parent.is_caller_side:
            # The call to it is there: whoever made this call is the one that was called.
            return above
        return _lost_service(hops, caller, node)
    return caller


def _beginner(hops: list[HopDraft], node: Node) -> HopDraft | None:
    """Draw who began the trace: the service of a client span, or the one that a server names."""
    if node.is_caller_side:
        if not node.service:
            return None
        hop = _draw(hops, None, node, node.service)
        hop.notes = ("the trace begins with its call: nothing shows what it did itself",)
        return hop
    peer = node.attributes.get("peer.service", "")
    if node.side != "server" or not peer:
        return None
    hop = _draw(hops, None, node, peer)
    hop.is_inferred = True
    hop.notes = ("no span of this service arrived: its callee names it",)
    return hop


def _lost_service(hops: list[HopDraft], caller: HopDraft | None, node: Node) -> HopDraft:
    """Draw the service whose call *node* is, once for all calls that it made in one visit."""
    key = (node.service, node.parent)
    drawn = caller.drawn if caller is not None else {}
    hop = drawn.get(key)
    if hop is None:
        hop = drawn[key] = _draw(hops, caller, node, node.service)
        hop.is_inferred = True
        hop.notes = ("its server span never arrived: drawn from the calls that it made",)
    return hop


def _queue_before(hops: list[HopDraft], caller: HopDraft | None, node: Node) -> HopDraft | None:
    """Draw the queue that a consumer names, unless its producer's span has drawn it already."""
    queue = broker_name(node.attributes)
    parent = node.parent
    if not queue:
        return caller
    is_told = parent is not None and (parent.kind == "Producer" or parent.callee == queue)
    if parent is not None and is_told and parent.side == "client" and parent.callee:
        named = node.attributes.get("peer.service", ""), parent.attributes.get("peer.service", "")
        if not all(named) or named[0] == named[1]:
            return caller
    hop = _draw(hops, caller, node, queue)
    hop.role, hop.is_inferred = "dependency", True
    hop.notes = ("a queue that its consumer names",)
    return hop


def _draw(hops: list[HopDraft], caller: HopDraft | None, told_by: Node, service: str) -> HopDraft:
    hop = _open(hops, caller, told_by)
    hop.role, hop.service = "service", service
    return hop


def is_call_of_lost_service(node: Node) -> bool:
    """
    Tell whether *node* is a call that another service made than the one that its parent is of.

    The server span between the two was lost, or never made.
    """
    parent = node.parent
    return (
        parent is not None
        and node.side == "client"
        and not node.is_proxy
        and node.role not in _OUTER_ROLES
        and bool(node.service and (parent.service or parent.is_gateway))
        and _bare(node.service) != _bare(parent.service)
    )


def _find_tries(members: Sequence[Node]) -> None:
    """
    Mark the client sides, and those that lead to several tries: `fans_out`.

    Each try is a hop of its own, so whatever client side is above them is their caller's.
    """
    for node in reversed(members):
        node.is_caller_side = _is_caller_side(node)
        if node.is_caller_side and node.children:
            onward = [
                child
                for child in node.children
                if is_waited_for(child)
                and _leads_onward(node, child)
                # Two calls of one lost service are its own, and no tries of its caller.
                and not is_call_of_lost_service(child)
            ]
            node.fans_out = len(onward) > 1 or (len(onward) == 1 and onward[0].fans_out)
            if node.fans_out and node.parent is None and not node.is_proxy:
                # Whoever began the trace made all these calls: the span is its own visit.
                node.is_caller_side = False


def _leads_onward(node: Node, child: Node) -> bool:
    return node.is_caller_side and (
        child.is_caller_side or child.side == "server" or child.role == "waypoint"
    )


def _caller_of(above: HopDraft | None, node: Node) -> HopDraft | None:
    """Return the hop that calls the one which *node* opens."""
    parent = node.parent
    if above is None or parent is None:
        return None
    if node.is_async:
        return above
    # A copy, or one more try, leaves from the client side of another call: both have one caller.
    return above if parent.is_inside or above.parent is None else above.parent


def _continues(hop: HopDraft, node: Node) -> bool:
    """Tell whether *node* belongs to the same visit as its parent."""
    parent = node.parent
    assert parent is not None
    if parent.is_gateway:
        return node.role == "gateway" and not node.is_gateway
    if node.goes_on_with_message:
        return True
    if node.is_async or node.is_mirrored > parent.is_mirrored:
        return False
    if parent.kind == "Producer" and node.service != parent.service:
        return False
    is_below_caller = parent.is_caller_side
    if is_call_of_lost_service(node):
        return False
    if parent.role in _OUTER_ROLES or (node.role in _OUTER_ROLES and not is_below_caller):
        return node.role == parent.role and node.service == parent.service
    if parent.fans_out and _leads_onward(parent, node):
        # A chain of client sides above the tries is the caller's, link by link.
        return node.fans_out
    if node.role == "waypoint":
        return parent.role == "waypoint" or (is_below_caller and not hop.callee)
    if parent.role == "waypoint":
        return not node.is_caller_side and not hop.callee
    if node.is_caller_side:
        # A client side below a client side is the same call on its way out: application, sidecar.
        return node.fans_out or (is_below_caller and not hop.callee)
    if is_below_caller:
        return not hop.callee or (node.side == "" and node.service == parent.service)
    if node.role == "server_proxy":
        # Linkerd's inbound proxy, and an Envoy with upstream spans, has a client span inside.
        return parent.role == "server_proxy" and (parent.side, node.side) == ("server", "client")
    return parent.role == "server_proxy" or node.service == parent.service


def _is_caller_side(node: Node) -> bool:
    # Each Linkerd proxy has a server span too; in the caller's pod it is on the caller's side.
    if node.kind == "Producer" and not node.callee:
        # Nobody knows whom it told: it is a part of its own service's work.
        return False
    if node.side == "client":
        return node.role not in ("server_proxy", "edge", "gateway")
    return node.role == "client_proxy"


def _promote_edge(members: Sequence[Node]) -> None:
    """
    Find the plain Envoy that lets requests into the mesh: it has no `router~` in its name.

    It is the outermost proxy, and what is below it belongs to other services.
    """
    if not any(node.role == "edge" or node.proxy == "envoy" for node in members):
        return
    inside: set[Node] = set()
    for node in members:
        parent = node.parent
        is_below = parent is not None and not parent.is_gateway
        # Below a proxy or a server we are in the mesh already.
        if parent is not None and is_below and (parent in inside or _opens_mesh(parent)):
            inside.add(node)
            continue
        if node.proxy == "envoy" and node.role.endswith("_proxy") and not _serves_its_own(node):
            node.role = "edge"
    for node in members:
        parent = node.parent
        if node.role != "edge" or node.side != "client" or parent is None:
            continue
        # One of the tries that the gateway proxy made: it belongs to the call, not to the edge.
        if parent.role == "edge" and parent.service == node.service:
            node.role = "client_proxy"


def _opens_mesh(node: Node) -> bool:
    return node.is_proxy or node.side == "server"


def _serves_its_own(node: Node) -> bool:
    cluster = node.attributes.get("upstream_cluster", "")
    if cluster.startswith("inbound") or "local" in cluster.partition(".")[0]:
        return True
    own = _bare(node.service)
    return any(
        not child.is_proxy and child.side != "client" and _bare(child.service) == own
        for child in node.children
    )


@lru_cache(maxsize=1024)
def _bare(name: str) -> str:
    name = name.partition(".")[0].lower()
    for suffix in _PROXY_SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _finish(hops: Sequence[HopDraft]) -> None:
    known = {node.service for hop in hops for node in hop.nodes if node.service}
    for hop in hops:
        _name(hop, known)
    for hop in hops:
        # Callers come before their callees. The tries of a call are told by their own spans alone.
        if len(hop.children) > 1:
            _number_attempts(hop)
    for hop in hops:
        if hop.parent is not None:
            hop.is_mirrored = hop.is_mirrored or hop.parent.is_mirrored
            hop.is_async = hop.is_async or hop.parent.is_async


def _name(hop: HopDraft, known: set[str]) -> None:
    """Settle role and service of a hop from the most telling of its nodes."""
    if not hop.nodes:
        return
    top = hop.top
    first = hop.callee[0] if hop.callee else top
    if first.role in _OUTER_ROLES:
        hop.role, hop.service = first.role, first.service
        if first.role == "edge" and first.side == "client":
            hop.notes = ("the server side of the edge proxy is inferred from its client span",)
        return
    served = _served_by(hop)
    if served is not None:
        hop.role, hop.service = "service", served.service
        return
    # Of a call that names nobody its caller's name would say that it called itself; a line of an
    # access log may be of either side's proxy.
    last = hop.nodes[-1]
    own = last.service if FROM_ACCESS_LOG in last.attributes else ""
    hop.service = top.service if top.is_inferred else _called(hop) or own
    hop.role = "dependency" if _is_dependency(hop, known) else "service"
    hop.is_inferred = True
    if top.is_inferred:
        hop.role, hop.notes = "service", ("the first span of this trace never arrived",)
    elif hop.role == "service":
        hop.notes = ("no span of this service arrived: drawn from its caller's client span",)
    else:
        for node in hop.nodes:
            if not node.is_proxy:
                node.role = "dependency"


def _called(hop: HopDraft) -> str:
    """Return whom a call without a callee's spans reached: who called on from there, or a name."""
    calls_on = (child.top for child in hop.children if is_call_of_lost_service(child.top))
    onward = next((top.service for top in calls_on if top.parent in hop.nodes), "")
    queue = next((n.callee for n in hop.nodes if n.kind == "Producer" and n.callee), "")
    return onward or queue or next((n.callee for n in reversed(hop.nodes) if n.callee), "")


def _served_by(hop: HopDraft) -> Node | None:
    """Return the first span of the callee's application, else of its proxy, if one arrived."""
    of_proxy: Node | None = None
    for node in hop.callee:
        if node.is_inferred:
            continue
        if not node.is_proxy:
            return node
        of_proxy = of_proxy or node
    return of_proxy


def _is_dependency(hop: HopDraft, known: set[str]) -> bool:
    if any(dependency_system(node.attributes) for node in hop.nodes):
        return True
    # A waypoint stands in front of services of the mesh only.
    if hop.service in known or any(node.role == "waypoint" for node in hop.nodes):
        return False
    proxies = [node for node in hop.nodes if node.is_proxy]
    if not proxies:
        return True
    cluster = proxies[-1].attributes.get("upstream_cluster", "")
    return is_external_cluster(cluster) or not proxies[-1].callee


def _number_attempts(hop: HopDraft) -> None:
    """Number the tries of each call made by *hop*: one after the other, the earlier ones failed."""
    if hop.top.is_inferred:
        # Several beginnings under a stand-in are several requests.
        return
    calls_of: dict[str, list[HopDraft]] = {}
    for child in hop.children:
        top = child.top
        # A message that is delivered again is tried again, though nobody waits for it.
        is_put_off = top.is_background and not top.is_async
        if child.nodes and not (child.is_mirrored or top.is_gateway or is_put_off):
            calls_of.setdefault(child.service, []).append(child)
    for calls in calls_of.values():
        if len(calls) > 1:
            _number_calls(calls)


def _number_calls(calls: list[HopDraft]) -> None:
    """Number the tries among several calls to one service."""
    open_groups: dict[Key, list[HopDraft]] = {}
    groups: list[list[HopDraft]] = []
    for child in sorted(calls, key=lambda h: h.top.order()):
        top = child.top
        key, is_telling = call_key(child.service, child.nodes)
        group = open_groups.get(key)
        if group and is_try_again(group[-1].top, top, is_same_target=is_telling):
            group.append(child)
        else:
            open_groups[key] = [child]
            groups.append(open_groups[key])
    for group in groups:
        if len(group) == 1:
            continue
        for number, one in enumerate(group, start=1):
            one.attempt, one.attempts = number, len(group)
        mark_outrun([one.top for one in group])
