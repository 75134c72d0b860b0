"""
Where each node lies on the timeline's clock.

A call bounds the offset between two hosts: the callee cannot have started before the caller sent,
nor ended after the caller had the answer. A host is moved only when every offset within the bounds
is different from zero; it is then moved to their middle, and the half-width is published. Raw times
stay. Spans of one pod share a clock, and so do all spans of one host in one request.

Source: algorithms.md 3b ("Better") and 4.7; jaegertracing/jaeger#1459 (what a guess does).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from collector.stitch.time.critical_path import is_waited_for
from collector.stitch.time.timeouts import has_given_up, is_abandoned
from collector.stitch.tree.nodes import Node

FITTED = "fitted into the gateway's time, within the rounding of its record"
# Envoy ends its Zipkin spans when it has sent the last byte on, some 0.15 ms before it is done.
PROXY_END_NS = 250_000
# Lines of access logs have whole milliseconds as a rule, cut off and not rounded.
_LOG_STEP_NS = 1_000_000
_UNBOUNDED = -(1 << 62)
_PLAUSIBLE_LEAD_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Offset:
    """How far the second host's clock is ahead of the first's: `offset_ns` ± `bound_ns`."""

    offset_ns: int
    bound_ns: int

    @property
    def lower_ns(self) -> int:
        return self.offset_ns - self.bound_ns

    @property
    def upper_ns(self) -> int:
        return self.offset_ns + self.bound_ns


@dataclass(frozen=True, slots=True)
class ClockOffsets:
    """Offsets learned over many requests, by (caller's host, callee's host)."""

    by_pair: Mapping[tuple[str, str], Offset] = field(default_factory=dict)

    def get(self, first: str, second: str) -> Offset | None:
        """Return the offset of *second* ahead of *first*, whichever way round it was learned."""
        known = self.by_pair.get((first, second))
        if known is not None:
            return known
        reverse = self.by_pair.get((second, first))
        return Offset(-reverse.offset_ns, reverse.bound_ns) if reverse is not None else None


NO_OFFSETS = ClockOffsets()


@dataclass(slots=True)
class _Bounds:
    lower: int = 0
    upper: int = 0
    is_known: bool = False
    is_learned: bool = False


def stretch_unmeasured(members: Sequence[Node]) -> None:
    """
    Give a record without a duration the time of what it called, or it would hide all below.

    It is flagged: what is shown is no measurement of the gateway, and without calls nothing is.
    """
    for node in reversed(members):
        if node.record is None or node.record.record.duration_ns is not None:
            continue
        node.flag("unmeasured")
        for child in node.children:
            if is_waited_for(child):
                lead = child.raw_start - node.raw_start
                # Two clocks that are far apart say nothing of what went before the call.
                lead = lead if 0 <= lead <= _PLAUSIBLE_LEAD_NS else 0
                end = node.raw_start + lead + child.raw_end - child.raw_start
                node.raw_end = max(node.raw_end, end)


def place(members: Sequence[Node], offsets: ClockOffsets = NO_OFFSETS) -> None:
    """
    Set `start`, `end` and `shift` of every node; *members* has each parent before its children.

    The root stays where it is.
    """
    _inherit_hosts(members)
    all_bounds = _collect_bounds(members, offsets)
    host_shifts: dict[str, tuple[int, int, str]] = {}
    for node, bounds in zip(members, all_bounds, strict=True):
        parent = node.parent
        if bounds is not None and bounds.is_learned:
            node.ahead = (bounds.lower, bounds.upper)
        if parent is None:
            shift, bound, reason = 0, 0, ""
        elif bounds is None:
            shift, bound, reason = parent.shift, parent.bound, parent.shift_reason
        else:
            shift, bound, reason = _shift_of(node, parent, bounds, host_shifts)
        host = node.host
        if host and host not in host_shifts and not node.is_gateway:
            host_shifts[host] = (shift, bound, reason)
        node.shift, node.bound, node.shift_reason = shift, bound, reason
        node.start = node.raw_start + shift
        node.end = node.raw_end + shift


def call_bounds(caller: Node, callee: Node) -> tuple[int, int] | None:
    """
    Return how far the callee's clock can be ahead of the caller's: lower and upper bound.

    A caller that gave up bounds the start only: its callee may end any time later. `None` when the
    pair says nothing: asynchronous, copied, or longer than its caller for no known reason.
    """
    if callee.is_async or caller.kind == "Producer" or callee.is_mirrored or callee.is_orphan:
        return None
    lower, upper = callee.raw_end - caller.raw_end, callee.raw_start - caller.raw_start
    if caller.record is not None:
        slack = record_slack_ns(caller.record.record.resolution_ns)
        lower, upper = lower - slack, upper + slack
    elif caller.is_proxy:
        lower -= PROXY_END_NS
    if "access_log" in callee.flags or "access_log" in caller.flags:
        lower, upper = lower - record_slack_ns(_LOG_STEP_NS), upper + _LOG_STEP_NS
    if has_given_up(caller) or is_abandoned(callee):
        return (_UNBOUNDED, upper)
    return (lower, upper) if lower <= upper else None


def record_slack_ns(resolution_ns: int) -> int:
    """
    Return how far a record's start or end can be off.

    Start and duration are rounded or cut to whole steps: the end is off by two at most.
    """
    return 2 * resolution_ns


def _inherit_hosts(members: Sequence[Node]) -> None:
    """Let a span that does not say where it ran have run where its own service called it."""
    for node in members:
        parent = node.parent
        if node.host or parent is None or parent.is_gateway or node.is_gateway or node.is_orphan:
            continue
        if parent.service == node.service and _share_clock(parent, node):
            node.host = parent.host


def _shift_of(
    node: Node, parent: Node, found: _Bounds, host_shifts: Mapping[str, tuple[int, int, str]]
) -> tuple[int, int, str]:
    known = host_shifts.get(node.host)
    if known is not None:
        return known
    if not found.is_known:
        return _moved_to_start(node, parent) if parent.is_gateway else _inherited(parent)
    lower, upper = found.lower, found.upper
    if lower <= 0 <= upper:
        return _fitted(node, parent) if parent.is_gateway else _inherited(parent)
    if lower == _UNBOUNDED:
        # With one bound only, the smallest step that keeps cause before effect.
        offset, half_width = upper, 0
    else:
        offset = (lower + upper) // 2
        half_width = (upper - lower + 1) // 2
    source = "learned over many requests" if found.is_learned else "from this request"
    reason = f"the clock of {_name(node)} is ahead of {_name(parent)} by {offset} ns, {source}"
    return parent.shift - offset, half_width, reason


def _inherited(parent: Node) -> tuple[int, int, str]:
    return parent.shift, parent.bound, parent.shift_reason


def _fitted(node: Node, gateway: Node) -> tuple[int, int, str]:
    """
    Place what agrees with its gateway's clock, give or take the rounding of the gateway's times.

    It stays, or moves by less than that rounding to lie inside: its time would be cut off else.
    """
    shift = gateway.shift
    if node.raw_end + shift > gateway.end and not has_given_up(gateway):
        shift = gateway.end - node.raw_end
    shift = max(shift, gateway.start - node.raw_start)
    if shift == gateway.shift:
        return _inherited(gateway)
    return shift, 0, FITTED


def _moved_to_start(node: Node, gateway: Node) -> tuple[int, int, str]:
    """
    Place what outlasted its gateway: only its start is bounded.

    This is work that went on after the gateway gave up.
    """
    if node.is_gateway or gateway.raw_start <= node.raw_start <= gateway.raw_end:
        return gateway.shift, 0, ""
    shift = gateway.start - node.raw_start
    reason = f"it started outside of {gateway.service}'s record, whose clock is the timeline's"
    return shift, (gateway.raw_end - gateway.raw_start + 1) // 2, reason


def _collect_bounds(members: Sequence[Node], offsets: ClockOffsets) -> list[_Bounds | None]:
    """Return for each node what bounds its clock against its parent's, `None` if it is the same."""
    found: dict[tuple[str, str], _Bounds] = {}
    by_node: list[_Bounds | None] = []
    for node in members:
        parent = node.parent
        if parent is None or _share_clock(parent, node):
            by_node.append(None)
            continue
        key = (_clock(parent), _clock(node))
        held = found.get(key)
        if held is None:
            held = found[key] = _Bounds()
        by_node.append(held)
        pair = call_bounds(parent, node)
        if pair is not None:
            _narrow(held, *pair)
    for (first, second), bounds in found.items():
        learned = offsets.get(first, second) if bounds.is_known and offsets.by_pair else None
        if learned is not None:
            bounds.is_learned = _narrow(bounds, learned.lower_ns, learned.upper_ns)
    return by_node


def _narrow(bounds: _Bounds, lower: int, upper: int) -> bool:
    """Bring one more call's bounds in, unless they contradict what is known."""
    if bounds.is_known:
        lower, upper = max(bounds.lower, lower), min(bounds.upper, upper)
        if lower > upper:
            return False
    bounds.lower, bounds.upper, bounds.is_known = lower, upper, True
    return True


def _share_clock(parent: Node, node: Node) -> bool:
    if parent.is_gateway or node.is_gateway or node.is_orphan:
        return node.is_orphan or node.role == parent.role == "gateway"
    if parent.host and parent.host == node.host:
        return True
    if parent.service and parent.service == node.service and not _is_between_pods(parent, node):
        return True
    if parent.is_proxy and node.is_proxy and parent.side == "server" and node.side == "client":
        # Envoy's Zipkin tracer tags only the first of the two with the node.
        return parent.service == node.service
    # A sidecar and its application run in one pod, even if only one of them says which.
    return parent.hop == node.hop and (parent.role == "server_proxy" or parent.side != "client")


def _is_between_pods(caller: Node, callee: Node) -> bool:
    """Tell whether one pod of a service surely called another one of the same service."""
    are_known = bool(caller.host and callee.host and caller.host != callee.host)
    return are_known and caller.side == "client" and callee.side == "server"


def _clock(node: Node) -> str:
    if node.is_gateway or node.host:
        return node.host
    return f"?{node.service}"


def _name(node: Node) -> str:
    return node.service or node.host or "the caller"
