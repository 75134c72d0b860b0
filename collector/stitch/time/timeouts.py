"""
Whose patience ended first, when a request timed out.

Each layer has a limit of its own; the one that fired is the shortest. What it was shows in the time
that the layer waited, and what would have been needed in the time that the callee took.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from collector.attributes import HANDLED_ERRORS
from collector.decode.outcome import GRPC_CANCELLED, has_client_left
from collector.decode.quality import STREAMING
from collector.stitch.time.critical_path import is_waited_for
from collector.stitch.timeline import Verdict
from collector.stitch.tree.hops import HopDraft
from collector.stitch.tree.nodes import Node, walk_down
from collector.stitch.tree.own_replies import own_reply
from collector.timestamps import format_duration

_MS = 1_000_000
CLIENT_CLOSED = 499  # nginx's status, which servers in Go and others took over
_TIMED_OUT = re.compile(r"time.?d?.?out|deadline", re.IGNORECASE)
# What Envoy tells the next hop about its own limit.
_LIMIT_KEYS = (
    "http.request.header.x-envoy-expected-rq-timeout-ms",
    "x-envoy-expected-rq-timeout-ms",
)


def name_shortest_limit(
    verdict: Verdict, path: Sequence[Node], hops: Sequence[HopDraft]
) -> Verdict:
    """Say in the reason how long the last of *path* waited, for whom, and what that one needed."""
    node = path[-1]
    waited = waited_time(node)
    if waited is None:
        return verdict
    words = f"{node.service} waited {format_duration(waited)}"
    slowest = slowest_on_path(node, hops)
    if slowest is not None:
        hop, held = slowest
        words += f", {format_duration(held)} of it for {hop.service or 'a call that names nobody'}"
        took = max(each.duration for each in hop.nodes)
        words += f", which took {format_duration(took)}" if took > waited else ""
    else:
        callee = slowest_callee(node)
        if callee is not None and callee.duration > waited:
            words += f", {callee.service} was at work for {format_duration(callee.duration)}"
    longer = [
        f"{outer.service} would have waited {format_duration(limit)}"
        for outer in path[:-1]
        if (limit := told_limit(outer)) is not None and limit > waited
    ]
    words += f" ({'; '.join(longer)})" if longer else ""
    reason = f"{verdict.reason}; {words}" if verdict.reason else words
    return replace(verdict, reason=reason, who_closed=verdict.who_closed or node.service)


def waited_time(node: Node) -> int | None:
    """Return how long a node waited for its callee before it gave up."""
    if node.record is not None:
        record = node.record.record
        if record.backend_ns:
            return record.backend_ns
        return record.error_elapsed_ns or record.duration_ns
    return node.duration


def slowest_on_path(node: Node, hops: Sequence[HopDraft]) -> tuple[HopDraft, int] | None:
    """Return the hop below *node* that held it up the longest by itself, and for how long."""
    held: dict[int, int] = {}
    for below in walk_down(node):
        if below.hop != node.hop and below.critical_time:
            held[below.hop] = held.get(below.hop, 0) + below.critical_time
    if not held:
        return None
    index = max(held, key=lambda index: (held[index], index))
    return hops[index], held[index]


def slowest_callee(node: Node) -> Node | None:
    """Return the longest node below, through the spans of the same call."""
    longest: Node | None = None
    stack = list(node.children)
    while stack:
        child = stack.pop()
        if not is_waited_for(child):
            continue
        if longest is None or (child.duration, child.span_id) > (longest.duration, longest.span_id):
            longest = child
        if child.hop == node.hop or child.is_proxy or child.is_gateway:
            stack.extend(child.children)
    return longest


def may_outlast(caller: Node) -> bool:
    """
    Tell whether what *caller* called may go on after its end.

    It gave up, or it is the record of a connection that stays open: some gateways write that down
    when it has been made (API Management), others when it is over.
    """
    is_open = caller.record is not None and STREAMING in caller.record.record.quality
    return is_open or has_given_up(caller)


def has_given_up(node: Node) -> bool:
    """Tell whether a node says that it did not wait for its callee's answer any longer."""
    if node.record is not None:
        record = node.record.record
        handled = record.attributes.get(HANDLED_ERRORS, "")
        said = f"{record.error_reason} {record.error_message} {handled}"
        if is_abandoned(node) or _TIMED_OUT.search(said):
            return True
        return record.status == 504 and record.backend_status is None
    reply = own_reply(node) if node.is_proxy else None
    if reply is None:
        return timed_out_waiting(node)
    return reply.class_ in ("timeout", "client_abort")


def is_abandoned(node: Node) -> bool:
    """Tell whether a node's own words are that its caller went away."""
    if node.grpc_status == GRPC_CANCELLED:
        return True
    if node.side == "server" and node.status_code == CLIENT_CLOSED and node.record is None:
        return True
    if node.record is not None:
        return has_client_left(node.record.record)
    reply = own_reply(node) if node.is_proxy else None
    return reply is not None and reply.class_ == "client_abort"


def timed_out_waiting(node: Node) -> bool:
    """
    Tell whether an application stopped waiting for its callee, by the error it wrote down.

    Source: OpenTelemetry semantic conventions, `error.type` (`timeout`, or an exception's name).
    """
    if node.is_proxy or node.side != "client" or node.status_code:
        return False
    said = node.attributes.get("error.type", "")
    if node.span is not None and node.span.status_message:
        said += f" {node.span.status_message}"
    return said != "" and _TIMED_OUT.search(said) is not None


def told_limit(node: Node) -> int | None:
    """Return the limit that a proxy was told of, if its spans carry the header."""
    for key in _LIMIT_KEYS:
        text = node.attributes.get(key, "").strip('[]"')
        if text.isascii() and text.isdigit() and len(text) < 12:
            return int(text) * _MS
    return None
