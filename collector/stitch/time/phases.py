"""
The request's total time cut into phases that sum to it exactly.

Only durations are used, never a difference between two clocks, unless their offset is known: then a
gateway's call is cut into out and back. Inside the mesh the phases are the sections of the critical
path, at a gateway the parts that its record reports. A value in whole milliseconds stands
for the interval around it; the intervals are carried along. What nobody claims is `unexplained`.

Source: algorithms.md 4.3; formats.md 1a (TotalTime holds ClientTime, CacheTime and BackendTime) and
8.1 (what a client span minus the callee's server span is).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from collector.model import GatewayRecord
from collector.stitch.time.critical_path import is_waited_for
from collector.stitch.time.timeouts import has_given_up
from collector.stitch.timeline import Direction, Phase
from collector.stitch.tree.hops import HopDraft
from collector.stitch.tree.nodes import Node, walk_down
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
# What gives way first when the reported parts are longer than the whole: derived values, then
# reported ones.
_YIELDING = ("gateway", "network", "unexplained", "client", "cache")


@dataclass(slots=True)
class Part:
    """A slice on its way to a phase."""

    name: str
    value: int
    lower: int
    upper: int
    source: str
    out: tuple[int, int] | None = None  # what of it, at least and at most, was before the callee
    way: str = ""  # between whom


@dataclass(slots=True)
class Split:
    """The phases, and the sentences about parts that cannot all be true."""

    phases: list[Phase] = field(default_factory=list)
    contradictions: list[tuple[Node, str]] = field(default_factory=list)


def split_into_phases(
    root: Node, hops: Sequence[HopDraft], sections: Sequence[tuple[Node, int, int]]
) -> Split:
    """Return the phases in their fixed order, without empty ones; they sum to the root's time."""
    split = Split()
    parts: list[Part] = []
    own: dict[int, int] = {}
    gateways: dict[int, Node] = {}
    for node, low, high in sections:
        gateway = hops[node.hop].record_node if node.role == "gateway" else None
        if gateway is not None:
            # Spans of the gateway itself are inside of what its record reports.
            own[id(gateway)] = own.get(id(gateway), 0) + high - low
            gateways[id(gateway)] = gateway
        else:
            parts.append(_mesh_part(node, hops[node.hop], high - low))
    for key, node in gateways.items():
        parts += _gateway_parts(node, own[key], split, is_outermost=node is root)
    split.phases = _summed(parts)
    return split


def _mesh_part(node: Node, hop: HopDraft, value: int) -> Part:
    name, source = phase_of(node, hop)
    return Part(name, value, value, value, source)


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
        if any(child.is_proxy and child.role == "client_proxy" for child in below):
            return "app", "application client spans without their sidecar's"
        return "network", "application client spans without the callee's server spans"
    if node.parent is not None and node.parent.role == "edge":
        return "network", "edge proxy client spans without the callee's server spans"
    return "mesh_proxy", "client proxy spans without the callee's (proxies and network)"


def _was_answered_by_proxy(node: Node) -> bool:
    reply = own_reply(node)
    return reply is not None and reply.class_ != "client_abort"


def _gateway_parts(node: Node, own: int, split: Split, *, is_outermost: bool) -> list[Part]:
    """Cut a gateway's own share of the critical path by what its record reports."""
    assert node.record is not None
    record = node.record.record
    name, half = record.gateway, (record.resolution_ns + 1) // 2
    # What an inner gateway calls its client is the outer gateway, over the network.
    parts = [
        Part(phase, value, max(value - half, 0), value + half, f"{name} {field_name}")
        for phase, value, field_name in (
            ("client" if is_outermost else "network", record.client_ns, "client_ns"),
            ("cache", record.cache_ns, "cache_ns"),
        )
        if value is not None and value >= 0
    ]
    backend = record.backend_ns if (record.backend_ns or 0) >= 0 else None
    has_callee = any(is_waited_for(child) for child in node.children)
    is_known = backend is not None or not (
        has_callee or record.backend_host or record.backend_status
    )
    parts += _gateway_itself(record, parts, backend, half, is_known=is_known)
    if backend is not None:
        below = walk_down(node)[1:]
        inside = sum(n.critical_time for n in below if n.hop != node.hop)
        parts += _around_callee(node, backend, inside, half, split, has_callee=has_callee)
    return _fit(parts, own, f"{name} duration_ns less all reported parts")


def _gateway_itself(
    record: GatewayRecord, parts: Sequence[Part], backend: int | None, half: int, *, is_known: bool
) -> list[Part]:
    """
    The gateway's own work: the rest of its total, if that agrees with what it reports.

    *is_known*: the backend's share is known, so that the rest is the gateway's alone.
    """
    rest = (record.duration_ns or 0) - sum(part.value for part in parts) - (backend or 0)
    spread = half * (len(parts) + 1 + (backend is not None))
    low, high = max(rest - spread, 0), max(rest + spread, 0)
    reported = record.gateway_ns
    if reported is not None and (not is_known or not low <= reported <= high):
        source = f"{record.gateway} gateway_ns"
        value = max(reported, 0)
        return [Part("gateway", value, max(value - half, 0), value + half, source)]
    if not is_known:
        return []
    known = _names_of(parts, backend)
    source = f"{record.gateway} duration_ns" + (f" less {known}" if known else "")
    return [Part("gateway", max(rest, 0), low, high, source)]


def _names_of(parts: Sequence[Part], backend: int | None) -> str:
    names = [part.source.partition(" ")[2] for part in parts]
    return ", ".join(names + ["backend_ns"] * (backend is not None))


def _around_callee(
    node: Node, backend: int, inside: int, half: int, split: Split, *, has_callee: bool
) -> list[Part]:
    """The backend's time as the gateway saw it, less what its callee accounts for."""
    assert node.record is not None
    name = node.record.record.gateway
    if not has_callee:
        if backend == 0:
            return []
        source = f"{name} backend_ns: no span of the backend is here"
        return [Part("unexplained", backend, max(backend - half, 0), backend + half, source)]
    gap = backend - inside
    # Whole units may have been cut off instead of rounded.
    if gap + 2 * half < 0 and not has_given_up(node):
        split.contradictions.append(
            (node, f"the backend time of {name} is shorter than what its callee measured")
        )
    source = f"{name} backend_ns less the spans below it"
    part = Part("network", max(gap, 0), max(gap - half, 0), max(gap + half, 0), source)
    called = [child for child in node.children if is_waited_for(child)]
    if len(called) == 1 and called[0].ahead is not None:
        part.out = _time_before(node, called[0], *called[0].ahead, backend)
        part.way = f"{name} to {called[0].service}, by the offset of their clocks"
    return [part]


def _time_before(
    gateway: Node, callee: Node, least_ahead: int, most_ahead: int, backend: int
) -> tuple[int, int]:
    """
    Return how long a call was on its way to its callee, at least and at most.

    When the gateway sent it is not reported: all of its own time may have been before, or none.
    """
    assert gateway.record is not None
    record = gateway.record.record
    slack = record.resolution_ns  # start and the difference of two durations are off by one step
    before = max((record.duration_ns or 0) - backend, 0) + slack
    since_start = callee.raw_start - gateway.raw_start
    return since_start - most_ahead - slack - before, since_start - least_ahead + slack


def _fit(parts: list[Part], total: int, rest_source: str) -> list[Part]:
    """Make the parts sum to *total*: the rest is unexplained, an excess is taken from the parts."""
    excess = sum(part.value for part in parts) - total
    if excess < 0:
        parts.append(Part("unexplained", -excess, 0, -excess, rest_source))
        return parts
    ordered = sorted(parts, key=lambda part: _YIELDING.index(part.name))
    for to_lower_bound in (True, False):
        for part in ordered:
            floor = min(part.lower, part.value) if to_lower_bound else 0
            taken = min(excess, part.value - floor)
            part.value -= taken
            excess -= taken
    return parts


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


def _summed(parts: Sequence[Part]) -> list[Phase]:
    by_name: dict[str, list[Part]] = {}
    for part in parts:
        by_name.setdefault(part.name, []).append(part)
    phases = []
    for name in PHASES:
        same = by_name.get(name, [])
        value = sum(part.value for part in same)
        if value == 0:
            continue
        phases.append(
            Phase(
                name=name,
                duration_ns=value,
                lower_ns=min(value, sum(part.lower for part in same)),
                upper_ns=max(value, sum(part.upper for part in same)),
                source="; ".join(sorted({part.source for part in same})),
                directions=tuple(way for part in same for way in _directions(part)),
            )
        )
    return phases
