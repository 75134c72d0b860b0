"""
Nodes to hops: everything that belongs to one visit to one service.

A visit begins where the caller sends (its client span, its sidecar's client span) and ends in the
callee's own spans. A gateway record is a hop, the mesh's edge proxy is one, a call to a database or
to something without spans of its own is drawn from the client span that made it.

Source: Istio pilot tracing.go (sidecars emit one span a traversal, gateways one server span and a
client span a try since 1.28, a single client span before), linkerd2-proxy (a server and a client
span in each proxy), envoy router (`retry.count`, `-shadow` authorities).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from collector.stitch.critical_path import is_waited_for
from collector.stitch.identify import dependency_system, is_external_cluster
from collector.stitch.nodes import Node

_RETRY_KEYS = ("retry.count", "http.request.resend_count", "http.resend_count")
# Suffixes by which people name a sidecar after its service.
_PROXY_SUFFIXES = ("-envoy", "-proxy", "-sidecar", "-linkerd-proxy", "-istio")


@dataclass(slots=True, eq=False)
class HopDraft:
    """
    A hop while it is being put together.

    `nodes` are in tree order, so the first is the outermost. `callee` are those of the service that
    was called: its proxy's and its own.
    """

    index: int
    role: str
    parent: "HopDraft | None"
    nodes: list[Node] = field(default_factory=list)
    children: list["HopDraft"] = field(default_factory=list)
    service: str = ""
    attempt: int = 1
    attempts: int = 1
    is_inferred: bool = False
    is_mirrored: bool = False
    is_async: bool = False
    notes: list[str] = field(default_factory=list)
    callee: list[Node] = field(default_factory=list)

    @property
    def top(self) -> Node:
        return self.nodes[0]

    @property
    def record_node(self) -> Node | None:
        return next((node for node in self.nodes if node.is_gateway), None)

    def add(self, node: Node) -> None:
        if not _is_caller_side(node) and node.role != "waypoint":
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


def group_hops(members: Sequence[Node]) -> list[HopDraft]:
    """
    Return the hops of a tree, in tree order; each node of *members* gets its `hop` and final role.

    *members* has each parent before its children.
    """
    hops: list[HopDraft] = []
    by_node: dict[int, HopDraft] = {}
    _promote_edge(members)
    _find_tries(members)
    for node in members:
        above = by_node[id(node.parent)] if node.parent is not None else None
        hop = above if above is not None and _continues(above, node) else None
        if hop is None:
            caller = _caller_of(above, node)
            hop = HopDraft(len(hops), "", caller)
            hops.append(hop)
            if caller is not None:
                caller.children.append(hop)
        hop.add(node)
        by_node[id(node)] = hop
    _finish(hops)
    return hops


def _find_tries(members: Sequence[Node]) -> None:
    """
    Mark the client sides that lead to several tries: `fans_out`.

    Each try is a hop of its own, so whatever client side is above them is their caller's.
    """
    for node in reversed(members):
        onward = [c for c in node.children if is_waited_for(c) and _leads_onward(node, c)]
        node.fans_out = len(onward) > 1 or (len(onward) == 1 and onward[0].fans_out)


def _leads_onward(node: Node, child: Node) -> bool:
    return _is_caller_side(node) and (
        _is_caller_side(child) or child.side == "server" or child.role == "waypoint"
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
    if node.is_async or parent.kind == "Producer" or node.is_mirrored > parent.is_mirrored:
        return False
    for role in ("gateway", "edge"):
        if parent.role == role or (node.role == role and not _is_caller_side(parent)):
            return node.role == parent.role and node.service == parent.service
    if parent.fans_out and _leads_onward(parent, node):
        # A chain of client sides above the tries is the caller's, link by link.
        return node.fans_out
    if node.role == "waypoint":
        return parent.role == "waypoint" or (_is_caller_side(parent) and not hop.callee)
    if parent.role == "waypoint":
        return not _is_caller_side(node) and not hop.callee
    if _is_caller_side(node):
        # A client side below a client side is the same call on its way out: application, sidecar.
        return node.fans_out or (_is_caller_side(parent) and not hop.callee)
    if _is_caller_side(parent):
        return not hop.callee or (node.side == "" and node.service == parent.service)
    if node.role == "server_proxy":
        # Linkerd's inbound proxy, and an Envoy with upstream spans, has a client span inside.
        return parent.role == "server_proxy" and (parent.side, node.side) == ("server", "client")
    return parent.role == "server_proxy" or node.service == parent.service


def _is_caller_side(node: Node) -> bool:
    # Each Linkerd proxy has a server span too; in the caller's pod it is on the caller's side.
    if node.side == "client":
        return node.role not in ("server_proxy", "edge", "gateway")
    return node.role == "client_proxy"


def _promote_edge(members: Sequence[Node]) -> None:
    """
    Find the plain Envoy that lets requests into the mesh: it has no `router~` in its name.

    It is the outermost proxy, and what is below it belongs to other services.
    """
    inside: set[int] = set()
    for node in members:
        parent = node.parent
        is_below = parent is not None and not parent.is_gateway
        # Below a proxy or a server we are in the mesh already.
        if parent is not None and is_below and (id(parent) in inside or _opens_mesh(parent)):
            inside.add(id(node))
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
        hop.is_mirrored = any(node.is_mirrored for node in hop.nodes) or (
            hop.parent is not None and hop.parent.is_mirrored
        )
        hop.is_async = any(node.is_async for node in hop.nodes) or (
            hop.parent is not None and hop.parent.is_async
        )
        _number_attempts(hop)


def _name(hop: HopDraft, known: set[str]) -> None:
    """Settle role and service of a hop from the most telling of its nodes."""
    top = hop.top
    first = hop.callee[0] if hop.callee else top
    if first.role in ("gateway", "edge"):
        hop.role, hop.service = first.role, first.service
        if first.role == "edge" and first.side == "client":
            hop.notes.append("the server side of the edge proxy is inferred from its client span")
        return
    inside = [node for node in hop.callee if not node.is_proxy and not node.is_inferred]
    served = inside or [node for node in hop.callee if not node.is_inferred]
    if served:
        hop.role, hop.service = "service", served[0].service
        return
    last = hop.nodes[-1]
    hop.service = next((n.callee for n in reversed(hop.nodes) if n.callee), "") or last.service
    hop.role = "dependency" if _is_dependency(hop, known) else "service"
    hop.is_inferred = True
    if top.is_inferred:
        hop.role, hop.notes = "service", ["the first span of this trace never arrived"]
    elif hop.role == "service":
        hop.notes.append("no span of this service arrived: drawn from its caller's client span")
    else:
        for node in hop.nodes:
            if not node.is_proxy:
                node.role = "dependency"


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
    calls: dict[tuple[str, str, str], list[HopDraft]] = {}
    for child in sorted(hop.children, key=lambda h: h.top.order()):
        if child.is_mirrored or any(n.is_mirrored for n in child.nodes) or child.top.is_gateway:
            continue
        key = (child.service, child.top.name, child.top.attributes.get("http.url", ""))
        calls.setdefault(key, []).append(child)
    for tries in calls.values():
        group = tries[:1]
        for earlier, later in zip(tries, tries[1:], strict=False):
            if _retries(earlier.top, later.top) or _is_one_call(earlier.top, later.top):
                group.append(later)
            else:
                _close_group(group)
                group = [later]
        _close_group(group)


def _retries(earlier: Node, later: Node) -> bool:
    if any(later.attributes.get(key, "0") not in ("", "0") for key in _RETRY_KEYS):
        return True
    failed = earlier.is_error or (earlier.status_code or 0) in (408, 425, 429)
    return failed and later.raw_start >= earlier.raw_end


def _is_one_call(earlier: Node, later: Node) -> bool:
    # Hedged tries overlap and none of them failed, but one client side made them all.
    parent = earlier.parent
    return parent is later.parent and parent is not None and parent.fans_out


def _close_group(group: list[HopDraft]) -> None:
    for number, hop in enumerate(group, start=1):
        hop.attempt, hop.attempts = number, len(group)
