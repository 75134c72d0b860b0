"""
Who failed first: one verdict from gateway error fields, Envoy's flags and span statuses.

The gateway's own word is heard first: it may have refused the request, or failed after a good
answer of the backend. Otherwise the failure is followed inwards, from each failing node to the
failing node below it, until nothing below failed. A callee whose caller stopped waiting did not
fail: what it logged when the connection closed is a consequence.

Source: Envoy response flags (`decode.envoy.response_flags`); Azure API Management
error reference (LastErrorReason, LastErrorSection).
"""

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum

from collector.decode.outcome import GRPC_CANCELLED, describe_grpc, is_grpc_error
from collector.stitch.time.critical_path import is_waited_for
from collector.stitch.time.timeouts import (
    CLIENT_CLOSED,
    is_abandoned,
    name_shortest_limit,
    timed_out_waiting,
)
from collector.stitch.timeline import ChainLink, Verdict
from collector.stitch.tree.hops import HopDraft
from collector.stitch.tree.nodes import Node
from collector.stitch.tree.own_replies import (
    AUTHORIZATION_SERVICE,
    VIA_UPSTREAM,
    OwnReply,
    called_nobody,
    own_reply,
    reply_details,
)
from collector.stitch.tree.roles import flags_of, response_flags
from collector.stitch.verdict.gateway_errors import (
    backend_of,
    class_of_status,
    class_of_way,
    judge_gateway,
    said_by_record,
)
from collector.stitch.verdict.grpc import class_of_grpc

NO_FAILURE = Verdict(
    layer="none", component="", class_="", reason="", confidence=1.0, rule="NO_FAILURE"
)
_SWITCHED = 101
# Whoever answers it waited for somebody: nginx writes it as its upstream's when none came in time.
_GATEWAY_TIMEOUT = 504
# Envoy's flags of an upstream that reset the stream, closed the connection or broke the protocol.
_BROKE_OFF = frozenset(("UR", "UC", "UPE"))
# A failure that its caller may have dealt with.
_HANDLED_DOUBT = 0.6
# Answers by which a proxy refuses, if no span of a service says that it was the service.
_REFUSALS = {401: "authentication", 403: "authorization", 429: "rate_limit"}


def judge(root: Node, hops: Sequence[HopDraft]) -> Verdict:
    """Return the verdict on the tree of *root*; layer `none` when the request did not fail."""
    if is_failing(root) or left_early(root):
        return judge_below(root, hops)
    return NO_FAILURE


def judge_below(start: Node, hops: Sequence[HopDraft]) -> Verdict:
    """Follow the failure of *start* inwards to where it began."""
    path, doubt = [start], 1.0
    while True:
        node = path[-1]
        verdict = judge_gateway(node) if node.is_gateway else _judge_own_reply(node)
        is_helpers = verdict is not None and verdict.component == AUTHORIZATION_SERVICE
        below = failing_below(node, hops) if verdict is None or is_helpers else None
        if below is not None:
            handling = _was_handled(node, below)
            if handling is not Handling.SURELY:
                doubt = min(doubt, _HANDLED_DOUBT if handling is Handling.MAYBE else 1.0)
                path.append(below)
                continue
        verdict = verdict or _judge_last(node, hops[node.hop])
        if verdict.class_ == "timeout":
            verdict = name_shortest_limit(verdict, path, hops)
        if verdict.confidence > doubt:
            verdict = replace(verdict, confidence=doubt)
        return _with_chain(verdict, path, hops)


def is_failing(node: Node) -> bool:
    """Tell whether a node ended in an error, also one that is its caller's fault."""
    if node.is_error or (node.status_code is not None and node.status_code >= 400):
        return True
    return is_grpc_error(node.grpc_status) or is_cut_off(node)


def is_cut_off(node: Node) -> bool:
    """
    Tell whether a proxy's upstream broke off within its answer, whose status had been sent on.

    The caller has a good status and a part of the body. Trailers, or the end of a connection that
    stays open, are an end.
    """
    if node.status_code is None or not 200 <= node.status_code < 400:
        return False
    return node.grpc_status is None and not _BROKE_OFF.isdisjoint(flags_of(node))


def left_early(node: Node) -> bool:
    """Tell whether the client went away before it had the whole answer."""
    # The end of a stream or of a WebSocket is the client's to choose.
    is_ended_stream = node.status_code == _SWITCHED or node.grpc_status == 0
    is_ended_stream = is_ended_stream and node.record is None
    return is_abandoned(node) and not is_ended_stream


def counts_as_error(node: Node) -> bool:
    """Tell whether a request that ended like *node* is an error: see `decode.outcome`."""
    if left_early(node):
        return False
    return node.is_error or is_grpc_error(node.grpc_status)


def failing_below(node: Node, hops: Sequence[HopDraft]) -> Node | None:
    """
    Return the failure below *node* that it ended with.

    A call that says nothing of how it ended is looked through. What failed before the last failure
    began was dealt with, or that would not have begun, unless *node* ends with its words; of those
    side by side the first counts. Tries that a later try made good do not.
    """
    failing: list[Node] = []
    waiting = list(node.children)
    while waiting:
        child = waiting.pop()
        if _counts(child, hops):
            failing.append(child)
        elif is_silent(child) and is_waited_for(child):
            waiting.extend(child.children)
    if not failing:
        return None
    told = _message_of(node).lower()
    quoted = [c for c in failing if _message_of(c) and _message_of(c).lower() in told]
    failing = quoted or failing
    last = max(failing, key=lambda c: (c.start, c.order()))
    fatal = [child for child in failing if child.end > last.start or child is last]
    return min(fatal, key=lambda c: (c.end, c.order()))


def _counts(child: Node, hops: Sequence[HopDraft]) -> bool:
    if not is_waited_for(child) or not is_failing(child) or is_abandoned(child):
        return False
    hop = hops[child.hop]
    return hop.attempt == hop.attempts or child is not hop.top


def is_silent(node: Node) -> bool:
    """Tell whether a span says nothing of how it ended, as a balancer's or a client's may."""
    span = node.span
    if span is None or span.status != "Unset" or node.status_code is not None:
        return False
    return node.grpc_status is None


class Handling(Enum):
    """Whether a caller dealt with a failed call before it failed itself."""

    NO = "no"
    MAYBE = "maybe"
    SURELY = "surely"


def _was_handled(node: Node, below: Node) -> Handling:
    """
    Tell whether *node* went on after *below* had failed, and then failed by itself.

    It went on if it made another call that worked. Words of its own that are not those of the
    failed call say why it failed in the end; without any, both can be. Exceptions say more, but a
    list reads no events, and has to come to the same verdict.
    """
    if node.is_gateway or node.is_proxy:
        return Handling.NO
    went_on = any(
        child.start >= below.end and not is_failing(child) and is_waited_for(child)
        for child in node.children
    )
    if not went_on:
        return Handling.NO
    told = f"{_message_of(node)} {node.attributes.get('exception.message', '')}".strip().lower()
    if not told:
        return Handling.MAYBE
    theirs = {_message_of(below), below.callee, below.service} - {"", node.service}
    is_passed_on = any(word.lower() in told for word in theirs)
    return Handling.NO if is_passed_on else Handling.SURELY


def _message_of(node: Node) -> str:
    return node.span.status_message if node.span is not None else ""


def said_in_words(node: Node) -> tuple[str, ...]:
    """Return what a span says about its failure: status message, exceptions, the last one first."""
    span = node.span
    if span is None:
        return ()
    words = [span.status_message]
    for event in reversed(span.events):
        if event.name == "exception":
            told = (event.attributes.get(f"exception.{part}", "") for part in ("type", "message"))
            words.append(": ".join(part for part in told if part))
    return tuple(dict.fromkeys(word for word in words if word))


def _judge_own_reply(node: Node) -> Verdict | None:
    """Judge a node that says itself why there was no answer from further on: as a rule a proxy."""
    reply = own_reply(node)
    if reply is None and node.grpc_status == GRPC_CANCELLED:
        reply = OwnReply("client", "client_abort", describe_grpc(GRPC_CANCELLED), "GRPC_CANCELLED")
    if reply is None and node.status_code == CLIENT_CLOSED and is_abandoned(node):
        reply = OwnReply("client", "client_abort", f"status {CLIENT_CLOSED}", "CLIENT_CLOSED")
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
    if reply.helper:
        return "dependency", reply.helper
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
    what = f"status {code}" if code else "span status Error"
    if is_grpc := (code is None or code < 400) and bool(node.grpc_status):
        class_ = class_of_grpc(node.grpc_status or 0)
        what = describe_grpc(node.grpc_status or 0)
    else:
        class_ = "client_error" if code is not None and 400 <= code < 500 else "server_error"
        if code is None and node.side == "client":
            # nobody answered: the caller's words tell whether it came as far
            told = (*said_in_words(node), node.attributes.get("error.type", ""))
            class_ = class_of_way(" ".join(told)) or class_
    if rule == "PROXY_REFUSED":
        class_ = _REFUSALS[code or 0]
    if rule == "GATEWAY_STATUS" and not node.children and not is_grpc:
        class_ = class_of_status(code, class_)
        what += _told_of_backend(node)
    if timed_out_waiting(node) or (answered and code == _GATEWAY_TIMEOUT):
        class_ = "timeout"
    if answered or (rule == "BACKEND_STATUS" and is_grpc):
        what += " of the backend, of which no span is known"
    words = said_in_words(node) or said_by_record(node)
    if not words and class_ != "timeout":
        words = _type_of_error(node)
    return Verdict(
        layer=layer,
        component=component,
        class_=class_,
        reason=": ".join((what, *words[:1])),
        confidence=confidence,
        rule=rule,
    )


def _type_of_error(node: Node) -> tuple[str, ...]:
    """Return the name of the error of a span that has no words for it; a status is no name."""
    name = node.attributes.get("error.type", "")
    return (name,) if name and not name.isdecimal() else ()


def _told_of_backend(node: Node) -> str:
    """Return what the record of a gateway that answered shows of a call to its backend."""
    if node.record is not None and called_nobody(node.record.record):
        return "; it called no backend"
    if node.record is not None and node.record.record.backend_ns:
        return "; a backend was called, and the record does not show what that answered"
    return "; its record does not show whether a backend was called"


def _place_of(node: Node, hop: HopDraft) -> tuple[str, str, float, str]:
    """Return layer, component, confidence and rule for a failure without words of its own."""
    if node.record is not None and (_unseen_answer(node) or _passed_grpc_on(node)):
        return "app", backend_of(node.record.record), 0.5, "BACKEND_STATUS"
    if node.is_gateway:
        return "gateway", node.service, 0.6, "GATEWAY_STATUS"
    if hop.role == "dependency" and hop.service:
        return "dependency", hop.service, 0.9, "DEPENDENCY_FAILED"
    if hop.role == "dependency":
        # It names nobody whom it called: its own service is all that is known.
        return "app", node.service, 0.6, "APP_FAILED"
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


def _passed_grpc_on(node: Node) -> bool:
    """Tell whether a gateway's gRPC failure is that of a backend without spans."""
    if node.record is None or node.children or not node.grpc_status:
        return False
    return not called_nobody(node.record.record)


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
    if node.grpc_status:
        parts.append(describe_grpc(node.grpc_status))
    flags = response_flags(node.attributes)
    if flags:
        parts.append(f"flags {','.join(flags)}")
    if node.record is not None and node.record.record.error_reason:
        parts.append(node.record.record.error_reason)
    if not parts:
        parts.append("error" if node.is_error else "ok")
    return ", ".join(parts)
