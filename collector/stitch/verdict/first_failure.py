"""
Who failed first: one verdict from gateway error fields, Envoy's flags and span statuses.

The gateway's own word is heard first: it may have refused the request, or failed after a good
answer of the backend. Otherwise the failure is followed inwards, from each failing node to the
failing node below it, until nothing below failed. A callee whose caller stopped waiting did not
fail: what it logged when the connection closed is a consequence.

Source: algorithms.md 4.6; Envoy response flags (`decode.response_flags`); Azure API Management
error reference (LastErrorReason, LastErrorSection).
"""

from collections.abc import Sequence
from dataclasses import replace

from collector.stitch.time.critical_path import is_waited_for
from collector.stitch.time.timeouts import (
    is_abandoned,
    name_shortest_limit,
    timed_out_waiting,
)
from collector.stitch.timeline import ChainLink, Verdict
from collector.stitch.tree.hops import HopDraft
from collector.stitch.tree.nodes import Node
from collector.stitch.tree.own_replies import VIA_UPSTREAM, OwnReply, own_reply, reply_details
from collector.stitch.tree.roles import response_flags
from collector.stitch.verdict.gateway_errors import judge_gateway

NO_FAILURE = Verdict(
    layer="none", component="", class_="", reason="", confidence=1.0, rule="NO_FAILURE"
)
# Answers by which a proxy refuses, if no span of a service says that it was the service.
_REFUSALS = {401: "authentication", 403: "authorization", 429: "rate_limit"}


def judge(root: Node, hops: Sequence[HopDraft]) -> Verdict:
    """Return the verdict on the tree of *root*; layer `none` when the request did not fail."""
    return judge_below(root, hops) if is_failing(root) else NO_FAILURE


def judge_below(start: Node, hops: Sequence[HopDraft]) -> Verdict:
    """Follow the failure of *start* inwards to where it began."""
    path = [start]
    while True:
        node = path[-1]
        verdict = judge_gateway(node) if node.is_gateway else _judge_own_reply(node)
        below = None if verdict is not None else failing_below(node, hops)
        if below is None:
            verdict = verdict or _judge_last(node, hops[node.hop])
            if verdict.class_ == "timeout":
                verdict = name_shortest_limit(verdict, path)
            return _with_chain(verdict, path, hops)
        path.append(below)


def is_failing(node: Node) -> bool:
    """Tell whether a node ended in an error, also one that is its caller's fault."""
    return node.is_error or (node.status_code is not None and node.status_code >= 400)


def failing_below(node: Node, hops: Sequence[HopDraft]) -> Node | None:
    """Return the child that failed first, without tries that a later try made good."""
    failing = [child for child in node.children if _counts(child, hops)]
    return min(failing, key=lambda c: (c.end, c.order()), default=None)


def _counts(child: Node, hops: Sequence[HopDraft]) -> bool:
    if not is_waited_for(child) or not is_failing(child) or is_abandoned(child):
        return False
    hop = hops[child.hop]
    return hop.attempt == hop.attempts or child is not hop.top


def _judge_own_reply(node: Node) -> Verdict | None:
    """Judge a proxy that says itself why there was no answer from further on."""
    reply = own_reply(node)
    if reply is None:
        return None
    layer, component = _layer_of(node, reply)
    return Verdict(
        layer=layer,
        component=component,
        class_=reply.class_,
        reason=reply.reason,
        confidence=0.95,
        rule=reply.rule,
        who_closed=_who_closed(node, reply),
    )


def _layer_of(node: Node, reply: OwnReply) -> tuple[str, str]:
    if reply.side == "client":
        return "client", _caller_name(node)
    if reply.side == "proxy":
        return ("edge" if node.role == "edge" else "mesh"), node.service
    return "mesh", node.callee or node.service


def _who_closed(node: Node, reply: OwnReply) -> str:
    if reply.side == "client":
        return _caller_name(node)
    return node.service if reply.class_ == "timeout" else ""


def _caller_name(node: Node) -> str:
    step = node.parent
    while step is not None and step.service == node.service:
        step = step.parent
    return step.service if step is not None else "client"


def _judge_last(node: Node, hop: HopDraft) -> Verdict:
    """Judge the innermost failing node: nothing below it failed."""
    answered = _unseen_answer(node)
    code = answered or node.status_code
    layer, component, confidence, rule = _place_of(node, hop)
    class_ = "client_error" if code is not None and 400 <= code < 500 else "server_error"
    if rule == "PROXY_REFUSED":
        class_ = _REFUSALS[code or 0]
    if timed_out_waiting(node):
        class_ = "timeout"
    what = f"status {code}" if code else "span status Error"
    if answered:
        what += " of the backend, of which no span is known"
    if node.span is not None and node.span.status_message:
        what += f": {node.span.status_message}"
    return Verdict(
        layer=layer,
        component=component,
        class_=class_,
        reason=what,
        confidence=confidence,
        rule=rule,
    )


def _place_of(node: Node, hop: HopDraft) -> tuple[str, str, float, str]:
    """Return layer, component, confidence and rule for a failure without words of its own."""
    if node.record is not None and _unseen_answer(node):
        return "app", node.record.record.backend_host or "backend", 0.5, "BACKEND_STATUS"
    if node.is_gateway:
        return "gateway", node.service, 0.6, "GATEWAY_STATUS"
    if hop.role == "dependency":
        return "dependency", hop.service, 0.9, "DEPENDENCY_FAILED"
    if node.role == "edge":
        return "edge", node.service, 0.6, "EDGE_STATUS"
    if timed_out_waiting(node):
        # The call belongs to the callee's hop, the limit to the caller.
        return "app", node.service, 0.9, "APP_GAVE_UP"
    if not node.is_proxy:
        return "app", hop.service, 0.9, "APP_FAILED"
    if node.status_code in _REFUSALS and reply_details(node) != VIA_UPSTREAM:
        # An application answers 401, 403 and 429 as well, but then it usually has a span.
        return "mesh", hop.service, 0.6, "PROXY_REFUSED"
    # A proxy without a flag passed on what the service behind it answered.
    return "app", hop.service, 0.8 if reply_details(node) == VIA_UPSTREAM else 0.7, "APP_FAILED"


def _unseen_answer(node: Node) -> int:
    """Return the error that a gateway got from a backend without spans, 0 when it got none."""
    if node.record is None or node.children:
        return 0
    status = node.record.record.backend_status or 0
    return status if status >= 400 else 0


def _with_chain(verdict: Verdict, path: Sequence[Node], hops: Sequence[HopDraft]) -> Verdict:
    root, last = path[0], path[-1]
    chain = tuple(
        ChainLink(
            layer=hops[node.hop].role,
            component=node.service,
            what=said_by(node),
            offset_ns=node.end - _origin(root),
            refs=(node.reference,),
        )
        for node in reversed(path)
    )
    return replace(
        verdict,
        chain=chain,
        hop=_hop_that_failed(last),
        first_offset_ns=last.end - _origin(root),
        outcome="failed",
    )


def _hop_that_failed(last: Node) -> int:
    """
    Return the visit that failed: of a proxy that got no answer, the callee's last one.

    Above several tries, and at the mesh's edge, that is another hop than the proxy's own.
    """
    reply = own_reply(last)
    if reply is None or reply.side != "upstream":
        return last.hop
    visits = [child for child in last.children if is_waited_for(child) and child.hop != last.hop]
    if not visits:
        return last.hop
    return max(visits, key=lambda visit: (visit.start, visit.hop)).hop


def _origin(node: Node) -> int:
    while node.parent is not None:
        node = node.parent
    return node.start


def said_by(node: Node) -> str:
    """Return in a few words what a node reported of how it ended."""
    parts = []
    if node.status_code is not None:
        parts.append(f"status {node.status_code}" if node.status_code else "no response")
    flags = response_flags(node.attributes)
    if flags:
        parts.append(f"flags {','.join(flags)}")
    if node.record is not None and node.record.record.error_reason:
        parts.append(node.record.record.error_reason)
    if not parts:
        parts.append("error" if node.is_error else "ok")
    return ", ".join(parts)
