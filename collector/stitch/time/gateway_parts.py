"""
A gateway's share of the critical path, cut by what its record measured and no further.

A value in whole milliseconds stands for the interval around it. What a record did not measure is
not the gateway's: without the backend's time the rest may be waiting for it, and where the total
holds the client's sending and receiving without saying how much, the client may have it. Such a
rest is shared: `unexplained` has its value, and each of those who may have had it an interval from
zero. Only if both bodies are small, so that the client's share is hardly more than nothing, or if
all is known from the gateway's own spans, which are read like anybody's, the value is the
gateway's, and the interval stays.

Source: TotalTime holds ClientTime, CacheTime and BackendTime;
RFC 6928 (a body of ten segments leaves in one flight).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from collector.decode.quality import (
    BODY_UPLOAD_INCLUDED,
    CLIENT_TIME_MISSING,
    SMALL_BODY_BYTES,
)
from collector.decode.records.from_spans import SOURCE
from collector.model import GatewayRecord
from collector.stitch.time.critical_path import is_waited_for
from collector.stitch.time.timeouts import has_given_up
from collector.stitch.tree.nodes import Node, walk_down
from collector.stitch.tree.own_replies import called_nobody

# What gives way first when the reported parts are longer than the whole: derived values, then
# reported ones.
_YIELDING = ("gateway", "network", "unexplained", "client", "cache")


@dataclass(slots=True)
class Part:
    """
    A slice on its way to a phase.

    `is_claim`: nothing is known to be of this phase, but up to `upper` may be.
    """

    name: str
    value: int
    lower: int
    upper: int
    source: str
    out: tuple[int, int] | None = None  # what of it, at least and at most, was before the callee
    way: str = ""  # between whom
    is_claim: bool = False


@dataclass(slots=True)
class _Backend:
    """What the gateway says of its backend, beside what the spans below it account for."""

    ns: int | None
    inside: int
    has_callee: bool
    contradiction: str = ""


def gateway_parts(node: Node, own: int, *, is_outermost: bool) -> tuple[list[Part], str]:
    """
    Cut the time *own* that a gateway has on the critical path.

    Returns:
        Parts that sum to *own*, and a sentence if they cannot all be true, else "".
    """
    assert node.record is not None
    record = node.record.record
    half = (record.resolution_ns + 1) // 2
    # What an inner gateway calls its client is the outer gateway, over the network.
    client = "client" if is_outermost else "network"
    parts = [
        Part(phase, value, max(value - half, 0), value + half, f"{record.gateway} {field_name}")
        for phase, value, field_name in (
            (client, record.client_ns, "client_ns"),
            ("cache", record.cache_ns, "cache_ns"),
        )
        if value is not None and value >= 0
    ]
    backend = _backend_of(node, half)
    known = [part.source.partition(" ")[2] for part in parts]
    known += ["backend_ns"] * (record.backend_ns is not None)
    if backend.ns is not None:
        parts += _around_callee(node, backend, half, client)
    rest = own - sum(part.value for part in parts)
    if rest < 0:
        _yield(parts, -rest)
        rest = 0
    parts += _rest(record, backend, rest, known, half, client)
    return parts, backend.contradiction


def _backend_of(node: Node, half: int) -> _Backend:
    assert node.record is not None
    record = node.record.record
    entries = _entries(node)
    inside = sum(entries.values())
    reported = record.backend_ns if (record.backend_ns or 0) >= 0 else None
    backend = _Backend(reported, inside, bool(entries))
    if reported is None and not entries and called_nobody(record):
        backend.ns = 0
    # Whole units may have been cut off instead of rounded.
    if reported is None or inside <= reported + 2 * half:
        return backend
    # A policy's own calls (send-request) are no part of the backend's time: the last call is it.
    forwarded = entries[max(entries, key=Node.order)]
    if len(entries) > 1 and forwarded <= reported + 2 * half:
        backend.inside = forwarded
    elif not has_given_up(node):
        backend.contradiction = (
            f"the backend time of {record.gateway} is shorter than what its callee measured"
        )
    return backend


def _entries(node: Node) -> dict[Node, int]:
    """Return the calls that left the gateway, with the time that each had on the path."""
    found: dict[Node, int] = {}
    stack = [child for child in node.children if is_waited_for(child)]
    while stack:
        child = stack.pop()
        if child.hop == node.hop:
            stack += [below for below in child.children if is_waited_for(below)]
        else:
            found[child] = sum(below.critical_time for below in walk_down(child))
    return found


def _around_callee(node: Node, backend: _Backend, half: int, client: str) -> list[Part]:
    """The backend's time as the gateway saw it, less what its callee accounts for."""
    assert node.record is not None
    record, value = node.record.record, backend.ns or 0
    may_be_upload = BODY_UPLOAD_INCLUDED in record.quality
    if not backend.has_callee:
        if value == 0:
            return []
        source = f"{record.gateway} backend_ns: no span of the backend is here"
        parts = [Part("unexplained", value, max(value - half, 0), value + half, source)]
    else:
        gap = max(value - backend.inside, 0)
        source = f"{record.gateway} backend_ns less the spans below it"
        name = "unexplained" if may_be_upload else "network"
        parts = [Part(name, gap, max(gap - half, 0), gap + half, source)]
        value = gap
        called = [child for child in node.children if is_waited_for(child)]
        if len(called) == 1 and called[0].ahead is not None:
            parts[0].out = _time_before(node, called[0], *called[0].ahead, backend.ns or 0)
            parts[0].way = f"{record.gateway} to {called[0].service}, by the offset of their clocks"
    if may_be_upload and value:
        source = f"{record.gateway} backend_ns holds the client's upload of the body"
        parts.append(Part(client, 0, 0, value, source, is_claim=True))
    return parts


def _rest(
    record: GatewayRecord,
    backend: _Backend,
    rest: int,
    known: Sequence[str],
    half: int,
    client: str,
) -> list[Part]:
    """What the reported parts leave: the gateway's own, or shared with whom it did not measure."""
    less = f"{record.gateway} duration_ns" + (f" less {', '.join(known)}" if known else "")
    spread = half * (len(known) + 1)
    low, high = max(rest - spread, 0), rest + spread
    others = []
    if CLIENT_TIME_MISSING in record.quality:
        others.append("its client's" if client == "client" else "its caller's")
    if backend.ns is None:
        others.append("the way to the calls below it" if backend.has_callee else "the backend's")
    reported = record.gateway_ns
    if reported is not None and (others or not low <= reported <= high):
        value = min(max(reported, 0), rest)
        source = f"{record.gateway} gateway_ns"
        parts = [Part("gateway", value, max(value - half, 0), value + half, source)]
        if rest > value:
            parts.append(Part("unexplained", rest - value, 0, rest - value, f"{less}, gateway_ns"))
        return parts
    if not others:
        return [Part("gateway", rest, low, high, less)]
    source = f"{less}: the gateway's or {' or '.join(others)}"
    is_gateways = backend.ns is not None and _keeps_no_client_busy(record)
    parts = [Part("gateway" if is_gateways else "unexplained", rest, 0, rest, source)]
    for name in {"gateway": "gateway", "client": client}.values():
        is_possible = name == "gateway" or CLIENT_TIME_MISSING in record.quality
        if is_possible and name != parts[0].name and rest:
            parts.append(Part(name, 0, 0, rest, source, is_claim=True))
    return parts


def _keeps_no_client_busy(record: GatewayRecord) -> bool:
    """Tell whether the client's share is hardly anything; spans are read as their own time."""
    if record.source == SOURCE:
        return True
    sizes = (record.request_bytes, record.response_bytes)
    return all(size is not None and size <= SMALL_BODY_BYTES for size in sizes)


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


def _yield(parts: Sequence[Part], excess: int) -> None:
    """Take *excess* from the parts, down to their lower bounds first."""
    ordered = sorted(parts, key=lambda part: _YIELDING.index(part.name))
    for to_lower_bound in (True, False):
        for part in ordered:
            floor = min(part.lower, part.value) if to_lower_bound else 0
            taken = min(excess, part.value - floor)
            part.value -= taken
            excess -= taken
