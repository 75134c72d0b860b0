"""
Who failed first: one verdict from gateway error fields, Envoy's flags and span statuses.

The gateway's own word is heard first: it may have refused the request, or failed after a good
answer of the backend. Otherwise the failure is followed inwards, from each failing node to the
failing node below it, until nothing below failed. A caller that stopped waiting did not fail
because of what its callee logged when the connection closed.

Source: algorithms.md 4.6; Envoy response flags (`decode.response_flags`); Azure API Management
error reference (LastErrorReason, LastErrorSection).
"""

from collections.abc import Sequence

from collector.decode.response_flags import ResponseFlag, primary_flag
from collector.stitch.critical_path import is_waited_for
from collector.stitch.hops import HopDraft
from collector.stitch.identify import response_flags
from collector.stitch.nodes import Node
from collector.stitch.refusals import judge_gateway
from collector.stitch.timeline import ChainLink, Verdict

_FAULT_WORDS = {
    "aborted": "client_abort",
    "denied": "authorization",
    "rate_limited": "rate_limit",
    "injected": "fault_injection",
    "retries_exhausted": "retries_exhausted",
}


def judge(root: Node, hops: Sequence[HopDraft]) -> Verdict:
    """Return the verdict on the tree of *root*; layer `none` when nothing failed."""
    if not is_failing(root):
        return Verdict(
            layer="none", component="", class_="", reason="", confidence=1.0, rule="NO_FAILURE"
        )
    path = [root]
    while True:
        node = path[-1]
        verdict = judge_gateway(node, path) if node.is_gateway else _judge_own_flags(node)
        below = None if verdict is not None else _failing_below(node, hops)
        if below is None:
            verdict = verdict or _judge_last(node, hops[node.hop])
            return _with_chain(verdict, path, hops)
        path.append(below)


def is_failing(node: Node) -> bool:
    """Tell whether a node ended in an error, also one that is its caller's fault."""
    return node.is_error or (node.status_code is not None and node.status_code >= 400)


def _failing_below(node: Node, hops: Sequence[HopDraft]) -> Node | None:
    """Return the child that failed first, without tries that a later try made good."""
    failing = []
    for child in node.children:
        if not is_waited_for(child) or not is_failing(child):
            continue
        hop = hops[child.hop]
        if hop.attempt < hop.attempts and child is hop.top:
            continue
        if _gave_up_by_caller(child):
            continue
        failing.append(child)
    return min(failing, key=lambda c: (c.end, c.order()), default=None)


def _gave_up_by_caller(node: Node) -> bool:
    flag = primary_flag(response_flags(node.attributes))
    return flag is not None and flag.side == "client" and flag.fault == "aborted"


def _judge_own_flags(node: Node) -> Verdict | None:
    """Judge a proxy that says itself why there was no answer from further on."""
    flag = primary_flag(response_flags(node.attributes))
    if flag is None or flag.side == "none" or flag.fault == "retries_exhausted":
        return None
    layer, component = _layer_of_flag(node, flag)
    return Verdict(
        layer=layer,
        component=component,
        class_=_FAULT_WORDS.get(flag.fault, flag.fault),
        reason=f"{flag.flag} ({flag.name}): {flag.meaning}",
        confidence=0.95,
        rule=f"ENVOY_{flag.flag}",
    )


def _layer_of_flag(node: Node, flag: ResponseFlag) -> tuple[str, str]:
    if flag.side == "client":
        return "client", _caller_name(node)
    if flag.side == "proxy":
        return ("edge" if node.role == "edge" else "mesh"), node.service
    return "mesh", node.callee or node.service


def _caller_name(node: Node) -> str:
    step = node.parent
    while step is not None and step.service == node.service:
        step = step.parent
    return step.service if step is not None else "client"


def _judge_last(node: Node, hop: HopDraft) -> Verdict:
    """Judge the innermost failing node: nothing below it failed."""
    code = node.status_code
    what = f"status {code}" if code else "span status Error"
    if node.span is not None and node.span.status_message:
        what += f": {node.span.status_message}"
    is_answer = code is not None and 400 <= code < 500
    class_ = "client_error" if is_answer else "server_error"
    if node.is_gateway:
        return Verdict(
            layer="gateway",
            component=node.service,
            class_=class_,
            reason=what,
            confidence=0.6,
            rule="GATEWAY_STATUS",
        )
    if hop.role == "dependency":
        return Verdict(
            layer="dependency",
            component=hop.service,
            class_=class_,
            reason=what,
            confidence=0.9,
            rule="DEPENDENCY_FAILED",
        )
    if node.role == "edge":
        return Verdict(
            layer="edge",
            component=node.service,
            class_=class_,
            reason=what,
            confidence=0.6,
            rule="EDGE_STATUS",
        )
    # A proxy without a flag passed on what the service behind it answered.
    confidence = 0.9 if not node.is_proxy else 0.7
    return Verdict(
        layer="app",
        component=hop.service,
        class_=class_,
        reason=what,
        confidence=confidence,
        rule="APP_FAILED",
    )


def _with_chain(verdict: Verdict, path: Sequence[Node], hops: Sequence[HopDraft]) -> Verdict:
    root, last = path[0], path[-1]
    chain = tuple(
        ChainLink(
            layer=hops[node.hop].role,
            component=node.service,
            what=_said(node),
            offset_ns=node.end - root.start,
            refs=(node.reference,),
        )
        for node in reversed(path)
    )
    return Verdict(
        layer=verdict.layer,
        component=verdict.component,
        class_=verdict.class_,
        reason=verdict.reason,
        confidence=verdict.confidence,
        rule=verdict.rule,
        chain=chain,
        hop=last.hop,
        first_offset_ns=last.end - root.start,
        who_closed=verdict.who_closed,
        outcome="failed",
    )


def _said(node: Node) -> str:
    parts = []
    if node.status_code is not None:
        parts.append(f"status {node.status_code}")
    flags = response_flags(node.attributes)
    if flags:
        parts.append(f"flags {','.join(flags)}")
    if node.record is not None and node.record.record.error_reason:
        parts.append(node.record.record.error_reason)
    if not parts:
        parts.append("error" if node.is_error else "ok")
    return ", ".join(parts)
