"""
Where each node lies on the timeline's clock.

A call bounds the offset between two hosts: the callee cannot have started before the caller sent,
nor ended after the caller had the answer. A host is moved only when every offset within the bounds
is different from zero; it is then moved to their middle, and the half-width is published. Raw times
stay. Spans of one pod share a clock, and so do all spans of one host in one request.

Source: jaegertracing/jaeger#1459 (what a guess does).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from collector.decode.quality import SECOND_GRANULARITY
from collector.stitch.time.agreement import widest_agreement
from collector.stitch.time.critical_path import is_waited_for
from collector.stitch.time.timeouts import has_given_up, is_abandoned
from collector.stitch.tree.nodes import Node
from collector.timestamps import NS_PER_S

FITTED = "fitted into the gateway's time, within the rounding of its record"
# Envoy ends its Zipkin spans when it has sent the last byte on, some 0.15 ms before it is done.
PROXY_END_NS = 250_000
# Lines of access logs have whole milliseconds as a rule, cut off and not rounded.
_LOG_STEP_NS = 1_000_000
_UNBOUNDED = -(1 << 62)
# A client that ends at the headers is this much shorter than its server, as a rule.
_LITTLE_NS = 10_000_000
_LITTLE_SHARE = 4
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


@dataclass(frozen=True, slots=True)
class CallBounds:
    """
    How far a callee's clock can be ahead of its caller's, at least and at most.

    `is_loose`: the call shows that the callee began while its caller waited, and no more. It ended
    at its headers, say, and the callee went on sending.
    """

    lower_ns: int
    upper_ns: int
    is_loose: bool = False


@dataclass(slots=True)
class _Bounds:
    """What all calls between two clocks of one request show."""

    calls: list[CallBounds] = field(default_factory=list)
    lower: int = 0
    upper: int = 0
    is_known: bool = False
    is_loose: bool = False
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


def call_bounds(caller: Node, callee: Node) -> CallBounds | None:
    """
    Return how far the callee's clock can be ahead of the caller's.

    A caller that gave up bounds the start only: its callee may end any time later. So does one that
    was much shorter than its callee, for whatever reason. `None` when the pair says nothing:
    asynchronous, copied, or longer than the gateway's record.
    """
    if callee.is_async or caller.kind == "Producer" or callee.is_mirrored or callee.is_orphan:
        return None
    if has_given_up(caller) or is_abandoned(callee) or callee.is_background:
        slack = 0 if caller.record is None else record_slack_ns(_resolution(caller))
        return CallBounds(_UNBOUNDED, callee.raw_start - caller.raw_start + slack)
    before = after = 0
    if caller.record is not None:
        before = after = record_slack_ns(_resolution(caller))
    elif caller.is_proxy:
        before = PROXY_END_NS
    if "access_log" in callee.flags or "access_log" in caller.flags:
        before, after = before + record_slack_ns(_LOG_STEP_NS), after + _LOG_STEP_NS
    found = bounds_of_times(
        (caller.raw_start, caller.raw_end), (callee.raw_start, callee.raw_end), before, after
    )
    return None if found.is_loose and caller.record is not None else found


def bounds_of_times(
    caller: tuple[int, int], callee: tuple[int, int], before_ns: int = 0, after_ns: int = 0
) -> CallBounds:
    """
    Return the bounds that the (start, end) of a call's two ends give.

    The caller's end may be *before_ns* too early, its start *after_ns* too late. A callee that is a
    little longer than its caller was still called by it, so that it began in the caller's time; of
    one that is much longer only the beginning is cause and effect.
    """
    upper = callee[0] - caller[0] + after_ns
    lower = callee[1] - caller[1] - before_ns
    if lower <= upper:
        return CallBounds(lower, upper)
    longest = max(_LITTLE_NS, (caller[1] - caller[0]) // _LITTLE_SHARE)
    if lower - upper <= longest:
        return CallBounds(min(callee[0] - caller[1] - before_ns, upper), upper, is_loose=True)
    return CallBounds(_UNBOUNDED, upper, is_loose=True)


def _resolution(node: Node) -> int:
    assert node.record is not None
    return node.record.record.resolution_ns


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
    elif found.is_loose:
        # Most callees begin as soon as they are called.
        offset, half_width = upper, upper - lower
    else:
        offset = (lower + upper) // 2
        half_width = (upper - lower + 1) // 2
    if lower <= _coarse_ns(parent) and upper >= -_coarse_ns(node) and not found.is_learned:
        return parent.shift - offset, half_width, FITTED
    source = "learned over many requests" if found.is_learned else "from this request"
    side = "ahead of" if offset > 0 else "behind"
    apart = f"{abs(offset) / 1e6:.3f} ms {side} {_name(parent)}"
    reason = f"the clock of {_name(node)} is {apart}, {source}"
    return parent.shift - offset, half_width, reason


def _coarse_ns(node: Node) -> int:
    """Return by how much a gateway's record may have cut off its time, 0 for any other node."""
    is_coarse = node.record is not None and SECOND_GRANULARITY in node.record.record.quality
    return NS_PER_S if is_coarse else 0


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
    gateways = set()
    for node in members:
        parent = node.parent
        if parent is None or _share_clock(parent, node):
            by_node.append(None)
            continue
        key = (_clock(parent), _clock(node))
        if parent.is_gateway:
            gateways.add(key[0])
        held = found.get(key)
        if held is None:
            held = found[key] = _Bounds()
        by_node.append(held)
        call = call_bounds(parent, node)
        if call is not None:
            held.calls.append(call)
    for (first, second), bounds in found.items():
        _settle(bounds)
        learned = offsets.get(first, second) if offsets.by_pair else None
        if learned is not None:
            _take_learned(bounds, learned)
    for gateway in gateways:
        _agree_on_one([bounds for key, bounds in found.items() if key[0] == gateway])
    return by_node


def _agree_on_one(callees: Sequence[_Bounds]) -> None:
    """
    Take one offset for all that a gateway called, where one is enough and none is not.

    The hosts of a mesh are kept in step more often than a gateway is with them; each moved by
    itself, calls in turn would be drawn side by side.
    """
    fixed = [one for one in callees if one.is_known and not (one.is_loose or one.is_learned)]
    lower = max((one.lower for one in fixed), default=0)
    upper = min((one.upper for one in fixed), default=0)
    if len(fixed) > 1 and (0 < lower <= upper or lower <= upper < 0):
        for one in fixed:
            one.lower, one.upper = lower, upper


def _settle(bounds: _Bounds) -> None:
    """Find the stretch that the calls between two clocks agree on."""
    exact = [call for call in bounds.calls if not call.is_loose]
    bounds.is_loose = not exact
    agreed = _agreed(exact or bounds.calls)
    if agreed is None:
        return
    lower, upper = agreed
    for call in bounds.calls if exact else ():
        if call.is_loose and max(lower, call.lower_ns) <= min(upper, call.upper_ns):
            lower, upper = max(lower, call.lower_ns), min(upper, call.upper_ns)
    bounds.lower, bounds.upper, bounds.is_known = lower, upper, True


def _agreed(calls: Sequence[CallBounds]) -> tuple[int, int] | None:
    """Return what all calls allow, else what most do: a call with a wrong parent is outvoted."""
    if not calls:
        return None
    if len(calls) == 1:
        return calls[0].lower_ns, calls[0].upper_ns
    lower = max(call.lower_ns for call in calls)
    upper = min(call.upper_ns for call in calls)
    if lower <= upper:
        return lower, upper
    low, high, votes = widest_agreement([(call.lower_ns, call.upper_ns) for call in calls])
    return (low, high) if votes * 2 > len(calls) else None


def _take_learned(bounds: _Bounds, learned: Offset) -> None:
    """Bring in what other requests taught, unless this one contradicts it."""
    lower, upper = learned.lower_ns, learned.upper_ns
    if bounds.is_known:
        narrowed = max(bounds.lower, lower), min(bounds.upper, upper)
        if narrowed[0] <= narrowed[1]:
            lower, upper = narrowed
        elif not bounds.is_loose:
            return
    bounds.lower, bounds.upper = lower, upper
    bounds.is_known, bounds.is_loose, bounds.is_learned = True, False, True


def _share_clock(parent: Node, node: Node) -> bool:
    if parent.is_gateway or node.is_gateway or node.is_orphan:
        # A log may have cut its times to the second: its spans have not, nor has the next gateway.
        is_exact = not _coarse_ns(parent) and not _coarse_ns(node)
        return node.is_orphan or (node.role == parent.role == "gateway" and is_exact)
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
