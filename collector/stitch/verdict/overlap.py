"""
Which layer acted, where gateway and mesh can do the same thing, and what happens if both do.

Retries, timeouts, rate limits, authorization, circuit breakers, traffic splits, copies and injected
faults exist at the gateway and in the mesh. A stitched request shows who used them.

Source: Envoy retry, timeout, rate limit, RBAC and fault filters (tags, flags and details), Azure
API Management policies (retry, rate-limit, validate-jwt, backend), Istio canonical revisions.
"""

from collections.abc import Iterator, Sequence

from collector.stitch.time.timeouts import (
    has_given_up,
    is_abandoned,
    slowest_callee,
    waited_time,
)
from collector.stitch.timeline import Finding, PolicyAction, Verdict
from collector.stitch.tree.hops import HopDraft
from collector.stitch.tree.nodes import Node
from collector.stitch.tree.own_replies import own_reply

_FEATURES = {
    "rate_limit": "rate_limit",
    "authorization": "authorization",
    "authentication": "authorization",
    "overload": "circuit_breaker",
    "unhealthy": "circuit_breaker",
    "timeout": "timeout",
    "fault_injection": "fault_injection",
}
_REVISION = "istio.canonical_revision"
_NO_REVISION = ("", "latest", "unknown", "default")


def find_policy_actions(
    members: Sequence[Node], hops: Sequence[HopDraft], verdict: Verdict
) -> list[PolicyAction]:
    """Return what each layer did to the request, in order of feature and layer."""
    found = [*_refusals(members), *_retries(members, hops), *_copies_and_splits(members, hops)]
    root = members[0]
    if root.is_gateway and verdict.layer == "gateway" and verdict.class_ in _FEATURES:
        found.append(_act(_FEATURES[verdict.class_], "gateway", root, verdict.reason))
    for node in members:
        if node.record is not None and node.record.record.cache == "hit":
            found.append(_act("cache", "gateway", node, "answered from the gateway's cache"))
    unique = {(act.feature, act.layer, act.component, act.detail): act for act in found}
    return [unique[key] for key in sorted(unique)]


def audit_overlap(
    members: Sequence[Node], hops: Sequence[HopDraft], acts: Sequence[PolicyAction]
) -> list[Finding]:
    """Return a finding for each feature that two layers used against each other."""
    return [
        *_multiplied_retries(members, hops, acts),
        *_inverted_timeouts(members),
        *_limits_behind_the_gateway(members, acts),
        *_disagreeing_split(members),
    ]


def _act(feature: str, layer: str, node: Node, detail: str) -> PolicyAction:
    return PolicyAction(
        feature=feature,
        layer=layer,
        component=node.service,
        detail=detail,
        refs=(node.reference,),
    )


def _layer(node: Node) -> str:
    return node.role if node.role in ("gateway", "edge") else "mesh"


def _refusals(members: Sequence[Node]) -> Iterator[PolicyAction]:
    for node in members:
        reply = own_reply(node) if node.is_proxy else None
        if reply is not None and reply.class_ in _FEATURES:
            yield _act(_FEATURES[reply.class_], _layer(node), node, reply.reason)
        if "DI" in node.attributes.get("response_flags", ""):
            yield _act("fault_injection", _layer(node), node, "DI: a fault filter delayed it")


def gateway_tries(node: Node) -> int:
    """Return how many times a gateway called its backend."""
    assert node.record is not None
    entries = sum(1 for child in node.children if not child.is_async)
    return max(node.record.record.attempts or 0, entries)


def _retries(members: Sequence[Node], hops: Sequence[HopDraft]) -> Iterator[PolicyAction]:
    for node in members:
        if node.record is not None and gateway_tries(node) > 1:
            yield _act("retry", "gateway", node, f"{gateway_tries(node)} tries of the backend")
    for hop in hops:
        if hop.attempts > 1 and hop.attempt == hop.attempts:
            caller = _trying_node(hop)
            if caller.is_gateway:
                continue
            detail = f"{hop.attempts} tries of {hop.service}"
            yield _act("retry", _retrying_layer(caller), caller, detail)


def _trying_node(hop: HopDraft) -> Node:
    """Return the node that made the tries: the client side above them, or the caller."""
    return hop.top.parent or hop.top


def _retrying_layer(node: Node) -> str:
    return _layer(node) if node.is_proxy or node.is_gateway else "app"


def _copies_and_splits(members: Sequence[Node], hops: Sequence[HopDraft]) -> Iterator[PolicyAction]:
    for hop in hops:
        if hop.is_mirrored and not (hop.parent is not None and hop.parent.is_mirrored):
            node = hop.top.parent or hop.top
            yield _act("mirror", _layer(node), node, f"a copy went to {hop.service}")
    for node in members:
        if node.record is not None and node.record.record.backend_id:
            detail = f"backend {node.record.record.backend_id}"
            yield _act("traffic_split", "gateway", node, detail)
        if node.role == "server_proxy":
            revision = node.attributes.get(_REVISION, "")
            if revision not in _NO_REVISION:
                yield _act("traffic_split", "mesh", node, f"revision {revision}")


def _multiplied_retries(
    members: Sequence[Node], hops: Sequence[HopDraft], acts: Sequence[PolicyAction]
) -> Iterator[Finding]:
    by_layer = [act for act in acts if act.feature == "retry"]
    layers = sorted({(act.layer, act.component) for act in by_layer})
    if len(layers) < 2:
        return
    attempts: dict[str, int] = {}
    for hop in hops:
        if not hop.is_mirrored and hop.role in ("service", "dependency"):
            attempts[hop.service] = attempts.get(hop.service, 0) + 1
    service = max(attempts, key=lambda name: (attempts[name], name), default="")
    tries = " × ".join(f"{component} ({layer})" for layer, component in layers)
    yield Finding(
        rule="RETRIES_MULTIPLIED",
        hop=-1,
        message=f"tries of {tries} made {attempts.get(service, 0)} calls of {service}",
        fix="let one layer retry: set attempts to 0 in the VirtualService of this route, or take "
        "the retry policy out of the gateway",
        refs=tuple(sorted({ref for act in by_layer for ref in act.refs})),
    )


def _inverted_timeouts(members: Sequence[Node]) -> Iterator[Finding]:
    """An outer layer gave up while an inner one would have gone on waiting."""
    for node in members:
        if not has_given_up(node) or is_abandoned(node):
            continue
        waited, callee = waited_time(node), slowest_callee(node)
        if waited is None or callee is None or callee.duration <= waited + 2_000_000:
            continue
        inner = next((c for c in node.children if c.is_proxy or c.is_gateway), None)
        if inner is None or _timed_out(inner):
            continue
        yield Finding(
            rule="TIMEOUT_LONGER_INSIDE",
            hop=callee.hop,
            message=f"{node.service} gave up after {waited / 1e6:.0f} ms, {callee.service} behind "
            f"it went on to {callee.duration / 1e6:.0f} ms: its limit is longer or missing",
            fix=f"set the timeout of the route in the mesh below that of {node.service}, so that "
            "work nobody waits for is stopped",
            refs=(node.reference, callee.reference),
        )


def _timed_out(node: Node) -> bool:
    return has_given_up(node) and not is_abandoned(node)


def _limits_behind_the_gateway(
    members: Sequence[Node], acts: Sequence[PolicyAction]
) -> Iterator[Finding]:
    """The gateway let through what the mesh refused for the same kind of reason."""
    root = members[0]
    if root.record is None:
        return
    for act in acts:
        if act.layer == "gateway" or act.feature not in ("rate_limit", "authorization"):
            continue
        what = "rate limit" if act.feature == "rate_limit" else "authorization"
        yield Finding(
            rule=f"{act.feature.upper()}_BEHIND_GATEWAY",
            hop=-1,
            message=f"{root.service} let the request through, the {what} of {act.component} "
            f"({act.layer}) did not: {act.detail}",
            fix=f"decide the {what} at one layer, or keep the mesh's above the gateway's",
            refs=(root.reference, *act.refs),
        )


def _disagreeing_split(members: Sequence[Node]) -> Iterator[Finding]:
    """The gateway chose a version by its backend's name, and the mesh served another one."""
    for node in members:
        if node.record is None or not node.record.record.backend_id:
            continue
        chosen = _version_in(node.record.record.backend_id)
        served = next(
            (n for n in members if n.role == "server_proxy" and n.attributes.get(_REVISION)), None
        )
        if not chosen or served is None:
            continue
        revision = _version_in(served.attributes[_REVISION])
        if revision and revision != chosen:
            yield Finding(
                rule="SPLIT_DISAGREES",
                hop=served.hop,
                message=f"the gateway chose backend {node.record.record.backend_id}, the mesh "
                f"served revision {served.attributes[_REVISION]} of {served.service}",
                fix="split traffic at one layer: point the gateway's backend at one subset, or at "
                "the service and let the mesh split",
                refs=(node.reference, served.reference),
            )


def _version_in(name: str) -> str:
    for word in name.lower().replace("_", "-").replace(".", "-").split("-"):
        if len(word) > 1 and word[0] == "v" and word[1:].isdigit():
            return word
        if word in ("canary", "stable", "blue", "green"):
            return word
    return ""
