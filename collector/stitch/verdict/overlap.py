"""
Which layer acted, where gateway and mesh can do the same thing.

Retries, timeouts, rate limits, authorization, circuit breakers, traffic splits, copies and injected
faults exist at the gateway and in the mesh. A stitched request shows who used them.

Source: Envoy retry, timeout, rate limit, RBAC and fault filters (tags, flags and details), Azure
API Management policies (retry, rate-limit, validate-jwt, backend), Istio canonical revisions.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from collector.attributes import WAF_RULE
from collector.model import GatewayRecord
from collector.stitch.timeline import PolicyAction, Verdict
from collector.stitch.tree.hops import HopDraft
from collector.stitch.tree.nodes import Node
from collector.stitch.tree.own_replies import own_reply
from collector.stitch.tree.roles import flags_of
from collector.stitch.verdict.gateway_errors import (
    class_of_error,
    describe_handled,
    handled_errors,
)

_FEATURES = {
    "rate_limit": "rate_limit",
    "authorization": "authorization",
    "authentication": "authorization",
    "overload": "circuit_breaker",
    "unhealthy": "circuit_breaker",
    "timeout": "timeout",
    "fault_injection": "fault_injection",
}
REVISION = "istio.canonical_revision"
_PARTS_OF_CLUSTER = 3  # `outbound|<port>|<subset>|<host>`
_NO_REVISION = ("", "latest", "unknown", "default")


def find_policy_actions(
    members: Sequence[Node], hops: Sequence[HopDraft], verdict: Verdict
) -> list[PolicyAction]:
    """Return what each layer did to the request, in order of feature and layer."""
    found = [*_refusals(members), *_retries(members, hops), *_copies_and_splits(members, hops)]
    found += [*_handled(members), *_firewalls(members)]
    root = members[0]
    if root.is_gateway and verdict.layer == "gateway" and verdict.class_ in _FEATURES:
        found.append(_act(_FEATURES[verdict.class_], "gateway", root, verdict.reason))
    for node in members:
        if node.record is not None and node.record.record.cache == "hit":
            found.append(_act("cache", "gateway", node, "answered from the gateway's cache"))
    unique = {(act.feature, act.layer, act.component, act.detail): act for act in found}
    return [unique[key] for key in sorted(unique)]


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
        if "DI" in flags_of(node):
            yield _act("fault_injection", _layer(node), node, "DI: a fault filter delayed it")


def _handled(members: Sequence[Node]) -> Iterator[PolicyAction]:
    """Errors that a gateway's policies dealt with: what it did, and not how it ended."""
    for node in members:
        if node.record is None:
            continue
        counts = Counter(
            (class_of_error(error), describe_handled(error))
            for error in handled_errors(node.record.record)
        )
        for (class_, text), count in counts.items():
            times = f" ({count} times)" if count > 1 else ""
            detail = f"dealt with {text}{times}"
            yield _act(_FEATURES.get(class_, "fallback"), "gateway", node, detail)


def _firewalls(members: Sequence[Node]) -> Iterator[PolicyAction]:
    for node in members:
        if node.record is None:
            continue
        for name, text in node.record.record.attributes.items():
            if name.startswith(WAF_RULE):
                detail = f"WAF rule {name.removeprefix(WAF_RULE)}: {text}"
                yield _act("authorization", "gateway", node, detail)


def gateway_tries(node: Node, hops: Sequence[HopDraft]) -> int:
    """Return how many times a gateway tried its backend, by its own count or by what arrived."""
    assert node.record is not None
    seen = max((each.attempts for each in hops[node.hop].children), default=0)
    return max(node.record.record.attempts or 0, seen)


def _retries(members: Sequence[Node], hops: Sequence[HopDraft]) -> Iterator[PolicyAction]:
    for node in members:
        tries = gateway_tries(node, hops) if node.record is not None else 0
        if tries > 1:
            yield _act("retry", "gateway", node, f"{tries} tries of the backend")
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


def _chosen_backend(record: GatewayRecord) -> str:
    """
    Return the backend that a gateway chose among several, "" where its name shows no choice.

    The service of a route is where all of its requests go. Of Envoy's clusters those of a subset,
    and those of one backend of a route, show that there are others.
    """
    name = record.backend_id
    if record.gateway == "envoy":
        subset = name.split("|")[2] if name.count("|") >= _PARTS_OF_CLUSTER else ""
        return name if subset or "/backend/" in name else ""
    return "" if name in (record.api, record.route, record.operation) else name


def _copies_and_splits(members: Sequence[Node], hops: Sequence[HopDraft]) -> Iterator[PolicyAction]:
    for hop in hops:
        if hop.is_mirrored and not (hop.parent is not None and hop.parent.is_mirrored):
            node = hop.top.parent or hop.top
            yield _act("mirror", _layer(node), node, f"a copy went to {hop.service}")
    for node in members:
        chosen = _chosen_backend(node.record.record) if node.record is not None else ""
        if chosen:
            yield _act("traffic_split", "gateway", node, f"backend {chosen}")
        if node.role == "server_proxy":
            revision = node.attributes.get(REVISION, "")
            if revision not in _NO_REVISION:
                yield _act("traffic_split", "mesh", node, f"revision {revision}")
