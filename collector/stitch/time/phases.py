"""
The request's total time cut into phases that sum to it exactly.

Only durations are used, never a difference between two clocks, unless their offset is known: then a
gateway's call is cut into out and back. Inside the mesh the phases are the sections of the critical
path, at a gateway the parts that its record reports (`gateway_parts`). What nobody claims is
`unexplained`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from collector.stitch.time.critical_path import is_waited_for
from collector.stitch.time.gateway_parts import Part, gateway_parts
from collector.stitch.timeline import Direction, Phase
from collector.stitch.tree.hops import HopDraft, is_call_of_lost_service
from collector.stitch.tree.nodes import Node
from collector.stitch.tree.own_replies import own_reply

PHASES = (
    "client",
    "gateway",
    "cache",
    "network",
    "edge_proxy",
    "mesh_proxy",
    "app",
    "dependency",
    "unexplained",
)
PROXY_PHASES = ("edge_proxy", "mesh_proxy")


@dataclass(slots=True)
class Split:
    """The phases, and the sentences about parts that cannot all be true."""

    phases: list[Phase] = field(default_factory=list)
    contradictions: list[tuple[Node, str]] = field(default_factory=list)


def split_into_phases(
    root: Node, hops: Sequence[HopDraft], sections: Sequence[tuple[Node, int, int]]
) -> Split:
    """
    Return the phases in their fixed order; they sum to the root's time.

    One of zero length is there if some of the time may be its, up to its upper bound.
    """
    split = Split()
    parts: list[Part] = []
    own: dict[Node, int] = {}
    for node in dict.fromkeys(node for node, _, _ in sections):
        hop, value = hops[node.hop], node.critical_time
        gateway = hop.record_node if node.role == "gateway" else None
        if gateway is not None:
            # Spans of the gateway itself are inside of what its record reports.
            own[gateway] = own.get(gateway, 0) + value
        else:
            name, source = phase_of(node, hop)
            parts.append(Part(name, value, value, value, source))
    for node, value in own.items():
        found, contradiction = gateway_parts(node, value, is_outermost=node is root)
        parts += found
        if contradiction:
            split.contradictions.append((node, contradiction))
    split.phases = _summed(parts, root)
    return split


def phase_of(node: Node, hop: HopDraft) -> tuple[str, str]:
    """Return which phase a node's own time on the critical path is, and of which spans it is."""
    if node.is_inferred:
        return "unexplained", "time of a span that never arrived"
    if node.role == "gateway":
        return "gateway", "gateway spans"
    if node.role == "edge":
        return "edge_proxy", f"edge proxy {node.kind.lower()} span without the call below it"
    if node.role == "waypoint":
        return "mesh_proxy", "waypoint spans"
    if node.role == "server_proxy":
        return _phase_of_server_proxy(node, hop)
    if node.side == "client" or node.role in ("client_proxy", "dependency"):
        return _phase_of_client_side(node, hop)
    return "app", "application spans"


def _phase_of_server_proxy(node: Node, hop: HopDraft) -> tuple[str, str]:
    has_application = any(not other.is_proxy for other in hop.callee)
    calls_inward = any(child.role == "server_proxy" for child in node.children)
    if has_application or calls_inward or _was_answered_by_proxy(node):
        return "mesh_proxy", "server proxy spans without the application's"
    return "app", "server proxy spans without outbound calls: the application has no spans"


def _phase_of_client_side(node: Node, hop: HopDraft) -> tuple[str, str]:
    below = [child for child in node.children if is_waited_for(child) and child.hop == node.hop]
    below = below or [child for child in node.children if is_waited_for(child)]
    if not below:
        if node.is_proxy and _was_answered_by_proxy(node):
            return "mesh_proxy", "client proxy spans that reached nobody"
        return "dependency", "client spans without a callee's spans (call and network)"
    if not node.is_proxy:
        if all(is_call_of_lost_service(child) for child in below):
            return "unexplained", "a service whose own span never arrived, beside its calls"
        if any(child.is_proxy and child.role == "client_proxy" for child in below):
            return "app", "application client spans without their sidecar's"
        return "network", "application client spans without the callee's server spans"
    if node.parent is not None and node.parent.role == "edge":
        return "network", "edge proxy client spans without the callee's server spans"
    return "mesh_proxy", "client proxy spans without the callee's (proxies and network)"


def _was_answered_by_proxy(node: Node) -> bool:
    reply = own_reply(node)
    return reply is not None and reply.class_ != "client_abort"


def _directions(part: Part) -> Iterator[Direction]:
    """Cut a call's part into out and back, if what is known says more than that they sum to it."""
    if part.out is None:
        return
    least, most = (min(max(bound, 0), part.value) for bound in part.out)
    if least > most or (least, most) == (0, part.value):
        return
    out = (least + most) // 2
    for name, value, low, high in (
        ("out", out, least, most),
        ("back", part.value - out, part.value - most, part.value - least),
    ):
        yield Direction(name=name, duration_ns=value, lower_ns=low, upper_ns=high, source=part.way)


def _summed(parts: Sequence[Part], root: Node) -> list[Phase]:
    # Nothing is longer than the whole, which may itself be off by a step.
    step = root.record.record.resolution_ns if root.record is not None else 0
    longest = root.duration + step
    by_name: dict[str, list[Part]] = {}
    for part in parts:
        by_name.setdefault(part.name, []).append(part)
    phases = []
    for name in PHASES:
        same = by_name.get(name)
        if same is None:
            continue
        value = sum([part.value for part in same])
        if value == 0 and not any(part.is_claim for part in same):
            continue
        phases.append(
            Phase(
                name=name,
                duration_ns=value,
                lower_ns=min(value, sum([part.lower for part in same])),
                upper_ns=max(value, min(sum([part.upper for part in same]), longest)),
                source="; ".join(sorted({part.source for part in same})),
                directions=tuple([way for part in same for way in _directions(part)]),
            )
        )
    return phases
