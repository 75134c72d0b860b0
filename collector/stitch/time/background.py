"""
What a service began and did not wait for: a stream it keeps open, work it puts off, a message.

It shows in time: the call is still running when the service has answered. A service that gave up on
its callee did wait for it, and so did every caller whose own client span says how long.

Source: OpenTelemetry specification, tracing API ("the parent may end before the child"); Jaeger's
rule for consumers below producers is in `critical_path`.
"""

import re
from collections.abc import Sequence

from collector.stitch.tree.nodes import Node
from collector.stitch.tree.tries import was_cancelled

# The spans of one process end in the order in which its code comes to them, not by the microsecond.
_NOISE_NS = 2_000_000
_NOISE_SHARE = 100
_CALLS = ("Client", "Producer", "Consumer")
# Of a chain of internal spans that is deeper nobody knows who answered for it.
_MAX_STEPS = 64
_REFUSED = 400
_GAVE_UP_STATUSES = (408, 499, 503, 504)
_GAVE_UP = re.compile(r"time.?d?.?out|deadline|cancel", re.IGNORECASE)


def mark_background(members: Sequence[Node]) -> None:
    """Set `is_background` of each node that its service did not wait for, by raw times."""
    for node in members:
        parent = node.parent
        if parent is None or node.is_proxy or node.goes_on_with_message:
            continue
        if was_cancelled(node):
            node.is_background = _ended_with_answer(node)
            continue
        if node.raw_end <= parent.raw_end:
            continue
        if _is_message_of_call(node, parent):
            node.is_background = True
            continue
        visit = _visit_of(node)
        if visit is not None and _outlives(node, visit) and not _gave_up(visit):
            node.is_background = True


def _ended_with_answer(node: Node) -> bool:
    """
    Tell whether a call was cancelled because its service had its answer without it.

    A stream is, when the request that reads it is done. A service that failed gave up on its call.
    """
    visit = _visit_of(node)
    if visit is None or node.service != visit.service or node.side != "client":
        return False
    if visit.is_error or visit.grpc_status or (visit.status_code or 0) >= _REFUSED:
        return False
    return node.raw_end >= visit.raw_end - _NOISE_NS


def _is_message_of_call(node: Node, sender: Node) -> bool:
    """
    Tell whether *node* consumes a message whose sending was told as an ordinary call.

    Clients of queues over HTTP (SQS, Pub/Sub) are traced as such; who waits for a reply waits for
    all of it.
    """
    if node.kind != "Consumer" or sender.side != "client" or sender.service == node.service:
        return False
    return node.raw_end - node.raw_start > sender.raw_end - sender.raw_start + _NOISE_NS


def _visit_of(node: Node) -> Node | None:
    """Return the span that answers for the service which caused *node*, `None` if nobody does."""
    step = node.parent
    for _ in range(_MAX_STEPS):
        if step is None:
            return None
        if step.is_gateway or step.is_proxy or step.is_inferred or step.side == "client":
            # A client side measures how long its caller waited, whatever the callee goes on to do.
            return None
        if step.side == "server" or step.parent is None or step.parent.service != step.service:
            return step
        step = step.parent
    return None


def _outlives(node: Node, visit: Node) -> bool:
    length = visit.raw_end - visit.raw_start
    if node.service != visit.service:
        # Two clocks: that it lasted more than twice as long says so whatever they differ by, and
        # so does one that is longer by a quarter and began when the answer was there: a callee may
        # outlast its caller by a little, and its clock be ahead.
        has_begun_later = node.raw_start > visit.raw_end + _NOISE_NS
        longest = length + length // 4 if has_begun_later else 2 * length
        return node.raw_end - node.raw_start > longest + _NOISE_NS
    excess = node.raw_end - visit.raw_end
    if node.kind in _CALLS:
        return excess > max(_NOISE_NS, length // _NOISE_SHARE)
    # Without a call's kind a span may be the part of the answer that goes on beside its parent.
    return excess > max(_NOISE_NS, length)


def _gave_up(visit: Node) -> bool:
    """Tell whether a service says that it did not wait for an answer any longer."""
    if visit.status_code in _GAVE_UP_STATUSES:
        return True
    span = visit.span
    if span is None or not visit.is_error:
        return False
    return (
        _GAVE_UP.search(f"{span.status_message} {visit.attributes.get('error.type', '')}")
        is not None
    )
