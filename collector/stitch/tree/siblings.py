"""
Siblings that are parent and child: a proxy passed on the context it got instead of its own.

The callee's span then names the same parent as the caller's proxy span. Who called whom still
shows: the client side names its callee, and holds the callee's time.

Source: envoyproxy/envoy#47515 (a `b3` header that is read and not rewritten), istio/istio#27104,
linkerd/linkerd2-proxy#2408, a mesh with one tracer reading W3C and the next one B3.
"""

from collections.abc import Sequence
from functools import lru_cache

from collector.stitch.tree.nodes import Node

# How many calls to the same service are compared with one callee.
_MAX_CANDIDATES = 32
_MAX_CHAIN = 256
# Proxies of one machine stamp in their own order; half a millisecond is no contradiction.
_TOLERANCE_NS = 500_000
# A proxy's span in these roles names whom it called.
_CALLING = ("client_proxy", "edge")


def adopt_siblings(members: Sequence[Node]) -> None:
    """Move each callee side, and each call it made, under the sibling that it belongs to."""
    for node in members:
        if len(node.children) > 1:
            _adopt_callees(node)
            _adopt_calls(node)
            # Once at the end: taking them out one by one would be quadratic.
            node.children = [child for child in node.children if child.parent is node]


@lru_cache(maxsize=1024)
def bare_name(service: str) -> str:
    """Return a service's name without namespace and domain, in lower case."""
    return service.partition(".")[0].partition(":")[0].lower()


def _adopt_callees(node: Node) -> None:
    calls: dict[str, list[Node]] = {}
    for child in node.children:
        if child.role in _CALLING and child.callee:
            calls.setdefault(bare_name(child.callee), []).append(child)
    if not calls:
        return
    for child in node.children:
        if child.side != "server" or child.role in _CALLING or child.is_gateway:
            continue
        candidates = calls.get(bare_name(child.service), [])[-_MAX_CANDIDATES:]
        _move(child, [call for call in candidates if not _has_callee(call)])


def _adopt_calls(node: Node) -> None:
    servers: dict[str, list[Node]] = {}
    for child in node.children:
        if child.side == "server" and child.role != "client_proxy" and not child.is_gateway:
            servers.setdefault(bare_name(child.service), []).append(child)
    servers.pop(bare_name(node.service), None)
    if not servers:
        return
    for child in node.children:
        if child.side == "client" and child.parent is node:
            candidates = servers.get(bare_name(child.service), [])[-_MAX_CANDIDATES:]
            _move(child, [s for s in candidates if not _is_below(s, child, node)])


def _is_below(step: Node, above: Node, end: Node) -> bool:
    """Tell whether *step* hangs below *above*; a chain too long to follow counts as if it did."""
    for _ in range(_MAX_CHAIN):
        if step is above:
            return True
        if step is end or step.parent is None:
            return False
        step = step.parent
    return True


def _has_callee(call: Node) -> bool:
    return any(child.side == "server" for child in call.children)


def _move(child: Node, candidates: Sequence[Node]) -> None:
    around = [
        candidate
        for candidate in candidates
        if candidate is not child
        and candidate.raw_start - _TOLERANCE_NS <= child.raw_start
        and child.raw_end <= candidate.raw_end + _TOLERANCE_NS
    ]
    if not around:
        return
    nearest = min(around, key=lambda c: (c.raw_end - c.raw_start, c.order()))
    child.parent = nearest
    nearest.children.append(child)
    child.flag("sibling")
